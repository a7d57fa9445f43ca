//! A new cluster that begins with what another one had: with a snapshot that somebody saved, or with
//! all that the last survivor of a cluster holds.
//!
//! It is another cluster, with another id and other incarnations, because it must never meet the
//! old one: whoever has the old id may have answered otherwise for what came after the copy. Index
//! and term go on, so that nothing in it is older than what a client saw before.
//!
//! Everything here is done while no server runs in the directory.

use std::sync::Arc;

use raft_core::{HardState, Index, LogId, NodeId, Term};
use raft_log::{
    DataDir, Disk, Holder, Inspection, MemberIdentity, NodeState, OpenError, Options,
    SnapshotError, SnapshotReader, Snapshots, Write, WriteError,
};
use thiserror::Error;
use xxhash_rust::xxh3::Xxh3;

use crate::founding::{Founder, cluster_id};
use crate::notice::Notice;
use crate::replica::{Machine, founding};
use crate::snapshots::{go_on_from, write};

/// Sets these hashes apart from all others, and their versions from each other.
const INCARNATION_DOMAIN: &[u8] = b"raft restored incarnation, version 1\0";

/// Who founds the new cluster, and which of them this member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founders(MemberIdentity);

/// What a new cluster begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The old cluster.
    pub cluster: u128,
    /// The last entry of it.
    pub at: LogId,
    /// Tells apart what different members had there.
    pub mark: u128,
}

/// Why there is no new cluster.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// The directory could not be made or read.
    #[error(transparent)]
    Directory(#[from] OpenError),
    /// A snapshot could not be read or written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The beginning of the log could not be written.
    #[error(transparent)]
    Log(#[from] WriteError),
    /// NODE could not be written.
    #[error("cannot write NODE: {0}")]
    Node(std::io::Error),
    /// An entry that this version does not know.
    #[error("entry {index} cannot be applied: {what}")]
    Unknown {
        /// Where it is.
        index: Index,
        /// What it is.
        what: String,
    },
    /// The log is not whole.
    #[error("entry {index} is missing in the log")]
    Missing {
        /// Which one.
        index: Index,
    },
}

impl Founders {
    /// Those at these addresses, each of which may be made on a machine of its own: from the same
    /// origin and with the same word, which was never used for that before, all come to the same
    /// cluster. `None` if the own address is not among them.
    #[must_use]
    pub fn of(own: &str, addresses: &[String], word: &str, origin: &Origin) -> Option<Self> {
        let mut addresses = addresses.to_vec();
        addresses.sort_unstable();
        let place = addresses.iter().position(|address| address == own)?;
        let founder = |address: &String| Founder {
            address: address.clone(),
            incarnation: origin.incarnation(word, &addresses, address),
        };
        let founders: Vec<Founder> = addresses.iter().map(founder).collect();
        let id = NodeId(place as u64 + 1);
        Some(Self::new(&founders, founders.get(place)?.incarnation, id, own.to_owned()))
    }

    fn new(founders: &[Founder], incarnation: u128, id: NodeId, address: String) -> Self {
        let cluster = cluster_id(founders);
        let founder = |founder: &Founder| raft_log::Founder {
            address: founder.address.clone(),
            incarnation: founder.incarnation,
        };
        let founders = founders.iter().map(founder).collect();
        Self(MemberIdentity { incarnation, cluster, id, address, founders })
    }

    /// Which member this is, and of which cluster.
    #[must_use]
    pub const fn me(&self) -> &MemberIdentity {
        &self.0
    }
}

impl Origin {
    /// That of a saved snapshot.
    #[must_use]
    pub fn of(snapshot: &SnapshotReader) -> Self {
        let info = snapshot.info();
        let mark = u128::from(info.bytes) << 32 | u128::from(info.checksum);
        Self { cluster: snapshot.cluster(), at: info.id, mark }
    }

    fn incarnation(&self, word: &str, all: &[String], own: &str) -> u128 {
        let mut hash = Xxh3::new();
        hash.update(INCARNATION_DOMAIN);
        for number in [self.cluster, self.at.index.0.into(), self.at.term.0.into(), self.mark] {
            hash.update(&number.to_le_bytes());
        }
        for text in [word, own].into_iter().chain(all.iter().map(String::as_str)) {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        hash.digest128()
    }
}

/// Makes a member's directory out of an empty one: its log begins after `at`, and `machine` is what
/// stands for everything up to there. A process that stops before the end leaves a directory that
/// is of no use: make it elsewhere and give it its name when it is whole.
///
/// # Errors
/// What could not be read or written.
pub fn begin(
    disk: Arc<dyn Disk>,
    holder: Holder,
    Founders(me): &Founders,
    machine: &Machine,
    (at, term): (LogId, Term),
) -> Result<(), RecoveryError> {
    let mut dir = DataDir::open_with(disk, holder, || me.incarnation)?;
    dir.set_identity(NodeState::Member(me.clone())).map_err(RecoveryError::Node)?;
    let mut log = dir.open_log(Options::default())?;
    write(&log.snapshots, &machine.found(at, founding(me)))?;
    let hard_state = HardState { term: term.max(at.term), voted_for: None };
    log.writer.write(&[Write {
        hard_state: Some(hard_state),
        reset: Some(at),
        first: at.index.next(),
        commit_hint: at.index,
        ..Write::default()
    }])?;
    log.writer.attest()?;
    Ok(())
}

/// Applies all that a directory holds, whether it is known to be committed or not.
///
/// # Errors
/// A snapshot or an entry cannot be used; or the log is damaged.
pub fn apply_all(
    inspection: &Inspection,
    snapshots: &Snapshots,
    machine: Machine,
) -> Result<(Machine, Vec<Notice>), RecoveryError> {
    let (mut machine, notices) = go_on_from(&inspection.log, snapshots, machine)?;
    for slot in &inspection.slots {
        let Some(mut contents) = inspection.contents(slot) else { continue };
        for block in &slot.blocks {
            for found in contents.entries(block)? {
                let (entry, next) = (found.entry, machine.applied().next());
                if found.void || entry.index < next {
                    continue;
                }
                if entry.index > next {
                    return Err(RecoveryError::Missing { index: next });
                }
                let taken = machine.take(&entry);
                taken.map_err(|what| RecoveryError::Unknown { index: entry.index, what })?;
            }
        }
    }
    match machine.applied() {
        applied if applied < inspection.last().index => {
            Err(RecoveryError::Missing { index: applied.next() })
        }
        _ => Ok((machine, notices)),
    }
}
