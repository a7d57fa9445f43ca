//! What clients may ask of a server, and what it may answer.
//!
//! Every refusal says two things: what may be concluded about the request ([`Outcome`]) and why
//! ([`Reason`], whose text is for a person: what, why, what next).

mod change;
mod text;

use bytes::Bytes;
use raft_core::{Alike, Index, LogId, NodeId, RequestId, Term};

pub use change::{Changed, MemberChange, MemberName};

use crate::sessions::{Fate, RequestName};
use crate::testimony::Testimony;
use crate::vitals::{Recent, Vitals};

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Opens a session: a client's exactly-once identity.
    Register {
        /// For a single write. Such sessions have a quota of their own.
        one_shot: bool,
    },
    /// A command for the state machine.
    Write {
        /// The client's session.
        session: u64,
        /// The request within the session, from 1 on; the same in every attempt.
        sequence: u64,
        /// The client has the answers of all requests below this one.
        lowest_unacknowledged: u64,
        /// For the state machine: opaque.
        command: Bytes,
    },
    /// Closes a session.
    EndSession {
        /// Which one.
        session: u64,
    },
    /// A question to the state machine. Changes nothing, so it may always be repeated.
    Read {
        /// For the state machine: opaque.
        query: Bytes,
        /// How fresh the answer has to be.
        consistency: Consistency,
        /// Whether there is no hurry.
        news: Option<News>,
    },
    /// Who is in the cluster?
    Members,
    /// Let members come, go or move.
    Change {
        /// The same in every attempt.
        request: RequestId,
        /// How.
        change: MemberChange,
    },
    /// Hand leadership over.
    Transfer {
        /// To the member at this address; `None` leaves the choice to the leader.
        to: Option<String>,
    },
    /// Take a snapshot at the contacted server.
    Snapshot,
    /// How is the contacted server itself?
    Status,
    /// How is the contacted server, what happened there lately, and how does its log end?
    Recent {
        /// Only events after this one.
        after: u64,
        /// At most so many entries.
        tail: u32,
    },
    /// What became of a write? If it is not applied yet, it never will be.
    Result(RequestName),
    /// What does the contacted server know of why something does not go on?
    Why,
}

/// How fresh the answer to a question has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// Nothing is missing that was acknowledged to anybody before the question: the leader has a
    /// majority confirm that it still leads.
    #[default]
    Linearizable,
    /// What the asked member has applied, which may be any time behind.
    Local,
}

/// A question that waits for news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// Answered when the state machine's version is above this one,
    pub after: u64,
    /// or when so many milliseconds are over.
    pub within: u32,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To `Register`.
    Registered {
        /// The index of the registration.
        session: u64,
    },
    /// To `Write`: committed and applied.
    Written {
        /// The command's place in the log.
        at: LogId,
        /// What the state machine answered.
        response: Bytes,
    },
    /// To `EndSession`.
    SessionEnded,
    /// To `Read`.
    Read(ReadAnswer),
    /// To `Members`.
    Members(MembersView),
    /// To `Change`: it came to its end.
    Changed(Changed),
    /// To `Transfer`: the new leader leads.
    Transferred {
        /// Its address.
        to: String,
    },
    /// To `Snapshot`: it is durable.
    Snapshot {
        /// Its last entry.
        at: LogId,
        /// Its bytes on the disk; zero if there was nothing new to write.
        bytes: u64,
    },
    /// To `Status`.
    Status(Box<NodeStatus>),
    /// To [`Request::Recent`].
    Recent(Box<Recent>),
    /// To [`Request::Result`].
    Fate(Fate),
    /// To [`Request::Why`].
    Why(Box<Testimony>),
    /// To any of them.
    Refused(Refusal),
}

/// What the state machine answers to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadAnswer {
    /// Its words.
    pub response: Bytes,
    /// Everything up to here was applied.
    pub applied: Index,
    /// The state machine's version, to wait for news from.
    pub version: u64,
    /// Asked for as [`Consistency::Local`]: others may know more.
    pub stale: bool,
}

/// An answer and the way that it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The answer.
    pub answer: Answer,
    /// The leader's address, when the contacted server passed the request on to it.
    pub forwarded_to: Option<String>,
}

/// The cluster as one member sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembersView {
    /// Who leads, as far as the answering member knows.
    pub leader: Option<NodeId>,
    /// Two configurations decide at the moment.
    pub joint: bool,
    /// The change under way, for people.
    pub job: Option<String>,
    /// Everyone who gets entries, by id.
    pub members: Vec<MemberRow>,
    /// The index of this configuration.
    pub index: Index,
    /// The address of the member that answered.
    pub answered_by: String,
    /// Whether it leads, and so whether the match indexes are known.
    pub is_leader: bool,
}

/// One member of a [`MembersView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// Its id.
    pub id: NodeId,
    /// Its address.
    pub address: String,
    /// Votes, in the new half if there are two.
    pub voter: bool,
    /// Votes in the old half of a joint configuration.
    pub outgoing: bool,
    /// Leads.
    pub leader: bool,
    /// Durable there and equal to the leader's log; known to the leader alone.
    pub match_index: Option<Index>,
    /// Whether the answering member has a connection to it.
    pub connected: bool,
}

/// One server as it sees itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its id; `None` before it belongs to a cluster.
    pub id: Option<NodeId>,
    /// Its address.
    pub address: String,
    /// Its cluster; `None` before it belongs to one.
    pub cluster: Option<u128>,
    /// New, member or removed.
    pub standing: Standing,
    /// Follower, pre-candidate, candidate or leader.
    pub role: String,
    /// Its term.
    pub term: Term,
    /// Who leads the term, if known.
    pub leader: Option<(NodeId, String)>,
    /// The last entry of its log.
    pub last_log_id: LogId,
    /// Everything up to here is on its disk.
    pub durable_index: Index,
    /// Everything up to here is committed.
    pub commit_index: Index,
    /// Everything up to here has reached the state machine.
    pub applied_index: Index,
    /// The version of its program.
    pub version: String,
    /// Counters, latencies and disk; empty where the replica alone answers.
    pub vitals: Box<Vitals>,
    /// Everyone in the configuration that it follows, by id; while it is being founded, the
    /// founders that it was started with.
    pub members: Vec<KnownMember>,
    /// Its snapshots.
    pub snapshots: Box<SnapshotsView>,
}

/// The snapshots of a server, and where its log begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotsView {
    /// The entry that its log begins after; `0@0` if nothing was compacted.
    pub log_start: LogId,
    /// Its newest snapshot; `0@0` if there is none.
    pub newest: LogId,
    /// Those on their way.
    pub transfers: Vec<SnapshotTransfer>,
}

/// A snapshot on its way to another member, or from a leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotTransfer {
    /// The address of the other end.
    pub peer: String,
    /// Whether it goes there, or comes from there.
    pub outgoing: bool,
    /// Bytes that have arrived.
    pub done: u64,
    /// Bytes in all.
    pub bytes: u64,
}

/// A member of a cluster as another one knows it: by this, somebody who asks finds the others
/// even when nobody leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownMember {
    /// Its id; `None` before the cluster is founded.
    pub id: Option<NodeId>,
    /// Its address.
    pub address: String,
    /// Votes, in the new half if there are two.
    pub voter: bool,
    /// Votes in the old half, if there are two.
    pub old_voter: bool,
}

/// What a server's directory says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Of no cluster yet: being founded, or waiting to be added.
    New,
    /// In a cluster.
    Member,
    /// Taken out of its cluster.
    Removed {
        /// By the configuration at this index.
        at: Index,
    },
}

/// What may be concluded about a request that was not answered with success. It is about the
/// request, not about one attempt: once an attempt ended unknown, so does the request, unless it
/// turns out to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Certainly not applied, now or later.
    NotApplied,
    /// It may have been applied, or may be yet.
    Unknown,
}

/// A request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What may be concluded.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nobody leads at the moment.
    NoLeader,
    /// The contacted server does not lead and could not pass the request on.
    NotLeader {
        /// The leader's address, if known.
        leader: Option<String>,
    },
    /// The leader was lost while the request was under way.
    LeaderLost,
    /// Too much is under way already.
    Busy {
        /// What is at its limit.
        what: String,
    },
    /// A disk is full: this server's, or those of a majority.
    DiskFull,
    /// The state machine does not admit the command: it would grow too large, most often.
    Full {
        /// What the state machine says.
        what: String,
    },
    /// The command is too large.
    TooLarge {
        /// The most bytes that are taken.
        limit: u64,
        /// The command's bytes.
        size: u64,
    },
    /// The session is not known any more: unused for long, ended, or never there.
    SessionExpired {
        /// Which one.
        session: u64,
    },
    /// The answer of this request was let go, because the client had said that it needs no
    /// answer below a later one.
    AnswerForgotten {
        /// The session.
        session: u64,
        /// The request within it.
        sequence: u64,
    },
    /// Somebody asked what became of this request before it was applied: it never will be.
    Withdrawn {
        /// By the entry at this index.
        at: Index,
    },
    /// No session can be opened.
    SessionLimit,
    /// Another membership change is under way.
    ChangeInProgress,
    /// No entry of the leader's own term is committed yet (thesis 4.1, as amended in 2015).
    LeaderTooYoung,
    /// Leadership is being handed over.
    HandingOver {
        /// To the member at this address.
        to: String,
    },
    /// The new configuration would have no majority that answers.
    NoNewQuorum {
        /// The addresses of those who are silent.
        silent: Vec<String>,
    },
    /// There is no such member.
    NotMember {
        /// Its address, or its id.
        address: String,
    },
    /// The member has no vote that another server could take over.
    NotVoter {
        /// Its address.
        address: String,
    },
    /// The last voter can be neither removed nor demoted.
    LastMember,
    /// A member has this address, and is another server than the one that is meant.
    AddressTaken {
        /// The address.
        address: String,
    },
    /// The server to be added, or the one to lead, cannot be reached.
    Unreachable {
        /// Its address.
        address: String,
        /// What the dial said.
        error: String,
    },
    /// A cluster of addresses without hosts lives on one machine.
    HostlessCluster {
        /// The address of the other machine.
        address: String,
    },
    /// The contacted server was taken out of its cluster.
    Removed {
        /// By the configuration at this index.
        at: Index,
    },
    /// The contacted server belongs to no cluster yet.
    NotReady,
    /// The request makes no sense.
    Invalid(String),
    /// The contacted server is stopping.
    ShuttingDown,
}

impl Refusal {
    /// Certainly not applied.
    #[must_use]
    pub const fn not_applied(reason: Reason) -> Self {
        Self { outcome: Outcome::NotApplied, reason }
    }

    /// Applied or not: unknown.
    #[must_use]
    pub const fn unknown(reason: Reason) -> Self {
        Self { outcome: Outcome::Unknown, reason }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Alike for Reason {
    fn is_alike(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Reason {
    /// Whether waiting and asking again can help.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        matches!(
            self,
            Self::NoLeader
                | Self::NotLeader { .. }
                | Self::LeaderLost
                | Self::Busy { .. }
                | Self::LeaderTooYoung
                | Self::HandingOver { .. }
                | Self::ChangeInProgress
                | Self::NotReady
                | Self::ShuttingDown
        )
    }
}
