//! Looks at a data directory without changing it, also while a server works in it.
//!
//! Slots are found and replayed by the same code as at a start, so that both come to one verdict.
//! What differs is that the log may grow meanwhile:
//!
//! - The newest slot is read into memory page by page from its end to its beginning. A block
//!   that says "block n is durable" is therefore read before block n: a log that grows is never
//!   taken for one that lost a block.
//! - Damage and a torn end count once two looks in a row agree on them.
//!
//! Damage does not end the look: it is noted, and the next slot, whose header says where it
//! begins, is read in its own right.

mod snapshots;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use raft_core::{HardState, Index, LogId, Term};
use thiserror::Error;

use crate::block::{BlockHeader, Flags};
use crate::catalog::Catalog;
use crate::dir::look_at_node;
use crate::disk::{Disk, DiskFile};
use crate::entry::{Entry, decode_entries, decode_head};
use crate::error::OpenError;
use crate::node_file::{MemberIdentity, NodeState};
use crate::open::{
    Found, LogOwner, RecoveredLog, begin_of_log, find_slots, judge_slot, replay_slot,
};
use crate::replay::{Cut, Replay};
use crate::scan::{Block, SlotScan};
use crate::shown::{SHOWN_NAME, Shown, ShownMark};
use crate::slot::{Boot, DATA_OFFSET, PAGE_BYTES, SlotFile, SlotHeader, slot_name};
use crate::snapshot::{InspectedSnapshot, Snapshots};

pub use snapshots::snapshots_of;
use snapshots::unreadable;

/// After so many looks without agreement the last one counts.
const LOOKS_MAX: usize = 8;

/// What a directory holds.
#[derive(Debug)]
pub struct Inspection {
    /// Whose it is, and whether still a member's.
    pub identity: MemberIdentity,
    /// The index at which the member was removed, if it was.
    pub removed_at: Option<Index>,
    /// Starts that are counted.
    pub starts: u64,
    /// Up to where lines were shown.
    pub shown: Shown,
    /// What a start would recover, as far as it could be read.
    pub log: RecoveredLog,
    /// The slots that are the log, oldest first.
    pub slots: Vec<InspectedSlot>,
    /// The snapshots, newest first; their ends are looked at, see [`Inspection::read_snapshots`].
    pub snapshots: Vec<InspectedSnapshot>,
    /// Slots that are free: the file and its size.
    pub spares: Vec<(PathBuf, u64)>,
    /// The torn end, if there is one. In a directory that is in use it may be a write under way.
    pub cut: Option<Cut>,
    /// What a start would refuse, in the order of the log.
    pub damages: Vec<OpenError>,
    disk: Arc<dyn Disk>,
    found: Found,
    catalog: Catalog,
}

/// A slot that is part of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedSlot {
    /// The file.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Of these in use, headers included.
    pub bytes_used: u64,
    /// Its place in the order of slots.
    pub order: u64,
    /// The start that took it into use.
    pub boot: Boot,
    /// The number of its first block.
    pub base: u64,
    /// Where one of the two copies of the header is damaged, if one is: the other one counts.
    pub damaged_copy: Option<u64>,
    /// The blocks that count, as far as they could be read.
    pub blocks: Vec<InspectedBlock>,
    place: usize,
}

/// A block of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedBlock {
    /// Its number.
    pub number: u64,
    /// Where it stands in the file.
    pub offset: u64,
    /// Room that it takes.
    pub bytes: u64,
    /// What it carries: `entries`, `hard state`, `truncate`, `peers`, `attest`, `seal`.
    pub kinds: Vec<&'static str>,
    /// The index of its first entry; without entries, the one that comes next.
    pub first: Index,
    /// Its entries.
    pub count: u32,
    /// The terms of its first and last entry.
    pub terms: Option<(Term, Term)>,
    /// Blocks up to this number were durable when it was made.
    pub synced: u64,
    /// The commit hint that it carries.
    pub commit_hint: Index,
    /// Term and vote, if it carries them.
    pub hard_state: Option<HardState>,
    /// Everything from here on is void, if it says so.
    pub truncate_from: Option<Index>,
    /// Another block or slot proves that it was durable.
    pub durable: bool,
}

/// An entry, and whether it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedEntry {
    /// The entry.
    pub entry: Entry,
    /// A later truncation made it void.
    pub void: bool,
}

/// Reads the entries of one slot.
#[derive(Debug)]
pub struct SlotContents<'a> {
    scan: SlotScan<'a>,
    catalog: &'a Catalog,
}

/// How far a look is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of slots read.
    pub done: u64,
    /// Bytes of all slots of the log.
    pub total: u64,
}

/// Why there is nothing to look at.
#[derive(Debug, Error)]
pub enum InspectError {
    /// No data directory.
    #[error("{}: no log there: not a data directory (it has no NODE file)", dir.display())]
    Absent {
        /// The directory.
        dir: PathBuf,
    },
    /// A data directory without a log.
    #[error("{}: no log there yet: this server never was a member of a cluster", dir.display())]
    New {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory cannot be made sense of: a start would refuse it too.
    #[error(transparent)]
    Refused(#[from] OpenError),
}

/// Reads all of a directory's log. Writes nothing, locks nothing, begins no slot.
pub fn inspect(
    disk: &Arc<dyn Disk>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Inspection, InspectError> {
    let mut before = None;
    let mut looks = 1;
    loop {
        let found = look(disk, progress);
        let troubles = match &found {
            Ok(inspection) => inspection.troubles(),
            Err(error) => vec![error.to_string()],
        };
        if troubles.is_empty() || before.as_ref() == Some(&troubles) || looks == LOOKS_MAX {
            return found;
        }
        before = Some(troubles);
        looks += 1;
    }
}

fn look(
    disk: &Arc<dyn Disk>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Inspection, InspectError> {
    // Before the slots: its count of starts is never ahead of them.
    let (identity, removed_at, epoch) = whose(&**disk)?;
    let shown = ShownMark::look_at(&**disk, identity.cluster).map_err(|source| OpenError::Io {
        doing: "read",
        path: disk.path(SHOWN_NAME),
        source,
    })?;
    let (cluster, incarnation) = (identity.cluster, identity.incarnation);
    let owner = LogOwner { cluster, incarnation, epoch };
    let mut found = find_slots(&**disk, &owner)?;
    freeze_newest(&**disk, &owner, &mut found)?;
    let (mut replay, mut slots, mut damages) = (Replay::default(), Vec::new(), Vec::new());
    let mut look = Look { disk: &**disk, found: &found, replay: &mut replay, progress, done: 0 };
    let mut proven = found.newest().map_or(0, |(_, header)| header.synced_seq);
    for place in 0..found.chain.len() {
        let (slot, end) = look.slot(place);
        slots.extend(slot);
        match end {
            Ok(own) => proven = proven.max(own),
            Err(damage) => damages.push(damage),
        }
    }
    for block in slots.iter_mut().flat_map(|slot: &mut InspectedSlot| &mut slot.blocks) {
        block.durable = block.number <= proven;
    }
    let boot = found.newest().map(|(_, header)| header.boot).unwrap_or_default();
    let snapshots = Snapshots::new(Arc::clone(disk), cluster);
    let (sound, notes) = match begin_of_log(&snapshots, &**disk, &mut replay) {
        Ok(found) => found,
        Err(damage) => {
            damages.push(damage);
            (Vec::new(), Vec::new())
        }
    };
    let mut log = replay.recovered(boot);
    let mut sound = sound.into_iter();
    (log.snapshot, log.older_snapshots) = (sound.next(), sound.collect());
    log.notes.extend(notes);
    let (start, state) = (log.start, &replay.state);
    let holds = |id: LogId| id.index >= start.index && state.term_at(id.index) == Some(id.term);
    let looked = snapshots.look(holds).map_err(unreadable)?;
    let (at_once, later) = found.spares(true);
    let spares = at_once.into_iter().chain(later);
    let spares = spares.map(|s| (disk.path(&slot_name(s.file.number)), s.file.bytes)).collect();
    Ok(Inspection {
        identity,
        removed_at,
        starts: epoch.max(boot.epoch),
        shown,
        log,
        slots,
        snapshots: looked,
        spares,
        cut: replay.cut,
        damages,
        disk: Arc::clone(disk),
        catalog: replay.catalog,
        found,
    })
}

/// Whose directory it is, whether and at which index that member was removed, and its starts.
fn whose(disk: &dyn Disk) -> Result<(MemberIdentity, Option<Index>, u64), InspectError> {
    let dir = || disk.path(".");
    let node = look_at_node(disk)?.ok_or_else(|| InspectError::Absent { dir: dir() })?;
    match node.state {
        NodeState::New { .. } => Err(InspectError::New { dir: dir() }),
        NodeState::Member(identity) => Ok((identity, None, node.epoch)),
        NodeState::Removed(identity, at) => Ok((identity, Some(at), node.epoch)),
    }
}

impl Inspection {
    /// The last entry.
    #[must_use]
    pub fn last(&self) -> LogId {
        let term = self.log.term_runs.last().map_or(Term(0), |(_, term)| *term);
        LogId { term, index: self.log.last_index }
    }

    /// Reads the entries of one of the slots.
    #[must_use]
    pub fn contents(&self, slot: &InspectedSlot) -> Option<SlotContents<'_>> {
        let (file, header) = self.found.in_use().nth(slot.place)?;
        Some(SlotContents {
            scan: SlotScan::new(&*self.disk, file, header),
            catalog: &self.catalog,
        })
    }

    /// What another look has to confirm.
    fn troubles(&self) -> Vec<String> {
        let cut = self.cut.iter().map(|cut| format!("{cut:?}"));
        let copies = self.slots.iter().filter_map(|slot| Some((&slot.file, slot.damaged_copy?)));
        let copies = copies.map(|copy| format!("{copy:?}"));
        let faults = self.snapshots.iter().filter_map(|row| row.fault.as_ref());
        let faults = faults.map(ToString::to_string).chain(copies);
        cut.chain(faults).chain(self.damages.iter().map(ToString::to_string)).collect()
    }
}

impl SlotContents<'_> {
    /// The entries of a block of this slot.
    pub fn entries(&mut self, block: &InspectedBlock) -> Result<Vec<InspectedEntry>, OpenError> {
        if block.count == 0 {
            return Ok(Vec::new());
        }
        let number = self.scan.file.number;
        let body = match self.scan.block(block.offset)? {
            Ok(found) if found.header.block_seq == block.number => {
                Bytes::copy_from_slice(found.body)
            }
            _ => return Err(self.changed(block)),
        };
        let entries = decode_entries(&body).map_err(|_| self.changed(block))?;
        let counts = |index| {
            let at = self.catalog.find(index);
            at.is_some_and(|at| (at.number, at.offset()) == (number, block.offset))
        };
        let inspected = |entry: Entry| InspectedEntry { void: !counts(entry.index), entry };
        Ok(entries.into_iter().map(inspected).collect())
    }

    fn changed(&self, block: &InspectedBlock) -> OpenError {
        let what = format!("block {} is not there any more", block.number);
        self.scan.damaged(block.offset, what, Some(block.first), None)
    }
}

/// A look under way.
struct Look<'a> {
    disk: &'a dyn Disk,
    found: &'a Found,
    replay: &'a mut Replay,
    progress: &'a mut dyn FnMut(Progress),
    /// Bytes of the slots that are done.
    done: u64,
}

impl Look<'_> {
    /// Replays one slot, and tells up to which block its end proves blocks durable.
    fn slot(&mut self, place: usize) -> (Option<InspectedSlot>, Result<u64, OpenError>) {
        let Some((file, header)) = self.found.in_use().nth(place) else { return (None, Ok(0)) };
        let total = self.found.in_use().map(|(file, _)| file.bytes).sum();
        let (done, progress) = (self.done, &mut *self.progress);
        let (mut blocks, mut bytes_used) = (Vec::new(), DATA_OFFSET);
        let mut watch = |offset, block: &Block<'_>, last| {
            blocks.push(inspected(offset, block, last));
            bytes_used = offset + block.header.bytes();
            progress(Progress { done: done + bytes_used, total });
        };
        let end = replay_slot(self.disk, self.found, place, self.replay, &mut watch);
        if let (Err(_), Some((_, next))) = (&end, self.found.in_use().nth(place + 1)) {
            self.replay.resume_at(next);
        }
        self.done += file.bytes;
        (self.progress)(Progress { done: self.done, total });
        let slot = InspectedSlot {
            file: self.disk.path(&slot_name(file.number)),
            bytes: file.bytes,
            bytes_used,
            order: header.slot_seq,
            boot: header.boot,
            base: header.base_block_seq,
            damaged_copy: self.found.damaged_copy(place),
            blocks,
            place,
        };
        (Some(slot), end.map(|tail| tail.map_or(0, |tail| tail.proven_seq)))
    }
}

fn inspected(offset: u64, block: &Block<'_>, last: LogId) -> InspectedBlock {
    let header: &BlockHeader = &block.header;
    let flags = header.flags;
    let kinds = [
        (Flags::TRUNCATE, "truncate"),
        (Flags::ENTRIES, "entries"),
        (Flags::HARD_STATE, "hard state"),
        (Flags::PEERS, "peers"),
        (Flags::ATTEST, "attest"),
        (Flags::SEAL, "seal"),
    ];
    let entries = flags.has(Flags::ENTRIES);
    let first = entries.then(|| decode_head(block.body, 0).ok()).flatten();
    InspectedBlock {
        number: header.block_seq,
        offset,
        bytes: header.bytes(),
        kinds: kinds.into_iter().filter(|(kind, _)| flags.has(*kind)).map(|(_, s)| s).collect(),
        first: header.first,
        // In a SEAL block the count is a file's number.
        count: if entries { header.count } else { 0 },
        terms: first.map(|head| (head.term, last.term)),
        synced: header.synced_seq,
        commit_hint: header.commit_hint,
        hard_state: flags.has(Flags::HARD_STATE).then_some(header.hard_state),
        truncate_from: flags.has(Flags::TRUNCATE).then_some(header.truncate_from),
        durable: false,
    }
}

/// The newest slot as it was at one time, as far as durability goes.
#[derive(Debug)]
struct Frozen(Vec<u8>);

/// Replaces the newest slot's file by a copy in memory.
fn freeze_newest(disk: &dyn Disk, owner: &LogOwner, found: &mut Found) -> Result<(), OpenError> {
    let Some(at) = found.chain.last().copied() else { return Ok(()) };
    let Some(slot) = found.slots.get_mut(at) else { return Ok(()) };
    let SlotFile { number, file, bytes } = &slot.file;
    let (number, name) = (*number, slot_name(*number));
    let copy = backwards(&**file, *bytes).map_err(|source| OpenError::Io {
        doing: "read",
        path: disk.path(&name),
        source,
    })?;
    let frozen = judge_slot(disk, number, &name, Arc::new(Frozen(copy)), owner)?;
    let order = |header: &Option<SlotHeader>| header.as_ref().map(|header| header.slot_seq);
    if order(&frozen.header) != order(&slot.header) {
        let what = "the slot was taken into use anew while it was read".into();
        let (file, offset) = (disk.path(&name), 0);
        return Err(OpenError::Damaged { file, offset, what, first: None, last: None });
    }
    *slot = frozen;
    Ok(())
}

/// Reads the pages of a file from the last to the first.
fn backwards(file: &dyn DiskFile, bytes: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(bytes).map_err(io::Error::other)?;
    let mut copy = vec![0; length];
    // Once forwards and at one go, so that the pages come from memory and not one by one from
    // the disk.
    file.read_at(&mut copy, 0)?;
    for (number, page) in copy.chunks_mut(PAGE_BYTES).enumerate().rev() {
        file.read_at(page, (number * PAGE_BYTES) as u64)?;
    }
    Ok(copy)
}

fn read_only<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl DiskFile for Frozen {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.0.get(start..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, _parts: &[&[u8]], _offset: u64) -> io::Result<()> {
        read_only()
    }

    fn sync_data(&self) -> io::Result<()> {
        read_only()
    }

    fn sync_all(&self) -> io::Result<()> {
        read_only()
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn try_lock(&self) -> io::Result<bool> {
        read_only()
    }
}
