//! What the log says about itself: term runs, term and vote, commit hint, peers. Recovery builds
//! it block by block; the writer carries it on, because every new slot's header repeats it.

use raft_core::{HardState, Index, LogId, Term};

use crate::slot::PeerBoot;

/// The state of the log as of some block.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogState {
    /// Where each term begins, ascending.
    runs: Vec<(Index, Term)>,
    /// The entry that the log begins after.
    start: LogId,
    /// The last entry's index.
    last: Index,
    pub(crate) hard_state: HardState,
    pub(crate) commit_hint: Index,
    pub(crate) peers: Vec<PeerBoot>,
}

impl LogState {
    pub(crate) fn last(&self) -> LogId {
        let term = self.runs.last().map_or(Term(0), |(_, term)| *term);
        LogId { term, index: self.last }
    }

    /// The entry that the log begins after.
    pub(crate) fn start(&self) -> LogId {
        self.start
    }

    /// The term of an entry from `start` on.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index < self.start.index || index > self.last {
            return None;
        }
        let at = self.runs.partition_point(|(first, _)| *first <= index);
        Some(at.checked_sub(1).and_then(|at| self.runs.get(at)).map_or(Term(0), |run| run.1))
    }

    /// The log is empty, and goes on after `at`, which is committed.
    pub(crate) fn reset(&mut self, at: LogId) {
        self.runs.clear();
        if at.index > Index(0) {
            self.runs.push((at.index, at.term));
        }
        (self.start, self.last, self.commit_hint) = (at, at.index, at.index);
    }

    /// The log begins after `start` now, which it holds and which is committed.
    pub(crate) fn compact(&mut self, start: LogId) {
        let below = self.runs.iter().take_while(|(first, _)| *first <= start.index).count();
        self.runs.splice(..below, [(start.index, start.term)]);
        self.start = start;
        self.observe_commit(start.index);
    }

    pub(crate) fn runs(&self) -> &[(Index, Term)] {
        &self.runs
    }

    /// One more entry.
    pub(crate) fn push(&mut self, index: Index, term: Term) {
        if self.runs.last().is_none_or(|(_, last)| *last != term) {
            self.runs.push((index, term));
        }
        self.last = index;
    }

    /// Goes on behind a part that could not be read and that ended with `last`.
    pub(crate) fn skip_to(&mut self, last: LogId) {
        self.truncate_from(last.index.next());
        if self.last() != last && last.index > Index(0) {
            self.truncate_from(last.index);
            self.push(last.index, last.term);
        }
    }

    /// Everything from `from` on is void.
    pub(crate) fn truncate_from(&mut self, from: Index) {
        self.last = self.last.min(from.previous());
        while self.runs.last().is_some_and(|(first, _)| *first >= from) {
            self.runs.pop();
        }
    }

    /// A commit hint is only a lower bound, and never beyond the entries that are there.
    pub(crate) fn observe_commit(&mut self, hint: Index) {
        self.commit_hint = self.commit_hint.max(hint.min(self.last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncating_takes_back_terms() {
        let mut state = LogState::default();
        for (index, term) in [(1, 1), (2, 1), (3, 2), (4, 5)] {
            state.push(Index(index), Term(term));
        }
        assert_eq!(state.last(), LogId::new(4, 5));
        state.truncate_from(Index(3));
        assert_eq!(state.last(), LogId::new(2, 1));
        state.push(Index(3), Term(6));
        assert_eq!(state.runs(), [(Index(1), Term(1)), (Index(3), Term(6))]);
        state.truncate_from(Index(1));
        assert_eq!(state.last(), LogId::default());
    }

    #[test]
    fn skipping_a_part_ends_where_it_says() {
        let mut state = LogState::default();
        (1..=3).for_each(|index| state.push(Index(index), Term(1)));
        for last in [LogId::new(7, 2), LogId::new(5, 1), LogId::new(5, 2), LogId::default()] {
            state.skip_to(last);
            assert_eq!(state.last(), last);
        }
        assert_eq!(state.runs(), []);
    }

    #[test]
    fn a_commit_hint_is_clamped_and_never_falls() {
        let mut state = LogState::default();
        state.push(Index(1), Term(1));
        state.observe_commit(Index(9));
        assert_eq!(state.commit_hint, Index(1));
        state.observe_commit(Index(0));
        assert_eq!(state.commit_hint, Index(1));
    }
}
