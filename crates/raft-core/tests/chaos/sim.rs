//! Machines, disks, links and the clock; and what must hold at every step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Display;
use std::sync::Arc;

use raft_core::{
    AppendEntries, Config, EntryKind, EntryMeta, HardState, Index, Input, Lane, LogId, Member,
    Membership, Message, NodeId, Output, Persist, Raft, Recovered, RoleKind, Term, Ticket, Time,
};

pub(crate) const T: u64 = 1000;
pub(crate) type Entry = (EntryMeta, u64);
use crate::rng::Rng;

#[derive(Default, Clone)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) log: Vec<Entry>,
    pub(crate) commit_index: Index,
    /// Compacted up to here. The entries stay in `log` to be compared with, but nobody reads them.
    pub(crate) log_start: LogId,
    pub(crate) snapshots: BTreeSet<u64>,
}

/// One durable operation with the bytes it carries.
pub(crate) struct Write {
    pub(crate) persist: Persist,
    pub(crate) entries: Vec<Entry>,
    /// What the snapshot of a reset stands for.
    pub(crate) below: Vec<Entry>,
    pub(crate) commit_index: Index,
}

#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) raft: Option<Box<Raft>>,
    pub(crate) boots: u64,
    pub(crate) log: Vec<Entry>,
    pub(crate) disk: Disk,
    pub(crate) writes: VecDeque<Write>,
    pub(crate) removed: bool,
    pub(crate) applied: Index,
    /// The snapshot that just came was sent by one that leads no more.
    pub(crate) refused: bool,
    /// When it wants its timer.
    pub(crate) deadline: Option<u64>,
}

pub(crate) enum Event {
    /// Over the connection that `dialler` made, in its life `life`.
    Deliver {
        link: (NodeId, NodeId),
        life: u64,
        from: NodeId,
        message: Message,
        payloads: Vec<u64>,
    },
    Synced {
        at: NodeId,
        boots: u64,
        ticket: Ticket,
    },
    Applied {
        at: NodeId,
        boots: u64,
        through: Index,
    },
    Read {
        at: NodeId,
        boots: u64,
        request: u64,
        first: Index,
        last: Index,
    },
    Snapshot {
        from: NodeId,
        to: NodeId,
        boots: (u64, u64),
        term: Term,
        at: u64,
    },
    SnapshotEnds {
        from: NodeId,
        to: NodeId,
        boots: u64,
        through: Option<Index>,
    },
    Writable {
        at: NodeId,
        boots: u64,
        peer: NodeId,
    },
    Restart {
        at: NodeId,
    },
    Dial {
        link: (NodeId, NodeId),
    },
    Mischief,
}

pub(crate) struct Sim {
    pub(crate) rng: Rng,
    pub(crate) now: u64,
    pub(crate) sequence: u64,
    pub(crate) events: BTreeMap<(u64, u64), Event>,
    pub(crate) machines: BTreeMap<NodeId, Machine>,
    /// Connections that are up: `(dialler, listener)`, and when their last message arrives.
    pub(crate) links: BTreeMap<(NodeId, NodeId), (u64, [u64; 2])>,
    pub(crate) cut: BTreeSet<(NodeId, NodeId)>,
    pub(crate) founders: Arc<Membership>,
    pub(crate) committed: Vec<Entry>,
    /// The term of the leader that committed it.
    pub(crate) committed_in: Vec<Term>,
    pub(crate) leaders: BTreeMap<Term, NodeId>,
    pub(crate) calm: bool,
    pub(crate) tokens: u64,
    pub(crate) changes_ended: u64,
    /// Who asked each read, in which life, and how much was committed then.
    pub(crate) reads: BTreeMap<u64, (NodeId, u64, u64)>,
    pub(crate) reads_served: u64,
    pub(crate) installed: u64,
    /// Prints every line.
    pub(crate) verbose: bool,
    /// Mixes every line into one number.
    pub(crate) digest: Option<u64>,
}

pub(crate) fn member(n: u64) -> Member {
    Member { address: format!(":{n}"), incarnation: u128::from(n) }
}

impl Sim {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let count = 1 + rng.below(5);
        let members = (1..=count).map(|n| (NodeId(n), member(n))).collect();
        let mut sim = Self {
            rng,
            now: 0,
            sequence: 0,
            events: BTreeMap::new(),
            machines: BTreeMap::new(),
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            founders: Arc::new(Membership::founding(members)),
            committed: Vec::new(),
            committed_in: Vec::new(),
            leaders: BTreeMap::new(),
            calm: false,
            tokens: 0,
            changes_ended: 0,
            reads: BTreeMap::new(),
            reads_served: 0,
            installed: 0,
            verbose: std::env::var("CHAOS_SEED").is_ok(),
            digest: None,
        };
        (1..=count).for_each(|n| sim.boot(NodeId(n)));
        sim.at(50, Event::Mischief);
        sim
    }

    pub(crate) fn at(&mut self, delay: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + delay, self.sequence), event);
    }

    pub(crate) fn boot(&mut self, id: NodeId) {
        let config = Config {
            append_bytes_max: 300,
            inflight_bytes_max: 600,
            inflight_appends_max: 4,
            tail_bytes_max: 500,
            join_patience: 8 * T,
            ..Config::new(id)
        };
        let seed = self.rng.next();
        let machine = self.machines.entry(id).or_default();
        let disk = machine.disk.clone();
        // A snapshot counts if the log goes on after it, or holds its last entry.
        let fits = |&&at: &&u64| {
            let end = at as usize;
            at >= disk.log_start.index.0 && disk.log.get(..end) == self.committed.get(..end)
        };
        let snapshot = disk.snapshots.iter().rev().find(fits).map_or(0, |at| *at);
        machine.applied = Index(snapshot);
        let base = (Index(0), Arc::clone(&self.founders));
        let mut recovered = Recovered {
            hard_state: disk.hard_state,
            log_start: disk.log_start,
            snapshot_index: Index(snapshot),
            last_index: Index(disk.log.len() as u64),
            commit_index: disk.commit_index,
            memberships: vec![base],
            tail_ambiguous: seed.is_multiple_of(7),
            ..Recovered::default()
        };
        for (i, (entry, _)) in disk.log.iter().enumerate() {
            let index = Index(i as u64 + 1);
            if recovered.term_runs.last().is_none_or(|run| run.1 < entry.term) {
                recovered.term_runs.push((index, entry.term));
            }
            if let EntryKind::Membership(membership) = &entry.kind {
                if index.0 <= snapshot {
                    recovered.memberships.clear();
                }
                recovered.memberships.push((index, Arc::clone(membership)));
            }
        }
        machine.boots += 1;
        machine.log = disk.log;
        let raft = Box::new(Raft::restore(config, recovered, seed, Time(self.now)));
        machine.deadline = raft.next_deadline().map(|at| at.0);
        machine.raft = Some(raft);
        let others: Vec<NodeId> =
            self.machines.keys().copied().filter(|&peer| peer != id).collect();
        for peer in others {
            self.at(1, Event::Dial { link: (id, peer) });
            self.at(1, Event::Dial { link: (peer, id) });
        }
    }

    pub(crate) fn crash(&mut self, id: NodeId) {
        let survives = self.rng.below(3);
        let machine = self.machines.get_mut(&id).unwrap();
        machine.deadline = None;
        if machine.raft.take().is_none() {
            return;
        }
        // What was not confirmed may have reached the disk or not, in order.
        for write in std::mem::take(&mut machine.writes).into_iter().take(survives as usize) {
            machine.disk.apply(write);
        }
        let broken: Vec<_> =
            self.links.keys().copied().filter(|l| l.0 == id || l.1 == id).collect();
        broken.into_iter().for_each(|link| self.disconnect(link));
        let delay = 1 + self.rng.below(4 * T);
        self.at(delay, Event::Restart { at: id });
    }

    fn trace(&mut self, id: NodeId, what: &dyn Display) {
        if self.verbose {
            println!("{:>6} {id} {what}", self.now);
        }
        if let Some(digest) = &mut self.digest {
            for byte in what.to_string().bytes() {
                *digest = digest.rotate_left(5) ^ u64::from(byte).wrapping_mul(0x9e37_79b9);
            }
        }
    }

    pub(crate) fn is_up(&self, id: NodeId) -> bool {
        self.machines.get(&id).is_some_and(|m| m.raft.is_some())
    }

    pub(crate) fn disconnect(&mut self, link: (NodeId, NodeId)) {
        if self.links.remove(&link).is_some() {
            let (dialler, listener) = link;
            self.step(dialler, Input::Link { peer: listener, lane: Lane::Outbound, up: false });
            self.step(listener, Input::Link { peer: dialler, lane: Lane::Inbound, up: false });
            self.at(20, Event::Dial { link });
        }
    }

    pub(crate) fn dial(&mut self, link: (NodeId, NodeId)) {
        let (dialler, listener) = link;
        if !self.is_up(dialler) || self.links.contains_key(&link) {
            return;
        }
        let cut = self.cut.contains(&link) || self.cut.contains(&(listener, dialler));
        if self.is_up(listener) && !cut {
            self.sequence += 1;
            self.links.insert(link, (self.sequence, [self.now; 2]));
            self.step(listener, Input::Link { peer: dialler, lane: Lane::Inbound, up: true });
            self.step(dialler, Input::Link { peer: listener, lane: Lane::Outbound, up: true });
            return;
        }
        if !self.is_up(listener) && !cut {
            self.step(dialler, Input::Refused { peer: listener });
        }
        self.at(50, Event::Dial { link });
    }

    pub(crate) fn step(&mut self, id: NodeId, input: Input) {
        self.step_with(id, input, &[]);
    }

    pub(crate) fn step_with(&mut self, id: NodeId, input: Input, payloads: &[u64]) {
        let Some(mut raft) = self.machines.get_mut(&id).and_then(|m| m.raft.take()) else { return };
        let received = match &input {
            Input::Receive { message: Message::AppendEntries(append), .. } => Some(append.clone()),
            _ => None,
        };
        self.trace(id, &input);
        let (timer, commit_before) = (input == Input::Timer, raft.commit_index());
        let membership = Arc::clone(raft.membership());
        let mut outputs = Vec::new();
        raft.step(Time(self.now), input, &mut outputs);
        assert!(!timer || raft.next_deadline().is_none_or(|at| at > Time(self.now)), "a hot loop");
        let commit = raft.commit_index();
        let machine = self.machines.get_mut(&id).unwrap();
        machine.deadline = raft.next_deadline().map(|at| at.0);
        machine.raft = Some(raft);
        for output in outputs {
            self.trace(id, &output);
            self.carry_out(id, output, received.as_ref(), payloads);
        }
        self.check_commit(id, commit_before, commit, &membership);
    }

    pub(crate) fn carry_out(
        &mut self,
        id: NodeId,
        output: Output,
        received: Option<&AppendEntries>,
        payloads: &[u64],
    ) {
        let machine = self.machines.get_mut(&id).unwrap();
        match output {
            Output::Send { to, message } => self.send(id, to, message),
            Output::Persist(persist) => {
                let (first, last) = (persist.first.0 as usize, persist.last.0 as usize);
                let entries =
                    if first <= last { machine.log[first - 1..last].to_vec() } else { vec![] };
                let commit_index = machine.raft.as_ref().unwrap().commit_index().min(persist.last);
                let below = persist.reset.map_or(0, |at| at.index.0 as usize);
                let below = machine.log[..below].to_vec();
                machine.writes.push_back(Write { persist, entries, below, commit_index });
                let (boots, stalls) = (machine.boots, !self.calm && self.rng.below(200) == 0);
                let delay = 1 + self.rng.below(if stalls { 3 * T } else { 8 });
                self.at(delay, Event::Synced { at: id, boots, ticket: persist.ticket });
            }
            Output::Proposed { first, count } => {
                assert_eq!(first.index.0, machine.log.len() as u64 + 1);
                for _ in 0..count {
                    self.tokens += 1;
                    let meta = EntryMeta { term: first.term, size: 50, kind: EntryKind::Command };
                    machine.log.push((meta, self.tokens));
                }
            }
            Output::Appended { at, entry } => {
                assert_eq!(at.index.0, machine.log.len() as u64 + 1);
                machine.log.push((entry, 0));
            }
            Output::Received { first, last } => {
                let append = received.expect("entries come with a message");
                machine.log.truncate(first.0 as usize - 1);
                for index in first.0..=last.0 {
                    let i = (index - append.prev_log_id.index.0 - 1) as usize;
                    machine.log.push((append.entries[i].clone(), payloads[i]));
                }
            }
            Output::Apply { through } => {
                let (boots, delay) = (machine.boots, 1 + self.rng.below(30));
                self.at(delay, Event::Applied { at: id, boots, through });
            }
            Output::ReadLog { request, first, last, .. } => {
                let boots = machine.boots;
                let delay = 1 + self.rng.below(10);
                self.at(delay, Event::Read { at: id, boots, request, first, last });
            }
            Output::RoleChanged { role: RoleKind::Leader, term, .. } => {
                // Election Safety and Leader Completeness (paper, figure 3).
                let other = *self.leaders.entry(term).or_insert(id);
                assert_eq!(other, id, "two leaders in term {term}");
                let before = self.committed_in.partition_point(|&earlier| earlier < term);
                let complete = machine.log.starts_with(&self.committed[..before]);
                assert!(complete, "{id} leads without committed entries");
            }
            Output::MembershipChanged { index, .. } => {
                assert!(index.0 <= self.machines[&id].raft.as_ref().unwrap().last_log_id().index.0);
            }
            Output::Removed { .. } => machine.removed = true,
            Output::ChangeEnded { result: Ok(_), .. } => self.changes_ended += 1,
            Output::Alarm { peer, what } => panic!("{id} says that {peer} {what}"),
            other => self.beside_the_log(id, other),
        }
    }

    pub(crate) fn send(&mut self, from: NodeId, to: NodeId, message: Message) {
        self.check_send(from, to, &message);
        let link = if message.is_response() { (to, from) } else { (from, to) };
        let mut payloads = Vec::new();
        if let Message::AppendEntries(append) = &message {
            let log = &self.machines[&from].log;
            let first = append.prev_log_id.index.0 as usize;
            let start = self.machines[&from].raft.as_ref().map(|raft| raft.log_start());
            assert!(start.is_some_and(|start| start.index.0 as usize <= first), "sends compacted");
            let term = first.checked_sub(1).map_or(Term(0), |i| log[i].0.term);
            assert_eq!(append.prev_log_id.term, term);
            for (i, entry) in append.entries.iter().enumerate() {
                assert!(log[first + i].0 == *entry, "{from} sends what is not its log");
                payloads.push(log[first + i].1);
            }
        }
        let Some((life, arrivals)) = self.links.get_mut(&link) else { return };
        let slow = self.rng.below(50) == 0;
        let delay = 1 + self.rng.below(if slow { T / 2 } else { 15 });
        let arrival = &mut arrivals[usize::from(message.is_response())];
        *arrival = (*arrival).max(self.now + delay);
        let (life, delay) = (*life, *arrival - self.now);
        self.at(delay, Event::Deliver { link, life, from, message, payloads });
    }

    pub(crate) fn handle(&mut self, event: Event) {
        match event {
            Event::Deliver { link, life, from, message, payloads } => {
                if self.links.get(&link).is_none_or(|l| l.0 != life) {
                    return;
                }
                let to = if link.0 == from { link.1 } else { link.0 };
                if let Message::AppendEntries(append) = &message {
                    let through = Index(append.prev_log_id.index.0 + append.entries.len() as u64);
                    self.step(from, Input::Sent { peer: to, through, bytes: 0 });
                }
                self.step_with(to, Input::Receive { from, message }, &payloads);
            }
            Event::Synced { at, boots, ticket } => {
                let machine = self.machines.get_mut(&at).unwrap();
                if machine.boots != boots || machine.raft.is_none() {
                    return;
                }
                while machine.writes.front().is_some_and(|write| write.persist.ticket <= ticket) {
                    machine.disk.apply(machine.writes.pop_front().unwrap());
                }
                self.step(at, Input::Persisted(ticket));
            }
            Event::Read { at, boots, request, first, last } => {
                let fails = !self.calm && self.rng.below(10) == 0;
                let machine = &self.machines[&at];
                if machine.boots == boots {
                    let fails = fails || first <= machine.disk.log_start.index;
                    let count = if fails { 0 } else { 4.min(last.0 - first.0 + 1) as usize };
                    let read = machine.log.iter().skip(first.0 as usize - 1).take(count);
                    let entries = read.map(|entry| entry.0.clone()).collect();
                    self.step(at, Input::LogRead { request, entries });
                }
            }
            Event::Applied { at, boots, through } => {
                let machine = self.machines.get_mut(&at).unwrap();
                if machine.boots == boots {
                    machine.applied = machine.applied.max(through);
                    self.step(at, Input::Applied(through));
                }
            }
            Event::Snapshot { from, to, boots, term, at } => {
                self.deliver_snapshot(from, to, boots, term, at);
            }
            Event::SnapshotEnds { from, to, boots, through } => {
                if self.machines[&from].boots == boots {
                    self.step(
                        from,
                        match through {
                            Some(through) => Input::SnapshotSent { peer: to, through },
                            None => Input::SnapshotFailed { peer: to },
                        },
                    );
                }
            }
            Event::Writable { at, boots, peer } => {
                if self.machines[&at].boots == boots && self.links.contains_key(&(at, peer)) {
                    self.step(at, Input::Writable { peer, writable: true });
                }
            }
            Event::Restart { at } => {
                if !self.is_up(at) {
                    self.boot(at);
                }
            }
            Event::Dial { link } => self.dial(link),
            Event::Mischief => self.mischief(),
        }
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.machines.keys().copied().collect()
    }

    pub(crate) fn any(&mut self) -> NodeId {
        let ids = self.ids();
        ids[self.rng.below(ids.len() as u64) as usize]
    }
    pub(crate) fn run_until(&mut self, end: u64) {
        loop {
            let due = self.machines.iter().filter_map(|(&id, m)| Some((m.deadline?, id)));
            let timer = due.min();
            let event = self.events.keys().next().copied();
            let next =
                timer.map(|t| t.0).into_iter().chain(event.map(|e| e.0)).min().unwrap_or(end);
            if next >= end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            match event {
                Some(key) if key.0 <= self.now => {
                    let event = self.events.remove(&key).unwrap();
                    self.handle(event);
                }
                _ => self.step(timer.unwrap().1, Input::Timer),
            }
        }
    }
}

impl Machine {
    pub(crate) fn leads(&self) -> bool {
        self.raft.as_ref().is_some_and(|raft| raft.is_leader())
    }
}

impl Disk {
    pub(crate) fn apply(&mut self, write: Write) {
        let Persist { hard_state, reset, truncate_from, first, last, .. } = write.persist;
        self.hard_state = hard_state.unwrap_or(self.hard_state);
        if let Some(at) = reset {
            self.log = write.below;
            self.log_start = at;
        }
        if let Some(from) = truncate_from {
            self.log.truncate(from.0 as usize - 1);
        }
        if first <= last {
            assert_eq!(self.log.len() as u64 + 1, first.0, "the disk's log has no gaps");
            self.log.extend(write.entries);
        }
        self.commit_index = write.commit_index.max(self.commit_index);
    }
}
