//! Linearizability: does every operation seem to take effect at one moment between its call and
//! its answer? A checker for histories of clients, of any [`Model`].
//!
//! An operation is answered, surely failed (then it is as if it never was), or unknown: then it
//! takes effect at any time after its call, or never. [`check`] splits the history into independent
//! parts, searches an order for each, and makes the smallest counter-example of one that has none.
//! It gives up honestly: a search that takes too long is [`Verdict::Undecided`]. Where the order is
//! known and no search is needed, [`chain`] does the same for any number of writes.
//!
//! ```
//! use raft_sim::linear::{self, History, Limits, Register, RegisterInput, RegisterOutput, Verdict};
//!
//! let mut history = History::default();
//! let first = history.call(1, 0, RegisterInput::Write(1));
//! history.ok(first, 10, RegisterOutput::Written);
//! history.call(2, 11, RegisterInput::Write(2));
//! for (time, value) in [(12, 2), (14, 1)] {
//!     let read = history.call(3, time, RegisterInput::Read);
//!     history.ok(read, time + 1, RegisterOutput::Value(Some(value)));
//! }
//! let Verdict::Illegal(wrong) = linear::check(&Register::default(), &history, Limits::default()).verdict
//! else { panic!("2 was read, then 1 again") };
//! assert_eq!(wrong.timeline.bars.len(), 4);
//! assert!(wrong.timeline.bars[3].unexplained);
//! ```

pub mod chain;
mod history;
mod models;
mod partition;
mod search;
mod shrink;
mod timeline;

use std::fmt;

pub use history::{History, Moment, Operation, Outcome};
pub use models::{
    Change, HistoryOf, List, ListInput, Map, MapInput, MapOutput, Model, Place, Register,
    RegisterInput, RegisterOutput,
};
pub use partition::by_key;
pub use search::{Found, Limits, search};
pub use shrink::minimal;
pub use timeline::{Bar, Timeline};

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The verdict.
    pub verdict: Verdict,
    /// How many steps the search took, that for a smaller counter-example aside.
    pub steps: u64,
}

/// Whether a history is linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Legal,
    /// It is not.
    Illegal(CounterExample),
    /// No part of it was found not to be, and some would take longer.
    Undecided,
}

/// A few operations of a history that have no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterExample {
    /// The part of the model that they are about.
    pub key: String,
    /// How many operations there were.
    pub of: usize,
    /// These few.
    pub timeline: Timeline,
}

/// Judges a history, each part of it within these limits.
pub fn check<M: Model>(model: &M, history: &HistoryOf<M>, limits: Limits) -> Checked {
    let mut checked = Checked { verdict: Verdict::Legal, steps: 0 };
    for (key, part) in by_key(model, history) {
        let (found, steps) = search(model, &part, limits);
        checked.steps += steps;
        match found {
            Found::Order(_) => {}
            Found::Undecided => checked.verdict = Verdict::Undecided,
            Found::Nothing => {
                let of = part.len();
                let few = minimal(model, part, limits);
                let timeline = Timeline::of(model, &few, shrink::unexplained::<M>(&few));
                let example = CounterExample { key: format!("{key:?}"), of, timeline };
                return Checked { verdict: Verdict::Illegal(example), ..checked };
            }
        }
    }
    checked
}

impl fmt::Display for CounterExample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let few = self.timeline.bars.len();
        write!(f, "no order explains these {few} of {} operations", self.of)?;
        if self.key != "()" {
            write!(f, " on {}", self.key)?;
        }
        write!(f, ":\n{}", self.timeline)
    }
}
