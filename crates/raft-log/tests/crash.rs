//! Long lives of crashes and failing syncs: what was acknowledged is there, what was not is there
//! in order or not at all. And the stories of what a page cache holds that the disk does not.
//! Every single state that a crash can leave is built in `enumerate/`.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use raft_core::{Index, NodeId};
use raft_log::{Log, OpenError, PeerBoot, Write};
use support::model::Model;
use support::{Crash, MemDisk, Random, format, open, open_with, read_all, small};

const CRASHES: [Crash; 4] =
    [Crash::Process, Crash::PowerNothing, Crash::PowerTorn(512), Crash::PowerTorn(4096)];

/// What was acknowledged, and what was under way when the machine stopped.
#[derive(Clone, Debug, Default)]
struct Promise {
    acked: Model,
    attempted: Model,
    writes: Vec<Write>,
    /// The number of the last start that was told to anybody.
    epoch: u64,
}

impl Promise {
    /// One group commit of random work. False if the machine stopped in it.
    fn write(&mut self, log: &mut Log, random: &mut Random) -> bool {
        self.acked.clone_from(&self.attempted);
        let count = 1 + random.below(3);
        self.writes = (0..count).map(|_| self.attempted.random_write(random, 6000)).collect();
        if log.writer.write(&self.writes).is_err() {
            assert!(log.writer.write(&[]).is_err(), "a failed writer stays failed");
            return false;
        }
        self.acked.clone_from(&self.attempted);
        self.writes.clear();
        !random.chance(3) || log.writer.attest().is_ok()
    }

    /// What was recovered keeps the promise; it is promised from now on.
    fn check_and_renew(&mut self, log: &Log) {
        let recovered = &log.recovered;
        assert!(recovered.boot.epoch > self.epoch, "a start was counted twice");
        self.epoch = recovered.boot.epoch;
        let votes = [self.acked.hard_state, self.attempted.hard_state];
        assert!(votes.contains(&recovered.hard_state), "{recovered:?} of {votes:?}");
        let peers = [&self.acked.peers, &self.attempted.peers];
        assert!(peers.contains(&&recovered.peers));
        let entries: Vec<_> = read_all(log, recovered.last_index)
            .iter()
            .map(|entry| (entry.term, entry.kind, entry.payload.to_vec()))
            .collect();
        let allowed = self.acked.steps(&self.writes);
        assert!(
            allowed.contains(&entries),
            "recovered {} entries; acknowledged {}, attempted {}",
            entries.len(),
            self.acked.last(),
            self.attempted.last()
        );
        let hint = usize::try_from(recovered.commit_hint.0).unwrap();
        assert_eq!(entries[..hint], self.attempted.entries[..hint], "the hint covers others");
        self.acked.hard_state = recovered.hard_state;
        self.acked.peers.clone_from(&recovered.peers);
        self.acked.commit = self.acked.commit.max(hint as u64);
        self.acked.entries = entries;
        self.acked.commit = self.acked.commit.min(self.acked.last());
        self.attempted.clone_from(&self.acked);
        self.writes.clear();
        self.acked.check_recovered(recovered);
    }
}

/// Set RAFT_LOG_SEED to replay one seed.
#[test]
fn a_long_life_of_crashes_and_failing_syncs() {
    let seeds = match std::env::var("RAFT_LOG_SEED") {
        Ok(seed) => vec![seed.parse().expect("RAFT_LOG_SEED is a number")],
        Err(_) if std::env::var_os("RAFT_TEST_LONG").is_some() => (1..=1000).collect(),
        Err(_) => (1..=40).collect::<Vec<u64>>(),
    };
    for seed in seeds {
        println!("RAFT_LOG_SEED={seed} cargo test -p raft-log --test crash a_long_life");
        let mut random = Random(seed);
        let mut disk = MemDisk::default();
        let mut promise = Promise::default();
        for life in 0..30 {
            match random.below(3) {
                0 => disk.cut_after(random.below(40)),
                1 => disk.fail_sync_after(random.below(12)),
                _ => {}
            }
            match open(&disk, random.next()) {
                Ok((_dir, mut log)) => {
                    promise.check_and_renew(&log);
                    let calls = random.below(20);
                    while promise.write(&mut log, &mut random) && !random.chance(calls + 1) {}
                }
                Err(OpenError::Io { .. }) => {}
                Err(error) => panic!("life {life}: {error}"),
            }
            let crash = CRASHES[usize::try_from(random.below(4)).unwrap()];
            disk = disk.crash(crash, &mut random);
        }
        let slots = disk.names().iter().filter(|name| name.starts_with("wal/")).count();
        let bytes: usize =
            promise.acked.entries.iter().map(|(_, _, payload)| payload.len() + 40).sum();
        assert!(slots < 12 + bytes / 5_000, "{slots} slots for {bytes} bytes");
    }
}

/// The page cache holds a commit whose sync failed; the process reads it back and goes on. Only
/// rewriting makes it durable: the kernel took its pages for clean (R12).
#[test]
fn what_only_the_page_cache_held_is_durable_after_a_restart() {
    let mut random = Random(1);
    let disk = MemDisk::default();
    let (dir, mut log) = open(&disk, 1).unwrap();
    log.writer.write(&[support::model::entries(1, 3, 1, 100)]).unwrap();
    disk.fail_sync_after(0);
    assert!(log.writer.write(&[support::model::entries(4, 2, 1, 100)]).is_err());
    drop((dir, log));

    let disk = disk.crash(Crash::Process, &mut random);
    let (dir, log) = open(&disk, 2).unwrap();
    assert_eq!(log.recovered.last_index, Index(5));
    drop((dir, log));

    let disk = disk.crash(Crash::PowerNothing, &mut random);
    let (_dir, log) = open(&disk, 3).unwrap();
    assert_eq!(log.recovered.last_index, Index(5));
}

/// The new slot's header is in the page cache alone when the process ends. The slot that it
/// supersedes is the only durable copy, and must not be used for the next new slot.
#[test]
fn a_header_that_only_the_page_cache_held_frees_no_slot() {
    let mut random = Random(1);
    for failing in 0..8 {
        let disk = MemDisk::default();
        let (dir, mut log) = open(&disk, 1).unwrap();
        log.writer.write(&[support::model::entries(1, 3, 1, 100)]).unwrap();
        log.writer.attest().unwrap();
        drop((dir, log));

        disk.fail_sync_after(failing);
        let failed = open(&disk, 2).is_err();
        let disk = disk.crash(Crash::Process, &mut random);
        let whole = disk.fork();
        let before = whole.operations();
        drop(open(&whole, 3).unwrap());
        for cut in 0..whole.operations() - before {
            let disk = disk.fork();
            disk.cut_after(cut);
            assert!(open(&disk, 3).is_err());
            let disk = disk.crash(Crash::PowerNothing, &mut random);
            let (_dir, log) = open(&disk, 4).unwrap();
            let case = format!("sync {failing} ({failed}), cut {cut}");
            assert_eq!(log.recovered.last_index, Index(3), "{case}");
        }
    }
}

/// Rewritten blocks say nothing about the slot that they are in: what they said in the old one
/// must not make the new slot's header, which only the page cache holds, pass for durable.
#[test]
fn rewritten_blocks_do_not_prove_their_new_slot() {
    let mut random = Random(1);
    for failing in 0..10 {
        let disk = MemDisk::default();
        let large = raft_log::Options { slot_bytes_start: 256 << 10, ..small(1) };
        let large = raft_log::Options { slot_bytes_max: 256 << 10, ..large };
        let (dir, mut log) = open_with(&disk, large).unwrap();
        for index in 1..=9 {
            log.writer.write(&[support::model::entries(index, 1, 1, 3000)]).unwrap();
        }
        drop((dir, log));
        // What is little in a large slot is much in the smaller one that follows.
        disk.fail_sync_after(failing);
        let failed = open(&disk, 2).is_err();
        let disk = disk.crash(Crash::Process, &mut random);
        drop(open(&disk, 3).unwrap());
        let disk = disk.crash(Crash::PowerNothing, &mut random);
        let (_dir, log) = open(&disk, 4)
            .unwrap_or_else(|error| panic!("sync {failing} failed ({failed}): {error}"));
        assert_eq!(log.recovered.last_index, Index(9));
    }
}

/// A crash tore the second copy of a header; the slot became a spare. When it is taken into use
/// again, the first copy may be torn as well: one of the two has to be good all the time.
#[test]
fn a_torn_copy_of_a_header_is_cleared_before_its_slot_is_used_again() {
    let peers = |epoch| {
        let peer = |id| PeerBoot { id: NodeId(id), incarnation: 3, epoch, nonce: id };
        Write { peers: Some((1..=40).map(peer).collect()), ..Write::default() }
    };
    let before = MemDisk::default();
    let (dir, mut log) = open(&before, 1).unwrap();
    log.writer.write(&[peers(1), support::model::entries(1, 3, 1, 100)]).unwrap();
    drop((dir, log));
    let node = before.read("NODE");
    drop(open(&before, 2).unwrap());
    before.put("NODE", node);
    before.damage("wal/01.seg", |slot| {
        format::flip(slot, format::PAGE);
        let attest = format::blocks(slot).last().unwrap().offset;
        slot[attest..].fill(0);
    });
    let mut taken = false;
    for cut in 0..60 {
        let (mut random, disk) = (Random(cut), before.fork());
        let (dir, mut log) = open(&disk, 3).unwrap();
        log.writer.write(&[peers(2)]).unwrap();
        disk.cut_after(cut);
        let mut last = 3;
        while log.writer.write(&[support::model::entries(last + 1, 1, 1, 7000)]).is_ok() {
            last += 1;
        }
        drop((dir, log));
        taken |= format::slots(&disk).last().is_some_and(|name| name == "wal/01.seg");
        for _ in 0..8 {
            let disk = disk.crash(Crash::PowerTorn(512), &mut random);
            let (_dir, log) = open(&disk, 4).unwrap_or_else(|error| panic!("cut {cut}: {error}"));
            assert!(log.recovered.last_index >= Index(last), "cut {cut}");
        }
    }
    assert!(taken, "the slot was not used again");
}
