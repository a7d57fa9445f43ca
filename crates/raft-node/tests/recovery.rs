//! A new cluster that begins with what another one had.
#![allow(missing_docs)]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use raft_core::{HardState, Index, LogId, NodeId, Term};
use raft_log::{
    DataDir, Disk, Founder, Holder, Kind, MemberIdentity, NodeState, Options, RealDisk, Write,
    decode_entries, encode_entry, inspect,
};
use raft_node::founding::{self, cluster_id};
use raft_node::recovery::{Founders, Origin, RecoveryError, apply_all, begin};
use raft_node::replica::{Machine, founding, recovered};
use raft_node::snapshots::go_on;
use raft_node::{Answer, StateMachine, Typed, Wire};

const ORIGIN: Origin =
    Origin { cluster: 99, at: LogId { term: Term(3), index: Index(6) }, mark: 7 };

struct Counter;

impl StateMachine for Counter {
    type State = u64;
    type Command = u64;
    type Response = u64;
    fn apply(count: &mut u64, _at: LogId, add: u64) -> u64 {
        *count += add;
        *count
    }
}

fn machine(me: &MemberIdentity) -> Machine {
    Machine::new(Box::new(Typed::<Counter>::new(0)), Index(u64::MAX), founding(me))
}

fn disk(path: &Path) -> Arc<dyn Disk> {
    Arc::new(RealDisk::open(path).expect("a disk"))
}

fn holder() -> Holder {
    Holder { pid: 1, address: ":1".into() }
}

fn entry(index: u64, term: u64, kind: Kind, payload: &[u8]) -> Bytes {
    encode_entry(Index(index), Term(term), kind, &[payload])
}

/// Adds to the counter, as a request of session 1.
fn add(index: u64, term: u64, sequence: u64, number: u64) -> Bytes {
    let header: Vec<u8> = [1, sequence, 1].iter().flat_map(|n: &u64| n.to_le_bytes()).collect();
    entry(index, term, Kind::COMMAND, &[&header[..], &number.to_bytes()].concat())
}

fn write(entries: Vec<Bytes>, first: u64) -> Write {
    let count = entries.len() as u64;
    Write { first: Index(first), entries, count, ..Write::default() }
}

/// A founder of three, with a session that added 5 and 2; another 100 was truncated; and a vote.
fn survivor(path: &Path, more: Vec<Bytes>) -> DataDir {
    let mut dir = DataDir::open(disk(path), holder()).expect("a directory");
    let incarnation = dir.identity().incarnation();
    let founder = |place: u128| Founder {
        address: format!(":{place}"),
        incarnation: if place == 1 { incarnation } else { place },
    };
    let founders: Vec<Founder> = (1..=3).map(founder).collect();
    let me =
        MemberIdentity { incarnation, cluster: 99, id: NodeId(1), address: ":1".into(), founders };
    dir.set_identity(NodeState::Member(me)).expect("a member");
    let mut log = dir.open_log(Options::default()).expect("a log");
    let register = entry(1, 1, Kind::SESSION, &[0]);
    let early = vec![register, add(2, 1, 1, 5), add(3, 1, 2, 100)];
    log.writer.write(&[write(early, 1)]).expect("written");
    let late = vec![entry(3, 3, Kind::NOOP, b""), add(4, 3, 2, 2)];
    let vote = HardState { term: Term(4), voted_for: Some(NodeId(2)) };
    let cut = Write {
        truncate_from: Some(Index(3)),
        hard_state: Some(vote),
        commit_hint: Index(2),
        ..write([late, more].concat(), 3)
    };
    log.writer.write(&[cut]).expect("written");
    dir
}

fn alone() -> Founders {
    Founders::of(":1", &[":1".into()], "word", &ORIGIN).expect("it is among them")
}

#[test]
fn all_that_a_log_holds_begins_a_new_cluster() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dir = survivor(old.path(), Vec::new());
    let NodeState::Member(me) = dir.identity().clone() else { panic!("a member") };
    let inspection = inspect(dir.disk(), &mut |_| {}).expect("a log");
    assert_eq!(inspection.log.commit_hint, Index(2), "not all of it is known to be committed");
    let (survived, _) =
        apply_all(&inspection, &dir.snapshots().unwrap(), machine(&me)).expect("applied");
    assert_eq!((survived.applied(), survived.query(b"")), (Index(4), 7_u64.to_bytes()));
    let last = inspection.last();
    begin(disk(new.path()), holder(), &alone(), &survived, (last, Term(4))).expect("begun");

    // As a server starts in it.
    let mut dir = DataDir::open(disk(new.path()), holder()).expect("a directory");
    let NodeState::Member(me) = dir.identity().clone() else { panic!("a member") };
    assert_eq!(me, *alone().me());
    let log = dir.open_log(Options::default()).expect("a log");
    let (mut machine, notices) = go_on(&log, machine(&me)).expect("a snapshot");
    assert!(notices.is_empty(), "{notices:?}");
    assert_eq!((machine.applied(), machine.query(b"")), (Index(4), 7_u64.to_bytes()));
    let start = recovered(&me, &log.recovered, machine.base()).expect("a start");
    assert_eq!((start.last_index, start.log_start), (Index(4), LogId::new(4, 3)));
    assert_eq!(start.hard_state, HardState { term: Term(4), voted_for: None });
    let [(at, membership)] = &start.memberships[..] else { panic!("{:?}", start.memberships) };
    assert_eq!((*at, &**membership), (Index(0), &founding(&me)));
    assert_eq!(membership.voters.len(), 1);

    // The session goes on: who asks again is answered as before.
    let again = decode_entries(&add(5, 5, 1, 5)).expect("an entry");
    let (answer, _) = machine.take(&again[0]).expect("taken");
    let Some(Answer::Written { at, response }) = answer else { panic!("{answer:?}") };
    assert_eq!((at, response), (LogId::new(2, 1), 5_u64.to_bytes()));
    assert_eq!(machine.query(b""), 7_u64.to_bytes());
}

#[test]
fn an_entry_that_is_not_known_is_not_skipped() {
    let old = tempfile::tempdir().unwrap();
    let dir = survivor(old.path(), vec![entry(5, 3, Kind(9), b"?"), add(6, 3, 3, 1)]);
    let NodeState::Member(me) = dir.identity().clone() else { panic!("a member") };
    let inspection = inspect(dir.disk(), &mut |_| {}).expect("a log");
    let applied = apply_all(&inspection, &dir.snapshots().unwrap(), machine(&me));
    let error = applied.expect_err("refused");
    assert!(matches!(error, RecoveryError::Unknown { index: Index(5), .. }), "{error}");
}

#[test]
fn founders_meet_by_origin_list_and_word() {
    let list: Vec<String> = [":3", ":1", ":2"].map(str::to_owned).to_vec();
    let of = |own: &str, word: &str, origin: &Origin| Founders::of(own, &list, word, origin);
    let one = of(":1", "word", &ORIGIN).unwrap();
    let (me, founders) = (one.me(), &one.me().founders);
    let addresses: Vec<&str> = founders.iter().map(|founder| &*founder.address).collect();
    assert_eq!((me.id, addresses), (NodeId(1), vec![":1", ":2", ":3"]));
    let listed: Vec<founding::Founder> = (founders.iter())
        .map(|f| founding::Founder { address: f.address.clone(), incarnation: f.incarnation })
        .collect();
    assert_eq!(me.cluster, cluster_id(&listed), "who meets them can see that they belong together");

    let two = of(":2", "word", &ORIGIN).unwrap();
    assert_eq!((two.me().id, &two.me().founders), (NodeId(2), founders));
    assert_eq!(two.me().cluster, me.cluster);
    assert_eq!(two.me().incarnation, founders[1].incarnation);
    let others = [
        Origin { cluster: 98, ..ORIGIN },
        Origin { at: LogId::new(7, 3), ..ORIGIN },
        Origin { at: LogId::new(6, 4), ..ORIGIN },
        Origin { mark: 8, ..ORIGIN },
    ];
    let others = others.iter().map(|origin| of(":1", "word", origin));
    for other in others.chain([of(":1", "another", &ORIGIN), Some(alone())]).map(Option::unwrap) {
        assert_ne!(other.me().cluster, me.cluster, "{other:?}");
        assert_ne!(other.me().incarnation, me.incarnation);
    }
    assert_eq!(of(":4", "word", &ORIGIN), None);
}
