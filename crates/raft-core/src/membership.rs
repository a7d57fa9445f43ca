//! Who is in the cluster: one typed value, never patched field by field.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use crate::types::{Index, NodeId, RequestId};

/// A whole configuration (thesis, chapter 4). It acts when appended and rolls back when
/// truncated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Membership {
    /// How many founders the cluster had: later node ids are `founders` + the index of the entry
    /// that added them.
    pub founders: u64,
    /// Everyone that gets entries: voters, outgoing voters and learners.
    pub members: BTreeMap<NodeId, Member>,
    /// Who votes; in a joint configuration, the new half.
    pub voters: BTreeSet<NodeId>,
    /// The outgoing half of a joint configuration.
    pub old_voters: Option<BTreeSet<NodeId>>,
    /// The change under way. A new leader resumes it.
    pub job: Option<Job>,
    /// How the last changes ended, oldest first, at most [`OUTCOMES_MAX`].
    pub outcomes: Vec<(RequestId, ChangeOutcome)>,
}

/// How many ended changes a configuration remembers.
pub const OUTCOMES_MAX: usize = 64;

/// One member as all others know it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// As given by its operator; resolved at every dial.
    pub address: String,
    /// Made at random with its data directory.
    pub incarnation: u128,
}

/// A membership change that needs more than one entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// Who asked.
    pub request: RequestId,
    /// For what.
    pub kind: JobKind,
}

/// What a [`Job`] works towards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Make this learner a voter as soon as it has caught up.
    Promote(NodeId),
    /// Leave this member out; the configuration is joint until the final one.
    Remove(NodeId),
    /// Take this member's vote; the configuration is joint until the final one.
    Demote(NodeId),
    /// Make `new` a voter as soon as it has caught up, and leave `old` out in the same step.
    Replace {
        /// The voter that goes.
        old: NodeId,
        /// The learner that takes its place.
        new: NodeId,
    },
}

/// How a membership change ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChangeOutcome {
    /// The member votes.
    Added {
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
    /// The member is a learner now.
    Demoted {
        /// Its id.
        id: NodeId,
        /// Its address.
        address: String,
    },
    /// The member is at another address.
    Updated {
        /// Its id.
        id: NodeId,
        /// Its new address.
        address: String,
    },
    /// The member votes in place of another, which is gone.
    Replaced {
        /// Its id.
        id: NodeId,
        /// Its address.
        address: String,
        /// Who is gone.
        old: NodeId,
        /// From where.
        old_address: String,
    },
    /// A new member made no progress in time and was taken out again.
    Undone {
        /// Its id.
        id: NodeId,
        /// Its address.
        address: String,
    },
}

/// What a client may ask of the membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Add as a learner, feed, promote.
    Add(Member),
    /// Take out of the cluster.
    Remove(NodeId),
    /// Take the vote: a learner remains, which `Add` makes a voter again.
    Demote(NodeId),
    /// Feed `new`, then swap the two in one step. The new one may be at the old one's address, where
    /// a lost disk was replaced by an empty one.
    Replace {
        /// The voter that goes.
        old: NodeId,
        /// Who takes its place, under an id of its own.
        new: Member,
    },
    /// The member is at another address now, with the data directory that it had: a node id is bound
    /// to one incarnation for ever. With another directory it is another member.
    Update {
        /// Who moved.
        id: NodeId,
        /// Its incarnation as it was, and the new address.
        member: Member,
    },
}

/// Why a change was refused. Certainly not applied, in every case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeRefused {
    /// This member does not lead; `leader` may know more.
    NotLeader {
        /// Who leads, as far as this member knows.
        leader: Option<NodeId>,
    },
    /// Another change is under way; its request is named.
    ChangeInProgress {
        /// The request of the running change.
        request: RequestId,
    },
    /// No entry of the leader's own term is committed yet, or it has led for less than an election
    /// timeout and not heard enough of those who would decide: ask again shortly.
    LeaderTooYoung,
    /// Leadership is being handed over: ask again shortly.
    HandingOver {
        /// To whom.
        to: NodeId,
    },
    /// These members of the new configuration did not answer within an election timeout, and
    /// without them it would have no majority.
    NoNewQuorum {
        /// Who is silent.
        silent: Vec<NodeId>,
    },
    /// What is asked for is so already: a voter with this incarnation, or a member at this address.
    AlreadyMember {
        /// Its id.
        id: NodeId,
    },
    /// Another member is at this address.
    AddressTaken {
        /// Who holds the address.
        id: NodeId,
    },
    /// There is no such member.
    NotMember,
    /// The member has no vote.
    NotVoter,
    /// The member with this id has another data directory: what is asked for is to replace it.
    OtherIncarnation {
        /// Whose it is.
        id: NodeId,
    },
    /// The last voter cannot be removed, nor lose its vote.
    LastMember,
}

impl Membership {
    /// The configuration at index 0: all founders vote.
    #[must_use]
    pub fn founding(members: BTreeMap<NodeId, Member>) -> Self {
        let voters: BTreeSet<NodeId> = members.keys().copied().collect();
        Self { founders: voters.len() as u64, members, voters, ..Self::default() }
    }

    /// The index of the entry that added a member; zero for founders.
    #[must_use]
    pub const fn added_at(&self, id: NodeId) -> Index {
        Index(id.0.saturating_sub(self.founders))
    }

    /// The id of a member that the entry at `index` adds.
    #[must_use]
    pub const fn id_added_at(&self, index: Index) -> NodeId {
        NodeId(self.founders + index.0)
    }
}
