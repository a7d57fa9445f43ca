//! Bindings: restarts, and two processes with one identity.

use std::collections::BTreeMap;

use raft_core::{Lane, NodeId, Time};
use raft_node::binding::{Binding, Boot, ConnectionId, Output};
use raft_node::refused::HelloReason;

const PEER: NodeId = NodeId(1);
/// The election timeout.
const T: u64 = 1000;

fn boot(epoch: u64) -> Boot {
    Boot { incarnation: 1, epoch, nonce: 100 + epoch }
}

fn duplicate(epoch: u64) -> HelloReason {
    HelloReason::DuplicateIdentity { epoch, nonce: 100 + epoch }
}

const fn id(number: u64) -> ConnectionId {
    ConnectionId(number)
}

/// A binding with short words.
struct Bench(Binding);

impl Bench {
    fn new(table: &[(NodeId, Boot)]) -> Self {
        Self(Binding::new(table.iter().copied().collect(), T))
    }

    fn hello(&mut self, now: u64, connection: u64, boot: Boot) -> Vec<Output> {
        self.hello_on(now, (id(connection), Lane::Inbound), boot)
    }

    fn hello_on(&mut self, now: u64, on: (ConnectionId, Lane), boot: Boot) -> Vec<Output> {
        let mut out = Vec::new();
        self.0.hello(Time(now), on, PEER, boot, &mut out);
        out
    }

    fn pong(&mut self, now: u64, connection: u64, nonce: u64) -> Vec<Output> {
        let mut out = Vec::new();
        self.0.pong(Time(now), id(connection), nonce, &mut out);
        out
    }

    fn closed(&mut self, connection: u64) -> Vec<Output> {
        let mut out = Vec::new();
        self.0.closed(id(connection), &mut out);
        out
    }

    fn timer(&mut self, now: u64) -> Vec<Output> {
        let mut out = Vec::new();
        self.0.timer(Time(now), &mut out);
        out
    }

    fn epoch(&self) -> u64 {
        self.0.table().get(&PEER).map_or(0, |boot| boot.epoch)
    }
}

#[test]
fn a_first_hello_is_accepted_and_kept() {
    let mut bench = Bench::new(&[]);
    assert_eq!(bench.hello(0, 1, boot(3)), [Output::Accept(id(1)), Output::TableChanged]);
    assert_eq!(bench.0.table(), BTreeMap::from([(PEER, boot(3))]));
}

#[test]
fn both_lanes_of_one_start_live_side_by_side() {
    let mut bench = Bench::new(&[(PEER, boot(3))]);
    assert_eq!(bench.hello(0, 1, boot(3)), [Output::Accept(id(1))]);
    let outbound = (id(2), Lane::Outbound);
    assert_eq!(bench.hello_on(0, outbound, boot(3)), [Output::Accept(id(2))]);
    // A further one takes the place of its lane's.
    assert_eq!(bench.hello(0, 3, boot(3)), [Output::Close(id(1)), Output::Accept(id(3))]);
}

#[test]
fn a_restart_after_the_connection_ended_is_accepted_at_once() {
    let mut bench = Bench::new(&[(PEER, boot(3))]);
    bench.hello(0, 1, boot(3));
    bench.closed(1);
    assert_eq!(bench.hello(9, 2, boot(4)), [Output::Accept(id(2)), Output::TableChanged]);
    assert_eq!(bench.epoch(), 4);
}

#[test]
fn a_restart_takes_over_when_the_old_connection_does_not_answer() {
    let mut bench = Bench::new(&[(PEER, boot(3))]);
    bench.hello(0, 1, boot(3));
    assert_eq!(bench.hello(100, 2, boot(4)), [Output::Ping(id(1), 1)]);
    assert_eq!(bench.0.next_deadline(), Some(Time(100 + T / 2)));
    assert_eq!(bench.timer(100 + T / 2 - 1), []);
    assert_eq!(bench.epoch(), 3);
    assert_eq!(
        bench.timer(100 + T / 2),
        [Output::Close(id(1)), Output::Accept(id(2)), Output::TableChanged]
    );
    assert_eq!((bench.epoch(), bench.0.next_deadline()), (4, None));
}

#[test]
fn a_restart_takes_over_when_the_old_connection_ends_meanwhile() {
    let mut bench = Bench::new(&[(PEER, boot(3))]);
    bench.hello(0, 1, boot(3));
    bench.hello(100, 2, boot(4));
    assert_eq!(bench.closed(1), [Output::Accept(id(2)), Output::TableChanged]);
}

#[test]
fn a_restart_that_hangs_up_while_it_waits_leaves_all_as_it_was() {
    let mut bench = Bench::new(&[(PEER, boot(3))]);
    bench.hello(0, 1, boot(3));
    bench.hello(100, 2, boot(4));
    assert_eq!(bench.closed(2), []);
    assert_eq!((bench.timer(9999), bench.epoch()), (vec![], 3));
}

#[test]
fn twins_are_both_refused_and_named() {
    let mut bench = Bench::new(&[(PEER, boot(3))]);
    bench.hello(0, 1, boot(3));
    bench.hello(100, 2, boot(4));
    assert_eq!(
        bench.pong(200, 1, 1),
        [Output::Refuse(id(2), duplicate(3)), Output::Refuse(id(1), duplicate(4))]
    );
    // And so on, while both try again.
    for round in 0..20 {
        let now = 300 + 1000 * round;
        let refused = |connection, epoch| [Output::Refuse(id(connection), duplicate(epoch))];
        assert_eq!(bench.hello(now, 3, boot(3)), refused(3, 4));
        assert_eq!(bench.hello(now + 500, 4, boot(4)), refused(4, 3));
    }
    assert_eq!(bench.epoch(), 3);
}

#[test]
fn the_twin_that_stays_is_accepted_whichever_it_is() {
    for stays in [3, 4] {
        let mut bench = Bench::new(&[(PEER, boot(3))]);
        bench.hello(0, 1, boot(3));
        bench.hello(100, 2, boot(4));
        bench.pong(200, 1, 1);
        let refused = bench.hello(3000, 3, boot(stays));
        assert_eq!(refused, [Output::Refuse(id(3), duplicate(7 - stays))]);
        let accepted = bench.hello(3300, 4, boot(stays));
        assert_eq!(accepted.first(), Some(&Output::Accept(id(4))));
        assert_eq!(bench.epoch(), stays);
    }
}

#[test]
fn an_old_start_that_dials_is_as_good_as_a_pong() {
    let mut bench = Bench::new(&[(PEER, boot(3))]);
    bench.hello(0, 1, boot(3));
    bench.hello(100, 2, boot(4));
    let out = bench.hello(150, 3, boot(3));
    assert_eq!(
        out,
        [
            Output::Refuse(id(3), duplicate(4)),
            Output::Refuse(id(2), duplicate(3)),
            Output::Refuse(id(1), duplicate(4)),
        ]
    );
}

#[test]
fn only_the_ping_that_was_asked_counts() {
    let mut bench = Bench::new(&[(PEER, boot(3))]);
    bench.hello(0, 1, boot(3));
    bench.hello(100, 2, boot(4));
    assert_eq!(bench.pong(200, 1, 77), []);
    assert_eq!(bench.pong(200, 2, 1), [], "not the old connection");
    assert_eq!(bench.pong(200, 9, 1), []);
    assert_eq!(bench.epoch(), 3);
}

#[test]
fn copies_and_old_backups_are_refused() {
    let mut bench = Bench::new(&[(PEER, boot(3))]);
    let older = HelloReason::EpochRegressed { known: 3 };
    assert_eq!(bench.hello(0, 1, boot(2)), [Output::Refuse(id(1), older)]);
    let copy = Boot { nonce: 7, ..boot(3) };
    assert_eq!(bench.hello(0, 2, copy), [Output::Refuse(id(2), duplicate(3))]);
    let other = Boot { incarnation: 9, ..boot(4) };
    let mismatch = HelloReason::IncarnationMismatch { known: 1 };
    assert_eq!(bench.hello(0, 3, other), [Output::Refuse(id(3), mismatch)]);
}

#[test]
fn both_lanes_of_a_restart_wait_together() {
    let mut bench = Bench::new(&[(PEER, boot(3))]);
    bench.hello(0, 1, boot(3));
    bench.hello(100, 2, boot(4));
    assert_eq!(bench.hello_on(110, (id(3), Lane::Outbound), boot(4)), []);
    let out = bench.timer(600);
    let expected =
        [Output::Close(id(1)), Output::Accept(id(2)), Output::Accept(id(3)), Output::TableChanged];
    assert_eq!(out, expected);
}

#[test]
fn a_second_restart_while_the_first_waits_takes_its_place() {
    let mut bench = Bench::new(&[(PEER, boot(3))]);
    bench.hello(0, 1, boot(3));
    bench.hello(100, 2, boot(4));
    let older = HelloReason::EpochRegressed { known: 5 };
    assert_eq!(
        bench.hello(200, 3, boot(5)),
        [Output::Refuse(id(2), older), Output::Ping(id(1), 2)]
    );
    bench.timer(700);
    assert_eq!(bench.epoch(), 5);
}

#[test]
fn peers_that_are_no_members_are_forgotten_once_they_hang_up() {
    let mut bench = Bench::new(&[(PEER, boot(3)), (NodeId(2), boot(1))]);
    bench.hello(0, 1, boot(3));
    let mut out = Vec::new();
    bench.0.retain(|_| false, &mut out);
    assert_eq!((out.as_slice(), bench.0.table().len()), (&[Output::TableChanged][..], 1));
    bench.closed(1);
    bench.0.retain(|_| false, &mut out);
    assert!(bench.0.table().is_empty());
}
