//! A data directory of format 1 as it was written when the format was fixed: it must open for
//! ever. `RAFT_LOG_WRITE_FIXTURE=1` writes it anew, for a new format only.
#![allow(missing_docs)]

mod support;

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_core::{HardState, Index, NodeId, Term};
use raft_log::{
    DataDir, Kind, Log, NodeState, Options, PeerBoot, RealDisk, Shown, Write, encode_entry,
};
use support::model::{entries, vote};
use support::{MemDisk, holder, identity};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

fn options(seed: u64) -> Options {
    Options { slot_bytes_start: 32 << 10, slot_bytes_max: 32 << 10, spares: 0, seed: Some(seed) }
}

fn peer(id: u64) -> PeerBoot {
    PeerBoot { id: NodeId(id), incarnation: 7 << 100, epoch: 3, nonce: 8 }
}

/// Two starts, three slots, every kind of block.
fn history(disk: &MemDisk) {
    let mut dir = DataDir::open_seeded(Arc::new(disk.clone()), holder(), Some(1)).unwrap();
    let incarnation = dir.identity().incarnation();
    dir.set_identity(NodeState::Member(identity(incarnation))).unwrap();
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

#[test]
fn format_1_opens() {
    if std::env::var_os("RAFT_LOG_WRITE_FIXTURE").is_some() {
        let disk = MemDisk::default();
        history(&disk);
        fs::create_dir_all(fixture().join("wal")).unwrap();
        for name in disk.names() {
            fs::write(fixture().join(&name), disk.read(&name)).unwrap();
        }
    }
    let temp = tempfile::tempdir().unwrap();
    fs::set_permissions(temp.path(), Permissions::from_mode(0o700)).unwrap();
    DirBuilder::new().mode(0o700).create(temp.path().join("wal")).unwrap();
    for from in ["", "wal"] {
        for file in fs::read_dir(fixture().join(from)).unwrap().map(Result::unwrap) {
            if file.file_type().unwrap().is_file() {
                let name = temp.path().join(from).join(file.file_name());
                fs::copy(file.path(), &name).unwrap();
                // A checkout does not keep modes.
                fs::set_permissions(name, Permissions::from_mode(0o600)).unwrap();
            }
        }
    }
    let disk = Arc::new(RealDisk::open(temp.path()).unwrap());
    let mut dir = DataDir::open(disk, holder()).unwrap();
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
    let payloads: Vec<usize> =
        support::read_all(&log, Index(10)).iter().map(|entry| entry.payload.len()).collect();
    assert_eq!(payloads, [8, 1000, 1000, 1000, 1000, 500, 500, 800, 800, 800]);
}

/// The same history must give the same bytes: whoever changes the format by accident learns it
/// here.
#[test]
fn format_1_is_still_written() {
    let disk = MemDisk::default();
    history(&disk);
    for name in disk.names() {
        let kept = fs::read(fixture().join(&name)).unwrap();
        assert!(disk.read(&name) == kept, "{name} is not what format 1 was");
    }
}
