//! Snapshots: one that was saved, and those of a directory with the parts that they share.

use std::io::Read;
use std::sync::Arc;

use raft_core::LogId;
use raft_log::{
    DataDir, MemberIdentity, NodeState, SnapshotPart, SnapshotReader, Snapshots, Write,
};

use crate::directory::directory;
use crate::harness::{Cap, Target, Verdict, fuzz, within};
use crate::image::{Files, SEAL_ALL, pack, seal_sections, unpack};
use crate::support::model::{entries, vote};
use crate::support::{MemDisk, holder, identity, open_with, small};
use crate::{files_of, named};

const WORDS: &[&[u8]] = &[
    b"RAFTSNAP",
    b"RAFTPART",
    b"RSEC",
    b"snap/5-3",
    b"snap/7-4",
    b"snap/0000000000000007.part",
    b"snap/3-1.tmp",
    &[1, 0, 0, 0],
    &[2, 0, 0, 0],
    &[3, 0, 0, 0],
    &[4, 0, 0, 0],
    &[40, 0, 0, 0, 0, 0, 0, 0],
    &[0, 0, 0x10, 0, 0, 0, 0, 0],
    &[0xff; 8],
];

/// A section is read as a whole, and a table row by row.
const FILE: Cap = Cap { base: 64 << 10, each: 24 };

#[test]
fn saved_snapshot() {
    let target = Target {
        name: "saved_snapshot",
        words: WORDS,
        bytes_max: 1 << 14,
        runs: 20_000,
        check: |input| {
            let (seal, file) = input.split_first().unwrap_or((&0, &[]));
            let mut file = file.to_vec();
            seal_sections(*seal, &mut file);
            saved(&file)
        },
    };
    fuzz(&target, || {
        let mut made = vec![named("nothing", vec![SEAL_ALL])];
        for (length, sealed) in [(0, 0), (1, 0), (300, 0), (0, 40), (700, 9)] {
            let (_, file) = written(LogId::new(5, 1), &[length, 0, 3], sealed);
            made.push(named("a snapshot", [vec![0], file.clone()].concat()));
            for (what, at, value) in [
                ("a newer version", 8, 2),
                ("a feature", 16, 1),
                ("an optional feature", 24, 1),
                ("of entry 0", 48, 0),
                ("another index", 48, 6),
                ("an index beyond all counting", 55, 0x40),
                ("another term", 56, 9),
                ("a section of another kind", 128 + 8, 3),
                ("a section of no kind", 128 + 8, 9),
                ("a section of another part", 128 + 12, 1),
                ("a longer section", 128 + 17, 1),
            ] {
                let mut file = file.clone();
                file[at] = value;
                made.push(named(what, [vec![SEAL_ALL], file].concat()));
            }
            let end = file.len() - 40;
            for (what, at) in
                [("own bytes", 8), ("parts", 16), ("parts beyond memory", 22), ("bytes", 24)]
            {
                let mut file = file.clone();
                file[end + at] = file[end + at].wrapping_add(1);
                made.push(named(what, [vec![SEAL_ALL], file].concat()));
            }
        }
        made
    });
}

#[test]
fn snapshot_directory() {
    let target = Target {
        name: "snapshot_directory",
        words: WORDS,
        bytes_max: 1 << 14,
        runs: 3000,
        check: |input| directory(&unpack(input), input.len()),
    };
    fuzz(&target, || {
        let good = installed();
        let mut made = vec![named("two snapshots", pack(SEAL_ALL, &good))];
        let mut strange = |what: &str, change: &dyn Fn(&mut Files)| {
            let mut files = good.clone();
            change(&mut files);
            made.push(named(what, pack(SEAL_ALL, &files)));
        };
        let snapshots: Vec<String> =
            good.keys().filter(|name| name.starts_with("snap/")).cloned().collect();
        for name in &snapshots {
            strange("a file gone", &|files| drop(files.remove(name)));
            strange("a file empty", &|files| drop(files.insert(name.clone(), Vec::new())));
            strange("a file cut", &|files| {
                let file = files.get_mut(name).expect("there");
                file.truncate(file.len() / 2);
            });
            strange("under another name", &|files| {
                let file = files[name].clone();
                files.insert("snap/7-3".into(), file.clone());
                files.insert("snap/18446744073709551615-1".into(), file.clone());
                files.insert("snap/00000000000000ff.part".into(), file);
            });
            strange("with another body", &|files| {
                files.get_mut(name).expect("there")[165] ^= 1;
            });
        }
        made
    });
}

/// Reads a saved snapshot; what is in it can be written, saved and read again.
fn saved(file: &[u8]) -> Verdict {
    let disk = MemDisk::default();
    disk.put("kept.snap", file.to_vec());
    let opened =
        within(FILE, file.len(), || Snapshots::open_saved(Arc::new(disk.clone()), "kept.snap"));
    let reader = opened.map_err(|error| error.to_string())?;
    let read = within(FILE, file.len(), || read(&reader));
    assert_eq!(read.is_ok(), reader.verify().is_ok(), "reading and verifying");
    let (own, state) = read?;
    let (cluster, id) = (reader.cluster(), reader.info().id);
    let (snapshots, _dir, _disk) = directory_of(cluster);
    let mut writer = snapshots.write(id, &own).expect("begun");
    writer.part(SnapshotPart::Changing, |to| to.write_all(&state)).expect("written");
    writer.finish().expect("whole");
    let to = MemDisk::default();
    let (saved, faults) =
        snapshots.save(&to, "kept.snap", &mut |_| {}).expect("saved").expect("there is one");
    assert!(saved == id && faults.is_empty());
    let again = Snapshots::open_saved(Arc::new(to), "kept.snap").expect("opened");
    assert_eq!((again.cluster(), again.info().id), (cluster, id));
    assert!(self::read(&again).expect("read") == (own, state), "it reads otherwise");
    Ok(format!("a snapshot of {} parts", reader.parts().len().min(3)))
}

fn read(snapshot: &SnapshotReader) -> Result<(Vec<u8>, Vec<u8>), String> {
    let mut contents = snapshot.contents().map_err(|error| error.to_string())?;
    let mut state = Vec::new();
    contents.read_to_end(&mut state).map_err(|error| error.to_string())?;
    Ok((contents.take_own(), state))
}

fn directory_of(cluster: u128) -> (Snapshots, DataDir, MemDisk) {
    let disk = MemDisk::default();
    let dir = DataDir::open_with(Arc::new(disk.clone()), holder(), || 5);
    let mut dir = dir.expect("a directory");
    let me = MemberIdentity { cluster, ..identity(5) };
    dir.set_identity(NodeState::Member(me)).expect("a member's");
    (dir.snapshots().expect("a member's"), dir, disk)
}

/// A snapshot with parts that change, of these lengths, and one that does not; and as it is saved.
fn written(id: LogId, parts: &[usize], sealed: usize) -> (Files, Vec<u8>) {
    let (snapshots, _dir, disk) = directory_of(99);
    write(&snapshots, id, parts, sealed);
    let to = MemDisk::default();
    snapshots.save(&to, "kept.snap", &mut |_| {}).expect("saved");
    (files_of(&disk), to.read("kept.snap"))
}

fn write(snapshots: &Snapshots, id: LogId, parts: &[usize], sealed: usize) {
    let mut writer = snapshots.write(id, b"own").expect("begun");
    for length in parts {
        let part = vec![7; *length];
        writer.part(SnapshotPart::Changing, |to| to.write_all(&part)).expect("written");
    }
    let part = SnapshotPart::Sealed(7);
    writer.part(part, |to| to.write_all(&vec![8; sealed])).expect("written");
    writer.finish().expect("whole");
}

/// A log that was reset to a snapshot and goes on behind it, and a snapshot that was taken since.
fn installed() -> Files {
    let disk = MemDisk::default();
    let options = raft_log::Options { spares: 0, ..small(1) };
    let (dir, mut log) = open_with(&disk, options).expect("a log");
    log.writer.write(&[vote(2, Some(1)), entries(1, 3, 2, 20)]).expect("written");
    let snapshots = dir.snapshots().expect("a member's");
    let id = LogId::new(5, 3);
    write(&snapshots, id, &[30, 0], 50);
    let reset = Write { reset: Some(id), ..entries(6, 3, 4, 20) };
    log.writer.write(&[vote(4, None), reset]).expect("written");
    write(&snapshots, LogId::new(7, 4), &[40, 0], 50);
    drop((dir, log));
    disk.take_away("LOCK");
    files_of(&disk)
}

/// What is right stays as it is when it is sealed.
#[test]
fn a_sealed_snapshot_is_the_same() {
    let (_, file) = written(LogId::new(5, 1), &[300, 0], 40);
    let mut sealed = file.clone();
    seal_sections(SEAL_ALL, &mut sealed);
    assert!(sealed == file, "checksums were right before");
}
