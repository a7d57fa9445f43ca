//! What the tests of the store share: commands by chance, and the map in the most obvious way.
#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod chance;
pub mod twin;

use bytes::Bytes;
use raft_node::{Apply, LogId, Snapshot};
use raft_store::{Answer, Command, Found, Record, Store, Txn};

/// A record, taken apart: key, value, `create_revision`, `mod_revision`, version.
pub type Row = (Bytes, Bytes, u64, u64, u64);

pub fn row(record: &Record) -> Row {
    assert_eq!(record.lease(), 0);
    let of = Bytes::copy_from_slice;
    let (created, modified) = (record.create_revision(), record.mod_revision());
    (of(record.key()), of(record.value()), created, modified, record.version())
}

pub fn rows(found: &Found) -> (Vec<Row>, u64, bool) {
    (found.records.iter().map(row).collect(), found.count, found.more)
}

pub fn apply(store: &mut Store, bytes: &Bytes) -> Bytes {
    let at = LogId::new(1, 1);
    store.apply(raft_node::Command { at, bytes, lines_wanted: false }).response
}

/// Runs a transaction through bytes and back.
pub fn run(store: &mut Store, txn: Txn) -> Answer {
    let answer = apply(store, &Command::from(txn).encode());
    Answer::decode(&answer).expect("an answer")
}

pub fn written(snapshot: &dyn Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in 0..snapshot.parts().len() {
        snapshot.write(part, &mut bytes).expect("a Vec takes everything");
    }
    bytes
}

pub fn saved(store: &Store) -> Vec<u8> {
    written(&*store.snapshot())
}
