//! Replica: Raft made durable. Core, log buffer, sessions and state machine behind one door.
//!
//! **Invariant:** no clock, no socket, no file, no thread. The same events at the same times give
//! the same effects.
//!
//! **Invariant:** at most one [`Effect::Write`] per call, from the final state. What an output of
//! the core means in bytes is settled before the next event: no later truncation changes it.

mod apply;
mod clients;
mod door;
mod entries;
mod machine;
mod members;
mod persist;
mod queries;
mod room;
mod snapshots;
mod start;
mod testimony;
mod view;

use std::collections::BTreeMap;

use raft_core::{
    Config, Index, Input, Lane, Membership, NodeId, Output, Raft, Recovered, Refusals, Time,
};
use raft_log::LogBuffer;

pub use apply::metas;
pub use door::{Chunk, Effect, Event, Origin};
pub use machine::{Frozen, Machine, configuration};
pub use snapshots::{Compaction, SnapshotAnswer, SnapshotLimits};
pub use start::{Unusable, founding, recovered, shown_mark};

use crate::protocol::{NodeStatus, Reason};
use crate::testimony::Asked;
use crate::wire::COMMAND_BYTES_MAX;
use apply::Progress;
use clients::Clients;
use persist::Merged;
use queries::Queries;
use room::Unwritten;
use snapshots::{Arrived, Snapshots};

/// What bounds a replica's memory.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest command in bytes.
    pub command_bytes_max: u64,
    /// Bytes of commands in the log and not yet committed, or not yet durable here.
    pub uncommitted_bytes_max: u64,
    /// Entries committed and not yet applied.
    pub unapplied_entries_max: u64,
    /// Entry bytes applied in one call, about.
    pub apply_bytes_max: u64,
    /// The largest question in bytes.
    pub query_bytes_max: u64,
    /// Bytes of questions that wait for their answers.
    pub waiting_query_bytes_max: u64,
    /// Bytes answered to questions in one call, about.
    pub answer_bytes_max: u64,
    /// Bytes of log that are kept free for what must always be written: votes, no-ops,
    /// configurations.
    pub reserved_log_bytes: u64,
    /// When snapshots are taken, and what stays of the log below them.
    pub snapshots: SnapshotLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_bytes_max: COMMAND_BYTES_MAX as u64,
            uncommitted_bytes_max: 64 * 1024 * 1024,
            unapplied_entries_max: 256 * 1024,
            apply_bytes_max: 1024 * 1024,
            query_bytes_max: 64 * 1024,
            waiting_query_bytes_max: 16 * 1024 * 1024,
            answer_bytes_max: 16 * 1024 * 1024,
            reserved_log_bytes: 1024 * 1024,
            snapshots: SnapshotLimits::default(),
        }
    }
}

/// One member's replica.
#[derive(Debug)]
pub struct Replica {
    raft: Raft,
    buffer: LogBuffer,
    machine: Machine,
    progress: Progress,
    clients: Clients,
    queries: Queries,
    merged: Merged,
    /// The highest index that the log was given.
    handed: Index,
    limits: Limits,
    reads: Reads,
    free: BTreeMap<NodeId, u64>,
    own_free: u64,
    unwritten: Unwritten,
    snapshots: Snapshots,
    /// What clients were refused, and leaders that the core did not hear of.
    refusals: Refusals<testimony::Refused>,
    /// Of the present event.
    arrived: Option<Arrived>,
    outputs: Vec<Output>,
}

/// Log reads under way: the core's for a peer, or the state machine's.
#[derive(Debug, Default)]
struct Reads {
    next: u64,
    /// Request number to the core's own number.
    for_peers: BTreeMap<u64, u64>,
    for_machine: Option<u64>,
}

/// The bytes that outputs of the present event may refer to.
#[derive(Debug, Default)]
struct Context {
    received: Chunk,
    read: Chunk,
}

impl Replica {
    /// A replica that goes on where the log and the state machine left off.
    #[must_use]
    pub fn new(
        config: Config,
        mut recovered: Recovered,
        machine: Machine,
        limits: Limits,
        seed: u64,
        now: Time,
    ) -> Self {
        let last = recovered.last_index;
        // A machine that is kept from an earlier life may know of commits that no block does.
        let applied = machine.applied().min(last);
        recovered.commit_index = recovered.commit_index.max(applied);
        recovered.snapshot_index = recovered.snapshot_index.max(applied);
        let id = config.id;
        let snapshots = Snapshots::new(machine.base().map(|base| base.at));
        let raft = Raft::restore(config, recovered, seed, now);
        let progress = Progress::new(raft.commit_index());
        Self {
            raft,
            buffer: LogBuffer::new(last.next()),
            machine,
            progress,
            clients: Clients::new(id),
            queries: Queries::default(),
            merged: Merged::default(),
            handed: last,
            limits,
            reads: Reads::default(),
            free: BTreeMap::new(),
            // Until the driver has looked.
            own_free: u64::MAX,
            unwritten: Unwritten::default(),
            snapshots,
            refusals: Refusals::default(),
            arrived: None,
            outputs: Vec::new(),
        }
    }

    /// Takes events in order, then proposes all that clients sent in one batch, and has all that
    /// they asked confirmed in one round; applies what is committed and answers what can be
    /// answered, each within a budget, and asks for at most one write.
    pub fn step(
        &mut self,
        now: Time,
        events: impl IntoIterator<Item = Event>,
        fx: &mut Vec<Effect>,
    ) {
        for event in events {
            let (asked, from) = (Asked::by(&event), fx.len());
            self.take(now, event, fx);
            self.note_refusals(now, asked, &fx[from..]);
        }
        let from = fx.len();
        self.propose(now, fx);
        self.note_refusals(now, Some(Asked::Write), &fx[from..]);
        let from = fx.len();
        self.confirm_reads(now, fx);
        self.note_refusals(now, Some(Asked::Read), &fx[from..]);
        self.yield_to_room(now, fx);
        self.apply(now, fx);
        self.take_snapshot(now, fx);
        self.answer_reads(now, fx);
        self.persist(fx);
        self.buffer.evict_below(self.raft.tail_start());
    }

    /// When [`Event::Timer`] is wanted.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.raft.next_deadline().into_iter().chain(self.queries.next_deadline()).min()
    }

    /// Whether committed entries or reads wait that the last call had no budget for: call again
    /// soon.
    #[must_use]
    pub fn has_backlog(&self) -> bool {
        self.is_behind() && self.reads.for_machine.is_none() && !self.snapshots.holds()
            || self.queries.has_backlog(self.machine.applied())
    }

    /// Whether committed entries are not applied yet.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.progress.bound > self.machine.applied()
    }

    /// Whether clients wait for entries of theirs to be applied, or for the leader's answer.
    #[must_use]
    pub fn owes_answers(&self) -> bool {
        self.clients.owes_answers() || self.queries.owes_answers()
    }

    /// What bounds it.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The core, to look at.
    #[must_use]
    pub const fn raft(&self) -> &Raft {
        &self.raft
    }

    /// Everything up to here is applied.
    #[must_use]
    pub const fn applied_index(&self) -> Index {
        self.machine.applied()
    }

    /// The state machine and its sessions.
    #[must_use]
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The state machine and its sessions, for the next life of this member.
    #[must_use]
    pub fn into_machine(self) -> Machine {
        self.machine
    }

    /// The last configuration applied that is not joint, and its index: who was removed can be
    /// told by this one alone.
    #[must_use]
    pub const fn final_membership(&self) -> (Index, &Membership) {
        self.machine.settled()
    }

    /// The address of a member, as far as this configuration knows it.
    #[must_use]
    pub fn address_of(&self, id: NodeId) -> Option<&str> {
        self.raft.membership().members.get(&id).map(|member| member.address.as_str())
    }

    /// How this member sees itself and the cluster.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        view::status(self)
    }

    fn take(&mut self, now: Time, event: Event, fx: &mut Vec<Effect>) {
        match event {
            Event::Timer if self.raft.next_deadline().is_none_or(|deadline| now < deadline) => {
                // It is for a read that has waited long enough, not for the core.
            }
            Event::Timer => self.core(now, Input::Timer, &Context::default(), fx),
            Event::Message { from, message, chunk, free_log_bytes } => {
                self.free.insert(from, free_log_bytes);
                if !self.takes(now, from, &chunk) {
                    return;
                }
                let context = Context { received: chunk, ..Context::default() };
                self.core(now, Input::Receive { from, message }, &context, fx);
            }
            Event::Persisted(ticket) => {
                self.unwritten.persisted(ticket);
                self.core(now, Input::Persisted(ticket), &Context::default(), fx);
                self.reset_persisted(ticket, fx);
            }
            Event::LogRead { request, chunk } => self.log_read(now, request, chunk, fx),
            Event::Link { peer, lane, up } => {
                self.core(now, Input::Link { peer, lane, up }, &Context::default(), fx);
                match (lane, up) {
                    (Lane::Outbound, true) => self.clients.linked(peer),
                    (Lane::Outbound, false) => self.clients.lost_link(peer, fx),
                    (Lane::Inbound, _) => {}
                }
            }
            Event::Refused { peer } => {
                self.core(now, Input::Refused { peer }, &Context::default(), fx);
            }
            Event::Writable { peer, writable } => {
                self.core(now, Input::Writable { peer, writable }, &Context::default(), fx);
            }
            Event::Sent { peer, through, bytes } => {
                self.core(now, Input::Sent { peer, through, bytes }, &Context::default(), fx);
            }
            Event::Request { origin, request } => self.request(now, origin, request, fx),
            Event::ForwardReply { from, request, reply } => {
                let address = self.address_of(from).map(str::to_owned);
                self.clients.forward_reply(request, reply, address, fx);
            }
            Event::Gone { connection } => {
                self.clients.gone(connection);
                self.queries.gone(connection);
            }
            Event::Met { request, result } => self.met(now, request, result, fx),
            Event::Space { free_log_bytes } => self.own_free = free_log_bytes,
            Event::SnapshotWritten { result } => self.snapshot_written(now, result, fx),
            Event::Compacted { start } => self.compacted(now, start, fx),
            Event::SnapshotTaken { peer } => {
                self.core(now, Input::SnapshotTaken { peer }, &Context::default(), fx);
            }
            Event::SnapshotAnswered { peer, through, answer } => {
                self.snapshot_answered(now, (peer, through), &answer, fx);
            }
            Event::SnapshotFailed { peer } => {
                self.snapshots.sends_no_more(peer);
                self.core(now, Input::SnapshotFailed { peer }, &Context::default(), fx);
            }
            Event::SnapshotCame { from, term, machine } => {
                self.snapshot_came(now, (from, term), *machine, fx);
            }
            Event::HandOver => {
                self.clients.stop();
                self.queries.stop(fx);
                if self.raft.is_leader() {
                    let input = Input::TransferLeadership { to: None };
                    self.core(now, input, &Context::default(), fx);
                }
            }
        }
    }

    /// One input to the core, and its outputs turned into effects before anything else happens.
    fn core(&mut self, now: Time, input: Input, context: &Context, fx: &mut Vec<Effect>) {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.raft.step(now, input, &mut outputs);
        for output in outputs.drain(..) {
            self.route(output, context, fx);
        }
        self.outputs = outputs;
    }

    fn route(&mut self, output: Output, context: &Context, fx: &mut Vec<Effect>) {
        match output {
            Output::Send { to, message } => {
                let entries = self.entries_of(&message, context);
                fx.push(Effect::Send { to, message, entries });
            }
            Output::Persist(persist) => {
                if persist.reset.is_some() {
                    self.snapshots.resets(persist.ticket);
                }
                self.merged.add(persist);
            }
            Output::Proposed { first, count } => {
                self.clients.proposed(first, count, &mut self.buffer)
            }
            Output::ProposeRefused(why) => {
                let reason = self.propose_refused(why);
                self.clients.refuse_batch(&reason, fx);
            }
            Output::ReadReady { request, index } => self.queries.confirmed(request, index),
            Output::ReadRefused { request, why } => {
                let reason = self.read_refused(why);
                self.queries.refused(request, reason, fx);
            }
            Output::SendSnapshot { peer, at_least: _, term } => {
                self.snapshots.sends(peer);
                fx.push(Effect::SendSnapshot { peer, term });
            }
            Output::SnapshotInstalled { at, kept } => self.install(at, kept, fx),
            Output::SnapshotRefused { at: _, why } => self.snapshot_refused(why, fx),
            Output::Appended { at, entry } => self.encode(at, &entry),
            Output::Received { first, last } => self.receive(first, last, &context.received),
            Output::Apply { through } => self.progress.bound = self.progress.bound.max(through),
            Output::ReadLog { request, peer: _, first, last, bytes_max } => {
                let number = self.reads.next();
                self.reads.for_peers.insert(number, request);
                fx.push(Effect::ReadLog { request: number, first, last, bytes_max });
            }
            Output::RoleChanged { role, term, leader } => {
                if role != raft_core::RoleKind::Leader {
                    self.clients.lost_leadership(fx);
                }
                let named =
                    leader.map(|id| (id, self.address_of(id).unwrap_or_default().to_owned()));
                self.clients.leader_is(named, fx);
                fx.push(Effect::RoleChanged { role, term, leader });
            }
            Output::MembershipChanged { membership, .. } => {
                fx.push(Effect::MembershipChanged { membership });
            }
            Output::ChangeEnded { request, result } => self.change_ended(request, result, fx),
            Output::ChangeUnknown { request, .. } => self.clients.change_unknown(request, fx),
            Output::TransferEnded { to } => {
                let address = to.and_then(|id| self.address_of(id)).map(str::to_owned);
                self.clients.transfer_ended(address, self.raft.is_leader(), fx);
            }
            Output::Removed { at } => fx.push(Effect::Removed { at }),
            Output::Alarm { peer, what } => fx.push(Effect::Alarm { peer, what }),
        }
    }

    fn propose_refused(&self, why: raft_core::ProposeRefused) -> Reason {
        let address = |id| self.address_of(id).map(str::to_owned);
        match why {
            raft_core::ProposeRefused::NotLeader { leader } => {
                Reason::NotLeader { leader: leader.and_then(address) }
            }
            raft_core::ProposeRefused::HandingOver { to } => {
                Reason::HandingOver { to: address(to).unwrap_or_default() }
            }
        }
    }

    /// The configuration in force.
    fn membership(&self) -> &Membership {
        self.raft.membership()
    }
}

impl Reads {
    const fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
