//! The simulated disk itself: what a power cut may leave, and what a failed sync does, for a disk
//! that is too kind proves nothing.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use raft_core::Time;
use raft_log::{Disk, DiskFile};
use raft_sim::disk::{Blow, PAGE_BYTES, Platter, SECTOR_BYTES};

const OLD: u8 = b'o';
const NEW: u8 = b'n';
/// Stands for bytes that nobody wrote.
const GARBAGE: u8 = b'!';

/// A file of old bytes, durable in name and content.
fn file(platter: &Platter, name: &str, bytes: usize) -> (Arc<dyn Disk>, Arc<dyn DiskFile>) {
    let disk = platter.mount();
    let file = disk.create(name).unwrap();
    file.write_at(&[&vec![OLD; bytes]], 0).unwrap();
    file.sync_all().unwrap();
    disk.sync_dir(".").unwrap();
    (disk, file)
}

fn contents(file: &dyn DiskFile) -> Vec<u8> {
    let mut bytes = vec![0; file.bytes().unwrap() as usize];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    bytes
}

fn open(platter: &Platter, name: &str) -> io::Result<Vec<u8>> {
    Ok(contents(&*platter.mount().open(name)?))
}

/// What each sector holds: [`OLD`] or [`NEW`] bytes, zeros, or [`GARBAGE`].
fn sectors(bytes: &[u8]) -> Vec<u8> {
    let of = |sector: &[u8]| {
        let whole = sector.iter().all(|byte| *byte == sector[0]);
        if whole { sector[0] } else { GARBAGE }
    };
    bytes.chunks(SECTOR_BYTES).map(of).collect()
}

/// What is left of `writes` in a file of two pages, over many cuts.
fn left(writes: impl Fn(&dyn DiskFile)) -> BTreeSet<Vec<u8>> {
    let mut seen = BTreeSet::new();
    for seed in 0..3000 {
        let platter = Platter::new(seed);
        let (_disk, file) = file(&platter, "a", 2 * PAGE_BYTES);
        writes(&*file);
        platter.cut();
        seen.insert(sectors(&open(&platter, "a").unwrap()));
    }
    seen
}

#[test]
fn a_cut_leaves_any_sectors_of_what_was_not_synced() {
    let seen = left(|file| file.write_at(&[&[NEW; 3 * SECTOR_BYTES]], 0).unwrap());
    let written: BTreeSet<&[u8]> = seen.iter().map(|all| &all[..3]).collect();
    let garbage = |sectors: &[u8]| sectors.iter().filter(|held| **held == GARBAGE).count();
    let (ruined, whole): (Vec<&[u8]>, Vec<&[u8]>) =
        written.into_iter().partition(|sectors| garbage(sectors) > 0);
    assert_eq!(whole.len(), 8, "every subset of three sectors: {whole:?}");
    assert_eq!(ruined.len(), 3 * 4, "one of them garbage, and any subset of two: {ruined:?}");
    assert!(ruined.iter().all(|sectors| garbage(sectors) == 1), "no more than one: {ruined:?}");
    let old = |all: &Vec<u8>| all[3..].iter().all(|held| *held == OLD);
    assert!(seen.iter().all(old), "what was not written is old");
}

#[test]
fn a_later_write_may_survive_an_earlier_one() {
    let seen = left(|file| {
        for page in [0, 1] {
            file.write_at(&[&[NEW; PAGE_BYTES]], (page * PAGE_BYTES) as u64).unwrap();
        }
    });
    let (old, new) = ([OLD; 8], [NEW; 8]);
    let any = [[new, old], [old, new]].map(|pages| seen.contains(&pages.concat()));
    assert_eq!(any, [true, true], "whole pages, in any order");
}

#[test]
fn a_cut_leaves_any_of_several_files() {
    let mut seen = BTreeSet::new();
    for seed in 0..500 {
        let platter = Platter::new(seed);
        for name in ["a", "b"] {
            let (_disk, file) = file(&platter, name, SECTOR_BYTES);
            file.write_at(&[&[NEW; SECTOR_BYTES]], 0).unwrap();
        }
        platter.cut();
        seen.insert(["a", "b"].map(|name| open(&platter, name).unwrap() == [NEW; SECTOR_BYTES]));
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn what_was_synced_survives_a_cut_and_what_was_written_a_kill() {
    for seed in 0..100 {
        let platter = Platter::new(seed);
        let (_disk, file) = file(&platter, "a", SECTOR_BYTES);
        file.write_at(&[&[NEW; SECTOR_BYTES]], 0).unwrap();
        platter.kill();
        assert!(file.sync_data().is_err(), "that process is gone");
        assert_eq!(open(&platter, "a").unwrap(), [NEW; SECTOR_BYTES]);
        let disk = platter.mount();
        disk.open("a").unwrap().sync_data().unwrap();
        platter.cut();
        assert_eq!(open(&platter, "a").unwrap(), [NEW; SECTOR_BYTES]);
    }
}

#[test]
fn a_file_may_have_grown_without_its_bytes() {
    let mut seen = BTreeSet::new();
    for seed in 0..500 {
        let platter = Platter::new(seed);
        let (_disk, file) = file(&platter, "a", SECTOR_BYTES);
        file.write_at(&[&[NEW; SECTOR_BYTES]], SECTOR_BYTES as u64).unwrap();
        platter.cut();
        let left = open(&platter, "a").unwrap();
        assert_eq!(left[..SECTOR_BYTES], [OLD; SECTOR_BYTES]);
        seen.insert(sectors(&left).get(1).copied());
    }
    let any = [None, Some(0), Some(NEW), Some(GARBAGE)];
    assert_eq!(seen, any.into(), "as it was, zeros, all of it, or garbage");
}

#[test]
fn names_are_durable_once_their_directory_is_synced() {
    let mut seen = BTreeSet::new();
    for seed in 0..300 {
        let platter = Platter::new(seed);
        let (disk, _) = file(&platter, "a", SECTOR_BYTES);
        disk.rename("a", "b").unwrap();
        drop(disk.create("c").unwrap());
        platter.cut();
        seen.insert(platter.mount().list(".").unwrap());
    }
    let any: Vec<&[&str]> = vec![&["a"], &["a", "c"], &["b"], &["b", "c"]];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), any);

    let platter = Platter::new(1);
    let (disk, _) = file(&platter, "a", SECTOR_BYTES);
    disk.rename("a", "b").unwrap();
    disk.sync_dir(".").unwrap();
    platter.cut();
    assert_eq!(platter.mount().list(".").unwrap(), ["b"]);
}

#[test]
fn after_a_failed_sync_the_cache_shows_what_no_later_sync_writes() {
    let mut lost = 0;
    for seed in 0..200 {
        let platter = Platter::new(seed);
        let (_disk, file) = file(&platter, "a", PAGE_BYTES);
        file.write_at(&[&[NEW; PAGE_BYTES]], 0).unwrap();
        platter.light_fuse(0, Blow::Error);
        assert!(file.sync_data().is_err());
        assert_eq!(contents(&*file), [NEW; PAGE_BYTES], "the cache has it");
        file.sync_data().unwrap();
        assert_eq!(contents(&*file), [NEW; PAGE_BYTES], "and goes on to");
        platter.cut();
        let left = sectors(&open(&platter, "a").unwrap());
        assert!(!left.contains(&GARBAGE), "nothing is on its way any more");
        lost += usize::from(left.contains(&OLD));
    }
    assert!((50..200).contains(&lost), "{lost} of 200 were lost, in part or as a whole");
}

#[test]
fn a_fuse_stops_everything_or_fails_once() {
    let platter = Platter::new(3);
    let (_disk, file) = file(&platter, "a", PAGE_BYTES);
    platter.light_fuse(1, Blow::Error);
    file.write_at(&[b"x"], 0).unwrap();
    assert!(file.write_at(&[b"x"], 0).is_err());
    file.write_at(&[b"x"], 0).unwrap();
    assert!(!platter.is_dead());
    platter.light_fuse(0, Blow::Stop);
    assert!(file.sync_data().is_err() && platter.is_dead());
    assert!(file.read_at(&mut [0], 0).is_err(), "nobody is there to read");
}

#[test]
fn a_read_fails_once() {
    let platter = Platter::new(3);
    let (_disk, file) = file(&platter, "a", PAGE_BYTES);
    platter.fail_read(1);
    let read = || file.read_at(&mut [0], 0).is_ok();
    assert_eq!([read(), read(), read()], [true, false, true]);
}

#[test]
fn a_full_disk_takes_what_it_has_room_for_and_old_space_stays_writable() {
    let platter = Platter::new(3);
    let (disk, file) = file(&platter, "a", PAGE_BYTES);
    platter.fill(1000);
    assert_eq!(disk.free_bytes().unwrap(), 1000);
    let error = file.write_at(&[&[NEW; 3000]], PAGE_BYTES as u64).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!((file.bytes().unwrap(), disk.free_bytes().unwrap()), (PAGE_BYTES as u64 + 1000, 0));
    file.write_at(&[&[NEW; PAGE_BYTES]], 0).unwrap();
    drop(disk.create("b").unwrap());
    disk.remove("a").unwrap();
    assert_eq!(disk.free_bytes().unwrap(), PAGE_BYTES as u64 + 1000);
    platter.clear();
    assert!(disk.free_bytes().unwrap() > 1 << 29);
}

#[test]
fn a_slow_disk_answers_late() {
    let platter = Platter::new(3);
    assert_eq!(platter.delay(Time(10), 3), 3);
    platter.slow_down(Time(200));
    assert_eq!(platter.delay(Time(150), 3), 60);
    platter.mend();
    assert_eq!(platter.delay(Time(50), 3), 3);
}
