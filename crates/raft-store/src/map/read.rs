//! Reading the map: now, at an older revision, and what changed since.

use crate::answer::{ANSWER_BYTES_MAX, Answer, Found};
use crate::refusal::Refusal;
use crate::txn::{Keys, Only, Range};

use super::{Map, Record};

/// Bytes that an answer may still take.
pub(crate) struct Budget {
    bytes: u64,
    fresh: bool,
}

impl Budget {
    pub(crate) const fn new(bytes: u64) -> Self {
        Self { bytes, fresh: true }
    }

    /// Takes so many bytes; the first ones are always there, so that every question gets on.
    fn take(&mut self, bytes: u64) -> bool {
        let fits = bytes <= self.bytes || self.fresh;
        if fits {
            self.fresh = false;
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        fits
    }
}

/// Collects what is found, within the limits of a question.
struct Collector<'a> {
    range: &'a Range,
    budget: &'a mut Budget,
    found: Found,
}

impl Collector<'_> {
    /// Takes a record, or says that there is no room for any more.
    fn take(&mut self, record: &Record) -> bool {
        if self.found.more || self.range.only == Only::Count {
            return false;
        }
        let full = self.range.limit != 0 && self.found.records.len() as u64 >= self.range.limit;
        let record =
            if self.range.only == Only::Keys { record.without_value() } else { record.clone() };
        if full || !self.budget.take(record.size() + 4) {
            self.found.more = true;
            return false;
        }
        self.found.records.push(record);
        true
    }
}

impl Map {
    /// Reads at the revision that the question names.
    pub(crate) fn range(&self, range: &Range) -> Answer {
        let mut budget = Budget::new(ANSWER_BYTES_MAX);
        let found = match range.revision {
            revision if revision > self.revision => {
                return Answer::Refused(Refusal::Future { revision: self.revision });
            }
            0 => self.range_now(range, &mut budget),
            revision if revision == self.revision => self.range_now(range, &mut budget),
            revision if revision < self.oldest => {
                return Answer::Refused(Refusal::Compacted { oldest: self.oldest });
            }
            revision => self.range_then(range, revision, &mut budget),
        };
        Answer::Range { revision: self.revision, found }
    }

    pub(super) fn range_now(&self, range: &Range, budget: &mut Budget) -> Found {
        let rank = |key| self.current.rank(key);
        let count = match &range.keys {
            Keys::One(key) => return self.get_now(key, range, budget),
            Keys::From(from) => self.current.len() - rank(from),
            Keys::Between(from, end) => rank(end).saturating_sub(rank(from)),
        };
        let found = Found { count: count as u64, ..Found::default() };
        let mut collector = Collector { range, budget, found };
        for record in self.of(&range.keys) {
            if !collector.take(record) {
                break;
            }
        }
        collector.found
    }

    fn get_now(&self, key: &[u8], range: &Range, budget: &mut Budget) -> Found {
        let mut collector = Collector { range, budget, found: Found::default() };
        if let Some(record) = self.current.get(key) {
            collector.found.count = 1;
            collector.take(record);
        }
        collector.found
    }

    /// The same at an older revision, which is within the history: what did not change since, and
    /// what was replaced since. So it takes as long as there are changes since.
    fn range_then(&self, range: &Range, revision: u64, budget: &mut Budget) -> Found {
        let keys = &range.keys;
        let mut collector = Collector { range, budget, found: Found::default() };
        let unchanged = self.of(keys).filter(|record| record.mod_revision() <= revision);
        let undone = self.history.undone(keys, revision).into_values().flatten();
        let (mut unchanged, mut undone) = (unchanged.peekable(), undone.peekable());
        loop {
            let next = match (unchanged.peek(), undone.peek()) {
                (Some(one), Some(other)) if one.key() < other.key() => unchanged.next(),
                (_, Some(_)) => undone.next(),
                (_, None) => unchanged.next(),
            };
            let Some(record) = next else { return collector.found };
            collector.found.count += 1;
            collector.take(record);
        }
    }

    /// Whether something happened to some keys after both of these revisions, or what happened
    /// after the first one is not known any more.
    pub(crate) fn has_events(&self, keys: &Keys, after: u64, oldest: u64) -> bool {
        after < self.oldest || self.history.of(keys, after.max(oldest)).next().is_some()
    }

    /// What happened to some keys after a revision: whole revisions, as many as an answer holds.
    pub(crate) fn events(&self, keys: &Keys, after: u64) -> Answer {
        if after < self.oldest {
            return Answer::Refused(Refusal::Compacted { oldest: self.oldest });
        }
        let mut budget = Budget::new(ANSWER_BYTES_MAX);
        let (mut events, mut whole): (Vec<Record>, _) = (Vec::new(), 0);
        for event in self.history.of(keys, after).map(|change| &change.record) {
            if events.last().is_some_and(|last| last.mod_revision() < event.mod_revision()) {
                whole = events.len();
            }
            // The events of one revision fit into an answer, whatever is before them.
            if !budget.take(event.size() + 4) && whole > 0 {
                events.truncate(whole);
                let through = events.last().map_or(after, Record::mod_revision);
                return Answer::Events { revision: self.revision, through, events };
            }
            events.push(event.clone());
        }
        Answer::Events { revision: self.revision, through: self.revision.max(after), events }
    }
}
