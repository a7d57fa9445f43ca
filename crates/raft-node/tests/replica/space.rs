//! Room for the log: who is admitted, who takes entries and who leads when there is little.

use raft_core::{Index, LogId};
use raft_log::{Kind, encoded_len};
use raft_node::protocol::{Answer, Reason, Refusal, Request};
use raft_node::replica::{Event, Limits};

use crate::bench::{Bench, N2, N3, write};

#[test]
fn a_leader_admits_what_itself_and_a_quorum_can_hold() {
    let mut bench = Bench::leading();
    let session = bench.session();
    bench.step(vec![Event::Space { free_log_bytes: 10 }]);
    let origin = bench.ask(write(session, 1, b"a"));
    assert_eq!(bench.refusal(origin), Refusal::not_applied(Reason::DiskFull));
    bench.step(vec![Event::Space { free_log_bytes: u64::MAX }]);
    bench.peers_have(10, 10);
    let origin = bench.ask(write(session, 2, b"a"));
    assert_eq!(bench.refusal(origin), Refusal::not_applied(Reason::DiskFull));
}

#[test]
fn a_full_leader_lets_the_voter_with_the_most_room_lead() {
    let (little, enough) = (10, 1 << 30);
    for (own, n2, n3, to) in [
        (little, enough, enough + 1, Some(N3)),
        (little, enough, enough, Some(N2)),
        // Who would lead then could not commit.
        (little, little, enough, None),
        (enough, little, little, None),
    ] {
        let mut bench = Bench::leading();
        let session = bench.session();
        bench.peers_have(n2, n3);
        bench.step(vec![Event::Space { free_log_bytes: own }]);
        assert_eq!(bench.replica.raft().handing_over(), None, "nobody wants to write");
        let origin = bench.ask(write(session, 1, b"a"));
        let reason = to.map_or(Reason::DiskFull, |heir| Reason::HandingOver {
            to: bench.replica.address_of(heir).unwrap().to_owned(),
        });
        assert_eq!(bench.refusal(origin), Refusal::not_applied(reason));
        assert_eq!(bench.replica.raft().handing_over(), to, "{own}, {n2}, {n3}");
    }
}

#[test]
fn a_follower_takes_no_entries_into_the_room_for_votes() {
    let mut bench = Bench::new();
    bench.follow(LogId::default(), &[(Kind::NOOP, b"")], 0);
    let payload = vec![0; 20_000];
    let size = encoded_len(payload.len()) as u64;
    let votes = 64 * 1024;
    let last = |bench: &Bench| bench.replica.raft().last_log_id().index;
    // The first entry, which is not written yet, needs room as well.
    bench.step(vec![Event::Space { free_log_bytes: size + votes }]);
    bench.follow(LogId::new(1, 2), &[(Kind::NOOP, &payload)], 0);
    assert_eq!(last(&bench), Index(1));
    bench.persisted();
    bench.follow(LogId::new(1, 2), &[(Kind::NOOP, &payload)], 0);
    assert_eq!(last(&bench), Index(2));
    // A leader without entries is heard all the same.
    bench.persisted();
    bench.step(vec![Event::Space { free_log_bytes: 0 }]);
    bench.follow(LogId::new(2, 2), &[], 2);
    assert_eq!(bench.replica.raft().commit_index(), Index(2));
}

#[test]
fn what_was_admitted_has_a_claim_on_the_room_that_is_left() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let size = encoded_len(24 + 1) as u64;
    let free_log_bytes = Limits::default().reserved_log_bytes + size;
    bench.step(vec![Event::Space { free_log_bytes }]);
    let (one, first) = bench.asked(write(session, 1, b"a"));
    let (two, second) = bench.asked(write(session, 2, b"a"));
    bench.step(vec![one, two]);
    assert_eq!(bench.answer(first), None);
    assert_eq!(bench.refusal(second), Refusal::not_applied(Reason::DiskFull));
}

#[test]
fn the_reserve_serves_the_end_of_a_session_and_not_its_beginning() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let reserve = Limits::default().reserved_log_bytes;
    bench.step(vec![Event::Space { free_log_bytes: reserve }]);
    bench.peers_have(reserve, reserve);
    let begin = bench.ask(Request::Register { one_shot: true });
    assert_eq!(bench.refusal(begin), Refusal::not_applied(Reason::DiskFull));
    let end = bench.ask(Request::EndSession { session });
    bench.persisted();
    bench.matched(N2, 3);
    assert_eq!(bench.answer(end), Some(Answer::SessionEnded));
}
