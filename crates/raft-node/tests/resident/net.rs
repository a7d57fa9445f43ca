//! Residents in one thread, joined by connections that lose nothing: what one orders the others
//! get at once, until nobody wants anything any more.

use std::collections::BTreeMap;
use std::path::PathBuf;

use raft_core::{Config, NodeId, Time};
use raft_log::{MakeError, MemberIdentity, NodeState, RecoveredLog};
use raft_node::binding::ConnectionId;
use raft_node::replica::{Limits, Machine, founding};
use raft_node::resident::{
    End, Flushed, Lobby, Member, NoConnection, Order, Resident, Room, Settings, Start,
};
use raft_node::wire::{Decoder, Encoded, FRAME_BYTES_MAX, Frame, RawFrame};
use raft_node::{Bytes, LogId, StateMachine, Typed};

/// The election timeout.
pub const T: u64 = 1000;

/// A slot that is there.
pub const ROOM: Room = Room { spare_bytes: 64 << 20, slot_wanted: false };

struct Echo;

impl StateMachine for Echo {
    type State = ();
    type Command = Bytes;
    type Response = Bytes;
    fn apply((): &mut (), _at: LogId, command: Bytes) -> Bytes {
        command
    }
}

pub fn settings(address: &str, cluster: &[&str]) -> Settings {
    let parse = |text: &&str| text.parse().expect("an address");
    Settings {
        address: parse(&address),
        cluster: cluster.iter().map(parse).collect(),
        election_timeout: T,
    }
}

pub fn lobby(settings: &Settings, incarnation: u128, now: Time) -> Resident {
    let state = NodeState::New { incarnation };
    Resident::Lobby(Box::new(Lobby::new(settings.clone(), &state, 7, now)))
}

/// A member with an empty log, in its first start.
pub fn member(settings: &Settings, me: MemberIdentity, now: Time) -> Resident {
    let boot = raft_log::Boot { epoch: 1, nonce: me.id.0 };
    let start = Start {
        settings: settings.clone(),
        config: Config::new(me.id),
        limits: Limits::default(),
        log: &RecoveredLog { boot, ..RecoveredLog::default() },
        machine: Machine::new(Box::new(Typed::<Echo>::new(())), raft_core::Index(0), founding(&me)),
        room: ROOM,
        seed: me.id.0,
        now,
        me,
    };
    Resident::Member(Box::new(Member::new(start).expect("an empty log")))
}

pub fn take(resident: &mut Resident) -> Vec<Order> {
    let mut orders = Vec::new();
    resident.take_orders(&mut orders);
    orders
}

pub fn decoded(encoded: Encoded) -> Frame {
    let mut decoder = Decoder::new();
    decoder.set_frame_bytes_max(FRAME_BYTES_MAX);
    encoded.into_slices().for_each(|slice| decoder.buffer().extend_from_slice(&slice));
    let frame = decoder.next_frame().expect("a frame").expect("all of it");
    RawFrame::decode(frame).expect("what was encoded")
}

/// Why a slot was not made.
pub fn no_slot(kind: std::io::ErrorKind) -> MakeError {
    let path = PathBuf::from("wal/02.seg");
    match kind {
        std::io::ErrorKind::StorageFull => MakeError::NoSpace { path, bytes: 1 << 20 },
        other => MakeError::Io { path, source: other.into() },
    }
}

/// One end of a connection: whose, and by which number.
type Side = (String, ConnectionId);

#[derive(Default)]
pub struct Net {
    pub now: Time,
    pub residents: BTreeMap<String, Resident>,
    settings: BTreeMap<String, Settings>,
    other_ends: BTreeMap<Side, Side>,
    last_connection: u64,
    /// What each server wrote into its directory.
    pub stored: BTreeMap<String, NodeState>,
    /// What everybody said: the kinds of frames.
    pub said: Vec<String>,
}

impl Net {
    /// Starts a server with an empty directory.
    pub fn start(&mut self, settings: Settings, incarnation: u128) {
        let address = settings.address.to_string();
        self.residents.insert(address.clone(), lobby(&settings, incarnation, self.now));
        self.settings.insert(address, settings);
    }

    /// Lets time pass, in steps of ten milliseconds.
    pub fn run(&mut self, millis: u64) {
        for _ in 0..millis / 10 {
            self.settle();
            self.now = self.now + 10;
        }
    }

    fn settle(&mut self) {
        loop {
            let mut orders = Vec::new();
            for (address, resident) in &mut self.residents {
                let due = resident.next_deadline().is_some_and(|deadline| deadline <= self.now);
                if due || resident.has_work() {
                    resident.step(self.now, &mut ());
                }
                let taken = take(resident);
                orders.extend(taken.into_iter().map(|order| (address.clone(), order)));
            }
            if orders.is_empty() {
                return;
            }
            for (address, order) in orders {
                self.carry_out(&address, order);
            }
            self.move_in();
        }
    }

    fn carry_out(&mut self, address: &str, order: Order) {
        let now = self.now;
        match order {
            Order::Push { to, frame, .. } => {
                let from = (address.to_owned(), to);
                let Some((other, id)) = self.other_ends.get(&from).cloned() else { return };
                let frame = decoded(frame);
                self.said.push(frame.kind().to_string());
                self.with(address, |resident| resident.flushed(now, to, Flushed::default()));
                self.with(&other, |resident| resident.frames(now, id, vec![frame], 0));
            }
            Order::Close(id) => {
                let Some((other, id)) = self.hang_up(&(address.to_owned(), id)) else { return };
                self.with(&other, |resident| resident.closed(now, id, None));
            }
            Order::Dial(dial, wanted) => {
                let result = if self.residents.contains_key(&wanted) {
                    Ok(self.connect(address, &wanted))
                } else {
                    Err(NoConnection::Refused)
                };
                self.with(address, |resident| resident.dialled(now, dial, result));
            }
            Order::Write { ticket: Some(ticket), .. } => {
                let member = self.residents.get_mut(address).and_then(Resident::member_mut);
                member.expect("only members write").persisted(now, ticket, ROOM);
            }
            Order::Store(state) => drop(self.stored.insert(address.to_owned(), state)),
            _ => {}
        }
    }

    fn with(&mut self, address: &str, act: impl FnOnce(&mut Resident)) {
        if let Some(resident) = self.residents.get_mut(address) {
            act(resident);
        }
    }

    fn connect(&mut self, dialler: &str, wanted: &str) -> ConnectionId {
        self.last_connection += 2;
        let ours = (dialler.to_owned(), ConnectionId(self.last_connection));
        let theirs = (wanted.to_owned(), ConnectionId(self.last_connection + 1));
        self.other_ends.insert(ours.clone(), theirs.clone());
        self.other_ends.insert(theirs.clone(), ours.clone());
        let now = self.now;
        self.with(wanted, |resident| resident.accepted(now, theirs.1));
        ours.1
    }

    fn hang_up(&mut self, end: &Side) -> Option<Side> {
        let other = self.other_ends.remove(end)?;
        self.other_ends.remove(&other);
        Some(other)
    }

    /// Whoever became a member lives on as one.
    fn move_in(&mut self) {
        let addresses: Vec<String> = self.residents.keys().cloned().collect();
        for address in addresses {
            let end = self.residents.get_mut(&address).and_then(Resident::take_end);
            let (Some(End::Member), Some(NodeState::Member(me))) = (end, self.stored.get(&address))
            else {
                continue;
            };
            let next = member(&self.settings[&address], me.clone(), self.now);
            self.residents.insert(address.clone(), next);
            let ends: Vec<Side> =
                self.other_ends.keys().filter(|(of, _)| *of == address).cloned().collect();
            for end in ends {
                if let Some((other, id)) = self.hang_up(&end) {
                    let now = self.now;
                    self.with(&other, |resident| resident.closed(now, id, None));
                }
            }
        }
    }

    /// The id of the member that leads, as a server sees it.
    pub fn leader(&self, address: &str) -> Option<NodeId> {
        self.residents.get(address)?.member()?.replica().raft().leader()
    }
}
