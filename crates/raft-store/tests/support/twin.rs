//! The map as a list of all that ever happened to each key.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_store::{
    Compare, HistoryLimits, Is, Keys, Only, Op, RECORD_BYTES, Range, Refusal, Test, Txn,
};

use super::Row;

/// What a transaction does: whether it succeeded, and of each operation the number of deleted
/// keys or the rows.
pub type Outcome = (u64, bool, Vec<(u64, Vec<Row>)>);

pub struct Twin {
    pub limits: HistoryLimits,
    pub revision: u64,
    pub oldest: u64,
    /// Every state of every key since it was first put; the first list of a key begins with it.
    keys: BTreeMap<Bytes, Vec<Row>>,
}

impl Twin {
    pub fn new(limits: HistoryLimits) -> Self {
        Self { limits, revision: 1, oldest: 1, keys: BTreeMap::new() }
    }

    fn state(&self, key: &Bytes, revision: u64) -> Option<&Row> {
        let states = self.keys.get(key)?;
        states.iter().rev().find(|row| row.3 <= revision).filter(|row| row.4 > 0)
    }

    fn all(&self, keys: &Keys, revision: u64) -> Vec<Row> {
        let wanted = self.keys.keys().filter(|key| contains(keys, key));
        wanted.filter_map(|key| self.state(key, revision).cloned()).collect()
    }

    pub fn apply(&mut self, txn: &Txn) -> Outcome {
        let succeeded = txn.compares.iter().all(|compare| self.holds(compare));
        let next = self.revision + 1;
        let (mut done, mut changed) = (Vec::new(), false);
        for op in if succeeded { &txn.success } else { &txn.failure } {
            done.push(match op {
                Op::Put(key, value) => {
                    let old = self.state(key, next).map(|old| (old.2, old.4));
                    let (created, version) = old.unwrap_or((next, 0));
                    let row = (key.clone(), value.clone(), created, next, version + 1);
                    self.keys.entry(key.clone()).or_default().push(row);
                    changed = true;
                    (0, Vec::new())
                }
                Op::Delete(keys) => {
                    let gone = self.all(keys, next);
                    for (key, ..) in &gone {
                        let row = (key.clone(), Bytes::new(), 0, next, 0);
                        self.keys.entry(key.clone()).or_default().push(row);
                    }
                    changed |= !gone.is_empty();
                    (gone.len() as u64, Vec::new())
                }
                Op::Get(range) => {
                    let (rows, count, _) = self.cut(range, self.all(&range.keys, next));
                    (count, rows)
                }
            });
        }
        if changed {
            self.revision = next;
            self.forget();
        }
        (self.revision, succeeded, done)
    }

    fn forget(&mut self) {
        while self.oldest < self.revision
            && (self.revision - self.oldest > self.limits.revisions_max
                || (self.limits != self.unbounded() && self.kept_bytes() > self.limits.bytes_max))
        {
            self.oldest += 1;
        }
    }

    /// Nothing in a test comes near the usual number of bytes, and counting them takes time.
    fn unbounded(&self) -> HistoryLimits {
        HistoryLimits { revisions_max: self.limits.revisions_max, ..HistoryLimits::DEFAULT }
    }

    /// Bytes of states that were there at some revision that can be asked for, or were deleted
    /// after the oldest one, and are not there now.
    fn kept_bytes(&self) -> u64 {
        let mut bytes = 0;
        for states in self.keys.values() {
            for (place, row) in states.iter().enumerate() {
                let replaced = states.get(place + 1).map(|next| next.3);
                let deleted = row.4 == 0;
                let kept = match replaced {
                    Some(revision) => revision > self.oldest && (!deleted || row.3 > self.oldest),
                    None => deleted && row.3 > self.oldest,
                };
                if kept {
                    bytes += (RECORD_BYTES + row.0.len() + row.1.len()) as u64;
                }
            }
        }
        bytes
    }

    fn holds(&self, Compare { key, test }: &Compare) -> bool {
        let row = self.state(key, u64::MAX);
        let (created, modified, version) = row.map_or((0, 0, 0), |row| (row.2, row.3, row.4));
        match test {
            Test::Exists(exists) => row.is_some() == *exists,
            Test::Value(is, value) => row.is_some_and(|row| holds(*is, &row.1, value)),
            Test::Version(is, number) => holds(*is, &version, number),
            Test::Created(is, number) => holds(*is, &created, number),
            Test::Modified(is, number) => holds(*is, &modified, number),
        }
    }

    pub fn range(&self, range: &Range) -> Result<(Vec<Row>, u64, bool), Refusal> {
        let revision = if range.revision == 0 { self.revision } else { range.revision };
        if revision > self.revision {
            return Err(Refusal::Future { revision: self.revision });
        }
        if revision < self.oldest {
            return Err(Refusal::Compacted { oldest: self.oldest });
        }
        Ok(self.cut(range, self.all(&range.keys, revision)))
    }

    fn cut(&self, range: &Range, mut rows: Vec<Row>) -> (Vec<Row>, u64, bool) {
        let count = rows.len() as u64;
        let limit = if range.limit == 0 { usize::MAX } else { range.limit as usize };
        rows.truncate(if range.only == Only::Count { 0 } else { limit });
        if range.only == Only::Keys {
            rows.iter_mut().for_each(|row| row.1 = Bytes::new());
        }
        let more = range.only != Only::Count && (rows.len() as u64) < count;
        (rows, count, more)
    }

    pub fn events(&self, keys: &Keys, after: u64) -> Result<Vec<Row>, Refusal> {
        if after < self.oldest {
            return Err(Refusal::Compacted { oldest: self.oldest });
        }
        let all = self.keys.values().flatten();
        let wanted = all.filter(|row| row.3 > after && contains(keys, &row.0));
        let mut events: Vec<Row> = wanted.cloned().collect();
        events.sort_by_key(|row| (row.3, row.0.clone()));
        Ok(events)
    }
}

fn holds<T: Ord>(is: Is, left: &T, right: &T) -> bool {
    match is {
        Is::Equal => left == right,
        Is::NotEqual => left != right,
        Is::Less => left < right,
        Is::Greater => left > right,
    }
}

fn contains(keys: &Keys, key: &Bytes) -> bool {
    match keys {
        Keys::One(one) => key == one,
        Keys::Between(first, end) => first <= key && key < end,
        Keys::From(first) => first <= key,
    }
}
