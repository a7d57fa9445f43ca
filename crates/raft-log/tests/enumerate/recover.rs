//! What a start makes of a disk, and whether it is what was promised.

use raft_core::{HardState, Index};
use raft_log::{DataDir, Inspection, Kind, Log, NodeState, PeerBoot, RecoveredLog, Shown, inspect};

use crate::disk::Recorder;
use crate::life::{Promise, Tip, agrees, entries_of, hashes_before, options, prefixes, tip};
use crate::support::holder;
use crate::support::model::Model;

/// What a start found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub identity: NodeState,
    pub log: Option<FoundLog>,
    /// Lines were shown up to here, if that is known.
    pub shown: Option<u64>,
    pub ambiguous: bool,
}

/// The log that was found, in few bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLog {
    pub hard_state: HardState,
    pub peers: Vec<PeerBoot>,
    pub tip: Tip,
    /// How far it is certainly committed, and what is there.
    pub commit: Tip,
    /// The snapshot that the log goes on from.
    pub snapshot: u64,
    /// Starts until now, this one included.
    pub epoch: u64,
}

impl FoundLog {
    fn new(
        dir: &DataDir,
        recovered: &RecoveredLog,
        entries: Vec<(raft_core::Term, Kind, Vec<u8>)>,
    ) -> Result<Self, String> {
        let hint = recovered.commit_hint.0;
        let before = hashes_before(dir, recovered)?;
        let hashes = prefixes(&before, &entries);
        agrees(dir, recovered, &hashes)?;
        let hash = usize::try_from(hint).ok().and_then(|at| hashes.get(at).copied());
        let found = Self {
            hard_state: recovered.hard_state,
            peers: recovered.peers.clone(),
            tip: tip(&before, &entries),
            snapshot: recovered.snapshot.unwrap_or_default().index.0,
            commit: Tip { last: hint, hash: hash.expect("the hint is within the log") },
            epoch: recovered.boot.epoch,
        };
        let start = recovered.start;
        Model { start, commit: hint, entries, ..Model::default() }.check_recovered(recovered);
        Ok(found)
    }
}

/// Starts on this disk, and tells what was found.
pub fn start(disk: &Recorder, slot_bytes: u64, seed: u64) -> Result<Outcome, String> {
    let refused = |error: &dyn std::fmt::Display| format!("refused: {error}");
    let opened = DataDir::open_seeded(disk.shared(), holder(), Some(seed));
    let mut dir = opened.map_err(|error| refused(&error))?;
    if let NodeState::New { .. } = dir.identity() {
        return Ok(Outcome {
            identity: dir.identity().clone(),
            log: None,
            shown: shown(&dir)?,
            ambiguous: false,
        });
    }
    // Looked at before it is changed: both readers must see the same.
    let inspection = inspect(&disk.shared(), &mut |_| {}).map_err(|error| refused(&error))?;
    if let Some(damage) = inspection.damages.first() {
        return Err(refused(damage));
    }
    let looked = FoundLog::new(&dir, &inspection.log, inspected_entries(&inspection)?)?;
    if inspection.cut.is_some() != inspection.log.tail_ambiguous {
        return Err("a look tells of a cut that is none".into());
    }
    if let NodeState::Removed(..) = dir.identity() {
        let (identity, ambiguous) = (dir.identity().clone(), inspection.log.tail_ambiguous);
        return Ok(Outcome { identity, log: Some(looked), shown: shown(&dir)?, ambiguous });
    }
    let log = dir.open_log(options(slot_bytes, seed)).map_err(|error| refused(&error))?;
    let outcome = Outcome::of_log(&dir, &log)?;
    let found = outcome.log.as_ref();
    let same = found.is_some_and(|log| log.same_log(&looked) && log.commit == looked.commit);
    if !same || outcome.ambiguous != inspection.log.tail_ambiguous {
        return Err(format!("a look sees {looked:?}, the start {outcome:?}"));
    }
    Ok(outcome)
}

/// Starts once more: nothing may have changed but the count of starts.
pub fn start_again(disk: &Recorder, slot_bytes: u64, first: &Outcome) -> Result<(), String> {
    let again = start(disk, slot_bytes, 2001).map_err(|error| format!("second start: {error}"))?;
    let counted = match (&first.log, &again.log, &again.identity) {
        (Some(first), Some(again), NodeState::Member(_)) => again.epoch == first.epoch + 1,
        _ => true,
    };
    if !again.same_state(first) || again.identity != first.identity || !counted {
        return Err(format!("the second start finds {again:?}, the first found {first:?}"));
    }
    let lost = first.shown.is_some() && again.shown != first.shown;
    if again.ambiguous || lost {
        return Err(format!("the second start finds {again:?}, the first found {first:?}"));
    }
    Ok(())
}

fn shown(dir: &DataDir) -> Result<Option<u64>, String> {
    let (_, shown) = dir.shown().map_err(|error| format!("SHOWN: {error}"))?;
    Ok(match shown {
        Shown::At(index) => Some(index.0),
        Shown::Lost(_) => None,
    })
}

/// The entries that count, as the reader of `raft log` reads them.
fn inspected_entries(
    inspection: &Inspection,
) -> Result<Vec<(raft_core::Term, Kind, Vec<u8>)>, String> {
    let mut entries = Vec::new();
    for slot in &inspection.slots {
        let mut contents = inspection.contents(slot).ok_or("a slot that is not there")?;
        for block in &slot.blocks {
            let read = contents.entries(block).map_err(|error| error.to_string())?;
            for found in read.into_iter().filter(|found| !found.void) {
                let entry = found.entry;
                if entry.index != Index(inspection.log.start.index.0 + entries.len() as u64 + 1) {
                    return Err(format!("entry {} is looked at out of order", entry.index));
                }
                entries.push((entry.term, entry.kind, entry.payload.to_vec()));
            }
        }
    }
    Ok(entries)
}

impl FoundLog {
    /// The same but for the starts, and for how much is known to be committed: the hint of an
    /// ATTEST block at the very end is not carried over.
    fn same_log(&self, other: &Self) -> bool {
        let fields = |of: &Self| (of.hard_state, of.peers.clone(), of.tip, of.snapshot);
        fields(self) == fields(other)
    }
}

impl Outcome {
    pub fn of_log(dir: &DataDir, log: &Log) -> Result<Self, String> {
        Ok(Self {
            identity: dir.identity().clone(),
            log: Some(FoundLog::new(dir, &log.recovered, entries_of(log))?),
            shown: shown(dir)?,
            ambiguous: log.recovered.tail_ambiguous,
        })
    }

    /// The same log was found; the starts are left aside.
    pub fn same_state(&self, other: &Self) -> bool {
        match (&self.log, &other.log) {
            (Some(a), Some(b)) => a.same_log(b),
            (None, None) => true,
            _ => false,
        }
    }

    /// Whether this keeps what was promised.
    pub fn keeps(&self, promise: &Promise) -> Result<(), String> {
        match promise.incarnation {
            Some(incarnation) if self.identity.incarnation() != incarnation => {
                return Err("the directory is another one".into());
            }
            Some(_) if !promise.identities.contains(&self.identity) => {
                return Err(format!("{:?} is not what NODE said", self.identity));
            }
            None if self.log.is_some() => return Err("a log out of nothing".into()),
            _ => {}
        }
        if self.shown > Some(promise.shown) {
            return Err(format!("shown up to {:?}, not {}", self.shown, promise.shown));
        }
        let Some(log) = &self.log else { return Ok(()) };
        let started = matches!(self.identity, NodeState::Member(_));
        if log.epoch <= promise.epoch && (started || log.epoch < promise.epoch) {
            return Err(format!("start {} was counted before", log.epoch));
        }
        if !promise.votes.contains(&log.hard_state) {
            return Err(format!("{:?} of {:?}", log.hard_state, promise.votes));
        }
        if !promise.peers.contains(&log.peers) {
            return Err(format!("{:?} of {:?}", log.peers, promise.peers));
        }
        if log.snapshot < promise.snapshot {
            return Err(format!("snapshot {} of {}", log.snapshot, promise.snapshot));
        }
        if !promise.ends.contains(&log.tip) {
            return Err(format!("ends at {:?}; could be {:?}", log.tip, promise.ends));
        }
        let committed = usize::try_from(log.commit.last).ok();
        if committed.and_then(|at| promise.prefixes.get(at)) != Some(&log.commit.hash) {
            return Err(format!("{:?} was never committed", log.commit));
        }
        Ok(())
    }
}
