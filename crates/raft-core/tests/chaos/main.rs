//! Whole clusters of the core in one thread, on a simulated network, disk and clock: links break,
//! members crash and lose what was not synced, voters come and go. Safety is checked at every
//! step; then everything heals, and the cluster must get to work again.
//!
//! `CHAOS_SEED=17 cargo test -p raft-core --test chaos` replays one run,
//! `CHAOS_RUNS=5000` makes more of them.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a red run prints the command that replays it, a green one how much happened"
)]

mod beside;
#[path = "../../src/rng.rs"]
mod rng;
mod rules;
mod sim;

use raft_core::{Change, Input, Member, NodeId, RequestId};
use sim::{Event, Sim, T, member};

impl Sim {
    fn mischief(&mut self) {
        let (a, b) = (self.any(), self.any());
        for _ in 0..self.rng.below(3) {
            let reader = self.any();
            self.read(reader);
        }
        if self.rng.below(4) == 0 {
            let id = self.any();
            self.compact(id);
        }
        match self.rng.below(if self.calm { 10 } else { 24 }) {
            0..10 => {
                let sizes = vec![50; 1 + self.rng.below(5) as usize];
                for id in self.ids() {
                    self.step(id, Input::Propose { sizes: sizes.clone() });
                }
            }
            10 => {
                let leader = self.machines.iter().find(|(_, m)| m.leads()).map(|(&id, _)| id);
                let leader = leader.filter(|_| self.rng.below(2) == 0);
                self.crash(leader.unwrap_or(a));
            }
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
                let change = match (self.rng.below(6), self.known(b)) {
                    (0, _) => Change::Demote(b),
                    (1, _) if !removes => Change::Replace { old: b, new: member(address) },
                    (2, Some(known)) => {
                        let moved = Member { address: format!(":{address}"), ..known };
                        Change::Update { id: b, member: moved }
                    }
                    _ if removes => Change::Remove(b),
                    _ => Change::Add(member(address)),
                };
                for id in self.ids() {
                    let change = change.clone();
                    self.step(id, Input::ChangeMembership { request, change });
                }
            }
        }
        let delay = 5 + self.rng.below(80);
        self.at(delay, Event::Mischief);
    }

    /// A member as it is known to one that leads.
    fn known(&self, id: NodeId) -> Option<Member> {
        let mut up = self.machines.values().filter_map(|machine| machine.raft.as_deref());
        up.find(|raft| raft.is_leader())?.membership().members.get(&id).cloned()
    }

    /// All faults end: then every change ends, what is proposed is committed, and all members of
    /// the last configuration agree.
    fn heal(&mut self) {
        self.calm = true;
        self.cut.clear();
        for id in self.ids() {
            self.handle(Event::Restart { at: id });
            for peer in self.ids() {
                if self.links.contains_key(&(id, peer)) {
                    self.step(id, Input::Writable { peer, writable: true });
                }
            }
        }
        let before = self.committed.len();
        let give_up = self.now + 30 * T;
        while let Err(why) = self.is_well(before) {
            assert!(self.now < give_up, "healed, but {why}");
            self.run_until(self.now + T / 4);
        }
    }

    fn is_well(&self, before: usize) -> Result<(), String> {
        let committed = self.committed.len() as u64;
        let up = || self.machines.values().filter_map(|machine| machine.raft.as_deref());
        let leader = up().find(|raft| raft.is_leader() && raft.commit_index().0 == committed);
        let membership = leader.ok_or("nobody leads")?.membership();
        if membership.job.is_some() || membership.is_joint() {
            return Err(format!("a job does not end: {membership}"));
        }
        for id in membership.members.keys() {
            let raft = self.machines[id].raft.as_ref().ok_or("a member is down")?;
            assert!(!self.machines[id].removed, "{id} believes that it was removed");
            if raft.commit_index().0 + 100 < committed {
                return Err(format!("{id} does not catch up"));
            }
        }
        let ended = |&(id, boots, committed): &(_, u64, u64)| {
            let machine = &self.machines[&id];
            machine.raft.is_none()
                || machine.boots != boots
                || committed + 100 > self.committed.len() as u64
        };
        if let Some((request, _)) = self.reads.iter().find(|(_, read)| !ended(read)) {
            return Err(format!("read {request} does not end"));
        }
        if self.committed.len() < before + 20 {
            return Err("hardly anything is committed".into());
        }
        Ok(())
    }
}
fn run(seed: u64) -> [u64; 4] {
    let mut sim = Sim::new(seed);
    let length = 3 * T + sim.rng.below(9 * T);
    sim.run_until(length);
    sim.heal();
    [sim.committed.len() as u64, sim.changes_ended, sim.reads_served, sim.installed]
}

#[test]
fn chaos_then_calm() {
    let number = |name| std::env::var(name).ok().map(|v| v.parse::<u64>().expect("a number"));
    let long = std::env::var_os("RAFT_TEST_LONG").is_some();
    let seeds = match number("CHAOS_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CHAOS_RUNS").unwrap_or(if long { 5000 } else { 60 }),
    };
    let (mut total, count) = ([0; 4], seeds.end - seeds.start);
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|panic| {
            eprintln!("replay with: CHAOS_SEED={seed} cargo test -p raft-core --test chaos");
            std::panic::resume_unwind(panic)
        });
        total.iter_mut().zip(outcome).for_each(|(total, one)| *total += one);
    }
    let [committed, changes, reads, installed] = total;
    println!("{committed} entries committed, {changes} changes ended");
    println!("{reads} reads served, {installed} snapshots installed");
    assert!(count == 1 || !total.contains(&0), "chaos in which nothing happened");
}

#[test]
fn same_seed_same_outputs() {
    for seed in 1000..1004 {
        let digest = || {
            let mut sim = Sim::new(seed);
            sim.digest = Some(0);
            sim.run_until(5 * T);
            sim.digest
        };
        assert_eq!(digest(), digest(), "seed {seed}");
    }
}
