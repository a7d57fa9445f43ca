//! Membership changes and transfers: named once, waited for, and never done twice.

use raft_core::{NodeId, RequestId};
use raft_node::client_core::{Conclusion, Op};
use raft_node::protocol::{Answer, Changed, MemberChange, MemberName, Outcome, Reason, Request};

use crate::bench::{Bench, TIMEOUT};

#[test]
fn a_membership_change_keeps_its_name() {
    let mut bench = Bench::new(2);
    bench.submit(1, Op::Change(MemberChange::Add(":9993".into())));
    bench.submit(2, Op::Change(MemberChange::Remove(MemberName::Address(":9993".into()))));
    bench.connect();
    let name = |request: &Request| -> RequestId {
        match request {
            Request::Change { request, .. } => *request,
            other => panic!("{other:?}"),
        }
    };
    let first: Vec<_> = bench.sent.iter().map(|(_, request)| name(request)).collect();
    bench.disconnect();
    bench.connect();
    let again: Vec<_> = bench.sent.iter().map(|(_, request)| name(request)).collect();
    assert_eq!(first, again);
    assert_ne!(first[0], first[1]);
}

#[test]
fn a_membership_change_takes_as_long_as_a_server_holds_it() {
    let mut bench = Bench::new(1);
    bench.submit(1, Op::Change(MemberChange::Add(":9993".into())));
    bench.connect();
    bench.wait_heard(20 * TIMEOUT);
    assert!(bench.done.is_empty());
    let changed = Changed::Added { id: NodeId(9), address: ":9993".into() };
    bench.answer(Answer::Changed(changed));
    assert!(bench.done[&1].is_ok());
    // Once the server is gone, the clock runs.
    bench.submit(2, Op::Change(MemberChange::Add(":9994".into())));
    bench.wait_heard(2 * TIMEOUT);
    bench.wait(2 * TIMEOUT);
    assert_eq!(bench.outcome(2), Some(Conclusion::Unknown));
}

#[test]
fn a_second_membership_change_waits_for_the_first() {
    let mut bench = Bench::new(1);
    bench.submit(1, Op::Change(MemberChange::Add(":9993".into())));
    bench.connect();
    while bench.now < 4 * TIMEOUT {
        bench.wait(50);
        if !bench.sent.is_empty() {
            bench.refuse(Outcome::NotApplied, Reason::ChangeInProgress);
        }
    }
    assert!(bench.done.is_empty());
}

#[test]
fn leadership_is_not_handed_to_anybody_twice() {
    let mut bench = Bench::new(2);
    bench.submit(1, Op::Transfer(None));
    bench.submit(2, Op::Transfer(Some(":9991".into())));
    bench.connect();
    bench.disconnect();
    assert_eq!(bench.outcome(1), Some(Conclusion::Unknown));
    bench.connect();
    assert_eq!(bench.sent.len(), 1);
    bench.answer(Answer::Transferred { to: ":9991".into() });
    assert!(bench.done[&2].is_ok());
}
