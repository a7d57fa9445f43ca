//! Many seeds. `RAFT_SIM_SEED=17 cargo test -p raft-sim --test seeds -- --nocapture` replays one
//! of them and prints what happened; `RAFT_SIM_RUNS=5000` makes more of them.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a red run prints its story and the command that replays it"
)]

use raft_sim::{Plan, Report, Storage, run};

/// Harm that disks take, ways to refuse them, and what only many runs see.
const DAMAGE: [&str; 21] = [
    "NODE damaged",
    "bit turned",
    "block body damaged",
    "block header damaged",
    "newest commit damaged",
    "newest commit forgotten",
    "page stale",
    "refused: NODE is damaged",
    "refused: a block read back is damaged",
    "refused: a certified block is damaged",
    "refused: a proven block is damaged",
    "refused: both header copies are damaged",
    "shown mark damaged",
    "shown mark lost",
    "slot header damaged",
    "start not counted for lack of room",
    "tail ambiguous",
    "unused space damaged",
    "write misdirected",
    "log waits for room",
    "start waits for room",
];

/// A simulation in which one of these never happens proves less than it seems to.
const EXPECTED: [&str; 21] = [
    "entries replaced",
    "leader elected",
    "leadership transferred",
    "log read back",
    "member added",
    "member removed",
    "not applied",
    "outcome unknown",
    "power lost",
    "process ended",
    "disk full answered",
    "refused: a certified block is damaged",
    "shown mark lost",
    "slot recycled",
    "slot superseded",
    "spare refused for lack of room",
    "tail rewritten",
    "write misdirected",
    "written after room came back",
    "server removed",
    "tail ambiguous",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

fn run_seed(seed: u64, traced: bool) -> Report {
    run_plan("trouble_then_calm", &Plan::of_seed(seed), traced)
}

fn run_plan(test: &str, plan: &Plan, traced: bool) -> Report {
    let seed = plan.seed;
    run(plan, traced).unwrap_or_else(|failure| {
        for line in &failure.trace {
            println!("{line}");
        }
        eprintln!("seed {seed}, at {} ms: {}", failure.time, failure.violation);
        eprintln!(
            "replay with: RAFT_SIM_SEED={seed} cargo test -p raft-sim --test seeds {test} -- \
             --nocapture"
        );
        panic!("seed {seed}: {}", failure.violation);
    })
}

#[test]
fn trouble_then_calm() {
    let long = std::env::var_os("RAFT_TEST_LONG").is_some();
    let (seeds, traced) = match number("RAFT_SIM_SEED") {
        Some(seed) => (seed..seed + 1, true),
        None => (0..number("RAFT_SIM_RUNS").unwrap_or(if long { 2000 } else { 60 }), false),
    };
    let count = seeds.end - seeds.start;
    let (mut sum, mut slowest) = (Report::default(), 0);
    for seed in seeds {
        let report = run_seed(seed, traced);
        sum.time += report.time;
        sum.committed += report.committed;
        sum.acknowledged += report.acknowledged;
        slowest = slowest.max(report.healed_after);
        for (what, often) in report.probes {
            *sum.probes.entry(what).or_default() += often;
        }
    }
    println!(
        "{count} runs, {} s of virtual time, {} entries committed, {} writes acknowledged, well \
         again after {slowest} ms at most",
        sum.time / 1000,
        sum.committed,
        sum.acknowledged
    );
    println!("{:?}", sum.probes);
    for what in EXPECTED {
        let often = sum.probes.get(what).copied().unwrap_or_default();
        assert!(count < 60 || often > 0, "trouble in which this never happens: {what}");
    }
    assert!(count == 1 || sum.acknowledged as u64 > count, "trouble in which nothing was done");
}

/// Damage beyond what a cluster can survive, on any of its disks: who is damaged says so, and
/// whoever runs is right.
#[test]
fn damage_beyond_repair_is_refused() {
    let long = std::env::var_os("RAFT_TEST_LONG").is_some();
    let (seeds, traced) = match number("RAFT_SIM_SEED") {
        Some(seed) => (seed..seed + 1, true),
        None => (0..number("RAFT_SIM_RUNS").unwrap_or(if long { 2000 } else { 40 }), false),
    };
    let count = seeds.end - seeds.start;
    let mut sum = std::collections::BTreeMap::<&str, u64>::new();
    for seed in seeds {
        let plan = Plan { storage: Storage::Exceeded, ..Plan::of_seed(seed) };
        let report = run_plan("damage_beyond_repair_is_refused", &plan, traced);
        for (what, often) in report.probes {
            *sum.entry(what).or_default() += often;
        }
    }
    println!("{count} runs: {sum:?}");
    for what in DAMAGE {
        assert!(count < 1000 || sum.contains_key(what), "damage that never does this: {what}");
    }
}

#[test]
fn the_same_seed_makes_the_same_run() {
    for seed in 1000..1003 {
        assert_eq!(run_seed(seed, false), run_seed(seed, false), "seed {seed}");
    }
}
