//! The built-in state machine: a replicated text log.
//!
//! Every command is one message, kept in order as raw bytes. Two messages also make every server
//! write a line: `count` shows how many messages there are, `print` shows all of them. Both are
//! messages like any other: counted and listed themselves.
//!
//! Applying is cheap on purpose, because it runs on the thread that also does consensus: a `print`
//! takes a shared [`View`] of the messages, and another thread turns it into text.
//!
//! ```
//! use raft_node::{Apply, Bytes, Command, LogId};
//! use raft_store::Store;
//!
//! let mut store = Store::default();
//! let mut say = |index, text: &'static str| {
//!     let bytes = Bytes::from(text);
//!     store.apply(Command { at: LogId::new(index, 1), bytes: &bytes, lines_wanted: true })
//! };
//! say(3, "I like beer.");
//! assert_eq!(say(5, "count").response, "2");
//! ```

mod messages;

use std::sync::Arc;

use bytes::Bytes;
use raft_node::{Applied, Apply, Command, Show};

pub use messages::{Messages, View};

/// The message that makes every server show the number of messages.
pub const COUNT: &[u8] = b"count";

/// The message that makes every server show all messages.
pub const PRINT: &[u8] = b"print";

/// The text log as a state machine.
#[derive(Debug, Default)]
pub struct Store {
    messages: Messages,
}

impl Store {
    /// The messages so far.
    #[must_use]
    pub const fn messages(&self) -> &Messages {
        &self.messages
    }
}

impl Apply for Store {
    /// The response to `count` is the number as decimal text; any other message has none.
    fn apply(&mut self, command: Command<'_>) -> Applied {
        self.messages.push(command.bytes);
        let mut applied = Applied { response: Bytes::new(), lines: Vec::new() };
        if command.bytes == COUNT {
            let count = self.messages.count();
            applied.response = count.to_string().into();
            if command.lines_wanted {
                applied.lines.push(Show::Text(format!("Count {count}").into()));
            }
        } else if command.bytes == PRINT && command.lines_wanted {
            applied.lines.push(Show::View(Arc::new(self.messages.view())));
        }
        applied
    }
}

#[cfg(test)]
mod tests {
    use raft_node::LogId;

    use super::*;

    fn apply(store: &mut Store, message: &[u8], lines_wanted: bool) -> Applied {
        let bytes = Bytes::copy_from_slice(message);
        store.apply(Command { at: LogId::new(1, 1), bytes: &bytes, lines_wanted })
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
