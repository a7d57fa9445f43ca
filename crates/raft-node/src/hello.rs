//! The handshake: who dials whom, and whether the two may talk.
//!
//! The dialler says [`Hello`], the acceptor answers [`Welcome`] or [`HelloRefused`] ([`judge`]),
//! and the dialler checks the welcome in turn ([`check`]). Both are pure functions of what the
//! server knows: no socket, no clock. What remains undecided here, a new boot epoch while an old
//! connection lives, is [`crate::binding`]'s.
//!
//! An unknown id is answered unless it is *removed*: a voter that lags has not heard of every
//! candidate, and its vote may be needed (thesis 4.2.2). *Removed* means: absent from a committed
//! final configuration that is not older than the id.

use std::collections::BTreeMap;
use std::fmt;

use raft_core::{Index, Membership, NodeId};

use crate::binding::Boot;
use crate::protocol::Standing;
use crate::wire::{PROTOCOL_MAX, PROTOCOL_MIN};

pub use crate::refused::{HelloReason, HelloRefused};

/// All that a server judges by.
#[derive(Clone, Copy, Debug)]
pub struct Knowledge<'a> {
    /// Itself.
    pub own: &'a Party,
    /// What its directory says it is.
    pub standing: Standing,
    /// The configuration in force; `None` before it is a member.
    pub membership: Option<&'a Membership>,
    /// The last committed configuration that is not joint, and its index.
    pub committed: Option<(Index, &'a Membership)>,
    /// The last start of each peer that it has seen.
    pub peers: &'a BTreeMap<NodeId, Boot>,
    /// The largest frame that it takes.
    pub frame_bytes_max: u32,
}

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
    /// A leader's snapshot for another member.
    Snapshot,
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

/// The acceptor's judgement of a hello. A peer that is welcome still has to be bound: see
/// [`crate::binding`].
pub fn judge(known: &Knowledge<'_>, hello: &Hello) -> Result<Welcome, Box<HelloRefused>> {
    let verdict = judge_protocol(hello.protocol).and_then(|protocol| {
        judge_target(known, hello)?;
        match hello.role {
            Role::Client => judge_cluster(known, &hello.from)?,
            Role::Founder => judge_founder(known, hello)?,
            Role::Admission => judge_cluster(known, &hello.from)?,
            Role::Peer | Role::Snapshot => judge_peer(known, hello)?,
        }
        Ok(protocol)
    });
    match verdict {
        Ok(protocol) => Ok(Welcome {
            protocol,
            from: known.own.clone(),
            standing: known.standing,
            frame_bytes_max: known.frame_bytes_max,
        }),
        Err(reason) => Err(refused(known, reason, &hello.from)),
    }
}

/// The dialler's judgement of the welcome that answered its hello.
pub fn check(
    known: &Knowledge<'_>,
    hello: &Hello,
    welcome: &Welcome,
) -> Result<(), Box<HelloRefused>> {
    let ours = hello.protocol;
    let answered = Protocols { min: welcome.protocol, max: welcome.protocol };
    let verdict = if ours.newest_common(answered).is_none() {
        Err(HelloReason::Unsupported { ours, theirs: answered })
    } else if !hello.to.matches(&welcome.from) {
        Err(HelloReason::WrongNode { believed: hello.to.clone() })
    } else if matches!(hello.role, Role::Peer | Role::Snapshot) {
        judge_member(known, &welcome.from)
    } else {
        Ok(())
    };
    verdict.map_err(|reason| refused(known, reason, &welcome.from))
}

/// Both sides named.
fn refused(known: &Knowledge<'_>, reason: HelloReason, of: &Party) -> Box<HelloRefused> {
    Box::new(HelloRefused { reason, refuser: known.own.clone(), refused: of.clone() })
}

fn judge_protocol(theirs: Protocols) -> Result<u32, HelloReason> {
    let ours = Protocols::OURS;
    ours.newest_common(theirs).ok_or(HelloReason::Unsupported { ours, theirs })
}

/// Whether the dialler reached whom it dialled, and somebody else than itself.
fn judge_target(known: &Knowledge<'_>, hello: &Hello) -> Result<(), HelloReason> {
    let (own, from) = (known.own, &hello.from);
    if hello.role != Role::Client && from.incarnation == own.incarnation {
        // One directory, and so one process if the start is the same too; else the directory
        // was copied.
        let same_start = from.epoch == own.epoch && from.nonce == own.nonce;
        return Err(if same_start {
            HelloReason::Itself
        } else {
            HelloReason::DuplicateIdentity { epoch: own.epoch, nonce: own.nonce }
        });
    }
    if !hello.to.matches(own) {
        return Err(HelloReason::WrongNode { believed: hello.to.clone() });
    }
    Ok(())
}

/// Whether both belong to one cluster, as far as both belong to any.
fn judge_cluster(known: &Knowledge<'_>, from: &Party) -> Result<(), HelloReason> {
    match (known.own.cluster, from.cluster) {
        (Some(ours), Some(theirs)) if ours != theirs => Err(HelloReason::WrongCluster),
        _ => Ok(()),
    }
}

fn judge_founder(known: &Knowledge<'_>, hello: &Hello) -> Result<(), HelloReason> {
    if let Standing::Removed { at } = known.standing {
        return Err(HelloReason::AcceptorRemoved { at });
    }
    judge_cluster(known, &hello.from)
}

fn judge_peer(known: &Knowledge<'_>, hello: &Hello) -> Result<(), HelloReason> {
    match known.standing {
        Standing::New => return Err(HelloReason::New),
        Standing::Removed { at } => return Err(HelloReason::AcceptorRemoved { at }),
        Standing::Member => {}
    }
    judge_member(known, &hello.from)
}

/// Whether the other end may be a peer of this member.
fn judge_member(known: &Knowledge<'_>, other: &Party) -> Result<(), HelloReason> {
    if other.cluster != known.own.cluster {
        return Err(HelloReason::WrongCluster);
    }
    let Some(id) = other.id else {
        return Err(HelloReason::Invalid("a member without an id".into()));
    };
    if other.epoch == 0 {
        return Err(HelloReason::Invalid("a member that was never started as one".into()));
    }
    if let Some((at, membership)) = known.committed
        && is_removed(id, at, membership)
    {
        return Err(HelloReason::Removed { at });
    }
    let member = known.membership.and_then(|membership| membership.members.get(&id));
    let expected = if Some(id) == known.own.id {
        Some(known.own.incarnation)
    } else {
        member.map(|member| member.incarnation)
    };
    match expected {
        Some(expected) if expected != other.incarnation => {
            Err(HelloReason::IncarnationMismatch { known: expected })
        }
        _ => match known.peers.get(&id) {
            Some(seen) => seen.judge(&other.boot()).map(|_newer| ()),
            None => Ok(()),
        },
    }
}

/// Absent from a committed final configuration that is not older than the id itself.
fn is_removed(id: NodeId, at: Index, membership: &Membership) -> bool {
    membership.old_voters.is_none()
        && !membership.members.contains_key(&id)
        && at >= membership.added_at(id)
}

impl Protocols {
    /// What this program speaks.
    pub const OURS: Self = Self { min: PROTOCOL_MIN, max: PROTOCOL_MAX };

    /// The newest version in both ranges.
    #[must_use]
    pub fn newest_common(self, other: Self) -> Option<u32> {
        let newest = self.max.min(other.max);
        (newest >= self.min.max(other.min)).then_some(newest)
    }
}

impl Party {
    /// Its start, as bindings know it.
    #[must_use]
    pub const fn boot(&self) -> Boot {
        Boot { incarnation: self.incarnation, epoch: self.epoch, nonce: self.nonce }
    }
}

impl Believed {
    /// Whether `party` can be the one that is meant. Addresses are no identities: one place has
    /// many names. A server that waits to be told its id can be anybody of its incarnation.
    #[must_use]
    pub fn matches(&self, party: &Party) -> bool {
        self.id.is_none_or(|id| party.id.is_none_or(|own| own == id))
            && self.incarnation.is_none_or(|incarnation| party.incarnation == incarnation)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Peer => "peer",
            Self::Client => "client",
            Self::Founder => "founder",
            Self::Admission => "admission",
            Self::Snapshot => "snapshot",
        })
    }
}

impl fmt::Display for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.min)
        } else {
            write!(f, "{} to {}", self.min, self.max)
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address.is_empty(), self.id) {
            (true, None) => f.write_str("a client"),
            (true, Some(id)) => write!(f, "{id}"),
            (false, None) => f.write_str(&self.address),
            (false, Some(id)) => write!(f, "{} ({id})", self.address),
        }
    }
}

impl fmt::Display for Believed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) => write!(f, "{} ({id})", self.address),
            None => f.write_str(&self.address),
        }
    }
}
