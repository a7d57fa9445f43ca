//! Histories of things that really exist, and of clients that lie a little.

use raft_node::random::Random;
use raft_sim::linear::{
    Change, HistoryOf, List, ListInput, Map, MapInput, MapOutput, Model, Operation, Outcome, Place,
    Register, RegisterInput, RegisterOutput,
};

/// A model for which histories can be made up.
pub(crate) trait Thing: Model + Default {
    /// The thing itself.
    type Real: Default;

    /// Something to ask for, unlike what was asked for before if `number` is needed for that.
    fn ask(random: &mut Random, number: u64) -> Self::Input;

    /// Does it.
    fn act(real: &mut Self::Real, input: &Self::Input) -> Self::Output;
}

/// A call that is under way.
struct Called<O> {
    operation: usize,
    output: Option<O>,
}

/// A history of the real thing, with concurrency and trouble.
pub(crate) fn history<T: Thing>(random: &mut Random, clients: u64, count: u64) -> HistoryOf<T> {
    let mut history = HistoryOf::<T>::default();
    let mut real = T::Real::default();
    let mut under_way: Vec<Option<Called<T::Output>>> = (0..clients).map(|_| None).collect();
    let mut forgotten: Vec<usize> = Vec::new();
    let (mut asked, mut time) = (0, 0);
    while asked < count || under_way.iter().any(Option::is_some) {
        time += random.below(3);
        if !forgotten.is_empty() && random.below(8) == 0 {
            let late = forgotten.swap_remove(random.below(forgotten.len() as u64) as usize);
            T::act(&mut real, &history.operations()[late].input);
        }
        let client = random.below(clients);
        let slot = &mut under_way[client as usize];
        match slot.take() {
            None if asked < count => {
                let operation = history.call(client, time, T::ask(random, asked));
                *slot = Some(Called { operation, output: None });
                asked += 1;
            }
            None => {}
            Some(Called { operation, output }) => match (output, random.below(16)) {
                (None, 0 | 2) => forgotten.push(operation),
                (None, 1) => history.failed(operation, time),
                (None, _) => {
                    let output = T::act(&mut real, &history.operations()[operation].input);
                    *slot = Some(Called { operation, output: Some(output) });
                }
                (Some(_), 0) => {}
                (Some(output), _) => history.ok(operation, time, output),
            },
        }
    }
    history
}

/// The history with one or two things in it that may be wrong.
pub(crate) fn mutated<T: Thing>(random: &mut Random, history: &HistoryOf<T>) -> HistoryOf<T> {
    let mut operations: Vec<Operation<T::Input, T::Output>> = history.operations().to_vec();
    for _ in 0..=random.below(2) {
        if operations.is_empty() {
            break;
        }
        let mut any = || random.below(operations.len() as u64) as usize;
        let (one, other) = (any(), any());
        let output = operations[other].answer().map(|(_, output)| output.clone());
        let called = operations[one].called;
        match (random.below(4), &mut operations[one].outcome, output) {
            (0, _, _) => drop(operations.remove(one)),
            (1, outcome @ Outcome::Unknown, _) => *outcome = Outcome::Failed { at: called },
            (_, Outcome::Ok { output, .. }, Some(another)) => *output = another,
            _ => {}
        }
    }
    HistoryOf::<T>::of(operations)
}

impl Thing for Register<u64> {
    type Real = Option<u64>;

    fn ask(random: &mut Random, _: u64) -> Self::Input {
        match random.below(5) {
            0 | 1 => RegisterInput::Read,
            2 | 3 => RegisterInput::Write(random.below(3)),
            _ => RegisterInput::Cas { from: random.below(3), to: random.below(3) },
        }
    }

    fn act(real: &mut Option<u64>, input: &Self::Input) -> Self::Output {
        match input {
            RegisterInput::Read => RegisterOutput::Value(*real),
            RegisterInput::Write(value) => {
                *real = Some(*value);
                RegisterOutput::Written
            }
            RegisterInput::Cas { from, to } if *real == Some(*from) => {
                *real = Some(*to);
                RegisterOutput::Swapped(true)
            }
            RegisterInput::Cas { .. } => RegisterOutput::Swapped(false),
        }
    }
}

impl Thing for List<u64> {
    type Real = Vec<u64>;

    /// Some values are appended again and again, as words that are commands are.
    fn ask(random: &mut Random, number: u64) -> Self::Input {
        match random.below(6) {
            0 => ListInput::Read,
            1 => ListInput::Append(1),
            _ => ListInput::Append(100 + number),
        }
    }

    fn act(real: &mut Vec<u64>, input: &Self::Input) -> Self::Output {
        match input {
            ListInput::Read => Place { list: Some(real.clone()), ..Place::default() },
            ListInput::Append(value) => {
                real.push(*value);
                let count = real.len() as u64;
                let at = Some(count * 3);
                let counts = (*value == 1).then_some(count);
                Place { at, count: counts, list: None }
            }
        }
    }
}

impl Thing for Map<u64, u64> {
    type Real = std::collections::BTreeMap<u64, Vec<u64>>;

    fn ask(random: &mut Random, number: u64) -> Self::Input {
        let change = match random.below(5) {
            0 | 1 => Change::Get,
            2 => Change::Put(100 + number),
            3 => Change::Append(random.below(3)),
            _ => Change::Append(100 + number),
        };
        MapInput { key: random.below(3), change }
    }

    fn act(real: &mut Self::Real, input: &Self::Input) -> Self::Output {
        let text = real.entry(input.key).or_default();
        match &input.change {
            Change::Get => return MapOutput::Text(text.clone()),
            Change::Put(piece) => *text = vec![*piece],
            Change::Append(piece) => text.push(*piece),
        }
        MapOutput::Done
    }
}
