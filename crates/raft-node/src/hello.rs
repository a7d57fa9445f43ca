//! The handshake: who dials whom, and whether the two may talk.
//!
//! The dialler says [`Hello`], the acceptor answers [`Welcome`] or [`HelloRefused`], and the
//! dialler checks the welcome in turn. The judgement is a pure function of what the acceptor
//! knows: no socket, no clock. What remains undecided here, a new boot epoch while an old
//! connection lives, is [`crate::binding`]'s.

use std::fmt;

use raft_core::{Index, NodeId};

use crate::protocol::Standing;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A member's messages to another member.
    Peer,
    /// A client's requests.
    Client,
    /// The exchange of founders that have no cluster yet.
    Founder,
    /// A leader's word to a server that is to be added.
    Admission,
}

/// The dialler's first word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The oldest and the newest protocol that it speaks.
    pub protocol: Protocols,
    /// What the connection is for.
    pub role: Role,
    /// Who dials.
    pub from: Party,
    /// Whom it believes to dial.
    pub to: Believed,
}

/// The acceptor's first word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The protocol that both will speak: the newest that both know.
    pub protocol: u32,
    /// Who accepted.
    pub from: Party,
    /// What its directory says it is.
    pub standing: Standing,
    /// The largest frame that it takes.
    pub frame_bytes_max: u32,
}

/// A range of protocol versions, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocols {
    /// The oldest.
    pub min: u32,
    /// The newest.
    pub max: u32,
}

/// One end of a connection as it describes itself. A client leaves most of it empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// Its cluster, once it has one.
    pub cluster: Option<u128>,
    /// Its id in there.
    pub id: Option<NodeId>,
    /// Made at random with its directory.
    pub incarnation: u128,
    /// Counts the starts as a member; zero before.
    pub epoch: u64,
    /// Made at random at its start.
    pub nonce: u64,
    /// Where it listens, as given.
    pub address: String,
}

/// What a dialler believes of whom it dials; what it does not know is not checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Believed {
    /// The id.
    pub id: Option<NodeId>,
    /// The incarnation.
    pub incarnation: Option<u128>,
    /// The address that was dialled.
    pub address: String,
}

/// A hello that was not answered with a welcome, with both sides named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloRefused {
    /// Why.
    pub reason: HelloReason,
    /// Who refused.
    pub acceptor: Party,
    /// Who was refused.
    pub dialler: Party,
}

/// Why a hello was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HelloReason {
    /// No common protocol version.
    Unsupported {
        /// The acceptor's.
        ours: Protocols,
        /// The dialler's.
        theirs: Protocols,
    },
    /// The two belong to different clusters.
    WrongCluster,
    /// The acceptor is not whom the dialler believes to dial.
    WrongNode {
        /// Whom the dialler believes to dial.
        believed: Believed,
    },
    /// The dialler dialled itself.
    Itself,
    /// The dialler's id is absent from the committed final configuration at this index.
    Removed {
        /// The index.
        at: Index,
    },
    /// The dialler has the id of a member and another data directory.
    IncarnationMismatch {
        /// The member's.
        known: u128,
    },
    /// The dialler has been started fewer times than its peers have seen: its directory is an
    /// older copy.
    EpochRegressed {
        /// The last one seen.
        known: u64,
    },
    /// Two running processes have the dialler's identity.
    DuplicateIdentity {
        /// The epoch of the other one.
        epoch: u64,
        /// The nonce of the other one.
        nonce: u64,
    },
    /// The acceptor is new: it waits for its founders, or to be added.
    New,
    /// The acceptor was removed from the cluster.
    AcceptorRemoved {
        /// By the configuration at this index.
        at: Index,
    },
    /// The hello contradicts itself.
    Invalid(String),
}

impl fmt::Display for HelloRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.reason)
    }
}
