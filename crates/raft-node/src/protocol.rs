//! What clients may ask of a server, and what it may answer.
//!
//! Every refusal says two things: what may be concluded about the request ([`Outcome`]) and why
//! ([`Reason`], whose text is for a person: what, why, what next).

use std::fmt;

use bytes::Bytes;
use raft_core::{Index, LogId, NodeId, RequestId, Term};

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
    /// Who is in the cluster?
    Members,
    /// Let a new server join.
    AddMember {
        /// The same in every attempt.
        request: RequestId,
        /// Where it listens.
        address: String,
    },
    /// Take a member out.
    RemoveMember {
        /// The same in every attempt.
        request: RequestId,
        /// Its address.
        address: String,
    },
    /// Hand leadership over.
    Transfer {
        /// To the member at this address; `None` leaves the choice to the leader.
        to: Option<String>,
    },
    /// How is the contacted server itself?
    Status,
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
    /// To `Members`.
    Members(MembersView),
    /// To `AddMember` and `RemoveMember`: the change came to its end.
    Changed(Changed),
    /// To `Transfer`: the new leader leads.
    Transferred {
        /// Its address.
        to: String,
    },
    /// To `Status`.
    Status(NodeStatus),
    /// To any of them.
    Refused(Refusal),
}

/// An answer and the way that it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The answer.
    pub answer: Answer,
    /// The leader's address, when the contacted server passed the request on to it.
    pub forwarded_to: Option<String>,
}

/// How a membership change ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The server is a voter now.
    Added {
        /// Its id.
        id: NodeId,
        /// Its address.
        address: String,
    },
    /// It had been a voter before.
    AlreadyMember {
        /// Its id.
        id: NodeId,
        /// Its address.
        address: String,
    },
    /// The member is gone.
    Removed {
        /// Its id.
        id: NodeId,
        /// Its address.
        address: String,
    },
    /// The new server made no progress in time and is gone again.
    Undone {
        /// Its id.
        id: NodeId,
        /// Its address.
        address: String,
    },
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
    /// No member has this address.
    NotMember {
        /// The address.
        address: String,
    },
    /// The last voter cannot be removed.
    LastMember,
    /// A member has this address, and another data directory than the server that listens there.
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

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotApplied => "not applied",
            Self::Unknown => "outcome unknown",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.outcome, self.reason)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("new"),
            Self::Member => f.write_str("member"),
            Self::Removed { at } => write!(f, "removed at index {at}"),
        }
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { id, address } => write!(f, "added {address} as {id}"),
            Self::AlreadyMember { id, address } => write!(f, "{address} is a member already: {id}"),
            Self::Removed { id, address } => write!(f, "removed {address}, which was {id}"),
            Self::Undone { id, address } => write!(
                f,
                "{address} made no progress and was taken out again, it was {id}; \
                 see that it runs and can be reached, then add it again"
            ),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLeader => f.write_str(
                "the cluster has no leader at the moment, because no majority of its members \
                 has agreed on one; see that a majority runs and can reach each other",
            ),
            Self::NotLeader { leader: Some(leader) } => {
                write!(f, "this server does not lead and cannot reach {leader}, which does")
            }
            Self::NotLeader { leader: None } => {
                f.write_str("this server does not lead and does not know who does; ask again")
            }
            Self::LeaderLost => f.write_str(
                "the leader was lost while the request was under way; a new one decides whether \
                 it stands",
            ),
            Self::Busy { what } => write!(f, "too much is under way: {what}; ask again shortly"),
            Self::DiskFull => f.write_str(
                "no room for the log on the disk of the leader or of a majority; free some \
                 space there",
            ),
            Self::TooLarge { limit, size } => write!(
                f,
                "the message has {size} bytes and the limit is {limit}; split it, or raise the \
                 limit on every member"
            ),
            Self::SessionExpired { session } => write!(
                f,
                "session {session} is not known any more: it was ended, or unused while many \
                 others were opened; register again"
            ),
            Self::AnswerForgotten { session, sequence } => write!(
                f,
                "the answer of request {sequence} in session {session} is not kept any more, \
                 because the client had moved past it; read the state to see what it did"
            ),
            Self::SessionLimit => {
                f.write_str("no more sessions can be opened; end some, or ask again later")
            }
            Self::ChangeInProgress => f.write_str(
                "another membership change is under way, and only one goes at a time; \
                 wait for its end",
            ),
            Self::LeaderTooYoung => f.write_str(
                "the leader is new and has committed nothing of its own yet; ask again shortly",
            ),
            Self::HandingOver { to } => {
                write!(f, "leadership is being handed over to {to}; ask again shortly")
            }
            Self::NoNewQuorum { silent } => write!(
                f,
                "the changed cluster would have no majority, because {} did not answer; \
                 start what is silent, or remove it first",
                silent.join(", ")
            ),
            other => other.fmt_about_members(f),
        }
    }
}

impl Reason {
    /// The second half of `Display`.
    fn fmt_about_members(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMember { address } => write!(
                f,
                "no member of the cluster has the address {address}; list them with \
                 raft member list, and write the address as shown there"
            ),
            Self::LastMember => f.write_str(
                "the last voter cannot be removed: nobody would be left to decide; stop the \
                 server instead",
            ),
            Self::AddressTaken { address } => write!(
                f,
                "{address} is a member with another data directory than the server that listens \
                 there now; remove {address} first, then add it"
            ),
            Self::Unreachable { address, error } => write!(
                f,
                "{address} cannot be reached ({error}); start the server there, or correct the \
                 address"
            ),
            Self::HostlessCluster { address } => write!(
                f,
                "the members of this cluster have addresses without hosts, which mean one \
                 machine; {address} is another one and could not reach them; found the cluster \
                 with hosts in -c"
            ),
            Self::Removed { at } => write!(
                f,
                "this server was removed from its cluster at index {at}; ask a member, or add \
                 it again with raft -C addserver"
            ),
            Self::NotReady => f.write_str(
                "this server belongs to no cluster yet: its founders are not complete, or it \
                 waits to be added",
            ),
            Self::Invalid(what) => f.write_str(what),
            Self::ShuttingDown => f.write_str("this server is stopping; ask another member"),
            // All others are `Display`'s own.
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_text_of_one_line() {
        let text = String::from(":9990");
        let reasons = [
            Reason::NoLeader,
            Reason::NotLeader { leader: Some(text.clone()) },
            Reason::NotLeader { leader: None },
            Reason::LeaderLost,
            Reason::Busy { what: "1024 requests".into() },
            Reason::DiskFull,
            Reason::TooLarge { limit: 1, size: 2 },
            Reason::SessionExpired { session: 7 },
            Reason::AnswerForgotten { session: 7, sequence: 1 },
            Reason::SessionLimit,
            Reason::ChangeInProgress,
            Reason::LeaderTooYoung,
            Reason::HandingOver { to: text.clone() },
            Reason::NoNewQuorum { silent: vec![text.clone()] },
            Reason::NotMember { address: text.clone() },
            Reason::LastMember,
            Reason::AddressTaken { address: text.clone() },
            Reason::Unreachable { address: text.clone(), error: "refused".into() },
            Reason::HostlessCluster { address: text },
            Reason::Removed { at: Index(7) },
            Reason::NotReady,
            Reason::Invalid("no sequence".into()),
            Reason::ShuttingDown,
        ];
        for reason in reasons {
            let shown = reason.to_string();
            assert!(shown.len() > 8 && !shown.contains('\n') && !shown.contains("  "), "{shown}");
        }
    }

    #[test]
    fn a_refusal_says_what_may_be_concluded_first() {
        assert_eq!(
            Refusal::not_applied(Reason::TooLarge { limit: 10, size: 11 }).to_string(),
            "not applied: the message has 11 bytes and the limit is 10; split it, or raise the \
             limit on every member"
        );
        assert!(Refusal::unknown(Reason::LeaderLost).to_string().starts_with("outcome unknown: "));
    }
}
