//! The wire format: bytes that must never change, round trips, and bytes from strangers.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p raft-node --test wire` writes the golden bytes anew; the
//! difference is what a running cluster of another version would have to understand.
#![allow(missing_docs)]

mod samples;
mod strangers;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bytes::{BufMut, Bytes};
use raft_core::{AppendEntries, EntryKind, EntryMeta, Index, LogId, Message, Term};
use raft_node::wire::{
    Frame, Kind, PeerContent, PeerMessage, decode_membership, encode_membership, encode_message,
};
use samples::{ENTRY, all_frames, bytes_of, decode, decoder, demoting, membership, replacing};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire_golden.txt");

#[test]
fn the_bytes_never_change() {
    let mut found = String::new();
    for (name, frame) in all_frames() {
        writeln!(found, "{name}: {}", hex(&bytes_of(&frame))).expect("a string takes all");
    }
    for whole in [membership(), replacing(), demoting()] {
        writeln!(found, "membership: {}", hex(&encode_membership(&whole))).expect("as above");
    }
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(GOLDEN, &found).expect("the golden file is written");
    }
    let golden = std::fs::read_to_string(GOLDEN).expect("the golden file is read");
    for (found, golden) in found.lines().zip(golden.lines()) {
        assert_eq!(found, golden);
    }
    assert_eq!(found.lines().count(), golden.lines().count());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[test]
fn every_kind_is_among_the_golden_frames() {
    let kinds: BTreeSet<Kind> = all_frames()
        .iter()
        .filter_map(|(_, frame)| {
            let mut decoder = decoder();
            decoder.buffer().put_slice(&bytes_of(frame));
            Some(decoder.next_frame().ok()??.kind)
        })
        .collect();
    assert_eq!(kinds, Kind::ALL.into());
}

#[test]
fn what_is_sent_arrives() {
    for (name, frame) in all_frames() {
        assert_eq!(decode(&bytes_of(&frame)), Ok(Some(frame)), "{name}");
    }
    for whole in [membership(), replacing(), demoting()] {
        assert_eq!(decode_membership(&encode_membership(&whole)), Ok(whole));
    }
}

#[test]
fn frames_arrive_in_pieces_of_any_size() {
    let frames: Vec<Frame> = all_frames().into_iter().map(|(_, frame)| frame).collect();
    let stream: Vec<u8> = frames.iter().flat_map(|frame| bytes_of(frame).to_vec()).collect();
    for size in [1, 2, 23, 24, 25, 1000, stream.len()] {
        let mut decoder = decoder();
        let mut arrived = Vec::new();
        for piece in stream.chunks(size) {
            decoder.buffer().put_slice(piece);
            while let Some(raw) = decoder.next_frame().expect("a frame") {
                arrived.push(raw.decode().expect("a frame"));
            }
        }
        assert_eq!(arrived, frames);
    }
}

#[test]
fn entries_are_neither_copied_to_be_sent_nor_when_they_arrive() {
    let meta = EntryMeta { term: Term(3), size: 32, kind: EntryKind::Command };
    let message = Message::AppendEntries(AppendEntries {
        term: Term(3),
        prev_log_id: LogId::new(5, 2),
        entries: vec![meta.clone(), meta.clone()],
        commit_index: Index(4),
        round: 0,
    });
    let slices = [Bytes::from(ENTRY.to_vec()), Bytes::from(ENTRY.to_vec())];
    let encoded = encode_message(&message, &slices, 77);
    let sent: Vec<*const u8> = encoded.trailer.iter().map(|slice| slice.as_ptr()).collect();
    assert_eq!(sent, slices.each_ref().map(|slice| slice.as_ptr()));
    assert_eq!(encoded.byte_count(), encoded.head.len() + 64);

    let mut decoder = decoder();
    encoded.slices().for_each(|slice| decoder.buffer().put_slice(slice));
    let arrived = decoder.buffer()[encoded.head.len()..].as_ptr();
    let raw = decoder.next_frame().expect("a frame").expect("all of it");
    assert_eq!(raw.trailer.as_ptr(), arrived);
    let Ok(Frame::Message(PeerMessage { free_log_bytes: 77, content })) = raw.decode() else {
        panic!("another frame");
    };
    let PeerContent::Append(head, entries) = content else { panic!("another message") };
    assert_eq!(entries.as_ptr(), arrived);
    assert!(head.with_entries(vec![meta.clone()]).is_err());
    assert_eq!(head.with_entries(vec![meta.clone(), meta]), Ok(message));
}
