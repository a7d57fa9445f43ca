//! The text log at ten million messages: `cargo bench -p raft-store --bench text`.
//!
//! What an append costs, how much memory a message takes beside its text, what a snapshot costs
//! the thread that applies, and how long it takes to write and to restore.
//!
//! `RAFT_BENCH_MESSAGES` names another number of messages, `RAFT_BENCH_BYTES` another length.

#![allow(clippy::print_stdout, missing_docs, reason = "a table is what a benchmark is for")]

mod support;

use std::error::Error;
use std::hint::black_box;

use raft_node::Apply;
use raft_store::{Store, message};

use support::{apply, clock, report, report_once, snapshot};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let number = |name, default| std::env::var(name).map_or(Ok(default), |text| text.parse());
    let count: u64 = number("RAFT_BENCH_MESSAGES", 10_000_000)?;
    let bytes = number("RAFT_BENCH_BYTES", 32)? as usize;
    let mut store = Store::default();
    let mut nanoseconds = 0;
    let used = allocation_counter::measure(|| nanoseconds = append(&mut store, count, bytes));
    report("append", nanoseconds as f64 / count as f64);
    beside_the_text("a message takes", used.bytes_current, &store);

    let snapshot = snapshot(&store);
    let mut written = Vec::new();
    let begin = clock();
    for part in 0..snapshot.parts().len() {
        snapshot.write(part, &mut written)?;
    }
    report_once("writing it", clock() - begin);
    let used = allocation_counter::measure(|| _ = black_box(append(&mut store, 1, bytes)));
    report("memory of the next append", used.bytes_current as f64);
    drop(snapshot);

    let mut again = Store::default();
    let begin = clock();
    let mut outcome = Ok(());
    let used = allocation_counter::measure(|| outcome = again.restore(&mut &written[..]));
    outcome?;
    report_once("restoring it", clock() - begin);
    beside_the_text("a restored message takes", used.bytes_current, &again);
    Ok(())
}

/// The nanoseconds that it took, without making the messages.
fn append(store: &mut Store, count: u64, bytes: usize) -> u64 {
    const AT_ONCE: u64 = 10_000;
    let mut nanoseconds = 0;
    for first in (0..count).step_by(AT_ONCE as usize) {
        let numbers = first..count.min(first + AT_ONCE);
        let commands: Vec<_> =
            numbers.map(|n| message(format!("{n:0bytes$}").as_bytes())).collect();
        let begin = clock();
        commands.iter().for_each(|command| apply(store, command));
        nanoseconds += clock() - begin;
    }
    nanoseconds
}

fn beside_the_text(what: &str, used: i64, store: &Store) {
    let messages = store.messages();
    let (text, count) = (messages.bytes() as f64, messages.count() as f64);
    let beside = (used as f64 - text) / count;
    println!("{what:>28} {:>8.1} B, and {beside:.1} beside them", text / count);
}
