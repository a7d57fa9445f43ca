//! One value: read, write, compare and swap.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::marker::PhantomData;

use super::{HistoryOf, Model, keep, marks};
use crate::linear::history::{Operation, Outcome};

/// A register that is empty at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register<V>(PhantomData<V>);

/// What is asked of a register.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RegisterInput<V> {
    /// Its value.
    Read,
    /// To have another value.
    Write(V),
    /// To have another value if it has this one.
    Cas {
        /// This one.
        from: V,
        /// The other.
        to: V,
    },
}

/// What a register answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterOutput<V> {
    /// To a read: the value.
    Value(Option<V>),
    /// To a write.
    Written,
    /// To a compare and swap: whether it had the value.
    Swapped(bool),
}

use RegisterInput::{Cas, Read, Write};
use RegisterOutput::{Swapped, Value, Written};

impl<V: Ord + Clone + Display> Model for Register<V> {
    type Key = ();
    type State = Option<V>;
    type Input = RegisterInput<V>;
    type Output = RegisterOutput<V>;

    fn key(&self, _: &Self::Input) {}

    fn initial(&self) -> Option<V> {
        None
    }

    fn step(
        &self,
        state: &Option<V>,
        input: &Self::Input,
        output: Option<&Self::Output>,
        next: &mut Vec<Option<V>>,
    ) {
        match (input, output) {
            (Read, None) => next.push(state.clone()),
            (Read, Some(Value(value))) if value == state => next.push(state.clone()),
            (Write(value), None | Some(Written)) => next.push(Some(value.clone())),
            (Cas { from, to }, None | Some(Swapped(_))) => {
                let swaps = state.as_ref() == Some(from);
                if output.is_none_or(|output| *output == Swapped(swaps)) {
                    next.push(if swaps { Some(to.clone()) } else { state.clone() });
                }
            }
            _ => {}
        }
    }

    fn is_read(&self, input: &Self::Input) -> bool {
        *input == Read
    }

    /// A write goes when nobody saw its value: then its whole reign, up to the next write, goes
    /// unseen. What was seen stays, also if it surely failed: that is what a reader looks for.
    fn without(&self, history: &HistoryOf<Self>, gone: &[usize]) -> HistoryOf<Self> {
        let operations = history.operations();
        let mut gone = marks(operations.len(), gone);
        loop {
            let stays = || operations.iter().zip(&gone).filter(|(_, gone)| !**gone);
            let seen: BTreeSet<&V> = stays().filter_map(|(one, _)| sees(one)).collect();
            let unequal = stays().any(|(one, _)| is_unequal(one));
            let missed = |one: &Operation<_, _>| {
                !one.has_failed() && unequal || wrote(&one.input).is_some_and(|v| seen.contains(v))
            };
            let missed = |(number, gone): (usize, &bool)| {
                let one = &operations[number];
                (*gone && !is_unequal(one) && one.input != Read && missed(one)).then_some(number)
            };
            let back: Vec<usize> = gone.iter().enumerate().filter_map(missed).collect();
            if back.is_empty() {
                return keep(history, &gone);
            }
            for number in back {
                gone[number] = false;
            }
        }
    }

    fn describe(&self, input: &Self::Input, output: Option<&Self::Output>) -> String {
        match (input, output) {
            (Read, None) => "r".into(),
            (Read, Some(Value(Some(value)))) => format!("r = {value}"),
            (Read, Some(_)) => "r = nothing".into(),
            (Write(value), _) => format!("w({value})"),
            (Cas { from, to }, Some(Swapped(swapped))) => {
                format!("cas({from}, {to}) = {}", if *swapped { "ok" } else { "no" })
            }
            (Cas { from, to }, _) => format!("cas({from}, {to})"),
        }
    }
}

type Op<V> = Operation<RegisterInput<V>, RegisterOutput<V>>;

/// The value that an operation found, or needs to find.
fn sees<V>(one: &Op<V>) -> Option<&V> {
    match (&one.input, &one.outcome) {
        (Read, Outcome::Ok { output: Value(value), .. }) => value.as_ref(),
        (Cas { from, .. }, Outcome::Ok { .. } | Outcome::Unknown) => Some(from),
        _ => None,
    }
}

/// A comparison that found another value: one cannot say which.
const fn is_unequal<V>(one: &Op<V>) -> bool {
    matches!((&one.input, &one.outcome), (Cas { .. }, Outcome::Ok { output: Swapped(false), .. }))
}

const fn wrote<V>(input: &RegisterInput<V>) -> Option<&V> {
    match input {
        Read => None,
        Write(value) | Cas { to: value, .. } => Some(value),
    }
}
