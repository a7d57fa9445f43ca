//! What must hold after every step, as a sentence and then its check. In debug builds only: the
//! asserts that guard safety stand where state moves, in every build.

use crate::progress::{Pace, Pause};
use crate::raft::Raft;
use crate::role::Role;
use crate::types::{HardState, Index, Ticket};

/// What a step must not move backwards.
pub(crate) struct Glimpse {
    hard_state: HardState,
    commit_index: Index,
    apply_through: Index,
    last_index: Index,
    issued: Ticket,
    leads: bool,
}

impl Raft {
    pub(crate) fn glimpse(&self) -> Glimpse {
        Glimpse {
            hard_state: self.hard_state,
            commit_index: self.commit_index,
            apply_through: self.apply_through,
            last_index: self.log.last_index(),
            issued: self.tickets.issued(),
            leads: self.is_leader(),
        }
    }

    pub(crate) fn check_basic(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        let last = self.log.last_index();
        // Only what is committed is applied, and only what is in the log is committed.
        assert!(self.applied_index <= self.apply_through);
        assert!(self.apply_through <= self.commit_index && self.commit_index <= last);
        // Only what is applied is compacted.
        assert!(self.log.start().index <= self.apply_through);
        // The disk holds no more than the log.
        assert!(self.tickets.durable_index() <= last);
        // Nothing in memory is missing between the tail's start and the end of the log.
        assert!(self.log.tail_start() <= last.next() && self.log.is_consistent());
        // No entry is of a term that this member has not seen.
        assert!(self.log.last_log_id().term <= self.term());
        // The configuration in force is in the log.
        assert!(self.history.current_index() <= last);
        // Every change is on its way to the disk when a step ends.
        assert!(self.tickets.newest() == self.tickets.issued());
        match &self.role {
            Role::Leader(leader) => {
                // A leader voted for itself, and its term is durable.
                assert!(self.hard_state.voted_for == Some(self.id));
                assert!(self.tickets.durable_term() >= self.term());
                assert!(leader.term_start <= last);
                leader.progress.values().for_each(|progress| self.check_progress(progress));
            }
            // What a leader confirmed is in the log.
            Role::Follower(follower) => assert!(follower.verified_index <= last),
            Role::PreCandidate(_) => {}
            Role::Candidate(_) => assert!(self.hard_state.voted_for == Some(self.id)),
        }
    }

    fn check_progress(&self, progress: &crate::progress::Progress) {
        let last = self.log.last_index();
        // A peer is sent what follows what it holds, and nothing beyond the log.
        assert!(progress.match_index < progress.next_index);
        assert!(progress.next_index <= last.next());
        // The window is what was sent and not acknowledged; a peer that holds all has none out.
        assert!(progress.inflight.is_consistent());
        let idle = progress.match_index == last;
        assert!(!idle || (progress.inflight.is_empty() && progress.inflight.bytes() == 0));
        // Only who lacks what is compacted waits for a snapshot.
        let lacks = progress.next_index <= self.log.start().index;
        assert!(progress.pace != Pace::Snapshot || lacks);
        // Only a probe waits for its answer before more is sent.
        assert!(
            !matches!(progress.pause, Some(Pause::Answer { .. })) || progress.pace == Pace::Probe
        );
    }

    pub(crate) fn check_delta(&self, before: &Glimpse) {
        if !cfg!(debug_assertions) {
            return;
        }
        let (old, new) = (before.hard_state, self.hard_state);
        // Terms only rise.
        assert!(new.term >= old.term);
        // One vote per term, never taken back.
        assert!(new.term > old.term || old.voted_for.is_none() || new.voted_for == old.voted_for);
        // What is committed stays committed, what is applied stays applied.
        assert!(self.commit_index >= before.commit_index);
        assert!(self.apply_through >= before.apply_through);
        // Leader Append-Only (paper, figure 3).
        let leads_on = before.leads && self.is_leader() && new.term == old.term;
        assert!(!leads_on || self.log.last_index() >= before.last_index);
        // At most one durable operation per step.
        assert!(self.tickets.issued().0 - before.issued.0 <= 1);
    }
}
