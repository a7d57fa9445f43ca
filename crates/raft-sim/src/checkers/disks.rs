//! What each disk must hold, kept beside it as a model, and compared with it: at every start,
//! and whenever the disk is read as a power cut would leave it. What was confirmed once is there
//! until a later write replaces it; term and vote never go back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use raft_core::{HardState, Index, LogId, Membership, NodeId, Term};
use raft_log::{
    DataDir, Disk, Entry, Holder, Log, NodeState, OpenError, Options, PeerBoot, ReadError,
    SnapshotError, SnapshotInfo, Snapshots, Write,
};
use raft_node::wire::decode_membership;

use super::log_matching::{entries, stamp};
use super::{Checked, Stamp};
use crate::disk::{Durable, Platter};

#[derive(Debug, Default)]
pub(super) struct Disks {
    models: BTreeMap<usize, Model>,
    hosts: BTreeMap<NodeId, usize>,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) id: Option<NodeId>,
    /// Confirmed.
    pub(super) hard_state: HardState,
    pub(super) durable: Vec<Stamp>,
    /// It began anew after this entry, or later.
    begins: Index,
    /// What it gave up then, by its place: nobody reads it again.
    pub(super) gone: BTreeSet<(usize, Stamp)>,
    /// Given to the log, confirmed or not.
    pub(super) handed: Vec<Stamp>,
    /// The peers' starts, as last confirmed; and as last begun to be written.
    peers: Vec<PeerBoot>,
    peers_begun: Option<Vec<PeerBoot>>,
    /// What its directory says that it is, if that is certain.
    pub(super) state: Option<NodeState>,
}

/// An entry that was handed over: the term before it, itself.
type Placed = (Term, Entry);

impl Disks {
    pub(super) fn id_of(&self, host: usize) -> NodeId {
        self.models.get(&host).and_then(|model| model.id).unwrap_or(NodeId(0))
    }

    pub(super) fn model(&self, host: usize) -> Option<&Model> {
        self.models.get(&host)
    }

    /// The last starts of its peers that a member has certainly seen.
    pub(super) fn peers(&self, host: usize) -> &[PeerBoot] {
        self.models.get(&host).map(|model| &model.peers[..]).unwrap_or_default()
    }

    /// The entry that a member's disk certainly holds at this index.
    pub(super) fn durable(&self, id: NodeId, index: Index) -> Option<Stamp> {
        let model = self.models.get(self.hosts.get(&id)?)?;
        model.durable.get(place(index)).copied()
    }

    /// The last entry that a server gave to its log.
    pub(super) fn last_log_id(&self, host: usize) -> LogId {
        let handed = self.models.get(&host).map(|model| &model.handed[..]).unwrap_or_default();
        let term = handed.last().map_or(Term(0), |stamp| stamp.term);
        LogId { term, index: Index(handed.len() as u64) }
    }

    pub(super) fn host_of(&self, id: NodeId) -> Option<usize> {
        self.hosts.get(&id).copied()
    }

    pub(super) fn started(
        &mut self,
        host: usize,
        id: NodeId,
        log: OnDisk,
        forgets: Option<Index>,
    ) -> Checked {
        self.hosts.insert(id, host);
        self.covers(host, &log, forgets)?;
        let model = self.models.entry(host).or_default();
        let OnDisk { hard_state, entries, peers, .. } = log;
        model.id = Some(id);
        model.hard_state = hard_state;
        model.durable.clone_from(&entries);
        (model.handed, model.peers, model.peers_begun) = (entries, peers, None);
        Ok(())
    }

    /// Of what is committed, a log that begins anew holds what its snapshot stands for.
    pub(super) fn handed(
        &mut self,
        host: usize,
        write: &Write,
        committed: &[Stamp],
    ) -> Result<Vec<Placed>, String> {
        let model = self.models.entry(host).or_default();
        if let Some(at) = write.reset {
            model.handed = below(at, committed)?;
        }
        let held = model.handed.len() as u64;
        if write.count > 0 && write.first.0 > held + 1 {
            return Err(format!("entry {} is written where {held} are", write.first));
        }
        if write.first.0 <= held && write.truncate_from.is_none() && write.count > 0 {
            return Err(format!("entry {} is written again without a cut", write.first));
        }
        let placed = model.extend(write)?;
        Ok(placed)
    }

    pub(super) fn persisted(
        &mut self,
        host: usize,
        writes: &[Write],
        committed: &[Stamp],
    ) -> Checked {
        let model = self.models.entry(host).or_default();
        for write in writes {
            model.hard_state = write.hard_state.unwrap_or(model.hard_state);
            if let Some(at) = write.reset {
                let gone = model.durable.iter().enumerate().skip(at.index.0 as usize);
                model.gone.extend(gone.map(|(i, stamp)| (i, *stamp)));
                (model.durable, model.begins) = (below(at, committed)?, at.index);
            }
            if let Some(from) = write.truncate_from {
                model.durable.truncate(place(from));
            }
            if write.count > 0 && write.first.0 != model.durable.len() as u64 + 1 {
                return Err(format!("entry {} leaves a gap on the disk", write.first));
            }
            for entry in entries(&write.entries)? {
                model.gone.remove(&(model.durable.len(), stamp(&entry)));
                model.durable.push(stamp(&entry));
            }
            if let Some(peers) = &write.peers {
                model.peers.clone_from(peers);
            }
        }
        model.peers_begun = None;
        Ok(())
    }

    /// These writes were begun and never confirmed.
    pub(super) fn begun(&mut self, host: usize, writes: &[Write], committed: &[Stamp]) {
        let Some(model) = self.models.get_mut(&host) else { return };
        if writes.iter().any(|write| write.reset.is_some()) {
            // The log of before, or the snapshot: what both have.
            let both = model.durable.iter().zip(committed).take_while(|(a, b)| a == b).count();
            model.durable.truncate(both);
        }
        let begun = writes.iter().filter_map(|write| entries(&write.entries).ok()).flatten();
        for entry in begun {
            model.gone.remove(&(place(entry.index), stamp(&entry)));
        }
        if let Some(from) = writes.iter().filter_map(|write| write.truncate_from).min() {
            model.durable.truncate(place(from));
        }
        model.peers_begun = writes.iter().rev().find_map(|write| write.peers.clone());
    }

    /// A server starts as what its directory says, which is what it was told.
    pub(super) fn identified(&mut self, host: usize, state: &NodeState) -> Checked {
        let known = &mut self.models.entry(host).or_default().state;
        match known.replace(state.clone()) {
            Some(was) if was != *state => {
                Err(format!("host {host} was {was:?}, and its disk says {state:?}"))
            }
            _ => Ok(()),
        }
    }

    /// The directory says so from now on; or what it says is not certain.
    pub(super) fn became(&mut self, host: usize, state: Option<NodeState>) {
        self.models.entry(host).or_default().state = state;
    }

    /// Whether what the disk holds is at least what it must. A damaged newest commit may be
    /// missing: it begins with entry `forgets`.
    pub(super) fn covers(&self, host: usize, log: &OnDisk, forgets: Option<Index>) -> Checked {
        let Some(model) = self.models.get(&host) else { return Ok(()) };
        let promised = forgets.map_or(model.durable.len(), place).max(log.entries.len());
        for (i, stamp) in model.durable.iter().enumerate().take(promised) {
            let found = log.entries.get(i);
            if found != Some(stamp) {
                return Err(format!(
                    "host {host} confirmed entry {} and its disk does not hold it",
                    i + 1
                ));
            }
        }
        let unconfirmed = log.entries.iter().copied().enumerate().skip(model.durable.len());
        if let Some((i, _)) = unconfirmed.into_iter().find(|entry| model.gone.contains(entry)) {
            return Err(format!(
                "host {host} gave up entry {} for a snapshot, and its disk has it again",
                i + 1
            ));
        }
        if log.begins < model.begins {
            return Err(format!(
                "the log of host {host} begins after {}, and it confirmed {}",
                log.begins, model.begins
            ));
        }
        let known = log.peers == model.peers || Some(&log.peers) == model.peers_begun.as_ref();
        if !known && forgets.is_none() {
            return Err(format!("host {host} forgot the starts of its peers: {:?}", model.peers));
        }
        if model.state.as_ref().is_some_and(|state| *state != log.state) {
            return Err(format!(
                "host {host} was {:?} and its disk says {:?}",
                model.state, log.state
            ));
        }
        let (held, now) = (model.hard_state, log.hard_state);
        if now.term < held.term
            || now.term == held.term && held.voted_for.is_some() && now.voted_for != held.voted_for
        {
            return Err(format!("host {host} confirmed {held}, and its disk holds {now}"));
        }
        Ok(())
    }
}

impl Model {
    fn extend(&mut self, write: &Write) -> Result<Vec<Placed>, String> {
        if let Some(from) = write.truncate_from {
            self.handed.truncate(place(from));
        }
        let mut placed = Vec::new();
        for entry in entries(&write.entries)? {
            let before = self.handed.last().map_or(Term(0), |stamp| stamp.term);
            if entry.index.0 != self.handed.len() as u64 + 1 {
                return Err(format!("entry {} is written out of place", entry.index));
            }
            self.handed.push(stamp(&entry));
            placed.push((before, entry));
        }
        if placed.len() as u64 != write.count {
            return Err(format!("{} entries are called {}", placed.len(), write.count));
        }
        Ok(placed)
    }
}

/// A log as it lies on a disk.
#[derive(Debug)]
pub(super) struct OnDisk {
    pub(super) hard_state: HardState,
    /// From the first on: what is below its beginning is in a snapshot.
    pub(super) entries: Vec<Stamp>,
    begins: Index,
    peers: Vec<PeerBoot>,
    state: NodeState,
}

/// Why there is no log to look at.
#[derive(Debug)]
pub(super) enum Unread {
    /// A start would be refused.
    Refused(OpenError),
    /// What was opened cannot be read.
    Corrupt(ReadError),
}

/// What stands for entries up to this one.
fn below(at: LogId, committed: &[Stamp]) -> Checked<Vec<Stamp>> {
    let below = committed.get(..at.index.0 as usize);
    match below.filter(|below| below.last().is_some_and(|stamp| stamp.term == at.term)) {
        Some(below) => Ok(below.to_vec()),
        None => Err(format!("a log begins after {at}, which nobody committed")),
    }
}

fn open(disk: Arc<dyn Disk>) -> Result<DataDir, OpenError> {
    let holder = Holder { pid: 0, address: String::new() };
    DataDir::open_seeded(disk, holder, Some(1))
}

/// Reads the log that a power cut would leave, if it is a member's.
pub(super) fn read(platter: &Platter, committed: &[Stamp]) -> Result<Option<OnDisk>, Unread> {
    let mut dir = open(platter.durable_copy()).map_err(Unread::Refused)?;
    let state = dir.identity().clone();
    let (NodeState::Member(_), Some(snapshots)) = (&state, dir.snapshots()) else {
        return Ok(None);
    };
    let start = 32 * 1024;
    let options =
        Options { slot_bytes_start: start, slot_bytes_max: start, spares: 0, seed: Some(1) };
    let log = dir.open_log(options).map_err(Unread::Refused)?;
    let stands_for = newest_whole(&snapshots, &log)?;
    read_back(&log, state, stands_for, committed).map(Some)
}

/// The newest snapshot from which a start would go on.
fn newest_whole(snapshots: &Snapshots, log: &Log) -> Result<Index, Unread> {
    let mut wrong = None;
    for id in log.recovered.snapshot.iter().chain(&log.recovered.older_snapshots) {
        match snapshots.open(*id).and_then(|reader| reader.verify()) {
            Ok(()) => return Ok(id.index),
            Err(error) => wrong = Some(error),
        }
    }
    match wrong {
        Some(error) if log.recovered.start.index > Index(0) => Err(Unread::Refused(refusal(error))),
        _ => Ok(Index(0)),
    }
}

/// A start that fails because of a snapshot.
pub(crate) fn refusal(error: SnapshotError) -> OpenError {
    let damaged =
        |file, offset, what| OpenError::Damaged { file, offset, what, first: None, last: None };
    match error {
        SnapshotError::Io { doing, path, source } => OpenError::Io { doing, path, source },
        SnapshotError::NoSpace { path } => OpenError::NoSpace { path, bytes: 0 },
        SnapshotError::Damaged { file, offset, what } => damaged(file, offset, what),
        SnapshotError::TooNew { file, version } => damaged(file, 0, version),
        SnapshotError::OtherCluster { file, what } => damaged(file, 0, what),
        SnapshotError::Unusable { file, source } => damaged(file, 0, source.to_string()),
    }
}

/// The snapshots among these files, and what is wrong with others. Those that are known to be whole
/// are not read.
pub(super) fn snapshots(
    files: &Durable,
    known: &[SnapshotInfo],
) -> Result<(Vec<SnapshotInfo>, Vec<String>), SnapshotError> {
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    let Some(snapshots) = open(files.disk()).ok().and_then(|dir| dir.snapshots()) else {
        return Ok((found, wrong));
    };
    for id in snapshots.list()? {
        if let Some(info) = known.iter().find(|info| info.id == id) {
            found.push(*info);
            continue;
        }
        let reader = snapshots.open(id);
        match reader.and_then(|reader| reader.verify().map(|()| reader.info())) {
            Ok(info) => found.push(info),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    Ok((found, wrong))
}

/// All that a log holds which was just opened, beside a snapshot that `stands_for` the entries up
/// to one.
pub(super) fn read_back(
    log: &Log,
    state: NodeState,
    stands_for: Index,
    committed: &[Stamp],
) -> Result<OnDisk, Unread> {
    let (begins, last) = (log.recovered.start.index, log.recovered.last_index);
    let held = committed.get(..begins.min(stands_for).0 as usize).unwrap_or_default();
    let mut entries = held.to_vec();
    // Without a snapshot that goes so far, what is behind counts for nothing.
    while held.len() as u64 == begins.0 && (entries.len() as u64) < last.0 {
        let first = Index(entries.len() as u64 + 1);
        let range = log.reader.read(first, last, 1 << 20).map_err(Unread::Corrupt)?;
        entries.extend(range.entries.iter().map(stamp));
    }
    let (hard_state, peers) = (log.recovered.hard_state, log.recovered.peers.clone());
    Ok(OnDisk { hard_state, entries, begins, peers, state })
}

/// The configurations in a log which was just opened, behind those below its snapshot.
pub(super) fn memberships(
    mut found: Vec<(Index, Arc<Membership>)>,
    log: &Log,
) -> Checked<Vec<(Index, Arc<Membership>)>> {
    let below = found.last().map_or(Index(0), |(index, _)| *index);
    for (index, payload) in log.recovered.memberships.iter().filter(|(at, _)| *at > below) {
        let membership = decode_membership(payload).map_err(|error| error.to_string())?;
        found.push((*index, Arc::new(membership)));
    }
    Ok(found)
}

/// Where an index is in a list that begins at 1.
pub(super) fn place(index: Index) -> usize {
    index.0.saturating_sub(1) as usize
}
