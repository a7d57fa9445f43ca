//! What a member does and what it must remember for that. Data that only a leader has exists
//! only while there is a leader to have it.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::output::RoleKind;
use crate::progress::Progress;
use crate::types::{Index, NodeId, RequestId, Ticket, Time};

/// Paper, figure 4, with the pre-candidate of thesis 9.6.
#[derive(Clone, Debug, Hash)]
pub(crate) enum Role {
    Follower(Follower),
    PreCandidate(Campaign),
    Candidate(Campaign),
    Leader(Box<Leader>),
}

/// Listens to a leader.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Follower {
    pub(crate) leader: Option<NodeId>,
    /// How far the log equals that of this term's leader.
    pub(crate) verified_index: Index,
    /// The last match that the leader was told.
    pub(crate) acked: Index,
    /// Entries up to here came on this connection and wait for their acknowledgement.
    pub(crate) owed: Option<Index>,
    /// A heartbeat waits for its answer.
    pub(crate) heartbeat_owed: bool,
    /// The newest round that came on this connection.
    pub(crate) round: u64,
    /// What the leader said in answer to a read that is committed, whether it is here or not.
    pub(crate) leader_commit: Index,
}

/// One round of asking for pre-votes or votes.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Campaign {
    /// Who answered, and whether in favour.
    pub(crate) votes: BTreeMap<NodeId, bool>,
    /// Who was asked on the connection that is up now.
    pub(crate) asked: BTreeSet<NodeId>,
    /// On the old leader's wish.
    pub(crate) transfer: bool,
    /// Nobody is asked, and the own vote does not count, before this is durable (rule R2).
    pub(crate) ready: Ticket,
}

/// Leads.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Leader {
    pub(crate) progress: BTreeMap<NodeId, Progress>,
    /// The no-op that began the term.
    pub(crate) term_start: Index,
    pub(crate) since: Time,
    /// When the leadership last got anywhere (rule R15).
    pub(crate) progressed: Time,
    /// When followers are told of a new commit index, if nothing else tells them before.
    pub(crate) announce: Option<Time>,
    pub(crate) transfer: Option<Transfer>,
    /// The stalled write because of which a transfer was tried already.
    pub(crate) fled_from: Option<Time>,
    /// A leader without a vote in the coming configuration tried to hand over already.
    pub(crate) stepped_aside: bool,
    pub(crate) catch_up: Option<CatchUp>,
    pub(crate) waiting: Vec<Waiting>,
}

/// A leadership transfer under way (thesis 3.10).
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Transfer {
    pub(crate) to: NodeId,
    pub(crate) deadline: Time,
    pub(crate) told: bool,
}

/// A learner on its way to become a voter (thesis 4.2.1).
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct CatchUp {
    pub(crate) id: NodeId,
    pub(crate) round_end: Index,
    pub(crate) round_started: Time,
    pub(crate) progressed: Time,
}

/// A client's request for a membership change that waits for its end.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Waiting {
    pub(crate) request: RequestId,
    /// The request of the job that it waits for; the same, unless it joined another's.
    pub(crate) job: RequestId,
}

impl Role {
    pub(crate) const fn kind(&self) -> RoleKind {
        match self {
            Self::Follower(_) => RoleKind::Follower,
            Self::PreCandidate(_) => RoleKind::PreCandidate,
            Self::Candidate(_) => RoleKind::Candidate,
            Self::Leader(_) => RoleKind::Leader,
        }
    }
}
