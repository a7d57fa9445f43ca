//! The built-in state machine with an observer: what was applied, in which order, with what
//! answer.
//!
//! A server has several such machines in turn: one that begins with the first entry, others that
//! begin with a snapshot. Which of them is the server's is whichever was asked last, or applied
//! something.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use raft_core::LogId;
use raft_node::{Applied, Apply, Command, NotAdmitted, Part, Snapshot};
use raft_store::{Answer, Keys, Limits, Messages, Query, Range, Store};

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

/// What is kept of a command in snapshots: its place, and a checksum of it and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trail {
    /// Its place in the log.
    pub at: LogId,
    /// Of the command and its answer.
    pub checksum: u32,
}

/// What a machine found in the snapshot from which it goes on.
#[derive(Clone, Debug)]
pub struct Restored {
    /// All commands below.
    pub trail: Vec<Trail>,
    /// The whole text log.
    pub messages: Messages,
    /// All keys with their values and revisions.
    pub values: Answer,
}

/// What a server's machine did since anybody looked.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// It came from a snapshot.
    pub restored: Option<Box<Restored>>,
    /// And applied these then.
    pub seen: Vec<Seen>,
}

/// What was applied since anybody looked, and what came of all of it.
#[derive(Clone, Debug, Default)]
pub struct Sight(Arc<Mutex<Current>>);

/// How large a leader lets the stores grow, which may change while they work.
#[derive(Clone, Debug, Default)]
pub struct Allowance(Arc<Mutex<Limits>>);

impl Allowance {
    /// What a text log may take.
    #[must_use]
    pub fn of_text(bytes_max: u64) -> Self {
        let limits = Limits { text_bytes_max: bytes_max, ..Limits::default() };
        Self(Arc::new(Mutex::new(limits)))
    }

    /// From now on they may grow as any store.
    pub fn lift(&self) {
        *lock(&self.0) = Limits::default();
    }
}

/// The machine that is the server's now.
type Current = Arc<Mutex<View>>;

#[derive(Debug, Default)]
struct View {
    store: Store,
    /// All commands, from the first.
    trail: Arc<Vec<Trail>>,
    news: News,
}

/// The store, observed.
#[derive(Debug, Default)]
pub struct Witness {
    view: Current,
    sight: Sight,
    allowance: Allowance,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Trail {
    /// What is kept of a command.
    #[must_use]
    pub fn of(seen: &Seen) -> Self {
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&seen.command), &seen.response);
        Self { at: seen.at, checksum }
    }
}

impl Sight {
    fn current(&self) -> Current {
        Arc::clone(&lock(&self.0))
    }

    /// Takes what there is.
    #[must_use]
    pub fn take(&self) -> News {
        std::mem::take(&mut lock(&self.current()).news)
    }

    /// The whole text log.
    #[must_use]
    pub fn messages(&self) -> Messages {
        lock(&self.current()).store.messages().clone()
    }

    /// What is kept of all commands.
    #[must_use]
    pub fn trail(&self) -> Arc<Vec<Trail>> {
        Arc::clone(&lock(&self.current()).trail)
    }

    /// All keys with their values and revisions.
    #[must_use]
    pub fn values(&self) -> Answer {
        lock(&self.current()).store.ask(&everything())
    }
}

fn everything() -> Query {
    Query::Range(Range::of(Keys::prefix("")))
}

impl Witness {
    /// An empty store, and the way to look at it.
    #[must_use]
    pub fn new(allowance: Allowance) -> (Self, Sight) {
        let witness = Self { allowance, ..Self::default() };
        witness.stand_in();
        let sight = witness.sight.clone();
        (witness, sight)
    }

    /// From now on this is the server's machine.
    fn stand_in(&self) {
        let mut current = lock(&self.sight.0);
        if !Arc::ptr_eq(&current, &self.view) {
            *current = Arc::clone(&self.view);
        }
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
        self.stand_in();
        let (at, bytes) = (command.at, text_of(command.bytes));
        let mut view = lock(&self.view);
        let applied = view.store.apply(command);
        let seen = Seen { at, command: bytes, response: applied.response.clone() };
        Arc::make_mut(&mut view.trail).push(Trail::of(&seen));
        view.news.seen.push(seen);
        applied
    }

    fn query(&self, query: &[u8]) -> Bytes {
        lock(&self.view).store.query(query)
    }

    fn version(&self) -> u64 {
        self.stand_in();
        lock(&self.view).store.version()
    }

    fn has_news(&self, query: &Bytes, since: u64) -> bool {
        lock(&self.view).store.has_news(query, since)
    }

    fn admits(&self, command: &Bytes, ahead: u64) -> Result<(), NotAdmitted> {
        let mut view = lock(&self.view);
        view.store.set_limits(*lock(&self.allowance.0));
        view.store.admits(command, ahead)
    }

    fn snapshot(&self) -> Box<dyn Snapshot> {
        let view = lock(&self.view);
        Box::new(Image { trail: Arc::clone(&view.trail), store: view.store.snapshot() })
    }

    fn fresh(&self) -> Box<dyn Apply> {
        let (sight, allowance) = (self.sight.clone(), self.allowance.clone());
        Box::new(Self { view: Current::default(), sight, allowance })
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut trail = Vec::new();
        for _ in 0..u64::from_le_bytes(array(from)?) {
            let at = LogId::new(u64::from_le_bytes(array(from)?), u64::from_le_bytes(array(from)?));
            trail.push(Trail { at, checksum: u32::from_le_bytes(array(from)?) });
        }
        let mut view = lock(&self.view);
        view.store.restore(from)?;
        let messages = view.store.messages().clone();
        let values = view.store.ask(&everything());
        let restored = Restored { trail: trail.clone(), messages, values };
        view.news = News { restored: Some(Box::new(restored)), seen: Vec::new() };
        view.trail = Arc::new(trail);
        Ok(())
    }
}

fn array<const N: usize>(from: &mut dyn Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// So many commands of the trail are a part that never changes again: small, so that snapshots
/// have several of them.
const SEALED: usize = 64;

/// Beyond the names that the store gives.
const FIRST_NAME: u64 = 1 << 32;

/// A witness as it was once: how many commands there are, those of them in sealed parts, the rest
/// of them, and the store.
#[derive(Debug)]
struct Image {
    trail: Arc<Vec<Trail>>,
    store: Box<dyn Snapshot>,
}

impl Image {
    fn sealed(&self) -> usize {
        self.trail.len() / SEALED
    }
}

impl Snapshot for Image {
    fn parts(&self) -> Vec<Part> {
        let sealed = (0..self.sealed() as u64).map(|number| Part::Sealed(FIRST_NAME + number));
        let own = [Part::Changing].into_iter().chain(sealed).chain([Part::Changing]);
        own.chain(self.store.parts()).collect()
    }

    fn write(&self, part: usize, to: &mut dyn Write) -> io::Result<()> {
        let sealed = self.sealed();
        if part > sealed + 1 {
            return self.store.write(part - sealed - 2, to);
        }
        let Some(part) = part.checked_sub(1) else {
            return to.write_all(&(self.trail.len() as u64).to_le_bytes());
        };
        for Trail { at, checksum } in self.trail.iter().skip(part * SEALED).take(SEALED) {
            to.write_all(&at.index.0.to_le_bytes())?;
            to.write_all(&at.term.0.to_le_bytes())?;
            to.write_all(&checksum.to_le_bytes())?;
        }
        Ok(())
    }
}
