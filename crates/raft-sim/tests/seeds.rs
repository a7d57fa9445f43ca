//! Many seeds. `RAFT_SIM_SEED=17 cargo test -p raft-sim --test seeds -- --nocapture` replays one
//! of them and prints what happened; `RAFT_SIM_RUNS=5000` makes more of them.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a red run prints its story and the command that replays it"
)]

use raft_sim::{Plan, Report, run};

/// A simulation in which one of these never happens proves less than it seems to.
const EXPECTED: [&str; 12] = [
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
    "server removed",
    "tail ambiguous",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

fn run_seed(seed: u64, traced: bool) -> Report {
    run(&Plan::of_seed(seed), traced).unwrap_or_else(|failure| {
        for line in &failure.trace {
            println!("{line}");
        }
        eprintln!("seed {seed}, at {} ms: {}", failure.time, failure.violation);
        eprintln!(
            "replay with: RAFT_SIM_SEED={seed} cargo test -p raft-sim --test seeds -- --nocapture"
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

#[test]
fn the_same_seed_makes_the_same_run() {
    for seed in 1000..1003 {
        assert_eq!(run_seed(seed, false), run_seed(seed, false), "seed {seed}");
    }
}
