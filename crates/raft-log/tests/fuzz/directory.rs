//! Whole data directories: a look and a start agree, and what starts goes on.

use std::sync::Arc;

use raft_core::{NodeId, Term};
use raft_log::{DataDir, Disk, InspectError, Inspection, Log, OpenError, RecoveredLog, inspect};

use crate::harness::{Cap, Named, Target, Verdict, fuzz, within};
use crate::image::{Files, SEAL_ALL, pack, unpack};
use crate::support::model::{Model, entries, vote};
use crate::support::{MemDisk, Random, format, open, open_with, read_all, small};
use crate::{disk_of, files_of, named, small_log};

/// Reading ahead takes a megabyte at a time; slots of a test are small, and in memory too.
const DIRECTORY: Cap = Cap { base: 6 << 20, each: 512 };

#[test]
fn data_directory() {
    let target = Target {
        name: "data_directory",
        words: &[
            b"wal/4294967295.seg",
            b"wal/4294967294.seg",
            b"wal/01.seg",
            b"wal/00.tmp",
            b"NODE",
            b"SHOWN",
            b"RBLK",
            b"RAFTSLOT",
            &[0, 0, 1, 0],
            &[1, 0x80, 0, 0],
            &[0xff; 8],
        ],
        bytes_max: 1 << 15,
        runs: 6000,
        check: |input| directory(&unpack(input), input.len()),
    };
    fuzz(&target, || {
        let mut made = Vec::new();
        for seed in [0, 1, 2, 5, 8, 11] {
            let mut random = Random(seed);
            let (disk, mut model) = (MemDisk::default(), Model::default());
            for start in 0..1 + seed % 3 {
                let options =
                    raft_log::Options { slot_bytes_start: 32 << 10, ..small(seed * 10 + start) };
                let (_dir, mut log) = open_with(&disk, options).expect("a log");
                for _ in 0..random.below(5) {
                    log.writer.write(&[model.random_write(&mut random, 60)]).expect("written");
                }
            }
            disk.take_away("LOCK");
            made.push(named("a log", pack(SEAL_ALL, &files_of(&disk))));
        }
        made.extend(strange_directories());
        made
    });
}

/// Directories that no server leaves behind.
fn strange_directories() -> Vec<Named> {
    let mut good = files_of(&small_log());
    good.remove("LOCK");
    let mut made = vec![named("nothing at all", vec![SEAL_ALL])];
    let mut strange = |what: &str, change: &dyn Fn(&mut Files)| {
        let mut files = good.clone();
        change(&mut files);
        made.push(named(what, pack(SEAL_ALL, &files)));
    };
    for number in ["4294967295", "4294967294", "2147483647", "99"] {
        let name = format!("wal/{number}.seg");
        strange("a slot with a high number", &|files| {
            files.insert(name.clone(), vec![0; 32 << 10]);
        });
    }
    for bytes in [0, 1, 4095, 32_767, 32_769, 40_960, 65_535, 65_536] {
        strange("a slot of another size", &|files| {
            files.insert("wal/07.seg".into(), vec![0; bytes]);
        });
        strange("the slot cut or grown", &|files| {
            files.get_mut("wal/00.seg").expect("there").resize(bytes, 0);
        });
    }
    for name in ["NODE", "SHOWN", "LOCK", "wal/00.seg"] {
        strange("a file gone", &|files| drop(files.remove(name)));
        strange("a file empty", &|files| drop(files.insert(name.into(), Vec::new())));
        strange("a file of something else", &|files| {
            drop(files.insert(name.into(), vec![0x41; 300]))
        });
    }
    strange("the slot twice", &|files| {
        let slot = files["wal/00.seg"].clone();
        files.insert("wal/01.seg".into(), slot);
    });
    strange("a block that ends behind the slot", &|files| {
        let slot = files.get_mut("wal/00.seg").expect("there");
        let last = format::blocks(slot).last().expect("a block").offset;
        slot[last + 68..last + 72].copy_from_slice(&30_000_u32.to_le_bytes());
    });
    strange("a table of more peers than fit a header", &|files| {
        let slot = files.get_mut("wal/00.seg").expect("there");
        let last = format::blocks(slot).last().expect("a block").offset;
        slot[last + 4..last + 6].copy_from_slice(&8_u16.to_le_bytes());
        slot[last + 64..last + 72].copy_from_slice(&(3900_u64 << 32).to_le_bytes());
        slot[last + 128..last + 128 + 3900].fill(3);
    });
    made
}

/// Numbers from a little above are damage; a start counts on by a few.
const COUNTED_MAX: u64 = (1 << 62) - 100;

/// Looks at a directory, opens it, reads all of it, goes on with it, and opens it again.
pub(crate) fn directory(files: &Files, length: usize) -> Verdict {
    let disk = disk_of(files);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut looked = within(DIRECTORY, length, || look(&shared));
    assert_eq!(files_of(&disk), *files, "a look changed something");
    let opened = within(DIRECTORY, length, || open(&disk, 9));
    agree(&looked, &opened);
    if let (Ok(looked), Ok((_, log))) = (&mut looked, &opened) {
        within(DIRECTORY, length, || looked.read_snapshots(&mut |_| {})).expect("listed");
        for row in &looked.snapshots {
            let read = log.snapshots.open(row.id).and_then(|reader| reader.verify());
            assert_eq!(read.is_ok(), row.fault.is_none(), "{row:?}: {read:?}");
        }
    }
    let (dir, mut log) = opened.map_err(|error| error.to_string())?;
    let last = log.recovered.last_index;
    let before = within(DIRECTORY, length, || read_all(&log, last));
    let newest = log.recovered.term_runs.last().map_or(Term(0), |(_, term)| *term);
    let next = log.recovered.hard_state.term.max(newest).next();
    let boot = log.recovered.boot;
    let slots = looked.as_ref().map(|looked| &*looked.slots).unwrap_or_default();
    let counted = slots.iter().map(|slot| slot.order.max(slot.base)).max().unwrap_or(0);
    if counted.max(next.0).max(boot.epoch).max(last.0) >= COUNTED_MAX {
        // The last numbers that are read: what follows them is not.
        return Ok("a log at the end of all counting".into());
    }
    let entry = entries(last.0 + 1, 1, next.0, 30);
    log.writer.write(&[vote(next.0, Some(1)), entry]).expect("the log can be written");
    drop((dir, log));
    let (_dir, log) = open(&disk, 10).expect("the log can be opened again");
    assert_eq!(log.recovered.hard_state.term, next);
    assert_eq!(log.recovered.last_index, last.next());
    assert_eq!(log.recovered.boot.epoch, boot.epoch + 1);
    assert_eq!(log.recovered.hard_state.voted_for, Some(NodeId(1)));
    let after = read_all(&log, last.next());
    assert_eq!(after[..before.len()], before);
    let torn = if looked.is_ok_and(|l| l.cut.is_some()) { ", torn" } else { "" };
    Ok(format!("a log{torn}"))
}

/// All that `raft log` reads.
fn look(disk: &Arc<dyn Disk>) -> Result<Inspection, InspectError> {
    let inspection = inspect(disk, &mut |progress| assert!(progress.done <= progress.total))?;
    for slot in &inspection.slots {
        let mut contents = inspection.contents(slot).expect("a slot that was found");
        for block in &slot.blocks {
            let entries = contents.entries(block).expect("a block that was read can be read");
            assert_eq!(entries.len(), block.count as usize);
        }
    }
    Ok(inspection)
}

/// A look and a start say the same of a directory.
fn agree(looked: &Result<Inspection, InspectError>, opened: &Result<(DataDir, Log), OpenError>) {
    match (looked, opened) {
        (Ok(looked), Ok((_, log))) => {
            assert!(looked.damages.is_empty(), "{:?}", looked.damages);
            let boot = looked.log.boot;
            assert_eq!(looked.log, RecoveredLog { boot, ..log.recovered.clone() });
        }
        (Ok(looked), Err(refused)) if looked.removed_at.is_none() => {
            let first = looked.damages.first().map(ToString::to_string);
            assert_eq!(first, Some(refused.to_string()));
        }
        // Without NODE a start asks whose files these are, a look why it is missing.
        (Err(_), Err(OpenError::ForeignFiles { .. })) => {}
        (Err(InspectError::Refused(looked)), Err(refused)) => {
            assert_eq!(looked.to_string(), refused.to_string());
        }
        // Not a member's directory: a start makes it one, or refuses what lies in it.
        _ => {}
    }
}

/// Packing and sealing keep what is right as it is.
#[test]
fn an_image_is_the_directory() {
    let files = files_of(&small_log());
    assert_eq!(unpack(&pack(0, &files)), files);
    assert_eq!(unpack(&pack(SEAL_ALL, &files)), files, "checksums were right before");
}
