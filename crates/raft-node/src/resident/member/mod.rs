//! A member at work: its replica, and everybody that it talks to.

mod admission;
mod bind;
mod effects;
mod frames;
mod lanes;
mod sockets;
mod space;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use raft_core::{Config, Index, Lane, Membership, NodeId, Time};
use raft_log::{MemberIdentity, RecoveredLog};

pub use space::Room;

use super::dials::Dials;
use super::order::Order;
use super::{End, Settings};
use crate::binding::{Binding, Boot, ConnectionId};
use crate::hello::{self, Welcome};
use crate::protocol::Request;
use crate::random::Random;
use crate::replica::{Chunk, Effect, Event, Limits, Machine, Origin, Replica, Unusable, recovered};
use lanes::Lanes;
use space::Space;

/// A member of a cluster.
#[derive(Debug)]
pub struct Member {
    settings: Settings,
    me: MemberIdentity,
    replica: Replica,
    binding: Binding,
    dials: Dials,
    connections: BTreeMap<ConnectionId, Peerage>,
    inbound: BTreeMap<NodeId, ConnectionId>,
    outbound: BTreeMap<NodeId, ConnectionId>,
    /// Welcomes of connections that are not bound yet.
    welcomes: BTreeMap<ConnectionId, Welcome>,
    /// Until when those who dialled in must have said who they are.
    guests: VecDeque<(Time, ConnectionId)>,
    space: Space,
    lanes: Lanes,
    events: Vec<Event>,
    effects: Vec<Effect>,
    pub(super) orders: Vec<Order>,
    counts: Counts,
    /// When the writes that were answered had arrived.
    answered: Vec<u64>,
    /// Who leads, and in which term.
    leader: Option<(NodeId, u64)>,
    stop_by: Option<Time>,
    end: Option<End>,
}

/// What a member starts from.
#[derive(Debug)]
pub struct Start<'a> {
    /// What does not change while its server runs.
    pub settings: Settings,
    /// The core's settings.
    pub config: Config,
    /// What bounds its memory.
    pub limits: Limits,
    /// Who it is.
    pub me: MemberIdentity,
    /// What its log gave back.
    pub log: &'a RecoveredLog,
    /// Its state machine, as far as it is.
    pub machine: Machine,
    /// What the log can take.
    pub room: Room,
    /// For its timeouts and pauses.
    pub seed: u64,
    /// The time.
    pub now: Time,
}

/// How often what happened, since somebody looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `AppendEntries` with entries, sent.
    pub appends_sent: u64,
    /// And received.
    pub appends_received: u64,
    /// Entries in those sent.
    pub entries_sent: u64,
    /// Requests of clients, forwarded ones included.
    pub requests: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Times that another leader, or none, was seen.
    pub leader_changes: u64,
}

/// Looks on while a member works, at all that crosses its replica's door.
pub trait Watch {
    /// The replica is about to be told.
    fn event(&mut self, _event: &Event) {}
    /// It has taken a step.
    fn stepped(&mut self, _replica: &Replica) {}
    /// It wants this done.
    fn effect(&mut self, _replica: &Replica, _effect: &Effect) {}
}

/// Nobody looks.
impl Watch for () {}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Party {
    /// Nobody has said hello yet.
    Stranger,
    /// A client.
    Client,
    /// A member whose connection is not bound to a start of it yet.
    Unbound(NodeId, Lane),
    /// A member that dialled us.
    Inbound(NodeId),
    /// A member that we dialled.
    Outbound(NodeId),
    /// A member that we send a snapshot.
    SnapshotTo(NodeId),
    /// A member that says it leads and sends us a snapshot.
    SnapshotFrom(NodeId),
    /// Somebody who is told something and then hangs up.
    Passing,
    /// Somebody who is told something before we hang up.
    Leaving,
}

/// A connection and what the member knows of it.
#[derive(Debug)]
struct Peerage {
    party: Party,
    /// The start that a member said it is.
    boot: Boot,
    /// Requests under way for it.
    load: usize,
    /// Bytes that wait for its socket.
    waiting: usize,
    /// It is not read until its load falls.
    paused: bool,
    /// Its socket is full.
    blocked: bool,
}

impl Member {
    /// A member that goes on where its log left off.
    ///
    /// # Errors
    /// A configuration in the log that cannot be read.
    pub fn new(start: Start<'_>) -> Result<Self, Unusable> {
        let Start { settings, config, limits, me, log, machine, room, seed, now } = start;
        let recovered = recovered(&me, log, machine.base())?;
        let boot_of = |peer: &raft_log::PeerBoot| {
            let boot = Boot { incarnation: peer.incarnation, epoch: peer.epoch, nonce: peer.nonce };
            (peer.id, boot)
        };
        let table = log.peers.iter().map(boot_of).collect();
        let own = hello::Party {
            cluster: Some(me.cluster),
            id: Some(me.id),
            incarnation: me.incarnation,
            epoch: log.boot.epoch,
            nonce: log.boot.nonce,
            address: me.address.clone(),
        };
        let mut random = Random::new(seed);
        let replica = Replica::new(config, recovered, machine, limits, random.next_u64(), now);
        let mut member = Self {
            binding: Binding::new(table, settings.election_timeout),
            dials: Dials::new(own, settings.election_timeout, random.next_u64()),
            settings,
            me,
            replica,
            connections: BTreeMap::new(),
            inbound: BTreeMap::new(),
            outbound: BTreeMap::new(),
            welcomes: BTreeMap::new(),
            guests: VecDeque::new(),
            space: Space::new(room),
            lanes: Lanes::default(),
            events: Vec::new(),
            effects: Vec::new(),
            orders: Vec::new(),
            counts: Counts::default(),
            answered: Vec::new(),
            leader: None,
            stop_by: None,
            end: None,
        };
        let membership = Arc::clone(member.replica.raft().membership());
        member.note_place(&membership);
        member.dial_members(now, &membership);
        member.want_slot();
        member.want_look();
        Ok(member)
    }

    /// Who it is.
    #[must_use]
    pub const fn identity(&self) -> &MemberIdentity {
        &self.me
    }

    /// The replica, to look at.
    #[must_use]
    pub const fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Who it is, and the state that its log built.
    pub(super) fn into_parts(self) -> (MemberIdentity, Machine) {
        (self.me, self.replica.into_machine())
    }

    /// How often what happened, since somebody looked.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// When the writes had arrived that were answered since somebody looked.
    pub fn take_answered(&mut self) -> impl Iterator<Item = u64> {
        self.answered.drain(..)
    }

    /// Whether a leader is known and everything that it had committed is applied.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let raft = self.replica.raft();
        raft.leader().is_some()
            && raft.commit_index() > Index(0)
            && self.replica.applied_index() >= raft.commit_index()
    }

    /// Whether [`Self::step`] is wanted at once. What sockets took can wait.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.replica.has_backlog()
            || self.events.iter().any(|event| !matches!(event, Event::Sent { .. }))
    }

    /// When [`Self::step`] is wanted at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let deadlines = [
            self.replica.next_deadline(),
            self.binding.next_deadline(),
            self.dials.next_deadline(),
            self.guests.front().map(|(deadline, _)| *deadline),
            self.space.again,
            self.lanes.next_deadline(),
            self.stop_by,
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Takes everything that arrived in one step of the replica.
    pub fn step(&mut self, now: Time, watch: &mut impl Watch) {
        self.space_timer(now);
        self.look_at_lanes(now);
        if self.replica.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.events.push(Event::Timer);
        }
        self.events.iter().for_each(|event| watch.event(event));
        let mut effects = std::mem::take(&mut self.effects);
        self.replica.step(now, self.events.drain(..), &mut effects);
        watch.stepped(&self.replica);
        for effect in effects.drain(..) {
            watch.effect(&self.replica, &effect);
            self.carry_out(now, effect);
        }
        self.effects = effects;
        if self.binding.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.binding(now, |binding, out| binding.timer(now, out));
        }
        if self.dials.next_deadline().is_some_and(|deadline| deadline <= now) {
            for outcome in self.dials.timer(now, &mut self.orders) {
                self.outcome(now, outcome);
            }
        }
        self.turn_out_guests(now);
        self.look_at_stop(now);
    }

    /// The program itself asks for something.
    pub fn request(&mut self, origin: Origin, request: Request) {
        self.events.push(Event::Request { origin, request });
    }

    /// Entries were read back from the log.
    pub fn log_read(&mut self, request: u64, chunk: Option<Chunk>) {
        self.events.push(Event::LogRead { request, chunk });
    }

    /// Leadership goes to another first, and who waits for an answer gets it, for a while.
    pub fn stop(&mut self, now: Time) {
        self.events.push(Event::HandOver);
        self.stop_by.get_or_insert(now + self.settings.election_timeout);
    }

    fn look_at_stop(&mut self, now: Time) {
        let Some(by) = self.stop_by else { return };
        let raft = self.replica.raft();
        let leads_on = raft.is_leader() && raft.handing_over().is_some();
        if now >= by || (!leads_on && !self.replica.owes_answers()) {
            self.end.get_or_insert(End::Stopped);
        }
    }

    /// A log that is not understood is the last word: no life goes on after it.
    fn end_with(&mut self, end: End) {
        if !matches!(self.end, Some(End::Halted(_))) {
            self.end = Some(end);
        }
    }

    /// How this life ended, once it has and its last orders are taken. A removed member still
    /// shows what it was part of.
    pub fn take_end(&mut self) -> Option<End> {
        let catches_up = matches!(self.end, Some(End::Removed(_)))
            && self.stop_by.is_none()
            && self.replica.is_behind();
        let stays = catches_up || !self.orders.is_empty();
        self.end.take_if(|_| !stays)
    }

    fn named(&self, id: NodeId) -> String {
        self.replica.address_of(id).map_or_else(|| id.to_string(), str::to_owned)
    }

    fn members(&self) -> &Membership {
        self.replica.raft().membership()
    }
}
