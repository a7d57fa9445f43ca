//! What both benchmarks measure with.

use std::fs;
use std::hint::black_box;

use bytes::Bytes;
use raft_node::{Apply, Command, LogId, Snapshot};
use raft_store::Store;

/// The nanoseconds that this thread has run: what else the machine does matters less then.
pub(crate) fn clock() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Applies one command.
pub(crate) fn apply(store: &mut Store, bytes: &Bytes) {
    black_box(store.apply(Command { at: LogId::new(1, 1), bytes, lines_wanted: false }));
}

/// Takes a snapshot, and says what that costs the thread that applies. The clock ticks in
/// milliseconds, and so it is taken many times.
pub(crate) fn snapshot(store: &Store) -> Box<dyn Snapshot> {
    const TIMES: u64 = 200_000;
    let begin = clock();
    (0..TIMES).for_each(|_| drop(black_box(store.snapshot())));
    report("taking a snapshot", (clock() - begin) as f64 / TIMES as f64);
    store.snapshot()
}

/// One line of the table, for what is done once for each of many.
pub(crate) fn report(what: &str, nanoseconds: f64) {
    println!("{what:>28} {nanoseconds:>8.0} ns");
}

/// One line for what is done once.
pub(crate) fn report_once(what: &str, nanoseconds: u64) {
    println!("{what:>28} {:>8.1} ms", nanoseconds as f64 / 1e6);
}
