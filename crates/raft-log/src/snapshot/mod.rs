//! Snapshots: what the state machine and its driver were at one entry of the log, so that the
//! log below it can go.
//!
//! `snap/<index>-<term>` holds the driver's own bytes, the parts that change, and a list of all
//! parts. A part that never changes again has a name and a file of its own,
//! `snap/<name>.part`: snapshots that have it in common share the file, so it is written once,
//! and gone with the last of them. Files are made under temporary names, synced, renamed; a
//! snapshot's own name comes last, so that whatever it names is durable before it.

mod gradual;
mod look;
mod prune;
mod reader;
mod receiver;
mod save;
mod section;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raft_core::{Index, LogId};

use crate::disk::Disk;
use crate::error::{SnapshotError, is_full};
use crate::le;
use crate::shown::remove_if_there;
use section::{FileId, FileKind};

pub use look::InspectedSnapshot;
pub use reader::{SnapshotReader, StateReader};
pub use receiver::SnapshotReceiver;
pub use writer::SnapshotWriter;

/// The directory of the snapshots.
pub(crate) const SNAPSHOT_DIR: &str = "snap";
/// Bytes of a row of the list of parts.
const ROW_BYTES: usize = 24;

/// A part of a state machine's snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotPart {
    /// What is in it may be different in the next snapshot.
    Changing,
    /// It never changes; the number is its name, and the same on every member.
    Sealed(u64),
}

/// A snapshot: which one, and how much it is to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The last entry that it stands for.
    pub id: LogId,
    /// Bytes of its own file, which come first when it is sent.
    pub file_bytes: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Covers all of it. Two snapshots that agree in all of this are the same.
    pub checksum: u32,
}

/// The snapshots of a data directory. Cloning is cheap; every clone is the same.
#[derive(Clone, Debug)]
pub struct Snapshots {
    store: Arc<Store>,
}

#[derive(Debug)]
struct Store {
    disk: Arc<dyn Disk>,
    cluster: u128,
    /// Files that somebody reads or makes, and how many do: they are not removed.
    held: Mutex<BTreeMap<String, usize>>,
}

/// Keeps files from being removed as long as it lives.
#[derive(Debug)]
struct Hold {
    store: Arc<Store>,
    names: Vec<String>,
}

/// A row of the list of parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    part: SnapshotPart,
    bytes: u64,
    /// Of a sealed part: what the end of its file says.
    checksum: u32,
}

impl Snapshots {
    pub(crate) fn new(disk: Arc<dyn Disk>, cluster: u128) -> Self {
        let held = Mutex::new(BTreeMap::new());
        Self { store: Arc::new(Store { disk, cluster, held }) }
    }

    /// The snapshots that are there, newest first; nothing is said of how sound they are.
    pub fn list(&self) -> Result<Vec<LogId>, SnapshotError> {
        let names = self.store.names()?;
        let mut ids: Vec<LogId> = names.iter().filter_map(|name| parse_id(name)).collect();
        ids.sort_by_key(|id| std::cmp::Reverse((id.index, id.term)));
        Ok(ids)
    }

    /// Begins a snapshot of the state as of entry `id`, which must be durable in the log. `own`
    /// is what whoever drives the state machine adds to it.
    pub fn write(&self, id: LogId, own: &[u8]) -> Result<SnapshotWriter, SnapshotError> {
        SnapshotWriter::begin(&self.store, id, own)
    }

    /// Opens a snapshot: its ends and those of its parts are found right, the rest is verified
    /// when it is read.
    pub fn open(&self, id: LogId) -> Result<SnapshotReader, SnapshotError> {
        SnapshotReader::open(&self.store, id)
    }

    /// Begins to receive a snapshot, or goes on where that stopped.
    pub fn receive(&self, info: SnapshotInfo) -> Result<SnapshotReceiver, SnapshotError> {
        SnapshotReceiver::begin(&self.store, info)
    }

    /// Removes what is not needed once the log goes on from the snapshot `newest`: of those
    /// before it one sound one stays. Whatever is being read or made stays too.
    pub fn prune(&self, newest: LogId) -> Result<(), SnapshotError> {
        self.store.prune(newest)
    }
}

/// The snapshots that a log which begins after `start` can go on from, newest first, and what is
/// wrong with others. `term_at` tells the term of an entry of the log.
pub(crate) fn choose(
    snapshots: &Snapshots,
    start: LogId,
    term_at: impl Fn(Index) -> Option<raft_core::Term>,
) -> Result<(Vec<LogId>, Vec<String>), SnapshotError> {
    let (mut sound, mut notes) = (Vec::new(), Vec::new());
    for id in snapshots.list()?.into_iter().filter(|id| id.index >= start.index) {
        if term_at(id.index) != Some(id.term) {
            let path = snapshots.store.disk.path(&file_name(id));
            notes.push(format!("{}: not used: the log was not reset to it", path.display()));
            continue;
        }
        match snapshots.open(id) {
            Ok(_) => sound.push(id),
            Err(error @ SnapshotError::Io { .. }) => return Err(error),
            Err(error) => notes.push(format!("{error}; not used")),
        }
    }
    Ok((sound, notes))
}

impl Store {
    fn held(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> Result<Vec<String>, SnapshotError> {
        self.disk.list(SNAPSHOT_DIR).map_err(|source| self.error(SNAPSHOT_DIR, "list", source))
    }

    fn error(&self, name: &str, doing: &'static str, source: io::Error) -> SnapshotError {
        let path = self.disk.path(name);
        if is_full(&source) {
            SnapshotError::NoSpace { path }
        } else {
            SnapshotError::Io { doing, path, source }
        }
    }

    fn snapshot_id(&self, id: LogId) -> FileId {
        let (kind, cluster) = (FileKind::Snapshot, self.cluster);
        FileId { kind, cluster, numbers: (id.index.0, id.term.0) }
    }

    fn sealed_id(&self, name: u64) -> FileId {
        FileId { kind: FileKind::Sealed, cluster: self.cluster, numbers: (name, 0) }
    }

    /// Makes the directory, its name durable.
    fn make_dir(&self) -> Result<(), SnapshotError> {
        let made = self.disk.create_dir(SNAPSHOT_DIR).and_then(|()| self.disk.sync_dir("."));
        made.map_err(|source| self.error(SNAPSHOT_DIR, "make", source))
    }

    fn sync_names(&self) -> Result<(), SnapshotError> {
        let synced = self.disk.sync_dir(SNAPSHOT_DIR);
        synced.map_err(|source| self.error(SNAPSHOT_DIR, "sync", source))
    }

    /// Removes a file that may be there.
    fn remove(&self, name: &str) -> Result<(), SnapshotError> {
        let removed = remove_if_there(&*self.disk, name);
        removed.map_err(|source| self.error(name, "remove", source))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), SnapshotError> {
        self.disk.rename(from, to).map_err(|source| self.error(to, "rename to", source))
    }
}

impl Hold {
    fn new(store: &Arc<Store>) -> Self {
        Self { store: Arc::clone(store), names: Vec::new() }
    }

    fn add(&mut self, name: String) {
        *self.store.held().entry(name.clone()).or_default() += 1;
        self.names.push(name);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.store.held();
        for name in &self.names {
            if let Some(count) = held.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    held.remove(name);
                }
            }
        }
    }
}

impl Row {
    fn encode(&self) -> [u8; ROW_BYTES] {
        let mut bytes = [0; ROW_BYTES];
        if let SnapshotPart::Sealed(name) = self.part {
            le::put_u32(&mut bytes, 0, 1);
            le::put_u64(&mut bytes, 8, name);
        }
        le::put_u32(&mut bytes, 4, self.checksum);
        le::put_u64(&mut bytes, 16, self.bytes);
        bytes
    }

    fn decode(bytes: &[u8; ROW_BYTES]) -> Option<Self> {
        let part = match le::u32_at(bytes, 0) {
            0 => SnapshotPart::Changing,
            1 => SnapshotPart::Sealed(le::u64_at(bytes, 8)),
            _ => return None,
        };
        Some(Self { part, checksum: le::u32_at(bytes, 4), bytes: le::u64_at(bytes, 16) })
    }
}

/// `snap/120-3`.
fn file_name(id: LogId) -> String {
    format!("{SNAPSHOT_DIR}/{}-{}", id.index.0, id.term.0)
}

/// The snapshot of such a name in the directory.
fn parse_id(name: &str) -> Option<LogId> {
    let (index, term) = name.split_once('-')?;
    let id = LogId::new(index.parse().ok()?, term.parse().ok()?);
    (id.index.0 > 0 && file_name(id).ends_with(&format!("/{name}"))).then_some(id)
}

/// `snap/00000000000000a1.part`.
fn sealed_name(name: u64) -> String {
    format!("{SNAPSHOT_DIR}/{name:016x}.part")
}
