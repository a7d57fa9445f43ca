//! What the core knows of its log: where each term begins, and for the tail that is still in
//! memory the size and kind of each entry. Never a payload.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::types::{EntryKind, EntryMeta, Index, LogId, NoTerm, Term};

/// The log's shape.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Log {
    /// The log begins after this entry: it was compacted, and all below it.
    start: LogId,
    /// Where each term begins: `(first index, term)`, both rising. A term lookup costs the
    /// logarithm of the number of elections.
    runs: Vec<(Index, Term)>,
    last: Index,
    /// Sizes of the entries in memory, the last of which is `last`.
    sizes: VecDeque<u32>,
    /// Those of them that are not plain commands.
    special: BTreeMap<Index, EntryKind>,
    bytes: u64,
}

/// How the entries of a message fit a log that holds the entry before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Splice {
    /// So many of them are there already.
    pub(crate) known: usize,
    /// The first of the others meets an entry of another term: that one and all after it go
    /// (paper, figure 2, `AppendEntries` step 3).
    pub(crate) conflict: bool,
}

impl Log {
    pub(crate) fn restore(start: LogId, last: Index, runs: Vec<(Index, Term)>) -> Self {
        let mut log = Self {
            start: LogId::default(),
            runs,
            last,
            sizes: VecDeque::new(),
            special: BTreeMap::new(),
            bytes: 0,
        };
        log.compact(start);
        log
    }

    pub(crate) const fn start(&self) -> LogId {
        self.start
    }

    pub(crate) const fn last_index(&self) -> Index {
        self.last
    }

    pub(crate) fn last_log_id(&self) -> LogId {
        LogId { term: self.runs.last().map_or(self.start.term, |run| run.1), index: self.last }
    }

    /// The first index whose payload must still be in memory.
    pub(crate) fn tail_start(&self) -> Index {
        Index(self.last.0 + 1 - self.sizes.len() as u64)
    }

    /// The term of the entry at `index`, as far as the log knows it. Zero before the first entry.
    pub(crate) fn term_at(&self, index: Index) -> Result<Term, NoTerm> {
        if index < self.start.index {
            return Err(NoTerm::Compacted);
        }
        if index > self.last {
            return Err(NoTerm::Missing);
        }
        let runs = self.runs.partition_point(|run| run.0 <= index);
        let run = runs.checked_sub(1).and_then(|i| self.runs.get(i));
        Ok(run.map_or(self.start.term, |run| run.1))
    }

    /// Entries from `first` on while they are in memory and fit; and at least one if `first` is
    /// in memory. With their bytes.
    pub(crate) fn entries(&self, first: Index, bytes_max: u64) -> (Vec<EntryMeta>, u64) {
        let begin =
            first.0.checked_sub(self.tail_start().0).and_then(|at| usize::try_from(at).ok());
        let Some(begin) = begin.filter(|begin| *begin < self.sizes.len()) else {
            return (Vec::new(), 0);
        };
        let (mut count, mut bytes) = (0, 0);
        for size in self.sizes.range(begin..) {
            let size = u64::from(*size);
            if count > 0 && bytes + size > bytes_max {
                break;
            }
            (count, bytes) = (count + 1, bytes + size);
        }
        // Terms and kinds are looked up once, not for each entry.
        let mut term = self.term_at(first).unwrap_or_default();
        let later = self.runs.partition_point(|run| run.0 <= first);
        let mut runs = self.runs.iter().skip(later).peekable();
        let mut special = self.special.range(first..).peekable();
        let mut index = first;
        let mut entries = Vec::with_capacity(count);
        for &size in self.sizes.range(begin..begin + count) {
            if let Some((_, next)) = runs.next_if(|run| run.0 == index) {
                term = *next;
            }
            let kind = special.next_if(|(at, _)| **at == index);
            let kind = kind.map_or(EntryKind::Command, |(_, kind)| kind.clone());
            entries.push(EntryMeta { term, size, kind });
            index = index.next();
        }
        (entries, bytes)
    }

    pub(crate) fn append(&mut self, entry: EntryMeta) -> Index {
        let last_term = self.last_log_id().term;
        assert!(entry.term >= last_term, "terms never fall along a log");
        self.last = self.last.next();
        if entry.term > last_term || self.runs.is_empty() {
            self.runs.push((self.last, entry.term));
        }
        self.sizes.push_back(entry.size);
        self.bytes += u64::from(entry.size);
        if entry.kind != EntryKind::Command {
            self.special.insert(self.last, entry.kind);
        }
        self.last
    }

    /// Removes the entry at `from` and all after it.
    pub(crate) fn truncate_from(&mut self, from: Index) {
        while self.last >= from && self.last > Index(0) {
            if let Some(size) = self.sizes.pop_back() {
                self.bytes -= u64::from(size);
                self.last = self.last.previous();
            } else {
                self.last = from.previous();
            }
        }
        self.special.split_off(&from);
        let kept = self.runs.partition_point(|run| run.0 < from);
        self.runs.truncate(kept);
    }

    /// The entry at `through` and all before it are not the log's any more; its term is still
    /// known.
    pub(crate) fn compact(&mut self, through: LogId) {
        let gone = self.runs.partition_point(|run| run.0 <= through.index);
        let cut = self.runs.drain(..gone).next_back();
        let next = through.index.next();
        if let Some((_, term)) = cut
            && next <= self.last
            && self.runs.first().is_none_or(|run| run.0 > next)
        {
            self.runs.insert(0, (next, term));
        }
        while self.tail_start() <= through.index && !self.sizes.is_empty() {
            self.pop_front();
        }
        self.start = through;
    }

    /// Nothing is left; the log goes on after `at`.
    pub(crate) fn reset(&mut self, at: LogId) {
        *self = Self::restore(at, at.index, Vec::new());
    }

    /// Forgets sizes from the front while the tail is larger than `bytes_max`, but nothing above
    /// `limit`.
    pub(crate) fn evict(&mut self, limit: Index, bytes_max: u64) {
        while self.bytes > bytes_max && self.tail_start() <= limit && !self.sizes.is_empty() {
            self.pop_front();
        }
    }

    fn pop_front(&mut self) {
        let first = self.tail_start();
        if self.special.first_key_value().is_some_and(|(at, _)| *at == first) {
            self.special.pop_first();
        }
        if let Some(size) = self.sizes.pop_front() {
            self.bytes -= u64::from(size);
        }
    }

    /// How `entries` fit after `prev`, which this log holds.
    pub(crate) fn splice(&self, prev: Index, entries: &[EntryMeta]) -> Splice {
        let mut index = prev;
        for (known, entry) in entries.iter().enumerate() {
            index = index.next();
            match self.term_at(index) {
                Ok(term) if term == entry.term => {}
                Ok(_) => return Splice { known, conflict: true },
                Err(_) => return Splice { known, conflict: false },
            }
        }
        Splice { known: entries.len(), conflict: false }
    }

    /// The last entry at or below `id.index` whose term is at most `id.term`. A follower answers
    /// a conflict with it, the leader goes on from its own such entry: everything between cannot
    /// match, because terms never fall along a log (paper, end of section 5.3). "Before the log" if
    /// that entry is compacted.
    pub(crate) fn last_at_or_below(&self, id: LogId) -> LogId {
        let mut index = id.index.min(self.last);
        for &(first, term) in self.runs.iter().rev() {
            if first > index {
                continue;
            }
            if term <= id.term {
                return LogId { term, index };
            }
            index = first.previous();
        }
        let at_start = self.start.index <= index && self.start.term <= id.term;
        if at_start { self.start } else { LogId::default() }
    }

    /// "The voter denies its vote if its own log is more up-to-date than that of the candidate":
    /// the later last term wins, then the longer log (paper, section 5.4.1).
    pub(crate) fn is_up_to_date(&self, candidate: LogId) -> bool {
        candidate >= self.last_log_id()
    }

    /// Its configurations, for [`crate::Raft::rename`].
    pub(crate) fn special_mut(&mut self) -> impl Iterator<Item = &mut EntryKind> {
        self.special.values_mut()
    }

    /// For the checks: runs rise and end within the log, and no bytes are left of an empty tail.
    pub(crate) fn is_consistent(&self) -> bool {
        let rising = self.runs.windows(2).all(|w| matches!(w, [a, b] if a.0 < b.0 && a.1 < b.1));
        let within = self.runs.last().is_none_or(|run| run.0 <= self.last)
            && self.runs.first().is_none_or(|run| run.0 > self.start.index)
            && self.start.index <= self.last;
        rising && within && (self.bytes == 0 || !self.sizes.is_empty())
    }
}
