//! The changes of the last revisions, oldest first.

use std::collections::VecDeque;

use super::record::Record;

/// Changes in order of their revision, those of one revision in order of their keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    changes: VecDeque<Record>,
}

impl History {
    /// Adds the changes of the next revision, which are in order.
    pub(crate) fn push(&mut self, changes: Vec<Record>) {
        self.changes.extend(changes);
    }

    /// Takes out the changes of the oldest revision, if it is this one.
    pub(crate) fn pop(&mut self, revision: u64) -> Option<Record> {
        self.changes.pop_front_if(|change| change.mod_revision() == revision)
    }

    /// The changes after a revision.
    pub(crate) fn after(&self, revision: u64) -> impl Iterator<Item = &Record> {
        let skip = self.changes.partition_point(|change| change.mod_revision() <= revision);
        self.changes.range(skip..)
    }
}
