//! Durable operations under way. One ring of tickets says what the disk holds: everything that
//! must wait for the disk asks here, so that no driver can be too early.
//!
//! A ticket, unlike an index, cannot be confused by a truncation: an operation that wrote entries
//! which were replaced since vouches only for those below (rule R7).

use alloc::collections::VecDeque;

use crate::output::Persist;
use crate::types::{HardState, Index, LogId, Term, Ticket, Time};

/// What was asked of the disk and what it confirmed.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Tickets {
    issued: Ticket,
    durable: Ticket,
    pending: VecDeque<Operation>,
    durable_index: Index,
    durable_term: Term,
    /// The operation that carries the hard state in force.
    hard_state: Ticket,
    /// The last entry that was ever handed over and not cut off since.
    handed_over: Index,
    hard_state_changed: bool,
    written_from: Option<Index>,
    /// The log begins anew after this entry.
    reset: Option<LogId>,
}

#[derive(Clone, Copy, Debug, Hash)]
struct Operation {
    ticket: Ticket,
    last_index: Index,
    term: Term,
    since: Time,
}

impl Tickets {
    pub(crate) const fn restore(term: Term, last: Index) -> Self {
        Self {
            issued: Ticket(0),
            durable: Ticket(0),
            pending: VecDeque::new(),
            durable_index: last,
            durable_term: term,
            hard_state: Ticket(0),
            handed_over: last,
            hard_state_changed: false,
            written_from: None,
            reset: None,
        }
    }

    pub(crate) const fn durable_index(&self) -> Index {
        self.durable_index
    }

    pub(crate) const fn durable_term(&self) -> Term {
        self.durable_term
    }

    pub(crate) const fn issued(&self) -> Ticket {
        self.issued
    }

    /// The ticket that covers everything up to and including what this step changed.
    pub(crate) const fn newest(&self) -> Ticket {
        if self.has_changed() { self.next() } else { self.issued }
    }

    /// The ticket that covers the hard state in force, and so all that was written before it.
    pub(crate) const fn hard_state(&self) -> Ticket {
        self.hard_state
    }

    pub(crate) fn is_durable(&self, ticket: Ticket) -> bool {
        ticket <= self.durable
    }

    /// Since when the oldest write is out.
    pub(crate) fn waiting_since(&self) -> Option<Time> {
        self.pending.front().map(|operation| operation.since)
    }

    pub(crate) const fn hard_state_changed(&mut self) {
        self.hard_state_changed = true;
        self.hard_state = self.next();
    }

    /// Entries from `first` on were appended.
    pub(crate) fn written(&mut self, first: Index) {
        self.written_from = Some(self.written_from.map_or(first, |from| from.min(first)));
    }

    /// R7: entries at and above `from` are replaced; no operation under way may vouch for them.
    pub(crate) fn truncated(&mut self, from: Index) {
        let kept = from.previous();
        for operation in &mut self.pending {
            operation.last_index = operation.last_index.min(kept);
        }
        self.durable_index = self.durable_index.min(kept);
        self.written(from);
    }

    /// R9: a snapshot stands for all up to `at`, and the log begins anew after it. Until that is
    /// durable nothing is; no operation under way may vouch for anything (rule R7).
    pub(crate) fn reset(&mut self, at: LogId) {
        for operation in &mut self.pending {
            operation.last_index = Index(0);
        }
        self.durable_index = Index(0);
        self.handed_over = at.index;
        self.written_from = None;
        self.reset = Some(at);
    }

    const fn has_changed(&self) -> bool {
        self.hard_state_changed || self.written_from.is_some() || self.reset.is_some()
    }

    /// The one durable operation of a step, if it changed anything durable.
    pub(crate) fn issue(&mut self, state: HardState, last: Index, now: Time) -> Option<Persist> {
        if !self.has_changed() {
            return None;
        }
        self.issued = self.next();
        let first = self.written_from.unwrap_or_else(|| last.next());
        let persist = Persist {
            ticket: self.issued,
            hard_state: self.hard_state_changed.then_some(state),
            reset: self.reset.take(),
            truncate_from: (first <= self.handed_over).then_some(first),
            first,
            last,
        };
        let term = state.term;
        self.pending.push_back(Operation {
            ticket: self.issued,
            last_index: last,
            term,
            since: now,
        });
        self.handed_over = last;
        self.hard_state_changed = false;
        self.written_from = None;
        Some(persist)
    }

    /// Everything up to `ticket` is durable.
    pub(crate) fn persisted(&mut self, ticket: Ticket) {
        assert!(ticket <= self.issued, "{ticket} was never issued");
        while let Some(&operation) = self.pending.front() {
            if operation.ticket > ticket {
                break;
            }
            self.durable = operation.ticket;
            self.durable_index = self.durable_index.max(operation.last_index);
            self.durable_term = self.durable_term.max(operation.term);
            self.pending.pop_front();
        }
    }

    /// For [`crate::Raft::normalize`]: counts from the last durable ticket, which becomes zero, and
    /// forgets since when anything is out. Returns what was taken off.
    pub(crate) fn count_from_zero(&mut self) -> Ticket {
        let durable = self.durable;
        self.issued = self.issued.less(durable);
        self.hard_state = self.hard_state.less(durable);
        self.durable = Ticket(0);
        for operation in &mut self.pending {
            operation.ticket = operation.ticket.less(durable);
            operation.since = Time(0);
        }
        durable
    }

    const fn next(&self) -> Ticket {
        Ticket(self.issued.0 + 1)
    }
}
