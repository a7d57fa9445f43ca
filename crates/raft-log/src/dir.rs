//! The data directory: who it belongs to, that only one process works in it, and what is in it.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::disk::{Disk, DiskFile};
use crate::error::{OpenError, is_full};
use crate::node_file::{NodeFile, NodeFileError, NodeState, can_be_address};
use crate::open::{Log, LogOwner, any_slot_used, open_log};
use crate::rng::Rng;
use crate::shown::{SHOWN_NAME, SHOWN_TEMPORARY_NAME, Shown, ShownMark, remove_if_there};
use crate::slot::{WAL_DIR, slot_number};
use crate::snapshot::{SNAPSHOT_DIR, Snapshots};
use crate::spares::Options;

const NODE_NAME: &str = "NODE";
const NODE_TEMPORARY_NAME: &str = "NODE.tmp";
const LOCK_NAME: &str = "LOCK";
/// LOCK is always this long, so that a shorter text leaves nothing of a longer one.
const LOCK_BYTES: usize = 512;
/// No NODE file is longer.
const NODE_BYTES_MAX: u64 = 1024 * 1024;
/// A directory at the top of a file system has this; it says nothing about who uses it.
const LOST_AND_FOUND: &str = "lost+found";

/// Who works in a directory: what another process that tries to is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// The address that it serves.
    pub address: String,
}

/// An open data directory. As long as it lives no other process can open it.
#[derive(Debug)]
pub struct DataDir {
    disk: Arc<dyn Disk>,
    node: NodeFile,
    snapshots: OnceLock<Snapshots>,
    /// Open means locked.
    _lock: Arc<dyn DiskFile>,
}

impl DataDir {
    /// Locks the directory and reads who it belongs to; an empty one becomes *new*. A directory
    /// with anything else in it is refused and left as it is.
    pub fn open(disk: Arc<dyn Disk>, holder: Holder) -> Result<Self, OpenError> {
        Self::open_seeded(disk, holder, None)
    }

    /// As `open`; the incarnation of an empty directory is made from the seed.
    pub fn open_seeded(
        disk: Arc<dyn Disk>,
        holder: Holder,
        seed: Option<u64>,
    ) -> Result<Self, OpenError> {
        Self::open_with(disk, holder, || Rng::new(seed).next_u128())
    }

    /// As `open`; the incarnation of an empty directory is made by the caller.
    pub fn open_with(
        disk: Arc<dyn Disk>,
        holder: Holder,
        make_incarnation: impl FnOnce() -> u128,
    ) -> Result<Self, OpenError> {
        let opening = Opening { disk: &*disk };
        let private = if opening.has_node()? {
            disk.check_private()
        } else {
            opening.refuse_foreign_files()?;
            disk.make_private()
        };
        private.map_err(|error| opening.error(".", "use", error))?;
        let lock = opening.lock(&holder)?;
        let node = if opening.has_node()? {
            let node = opening.read_node()?;
            opening.refuse_older_node(&node)?;
            // What stopped before may have put it in place without making that durable.
            disk.sync_dir(".").map_err(|error| opening.error(".", "sync", error))?;
            node
        } else {
            let incarnation = make_incarnation();
            let node = NodeFile { state: NodeState::New { incarnation }, epoch: 0 };
            ShownMark::create(&*disk, 0)
                .map_err(|error| opening.error(SHOWN_NAME, "make", error))?;
            write_node(&*disk, &node).map_err(|error| opening.error(NODE_NAME, "write", error))?;
            node
        };
        Ok(Self { disk, node, snapshots: OnceLock::new(), _lock: lock })
    }

    /// Who this directory belongs to.
    #[must_use]
    pub fn identity(&self) -> &NodeState {
        &self.node.state
    }

    /// Replaces NODE atomically; durable when this returns.
    pub fn set_identity(&mut self, state: NodeState) -> io::Result<()> {
        if state.incarnation() != self.node.state.incarnation() {
            let what = "a directory keeps its incarnation";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let node = NodeFile { state, epoch: self.node.epoch };
        write_node(&*self.disk, &node)?;
        self.node = node;
        Ok(())
    }

    /// The shown mark, and what it said.
    pub fn shown(&self) -> io::Result<(ShownMark, Shown)> {
        ShownMark::open(&*self.disk, self.node.state.cluster().unwrap_or(0))
    }

    /// The snapshots of a member, now or once; none before that.
    pub fn snapshots(&self) -> Option<Snapshots> {
        let cluster = self.node.state.cluster()?;
        let make = || Snapshots::new(Arc::clone(&self.disk), cluster);
        Some(self.snapshots.get_or_init(make).clone())
    }

    /// Opens the log of a member: recovers it, and begins a new slot. When this returns the
    /// start is counted and durable.
    pub fn open_log(&mut self, options: Options) -> Result<Log, OpenError> {
        let snapshots = self.snapshots();
        let opening = Opening { disk: &*self.disk };
        let (NodeState::Member(identity), Some(snapshots)) = (&self.node.state, snapshots) else {
            return Err(OpenError::NotMember { dir: self.disk.path(".") });
        };
        let owner = LogOwner {
            cluster: identity.cluster,
            incarnation: identity.incarnation,
            epoch: self.node.epoch,
        };
        let mut log = open_log(Arc::clone(&self.disk), owner, options, snapshots)?;
        // Counted only now: NODE never knows of a start that the slots do not.
        let epoch = log.recovered.boot.epoch;
        let node = NodeFile { state: self.node.state.clone(), epoch };
        match write_node(&*self.disk, &node) {
            Ok(()) => self.node = node,
            // The count only serves to miss a lost slot; on a full disk it may lag behind.
            Err(error) if is_full(&error) => {
                let path = self.disk.path(NODE_NAME);
                let note = format!("{}: start {epoch} not counted: {error}", path.display());
                log.recovered.notes.push(note);
            }
            Err(error) => return Err(opening.error(NODE_NAME, "write", error)),
        }
        Ok(log)
    }

    /// The disk that the directory is on.
    #[must_use]
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }
}

/// The steps of opening.
struct Opening<'a> {
    disk: &'a dyn Disk,
}

impl Opening<'_> {
    fn has_node(&self) -> Result<bool, OpenError> {
        let names = self.disk.list(".").map_err(|error| self.error(".", "list", error))?;
        Ok(names.iter().any(|name| name == NODE_NAME))
    }

    /// Without NODE, only what a stopped first start could have left counts as empty.
    fn refuse_foreign_files(&self) -> Result<(), OpenError> {
        let list = |dir| self.disk.list(dir);
        let ours = [LOCK_NAME, SHOWN_NAME, SHOWN_TEMPORARY_NAME, NODE_TEMPORARY_NAME];
        let mut found = Vec::new();
        for name in list(".").map_err(|error| self.error(".", "list", error))? {
            if ours.contains(&&*name) || name == LOST_AND_FOUND {
                continue;
            }
            let empty = match &*name {
                WAL_DIR => list(WAL_DIR).is_ok_and(|names| names.iter().all(|n| is_slot_file(n))),
                // Beside a log they are ours, and NODE is what is missing.
                SNAPSHOT_DIR => {
                    list(SNAPSHOT_DIR).is_ok_and(|names| names.is_empty())
                        || any_slot_used(self.disk).is_ok_and(|slot| slot.is_some())
                }
                _ => false,
            };
            if !empty {
                found.push(name);
            }
        }
        if !found.is_empty() {
            if found.len() > 3 {
                found.truncate(3);
                found.push("…".into());
            }
            return Err(OpenError::ForeignFiles { dir: self.disk.path("."), found });
        }
        if let Some(slot) = any_slot_used(self.disk)? {
            return Err(self.no_node(&slot));
        }
        Ok(())
    }

    /// NODE says whose a directory is before its first slot is taken into use.
    fn refuse_older_node(&self, node: &NodeFile) -> Result<(), OpenError> {
        let NodeState::New { .. } = node.state else { return Ok(()) };
        match any_slot_used(self.disk)? {
            Some(slot) => {
                let slot = slot.display();
                Err(self.damaged(format!("says \"state new\", although {slot} holds a log")))
            }
            None => Ok(()),
        }
    }

    fn no_node(&self, slot: &Path) -> OpenError {
        self.damaged(format!("missing, although {} holds a log", slot.display()))
    }

    fn lock(&self, holder: &Holder) -> Result<Arc<dyn DiskFile>, OpenError> {
        let error = |error| self.error(LOCK_NAME, "lock", error);
        let file = match self.disk.open(LOCK_NAME) {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
                match self.disk.create(LOCK_NAME) {
                    Err(race) if race.kind() == io::ErrorKind::AlreadyExists => {
                        self.disk.open(LOCK_NAME)
                    }
                    created => created,
                }
            }
            opened => opened,
        }
        .map_err(error)?;
        if !file.try_lock().map_err(error)? {
            return Err(self.locked(&*file));
        }
        let text = format!("pid {}\naddress {}\n", holder.pid, holder.address.replace('\n', " "));
        let mut padded = text.into_bytes();
        padded.resize(LOCK_BYTES, b' ');
        file.write_at(&[&padded], 0).map_err(error)?;
        Ok(file)
    }

    fn locked(&self, file: &dyn DiskFile) -> OpenError {
        let mut text = [0; LOCK_BYTES];
        let read = file.read_at(&mut text, 0).unwrap_or(0);
        let text = String::from_utf8_lossy(&text[..read]);
        let value = |key| text.lines().find_map(|line| line.strip_prefix(key));
        let pid = value("pid ").and_then(|pid| pid.trim().parse().ok());
        // Anybody may have written the file: what is no address is not shown.
        let address = value("address ").map(str::trim).filter(|text| can_be_address(text));
        let address = address.map(str::to_owned);
        OpenError::Locked { path: self.disk.path(LOCK_NAME), pid, address }
    }

    fn read_node(&self) -> Result<NodeFile, OpenError> {
        let error = |error| self.error(NODE_NAME, "read", error);
        let file = self.disk.open(NODE_NAME).map_err(error)?;
        let bytes = file.bytes().map_err(error)?.min(NODE_BYTES_MAX);
        let mut text = vec![0; usize::try_from(bytes).unwrap_or(0)];
        let read = file.read_at(&mut text, 0).map_err(error)?;
        text.truncate(read);
        NodeFile::decode(&text).map_err(|error| match error {
            NodeFileError::Damaged(what) => self.damaged(what),
            NodeFileError::TooNew(version) => {
                OpenError::TooNew { file: self.disk.path(NODE_NAME), version }
            }
        })
    }

    fn damaged(&self, what: String) -> OpenError {
        let file = self.disk.path(NODE_NAME);
        OpenError::Damaged { file, offset: 0, what, first: None, last: None }
    }

    fn error(&self, name: &str, doing: &'static str, source: io::Error) -> OpenError {
        OpenError::Io { doing, path: self.disk.path(name), source }
    }
}

/// NODE, looked at only; `None` if there is none.
pub(crate) fn look_at_node(disk: &dyn Disk) -> Result<Option<NodeFile>, OpenError> {
    let opening = Opening { disk };
    if opening.has_node()? {
        let node = opening.read_node()?;
        opening.refuse_older_node(&node)?;
        return Ok(Some(node));
    }
    match any_slot_used(disk)? {
        Some(slot) => Err(opening.no_node(&slot)),
        None => Ok(None),
    }
}

/// Slot files and slots in the making.
fn is_slot_file(name: &str) -> bool {
    let made = name.strip_suffix(".tmp").map(|stem| format!("{stem}.seg"));
    slot_number(made.as_deref().unwrap_or(name)).is_some()
}

/// Writes NODE beside itself, syncs it, and puts it in place.
fn write_node(disk: &dyn Disk, node: &NodeFile) -> io::Result<()> {
    let text = node.encode()?;
    remove_if_there(disk, NODE_TEMPORARY_NAME)?;
    let file = disk.create(NODE_TEMPORARY_NAME)?;
    file.write_at(&[text.as_bytes()], 0)?;
    file.sync_all()?;
    disk.rename(NODE_TEMPORARY_NAME, NODE_NAME)?;
    disk.sync_dir(".")
}
