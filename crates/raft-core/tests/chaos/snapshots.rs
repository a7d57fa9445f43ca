//! Snapshots taken, compaction, and snapshots on their way to those that lack what is gone.

use std::sync::Arc;

use raft_core::{EntryKind, Index, Input, LogId, Membership, NodeId, Snapshot, Term};

use crate::sim::{Event, Sim};

impl Sim {
    /// A member writes a snapshot of what it applied, and compacts some of what that holds.
    pub(crate) fn compact(&mut self, id: NodeId) {
        let Some(machine) = self.machines.get_mut(&id) else { return };
        let Some(raft) = &machine.raft else { return };
        let (applied, durable) = (machine.applied, raft.durable_index());
        let newest = machine.disk.snapshots.last().copied().unwrap_or(0);
        let at = applied.min(durable);
        if at.0 <= newest {
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
