//! Term, vote, commit index and applied index never go back while a process lives (paper,
//! figure 2: "increases monotonically"), and a vote is never changed within its term.

use std::collections::BTreeMap;

use raft_core::{HardState, Index};
use raft_node::replica::Replica;

use super::Checked;

#[derive(Debug, Default)]
pub(super) struct Monotone {
    last: BTreeMap<usize, Last>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Last {
    hard_state: HardState,
    commit_index: Index,
    applied_index: Index,
}

impl Monotone {
    pub(super) fn started(&mut self, host: usize, hard_state: HardState) {
        self.last.insert(host, Last { hard_state, ..Last::default() });
    }

    pub(super) fn commit_index(&self, host: usize) -> Index {
        self.last.get(&host).map_or(Index(0), |last| last.commit_index)
    }

    pub(super) fn stepped(&mut self, host: usize, replica: &Replica) -> Checked {
        let raft = replica.raft();
        let now = Last {
            hard_state: raft.hard_state(),
            commit_index: raft.commit_index(),
            applied_index: replica.applied_index(),
        };
        let before = self.last.insert(host, now).unwrap_or_default();
        let (old, new) = (before.hard_state, now.hard_state);
        if new.term < old.term {
            return Err(format!("host {host} goes back to term {}", new.term));
        }
        if new.term == old.term && old.voted_for.is_some() && new.voted_for != old.voted_for {
            return Err(format!("host {host} changes its vote: {old}, then {new}"));
        }
        if now.commit_index < before.commit_index || now.applied_index < before.applied_index {
            return Err(format!("host {host} goes back: {before:?}, then {now:?}"));
        }
        if now.applied_index > now.commit_index {
            return Err(format!("host {host} applies beyond its commit index: {now:?}"));
        }
        if now.commit_index > raft.last_log_id().index {
            return Err(format!("host {host} commits beyond its log: {now:?}"));
        }
        Ok(())
    }
}
