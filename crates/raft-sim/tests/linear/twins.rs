//! Random histories, legal and not: every checker comes to the same verdict.

use raft_node::random::Random;
use raft_sim::linear::{
    self, Found, HistoryOf, Limits, List, Map, Model, Register, Timeline, minimal, search,
};

use crate::world::{Thing, history, mutated};
use crate::{naive, other};

/// The seeds of a run: one, if one is asked for.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let long = std::env::var_os("RAFT_TEST_LONG").is_some();
    let one: Option<u64> = number("RAFT_LINEAR_SEED");
    one.map_or(0..if long { 20 * count } else { count }, |seed| seed..seed + 1)
}

fn replay(seed: u64, test: &str) -> String {
    format!(
        "seed {seed}; replay with: RAFT_LINEAR_SEED={seed} cargo test -p raft-sim --test linear \
         twins::{test}"
    )
}

/// Half of them as they were, half with something that may be wrong.
fn draw<T: Thing>(seed: u64, clients: u64, count: u64) -> HistoryOf<T> {
    let mut random = Random::new(seed);
    let (clients, count) = (1 + random.below(clients), 1 + random.below(count));
    let history = history::<T>(&mut random, clients, count);
    if seed.is_multiple_of(2) { history } else { mutated::<T>(&mut random, &history) }
}

/// The verdict of our search, with its proof looked at.
fn verdict<M: Model>(model: &M, history: &HistoryOf<M>, why: &str) -> bool {
    match search(model, history, Limits::default()).0 {
        Found::Order(order) => {
            assert!(naive::proves(&model.foreseeing(history), history, &order), "{order:?}; {why}");
            true
        }
        Found::Nothing => false,
        Found::Undecided => panic!("undecided; {why}"),
    }
}

/// Few operations: brute force says the same of `twin`, which is told the same as the model.
fn agree<T, N>(twin: &N, count: u64, test: &str)
where
    T: Thing,
    N: Model<Input = T::Input, Output = T::Output>,
{
    let mut legal = [0_u64; 2];
    for seed in seeds(count) {
        let why = replay(seed, test);
        let whole = draw::<T>(seed, 4, 7);
        for part in linear::by_key(&T::default(), &whole).into_values() {
            let ours = verdict(&T::default(), &part, &why);
            assert_eq!(ours, naive::is_legal(twin, &part), "brute force says so; {why}");
            assert!(ours || seed % 2 == 1, "nobody lied; {why}");
            legal[usize::from(ours)] += 1;
        }
    }
    println!("{} legal and {} illegal histories", legal[1], legal[0]);
    let few = legal[0].min(legal[1]);
    assert!(few > count / 100 || legal[0] + legal[1] < 10, "one of the verdicts is not tried");
}

#[test]
fn small_registers() {
    agree::<Register<u64>, _>(&Register::default(), 6000, "small_registers");
}

#[test]
fn small_lists() {
    agree::<List<u64>, _>(&naive::WholeList, 6000, "small_lists");
}

#[test]
fn small_maps() {
    agree::<Map<u64, u64>, _>(&naive::WholeMap, 4000, "small_maps");
}

#[test]
fn small_coins() {
    agree::<naive::Coin, _>(&naive::Coin, 3000, "small_coins");
}

#[test]
fn registers_as_others_judge_them() {
    let mut legal = [0; 2];
    for seed in seeds(4000) {
        let why = replay(seed, "registers_as_others_judge_them");
        let length = if seed % 10 < 8 { 12 } else { 50 };
        let history = draw::<Register<u64>>(seed, 6, length);
        let ours = verdict(&Register::default(), &history, &why);
        assert_eq!(ours, other::is_legal(&history), "the other one says so; {why}");
        legal[usize::from(ours)] += 1;
    }
    println!("{} legal and {} illegal histories", legal[1], legal[0]);
}

fn drawn<T: Thing>(history: &HistoryOf<T>) -> Timeline {
    Timeline::of(&T::default(), history, None)
}

/// What is taken out of a legal history leaves it legal: else a counter-example proves nothing.
fn stays_legal<T: Thing>(count: u64, test: &str) {
    for seed in seeds(count) {
        let why = replay(seed, test);
        let whole = draw::<T>(2 * seed, 5, 14);
        let mut random = Random::new(seed);
        for part in linear::by_key(&T::default(), &whole).into_values() {
            let gone: Vec<usize> = (0..part.len()).filter(|_| random.below(3) == 0).collect();
            let left = T::default().without(&part, &gone);
            let legal = verdict(&T::default(), &left, &why);
            assert!(legal, "{}without {gone:?}; {why}", drawn::<T>(&part));
        }
    }
}

/// A counter-example is illegal, and with any operation less it is not.
fn is_minimal<T: Thing>(count: u64, test: &str) {
    let (mut illegal, mut from, mut to) = (0, 0, 0);
    for seed in seeds(count) {
        let why = replay(seed, test);
        let whole = draw::<T>(2 * seed + 1, 5, 20);
        for part in linear::by_key(&T::default(), &whole).into_values() {
            if verdict(&T::default(), &part, &why) {
                continue;
            }
            (illegal, from) = (illegal + 1, from + part.len());
            let few = minimal(&T::default(), part, Limits::default());
            assert!(!verdict(&T::default(), &few, &why), "it is legal; {why}");
            for number in 0..few.len() {
                let fewer = T::default().without(&few, &[number]);
                let less = fewer.len() < few.len();
                let legal = !less || verdict(&T::default(), &fewer, &why);
                assert!(legal, "{}less {number}; {why}", drawn::<T>(&few));
            }
            to += few.len();
        }
    }
    println!("{illegal} illegal histories of {from} operations became {to} operations");
}

#[test]
fn registers_without_some() {
    stays_legal::<Register<u64>>(3000, "registers_without_some");
    is_minimal::<Register<u64>>(1000, "registers_without_some");
}

#[test]
fn lists_without_some() {
    stays_legal::<List<u64>>(3000, "lists_without_some");
    is_minimal::<List<u64>>(1000, "lists_without_some");
}

#[test]
fn maps_without_some() {
    stays_legal::<Map<u64, u64>>(3000, "maps_without_some");
    is_minimal::<Map<u64, u64>>(1000, "maps_without_some");
}

#[test]
fn a_short_search_says_that_it_is_one() {
    for seed in seeds(200) {
        let why = replay(seed, "a_short_search_says_that_it_is_one");
        let history = draw::<Register<u64>>(seed, 5, 40);
        let ours = verdict(&Register::default(), &history, &why);
        let forgetful = Limits { configurations: 0, ..Limits::default() };
        for (limits, steps) in [(forgetful, None), (Limits::default(), Some(seed % 40))] {
            let limits = Limits { steps: steps.unwrap_or(100_000), ..limits };
            let (found, took) = search(&Register::default(), &history, limits);
            assert!(took <= limits.steps, "{why}");
            match found {
                Found::Order(_) => assert!(ours, "{why}"),
                Found::Nothing => assert!(!ours, "{why}"),
                Found::Undecided => assert_eq!(took, limits.steps, "{why}"),
            }
        }
    }
}
