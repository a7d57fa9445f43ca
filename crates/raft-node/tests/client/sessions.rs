//! Sessions of a client: registered first, repeated as they were, numbered, replaced and ended.

use bytes::Bytes;
use raft_node::client_core::{
    ClientCore, ClientNotice, Conclusion, Op, Settings, WINDOW_BYTES_MAX,
};
use raft_node::protocol::{Answer, Outcome, Reason, Request};
use raft_node::sessions::WINDOW_MAX;

use crate::bench::{Bench, TIMEOUT, name_of, settings, written};

#[test]
fn a_session_is_registered_before_the_first_write() {
    let mut bench = Bench::new(1);
    bench.write(1);
    assert_eq!(bench.dials, [0]);
    bench.connect();
    assert_eq!(
        bench.answer(Answer::Registered { session: 7 }),
        Request::Register { one_shot: false }
    );
    assert_eq!(name_of(&bench.sent[0].1), (7, 1, 1));
    bench.answer(written(8));
    let success = bench.done[&1].as_ref().expect("success");
    assert_eq!((&success.answer, success.contacted.as_str()), (&written(8), ":9990"));
    // The next one needs no registration.
    bench.write(2);
    assert_eq!(name_of(&bench.sent[0].1), (7, 2, 2));
}

#[test]
fn a_one_shot_says_so() {
    let mut bench = Bench::new(1);
    bench.client = ClientCore::new(Settings { one_shot: true, ..settings(1, 1) });
    bench.write(1);
    bench.connect();
    assert_eq!(bench.sent[0].1, Request::Register { one_shot: true });
}

#[test]
fn a_lost_registration_is_repeated_freely() {
    let mut bench = Bench::new(2);
    bench.write(1);
    bench.connect();
    bench.disconnect();
    bench.connect();
    assert_eq!(bench.sent[0].1, Request::Register { one_shot: false });
    bench.wait(TIMEOUT);
    assert_eq!(bench.outcome(1), Some(Conclusion::NothingSent));
}

#[test]
fn what_was_in_flight_goes_to_the_next_endpoint_as_it_was() {
    let mut bench = Bench::writing(3, &[1, 2]);
    let before: Vec<Request> = bench.sent.iter().map(|(_, request)| request.clone()).collect();
    bench.disconnect();
    assert_eq!(bench.dials, [0, 1]);
    bench.connect();
    let after: Vec<Request> = bench.sent.iter().map(|(_, request)| request.clone()).collect();
    assert_eq!(before, after);
    assert!(matches!(bench.notices[..], [ClientNotice::Lost { in_flight: 2, .. }]));
    bench.answer(written(8));
    bench.answer(written(9));
    assert!(bench.done.values().all(Result::is_ok));
}

#[test]
fn the_lowest_unacknowledged_request_moves_up_with_the_answers() {
    let mut bench = Bench::writing(1, &[1, 2, 3]);
    bench.sent.swap(0, 1);
    bench.answer(written(8));
    bench.write(4);
    assert_eq!(name_of(&bench.sent[2].1), (7, 4, 1), "the first one has no answer yet");
    bench.answer(written(9));
    bench.write(5);
    assert_eq!(name_of(&bench.sent[2].1), (7, 5, 3));
}

#[test]
fn an_expired_session_is_replaced_for_what_was_not_carried_out() {
    let mut bench = Bench::writing(1, &[1, 2]);
    bench.refuse(Outcome::NotApplied, Reason::SessionExpired { session: 7 });
    // Both find out, one new session serves both.
    bench.refuse(Outcome::NotApplied, Reason::SessionExpired { session: 7 });
    bench.answer(Answer::Registered { session: 20 });
    let names: Vec<_> = bench.sent.iter().map(|(_, request)| name_of(request)).collect();
    assert_eq!(names, [(20, 1, 1), (20, 2, 1)]);
    bench.answer(written(21));
    bench.answer(written(22));
    assert!(bench.done.values().all(Result::is_ok));
}

#[test]
fn the_window_bounds_what_is_in_flight() {
    let ids: Vec<u64> = (1..=WINDOW_MAX + 5).collect();
    let mut bench = Bench::writing(1, &ids);
    assert_eq!(bench.sent.len() as u64, WINDOW_MAX);
    bench.answer(written(8));
    assert_eq!(bench.sent.len() as u64, WINDOW_MAX, "one answered, one more sent");

    let mut bench = Bench::new(1);
    for id in 1..=3 {
        bench.submit(id, Op::Write(Bytes::from(vec![0; WINDOW_BYTES_MAX / 2])));
    }
    bench.connect();
    bench.answer(Answer::Registered { session: 7 });
    assert_eq!(bench.sent.len(), 2);
    // One that is larger than the window goes alone.
    let mut bench = Bench::new(1);
    bench.submit(1, Op::Write(Bytes::from(vec![0; WINDOW_BYTES_MAX + 1])));
    bench.write(2);
    bench.connect();
    bench.answer(Answer::Registered { session: 7 });
    assert_eq!(bench.sent.len(), 1);
}

#[test]
fn a_session_that_cannot_be_opened_ends_the_writes_that_wait_for_it() {
    let mut bench = Bench::new(1);
    bench.write(1);
    bench.connect();
    bench.refuse(Outcome::NotApplied, Reason::SessionLimit);
    assert_eq!(bench.outcome(1), Some(Conclusion::NotApplied));
}

#[test]
fn the_end_of_a_session() {
    let mut bench = Bench::new(1);
    bench.submit(1, Op::EndSession);
    assert!(bench.done[&1].is_ok(), "there is none");
    let mut bench = Bench::writing(1, &[1]);
    bench.answer(written(8));
    bench.submit(2, Op::EndSession);
    assert_eq!(bench.answer(Answer::SessionEnded), Request::EndSession { session: 7 });
    assert!(bench.done[&2].is_ok());
    bench.write(3);
    assert_eq!(bench.sent[0].1, Request::Register { one_shot: false });
}
