//! What a server decides, without sockets: dials and their pauses, the lobby, admission, room.
#![allow(missing_docs, unreachable_pub)]

mod net;

use std::io::ErrorKind;

use net::{Net, ROOM, T, decoded, lobby, member, no_slot, settings, take};
use raft_core::{Index, NodeId, Time};
use raft_log::{Founder, MemberIdentity, NodeState};
use raft_node::binding::ConnectionId;
use raft_node::hello::{Believed, Hello, Party, Protocols, Role};
use raft_node::replica::{Event, Origin};
use raft_node::resident::{
    DialId, End, Flushed, LOCAL, Lobby, NoConnection, Order, Resident, Watch,
};
use raft_node::wire::{Admit, Frame};
use raft_node::{Answer, Outcome, Reason, Request, Standing};

const GUEST: ConnectionId = ConnectionId(1);

fn dials(orders: &[Order]) -> Vec<DialId> {
    let dial = |order: &Order| match order {
        Order::Dial(dial, _) => Some(*dial),
        _ => None,
    };
    orders.iter().filter_map(dial).collect()
}

/// A founder that has one other to dial, and its first dial.
fn founder() -> (Resident, DialId) {
    let mut resident = lobby(&settings(":1", &[":1", ":2"]), 1, Time(0));
    let first = dials(&take(&mut resident));
    let [first] = first[..] else { panic!("{first:?}") };
    (resident, first)
}

/// Lets time pass until the next dial.
fn next_dial(resident: &mut Resident, now: &mut Time) -> DialId {
    for _ in 0..100 {
        *now = (*now).max(resident.next_deadline().expect("something to wait for"));
        resident.step(*now, &mut ());
        if let [dial] = dials(&take(resident))[..] {
            return dial;
        }
    }
    panic!("it dials no more");
}

fn hello(role: Role, from: Party) -> Frame {
    let to = Believed::default();
    Frame::Hello(Hello { protocol: Protocols::OURS, role, from, to })
}

fn welcome(incarnation: u128) -> Frame {
    let from = Party { incarnation, address: ":2".into(), ..Party::default() };
    Frame::Welcome(raft_node::hello::Welcome {
        protocol: Protocols::OURS.max,
        from,
        standing: Standing::New,
        frame_bytes_max: 1 << 20,
    })
}

fn closes(orders: &[Order], id: ConnectionId) -> bool {
    orders.iter().any(|order| matches!(order, Order::Close(closed) if *closed == id))
}

fn resumes(orders: &[Order]) -> bool {
    orders.iter().any(|order| matches!(order, Order::Resume(GUEST)))
}

#[test]
fn pauses_between_dials_grow_up_to_a_bound() {
    let (mut resident, mut dial) = founder();
    let mut now = Time(0);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        resident.dialled(now, dial, Err(NoConnection::Refused));
        let before = now;
        dial = next_dial(&mut resident, &mut now);
        pauses.push(now - before);
    }
    for (pause, middle) in pauses.iter().zip([50, 100, 200, 400, 800, 1000, 1000, 1000]) {
        let bounds = middle * 3 / 4..middle * 5 / 4;
        assert!(bounds.contains(pause), "{pause} is not in {bounds:?}: {pauses:?}");
    }
}

#[test]
fn members_that_fail_together_do_not_dial_in_step() {
    let pause = |seed| {
        let state = NodeState::New { incarnation: 1 };
        let lobby = Lobby::new(settings(":1", &[":1", ":2"]), &state, seed, Time(0));
        let mut resident = Resident::Lobby(Box::new(lobby));
        let dial = dials(&take(&mut resident))[0];
        resident.dialled(Time(0), dial, Err(NoConnection::Refused));
        resident.next_deadline()
    };
    assert_ne!(pause(1), pause(2));
}

#[test]
fn a_dial_without_a_welcome_is_given_up() {
    let (mut resident, dial) = founder();
    let mut now = Time(0);
    let orders = loop {
        now = resident.next_deadline().expect("the dial's").max(now);
        resident.step(now, &mut ());
        let orders = take(&mut resident);
        if orders.iter().any(|order| matches!(order, Order::GiveUp(of) if *of == dial)) {
            break orders;
        }
        assert!(now < Time(2 * T), "{orders:?}");
    };
    assert_eq!(now, Time(T));
    assert_eq!(dials(&orders), []);
    // It went through after all: nobody wants it any more.
    resident.dialled(now + 1, dial, Ok(GUEST));
    assert!(closes(&take(&mut resident), GUEST));
    let dial = next_dial(&mut resident, &mut now);
    resident.dialled(now, dial, Ok(ConnectionId(2)));
    resident.step(now + T, &mut ());
    assert!(closes(&take(&mut resident), ConnectionId(2)));
}

#[test]
fn a_stranger_who_says_nothing_is_turned_out() {
    let (mut resident, _) = founder();
    let client = ConnectionId(2);
    resident.accepted(Time(0), GUEST);
    resident.accepted(Time(0), client);
    resident.frames(Time(1), client, vec![hello(Role::Client, Party::default())], 0);
    take(&mut resident);
    resident.step(Time(5 * T - 1), &mut ());
    assert!(!closes(&take(&mut resident), GUEST));
    resident.step(Time(6 * T), &mut ());
    let orders = take(&mut resident);
    assert!(closes(&orders, GUEST), "{orders:?}");
    assert!(!closes(&orders, client), "{orders:?}");
}

#[test]
fn who_does_not_read_is_not_read() {
    let (mut resident, _) = founder();
    resident.accepted(Time(0), GUEST);
    resident.frames(Time(0), GUEST, vec![hello(Role::Client, Party::default())], 0);
    assert!(resumes(&take(&mut resident)));
    resident.flushed(Time(0), GUEST, Flushed { waiting: 256 * 1024, sent: None });
    let ask = Frame::Request { id: 1, request: Request::Members };
    resident.frames(Time(1), GUEST, vec![ask], 0);
    assert!(!resumes(&take(&mut resident)));
    resident.flushed(Time(2), GUEST, Flushed { waiting: 256 * 1024 - 1, sent: None });
    assert!(resumes(&take(&mut resident)));
}

#[test]
fn a_cluster_of_one_is_written_down_before_it_is_lived() {
    let mut resident = lobby(&settings(":1", &[":1"]), 1, Time(0));
    let orders = take(&mut resident);
    let [Order::Store(NodeState::Member(me))] = &orders[..] else { panic!("{orders:?}") };
    assert_eq!((me.id, me.incarnation), (NodeId(1), 1));
    assert_eq!(resident.take_end(), Some(End::Member));
}

#[test]
fn other_founders_are_told_before_a_misfit_ends() {
    let (mut resident, dial) = founder();
    resident.dialled(Time(0), dial, Ok(GUEST));
    resident.frames(Time(0), GUEST, vec![welcome(2)], 0);
    take(&mut resident);
    let theirs = settings(":2", &[":2", ":1", ":3"]);
    let mut other = lobby(&theirs, 2, Time(0));
    other.accepted(Time(0), GUEST);
    let from = Party { incarnation: 1, address: ":1".into(), ..Party::default() };
    other.frames(Time(0), GUEST, vec![hello(Role::Founder, from)], 0);
    for order in take(&mut other) {
        if let Order::Push { frame, .. } = order
            && let Frame::Founding(report) = decoded(frame)
        {
            resident.frames(Time(1), GUEST, vec![Frame::Founding(report)], 0);
        }
    }
    resident.step(Time(T / 2), &mut ());
    assert_eq!(resident.take_end(), None);
    resident.step(Time(T / 2 + 1), &mut ());
    take(&mut resident);
    let Some(End::Misfit(why)) = resident.take_end() else { panic!("it goes on") };
    assert!(why.contains("was started with other founders"), "{why}");
}

/// Member 1 of founders that have these addresses.
fn identity(addresses: &[&str]) -> MemberIdentity {
    let founder = |(place, address): (usize, &&str)| Founder {
        address: (*address).to_owned(),
        incarnation: place as u128 + 1,
    };
    MemberIdentity {
        incarnation: 1,
        cluster: 77,
        id: NodeId(1),
        address: addresses[0].into(),
        founders: addresses.iter().enumerate().map(founder).collect(),
    }
}

#[test]
fn a_removed_server_obeys_no_older_admission() {
    let state = NodeState::Removed(identity(&[":1", ":2"]), Index(9));
    let mut lobby = Lobby::new(settings(":1", &[]), &state, 7, Time(0));
    lobby.accepted(Time(0), GUEST);
    let from = Party { cluster: Some(77), incarnation: 2, ..Party::default() };
    lobby.frames(Time(0), GUEST, vec![hello(Role::Admission, from)]);
    let admit = |at: u64| {
        let founders = Vec::new();
        let (cluster, id, incarnation, address) = (77, NodeId(2 + at), 1, ":1".to_owned());
        Frame::Admit(Admit { cluster, id, incarnation, address, founders, at: Index(at) })
    };
    let mut resident = Resident::Lobby(Box::new(lobby));
    resident.frames(Time(1), GUEST, vec![admit(9)], 0);
    take(&mut resident);
    assert_eq!(resident.take_end(), None);
    resident.frames(Time(2), GUEST, vec![admit(10)], 0);
    assert_eq!(resident.take_end(), None, "it is not written down yet");
    let stores = |order: &Order| matches!(order, Order::Store(_));
    assert!(take(&mut resident).iter().any(stores));
    assert_eq!(resident.take_end(), Some(End::Member));
}

#[test]
fn founders_found_one_cluster_and_a_late_one_adopts_it() {
    let list = [":1", ":2", ":3"];
    let mut net = Net::default();
    for (place, address) in list.iter().enumerate() {
        net.start(settings(address, &list), place as u128 + 1);
    }
    net.run(2 * T);
    let members: Vec<&MemberIdentity> = net
        .stored
        .values()
        .map(|state| match state {
            NodeState::Member(me) => me,
            other => panic!("{other:?}"),
        })
        .collect();
    let [first, second, third] = members[..] else { panic!("{members:?}") };
    assert_eq!([first.id, second.id, third.id], [1, 2, 3].map(NodeId));
    assert!(first.cluster == second.cluster && second.cluster == third.cluster);
    assert!(first.founders == second.founders && second.founders == third.founders);
    let leader = net.leader(":1").expect("a leader");
    // One of them died before its disk said that it is a member, and comes back as it was.
    let late = list.iter().zip(1..).find(|(_, id)| NodeId(*id) != leader).expect("another");
    let before = net.stored.remove(*late.0);
    net.said.clear();
    net.start(settings(late.0, &list), u128::from(late.1));
    net.run(2 * T);
    assert_eq!(net.stored.get(*late.0), before.as_ref());
    // It is a founder: no entry has added it that an admission could name.
    assert!(!net.said.iter().any(|kind| kind == "admit"), "{:?}", net.said);
}

/// What the replica is told of the room.
#[derive(Default)]
struct Rooms(Vec<u64>);

impl Watch for Rooms {
    fn event(&mut self, event: &Event) {
        if let Event::Space { free_log_bytes } = event {
            self.0.push(*free_log_bytes);
        }
    }
}

#[test]
fn only_a_full_disk_is_full() {
    let settings = settings(":1", &[]);
    let mut resident = member(&settings, identity(&[":1"]), Time(0));
    take(&mut resident);
    let disk = 1 << 40;
    let own = resident.member_mut().expect("a member");
    own.disk_seen(Time(0), disk);
    let wanted = raft_node::resident::Room { slot_wanted: true, ..ROOM };
    own.slot_made(Time(1), Err(no_slot(ErrorKind::Other)), wanted);
    own.slot_made(Time(2), Err(no_slot(ErrorKind::StorageFull)), wanted);
    own.slot_made(Time(3), Ok(()), ROOM);
    // A log that was given slots back meanwhile wants none.
    own.slot_made(Time(4), Err(no_slot(ErrorKind::StorageFull)), ROOM);
    let mut rooms = Rooms::default();
    resident.step(Time(3), &mut rooms);
    let all = ROOM.spare_bytes + disk;
    assert_eq!(rooms.0, [all, all, ROOM.spare_bytes, all, all]);
}

#[test]
fn a_slot_that_could_not_be_made_is_tried_again_from_time_to_time() {
    let settings = settings(":1", &[]);
    let mut resident = member(&settings, identity(&[":1"]), Time(0));
    let wanted = raft_node::resident::Room { slot_wanted: true, ..ROOM };
    let own = resident.member_mut().expect("a member");
    own.slot_made(Time(0), Err(no_slot(ErrorKind::Other)), wanted);
    take(&mut resident);
    let makes = |resident: &mut Resident| {
        take(resident).iter().filter(|order| matches!(order, Order::MakeSlot)).count()
    };
    resident.step(Time(999), &mut ());
    assert_eq!(makes(&mut resident), 0);
    resident.step(Time(1000), &mut ());
    assert_eq!(makes(&mut resident), 1);
}

#[test]
fn what_the_program_asks_is_answered_to_it() {
    let settings = settings(":1", &[":1", ":2"]);
    let mut resident = member(&settings, identity(&[":1", ":2"]), Time(0));
    take(&mut resident);
    let origin = Origin { connection: LOCAL, request: 5, forwarded: false, since_us: 0 };
    resident.request(origin, Request::Members);
    resident.request(Origin { request: 6, ..origin }, Request::Status);
    assert!(resident.has_work());
    resident.step(Time(0), &mut ());
    let orders = take(&mut resident);
    let refused = orders.iter().find_map(|order| match order {
        Order::Answer { request: 5, reply } => Some(&reply.answer),
        _ => None,
    });
    let Some(Answer::Refused(refusal)) = refused else { panic!("{orders:?}") };
    assert_eq!((refusal.outcome, &refusal.reason), (Outcome::NotApplied, &Reason::NoLeader));
    let reported =
        |order: &Order| matches!(order, Order::Report { origin, .. } if origin.request == 6);
    assert!(orders.iter().any(reported), "{orders:?}");
}

#[test]
fn a_member_that_is_asked_to_stop_and_owes_nothing_does() {
    let settings = settings(":1", &[":1", ":2"]);
    let mut resident = member(&settings, identity(&[":1", ":2"]), Time(0));
    resident.step(Time(0), &mut ());
    assert_eq!(resident.take_end(), None);
    resident.stop(Time(1));
    resident.step(Time(1), &mut ());
    take(&mut resident);
    assert_eq!(resident.take_end(), Some(End::Stopped));
}
