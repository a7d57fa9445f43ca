//! One target for each thing that frames say. An input is the length of the body (two bytes), the
//! body, and what follows it; the header is not part of it, so that no checksum stands in the way.

use bytes::{BufMut, Bytes};
use raft_core::{EntryKind, EntryMeta, Index, Message, Term};
use raft_log::{Kind as LogKind, decode_entries, encode_entry};
use raft_node::protocol::Answer;
use raft_node::wire::{
    BODY_BYTES_MAX, Decoder, FRAME_BYTES_MAX, Frame, HEADER_BYTES, Kind, PeerContent, RawFrame,
};

use crate::harness::{Cap, Named, Target, Verdict, fuzz, within};
use crate::named;

/// Bytes of a body are no larger than 64 KiB; what they become in memory is bounded by this.
const CAP: Cap = Cap { base: 4096, each: 256 };

/// Parts of protobuf: tags, lengths that lie, numbers without end, groups in groups.
const WORDS: &[&[u8]] = &[
    b"\x08\x01",
    b"\x0a\0",
    b"\x12\0",
    b"\x1a\0",
    b"\x22\0",
    b"\x2a\0",
    b"\x32\0",
    b"\x3a\0",
    b"\x52\0",
    b"\x0a\x10",
    b"\x0a\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\x0b",
    b"\x0c",
    b"\x0d\0\0\0\0",
    b"\x09\0\0\0\0\0\0\0\0",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xa2\x01\x00",
    b"\xf8\xff\xff\xff\x0f\x01",
    b"\0",
    b"\x07",
    &[0; 16],
];

/// The frames that are kept as golden bytes: what today's code says, header and all.
pub(crate) fn golden() -> Vec<Named> {
    let text = include_str!("../wire_golden.txt");
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    lines
        .filter(|(name, _)| *name != "membership")
        .map(|(name, hex)| named(name, unhex(hex)))
        .collect()
}

/// One of them.
pub(crate) fn kept(name: &str) -> Vec<u8> {
    let text = include_str!("../wire_golden.txt");
    let mut lines = text.lines().filter_map(|line| line.split_once(": "));
    unhex(lines.find(|(found, _)| *found == name).expect("it is among them").1)
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).expect("digits"));
    digits.map(|two| u8::from_str_radix(two, 16).expect("digits")).collect()
}

/// Right checksums for as many frames as there are.
pub(crate) fn reseal(mut bytes: &mut [u8]) {
    while let Some(head) = bytes.first_chunk::<HEADER_BYTES>() {
        let number = |at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (length, body) = (number(0) as usize, number(20) as usize);
        let Some(checked) = bytes.get(..HEADER_BYTES + body) else { return };
        let crc = crc32c::crc32c_append(crc32c::crc32c(&checked[..16]), &checked[20..]);
        bytes[16..20].copy_from_slice(&crc.to_le_bytes());
        let next = (HEADER_BYTES + length).min(bytes.len());
        bytes = &mut bytes[next..];
    }
}

/// A frame without its header, as the targets take it.
fn stripped(frame: &[u8]) -> Vec<u8> {
    let body = u16::from_le_bytes([frame[20], frame[21]]);
    [&body.to_le_bytes(), &frame[HEADER_BYTES..]].concat()
}

/// A body without anything behind it.
fn body(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a short body");
    [&length.to_le_bytes(), bytes].concat()
}

/// Decodes a frame of this kind, says it again, and decodes that.
fn frame(kind: Kind, input: &[u8]) -> Verdict {
    let (length, rest) = input.split_at(input.len().min(2));
    let length = length.try_into().map_or(0, u16::from_le_bytes);
    let rest = Bytes::copy_from_slice(rest);
    let body = rest.slice(..usize::from(length).min(rest.len()));
    let trailer = rest.slice(body.len()..);
    let raw = RawFrame { kind, group: 0, body, trailer };
    let decoded = within(CAP, input.len(), || raw.decode()).map_err(|error| {
        let said = error.to_string();
        assert!(said.len() < 300, "{said}");
        said
    })?;
    let encoded = decoded.encode();
    let mut decoder = Decoder::new();
    decoder.set_frame_bytes_max(FRAME_BYTES_MAX);
    encoded.slices().for_each(|slice| decoder.buffer().extend_from_slice(slice));
    let raw = decoder.next_frame().expect("a frame of ours").expect("all of it");
    assert_eq!(raw.decode().as_ref(), Ok(&decoded));
    assert_eq!(decoded.encode(), encoded, "one meaning, one form");
    let words = format!("{decoded:?}");
    if let Frame::Message(message) = decoded
        && let PeerContent::Append(head, bytes) = message.content
    {
        let entries = within(CAP, input.len(), || decode_entries(&bytes));
        let entries = entries.map_err(|error| error.to_string())?;
        let meta = |entry: &raft_log::Entry| EntryMeta {
            term: entry.term,
            size: u32::try_from(entry.payload.len()).expect("it was in a frame"),
            kind: EntryKind::Command,
        };
        let whole = head.with_entries(entries.iter().map(meta).collect());
        let whole = whole.map_err(|error| error.to_string())?;
        assert!(matches!(whole, Message::AppendEntries(_)));
    }
    Ok(words.split_inclusive(['(', '{']).take(4).collect())
}

/// Golden frames of this kind that say what is wanted, and bodies that hurt.
fn made(kind: Kind, wanted: fn(&Frame) -> bool) -> Vec<Named> {
    let golden = golden().into_iter().filter(|(_, bytes)| bytes[4] == kind as u8);
    let mut made: Vec<Named> = golden
        .map(|(name, bytes)| (name, stripped(&bytes)))
        .filter(|(_, input)| frame_of(kind, input).is_some_and(|frame| wanted(&frame)))
        .collect();
    assert!(!made.is_empty(), "no golden {kind}");
    let first = made[0].1.clone();
    let length = usize::from(u16::from_le_bytes([first[0], first[1]]));
    let first = &first[2..2 + length];
    made.push(named("no body", body(&[])));
    made.push(named("every field twice", body(&[first, first].concat())));
    made.push(named("bytes behind the body", [body(first), vec![0; 32]].concat()));
    made.push(named("groups in groups", body(&[0x0b; 500])));
    made.push(named("a group that ends elsewhere", body(&[0x0b, 0x14])));
    made.push(named("field zero", body(&[0, 0])));
    for field in 1..8 {
        let with = |kind: u8, rest: &[u8]| body(&[&[field << 3 | kind], rest].concat());
        made.push(named("a length that lies", with(2, &[0xff, 0xff, 0xff, 0xff, 0x0f])));
        made.push(named("a number without end", with(0, &[0xff; 11])));
        made.push(named("the largest number", with(0, &[&[0xff; 9][..], &[1]].concat())));
        made.push(named("no text", with(2, &[2, 0xff, 0xfe])));
    }
    made
}

fn frame_of(kind: Kind, input: &[u8]) -> Option<Frame> {
    let length = usize::from(u16::from_le_bytes([input[0], input[1]]));
    let body = Bytes::copy_from_slice(&input[2..2 + length]);
    let trailer = Bytes::copy_from_slice(&input[2 + length..]);
    RawFrame { kind, group: 0, body, trailer }.decode().ok()
}

/// A target: its name, the kind of its frames, and which of the golden ones it begins with.
macro_rules! targets {
    ($($name:ident, $kind:ident, $wanted:expr;)+) => {$(
        #[test]
        fn $name() {
            let target = Target {
                name: stringify!($name),
                words: WORDS,
                bytes_max: BODY_BYTES_MAX,
                runs: 20_000,
                check: |input| frame(Kind::$kind, input),
            };
            fuzz(&target, || made(Kind::$kind, $wanted));
        }
    )+};
}

targets! {
    hello, Hello, |_| true;
    welcome, Welcome, |_| true;
    refused, Refused, |_| true;
    founding, Founding, |_| true;
    admit, Admit, |_| true;
    request_vote, Message, |frame| is(frame, |m| matches!(m, Message::PreVote(_) | Message::RequestVote(_)));
    vote_response, Message, |frame| {
        is(frame, |m| matches!(m, Message::PreVoteResponse(_) | Message::RequestVoteResponse(_)))
    };
    append_response, Message, |frame| is(frame, |m| matches!(m, Message::AppendEntriesResponse(_)));
    timeout_now, Message, |frame| is(frame, |m| matches!(m, Message::TimeoutNow { .. }));
    read_index, Message, |frame| {
        is(frame, |m| matches!(m, Message::ReadIndex(_) | Message::ReadIndexResponse(_)))
    };
    request, Request, |_| true;
    forward, Forward, |_| true;
    reply, Reply, |frame| !answers(frame, |answer| matches!(answer, Answer::Refused(_)));
    forward_reply, ForwardReply, |_| true;
    refusal, Reply, |frame| answers(frame, |answer| matches!(answer, Answer::Refused(_)));
    members_view, Reply, |frame| answers(frame, |answer| matches!(answer, Answer::Members(_)));
    status_view, Reply, |frame| answers(frame, |answer| matches!(answer, Answer::Status(_)));
    recent_view, Reply, |frame| answers(frame, |answer| matches!(answer, Answer::Recent(_)));
    testimony, Reply, |frame| answers(frame, |answer| matches!(answer, Answer::Why(_)));
    ping, Ping, |_| true;
}

fn is(frame: &Frame, wanted: impl Fn(&Message) -> bool) -> bool {
    let Frame::Message(message) = frame else { return false };
    matches!(&message.content, PeerContent::Whole(message) if wanted(message))
}

fn answers(frame: &Frame, wanted: impl Fn(&Answer) -> bool) -> bool {
    matches!(frame, Frame::Reply { reply, .. } if wanted(&reply.answer))
}

#[test]
fn append_entries() {
    let target = Target {
        name: "append_entries",
        words: WORDS,
        bytes_max: BODY_BYTES_MAX,
        runs: 40_000,
        check: |input| frame(Kind::Message, input),
    };
    fuzz(&target, || {
        let mut all = made(
            Kind::Message,
            |frame| matches!(frame, Frame::Message(message) if matches!(message.content, PeerContent::Append(..))),
        );
        let entry =
            |index, term| encode_entry(Index(index), Term(term), LogKind::COMMAND, &[b"beer"]);
        for (what, index, term, count) in [
            ("entries", 6, 3, 2_u64),
            ("entries with a gap", 60, 3, 2),
            ("entries without a successor", u64::MAX - 1, 3, 1),
            ("a term beyond all counting", 6, u64::MAX, 1),
            ("more than it says", 6, 3, 1),
            ("fewer than it says", 6, 3, 3),
            ("count without end", 6, 3, u64::from(u32::MAX)),
        ] {
            let trailer = [entry(index, term), entry(index.wrapping_add(1), term)].concat();
            // term 3, prev 5@2, commit 4, count, bytes
            let mut append = b"\x08\x03\x12\x04\x08\x05\x10\x02\x18\x04\x20".to_vec();
            put_varint(&mut append, count);
            append.put_u8(0x28);
            put_varint(&mut append, trailer.len() as u64);
            let message =
                [&[0x32, u8::try_from(append.len()).expect("short")][..], &append].concat();
            all.push(named(what, [body(&message), trailer].concat()));
        }
        all
    });
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.put_u8(value as u8);
}

/// Bodies as large as any, of the smallest parts that a list can have: what prost makes of them
/// stays below the cap.
#[test]
fn lists_without_end() {
    // The kind, the tags down to the list, and an element.
    let lists: [(Kind, &[u8], &[u8]); 9] = [
        (Kind::Reply, &[0x5a], b"\x1a\0"),
        (Kind::Reply, &[0x5a], b"\x12\0"),
        (Kind::Reply, &[0x4a], b"\x72\0"),
        (Kind::Reply, &[0x32], b"\x22\0"),
        (Kind::Reply, &[0x4a, 0x6a], b"\xc2\x01\0"),
        (Kind::Reply, &[0x4a, 0x6a], b"\x98\x01\0"),
        (Kind::Founding, &[0x1a], b"\x1a\0"),
        (Kind::Founding, &[0x22], b"\x12\0"),
        (Kind::Admit, &[], b"\x2a\0"),
    ];
    for (kind, path, element) in lists {
        let mut bytes: Vec<u8> = element
            .iter()
            .copied()
            .cycle()
            .take((BODY_BYTES_MAX - 40) / element.len() * element.len())
            .collect();
        for tag in path.iter().rev() {
            let mut outer = vec![*tag];
            put_varint(&mut outer, bytes.len() as u64);
            bytes = [outer, bytes].concat();
        }
        let raw = RawFrame { kind, group: 0, body: bytes.into(), trailer: Bytes::new() };
        let length = raw.body.len();
        drop(within(CAP, length, || raw.decode()));
    }
}
