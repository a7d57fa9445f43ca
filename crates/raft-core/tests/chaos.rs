//! Whole clusters of the core in one thread, on a simulated network, disk and clock: links break,
//! members crash and lose what was not synced, voters come and go. Safety is checked at every
//! step; then everything heals, and the cluster must get to work again.
//!
//! `CHAOS_SEED=17 cargo test -p raft-core --test chaos` replays one run,
//! `CHAOS_RUNS=5000` makes more of them.

#[path = "../src/rng.rs"]
mod rng;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use raft_core::{
    AppendEntries, Change, Config, EntryKind, EntryMeta, HardState, Index, Input, Lane, Member,
    Membership, Message, NodeId, Output, Persist, Raft, Recovered, RequestId, RoleKind, Term,
    Ticket, Time,
};
use rng::Rng;

const T: u64 = 1000;
type Entry = (EntryMeta, u64);

#[derive(Default, Clone)]
struct Disk {
    hard_state: HardState,
    log: Vec<Entry>,
    commit_index: Index,
}

/// One durable operation with the bytes it carries.
struct Write {
    persist: Persist,
    entries: Vec<Entry>,
    commit_index: Index,
}

#[derive(Default)]
struct Machine {
    raft: Option<Raft>,
    boots: u64,
    log: Vec<Entry>,
    disk: Disk,
    writes: VecDeque<Write>,
    removed: bool,
}

enum Event {
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

struct Sim {
    rng: Rng,
    now: u64,
    sequence: u64,
    events: BTreeMap<(u64, u64), Event>,
    machines: BTreeMap<NodeId, Machine>,
    /// Connections that are up: `(dialler, listener)`, and when their last message arrives.
    links: BTreeMap<(NodeId, NodeId), (u64, [u64; 2])>,
    cut: BTreeSet<(NodeId, NodeId)>,
    founders: Arc<Membership>,
    committed: Vec<Entry>,
    leaders: BTreeMap<Term, NodeId>,
    calm: bool,
    tokens: u64,
    changes_ended: u64,
    verbose: bool,
}

fn member(n: u64) -> Member {
    Member { address: format!(":{n}"), incarnation: u128::from(n) }
}

impl Sim {
    fn new(seed: u64) -> Self {
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
            leaders: BTreeMap::new(),
            calm: false,
            tokens: 0,
            changes_ended: 0,
            verbose: std::env::var("CHAOS_SEED").is_ok(),
        };
        (1..=count).for_each(|n| sim.boot(NodeId(n)));
        sim.at(50, Event::Mischief);
        sim
    }

    fn at(&mut self, delay: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + delay, self.sequence), event);
    }

    fn boot(&mut self, id: NodeId) {
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
        let mut recovered = Recovered {
            hard_state: disk.hard_state,
            last_index: Index(disk.log.len() as u64),
            commit_index: disk.commit_index,
            memberships: vec![(Index(0), Arc::clone(&self.founders))],
            tail_ambiguous: seed.is_multiple_of(7),
            ..Recovered::default()
        };
        for (i, (entry, _)) in disk.log.iter().enumerate() {
            let index = Index(i as u64 + 1);
            if recovered.term_runs.last().is_none_or(|run| run.1 < entry.term) {
                recovered.term_runs.push((index, entry.term));
            }
            if let EntryKind::Membership(membership) = &entry.kind {
                recovered.memberships.push((index, Arc::clone(membership)));
            }
        }
        machine.boots += 1;
        machine.log = disk.log;
        machine.raft = Some(Raft::restore(config, recovered, seed, Time(self.now)));
        let others: Vec<NodeId> =
            self.machines.keys().copied().filter(|&peer| peer != id).collect();
        for peer in others {
            self.at(1, Event::Dial { link: (id, peer) });
            self.at(1, Event::Dial { link: (peer, id) });
        }
    }

    fn crash(&mut self, id: NodeId) {
        let survives = self.rng.below(3);
        let machine = self.machines.get_mut(&id).unwrap();
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

    fn is_up(&self, id: NodeId) -> bool {
        self.machines.get(&id).is_some_and(|m| m.raft.is_some())
    }

    fn disconnect(&mut self, link: (NodeId, NodeId)) {
        if self.links.remove(&link).is_some() {
            let (dialler, listener) = link;
            self.step(dialler, Input::Link { peer: listener, lane: Lane::Outbound, up: false });
            self.step(listener, Input::Link { peer: dialler, lane: Lane::Inbound, up: false });
            self.at(20, Event::Dial { link });
        }
    }

    fn dial(&mut self, link: (NodeId, NodeId)) {
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

    fn step(&mut self, id: NodeId, input: Input) {
        self.step_with(id, input, &[]);
    }

    fn step_with(&mut self, id: NodeId, input: Input, payloads: &[u64]) {
        let Some(mut raft) = self.machines.get_mut(&id).and_then(|m| m.raft.take()) else { return };
        let received = match &input {
            Input::Receive { message: Message::AppendEntries(append), .. } => Some(append.clone()),
            _ => None,
        };
        if self.verbose && !matches!(input, Input::Applied(_) | Input::Sent { .. }) {
            println!("{:>6} {id} < {input}", self.now);
        }
        let (timer, commit_before) = (input == Input::Timer, raft.commit_index());
        let membership = Arc::clone(raft.membership());
        let mut outputs = Vec::new();
        raft.step(Time(self.now), input, &mut outputs);
        assert!(!timer || raft.next_deadline().is_none_or(|at| at > Time(self.now)), "a hot loop");
        let commit = raft.commit_index();
        self.machines.get_mut(&id).unwrap().raft = Some(raft);
        for output in outputs {
            if self.verbose {
                println!("{:>6} {id} {output}", self.now);
            }
            self.carry_out(id, output, received.as_ref(), payloads);
        }
        self.check_commit(id, commit_before, commit, &membership);
    }

    fn carry_out(
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
                machine.writes.push_back(Write { persist, entries, commit_index });
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
                if self.rng.below(3) > 0 {
                    let boots = machine.boots;
                    self.at(1, Event::Applied { at: id, boots, through });
                }
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
                let held = &machine.log[..self.committed.len().min(machine.log.len())];
                assert!(held == self.committed, "{id} leads without committed entries");
            }
            Output::MembershipChanged { index, .. } => {
                assert!(index.0 <= self.machines[&id].raft.as_ref().unwrap().last_log_id().index.0);
            }
            Output::Removed { .. } => machine.removed = true,
            Output::ChangeEnded { result: Ok(_), .. } => self.changes_ended += 1,
            Output::Alarm { peer, what } => panic!("{id} says that {peer} {what}"),
            _ => {}
        }
    }

    /// Nothing is committed unless a quorum's disks hold it, and never two different things.
    fn check_commit(&mut self, id: NodeId, before: Index, after: Index, membership: &Membership) {
        let Some(raft) = self.machines[&id].raft.as_ref() else { return };
        let now = Arc::clone(raft.membership());
        for index in before.0..after.0.min(self.machines[&id].log.len() as u64) {
            let i = index as usize;
            let entry = self.machines[&id].log[i].clone();
            if let Some(known) = self.committed.get(i) {
                assert!(*known == entry, "{id} commits another entry at {}", i + 1);
                continue;
            }
            let holds =
                |peer| self.machines.get(&peer).is_some_and(|m| m.disk.log.get(i) == Some(&entry));
            assert!(
                membership.is_quorum(holds) || now.is_quorum(holds),
                "{id} commits {} without a quorum's disks",
                i + 1
            );
            self.committed.push(entry.clone());
            if let EntryKind::Membership(membership) = &entry.0.kind {
                let new: Vec<NodeId> = membership
                    .members
                    .keys()
                    .copied()
                    .filter(|id| !self.machines.contains_key(id))
                    .collect();
                new.into_iter().for_each(|id| self.boot(id));
            }
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: Message) {
        let link = if message.is_response() { (to, from) } else { (from, to) };
        let mut payloads = Vec::new();
        if let Message::AppendEntries(append) = &message {
            let log = &self.machines[&from].log;
            let first = append.prev_log_id.index.0 as usize;
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

    fn handle(&mut self, event: Event) {
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
                    let count = if fails { 0 } else { 4.min(last.0 - first.0 + 1) as usize };
                    let read = machine.log.iter().skip(first.0 as usize - 1).take(count);
                    let entries = read.map(|entry| entry.0.clone()).collect();
                    self.step(at, Input::LogRead { request, entries });
                }
            }
            Event::Applied { at, boots, through } => {
                if self.machines[&at].boots == boots {
                    self.step(at, Input::Applied(through));
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

    fn any(&mut self) -> NodeId {
        let ids: Vec<NodeId> = self.machines.keys().copied().collect();
        ids[self.rng.below(ids.len() as u64) as usize]
    }

    fn mischief(&mut self) {
        let (a, b) = (self.any(), self.any());
        match self.rng.below(if self.calm { 10 } else { 24 }) {
            0..10 => {
                let sizes = vec![50; 1 + self.rng.below(5) as usize];
                for id in self.machines.keys().copied().collect::<Vec<_>>() {
                    self.step(id, Input::Propose { sizes: sizes.clone() });
                }
            }
            10 => self.crash(a),
            11..13 => self.disconnect((a, b)),
            13 => {
                self.cut.insert((a, b));
                self.disconnect((a, b));
                self.disconnect((b, a));
            }
            14..16 => self.cut.clear(),
            16..18 => {
                if self.links.contains_key(&(a, b)) {
                    self.step(a, Input::Writable { peer: b, writable: false });
                    let (boots, delay) = (self.machines[&a].boots, self.rng.below(T));
                    self.at(delay, Event::Writable { at: a, boots, peer: b });
                }
            }
            18 => {
                let to = (self.rng.below(2) == 0).then_some(b);
                self.step(a, Input::TransferLeadership { to });
            }
            kind => {
                let request = RequestId(u128::from(self.rng.next()));
                let address = 100 + self.machines.len() as u64 + self.rng.below(2);
                let removes = kind < 21 || self.machines.len() > 9;
                let change = if removes { Change::Remove(b) } else { Change::Add(member(address)) };
                for id in self.machines.keys().copied().collect::<Vec<_>>() {
                    let change = change.clone();
                    self.step(id, Input::ChangeMembership { request, change });
                }
            }
        }
        let delay = 5 + self.rng.below(80);
        self.at(delay, Event::Mischief);
    }

    fn run_until(&mut self, end: u64) {
        loop {
            let due = self
                .machines
                .iter()
                .filter_map(|(&id, m)| Some((m.raft.as_ref()?.next_deadline()?.0, id)));
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

    /// All faults end: then every change ends, what is proposed is committed, and all members of
    /// the last configuration agree.
    fn heal(&mut self) {
        self.calm = true;
        self.cut.clear();
        for id in self.machines.keys().copied().collect::<Vec<_>>() {
            self.handle(Event::Restart { at: id });
            for peer in self.machines.keys().copied().collect::<Vec<_>>() {
                if self.links.contains_key(&(id, peer)) {
                    self.step(id, Input::Writable { peer, writable: true });
                }
            }
        }
        self.run_until(self.now + 25 * T);
        let before = self.committed.len();
        self.run_until(self.now + 5 * T);
        assert!(self.committed.len() > before + 10, "nothing is committed after healing");
        let leader = self
            .machines
            .values()
            .filter_map(|m| m.raft.as_ref())
            .find(|r| r.is_leader() && r.commit_index().0 + 100 > self.committed.len() as u64);
        let membership = Arc::clone(leader.expect("somebody leads").membership());
        assert!(membership.job.is_none() && !membership.is_joint(), "a job never ended");
        for id in membership.members.keys() {
            let raft = self.machines[id].raft.as_ref().expect("healed");
            let behind = self.committed.len() as u64 - raft.commit_index().0;
            assert!(behind < 100, "{id} does not catch up");
            assert!(!self.machines[id].removed, "{id} believes that it was removed");
        }
    }
}

impl Disk {
    fn apply(&mut self, write: Write) {
        let Persist { hard_state, truncate_from, first, last, .. } = write.persist;
        self.hard_state = hard_state.unwrap_or(self.hard_state);
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

fn run(seed: u64) -> (usize, u64) {
    let mut sim = Sim::new(seed);
    let length = 5 * T + sim.rng.below(25 * T);
    sim.run_until(length);
    sim.heal();
    (sim.committed.len(), sim.changes_ended)
}

#[test]
fn chaos_then_calm() {
    let number = |name| std::env::var(name).ok().map(|v| v.parse::<u64>().expect("a number"));
    let seeds = match number("CHAOS_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CHAOS_RUNS").unwrap_or(100),
    };
    let (mut committed, mut changes, count) = (0, 0, seeds.end - seeds.start);
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|panic| {
            eprintln!("replay with: CHAOS_SEED={seed} cargo test -p raft-core --test chaos");
            std::panic::resume_unwind(panic)
        });
        committed += outcome.0;
        changes += outcome.1;
    }
    println!("{committed} entries committed, {changes} changes ended");
    assert!(count == 1 || (committed > 0 && changes > 0), "chaos in which nothing happened");
}
