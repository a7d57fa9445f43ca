//! Reads: questions that the state machine answers beside the log. The core says from which index
//! on a linearizable one may be answered; one for news then waits until there are some.
//!
//! **Invariant:** nothing that a read does outlives it, so every refusal here is definite.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_core::{Index, Input, ReadRefused, Time};

use super::clients::{refuse, reply};
use super::{Context, Effect, Machine, Origin, Replica};
use crate::protocol::{Answer, Consistency, News, Outcome, ReadAnswer, Reason};
use crate::wire::RESPONSE_BYTES_MAX;

/// What a read takes of the memory beside its question, about.
const READ_BYTES: u64 = 256;

/// Reads under way at this member, by numbers of its own.
#[derive(Debug, Default)]
pub(super) struct Queries {
    last: u64,
    /// Of this call: one round confirms them all.
    batch: Vec<u64>,
    /// The core has these.
    asked: BTreeMap<u64, Read>,
    /// To be answered once so much is applied.
    ready: BTreeMap<(Index, u64), Read>,
    /// For news, until then.
    waiting: BTreeMap<(Time, u64), Read>,
    /// The version at which nobody more had to be woken.
    version: u64,
    bytes: u64,
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) query: Bytes,
    pub(super) consistency: Consistency,
    pub(super) news: Option<News>,
}

#[derive(Debug)]
struct Read {
    origin: Origin,
    question: Question,
    /// An answer is kept back no longer.
    until: Time,
}

impl Read {
    const fn bytes(&self) -> u64 {
        self.question.query.len() as u64 + READ_BYTES
    }

    /// Whether it waits on: there are no news for it since this version, nor since its own.
    fn waits(&self, now: Time, machine: &Machine, since: u64) -> bool {
        self.question.news.is_some_and(|news| {
            now < self.until && !machine.has_news(&self.question.query, since.max(news.after))
        })
    }
}

impl Replica {
    /// Every member answers: reads are not passed on.
    pub(super) fn read(
        &mut self,
        now: Time,
        origin: Origin,
        question: Question,
        fx: &mut Vec<Effect>,
    ) {
        let (size, limit) = (question.query.len() as u64, self.limits.query_bytes_max);
        let is_local = question.consistency == Consistency::Local;
        let until = now + question.news.map_or(0, |news| u64::from(news.within));
        let read = Read { origin, question, until };
        let queries = &mut self.queries;
        let refusal = if size > limit {
            Reason::TooLarge { limit, size }
        } else if queries.bytes + read.bytes() > self.limits.waiting_query_bytes_max {
            Reason::Busy { what: "too many reads wait for their answers".into() }
        } else {
            queries.bytes += read.bytes();
            queries.last += 1;
            let number = queries.last;
            if is_local {
                queries.ready.insert((Index(0), number), read);
            } else {
                queries.asked.insert(number, read);
                queries.batch.push(number);
            }
            return;
        };
        fx.push(refuse(origin, Outcome::NotApplied, refusal));
    }

    /// Everything that was asked in this call is confirmed together.
    pub(super) fn confirm_reads(&mut self, now: Time, fx: &mut Vec<Effect>) {
        let requests = std::mem::take(&mut self.queries.batch);
        if !requests.is_empty() {
            self.core(now, Input::Read { requests }, &Context::default(), fx);
        }
    }

    /// Answers what can be answered, within a budget of bytes.
    pub(super) fn answer_reads(&mut self, now: Time, fx: &mut Vec<Effect>) {
        let (applied, version) = (self.machine.applied(), self.machine.version());
        self.queries.wake(now, &self.machine);
        let mut budget = self.limits.answer_bytes_max;
        while budget > 0
            && let Some((number, read)) = self.queries.next_ready(applied)
        {
            if read.waits(now, &self.machine, 0) {
                self.queries.waiting.insert((read.until, number), read);
                continue;
            }
            self.queries.bytes -= read.bytes();
            let response = self.machine.query(&read.question.query);
            budget = budget.saturating_sub(response.len() as u64 + READ_BYTES);
            fx.push(if response.len() > RESPONSE_BYTES_MAX {
                let size = response.len();
                let what = format!("the answer has {size} bytes, at most {RESPONSE_BYTES_MAX}");
                refuse(read.origin, Outcome::NotApplied, Reason::Invalid(what))
            } else {
                let stale = read.question.consistency == Consistency::Local;
                reply(read.origin, Answer::Read(ReadAnswer { response, applied, version, stale }))
            });
        }
    }

    pub(super) fn read_refused(&self, why: ReadRefused) -> Reason {
        let address = |id| self.address_of(id).map(str::to_owned);
        match why {
            ReadRefused::NotLeader { leader: None } => Reason::NoLeader,
            ReadRefused::NotLeader { leader: Some(id) } => {
                Reason::NotLeader { leader: address(id) }
            }
            ReadRefused::HandingOver { to } => {
                Reason::HandingOver { to: address(to).unwrap_or_default() }
            }
        }
    }
}

impl Queries {
    /// The core says from where on this read may be answered.
    pub(super) fn confirmed(&mut self, number: u64, index: Index) {
        if let Some(read) = self.asked.remove(&number) {
            self.ready.insert((index, number), read);
        }
    }

    pub(super) fn refused(&mut self, number: u64, reason: Reason, fx: &mut Vec<Effect>) {
        if let Some(read) = self.asked.remove(&number) {
            self.bytes -= read.bytes();
            fx.push(refuse(read.origin, Outcome::NotApplied, reason));
        }
    }

    /// Who waited for news, and has some or waits no longer, is answered as everybody else.
    fn wake(&mut self, now: Time, machine: &Machine) {
        let is_over = self.next_deadline().is_some_and(|until| until <= now);
        let since = std::mem::replace(&mut self.version, machine.version());
        if self.version == since && !is_over {
            return;
        }
        let woken = self.waiting.extract_if(.., |_, read| !read.waits(now, machine, since));
        let woken: Vec<_> = woken.map(|((_, number), read)| ((Index(0), number), read)).collect();
        self.ready.extend(woken);
    }

    fn next_ready(&mut self, applied: Index) -> Option<(u64, Read)> {
        let first = self.ready.first_entry().filter(|first| first.key().0 <= applied)?;
        let ((_, number), read) = first.remove_entry();
        Some((number, read))
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.waiting.first_key_value().map(|((until, _), _)| *until)
    }

    pub(super) fn has_backlog(&self, applied: Index) -> bool {
        self.ready.first_key_value().is_some_and(|((index, _), _)| *index <= applied)
    }

    /// Reads that wait for news are owed nothing before there are some.
    pub(super) fn owes_answers(&self) -> bool {
        !self.asked.is_empty() || !self.ready.is_empty()
    }

    /// Nobody waits on this connection any more. What the core has goes on: it takes its place
    /// until it is confirmed.
    pub(super) fn gone(&mut self, connection: u64) {
        let (ready, waiting) = (&mut self.ready, &mut self.waiting);
        let left = |read: &mut Read| read.origin.connection == connection;
        let ready = ready.extract_if(.., |_, read| left(read)).map(|(_, read)| read);
        let waiting = waiting.extract_if(.., |_, read| left(read)).map(|(_, read)| read);
        self.bytes -= ready.chain(waiting).map(|read| read.bytes()).sum::<u64>();
    }

    /// News will be somewhere else.
    pub(super) fn stop(&mut self, fx: &mut Vec<Effect>) {
        for read in std::mem::take(&mut self.waiting).into_values() {
            self.bytes -= read.bytes();
            fx.push(refuse(read.origin, Outcome::NotApplied, Reason::ShuttingDown));
        }
    }
}
