//! What is on a member's disk, and what is on its way there.

use std::sync::Arc;

use raft_core::{EntryKind, EntryMeta, HardState, Index, LogId, Membership, Recovered, Term};

use super::member::Entry;

/// What survives a crash: exactly what was persisted.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Disk {
    pub(super) hard_state: HardState,
    pub(super) log: Vec<Entry>,
    /// Rides in every write (rule R10): a lower bound of what is committed.
    commit_hint: usize,
}

/// A write on its way to the disk, with the entries as they were when it was issued.
#[derive(Clone, Debug, Hash)]
pub(super) struct Write {
    pub(super) hard_state: Option<HardState>,
    pub(super) truncate_from: Option<usize>,
    pub(super) first: usize,
    pub(super) entries: Vec<Entry>,
    pub(super) commit_hint: usize,
}

impl Disk {
    pub(super) fn take(&mut self, write: Write) -> Result<(), String> {
        self.hard_state = write.hard_state.unwrap_or(self.hard_state);
        if let Some(from) = write.truncate_from {
            self.log.truncate(from - 1);
        }
        if !write.entries.is_empty() {
            if write.first > self.log.len() + 1 {
                return Err("a log with a gap is written".to_owned());
            }
            self.log.truncate(write.first - 1);
            self.log.extend(write.entries);
        }
        self.commit_hint = write.commit_hint.min(self.log.len());
        Ok(())
    }

    pub(super) fn read(&self, first: Index, last: Index) -> Vec<EntryMeta> {
        let range = first.0 as usize - 1..last.0 as usize;
        self.log.get(range).unwrap_or_default().iter().map(|entry| entry.meta.clone()).collect()
    }

    pub(super) fn recovered(&self, founders: &Arc<Membership>) -> Recovered {
        let mut term_runs: Vec<(Index, Term)> = Vec::new();
        let mut memberships = vec![(Index(0), Arc::clone(founders))];
        for (entry, index) in self.log.iter().zip(1..) {
            if term_runs.last().is_none_or(|run| run.1 != entry.meta.term) {
                term_runs.push((Index(index), entry.meta.term));
            }
            if let EntryKind::Membership(membership) = &entry.meta.kind {
                memberships.push((Index(index), Arc::clone(membership)));
            }
        }
        Recovered {
            hard_state: self.hard_state,
            log_start: LogId::default(),
            snapshot_index: Index(0),
            last_index: Index(self.log.len() as u64),
            term_runs,
            commit_index: Index(self.commit_hint as u64),
            memberships,
            tail_ambiguous: false,
        }
    }
}
