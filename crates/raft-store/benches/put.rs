//! Puts as a busy cluster does them: `cargo bench -p raft-store --bench put`.
//!
//! 100,000 keys of 16 bytes, by chance, values of 256 bytes, and a history that is full: what is
//! touched was not touched for long, and so a put waits for memory more than for anything else.
//! Three stores in turn share the cache of one machine, as three servers on it do. Each batch of
//! commands is made before the clock runs: a server has just read them.
//!
//! `RAFT_BENCH_KEYS` names another number of keys, `RAFT_BENCH_PUTS` another one of puts.

#![allow(clippy::print_stdout, missing_docs, reason = "a table is what a benchmark is for")]
#![allow(clippy::disallowed_methods, reason = "a benchmark needs a clock")]

mod support;

use std::error::Error;
use std::time::Instant;

use bytes::Bytes;
use raft_node::random::Random;
use raft_store::{Command, Keys, Only, Query, Range, Store, Txn};

use support::{apply, clock, report, report_once, snapshot};

const VALUE_BYTES: usize = 256;
const BATCH: u64 = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let number = |name, default| std::env::var(name).map_or(Ok(default), |text| text.parse());
    let keys: u64 = number("RAFT_BENCH_KEYS", 100_000)?;
    let count = number("RAFT_BENCH_PUTS", 300_000)?;
    let mut random = Random::new(1);
    for (what, stores) in [("put", 1), ("put, three stores in turn", 3)] {
        let mut stores: Vec<Store> = (0..stores).map(|_| Store::default()).collect();
        puts(&mut stores, &mut random, keys, keys.max(100_000) * 3);
        let mut nanoseconds = 0.0;
        let used = allocation_counter::measure(|| {
            nanoseconds = puts(&mut stores, &mut random, keys, count);
        });
        report(what, nanoseconds);
        // The command has three of its own.
        let allocations = used.count_total as f64 / count as f64;
        println!("{:>28} {allocations:>8.1} times", "all of it allocates");
        if let [store] = &stores[..] {
            gets(store, &mut random, keys);
            drop(snapshot(store));
        }
    }
    Ok(())
}

fn key(random: &mut Random, keys: u64) -> Bytes {
    format!("key-{:012}", random.below(keys)).into()
}

/// The nanoseconds of one put in one store.
fn puts(stores: &mut [Store], random: &mut Random, keys: u64, count: u64) -> f64 {
    let mut nanoseconds = 0;
    for _ in 0..count / BATCH {
        let put = |_| Command::from(Txn::put(key(random, keys), vec![b'v'; VALUE_BYTES])).encode();
        let batch: Vec<Bytes> = (0..BATCH).map(put).collect();
        for store in &mut *stores {
            let begin = Instant::now();
            batch.iter().for_each(|command| apply(store, command));
            nanoseconds += begin.elapsed().as_nanos();
        }
    }
    nanoseconds as f64 / (count / BATCH * BATCH * stores.len() as u64) as f64
}

/// Gets of one key: now, and as it was.
fn gets(store: &Store, random: &mut Random, keys: u64) {
    for (ago, times) in [(0, 100_000), (100, 10_000), (10_000, 1000), (99_000, 1000)] {
        let revision = store.revision() - ago;
        let get = |_| Query::Range(Range { revision, ..Range::of(Keys::One(key(random, keys))) });
        let queries: Vec<Query> = (0..times).map(get).collect();
        let begin = Instant::now();
        queries.iter().for_each(|query| drop(store.ask(query)));
        let nanoseconds = begin.elapsed().as_nanos() as f64 / f64::from(times);
        report(&format!("get, {ago} revisions ago"), nanoseconds);
    }
    let revision = store.revision() - 99_000;
    let count = Range { revision, only: Only::Count, ..Range::of(Keys::prefix("")) };
    let begin = clock();
    drop(store.ask(&Query::Range(count)));
    report_once("all, 99000 revisions ago", clock() - begin);
}
