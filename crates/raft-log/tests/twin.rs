//! The log and a vector do the same random work and must never differ.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use raft_core::{Index, LogId, Term};
use raft_log::{DataDir, Log, SnapshotInfo, Write};
use support::model::Model;
use support::{Crash, MemDisk, Random, open};

/// Set RAFT_LOG_SEED to replay one seed.
fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("RAFT_LOG_SEED") {
        Ok(seed) => vec![seed.parse().expect("RAFT_LOG_SEED is a number")],
        Err(_) if std::env::var_os("RAFT_TEST_LONG").is_some() => (1..=20 * count).collect(),
        Err(_) => (1..=count).collect(),
    }
}

fn snapshot(dir: &DataDir, id: LogId) -> SnapshotInfo {
    let snapshots = dir.snapshots().unwrap();
    let written = snapshots.write(id, b"own").unwrap().finish().unwrap();
    assert_eq!(written.id, id);
    written
}

/// A snapshot of what is committed; the log below it goes.
fn compact(dir: &DataDir, log: &mut Log, model: &mut Model, random: &mut Random) {
    let index = model.start.index.0 + random.below(model.commit - model.start.index.0 + 1);
    if index > model.start.index.0 {
        let id = LogId { index: Index(index), term: model.term_at(index) };
        snapshot(dir, id);
        let start = log.writer.compact(id, random.below(2) * 100_000);
        assert!(model.start.index <= start.index && start.index <= id.index);
        assert_eq!(start.term, model.term_at(start.index.0));
        model.compact(start);
        dir.snapshots().unwrap().prune(id).unwrap();
    }
}

/// Another member's snapshot takes the place of all that is here, in one group commit with what
/// comes after it.
fn install(dir: &DataDir, log: &mut Log, model: &mut Model, random: &mut Random) {
    let before = model.random_write(random, 900);
    let id = LogId::new(model.last() + random.below(9), model.hard_state.term.0);
    model.hard_state.term = Term(model.hard_state.term.0 + 1);
    model.hard_state.voted_for = None;
    snapshot(dir, id);
    model.reset(id);
    let mut after = model.random_write(random, 900);
    (after.reset, after.truncate_from) = (Some(id), None);
    after.hard_state = Some(model.hard_state);
    log.writer.write(&[before, after]).unwrap();
    dir.snapshots().unwrap().prune(id).unwrap();
}

#[test]
fn the_log_is_its_twin() {
    for seed in seeds(60) {
        println!("RAFT_LOG_SEED={seed} cargo test -p raft-log --test twin the_log_is");
        let mut random = Random(seed);
        let mut disk = MemDisk::default();
        let mut model = Model::default();
        let mut epoch = 0;
        for round in 0..6 {
            let (dir, mut log) = open(&disk, random.next()).unwrap();
            epoch += 1;
            assert_eq!(log.recovered.boot.epoch, epoch, "round {round}");
            model.follow(&log.recovered);
            model.check_recovered(&log.recovered);
            assert_eq!(log.recovered.hard_state, model.hard_state);
            assert_eq!(log.recovered.peers, model.peers);
            model.check_read(&log);
            for _ in 0..random.below(25) {
                let count = random.below(4);
                let writes: Vec<Write> =
                    (0..count).map(|_| model.random_write(&mut random, 9000)).collect();
                let synced = log.writer.write(&writes).unwrap();
                assert_eq!(synced.last_index, Index(model.last()));
                if random.chance(5) {
                    log.writer.attest().unwrap();
                }
                match random.below(30) {
                    0 => install(&dir, &mut log, &mut model, &mut random),
                    1..4 => compact(&dir, &mut log, &mut model, &mut random),
                    _ => {}
                }
                if random.chance(5) {
                    model.check_read(&log);
                }
                if let Some(size) = log.spares.needed().filter(|_| random.chance(3)) {
                    log.spares.make(size).unwrap();
                }
            }
            model.check_read(&log);
            drop((dir, log));
            // Everything returned was synced: how it ends makes no difference.
            let crash = [Crash::Process, Crash::PowerNothing, Crash::PowerTorn(512)];
            disk = disk.crash(crash[usize::try_from(random.below(3)).unwrap()], &mut random);
        }
    }
}
