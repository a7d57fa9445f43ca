//! Bytes of any kind, taken for what comes over a connection, for what an entry says, and for
//! addresses: never a panic, never more memory than is allowed, and what is accepted can be said
//! again and means the same.
#![allow(missing_docs)]

mod frames;
#[path = "../../../raft-log/tests/fuzz/harness.rs"]
mod harness;

use std::fmt::Write as _;

use bytes::{BufMut, Bytes};
use harness::{Cap, Named, Target, Verdict, fuzz, within};
use raft_core::{Member, Membership, NodeId};
use raft_log::Kind as EntryKind;
use raft_node::payload::Payload;
use raft_node::wire::{
    BODY_BYTES_MAX, Decoder, FRAME_BYTES_MAX, Frame, FrameError, HEADER_BYTES, HELLO_BYTES_MAX,
    MEMBERSHIP_BYTES_MAX, decode_membership, encode_membership,
};
use raft_node::{Address, AddressList};

pub(crate) fn named(what: &str, bytes: impl Into<Vec<u8>>) -> Named {
    (what.into(), bytes.into())
}

/// What the decoder of a stream found: frames as text, and why there are no more.
type Found = (Vec<Frame>, Option<String>);

#[test]
fn frame_stream() {
    let target = Target {
        name: "frame_stream",
        words: &[
            &[0xff; 4],
            b"\0\0\x01\0",
            b"\x01\0\x01\0",
            b"\0\0\0\x01",
            b"\0\0\x01\x01",
            &[0; 24],
        ],
        bytes_max: 1 << 15,
        runs: 10_000,
        check: stream,
    };
    fuzz(&target, || {
        let golden: Vec<Named> = frames::golden();
        let all: Vec<u8> = golden.iter().flat_map(|(_, bytes)| bytes.clone()).take(3000).collect();
        let mut made =
            vec![named("nothing", [1, 9]), named("many frames", [vec![1, 9], all].concat())];
        for (what, bytes) in golden {
            made.push((what, [vec![1, 7], bytes].concat()));
        }
        let lengths = [
            0,
            1,
            23,
            24,
            0xffff,
            0x1_0000,
            0x1_0001,
            0x100_0000,
            0x101_0000,
            0x101_0001,
            u32::MAX,
        ];
        for length in lengths {
            for body in [0, 1, length, length.wrapping_add(1), 0x1_0000, 0x1_0001, u32::MAX] {
                for open in [1, 3] {
                    let mut head = vec![open, 5];
                    head.put_u32_le(length);
                    head.put_slice(&[11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                    head.put_u32_le(body);
                    made.push(named("lengths", head));
                }
            }
        }
        made
    });
}

/// The first byte: whether checksums are made right, and whether the hello is through. The second
/// one: how the stream is split.
fn stream(input: &[u8]) -> Verdict {
    let (head, bytes) = input.split_at(input.len().min(2));
    let (flags, split) = (head.first().unwrap_or(&0), head.get(1).unwrap_or(&1));
    let mut bytes = bytes.to_vec();
    if flags & 1 != 0 {
        frames::reseal(&mut bytes);
    }
    let limit = if flags & 2 == 0 { HELLO_BYTES_MAX } else { FRAME_BYTES_MAX };
    // A header may claim a whole frame, whose room is then made at once.
    let cap = Cap { base: 2 * limit as u64 + 4096, each: 300 };
    let whole = within(cap, bytes.len(), || decode_all(&bytes, bytes.len(), limit));
    for step in [1, usize::from(*split) + 1] {
        assert_eq!(decode_all(&bytes, step, limit), whole, "in pieces of {step}");
    }
    match whole {
        (frames, None) if frames.is_empty() && !bytes.is_empty() => {
            Err("an unfinished frame".into())
        }
        (frames, None) => Ok(format!("{:?}", frames.iter().map(Frame::kind).collect::<Vec<_>>())),
        (_, Some(error)) => Err(error),
    }
}

fn decode_all(bytes: &[u8], step: usize, limit: usize) -> Found {
    let mut decoder = Decoder::new();
    decoder.set_frame_bytes_max(limit);
    let mut frames = Vec::new();
    for piece in bytes.chunks(step.max(1)) {
        decoder.buffer().put_slice(piece);
        loop {
            match decoder.next_frame() {
                Ok(None) => break,
                Ok(Some(raw)) => match raw.decode() {
                    Ok(frame) => frames.push(frame),
                    Err(error) => return (frames, Some(error.to_string())),
                },
                Err(error) => {
                    assert_eq!(decoder.next_frame(), Err(error.clone()), "an error is for ever");
                    let long = matches!(error, FrameError::TooLong { .. });
                    assert!(
                        !long || decoder.buffer().capacity() <= 2 * bytes.len() + HEADER_BYTES * 3
                    );
                    return (frames, Some(error.to_string()));
                }
            }
        }
    }
    (frames, None)
}

#[test]
fn membership() {
    let target = Target {
        name: "membership",
        words: &[b"\x12\x1d", b"\x1a\x08", b"\x22\x02", b"\x0b", b"\x0c", &[0xff; 9], &[0; 16]],
        bytes_max: BODY_BYTES_MAX,
        runs: 10_000,
        check: |input| {
            let payload = Bytes::copy_from_slice(input);
            let cap = Cap { base: 4096, each: 256 };
            let decoded = within(cap, input.len(), || decode_membership(&payload));
            let membership = decoded.map_err(|error| error.to_string())?;
            let again = encode_membership(&membership);
            assert_eq!(decode_membership(&again).as_ref(), Ok(&membership));
            assert_eq!(encode_membership(&membership), again, "equal configurations, equal bytes");
            Ok(if membership.old_voters.is_some() { "joint" } else { "final" }.into())
        },
    };
    fuzz(&target, || {
        let golden = frames::kept("membership");
        let mut made = vec![named("golden", golden), named("nothing", []), named("no fields", [1])];
        for count in [0, 1, 2, 3, 5, 7, 11] {
            let of = members(count);
            made.push(named("members", encode_membership(&of)));
            let joint = Membership { old_voters: Some([NodeId(1)].into()), ..of.clone() };
            made.push(named("joint", encode_membership(&joint)));
            let learner = Membership { voters: [NodeId(1)].into(), ..of.clone() };
            made.push(named("learners", encode_membership(&learner)));
            let founders = [0, 1 << 62, u64::MAX][count as usize % 3];
            made.push(named("founders", encode_membership(&Membership { founders, ..of })));
        }
        let of = encode_membership(&members(2));
        made.push(named("every field twice", [&of[..], &of[1..]].concat()));
        made.push(named("a newer version", [&[2], &of[1..]].concat()));
        made
    });
}

fn members(count: u64) -> Membership {
    let member = |id: u64| Member { address: format!(":{}", 9000 + id), incarnation: id.into() };
    Membership {
        founders: count,
        members: (1..=count).map(|id| (NodeId(id), member(id))).collect(),
        voters: (1..=count).map(NodeId).collect(),
        old_voters: None,
        job: None,
        outcomes: Vec::new(),
    }
}

/// As many as fit, and more: too large to be kept.
#[test]
fn configurations_without_end() {
    let of = members(10_000);
    let payload = encode_membership(&of);
    assert!(payload.len() < MEMBERSHIP_BYTES_MAX);
    let cap = Cap { base: 4096, each: 16 };
    assert_eq!(within(cap, payload.len(), || decode_membership(&payload)), Ok(of));
    let nothing_but = |field: &[u8]| {
        let many = field.iter().copied().cycle().take(MEMBERSHIP_BYTES_MAX - 1);
        let payload: Bytes = std::iter::once(1).chain(many).collect();
        let cap = Cap { base: 4096, each: 100 };
        assert!(within(cap, payload.len(), || decode_membership(&payload)).is_err());
    };
    // Members, voters and outcomes of two bytes; voters one by one; a group in a group in ...
    [&b"\x12\0"[..], b"\x18\x01", b"\x32\0", b"\x22\0", b"\x5b"].into_iter().for_each(nothing_but);
    let beyond = Bytes::from(vec![1; MEMBERSHIP_BYTES_MAX + 1]);
    assert!(within(Cap { base: 256, each: 0 }, 0, || decode_membership(&beyond)).is_err());
}

#[test]
fn entry_payload() {
    let target = Target {
        name: "entry_payload",
        words: &[&[0; 24], &[0xff; 8], &[1, 1, 0x12]],
        bytes_max: 2000,
        runs: 20_000,
        check: |input| {
            // The first byte is the entry's kind.
            let (kind, bytes) = input.split_first().unwrap_or((&2, &[]));
            let payload = Bytes::copy_from_slice(bytes);
            let cap = Cap { base: 4096, each: 256 };
            let decoded = within(cap, bytes.len(), || Payload::decode(EntryKind(*kind), &payload))?;
            Ok(match decoded {
                Payload::Noop => "no-op",
                Payload::Membership(_) => "membership",
                Payload::Command { session, sequence, lowest_unacknowledged, bytes } => {
                    let head = [session, sequence, lowest_unacknowledged].map(u64::to_le_bytes);
                    assert_eq!([&head.concat(), &bytes[..]].concat(), payload);
                    "command"
                }
                Payload::Register { one_shot } => {
                    assert_eq!(payload[0], u8::from(one_shot));
                    "register"
                }
                Payload::EndSession { session } => {
                    assert_eq!(payload[..9], [&[2][..], &session.to_le_bytes()].concat());
                    "end of a session"
                }
                Payload::Withdraw(request) => {
                    let name = [request.session, request.sequence].map(u64::to_le_bytes);
                    assert_eq!(payload[..17], [&[3][..], &name.concat()].concat());
                    "withdrawal"
                }
            }
            .into())
        },
    };
    fuzz(&target, || {
        let mut made = vec![named("nothing", [])];
        for kind in 0..6 {
            for length in [0, 1, 8, 9, 10, 23, 24, 25, 40] {
                for fill in [0, 1, 2, 3, 0xff] {
                    made.push(named(
                        "one byte over and over",
                        [vec![kind], vec![fill; length]].concat(),
                    ));
                }
            }
        }
        let of = encode_membership(&members(2));
        made.push(named("a configuration", [&[1], &of[..]].concat()));
        made
    });
}

/// Texts that look like addresses.
fn address_texts() -> Vec<Named> {
    let texts = [
        "",
        " ",
        "9990",
        ":9990",
        " :9990 ",
        "host:9990",
        "[::1]:9990",
        "::1:9990",
        "[::1]",
        "[::1",
        "[]:1",
        ":0",
        ":65535",
        ":65536",
        ":+1",
        ":-1",
        ":00001",
        "0000000000000000000009990",
        ":",
        "::",
        "host:",
        "a..b:1",
        ".a:1",
        "a.:1",
        "-a:1",
        "a-:1",
        "a_b:1",
        "a b:1",
        "\u{e9}:1",
        "\u{ff11}:1",
        ":\u{661}",
        "a:\u{b2}",
        "[::ffff:1.2.3.4]:1",
        "[fe80::1%eth0]:1",
        "1.2.3.4:5",
        "256.1.1.1:5",
        "a\0:1",
        "a\n:1",
        "\u{1b}[2J:1",
        "localhost:1",
        "LOCALHOST:1",
        "http://a:1",
        "a:1/",
        "a:b:c",
        "[a]:1",
        "[[::1]]:1",
        "[::1]:",
        "[::1]x:1",
    ];
    let mut made: Vec<Named> = texts.into_iter().map(|text| named("an address", text)).collect();
    made.push(named("a long host", format!("{}:1", "a".repeat(253))));
    made.push(named("a host that is too long", format!("{}:1", "a".repeat(254))));
    made.push(named("no text", *b"\xff\xfe:1"));
    made.push(named("a long port", format!(":{}", "9".repeat(500))));
    made
}

const ADDRESS_WORDS: &[&[u8]] = &[
    b":",
    b",",
    b"[",
    b"]",
    b"::1",
    b".",
    b"-",
    b"_",
    b"localhost",
    b"127.0.0.1",
    b"9990",
    b"65536",
    b" ",
    b"\t",
    b"\xc2\xa0",
    b"%",
    b"0",
];

#[test]
fn address() {
    let target = Target {
        name: "address",
        words: ADDRESS_WORDS,
        bytes_max: 1000,
        runs: 20_000,
        check: |input| {
            let text = String::from_utf8_lossy(input);
            let cap = Cap { base: 2048, each: 16 };
            let parsed = within(cap, text.len(), || text.parse::<Address>());
            let address = parsed.map_err(|error| {
                let said = error.to_string();
                assert!(said.len() <= 300 + 4 * text.len(), "{said}");
                said
            })?;
            let shown = address.to_string();
            assert_eq!(shown.parse().as_ref(), Ok(&address), "{shown}");
            assert!(address.is_same_place(&address) && address.port() != 0);
            assert_eq!(address.is_hostless(), address.host().is_none());
            Ok(if address.is_loopback() { "loopback" } else { "elsewhere" }.into())
        },
    };
    fuzz(&target, address_texts);
}

#[test]
fn address_list() {
    let target = Target {
        name: "address_list",
        words: ADDRESS_WORDS,
        bytes_max: 2000,
        runs: 8000,
        check: |input| {
            let text = String::from_utf8_lossy(input);
            let cap = Cap { base: 4096, each: 128 };
            let parsed = within(cap, text.len(), || text.parse::<AddressList>());
            let list = parsed.map_err(|error| error.to_string())?;
            assert_eq!(list.to_string().parse().as_ref(), Ok(&list));
            let places = list.as_slice();
            for (at, place) in places.iter().enumerate() {
                assert!(places[at + 1..].iter().all(|other| !other.is_same_place(place)));
            }
            Ok(format!("{} addresses", list.into_vec().len().min(3)))
        },
    };
    fuzz(&target, || {
        let mut made = address_texts();
        for count in 1..20 {
            let mut text = String::new();
            (0..count).for_each(|n| write!(text, ":{},", 9000 + n).expect("a string takes all"));
            made.push(named("an empty one at the end", text.clone()));
            made.push(named("a list", text.trim_end_matches(',')));
            made.push(named("one twice", text.clone() + ":9000"));
            made.push(named("one twice by another name", text.clone() + "localhost:9000"));
            made.push(named("mixed", text + "host:9000"));
        }
        made
    });
}
