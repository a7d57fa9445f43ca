//! A map in which every change has a revision, after etcd's data model.
//!
//! The map begins at revision 1, and every transaction that changes something makes the next one.
//! [`Map::current`] has the keys that are there now. What was replaced or deleted within the
//! history goes to [`Map::past`], deletions as records of their own: the state of a key at an old
//! revision is its newest record that is not newer. Both are trees that share nodes with their
//! copies, so a copy of the map for a snapshot costs two pointers.
//!
//! The history is cut by revision, by rules that depend on nothing but the commands: every member
//! has the same one. When a revision gets too old to be asked for, what it replaced goes.

mod history;
mod list;
mod read;
mod record;
mod restore;
mod tree;

use crate::answer::{Answer, Done};
use crate::refusal::Refusal;
use crate::txn::{CHANGE_BYTES_MAX, CHANGES_MAX, Compare, Keys, Op, Test, Txn};

use history::History;
pub(crate) use read::Budget;
pub use record::{RECORD_BYTES, Record};
use tree::Tree;

/// How far the history goes back. Part of the replicated behaviour: changes only with the version
/// of the log's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Revisions.
    pub revisions_max: u64,
    /// Bytes of records that are kept for it alone.
    pub bytes_max: u64,
}

impl HistoryLimits {
    /// Those of every cluster; others are for tests.
    pub const DEFAULT: Self = Self { revisions_max: 100_000, bytes_max: 256 * 1024 * 1024 };
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Bytes of values that the operations of one transaction answer with, together: the answer is
/// kept for its session.
const TXN_ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// The map with its history.
#[derive(Debug)]
pub(crate) struct Map {
    limits: HistoryLimits,
    revision: u64,
    /// The oldest revision that can be asked for.
    oldest: u64,
    current: Tree<false>,
    bytes: u64,
    past: Tree<true>,
    past_bytes: u64,
    history: History,
}

/// The map as it was at one point of the log.
#[derive(Debug)]
pub(crate) struct MapView {
    pub(crate) revision: u64,
    pub(crate) oldest: u64,
    current: Tree<false>,
    past: Tree<true>,
}

impl Default for Map {
    fn default() -> Self {
        Self::new(HistoryLimits::DEFAULT)
    }
}

impl Map {
    pub(crate) fn new(limits: HistoryLimits) -> Self {
        Self {
            limits,
            revision: 1,
            oldest: 1,
            current: Tree::default(),
            bytes: 0,
            past: Tree::default(),
            past_bytes: 0,
            history: History::default(),
        }
    }

    pub(crate) const fn revision(&self) -> u64 {
        self.revision
    }

    /// What the records take.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes + self.past_bytes
    }

    pub(crate) const fn limits(&self) -> HistoryLimits {
        self.limits
    }

    pub(crate) fn view(&self) -> MapView {
        MapView {
            revision: self.revision,
            oldest: self.oldest,
            current: self.current.clone(),
            past: self.past.clone(),
        }
    }

    /// Runs a transaction that was checked.
    pub(crate) fn apply(&mut self, txn: &Txn) -> Answer {
        let succeeded = txn.compares.iter().all(|compare| self.holds(compare));
        let ops = if succeeded { &txn.success } else { &txn.failure };
        if let Err(refusal) = self.fits(ops) {
            return Answer::Refused(refusal);
        }
        let (mut changes, mut done) = (Vec::new(), Vec::with_capacity(ops.len()));
        let mut budget = Budget::new(TXN_ANSWER_BYTES_MAX);
        for op in ops {
            done.push(match op {
                Op::Put(key, value) => {
                    self.put(key, value, &mut changes);
                    Done::Put
                }
                Op::Delete(keys) => Done::Deleted(self.delete(keys, &mut changes)),
                Op::Get(range) => Done::Got(self.range_now(range, &mut budget)),
            });
        }
        if !changes.is_empty() {
            self.revision += 1;
            changes.sort_unstable_by(|left, right| left.key().cmp(right.key()));
            self.history.push(changes);
            self.cut();
        }
        Answer::Txn { revision: self.revision, succeeded, done }
    }

    fn holds(&self, Compare { key, test }: &Compare) -> bool {
        let record = self.current.get((key, 0));
        let number = |of: fn(&Record) -> u64| record.map_or(0, of);
        match test {
            Test::Exists(exists) => record.is_some() == *exists,
            Test::Value(is, value) => record.is_some_and(|record| is.holds(record.value(), value)),
            Test::Version(is, version) => is.holds(&number(Record::version), version),
            Test::Created(is, revision) => is.holds(&number(Record::create_revision), revision),
            Test::Modified(is, revision) => is.holds(&number(Record::mod_revision), revision),
        }
    }

    /// Whether these operations change little enough: no transaction may keep a member busy for
    /// long, and its events have to fit into an answer.
    fn fits(&self, ops: &[Op]) -> Result<(), Refusal> {
        let (mut changes, mut bytes) = (0, 0);
        let mut change = |size: usize| {
            changes += 1;
            bytes += size + RECORD_BYTES;
            if changes > CHANGES_MAX {
                return Err(Refusal::TooManyChanges);
            }
            if bytes > CHANGE_BYTES_MAX { Err(Refusal::TooLarge) } else { Ok(()) }
        };
        for op in ops {
            match op {
                Op::Put(key, value) => change(key.len() + value.len())?,
                Op::Delete(keys) => {
                    self.of(keys).try_for_each(|record| change(record.key().len()))?;
                }
                Op::Get(_) => {}
            }
        }
        Ok(())
    }

    fn put(&mut self, key: &[u8], value: &[u8], changes: &mut Vec<Record>) {
        let revision = self.revision + 1;
        let old = self.current.put((key, 0), |old| {
            let (created, version) =
                old.map_or((revision, 1), |old| (old.create_revision(), old.version() + 1));
            let record = Record::new(key, value, created, revision, version);
            self.bytes += record.size();
            changes.push(record.clone());
            record
        });
        if let Some(old) = old {
            self.bytes -= old.size();
            self.keep(old);
        }
    }

    fn delete(&mut self, keys: &Keys, changes: &mut Vec<Record>) -> u64 {
        let first = changes.len();
        let revision = self.revision + 1;
        changes.extend(self.of(keys).map(|record| Record::deleted(record.key(), revision)));
        for at in first..changes.len() {
            let Some(deleted) = changes.get(at).cloned() else { continue };
            if let Some(old) = self.current.remove((deleted.key(), 0)) {
                self.bytes -= old.size();
                self.keep(old);
                self.keep(deleted);
            }
        }
        (changes.len() - first) as u64
    }

    /// Keeps for the history what is not there any more.
    fn keep(&mut self, record: Record) {
        self.past_bytes += record.size();
        self.past.insert(record);
    }

    /// Cuts the history to its limits, a revision at a time.
    fn cut(&mut self) {
        let HistoryLimits { revisions_max, bytes_max } = self.limits;
        while self.oldest < self.revision
            && (self.revision - self.oldest > revisions_max || self.past_bytes > bytes_max)
        {
            self.oldest += 1;
            while let Some(change) = self.history.pop(self.oldest) {
                // What it replaced was the state before the oldest revision.
                if let Some(before) = self.past.get((change.key(), self.oldest - 1)) {
                    self.forget(before.mod_revision(), &change);
                }
                if change.is_deleted() {
                    self.forget(self.oldest, &change);
                }
            }
        }
    }

    /// A record of this key that is there.
    fn forget(&mut self, revision: u64, change: &Record) {
        if let Some(record) = self.past.take((change.key(), revision)) {
            self.past_bytes -= record.size();
        }
    }

    /// The current records of some keys.
    fn of<'a>(&'a self, keys: &'a Keys) -> impl Iterator<Item = &'a Record> {
        let records = self.current.from((keys.first(), 0));
        records.take_while(|record| !keys.is_before(record.key()))
    }
}
