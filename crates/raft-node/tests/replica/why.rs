//! What a replica says when it is asked why, and what had become of a request.

use bytes::Bytes;
use raft_core::{Index, LogId};
use raft_log::Kind;
use raft_node::protocol::{Answer, Reason, Refusal, Request};
use raft_node::replica::{Event, Origin};
use raft_node::sessions::{Fate, RequestName};
use raft_node::testimony::{Asked, RefusedThing, Testimony};

use crate::bench::{Bench, N2, N3, read, write};

fn testimony(bench: &mut Bench) -> Testimony {
    let origin = bench.ask(Request::Why);
    match bench.answer(origin) {
        Some(Answer::Why(testimony)) => *testimony,
        other => panic!("no testimony: {other:?}"),
    }
}

#[test]
fn refusals_of_clients_are_kept_and_alike_ones_counted() {
    let mut bench = Bench::leading();
    let session = bench.session();
    assert_eq!(testimony(&mut bench).refused, []);
    bench.step(vec![Event::Space { free_log_bytes: 10 }]);
    for sequence in [1, 2, 3] {
        bench.now += 100;
        bench.ask(write(session, sequence, b"a"));
    }
    bench.step(vec![Event::Space { free_log_bytes: u64::MAX }]);
    bench.now += 50;
    bench.ask(write(session, 4, b"too much"));
    bench.now += 7;
    let refused = testimony(&mut bench).refused;
    let words: Vec<_> =
        refused.iter().map(|past| (&past.what, past.count, past.first_ms, past.last_ms)).collect();
    let client = |reason| {
        let refusal = Refusal::not_applied(reason);
        RefusedThing::Client { asked: Asked::Write, refusal }
    };
    let full = client(Reason::Full { what: "the counter is full".into() });
    assert_eq!(words, [(&client(Reason::DiskFull), 3, 257, 57), (&full, 1, 7, 7)]);
    assert_eq!(refused[0].knew.leader, bench.replica.raft().leader());
}

#[test]
fn a_follower_says_what_it_did_not_take_and_a_read_that_nobody_confirms() {
    let mut bench = Bench::new();
    bench.follow(LogId::default(), &[(Kind::NOOP, b"")], 0);
    bench.step(vec![Event::Space { free_log_bytes: 64 * 1024 }]);
    bench.follow(LogId::new(1, 2), &[(Kind::NOOP, &[0; 100])], 0);
    bench.ask(read(raft_node::Consistency::Linearizable));
    let refused = testimony(&mut bench).refused;
    assert!(
        matches!(refused[0].what, RefusedThing::Entries { from: N2, bytes, .. } if bytes > 100),
        "{refused:?}"
    );
    assert!(
        matches!(refused[1].what, RefusedThing::Client { asked: Asked::Read, .. }),
        "{refused:?}"
    );
}

#[test]
fn a_leader_says_whom_it_reaches_and_what_they_hold() {
    let mut bench = Bench::leading();
    bench.now += 30;
    let said = testimony(&mut bench);
    assert_eq!(said.reaches, [N2, N3]);
    let n2 = said.peers.iter().find(|peer| peer.id == N2).expect("a peer");
    assert_eq!((n2.match_index, n2.connected, n2.answered_ms), (Index(1), true, Some(30)));
    let n3 = said.peers.iter().find(|peer| peer.id == N3).expect("a peer");
    assert_eq!((n3.match_index, n3.answered_ms), (Index(0), None));
    assert_eq!((said.change, said.write_out_ms), (None, None));
}

fn result(session: u64, sequence: u64) -> Request {
    Request::Result(RequestName { session, sequence })
}

/// The answer to what is in the log by now, once a majority has it.
fn committed(bench: &mut Bench, origin: Origin) -> Option<Answer> {
    assert_eq!(bench.answer(origin), None, "not before it is committed");
    bench.persisted();
    let last = bench.replica.raft().last_log_id().index.0;
    bench.matched(N2, last);
    bench.answer(origin)
}

#[test]
fn never_applied_is_said_only_once_that_is_committed() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let asked = bench.ask(result(session, 1));
    let at = LogId::new(3, 1);
    assert_eq!(committed(&mut bench, asked), Some(Answer::Fate(Fate::Withdrawn { at })));
    // The request itself comes now, and again.
    for _ in 0..2 {
        let late = bench.ask(write(session, 1, b"a"));
        let refusal = Refusal::not_applied(Reason::Withdrawn { at: at.index });
        assert_eq!(committed(&mut bench, late), Some(refusal.into()));
    }
    // The next one of its session does not notice.
    let next = bench.ask(write(session, 2, b"b"));
    let response = Bytes::from_static(b"1");
    let at = LogId::new(6, 1);
    let written = Answer::Written { at, response: response.clone() };
    assert_eq!(committed(&mut bench, next), Some(written));
    // What is applied is told at once.
    let asked = bench.ask(result(session, 2));
    assert_eq!(bench.answer(asked), Some(Answer::Fate(Fate::Applied { at, response })));
}

#[test]
fn a_request_that_is_in_the_log_before_the_question_is_applied() {
    let mut bench = Bench::leading();
    let session = bench.session();
    // Not committed yet.
    bench.ask(write(session, 1, b"a"));
    let asked = bench.ask(result(session, 1));
    let (at, response) = (LogId::new(3, 1), Bytes::from_static(b"1"));
    assert_eq!(committed(&mut bench, asked), Some(Answer::Fate(Fate::Applied { at, response })));
    // The no-op has opened none.
    let asked = bench.ask(result(1, 1));
    assert_eq!(committed(&mut bench, asked), Some(Answer::Fate(Fate::Expired)));
    // One that may be opened yet.
    let asked = bench.ask(result(77, 1));
    let answer = committed(&mut bench, asked);
    assert!(matches!(answer, Some(Answer::Refused(_))), "{answer:?}");
}
