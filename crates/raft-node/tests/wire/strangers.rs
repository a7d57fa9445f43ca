//! Bytes that are damaged, newer, or of no program at all.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes};
use raft_core::{AppendResult, Index, LogId, Membership, Message, NodeId, Term, VoteRefusal};
use raft_node::protocol::{Reason, Refusal, Reply, Request};
use raft_node::random::Random;
use raft_node::wire::{
    BODY_BYTES_MAX, Decoder, Frame, FrameError, HEADER_BYTES, HELLO_BYTES_MAX, Kind,
    MEMBERSHIP_BYTES_MAX, WireError, decode_membership, encode_membership,
};

use crate::samples::{
    all_frames, append_response, bytes_of, decode, membership, vote_refused, whole,
};

/// A frame with a right checksum and whatever header.
fn forged(kind: u8, flags: u8, group: u64, body: &[u8], trailer: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    head.put_u32_le((body.len() + trailer.len()) as u32);
    head.put_u8(kind);
    head.put_u8(flags);
    head.put_u16_le(0);
    head.put_u64_le(group);
    let crc = crc32c::crc32c(&head);
    let mut rest = Vec::new();
    rest.put_u32_le(body.len() as u32);
    rest.put_slice(body);
    head.put_u32_le(crc32c::crc32c_append(crc, &rest));
    [head, rest, trailer.to_vec()].concat()
}

#[test]
fn lengths_are_checked_before_anything_is_allocated() {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&(HELLO_BYTES_MAX as u32 + 1).to_le_bytes());
    let mut stranger = Decoder::new();
    stranger.buffer().put_slice(&header);
    assert!(matches!(
        stranger.next_frame(),
        Err(FrameError::TooLong { limit: HELLO_BYTES_MAX, .. })
    ));
    assert!(stranger.buffer().capacity() < HELLO_BYTES_MAX);

    header[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(decode(&header), Err(WireError::Frame(FrameError::TooLong { .. }))));
    header[..4].copy_from_slice(&9_u32.to_le_bytes());
    header[20..].copy_from_slice(&10_u32.to_le_bytes());
    assert!(matches!(decode(&header), Err(WireError::Frame(FrameError::BodyTooLong { .. }))));
    let long = BODY_BYTES_MAX as u32 + 1;
    header[..4].copy_from_slice(&long.to_le_bytes());
    header[20..].copy_from_slice(&long.to_le_bytes());
    assert!(matches!(decode(&header), Err(WireError::Frame(FrameError::BodyTooLong { .. }))));
}

#[test]
fn a_changed_bit_of_header_or_body_is_found() {
    for (name, frame) in all_frames() {
        let bytes = bytes_of(&frame);
        for bit in 0..frame.encode().head.len() * 8 {
            let mut damaged = bytes.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(decode(&damaged), Ok(Some(_))), "{name}, bit {bit}");
        }
    }
}

#[test]
fn a_changed_bit_of_a_command_is_found() {
    let command = Bytes::from_static(b"beer");
    let request = Request::Write { session: 7, sequence: 1, lowest_unacknowledged: 1, command };
    let bytes = bytes_of(&Frame::Request { id: 1, request });
    for bit in 0..32 {
        let mut damaged = bytes.to_vec();
        let at = damaged.len() - 1 - bit / 8;
        damaged[at] ^= 1 << (bit % 8);
        let invalid = WireError::Invalid {
            kind: Kind::Request,
            what: "a command that was damaged on the way",
        };
        assert_eq!(decode(&damaged), Err(invalid));
    }
}

#[test]
fn a_newer_program_is_told_from_damage() {
    let unsupported = |what, value| Err(WireError::Frame(FrameError::Unsupported { what, value }));
    assert_eq!(decode(&forged(17, 0, 0, &[], &[])), unsupported("kind", 17));
    assert_eq!(decode(&forged(11, 1, 0, &[], &[])), unsupported("flags", 1));
    assert_eq!(decode(&forged(11, 0, 7, &[], &[])), unsupported("group", 7));
    // An empty body: a variant of a newer program, for this one no variant at all.
    for (kind, what) in
        [(4, "a founder's view"), (6, "a message"), (7, "a request"), (8, "an answer")]
    {
        match decode(&forged(kind, 0, 0, &[], &[])) {
            Err(WireError::Unsupported { what: found, .. }) => assert_eq!(found, what),
            other => panic!("{kind}: {other:?}"),
        }
    }
    // A reason that is not known keeps its words and its outcome (field 1: 1, field 2: "why"),
    // inside of answer 10.
    let reply = [0x52, 7, 0x08, 1, 0x12, 3, b'w', b'h', b'y'];
    let answer = Refusal::not_applied(Reason::Invalid("why".into())).into();
    let expected = Frame::Reply { id: 0, reply: Reply { answer, forwarded_to: None } };
    assert_eq!(decode(&forged(8, 0, 0, &reply, &[])), Ok(Some(expected)));
    // A vote that is not granted in so many words is none (message 5, term 3).
    let response = [0x2a, 2, 0x08, 3];
    assert!(matches!(
        decode(&forged(6, 0, 0, &response, &[])),
        Err(WireError::Unsupported { what: "a reason to refuse a vote", .. })
    ));
    // A field that is not known is skipped (field 15 of a ping).
    let ping = [0x09, 5, 0, 0, 0, 0, 0, 0, 0, 0x78, 1];
    assert_eq!(decode(&forged(11, 0, 0, &ping, &[])), Ok(Some(Frame::Ping { nonce: 5 })));
}

#[test]
fn numbers_that_cannot_be_counted_on_are_refused() {
    for frame in [
        whole(Message::TimeoutNow { term: Term(u64::MAX) }),
        append_response(AppendResult::Match(Index(1 << 62))),
        append_response(AppendResult::Conflict { prev_index: Index(1), hint: LogId::new(0, 1) }),
        vote_refused(VoteRefusal::LeaderAlive { leader: NodeId(0) }),
    ] {
        assert!(matches!(decode(&bytes_of(&frame)), Err(WireError::Invalid { .. })), "{frame:?}");
    }
}

#[test]
fn configurations_that_no_cluster_can_have_are_refused() {
    let refused = |change: &dyn Fn(&mut Membership)| {
        let mut membership = membership();
        change(&mut membership);
        decode_membership(&encode_membership(&membership)).expect_err("no configuration")
    };
    refused(&|m| m.voters.clear());
    refused(&|m| m.old_voters = Some(BTreeSet::new()));
    refused(&|m| m.voters.extend([NodeId(77)]));
    refused(&|m| m.founders = u64::MAX);
    refused(&|m| m.outcomes = vec![m.outcomes[0].clone(); 65]);
    let version = Bytes::from_static(&[2]);
    assert_eq!(
        decode_membership(&version).expect_err("a newer version").to_string(),
        "a configuration entry of version 2 is not known to this version of the program; \
         upgrade it"
    );
    assert!(decode_membership(&Bytes::new()).is_err());
    assert!(decode_membership(&Bytes::from(vec![1; MEMBERSHIP_BYTES_MAX + 1])).is_err());
}

#[test]
fn bytes_from_strangers_are_refused_in_peace() {
    let frames: Vec<Bytes> = all_frames().iter().map(|(_, frame)| bytes_of(frame)).collect();
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let mut bytes: Vec<u8> = match random.below(3) {
            // Noise, noise with a right checksum, and true frames with a changed body.
            0 => (0..random.below(200)).map(|_| random.next_u64() as u8).collect(),
            1 => {
                let body: Vec<u8> = (0..random.below(60)).map(|_| random.below(40) as u8).collect();
                let trailer = vec![1; random.below(70) as usize];
                forged(1 + random.below(12) as u8, 0, 0, &body, &trailer)
            }
            _ => {
                let frame = &frames[random.below(frames.len() as u64) as usize];
                let split = u32::from_le_bytes(frame[20..24].try_into().expect("four")) as usize;
                let (mut body, trailer) = {
                    let (body, trailer) = frame[HEADER_BYTES..].split_at(split);
                    (body.to_vec(), trailer.to_vec())
                };
                let length = body.len() as u64;
                for _ in 0..random.below(4) {
                    if let Some(byte) = body.get_mut(random.below(length) as usize) {
                        *byte = random.next_u64() as u8;
                    }
                }
                forged(frame[4], 0, 0, &body, &trailer)
            }
        };
        let mut decoder = Decoder::new();
        decoder.buffer().put_slice(&bytes);
        while let Ok(Some(raw)) = decoder.next_frame() {
            // What is understood can be said again and means the same.
            if let Ok(frame) = raw.decode() {
                assert_eq!(decode(&bytes_of(&frame)), Ok(Some(frame)), "seed {seed}");
            }
        }
        assert!(decoder.buffer().capacity() <= 2 * (HELLO_BYTES_MAX + HEADER_BYTES), "seed {seed}");
        bytes.insert(0, 1);
        if let Ok(membership) = decode_membership(&Bytes::from(bytes)) {
            let again = decode_membership(&encode_membership(&membership));
            assert_eq!(again, Ok(membership), "seed {seed}");
        }
    }
}
