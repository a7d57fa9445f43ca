//! What clients may conclude. An acknowledged write keeps its place; one that was asked for
//! after another was acknowledged comes after it (linearizability, for a log whose answers are
//! places). What is *certainly not applied* is not applied, then or later.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use raft_core::{Index, LogId};
use raft_node::Conclusion;
use raft_store::{COUNT, PRINT};

use super::Checked;
use crate::witness::Seen;

#[derive(Debug, Default)]
pub(super) struct History {
    acknowledged: BTreeMap<Bytes, LogId>,
    places: BTreeSet<Index>,
    refused: BTreeSet<Bytes>,
    newest: Index,
}

impl History {
    pub(super) fn acknowledged(&self) -> usize {
        self.places.len()
    }

    /// The last place that anybody was told of.
    pub(super) const fn newest(&self) -> Index {
        self.newest
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Bytes, &LogId)> {
        self.acknowledged.iter()
    }

    pub(super) fn answered(&mut self, after: Index, command: &Bytes, at: LogId) -> Checked {
        if at.index <= after {
            return Err(format!("{command:?} was asked for after {after} and stands at {at}"));
        }
        if !self.places.insert(at.index) {
            return Err(format!("{at} was given to {command:?} and to another"));
        }
        self.newest = self.newest.max(at.index);
        self.acknowledged.insert(command.clone(), at);
        Ok(())
    }

    pub(super) fn unanswered(
        &mut self,
        command: &Bytes,
        conclusion: Conclusion,
        applied: Option<LogId>,
    ) -> Checked {
        if conclusion == Conclusion::Unknown || command == COUNT || command == PRINT {
            return Ok(());
        }
        self.refused.insert(command.clone());
        match applied {
            Some(at) => Err(format!("{command:?} is at {at} and was refused: {conclusion}")),
            None => Ok(()),
        }
    }

    pub(super) fn applied(&self, seen: &Seen) -> Checked {
        if self.refused.contains(&seen.command) {
            return Err(format!("{seen:?} was refused as certainly not applied"));
        }
        Ok(())
    }
}
