//! One persist operation per step, from the final state: what several steps of the core wanted
//! durable, merged.

use bytes::Bytes;
use raft_core::{HardState, Index, LogId, Persist, Ticket};
use raft_log::Write;

/// Collects the core's `Persist` outputs of one call.
#[derive(Debug, Default)]
pub(super) struct Merged {
    ticket: Option<Ticket>,
    hard_state: Option<HardState>,
    reset: Option<LogId>,
    /// The lowest index that was written or replaced.
    first: Option<Index>,
}

impl Merged {
    pub(super) fn add(&mut self, persist: Persist) {
        self.ticket = self.ticket.max(Some(persist.ticket));
        self.hard_state = persist.hard_state.or(self.hard_state);
        if persist.reset.is_some() {
            (self.reset, self.first) = (persist.reset, None);
        }
        let wrote = (persist.first <= persist.last).then_some(persist.first);
        for index in [wrote, persist.truncate_from].into_iter().flatten() {
            self.first = Some(self.first.map_or(index, |first| first.min(index)));
        }
    }

    /// The one operation; `None` if nothing durable changed. `last` is the log's last index now,
    /// `handed` the highest index that the log was given before, and is brought up to date.
    pub(super) fn take(
        &mut self,
        last: Index,
        handed: &mut Index,
        commit_hint: Index,
        slice: impl FnOnce(Index, Index) -> Vec<Bytes>,
    ) -> Option<(Ticket, Write)> {
        let Self { ticket, hard_state, reset, first } = std::mem::take(self);
        let ticket = ticket?;
        let start = first.unwrap_or_else(|| last.next());
        let entries = if start <= last { slice(start, last) } else { Vec::new() };
        let truncate_from = first.filter(|first| reset.is_none() && *first <= *handed);
        if first.is_some() {
            *handed = last;
        }
        let write = Write {
            hard_state,
            reset,
            truncate_from,
            first: start,
            count: (last.0 + 1).saturating_sub(start.0),
            entries,
            // Only a lower bound, and never beyond what this very write holds (rule R10).
            commit_hint: commit_hint.min(last),
            peers: None,
        };
        Some((ticket, write))
    }
}
