//! Full disks, large entries, spares.
#![allow(missing_docs)]

mod support;

use raft_core::Index;
use raft_log::{MakeError, OpenError, Options, Write, WriteError};
use support::model::{Model, entries, vote};
use support::{Crash, MemDisk, Random, open, open_with, read_all, small};

#[test]
fn a_full_disk_writes_nothing_and_the_same_call_works_later() {
    let disk = MemDisk::default();
    let (dir, mut log) = open(&disk, 1).unwrap();
    let mut last = 0;
    while log.writer.free_bytes() > 20_000 {
        log.writer.write(&[entries(last + 1, 1, 1, 7000)]).unwrap();
        last += 1;
    }
    disk.set_free(Some(30_000));
    let big = [vote(2, Some(1)), entries(last + 1, 20, 2, 7000)];
    for _ in 0..3 {
        let before = (disk.read("wal/00.seg"), disk.names());
        let error = log.writer.write(&big).unwrap_err();
        assert!(matches!(error, WriteError::NoSpace { bytes: 65536, .. }), "{error}");
        assert_eq!(before, (disk.read("wal/00.seg"), disk.names()), "something was written");
    }
    assert!(matches!(log.spares.make(65536), Err(MakeError::NoSpace { .. })));
    // What still fits is still written: a vote always must be.
    log.writer.write(&[vote(2, Some(1))]).unwrap();
    disk.set_free(None);
    log.writer.write(&big).unwrap();
    drop((dir, log));
    let disk = disk.crash(Crash::PowerNothing, &mut Random(1));
    let (_dir, log) = open(&disk, 2).unwrap();
    assert_eq!(log.recovered.last_index, Index(last + 20));
    assert_eq!(read_all(&log, Index(last + 20)).len() as u64, last + 20);
}

#[test]
fn a_spare_taken_for_a_call_that_fails_is_a_spare_again() {
    let disk = MemDisk::default();
    let (_dir, mut log) = open(&disk, 1).unwrap();
    log.spares.make(65536).unwrap();
    let free = log.spares.free_bytes();
    disk.set_free(Some(0));
    let error = log.writer.write(&[entries(1, 40, 1, 7000)]).unwrap_err();
    assert!(matches!(error, WriteError::NoSpace { .. }), "{error}");
    assert_eq!(log.spares.free_bytes(), free);
    assert_eq!(log.spares.needed(), None);
}

#[test]
fn a_start_on_a_full_disk_names_what_it_needs_and_can_be_repeated() {
    let disk = MemDisk::default();
    let (dir, mut log) = open(&disk, 1).unwrap();
    log.writer.write(&[entries(1, 1, 1, 100)]).unwrap();
    drop((dir, log));
    let disk = disk.crash(Crash::PowerNothing, &mut Random(1));
    disk.set_free(Some(5000));
    for _ in 0..2 {
        let error = open(&disk, 2).unwrap_err();
        let OpenError::NoSpace { path, bytes } = &error else { panic!("{error}") };
        assert_eq!((path.as_path(), *bytes), (std::path::Path::new("/disk/wal/01.seg"), 65536));
    }
    disk.set_free(None);
    assert_eq!(open(&disk, 3).unwrap().1.recovered.last_index, Index(1));
}

#[test]
fn a_start_with_a_spare_needs_no_space() {
    let disk = MemDisk::default();
    let (dir, mut log) = open(&disk, 1).unwrap();
    log.writer.write(&[entries(1, 1, 1, 100)]).unwrap();
    log.spares.make(65536).unwrap();
    drop((dir, log));
    disk.set_free(Some(0));
    for start in 2..4 {
        let (_dir, log) = open(&disk, start).unwrap();
        assert_eq!(log.recovered.last_index, Index(1));
        assert_eq!(log.recovered.boot.epoch, start);
        assert!(log.recovered.notes[0].contains("not counted"), "{:?}", log.recovered.notes);
    }
}

#[test]
fn a_large_entry_has_a_slot_that_holds_it() {
    let disk = MemDisk::default();
    let (dir, mut log) = open(&disk, 1).unwrap();
    let size = 300_000;
    assert!(!log.spares.fits(size));
    let bytes = log.spares.slot_bytes_for(size);
    assert_eq!(bytes, 512 << 10);
    log.spares.make(bytes).unwrap();
    assert!(log.spares.fits(size));
    let syncs = log.writer.counters().syncs;
    let writes = [entries(1, 1, 1, 10), entries(2, 1, 1, size), entries(3, 1, 1, 10)];
    log.writer.write(&writes).unwrap();
    // The old slot, two copies of the new header, the new slot.
    assert_eq!(log.writer.counters().syncs - syncs, 4);
    // Without a spare the writer makes one itself.
    log.writer.write(&[entries(4, 1, 1, 3_000_000)]).unwrap();
    assert_eq!(read_all(&log, Index(4)).len(), 4);
    drop((dir, log));
    let (_dir, log) = open(&disk, 2).unwrap();
    assert_eq!(log.recovered.last_index, Index(4));
    assert_eq!(read_all(&log, Index(4))[3].payload.len(), 3_000_000);
}

#[test]
fn slots_double_up_to_their_largest() {
    let disk = MemDisk::default();
    let options = Options { slot_bytes_max: 256 << 10, ..small(1) };
    let (_dir, mut log) = open_with(&disk, options).unwrap();
    for index in 1..=200 {
        log.writer.write(&[entries(index, 1, 1, 7000)]).unwrap();
    }
    let sizes: Vec<usize> =
        support::format::slots(&disk).iter().map(|name| disk.read(name).len() >> 10).collect();
    assert!(sizes.starts_with(&[64, 128, 256, 256]), "{sizes:?}");
    assert_eq!(log.spares.needed(), Some(256 << 10));
}

#[test]
fn a_group_commit_is_one_write_and_one_sync() {
    let disk = MemDisk::default();
    let (_dir, mut log) = open(&disk, 1).unwrap();
    let before = log.writer.counters();
    let writes: Vec<Write> = (0..20).map(|at| entries(at * 3 + 1, 3, 1, 50)).collect();
    log.writer.write(&writes).unwrap();
    let after = log.writer.counters();
    assert_eq!((after.writes - before.writes, after.syncs - before.syncs), (1, 1));
    assert_eq!(after.bytes - before.bytes, 8192, "small writes share blocks");
    log.writer.attest().unwrap();
    log.writer.attest().unwrap();
    assert_eq!(log.writer.counters().syncs - after.syncs, 1, "attested once");
    log.writer.write(&[]).unwrap();
    assert_eq!(log.writer.counters().syncs - after.syncs, 1, "nothing to write");
}

#[test]
fn a_large_commit_is_cut_at_the_end_of_slots() {
    let disk = MemDisk::default();
    let mut random = Random(9);
    let (dir, mut log) = open(&disk, 1).unwrap();
    let mut model = Model::default();
    let writes: Vec<Write> = (0..60).map(|_| model.random_write(&mut random, 20_000)).collect();
    log.writer.write(&writes).unwrap();
    model.check_read(&log);
    assert!(support::format::slots(&disk).len() > 3);
    drop((dir, log));
    let (_dir, log) = open(&disk, 2).unwrap();
    model.check_recovered(&log.recovered);
    model.check_read(&log);
}

#[test]
fn the_same_seed_writes_the_same_bytes() {
    let write = || {
        let disk = MemDisk::default();
        let (_dir, mut log) = open(&disk, 1).unwrap();
        log.writer.write(&[vote(1, Some(1)), entries(1, 30, 1, 3000)]).unwrap();
        disk.names().iter().map(|name| disk.read(name)).collect::<Vec<_>>()
    };
    assert_eq!(write(), write());
}

#[test]
fn readers_read_while_the_writer_writes_and_the_helper_makes_slots() {
    let disk = MemDisk::default();
    let (_dir, mut log) = open(&disk, 1).unwrap();
    let last = std::sync::atomic::AtomicU64::new(0);
    let order = std::sync::atomic::Ordering::SeqCst;
    std::thread::scope(|scope| {
        let (reader, spares) = (log.reader.clone(), log.spares.clone());
        let last = &last;
        scope.spawn(move || {
            let mut next = 1;
            while next <= 300 {
                if last.load(order) < next {
                    std::thread::yield_now();
                    continue;
                }
                let range = reader.read(Index(next), Index(300), 5000).unwrap();
                for entry in range.entries {
                    assert_eq!(entry.index, Index(next));
                    assert_eq!(u64::from(entry.payload[0]), next % 251);
                    next += 1;
                }
            }
        });
        scope.spawn(move || {
            while last.load(order) < 300 {
                match spares.needed() {
                    Some(bytes) => spares.make(bytes).unwrap(),
                    None => std::thread::yield_now(),
                }
            }
        });
        for index in 1..=300 {
            log.writer.write(&[entries(index, 1, 1, 900)]).unwrap();
            last.store(index, order);
        }
    });
}
