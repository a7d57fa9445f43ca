//! The troubles of a run, by number.

use std::collections::BTreeMap;

use raft_core::Time;

/// A trouble that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Its number, by which it can be left out.
    pub number: u32,
    /// When.
    pub time: u64,
    /// Which kind.
    pub kind: &'static str,
    /// What, and to whom.
    pub text: String,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Troubles {
    /// How many were due so far.
    pub due: u32,
    /// Those that were done, in order.
    pub done: Vec<Trouble>,
    /// How many of each kind.
    pub kinds: BTreeMap<&'static str, u64>,
}

impl Troubles {
    pub(crate) fn note(&mut self, number: u32, time: Time, kind: &'static str, text: String) {
        *self.kinds.entry(kind).or_default() += 1;
        self.done.push(Trouble { number, time: time.0, kind, text });
    }
}
