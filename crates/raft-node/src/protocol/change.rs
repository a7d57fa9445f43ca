//! Changes of the members: what a client may ask, and how it ends.

use std::fmt;

use raft_core::NodeId;

/// A change of the members, in a client's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// The server at this address becomes a voter; so does a learner.
    Add(String),
    /// A member leaves.
    Remove(MemberName),
    /// A voter becomes a learner: it is fed, and counts no more.
    Demote(MemberName),
    /// A server takes a voter's place, in one step.
    Replace {
        /// The voter that goes.
        old: MemberName,
        /// Where the server listens that comes; the old one's address if that was emptied.
        new: String,
    },
    /// A member is reached at another address from now on.
    Update {
        /// Which one.
        member: MemberName,
        /// Its new address.
        address: String,
    },
}

/// A member as a client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberName {
    /// By its id: for ever the same member.
    Id(NodeId),
    /// By its address: whoever has it when the leader hears of it.
    Address(String),
}

/// How a change of the members ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The server is a voter now.
    Added {
        /// Its id.
        id: NodeId,
        /// Its address.
        address: String,
    },
    /// Nothing was to be done: it had been a voter before, or at that address.
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
    /// The member is a learner now.
    Demoted {
        /// Its id.
        id: NodeId,
        /// Its address.
        address: String,
    },
    /// It had been a learner before.
    AlreadyLearner {
        /// Its id.
        id: NodeId,
        /// Its address.
        address: String,
    },
    /// The server votes in the place of a member, which is gone.
    Replaced {
        /// Its id.
        id: NodeId,
        /// Its address.
        address: String,
        /// The id of the member that is gone.
        old: NodeId,
        /// And its address.
        old_address: String,
    },
    /// The member is reached at this address now.
    Updated {
        /// Its id.
        id: NodeId,
        /// Its new address.
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

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Address(address) => f.write_str(address),
        }
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { id, address } => write!(f, "added {address} as {id}"),
            Self::AlreadyMember { id, address } => write!(f, "{address} is a member already: {id}"),
            Self::Removed { id, address } => write!(f, "removed {address}, which was {id}"),
            Self::Demoted { id, address } => write!(f, "{address} is a learner now: {id}"),
            Self::AlreadyLearner { id, address } => {
                write!(f, "{address} is a learner already: {id}")
            }
            Self::Replaced { id, address, old, old_address } => {
                write!(f, "replaced {old_address}, which was {old}, by {address} as {id}")
            }
            Self::Updated { id, address } => write!(f, "{id} is at {address} now"),
            Self::Undone { id, address } => write!(
                f,
                "{address} made no progress and was taken out again, it was {id}; \
                 see that it runs and can be reached, then add it again"
            ),
        }
    }
}
