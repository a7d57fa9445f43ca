//! A million operations.

use std::time::Instant;

use raft_node::random::Random;
use raft_sim::linear::chain::{self, Known, Write};
use raft_sim::linear::{self, HistoryOf, Limits, Map, Verdict};

use crate::world::Thing;

const MILLION: u64 = 1_000_000;

/// Many keys, twelve clients, some answers that get lost.
fn history() -> HistoryOf<Map<u64, u64>> {
    let mut random = Random::new(1);
    let mut history = HistoryOf::<Map<u64, u64>>::default();
    let mut real = <Map<u64, u64> as Thing>::Real::default();
    let mut under_way: Vec<Option<_>> = (0..12).map(|_| None).collect();
    for step in 0.. {
        if history.len() as u64 == MILLION {
            break;
        }
        let client = random.below(12);
        let slot = &mut under_way[client as usize];
        *slot = match slot.take() {
            None => {
                let mut input = Map::ask(&mut random, step);
                if let linear::Change::Append(piece) = input.change {
                    input.change = linear::Change::Put(piece);
                }
                input.key = random.below(4000);
                let output = Map::act(&mut real, &input);
                Some((history.call(client, step, input), output))
            }
            Some((operation, output)) => {
                if random.below(500) > 0 {
                    history.ok(operation, step, output);
                }
                None
            }
        };
    }
    history
}

#[test]
fn a_million_operations_on_many_keys() {
    let history = history();
    let start = Instant::now();
    let checked = linear::check(&Map::default(), &history, Limits::default());
    println!("{MILLION} operations: {} steps in {:?}", checked.steps, start.elapsed());
    assert_eq!(checked.verdict, Verdict::Legal);
    assert!(checked.steps < 2 * MILLION, "{} steps", checked.steps);
}

#[test]
fn a_million_writes_whose_order_is_known() {
    let mut random = Random::new(2);
    let write = |serial: u64| Write {
        serial,
        called: 10 * serial,
        known: match random.below(50) {
            0 => Known::Unknown,
            more => Known::Done {
                at: 10 * serial + 1 + more,
                place: Some(2 * serial),
                after: serial.checked_sub(1),
            },
        },
    };
    let writes: Vec<Write<u64>> = (0..MILLION).map(write).collect();
    let mut order: Vec<u64> = (0..MILLION).collect();
    let start = Instant::now();
    assert_eq!(chain::check(writes.iter().copied(), &order), Ok(()));
    println!("{MILLION} writes in {:?}", start.elapsed());
    order.swap(400_000, 600_000);
    assert!(chain::check(writes, &order).is_err());
}
