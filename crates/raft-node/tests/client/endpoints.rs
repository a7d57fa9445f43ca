//! Which server is asked, and when the next one is.

use raft_node::client_core::Op;
use raft_node::protocol::{Outcome, Reason};

use crate::bench::{Bench, TIMEOUT, name_of, written};

#[test]
fn an_endpoint_that_does_not_lead_is_left_for_the_next_one() {
    let mut bench = Bench::writing(2, &[1, 2]);
    bench.refuse(Outcome::NotApplied, Reason::NotLeader { leader: None });
    assert_eq!(bench.closes, 0, "another answer is still to come");
    bench.answer(written(8));
    assert_eq!((bench.closes, bench.dials.as_slice()), (1, &[0, 1][..]));
    bench.connect();
    bench.wait(1000);
    assert_eq!(name_of(&bench.sent[0].1), (7, 1, 1));
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let mut bench = Bench::writing(2, &[1]);
    bench.wait(TIMEOUT / 3 + 1);
    assert!(!bench.pings.is_empty());
    assert_eq!((bench.closes, bench.dials.as_slice()), (1, &[0, 1][..]));
    bench.connect();
    bench.answer(written(8));
    assert!(bench.done[&1].is_ok());
    // Silence while nothing is asked is no silence.
    bench.wait(60_000);
    bench.write(2);
    bench.answer(written(9));
    assert!(bench.done[&2].is_ok());
    assert_eq!(bench.closes, 1);
}

#[test]
fn dials_go_round_and_slow_down() {
    let mut bench = Bench::new(2);
    bench.submit(1, Op::Members);
    for _ in 0..200 {
        if bench.done.is_empty() && bench.dials.len() < 100 {
            let dialled = bench.dials.len();
            bench.step(&|client, now, out| client.refused(now, "refused", out));
            while bench.dials.len() == dialled && bench.done.is_empty() {
                bench.wait(1);
            }
        }
    }
    assert_eq!(bench.dials[..4], [0, 1, 0, 1]);
    assert!(bench.dials.len() < 30, "{} dials in 5 s", bench.dials.len());
    assert_eq!(bench.notices.len(), 2, "each endpoint once");
}
