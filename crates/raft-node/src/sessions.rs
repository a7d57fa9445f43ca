//! The replicated session table: what makes a repeated request take effect once (thesis 6.3).
//!
//! A client registers, and the index of that entry is its session. Its writes carry a sequence
//! number, the same in every attempt, and the lowest one that it still wants an answer to. The
//! table keeps the answers from there on, at most [`WINDOW_MAX`] of them: a repetition gets the
//! first answer and is not applied again. Requests in flight together may be applied in any
//! order.
//!
//! The table is bounded in sessions and in bytes of answers. What is over the bound goes by whole
//! sessions, the one least recently used by log index first: a session either answers for
//! everything that it promised, or is *expired*, and never applies anything silently again. One
//! that exceeds the bytes all by itself expires too. One-shot sessions (a command typed into a
//! shell) have bounds of their own, so that a loop in a script cannot expire a client's session.
//!
//! A request that nobody knows the outcome of can be withdrawn: see [`Fate`].
//!
//! Every replica runs this on the same entries, and must come to the same table: nothing here
//! depends on time, chance or configuration. The bounds are part of the replicated behaviour and
//! change only with the version of the log's format.

mod answers;
mod fate;
mod image;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use raft_core::{Index, LogId};

use answers::Answers;
pub use fate::{Fate, RequestName};
pub(crate) use image::SessionsBody;

/// How many requests of one session may be unacknowledged at once.
pub const WINDOW_MAX: u64 = 1024;
/// What an answer counts beside its bytes.
const ANSWER_OVERHEAD_BYTES: u64 = 64;

/// The bounds of one class of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions.
    pub sessions_max: usize,
    /// Bytes of kept answers, of all sessions together.
    pub answer_bytes_max: u64,
}

/// All sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    clients: Class,
    one_shots: Class,
}

/// What to do with a write that was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Apply it, then [`Sessions::record`] its answer.
    Fresh,
    /// It was applied before: this is the first answer.
    Duplicate {
        /// Where it was applied.
        at: LogId,
        /// What the state machine answered.
        response: Bytes,
    },
    /// The session is not there: do not apply it.
    Expired,
    /// The client had said that it wants no answer to this one: do not apply it. It may have
    /// been applied.
    Forgotten,
    /// Somebody asked what became of it, before it was applied: do not apply it.
    Withdrawn {
        /// The place of that question.
        at: LogId,
    },
    /// No correct client sends this: do not apply it.
    Invalid(&'static str),
}

/// Sessions that compete for one quota.
#[derive(Clone, Debug)]
struct Class {
    limits: Limits,
    sessions: BTreeMap<u64, Session>,
    /// The same, each by the index of a use of it, which no other has. It is brought up to the last
    /// one only when it comes first: most uses cost nothing here.
    by_use: BTreeMap<Index, u64>,
    answer_bytes: u64,
}

#[derive(Clone, Debug)]
struct Session {
    last_use: Index,
    /// Where [`Class::by_use`] has it.
    listed_at: Index,
    lowest_unacknowledged: u64,
    /// Shared with the snapshots of the table until the next write: a table may have a million.
    answers: Arc<Answers>,
    /// The requests that are never applied, and where that was decided.
    withdrawn: BTreeMap<u64, LogId>,
    answer_bytes: u64,
}

impl Limits {
    /// For clients that stay.
    pub const CLIENTS: Self = Self { sessions_max: 16_384, answer_bytes_max: 64 * 1024 * 1024 };
    /// For single commands.
    pub const ONE_SHOTS: Self = Self { sessions_max: 4096, answer_bytes_max: 32 * 1024 * 1024 };
}

impl Default for Sessions {
    fn default() -> Self {
        Self::with_limits(Limits::CLIENTS, Limits::ONE_SHOTS)
    }
}

impl Sessions {
    /// An empty table with other bounds than usual, the same on every replica.
    #[must_use]
    pub const fn with_limits(clients: Limits, one_shots: Limits) -> Self {
        Self { clients: Class::new(clients), one_shots: Class::new(one_shots) }
    }

    /// How many sessions there are, one-shots included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.clients.sessions.len() + self.one_shots.sessions.len()
    }

    /// A registration was committed at this index: opens the session of that number.
    pub fn register(&mut self, at: Index, one_shot: bool) -> u64 {
        let class = if one_shot { &mut self.one_shots } else { &mut self.clients };
        class.register(at);
        at.0
    }

    /// The end of a session was committed: whether it was there.
    pub fn end(&mut self, session: u64) -> bool {
        self.class_of(session).is_some_and(|class| class.remove(session))
    }

    /// A write was committed at `at`: is it to be applied? Every write passes here exactly once,
    /// in the order of the log.
    pub fn begin(
        &mut self,
        at: Index,
        session: u64,
        sequence: u64,
        lowest_unacknowledged: u64,
    ) -> Admission {
        match self.clients.begin(at, session, sequence, lowest_unacknowledged) {
            Admission::Expired => {
                self.one_shots.begin(at, session, sequence, lowest_unacknowledged)
            }
            admission => admission,
        }
    }

    /// A fresh write was applied: keeps its answer.
    pub fn record(&mut self, session: u64, sequence: u64, at: LogId, response: Bytes) {
        if let Err(response) = self.clients.record(session, sequence, at, response) {
            // It is there: the write was found to be fresh.
            let _recorded = self.one_shots.record(session, sequence, at, response);
        }
    }

    /// The answer of a write that was applied before, if it is kept. A leader may give it to a
    /// repetition without another entry in the log.
    #[must_use]
    pub fn answer(&self, session: u64, sequence: u64) -> Option<(LogId, Bytes)> {
        let find = |class: &Class| class.sessions.get(&session)?.answers.get(sequence);
        find(&self.clients).or_else(|| find(&self.one_shots))
    }

    fn class_of(&mut self, session: u64) -> Option<&mut Class> {
        [&mut self.clients, &mut self.one_shots]
            .into_iter()
            .find(|class| class.sessions.contains_key(&session))
    }
}

impl Class {
    const fn new(limits: Limits) -> Self {
        Self { limits, sessions: BTreeMap::new(), by_use: BTreeMap::new(), answer_bytes: 0 }
    }

    fn register(&mut self, at: Index) {
        while self.sessions.len() >= self.limits.sessions_max && self.expire_oldest() {}
        let session = Session {
            last_use: at,
            listed_at: at,
            lowest_unacknowledged: 0,
            answers: Arc::default(),
            withdrawn: BTreeMap::new(),
            answer_bytes: 0,
        };
        self.sessions.insert(at.0, session);
        self.by_use.insert(at, at.0);
    }

    fn begin(&mut self, at: Index, id: u64, sequence: u64, lowest: u64) -> Admission {
        let Some(session) = self.sessions.get_mut(&id) else {
            return Admission::Expired;
        };
        if sequence == 0 || lowest > sequence {
            return Admission::Invalid("a sequence number below the lowest unacknowledged one");
        }
        let lowest = lowest.max(session.lowest_unacknowledged);
        if sequence.saturating_sub(lowest) >= WINDOW_MAX {
            return Admission::Invalid("more requests unacknowledged than a session may have");
        }
        session.last_use = at;
        self.answer_bytes -= session.acknowledge(lowest);
        if sequence < lowest {
            return Admission::Forgotten;
        }
        if let Some(at) = session.withdrawn.get(&sequence) {
            return Admission::Withdrawn { at: *at };
        }
        match session.answers.get(sequence) {
            Some((at, response)) => Admission::Duplicate { at, response },
            None => Admission::Fresh,
        }
    }

    /// Gives the response back if it is for none of these sessions.
    fn record(&mut self, id: u64, sequence: u64, at: LogId, response: Bytes) -> Result<(), Bytes> {
        let Some(session) = self.sessions.get_mut(&id) else {
            return Err(response);
        };
        let bytes = cost(&response);
        Arc::make_mut(&mut session.answers).insert(sequence, at, response);
        session.answer_bytes += bytes;
        self.answer_bytes += bytes;
        while self.answer_bytes > self.limits.answer_bytes_max && self.expire_oldest() {}
        Ok(())
    }

    /// Expires the session that is least recently used by log index; `false` if there is none.
    fn expire_oldest(&mut self) -> bool {
        while let Some((at, id)) = self.by_use.pop_first() {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            if session.last_use == at {
                return self.remove(id);
            }
            session.listed_at = session.last_use;
            self.by_use.insert(session.last_use, id);
        }
        false
    }

    fn remove(&mut self, id: u64) -> bool {
        let Some(session) = self.sessions.remove(&id) else {
            return false;
        };
        self.by_use.remove(&session.listed_at);
        self.answer_bytes -= session.answer_bytes;
        true
    }
}

impl Session {
    /// Lets the answers below `lowest` go; returns the bytes that they counted.
    fn acknowledge(&mut self, lowest: u64) -> u64 {
        self.lowest_unacknowledged = lowest;
        let mut bytes = 0;
        // Nothing is copied for a snapshot's sake where nothing goes.
        if self.answers.oldest().is_some_and(|oldest| oldest < lowest) {
            let answers = Arc::make_mut(&mut self.answers);
            while let Some(response) = answers.pop_below(lowest) {
                bytes += cost(&response);
            }
        }
        while self.withdrawn.first_entry().filter(|kept| *kept.key() < lowest).is_some() {
            self.withdrawn.pop_first();
            bytes += ANSWER_OVERHEAD_BYTES;
        }
        self.answer_bytes -= bytes;
        bytes
    }
}

/// What every replica has alike; where a session is listed depends on when it started.
impl PartialEq for Class {
    fn eq(&self, other: &Self) -> bool {
        let Self { limits, sessions, by_use: _, answer_bytes } = self;
        (limits, sessions, answer_bytes) == (&other.limits, &other.sessions, &other.answer_bytes)
    }
}

impl Eq for Class {}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            last_use,
            listed_at: _,
            lowest_unacknowledged,
            answers,
            withdrawn,
            answer_bytes,
        } = self;
        (last_use, lowest_unacknowledged, answers, withdrawn, answer_bytes)
            == (
                &other.last_use,
                &other.lowest_unacknowledged,
                &other.answers,
                &other.withdrawn,
                &other.answer_bytes,
            )
    }
}

impl Eq for Session {}

fn cost(response: &Bytes) -> u64 {
    response.len() as u64 + ANSWER_OVERHEAD_BYTES
}
