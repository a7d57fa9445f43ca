//! The configurations in the log. The newest acts, committed or not; a truncation brings the one
//! before back (thesis 4.1).

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::membership::Membership;
use crate::types::Index;

/// Configurations by the index of their entry, rising. Never empty.
#[derive(Clone, Debug, Hash)]
pub(crate) struct History {
    /// All but the newest.
    older: VecDeque<(Index, Arc<Membership>)>,
    newest: (Index, Arc<Membership>),
}

impl History {
    pub(crate) fn restore(memberships: Vec<(Index, Arc<Membership>)>) -> Self {
        let mut older: VecDeque<_> = memberships.into();
        let newest = older.pop_back().unwrap_or_default();
        Self { older, newest }
    }

    pub(crate) const fn current(&self) -> &Arc<Membership> {
        &self.newest.1
    }

    pub(crate) const fn current_index(&self) -> Index {
        self.newest.0
    }

    /// The one that the newest replaced, while it may come back.
    pub(crate) fn previous(&self) -> Option<&Arc<Membership>> {
        self.older.back().map(|(_, membership)| membership)
    }

    /// The newest at or below `index`.
    pub(crate) fn as_of(&self, index: Index) -> Option<(Index, &Arc<Membership>)> {
        core::iter::once(&self.newest)
            .chain(self.older.iter().rev())
            .find(|(at, _)| *at <= index)
            .map(|(at, membership)| (*at, membership))
    }

    pub(crate) fn push(&mut self, index: Index, membership: Arc<Membership>) {
        assert!(index > self.newest.0, "configurations rise along the log");
        let before = core::mem::replace(&mut self.newest, (index, membership));
        self.older.push_back(before);
    }

    /// Takes back what stood at or above `from`. Says whether the configuration changed.
    pub(crate) fn truncate_from(&mut self, from: Index) -> bool {
        let mut changed = false;
        while self.newest.0 >= from
            && let Some(before) = self.older.pop_back()
        {
            self.newest = before;
            changed = true;
        }
        changed
    }

    /// All of them, for [`crate::Raft::rename`].
    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut Arc<Membership>> {
        self.older.iter_mut().chain(core::iter::once(&mut self.newest)).map(|(_, m)| m)
    }

    /// A snapshot's configuration takes the place of all at or below `index`, and of those above
    /// unless they are kept. Says whether another one is in force now.
    pub(crate) fn install(
        &mut self,
        index: Index,
        base: (Index, Arc<Membership>),
        keeps: bool,
    ) -> bool {
        let before = self.newest.clone();
        let mut above = Vec::new();
        while keeps && self.newest.0 > index {
            let Some(older) = self.older.pop_back() else { break };
            above.push(core::mem::replace(&mut self.newest, older));
        }
        self.older.clear();
        self.newest = base;
        while let Some(next) = above.pop() {
            self.older.push_back(core::mem::replace(&mut self.newest, next));
        }
        self.newest != before
    }

    /// Forgets those that cannot come back: all before the newest at or below `index`.
    pub(crate) fn trim(&mut self, index: Index) {
        if self.older.is_empty() {
            return;
        }
        let keep = self.as_of(index).map_or(Index(0), |(at, _)| at);
        while self.older.front().is_some_and(|(at, _)| *at < keep) {
            self.older.pop_front();
        }
    }
}
