//! One member of the small world: the core, the log as its driver holds it, and the disk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use raft_core::{
    AppendEntries, Change, Config, EntryKind, EntryMeta, HardState, Index, Input, Lane, LogId,
    Member as Founder, Membership, Message, NodeId, Output, Persist, Raft, RequestId, RoleKind,
    Term, Ticket, Time, VoteResponse,
};

use super::disk::{Disk, Write};
use super::rules;
use super::{Bounds, Fault};

/// Who made an entry, and in which of its lives: two entries are the same if and only if all of
/// [`Entry`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Maker {
    pub(super) id: NodeId,
    pub(super) life: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) meta: EntryMeta,
    pub(super) maker: Maker,
}

/// A message, with who made its entries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Envelope {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    pub(super) message: Message,
    pub(super) makers: Vec<Maker>,
}

#[derive(Clone, Hash)]
pub(super) struct Member {
    pub(super) id: NodeId,
    pub(super) raft: Raft,
    /// The core's outputs are its only source.
    pub(super) log: Vec<Entry>,
    pub(super) disk: Disk,
    writes: VecDeque<Write>,
    /// What a leader reads for its peers: first and last entry.
    reads: BTreeMap<NodeId, (Index, Index)>,
    /// How often it started, less one.
    pub(super) life: u8,
    /// Whether it leads, at this very place among its outputs.
    pub(super) leads: bool,
    fault: Option<Fault>,
    /// Whether the configuration may change.
    changes: bool,
    slow_reads: bool,
    whole_messages: bool,
}

/// What can happen to one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// A message arrives; `late`: when its leader was not heard for an election timeout.
    Deliver { envelope: &'a Envelope, late: bool },
    /// The oldest write is done.
    Persist,
    /// The election timeout of one that does not lead.
    Timeout,
    /// The election timeout, and the pre-votes that it needs, from whoever may give them.
    Campaign,
    /// A leader's heartbeats are due.
    Heartbeat,
    /// A leader has not heard a quorum for an election timeout.
    QuorumLost,
    /// The leader's transfer took too long.
    TransferLate,
    /// A client proposes a command.
    Propose,
    /// A client wants a member out.
    Remove(NodeId),
    /// The process dies and starts again from its disk.
    Crash,
    /// The connections with a peer broke and were made again.
    Reconnect(NodeId),
    /// What a leader reads for a peer is there.
    Read(NodeId),
}

/// What every member starts with.
pub(super) struct Setting {
    pub(super) founders: Arc<Membership>,
    one_entry_a_message: bool,
    fault: Option<Fault>,
    changes: bool,
    slow_reads: bool,
    whole_messages: bool,
}

impl Setting {
    /// Founders that differ in nothing but their names.
    pub(super) fn of(bounds: &Bounds) -> Self {
        let founder = Founder { address: String::new(), incarnation: 0 };
        let ids = (1..=bounds.members as u64).map(NodeId);
        let founders = Membership::founding(ids.map(|id| (id, founder.clone())).collect());
        Self {
            founders: Arc::new(founders),
            one_entry_a_message: bounds.one_entry_a_message,
            fault: bounds.fault,
            changes: bounds.removals > 0,
            slow_reads: bounds.slow_reads,
            whole_messages: bounds.whole_messages,
        }
    }
}

/// What a client's command takes on disk.
const COMMAND_BYTES: u32 = 100;

impl Envelope {
    pub(super) fn rename(&mut self, names: &dyn Fn(NodeId) -> NodeId) {
        (self.from, self.to) = (names(self.from), names(self.to));
        self.message.rename(names);
        self.makers.iter_mut().for_each(|maker| maker.id = names(maker.id));
    }
}

impl Entry {
    pub(super) fn rename(&mut self, names: &dyn Fn(NodeId) -> NodeId) {
        self.maker.id = names(self.maker.id);
        self.meta.kind.rename(names);
    }
}

impl Member {
    /// A member that never ran, connected with all others.
    pub(super) fn new(id: NodeId, setting: &Setting) -> Self {
        Self::start(id, Disk::default(), 0, setting)
    }

    /// Starts from what is on the disk, and from nothing else. All connections are there at once:
    /// that they take their time is the same as messages that do.
    fn start(id: NodeId, disk: Disk, life: u8, setting: &Setting) -> Self {
        let mut config = Config::new(id);
        if setting.one_entry_a_message {
            config.append_bytes_max = 1;
        }
        if setting.slow_reads {
            config.tail_bytes_max = 0;
        }
        let recovered = disk.recovered(&setting.founders);
        let mut raft = Raft::restore(config, recovered, 0, Time(0));
        raft.normalize();
        let log = disk.log.clone();
        let writes = VecDeque::new();
        let fault = setting.fault;
        let mut member = Self {
            id,
            raft,
            log,
            disk,
            writes,
            reads: BTreeMap::new(),
            life,
            leads: false,
            fault,
            changes: setting.changes,
            slow_reads: setting.slow_reads,
            whole_messages: setting.whole_messages,
        };
        for &peer in setting.founders.members.keys().filter(|&&peer| peer != id) {
            member.connect(peer);
        }
        member
    }

    /// A start sends nothing: what the core says here is about roles.
    fn connect(&mut self, peer: NodeId) {
        let mut outputs = Vec::new();
        self.raft.step(Time(0), Input::Link { peer, lane: Lane::Outbound, up: true }, &mut outputs);
        self.raft.normalize();
    }

    pub(super) fn role(&self) -> RoleKind {
        self.raft.status().role
    }

    pub(super) fn term(&self) -> Term {
        self.raft.hard_state().term
    }

    pub(super) fn commit(&self) -> usize {
        self.raft.commit_index().0 as usize
    }

    pub(super) fn writes(&self) -> bool {
        !self.writes.is_empty()
    }

    pub(super) fn reads(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.reads.keys().copied()
    }

    pub(super) fn rename(&mut self, names: &dyn Fn(NodeId) -> NodeId) {
        self.id = names(self.id);
        self.raft.rename(names);
        self.reads = self.reads.iter().map(|(&peer, &read)| (names(peer), read)).collect();
        let voted = |state: &mut HardState| state.voted_for = state.voted_for.map(names);
        voted(&mut self.disk.hard_state);
        let logs = self.log.iter_mut().chain(&mut self.disk.log);
        logs.for_each(|entry| entry.rename(names));
        for write in &mut self.writes {
            write.hard_state.iter_mut().for_each(voted);
            write.entries.iter_mut().for_each(|entry| entry.rename(names));
        }
    }

    /// Lets something happen. Returns what it sends, or which rule it breaks.
    pub(super) fn on(
        &mut self,
        event: Event<'_>,
        setting: &Setting,
    ) -> Result<Vec<Envelope>, String> {
        let timeout = Config::new(self.id).election_timeout;
        let mut sent = Vec::new();
        match event {
            Event::Deliver { envelope, late } => {
                let now = Time(if late { timeout } else { 0 });
                let (from, message) = (envelope.from, envelope.message.clone());
                self.step(now, Input::Receive { from, message }, Some(envelope), &mut sent)?;
            }
            Event::Persist => self.persist(&mut sent)?,
            Event::Timeout | Event::Heartbeat => self.timer(Time(0), &mut sent)?,
            Event::TransferLate => self.timer(Time(1), &mut sent)?,
            Event::QuorumLost => self.timer(Time(3 * timeout), &mut sent)?,
            Event::Campaign => {
                self.timer(Time(0), &mut Vec::new())?;
                self.win_pre_votes(&mut sent)?;
            }
            Event::Propose => {
                let input = Input::Propose { sizes: vec![COMMAND_BYTES] };
                self.step(Time(0), input, None, &mut sent)?;
            }
            Event::Remove(id) => {
                let change = Change::Remove(id);
                let input = Input::ChangeMembership { request: RequestId(1), change };
                self.step(Time(0), input, None, &mut sent)?;
            }
            Event::Crash => {
                let mut disk = self.disk.clone();
                match self.fault {
                    Some(Fault::ForgetsVote) => disk.hard_state.voted_for = None,
                    Some(Fault::LosesTail) => drop(disk.log.pop()),
                    Some(Fault::ConfirmsEarly | Fault::SkipsWrites) | None => {}
                }
                *self = Self::start(self.id, disk, self.life + 1, setting);
            }
            Event::Read(peer) => {
                if let Some((first, last)) = self.reads.remove(&peer) {
                    // In normal form a read has the number of the peer that it is for.
                    let entries = self.disk.read(first, last);
                    let input = Input::LogRead { request: peer.0, entries };
                    self.step(Time(0), input, None, &mut sent)?;
                }
            }
            Event::Reconnect(peer) => {
                self.reads.remove(&peer);
                for up in [false, true] {
                    for lane in [Lane::Outbound, Lane::Inbound] {
                        self.step(Time(0), Input::Link { peer, lane, up }, None, &mut sent)?;
                    }
                }
            }
        }
        self.raft.normalize();
        if self.role() != RoleKind::Leader {
            self.reads.clear();
        }
        rules::agrees(self)?;
        Ok(sent)
    }

    fn timer(&mut self, now: Time, sent: &mut Vec<Envelope>) -> Result<(), String> {
        self.step(now, Input::Timer, None, sent)
    }

    /// In a world without pre-votes on the wire each is granted when the search says so.
    fn win_pre_votes(&mut self, sent: &mut Vec<Envelope>) -> Result<(), String> {
        let voters: Vec<NodeId> = self.raft.membership().members.keys().copied().collect();
        for from in voters {
            if self.role() != RoleKind::PreCandidate {
                break;
            }
            let response = VoteResponse { term: self.term().next(), refusal: None };
            let message = Message::PreVoteResponse(response);
            self.step(Time(0), Input::Receive { from, message }, None, sent)?;
        }
        Ok(())
    }

    fn persist(&mut self, sent: &mut Vec<Envelope>) -> Result<(), String> {
        let tickets = match self.fault {
            Some(Fault::SkipsWrites) => {
                let count = self.writes.len();
                self.writes.drain(..count.saturating_sub(1));
                count as u64
            }
            _ => 1,
        };
        if let Some(write) = self.writes.pop_front() {
            self.disk.take(write)?;
        }
        match self.fault {
            Some(Fault::ConfirmsEarly) => Ok(()),
            _ => self.step(Time(0), Input::Persisted(Ticket(tickets)), None, sent),
        }
    }

    /// One input, everything that the core wants for it, and the reads that it wants for that.
    fn step(
        &mut self,
        now: Time,
        input: Input,
        received: Option<&Envelope>,
        sent: &mut Vec<Envelope>,
    ) -> Result<(), String> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let outputs = step_core(&mut self.raft, now, input)?;
            for output in outputs {
                if let Output::ReadLog { request, peer, first, last, .. } = output {
                    if self.slow_reads {
                        self.reads.insert(peer, (first, last));
                    } else {
                        let entries = self.disk.read(first, last);
                        inputs.push_back(Input::LogRead { request, entries });
                    }
                    continue;
                }
                if let (Output::Apply { through }, true) = (&output, self.slow_reads) {
                    inputs.push_back(Input::Applied(*through));
                }
                if let (Output::Persist(persist), Some(Fault::ConfirmsEarly)) =
                    (&output, self.fault)
                {
                    inputs.push_back(Input::Persisted(persist.ticket));
                }
                self.carry_out(output, received, sent)?;
            }
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        output: Output,
        received: Option<&Envelope>,
        sent: &mut Vec<Envelope>,
    ) -> Result<(), String> {
        match output {
            Output::Send { to, message } => {
                rules::may_leave(self, to, &message)?;
                let makers = self.makers(&message)?;
                sent.push(self.envelope(to, message, makers));
            }
            Output::Received { first, last } => self.take(first, last, received)?,
            Output::Persist(persist) => self.submit(persist),
            Output::Proposed { first, count } => {
                let meta =
                    EntryMeta { term: first.term, size: COMMAND_BYTES, kind: EntryKind::Command };
                (0..count).for_each(|_| self.append(meta.clone()));
            }
            Output::Appended { at: _, entry } => self.append(entry),
            Output::Apply { through } => rules::may_apply(self, through)?,
            Output::RoleChanged { role, .. } => {
                self.leads = role == RoleKind::Leader;
                if self.leads {
                    rules::may_lead(self)?;
                }
            }
            Output::Alarm { peer, what } => {
                return Err(format!("false alarm: {} says that {peer} {what}", self.id));
            }
            // Small worlds ask no questions and forget nothing.
            Output::ReadReady { .. }
            | Output::ReadRefused { .. }
            | Output::SendSnapshot { .. }
            | Output::SnapshotInstalled { .. }
            | Output::SnapshotRefused { .. } => {
                return Err(format!("{}: {output:?} out of nothing", self.id));
            }
            Output::ProposeRefused(_)
            | Output::ReadLog { .. }
            | Output::MembershipChanged { .. }
            | Output::ChangeEnded { .. }
            | Output::ChangeUnknown { .. }
            | Output::TransferEnded { .. }
            | Output::Removed { .. } => {}
        }
        Ok(())
    }

    /// As far as its receiver looks at it: what a follower knows to be committed matters only to a
    /// leader that removes it.
    fn envelope(&self, to: NodeId, mut message: Message, makers: Vec<Maker>) -> Envelope {
        if !self.whole_messages {
            message.normalize();
        }
        if let Message::AppendEntriesResponse(response) = &mut message
            && !(self.changes || self.whole_messages)
        {
            response.commit_index = Index(0);
        }
        Envelope { from: self.id, to, message, makers }
    }

    fn append(&mut self, meta: EntryMeta) {
        let maker = Maker { id: self.id, life: self.life };
        self.log.push(Entry { meta, maker });
    }

    /// The log takes entries of the message just received.
    fn take(
        &mut self,
        first: Index,
        last: Index,
        received: Option<&Envelope>,
    ) -> Result<(), String> {
        let Some(Envelope { message: Message::AppendEntries(append), makers, .. }) = received
        else {
            return Err(format!("{} takes entries that nobody sent", self.id));
        };
        self.log.truncate(first.0 as usize - 1);
        let start = (first.0 - append.prev_log_id.index.0) as usize - 1;
        let count = (last.0 + 1 - first.0) as usize;
        let taken = append.entries.iter().zip(makers).skip(start).take(count);
        self.log.extend(taken.map(|(meta, &maker)| Entry { meta: meta.clone(), maker }));
        Ok(())
    }

    fn submit(&mut self, persist: Persist) {
        let (first, last) = (persist.first.0 as usize, persist.last.0 as usize);
        self.writes.push_back(Write {
            hard_state: persist.hard_state,
            truncate_from: persist.truncate_from.map(|from| from.0 as usize),
            first,
            entries: self.log.get(first - 1..last).unwrap_or_default().to_vec(),
            commit_hint: self.commit().min(last),
        });
    }

    /// Who made the entries of a message that is about to leave.
    fn makers(&self, message: &Message) -> Result<Vec<Maker>, String> {
        let Message::AppendEntries(AppendEntries { prev_log_id: prev, entries, .. }) = message
        else {
            return Ok(Vec::new());
        };
        let at = prev.index.0 as usize;
        let held = self.log.get(at..at + entries.len()).unwrap_or_default();
        let same = held.len() == entries.len() && held.iter().map(|e| &e.meta).eq(entries);
        if !same || last_log_id(self.log.get(..at).unwrap_or_default()) != *prev {
            return Err(format!("{} sends entries that its log does not hold", self.id));
        }
        Ok(held.iter().map(|entry| entry.maker).collect())
    }
}

/// The core's own assertions are rules like all others.
fn step_core(raft: &mut Raft, now: Time, input: Input) -> Result<Vec<Output>, String> {
    let mut outputs = Vec::new();
    let step = || {
        raft.step(now, input, &mut outputs);
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(step)).map_err(|why| {
        let text = why.downcast_ref::<String>().cloned();
        let text = text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        format!("the core's own assertion: {}", text.unwrap_or_default())
    })?;
    Ok(outputs)
}

/// The last entry of a log.
pub(super) fn last_log_id(log: &[Entry]) -> LogId {
    let term = log.last().map_or(Term(0), |entry| entry.meta.term);
    LogId { term, index: Index(log.len() as u64) }
}
