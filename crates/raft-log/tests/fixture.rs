//! Data directories of format 1 as they were written when the format was fixed: they must open for
//! ever. `RAFT_LOG_WRITE_FIXTURE=1` writes those that are not there yet; a kept one is never
//! written anew, since whoever has such a directory has these bytes.
#![allow(missing_docs)]

mod support;

use std::fs::{self, DirBuilder, Permissions};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_core::{HardState, Index, LogId, NodeId, Term};
use raft_log::{
    DataDir, Kind, Log, NodeState, OpenError, Options, PeerBoot, RealDisk, Shown, SnapshotPart,
    Write, encode_entry, inspect,
};
use support::format::{self, PAGE};
use support::model::{entries, vote};
use support::{MemDisk, holder, identity};

/// How a directory came to be.
type History = fn(&MemDisk);

const KEPT: [(&str, History); 7] = [
    ("v1", two_starts),
    ("v1-new", never_a_member),
    ("v1-removed", removed),
    ("v1-torn", torn),
    ("v1-recycled", recycled),
    ("v1-compacted", compacted),
    ("v1-installed", installed),
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn options(seed: u64) -> Options {
    Options { slot_bytes_start: 32 << 10, slot_bytes_max: 32 << 10, spares: 0, seed: Some(seed) }
}

fn peer(id: u64) -> PeerBoot {
    PeerBoot { id: NodeId(id), incarnation: 7 << 100, epoch: 3, nonce: 8 }
}

fn new_dir(disk: &MemDisk) -> DataDir {
    DataDir::open_seeded(Arc::new(disk.clone()), holder(), Some(1)).unwrap()
}

fn member_dir(disk: &MemDisk) -> DataDir {
    let mut dir = new_dir(disk);
    let incarnation = dir.identity().incarnation();
    dir.set_identity(NodeState::Member(identity(incarnation))).unwrap();
    dir
}

fn never_a_member(disk: &MemDisk) {
    drop(new_dir(disk));
}

/// Removed at index 3 of 4; lines up to index 2 were shown.
fn removed(disk: &MemDisk) {
    let mut dir = member_dir(disk);
    let Log { mut writer, .. } = dir.open_log(options(1)).unwrap();
    writer.write(&[vote(4, Some(1)), entries(1, 4, 4, 20)]).unwrap();
    writer.attest().unwrap();
    let mut mark = dir.shown().unwrap().0;
    mark.advance(Index(1)).unwrap();
    mark.advance(Index(2)).unwrap();
    let incarnation = dir.identity().incarnation();
    dir.set_identity(NodeState::Removed(identity(incarnation), Index(3))).unwrap();
}

/// The last commit, a vote and an entry of two pages, reached the disk but for the second page of
/// the entry.
fn torn(disk: &MemDisk) {
    let mut dir = member_dir(disk);
    let Log { mut writer, .. } = dir.open_log(options(1)).unwrap();
    writer.write(&[entries(1, 2, 1, 100)]).unwrap();
    writer.write(&[vote(2, Some(3)), entries(3, 1, 2, 5000)]).unwrap();
    let name = format::slots(disk).pop().unwrap();
    disk.damage(&name, |slot| {
        let last = format::blocks(slot).pop().unwrap();
        slot[last.offset + PAGE..last.offset + last.length].fill(0);
    });
}

/// Starts that found little used a slot again; then an entry larger than a slot, a slot that is
/// sealed, and a last commit that nothing proves.
fn recycled(disk: &MemDisk) {
    let mut dir = member_dir(disk);
    for start in 1..=3 {
        let Log { mut writer, .. } = dir.open_log(options(start)).unwrap();
        writer.write(&[entries(start, 1, 1, 50)]).unwrap();
    }
    let Log { mut writer, .. } = dir.open_log(options(4)).unwrap();
    let slot = disk.read(&format::slots(disk).pop().unwrap());
    assert_eq!(slot[92], 1, "the slot was used before");
    writer.write(&[vote(3, Some(3)), entries(4, 1, 3, 30_000)]).unwrap();
    let mut cut = entries(4, 3, 3, 6000);
    cut.truncate_from = Some(Index(4));
    cut.commit_hint = Index(3);
    writer.write(&[cut, Write { peers: Some(vec![peer(2)]), ..Write::default() }]).unwrap();
    writer.write(&[entries(7, 1, 3, 60)]).unwrap();
}

/// A snapshot as of this entry: a part that changes, one that all share, and one that is empty.
fn snapshot(dir: &DataDir, id: LogId) {
    let mut writer = dir.snapshots().unwrap().write(id, b"sessions and members").unwrap();
    let state = format!("state as of {id}");
    writer.part(SnapshotPart::Changing, |to| to.write_all(state.as_bytes())).unwrap();
    writer.part(SnapshotPart::Sealed(0xa1), |to| to.write_all(&[5; 3000])).unwrap();
    writer.part(SnapshotPart::Changing, |_| Ok(())).unwrap();
    writer.finish().unwrap();
}

/// Two snapshots, and a log that begins between its first entry and the older of them; one that is
/// in the making.
fn compacted(disk: &MemDisk) {
    let mut dir = member_dir(disk);
    let Log { mut writer, .. } = dir.open_log(options(1)).unwrap();
    writer.write(&[vote(2, Some(1))]).unwrap();
    for index in 1..=5 {
        writer.write(&[entries(index, 1, 2, 6000)]).unwrap();
    }
    snapshot(&dir, LogId::new(4, 2));
    snapshot(&dir, LogId::new(5, 2));
    assert_eq!(writer.compact(LogId::new(4, 2), 0).index, Index(4));
    writer.write(&[entries(6, 3, 2, 6000)]).unwrap();
    disk.put("snap/6-2.tmp", b"RAFTSNAP".to_vec());
}

/// A log that was reset to the snapshot of a leader, and goes on behind it.
fn installed(disk: &MemDisk) {
    let mut dir = member_dir(disk);
    let Log { mut writer, .. } = dir.open_log(options(1)).unwrap();
    writer.write(&[vote(2, Some(1)), entries(1, 3, 2, 50)]).unwrap();
    let id = LogId::new(40, 3);
    snapshot(&dir, id);
    let reset = Write { reset: Some(id), ..entries(41, 2, 4, 70) };
    writer.write(&[vote(4, None), reset]).unwrap();
    writer.attest().unwrap();
}

/// Two starts, three slots, every kind of block.
fn two_starts(disk: &MemDisk) {
    let mut dir = member_dir(disk);
    let Log { mut writer, .. } = dir.open_log(options(1)).unwrap();
    writer.write(&[vote(1, Some(1))]).unwrap();
    let member = encode_entry(Index(1), Term(1), Kind::MEMBERSHIP, &[b"founders"]);
    let first = Write { first: Index(1), entries: vec![member], count: 1, ..Write::default() };
    writer
        .write(&[first, Write { peers: Some(vec![peer(2), peer(3)]), ..Write::default() }])
        .unwrap();
    writer.write(&[entries(2, 6, 1, 1000)]).unwrap();
    let mut cut = entries(6, 2, 2, 500);
    cut.truncate_from = Some(Index(6));
    cut.commit_hint = Index(5);
    writer.write(&[vote(2, None), cut]).unwrap();
    drop(writer);
    let Log { mut writer, .. } = dir.open_log(options(2)).unwrap();
    writer.write(&[entries(8, 3, 2, 800)]).unwrap();
    writer.attest().unwrap();
    dir.shown().unwrap().0.advance(Index(4)).unwrap();
}

/// A copy of a kept directory, opened.
fn opened(name: &str) -> (tempfile::TempDir, Result<DataDir, OpenError>) {
    let temp = tempfile::tempdir().unwrap();
    fs::set_permissions(temp.path(), Permissions::from_mode(0o700)).unwrap();
    for from in ["", "wal", "snap"] {
        let Ok(files) = fs::read_dir(fixture(name).join(from)) else { continue };
        DirBuilder::new().recursive(true).mode(0o700).create(temp.path().join(from)).unwrap();
        for file in files.map(Result::unwrap) {
            if file.file_type().unwrap().is_file() {
                let name = temp.path().join(from).join(file.file_name());
                fs::copy(file.path(), &name).unwrap();
                // A checkout does not keep modes.
                fs::set_permissions(name, Permissions::from_mode(0o600)).unwrap();
            }
        }
    }
    let disk = Arc::new(RealDisk::open(temp.path()).unwrap());
    (temp, DataDir::open(disk, holder()))
}

fn sizes(log: &Log) -> Vec<usize> {
    let entries = support::read_all(log, log.recovered.last_index);
    entries.iter().map(|entry| entry.payload.len()).collect()
}

#[test]
fn a_member_opens() {
    let (_temp, dir) = opened("v1");
    let mut dir = dir.unwrap();
    let NodeState::Member(member) = dir.identity().clone() else { panic!("not a member") };
    assert_eq!(member, identity(member.incarnation));
    assert_eq!(dir.shown().unwrap().1, Shown::At(Index(4)));
    let log = dir.open_log(options(3)).unwrap();
    let recovered = &log.recovered;
    assert_eq!(recovered.boot.epoch, 3);
    assert_eq!(recovered.hard_state, HardState { term: Term(2), voted_for: None });
    assert_eq!(recovered.last_index, Index(10));
    assert_eq!(recovered.term_runs, [(Index(1), Term(1)), (Index(6), Term(2))]);
    assert_eq!(recovered.commit_hint, Index(5));
    assert_eq!(recovered.memberships, [(Index(1), "founders".into())]);
    assert_eq!(recovered.peers, [peer(2), peer(3)]);
    assert!(!recovered.tail_ambiguous);
    assert_eq!(sizes(&log), [8, 1000, 1000, 1000, 1000, 500, 500, 800, 800, 800]);
}

#[test]
fn a_new_one_opens() {
    let (_temp, dir) = opened("v1-new");
    let mut dir = dir.unwrap();
    assert!(matches!(dir.identity(), NodeState::New { .. }));
    assert_eq!(dir.shown().unwrap().1, Shown::At(Index(0)));
    assert!(matches!(dir.open_log(options(3)), Err(OpenError::NotMember { .. })));
}

#[test]
fn a_removed_one_opens_and_has_no_log_to_write() {
    let (_temp, dir) = opened("v1-removed");
    let mut dir = dir.unwrap();
    let incarnation = dir.identity().incarnation();
    assert_eq!(*dir.identity(), NodeState::Removed(identity(incarnation), Index(3)));
    assert_eq!(dir.shown().unwrap().1, Shown::At(Index(2)));
    assert!(matches!(dir.open_log(options(3)), Err(OpenError::NotMember { .. })));
    let found = inspect(dir.disk(), &mut |_| {}).unwrap();
    assert_eq!((found.removed_at, found.last().index), (Some(Index(3)), Index(4)));
}

#[test]
fn a_torn_one_opens_without_the_torn_entry_and_with_the_vote() {
    let (_temp, dir) = opened("v1-torn");
    let log = dir.unwrap().open_log(options(3)).unwrap();
    let recovered = &log.recovered;
    assert!(recovered.tail_ambiguous);
    assert_eq!(recovered.last_index, Index(2));
    assert_eq!(recovered.hard_state, HardState { term: Term(2), voted_for: Some(NodeId(3)) });
}

#[test]
fn one_whose_slots_were_used_again_opens() {
    let (_temp, dir) = opened("v1-recycled");
    let log = dir.unwrap().open_log(options(9)).unwrap();
    let recovered = &log.recovered;
    assert_eq!(recovered.boot.epoch, 5);
    assert_eq!(recovered.hard_state, HardState { term: Term(3), voted_for: Some(NodeId(3)) });
    assert_eq!(sizes(&log), [50, 50, 50, 6000, 6000, 6000, 60]);
    assert_eq!((recovered.commit_hint, &*recovered.peers), (Index(3), &[peer(2)][..]));
    assert!(!recovered.tail_ambiguous);
}

#[test]
fn one_that_was_compacted_opens() {
    let (_temp, dir) = opened("v1-compacted");
    let mut dir = dir.unwrap();
    let log = dir.open_log(options(9)).unwrap();
    let recovered = &log.recovered;
    assert_eq!((recovered.start, recovered.snapshot), (LogId::new(4, 2), Some(LogId::new(5, 2))));
    assert_eq!(recovered.last_index, Index(8));
    assert_eq!(sizes(&log), [6000; 4]);
    let snapshots = dir.snapshots().unwrap();
    assert_eq!(snapshots.list().unwrap(), [LogId::new(5, 2), LogId::new(4, 2)]);
    for id in snapshots.list().unwrap() {
        let snapshot = snapshots.open(id).unwrap();
        let mut contents = snapshot.contents().unwrap();
        let mut state = Vec::new();
        contents.read_to_end(&mut state).unwrap();
        assert_eq!(contents.take_own(), b"sessions and members");
        assert_eq!(state, [format!("state as of {id}").as_bytes(), &[5; 3000]].concat());
    }
}

#[test]
fn one_that_was_reset_opens() {
    let (_temp, dir) = opened("v1-installed");
    let log = dir.unwrap().open_log(options(9)).unwrap();
    let recovered = &log.recovered;
    let id = LogId::new(40, 3);
    assert_eq!((recovered.start, recovered.snapshot), (id, Some(id)));
    assert_eq!(recovered.term_runs, [(Index(40), Term(3)), (Index(41), Term(4))]);
    assert_eq!((recovered.hard_state.term, recovered.commit_hint), (Term(4), Index(40)));
    assert_eq!(sizes(&log), [70; 2]);
}

/// The same history must give the same bytes: whoever changes the format by accident learns it
/// here. Whoever means to gives it a number of its own, keeps directories of it beside these, and
/// lets these tests read the old ones as before.
#[test]
fn format_1_is_still_written() {
    let write = std::env::var_os("RAFT_LOG_WRITE_FIXTURE").is_some();
    for (kept, history) in KEPT {
        let disk = MemDisk::default();
        history(&disk);
        let dir = fixture(kept);
        if write && !dir.exists() {
            for name in disk.names() {
                fs::create_dir_all(dir.join(&name).parent().unwrap()).unwrap();
                fs::write(dir.join(&name), disk.read(&name)).unwrap();
            }
        }
        for name in disk.names() {
            let was = fs::read(dir.join(&name)).unwrap();
            assert!(disk.read(&name) == was, "{kept}/{name} is not what format 1 was");
        }
        assert_eq!(disk.names().len(), files_in(&dir), "files of {kept}");
    }
}

fn files_in(dir: &Path) -> usize {
    let count = |entry: fs::DirEntry| {
        if entry.file_type().unwrap().is_dir() { files_in(&entry.path()) } else { 1 }
    };
    fs::read_dir(dir).unwrap().map(Result::unwrap).map(count).sum()
}
