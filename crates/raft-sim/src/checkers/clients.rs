//! What clients ask for and are told, from call to answer.

use bytes::Bytes;
use raft_core::{Index, LogId, Time};
use raft_node::Conclusion;

use super::{Checkers, values};

/// A write that a client began.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The newest place that anybody had been told of then.
    after: Index,
    operation: Operation,
}

/// In which history of what clients were told.
#[derive(Clone, Debug)]
enum Operation {
    /// Its number in that of all messages.
    Message(usize),
    /// In that of a key.
    Value(values::Operation),
}

/// A linearizable read that a client began.
#[derive(Clone, Debug)]
pub struct Reading(values::Operation);

impl Checkers {
    /// A client begins a write; what it was told before is behind it. Returns what to give to
    /// [`Checkers::answered`] or [`Checkers::unanswered`].
    #[must_use]
    pub fn asked(&mut self, client: usize, now: Time, command: &Bytes) -> Asked {
        let operation = match values::change(command) {
            Some(wish) => Operation::Value(self.values.asked(client, now, wish)),
            None => Operation::Message(self.told.asked(client, now, command)),
        };
        Asked { after: self.history.newest(), operation }
    }

    /// A write was acknowledged.
    pub fn answered(
        &mut self,
        asked: Asked,
        now: Time,
        command: &Bytes,
        (at, response): (LogId, &Bytes),
    ) {
        if std::mem::take(&mut self.is_full) {
            self.probe("written after room came back");
        }
        match &asked.operation {
            Operation::Message(number) => {
                self.told.answered(*number, now, command, (at, response));
            }
            Operation::Value(operation) => {
                let checked = self.values.answered(operation, now, response);
                self.note("linearizability", checked);
            }
        }
        let checked = self.history.answered(asked.after, command, at);
        self.note("linearizability", checked);
        let checked = self.applied.answered(command, at, response);
        self.note("acknowledged is applied", checked);
    }

    /// A write was not acknowledged.
    pub fn unanswered(&mut self, asked: Asked, now: Time, command: &Bytes, conclusion: Conclusion) {
        if conclusion != Conclusion::Unknown {
            match &asked.operation {
                Operation::Message(number) => self.told.refused(*number, now),
                Operation::Value(operation) => self.values.refused(operation, now),
            }
        }
        self.probe(match conclusion {
            Conclusion::Unknown => "outcome unknown",
            Conclusion::NotApplied => "not applied",
            Conclusion::NothingSent => "nothing sent",
        });
        let applied = self.applied.place_of(command);
        let checked = self.history.unanswered(command, conclusion, applied);
        self.note("certainly not applied", checked);
    }

    /// A client begins a linearizable read of a key.
    #[must_use]
    pub fn reads(&mut self, client: usize, now: Time, query: &Bytes) -> Option<Reading> {
        values::read(query).map(|wish| Reading(self.values.asked(client, now, wish)))
    }

    /// A read was answered, or refused: it may have been repeated, and had no effect.
    pub fn has_read(&mut self, reading: &Reading, now: Time, response: Option<&Bytes>) {
        let Some(response) = response else { return self.values.refused(&reading.0, now) };
        let checked = self.values.answered(&reading.0, now, response);
        self.note("linearizability", checked);
    }
}
