//! One member of a scripted cluster: the core, the log as it stands in memory, and the disk.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use raft_core::{
    Config, EntryKind, EntryMeta, HardState, Index, LogId, Membership, NodeId, Persist, Raft,
    Recovered, Term, Ticket, Time,
};

/// An entry with a number that stands for its payload: two entries are the same if and only if
/// all of this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) meta: EntryMeta,
    pub(crate) payload: u64,
}

/// What survives a crash: exactly what was persisted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) log: Vec<Entry>,
    /// Rides in every write (rule R10): a lower bound of what is committed.
    pub(crate) commit_hint: u64,
    /// Compacted up to here. The entries stay in `log` to be compared with, but nobody reads them.
    pub(crate) log_start: LogId,
    /// The snapshots that are complete, by their last index.
    pub(crate) snapshots: BTreeSet<u64>,
}

/// A write on its way to the disk. Its entries were captured when it was issued: what happens to
/// the log afterwards does not change them.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) persist: Persist,
    pub(crate) entries: Vec<Entry>,
    /// What the snapshot of a reset stands for.
    pub(crate) below: Vec<Entry>,
    pub(crate) commit_hint: u64,
}

/// A range that the core asked to have read from the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) request: u64,
    pub(crate) first: Index,
    pub(crate) last: Index,
    pub(crate) bytes_max: u64,
}

/// A member.
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) founders: Arc<Membership>,
    /// `None` while crashed.
    pub(crate) raft: Option<Raft>,
    pub(crate) disk: Disk,
    pub(crate) writes: VecDeque<Write>,
    pub(crate) reads: VecDeque<Read>,
    /// The log as the driver holds it: the core's own outputs are its only source.
    pub(crate) log: Vec<Entry>,
    pub(crate) applied: u64,
    /// Whether it leads, at this very place among its outputs.
    pub(crate) leads: bool,
    pub(crate) last_ticket: Ticket,
    /// The last index that any write since the start handed to the disk.
    pub(crate) handed_over: u64,
    pub(crate) ambiguous: bool,
    starts: u64,
}

impl Node {
    pub(crate) fn new(config: Config, founders: Arc<Membership>) -> Self {
        Self {
            config,
            founders,
            raft: None,
            disk: Disk::default(),
            writes: VecDeque::new(),
            reads: VecDeque::new(),
            log: Vec::new(),
            applied: 0,
            leads: false,
            last_ticket: Ticket(0),
            handed_over: 0,
            ambiguous: false,
            starts: 0,
        }
    }

    pub(crate) const fn id(&self) -> NodeId {
        self.config.id
    }

    /// Starts from what is on the disk, and from nothing else.
    pub(crate) fn start(&mut self, seed: u64, now: Time) {
        self.starts += 1;
        self.log = self.disk.log.clone();
        self.applied = self.snapshot_index();
        self.leads = false;
        self.last_ticket = Ticket(0);
        self.handed_over = self.log.len() as u64;
        let seed = seed.wrapping_mul(1000) + self.starts * 100 + self.id().0;
        let recovered = self.recovered();
        self.raft = Some(Raft::restore(self.config.clone(), recovered, seed, now));
    }

    /// The newest snapshot that the log goes on after, or whose last entry it holds.
    fn snapshot_index(&self) -> u64 {
        let (start, last) = (self.disk.log_start.index.0, self.disk.log.len() as u64);
        self.disk.snapshots.range(start..=last).next_back().copied().unwrap_or(0)
    }

    fn recovered(&self) -> Recovered {
        let mut term_runs: Vec<(Index, Term)> = Vec::new();
        let mut memberships = vec![(Index(0), Arc::clone(&self.founders))];
        for (entry, index) in self.disk.log.iter().zip(1..) {
            if term_runs.last().is_none_or(|run| run.1 != entry.meta.term) {
                term_runs.push((Index(index), entry.meta.term));
            }
            if let EntryKind::Membership(membership) = &entry.meta.kind {
                if index <= self.snapshot_index() {
                    memberships.clear();
                }
                memberships.push((Index(index), Arc::clone(membership)));
            }
        }
        Recovered {
            hard_state: self.disk.hard_state,
            log_start: self.disk.log_start,
            snapshot_index: Index(self.snapshot_index()),
            last_index: Index(self.disk.log.len() as u64),
            term_runs,
            commit_index: Index(self.disk.commit_hint.min(self.disk.log.len() as u64)),
            memberships,
            tail_ambiguous: self.ambiguous,
        }
    }

    /// Loses the core and every write that is not done, except the oldest `kept` of them: those
    /// reached the disk although nobody was told.
    pub(crate) fn crash(&mut self, kept: usize) {
        for _ in 0..kept {
            self.write_one();
        }
        self.raft = None;
        self.writes.clear();
        self.reads.clear();
    }

    /// Carries out the oldest write; returns its ticket.
    pub(crate) fn write_one(&mut self) -> Option<Ticket> {
        let write = self.writes.pop_front()?;
        if let Some(hard_state) = write.persist.hard_state {
            self.disk.hard_state = hard_state;
        }
        if let Some(at) = write.persist.reset {
            self.disk.log = write.below;
            self.disk.log_start = at;
        }
        if let Some(from) = write.persist.truncate_from {
            self.disk.log.truncate(from.previous().0 as usize);
        }
        if !write.entries.is_empty() {
            let first = write.persist.first.0 as usize;
            assert!(first <= self.disk.log.len() + 1, "{} writes a log with a gap", self.id());
            self.disk.log.truncate(first - 1);
            self.disk.log.extend(write.entries);
        }
        self.disk.commit_hint = write.commit_hint.min(self.disk.log.len() as u64);
        Some(write.persist.ticket)
    }

    /// Takes a write operation from the core: captures its entries as they are now.
    pub(crate) fn submit(&mut self, persist: Persist, commit: Index) {
        let (first, last) = (persist.first.0, persist.last.0);
        let entries = if first <= last {
            self.log[first as usize - 1..last as usize].to_vec()
        } else {
            Vec::new()
        };
        let below = persist.reset.map_or(0, |at| at.index.0);
        if below > 0 {
            self.handed_over = below;
        }
        let below = self.log[..below as usize].to_vec();
        if let Some(from) = persist.truncate_from {
            self.handed_over = from.previous().0;
        }
        self.handed_over = self.handed_over.max(last);
        self.last_ticket = persist.ticket;
        let commit_hint = commit.0.min(self.log.len() as u64);
        self.writes.push_back(Write { persist, entries, below, commit_hint });
    }

    /// The entry at an index, as the driver holds it in memory.
    pub(crate) fn entry(&self, index: u64) -> Option<&Entry> {
        index.checked_sub(1).and_then(|offset| self.log.get(offset as usize))
    }

    pub(crate) fn last_log_id(&self) -> LogId {
        last_log_id(&self.log)
    }

    /// The configuration in force according to the log in memory.
    pub(crate) fn membership(&self) -> &Arc<Membership> {
        let latest = self.log.iter().rev().find_map(|entry| match &entry.meta.kind {
            EntryKind::Membership(membership) => Some(membership),
            EntryKind::Noop | EntryKind::Command => None,
        });
        latest.unwrap_or(&self.founders)
    }
}

/// The last entry of a log.
pub(crate) fn last_log_id(log: &[Entry]) -> LogId {
    let term = log.last().map_or(Term(0), |entry| entry.meta.term);
    LogId { term, index: Index(log.len() as u64) }
}
