//! Applying committed entries, as far as they are here, and reading those that are not.

use std::collections::VecDeque;

use raft_core::{EntryKind, EntryMeta, Index, Input, Time};
use raft_log::{Entry, Kind, encoded_len};

use super::{Context, Effect, Replica};
use crate::wire::{WireError, decode_membership};

/// How far applying may go, and what was read ahead for it.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) bound: Index,
    pub(super) ahead: VecDeque<Entry>,
    halted: bool,
}

impl Progress {
    pub(super) const fn new(bound: Index) -> Self {
        Self { bound, ahead: VecDeque::new(), halted: false }
    }

    /// A snapshot stands for everything up to here.
    pub(super) fn skip_to(&mut self, index: Index) {
        self.bound = self.bound.max(index);
        self.ahead.clear();
    }
}

impl Replica {
    /// Applies what is committed, within a budget of bytes.
    pub(super) fn apply(&mut self, now: Time, fx: &mut Vec<Effect>) {
        let before = self.machine.applied();
        let (mut budget, bound) = (self.limits.apply_bytes_max, self.apply_bound(now));
        while self.machine.applied() < bound && budget > 0 && !self.progress.halted {
            let index = self.machine.applied().next();
            let Some(entry) = self.next_to_apply(index, bound) else {
                self.read_ahead(index, fx);
                break;
            };
            let bytes = encoded_len(entry.payload.len()) as u64;
            budget = budget.saturating_sub(bytes);
            self.snapshots.applied(bytes);
            match self.machine.take(&entry) {
                Ok((answer, lines)) => {
                    self.clients.answer(index, entry.term, answer, fx);
                    if !lines.is_empty() && index > self.machine.shown() {
                        self.machine.show_from(index);
                        fx.push(Effect::Show { index, lines });
                    }
                }
                Err(what) => {
                    // An entry that is not understood must never be skipped: another version may
                    // have applied it.
                    self.progress.halted = true;
                    fx.push(Effect::Halt {
                        why: format!(
                            "entry {index} of the log is {what}, which this version does not \
                             know; nothing was skipped: start the newer version here again"
                        ),
                    });
                }
            }
        }
        if self.machine.applied() > before {
            let applied = Input::Applied(self.machine.applied());
            self.core(now, applied, &Context::default(), fx);
        }
    }

    /// What is committed never changes, so a whole run of entries is taken at a time.
    fn next_to_apply(&mut self, index: Index, bound: Index) -> Option<Entry> {
        let ahead = &mut self.progress.ahead;
        while ahead.front().is_some_and(|entry| entry.index < index) {
            ahead.pop_front();
        }
        if ahead.front().is_none_or(|entry| entry.index > index) {
            ahead.clear();
            ahead.extend(self.buffer.read(index, bound));
        }
        ahead.pop_front()
    }

    /// Committed entries never change, so they may be read at any time once they are on disk.
    fn read_ahead(&mut self, first: Index, fx: &mut Vec<Effect>) {
        if self.reads.for_machine.is_some() {
            return;
        }
        let request = self.reads.next();
        self.reads.for_machine = Some(request);
        let last = self.progress.bound.min(self.raft.tail_start().previous());
        let bytes_max = self.limits.apply_bytes_max;
        fx.push(Effect::ReadLog { request, first, last, bytes_max });
    }
}

/// What the core needs to know of entries.
///
/// # Errors
/// A configuration that cannot be read.
pub fn metas(entries: &[Entry]) -> Result<Vec<EntryMeta>, WireError> {
    let meta = |entry: &Entry| {
        let kind = match entry.kind {
            Kind::NOOP => EntryKind::Noop,
            Kind::MEMBERSHIP => EntryKind::Membership(decode_membership(&entry.payload)?.into()),
            _ => EntryKind::Command,
        };
        let size = u32::try_from(encoded_len(entry.payload.len())).unwrap_or(u32::MAX);
        Ok(EntryMeta { term: entry.term, size, kind })
    };
    entries.iter().map(meta).collect()
}
