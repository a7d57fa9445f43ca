//! Reads: confirmed, of what is here, and of news.

use bytes::Bytes;
use raft_core::{Index, Lane, LogId, Message, ReadIndexResponse, Term, Time};
use raft_log::Kind;
use raft_node::protocol::{Consistency, News, Reason, Refusal, Request};
use raft_node::replica::{Chunk, Effect, Event, Limits};

use crate::bench::{Bench, N2, N3, news, read, told, write};

#[test]
fn a_leader_answers_a_read_when_a_majority_confirmed_that_it_still_leads() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let origin = bench.ask(read(Consistency::Linearizable));
    assert_eq!(bench.answer(origin), None);
    bench.confirmed(N2, 2, 0);
    assert_eq!(bench.answer(origin), None, "said before it was asked");
    assert!(bench.replica.owes_answers());
    bench.confirmed(N3, 2, 1);
    assert_eq!(bench.answer(origin), told(0, 2, false));
    bench.ask(write(session, 1, b"a"));
    bench.persisted();
    bench.matched(N2, 3);
    let origin = bench.ask(read(Consistency::Linearizable));
    bench.confirmed(N2, 3, 2);
    assert_eq!(bench.answer(origin), told(1, 3, false));
    assert!(!bench.replica.owes_answers());
}

#[test]
fn reads_of_one_call_share_a_round() {
    let mut bench = Bench::leading();
    let (events, origins): (Vec<_>, Vec<_>) =
        (0..20).map(|_| bench.asked(read(Consistency::Linearizable))).unzip();
    bench.step(events);
    let appends = bench.effects.iter().filter(|e| matches!(e, Effect::Send { to: N2, .. })).count();
    assert_eq!(appends, 1);
    bench.confirmed(N2, 1, 1);
    assert!(origins.into_iter().all(|origin| bench.answer(origin) == told(0, 1, false)));
}

#[test]
fn without_a_leader_only_what_this_member_has_is_answered() {
    let mut bench = Bench::new();
    let origin = bench.ask(read(Consistency::Linearizable));
    assert_eq!(bench.refusal(origin), Refusal::not_applied(Reason::NoLeader));
    let origin = bench.ask(read(Consistency::Local));
    assert_eq!(bench.answer(origin), told(0, 0, true));
}

#[test]
fn a_read_that_was_not_confirmed_is_refused_when_the_leadership_ends() {
    let mut bench = Bench::leading();
    let origin = bench.ask(read(Consistency::Linearizable));
    bench.follow(LogId::new(1, 1), &[], 0);
    let leader = Some(":9992".into());
    assert_eq!(bench.refusal(origin), Refusal::not_applied(Reason::NotLeader { leader }));
}

#[test]
fn a_follower_asks_its_leader_and_answers_when_it_has_applied_as_much() {
    let mut bench = Bench::new();
    let link = |lane| Event::Link { peer: N2, lane, up: true };
    bench.step(vec![link(Lane::Outbound), link(Lane::Inbound)]);
    bench.follow(LogId::default(), &[(Kind::NOOP, b""), (Kind::NOOP, b"")], 1);
    bench.persisted();
    let origin = bench.ask(read(Consistency::Linearizable));
    let asked = bench.effects.iter().find_map(|effect| match effect {
        Effect::Send { to: N2, message: Message::ReadIndex(asked), .. } => Some(*asked),
        _ => None,
    });
    let request = asked.expect("the leader is asked").request;
    let response = ReadIndexResponse { term: Term(2), request, result: Ok(Index(3)) };
    bench.hear(N2, Message::ReadIndexResponse(response), Chunk::default());
    assert_eq!(bench.replica.applied_index(), Index(2), "it holds no more");
    assert_eq!(bench.answer(origin), None);
    bench.follow(LogId::new(2, 2), &[(Kind::NOOP, b"")], 3);
    bench.persisted();
    assert_eq!(bench.answer(origin), told(0, 3, false));
}

#[test]
fn a_read_for_news_waits_until_there_is_some_or_its_time_is_over() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let origin = bench.ask(news(0));
    assert_eq!(bench.answer(origin), None);
    assert!(!bench.replica.owes_answers(), "nobody has to stay for it");
    bench.ask(write(session, 1, b"a"));
    bench.persisted();
    bench.matched(N2, 3);
    assert_eq!(bench.answer(origin), told(1, 3, true));
    let origin = bench.ask(news(0));
    assert_eq!(bench.answer(origin), told(1, 3, true), "there was some already");
    let origin = bench.ask(news(1));
    bench.now += 99;
    bench.step(vec![Event::Timer]);
    assert_eq!(bench.answer(origin), None);
    assert!(bench.replica.next_deadline().is_some_and(|deadline| deadline <= Time(bench.now + 1)));
    bench.now += 1;
    bench.step(vec![Event::Timer]);
    assert_eq!(bench.answer(origin), told(1, 3, true), "nothing new");
    let origin = bench.ask(news(1));
    bench.step(vec![Event::HandOver]);
    assert_eq!(bench.refusal(origin), Refusal::not_applied(Reason::ShuttingDown));
}

#[test]
fn the_end_of_a_wait_for_news_is_no_timeout_of_the_core() {
    let mut bench = Bench::new();
    bench.follow(LogId::default(), &[(Kind::NOOP, b"")], 0);
    let origin = bench.ask(news(7));
    bench.now += 100;
    bench.step(vec![Event::Timer]);
    assert_eq!(bench.answer(origin), told(0, 0, true));
    assert_eq!(bench.replica.status().role, "follower", "no election before its time");
}

#[test]
fn reads_that_wait_are_bounded_and_make_room_when_their_client_goes() {
    let limits = Limits { waiting_query_bytes_max: 600, query_bytes_max: 9, ..Limits::default() };
    let mut bench = Bench::with(limits, Index(0));
    for _ in 0..2 {
        let origin = bench.ask(news(7));
        assert_eq!(bench.answer(origin), None);
    }
    let origin = bench.ask(news(7));
    let Reason::Busy { .. } = bench.refusal(origin).reason else { panic!("too many") };
    bench.step(vec![Event::Gone { connection: 7 }]);
    let origin = bench.ask(news(7));
    assert_eq!(bench.answer(origin), None);
    let (query, consistency) = (Bytes::from_static(b"how many??"), Consistency::Local);
    let origin = bench.ask(Request::Read { query, consistency, news: None });
    let reason = Reason::TooLarge { limit: 9, size: 10 };
    assert_eq!(bench.refusal(origin), Refusal::not_applied(reason));
}

#[test]
fn what_no_budget_was_left_for_is_answered_in_the_next_calls() {
    let mut bench = Bench::with(Limits { answer_bytes_max: 1, ..Limits::default() }, Index(0));
    let (events, origins): (Vec<_>, Vec<_>) =
        (0..3).map(|_| bench.asked(read(Consistency::Local))).unzip();
    bench.step(events);
    for (place, origin) in origins.into_iter().enumerate() {
        assert_eq!(bench.answer(origin), told(0, 0, true));
        assert_eq!(bench.replica.has_backlog(), place < 2);
        bench.step(vec![]);
    }
}

#[test]
fn who_waits_for_news_is_woken_only_by_what_may_be_some() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let news = Some(News { after: 0, within: 100 });
    let query = Bytes::from_static(b"tens");
    let tens = bench.ask(Request::Read { query, consistency: Consistency::Local, news });
    for count in 1..=10 {
        bench.ask(write(session, count, b"a"));
        bench.persisted();
        assert_eq!(bench.answer(tens), None, "{count}");
        bench.matched(N2, 2 + count);
    }
    assert_eq!(bench.answer(tens), told(10, 12, true));
}
