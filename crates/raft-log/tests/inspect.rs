//! Looking at a directory: the same verdict as a start, nothing changed, also while it is
//! written.
#![allow(missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use raft_core::{HardState, Index, LogId, NodeId, Term};
use raft_log::{
    DataDir, Disk, InspectError, Inspection, NodeState, OpenError, Options, RealDisk, Shown,
    inspect,
};
use support::format::{self, flip};
use support::model::{Model, entries, vote};
use support::{CloneDisk, Crash, MemDisk, Random, holder, identity, open, small};

fn look(disk: Arc<dyn Disk>) -> Result<Inspection, InspectError> {
    inspect(&disk, &mut |_| {})
}

fn all_entries(inspection: &Inspection) -> Vec<(u64, bool, usize)> {
    let mut all = Vec::new();
    for slot in &inspection.slots {
        let mut contents = inspection.contents(slot).unwrap();
        for block in &slot.blocks {
            let found = contents.entries(block).unwrap();
            all.extend(found.iter().map(|e| (e.entry.index.0, e.void, e.entry.payload.len())));
        }
    }
    all
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
    found
}

#[test]
fn the_directory_of_format_1() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    let before = files(&dir);
    let inspection = look(Arc::new(RealDisk::open_read_only(&dir).unwrap())).unwrap();
    assert_eq!((inspection.identity.id, &*inspection.identity.address), (NodeId(1), ":9990"));
    assert_eq!(inspection.starts, 2);
    assert_eq!(inspection.shown, Shown::At(Index(4)));
    assert_eq!(inspection.last(), LogId::new(10, 2));
    assert_eq!(inspection.log.commit_hint, Index(5));
    assert_eq!(inspection.log.hard_state, HardState { term: Term(2), voted_for: None });
    assert_eq!(inspection.log.peers.len(), 2);
    assert!(inspection.cut.is_none() && inspection.damages.is_empty());
    let void = |(index, void, size)| (void, (index, size));
    let (void, counting): (Vec<_>, Vec<_>) =
        all_entries(&inspection).into_iter().map(void).partition(|(void, _)| *void);
    assert_eq!(void, [(true, (6, 1000)), (true, (7, 1000))], "what the truncation made void");
    let sizes: Vec<_> = counting.iter().map(|(_, (_, size))| *size).collect();
    assert_eq!(sizes, [8, 1000, 1000, 1000, 1000, 500, 500, 800, 800, 800]);
    assert_eq!(files(&dir), before, "nothing was changed");
}

#[test]
fn a_disk_for_looking_changes_nothing() {
    let temp = tempfile::tempdir().unwrap();
    assert!(RealDisk::open_read_only(temp.path().join("absent")).is_err());
    assert!(!temp.path().join("absent").exists());
    fs::write(temp.path().join("NODE"), "x").unwrap();
    let disk = RealDisk::open_read_only(temp.path()).unwrap();
    assert!(disk.create("a").is_err() && disk.create_dir("a").is_err());
    assert!(disk.rename("NODE", "a").is_err() && disk.remove("NODE").is_err());
    let file = disk.open("NODE").unwrap();
    assert!(file.write_at(&[b"y"], 0).is_err() && file.try_lock().is_err());
    assert_eq!(fs::read(temp.path().join("NODE")).unwrap(), b"x");
}

#[test]
fn where_there_is_no_log() {
    let disk = MemDisk::default();
    assert!(matches!(look(disk.shared()), Err(InspectError::Absent { .. })));
    drop(DataDir::open_seeded(disk.shared(), holder(), Some(1)).unwrap());
    assert!(matches!(look(disk.shared()), Err(InspectError::New { .. })));
    drop(open(&disk, 1).unwrap());
    assert!(look(disk.shared()).is_ok());
    disk.take_away("NODE");
    let refused = look(disk.shared());
    assert!(matches!(refused, Err(InspectError::Refused(OpenError::Damaged { .. }))));
}

/// Whatever happens to a log, a look and a start say the same of it.
#[test]
fn the_verdict_is_that_of_a_start() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let (disk, mut model) = (MemDisk::default(), Model::default());
        for start in 0..3 {
            let (_dir, mut log) = open(&disk, seed * 10 + start).unwrap();
            for _ in 0..random.below(20) {
                log.writer.write(&[model.random_write(&mut random, 6000)]).unwrap();
            }
        }
        let crash = if random.chance(2) { Crash::Process } else { Crash::PowerTorn(512) };
        let disk = disk.crash(crash, &mut random);
        if !random.chance(3) {
            let names: Vec<String> =
                disk.names().into_iter().filter(|name| name.ends_with(".seg")).collect();
            let name = &names[usize::try_from(random.below(names.len() as u64)).unwrap()];
            disk.damage(name, |bytes| {
                let at = random.below(bytes.len() as u64);
                flip(bytes, usize::try_from(at).unwrap());
            });
        }
        let before = disk.fork();
        let looked = look(disk.shared());
        for name in before.names() {
            assert!(before.read(&name) == disk.read(&name), "seed {seed}: {name} changed");
        }
        match (looked, open(&disk, 99)) {
            (Ok(looked), Ok((_, log))) => {
                assert!(looked.damages.is_empty(), "seed {seed}: {:?}", looked.damages);
                let mut recovered = looked.log.clone();
                recovered.boot = log.recovered.boot;
                assert_eq!(recovered, log.recovered, "seed {seed}");
                let count = all_entries(&looked).iter().filter(|(_, void, _)| !void).count();
                assert_eq!(count as u64, recovered.last_index.0, "seed {seed}");
            }
            (Ok(looked), Err(refused)) => {
                let first = looked.damages.first().map(ToString::to_string);
                assert_eq!(first, Some(refused.to_string()), "seed {seed}");
            }
            (Err(InspectError::Refused(looked)), Err(refused)) => {
                assert_eq!(looked.to_string(), refused.to_string(), "seed {seed}");
            }
            (looked, opened) => panic!("seed {seed}: {looked:?}, {:?}", opened.map(|_| ())),
        }
    }
}

#[test]
fn behind_damage_the_look_goes_on() {
    let disk = MemDisk::default();
    let (_dir, mut log) = open(&disk, 1).unwrap();
    for index in 1..=40 {
        log.writer.write(&[vote(1, Some(1)), entries(index, 1, 1, 3000)]).unwrap();
    }
    let slots = format::slots(&disk);
    assert!(slots.len() > 4, "{slots:?}");
    for slot in [0, 2] {
        let blocks = format::blocks(&disk.read(&slots[slot]));
        let place = blocks.into_iter().find(|block| block.flags == 1).unwrap();
        disk.damage(&slots[slot], |bytes| bytes[place.offset + 8] ^= 1);
    }
    let inspection = look(disk.shared()).unwrap();
    let files: Vec<_> = inspection
        .damages
        .iter()
        .map(|damage| match damage {
            OpenError::Damaged { file, first: Some(_), .. } => file.clone(),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(files, [disk.path(&slots[0]), disk.path(&slots[2])]);
    assert_eq!(inspection.last(), LogId::new(40, 1));
    assert_eq!(all_entries(&inspection).last().map(|(index, ..)| *index), Some(40));
}

/// A directory that is written all the time is never found damaged or shorter than before.
#[test]
fn a_log_that_grows_is_not_damaged() {
    let temp = tempfile::tempdir().unwrap();
    let mut dir = DataDir::open(Arc::new(RealDisk::open(temp.path()).unwrap()), holder()).unwrap();
    let incarnation = dir.identity().incarnation();
    dir.set_identity(NodeState::Member(identity(incarnation))).unwrap();
    let mut log = dir.open_log(Options { spares: 2, ..small(1) }).unwrap();
    let writing = thread::spawn(move || {
        for index in 1..=600 {
            log.writer.write(&[entries(index, 1, 1, 3000)]).unwrap();
        }
    });
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open_read_only(temp.path()).unwrap());
    let (mut last, mut looks) = (Index(0), 0);
    loop {
        let done = writing.is_finished();
        let inspection = look(Arc::clone(&disk)).unwrap();
        assert!(inspection.damages.is_empty(), "{:?}", inspection.damages);
        assert!(inspection.last().index >= last, "{} after {last}", inspection.last());
        (last, looks) = (inspection.last().index, looks + 1);
        if done {
            break;
        }
    }
    writing.join().unwrap();
    assert_eq!(last, Index(600), "{looks} looks");
}
