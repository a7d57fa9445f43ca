//! From a history that is not linearizable to a few operations that are not.

use super::history::Outcome;
use super::models::{HistoryOf, Model};
use super::search::{Found, Limits, search};

/// So much more than the first search may take, all searches for something smaller may take.
const EFFORT: u64 = 16;

/// The smallest part of an illegal history that could be found: without any one of its operations
/// it is legal, unless the limits ended the search for less.
///
/// First it ends with the answer that nothing explains: without that event the history is legal.
/// Then operations go, many at a time, then few, as long as what is left is still illegal.
#[must_use]
pub fn minimal<M: Model>(model: &M, history: HistoryOf<M>, limits: Limits) -> HistoryOf<M> {
    let budget = limits.steps.saturating_mul(EFFORT);
    let mut shrink = Shrink { model, limits, budget, left: history };
    shrink.end_early();
    while shrink.take_out() {}
    shrink.end_early();
    shrink.left
}

struct Shrink<'m, M: Model> {
    model: &'m M,
    limits: Limits,
    budget: u64,
    left: HistoryOf<M>,
}

impl<M: Model> Shrink<'_, M> {
    fn is_illegal(&mut self, history: &HistoryOf<M>) -> bool {
        let limits = Limits { steps: self.limits.steps.min(self.budget), ..self.limits };
        let (found, steps) = search(self.model, history, limits);
        self.budget -= steps;
        found == Found::Nothing
    }

    /// Finds the first event after which the history is illegal; it stays illegal from then on.
    fn end_early(&mut self) {
        let answer = |one: &super::Operation<_, _>| one.answer().map(|(at, _)| at.position);
        let mut ends: Vec<u64> = self.left.operations().iter().filter_map(answer).collect();
        ends.sort_unstable();
        let (mut low, mut high) = (0, ends.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let beginning = self.left.until(ends[middle]);
            if self.is_illegal(&beginning) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        if let Some(end) = ends.get(low) {
            self.left = self.left.until(*end);
        }
    }

    /// Takes operations out, in ever smaller portions. Returns whether another round may help.
    fn take_out(&mut self) -> bool {
        let count = self.left.len();
        let mut portion = count.div_ceil(2);
        while portion > 0 && self.budget > 0 {
            let mut from = 0;
            while from < self.left.len() {
                let chosen: Vec<usize> = (from..self.left.len().min(from + portion)).collect();
                let smaller = self.model.without(&self.left, &chosen);
                if smaller.len() < self.left.len() && self.is_illegal(&smaller) {
                    self.left = smaller;
                } else {
                    from += portion;
                }
            }
            portion /= 2;
        }
        self.left.len() < count && self.budget > 0
    }
}

/// The operation whose answer nothing explains: the last one that was answered.
pub(super) fn unexplained<M: Model>(history: &HistoryOf<M>) -> Option<usize> {
    let answers =
        history.operations().iter().enumerate().filter_map(|(number, one)| match one.outcome {
            Outcome::Ok { at, .. } => Some((at, number)),
            Outcome::Failed { .. } | Outcome::Unknown => None,
        });
    answers.max().map(|(_, number)| number)
}
