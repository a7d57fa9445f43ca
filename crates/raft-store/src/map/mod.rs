//! A map in which every change has a revision, after etcd's data model.
//!
//! The map begins at revision 1, and every transaction that changes something makes the next one.
//! [`Map::current`] has the keys that are there now: a tree that shares its nodes with its copies.
//! [`Map::history`] has the last changes with what each of them replaced. A put is one search in
//! the tree and a push; the state at an older revision is today's with the changes since undone.
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

use history::{Change, History};
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
    current: Tree,
    /// Those of its records.
    bytes: u64,
    history: History,
    /// The changes of the transaction that is done now.
    changes: Vec<Change>,
    /// Where records are put together.
    scratch: Vec<u8>,
}

/// The map as it was at one point of the log.
#[derive(Debug)]
pub(crate) struct MapView {
    pub(crate) revision: u64,
    pub(crate) oldest: u64,
    current: Tree,
    history: History,
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
            history: History::default(),
            changes: Vec::new(),
            scratch: Vec::new(),
        }
    }

    pub(crate) const fn revision(&self) -> u64 {
        self.revision
    }

    /// What the records take.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes + self.history.bytes()
    }

    pub(crate) const fn limits(&self) -> HistoryLimits {
        self.limits
    }

    pub(crate) fn view(&self) -> MapView {
        MapView {
            revision: self.revision,
            oldest: self.oldest,
            current: self.current.clone(),
            history: self.history.clone(),
        }
    }

    /// Runs a transaction that was checked.
    pub(crate) fn apply(&mut self, txn: &Txn) -> Answer {
        let succeeded = txn.compares.iter().all(|compare| self.holds(compare));
        let ops = if succeeded { &txn.success } else { &txn.failure };
        if let Err(refusal) = self.fits(ops) {
            return Answer::Refused(refusal);
        }
        let mut done = Vec::with_capacity(ops.len());
        let mut budget = Budget::new(TXN_ANSWER_BYTES_MAX);
        for op in ops {
            done.push(match op {
                Op::Put(key, value) => {
                    self.put(key, value);
                    Done::Put
                }
                Op::Delete(keys) => Done::Deleted(self.delete(keys)),
                Op::Get(range) => Done::Got(self.range_now(range, &mut budget)),
            });
        }
        self.commit();
        Answer::Txn { revision: self.revision, succeeded, done }
    }

    /// Runs a transaction that is nothing but this put, within the limits; returns its revision.
    pub(crate) fn apply_put(&mut self, key: &[u8], value: &[u8]) -> u64 {
        self.put(key, value);
        self.commit();
        self.revision
    }

    /// What a transaction changed becomes a revision.
    fn commit(&mut self) {
        if !self.changes.is_empty() {
            self.revision += 1;
            self.changes.sort_unstable_by(|left, right| left.record.key().cmp(right.record.key()));
            self.changes.drain(..).for_each(|change| self.history.push(change));
            self.cut();
        }
    }

    fn holds(&self, Compare { key, test }: &Compare) -> bool {
        let record = self.current.get(key);
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

    fn put(&mut self, key: &[u8], value: &[u8]) {
        let revision = self.revision + 1;
        let mut made = None;
        let before = self.current.put(key, |old| {
            let (created, version) =
                old.map_or((revision, 1), |old| (old.create_revision(), old.version() + 1));
            let numbers = [created, revision, version];
            made.insert(Record::new(&mut self.scratch, key, value, numbers)).clone()
        });
        let Some(record) = made else { return };
        self.bytes += record.size();
        self.bytes -= before.as_ref().map_or(0, Record::size);
        self.changes.push(Change { record, before });
    }

    fn delete(&mut self, keys: &Keys) -> u64 {
        let gone: Vec<Record> = self.of(keys).cloned().collect();
        for old in &gone {
            let record = Record::deleted(old.key(), self.revision + 1);
            let before = self.current.remove(old.key());
            self.bytes -= old.size();
            self.changes.push(Change { record, before });
        }
        gone.len() as u64
    }

    /// Cuts the history to its limits, a revision at a time.
    fn cut(&mut self) {
        let HistoryLimits { revisions_max, bytes_max } = self.limits;
        while self.oldest < self.revision
            && (self.revision - self.oldest > revisions_max || self.history.bytes() > bytes_max)
        {
            self.oldest += 1;
            self.history.pop(self.oldest);
        }
    }

    /// The current records of some keys.
    fn of<'a>(&'a self, keys: &'a Keys) -> impl Iterator<Item = &'a Record> {
        let records = self.current.from(keys.first());
        records.take_while(|record| !keys.is_before(record.key()))
    }
}
