//! What goes beside the log: reads; snapshots taken, and on their way to those that lack what is
//! gone.

use std::sync::Arc;

use raft_core::{
    EntryKind, Index, Input, LogId, Membership, NodeId, Output, Snapshot, SnapshotRefused, Term,
};

use crate::sim::{Event, Sim, T};

impl Sim {
    pub(crate) fn beside_the_log(&mut self, id: NodeId, output: Output) {
        let machine = self.machines.get_mut(&id).unwrap();
        match output {
            Output::SendSnapshot { peer, at_least, term } => {
                let newest = machine.disk.snapshots.last().copied().unwrap_or(0);
                assert!(newest >= at_least.index.0, "{id} compacted what no snapshot holds");
                let boots = (machine.boots, self.machines.get(&peer).map_or(0, |m| m.boots));
                let delay = 1 + self.rng.below(T / 2);
                let event = Event::Snapshot { from: id, to: peer, boots, term, at: newest };
                self.at(delay, event);
            }
            Output::SnapshotInstalled { at, kept } => {
                machine.applied = at.index;
                if !kept {
                    machine.log = self.committed[..at.index.0 as usize].to_vec();
                }
                self.installed += 1;
            }
            Output::SnapshotRefused { why, .. } => {
                machine.refused = matches!(why, SnapshotRefused::StaleTerm { .. });
                assert_ne!(why, SnapshotRefused::Senseless);
            }
            Output::ReadReady { request, index } => {
                let (asker, _, committed) = self.reads.remove(&request).expect("asked once");
                assert_eq!(asker, id, "read {request} is answered elsewhere");
                assert!(index.0 >= committed, "{id} serves a stale read, {index} < {committed}");
                self.reads_served += 1;
            }
            Output::ReadRefused { request, .. } => {
                assert!(self.reads.remove(&request).is_some(), "read {request} is answered twice");
            }
            _ => {}
        }
    }

    /// Clients of a member read; a read dies with its member.
    pub(crate) fn read(&mut self, id: NodeId) {
        if !self.is_up(id) {
            return;
        }
        let (boots, committed) = (self.machines[&id].boots, self.committed.len() as u64);
        let requests: Vec<u64> = (1..=1 + self.rng.below(3)).map(|n| self.tokens + n).collect();
        self.tokens += requests.len() as u64;
        self.reads.extend(requests.iter().map(|&request| (request, (id, boots, committed))));
        self.step(id, Input::Read { requests });
    }

    /// A member writes a snapshot of what it applied, and compacts some of what that holds.
    pub(crate) fn compact(&mut self, id: NodeId) {
        let Some(machine) = self.machines.get_mut(&id) else { return };
        let Some(raft) = &machine.raft else { return };
        let at = machine.applied;
        let newest = machine.disk.snapshots.last().copied().unwrap_or(0);
        if at.0 <= newest || at > raft.durable_index() {
            return;
        }
        let (start, keep) = (raft.log_start(), self.rng.below(20));
        let known = raft.membership_at(at).map(|(index, m)| (index, Arc::clone(m)));
        let index = Index(at.0.saturating_sub(keep)).max(start.index);
        let term = raft.term_at(index).expect("the log holds what is applied");
        let through = LogId { term, index };
        machine.disk.snapshots.insert(at.0);
        machine.disk.log_start = through;
        assert_eq!(known, Some(self.membership_at(at)), "{id} has lost a configuration");
        self.step(id, Input::Compacted { through });
    }

    /// The configuration that was committed last, at or below an index.
    fn membership_at(&self, at: Index) -> (Index, Arc<Membership>) {
        let committed = self.committed[..at.0 as usize].iter().enumerate().rev();
        let latest = committed.into_iter().find_map(|(i, (entry, _))| match &entry.kind {
            EntryKind::Membership(membership) => Some((Index(i as u64 + 1), membership)),
            EntryKind::Noop | EntryKind::Command => None,
        });
        let (index, membership) = latest.unwrap_or((Index(0), &self.founders));
        (index, Arc::clone(membership))
    }

    /// A snapshot arrives, unless one of the two is not what it was when it was sent.
    pub(crate) fn deliver_snapshot(
        &mut self,
        from: NodeId,
        to: NodeId,
        boots: (u64, u64),
        term: Term,
        at: u64,
    ) {
        let cut = self.cut.contains(&(from, to)) || self.cut.contains(&(to, from));
        let fails = cut || !self.calm && self.rng.below(4) == 0;
        let same = self.machines.get(&to).is_some_and(|m| m.boots == boots.1) && self.is_up(to);
        let through = (same && !fails).then(|| {
            self.machines.get_mut(&to).unwrap().disk.snapshots.insert(at);
            let (membership_index, membership) = self.membership_at(Index(at));
            let index = Index(at);
            let at = LogId { term: self.committed[at as usize - 1].0.term, index };
            let snapshot = Snapshot { at, membership_index, membership };
            self.step(to, Input::InstallSnapshot { from, term, snapshot });
            index
        });
        let refused = self.machines.get_mut(&to).is_some_and(|m| std::mem::take(&mut m.refused));
        let through = through.filter(|_| !refused);
        let delay = 1 + self.rng.below(20);
        self.at(delay, Event::SnapshotEnds { from, to, boots: boots.0, through });
    }
}
