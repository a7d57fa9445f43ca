//! The map at a million keys: `cargo bench -p raft-store --bench map`.
//!
//! Values of 100 bytes; what a put, a get and a range cost, with and without a snapshot held, how
//! much memory a key takes, and what a snapshot costs the thread that applies.
//!
//! `RAFT_BENCH_KEYS` names another number of keys.

#![allow(clippy::print_stdout, missing_docs, reason = "a table is what a benchmark is for")]

mod support;

use std::error::Error;
use std::hint::black_box;

use bytes::Bytes;
use raft_node::Apply;
use raft_store::{Keys, Query, Range, Store, Txn};

use support::{apply, clock, report, report_once, snapshot};

type Outcome<T> = Result<T, Box<dyn Error>>;

const VALUE_BYTES: usize = 100;

/// Keys in an order that jumps about, each once.
struct Jumps {
    next: u64,
    count: u64,
}

impl Iterator for Jumps {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        // No common divisor with powers of ten.
        self.next = (self.next + 617_917) % self.count;
        Some(format!("key-{:09}", self.next).into())
    }
}

fn main() -> Outcome<()> {
    let count = std::env::var("RAFT_BENCH_KEYS").map_or(Ok(1_000_000), |text| text.parse())?;
    let mut keys = Jumps { next: 0, count };
    let mut store = Store::default();
    let first: Vec<Bytes> = puts(&mut keys, count);
    report("first put", time(&mut store, &first));
    drop(first);
    memory();
    let again = puts(&mut keys, count);
    report("put again, history full", time(&mut store, &again));
    let held = store.snapshot();
    for what in ["a snapshot just taken", "a snapshot long held"] {
        let some: Vec<Bytes> = puts(&mut keys, count / 4);
        let mut nanoseconds = 0.0;
        let used = allocation_counter::measure(|| nanoseconds = time(&mut store, &some));
        report(&format!("put, {what}"), nanoseconds);
        println!("{:>28} {:>8} MB more", "memory", used.bytes_current / 1_000_000);
    }
    drop(held);
    gets(&store, &mut keys);
    snapshots(&store)?;
    Ok(())
}

fn puts(keys: &mut Jumps, count: u64) -> Vec<Bytes> {
    let put = |key| raft_store::Command::from(Txn::put(key, vec![b'v'; VALUE_BYTES])).encode();
    keys.take(count as usize).map(put).collect()
}

/// Nanoseconds for each command, decoding and answer included.
fn time(store: &mut Store, commands: &[Bytes]) -> f64 {
    let begin = clock();
    commands.iter().for_each(|command| apply(store, command));
    (clock() - begin) as f64 / commands.len().max(1) as f64
}

fn gets(store: &Store, keys: &mut Jumps) {
    let ask = |what: &str, queries: Vec<Query>| {
        let begin = clock();
        queries.iter().for_each(|query| drop(black_box(store.ask(query))));
        report(what, (clock() - begin) as f64 / queries.len().max(1) as f64);
    };
    let one = |key| Query::Range(Range::of(Keys::One(key)));
    ask("get", keys.take(500_000).map(one).collect());
    let old = store.revision() - 50_000;
    let then = |key| Query::Range(Range { revision: old, ..Range::of(Keys::One(key)) });
    ask("get, 50,000 revisions ago", keys.take(500_000).map(then).collect());
    let hundred = |key| Query::Range(Range { limit: 100, ..Range::of(Keys::From(key)) });
    ask("range of 100", keys.take(20_000).map(hundred).collect());
}

fn snapshots(store: &Store) -> Outcome<()> {
    let snapshot = snapshot(store);
    let mut bytes = Vec::new();
    let begin = clock();
    for part in 0..snapshot.parts().len() {
        snapshot.write(part, &mut bytes)?;
    }
    report_once(&format!("writing it, {} MB", bytes.len() / 1_000_000), clock() - begin);
    let begin = clock();
    Store::default().restore(&mut &bytes[..])?;
    report_once("restoring it", clock() - begin);
    Ok(())
}

/// What a key takes, key and value included, as the allocator was asked for it.
fn memory() {
    const COUNT: u64 = 200_000;
    let commands = puts(&mut Jumps { next: 0, count: COUNT }, COUNT);
    let mut store = Store::default();
    let used = allocation_counter::measure(|| {
        black_box(time(&mut store, &commands));
    });
    println!("{:>28} {:>8} B", "a key takes", used.bytes_current / COUNT as i64);
    let allocations = used.count_total as f64 / COUNT as f64;
    println!("{:>28} {allocations:>8.1} times", "a put allocates");
}
