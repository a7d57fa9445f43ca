//! What a single, sequential copy of the thing would answer.

mod list;
mod map;
mod register;

use std::fmt::Debug;

pub use list::{List, ListInput, Place};
pub use map::{Change, Map, MapInput, MapOutput};
pub use register::{Register, RegisterInput, RegisterOutput};

use super::history::History;

/// A history of what is asked of a model, and of its answers.
pub type HistoryOf<M> = History<<M as Model>::Input, <M as Model>::Output>;

/// A thing that does one operation after another.
///
/// Inputs with different keys must have nothing to do with each other: each key is judged alone.
pub trait Model: Clone {
    /// What a part of it is called; `()` if it has no parts.
    type Key: Ord + Clone + Debug;
    /// All that a part remembers.
    type State: Clone + Ord;
    /// What is asked of it.
    type Input: Clone + Ord;
    /// What it answers.
    type Output: Clone;

    /// The part that an input is about.
    fn key(&self, input: &Self::Input) -> Self::Key;

    /// What each part is at the beginning.
    fn initial(&self) -> Self::State;

    /// Puts into `next` every state that it may be in after doing this, if the answer may then be
    /// this; after any answer, if there is none.
    fn step(
        &self,
        state: &Self::State,
        input: &Self::Input,
        output: Option<&Self::Output>,
        next: &mut Vec<Self::State>,
    );

    /// Whether this changes no state, whatever that is. The search need not try such an operation
    /// at more than one place.
    fn is_read(&self, input: &Self::Input) -> bool;

    /// The history without these operations, and without more of them if they are tied together;
    /// with those of them that cannot be missed. Whoever says that must be sure: if the whole
    /// history is linearizable, the one without them is too. A write, for instance, goes only when
    /// nobody read what it wrote.
    fn without(&self, history: &HistoryOf<Self>, gone: &[usize]) -> HistoryOf<Self>;

    /// An operation in a few characters.
    fn describe(&self, input: &Self::Input, output: Option<&Self::Output>) -> String;

    /// This model, knowing all that will be answered one day: it may refuse a step at once that
    /// would be found wrong only much later, and forget what nobody will ask for. The search takes
    /// its steps with this one.
    #[must_use]
    fn foreseeing(&self, history: &HistoryOf<Self>) -> Self {
        let _ = history;
        self.clone()
    }
}

/// The operations whose number is not among these.
fn keep<I: Clone, O: Clone>(history: &History<I, O>, gone: &[bool]) -> History<I, O> {
    let numbered = history.operations().iter().zip(gone);
    History::of(numbered.filter(|(_, gone)| !**gone).map(|(one, _)| one.clone()).collect())
}

/// Marks by number.
fn marks(count: usize, numbers: &[usize]) -> Vec<bool> {
    let mut marks = vec![false; count];
    for number in numbers {
        marks[*number] = true;
    }
    marks
}
