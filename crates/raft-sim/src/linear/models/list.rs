//! A list that grows at its end, such as a log whose answers are places.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::{HistoryOf, Model, keep, marks};
use crate::linear::history::{Operation, Outcome};

/// A list that is empty at first.
#[derive(Clone, Debug)]
pub struct List<V> {
    /// The longest of all lists that will be read. While the list is not longer than this one, it
    /// is a beginning of this one: its length says all about it, and nobody reads it later.
    longest: Vec<V>,
}

/// What is asked of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListInput<V> {
    /// To append this.
    Append(V),
    /// What is in it.
    Read,
}

/// What a list answers: what an operation knows of the place where it took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<V> {
    /// A number that rises from append to append, perhaps with gaps.
    pub at: Option<u64>,
    /// How many values there are now.
    pub count: Option<u64>,
    /// All values that there are now.
    pub list: Option<Vec<V>>,
}

use ListInput::{Append, Read};

impl<V> Default for List<V> {
    fn default() -> Self {
        Self { longest: Vec::new() }
    }
}

impl<V> Default for Place<V> {
    fn default() -> Self {
        Self { at: None, count: None, list: None }
    }
}

/// How many values there are, and where the last one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    count: u64,
    last: u64,
}

impl<V: Ord + Clone + Display> Model for List<V> {
    type Key = ();
    type State = End;
    type Input = ListInput<V>;
    type Output = Place<V>;

    fn key(&self, _: &Self::Input) {}

    fn initial(&self) -> End {
        End::default()
    }

    fn step(
        &self,
        state: &End,
        input: &Self::Input,
        output: Option<&Self::Output>,
        next: &mut Vec<End>,
    ) {
        let mut end = *state;
        if let Append(value) = input {
            let foreseen = usize::try_from(end.count).ok().and_then(|at| self.longest.get(at));
            if foreseen.is_some_and(|foreseen| foreseen != value) {
                return;
            }
            end.count += 1;
        }
        if let Some(Place { at, count, list }) = output {
            if at.is_some_and(|at| at <= end.last)
                || count.is_some_and(|count| count != end.count)
                || list.as_ref().is_some_and(|list| !self.is(list, end.count))
            {
                return;
            }
            end.last = at.unwrap_or(end.last);
        }
        next.push(end);
    }

    fn is_read(&self, input: &Self::Input) -> bool {
        matches!(input, Read)
    }

    /// A value goes with everybody who appends it, and from every list that was read: what is
    /// left reads as if nobody had ever said it. Counts are less by those that surely came before;
    /// where that is not sure, a count says nothing any more.
    fn without(&self, history: &HistoryOf<Self>, gone: &[usize]) -> HistoryOf<Self> {
        let operations = history.operations();
        let mut gone = marks(operations.len(), gone);
        let erased: BTreeSet<&V> = operations
            .iter()
            .zip(&gone)
            .filter_map(|(one, gone)| value(one).filter(|_| *gone))
            .collect();
        for (one, gone) in operations.iter().zip(&mut gone) {
            *gone |= value(one).is_some_and(|value| erased.contains(value));
        }
        let lost = operations.iter().zip(&gone).filter(|(_, gone)| **gone);
        let lost: Vec<&Operation<_, _>> = lost.map(|(one, _)| one).collect();
        let mut left = keep(history, &gone).operations().to_vec();
        for one in &mut left {
            if let Outcome::Ok { output: place, .. } = &mut one.outcome {
                place.count = place.count.and_then(|count| recount(count, place.at, &lost));
                if let Some(list) = &mut place.list {
                    list.retain(|value| !erased.contains(value));
                }
            }
        }
        HistoryOf::<Self>::of(left)
    }

    fn describe(&self, input: &Self::Input, output: Option<&Self::Output>) -> String {
        let mut text = match input {
            Append(value) => format!("append({value})"),
            Read => "read".into(),
        };
        let Some(place) = output else { return text };
        if let Some(at) = place.at {
            text += &format!(" @{at}");
        }
        if let Some(count) = place.count {
            text += &format!(" count {count}");
        }
        if let Some(list) = &place.list {
            let values: Vec<String> = list.iter().map(ToString::to_string).collect();
            text += &format!(" = [{}]", values.join(" "));
        }
        text
    }

    fn foreseeing(&self, history: &HistoryOf<Self>) -> Self {
        let lists = history.operations().iter().filter_map(|one| one.answer()?.1.list.as_ref());
        Self { longest: lists.max_by_key(|list| list.len()).cloned().unwrap_or_default() }
    }
}

impl<V: Ord> List<V> {
    /// Whether this is the list while it has so many values.
    fn is(&self, list: &[V], count: u64) -> bool {
        list.len() as u64 == count && self.longest.get(..list.len()) == Some(list)
    }
}

const fn value<V>(one: &Operation<ListInput<V>, Place<V>>) -> Option<&V> {
    match &one.input {
        Append(value) => Some(value),
        Read => None,
    }
}

/// What somebody at this place counts when these were never appended, if that is sure.
fn recount<V>(
    count: u64,
    at: Option<u64>,
    lost: &[&Operation<ListInput<V>, Place<V>>],
) -> Option<u64> {
    let mut less = 0;
    for one in lost {
        if one.has_failed() || value(one).is_none() {
            continue;
        }
        less += u64::from(one.answer()?.1.at? < at?);
    }
    // One that is too small already is wrong, and stays so.
    Some(count.saturating_sub(less))
}
