//! What a message must satisfy in itself, whoever sent it. Messages are judged, never trusted:
//! nothing that a peer says may make this member panic.

use crate::message::{AppendEntries, AppendResult, Message};
use crate::types::{Index, LogId, Snapshot, Term};

/// No term or index that was ever counted comes near it; room to add to is left above it.
const LIMIT: u64 = 1 << 62;

impl Message {
    pub(crate) fn is_sane(&self) -> bool {
        if self.term() == Term(0) || self.term().0 > LIMIT {
            return matches!(self, Self::PreVoteResponse(_)) && self.term() == Term(0);
        }
        match self {
            Self::PreVote(request) | Self::RequestVote(request) => {
                is_place(request.last_log_id) && request.last_log_id.term <= request.term
            }
            Self::AppendEntries(append) => append.is_sane(),
            Self::AppendEntriesResponse(response) => match response.result {
                AppendResult::Match(index) => index.0 <= LIMIT,
                AppendResult::Conflict { prev_index, hint } => {
                    is_place(hint) && hint.index <= prev_index && prev_index.0 <= LIMIT
                }
                AppendResult::StaleTerm => true,
            },
            Self::ReadIndexResponse(response) => {
                response.result.is_ok_and(|index| index.0 <= LIMIT) || response.result.is_err()
            }
            Self::PreVoteResponse(_)
            | Self::RequestVoteResponse(_)
            | Self::TimeoutNow { .. }
            | Self::ReadIndex(_) => true,
        }
    }
}

impl AppendEntries {
    /// Terms never fall along a log and never exceed the leader's.
    fn is_sane(&self) -> bool {
        let mut term = self.prev_log_id.term;
        let rising = self.entries.iter().all(|entry| {
            let follows = entry.term >= term && entry.term > Term(0);
            term = entry.term;
            follows
        });
        is_place(self.prev_log_id) && rising && term <= self.term
    }

    /// The last entry that this message speaks of.
    pub(crate) const fn last_index(&self) -> Index {
        Index(self.prev_log_id.index.0 + self.entries.len() as u64)
    }
}

/// A snapshot of something, with a configuration in which somebody decides, older than its end.
pub(crate) fn is_sane_snapshot(term: Term, snapshot: &Snapshot) -> bool {
    let at = snapshot.at;
    let placed = is_place(at) && at.index > Index(0) && at.term <= term && term.0 <= LIMIT;
    placed && snapshot.membership_index <= at.index && !snapshot.membership.voters.is_empty()
}

/// Only "before the log" has index and term zero.
const fn is_place(id: LogId) -> bool {
    (id.index.0 == 0) == (id.term.0 == 0) && id.index.0 <= LIMIT
}
