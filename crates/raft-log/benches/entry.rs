//! Entries as bytes, and the log buffer: `cargo bench -p raft-log --bench entry`.
//!
//! - `encode`, `decode`: 64 entries of that payload in one piece, checksums included.
//! - `buffer`: what a leader's buffer does for a batch: appended, sliced for two peers and the disk,
//!   let go when 64 MiB are held.

#![allow(missing_docs, reason = "a benchmark has no users")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use raft_core::{Index, Term};
use raft_log::{Kind, LogBuffer, decode_entries};

const BATCH: u64 = 64;
const HELD_BYTES: u64 = 64 << 20;

/// Appends as many commands; tells the first and the last.
fn append(buffer: &mut LogBuffer, count: u64, payload: &[u8]) -> (Index, Index) {
    let first = buffer.next();
    for _ in 0..count {
        buffer.append(Term(1), Kind::COMMAND, &[payload]);
    }
    (first, Index(first.0 + count - 1))
}

fn encode(payload: &[u8]) -> Bytes {
    let mut buffer = LogBuffer::new(Index(1));
    let (first, last) = append(&mut buffer, BATCH, payload);
    buffer.slice(first, last).expect("just appended").remove(0)
}

fn entries(criterion: &mut Criterion) {
    for bytes in [0, 256, 4096] {
        let payload = vec![7; bytes];
        let mut group = criterion.benchmark_group(format!("entries of {bytes} B"));
        group.throughput(Throughput::Elements(BATCH));
        group.bench_function("encode", |bencher| bencher.iter(|| encode(black_box(&payload))));
        let encoded = encode(&payload);
        group.bench_function("decode", |bencher| {
            bencher.iter(|| decode_entries(black_box(&encoded)).expect("as encoded"));
        });
        group.finish();
    }
}

fn buffer(criterion: &mut Criterion) {
    let payload = [7; 256];
    let mut group = criterion.benchmark_group("buffer");
    for batch in [1, 64, 1024] {
        group.throughput(Throughput::Elements(batch));
        group.bench_with_input(BenchmarkId::from_parameter(batch), &batch, |bencher, &batch| {
            let mut buffer = LogBuffer::new(Index(1));
            bencher.iter(|| {
                let (first, last) = append(&mut buffer, batch, &payload);
                for _ in ["one peer", "the other", "the disk"] {
                    black_box(buffer.slice(first, last));
                }
                if buffer.bytes() > HELD_BYTES {
                    buffer.evict_below(Index(buffer.first().0 + batch));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, entries, buffer);
criterion_main!(benches);
