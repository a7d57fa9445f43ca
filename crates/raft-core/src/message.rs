//! What members say to each other. One variant per message; a heartbeat is an empty
//! `AppendEntries`.

use alloc::vec::Vec;

use crate::types::{EntryMeta, Index, LogId, NodeId, Term};

/// A message between two members. The sender is named beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// "Would you vote for me in `term`?" Changes nothing at either end (thesis 9.6).
    PreVote(RequestVote),
    /// The answer to [`Message::PreVote`]. If granted, `term` is the one asked for; if refused,
    /// it is the voter's own, so that a refusal teaches.
    PreVoteResponse(VoteResponse),
    /// Paper, figure 2.
    RequestVote(RequestVote),
    /// Paper, figure 2.
    RequestVoteResponse(VoteResponse),
    /// Paper, figure 2.
    AppendEntries(AppendEntries),
    /// Paper, figure 2.
    AppendEntriesResponse(AppendEntriesResponse),
    /// "Campaign now": the last step of a leadership transfer (thesis 3.10).
    TimeoutNow {
        /// The leader's term.
        term: Term,
    },
    /// A follower asks its leader how far a linearizable read must have applied (thesis 6.4).
    ReadIndex(ReadIndex),
    /// The answer to [`Message::ReadIndex`].
    ReadIndexResponse(ReadIndexResponse),
}

/// Asks for a vote or a pre-vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestVote {
    /// The candidate's term; in a pre-vote, the term that it would campaign in.
    pub term: Term,
    /// The candidate's last entry, durable when this leaves.
    pub last_log_id: LogId,
    /// Sent on the leader's own wish: voters do not wait for that leader to fall silent.
    pub transfer: bool,
}

/// Answers a vote or a pre-vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VoteResponse {
    /// See the messages.
    pub term: Term,
    /// `None` grants.
    pub refusal: Option<VoteRefusal>,
}

/// Why a vote was refused, with the numbers behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VoteRefusal {
    /// The voter's term is higher; it is in the response.
    StaleTerm,
    /// The vote of this term went to another.
    AlreadyVoted {
        /// Who has it.
        candidate: NodeId,
    },
    /// The candidate's log lacks entries that the voter holds.
    LogBehind {
        /// The voter's last entry.
        last_log_id: LogId,
    },
    /// The voter heard from a leader within the election timeout (thesis 4.2.3).
    LeaderAlive {
        /// Who that is.
        leader: NodeId,
    },
}

/// Replicates entries; without entries, a heartbeat and a carrier of the commit index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppendEntries {
    /// The leader's term.
    pub term: Term,
    /// The entry just before `entries`.
    pub prev_log_id: LogId,
    /// What follows it, in order. Payloads travel beside the message.
    pub entries: Vec<EntryMeta>,
    /// The leader's commit index; the receiver commits no more of it than this very message
    /// verified.
    pub commit_index: Index,
    /// The leader's newest round of reads; zero before the first.
    pub round: u64,
}

/// Answers `AppendEntries`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AppendEntriesResponse {
    /// The follower's term.
    pub term: Term,
    /// How far the logs agree, or where they do not.
    pub result: AppendResult,
    /// The last entry that the follower received, durable or not.
    pub last_index: Index,
    /// How far the follower knows entries to be committed.
    pub commit_index: Index,
    /// The newest round that the leader of `term` named on this connection: it led when it sent
    /// that.
    pub round: u64,
}

/// The verdict within an [`AppendEntriesResponse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AppendResult {
    /// Everything up to here is durable at the follower and equal to this leader's log.
    Match(Index),
    /// The entry before the sent ones is missing or of another term.
    Conflict {
        /// The `prev_log_id.index` that was refused.
        prev_index: Index,
        /// The follower's last entry at or below it whose term is at most `prev_log_id.term`:
        /// nothing between the two can match.
        hint: LogId,
    },
    /// The sender's term is old; `term` in the response says which is current.
    StaleTerm,
}

/// Asks the leader on behalf of reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadIndex {
    /// The term that the asked one leads.
    pub term: Term,
    /// A number of the asker's own.
    pub request: u64,
}

/// Answers [`ReadIndex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadIndexResponse {
    /// The answering member's term.
    pub term: Term,
    /// The number that was asked with.
    pub request: u64,
    /// What must have been applied: the leader's commit index, confirmed after the question came.
    pub result: Result<Index, ReadRefused>,
}

/// Why a read is not answered. Nothing was done: it may always be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadRefused {
    /// The asked member does not lead, or not any more, or the way to who does is cut.
    NotLeader {
        /// Who leads, as far as this member knows.
        leader: Option<NodeId>,
    },
    /// Leadership is being handed over: ask again shortly.
    HandingOver {
        /// To whom.
        to: NodeId,
    },
}

impl Message {
    /// The term that the message carries.
    #[must_use]
    pub const fn term(&self) -> Term {
        match self {
            Self::PreVote(m) | Self::RequestVote(m) => m.term,
            Self::PreVoteResponse(m) | Self::RequestVoteResponse(m) => m.term,
            Self::AppendEntries(m) => m.term,
            Self::AppendEntriesResponse(m) => m.term,
            Self::TimeoutNow { term } => *term,
            Self::ReadIndex(m) => m.term,
            Self::ReadIndexResponse(m) => m.term,
        }
    }

    /// Whether this answers a request: it then travels on the connection that the request came
    /// by, and dies with it.
    #[must_use]
    pub const fn is_response(&self) -> bool {
        matches!(
            self,
            Self::PreVoteResponse(_)
                | Self::RequestVoteResponse(_)
                | Self::AppendEntriesResponse(_)
                | Self::ReadIndexResponse(_)
        )
    }
}
