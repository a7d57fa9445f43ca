//! Why two servers do not talk to each other: reasons, and their texts for people.

use std::fmt;

use raft_core::Index;

use crate::hello::{Believed, Party, Protocols};

/// A connection that was not taken, with both sides named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloRefused {
    /// Why.
    pub reason: HelloReason,
    /// Who refused: the acceptor, or the dialler that does not like the welcome.
    pub refuser: Party,
    /// Who was refused.
    pub refused: Party,
}

/// Why a connection was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HelloReason {
    /// No common protocol version.
    Unsupported {
        /// The refuser's.
        ours: Protocols,
        /// The other's.
        theirs: Protocols,
    },
    /// The two belong to different clusters.
    WrongCluster,
    /// Somebody else answers at the address that was dialled.
    WrongNode {
        /// Who was meant.
        believed: Believed,
    },
    /// A server dialled itself.
    Itself,
    /// The refused was taken out of the cluster: its id is absent from the committed final
    /// configuration at this index.
    Removed {
        /// The index.
        at: Index,
    },
    /// The refused has the id of a member and another data directory.
    IncarnationMismatch {
        /// The member's incarnation.
        known: u128,
    },
    /// The refused has been started fewer times than its peers have seen: its directory is an
    /// older copy.
    EpochRegressed {
        /// The last start seen.
        known: u64,
    },
    /// Two running processes have the refused's identity.
    DuplicateIdentity {
        /// The epoch of the other one.
        epoch: u64,
        /// The nonce of the other one.
        nonce: u64,
    },
    /// The refuser is of no cluster yet: it waits for its founders, or to be added.
    New,
    /// The refuser itself was taken out of the cluster.
    AcceptorRemoved {
        /// By the configuration at this index.
        at: Index,
    },
    /// The hello contradicts itself.
    Invalid(String),
}

/// The command that adds the server at `address`, asked of the member at `member`.
#[must_use]
pub fn add_command(address: &str, member: &str) -> String {
    format!("raft -C addserver -m '{address}' -S '{member}'")
}

/// The command that puts the server at `address` in the place of the member `old`, asked of the
/// member at `member`. The old one is named by its id or its address.
#[must_use]
pub fn replace_command(old: &str, address: &str, member: &str) -> String {
    format!("raft member replace '{old}' '{address}' --endpoints '{member}'")
}

impl HelloRefused {
    /// Why, without both names.
    #[must_use]
    pub fn why(&self) -> String {
        let text = self.to_string();
        let names = format!("{} refuses {}: ", self.refuser, self.refused);
        text.strip_prefix(&names).map_or_else(|| text.clone(), str::to_owned)
    }

    /// Whether this tells `own` that it was taken out of its cluster, and by which index. A
    /// member obeys only for its current id: added again, it has another.
    #[must_use]
    pub fn removes(&self, own: &Party) -> Option<Index> {
        let is_meant = self.refuser.cluster == own.cluster
            && self.refused.id == own.id
            && self.refused.incarnation == own.incarnation;
        match self.reason {
            HelloReason::Removed { at } if is_meant => Some(at),
            _ => None,
        }
    }
}

impl fmt::Display for HelloRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, refuser, refused } = self;
        write!(f, "{refuser} refuses {refused}: ")?;
        match reason {
            HelloReason::Unsupported { ours, theirs } => write!(
                f,
                "it speaks protocol {theirs}, and {refuser} speaks {ours}; upgrade the older one"
            ),
            HelloReason::WrongCluster => {
                f.write_str("they belong to different clusters (")?;
                write_cluster(f, refuser)?;
                f.write_str(" and ")?;
                write_cluster(f, refused)?;
                f.write_str("); correct the address, or the data directory")
            }
            HelloReason::WrongNode { believed: Believed { id: Some(id), address, .. } }
                if refuser.id.is_none() && refuser.cluster.is_none() =>
            {
                write!(
                    f,
                    "its data directory is a new one, and not that of {id}; if that is lost, \
                     refill it from the others: {}",
                    replace_command(&id.to_string(), address, &refused.address)
                )
            }
            HelloReason::WrongNode { believed } => write!(
                f,
                "{believed} was dialled, and another server answers there; see which of them \
                 listens at that address"
            ),
            HelloReason::Itself => {
                f.write_str("it dialled itself; see that the addresses of all members differ")
            }
            HelloReason::Removed { at } => write!(
                f,
                "it was removed from the cluster at index {at}; to add it again: {}",
                add_command(&refused.address, &refuser.address)
            ),
            HelloReason::IncarnationMismatch { known } => write!(
                f,
                "it has another data directory ({:032x}) than the member of that id \
                 ({known:032x}); start it with the member's directory, or with an empty one and \
                 replace the member: {}",
                refused.incarnation,
                replacing(refused, refuser)
            ),
            HelloReason::EpochRegressed { known } => write!(
                f,
                "its data directory counts {} starts, and {known} have been seen: it is an older \
                 copy and may have forgotten votes and entries; start it with an empty directory, \
                 and replace the member: {}",
                refused.epoch,
                replacing(refused, refuser)
            ),
            HelloReason::DuplicateIdentity { epoch, nonce } => write!(
                f,
                "another running process has the same identity (start {epoch}, nonce \
                 {nonce:016x}, against start {}, nonce {:016x}); end the one that runs on a copy \
                 of the data directory",
                refused.epoch, refused.nonce
            ),
            HelloReason::New => write!(
                f,
                "{refuser} belongs to no cluster yet: it waits for its founders, or to be added"
            ),
            HelloReason::AcceptorRemoved { at } => {
                write!(f, "{refuser} was removed from its cluster at index {at}")
            }
            HelloReason::Invalid(what) => f.write_str(what),
        }
    }
}

/// The command that replaces the one at its own address.
fn replacing(one: &Party, other: &Party) -> String {
    let name = one.id.map_or_else(|| one.address.clone(), |id| id.to_string());
    replace_command(&name, &one.address, &other.address)
}

fn write_cluster(f: &mut fmt::Formatter<'_>, party: &Party) -> fmt::Result {
    match party.cluster {
        Some(cluster) => write!(f, "{cluster:032x}"),
        None => f.write_str("none"),
    }
}
