//! What a client concludes of its request: applied, not applied, nothing sent, unknown.

use bytes::Bytes;
use raft_core::Index;
use raft_node::client_core::{ClientNotice, Conclusion, Op};
use raft_node::protocol::{
    Answer, Consistency, MembersView, News, Outcome, ReadAnswer, Reason, Request,
};
use raft_node::sessions::RequestName;

use crate::bench::{Bench, TIMEOUT, name_of, written};

#[test]
fn a_refusal_that_waiting_can_help_is_waited_out() {
    let mut bench = Bench::writing(1, &[1]);
    let first = bench.refuse(Outcome::NotApplied, Reason::NoLeader);
    assert!(bench.sent.is_empty() && bench.done.is_empty());
    assert!(matches!(bench.notices[..], [ClientNotice::Waiting { .. }]));
    bench.wait(1000);
    assert_eq!(bench.sent[0].1, first);
    bench.answer(written(8));
    assert!(bench.done[&1].is_ok());
}

#[test]
fn a_definite_refusal_ends_not_applied() {
    let mut bench = Bench::writing(1, &[1]);
    bench.refuse(Outcome::NotApplied, Reason::DiskFull);
    let error = bench.done[&1].as_ref().expect_err("refused");
    assert_eq!((error.outcome, &error.reason), (Conclusion::NotApplied, &Some(Reason::DiskFull)));
}

#[test]
fn an_attempt_that_ended_unknown_makes_the_request_unknown_whatever_follows() {
    for reason in [Reason::DiskFull, Reason::SessionExpired { session: 7 }, Reason::LastMember] {
        // Lost with the connection.
        let mut bench = Bench::writing(2, &[1]);
        bench.disconnect();
        bench.connect();
        bench.refuse(Outcome::NotApplied, reason.clone());
        assert_eq!(bench.outcome(1), Some(Conclusion::Unknown), "{reason:?}");
        // Said by the server.
        let mut bench = Bench::writing(1, &[1]);
        bench.refuse(Outcome::Unknown, Reason::LeaderLost);
        bench.wait(1000);
        bench.refuse(Outcome::NotApplied, reason.clone());
        assert_eq!(bench.outcome(1), Some(Conclusion::Unknown), "{reason:?}");
    }
}

#[test]
fn a_withdrawn_request_is_not_applied_whatever_was_before() {
    let mut bench = Bench::writing(1, &[1]);
    bench.refuse(Outcome::Unknown, Reason::LeaderLost);
    bench.wait(1000);
    bench.refuse(Outcome::NotApplied, Reason::Withdrawn { at: Index(9) });
    assert_eq!(bench.outcome(1), Some(Conclusion::NotApplied));
}

#[test]
fn an_unknown_outcome_has_the_name_by_which_it_was_sent() {
    let mut bench = Bench::writing(1, &[1]);
    let request = bench.refuse(Outcome::Unknown, Reason::LeaderLost);
    let (session, sequence, _) = name_of(&request);
    while bench.done.is_empty() {
        bench.wait(100);
        if !bench.sent.is_empty() {
            bench.refuse(Outcome::NotApplied, Reason::NoLeader);
        }
    }
    let error = bench.done[&1].as_ref().expect_err("nobody leads");
    assert_eq!(error.request, Some(RequestName { session, sequence }));
    // What was certainly not applied needs none.
    let mut bench = Bench::writing(1, &[1]);
    bench.refuse(Outcome::NotApplied, Reason::DiskFull);
    assert_eq!(bench.done[&1].as_ref().expect_err("refused").request, None);
}

#[test]
fn unknown_turns_into_applied_when_a_later_attempt_says_so() {
    let mut bench = Bench::writing(1, &[1]);
    bench.refuse(Outcome::Unknown, Reason::LeaderLost);
    bench.wait(1000);
    bench.answer(written(8));
    assert!(bench.done[&1].is_ok());
}

#[test]
fn an_unknown_refusal_and_then_waiting_refusals_end_unknown_at_the_timeout() {
    let mut bench = Bench::writing(1, &[1]);
    bench.refuse(Outcome::Unknown, Reason::LeaderLost);
    while bench.done.is_empty() {
        bench.wait(100);
        if !bench.sent.is_empty() {
            let busy = Reason::Busy { what: "all".into() };
            bench.refuse(Outcome::NotApplied, busy);
        }
    }
    assert_eq!(bench.outcome(1), Some(Conclusion::Unknown));
}

#[test]
fn refused_in_every_attempt_ends_not_applied_at_the_timeout() {
    let mut bench = Bench::writing(1, &[1]);
    while bench.done.is_empty() {
        bench.wait(10);
        if !bench.sent.is_empty() {
            bench.refuse(Outcome::NotApplied, Reason::NoLeader);
        }
    }
    assert_eq!(bench.now / 100, TIMEOUT / 100);
    assert_eq!(bench.outcome(1), Some(Conclusion::NotApplied));
}

#[test]
fn at_the_timeout_nothing_sent_and_unknown_are_told_apart() {
    let mut bench = Bench::new(1);
    bench.write(1);
    bench.wait(TIMEOUT);
    assert_eq!(bench.outcome(1), Some(Conclusion::NothingSent));

    let mut bench = Bench::writing(1, &[1]);
    bench.wait_heard(TIMEOUT);
    assert_eq!(bench.outcome(1), Some(Conclusion::Unknown));
    assert_eq!(
        bench.done[&1].as_ref().expect_err("an error").to_string(),
        "outcome unknown: no answer within 5 s"
    );
}

#[test]
fn the_reason_why_nothing_was_sent_is_named() {
    let mut bench = Bench::new(1);
    bench.write(1);
    bench.step(&|client, now, out| client.refused(now, "connection refused", out));
    bench.wait(TIMEOUT);
    assert_eq!(
        bench.done[&1].as_ref().expect_err("an error").what,
        "no server was reached within 5 s: :9990: no answer to the dial"
    );
    let mut bench = Bench::new(1);
    bench.write(1);
    bench.connect();
    while bench.done.is_empty() {
        bench.wait(10);
        if !bench.sent.is_empty() {
            bench.refuse(Outcome::NotApplied, Reason::NoLeader);
        }
    }
    let error = bench.done[&1].as_ref().expect_err("an error");
    assert_eq!((error.outcome, &error.reason), (Conclusion::NothingSent, &Some(Reason::NoLeader)));
}

#[test]
fn reads_are_never_unknown() {
    let mut bench = Bench::new(2);
    bench.submit(1, Op::Members);
    bench.connect();
    assert_eq!(bench.sent[0].1, Request::Members, "without a session");
    bench.disconnect();
    bench.connect();
    assert_eq!(bench.sent[0].1, Request::Members);
    bench.submit(2, Op::Status);
    bench.answer(Answer::Members(MembersView::default()));
    assert!(bench.done[&1].is_ok());
    bench.wait_heard(TIMEOUT);
    assert_eq!(bench.outcome(2), Some(Conclusion::NotApplied));
}

#[test]
fn a_question_is_asked_anew_elsewhere_and_waits_for_news_on_top_of_the_timeout() {
    let mut bench = Bench::new(2);
    let (query, consistency) = (Bytes::from_static(b"?"), Consistency::Linearizable);
    bench.submit(1, Op::Read { query: query.clone(), consistency, news: None });
    bench.connect();
    let asked = Request::Read { query: query.clone(), consistency, news: None };
    assert_eq!(bench.sent[0].1, asked, "without a session");
    bench.disconnect();
    bench.connect();
    assert_eq!(bench.sent[0].1, asked);
    let answer =
        ReadAnswer { response: query.clone(), applied: Index(3), version: 1, stale: false };
    bench.answer(Answer::Read(answer.clone()));
    assert_eq!(bench.done[&1].as_ref().map(|done| &done.answer), Ok(&Answer::Read(answer)));
    let news = Some(News { after: 1, within: 30_000 });
    bench.submit(2, Op::Read { query, consistency, news });
    bench.wait_heard(TIMEOUT + 29_900);
    assert!(!bench.done.contains_key(&2));
    bench.wait_heard(100);
    assert_eq!(bench.outcome(2), Some(Conclusion::NotApplied));
}

#[test]
fn a_command_that_is_too_large_is_not_sent() {
    let mut bench = Bench::new(1);
    bench.submit(1, Op::Write(Bytes::from(vec![0; 16 * 1024 * 1024 + 1])));
    assert_eq!(bench.outcome(1), Some(Conclusion::NotApplied));
    assert!(bench.dials.is_empty());
}

#[test]
fn an_answer_to_another_question_proves_nothing() {
    let mut bench = Bench::writing(1, &[1]);
    bench.answer(Answer::SessionEnded);
    assert_eq!(bench.outcome(1), Some(Conclusion::Unknown));
}
