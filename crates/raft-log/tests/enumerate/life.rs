//! The life of a log up to the crash: scripts of what a member does with its directory, and at
//! each moment what it has promised.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use raft_core::{HardState, Index, LogId, NodeId, Term};
use raft_log::{
    DataDir, Kind, Log, NodeState, Options, PeerBoot, RecoveredLog, ShownMark, SnapshotError,
    SnapshotPart, Snapshots, Write, encode_entry,
};

use crate::disk::{Image, Kept, Moment, Recorder};
use crate::recover::Outcome;
use crate::support::model::Model;
use crate::support::{Random, holder, identity, read_all};

/// One thing that a member does.
#[derive(Clone, Debug)]
pub enum Step {
    /// Opens the directory.
    Enter,
    /// Becomes a member, or is removed.
    Found,
    Remove,
    /// Opens the log.
    Start,
    /// One group commit.
    Commit(Vec<Part>),
    Attest,
    Spare,
    /// Shows all lines that are committed.
    Show,
    /// Writes a snapshot of what is committed.
    Snapshot,
    /// Gives up the log below the newest snapshot, and older snapshots.
    Compact,
    /// Another member's snapshot comes, of so many entries more than are committed here.
    Install(u64),
    Stop,
}

/// One write of a group commit.
#[derive(Clone, Debug)]
pub enum Part {
    /// Entries with payloads of these sizes.
    Entries(Vec<usize>),
    /// So many entries are replaced by these.
    Replace(u64, Vec<usize>),
    /// A new term, with a vote or without one.
    Vote,
    Term,
    Peers(u64),
    /// All that is there is committed.
    Commit,
    /// Anything that a member could write.
    Any(u64),
}

pub struct Workload {
    pub name: String,
    pub slot_bytes: u64,
    pub steps: Vec<Step>,
}

/// The end of a log, and the hash of all that is before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    pub last: u64,
    pub hash: u64,
}

/// What must be found whatever happens now, and what may be.
#[derive(Clone, Debug, Default)]
pub struct Promise {
    /// Somebody was told which directory this is.
    pub incarnation: Option<u128>,
    /// The states that NODE may be in; none: a new directory.
    pub identities: Vec<NodeState>,
    pub votes: Vec<HardState>,
    pub peers: Vec<Vec<PeerBoot>>,
    /// Where the log may end.
    pub ends: Vec<Tip>,
    /// What the committed entries are, up to each index.
    pub prefixes: Vec<u64>,
    /// The last start that anybody was told of.
    pub epoch: u64,
    /// The newest snapshot that anybody relies on.
    pub snapshot: u64,
    pub shown: u64,
}

type Entry = (Term, Kind, Vec<u8>);

/// The hash of each prefix of the entries, which follow those that `before` are the hashes of.
pub fn prefixes(before: &[u64], entries: &[Entry]) -> Vec<u64> {
    let mut hashes = before.to_vec();
    for (term, kind, payload) in entries {
        let mut hasher = DefaultHasher::new();
        (hashes.last(), term.0, kind.0).hash(&mut hasher);
        hasher.write(payload);
        hashes.push(hasher.finish());
    }
    hashes
}

pub fn tip(before: &[u64], entries: &[Entry]) -> Tip {
    let hashes = prefixes(before, entries);
    Tip { last: hashes.len() as u64 - 1, hash: hashes.last().copied().unwrap_or(0) }
}

/// Everything in the log.
pub fn entries_of(log: &Log) -> Vec<Entry> {
    let entries = read_all(log, log.recovered.last_index);
    entries.iter().map(|entry| (entry.term, entry.kind, entry.payload.to_vec())).collect()
}

/// A life until now.
struct Life<'a> {
    disk: &'a Recorder,
    slot_bytes: u64,
    random: Random,
    promises: Vec<Promise>,
    now: Promise,
    /// Whether what the log holds is known: not before the first start after a crash.
    known: bool,
    acked: Model,
    attempted: Model,
    writes: Vec<Write>,
    /// The hashes up to the entry that the log begins after.
    before: Vec<u64>,
    snapshot: LogId,
    /// The hashes of a snapshot to which the log is being reset.
    installing: Option<Vec<u64>>,
    starts: u64,
    shown: u64,
    dir: Option<DataDir>,
    log: Option<Log>,
    mark: Option<ShownMark>,
}

/// A whole life, as it went.
pub struct Story {
    pub promises: Vec<Promise>,
    pub moments: Vec<Moment>,
    /// The first moment after the sync that failed.
    pub failed_at: Option<usize>,
    pub syncs: u64,
}

/// Lives through the steps on an empty disk. If a sync fails the process ends, and another one
/// goes on.
pub fn live(workload: &Workload, failing: Option<(u64, Kept)>) -> Result<Story, String> {
    let disk = Recorder::new(&Image::default(), true);
    if let Some((number, kept)) = failing {
        disk.fail_sync(number, kept);
    }
    let mut life = Life::new(&disk, workload.slot_bytes);
    life.tell();
    let mut failing = failing.is_some();
    for step in workload.steps.iter().chain([&Step::Stop, &Step::Start]) {
        if let Err(error) = life.take(step) {
            if !std::mem::take(&mut failing) {
                return Err(format!("{step:?}: {error}"));
            }
            life.stop();
        }
    }
    Ok(life.story())
}

/// Goes on after a crash, of which no more is known than what was promised before it.
pub fn live_on(
    disk: &Recorder,
    workload: &Workload,
    promise: &Promise,
    steps: &[Step],
) -> Result<Story, String> {
    let mut life = Life::new(disk, workload.slot_bytes);
    (life.known, life.starts, life.shown) = (false, STARTS_BEFORE, promise.shown);
    life.now = promise.clone();
    life.tell();
    for step in steps {
        life.take(step).map_err(|error| format!("{step:?}: {error}"))?;
    }
    Ok(life.story())
}

/// Starts are counted on from here after a crash, so that each start has chance of its own.
const STARTS_BEFORE: u64 = 5000;

impl<'a> Life<'a> {
    fn new(disk: &'a Recorder, slot_bytes: u64) -> Self {
        Self {
            disk,
            slot_bytes,
            random: Random(1),
            promises: Vec::new(),
            now: Promise::default(),
            known: true,
            acked: Model::default(),
            attempted: Model::default(),
            writes: Vec::new(),
            before: vec![0],
            snapshot: LogId::default(),
            installing: None,
            starts: 0,
            shown: 0,
            dir: None,
            log: None,
            mark: None,
        }
    }

    fn story(mut self) -> Story {
        self.stop();
        let syncs = self.disk.syncs();
        let (moments, failed_at) = self.disk.moments();
        Story { promises: self.promises, moments, failed_at, syncs }
    }

    /// What is promised from now on.
    fn tell(&mut self) {
        if self.known {
            self.tell_of_log();
        }
        self.disk.promise(self.promises.len());
        self.promises.push(self.now.clone());
    }

    fn tell_of_log(&mut self) {
        self.now.votes = vec![self.acked.hard_state, self.attempted.hard_state];
        self.now.peers = vec![self.acked.peers.clone(), self.attempted.peers.clone()];
        let ends = self.acked.steps(&self.writes);
        self.now.ends = ends.iter().map(|entries| tip(&self.before, entries)).collect();
        self.now.prefixes = prefixes(&self.before, &self.attempted.entries);
        if let Some(hashes) = &self.installing {
            self.now.ends.push(tip(hashes, &[]));
            self.now.prefixes.clone_from(hashes);
        }
        self.now.snapshot = self.snapshot.index.0;
        self.now.shown = self.shown;
    }

    fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Enter => self.enter(),
            Step::Found => {
                self.enter()?;
                let dir = self.dir.as_ref().ok_or("closed")?;
                let member = identity(dir.identity().incarnation());
                self.change(NodeState::Member(member))
            }
            Step::Remove => {
                self.start()?;
                self.log = None;
                let last = Index(self.acked.last());
                let dir = self.dir.as_ref().ok_or("closed")?;
                let member = identity(dir.identity().incarnation());
                self.change(NodeState::Removed(member, last))
            }
            Step::Start => self.start(),
            Step::Commit(parts) => self.commit(parts),
            Step::Attest => {
                self.start()?;
                let log = self.log.as_mut().ok_or("no log")?;
                log.writer.attest().map(drop).map_err(|error| error.to_string())
            }
            Step::Spare => {
                self.start()?;
                let log = self.log.as_ref().ok_or("no log")?;
                // A server tries again later.
                drop(log.spares.make(self.slot_bytes));
                Ok(())
            }
            Step::Show => self.show(),
            Step::Snapshot => self.snapshot(),
            Step::Compact => self.compact(),
            Step::Install(more) => self.install(*more),
            Step::Stop => {
                self.stop();
                Ok(())
            }
        }
    }

    fn stop(&mut self) {
        (self.mark, self.log, self.dir) = (None, None, None);
    }

    fn enter(&mut self) -> Result<(), String> {
        if self.dir.is_some() {
            return Ok(());
        }
        let opened = DataDir::open_seeded(self.disk.shared(), holder(), Some(self.starts + 1));
        let dir = opened.map_err(|error| error.to_string())?;
        let found = dir.identity().clone();
        self.now.incarnation = Some(found.incarnation());
        self.now.identities = vec![found];
        self.dir = Some(dir);
        self.tell();
        Ok(())
    }

    fn change(&mut self, state: NodeState) -> Result<(), String> {
        self.now.identities.push(state.clone());
        self.tell();
        let dir = self.dir.as_mut().ok_or("closed")?;
        dir.set_identity(state.clone()).map_err(|error| error.to_string())?;
        self.now.identities = vec![state];
        self.tell();
        Ok(())
    }

    /// Opens the log, and whatever must be before that.
    fn start(&mut self) -> Result<(), String> {
        self.enter()?;
        if self.log.is_some() {
            return Ok(());
        }
        let dir = self.dir.as_ref().ok_or("closed")?;
        if !matches!(dir.identity(), NodeState::Member(_)) {
            let member = identity(dir.identity().incarnation());
            self.change(NodeState::Member(member))?;
        }
        self.starts += 1;
        let options = options(self.slot_bytes, self.starts);
        let dir = self.dir.as_mut().ok_or("closed")?;
        let log = dir.open_log(options).map_err(|error| error.to_string())?;
        let outcome = Outcome::of_log(dir, &log)?;
        outcome.keeps(&self.now)?;
        let recovered = &log.recovered;
        self.now.epoch = recovered.boot.epoch;
        self.before = hashes_before(dir, recovered)?;
        self.snapshot = recovered.snapshot.unwrap_or_default();
        self.acked.start = recovered.start;
        self.acked.entries = entries_of(&log);
        self.acked.hard_state = recovered.hard_state;
        self.acked.peers.clone_from(&recovered.peers);
        self.acked.commit = recovered.commit_hint.0;
        self.attempted.clone_from(&self.acked);
        self.writes.clear();
        self.installing = None;
        self.known = true;
        self.log = Some(log);
        self.tell();
        Ok(())
    }

    fn commit(&mut self, parts: &[Part]) -> Result<(), String> {
        self.start()?;
        for part in parts {
            let write = self.write(part);
            self.writes.push(write);
        }
        self.tell();
        let log = self.log.as_mut().ok_or("no log")?;
        log.writer.write(&self.writes).map_err(|error| error.to_string())?;
        self.acked.clone_from(&self.attempted);
        self.writes.clear();
        self.tell();
        Ok(())
    }

    fn write(&mut self, part: &Part) -> Write {
        let model = &mut self.attempted;
        let mut write = Write::default();
        let mut sizes: &[usize] = &[];
        match part {
            Part::Any(size_max) => return model.random_write(&mut self.random, *size_max),
            Part::Entries(of) => sizes = of,
            Part::Replace(count, of) => {
                sizes = of;
                let keep = model.last().saturating_sub(*count).max(model.commit);
                let kept = keep - model.start.index.0;
                model.entries.truncate(usize::try_from(kept).expect("a short log"));
                write.truncate_from = Some(Index(keep + 1));
            }
            Part::Vote | Part::Term => {
                let term = Term(model.hard_state.term.0 + 1);
                let voted_for = matches!(part, Part::Vote).then_some(NodeId(term.0 % 3));
                model.hard_state = HardState { term, voted_for };
                write.hard_state = Some(model.hard_state);
            }
            Part::Peers(count) => {
                let epoch = model.last() + 1;
                let peer = |id| PeerBoot { id: NodeId(id), incarnation: 3, epoch, nonce: id };
                model.peers = (1..=*count).map(peer).collect();
                write.peers = Some(model.peers.clone());
            }
            Part::Commit => model.commit = model.last(),
        }
        write.first = Index(model.last() + 1);
        write.entries = sizes.iter().map(|size| entry(model, *size)).collect();
        write.count = sizes.len() as u64;
        write.commit_hint = Index(model.commit);
        write
    }

    fn snapshots(&self) -> Result<Snapshots, String> {
        self.dir.as_ref().and_then(DataDir::snapshots).ok_or("no snapshots".into())
    }

    fn snapshot(&mut self) -> Result<(), String> {
        self.start()?;
        let index = Index(self.acked.commit);
        if index <= self.snapshot.index {
            return Ok(());
        }
        let id = LogId { index, term: self.acked.term_at(index.0) };
        let mut hashes = prefixes(&self.before, &self.acked.entries);
        hashes.truncate(usize::try_from(index.0).expect("a short log") + 1);
        write_snapshot(&self.snapshots()?, id, &hashes)?;
        self.snapshot = id;
        self.tell();
        Ok(())
    }

    fn compact(&mut self) -> Result<(), String> {
        self.start()?;
        let log = self.log.as_mut().ok_or("no log")?;
        let start = log.writer.compact(self.snapshot, 0);
        let hashes = prefixes(&self.before, &self.acked.entries);
        self.before = hashes[..=usize::try_from(start.index.0).expect("a short log")].to_vec();
        self.acked.compact(start);
        self.attempted.compact(start);
        self.snapshots()?.prune(self.snapshot).map_err(|error| error.to_string())
    }

    fn install(&mut self, more: u64) -> Result<(), String> {
        self.start()?;
        // Of a leader in a term that this member, should it not come to that, never writes in.
        let ahead = 1000 * (self.starts + 1) + self.promises.len() as u64;
        let term = Term(self.attempted.hard_state.term.0 + ahead);
        let id = LogId { index: Index(self.acked.commit + more), term };
        let mut hashes = prefixes(&self.before, &self.acked.entries);
        hashes.truncate(usize::try_from(self.acked.commit).expect("a short log") + 1);
        (0..more).for_each(|entry| hashes.push(term.0 << 32 | id.index.0 << 8 | entry));
        receive(&self.snapshots()?, id, &hashes)?;

        self.attempted.reset(id);
        let hard_state = HardState { term: Term(term.0 + 1), voted_for: None };
        self.attempted.hard_state = hard_state;
        self.installing = Some(hashes.clone());
        self.tell();

        let log = self.log.as_mut().ok_or("no log")?;
        let (reset, first, commit_hint) = (Some(id), id.index.next(), id.index);
        let hard_state = Some(hard_state);
        let write = Write { reset, first, commit_hint, hard_state, ..Write::default() };
        log.writer.write(&[write]).map_err(|error| error.to_string())?;
        self.acked.clone_from(&self.attempted);
        (self.before, self.snapshot, self.installing) = (hashes, id, None);
        self.tell();
        self.snapshots()?.prune(id).map_err(|error| error.to_string())
    }

    fn show(&mut self) -> Result<(), String> {
        self.start()?;
        let dir = self.dir.as_ref().ok_or("closed")?;
        if self.mark.is_none() {
            let (mark, _) = dir.shown().map_err(|error| error.to_string())?;
            self.mark = Some(mark);
        }
        self.shown = self.shown.max(self.acked.commit);
        self.tell();
        let mark = self.mark.as_mut().ok_or("no mark")?;
        mark.advance(Index(self.shown)).map_err(|error| error.to_string())
    }
}

/// The hashes of all prefixes are what a member adds to its snapshots here.
fn write_snapshot(snapshots: &Snapshots, id: LogId, hashes: &[u64]) -> Result<(), String> {
    let own: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
    let work = || {
        let mut writer = snapshots.write(id, &own)?;
        for part in
            [SnapshotPart::Changing, SnapshotPart::Sealed(1), SnapshotPart::Sealed(id.index.0)]
        {
            writer.part(part, |to| to.write_all(format!("{part:?}").as_bytes()))?;
        }
        writer.finish()
    };
    work().map(drop).map_err(|error| error.to_string())
}

/// Another member's snapshot comes over the network.
fn receive(snapshots: &Snapshots, id: LogId, hashes: &[u64]) -> Result<(), String> {
    let other = DataDir::open_seeded(Recorder::default().shared(), holder(), Some(1));
    let mut other = other.map_err(|error| error.to_string())?;
    let member = identity(other.identity().incarnation());
    other.set_identity(NodeState::Member(member)).map_err(|error| error.to_string())?;
    let from = other.snapshots().ok_or("no member")?;
    write_snapshot(&from, id, hashes)?;
    let work = || {
        let from = from.open(id)?;
        let mut receiver = snapshots.receive(from.info())?;
        while let Some(offset) = receiver.wanted() {
            receiver.add(offset, &from.read_at(offset, 600)?)?;
        }
        receiver.finish()
    };
    work().map(drop).map_err(|error| error.to_string())
}

/// The hashes of all prefixes up to the entry that the log begins after, as the snapshot has them.
/// All of it is read, and what the log repeats of it is the same.
pub fn hashes_before(dir: &DataDir, recovered: &RecoveredLog) -> Result<Vec<u64>, String> {
    let Some(id) = recovered.snapshot else { return Ok(vec![0]) };
    let hashes = all_hashes(dir, id).map_err(|error| format!("snapshot {id}: {error}"))?;
    let start = usize::try_from(recovered.start.index.0).expect("a short log");
    hashes.get(..=start).map(<[u64]>::to_vec).ok_or("the snapshot is below the log".into())
}

fn all_hashes(dir: &DataDir, id: LogId) -> Result<Vec<u64>, SnapshotError> {
    let snapshot = dir.snapshots().expect("a member's").open(id)?;
    snapshot.verify()?;
    let own = snapshot.contents()?.take_own();
    let (hashes, _) = own.as_chunks();
    Ok(hashes.iter().map(|hash| u64::from_le_bytes(*hash)).collect())
}

/// Whether a snapshot and the entries that the log has of it are of one history.
pub fn agrees(dir: &DataDir, recovered: &RecoveredLog, hashes: &[u64]) -> Result<(), String> {
    let Some(id) = recovered.snapshot else { return Ok(()) };
    let whole = all_hashes(dir, id).map_err(|error| error.to_string())?;
    if hashes.get(..whole.len()) != Some(&whole) {
        return Err(format!("snapshot {id} is of another history than the log"));
    }
    Ok(())
}

/// One more entry, whose bytes no other entry has.
fn entry(model: &mut Model, size: usize) -> Bytes {
    let mut random = Random(model.last() << 32 | model.hard_state.term.0);
    let payload: Vec<u8> = (0..size).map(|_| random.next().to_le_bytes()[0]).collect();
    let kind = if size.is_multiple_of(5) { Kind::MEMBERSHIP } else { Kind::COMMAND };
    let (index, term) = (Index(model.last() + 1), model.hard_state.term);
    let bytes = encode_entry(index, term, kind, &[&payload]);
    model.entries.push((term, kind, payload));
    bytes
}

pub fn options(slot_bytes: u64, seed: u64) -> Options {
    let (slot_bytes_start, slot_bytes_max) = (slot_bytes, slot_bytes);
    Options { slot_bytes_start, slot_bytes_max, spares: 1, seed: Some(seed) }
}
