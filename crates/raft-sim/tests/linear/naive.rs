//! Brute force: every order of all operations is tried, one after the other.

use raft_sim::linear::{Change, HistoryOf, ListInput, MapInput, MapOutput, Model, Outcome, Place};

/// Whether any order explains the history. For a few operations only.
pub(crate) fn is_legal<M: Model>(model: &M, history: &HistoryOf<M>) -> bool {
    let left: Vec<usize> = (0..history.len()).collect();
    is_legal_from(model, history, &model.initial(), &left)
}

fn is_legal_from<M: Model>(
    model: &M,
    history: &HistoryOf<M>,
    state: &M::State,
    left: &[usize],
) -> bool {
    let operations = history.operations();
    let answered = |number: &usize| operations[*number].answer().map(|(at, _)| at);
    let Some(first) = left.iter().filter_map(answered).min() else { return true };
    left.iter().any(|number| {
        let one = &operations[*number];
        let output = match &one.outcome {
            Outcome::Failed { .. } => return false,
            Outcome::Unknown => None,
            Outcome::Ok { output, .. } => Some(output),
        };
        let mut next = Vec::new();
        if one.called < first {
            model.step(state, &one.input, output, &mut next);
        }
        let left: Vec<usize> = left.iter().copied().filter(|other| other != number).collect();
        next.iter().any(|state| is_legal_from(model, history, state, &left))
    })
}

/// Whether the search's order is one: everything that was answered is in it, nothing twice, each
/// in its time, with the right answer.
pub(crate) fn proves<M: Model>(model: &M, history: &HistoryOf<M>, order: &[usize]) -> bool {
    let operations = history.operations();
    let answered = |number: &usize| operations[*number].answer().is_some();
    let mut states = vec![model.initial()];
    for (place, number) in order.iter().enumerate() {
        let one = &operations[*number];
        let late = order[place..].iter().filter_map(|later| operations[*later].answer());
        if late.clone().any(|(at, _)| at < one.called) || order[..place].contains(number) {
            return false;
        }
        let output = one.answer().map(|(_, output)| output);
        let mut next = Vec::new();
        for state in &states {
            model.step(state, &one.input, output, &mut next);
        }
        states = next;
    }
    let missing = (0..operations.len()).filter(answered).find(|number| !order.contains(number));
    missing.is_none() && !states.is_empty() && !order.iter().any(|n| operations[*n].has_failed())
}

/// The list, remembered as it is: nothing is foreseen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WholeList;

impl Model for WholeList {
    type Key = ();
    type State = (Vec<u64>, u64);
    type Input = ListInput<u64>;
    type Output = Place<u64>;

    fn key(&self, _: &Self::Input) {}

    fn initial(&self) -> Self::State {
        (Vec::new(), 0)
    }

    fn step(
        &self,
        (list, last): &Self::State,
        input: &Self::Input,
        output: Option<&Self::Output>,
        next: &mut Vec<Self::State>,
    ) {
        let mut list = list.clone();
        if let ListInput::Append(value) = input {
            list.push(*value);
        }
        let told = output.cloned().unwrap_or_default();
        if told.at.is_none_or(|at| at > *last)
            && told.count.is_none_or(|count| count == list.len() as u64)
            && told.list.is_none_or(|told| told == list)
        {
            next.push((list, told.at.unwrap_or(*last)));
        }
    }

    fn is_read(&self, _: &Self::Input) -> bool {
        false
    }

    fn without(&self, history: &HistoryOf<Self>, _: &[usize]) -> HistoryOf<Self> {
        history.clone()
    }

    fn describe(&self, input: &Self::Input, output: Option<&Self::Output>) -> String {
        format!("{input:?} {output:?}")
    }
}

/// One key of a map, remembered as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WholeMap;

impl Model for WholeMap {
    type Key = u64;
    type State = Vec<u64>;
    type Input = MapInput<u64, u64>;
    type Output = MapOutput<u64>;

    fn key(&self, input: &Self::Input) -> u64 {
        input.key
    }

    fn initial(&self) -> Vec<u64> {
        Vec::new()
    }

    fn step(
        &self,
        text: &Vec<u64>,
        input: &Self::Input,
        output: Option<&Self::Output>,
        next: &mut Vec<Vec<u64>>,
    ) {
        let (right, text) = match &input.change {
            Change::Get => (MapOutput::Text(text.clone()), text.clone()),
            Change::Put(piece) => (MapOutput::Done, vec![*piece]),
            Change::Append(piece) => (MapOutput::Done, [&text[..], &[*piece]].concat()),
        };
        if output.is_none_or(|output| *output == right) {
            next.push(text);
        }
    }

    fn is_read(&self, _: &Self::Input) -> bool {
        false
    }

    fn without(&self, history: &HistoryOf<Self>, _: &[usize]) -> HistoryOf<Self> {
        history.clone()
    }

    fn describe(&self, input: &Self::Input, output: Option<&Self::Output>) -> String {
        format!("{input:?} {output:?}")
    }
}

/// A coin that may fall either way, and whoever looks sees how: several states after one step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Coin;

impl Model for Coin {
    type Key = ();
    type State = bool;
    /// Whether to throw it.
    type Input = bool;
    /// What is seen.
    type Output = Option<bool>;

    fn key(&self, _: &bool) {}

    fn initial(&self) -> bool {
        false
    }

    fn step(
        &self,
        state: &bool,
        throw: &bool,
        output: Option<&Option<bool>>,
        next: &mut Vec<bool>,
    ) {
        if *throw {
            next.extend([true, false]);
        } else if output.is_none_or(|seen| seen.is_none_or(|seen| seen == *state)) {
            next.push(*state);
        }
    }

    fn is_read(&self, throw: &bool) -> bool {
        !throw
    }

    fn without(&self, history: &HistoryOf<Self>, _: &[usize]) -> HistoryOf<Self> {
        history.clone()
    }

    fn describe(&self, throw: &bool, _: Option<&Option<bool>>) -> String {
        if *throw { "throw" } else { "look" }.into()
    }
}

impl crate::world::Thing for Coin {
    type Real = (bool, u64);

    fn ask(random: &mut raft_node::random::Random, _: u64) -> bool {
        random.below(5) == 0
    }

    fn act((side, throws): &mut (bool, u64), throw: &bool) -> Option<bool> {
        if *throw {
            *throws += 1;
            *side = !throws.is_multiple_of(3);
            return None;
        }
        Some(*side)
    }
}
