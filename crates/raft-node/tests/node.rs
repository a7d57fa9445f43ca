//! The node room on real sockets: connections that come, go, lie and fall silent.

mod support;

use std::time::{Duration, Instant};

use raft_core::{LogId, Message, NodeId, RequestVote, Term, VoteResponse};
use raft_node::hello::{Party, Role, Welcome};
use raft_node::protocol::Standing;
use raft_node::refused::HelloReason;
use raft_node::wire::{Frame, PeerContent, PeerMessage};
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

#[test]
fn whoever_does_not_say_who_it_is_or_does_not_leave_is_hung_up_on() {
    let running = Place::new(4).start(Duration::from_millis(200));
    let place = &running.place;
    let mut silent = place.dial();
    let mut founder = place.dial();
    let from = Party { incarnation: 7, address: ":7".into(), ..Party::default() };
    founder.say(&place.hello(Role::Founder, from));
    assert!(matches!(founder.hear(), Some(Frame::Welcome(_))));
    assert!(matches!(founder.hear(), Some(Frame::Founding(_))));
    founder.hear_the_end();
    silent.hear_the_end();
    // A client may be as silent as it likes once it has said hello.
    let mut client = place.dial_as_client();
    let mut stranger = place.dial();
    stranger.hear_the_end();
    client.say(&Frame::Ping { nonce: 3 });
    assert_eq!(client.hear(), Some(Frame::Pong { nonce: 3 }));
}

#[test]
fn more_strangers_than_the_table_of_starts_holds_do_not_stop_a_member() {
    let running = Place::new(6).start(Duration::from_secs(2));
    let place = &running.place;
    for id in 1000..1120 {
        // Unknown ids are answered: their votes may be needed.
        let from = Party { id: Some(NodeId(id)), incarnation: u128::from(id), ..place.other(1) };
        let mut wire = place.dial();
        wire.say(&place.hello(Role::Peer, from));
        assert!(matches!(wire.hear(), Some(Frame::Welcome(_))), "{id}");
    }
    // Its disk still does what it is asked: a vote is answered once it is on it.
    let mut wire = place.dial_as(1);
    let last_log_id = LogId::new(7, 7);
    let vote = Message::RequestVote(RequestVote { term: Term(8), last_log_id, transfer: true });
    let content = PeerContent::Whole(vote);
    wire.say(&Frame::Message(PeerMessage { free_log_bytes: 0, content }));
    let answer = wire.hear_until(|frame| match frame {
        Frame::Message(PeerMessage { content: PeerContent::Whole(answer), .. }) => {
            Some(answer.clone())
        }
        _ => None,
    });
    let granted = VoteResponse { term: Term(8), refusal: None };
    assert_eq!(answer, Message::RequestVoteResponse(granted));
}
