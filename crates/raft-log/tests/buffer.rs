//! The buffer against a vector.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use bytes::{Bytes, BytesMut};
use raft_core::{Index, Term};
use raft_log::{Entry, Kind, LogBuffer, decode_entries, encode_entry, encoded_len};
use support::Random;

fn encoded(entries: &[Entry]) -> Vec<u8> {
    entries
        .iter()
        .flat_map(|e| encode_entry(e.index, e.term, e.kind, &[&e.payload]).to_vec())
        .collect()
}

fn entry(random: &mut Random, index: u64) -> Entry {
    let size = if random.chance(30) { 40_000 } else { 300 };
    let payload =
        vec![u8::try_from(index % 256).unwrap(); usize::try_from(random.below(size)).unwrap()];
    Entry {
        index: Index(index),
        term: Term(index / 50),
        kind: Kind::COMMAND,
        flags: 0,
        payload: payload.into(),
    }
}

#[test]
fn the_buffer_is_its_twin() {
    for seed in 1..=8 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let mut first = 1 + random.below(100);
        let mut twin: Vec<Entry> = Vec::new();
        let mut buffer = LogBuffer::new(Index(first));
        let mut taken: Vec<(Vec<Bytes>, Vec<u8>)> = Vec::new();
        for _ in 0..300 {
            let next = first + twin.len() as u64;
            match random.below(12) {
                0..=5 => {
                    let entry = entry(&mut random, next);
                    let half = entry.payload.len() / 2;
                    let parts = [&entry.payload[..half], &entry.payload[half..]];
                    assert_eq!(buffer.append(entry.term, entry.kind, &parts), Index(next));
                    twin.push(entry);
                }
                6..=7 => {
                    let count = random.below(20);
                    let made: Vec<Entry> =
                        (next..next + count).map(|index| entry(&mut random, index)).collect();
                    let bytes = Bytes::from(encoded(&made));
                    buffer.append_encoded(&decode_entries(&bytes).unwrap(), bytes);
                    twin.extend(made);
                }
                8 if random.chance(3) => {
                    let from = first + random.below(twin.len() as u64 + 2);
                    buffer.truncate_from(Index(from));
                    twin.truncate(usize::try_from(from - first).unwrap());
                }
                9 if random.chance(2) => {
                    let below = (first + random.below(twin.len() as u64 / 2 + 1)).min(next);
                    buffer.evict_below(Index(below));
                    twin.drain(..usize::try_from(below - first).unwrap());
                    first = below;
                }
                _ => {
                    let from = first + random.below(twin.len() as u64 + 1);
                    let to = from + random.below(twin.len() as u64);
                    let place = |index: u64| usize::try_from(index - first).unwrap();
                    let expected = twin.get(place(from)..=place(to)).map(encoded);
                    let slices = buffer.slice(Index(from), Index(to));
                    let found = slices.as_ref().map(|slices| slices.concat());
                    assert_eq!(found, expected);
                    taken.extend(slices.zip(expected));
                    let read: Vec<_> = buffer.read(Index(from), Index(to)).collect();
                    let held = twin.get(place(from)..).unwrap_or_default();
                    assert!(held.starts_with(&read) && read.len() as u64 <= to + 1 - from);
                    assert_eq!(read.is_empty(), held.is_empty());
                }
            }
            assert_eq!(buffer.first(), Index(first));
            assert_eq!(buffer.next(), Index(first + twin.len() as u64));
            let bytes: usize = twin.iter().map(|e| encoded_len(e.payload.len())).sum();
            assert_eq!(buffer.bytes(), bytes as u64);
            let probe = first + random.below(twin.len() as u64 + 1);
            let expected = twin.get(usize::try_from(probe - first).unwrap());
            assert_eq!(buffer.get(Index(probe)).as_ref(), expected);
        }
        assert_eq!(buffer.get(Index(first - 1)), None);
        for (slices, expected) in taken {
            assert_eq!(slices.concat(), expected, "what was sliced once never changes");
        }
    }
}

#[test]
fn a_batch_is_one_slice_and_small_ones_are_joined() {
    let mut buffer = LogBuffer::new(Index(1));
    for _ in 0..100 {
        buffer.append(Term(1), Kind::COMMAND, &[b"0123456789"]);
    }
    assert_eq!(buffer.slice(Index(1), Index(100)).unwrap().len(), 1);
    for index in 101..=5000 {
        buffer.append(Term(1), Kind::COMMAND, &[b"0123456789"]);
        buffer.slice(Index(index), Index(index)).unwrap();
    }
    let slices = buffer.slice(Index(1), Index(3000)).unwrap();
    assert!(slices.len() < 5, "{} slices for 3000 entries", slices.len());
    assert_eq!(buffer.slice(Index(5), Index(4)), Some(Vec::new()));
}

#[test]
fn a_small_piece_does_not_keep_a_large_frame_alive() {
    let mut buffer = LogBuffer::new(Index(1));
    let mut first = None;
    for index in 1..=3000 {
        let mut frame = BytesMut::zeroed(20_000);
        frame.clear();
        frame.extend_from_slice(&encode_entry(Index(index), Term(1), Kind::COMMAND, &[b"x"]));
        let bytes = frame.freeze();
        first.get_or_insert_with(|| bytes.clone());
        let entries = decode_entries(&bytes).unwrap();
        buffer.append_encoded(&entries, bytes);
    }
    assert!(first.unwrap().is_unique(), "the buffer still holds on to the first frame");
    let slices = buffer.slice(Index(1), Index(1600)).unwrap();
    assert!(slices.len() < 3, "{} slices", slices.len());
}
