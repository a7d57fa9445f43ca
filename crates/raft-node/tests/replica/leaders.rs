//! Leaders come and go: what a request is told whose leader was lost, or is another member.

use raft_core::{AppendEntriesResponse, AppendResult, Index, Lane, LogId, Message, Term};
use raft_node::protocol::{Answer, Reason, Refusal, Request};
use raft_node::replica::{Chunk, Effect, Event, Origin};

use crate::bench::{Bench, N2, N3, write};

#[test]
fn what_was_appended_under_a_lost_leadership_is_unknown() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let origin = bench.ask(write(session, 1, b"a"));
    bench.follow(LogId::new(2, 1), &[], 0);
    assert_eq!(bench.refusal(origin), Refusal::unknown(Reason::LeaderLost));
    bench.ask(write(session, 2, b"b"));
    assert!(bench.effects.iter().any(|e| matches!(e, Effect::Forward { to: N2, .. })));
}

#[test]
fn what_was_passed_on_is_unknown_when_the_leader_is_lost() {
    let lose: [fn(&mut Bench); 2] = [
        |bench| bench.step(vec![Event::Link { peer: N2, lane: Lane::Outbound, up: false }]),
        |bench| bench.hear_next_leader(),
    ];
    for lose in lose {
        let mut bench = Bench::new();
        bench.step(vec![Event::Link { peer: N2, lane: Lane::Outbound, up: true }]);
        bench.follow(LogId::default(), &[], 0);
        let origin = bench.ask(write(1, 1, b"a"));
        assert!(bench.effects.iter().any(|e| matches!(e, Effect::Forward { to: N2, .. })));
        lose(&mut bench);
        assert_eq!(bench.refusal(origin), Refusal::unknown(Reason::LeaderLost));
    }
}

#[test]
fn a_transfer_that_was_passed_on_is_answered_by_the_next_leader() {
    let elsewhere = Some(":9991".to_owned());
    for (to, ends_well) in [(None, true), (Some(":9993".to_owned()), true), (elsewhere, false)] {
        let mut bench = Bench::new();
        bench.step(vec![Event::Link { peer: N2, lane: Lane::Outbound, up: true }]);
        bench.follow(LogId::default(), &[], 0);
        let origin = bench.ask(Request::Transfer { to });
        bench.hear_next_leader();
        let expected = if ends_well {
            Answer::Transferred { to: ":9993".into() }
        } else {
            Refusal::unknown(Reason::LeaderLost).into()
        };
        assert_eq!(bench.answer(origin), Some(expected));
    }
}

#[test]
fn a_forwarded_request_is_not_forwarded_again() {
    let mut bench = Bench::new();
    bench.step(vec![Event::Link { peer: N2, lane: Lane::Outbound, up: true }]);
    bench.follow(LogId::default(), &[], 0);
    let origin = Origin { connection: 9, request: 1, forwarded: true, since_us: 0 };
    bench.step(vec![Event::Request { origin, request: write(1, 1, b"a") }]);
    let leader = Some(":9992".to_owned());
    assert_eq!(bench.refusal(origin), Refusal::not_applied(Reason::NotLeader { leader }));
}

#[test]
fn a_leader_that_is_known_and_not_reached_is_named() {
    let mut bench = Bench::new();
    bench.follow(LogId::default(), &[], 0);
    let origin = bench.ask(write(1, 1, b"a"));
    let leader = Some(":9992".to_owned());
    assert_eq!(bench.refusal(origin), Refusal::not_applied(Reason::NotLeader { leader }));
}

#[test]
fn a_transfer_that_lost_the_leadership_to_nobody_known_is_unknown() {
    let mut bench = Bench::leading();
    let origin = bench.ask(Request::Transfer { to: Some(":9992".into()) });
    let response = AppendEntriesResponse {
        term: Term(5),
        result: AppendResult::StaleTerm,
        last_index: Index(1),
        commit_index: Index(1),
        round: 0,
    };
    bench.hear(N3, Message::AppendEntriesResponse(response), Chunk::default());
    assert_eq!(bench.answer(origin), None, "whoever takes over may still be heard of");
    while bench.answer(origin).is_none() {
        bench.now = bench.replica.next_deadline().expect("a deadline").0;
        bench.step(vec![Event::Timer]);
    }
    assert_eq!(bench.refusal(origin), Refusal::unknown(Reason::LeaderLost));
}
