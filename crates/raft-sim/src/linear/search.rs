//! The search for an order: after Wing and Gong, with Lowe's memory of what was tried.
//!
//! Calls stand in a linked list; an operation that is given its place is unlinked, and linked
//! again when the search comes back. What may be next is every operation that was called before
//! the first answer that is still out. A configuration is that answer, the operations in the air
//! that have their place, and the state. None is entered twice.
//!
//! Operations whose outcome is unknown never have to be placed. They come last when the next one
//! is chosen; of those that ask for the same, the first is as good as any; and a configuration that
//! has used more of them than one that led nowhere leads nowhere either.

use std::collections::{BTreeMap, BTreeSet};

use super::history::Outcome;
use super::models::{HistoryOf, Model};

/// Where the search gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// After so many steps there is no verdict.
    pub steps: u64,
    /// So many configurations are remembered; with more of them it gets slower, not wrong.
    pub configurations: usize,
}

/// What the search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// An order of these operations, by their numbers, in which all answers are right. Those with
    /// an unknown outcome are in it only if they were needed.
    Order(Vec<usize>),
    /// That there is none.
    Nothing,
    /// That it would take longer.
    Undecided,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 10_000_000, configurations: 2_000_000 }
    }
}

/// Looks for an order of operations in which each takes effect between its call and its answer,
/// all of them on the same part of the model. Returns how many steps that took, too.
pub fn search<M: Model>(model: &M, history: &HistoryOf<M>, limits: Limits) -> (Found, u64) {
    let mut search = Search::new(model, history, limits);
    let found = search.run();
    (found, search.steps)
}

struct Search<'h, M: Model> {
    model: M,
    items: Vec<Item<'h, M>>,
    calls: Calls,
    /// The answers in order: when, and of which item.
    answers: Vec<(u64, usize)>,
    now: Now<M::State>,
    /// Which items have their place.
    placed: Vec<bool>,
    /// The way here.
    path: Vec<Step<M::State>>,
    seen: BTreeMap<(usize, Bits, M::State), Vec<Bits>>,
    remembered: usize,
    limits: Limits,
    steps: u64,
}

struct Item<'h, M: Model> {
    number: usize,
    input: &'h M::Input,
    output: Option<&'h M::Output>,
    called: u64,
    /// Its bit: among those in the air, or among those with an unknown outcome.
    bit: usize,
    /// The one before it that asks for the same, if both outcomes are unknown.
    twin: Option<usize>,
}

/// A configuration.
#[derive(Clone)]
struct Now<S> {
    /// How many answers are behind us: all up to there are of items that have their place.
    answers: usize,
    /// Items that have their place, though their answers are ahead.
    early: Bits,
    /// Items with an unknown outcome that have their place.
    used: Bits,
    state: S,
}

struct Step<S> {
    item: usize,
    before: Now<S>,
    /// Other states in which it may have left the model.
    others: Vec<S>,
    /// It is as well here as anywhere.
    is_sure: bool,
}

impl<'h, M: Model> Search<'h, M> {
    fn new(model: &M, history: &'h HistoryOf<M>, limits: Limits) -> Self {
        let model = model.foreseeing(history);
        let mut items = Vec::new();
        let mut answers = Vec::new();
        for (number, operation) in history.operations().iter().enumerate() {
            let (input, called) = (&operation.input, operation.called.position);
            let output = match &operation.outcome {
                Outcome::Failed { .. } => continue,
                Outcome::Unknown if model.is_read(input) => continue,
                Outcome::Unknown => None,
                Outcome::Ok { at, output } => {
                    answers.push((at.position, items.len()));
                    Some(output)
                }
            };
            items.push(Item { number, input, output, called, bit: 0, twin: None });
        }
        answers.sort_unstable();
        give_bits(&mut items, &answers);
        let mut twins = BTreeMap::new();
        for (place, item) in items.iter_mut().enumerate().filter(|(_, it)| it.output.is_none()) {
            item.twin = twins.insert(item.input, place);
        }
        let must: Vec<bool> = items.iter().map(|item| item.output.is_some()).collect();
        let state = model.initial();
        Self {
            model,
            calls: Calls::new(&must),
            answers,
            now: Now { answers: 0, early: Bits::default(), used: Bits::default(), state },
            placed: vec![false; items.len()],
            items,
            path: Vec::new(),
            seen: BTreeMap::new(),
            remembered: 0,
            limits,
            steps: 0,
        }
    }

    fn run(&mut self) -> Found {
        let mut tried = None;
        let mut next = Vec::new();
        while let Some((horizon, _)) = self.answers.get(self.now.answers) {
            let Some(item) = self.candidate(tried, *horizon) else {
                match self.back() {
                    Some(item) => tried = item,
                    None => return Found::Nothing,
                }
                continue;
            };
            if self.steps == self.limits.steps {
                return Found::Undecided;
            }
            self.steps += 1;
            let Item { input, output, .. } = self.items[item];
            self.model.step(&self.now.state, input, output, &mut next);
            if output.is_none() {
                next.retain(|state| *state != self.now.state);
            }
            tried = Some(item).filter(|_| !self.enter(item, std::mem::take(&mut next)));
        }
        Found::Order(self.path.iter().map(|step| self.items[step.item].number).collect())
    }

    /// The next item that may have its place here: those that were answered first, then those with
    /// an unknown outcome.
    fn candidate(&self, tried: Option<usize>, horizon: u64) -> Option<usize> {
        let tried = tried.unwrap_or(self.calls.answered());
        let called = |item: &usize| self.items.get(*item).is_some_and(|it| it.called < horizon);
        let is_unknown = self.items.get(tried).is_some_and(|item| item.output.is_none());
        let mut next = self.calls.next[tried];
        if !is_unknown {
            if called(&next) {
                return Some(next);
            }
            next = self.calls.next[self.calls.unknown()];
        }
        let is_first = |item: usize| self.items[item].twin.is_none_or(|twin| self.placed[twin]);
        while called(&next) {
            if is_first(next) {
                return Some(next);
            }
            next = self.calls.next[next];
        }
        None
    }

    /// Gives an item its place, if that leads to a configuration that is new.
    fn enter(&mut self, item: usize, others: Vec<M::State>) -> bool {
        if others.is_empty() {
            return false;
        }
        let before = self.now.clone();
        self.calls.unlink(item);
        self.placed[item] = true;
        let Item { input, output, bit, .. } = self.items[item];
        if output.is_none() {
            self.now.used.set(bit, true);
        } else {
            self.now.early.set(bit, true);
            self.pass_answers();
        }
        let is_sure = others.len() == 1 && self.model.is_read(input);
        self.path.push(Step { item, before, others, is_sure });
        if self.take_another_state() {
            return true;
        }
        if let Some(step) = self.path.pop() {
            self.undo(step.item, step.before);
        }
        false
    }

    fn pass_answers(&mut self) {
        while let Some((_, item)) = self.answers.get(self.now.answers)
            && self.placed[*item]
        {
            self.now.early.set(self.items[*item].bit, false);
            self.now.answers += 1;
        }
    }

    /// The last step leaves the model in a state that is new here.
    fn take_another_state(&mut self) -> bool {
        while let Some(state) = self.path.last_mut().and_then(|step| step.others.pop()) {
            self.now.state = state;
            if self.is_new() {
                return true;
            }
        }
        false
    }

    /// Whether the search was never here, nor anywhere that is as good.
    fn is_new(&mut self) -> bool {
        let Now { answers, early, used, state } = &self.now;
        let key = (*answers, early.clone(), state.clone());
        match self.seen.get_mut(&key) {
            Some(uses) if uses.iter().any(|use_| use_.is_within(used)) => return false,
            _ if self.remembered >= self.limits.configurations => {}
            Some(uses) => {
                uses.push(used.clone());
                self.remembered += 1;
            }
            None => {
                self.seen.insert(key, vec![used.clone()]);
                self.remembered += 1;
            }
        }
        true
    }

    /// Takes back the last choice. Returns what was tried then, if anything: the search goes on
    /// behind it.
    fn back(&mut self) -> Option<Option<usize>> {
        loop {
            if self.take_another_state() {
                return Some(None);
            }
            let Step { item, before, is_sure, .. } = self.path.pop()?;
            self.undo(item, before);
            if !is_sure {
                return Some(Some(item));
            }
        }
    }

    fn undo(&mut self, item: usize, before: Now<M::State>) {
        self.calls.link(item);
        self.placed[item] = false;
        self.now = before;
    }
}

/// Items in the air at the same time have different bits; a bit is used again, and so there are no
/// more of them than there is concurrency. Those with an unknown outcome are in the air for ever.
fn give_bits<M: Model>(items: &mut [Item<'_, M>], answers: &[(u64, usize)]) {
    let mut free = BTreeSet::new();
    let (mut in_use, mut unknown) = (0, 0);
    let mut ended = answers.iter().peekable();
    for item in 0..items.len() {
        while let Some((_, other)) = ended.next_if(|(at, _)| *at < items[item].called) {
            free.insert(items[*other].bit);
        }
        let bits = if items[item].output.is_none() { &mut unknown } else { &mut in_use };
        let reused = items[item].output.and_then(|_| free.pop_first());
        items[item].bit = reused.unwrap_or_else(|| {
            *bits += 1;
            *bits - 1
        });
    }
}

/// Two linked lists of items without a place, by their calls: those that were answered, and those
/// with an unknown outcome. Their heads come after all items.
struct Calls {
    next: Vec<usize>,
    previous: Vec<usize>,
}

impl Calls {
    fn new(is_answered: &[bool]) -> Self {
        let count = is_answered.len();
        let mut calls = Self { next: (0..count + 2).collect(), previous: (0..count + 2).collect() };
        for (item, is_answered) in is_answered.iter().enumerate() {
            let head = if *is_answered { calls.answered() } else { calls.unknown() };
            calls.next[item] = head;
            calls.previous[item] = calls.previous[head];
            calls.link(item);
        }
        calls
    }

    const fn answered(&self) -> usize {
        self.next.len() - 2
    }

    const fn unknown(&self) -> usize {
        self.next.len() - 1
    }

    fn unlink(&mut self, item: usize) {
        let (previous, next) = (self.previous[item], self.next[item]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    /// Puts an item back where it was: the last one that was unlinked comes first.
    fn link(&mut self, item: usize) {
        let (previous, next) = (self.previous[item], self.next[item]);
        self.next[previous] = item;
        self.previous[next] = item;
    }
}

/// A set of small numbers. The words behind the last bit are not kept: equal sets are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Bits {
    first: u64,
    more: Vec<u64>,
}

impl Bits {
    fn set(&mut self, bit: usize, on: bool) {
        let (word, mask) = (bit / 64, 1 << (bit % 64));
        if word > self.more.len() {
            self.more.resize(word, 0);
        }
        let word = match word {
            0 => &mut self.first,
            word => &mut self.more[word - 1],
        };
        *word = if on { *word | mask } else { *word & !mask };
        while self.more.pop_if(|word| *word == 0).is_some() {}
    }

    fn is_within(&self, other: &Self) -> bool {
        self.first & !other.first == 0
            && self.more.len() <= other.more.len()
            && self.more.iter().zip(&other.more).all(|(own, other)| own & !other == 0)
    }
}
