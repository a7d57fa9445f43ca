//! A server that is a member: its replica and what belongs to it, from start to removal.

use std::collections::BTreeMap;
use std::sync::Arc;

use raft_core::{Index, Member as Peer, Membership, NodeId, Recovered, Time};
use raft_log::{
    Boot, LogReader, MemberIdentity, NodeState, OpenError, RecoveredLog, Shown, SpareMaker,
};
use raft_node::binding::{self, Binding};
use raft_node::hello::{Party as Identity, Welcome};
use raft_node::replica::{Chunk, Event, Machine, Replica};
use raft_node::wire::decode_membership;

use super::dials::Dialler;
use super::wal::Wal;
use super::{Fate, Process};
use crate::clock::Happening;
use crate::faults::T;
use crate::network::WireId;
use crate::witness::Witness;
use crate::world::World;

/// What a member consists of.
#[derive(Debug)]
pub struct Member {
    pub(super) me: MemberIdentity,
    pub(super) boot: Boot,
    pub(super) replica: Replica,
    pub(super) binding: Binding,
    pub(super) reader: LogReader,
    pub(super) spares: SpareMaker,
    pub(super) wal: Wal,
    pub(super) inbound: BTreeMap<NodeId, WireId>,
    pub(super) outbound: BTreeMap<NodeId, WireId>,
    pub(super) diallers: BTreeMap<NodeId, Dialler>,
    pub(super) welcomes: BTreeMap<WireId, Welcome>,
    pub(super) events: Vec<Event>,
    /// The last step had no budget for all that is committed.
    backlog: bool,
    /// It was asked to end, and does so then at the latest.
    stop_by: Option<Time>,
}

impl Member {
    /// The replica, to look at.
    #[must_use]
    pub const fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Who it is.
    #[must_use]
    pub const fn id(&self) -> NodeId {
        self.me.id
    }

    /// Reads its log.
    #[must_use]
    pub const fn reader(&self) -> &LogReader {
        &self.reader
    }

    /// Whether it goes on for a while although it was removed.
    pub(super) fn catches_up(&self) -> bool {
        self.stop_by.is_none() && self.replica.is_behind()
    }

    /// What the log can still take: slots that are there, and those that the disk has room for.
    pub(super) fn free_log_bytes(&self) -> u64 {
        self.spares.free_bytes().saturating_add(crate::disk::FREE_BYTES)
    }

    pub(super) fn next_deadline(&self, now: Time) -> Option<Time> {
        // What sockets took can wait for the next cycle; other events make one.
        let waits = self.events.iter().any(|event| !matches!(event, Event::Sent { .. }));
        let backlog = if waits { Some(now) } else { self.backlog.then_some(now + 1) };
        let own =
            [self.replica.next_deadline(), self.binding.next_deadline(), backlog, self.stop_by];
        own.into_iter().flatten().min()
    }

    pub(super) fn party(&self) -> Identity {
        Identity {
            cluster: Some(self.me.cluster),
            id: Some(self.me.id),
            incarnation: self.me.incarnation,
            epoch: self.boot.epoch,
            nonce: self.boot.nonce,
            address: self.me.address.clone(),
        }
    }
}

impl Process {
    /// Becomes the member that its directory says it is; else it waits in the lobby.
    pub(super) fn join(&mut self, world: &mut World) -> Result<(), OpenError> {
        let NodeState::Member(me) = self.dir.identity().clone() else { return Ok(()) };
        let seed = world.random.next_u64();
        let log = self.dir.open_log(world.settings.log_options(seed))?;
        let machine = match self.machine.take() {
            Some(machine) => machine,
            None => self.new_machine(world, &me, log.recovered.last_index)?,
        };
        let recovered = match recovered(&me, &log.recovered) {
            Ok(recovered) => recovered,
            Err(what) => {
                world.checkers.fail("recovery", what);
                return Ok(());
            }
        };
        for note in &log.recovered.notes {
            world.trace(format_args!("{} notes: {note}", self.address));
        }
        world.checkers.started(self.index, &me, &log);
        let boot_of = |peer: &raft_log::PeerBoot| {
            let (incarnation, epoch, nonce) = (peer.incarnation, peer.epoch, peer.nonce);
            (peer.id, binding::Boot { incarnation, epoch, nonce })
        };
        let table = log.recovered.peers.iter().map(boot_of).collect();
        let config = world.settings.config(me.id);
        let seed = world.random.next_u64();
        let limits = world.settings.limits();
        let replica = Replica::new(config, recovered, machine, limits, seed, world.now());
        let membership = Arc::clone(replica.raft().membership());
        self.member = Some(Box::new(Member {
            me,
            boot: log.recovered.boot,
            replica,
            binding: Binding::new(table, T),
            reader: log.reader,
            spares: log.spares,
            wal: Wal::new(log.writer),
            inbound: BTreeMap::new(),
            outbound: BTreeMap::new(),
            diallers: BTreeMap::new(),
            welcomes: BTreeMap::new(),
            events: Vec::new(),
            backlog: true,
            stop_by: None,
        }));
        self.membership_changed(world, &membership);
        self.look_at_space();
        let (host, life) = (self.index, self.life);
        world.after(1, Happening::Spare { host, life });
        Ok(())
    }

    fn new_machine(
        &mut self,
        world: &mut World,
        me: &MemberIdentity,
        last: Index,
    ) -> Result<Machine, OpenError> {
        let path = self.dir.disk().path("SHOWN");
        let error = |source| OpenError::Io { doing: "open", path: path.clone(), source };
        let (mut mark, shown) = self.dir.shown().map_err(error)?;
        let lost = matches!(shown, Shown::Lost(_));
        if lost {
            world.trace(format_args!("{} lost its shown mark", self.address));
            mark.advance(last).map_err(error)?;
        }
        let (witness, sight) = Witness::new();
        world.checkers.new_machine(self.index, mark.index(), lost);
        let machine = Machine::new(Box::new(witness), mark.index(), founding(me));
        (self.sight, self.mark) = (sight, Some(mark));
        Ok(machine)
    }

    /// From the lobby into the cluster, or back.
    pub(super) fn live_on(&mut self, world: &mut World, fate: &Fate) -> Result<(), OpenError> {
        world.trace(format_args!("{} lives on: {fate:?}", self.address));
        for wire in self.lines.keys().copied().collect::<Vec<_>>() {
            self.forget_line(world, wire);
        }
        self.dials.clear();
        self.inbox.clear();
        self.flush_wal(world);
        if let (Fate::Removed(at), Some(member)) = (fate, self.member.take()) {
            world.checkers.left(self.index, member.me.id);
            self.machine = Some(member.replica.into_machine());
            let state = NodeState::Removed(member.me, *at);
            if let Err(error) = self.dir.set_identity(state.clone()) {
                world.checkers.became(self.index, None);
                self.fate = Some(Fate::Ends(error.to_string()));
                return Ok(());
            }
            world.checkers.became(self.index, Some(state));
            world.checkers.probe("server removed");
        }
        self.join(world)
    }

    /// Everything that arrived, one step, and all that it asks for.
    pub(super) fn cycle(&mut self, world: &mut World) {
        let (index, now) = (self.index, world.now());
        let Some(member) = self.member.as_mut() else { return };
        let mut events = std::mem::take(&mut member.events);
        let timer = member.replica.next_deadline().is_some_and(|deadline| deadline <= now);
        if timer {
            events.push(Event::Timer);
        }
        if world.is_traced() {
            for event in &events {
                world.trace(format_args!("{} <- {}", self.address, crate::trace::event(event)));
            }
        }
        world.checkers.takes(index, now, &events);
        let mut effects = Vec::new();
        member.replica.step(now, events, &mut effects);
        member.backlog = member.replica.has_backlog();
        let due = member.replica.next_deadline().is_some_and(|deadline| deadline <= now);
        if due && timer {
            world.checkers.fail("timers", format!("{} wants its timer at once", self.address));
        }
        world.checkers.applied(index, self.sight.take());
        for effect in effects {
            self.carry_out(world, effect);
        }
        if let Some(member) = &self.member {
            world.checkers.stepped(index, &member.replica);
        }
        self.binding_timer(world);
        self.look_at_stop(now);
    }

    /// Leadership goes to another first, and who waits for an answer gets it.
    pub(super) fn hand_over(&mut self, world: &World) {
        match &mut self.member {
            Some(member) => {
                member.events.push(Event::HandOver);
                member.stop_by.get_or_insert(world.now() + T);
            }
            None => self.fate = Some(Fate::Ends("it was asked to".into())),
        }
    }

    fn look_at_stop(&mut self, now: Time) {
        let Some(member) = &self.member else { return };
        let Some(by) = member.stop_by else { return };
        let raft = member.replica.raft();
        let leads_on = raft.is_leader() && raft.handing_over().is_some();
        if self.fate.is_none() && (now >= by || !leads_on && !member.replica.owes_answers()) {
            self.fate = Some(Fate::Ends("it was asked to".into()));
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        if let Some(member) = &mut self.member {
            member.events.push(event);
        }
    }

    pub(super) fn log_was_read(&mut self, request: u64, chunk: Option<Chunk>) {
        self.event(Event::LogRead { request, chunk });
    }

    pub(super) fn persisted(&mut self, ticket: raft_core::Ticket) {
        self.event(Event::Persisted(ticket));
        self.look_at_space();
    }

    pub(super) fn look_at_space(&mut self) {
        if let Some(member) = &mut self.member {
            let free_log_bytes = member.free_log_bytes();
            member.events.push(Event::Space { free_log_bytes });
        }
    }

    /// The helper makes a spare slot, if one is wanted.
    pub fn make_spare(&mut self) {
        let Some(member) = &mut self.member else { return };
        if let Some(bytes) = member.spares.needed() {
            // What fails here is tried again by the writer.
            let _made = member.spares.make(bytes);
        }
    }

    /// The helper reads old log.
    pub fn read_log(
        &mut self,
        world: &mut World,
        request: u64,
        (first, last, bytes_max): (Index, Index, u64),
    ) {
        let Some(member) = &mut self.member else { return };
        let chunk = match member.reader.read(first, last, bytes_max) {
            Ok(range) => {
                world.checkers.probe("log read back");
                Some(range.into())
            }
            Err(raft_log::ReadError::Missing { .. }) => None,
            Err(raft_log::ReadError::Io { source, .. }) => {
                return self.fate = Some(Fate::Ends(source.to_string()));
            }
            Err(error) => {
                return world.checkers.fail("recovery", format!("{}: {error}", self.address));
            }
        };
        if self.inbox.is_empty() {
            self.ready_at = world.now();
        }
        self.inbox.push_back(super::Incoming::LogRead(request, chunk));
    }
}

/// What the core starts from: the founders' configuration is the one at index 0.
fn recovered(me: &MemberIdentity, log: &RecoveredLog) -> Result<Recovered, String> {
    let mut memberships = vec![(Index(0), Arc::new(founding(me)))];
    for (index, payload) in &log.memberships {
        let membership = decode_membership(payload).map_err(|error| error.to_string())?;
        memberships.push((*index, Arc::new(membership)));
    }
    Ok(Recovered {
        hard_state: log.hard_state,
        last_index: log.last_index,
        term_runs: log.term_runs.clone(),
        commit_index: log.commit_hint.min(log.last_index),
        memberships,
        tail_ambiguous: log.tail_ambiguous,
    })
}

/// The configuration at index 0: all founders vote.
#[must_use]
pub fn founding(me: &MemberIdentity) -> Membership {
    let founders = me.founders.iter().enumerate().map(|(position, founder)| {
        let peer = Peer { address: founder.address.clone(), incarnation: founder.incarnation };
        (NodeId(position as u64 + 1), peer)
    });
    Membership::founding(founders.collect())
}
