//! A log that does not begin with the first entry: compacted, or reset to a snapshot.
#![allow(missing_docs)]

mod support;

use raft_core::{Index, LogId};
use raft_log::{DataDir, Log, OpenError, ReadError, RecoveredLog, SnapshotPart, Write, WriteError};
use support::model::{entries, vote};
use support::{Crash, MemDisk, Random, format, open, read_all};

fn snapshot(dir: &DataDir, index: u64, term: u64) -> LogId {
    let id = LogId::new(index, term);
    let mut writer = dir.snapshots().unwrap().write(id, b"own").unwrap();
    writer.part(SnapshotPart::Changing, |to| to.write_all(&[7; 100])).unwrap();
    writer.part(SnapshotPart::Sealed(1), |to| to.write_all(&[8; 100])).unwrap();
    writer.finish().unwrap();
    id
}

/// Twenty entries, three or four in each slot, all committed.
fn filled(disk: &MemDisk) -> (DataDir, Log) {
    let (dir, mut log) = open(disk, 1).unwrap();
    log.writer.write(&[vote(1, Some(1))]).unwrap();
    for index in 1..=20 {
        let mut write = entries(index, 1, 1, 14_000);
        write.commit_hint = Index(index);
        log.writer.write(&[write]).unwrap();
    }
    (dir, log)
}

fn after_power_cut(disk: &MemDisk, opened: (DataDir, Log)) -> MemDisk {
    drop(opened);
    disk.crash(Crash::PowerNothing, &mut Random(1))
}

fn recovered(disk: &MemDisk) -> RecoveredLog {
    let (_dir, log) = open(&disk.fork(), 9).unwrap();
    let all = read_all(&log, log.recovered.last_index);
    assert_eq!(all.len() as u64, log.recovered.last_index.0 - log.recovered.start.index.0);
    log.recovered
}

fn damage(disk: &MemDisk) -> String {
    match open(&disk.fork(), 9).map(drop) {
        Err(error @ OpenError::Damaged { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn slots_below_a_snapshot_are_spares_and_are_used_again() {
    let disk = MemDisk::default();
    let (dir, mut log) = filled(&disk);
    let id = snapshot(&dir, 15, 1);
    let (slots, free) = (format::slots(&disk).len(), log.writer.free_bytes());
    let before = disk.operations();
    let start = log.writer.compact(id, 0);
    assert_eq!(disk.operations(), before, "compaction costs no write");
    assert!((10..=15).contains(&start.index.0), "{start}");
    assert!(log.writer.free_bytes() > free + 3 * 40_000, "what was given up can be written to");
    assert_eq!(log.writer.compact(id, 0), start);
    let missing = log.reader.read(start.index, Index(20), 1).unwrap_err();
    assert!(matches!(missing, ReadError::Missing { .. }), "{missing}");
    assert!(log.reader.read(start.index.next(), Index(20), 1).is_ok());
    log.writer.write(&[entries(21, 12, 1, 14_000)]).unwrap();
    assert_eq!(format::slots(&disk).len(), slots, "no slot was made");
    let disk = after_power_cut(&disk, (dir, log));
    let found = recovered(&disk);
    assert_eq!((found.start, found.snapshot), (start, Some(id)));
    assert_eq!(
        (found.last_index, &*found.term_runs),
        (Index(32), &[(start.index, start.term)][..])
    );
    assert_eq!(found.commit_hint, Index(20));
}

#[test]
fn a_tail_is_kept_for_members_that_lag() {
    let disk = MemDisk::default();
    let (dir, mut log) = filled(&disk);
    let id = snapshot(&dir, 20, 1);
    let more = log.writer.compact(id, 3 * 65_536).index;
    let less = log.writer.compact(id, 65_536).index;
    let none = log.writer.compact(id, 0).index;
    assert!(Index(0) < more && more < less && less < none, "{more} {less} {none}");
}

/// What truncations replaced does not decide where a log can begin.
#[test]
fn a_slot_that_truncates_what_is_older_does_not_become_the_first() {
    let disk = MemDisk::default();
    let (dir, mut log) = open(&disk, 1).unwrap();
    log.writer.write(&[vote(1, Some(1)), entries(1, 2, 1, 14_000)]).unwrap();
    log.writer.write(&[entries(3, 4, 1, 14_000)]).unwrap();
    let mut cut = entries(2, 1, 2, 100);
    (cut.truncate_from, cut.hard_state) = (Some(Index(2)), vote(2, None).hard_state);
    log.writer.write(&[cut, entries(3, 9, 2, 14_000)]).unwrap();
    for through in 1..=11 {
        let term = if through == 1 { 1 } else { 2 };
        let id = snapshot(&dir, through, term);
        let start = log.writer.compact(id, 0);
        assert!(start.index <= id.index && start.index != Index(1), "{start}");
        log.writer.write(&[vote(2 + through, None)]).unwrap();
        let found = recovered(&disk.crash(Crash::PowerNothing, &mut Random(1)));
        assert!(found.start.index <= start.index);
        assert_eq!(found.last_index, Index(11));
    }
    let start = log.writer.compact(LogId::new(11, 2), 0);
    assert!(start.index > Index(3), "{start}");
}

/// A full disk without a spare: what compaction gives up is enough to go on.
#[test]
fn a_full_disk_is_written_to_again_once_the_log_is_compacted() {
    let disk = MemDisk::default();
    let (dir, mut log) = filled(&disk);
    disk.set_free(Some(2000));
    let more = [entries(21, 9, 1, 14_000)];
    assert!(matches!(log.writer.write(&more), Err(WriteError::NoSpace { .. })));
    let id = snapshot(&dir, 20, 1);
    let start = log.writer.compact(id, 0);
    log.writer.write(&more).unwrap();
    let disk = after_power_cut(&disk, (dir, log));
    disk.set_free(None);
    let found = recovered(&disk);
    assert_eq!((found.start, found.last_index), (start, Index(29)));
}

#[test]
fn a_log_is_reset_to_a_snapshot_and_goes_on_after_it() {
    let disk = MemDisk::default();
    let (dir, mut log) = filled(&disk);
    let id = snapshot(&dir, 100, 3);
    let before = recovered(&disk.crash(Crash::PowerNothing, &mut Random(1)));
    assert_eq!((before.start, before.snapshot), (LogId::default(), None));
    assert_eq!(before.last_index, Index(20));
    assert!(before.notes.iter().any(|note| note.contains("snap/100-3: not used")), "{before:?}");

    let mut write = entries(101, 2, 4, 50);
    write.reset = Some(id);
    let synced = log.writer.write(&[vote(4, Some(2)), write]).unwrap();
    assert_eq!(synced.last_index, Index(102));
    assert!(matches!(log.reader.read(Index(20), Index(99), 1), Err(ReadError::Missing { .. })));
    assert_eq!(log.reader.read(Index(101), Index(200), 9999).unwrap().entries.len(), 2);
    let disk = after_power_cut(&disk, (dir, log));
    let after = recovered(&disk);
    assert_eq!((after.start, after.snapshot, after.last_index), (id, Some(id), Index(102)));
    assert_eq!(Some(after.hard_state), vote(4, Some(2)).hard_state);
    assert_eq!(after.commit_hint, Index(100));
    // Start after start, the log still begins there.
    let mut disk = disk;
    for seed in 10..14 {
        let (dir, mut log) = open(&disk, seed).unwrap();
        assert_eq!(log.recovered.start, id);
        log.writer.write(&[entries(93 + seed, 1, 4, 14_000)]).unwrap();
        disk = after_power_cut(&disk, (dir, log));
    }
}

#[test]
fn an_empty_log_is_reset() {
    let disk = MemDisk::default();
    let (dir, mut log) = open(&disk, 1).unwrap();
    let id = snapshot(&dir, 7, 3);
    let write = Write { reset: Some(id), first: Index(8), ..Write::default() };
    log.writer.write(&[write]).unwrap();
    let found = recovered(&after_power_cut(&disk, (dir, log)));
    assert_eq!((found.start, found.last_index, found.snapshot), (id, Index(7), Some(id)));
    assert_eq!(found.term_runs, [(Index(7), id.term)]);
}

#[test]
fn a_gap_between_snapshot_and_log_is_damage() {
    let disk = MemDisk::default();
    let (dir, mut log) = filled(&disk);
    let (older, id) = (snapshot(&dir, 14, 1), snapshot(&dir, 18, 1));
    let start = log.writer.compact(older, 0);
    log.writer.write(&[entries(21, 12, 1, 14_000)]).unwrap();
    let disk = after_power_cut(&disk, (dir, log));
    assert_eq!(recovered(&disk).snapshot, Some(id));

    // The newest is damaged: the log still reaches the older one.
    let whole = disk.read("snap/18-1");
    disk.damage("snap/18-1", |bytes| bytes.truncate(300));
    let found = recovered(&disk);
    assert_eq!(found.snapshot, Some(older));
    assert!(found.notes.iter().any(|note| note.contains("snap/18-1: damaged")), "{found:?}");

    disk.take_away("snap/14-1");
    let what = damage(&disk);
    let gap = format!("/disk/snap: damaged at byte 0: the log begins after entry {start}");
    assert!(what.starts_with(&gap), "{what}");
    assert!(what.contains("snap/18-1: damaged at byte"), "{what}");
    disk.take_away("snap/18-1");
    assert!(damage(&disk).contains("no snapshot goes so far: there is none"));
    disk.put("snap/18-1", whole);
    assert_eq!(recovered(&disk).snapshot, Some(id));

    // Without the part that both share, neither is one.
    disk.take_away("snap/0000000000000001.part");
    assert!(damage(&disk).contains("a part of a snapshot is missing"));
}

#[test]
fn the_first_slot_of_a_compacted_log_is_missed() {
    let disk = MemDisk::default();
    let (dir, mut log) = filled(&disk);
    let id = snapshot(&dir, 10, 1);
    log.writer.compact(id, 0);
    log.writer.write(&[entries(21, 8, 1, 14_000)]).unwrap();
    let start = log.writer.compact(id, 0);
    let disk = after_power_cut(&disk, (dir, log));
    for name in format::slots(&disk) {
        let used = recovered(&disk);
        assert_eq!(used.start, start);
        let lost = disk.fork();
        lost.take_away(&name);
        let spare = match open(&lost, 9) {
            Ok((_, log)) => log.recovered.start == start && log.recovered.last_index == Index(28),
            Err(error) => {
                assert!(error.to_string().contains("missing"), "{error}");
                true
            }
        };
        assert!(spare, "{name} is lost, and entries with it");
    }
}

/// The header of a new slot, which gives up older ones, is in the page cache only: until another
/// header is durable nothing is written to those.
#[test]
fn a_compaction_that_only_the_page_cache_held_frees_no_slot() {
    for lost_syncs in 0..6 {
        let disk = MemDisk::default();
        let (dir, mut log) = filled(&disk);
        let id = snapshot(&dir, 20, 1);
        log.writer.compact(id, 0);
        disk.fail_sync_after(lost_syncs);
        let failed = log.writer.write(&[entries(21, 9, 1, 14_000)]).is_err();
        drop((dir, log));
        let disk = disk.crash(Crash::Process, &mut Random(1));
        for cut in 0..40 {
            let disk = disk.fork();
            disk.cut_after(cut);
            drop(open(&disk, 5));
            for crash in [Crash::PowerNothing, Crash::PowerTorn(512), Crash::PowerTorn(4096)] {
                let found = recovered(&disk.crash(crash, &mut Random(cut)));
                assert!(found.last_index >= Index(20), "cut at {cut}: {found:?}");
            }
        }
        assert!(failed || lost_syncs > 3, "no sync failed");
    }
}
