//! The built-in state machine with an observer: what was applied, in which order, with what
//! answer.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use raft_core::LogId;
use raft_node::{Applied, Apply, Command, Snapshot};
use raft_store::Store;

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

/// What was applied since anybody looked.
#[derive(Clone, Debug, Default)]
pub struct Sight(Arc<Mutex<Vec<Seen>>>);

/// The store, observed.
#[derive(Debug, Default)]
pub struct Witness {
    store: Store,
    sight: Sight,
}

impl Sight {
    /// Takes what there is.
    #[must_use]
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Witness {
    /// An empty store, and the way to look at it.
    #[must_use]
    pub fn new() -> (Self, Sight) {
        let witness = Self::default();
        let sight = witness.sight.clone();
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
        let applied = self.store.apply(command);
        let seen = Seen {
            at: command.at,
            command: text_of(command.bytes),
            response: applied.response.clone(),
        };
        self.sight.0.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        applied
    }

    fn query(&self, query: &[u8]) -> Bytes {
        self.store.query(query)
    }

    fn version(&self) -> u64 {
        self.store.version()
    }

    fn admits(&self, command: &[u8]) -> Result<(), String> {
        self.store.admits(command)
    }

    fn snapshot(&self) -> Box<dyn Snapshot> {
        self.store.snapshot()
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.store.restore(from)
    }
}
