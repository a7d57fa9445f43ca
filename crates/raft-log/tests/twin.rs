//! The log and a vector do the same random work and must never differ.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use raft_core::Index;
use raft_log::Write;
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
