//! Applying committed entries: sessions decide whether a command is new, the state machine what
//! it does.

use std::collections::VecDeque;

use bytes::Bytes;
use raft_core::{
    ChangeOutcome, EntryKind, EntryMeta, Index, Input, LogId, Membership, RequestId, Time,
};
use raft_log::{Entry, Kind, encoded_len};

use super::{Context, Effect, Replica};
use crate::payload::Payload;
use crate::protocol::{Answer, Reason, Refusal};
use crate::sessions::{Admission, Sessions};
use crate::state_machine::{Apply, Command, Show};
use crate::wire::{WireError, decode_membership};

/// The state that the log builds: the state machine, its sessions, and how far they are.
pub struct Machine {
    apply: Box<dyn Apply>,
    sessions: Sessions,
    applied: Index,
    /// Lines of entries at or below were shown before.
    shown: Index,
    /// The last ended membership change that was seen.
    last_change: Option<RequestId>,
    /// The last configuration applied that is not joint, and its index.
    settled: (Index, Membership),
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("applied", &self.applied).finish_non_exhaustive()
    }
}

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
}

impl Machine {
    /// A state machine that has applied nothing. Lines of entries up to `shown` are not wanted.
    #[must_use]
    pub fn new(apply: Box<dyn Apply>, shown: Index, founders: Membership) -> Self {
        Self {
            apply,
            sessions: Sessions::default(),
            applied: Index(0),
            shown,
            last_change: None,
            settled: (Index(0), founders),
        }
    }

    /// The same with another session table, which must be the same on every replica.
    #[must_use]
    pub fn with_sessions(self, sessions: Sessions) -> Self {
        Self { sessions, ..self }
    }

    /// The session table.
    #[must_use]
    pub const fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Everything up to here is applied.
    #[must_use]
    pub const fn applied(&self) -> Index {
        self.applied
    }

    /// What the state machine answers to a question, now.
    pub(super) fn query(&self, query: &[u8]) -> Bytes {
        self.apply.query(query)
    }

    pub(super) fn version(&self) -> u64 {
        self.apply.version()
    }

    pub(super) fn admits(&self, command: &[u8]) -> Result<(), String> {
        self.apply.admits(command)
    }

    pub(super) fn answer(&self, session: u64, sequence: u64) -> Option<(LogId, Bytes)> {
        self.sessions.answer(session, sequence)
    }

    pub(super) const fn settled(&self) -> (Index, &Membership) {
        (self.settled.0, &self.settled.1)
    }

    /// Applies the next entry; the answer is for whoever proposed it.
    fn take(&mut self, entry: &Entry) -> Result<(Option<Answer>, Vec<Show>), String> {
        let at = LogId { term: entry.term, index: entry.index };
        let done = match Payload::decode(entry.kind, &entry.payload)? {
            Payload::Noop => (None, Vec::new()),
            Payload::Command { session, sequence, lowest_unacknowledged, bytes } => {
                let admission =
                    self.sessions.begin(at.index, session, sequence, lowest_unacknowledged);
                self.command(at, (session, sequence), admission, &bytes)
            }
            Payload::Register { one_shot } => {
                let session = self.sessions.register(at.index, one_shot);
                (Some(Answer::Registered { session }), Vec::new())
            }
            Payload::EndSession { session } => {
                self.sessions.end(session);
                (Some(Answer::SessionEnded), Vec::new())
            }
            Payload::Membership(membership) => (None, self.membership(at.index, *membership)),
        };
        self.applied = entry.index;
        Ok(done)
    }

    fn command(
        &mut self,
        at: LogId,
        (session, sequence): (u64, u64),
        admission: Admission,
        bytes: &Bytes,
    ) -> (Option<Answer>, Vec<Show>) {
        let answer = match admission {
            Admission::Fresh => {
                let lines_wanted = at.index > self.shown;
                let applied = self.apply.apply(Command { at, bytes, lines_wanted });
                self.sessions.record(session, sequence, at, applied.response.clone());
                let answer = Answer::Written { at, response: applied.response };
                return (Some(answer), applied.lines);
            }
            Admission::Duplicate { at, response } => Answer::Written { at, response },
            // Whether an earlier attempt was applied is not known here any more.
            Admission::Expired => Refusal::not_applied(Reason::SessionExpired { session }).into(),
            Admission::Forgotten => {
                Refusal::unknown(Reason::AnswerForgotten { session, sequence }).into()
            }
            Admission::Invalid(what) => Refusal::not_applied(Reason::Invalid(what.into())).into(),
        };
        (Some(answer), Vec::new())
    }

    /// A final configuration carries how its change ended: that is worth a line.
    fn membership(&mut self, index: Index, membership: Membership) -> Vec<Show> {
        if !membership.is_joint() {
            self.settled = (index, membership.clone());
        }
        let Some((request, outcome)) = membership.outcomes.last() else { return Vec::new() };
        if self.last_change.replace(*request) == Some(*request) {
            return Vec::new();
        }
        let text = match outcome {
            ChangeOutcome::Added { address, .. } => format!("Added new peer {address}"),
            ChangeOutcome::Removed { address, .. } => format!("Removed peer {address}"),
            ChangeOutcome::Replaced { address, .. } => format!("Added new peer {address}"),
            ChangeOutcome::Undone { .. }
            | ChangeOutcome::Demoted { .. }
            | ChangeOutcome::Updated { .. } => return Vec::new(),
        };
        vec![Show::Text(Bytes::from(text))]
    }
}

impl Replica {
    /// Applies what is committed, within a budget of bytes.
    pub(super) fn apply(&mut self, now: Time, fx: &mut Vec<Effect>) {
        let before = self.machine.applied;
        let mut budget = self.limits.apply_bytes_max;
        while self.machine.applied < self.progress.bound && budget > 0 && !self.progress.halted {
            let index = self.machine.applied.next();
            let Some(entry) = self.next_to_apply(index) else {
                self.read_ahead(index, fx);
                break;
            };
            budget = budget.saturating_sub(encoded_len(entry.payload.len()) as u64);
            match self.machine.take(&entry) {
                Ok((answer, lines)) => {
                    self.clients.answer(index, entry.term, answer, fx);
                    if !lines.is_empty() && index > self.machine.shown {
                        self.machine.shown = index;
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
        if self.machine.applied > before {
            let applied = Input::Applied(self.machine.applied);
            self.core(now, applied, &Context::default(), fx);
        }
    }

    fn next_to_apply(&mut self, index: Index) -> Option<Entry> {
        while self.progress.ahead.front().is_some_and(|entry| entry.index < index) {
            self.progress.ahead.pop_front();
        }
        match self.progress.ahead.front() {
            Some(entry) if entry.index == index => self.progress.ahead.pop_front(),
            _ => self.buffer.get(index),
        }
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
