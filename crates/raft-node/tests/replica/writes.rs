//! Writes: one answer for each, at the right moment, and one operation of the disk for a call.

use bytes::Bytes;
use raft_core::{Index, LogId, Term};
use raft_log::Kind;
use raft_node::protocol::{Answer, Outcome, Reason, Refusal, Request};
use raft_node::replica::{Effect, Event, Limits};
use raft_node::vitals::fill_in;
use raft_node::{Fill, Vitals};

use crate::bench::{Bench, N2, write};

#[test]
fn a_write_is_answered_when_it_is_committed_and_applied_and_not_before() {
    let mut bench = Bench::leading();
    let session = bench.session();
    assert!(!bench.replica.owes_answers());
    let origin = bench.ask(write(session, 1, b"a"));
    assert_eq!(bench.answer(origin), None);
    bench.persisted();
    assert_eq!(bench.answer(origin), None, "on one disk of three");
    assert!(bench.replica.owes_answers());
    bench.matched(N2, 3);
    assert!(!bench.replica.owes_answers());
    let expected = Answer::Written { at: LogId::new(3, 1), response: Bytes::from_static(b"1") };
    assert_eq!(bench.answer(origin), Some(expected));
}

#[test]
fn writes_of_one_call_are_one_batch_and_one_operation() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let events = (1..=20).map(|sequence| bench.asked(write(session, sequence, b"a")).0).collect();
    bench.step(events);
    let (_, last) = bench.writes.last().expect("a write");
    assert_eq!((last.first, last.count), (Index(3), 20));
    let appends = bench.effects.iter().filter(|e| matches!(e, Effect::Send { to: N2, .. })).count();
    assert_eq!(appends, 1);
}

#[test]
fn a_repetition_gets_the_first_answer_without_another_entry() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let first = bench.ask(write(session, 1, b"a"));
    bench.persisted();
    bench.matched(N2, 3);
    let answer = bench.answer(first);
    let again = bench.ask(write(session, 1, b"a"));
    assert_eq!(bench.answer(again), answer);
    assert_eq!(bench.replica.raft().last_log_id(), LogId::new(3, 1));
}

#[test]
fn a_repetition_that_overtakes_is_applied_once() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let (one, first) = bench.asked(write(session, 1, b"a"));
    let (two, second) = bench.asked(write(session, 1, b"a"));
    bench.step(vec![one, two]);
    bench.persisted();
    bench.matched(N2, 4);
    assert!(bench.answer(first).is_some());
    assert_eq!(bench.answer(first), bench.answer(second), "both are in the log, one was applied");
}

#[test]
fn refusals_before_the_log_are_definite() {
    let small = Limits { command_bytes_max: 2, uncommitted_bytes_max: 100, ..Limits::default() };
    let mut bench = Bench::with(small, Index(0));
    bench.lead();
    let session = bench.session();
    let large = bench.ask(write(session, 1, b"abc"));
    let too_large = Reason::TooLarge { limit: 2, size: 3 };
    assert_eq!(bench.refusal(large), Refusal::not_applied(too_large));
    bench.ask(write(session, 2, b"a"));
    bench.ask(write(session, 3, b"a"));
    let busy = bench.ask(write(session, 4, b"a"));
    let refusal = bench.refusal(busy);
    assert_eq!(refusal.outcome, Outcome::NotApplied);
    assert!(matches!(refusal.reason, Reason::Busy { .. }));
    assert_eq!(bench.replica.raft().last_log_id().index, Index(4), "nothing else was appended");
}

#[test]
fn what_the_state_machine_does_not_admit_is_certainly_not_applied() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let origin = bench.ask(write(session, 1, b"too much"));
    let reason = Reason::Full { what: "the counter is full".into() };
    assert_eq!(bench.refusal(origin), Refusal::not_applied(reason));
    let origin = bench.ask(write(session, 2, b"nonsense"));
    let reason = Reason::Invalid("it is no command".into());
    assert_eq!(bench.refusal(origin), Refusal::not_applied(reason));
    assert_eq!(bench.replica.raft().last_log_id(), LogId::new(2, 1), "nothing was appended");
}

#[test]
fn the_state_machine_is_told_what_is_admitted_and_not_applied_yet() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let first = bench.ask(write(session, 1, b"much"));
    let second = bench.ask(write(session, 2, b"much"));
    let reason = Reason::Busy { what: "it may be full soon".into() };
    assert_eq!(bench.refusal(second), Refusal::not_applied(reason));
    bench.persisted();
    bench.matched(N2, 3);
    assert!(matches!(bench.answer(first), Some(Answer::Written { .. })));
    let again = bench.ask(write(session, 2, b"much"));
    assert_eq!(bench.answer(again), None, "it is on its way");
    assert_eq!(bench.replica.raft().last_log_id(), LogId::new(4, 1));
}

#[test]
fn the_status_says_how_full_the_state_machine_is() {
    let mut bench = Bench::leading();
    let session = bench.session();
    bench.ask(write(session, 1, b"a"));
    bench.persisted();
    bench.matched(N2, 3);
    let fill = |bytes| vec![Fill { what: "counter".into(), bytes, bytes_max: 9 }];
    let mut status = bench.replica.status();
    assert_eq!(status.vitals.fills, fill(1));
    fill_in(&mut status, Vitals { syncs: 7, ..Vitals::default() }, 1000);
    assert_eq!((status.vitals.syncs, &status.vitals.fills), (7, &fill(1)));
    assert_eq!(status.vitals.problems, [""; 0]);
    status.vitals.fills[0].bytes_max = 1;
    fill_in(&mut status, Vitals::default(), 1000);
    let problem = "counter nearly full: it has 1 bytes of at most 1";
    assert_eq!(status.vitals.problems, [problem]);
}

#[test]
fn replaced_entries_are_one_operation_that_says_where_the_old_ones_end() {
    let mut bench = Bench::leading();
    let session = bench.session();
    bench.ask(write(session, 1, b"lost"));
    bench.ask(write(session, 2, b"lost too"));
    let prev = LogId::new(2, 1);
    let first = bench.append(prev, &[(Kind::NOOP, b"")], 0);
    let second = bench.append(LogId::new(3, 2), &[(Kind::NOOP, b""), (Kind::NOOP, b"")], 0);
    bench.step(vec![first, second]);
    let (_, last) = bench.writes.last().expect("a write");
    assert_eq!(last.truncate_from, Some(Index(3)));
    assert_eq!((last.first, last.count), (Index(3), 3));
    assert_eq!(last.hard_state.map(|state| state.term), Some(Term(2)));
}

#[test]
fn one_that_is_about_to_stop_takes_nothing_new() {
    let mut bench = Bench::leading();
    bench.step(vec![Event::HandOver]);
    let origin = bench.ask(Request::Register { one_shot: true });
    assert_eq!(bench.refusal(origin), Refusal::not_applied(Reason::ShuttingDown));
}
