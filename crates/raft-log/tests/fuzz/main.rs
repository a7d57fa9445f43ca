//! Bytes of any kind, taken for what stands on disk: never a panic, never more memory than is
//! allowed, and what is accepted can be written again and means the same.
#![allow(missing_docs)]

mod harness;
mod image;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;

use bytes::Bytes;
use harness::{Cap, Named, Target, Verdict, fuzz, within};
use image::{Files, SEAL_ALL, SEAL_SMALL, pack, reseal, seal_entries, seal_node, unpack};
use raft_core::{Index, NodeId, Term};
use raft_log::{
    DataDir, Disk, InspectError, Inspection, Kind, Log, NodeState, OpenError, RecoveredLog, Shown,
    decode_entries, encode_entry, inspect,
};
use support::model::{Model, entries, vote};
use support::{MemDisk, Random, holder, identity, open, open_with, read_all, small};

/// Reading ahead takes a megabyte at a time; slots of a test are small, and in memory too.
const DIRECTORY: Cap = Cap { base: 6 << 20, each: 512 };

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

fn named(what: &str, bytes: Vec<u8>) -> Named {
    (what.into(), bytes)
}

/// What a directory holds.
fn files_of(disk: &MemDisk) -> Files {
    disk.names().into_iter().map(|name| (name.clone(), disk.read(&name))).collect()
}

fn disk_of(files: &Files) -> MemDisk {
    let disk = MemDisk::default();
    files.iter().for_each(|(name, bytes)| disk.put(name, bytes.clone()));
    disk
}

#[test]
fn node_file() {
    let target = Target {
        name: "node_file",
        words: &[
            b"\nformat 1\n",
            b"format 2",
            b"state member",
            b"state new",
            b"state removed",
            b"founder ",
            b"\nnode 0",
            b"removed-at 18446744073709551615",
            b"\nepoch ",
            b"\r\n",
            b"checksum ",
            b" ",
            b"\n",
            b"+",
            b"-",
            b"18446744073709551615",
            b"\xff\xfe",
        ],
        bytes_max: 1 << 14,
        runs: 6000,
        check: |input| {
            let (sealed, text) = input.split_first().unwrap_or((&0, &[]));
            let mut text = text.to_vec();
            if sealed % 2 == 1 {
                seal_node(&mut text);
            }
            let disk = MemDisk::default();
            disk.put("NODE", text.clone());
            let cap = Cap { base: 64 << 10, each: 64 };
            let opened =
                within(cap, text.len(), || DataDir::open(Arc::new(disk.clone()), holder()));
            let mut dir = opened.map_err(|error| error.to_string())?;
            let state = dir.identity().clone();
            dir.set_identity(state.clone()).expect("what was read can be written");
            drop(dir);
            let written = disk.read("NODE");
            let mut dir =
                DataDir::open(Arc::new(disk.clone()), holder()).expect("it can be read again");
            assert_eq!(*dir.identity(), state);
            dir.set_identity(state.clone()).expect("and written");
            assert_eq!(disk.read("NODE"), written);
            Ok(match state {
                NodeState::New { .. } => "new",
                NodeState::Member(_) => "member",
                NodeState::Removed(..) => "removed",
            }
            .into())
        },
    };
    fuzz(&target, node_files);
}

/// NODE files, true and false, each with a right checksum.
fn node_files() -> Vec<Named> {
    let head = "raft data directory\nformat 1\n";
    let one = "00000000000000000000000000000005";
    let founder = format!("founder {one} :9990\n");
    let member = format!("incarnation {one}\ncluster {one}\nnode 1\naddress :9990\n{founder}");
    let new = format!("{head}state new\nincarnation {one}\n");
    let mut made = vec![
        ("new", format!("{new}epoch 0\n")),
        ("member", format!("{head}state member\n{member}epoch 3\n")),
        ("removed", format!("{head}state removed\n{member}removed-at 7\nepoch 3\n")),
        ("many founders", format!("{head}state member\n{member}{}epoch 3\n", founder.repeat(100))),
        ("a newer format", "raft data directory\nformat 2\nwhat else\n".into()),
        ("a format beyond numbers", format!("raft data directory\nformat {}0\n", u64::MAX)),
        ("no title", "a directory\nformat 1\n".into()),
        ("only a title", "raft data directory\n".into()),
        ("nothing", String::new()),
        ("a line too much", format!("{new}epoch 0\nepoch 0\n")),
        ("lines of another system", format!("{new}epoch 0\n").replace('\n', "\r\n")),
        ("a state that is not known", format!("{head}state gone\nincarnation {one}\nepoch 0\n")),
        ("two checksums", format!("{new}checksum 00000000\nepoch 0\n")),
    ];
    for epoch in
        ["18446744073709551615", "18446744073709551616", "4611686018427387904", "-1", "+1", ""]
    {
        made.push(("an epoch", format!("{new}epoch {epoch}\n")));
    }
    for node in ["0", "18446744073709551615", "x"] {
        let text = format!("{head}state member\n{member}epoch 3\n");
        made.push(("an id", text.replace("node 1", &format!("node {node}"))));
    }
    for address in ["", " ", ":9990 ", "a b", "\t", "\u{85}", "\u{2028}x", "\u{1b}[31m", ":9990\r"]
    {
        let text = format!("{head}state member\n{member}epoch 3\n");
        made.push(("an address", text.replace(":9990", address)));
        made.push((
            "the own address",
            text.replace("address :9990", &format!("address {address}")),
        ));
    }
    for incarnation in ["5", "+5", "", "g", "100000000000000000000000000000000", "-1"] {
        made.push(("an incarnation", new.replace(one, incarnation) + "epoch 0\n"));
    }
    let sealed = |(what, text): (&str, String)| {
        let mut text = (text + "checksum \n").into_bytes();
        seal_node(&mut text);
        (what.to_owned(), [vec![1], text].concat())
    };
    let mut made: Vec<Named> = made.into_iter().map(sealed).collect();
    made.push(named("no checksum", b"\0raft data directory\nformat 1\n".to_vec()));
    made.push(named("no text", b"\0\xff\xfe\0".to_vec()));
    made
}

#[test]
fn shown_mark() {
    let target = Target {
        name: "shown_mark",
        words: &[b"RAFTSHOW", &[0; 16], &[0xff; 8]],
        bytes_max: 300,
        runs: 8000,
        check: |input| {
            // Two copies, one after the other; the first byte asks for right checksums.
            let (sealed, copies) = input.split_first().unwrap_or((&0, &[]));
            let mut bytes = copies[..copies.len().min(64)].to_vec();
            if copies.len() > 64 {
                bytes.resize(4096, 0);
                bytes.extend_from_slice(&copies[64..]);
            }
            let mut files = Files::from([("SHOWN".into(), bytes)]);
            reseal(sealed % 2 * SEAL_SMALL, &mut files);
            let disk = disk_of(&files);
            let mut dir =
                DataDir::open_seeded(Arc::new(disk.clone()), holder(), Some(5)).expect("new");
            // A first start made SHOWN anew: put it back.
            disk.put("SHOWN", files["SHOWN"].clone());
            let NodeState::New { incarnation } = *dir.identity() else { panic!("not new") };
            dir.set_identity(NodeState::Member(identity(incarnation))).expect("a member");
            let (mut mark, shown) =
                within(Cap { base: 32 << 10, each: 8 }, 0, || dir.shown()).expect("opened");
            let at = mark.index();
            match &shown {
                Shown::At(index) => assert_eq!(*index, at),
                Shown::Lost(_) => assert_eq!(at, Index(0)),
            }
            let next = Index(at.0.saturating_add(1));
            mark.advance(next).expect("advanced");
            assert_eq!(dir.shown().expect("opened").1, Shown::At(next));
            match shown {
                Shown::At(_) => Ok("a mark".into()),
                Shown::Lost(what) => Err(what),
            }
        },
    };
    fuzz(&target, || {
        let copy = |cluster: u128, version: u16, index: u64| {
            let mut copy = b"RAFTSHOW".to_vec();
            copy.extend_from_slice(&version.to_le_bytes());
            copy.resize(16, 0);
            copy.extend_from_slice(&cluster.to_le_bytes());
            copy.extend_from_slice(&index.to_le_bytes());
            copy.resize(64, 0);
            copy
        };
        let mut made = vec![named("nothing", vec![1]), named("one short copy", vec![1; 30])];
        for index in [0, 1, 7, 1 << 32, u64::MAX - 1, u64::MAX] {
            for other in [0, 2, u64::MAX] {
                let both = [vec![1], copy(99, 1, index), copy(99, 1, other)].concat();
                made.push(named("two copies", both));
            }
            made.push(named("one copy", [vec![1], copy(99, 1, index)].concat()));
            made.push(named("of no cluster", [vec![1], copy(0, 1, index), copy(0, 1, 0)].concat()));
            made.push(named(
                "of another cluster",
                [vec![1], copy(98, 1, index), copy(99, 1, 4)].concat(),
            ));
            made.push(named("of a newer version", [vec![1], copy(99, 2, index)].concat()));
            made.push(named("without a checksum", [vec![0], copy(99, 1, index)].concat()));
        }
        made
    });
}

#[test]
fn lock_file() {
    let target = Target {
        name: "lock_file",
        words: &[b"pid ", b"address ", b"\n", b"\r", b"4294967296", b"-1", b"\x1b[2J", b"\xff"],
        bytes_max: 4096,
        runs: 8000,
        check: |input| {
            let disk = MemDisk::default();
            disk.put("LOCK", input.to_vec());
            let file = disk.open("LOCK").expect("there");
            assert!(file.try_lock().expect("a lock"), "it is free");
            let shared: Arc<dyn Disk> = Arc::new(disk.clone());
            let cap = Cap { base: 32 << 10, each: 16 };
            let opened = within(cap, input.len(), || DataDir::open(Arc::clone(&shared), holder()));
            let Err(OpenError::Locked { pid, address, path }) = opened else {
                panic!("not locked: {opened:?}")
            };
            let text = OpenError::Locked { pid, address: address.clone(), path }.to_string();
            assert!(text.len() < 5000 && !text.contains(char::is_control), "{text:?}");
            drop(file);
            drop(DataDir::open(shared, holder()).expect("the lock is free again"));
            assert!(disk.read("LOCK").starts_with(b"pid 7\naddress :9990\n"));
            match (pid, address) {
                (Some(_), Some(_)) => Ok("process and address".into()),
                (Some(_), None) => Ok("a process".into()),
                (None, Some(_)) => Err("an address".into()),
                (None, None) => Err("nobody".into()),
            }
        },
    };
    fuzz(&target, || {
        let mut made = vec![
            named("nothing", vec![]),
            named("zeros", vec![0; 512]),
            named("no text", vec![0xff; 600]),
        ];
        for pid in [
            "1",
            "0",
            "-1",
            "4294967295",
            "4294967296",
            "99999999999999999999",
            " 7 ",
            "+7",
            "x",
            "",
        ] {
            for address in [":9990", "", "a b", "\u{1b}[31mred", "x\ry", &"y".repeat(600)] {
                made.push(named(
                    "a holder",
                    format!("pid {pid}\naddress {address}\n").into_bytes(),
                ));
            }
            made.push(named("a process alone", format!("pid {pid}").into_bytes()));
        }
        made
    });
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
        for (name, at, _) in support::format::SLOT_FIELDS {
            for value in [0, 0xff, (1 << 62) - 1, 1 << 62, u64::MAX] {
                made.push(named(&format!("{name} {value:#x}"), with((at, value))));
            }
        }
        made
    });
}

/// A log in one slot: a vote, and entries in two blocks.
fn small_log() -> MemDisk {
    let disk = MemDisk::default();
    let options = raft_log::Options { spares: 0, ..small(1) };
    let (_dir, mut log) = open_with(&disk, options).expect("a new log");
    log.writer.write(&[vote(2, Some(1)), entries(1, 3, 2, 20)]).expect("written");
    log.writer.write(&[entries(4, 1, 2, 5)]).expect("written");
    disk
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
            let last = support::format::blocks(slot).last().expect("a block").offset;
            slot[last..last + 4096].fill(0);
            let page = &page[..page.len().min(4096)];
            slot[last..last + page.len()].copy_from_slice(page);
            reseal((sealed % 2) * SEAL_ALL, &mut files);
            directory(&files, input.len())
        },
    };
    fuzz(&target, || {
        let slot = small_log().read("wal/00.seg");
        let last = support::format::blocks(&slot).last().expect("a block").clone();
        let page = &slot[last.offset..last.offset + 128 + last.body];
        let sealed = |page: Vec<u8>| [vec![1], page].concat();
        let mut made = vec![named("as it is", sealed(page.to_vec())), named("zeros", vec![1])];
        // Its fields, each with numbers that hurt; once with all that a block can carry.
        for (flags, (name, at, length)) in [1, 7]
            .into_iter()
            .flat_map(|flags| support::format::BLOCK_FIELDS.map(|field| (flags, field)))
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

#[test]
fn data_directory() {
    let target = Target {
        name: "data_directory",
        words: &[
            b"wal/4294967295.seg",
            b"wal/4294967294.seg",
            b"wal/01.seg",
            b"wal/00.tmp",
            b"NODE",
            b"SHOWN",
            b"RBLK",
            b"RAFTSLOT",
            &[0, 0, 1, 0],
            &[1, 0x80, 0, 0],
            &[0xff; 8],
        ],
        bytes_max: 1 << 15,
        runs: 6000,
        check: |input| directory(&unpack(input), input.len()),
    };
    fuzz(&target, || {
        let mut made = Vec::new();
        for seed in [0, 1, 2, 5, 8, 11] {
            let mut random = Random(seed);
            let (disk, mut model) = (MemDisk::default(), Model::default());
            for start in 0..1 + seed % 3 {
                let options =
                    raft_log::Options { slot_bytes_start: 32 << 10, ..small(seed * 10 + start) };
                let (_dir, mut log) = open_with(&disk, options).expect("a log");
                for _ in 0..random.below(5) {
                    log.writer.write(&[model.random_write(&mut random, 60)]).expect("written");
                }
            }
            disk.take_away("LOCK");
            made.push(named("a log", pack(SEAL_ALL, &files_of(&disk))));
        }
        made.extend(strange_directories());
        made
    });
}

/// Directories that no server leaves behind.
fn strange_directories() -> Vec<Named> {
    let mut good = files_of(&small_log());
    good.remove("LOCK");
    let mut made = vec![named("nothing at all", vec![SEAL_ALL])];
    let mut strange = |what: &str, change: &dyn Fn(&mut Files)| {
        let mut files = good.clone();
        change(&mut files);
        made.push(named(what, pack(SEAL_ALL, &files)));
    };
    for number in ["4294967295", "4294967294", "2147483647", "99"] {
        let name = format!("wal/{number}.seg");
        strange("a slot with a high number", &|files| {
            files.insert(name.clone(), vec![0; 32 << 10]);
        });
    }
    for bytes in [0, 1, 4095, 32_767, 32_769, 40_960, 65_535, 65_536] {
        strange("a slot of another size", &|files| {
            files.insert("wal/07.seg".into(), vec![0; bytes]);
        });
        strange("the slot cut or grown", &|files| {
            files.get_mut("wal/00.seg").expect("there").resize(bytes, 0);
        });
    }
    for name in ["NODE", "SHOWN", "LOCK", "wal/00.seg"] {
        strange("a file gone", &|files| drop(files.remove(name)));
        strange("a file empty", &|files| drop(files.insert(name.into(), Vec::new())));
        strange("a file of something else", &|files| {
            drop(files.insert(name.into(), vec![0x41; 300]))
        });
    }
    strange("the slot twice", &|files| {
        let slot = files["wal/00.seg"].clone();
        files.insert("wal/01.seg".into(), slot);
    });
    strange("a block that ends behind the slot", &|files| {
        let slot = files.get_mut("wal/00.seg").expect("there");
        let last = support::format::blocks(slot).last().expect("a block").offset;
        slot[last + 68..last + 72].copy_from_slice(&30_000_u32.to_le_bytes());
    });
    strange("a table of more peers than fit a header", &|files| {
        let slot = files.get_mut("wal/00.seg").expect("there");
        let last = support::format::blocks(slot).last().expect("a block").offset;
        slot[last + 4..last + 6].copy_from_slice(&8_u16.to_le_bytes());
        slot[last + 64..last + 72].copy_from_slice(&(3900_u64 << 32).to_le_bytes());
        slot[last + 128..last + 128 + 3900].fill(3);
    });
    made
}

/// Numbers from a little above are damage; a start counts on by a few.
const COUNTED_MAX: u64 = (1 << 62) - 100;

/// Looks at a directory, opens it, reads all of it, goes on with it, and opens it again.
fn directory(files: &Files, length: usize) -> Verdict {
    let disk = disk_of(files);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let looked = within(DIRECTORY, length, || look(&shared));
    assert_eq!(files_of(&disk), *files, "a look changed something");
    let opened = within(DIRECTORY, length, || open(&disk, 9));
    agree(&looked, &opened);
    let (dir, mut log) = opened.map_err(|error| error.to_string())?;
    let last = log.recovered.last_index;
    let before = within(DIRECTORY, length, || read_all(&log, last));
    let newest = log.recovered.term_runs.last().map_or(Term(0), |(_, term)| *term);
    let next = log.recovered.hard_state.term.max(newest).next();
    let boot = log.recovered.boot;
    let slots = looked.as_ref().map(|looked| &*looked.slots).unwrap_or_default();
    let counted = slots.iter().map(|slot| slot.order.max(slot.base)).max().unwrap_or(0);
    if counted.max(next.0).max(boot.epoch).max(last.0) >= COUNTED_MAX {
        // The last numbers that are read: what follows them is not.
        return Ok("a log at the end of all counting".into());
    }
    let entry = entries(last.0 + 1, 1, next.0, 30);
    log.writer.write(&[vote(next.0, Some(1)), entry]).expect("the log can be written");
    drop((dir, log));
    let (_dir, log) = open(&disk, 10).expect("the log can be opened again");
    assert_eq!(log.recovered.hard_state.term, next);
    assert_eq!(log.recovered.last_index, last.next());
    assert_eq!(log.recovered.boot.epoch, boot.epoch + 1);
    assert_eq!(log.recovered.hard_state.voted_for, Some(NodeId(1)));
    let after = read_all(&log, last.next());
    assert_eq!(after[..before.len()], before);
    let torn = if looked.is_ok_and(|l| l.cut.is_some()) { ", torn" } else { "" };
    Ok(format!("a log{torn}"))
}

/// All that `raft log` reads.
fn look(disk: &Arc<dyn Disk>) -> Result<Inspection, InspectError> {
    let inspection = inspect(disk, &mut |progress| assert!(progress.done <= progress.total))?;
    for slot in &inspection.slots {
        let mut contents = inspection.contents(slot).expect("a slot that was found");
        for block in &slot.blocks {
            let entries = contents.entries(block).expect("a block that was read can be read");
            assert_eq!(entries.len(), block.count as usize);
        }
    }
    Ok(inspection)
}

/// A look and a start say the same of a directory.
fn agree(looked: &Result<Inspection, InspectError>, opened: &Result<(DataDir, Log), OpenError>) {
    match (looked, opened) {
        (Ok(looked), Ok((_, log))) => {
            assert!(looked.damages.is_empty(), "{:?}", looked.damages);
            let boot = looked.log.boot;
            assert_eq!(looked.log, RecoveredLog { boot, ..log.recovered.clone() });
        }
        (Ok(looked), Err(refused)) if looked.removed_at.is_none() => {
            let first = looked.damages.first().map(ToString::to_string);
            assert_eq!(first, Some(refused.to_string()));
        }
        // Without NODE a start asks whose files these are, a look why it is missing.
        (Err(_), Err(OpenError::ForeignFiles { .. })) => {}
        (Err(InspectError::Refused(looked)), Err(refused)) => {
            assert_eq!(looked.to_string(), refused.to_string());
        }
        // Not a member's directory: a start makes it one, or refuses what lies in it.
        _ => {}
    }
}

/// Packing and sealing keep what is right as it is.
#[test]
fn an_image_is_the_directory() {
    let files = files_of(&small_log());
    assert_eq!(unpack(&pack(0, &files)), files);
    assert_eq!(unpack(&pack(SEAL_ALL, &files)), files, "checksums were right before");
}
