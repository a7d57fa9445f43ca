//! What `raft log verify` says of every state that a directory can be in: `verdicts.txt` is the
//! table, and `UPDATE_GOLDENFILES=1 cargo test -p raft-cli --test tools verdicts` writes it anew.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Scene, copy_dir, kept};

const PAGE: usize = 4096;
const TABLE: &str = "tests/tools/verdicts.txt";

/// A change to a copy of a kept directory.
type Change = fn(&Path);

/// What it is, the kept directory, and what happened to it. In `v1` the slots 00, 01 and 03 are
/// the log and 02 is a spare; in `v1-recycled` it is 02, 01, 00, 03, and nothing follows the last
/// commit. `v1-compacted` begins with its older snapshot, `v1-installed` with its only one.
const STATES: [(&str, &str, Change); 45] = [
    ("whole", "v1", |_| {}),
    ("whole, nothing proves the last commit yet", "v1-recycled", |_| {}),
    ("whole, of a removed member", "v1-removed", |_| {}),
    ("never a member's", "v1-new", |_| {}),
    ("a crash tore the last commit", "v1-torn", |_| {}),
    ("the last commit was damaged", "v1-recycled", |dir| turn(dir, "wal/03.seg", 4 * PAGE + 200)),
    ("the last commit reads as zeros", "v1-recycled", |dir| zero(dir, "wal/03.seg", 4)),
    ("the mark behind the last commit is damaged", "v1", |dir| turn(dir, "wal/03.seg", 6 * PAGE)),
    ("something stands behind the end", "v1", |dir| turn(dir, "wal/03.seg", 7 * PAGE)),
    ("one copy of a slot's header is damaged", "v1", |dir| turn(dir, "wal/01.seg", 100)),
    ("the other copy of a slot's header is damaged", "v1", |dir| turn(dir, "wal/03.seg", PAGE + 9)),
    ("SHOWN is lost", "v1", |dir| remove(dir, "SHOWN")),
    ("SHOWN is damaged", "v1", |dir| {
        turn(dir, "SHOWN", 8);
        turn(dir, "SHOWN", PAGE + 8);
    }),
    ("LOCK is lost", "v1", |dir| remove(dir, "LOCK")),
    ("a spare is lost", "v1", |dir| remove(dir, "wal/02.seg")),
    ("the body of a proven block is damaged", "v1", |dir| turn(dir, "wal/03.seg", 5 * PAGE + 300)),
    ("the header of a proven block is damaged", "v1", |dir| turn(dir, "wal/03.seg", 3 * PAGE + 40)),
    ("a proven block reads as zeros", "v1", |dir| zero(dir, "wal/03.seg", 5)),
    ("two blocks changed places", "v1", |dir| swap(dir, "wal/03.seg", 3, 5)),
    ("the body of a certified block is damaged", "v1", |dir| turn(dir, "wal/01.seg", 4 * PAGE)),
    ("the header of a certified block is damaged", "v1", |dir| turn(dir, "wal/01.seg", 3 * PAGE)),
    ("two slots are damaged", "v1", |dir| {
        turn(dir, "wal/00.seg", 3 * PAGE);
        turn(dir, "wal/01.seg", 4 * PAGE);
    }),
    ("both copies of a slot's header are damaged", "v1", |dir| {
        turn(dir, "wal/01.seg", 100);
        turn(dir, "wal/01.seg", PAGE + 100);
    }),
    ("both copies of a slot's header read as zeros", "v1", |dir| {
        zero(dir, "wal/01.seg", 0);
        zero(dir, "wal/01.seg", 1);
    }),
    ("a slot is lost", "v1", |dir| remove(dir, "wal/01.seg")),
    ("the newest slot is lost with its start", "v1", |dir| remove(dir, "wal/03.seg")),
    ("the newest slot is lost", "v1-recycled", |dir| remove(dir, "wal/03.seg")),
    ("a slot was cut", "v1", |dir| cut(dir, "wal/01.seg", 5 * PAGE)),
    ("two slots changed places", "v1", |dir| {
        let [one, other] = ["wal/00.seg", "wal/01.seg"].map(|name| dir.join(name));
        let kept = read(&one);
        fs::copy(&other, &one).expect("copied");
        fs::write(&other, kept).expect("written");
    }),
    ("a slot of another directory", "v1", |dir| {
        reword(
            dir,
            "NODE",
            "cluster 00000000000000000000000000000063",
            &format!("cluster {:032x}", 7),
        );
    }),
    ("NODE is damaged", "v1", |dir| turn(dir, "NODE", 30)),
    ("NODE is lost", "v1", |dir| remove(dir, "NODE")),
    ("NODE is that of the day before", "v1", |dir| {
        fs::copy(kept("v1-new").join("NODE"), dir.join("NODE")).map(drop).expect("copied");
    }),
    ("NODE is of a newer format", "v1", |dir| reword(dir, "NODE", "format 1", "format 2")),
    ("a slot is of a newer format", "v1", |dir| newer_slot(dir, "wal/03.seg")),
    ("whole, with snapshots", "v1-compacted", |_| {}),
    ("whole, installed from a snapshot", "v1-installed", |_| {}),
    ("the newest snapshot is damaged", "v1-compacted", |dir| turn(dir, "snap/5-2", 165)),
    ("the older snapshot was cut", "v1-compacted", |dir| cut(dir, "snap/4-2", 300)),
    ("a part that all snapshots share is damaged", "v1-compacted", |dir| {
        turn(dir, "snap/00000000000000a1.part", 1000);
    }),
    ("a part that all snapshots share is lost", "v1-compacted", |dir| {
        remove(dir, "snap/00000000000000a1.part");
    }),
    ("the only snapshot is damaged", "v1-installed", |dir| turn(dir, "snap/40-3", 165)),
    ("the only snapshot is lost", "v1-installed", |dir| remove(dir, "snap/40-3")),
    ("NODE is lost beside snapshots", "v1-compacted", |dir| remove(dir, "NODE")),
    ("a snapshot that was never installed is damaged", "v1-installed", |dir| {
        fs::copy(dir.join("snap/40-3"), dir.join("snap/90-4")).map(drop).expect("copied");
    }),
];

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("read")
}

fn change(dir: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = dir.join(name);
    let mut bytes = read(&path);
    change(&mut bytes);
    fs::write(path, bytes).expect("written");
}

fn turn(dir: &Path, name: &str, at: usize) {
    change(dir, name, |bytes| bytes[at] ^= 0x10);
}

fn zero(dir: &Path, name: &str, page: usize) {
    change(dir, name, |bytes| bytes[page * PAGE..(page + 1) * PAGE].fill(0));
}

fn swap(dir: &Path, name: &str, one: usize, other: usize) {
    change(dir, name, |bytes| {
        let kept = bytes[one * PAGE..(one + 1) * PAGE].to_vec();
        bytes.copy_within(other * PAGE..(other + 1) * PAGE, one * PAGE);
        bytes[other * PAGE..(other + 1) * PAGE].copy_from_slice(&kept);
    });
}

fn cut(dir: &Path, name: &str, length: usize) {
    change(dir, name, |bytes| bytes.truncate(length));
}

fn remove(dir: &Path, name: &str) {
    fs::remove_file(dir.join(name)).expect("removed");
}

/// Other words, with the right checksum.
fn reword(dir: &Path, name: &str, from: &str, to: &str) {
    change(dir, name, |bytes| {
        let text = String::from_utf8(bytes.clone()).expect("text").replace(from, to);
        let (body, _) = text.split_once("checksum ").expect("its last line");
        *bytes = format!("{body}checksum {:08x}\n", crc32c::crc32c(body.as_bytes())).into_bytes();
    });
}

/// Both copies of the header say major version 2.
fn newer_slot(dir: &Path, name: &str) {
    change(dir, name, |bytes| {
        for at in [0, PAGE] {
            let page = &mut bytes[at..at + PAGE];
            page[8] = 2;
            let crc = crc32c::crc32c_append(crc32c::crc32c(&page[..12]), &page[16..]);
            let crc = crc32c::crc32c_append(crc, &(at as u64).to_le_bytes());
            page[12..16].copy_from_slice(&crc.to_le_bytes());
        }
    });
}

/// One state, and all that is said of it.
fn verdict(scene: &Scene, (what, from, change): (&str, &str, Change)) -> String {
    let dir = scene.path("d");
    copy_dir(&kept(from), &dir);
    change(&dir);
    let done = scene.run(&["log", "verify", "d"]);
    fs::remove_dir_all(dir).expect("removed");
    let code = done.code.expect("an exit code");
    let mut text = format!("## {what}\n");
    done.out.lines().for_each(|line| writeln!(text, "out: {line}").expect("text"));
    done.err.lines().for_each(|line| writeln!(text, "err: {line}").expect("text"));
    writeln!(text, "exit {code}\n").expect("text");
    text
}

#[test]
fn every_state_has_its_words() {
    let scene = Scene::new();
    let found: String = STATES.iter().map(|state| verdict(&scene, *state)).collect();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        fs::write(&path, &found).expect("written");
    }
    let golden = fs::read_to_string(&path).expect("read");
    for (found, golden) in found.split("## ").zip(golden.split("## ")) {
        assert_eq!(found, golden);
    }
    assert_eq!(found.len(), golden.len());
}

/// Whatever is refused is named: the file, the place, and what to do next.
#[test]
fn every_refusal_says_what_to_do() {
    let scene = Scene::new();
    for state in STATES {
        let text = verdict(&scene, state);
        let refused = ["exit 7\n", "exit 10\n", "exit 11\n"].iter().any(|exit| text.contains(exit));
        assert_eq!(!refused, text.contains("exit 0\n") || text.contains("exit 3\n"), "{text}");
        let advice = ["replace", "remove this member", "Put back", "Use the newer program"];
        let told = text.contains(": d/") && advice.iter().any(|advice| text.contains(advice));
        assert_eq!(refused, told, "{text}");
    }
}
