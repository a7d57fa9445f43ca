//! The core of raft-rs: from proposed to committed by three members, all on one thread.
//!
//! `raft-rs --batch N --rounds N`: so many entries of 256 B are proposed at once, and messages are
//! handed over as values until all three have committed them. The logs are the crate's own
//! `MemStorage`, durable at once, and are compacted outside of the time that counts.

use std::time::{Duration, Instant};

use bench_drivers::{Outcome, flag, tell};
use raft::eraftpb::{Entry, Message};
use raft::storage::MemStorage;
use raft::{Config, RawNode};
use slog::{Discard, Logger, o};

const MEMBERS: u64 = 3;
const ENTRY_BYTES: usize = 256;
const COMPACT_EVERY: u64 = 4096;

struct Cluster {
    members: Vec<RawNode<MemStorage>>,
    applied: Vec<u64>,
}

fn main() -> Outcome<()> {
    let (batch, rounds): (usize, usize) = (flag("batch", 1), flag("rounds", 2_000));
    let mut cluster = Cluster::new()?;
    let mut spent = Duration::ZERO;
    for round in 0..rounds + rounds / 10 {
        // The first tenth warms up.
        if round == rounds / 10 {
            spent = Duration::ZERO;
        }
        spent += cluster.commit(batch)?;
        cluster.compact()?;
    }
    tell(&[("ns_per_entry", spent.as_nanos() as f64 / (rounds * batch) as f64)]);
    Ok(())
}

impl Cluster {
    fn new() -> Outcome<Self> {
        let logger = Logger::root(Discard, o!());
        let mut members = Vec::new();
        for id in 1..=MEMBERS {
            let config = Config {
                id,
                election_tick: 10,
                heartbeat_tick: 1,
                max_size_per_msg: 1 << 20,
                max_inflight_msgs: 256,
                ..Config::default()
            };
            let voters: Vec<u64> = (1..=MEMBERS).collect();
            let storage = MemStorage::new_with_conf_state((voters, vec![]));
            members.push(RawNode::new(&config, storage, &logger)?);
        }
        members[0].campaign()?;
        let mut cluster = Self { members, applied: vec![0; MEMBERS as usize] };
        cluster.settle()?;
        Ok(cluster)
    }

    /// Proposes a batch and waits until everyone has applied it; says how long that took.
    fn commit(&mut self, batch: usize) -> Outcome<Duration> {
        let payloads: Vec<_> = (0..batch).map(|_| vec![7; ENTRY_BYTES]).collect();
        let target = self.applied[0] + batch as u64;
        let begun = Instant::now();
        for payload in payloads {
            self.members[0].propose(vec![], payload)?;
        }
        self.settle()?;
        let spent = begun.elapsed();
        if self.applied.iter().any(|applied| *applied != target) {
            return Err(format!("applied {:?} instead of {target}", self.applied).into());
        }
        Ok(spent)
    }

    /// Until nobody has anything left to do.
    fn settle(&mut self) -> Outcome<()> {
        let mut inboxes: Vec<Vec<Message>> = vec![Vec::new(); self.members.len()];
        loop {
            let mut idle = true;
            for at in 0..self.members.len() {
                for message in std::mem::take(&mut inboxes[at]) {
                    self.members[at].step(message)?;
                }
                if self.members[at].has_ready() {
                    idle = false;
                    for message in self.work(at)? {
                        inboxes[message.to as usize - 1].push(message);
                    }
                }
            }
            if idle && inboxes.iter().all(Vec::is_empty) {
                return Ok(());
            }
        }
    }

    /// Does what one member wants done, as its documentation tells to.
    fn work(&mut self, at: usize) -> Outcome<Vec<Message>> {
        let member = &mut self.members[at];
        let store = member.raft.raft_log.store.clone();
        let mut ready = member.ready();
        let mut messages = ready.take_messages();
        let mut applied = last(&ready.take_committed_entries());
        store.wl().append(ready.entries())?;
        if let Some(state) = ready.hs() {
            store.wl().set_hardstate(state.clone());
        }
        messages.append(&mut ready.take_persisted_messages());
        let mut light = member.advance(ready);
        if let Some(commit) = light.commit_index() {
            store.wl().mut_hard_state().set_commit(commit);
        }
        messages.append(&mut light.take_messages());
        applied = last(&light.take_committed_entries()).or(applied);
        member.advance_apply();
        if let Some(applied) = applied {
            self.applied[at] = applied;
        }
        Ok(messages)
    }

    fn compact(&mut self) -> Outcome<()> {
        for (member, applied) in self.members.iter().zip(&self.applied) {
            let store = &member.raft.raft_log.store;
            let first = raft::Storage::first_index(store)?;
            if applied - first > COMPACT_EVERY {
                store.wl().compact(*applied)?;
            }
        }
        Ok(())
    }
}

fn last(entries: &[Entry]) -> Option<u64> {
    entries.last().map(|entry| entry.index)
}
