//! What clients were told of keys and their values: a linearizable history for each key, of puts,
//! compares and swaps, and reads that are to be so. What was read locally is not in it.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_core::Time;
use raft_store::{Answer, Command, Is, Keys, Op, Query, Range, Record, Test, Txn};

use super::Checked;
use crate::linear::{self, HistoryOf, Limits, Register, RegisterInput, RegisterOutput, Verdict};

/// What is harder to judge than that is left undecided.
const STEPS_MAX: u64 = 200_000;

/// Every value is put once, so a value says who put it.
type Value = u64;

/// What a client asked of a key.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    key: Bytes,
    input: RegisterInput<Value>,
}

/// An operation on a key: the key, and its number in the history of that key.
#[derive(Clone, Debug)]
pub(super) struct Operation(Bytes, usize);

#[derive(Debug, Default)]
pub(super) struct Values {
    histories: BTreeMap<Bytes, HistoryOf<Register<Value>>>,
}

/// A put, or a compare and swap, as [`Txn::put`] and [`Txn::cas`] make them.
pub(super) fn change(command: &Bytes) -> Option<Wish> {
    let Ok(Command::Txn(Txn { compares, success, .. })) = Command::decode(command) else {
        return None;
    };
    let [Op::Put(key, to)] = success.as_slice() else { return None };
    let to = value(to)?;
    let input = match compares.as_slice() {
        [] => RegisterInput::Write(to),
        [one] => match &one.test {
            Test::Value(Is::Equal, from) => RegisterInput::Cas { from: value(from)?, to },
            _ => return None,
        },
        _ => return None,
    };
    Some(Wish { key: key.clone(), input })
}

/// A read of one key.
pub(super) fn read(query: &Bytes) -> Option<Wish> {
    match Query::decode(query) {
        Ok(Query::Range(Range { keys: Keys::One(key), revision: 0, .. })) => {
            Some(Wish { key, input: RegisterInput::Read })
        }
        _ => None,
    }
}

fn value(bytes: &[u8]) -> Option<Value> {
    str::from_utf8(bytes).ok()?.parse().ok()
}

impl Values {
    pub(super) fn asked(&mut self, client: usize, now: Time, wish: Wish) -> Operation {
        let history = self.histories.entry(wish.key.clone()).or_default();
        Operation(wish.key, history.call(client as u64, now.0, wish.input))
    }

    /// It was done, with this answer of the state machine.
    pub(super) fn answered(
        &mut self,
        operation: &Operation,
        now: Time,
        response: &Bytes,
    ) -> Checked {
        let Operation(key, number) = operation;
        let history = self.histories.entry(key.clone()).or_default();
        let Some(one) = history.operations().get(*number) else {
            return Err(format!("{operation:?} was never asked for"));
        };
        let output = match (&one.input, Answer::decode(response)) {
            (RegisterInput::Write(_), Ok(Answer::Txn { succeeded: true, .. })) => {
                RegisterOutput::Written
            }
            (RegisterInput::Cas { .. }, Ok(Answer::Txn { succeeded, .. })) => {
                RegisterOutput::Swapped(succeeded)
            }
            (RegisterInput::Read, Ok(Answer::Range { found, .. })) => {
                RegisterOutput::Value(found.records.first().map(Record::value).and_then(value))
            }
            (input, answer) => return Err(format!("{input:?} of {key:?} -> {answer:?}")),
        };
        history.ok(*number, now.0, output);
        Ok(())
    }

    /// It surely has no effect. That of a read, which has none anyway, is known as well.
    pub(super) fn refused(&mut self, Operation(key, number): &Operation, now: Time) {
        self.histories.entry(key.clone()).or_default().failed(*number, now.0);
    }

    /// Whether some order of all operations explains all answers.
    pub(super) fn settled(&self) -> Checked {
        let limits = Limits { steps: STEPS_MAX, ..Limits::default() };
        for (key, history) in &self.histories {
            match linear::check(&Register::default(), history, limits).verdict {
                Verdict::Legal => {}
                // A run that nobody can judge proves nothing, and must not pass for one that was well.
                Verdict::Undecided => {
                    let key = String::from_utf8_lossy(key);
                    return Err(format!("key {key}: not judged in {STEPS_MAX} steps"));
                }
                Verdict::Illegal(example) => {
                    return Err(format!("key {}: {example}", String::from_utf8_lossy(key)));
                }
            }
        }
        Ok(())
    }
}
