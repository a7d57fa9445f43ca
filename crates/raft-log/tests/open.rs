//! Every damage, and the verdict at open: torn is cut, damage is refused, nothing is lost
//! silently.
#![allow(missing_docs)]

mod support;

use raft_core::{HardState, Index, NodeId, Term};
use raft_log::{LogWriter, OpenError, Write};
use support::format::{self, BLOCK_FIELDS, BlockPlace, DATA, PAGE, SLOT_FIELDS, flip};
use support::model::{entries, vote};
use support::{MemDisk, Random, open, read_all};

const ENTRIES: u16 = 1;
const HARD_STATE: u16 = 2;

/// The first start fills two slots and goes on in a third; the last commit is a vote and two
/// entries of 5000 bytes each, not attested.
struct Scene {
    disk: MemDisk,
    last: u64,
    /// The slots in use, oldest first.
    slots: Vec<String>,
    /// The blocks of the newest.
    tail: Vec<BlockPlace>,
}

fn fill(writer: &mut LogWriter, first: u64, count: u64) {
    for index in first..first + count {
        writer.write(&[entries(index, 1, 1, 3000)]).unwrap();
    }
}

impl Scene {
    fn new() -> Self {
        let disk = MemDisk::default();
        let (_dir, mut log) = open(&disk, 1).unwrap();
        log.writer.write(&[vote(1, Some(1))]).unwrap();
        fill(&mut log.writer, 1, 26);
        log.writer.write(&[vote(2, Some(2)), entries(27, 2, 2, 5000)]).unwrap();
        Self::of(disk, 28)
    }

    fn attested() -> Self {
        let disk = MemDisk::default();
        let (_dir, mut log) = open(&disk, 1).unwrap();
        log.writer.write(&[vote(1, Some(1))]).unwrap();
        fill(&mut log.writer, 1, 26);
        log.writer.write(&[vote(2, Some(2)), entries(27, 2, 2, 5000)]).unwrap();
        log.writer.attest().unwrap();
        Self::of(disk, 28)
    }

    fn of(disk: MemDisk, last: u64) -> Self {
        let disk = disk.crash(support::Crash::PowerNothing, &mut Random(1));
        let slots = format::slots(&disk);
        let tail = format::blocks(&disk.read(slots.last().unwrap()));
        Self { disk, last, slots, tail }
    }

    fn newest(&self) -> &str {
        self.slots.last().unwrap()
    }

    fn with(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> MemDisk {
        let disk = self.disk.fork();
        disk.damage(name, change);
        disk
    }

    /// The blocks of the last commit: vote, vote, entries.
    fn last_commit(&self) -> [BlockPlace; 3] {
        let at = self.tail.iter().rposition(|block| block.flags == ENTRIES).unwrap();
        self.tail[at - 2..=at].to_vec().try_into().unwrap()
    }

    fn whole(&self, disk: &MemDisk, case: &str) {
        let (_dir, log) = open(disk, 2).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(log.recovered.last_index, Index(self.last), "{case}");
        assert!(!log.recovered.tail_ambiguous, "{case}: {:?}", log.recovered.notes);
        assert_eq!(read_all(&log, Index(self.last)).len() as u64, self.last);
    }

    fn cut(&self, disk: &MemDisk, last: u64, ambiguous: bool, case: &str) -> HardState {
        let (_dir, log) = open(disk, 2).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(log.recovered.last_index, Index(last), "{case}");
        assert_eq!(log.recovered.tail_ambiguous, ambiguous, "{case}: {:?}", log.recovered.notes);
        assert_eq!(log.recovered.notes.is_empty(), !ambiguous, "{case}");
        assert_eq!(read_all(&log, Index(last)).len() as u64, last);
        log.recovered.hard_state
    }
}

/// The directory is refused, naming file and byte; and the refusal changes nothing.
fn damaged(
    disk: &MemDisk,
    name: &str,
    offset: usize,
    case: &str,
) -> (Option<Index>, Option<Index>) {
    let before: Vec<_> = disk.names().iter().map(|name| disk.read(name)).collect();
    let error = match open(disk, 2) {
        Ok((_dir, log)) => panic!("{case}: opened with {:?}", log.recovered),
        Err(error) => error,
    };
    let OpenError::Damaged { file, offset: at, first, last, .. } = &error else {
        panic!("{case}: {error}");
    };
    assert!(file.ends_with(name), "{case}: {error}");
    assert_eq!(*at, offset as u64, "{case}: {error}");
    let after: Vec<_> = disk.names().iter().map(|name| disk.read(name)).collect();
    let lock = disk.names().iter().position(|name| name == "LOCK");
    for (at, (before, after)) in before.iter().zip(&after).enumerate() {
        assert!(before == after || Some(at) == lock, "{case}: a file was changed");
    }
    (*first, *last)
}

#[test]
fn the_scene_is_what_it_says() {
    let scene = Scene::new();
    assert_eq!(scene.slots.len(), 3);
    assert_eq!(scene.last_commit().map(|block| block.flags), [HARD_STATE, HARD_STATE, ENTRIES]);
    assert!(scene.tail.len() > 5, "{:?}", scene.tail);
    scene.whole(&scene.disk, "undamaged");
    let attested = Scene::attested();
    attested.whole(&attested.disk, "undamaged and attested");
}

#[test]
fn a_flipped_bit_in_a_block_that_later_blocks_prove_is_damage() {
    let scene = Scene::new();
    let name = scene.newest();
    for block in [&scene.tail[0], &scene.tail[2]] {
        for (field, at, length) in BLOCK_FIELDS {
            for byte in at..at + length {
                let disk = scene.with(name, |slot| flip(slot, block.offset + byte));
                let case = format!("{field} byte {byte}");
                let (first, last) = damaged(&disk, name, block.offset, &case);
                assert_eq!(first, Some(Index(block.first)), "{case}");
                assert_eq!(last, Some(Index(block.first + block.count - 1)), "{case}");
            }
        }
        for byte in [128, 128 + 32, 128 + block.body - 1] {
            let disk = scene.with(name, |slot| flip(slot, block.offset + byte));
            damaged(&disk, name, block.offset, &format!("body byte {byte}"));
        }
    }
}

#[test]
fn a_flipped_bit_in_a_block_that_the_next_slot_certifies_is_damage() {
    let scene = Scene::new();
    let name = &scene.slots[1];
    let blocks = format::blocks(&scene.disk.read(name));
    // The first, one in between, the last with entries, and the SEAL block itself.
    for block in [&blocks[0], &blocks[4], &blocks[blocks.len() - 2], &blocks[blocks.len() - 1]] {
        for (field, at, length) in BLOCK_FIELDS {
            let disk = scene.with(name, |slot| flip(slot, block.offset + at + length - 1));
            damaged(&disk, name, block.offset, field);
        }
    }
}

/// Makes a block another valid one, of the same number at the same place.
fn exchange(slot: &mut [u8], block: &BlockPlace) {
    let header = &mut slot[block.offset..block.offset + 128];
    header[80] ^= 1;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..8]), &header[12..]);
    let crc = crc32c::crc32c_append(crc, &(block.offset as u64).to_le_bytes());
    header[8..12].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn a_valid_block_that_is_not_the_one_before_the_next_is_damage() {
    let scene = Scene::new();
    let (name, block) = (scene.newest(), &scene.tail[2]);
    let disk = scene.with(name, |slot| exchange(slot, block));
    damaged(&disk, name, block.offset + block.length, "in the newest slot");
    let name = &scene.slots[1];
    let last = format::blocks(&scene.disk.read(name)).pop().unwrap();
    let disk = scene.with(name, |slot| exchange(slot, &last));
    damaged(&disk, name, last.offset + last.length, "the last of a slot");
}

#[test]
fn a_flipped_bit_in_the_last_block_cuts_it_and_says_so() {
    let scene = Scene::new();
    let [_, _, last] = scene.last_commit();
    let vote = HardState { term: Term(2), voted_for: Some(NodeId(2)) };
    for (field, at, length) in BLOCK_FIELDS {
        for byte in at..at + length {
            let disk = scene.with(scene.newest(), |slot| flip(slot, last.offset + byte));
            assert_eq!(scene.cut(&disk, last.first - 1, true, field), vote);
        }
    }
    for byte in [128, PAGE + 5, 128 + last.body - 1] {
        let disk = scene.with(scene.newest(), |slot| flip(slot, last.offset + byte));
        assert_eq!(scene.cut(&disk, last.first - 1, true, "body"), vote);
    }
}

#[test]
fn once_attested_the_last_block_cannot_be_damaged_unnoticed() {
    let scene = Scene::attested();
    for block in scene.last_commit() {
        for (field, at, length) in BLOCK_FIELDS {
            let disk =
                scene.with(scene.newest(), |slot| flip(slot, block.offset + at + length - 1));
            damaged(&disk, scene.newest(), block.offset, field);
        }
    }
    let attest = scene.tail.last().unwrap();
    let disk = scene.with(scene.newest(), |slot| flip(slot, attest.offset + 9));
    scene.cut(&disk, scene.last, true, "the ATTEST block itself holds nothing");
}

#[test]
fn one_damaged_page_never_loses_a_vote() {
    let scene = Scene::new();
    let vote = HardState { term: Term(2), voted_for: Some(NodeId(2)) };
    let [one, two, _] = scene.last_commit();
    for copy in [&one, &two] {
        for (field, at, length) in BLOCK_FIELDS {
            let disk = scene.with(scene.newest(), |slot| flip(slot, copy.offset + at + length - 1));
            assert_eq!(scene.cut(&disk, one.first - 1, true, field), vote, "{field}");
        }
        let disk = scene.with(scene.newest(), |s| s[copy.offset..copy.offset + PAGE].fill(0));
        assert_eq!(scene.cut(&disk, one.first - 1, true, "zeroed"), vote);
    }
}

#[test]
fn one_header_copy_is_enough_and_none_is_damage() {
    let scene = Scene::new();
    for name in &scene.slots {
        for (field, at, length) in SLOT_FIELDS {
            for copy in [0, PAGE] {
                let disk = scene.with(name, |slot| flip(slot, copy + at + length - 1));
                scene.whole(&disk, field);
            }
            let disk = scene.with(name, |slot| {
                flip(slot, at);
                flip(slot, PAGE + at);
            });
            damaged(&disk, name, 0, field);
        }
        let disk = scene.with(name, |slot| slot[..PAGE].fill(0));
        scene.whole(&disk, "first copy zeroed");
        let disk = scene.with(name, |slot| slot.copy_within(PAGE..DATA, 0));
        scene.whole(&disk, "a copy written over the other");
    }
}

#[test]
fn a_torn_last_commit_is_cut() {
    let scene = Scene::new();
    let [one, _, last] = scene.last_commit();
    let end = last.offset + last.length;
    for sector in [512, PAGE] {
        for from in (one.offset..end).step_by(sector) {
            let disk = scene.with(scene.newest(), |slot| slot[from..end].fill(0));
            let case = format!("nothing from byte {from} on");
            // Entries end before the block does: its last sectors are padding.
            if from >= last.offset + 128 + last.body {
                scene.whole(&disk, &case);
                continue;
            }
            // A vote's block is its header: cut behind that it is whole.
            let empty = from <= last.offset;
            scene.cut(&disk, one.first - 1, !empty, &case);
        }
    }
    // Later pages without earlier ones: the device wrote them in another order.
    let disk = scene.with(scene.newest(), |s| s[one.offset..last.offset + PAGE].fill(0));
    scene.cut(&disk, one.first - 1, false, "only a body is left");
    let disk = scene.with(scene.newest(), |slot| slot[one.offset..last.offset].fill(0));
    scene.cut(&disk, one.first - 1, true, "only the last block is left");
}

#[test]
fn blocks_in_wrong_places_do_not_count() {
    let scene = Scene::new();
    let name = scene.newest();
    let end = scene.last_commit()[2].offset + scene.last_commit()[2].length;
    let older = scene.disk.read(&scene.slots[1]);
    let stale = format::blocks(&older)[1].offset;
    let disk = scene.with(name, |slot| {
        slot[end..end + PAGE].copy_from_slice(&older[stale..stale + PAGE]);
    });
    scene.cut(&disk, scene.last, true, "a block of another slot behind the end");
    let own = scene.tail[2].offset;
    let disk = scene.with(name, |slot| slot.copy_within(own..own + PAGE, end));
    scene.cut(&disk, scene.last, true, "an own block behind the end");
    let other = scene.tail[1].offset;
    let disk = scene.with(name, |slot| slot.copy_within(own..own + PAGE, other));
    damaged(&disk, name, other, "an own block over another");
    let disk = scene.with(name, |slot| {
        let page = slot[own..own + PAGE].to_vec();
        slot.copy_within(other..other + PAGE, own);
        slot[other..other + PAGE].copy_from_slice(&page);
    });
    damaged(&disk, name, other, "two blocks swapped");
    let [_, _, last] = scene.last_commit();
    let disk = scene.with(name, |slot| {
        let page = slot[last.offset + PAGE..last.offset + 2 * PAGE].to_vec();
        slot.copy_within(last.offset + 2 * PAGE..last.offset + 3 * PAGE, last.offset + PAGE);
        slot[last.offset + 2 * PAGE..last.offset + 3 * PAGE].copy_from_slice(&page);
    });
    scene.cut(&disk, last.first - 1, true, "two body pages of the last block swapped");
}

#[test]
fn zeroed_pages() {
    let scene = Scene::new();
    for block in &scene.tail[..4] {
        let disk = scene.with(scene.newest(), |s| s[block.offset..block.offset + PAGE].fill(0));
        let (first, last) = damaged(&disk, scene.newest(), block.offset, "zeroed");
        assert_eq!(first, Some(Index(block.first)));
        assert_eq!(last, Some(Index(block.first + block.count - 1)), "known by what follows");
    }
}

#[test]
fn lost_and_cut_files_are_noticed() {
    let scene = Scene::new();
    for name in &scene.slots {
        for length in [0, 100, PAGE, 32 << 10, (64 << 10) - 1, (64 << 10) - PAGE] {
            let disk = scene.with(name, |slot| slot.truncate(length));
            damaged(&disk, name, 0, &format!("{name} cut to {length}"));
        }
    }
    for (at, name) in scene.slots.iter().enumerate() {
        let disk = scene.disk.fork();
        disk.take_away(name);
        let newest = at + 1 == scene.slots.len();
        damaged(&disk, if newest { name } else { "wal" }, 0, name);
    }
    let disk = scene.disk.fork();
    scene.slots.iter().for_each(|name| disk.take_away(name));
    damaged(&disk, "wal", 0, "all slots");
    let disk = scene.disk.fork();
    disk.take_away("NODE");
    damaged(&disk, "NODE", 0, "NODE");
}

#[test]
fn the_slot_of_the_last_start_is_missed_too() {
    let scene = Scene::attested();
    drop(open(&scene.disk, 2).unwrap());
    let newest = format::slots(&scene.disk).pop().unwrap();
    assert!(!scene.slots.contains(&newest));
    scene.disk.take_away(&newest);
    damaged(&scene.disk, "wal", 0, "the newest slot");
}

#[test]
fn a_copied_or_foreign_slot_is_refused() {
    let scene = Scene::new();
    let disk = scene.disk.fork();
    disk.put("wal/07.seg", disk.read(&scene.slots[0]));
    damaged(&disk, "wal/07.seg", 0, "a copy");
    let other = MemDisk::default();
    let mut dir = raft_log::DataDir::open_seeded(
        std::sync::Arc::new(other.clone()),
        support::holder(),
        Some(6),
    )
    .unwrap();
    let incarnation = dir.identity().incarnation();
    dir.set_identity(raft_log::NodeState::Member(support::identity(incarnation))).unwrap();
    drop(dir.open_log(support::small(1)).unwrap());
    let disk = scene.disk.fork();
    disk.put("wal/00.seg", other.read("wal/00.seg"));
    assert!(matches!(open(&disk, 2), Err(OpenError::OtherIdentity { .. })));
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let scene = Scene::new();
    for (at, version) in [(8, "2.0"), (16, "1.0 with features 0x2")] {
        let disk = scene.with(scene.newest(), |slot| {
            for copy in [0, PAGE] {
                slot[copy + at] = 2;
                let page = &slot[copy..copy + PAGE];
                let crc = crc32c::crc32c_append(crc32c::crc32c(&page[..12]), &page[16..]);
                let crc = crc32c::crc32c_append(crc, &(copy as u64).to_le_bytes());
                slot[copy + 12..copy + 16].copy_from_slice(&crc.to_le_bytes());
            }
        });
        let error = open(&disk, 2).unwrap_err();
        assert!(matches!(&error, OpenError::TooNew { version: v, .. } if v == version), "{error}");
    }
}

#[test]
fn old_bytes_of_a_recycled_slot_are_neither_blocks_nor_doubt() {
    let disk = MemDisk::default();
    for start in 0..8 {
        let (_dir, mut log) = open(&disk, start + 1).unwrap();
        assert_eq!(log.recovered.last_index, Index(start));
        assert!(!log.recovered.tail_ambiguous, "start {start}: {:?}", log.recovered.notes);
        // Little each time: each start copies it and recycles the slot before.
        log.writer.write(&[entries(start + 1, 1, 1, 200)]).unwrap();
    }
    let slots = disk.names().iter().filter(|name| name.ends_with(".seg")).count();
    assert!(slots <= 4, "{slots} slots");
}

#[test]
fn opening_twice_changes_nothing_but_the_epoch() {
    let scene = Scene::new();
    let mut before = open(&scene.disk, 2).unwrap().1.recovered;
    for start in 3..7 {
        let (_dir, log) = open(&scene.disk, start).unwrap();
        let mut now = log.recovered.clone();
        assert_eq!(now.boot.epoch, before.boot.epoch + 1);
        assert_ne!(now.boot.nonce, before.boot.nonce);
        before.boot = now.boot;
        assert_eq!(now, before);
        now.notes.clear();
        before = now;
    }
}

#[test]
fn hard_state_of_an_empty_log_survives() {
    let disk = MemDisk::default();
    let (dir, mut log) = open(&disk, 1).unwrap();
    assert_eq!(log.recovered.hard_state, HardState::default());
    log.writer.write(&[vote(3, Some(1)), Write::default()]).unwrap();
    drop((dir, log));
    let (_dir, log) = open(&disk, 2).unwrap();
    assert_eq!(log.recovered.hard_state, HardState { term: Term(3), voted_for: Some(NodeId(1)) });
    assert_eq!(log.recovered.last_index, Index(0));
}
