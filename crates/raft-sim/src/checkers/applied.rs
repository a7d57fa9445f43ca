//! State Machine Safety: "if a server has applied a log entry at a given index to its state
//! machine, no other server will ever apply a different log entry for the same index" (paper,
//! figure 3). And exactly once (thesis 6.3): every command takes effect at one place only, and
//! what a client was told is what happened there.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_core::{Index, LogId};
use raft_store::{COUNT, PRINT, TXN_FORMAT};

use super::{Checked, Named};
use crate::witness::{Seen, Trail};

#[derive(Debug, Default)]
pub(super) struct AppliedOnce {
    /// All commands that any machine applied, in order.
    commands: Vec<Seen>,
    /// How many of them are messages.
    texts: usize,
    places: BTreeMap<Bytes, LogId>,
    /// How many each machine has applied.
    machines: BTreeMap<usize, usize>,
}

/// Whether only one client ever sends this, and once.
pub(super) fn is_unique(command: &Bytes) -> bool {
    command != COUNT && command != PRINT
}

/// What is no message is a transaction as it is sent, and begins so.
fn is_message(command: &Bytes) -> bool {
    command.first() != Some(&TXN_FORMAT)
}

impl AppliedOnce {
    pub(super) fn count(&self) -> usize {
        self.commands.len()
    }

    /// Those of the text log.
    pub(super) fn messages(&self) -> impl Iterator<Item = &Bytes> {
        self.commands.iter().map(|seen| &seen.command).filter(|command| is_message(command))
    }

    pub(super) fn new_machine(&mut self, host: usize) {
        self.machines.insert(host, 0);
    }

    /// A machine comes from a snapshot that holds these commands.
    pub(super) fn goes_on(&mut self, host: usize, trail: &[Trail]) -> Checked {
        self.machines.insert(host, trail.len());
        let known = self.commands.get(..trail.len()).unwrap_or_default();
        if !trail.iter().copied().eq(known.iter().map(Trail::of)) {
            return Err(format!("host {host} goes on from commands that nobody applied so"));
        }
        Ok(())
    }

    pub(super) fn place_of(&self, command: &Bytes) -> Option<LogId> {
        self.places.get(command).copied()
    }

    pub(super) fn applied(&mut self, host: usize, seen: Seen) -> Named {
        let safety = |what| Err(("state machine safety", what));
        let count = self.machines.entry(host).or_default();
        let known = self.commands.get(*count);
        *count += 1;
        if let Some(known) = known {
            if *known != seen {
                return safety(format!("host {host} applies {seen:?}, others applied {known:?}"));
            }
            return Ok(());
        }
        if *count != self.commands.len() + 1 {
            return safety(format!(
                "host {host} applies {seen:?} and has not applied what others had"
            ));
        }
        if self.commands.last().is_some_and(|last| last.at.index >= seen.at.index) {
            return safety(format!("host {host} applies {seen:?} out of order"));
        }
        if is_unique(&seen.command)
            && let Some(first) = self.places.insert(seen.command.clone(), seen.at)
        {
            let what = format!("{:?} was applied at {first} and again {}", seen.command, seen.at);
            return Err(("exactly once", what));
        }
        self.texts += usize::from(is_message(&seen.command));
        if seen.command == COUNT && seen.response != self.texts.to_string() {
            return safety(format!("{seen:?} is message number {}", self.texts));
        }
        self.commands.push(seen);
        Ok(())
    }

    /// What a client was told.
    pub(super) fn answered(&self, command: &Bytes, at: LogId, response: &Bytes) -> Checked {
        let found = self.commands.binary_search_by_key(&at.index, |seen| seen.at.index);
        match found.ok().and_then(|place| self.commands.get(place)) {
            Some(seen)
                if seen.at == at && seen.command == *command && seen.response == *response =>
            {
                Ok(())
            }
            other => Err(format!("{command:?} was acknowledged at {at}, where {other:?} is")),
        }
    }

    /// What one machine that has applied everything up to here must have seen.
    pub(super) fn complete(&self, host: usize, applied: Index) -> Checked {
        let due = self.commands.partition_point(|seen| seen.at.index <= applied);
        let count = self.machines.get(&host).copied().unwrap_or_default();
        if count == due {
            return Ok(());
        }
        Err(format!("host {host} applied {count} commands up to {applied} instead of {due}"))
    }

    pub(super) fn holds_all<'a>(
        &self,
        acknowledged: impl Iterator<Item = (&'a Bytes, &'a LogId)>,
    ) -> Checked {
        for (command, at) in acknowledged {
            if is_unique(command) && self.places.get(command) != Some(at) {
                return Err(format!("{command:?} was acknowledged at {at} and is lost"));
            }
        }
        Ok(())
    }
}
