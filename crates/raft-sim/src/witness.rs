//! The built-in state machine with an observer: what was applied, in which order, with what
//! answer.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use raft_core::LogId;
use raft_node::{Applied, Apply, Command, Snapshot};
use raft_store::{Answer, Keys, Messages, Query, Range, Store};

/// A command that a replica applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its place in the log.
    pub at: LogId,
    /// The message.
    pub command: Bytes,
    /// The state machine's answer.
    pub response: Bytes,
}

/// What was applied since anybody looked, and what came of all of it.
#[derive(Clone, Debug, Default)]
pub struct Sight(Arc<Mutex<View>>);

#[derive(Debug, Default)]
struct View {
    store: Store,
    seen: Vec<Seen>,
}

/// The store, observed.
#[derive(Debug, Default)]
pub struct Witness(Sight);

impl Sight {
    fn view(&self) -> MutexGuard<'_, View> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what there is.
    #[must_use]
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.view().seen)
    }

    /// The whole text log.
    #[must_use]
    pub fn messages(&self) -> Messages {
        self.view().store.messages().clone()
    }

    /// All keys with their values and revisions.
    #[must_use]
    pub fn values(&self) -> Answer {
        self.view().store.ask(&Query::Range(Range::of(Keys::prefix(""))))
    }
}

impl Witness {
    /// An empty store, and the way to look at it.
    #[must_use]
    pub fn new() -> (Self, Sight) {
        let witness = Self::default();
        let sight = witness.0.clone();
        (witness, sight)
    }
}

/// The message in a command; another command as it is.
pub(crate) fn text_of(command: &Bytes) -> Bytes {
    match raft_store::Command::decode(command) {
        Ok(raft_store::Command::Message(text)) => text,
        _ => command.clone(),
    }
}

impl Apply for Witness {
    fn apply(&mut self, command: Command<'_>) -> Applied {
        let (at, bytes) = (command.at, text_of(command.bytes));
        let mut view = self.0.view();
        let applied = view.store.apply(command);
        view.seen.push(Seen { at, command: bytes, response: applied.response.clone() });
        applied
    }

    fn query(&self, query: &[u8]) -> Bytes {
        self.0.view().store.query(query)
    }

    fn version(&self) -> u64 {
        self.0.view().store.version()
    }

    fn admits(&self, command: &[u8]) -> Result<(), String> {
        self.0.view().store.admits(command)
    }

    fn snapshot(&self) -> Box<dyn Snapshot> {
        self.0.view().store.snapshot()
    }

    fn fresh(&self) -> Box<dyn Apply> {
        Box::new(Self::default())
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.0.view().store.restore(from)
    }
}
