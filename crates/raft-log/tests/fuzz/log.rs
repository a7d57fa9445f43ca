//! What the log is made of: entries, the headers of slots, blocks.

use bytes::Bytes;
use raft_core::{Index, Term};
use raft_log::{Kind, decode_entries, encode_entry};

use crate::directory::directory;
use crate::harness::{Cap, Target, fuzz, within};
use crate::image::{SEAL_ALL, reseal, seal_entries};
use crate::support::format;
use crate::{files_of, named, small_log};

#[test]
fn encoded_entries() {
    let target = Target {
        name: "encoded_entries",
        words: &[&[0; 32], b"\x01\0\0\0\0\0\0\0", &[0xff; 8]],
        bytes_max: 1 << 16,
        runs: 20_000,
        check: |input| {
            // The first byte asks for right checksums.
            let (sealed, bytes) = input.split_first().unwrap_or((&0, &[]));
            let mut bytes = bytes.to_vec();
            if sealed % 2 == 1 {
                seal_entries(&mut bytes);
            }
            let bytes = Bytes::from(bytes);
            let cap = Cap { base: 512, each: 12 };
            let decoded = within(cap, bytes.len(), || decode_entries(&bytes));
            let decoded = decoded.map_err(|error| error.to_string())?;
            let mut again = Vec::new();
            for entry in &decoded {
                if entry.flags != 0 {
                    return Ok("entries with flags".into());
                }
                assert!(entry.payload.is_empty() || inside(&bytes, &entry.payload), "a copy");
                let parts: [&[u8]; 1] = [&entry.payload];
                again.extend_from_slice(&encode_entry(entry.index, entry.term, entry.kind, &parts));
            }
            assert_eq!(again, bytes);
            Ok(format!("{} entries", decoded.len().min(3)))
        },
    };
    fuzz(&target, || {
        let encode = |list: &[(u64, u64, u8, &[u8])]| -> Vec<u8> {
            let entry = |(index, term, kind, payload): &(u64, u64, u8, &[u8])| {
                encode_entry(Index(*index), Term(*term), Kind(*kind), &[payload])
            };
            std::iter::once(1).chain(list.iter().flat_map(entry)).collect()
        };
        let mut made = vec![named("nothing", vec![1])];
        for length in 0..24_usize {
            made.push(named("one entry", encode(&[(1, 1, 2, &vec![7; length])])));
            let list: Vec<(u64, u64, u8, &[u8])> = (1..=length as u64)
                .map(|at| (at + 5, at / 4, (at % 5) as u8, &b"beer"[..]))
                .collect();
            made.push(named("a run of entries", encode(&list)));
        }
        for (what, index, term) in [
            ("index zero", 0, 1),
            ("an index without a successor", u64::MAX, 1),
            ("an index beyond all counting", 1 << 62, 1),
            ("a term beyond all counting", 1, u64::MAX),
        ] {
            made.push(named(what, encode(&[(index, term, 2, b"beer")])));
            made.push(named(
                what,
                encode(&[(index, term, 2, b""), (index.wrapping_add(1), term, 2, b"")]),
            ));
        }
        for length in [1_u32, 8, 9, 1 << 16, (1 << 30) + 1, u32::MAX - 31, u32::MAX] {
            let mut bomb = encode(&[(1, 1, 2, b"12345678"), (2, 1, 0, b"")]);
            bomb[1..5].copy_from_slice(&length.to_le_bytes());
            made.push(named("a length that lies", bomb));
        }
        made
    });
}

/// Whether `part` lies in `whole`.
fn inside(whole: &[u8], part: &[u8]) -> bool {
    whole.as_ptr_range().contains(&part.as_ptr())
}

/// A slot's header up to its table of peers, and a little of that.
const HEADER_BYTES: usize = 264;

#[test]
fn slot_header() {
    let target = Target {
        name: "slot_header",
        words: &[b"RAFTSLOT", &[0xff; 8], &[0; 16]],
        bytes_max: 8400,
        runs: 4000,
        check: |input| {
            // The headers of a log with a few entries: bit 0 of the first byte asks for right
            // checksums, bit 1 for two equal copies.
            let (flags, pages) = input.split_first().unwrap_or((&0, &[]));
            let twice = flags & 2 != 0;
            let mut files = files_of(&small_log());
            let slot = files.get_mut("wal/00.seg").expect("the first slot");
            slot[..8192].fill(0);
            let copies = if twice { pages.len() } else { HEADER_BYTES };
            let pages = pages.chunks(copies.max(1)).cycle().take(2);
            for (place, page) in pages.enumerate() {
                let page = &page[..page.len().min(4096)];
                slot[place * 4096..place * 4096 + page.len()].copy_from_slice(page);
            }
            reseal((flags % 2) * SEAL_ALL, &mut files);
            directory(&files, input.len())
        },
    };
    fuzz(&target, || {
        let slot = small_log().read("wal/00.seg");
        let page = &slot[..HEADER_BYTES];
        let with = |field: (usize, u64)| {
            let mut page = page.to_vec();
            page[field.0..field.0 + 8].copy_from_slice(&field.1.to_le_bytes());
            [vec![3], page].concat()
        };
        let mut made = vec![
            named("as it is", [vec![3], page.to_vec()].concat()),
            named("the first copy alone", [vec![1], page.to_vec(), vec![0; 10]].concat()),
            named("zeros", vec![3]),
            named(
                "the second copy alone",
                [vec![1], vec![0; HEADER_BYTES], page.to_vec()].concat(),
            ),
        ];
        for (name, at, _) in format::SLOT_FIELDS {
            for value in [0, 0xff, (1 << 62) - 1, 1 << 62, u64::MAX] {
                made.push(named(&format!("{name} {value:#x}"), with((at, value))));
            }
        }
        made
    });
}

#[test]
fn log_block() {
    let target = Target {
        name: "log_block",
        words: &[b"RBLK", &[0xff; 4], &[0xff; 8], &[0; 32]],
        bytes_max: 4097,
        runs: 5000,
        check: |input| {
            // One page, put where the last block of a log stands.
            let (sealed, page) = input.split_first().unwrap_or((&0, &[]));
            let mut files = files_of(&small_log());
            let slot = files.get_mut("wal/00.seg").expect("the first slot");
            let last = format::blocks(slot).last().expect("a block").offset;
            slot[last..last + 4096].fill(0);
            let page = &page[..page.len().min(4096)];
            slot[last..last + page.len()].copy_from_slice(page);
            reseal((sealed % 2) * SEAL_ALL, &mut files);
            directory(&files, input.len())
        },
    };
    fuzz(&target, || {
        let slot = small_log().read("wal/00.seg");
        let last = format::blocks(&slot).last().expect("a block").clone();
        let page = &slot[last.offset..last.offset + 128 + last.body];
        let sealed = |page: Vec<u8>| [vec![1], page].concat();
        let mut made = vec![named("as it is", sealed(page.to_vec())), named("zeros", vec![1])];
        // Its fields, each with numbers that hurt; once with all that a block can carry.
        for (flags, (name, at, length)) in
            [1, 7].into_iter().flat_map(|flags| format::BLOCK_FIELDS.map(|field| (flags, field)))
        {
            for value in [0, 1, 4000, 1 << 62, u64::MAX] {
                let mut page = page.to_vec();
                page[4] = flags;
                page[112] = if flags == 7 { 4 } else { 0 };
                let length = length.min(8);
                page[at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
                made.push(named(&format!("{name} {value:#x}"), sealed(page)));
            }
        }
        // Blocks that say two things of which one excludes the other.
        for flags in 0..64 {
            let mut page = page.to_vec();
            (page[4], page[112]) = (flags, 4);
            made.push(named("kinds of blocks together", sealed(page)));
        }
        for rows in [0_usize, 1, 95, 96] {
            let mut block = page[..128].to_vec();
            block[4..6].copy_from_slice(&8_u16.to_le_bytes());
            block[64..68].fill(0);
            block[68..72]
                .copy_from_slice(&u32::try_from(rows * 40 + 3).expect("few").to_le_bytes());
            block.resize(128 + rows * 40 + 3, 3);
            made.push(named("peers and a rest", sealed(block)));
        }
        made
    });
}
