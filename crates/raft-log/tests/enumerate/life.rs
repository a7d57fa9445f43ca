//! The life of a log up to the crash: scripts of what a member does with its directory, and at
//! each moment what it has promised.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use raft_core::{HardState, Index, NodeId, Term};
use raft_log::{DataDir, Kind, Log, NodeState, Options, PeerBoot, ShownMark, Write, encode_entry};

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
    pub shown: u64,
}

type Entry = (Term, Kind, Vec<u8>);

/// The hash of each prefix of the entries.
pub fn prefixes(entries: &[Entry]) -> Vec<u64> {
    let mut hashes = vec![0];
    for (term, kind, payload) in entries {
        let mut hasher = DefaultHasher::new();
        (hashes.last(), term.0, kind.0).hash(&mut hasher);
        hasher.write(payload);
        hashes.push(hasher.finish());
    }
    hashes
}

pub fn tip(entries: &[Entry]) -> Tip {
    Tip { last: entries.len() as u64, hash: prefixes(entries).pop().unwrap_or(0) }
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
        self.now.ends = ends.iter().map(|entries| tip(entries)).collect();
        self.now.prefixes = prefixes(&self.attempted.entries);
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
        self.acked.entries = entries_of(&log);
        self.acked.hard_state = recovered.hard_state;
        self.acked.peers.clone_from(&recovered.peers);
        self.acked.commit = recovered.commit_hint.0;
        self.attempted.clone_from(&self.acked);
        self.writes.clear();
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
                model.entries.truncate(usize::try_from(keep).expect("a short log"));
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
