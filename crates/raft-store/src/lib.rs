//! The built-in state machine: a replicated text log, and a revisioned map.
//!
//! A command is a [`Command`] as bytes. Most simply it is a [`message`] for the text log. Two
//! messages also make every server write a line: `count` shows how many messages there are,
//! `print` shows all of them. Both are messages like any other: counted and listed themselves.
//! A [`Txn`] changes the map, which keeps its history for a while: whoever asks ([`Query`]) gets
//! the state at an older revision, and what happened since.
//!
//! Applying is cheap on purpose, because it runs on the thread that also does consensus: a `print`
//! takes a shared [`View`] of the messages, and another thread turns it into text; a snapshot
//! shares everything.
//!
//! ```
//! use raft_node::{Apply, Bytes, LogId};
//! use raft_store::{Answer, Command, Done, Store, Txn, message};
//!
//! let mut store = Store::default();
//! let mut apply = |index, bytes: Bytes| {
//!     let at = LogId::new(index, 1);
//!     store.apply(raft_node::Command { at, bytes: &bytes, lines_wanted: true }).response
//! };
//! apply(3, message(b"I like beer."));
//! assert_eq!(apply(5, message(b"count")), "2");
//!
//! let answer = apply(7, Command::from(Txn::put("beer", "cold")).encode());
//! let done = vec![Done::Put];
//! assert_eq!(Answer::decode(&answer), Ok(Answer::Txn { revision: 2, succeeded: true, done }));
//! ```

mod answer;
mod codec;
mod command;
mod display;
mod map;
mod messages;
mod refusal;
mod snapshot;
mod txn;

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use raft_node::{Applied, Apply, Fill, NotAdmitted, Show, Snapshot};

use answer::encode_txn;
pub use answer::{ANSWER_BYTES_MAX, Answer, Done, FORMAT, Found, Query};
use command::as_put;
pub use command::{Command, MESSAGE_FORMAT, TXN_FORMAT, message};
use map::Map;
pub use map::{HistoryLimits, RECORD_BYTES, Record};
pub use messages::{Messages, View};
pub use refusal::Refusal;
use snapshot::StoreSnapshot;
pub use txn::{
    CHANGE_BYTES_MAX, CHANGES_MAX, Compare, Is, KEY_BYTES_MAX, Keys, OPS_MAX, Only, Op, Range,
    Test, Txn,
};

/// The message that makes every server show the number of messages.
pub const COUNT: &[u8] = b"count";

/// The message that makes every server show all messages.
pub const PRINT: &[u8] = b"print";

/// What a message counts beside its text: that is what it takes in memory.
pub const MESSAGE_BYTES: u64 = 4;

/// What is put takes at most so many times the bytes of its command: [`RECORD_BYTES`] are more
/// than what a put of one byte has beside it, but not four times as much.
const GROWTH: u64 = 4;

/// What of the store may grow only so far, how large it is, and may be.
type Area = (&'static str, u64, u64);

/// What to do about a full text log, and about a full map.
const RAISE: &str = "messages are kept for good: start the servers with a larger --text-log-max";
const DELETE: &str = "make room: raft del KEY";

/// The text log and the map as a state machine.
#[derive(Debug, Default)]
pub struct Store {
    limits: Limits,
    messages: Messages,
    map: Map,
}

/// How large a store may grow. A leader's own say: members may differ in these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all messages together, each with [`MESSAGE_BYTES`].
    pub text_bytes_max: u64,
    /// Bytes of the map's records, those of its history included.
    pub map_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { text_bytes_max: 4 << 30, map_bytes_max: 4 << 30 }
    }
}

impl Store {
    /// An empty store. The history's limits are the same on all members.
    #[must_use]
    pub fn new(limits: Limits, history: HistoryLimits) -> Self {
        Self { limits, messages: Messages::default(), map: Map::new(history) }
    }

    /// Sets other limits, which count from now on.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The messages so far.
    #[must_use]
    pub const fn messages(&self) -> &Messages {
        &self.messages
    }

    /// The newest revision of the map.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.map.revision()
    }

    /// Answers a question.
    #[must_use]
    pub fn ask(&self, query: &Query) -> Answer {
        match query {
            Query::Range(range) => self.map.range(range),
            Query::Events { keys, after } => self.map.events(keys, *after),
            Query::Count => Answer::Count(self.messages.count()),
        }
    }

    const fn text(&self) -> Area {
        let bytes = self.messages.bytes() + self.messages.count() * MESSAGE_BYTES;
        ("text log", bytes, self.limits.text_bytes_max)
    }

    const fn keys(&self) -> Area {
        ("map", self.map.bytes(), self.limits.map_bytes_max)
    }

    /// The response to `count` is the number as decimal text; any other message has none.
    fn append(&mut self, message: &Bytes, lines_wanted: bool) -> Applied {
        self.messages.push(message);
        let mut applied = Applied { response: Bytes::new(), lines: Vec::new() };
        if message == COUNT {
            let count = self.messages.count();
            applied.response = count.to_string().into();
            if lines_wanted {
                applied.lines.push(Show::Text(format!("Count {count}").into()));
            }
        } else if message == PRINT && lines_wanted {
            applied.lines.push(Show::View(Arc::new(self.messages.view())));
        }
        applied
    }
}

impl Apply for Store {
    /// The response to a transaction, and to what is no command at all, is an [`Answer`].
    fn apply(&mut self, command: raft_node::Command<'_>) -> Applied {
        if let Some((key, value)) = as_put(command.bytes) {
            let response = encode_txn(self.map.apply_put(key, value), true, &[Done::Put]);
            return Applied { response, lines: Vec::new() };
        }
        let answer = match Command::decode(command.bytes) {
            Ok(Command::Message(text)) => return self.append(&text, command.lines_wanted),
            Ok(Command::Txn(txn)) => self.map.apply(&txn),
            Err(refusal) => Answer::Refused(refusal),
        };
        Applied { response: answer.encode(), lines: Vec::new() }
    }

    fn query(&self, query: &[u8]) -> Bytes {
        let query = Query::decode(&Bytes::copy_from_slice(query));
        query.map_or_else(Answer::Refused, |query| self.ask(&query)).encode()
    }

    fn version(&self) -> u64 {
        self.map.revision() + self.messages.count()
    }

    /// Who asks for the events of some keys is not woken by changes of others, nor by messages.
    fn has_news(&self, query: &Bytes, since: u64) -> bool {
        let version = self.version();
        if version <= since {
            return false;
        }
        match Query::decode(query) {
            // Some of the changes since then were messages: no more of them than this were not.
            Ok(Query::Events { keys, after }) => {
                let oldest = self.map.revision().saturating_sub(version - since);
                self.map.has_events(&keys, after, oldest)
            }
            _ => true,
        }
    }

    /// Far from the limit, which is the rule, a command is not even decoded.
    fn admits(&self, command: &Bytes, ahead: u64) -> Result<(), NotAdmitted> {
        let length = command.len() as u64 + MESSAGE_BYTES;
        let ((what, bytes, bytes_max), growth, next) = match command.first() {
            Some(&MESSAGE_FORMAT) => (self.text(), 1, RAISE),
            Some(&TXN_FORMAT) => (self.keys(), GROWTH, DELETE),
            first => {
                let format = first.copied().unwrap_or_default();
                return Err(NotAdmitted::Invalid(Refusal::UnknownFormat { format }.to_string()));
            }
        };
        let ahead = ahead.saturating_mul(growth);
        let fits = |more: u64| bytes.saturating_add(more) <= bytes_max;
        if fits(ahead.saturating_add(growth * length)) {
            return Ok(());
        }
        let invalid = |refusal: Refusal| NotAdmitted::Invalid(refusal.to_string());
        let more = match Command::decode(command).map_err(invalid)? {
            Command::Message(text) => text.len() as u64 + MESSAGE_BYTES,
            Command::Txn(txn) => txn.put_bytes(),
        };
        if more == 0 || fits(ahead.saturating_add(more)) {
            return Ok(());
        }
        let has = format!("it has {bytes} bytes of at most {bytes_max}");
        Err(if fits(more) {
            NotAdmitted::Undecided(format!("the {what} may be full soon: {has}"))
        } else {
            NotAdmitted::Full(format!("the {what} is full: {has}, and this takes {more}; {next}"))
        })
    }

    fn fills(&self) -> Vec<Fill> {
        let fill =
            |(what, bytes, bytes_max): Area| Fill { what: what.to_owned(), bytes, bytes_max };
        [self.text(), self.keys()].map(fill).into()
    }

    fn snapshot(&self) -> Box<dyn Snapshot> {
        Box::new(StoreSnapshot { messages: self.messages.clone(), map: self.map.view() })
    }

    fn fresh(&self) -> Box<dyn Apply> {
        Box::new(Self::new(self.limits, self.map.limits()))
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let (messages, map) = snapshot::read(self.map.limits(), from)?;
        (self.messages, self.map) = (messages, map);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use raft_node::LogId;

    use super::*;

    fn apply(store: &mut Store, message: &[u8], lines_wanted: bool) -> Applied {
        let bytes = super::message(message);
        store.apply(raft_node::Command { at: LogId::new(1, 1), bytes: &bytes, lines_wanted })
    }

    fn shown(applied: &Applied) -> Vec<String> {
        let text = |show: &Show| match show {
            Show::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Show::View(view) => {
                let mut text = Vec::new();
                view.render(&mut text).expect("a Vec takes everything");
                String::from_utf8_lossy(&text).into_owned()
            }
        };
        applied.lines.iter().map(text).collect()
    }

    #[test]
    fn the_story_of_the_original() {
        let mut store = Store::default();
        assert_eq!(shown(&apply(&mut store, b"I like beer.", true)), [""; 0]);
        let count = apply(&mut store, b"count", true);
        assert_eq!((shown(&count), &count.response[..]), (vec!["Count 2".into()], &b"2"[..]));
        let print = apply(&mut store, b"print", true);
        assert_eq!(shown(&print), ["Logs [I like beer. count print]"]);
        assert_eq!(print.response, Bytes::new());
    }

    #[test]
    fn only_the_exact_words_are_commands() {
        let mut store = Store::default();
        for message in ["counts", "Count", " count", "count ", "count\n", "print.", "PRINT", ""] {
            let applied = apply(&mut store, message.as_bytes(), true);
            assert_eq!((applied.lines.len(), applied.response), (0, Bytes::new()), "{message:?}");
        }
        assert_eq!(store.messages().count(), 8);
    }

    #[test]
    fn no_lines_when_none_are_wanted_and_the_same_answer() {
        let mut store = Store::default();
        let count = apply(&mut store, b"count", false);
        assert_eq!((count.lines.len(), &count.response[..]), (0, &b"1"[..]));
        assert_eq!(apply(&mut store, b"print", false).lines.len(), 0);
        let print = apply(&mut store, b"print", true);
        assert_eq!(shown(&print), ["Logs [count print print]"]);
    }
}
