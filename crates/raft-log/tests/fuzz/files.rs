//! The small files of a data directory: NODE, SHOWN, LOCK.

use std::sync::Arc;

use raft_core::Index;
use raft_log::{DataDir, Disk, NodeState, OpenError, Shown};

use crate::harness::{Cap, Named, Target, fuzz, within};
use crate::image::{Files, SEAL_SMALL, reseal, seal_node};
use crate::support::{MemDisk, holder, identity};
use crate::{disk_of, named};

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
