//! The receiving end of replication (paper, figure 2, `AppendEntries`, receiver implementation).

use alloc::sync::Arc;

use crate::message::{AppendEntries, AppendEntriesResponse, AppendResult, Message};
use crate::output::Output;
use crate::raft::Raft;
use crate::refusals::RefusedRequest;
use crate::role::{Follower, Role};
use crate::types::{EntryKind, EntryMeta, Index, LogId, NodeId};

impl Raft {
    pub(crate) fn on_append_entries(&mut self, from: NodeId, mut append: AppendEntries) {
        if !self.accept_leader(from) {
            return self.alarm(from, "claims to lead a term that another leads");
        }
        self.heard_leader();
        let new_round = self.note_round(append.round);
        if !append.skip_to(self.log.start()) {
            return self.alarm(from, "denies a committed entry");
        }
        let prev = append.prev_log_id;
        if self.log.term_at(prev.index) != Ok(prev.term) {
            if prev.index <= self.commit_index {
                return self.alarm(from, "denies a committed entry");
            }
            return self.refuse_append(from, &append);
        }
        let last = append.last_index();
        let said = self.follower().map_or(Index(0), |follower| follower.leader_commit);
        let commit_index = append.commit_index.max(said);
        let heartbeat = append.entries.is_empty();
        if !self.take_entries(from, prev.index, append.entries) {
            return;
        }
        if let Role::Follower(follower) = &mut self.role {
            follower.verified_index = follower.verified_index.max(last);
            follower.heartbeat_owed |= heartbeat || new_round;
            if !heartbeat {
                follower.owed = follower.owed.max(Some(last));
            }
        }
        // "commitIndex = min(leaderCommit, index of last new entry)": what lies beyond this
        // message may still be another leader's (paper, figure 2, step 5).
        self.commit_to(commit_index.min(last));
    }

    /// There is at most one leader in a term (Election Safety), and a candidate that hears it
    /// steps back (paper, section 5.2).
    pub(crate) fn accept_leader(&mut self, from: NodeId) -> bool {
        match &self.role {
            Role::Leader(_) => return false,
            Role::Follower(follower) if follower.leader == Some(from) => return true,
            Role::Follower(follower) if follower.leader.is_some() => return false,
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
        self.become_follower(self.term(), Some(from));
        true
    }

    /// Says whether the round is a new one. It is answered at once, even by an append that waits
    /// for the disk.
    fn note_round(&mut self, round: u64) -> bool {
        let Role::Follower(follower) = &mut self.role else { return false };
        let news = round > follower.round;
        follower.round = follower.round.max(round);
        news
    }

    const fn follower(&self) -> Option<&Follower> {
        match &self.role {
            Role::Follower(follower) => Some(follower),
            Role::PreCandidate(_) | Role::Candidate(_) | Role::Leader(_) => None,
        }
    }

    /// How far the log equals that of this term's leader, as far as this member knows.
    pub(crate) fn verified_index(&self) -> Index {
        self.follower().map_or(Index(0), |follower| follower.verified_index)
    }

    fn refuse_append(&mut self, from: NodeId, append: &AppendEntries) {
        let (term, prev_log_id) = (append.term, append.prev_log_id);
        let hint = self.log.last_at_or_below(prev_log_id);
        let result = AppendResult::Conflict { prev_index: prev_log_id.index, hint };
        self.note_refusal(from, RefusedRequest::Append { term, prev_log_id, result });
        let response = AppendEntriesResponse {
            term: self.term(),
            result,
            last_index: self.log.last_index(),
            commit_index: self.commit_index,
            round: self.follower().map_or(0, |follower| follower.round),
        };
        let until = self.tickets.hard_state();
        self.answer(from, Message::AppendEntriesResponse(response), until);
    }

    /// "If an existing entry conflicts with a new one (same index but different terms), delete
    /// the existing entry and all that follow it; append any new entries not already in the log."
    /// Only a proven conflict truncates: a message that is short, old or empty never does.
    fn take_entries(
        &mut self,
        from: NodeId,
        prev: Index,
        entries: alloc::vec::Vec<EntryMeta>,
    ) -> bool {
        let splice = self.log.splice(prev, &entries);
        let first = Index(prev.0 + splice.known as u64).next();
        if splice.conflict {
            if first <= self.commit_index.max(self.verified_index()) {
                self.alarm(from, "asks to replace a committed or confirmed entry");
                return false;
            }
            self.truncate_from(first);
        }
        if splice.known == entries.len() {
            return true;
        }
        let last = Index(prev.0 + entries.len() as u64);
        self.outputs.push(Output::Received { first, last });
        for entry in entries.into_iter().skip(splice.known) {
            self.append_entry(entry);
        }
        true
    }

    /// R7. Never below the commit index: what is committed is never taken back.
    fn truncate_from(&mut self, from: Index) {
        assert!(from > self.commit_index, "a committed entry is never removed");
        self.log.truncate_from(from);
        self.tickets.truncated(from);
        if self.history.truncate_from(from) {
            self.report_membership();
        }
    }

    /// Into the log, whoever made it. A configuration acts from here on (thesis 4.1).
    pub(crate) fn append_entry(&mut self, entry: EntryMeta) -> Index {
        let membership = match &entry.kind {
            EntryKind::Membership(membership) => Some(Arc::clone(membership)),
            EntryKind::Noop | EntryKind::Command => None,
        };
        let index = self.log.append(entry);
        self.tickets.written(index);
        if let Some(membership) = membership {
            self.history.push(index, membership);
            self.report_membership();
        }
        index
    }

    pub(crate) fn report_membership(&mut self) {
        self.outputs.push(Output::MembershipChanged {
            index: self.history.current_index(),
            membership: Arc::clone(self.history.current()),
        });
    }

    /// R3: says how far the log is durable *and* equal to the leader's, `min(durable, verified)`.
    /// One answer for all that one sync completed; heartbeats are answered without waiting for
    /// the disk. Under rule R1 all of it waits until the term itself is durable.
    pub(crate) fn acknowledge(&mut self) {
        let durable_index = self.tickets.durable_index();
        let term_is_durable = self.tickets.durable_term() >= self.term();
        let Role::Follower(follower) = &mut self.role else { return };
        let Some(leader) = follower.leader.filter(|_| term_is_durable) else { return };
        let matched = durable_index.min(follower.verified_index);
        let news = |owed: Index| matched > follower.acked || matched >= owed;
        if !follower.heartbeat_owed && !follower.owed.is_some_and(news) {
            return;
        }
        follower.acked = follower.acked.max(matched);
        follower.heartbeat_owed = false;
        follower.owed = follower.owed.filter(|&owed| owed > matched);
        let response = AppendEntriesResponse {
            term: self.hard_state.term,
            result: AppendResult::Match(matched),
            last_index: self.log.last_index(),
            commit_index: self.commit_index,
            round: follower.round,
        };
        let message = Message::AppendEntriesResponse(response);
        self.outputs.push(Output::Send { to: leader, message });
    }
}

impl AppendEntries {
    /// What was compacted here was committed, and every leader since holds it: it is a match
    /// unseen (Leader Completeness, paper, figure 3). False if the message says otherwise.
    fn skip_to(&mut self, start: LogId) -> bool {
        let skipped = start.index.0.saturating_sub(self.prev_log_id.index.0);
        if skipped == 0 {
            return true;
        }
        let known = usize::try_from(skipped).unwrap_or(usize::MAX).min(self.entries.len());
        let last = self.entries.drain(..known).next_back().filter(|_| known as u64 == skipped);
        self.prev_log_id = start;
        last.is_none_or(|entry| entry.term == start.term)
    }
}
