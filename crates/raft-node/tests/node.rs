//! The node room on real sockets: connections that come, go, lie and fall silent.

mod support;

use std::time::{Duration, Instant};

use raft_node::hello::Welcome;
use raft_node::protocol::Standing;
use raft_node::refused::HelloReason;
use raft_node::wire::Frame;
use support::{Place, Wire};

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

#[test]
fn whoever_hangs_up_at_once_is_not_dialled_without_end() {
    let running = Place::new(2).start(Duration::from_secs(2));
    let place = &running.place;
    let begun = Instant::now();
    for _ in 0..6 {
        let (stream, _) = place.other.accept().expect("a dial");
        let mut wire = Wire::new(stream);
        assert!(matches!(wire.hear(), Some(Frame::Hello(_))));
        wire.say(&Frame::Welcome(Welcome {
            protocol: 1,
            from: place.other(1),
            standing: Standing::Member,
            frame_bytes_max: 1 << 20,
        }));
    }
    // 50, 100, 200, 400 and 800 ms, each shorter by a quarter at most.
    assert!(begun.elapsed() > Duration::from_secs(1), "{:?}", begun.elapsed());
}
