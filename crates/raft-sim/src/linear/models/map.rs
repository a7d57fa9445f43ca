//! Values by their keys; each is a text in pieces, put as a whole or appended to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Display};
use std::marker::PhantomData;

use super::{HistoryOf, Model, keep, marks};
use crate::linear::history::{Operation, Outcome};

/// A map whose values are empty at first.
#[derive(Clone, Debug)]
pub struct Map<K, P> {
    /// All texts that will be read, as a tree: which piece makes which other text of each. A text
    /// that is not in it is of no interest, whatever it is: nobody reads it, nor anything that it
    /// grows to.
    read: Vec<BTreeMap<P, usize>>,
    keys: PhantomData<K>,
}

/// The empty text, in the tree of those that will be read.
const EMPTY: usize = 0;

/// What is asked of a map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MapInput<K, P> {
    /// About this key.
    pub key: K,
    /// This.
    pub change: Change<P>,
}

/// What is asked about a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change<P> {
    /// Its value.
    Get,
    /// To have another value.
    Put(P),
    /// To have a longer one.
    Append(P),
}

/// What a map answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapOutput<P> {
    /// To a get: all pieces.
    Text(Vec<P>),
    /// To a change.
    Done,
}

use Change::{Append, Get, Put};
use MapOutput::{Done, Text};

impl<K, P> Default for Map<K, P> {
    fn default() -> Self {
        Self { read: Vec::new(), keys: PhantomData }
    }
}

impl<K: Ord + Clone + Debug, P: Ord + Clone + Display> Model for Map<K, P> {
    type Key = K;
    /// A text that will be read, or any other.
    type State = Option<usize>;
    type Input = MapInput<K, P>;
    type Output = MapOutput<P>;

    fn key(&self, input: &Self::Input) -> K {
        input.key.clone()
    }

    fn initial(&self) -> Option<usize> {
        Some(EMPTY)
    }

    fn step(
        &self,
        state: &Option<usize>,
        input: &Self::Input,
        output: Option<&Self::Output>,
        next: &mut Vec<Option<usize>>,
    ) {
        match (&input.change, output) {
            (Get, None) => next.push(*state),
            (Get, Some(Text(text))) if state.is_some() && self.find(text) == *state => {
                next.push(*state);
            }
            (Put(piece), None | Some(Done)) => next.push(self.longer(Some(EMPTY), piece)),
            (Append(piece), None | Some(Done)) => next.push(self.longer(*state, piece)),
            _ => {}
        }
    }

    fn is_read(&self, input: &Self::Input) -> bool {
        input.change == Get
    }

    /// An appended piece goes with every other of the same kind, and from every text that was
    /// read: what is left reads as if nobody had ever said it. A put goes when nobody read a text
    /// that begins with it.
    fn without(&self, history: &HistoryOf<Self>, gone: &[usize]) -> HistoryOf<Self> {
        let operations = history.operations();
        let mut gone = marks(operations.len(), gone);
        let stays = |gone: &bool| !*gone;
        let begins = operations.iter().zip(&gone).filter(|(_, gone)| stays(gone));
        let begins: BTreeSet<P> =
            begins.filter_map(|(one, _)| text(one)?.first().cloned()).collect();
        let puts: BTreeSet<P> = operations.iter().filter_map(put).cloned().collect();
        let mut erased = BTreeSet::new();
        for (one, gone) in operations.iter().zip(&mut gone) {
            match &one.input.change {
                Put(piece) => *gone &= !begins.contains(piece),
                Append(piece) if *gone => {
                    *gone = !puts.contains(piece);
                    erased.extend(gone.then(|| piece.clone()));
                }
                Append(_) | Get => {}
            }
        }
        for (one, gone) in operations.iter().zip(&mut gone) {
            *gone |= matches!(&one.input.change, Append(piece) if erased.contains(piece));
        }
        let mut left = keep(history, &gone).operations().to_vec();
        for one in &mut left {
            if let Outcome::Ok { output: Text(text), .. } = &mut one.outcome {
                text.retain(|piece| !erased.contains(piece));
            }
        }
        HistoryOf::<Self>::of(left)
    }

    fn describe(&self, input: &Self::Input, output: Option<&Self::Output>) -> String {
        let key = &input.key;
        match (&input.change, output) {
            (Get, Some(Text(text))) => {
                let pieces: Vec<String> = text.iter().map(ToString::to_string).collect();
                format!("get({key:?}) = [{}]", pieces.join(" "))
            }
            (Get, _) => format!("get({key:?})"),
            (Put(piece), _) => format!("put({key:?}, {piece})"),
            (Append(piece), _) => format!("append({key:?}, {piece})"),
        }
    }

    fn foreseeing(&self, history: &HistoryOf<Self>) -> Self {
        let mut read = vec![BTreeMap::new()];
        for text in history.operations().iter().filter_map(text) {
            let mut at = EMPTY;
            for piece in text {
                let another = read.len();
                at = *read[at].entry(piece.clone()).or_insert(another);
                if at == another {
                    read.push(BTreeMap::new());
                }
            }
        }
        Self { read, keys: PhantomData }
    }
}

impl<K, P: Ord> Map<K, P> {
    fn longer(&self, text: Option<usize>, piece: &P) -> Option<usize> {
        self.read.get(text?)?.get(piece).copied()
    }

    fn find(&self, text: &[P]) -> Option<usize> {
        text.iter().try_fold(EMPTY, |at, piece| self.longer(Some(at), piece))
    }
}

type Op<K, P> = Operation<MapInput<K, P>, MapOutput<P>>;

const fn text<K, P>(one: &Op<K, P>) -> Option<&Vec<P>> {
    match &one.outcome {
        Outcome::Ok { output: Text(text), .. } => Some(text),
        _ => None,
    }
}

const fn put<K, P>(one: &Op<K, P>) -> Option<&P> {
    match &one.input.change {
        Put(piece) => Some(piece),
        Get | Append(_) => None,
    }
}
