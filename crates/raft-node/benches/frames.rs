//! Frames as bytes: `cargo bench -p raft-node --bench frames`.
//!
//! Encoded, and taken apart again from a buffer that a socket filled: an `AppendEntries` with
//! entries of 256 B, which are not looked at here, and a client's write of as many bytes.

#![allow(missing_docs, reason = "a benchmark has no users")]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use raft_core::{AppendEntries, EntryKind, EntryMeta, Index, LogId, Message, Term};
use raft_log::{Kind, LogBuffer, encoded_len};
use raft_node::protocol::Request;
use raft_node::wire::{Decoder, Encoded, Frame, encode_message};

const PAYLOAD: [u8; 256] = [7; 256];
const FRAME_BYTES_MAX: usize = 16 << 20;

fn bytes_of(frame: &Encoded) -> Vec<u8> {
    frame.slices().flat_map(|slice| slice.iter().copied()).collect()
}

fn decode(from: &[u8]) -> Frame {
    let mut decoder = Decoder::new();
    decoder.set_frame_bytes_max(FRAME_BYTES_MAX);
    *decoder.buffer() = BytesMut::from(from);
    let raw = decoder.next_frame().expect("it is one").expect("all of it");
    raw.decode().expect("it means something")
}

fn append(count: u64) -> (Message, Vec<Bytes>) {
    let mut buffer = LogBuffer::new(Index(1));
    for _ in 0..count {
        buffer.append(Term(1), Kind::COMMAND, &[&PAYLOAD]);
    }
    let size = encoded_len(PAYLOAD.len()) as u32;
    let entry = EntryMeta { term: Term(1), size, kind: EntryKind::Command };
    let append = AppendEntries {
        term: Term(1),
        prev_log_id: LogId::default(),
        entries: vec![entry; count as usize],
        commit_index: Index(0),
        round: 0,
    };
    let bytes = buffer.slice(Index(1), Index(count)).expect("just appended");
    (Message::AppendEntries(append), bytes)
}

fn appends(criterion: &mut Criterion) {
    for count in [1, 64, 1024] {
        let (message, entries) = append(count);
        let mut group = criterion.benchmark_group(format!("append of {count}"));
        let encode = || encode_message(&message, &entries, 1 << 30);
        group.bench_function("encode", |bencher| bencher.iter(|| black_box(encode())));
        let bytes = bytes_of(&encode());
        group.bench_function("decode", |bencher| bencher.iter(|| decode(black_box(&bytes))));
        group.finish();
    }
}

fn requests(criterion: &mut Criterion) {
    let request = Request::Write {
        session: 1_000_000,
        sequence: 1_000,
        lowest_unacknowledged: 1_000,
        command: Bytes::from_static(&PAYLOAD),
    };
    let frame = Frame::Request { id: 1_000, request };
    let mut group = criterion.benchmark_group("request");
    group.bench_function(BenchmarkId::new("encode", "write"), |bencher| {
        bencher.iter(|| black_box(frame.encode()));
    });
    let bytes = bytes_of(&frame.encode());
    group.bench_function(BenchmarkId::new("decode", "write"), |bencher| {
        bencher.iter(|| decode(black_box(&bytes)));
    });
    group.finish();
}

criterion_group!(benches, appends, requests);
criterion_main!(benches);
