//! A cluster in memory: every step of every member, in an order that the script decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use raft_core::{
    AppendEntries, Config, EntryKind, EntryMeta, Index, Input, Lane, LogId, Member, Membership,
    Message, NodeId, Output, Persist, RoleKind, Term, Time,
};

use super::format;
use super::network::{Envelope, Network};
use super::node::{Entry, Node, Read};
use super::safety::Safety;

/// A line of output, and whether a summary keeps it.
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) weighty: bool,
}

/// The cluster and everything around it.
#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) network: Network,
    pub(crate) now: Time,
    pub(crate) seed: u64,
    pub(crate) safety: Safety,
    pub(crate) lines: Vec<Line>,
    /// The state machine of a member answers at once, unless a script does it.
    pub(crate) applies_itself: bool,
    /// Members whose disks finish nothing, unless a script says `persist`.
    pub(crate) hung: BTreeSet<NodeId>,
    payloads: u64,
    /// The number of the last read.
    reads: u64,
}

/// What came with an input beside what the core sees.
#[derive(Default)]
struct Baggage {
    /// The first index and the entries of the message that is being received.
    received: Option<(u64, Vec<Entry>)>,
    /// Sizes of proposed commands.
    proposed: Vec<u32>,
    /// The entries come from the disk, not from memory.
    from_disk: bool,
}

type Done = Result<(), String>;

/// No script needs more: beyond this the members talk in circles.
const EVENTS_MAX: usize = 20_000;

impl Cluster {
    pub(crate) fn node(&self, id: NodeId) -> Result<&Node, String> {
        self.nodes.get(&id).ok_or_else(|| format!("there is no {id}"))
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> Result<&mut Node, String> {
        self.nodes.get_mut(&id).ok_or_else(|| format!("there is no {id}"))
    }

    pub(crate) fn running(&self) -> Vec<NodeId> {
        self.nodes.values().filter(|node| node.raft.is_some()).map(Node::id).collect()
    }

    pub(crate) fn say(&mut self, weighty: bool, text: String) {
        self.lines.push(Line { text, weighty });
    }

    /// Founders n1 to n`voters`, and learners after them; all stopped.
    pub(crate) fn found(&mut self, voters: u64, learners: u64, config: &Config) {
        let member =
            |id: u64| Member { address: format!(":{}", 9990 + id), incarnation: id.into() };
        let members = (1..=voters + learners).map(|id| (NodeId(id), member(id))).collect();
        let mut founding = Membership::founding(members);
        founding.voters.retain(|id| id.0 <= voters);
        let founding = Arc::new(founding);
        for id in founding.members.keys() {
            let config = Config { id: *id, ..config.clone() };
            self.nodes.insert(*id, Node::new(config, Arc::clone(&founding)));
        }
    }

    /// Starts a member from its disk and connects it with all that run.
    pub(crate) fn start(&mut self, id: NodeId) -> Done {
        let (seed, now) = (self.seed, self.now);
        let node = self.node_mut(id)?;
        if node.raft.is_some() {
            return Err(format!("{id} runs"));
        }
        node.start(seed, now);
        for peer in self.running().into_iter().filter(|peer| *peer != id) {
            self.link(id, peer, false)?;
            self.link(peer, id, false)?;
            if !self.network.cut.contains(&(id, peer)) {
                self.link(id, peer, true)?;
                self.link(peer, id, true)?;
            }
        }
        Ok(())
    }

    /// The connection that `dialler` made to `peer` comes up or goes down; both ends learn of it.
    pub(crate) fn link(&mut self, dialler: NodeId, peer: NodeId, up: bool) -> Done {
        let changed = if up {
            self.network.up.insert((dialler, peer))
        } else {
            self.network.close(dialler, peer)
        };
        if !changed {
            return Ok(());
        }
        for (id, other, lane) in [(dialler, peer, Lane::Outbound), (peer, dialler, Lane::Inbound)] {
            if self.node(id)?.raft.is_some() {
                self.step(id, Input::Link { peer: other, lane, up })?;
            }
        }
        Ok(())
    }

    /// An input that brings nothing beside itself.
    pub(crate) fn step(&mut self, id: NodeId, input: Input) -> Done {
        self.step_with(id, input, &Baggage::default())
    }

    pub(crate) fn propose(&mut self, id: NodeId, sizes: Vec<u32>) -> Done {
        let baggage = Baggage { proposed: sizes.clone(), ..Baggage::default() };
        self.step_with(id, Input::Propose { sizes }, &baggage)
    }

    /// Clients of a member read.
    pub(crate) fn read(&mut self, id: NodeId, count: u64) -> Done {
        let requests: Vec<u64> = (self.reads + 1..=self.reads + count).collect();
        self.reads += count;
        self.safety.on_read(&requests);
        self.step(id, Input::Read { requests })
    }

    /// A message arrives, unless nobody is there.
    pub(crate) fn receive(&mut self, envelope: &Envelope) -> Done {
        if self.node(envelope.to)?.raft.is_none() {
            return Ok(());
        }
        let mut baggage = Baggage::default();
        if let Message::AppendEntries(append) = &envelope.message {
            let entries = append.entries.iter().cloned().zip(&envelope.payloads);
            let entries = entries.map(|(meta, payload)| Entry { meta, payload: *payload });
            let first = append.prev_log_id.index.0.saturating_add(1);
            baggage.received = Some((first, entries.collect()));
        }
        let input = Input::Receive { from: envelope.from, message: envelope.message.clone() };
        self.step_with(envelope.to, input, &baggage)
    }

    /// Answers the oldest read with what the disk holds, at most `count` entries, their terms
    /// wrong by `skew`.
    pub(crate) fn answer_read(&mut self, id: NodeId, count: usize, skew: u64) -> Done {
        let node = self.node_mut(id)?;
        let Some(Read { request, first, last, bytes_max }) = node.reads.pop_front() else {
            return Err(format!("{id} reads nothing"));
        };
        let range = first.0 as usize - 1..(last.0 as usize).min(node.disk.log.len());
        let mut bytes = 0;
        let mut entries: Vec<EntryMeta> = Vec::new();
        for entry in node.disk.log.get(range).unwrap_or_default().iter().take(count) {
            bytes += u64::from(entry.meta.size);
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            let term = Term(entry.meta.term.0 + skew);
            entries.push(EntryMeta { term, ..entry.meta.clone() });
        }
        let baggage = Baggage { from_disk: true, ..Baggage::default() };
        self.step_with(id, Input::LogRead { request, entries }, &baggage)
    }

    fn step_with(&mut self, id: NodeId, input: Input, baggage: &Baggage) -> Done {
        let now = self.now;
        let node = self.node_mut(id)?;
        let raft = node.raft.as_mut().ok_or_else(|| format!("{id} is down"))?;
        let before = Arc::clone(raft.membership());
        let mut outputs = Vec::new();
        raft.step(now, input, &mut outputs);
        let applied = node.applied;
        for output in outputs {
            self.carry_out(id, output, baggage)?;
        }
        self.safety.after_step(&self.nodes, id, &before)?;
        let node = self.node(id)?;
        if self.applies_itself && node.applied > applied {
            self.step(id, Input::Applied(Index(node.applied)))?;
        }
        Ok(())
    }

    /// Does what the core wants, and checks that it may want it.
    fn carry_out(&mut self, id: NodeId, output: Output, baggage: &Baggage) -> Done {
        let mut text = format!("{id} {}", format::output(&output));
        let quiet = matches!(
            output,
            Output::Send { .. }
                | Output::Persist(_)
                | Output::Received { .. }
                | Output::Appended { .. }
                | Output::ReadLog { .. }
        );
        match output {
            Output::Send { to, message } => {
                let envelope = self.envelope(id, to, message, baggage)?;
                if !self.network.send(envelope) {
                    text.push_str(" (lost)");
                }
            }
            Output::Received { first, last } => {
                return self.replace(id, first.0, last.0, baggage);
            }
            Output::Persist(persist) => {
                self.submit(id, persist).map_err(|why| format!("{text}: {why}"))?;
            }
            Output::Proposed { first, count } => {
                let known = count as usize == baggage.proposed.len();
                if !known || first.index != self.node(id)?.last_log_id().index.next() {
                    return Err(format!("{text}: not what was proposed, not at the end"));
                }
                for size in &baggage.proposed {
                    let kind = EntryKind::Command;
                    self.append(id, EntryMeta { term: first.term, size: *size, kind })?;
                }
            }
            Output::Appended { at, entry } => {
                self.append(id, entry)?;
                if self.node(id)?.last_log_id() != at {
                    return Err(format!("{text}: not at the end"));
                }
            }
            Output::Apply { through } => {
                let node = self.node(id)?;
                let raft = node.raft.as_ref().ok_or("down")?;
                self.safety.may_apply(node, raft, through.0)?;
                self.node_mut(id)?.applied = through.0;
            }
            Output::ReadLog { request, first, last, bytes_max, .. } => {
                let read = Read { request, first, last, bytes_max };
                self.node_mut(id)?.reads.push_back(read);
            }
            Output::RoleChanged { role, term, .. } => {
                self.node_mut(id)?.leads = role == RoleKind::Leader;
                if role == RoleKind::Leader {
                    let node = self.nodes.get(&id).ok_or("gone")?;
                    self.safety.on_leader(node, term)?;
                }
            }
            Output::SnapshotInstalled { at, kept } => self.installed(id, at.index.0, kept)?,
            Output::ReadReady { request, index } => self.safety.may_read(request, index.0)?,
            Output::SendSnapshot { .. }
            | Output::SnapshotRefused { .. }
            | Output::ReadRefused { .. }
            | Output::ProposeRefused(_)
            | Output::MembershipChanged { .. }
            | Output::ChangeEnded { .. }
            | Output::ChangeUnknown { .. }
            | Output::TransferEnded { .. }
            | Output::Removed { .. }
            | Output::Alarm { .. } => {}
        }
        self.say(!quiet, text);
        Ok(())
    }

    /// A write begins, if it continues what the disk was handed before.
    fn submit(&mut self, id: NodeId, persist: Persist) -> Done {
        let node = self.node_mut(id)?;
        let commit = node.raft.as_ref().map_or(Index(0), |raft| raft.commit_index());
        if persist.ticket <= node.last_ticket {
            return Err("tickets must rise".to_owned());
        }
        let replaces = persist.first <= persist.last && persist.first.0 <= node.handed_over;
        let void = persist.reset.is_some() && persist.truncate_from.is_none();
        if void {
            node.submit(persist, commit);
            return Ok(());
        }
        if persist.truncate_from.is_some_and(|from| from.0 > node.handed_over)
            || replaces && persist.truncate_from.is_none_or(|from| from > persist.first)
        {
            return Err(format!("the disk was handed {}", node.handed_over));
        }
        node.submit(persist, commit);
        Ok(())
    }

    /// The log takes an entry of the member's own making.
    fn append(&mut self, id: NodeId, meta: EntryMeta) -> Done {
        self.payloads += 1;
        let payload = self.payloads;
        self.node_mut(id)?.log.push(Entry { meta, payload });
        Ok(())
    }

    /// The log takes entries of the message just received.
    fn replace(&mut self, id: NodeId, first: u64, last: u64, baggage: &Baggage) -> Done {
        let commit = self.node(id)?.applied;
        let taken = baggage.received.as_ref().and_then(|(start, entries)| {
            let from = first.checked_sub(*start)? as usize;
            entries.get(from..=last.checked_sub(*start)? as usize)
        });
        let Some(taken) = taken else {
            return Err(format!("{id} takes {first}..{last}, which it did not receive"));
        };
        if first <= commit {
            return Err(format!("{id} replaces {first}, which it has applied"));
        }
        let node = self.node_mut(id)?;
        node.log.truncate(first as usize - 1);
        node.log.extend_from_slice(taken);
        Ok(())
    }

    /// A message with the payloads of its entries, if it may leave.
    fn envelope(
        &self,
        from: NodeId,
        to: NodeId,
        message: Message,
        baggage: &Baggage,
    ) -> Result<Envelope, String> {
        let node = self.node(from)?;
        self.safety.may_leave(&self.nodes, node, to, &message)?;
        let mut payloads = Vec::new();
        if let Message::AppendEntries(append) = &message {
            payloads = payloads_of(node, append, baggage.from_disk)?;
        }
        Ok(Envelope { from, to, message, payloads })
    }

    /// Makes everything up to a ticket durable and says so to the core; at most `count` writes.
    pub(crate) fn persist(&mut self, id: NodeId, upto: Option<u64>, count: usize) -> Done {
        let node = self.node_mut(id)?;
        let mut done = None;
        for _ in 0..count {
            let wanted = |ticket: u64| upto.is_none_or(|upto| ticket <= upto);
            if !node.writes.front().is_some_and(|write| wanted(write.persist.ticket.0)) {
                break;
            }
            done = node.write_one();
        }
        done.map_or(Ok(()), |ticket| self.step(id, Input::Persisted(ticket)))
    }

    /// Delivers, persists and reads until nothing is left to do among these members.
    pub(crate) fn stabilize(&mut self, ids: &[NodeId]) -> Done {
        for _ in 0..EVENTS_MAX {
            let among = |e: &Envelope| ids.contains(&e.from) && ids.contains(&e.to);
            let node_with = |busy: fn(&Node) -> bool| {
                let disks = ids.iter().copied().filter(|id| !self.hung.contains(id));
                disks.into_iter().find(|id| self.nodes.get(id).is_some_and(busy))
            };
            if let Some(at) = self.network.flight.iter().position(among) {
                let envelope = self.network.flight.remove(at);
                self.receive(&envelope)?;
            } else if let Some(id) = node_with(|node| !node.writes.is_empty()) {
                self.persist(id, None, usize::MAX)?;
            } else if let Some(id) = node_with(|node| !node.reads.is_empty()) {
                self.answer_read(id, usize::MAX, 0)?;
            } else {
                return Ok(());
            }
        }
        Err("the members talk in circles".to_owned())
    }

    /// Lets time pass; every deadline on the way fires when it is due. With `lively`, messages
    /// and disks take no time at all.
    pub(crate) fn pass(&mut self, millis: u64, lively: bool) -> Done {
        let end = self.now + millis;
        for _ in 0..EVENTS_MAX {
            if lively {
                self.stabilize(&self.running())?;
            }
            let due = self.nodes.values().filter_map(|node| {
                let deadline = node.raft.as_ref()?.next_deadline()?;
                Some((deadline.max(self.now), node.id()))
            });
            let Some((at, id)) = due.min().filter(|(at, _)| *at <= end) else {
                self.now = end;
                return Ok(());
            };
            self.now = at;
            self.step(id, Input::Timer)?;
        }
        Err("the timers run in circles".to_owned())
    }

    /// Goes to a member's deadline and fires it.
    pub(crate) fn timeout(&mut self, id: NodeId) -> Done {
        let raft = self.node(id)?.raft.as_ref().ok_or_else(|| format!("{id} is down"))?;
        let deadline = raft.next_deadline().ok_or_else(|| format!("{id} has no deadline"))?;
        self.now = self.now.max(deadline);
        self.step(id, Input::Timer)
    }
}

/// The payloads that the driver would attach to the entries of a message.
fn payloads_of(node: &Node, append: &AppendEntries, from_disk: bool) -> Result<Vec<u64>, String> {
    let id = node.id();
    let first = append.prev_log_id.index.0 + 1;
    let mut payloads = Vec::new();
    for (meta, index) in append.entries.iter().zip(first..) {
        let Some(entry) = node.entry(index).filter(|entry| entry.meta == *meta) else {
            return Err(format!("{id} sends an entry {index} that its log does not hold"));
        };
        payloads.push(entry.payload);
    }
    let prev = LogId { index: append.prev_log_id.index, ..LogId::default() };
    let known = node.entry(prev.index.0).map_or(LogId::default().term, |entry| entry.meta.term);
    if append.prev_log_id.term != known {
        return Err(format!("{id} sends a previous entry that its log does not hold"));
    }
    let start = node.raft.as_ref().map_or(Index(0), |raft| raft.log_start().index);
    if prev.index < start {
        return Err(format!("{id} sends {first}, its log begins after {start}"));
    }
    let tail = node.raft.as_ref().map_or(Index(0), |raft| raft.tail_start());
    if !from_disk && !append.entries.is_empty() && first < tail.0 {
        return Err(format!("{id} sends {first}, its memory begins at {tail}"));
    }
    Ok(payloads)
}
