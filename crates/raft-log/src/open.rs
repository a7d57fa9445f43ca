//! Opens the log: finds the chain of slots, replays it, and begins a new slot.
//!
//! Every start begins a new slot. What the old tail holds beyond the last block that is proven
//! durable is rewritten there and synced before the new slot's header is: after a failed
//! write-back the page cache may show bytes that the disk does not hold, and a sync would
//! then succeed without writing them (R12).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use raft_core::{HardState, Index, LogId, Term};

use crate::catalog::SlotUse;
use crate::disk::{Disk, DiskFile};
use crate::error::{OpenError, SnapshotError};
use crate::reader::LogReader;
use crate::replay::{Replay, Tail, Watch};
use crate::slot::{
    Boot, Copy, DATA_OFFSET, PAGE_BYTES, PeerBoot, SLOT_BYTES_MAX, SLOT_BYTES_MIN, SlotFile,
    SlotHeader, WAL_DIR, slot_name, slot_number,
};
use crate::snapshot::{SNAPSHOT_DIR, Snapshots, choose};
use crate::spares::{Options, Pool, Spare, SpareMaker};
use crate::start::Start;
use crate::writer::LogWriter;

/// An open log.
#[derive(Debug)]
pub struct Log {
    /// What was found.
    pub recovered: RecoveredLog,
    /// Writes it.
    pub writer: LogWriter,
    /// Reads it while it is written.
    pub reader: LogReader,
    /// Makes spare slots.
    pub spares: SpareMaker,
    /// What stands for what it no longer holds.
    pub snapshots: Snapshots,
}

/// What was found at open: all that is needed to go on, and no entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveredLog {
    /// The last term and vote.
    pub hard_state: HardState,
    /// The entry that the log begins after; `0@0` if nothing was compacted.
    pub start: LogId,
    /// The newest snapshot that the log goes on from, at or above `start`. Its contents are
    /// verified when they are read.
    pub snapshot: Option<LogId>,
    /// Older ones that it goes on from as well, newest first.
    pub older_snapshots: Vec<LogId>,
    /// The last entry.
    pub last_index: Index,
    /// Where each term begins, ascending; if the log was compacted, first that of `start`.
    pub term_runs: Vec<(Index, Term)>,
    /// Everything up to here is committed; more may be.
    pub commit_hint: Index,
    /// The membership entries in the log: index and payload.
    pub memberships: Vec<(Index, Bytes)>,
    /// The lives of the peers, as last written.
    pub peers: Vec<PeerBoot>,
    /// This start.
    pub boot: Boot,
    /// The end of the log was cut, and what was cut could have been durable. The member votes,
    /// and campaigns later than others.
    pub tail_ambiguous: bool,
    /// Facts for standard error, one a line.
    pub notes: Vec<String>,
}

/// Whose log it is, and how often it was started at least.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogOwner {
    pub(crate) cluster: u128,
    pub(crate) incarnation: u128,
    pub(crate) epoch: u64,
}

/// A slot file and its header, if it has one.
#[derive(Debug)]
pub(crate) struct FoundSlot {
    pub(crate) file: SlotFile,
    pub(crate) header: Option<SlotHeader>,
    /// Where the copy of the header is that may be torn on the disk, if one may.
    torn: Option<u64>,
    /// Whether it is seen to be damaged.
    is_damaged: bool,
}

/// All slots, and which of them are the log: oldest first.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) slots: Vec<FoundSlot>,
    pub(crate) chain: Vec<usize>,
    /// The log without its newest slot, should that not be durable: there may be more of it,
    /// which the newest slot compacted.
    before_newest: BTreeSet<usize>,
}

pub(crate) fn open_log(
    disk: Arc<dyn Disk>,
    owner: LogOwner,
    options: Options,
    snapshots: Snapshots,
) -> Result<Log, OpenError> {
    options.validate();
    let io_error = |doing, source| OpenError::Io { doing, path: disk.path(WAL_DIR), source };
    disk.create_dir(WAL_DIR).map_err(|error| io_error("make", error))?;
    // What stopped before may have left names that are not durable: of this directory, of slots in
    // it, and of snapshots.
    let names = disk.list(SNAPSHOT_DIR).map_err(|error| io_error("list", error))?;
    let snapshots_dir = (!names.is_empty()).then_some(SNAPSHOT_DIR);
    for dir in [".", WAL_DIR].into_iter().chain(snapshots_dir) {
        disk.sync_dir(dir).map_err(|error| io_error("sync", error))?;
    }

    let found = find_slots(&*disk, &owner)?;
    let mut replay = Replay::default();
    let tail = replay_chain(&*disk, &found, &mut replay)?;
    let epoch = found.slots.iter().filter_map(|slot| slot.header.as_ref()).map(|h| h.boot.epoch);
    let epoch = epoch.max().unwrap_or(0).max(owner.epoch) + 1;
    let (sound, notes) = begin_of_log(&snapshots, &*disk, &mut replay)?;
    let mut log = Start { disk, owner, options, found, replay, tail, epoch, snapshots }.begin()?;
    let mut sound = sound.into_iter();
    log.recovered.snapshot = sound.next();
    log.recovered.older_snapshots = sound.collect();
    log.recovered.notes.extend(notes);
    Ok(log)
}

/// The snapshots that the log goes on from, newest first, and what is wrong with others. A log that does not
/// begin with the first entry needs one.
pub(crate) fn begin_of_log(
    snapshots: &Snapshots,
    disk: &dyn Disk,
    replay: &mut Replay,
) -> Result<(Vec<LogId>, Vec<String>), OpenError> {
    let start = replay.state.start();
    let chosen = choose(snapshots, start, |index| replay.state.term_at(index));
    let (sound, notes) = chosen.map_err(|error| match error {
        SnapshotError::Io { doing, path, source } => OpenError::Io { doing, path, source },
        other => damaged(disk, SNAPSHOT_DIR, other.to_string(), None),
    })?;
    if sound.is_empty() && start.index > Index(0) {
        let why = if notes.is_empty() { "there is none".into() } else { notes.join("; ") };
        let what =
            format!("the log begins after entry {start}, and no snapshot goes so far: {why}");
        let (file, first) = (disk.path(SNAPSHOT_DIR), Some(Index(1)));
        let last = Some(start.index);
        return Err(OpenError::Damaged { file, offset: 0, what, first, last });
    }
    // What is in a snapshot was committed.
    replay.state.observe_commit(sound.first().copied().unwrap_or_default().index);
    Ok((sound, notes))
}

/// Whether any slot was ever taken into use, in a directory that has no NODE file.
pub(crate) fn any_slot_used(disk: &dyn Disk) -> Result<Option<PathBuf>, OpenError> {
    for name in list_slots(disk)?.values() {
        let file = disk.open(name).map_err(|source| io_error(disk, name, "open", source))?;
        let mut page = [0; PAGE_BYTES];
        for offset in [0, PAGE_BYTES as u64] {
            read_page(disk, name, &*file, offset, &mut page)?;
            if page.iter().any(|byte| *byte != 0) {
                return Ok(Some(disk.path(name)));
            }
        }
    }
    Ok(None)
}

impl FoundSlot {
    /// The slot, once nothing refers to it.
    fn spare(&self) -> Spare {
        Spare { file: self.file.clone(), recycled: true, torn: self.torn }
    }
}

impl Found {
    /// The newest slot, once the one of this start has superseded it.
    pub(crate) fn newest_as_spare(&self) -> Option<Spare> {
        Some(self.slots.get(*self.chain.last()?)?.spare())
    }

    /// The newest slot.
    pub(crate) fn newest(&self) -> Option<(&SlotFile, &SlotHeader)> {
        let slot = self.slots.get(*self.chain.last()?)?;
        Some((&slot.file, slot.header.as_ref()?))
    }

    /// The slots of the chain as readers need them.
    pub(crate) fn uses(&self) -> impl Iterator<Item = (u32, SlotUse)> {
        let slots = self.chain.iter().filter_map(|at| self.slots.get(*at));
        slots.filter_map(|slot| {
            let header = slot.header.as_ref()?;
            let (slot_seq, salt, before) = (header.slot_seq, header.salt, header.last);
            let (file, torn) = (slot.file.clone(), slot.torn);
            Some((file.number, SlotUse { file, slot_seq, salt, before, torn }))
        })
    }

    /// The slots of the chain with their headers, oldest first.
    pub(crate) fn in_use(&self) -> impl Iterator<Item = (&SlotFile, &SlotHeader)> {
        let slots = self.chain.iter().filter_map(|at| self.slots.get(*at));
        slots.filter_map(|slot| Some((&slot.file, slot.header.as_ref()?)))
    }

    /// Which copy of the header is damaged in the slot at this place of the chain: the other counts.
    pub(crate) fn damaged_copy(&self, place: usize) -> Option<u64> {
        let slot = self.slots.get(*self.chain.get(place)?)?;
        slot.torn.filter(|_| slot.is_damaged)
    }

    /// Slots that nothing refers to, in two parts: those free at once, and those that hold what
    /// the newest slot holds too. If `newest_durable` is not certain the latter are the only
    /// durable copy, and must stay until there is another.
    pub(crate) fn spares(&self, newest_durable: bool) -> (Vec<Spare>, Vec<Spare>) {
        let chain: BTreeSet<usize> = self.chain.iter().copied().collect();
        let certain = self.newest().map_or(0, |(_, header)| header.previous_slot_seq);
        let free = self.slots.iter().enumerate().filter(|(at, _)| !chain.contains(at));
        let (mut at_once, mut later) = (Vec::new(), Vec::new());
        for (at, slot) in free {
            let spare = slot.spare();
            let held = slot.header.as_ref().is_some_and(|header| header.slot_seq > certain)
                || self.before_newest.contains(&at);
            if held && !newest_durable { later.push(spare) } else { at_once.push(spare) }
        }
        (at_once, later)
    }

    pub(crate) fn pool(&self, spares: Vec<Spare>, options: &Options) -> Pool {
        let numbers = self.slots.iter().map(|slot| slot.file.number + 1);
        Pool {
            spares,
            spares_wanted: options.spares,
            wanted_bytes: options.slot_bytes_start,
            next_number: numbers.max().unwrap_or(0),
            room: 0,
        }
    }
}

fn replay_chain(
    disk: &dyn Disk,
    found: &Found,
    replay: &mut Replay,
) -> Result<Option<Tail>, OpenError> {
    for place in 0..found.chain.len() {
        if let Some(tail) = replay_slot(disk, found, place, replay, &mut |_, _, _| {})? {
            return Ok(Some(tail));
        }
    }
    Ok(None)
}

/// Replays the slot at this place of the chain; tells about the end if it is the newest.
pub(crate) fn replay_slot(
    disk: &dyn Disk,
    found: &Found,
    place: usize,
    replay: &mut Replay,
    watch: Watch<'_>,
) -> Result<Option<Tail>, OpenError> {
    let Some((file, header)) = found.in_use().nth(place) else { return Ok(None) };
    if let Some((_, newest)) = found.newest().filter(|(_, newest)| newest.first_slot_seq > 0)
        && place == 0
    {
        if header.last != newest.start {
            let what = format!(
                "begins after entry {}, and the newest slot says {}",
                header.last, newest.start
            );
            return Err(damaged(disk, &slot_name(file.number), what, None));
        }
        replay.begin_at(header);
    }
    if let Some((_, next)) = found.in_use().nth(place + 1) {
        replay.certified_slot(disk, file, header, next, watch)?;
        return Ok(None);
    }
    let tail = replay.newest_slot(disk, file, header, watch)?;
    let exists = |number| found.slots.iter().any(|slot| slot.file.number == number);
    if let Some(number) = tail.successor.filter(|number| !exists(*number)) {
        let what =
            format!("missing, although {} names it as its successor", slot_name(file.number));
        let first = Some(replay.state.last().index.next());
        return Err(damaged(disk, &slot_name(number), what, first));
    }
    Ok(Some(tail))
}

/// Reads all headers and follows them from the newest slot back to the first.
pub(crate) fn find_slots(disk: &dyn Disk, owner: &LogOwner) -> Result<Found, OpenError> {
    let mut slots = Vec::new();
    for (number, name) in list_slots(disk)? {
        slots.push(load_slot(disk, number, &name, owner)?);
    }
    let mut by_seq = BTreeMap::new();
    for (at, slot) in slots.iter().enumerate() {
        let Some(header) = &slot.header else { continue };
        if by_seq.insert(header.slot_seq, at).is_some() {
            let what = "the same slot is there twice";
            return Err(damaged(disk, &slot_name(slot.file.number), what, None));
        }
    }
    let epochs = slots.iter().filter_map(|slot| slot.header.as_ref()).map(|h| h.boot.epoch);
    let epoch = epochs.max().unwrap_or(0);
    if epoch < owner.epoch {
        let what = format!(
            "the newest slot is missing: NODE counts {} starts, the slots that are there {epoch}",
            owner.epoch
        );
        return Err(damaged(disk, WAL_DIR, what, None));
    }
    let newest = by_seq.last_key_value().map_or(0, |(seq, _)| *seq);
    let (chain, missing) = chain_to(&slots, &by_seq, newest);
    let header = |at: &usize| slots.get(*at)?.header.as_ref();
    let oldest = chain.first().and_then(header);
    if let Some(seq) = missing {
        if let Some(oldest) = oldest.filter(|oldest| oldest.previous_slot_seq >= oldest.slot_seq) {
            let what = "the slot names itself or a later one as the one before";
            return Err(damaged(disk, &slot_name(oldest.number), what, None));
        }
        let what = format!("the slot with order number {seq} is missing");
        let first = chain.last().and_then(header).map_or(Index(0), |newest| newest.start.index);
        let (first, last) = (Some(first.next()), oldest.map(|oldest| oldest.last.index));
        return Err(OpenError::Damaged { file: disk.path(WAL_DIR), offset: 0, what, first, last });
    }
    let certain = chain.last().and_then(header).map_or(0, |newest| newest.previous_slot_seq);
    let before_newest = chain_to(&slots, &by_seq, certain).0.into_iter().collect();
    Ok(Found { slots, chain, before_newest })
}

/// The slots of the log whose newest slot has the order number `newest`, oldest first; and which
/// one is missing, if one is.
fn chain_to(
    slots: &[FoundSlot],
    by_seq: &BTreeMap<u64, usize>,
    newest: u64,
) -> (Vec<usize>, Option<u64>) {
    let find = |seq| by_seq.get(&seq).and_then(|at| Some((*at, slots.get(*at)?.header.as_ref()?)));
    let first = find(newest).map_or(0, |(_, header)| header.first_slot_seq);
    let (mut chain, mut next, mut last) = (VecDeque::new(), newest, u64::MAX);
    while next != 0 || last != first && first != 0 {
        let Some((at, header)) = find(next).filter(|_| (first..last).contains(&next)) else {
            return (chain.into(), Some(next.max(first)));
        };
        chain.push_front(at);
        last = next;
        next = if next == first { 0 } else { header.previous_slot_seq };
    }
    (chain.into(), None)
}

/// Number and name of each slot file. Others in that directory are left alone.
fn list_slots(disk: &dyn Disk) -> Result<BTreeMap<u32, String>, OpenError> {
    let names = disk.list(WAL_DIR).map_err(|source| io_error(disk, WAL_DIR, "list", source))?;
    let numbers = names.iter().filter_map(|name| slot_number(name));
    Ok(numbers.map(|number| (number, slot_name(number))).collect())
}

fn load_slot(
    disk: &dyn Disk,
    number: u32,
    name: &str,
    owner: &LogOwner,
) -> Result<FoundSlot, OpenError> {
    let file = disk.open(name).map_err(|source| io_error(disk, name, "open", source))?;
    judge_slot(disk, number, name, file, owner)
}

/// Reads the header and checks that it belongs here.
pub(crate) fn judge_slot(
    disk: &dyn Disk,
    number: u32,
    name: &str,
    file: Arc<dyn DiskFile>,
    owner: &LogOwner,
) -> Result<FoundSlot, OpenError> {
    let bytes = file.bytes().map_err(|source| io_error(disk, name, "measure", source))?;
    if !bytes.is_power_of_two() || !(SLOT_BYTES_MIN..=SLOT_BYTES_MAX).contains(&bytes) {
        let what = format!("a slot of {bytes} bytes was never made: the file was cut or grew");
        return Err(damaged(disk, name, what, None));
    }
    let mut page = [0; PAGE_BYTES];
    read_page(disk, name, &*file, 0, &mut page)?;
    let first = SlotHeader::decode(&page, 0);
    let second_at = PAGE_BYTES as u64;
    read_page(disk, name, &*file, second_at, &mut page)?;
    let second = SlotHeader::decode(&page, second_at);
    let torn = match (&first, &second) {
        (Copy::Damaged, _) => Some(0),
        (_, Copy::Damaged) => Some(second_at),
        // The second is written once the first is synced. Whether its own sync failed cannot be
        // seen: the cache holds it all the same (R12).
        (Copy::Valid(one), Copy::Valid(two)) if one.slot_seq == two.slot_seq => Some(second_at),
        _ => None,
    };
    let is_damaged = [&first, &second].iter().any(|copy| matches!(copy, Copy::Damaged));
    let file = SlotFile { number, file, bytes };
    let header = match (first, second) {
        (Copy::TooNew(version), _) | (_, Copy::TooNew(version)) => {
            return Err(OpenError::TooNew { file: disk.path(name), version });
        }
        // Page 0 is durable before page 1 is touched, so the copies may differ.
        (Copy::Valid(a), Copy::Valid(b)) => *if a.slot_seq >= b.slot_seq { a } else { b },
        (Copy::Valid(header), _) | (_, Copy::Valid(header)) => *header,
        // Never used, or stopped while it was taken into use for the first time.
        (Copy::Zero | Copy::Damaged, Copy::Zero) => {
            return Ok(FoundSlot { file, header: None, torn, is_damaged });
        }
        (_, Copy::Damaged) => {
            return Err(damaged(disk, name, "both copies of the slot's header are damaged", None));
        }
    };
    check_slot(disk, name, &file, &header, owner)?;
    Ok(FoundSlot { file, header: Some(header), torn, is_damaged })
}

fn check_slot(
    disk: &dyn Disk,
    name: &str,
    file: &SlotFile,
    header: &SlotHeader,
    owner: &LogOwner,
) -> Result<(), OpenError> {
    if (header.cluster, header.incarnation) != (owner.cluster, owner.incarnation) {
        let what = format!(
            "a slot of cluster {:032x}, directory {:032x}; this is cluster {:032x}, directory {:032x}",
            header.cluster, header.incarnation, owner.cluster, owner.incarnation
        );
        return Err(OpenError::OtherIdentity { file: disk.path(name), what });
    }
    if header.number != file.number {
        let what = format!("the slot that was made as {}", slot_name(header.number));
        return Err(damaged(disk, name, what, None));
    }
    if header.slot_bytes != file.bytes {
        let what = format!("{} bytes long where {} were made", file.bytes, header.slot_bytes);
        return Err(damaged(disk, name, what, None));
    }
    if !header.is_countable() || file.bytes <= DATA_OFFSET {
        return Err(damaged(disk, name, "the slot's header contradicts itself", None));
    }
    Ok(())
}

fn read_page(
    disk: &dyn Disk,
    name: &str,
    file: &dyn DiskFile,
    offset: u64,
    page: &mut [u8; PAGE_BYTES],
) -> Result<(), OpenError> {
    let count =
        file.read_at(page, offset).map_err(|source| io_error(disk, name, "read", source))?;
    if count < PAGE_BYTES {
        return Err(damaged(disk, name, "the file was cut", None));
    }
    Ok(())
}

fn io_error(disk: &dyn Disk, name: &str, doing: &'static str, source: io::Error) -> OpenError {
    OpenError::Io { doing, path: disk.path(name), source }
}

fn damaged(
    disk: &dyn Disk,
    name: &str,
    what: impl Into<String>,
    first: Option<Index>,
) -> OpenError {
    OpenError::Damaged { file: disk.path(name), offset: 0, what: what.into(), first, last: None }
}
