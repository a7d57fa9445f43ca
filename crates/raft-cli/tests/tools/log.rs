//! `raft log`: the kept directory, damaged ones, and one that is in use.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Scene, copy_dir, golden};

const PAGE: usize = 4096;

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// A copy of the kept directory with one byte changed.
fn damaged(scene: &Scene, name: &str, file: &str, at: usize) -> String {
    let dir = scene.path(name);
    copy_dir(&golden(), &dir);
    let path = dir.join(file);
    let mut bytes = fs::read(&path).expect("read");
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("written");
    text(&dir).to_owned()
}

#[test]
fn the_kept_directory() {
    let (scene, dir) = (Scene::new(), golden());
    let dir = text(&dir);
    assert_eq!(scene.ok(&["log", "verify", dir]).out, "intact: 10 entries, last 10@2\n");

    let stat = scene.ok(&["log", "stat", dir]).out;
    for line in [
        "node         n1, :9990, member",
        "starts       2",
        "term         2, no vote",
        "last entry   10@2",
        "committed    up to index 5 at least",
        "shown        lines up to index 4",
        "file          size  order  start  blocks  first  last  terms  used%",
        "wal/03.seg  64 KiB      4      2       5      6    10      2     43",
    ] {
        assert!(stat.lines().any(|found| found == line), "{line}");
    }
    let stat = scene.json(&["log", "stat", dir, "-o", "json"]);
    assert_eq!(
        (&stat["v"], &stat["last_index"], &stat["starts"]),
        (&1.into(), &10.into(), &2.into())
    );
    assert_eq!(stat["slots"].as_array().map(Vec::len), Some(3));

    let blocks = scene.ok(&["log", "dump", "--blocks", dir]).out;
    assert!(blocks.contains(
        "  block 11 at 12288, 4 KiB: truncate from 6, entries 6 to 7; synced 9, commit 5\n"
    ));
    assert!(!blocks.contains("command"));
    let void = scene.ok(&["log", "dump", dir, "--from", "6", "--to", "6", "-o", "plain"]).out;
    let columns = |line: &str| line.split('\t').take(5).collect::<Vec<_>>().join(" ");
    let rows: Vec<String> = void.lines().map(columns).collect();
    assert_eq!(rows, ["6 1 command void 1000", "6 2 command - 500"]);
}

#[test]
fn both_kinds_of_json_hold_the_same() {
    let (scene, dir) = (Scene::new(), golden());
    let document = scene.json(&["log", "dump", text(&dir), "-o", "json"]);
    let mut entries = Vec::new();
    for slot in document["slots"].as_array().expect("slots") {
        for block in slot["blocks"].as_array().expect("blocks") {
            entries.extend(block["entries"].as_array().expect("entries").clone());
        }
    }
    let lines = scene.ok(&["log", "dump", text(&dir), "-o", "jsonl"]).out;
    let lines: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.iter().all(|line| line["v"] == 1));
    let of_lines: Vec<&Value> = lines.iter().filter(|line| line["type"] == "entry").collect();
    assert_eq!(entries.len(), 12);
    assert_eq!(of_lines.len(), 12);
    for (entry, line) in entries.iter().zip(of_lines) {
        for name in ["index", "term", "kind", "void", "size", "text_base64"] {
            assert_eq!(entry[name], line[name], "{name} of {line}");
        }
    }
}

#[test]
fn damage_is_named_and_a_torn_end_is_none() {
    let scene = Scene::new();
    // The header of block 7, which later blocks prove, and its body.
    for (name, at) in [("header", 3 * PAGE + 40), ("body", 3 * PAGE + 1000)] {
        let dir = damaged(&scene, name, "wal/01.seg", at);
        let before = fs::read(Path::new(&dir).join("wal/01.seg")).expect("read");
        let done = scene.run(&["log", "verify", &dir]);
        assert_eq!(done.code, Some(7));
        assert!(
            done.out.starts_with("damaged: ")
                && done.out.contains("wal/01.seg, byte 12288: log index")
        );
        assert!(done.err.contains("a start refuses it") && done.err.contains("hint: "));
        let object = scene.run(&["log", "verify", &dir, "-o", "json"]);
        let object: Value = serde_json::from_str(&object.out).expect("JSON");
        assert_eq!(
            (&object["intact"], &object["damages"][0]["offset"]),
            (&false.into(), &12288.into())
        );
        assert_eq!(object["damages"][0]["first_index"], 2);
        // What can be read is shown all the same.
        let dump = scene.run(&["log", "dump", &dir, "-o", "plain"]);
        assert_eq!(dump.code, Some(7));
        assert!(dump.out.lines().any(|line| line.starts_with("10\t2\tcommand")));
        assert_eq!(fs::read(Path::new(&dir).join("wal/01.seg")).expect("read"), before);
    }
    let dir = damaged(&scene, "torn", "wal/03.seg", 6 * PAGE + 40);
    let done = scene.ok(&["log", "verify", &dir]);
    assert_eq!(done.out, "intact: 10 entries, last 10@2\n");
    assert!(done.err.contains("torn end: ") && done.err.contains("the next start cuts it off"));
    let dir = damaged(&scene, "headers", "wal/03.seg", 100);
    let object = scene.json(&["log", "verify", &dir, "-o", "json"]);
    let copies = serde_json::json!([{ "file": format!("{dir}/wal/03.seg"), "offset": 0 }]);
    assert_eq!((&object["intact"], &object["damaged_copies"]), (&true.into(), &copies));
    let dir = damaged(&scene, "node", "NODE", 30);
    assert_eq!(scene.run(&["log", "stat", &dir]).code, Some(7));
}

#[test]
fn where_there_is_no_log() {
    let scene = Scene::new();
    for dir in ["absent", "."] {
        let done = scene.run(&["log", "verify", dir]);
        assert_eq!(done.code, Some(3), "{dir}");
        assert!(done.err.contains("no log there"), "{dir}");
        assert!(!scene.path("absent").exists());
    }
    copy_dir(&golden(), &scene.path("host_9990"));
    assert!(scene.run(&["log", "stat", "."]).err.contains("host_9990"));
    for args in [&["log", "verify"][..], &["log", "dump", ".", "--from", "2", "--to", "1"]] {
        assert_eq!(scene.run(args).code, Some(2), "{args:?}");
    }
}

/// While the server appends all the time.
#[test]
fn a_directory_in_use() {
    let scene = Scene::new();
    let mut dev = scene.start(&["dev", "-n", "1", "--dir", "kept"], std::process::Stdio::null());
    dev.wait_for("Ctrl-C");
    let servers = scene.json(&["dev", "ls", "-o", "json"]);
    let row = &servers["servers"][0];
    let (address, data) =
        (row["address"].as_str().expect("text"), row["data"].as_str().expect("text"));
    scene.ok(&["append", "\u{1b}[2Jbeer\u{202e}\n", "--endpoints", address]);
    let mut last = BTreeSet::new();
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| {
            for _ in 0..30 {
                scene.ok(&["append", "beer", "--endpoints", address]);
            }
        });
        while !appending.is_finished() {
            let seen = scene.json(&["log", "verify", data, "-o", "json"]);
            assert_eq!(seen["intact"], true);
            last.insert(seen["last_index"].as_u64().expect("a number"));
        }
    });
    assert!(last.len() > 1, "it grew: {last:?}");
    let dump = scene.ok(&["log", "dump", data]).out;
    assert!(dump.contains(r"\u{1b}[2Jbeer\u{202e}\n"), "shown, not obeyed");
    assert!(!dump.contains('\u{1b}'));
    scene.ok(&["append", "and it runs", "--endpoints", address]);
}
