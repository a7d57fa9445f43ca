//! The directory on a real file system: whose it is, the lock, the shown mark, the modes.
#![allow(missing_docs)]

mod support;

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use raft_core::Index;
use raft_log::{
    DataDir, Disk, Holder, LogReader, MakeError, NodeState, OpenError, Options, RealDisk, Shown,
};
use support::model::entries;
use support::{MemDisk, holder, identity, open, open_with, small};

fn real(path: &Path) -> Arc<dyn Disk> {
    Arc::new(RealDisk::open(path).unwrap())
}

struct Real<'a>(&'a Path);

impl support::CloneDisk for Real<'_> {
    fn shared(&self) -> Arc<dyn Disk> {
        real(self.0)
    }
}

#[test]
fn a_new_directory_keeps_its_incarnation_and_is_private() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("a/b");
    let first = DataDir::open(real(&path), holder()).unwrap();
    let NodeState::New { incarnation } = *first.identity() else { panic!("not new") };
    drop(first);
    let again = DataDir::open(real(&path), holder()).unwrap();
    assert_eq!(*again.identity(), NodeState::New { incarnation });
    let other = DataDir::open(real(&temp.path().join("c")), holder()).unwrap();
    assert_ne!(other.identity().incarnation(), incarnation);

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for name in ["NODE", "LOCK", "SHOWN"] {
        assert_eq!(mode(&path.join(name)), 0o600, "{name}");
    }
    drop(again);
    drop(open_with(&Real(&path), small(1)).unwrap());
    assert_eq!(mode(&path.join("wal")), 0o700);
    assert_eq!(mode(&path.join("wal/00.seg")), 0o600);
}

#[test]
fn a_real_log_comes_back() {
    let temp = tempfile::tempdir().unwrap();
    for start in 0..4_u64 {
        let (_dir, mut log) = open_with(&Real(temp.path()), small(start)).unwrap();
        assert_eq!(log.recovered.last_index, Index(start * 8));
        log.spares.make(log.spares.needed().unwrap()).unwrap();
        for index in start * 8..start * 8 + 8 {
            log.writer.write(&[entries(index + 1, 1, 1, 7000)]).unwrap();
        }
        assert_eq!(support::read_all(&log, Index(start * 8 + 8)).len() as u64, start * 8 + 8);
        assert!(log.writer.counters().syncs >= 8);
    }
}

fn one_mib() -> Options {
    Options { slot_bytes_start: 1 << 20, slot_bytes_max: 1 << 20, spares: 1, seed: Some(1) }
}

#[test]
fn a_slot_is_made_at_leisure_until_the_log_needs_it() {
    let temp = tempfile::tempdir().unwrap();
    let (_dir, mut log) = open_with(&Real(temp.path()), one_mib()).unwrap();
    let (spares, mut pauses) = (log.spares.clone(), 0);
    let mut pause = || {
        pauses += 1;
        true
    };
    spares.make_at_leisure(1 << 20, &mut pause).unwrap();
    assert_eq!((pauses, spares.needed()), (7, None), "8 steps of 128 KiB");

    let (free, mut last, mut pauses) = (spares.free_bytes(), 0, 0);
    let mut pause = || {
        while spares.free_bytes() > free / 2 {
            last += 1;
            log.writer.write(&[entries(last, 1, 1, 7000)]).unwrap();
        }
        pauses += 1;
        true
    };
    spares.make_at_leisure(1 << 20, &mut pause).unwrap();
    assert_eq!(pauses, 1, "half of what was free is used up: no time for pauses");
}

#[test]
fn a_slot_that_is_given_up_leaves_nothing_behind() {
    let temp = tempfile::tempdir().unwrap();
    let (_dir, log) = open_with(&Real(temp.path()), one_mib()).unwrap();
    let disk = real(temp.path());
    let names = disk.list("wal").unwrap();
    let error = log.spares.make_at_leisure(1 << 20, &mut || false).unwrap_err();
    assert!(matches!(error, MakeError::Io { .. }), "{error}");
    assert_eq!((disk.list("wal").unwrap(), log.spares.needed()), (names, Some(1 << 20)));
    log.spares.make(1 << 20).unwrap();
    assert_eq!(log.spares.needed(), None);
}

#[test]
fn every_state_of_the_directory_is_kept() {
    let disk = MemDisk::default();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut dir = DataDir::open(Arc::clone(&shared), holder()).unwrap();
    assert!(matches!(dir.open_log(small(1)), Err(OpenError::NotMember { .. })));
    let member = identity(dir.identity().incarnation());
    for state in [
        NodeState::Member(member.clone()),
        NodeState::Removed(member.clone(), Index(40)),
        NodeState::Member(member),
    ] {
        dir.set_identity(state.clone()).unwrap();
        drop(dir);
        dir = DataDir::open(Arc::clone(&shared), holder()).unwrap();
        assert_eq!(*dir.identity(), state);
    }
    assert!(dir.set_identity(NodeState::New { incarnation: 1 }).is_err());
    let text = String::from_utf8(disk.read("NODE")).unwrap();
    assert!(text.starts_with("raft data directory\nformat 1\nstate member\n"), "{text}");
}

#[test]
fn the_second_process_is_told_who_is_there() {
    let temp = tempfile::tempdir().unwrap();
    let holder = Holder { pid: 4711, address: ":9991".into() };
    let first = DataDir::open(real(temp.path()), holder.clone()).unwrap();
    let error = DataDir::open(real(temp.path()), holder.clone()).unwrap_err();
    let OpenError::Locked { pid, address, .. } = &error else { panic!("{error}") };
    assert_eq!((*pid, address.as_deref()), (Some(4711), Some(":9991")));
    assert!(error.to_string().contains("process 4711, which serves :9991"), "{error}");
    // What stands in the file is another program's word.
    for (address, told) in [("a\u{1b}[2Jb", None), ("", None), ("a b", None), ("ü:1", Some("ü:1"))]
    {
        fs::write(temp.path().join("LOCK"), format!("pid 4711\naddress {address}\n")).unwrap();
        let error = DataDir::open(real(temp.path()), holder.clone()).unwrap_err();
        let OpenError::Locked { pid, address, .. } = &error else { panic!("{error}") };
        assert_eq!((*pid, address.as_deref()), (Some(4711), told));
    }
    drop(first);
    drop(DataDir::open(real(temp.path()), holder).unwrap());
}

#[test]
fn no_name_of_a_file_commands_the_terminal() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("a\u{1b}[2Jb"), "mine").unwrap();
    let error = DataDir::open(real(temp.path()), holder()).unwrap_err();
    assert!(error.to_string().contains("not ours (a\\u{1b}[2Jb)"), "{error}");
}

#[test]
fn foreign_files_are_left_alone() {
    for name in ["conf", "log/00001.log", "wal/notes.txt", "snap/1-1", "wal"] {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "mine").unwrap();
        let error = DataDir::open(real(temp.path()), holder()).unwrap_err();
        assert!(matches!(error, OpenError::ForeignFiles { .. }), "{name}: {error}");
        assert!(error.to_string().contains("--data-dir"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1, "{name}: something was added");
    }
}

#[test]
fn leftovers_of_a_first_start_count_as_empty() {
    let temp = tempfile::tempdir().unwrap();
    for name in ["wal", "snap", "lost+found"] {
        DirBuilder::new().mode(0o700).create(temp.path().join(name)).unwrap();
    }
    for name in ["LOCK", "SHOWN", "SHOWN.tmp", "NODE.tmp", "wal/01.tmp"] {
        fs::write(temp.path().join(name), "half of somethi").unwrap();
        chmod(&temp.path().join(name), 0o600);
    }
    fs::write(temp.path().join("wal/00.seg"), vec![0; 64 << 10]).unwrap();
    chmod(&temp.path().join("wal/00.seg"), 0o600);
    let (dir, log) = open_with(&Real(temp.path()), small(1)).unwrap();
    assert_eq!(log.recovered.boot.epoch, 1);
    assert_eq!(dir.shown().unwrap().1, Shown::At(Index(0)));
    assert!(!temp.path().join("wal/01.seg").exists(), "the spare that was there is used");
}

/// Every name that a server opens.
const NAMES: [&str; 5] = ["NODE", "LOCK", "SHOWN", "wal", "wal/00.seg"];

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Opens, and looks at the mark too.
fn use_all(path: &Path) -> Result<(), String> {
    let opened = open_with(&Real(path), small(2));
    let (dir, _log) = opened.map_err(|error| error.to_string())?;
    dir.shown().map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_symbolic_link_is_not_followed() {
    for name in NAMES {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("data");
        drop(open_with(&Real(&path), small(1)).unwrap());
        let elsewhere = temp.path().join("elsewhere");
        fs::rename(path.join(name), &elsewhere).unwrap();
        symlink(&elsewhere, path.join(name)).unwrap();
        let error = use_all(&path).expect_err(name);
        assert!(error.contains("symbolic link"), "{name}: {error}");
        assert!(elsewhere.exists(), "{name}");
    }
    // One that waits where a file is to be made is replaced, not written through.
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("data");
    drop(open_with(&Real(&path), small(1)).unwrap());
    let elsewhere = temp.path().join("elsewhere");
    fs::write(&elsewhere, "precious").unwrap();
    for name in ["NODE.tmp", "SHOWN.tmp", "wal/01.tmp", "wal/02.tmp"] {
        symlink(&elsewhere, path.join(name)).unwrap();
    }
    use_all(&path).unwrap();
    assert_eq!(fs::read(&elsewhere).unwrap(), b"precious");
}

#[test]
fn what_others_may_use_is_refused() {
    for name in ["."].into_iter().chain(NAMES) {
        for loose in [0o040, 0o020, 0o004, 0o002] {
            let temp = tempfile::tempdir().unwrap();
            let path = temp.path().join("data");
            drop(open_with(&Real(&path), small(1)).unwrap());
            let loosened = path.join(name);
            let mode = fs::metadata(&loosened).unwrap().permissions().mode() & 0o777;
            chmod(&loosened, mode | loose);
            let error = use_all(&path).expect_err(name);
            let says = |text: &str| assert!(error.contains(text), "{name} {loose:o}: {error}");
            says(&format!("mode {:04o}", mode | loose));
            says("chmod go= ");
            // What the error says helps.
            chmod(&loosened, mode);
            use_all(&path).unwrap();
        }
    }
}

#[test]
fn an_empty_directory_becomes_private() {
    let temp = tempfile::tempdir().unwrap();
    chmod(temp.path(), 0o777);
    drop(open_with(&Real(temp.path()), small(1)).unwrap());
    assert_eq!(fs::metadata(temp.path()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_damaged_or_newer_node_file_is_refused() {
    let disk = MemDisk::default();
    drop(open(&disk, 1).unwrap());
    let good = disk.read("NODE");
    for at in [0, 30, good.len() - 3] {
        disk.damage("NODE", |text| text[at] ^= 1);
        assert!(matches!(open(&disk, 2), Err(OpenError::Damaged { .. })));
        disk.put("NODE", good.clone());
    }
    disk.put("NODE", Vec::new());
    assert!(matches!(open(&disk, 2), Err(OpenError::Damaged { .. })));
    let body = "raft data directory\nformat 7\n";
    let newer = format!("{body}checksum {:08x}\n", crc32c::crc32c(body.as_bytes()));
    disk.put("NODE", newer.into_bytes());
    let error = open(&disk, 2).unwrap_err();
    assert!(matches!(&error, OpenError::TooNew { version, .. } if version == "7"), "{error}");
}

#[test]
fn the_shown_mark_rises_and_survives() {
    let disk = MemDisk::default();
    let (dir, _log) = open(&disk, 1).unwrap();
    let (mut mark, shown) = dir.shown().unwrap();
    assert_eq!(shown, Shown::At(Index(0)));
    for index in [1, 2, 3, 2, 1] {
        mark.advance(Index(index)).unwrap();
    }
    assert_eq!(mark.index(), Index(3));
    let (mut mark, shown) = dir.shown().unwrap();
    assert_eq!(shown, Shown::At(Index(3)));
    mark.advance(Index(4)).unwrap();
    assert_eq!(dir.shown().unwrap().1, Shown::At(Index(4)));

    // One damaged copy costs at most the last step; two are told.
    for copy in [0, 4096] {
        let good = disk.read("SHOWN");
        disk.damage("SHOWN", |bytes| bytes[copy + 35] ^= 1);
        let Shown::At(index) = dir.shown().unwrap().1 else { panic!("one copy is enough") };
        assert!([Index(3), Index(4)].contains(&index));
        disk.put("SHOWN", good);
    }
    disk.damage("SHOWN", |bytes| bytes.fill(7));
    let (mut mark, shown) = dir.shown().unwrap();
    assert_eq!(shown, Shown::Lost("SHOWN is damaged".into()));
    mark.advance(Index(9)).unwrap();
    assert_eq!(dir.shown().unwrap().1, Shown::At(Index(9)));
    disk.take_away("SHOWN");
    assert_eq!(dir.shown().unwrap().1, Shown::Lost("SHOWN is missing".into()));
}

#[test]
fn the_shown_mark_of_another_cluster_does_not_count() {
    let disk = MemDisk::default();
    let (mut dir, _log) = open(&disk, 1).unwrap();
    dir.shown().unwrap().0.advance(Index(5)).unwrap();
    let mut other = identity(dir.identity().incarnation());
    other.cluster += 1;
    dir.set_identity(NodeState::Member(other)).unwrap();
    let (mark, shown) = dir.shown().unwrap();
    assert_eq!(shown, Shown::Lost("SHOWN is of another cluster".into()));
    assert_eq!(mark.index(), Index(0));
}

#[test]
fn a_damaged_block_is_never_read_out() {
    let disk = MemDisk::default();
    let (_dir, mut log) = open(&disk, 1).unwrap();
    log.writer.write(&[entries(1, 3, 1, 100)]).unwrap();
    let reader: LogReader = log.reader.clone();
    assert_eq!(reader.read(Index(2), Index(9), 1).unwrap().entries.len(), 1);
    assert!(reader.read(Index(4), Index(9), 1).is_err());
    for byte in [0, 40, 72, 128, 200] {
        let damaged = disk.fork();
        let (_dir, log) = open(&damaged, 2).unwrap();
        let name = support::format::slots(&damaged).pop().unwrap();
        let blocks = support::format::blocks(&damaged.read(&name));
        let at = blocks.iter().find(|block| block.flags == 1).unwrap().offset;
        damaged.damage(&name, |slot| slot[at + byte] ^= 4);
        assert!(log.reader.read(Index(1), Index(3), 1000).is_err(), "byte {byte}");
    }
}
