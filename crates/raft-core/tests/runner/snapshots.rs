//! Snapshots in a script: a member writes one and compacts, another one gets it.

use std::sync::Arc;

use raft_core::{EntryKind, Index, Input, LogId, Membership, NodeId, Snapshot, Term};

use super::cluster::Cluster;
use super::node::Entry;

type Done = Result<(), String>;

impl Cluster {
    /// Writes a snapshot at `at` and compacts all of it but the last `keep` entries.
    pub(crate) fn compact(&mut self, id: NodeId, at: u64, keep: u64) -> Done {
        let node = self.node_mut(id)?;
        if at > node.applied {
            return Err(format!("{id} has applied {}", node.applied));
        }
        let index = at.saturating_sub(keep);
        let term = node.entry(index).map_or(Term(0), |entry| entry.meta.term);
        let through = LogId { term, index: Index(index) };
        node.disk.snapshots.insert(at);
        node.disk.log_start = through;
        self.step(id, Input::Compacted { through })
    }

    /// The sender's newest snapshot, or the one at `at`, is complete at the receiver, said to come
    /// from the leader of `term`.
    pub(crate) fn install(
        &mut self,
        from: NodeId,
        to: NodeId,
        at: Option<u64>,
        term: Option<u64>,
    ) -> Done {
        let sender = self.node(from)?;
        let newest = at.or_else(|| sender.disk.snapshots.last().copied());
        let at = newest.ok_or_else(|| format!("{from} has no snapshot"))?;
        let led = sender.raft.as_ref().map_or(Term(0), |raft| raft.hard_state().term);
        let entry = sender.entry(at).ok_or_else(|| format!("{from} does not reach {at}"))?;
        let (membership_index, membership) = membership_at(&sender.log, &sender.founders, at);
        let at = LogId { term: entry.meta.term, index: Index(at) };
        let snapshot = Snapshot { at, membership_index, membership };
        self.node_mut(to)?.disk.snapshots.insert(at.index.0);
        let term = term.map_or(led, Term);
        self.step(to, Input::InstallSnapshot { from, term, snapshot })
    }

    /// The state machine is the snapshot's now, and the log goes on after it.
    pub(crate) fn installed(&mut self, id: NodeId, at: u64, kept: bool) -> Done {
        let below = self.safety.committed.get(..at as usize).map(<[Entry]>::to_vec);
        let below = below.ok_or_else(|| format!("{id} installs {at}, which is not committed"))?;
        let node = self.node_mut(id)?;
        node.applied = at;
        if !kept {
            node.log = below;
        }
        Ok(())
    }
}

fn membership_at(log: &[Entry], founders: &Arc<Membership>, at: u64) -> (Index, Arc<Membership>) {
    let below = log.iter().zip(1..=at).filter_map(|(entry, index)| match &entry.meta.kind {
        EntryKind::Membership(membership) => Some((Index(index), Arc::clone(membership))),
        EntryKind::Noop | EntryKind::Command => None,
    });
    below.last().unwrap_or_else(|| (Index(0), Arc::clone(founders)))
}
