//! What a server says when it is asked why something does not go on: how it is, whom it reaches,
//! what it waits for, and what it refused lately. Plain data; what follows from it, if several
//! servers have spoken, is for whoever asked to judge.
//!
//! Times are ages, in milliseconds: servers' clocks need not agree.

use raft_core::{Alike, Index, LogId, NodeId, Term};
pub use raft_core::{AppendResult, ReadRefused, RefusedRequest, RequestVote, VoteRefusal};

use crate::protocol::{NodeStatus, Refusal};

/// What one server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Testimony {
    /// How it is.
    pub status: NodeStatus,
    /// What it refused lately, the latest last. Alike ones are counted.
    pub refused: Vec<PastRefusal>,
    /// A leader's view of the others; empty elsewhere.
    pub peers: Vec<PeerView>,
    /// The members that it has dialled with success.
    pub reaches: Vec<NodeId>,
    /// The change of members that is under way.
    pub change: Option<ChangeView>,
    /// For so long its oldest write to its own disk has not ended.
    pub write_out_ms: Option<u64>,
}

/// Something was refused, and this many times something like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRefusal {
    /// The last one.
    pub what: RefusedThing,
    /// How many.
    pub count: u64,
    /// The first was so long ago.
    pub first_ms: u64,
    /// And the last.
    pub last_ms: u64,
    /// What the server knew at the last one.
    pub knew: Knew,
}

/// What a server knew of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Knew {
    /// Its term.
    pub term: Term,
    /// The end of its log.
    pub last_log_id: LogId,
    /// Who led, as far as it knew.
    pub leader: Option<NodeId>,
}

/// What was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusedThing {
    /// A peer's request.
    Peer {
        /// Who asked.
        from: NodeId,
        /// For what, and why not.
        request: RefusedRequest,
    },
    /// A leader's entries: there is no room for them.
    Entries {
        /// Who sent them.
        from: NodeId,
        /// Their bytes.
        bytes: u64,
        /// The room that was left in the log.
        free: u64,
    },
    /// A connection of somebody who says that it is a member.
    Hello {
        /// Which member.
        from: NodeId,
        /// Why it was refused, and what next.
        why: String,
    },
    /// A client's request.
    Client {
        /// What was asked.
        asked: Asked,
        /// What it was told.
        refusal: Refusal,
    },
}

/// What a client had asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A command, a session, or its end.
    Write,
    /// An answer of the state machine.
    Read,
    /// Another member, one less, or another leader.
    Change,
    /// Something that had been under way for a while.
    Request,
}

/// A leader's view of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Who.
    pub id: NodeId,
    /// Known to be equal and durable there, by what it said on this connection.
    pub match_index: Index,
    /// The next entry to send.
    pub next_index: Index,
    /// A snapshot is on its way to it.
    pub installing: bool,
    /// Whether the leader has a connection to it.
    pub connected: bool,
    /// It answered so long ago; `None` if never in this term.
    pub answered_ms: Option<u64>,
}

/// A change of members that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeView {
    /// For people: `adding n4`.
    pub what: String,
    /// The member that it is about; the new one, if it is about two.
    pub about: NodeId,
    /// The index of the configuration in force.
    pub index: Index,
    /// Whether two majorities decide.
    pub joint: bool,
    /// At the leader, while that member has to catch up: it came no further for so long.
    pub stuck_ms: Option<u64>,
}

impl Testimony {
    /// Of a server that has nothing to add.
    #[must_use]
    pub const fn of(status: NodeStatus) -> Self {
        Self {
            status,
            refused: Vec::new(),
            peers: Vec::new(),
            reaches: Vec::new(),
            change: None,
            write_out_ms: None,
        }
    }
}

impl Alike for RefusedThing {
    fn is_alike(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Peer { from, request }, Self::Peer { from: other, request: other_request }) => {
                from == other && request.is_alike(other_request)
            }
            (Self::Entries { from, .. }, Self::Entries { from: other, .. })
            | (Self::Hello { from, .. }, Self::Hello { from: other, .. }) => from == other,
            (
                Self::Client { asked, refusal },
                Self::Client { asked: other, refusal: other_refusal },
            ) => asked == other && refusal.reason.is_alike(&other_refusal.reason),
            _ => false,
        }
    }
}
