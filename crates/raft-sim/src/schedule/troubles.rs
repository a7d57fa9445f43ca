//! The troubles of a run: which were done, and what has to end again.

use std::collections::BTreeMap;

use raft_core::Time;
use raft_node::random::Random;

use crate::network::Place;

/// A trouble that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Its number, by which it can be left out.
    pub number: u32,
    /// When.
    pub time: u64,
    /// Which kind.
    pub kind: &'static str,
    /// To whom, and how much.
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
    pub(super) flaps: BTreeMap<u32, Flapping>,
    pub(super) ambushes: BTreeMap<u32, Ambush>,
}

/// Cables that are cut and mended in turns.
#[derive(Debug)]
pub(super) struct Flapping {
    pub(super) random: Random,
    pub(super) pairs: Vec<(Place, Place)>,
    pub(super) is_cut: bool,
}

/// A trouble that waits for its moment.
#[derive(Debug)]
pub(super) struct Ambush {
    pub(super) moment: Moment,
    pub(super) until: Time,
    pub(super) random: Random,
}

/// What a trouble waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// A server is being added, and does not vote yet.
    Promotion,
    /// A voter is being removed, and does not lead.
    Removal,
    /// Then it leads, and hands over.
    HandOver,
    /// Somebody leads, and somebody follows.
    Following,
    /// Then this leader has compacted what it does not know that this follower holds.
    Lagging(usize, usize),
}

impl Troubles {
    pub(super) fn note(&mut self, number: u32, time: Time, kind: &'static str, text: String) {
        *self.kinds.entry(kind).or_default() += 1;
        self.done.push(Trouble { number, time: time.0, kind, text });
    }
}
