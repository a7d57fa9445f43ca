//! The node room on real sockets: connections that come, go, lie and fall silent.

mod support;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use raft_core::{Index, LogId, Message, NodeId, RequestVote, Term, VoteResponse};
use raft_log::{Kind, NodeState, encode_entry};
use raft_node::FailureClass;
use raft_node::hello::{Party, Role, Welcome};
use raft_node::protocol::{Request, Standing};
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

#[test]
fn a_removed_server_obeys_only_an_admission_that_is_newer_than_its_removal() {
    let place = Place::new(8);
    place.set_state(|identity| NodeState::Removed(identity, Index(50)));
    let running = place.start(Duration::from_millis(500));
    let place = &running.place;
    let dial = || {
        let mut wire = place.dial();
        wire.say(&place.hello(Role::Admission, place.other(1)));
        assert!(matches!(wire.hear(), Some(Frame::Welcome(_))));
        wire
    };
    // A leader that was cut off when the member was removed, and does not know of it.
    let mut stale = dial();
    stale.say(&place.admit(40, ":1"));
    stale.say(&Frame::Ping { nonce: 1 });
    assert_eq!(stale.hear(), Some(Frame::Pong { nonce: 1 }));
    let status = running.node.status().expect("a status");
    assert_eq!(status.standing, Standing::Removed { at: Index(50) });
    // Added again, by another name of the same server.
    let mut leader = dial();
    leader.say(&place.admit(60, "another.name:1"));
    leader.hear_the_end();
    let status = running.node.status().expect("a status");
    assert_eq!((status.standing, status.id), (Standing::Member, Some(NodeId(62))));
    assert_eq!(running.node.shutdown(), Ok(()));
}

#[test]
fn a_reader_of_notices_that_stands_still_delays_nobody() {
    let place = Place::new(10);
    // Takes one, and no more until the test has ended.
    let (done, wait) = mpsc::channel::<()>();
    let sink = move |_| {
        let _ended = wait.recv();
    };
    let node = place.start_with(Duration::from_millis(500), Box::new(sink));
    let mut client = place.dial_as_client();
    client.say(&Frame::Ping { nonce: 5 });
    assert_eq!(client.hear(), Some(Frame::Pong { nonce: 5 }));
    assert_eq!(node.shutdown(), Ok(()));
    drop(done);
}

#[test]
fn what_strangers_do_is_told_once_and_in_few_words() {
    let running = Place::new(12).start(Duration::from_millis(500));
    let place = &running.place;
    for _ in 0..3 {
        let mut stranger = place.dial();
        stranger.say(&Frame::Request { id: 1, request: Request::Members });
        stranger.hear_the_end();
    }
    running.node.shutdown().expect("a clean end");
    let told: Vec<String> =
        running.notices.iter().filter(|line| line.contains("cut off")).collect();
    assert_eq!(told, ["somebody who dialled was cut off: a Request frame has no place there"]);
}

/// No member ever has an entry of a term that it has not heard of: what it promised in that term
/// is not on its disk any more.
#[test]
fn entries_of_a_term_that_is_not_known_are_damage() {
    let place = Place::new(14);
    place.write_log(&[encode_entry(Index(1), Term(3), Kind::NOOP, &[])]);
    let node = place.start_with(Duration::from_millis(500), Box::new(drop));
    let failure = node.wait().expect_err("a damaged log");
    assert_eq!(failure.class, FailureClass::Damaged, "{failure}");
    assert!(failure.what.contains("entries of term 3"), "{failure}");
}
