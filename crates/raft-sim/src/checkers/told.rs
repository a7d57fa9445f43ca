//! What clients asked for and what they were told, as a history of one list: it is linearizable.
//! In the end everybody reads the whole list, so every write whose outcome is unknown is either
//! in it or never was.
//!
//! Here nothing counts but what clients see: no term, no member, no disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound::{Included, Unbounded};

use bytes::Bytes;
use raft_core::{Index, LogId, Time};
use raft_store::{COUNT, PRINT};

use super::Checked;
use super::applied::is_unique;
use crate::linear::chain::{self, Known, Write};
use crate::linear::{self, HistoryOf, Limits, List, ListInput, Outcome, Place, Verdict};

/// The client that reads the list after everything else.
const LAST: u64 = 99;

/// The last list tells the place of every message, and so a step for each of them is enough.
const STEPS_MAX: u64 = 200_000;

/// A message; a long one is shown by its beginning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Message(Bytes);

#[derive(Debug, Default)]
pub(super) struct Told {
    history: HistoryOf<List<Message>>,
}

impl Told {
    /// A client wants this message to be appended. Returns the number of the operation.
    pub(super) fn asked(&mut self, client: usize, now: Time, command: &Bytes) -> usize {
        self.history.call(client as u64, now.0, ListInput::Append(Message(command.clone())))
    }

    pub(super) fn answered(
        &mut self,
        operation: usize,
        now: Time,
        command: &Bytes,
        (at, response): (LogId, &Bytes),
    ) {
        // A count that is no number is wrong everywhere.
        let count = || str::from_utf8(response).ok().and_then(|text| text.parse().ok());
        let count = (command == COUNT).then(|| count().unwrap_or_default());
        self.history.ok(operation, now.0, Place { at: Some(at.index.0), count, list: None });
    }

    /// It is certainly not applied.
    pub(super) fn refused(&mut self, operation: usize, now: Time) {
        self.history.failed(operation, now.0);
    }

    /// Nothing is under way any more. Servers showed these lines, and applied these commands.
    pub(super) fn settled<'a>(
        &self,
        now: Time,
        lines: &BTreeMap<Index, Vec<u8>>,
        commands: impl Iterator<Item = &'a Bytes>,
    ) -> Checked {
        let list: Vec<Message> = commands.cloned().map(Message).collect();
        let order = list.iter().filter(|message| is_unique(&message.0)).cloned();
        let chained = chain::check(self.writes(), &order.collect::<Vec<_>>());
        let mut history = self.with_lists(lines)?;
        let read = history.call(LAST, now.0, ListInput::Read);
        history.ok(read, now.0, Place { list: Some(list), ..Place::default() });
        let limits = Limits { steps: STEPS_MAX, ..Limits::default() };
        let verdict = linear::check(&List::default(), &history, limits).verdict;
        match (chained, verdict) {
            (Ok(()), Verdict::Legal) => Ok(()),
            // A run that nobody can judge proves nothing, and must not pass for one that was well.
            (Ok(()), Verdict::Undecided) => Err(format!(
                "no order of all operations was found or excluded in {STEPS_MAX} steps"
            )),
            (Ok(()), Verdict::Illegal(example)) => Err(example.to_string()),
            (Err(broken), Verdict::Illegal(example)) => Err(format!("{broken}; {example}")),
            (Err(broken), _) => Err(broken.to_string()),
        }
    }

    /// What clients know of the messages that only one of them sent, and once.
    fn writes(&self) -> impl Iterator<Item = Write<Message>> {
        self.history.operations().iter().filter_map(|one| {
            let ListInput::Append(serial) = &one.input else { return None };
            let known = match &one.outcome {
                Outcome::Unknown => Known::Unknown,
                Outcome::Failed { .. } => Known::Failed,
                Outcome::Ok { at, output } => {
                    Known::Done { at: at.position, place: output.at, after: None }
                }
            };
            let write = Write { serial: serial.clone(), called: one.called.position, known };
            is_unique(&serial.0).then_some(write)
        })
    }

    /// A `print` whose place is known has the list that was shown for this place.
    fn with_lists(&self, lines: &BTreeMap<Index, Vec<u8>>) -> Checked<HistoryOf<List<Message>>> {
        let mut operations = self.history.operations().to_vec();
        let said = operations.iter().filter_map(|one| match &one.input {
            ListInput::Append(Message(message)) => Some(message.clone()),
            ListInput::Read => None,
        });
        let said: BTreeSet<Bytes> = said.collect();
        let mut lists = BTreeMap::new();
        let (mut before, mut list) = (&b"Logs ["[..], Vec::new());
        for (at, text) in lines.iter().filter(|(_, text)| text.starts_with(b"Logs [")) {
            let text = text.strip_suffix(b"]\n").unwrap_or(text);
            let more = text.strip_prefix(before);
            // Usually only the end of the list is new.
            if more.is_none() {
                list.clear();
            }
            let rest = more.unwrap_or(&text[b"Logs [".len()..]);
            let rest = if list.is_empty() { rest } else { rest.strip_prefix(b" ").unwrap_or(rest) };
            messages(rest, &said, &mut list)
                .map_err(|nobody| format!("{nobody} is in the list that is shown for {at}"))?;
            lists.insert(at.0, list.clone());
            before = text;
        }
        for one in &mut operations {
            if let (ListInput::Append(Message(message)), Outcome::Ok { output, .. }) =
                (&one.input, &mut one.outcome)
                && message == PRINT
            {
                output.list = output.at.and_then(|at| lists.get(&at)).cloned();
            }
        }
        Ok(HistoryOf::<List<Message>>::of(operations))
    }
}

/// Takes a line apart into messages that somebody said, up to one that nobody did.
fn messages(
    mut rest: &[u8],
    said: &BTreeSet<Bytes>,
    list: &mut Vec<Message>,
) -> Result<(), Message> {
    while !rest.is_empty() {
        let message = longest(rest, said).ok_or_else(|| Message(rest.to_vec().into()))?;
        rest = &rest[message.len()..];
        rest = rest.strip_prefix(b" ").unwrap_or(rest);
        list.push(Message(message.clone()));
    }
    Ok(())
}

/// The longest message with which the line begins.
fn longest<'a>(line: &[u8], said: &'a BTreeSet<Bytes>) -> Option<&'a Bytes> {
    let mut most = line;
    loop {
        let message = said.range::<[u8], _>((Unbounded, Included(most))).next_back()?;
        let common = message.iter().zip(line).take_while(|(a, b)| a == b).count();
        if common == message.len() && matches!(line.get(common), None | Some(b' ')) {
            return Some(message);
        }
        most = &line[..common.min(most.len().checked_sub(1)?)];
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BYTES_MAX: usize = 24;
        let shown = self.0.get(..BYTES_MAX).unwrap_or(&self.0);
        let more = if shown.len() < self.0.len() { ".." } else { "" };
        write!(f, "{}{more}", String::from_utf8_lossy(shown))
    }
}
