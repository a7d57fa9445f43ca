//! The node room on real sockets: connections that come, go, lie and fall silent.

mod support;

use std::time::Duration;

use raft_node::refused::HelloReason;
use raft_node::wire::Frame;
use support::Place;

#[test]
fn neither_of_two_twins_counts_any_longer() {
    let running = Place::new(0).start(Duration::from_secs(2));
    let place = &running.place;
    let mut old = place.dial_as(1);
    assert!(matches!(old.hear(), Some(Frame::Welcome(_))));
    // Another process with the same identity, from a copy of the directory that was started more
    // often. The first one shows that it lives.
    let mut new = place.dial_as(2);
    let nonce = old.hear_until(|frame| match frame {
        Frame::Ping { nonce } => Some(*nonce),
        _ => None,
    });
    old.say(&Frame::Pong { nonce });
    for twin in [&mut new, &mut old] {
        let refused = twin.hear_until(|frame| match frame {
            Frame::Refused(refused) => Some(refused.clone()),
            _ => None,
        });
        assert!(matches!(refused.reason, HelloReason::DuplicateIdentity { .. }), "{refused}");
        twin.hear_the_end();
    }
}
