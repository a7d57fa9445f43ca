//! Many seeds, and those that once found something. `RAFT_SIM_SEED=17 cargo test -p raft-sim --test
//! seeds -- --nocapture` replays one of them and prints what happened, and so does `raft sim --seed
//! 17 --trace`; `RAFT_SIM_RUNS=5000` makes more of them. `.ci/run` makes far more, with `raft sim`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a red run prints its story and the command that replays it"
)]

use std::collections::BTreeMap;
use std::env;
use std::process::Command;

use raft_sim::{Plan, Probe, Report, Storage, run};

/// A simulation that reaches fewer proves less than it seems to.
const PROBES_MIN: usize = 80;

/// It takes so many runs to reach them.
const RUNS: u64 = 150;

/// In which of two processes a test is.
const CHILD: &str = "RAFT_SIM_CHILD";

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().expect("a number"))
}

fn run_plan(plan: &Plan, traced: bool) -> Report {
    run(plan, traced).unwrap_or_else(|failure| {
        for line in &failure.story {
            println!("{line}");
        }
        eprintln!("{plan}, at {} ms: {}", failure.time, failure.violation);
        eprintln!("replay and shrink it with: cargo run -- sim {plan}");
        panic!("{plan}: {}", failure.violation);
    })
}

#[test]
fn trouble_then_calm() {
    let long = env::var_os("RAFT_TEST_LONG").is_some();
    let (seeds, traced) = match number("RAFT_SIM_SEED") {
        Some(seed) => (seed..seed + 1, true),
        None => (0..number("RAFT_SIM_RUNS").unwrap_or(if long { 5000 } else { RUNS }), false),
    };
    let count = seeds.end - seeds.start;
    let (mut sum, mut slowest) = (Report::default(), 0);
    for seed in seeds {
        let report = run_plan(&Plan::of_seed(seed), traced);
        report.story.iter().for_each(|line| println!("{line}"));
        sum.time += report.time;
        sum.events += report.events;
        sum.committed += report.committed;
        sum.acknowledged += report.acknowledged;
        slowest = slowest.max(report.healed_after);
        for (what, often) in report.probes {
            *sum.probes.entry(what).or_default() += often;
        }
    }
    println!(
        "{count} runs, {} events, {} s of virtual time, {} entries committed, {} writes \
         acknowledged, well again after {slowest} ms at most",
        sum.events,
        sum.time / 1000,
        sum.committed,
        sum.acknowledged
    );
    println!("{:?}", sum.probes);
    let unlisted: Vec<_> = sum.probes.keys().filter(|name| Probe::named(name).is_none()).collect();
    assert!(unlisted.is_empty(), "probes that are not in the list of probes.rs: {unlisted:?}");
    let missed: Vec<_> =
        Probe::ALL.map(Probe::name).into_iter().filter(|n| !sum.probes.contains_key(n)).collect();
    let reached = Probe::ALL.len() - missed.len();
    assert!(count < RUNS || reached >= PROBES_MIN, "{reached} probes only, without {missed:?}");
    assert!(
        count < RUNS || sum.acknowledged as u64 > 5 * count,
        "{} writes were acknowledged in {count} runs: these runs prove nothing",
        sum.acknowledged
    );
}

/// Damage beyond what a cluster can survive, on any of its disks: who is damaged says so, and
/// whoever runs is right.
#[test]
fn damage_beyond_repair_is_refused() {
    let long = env::var_os("RAFT_TEST_LONG").is_some();
    let runs = number("RAFT_SIM_RUNS").unwrap_or(if long { 2000 } else { 40 });
    let mut refused = 0;
    for seed in 0..runs {
        let plan = Plan { storage: Some(Storage::Exceeded), ..Plan::of_seed(seed) };
        let probes = run_plan(&plan, false).probes;
        let unlisted = probes.keys().find(|name| Probe::named(name).is_none());
        assert_eq!(unlisted, None, "it is not in the list of probes.rs");
        let refusals = probes.iter().filter(|(name, _)| name.starts_with("refused disk"));
        refused += refusals.map(|(_, often)| often).sum::<u64>();
    }
    assert!(runs < 40 || refused > runs / 10, "{refused} refusals only, in {runs} runs");
}

/// Each line of `seeds.txt` is a plan, and what it found.
#[test]
fn what_once_found_something() {
    for line in include_str!("seeds.txt").lines() {
        let (plan, _) = line.split_once('#').unwrap_or((line, ""));
        if !plan.trim().is_empty() {
            run_plan(&plan.parse().unwrap_or_else(|why| panic!("{line}: {why}")), false);
        }
    }
}

fn hashes(seeds: impl Iterator<Item = u64>) -> BTreeMap<u64, String> {
    let hash = |seed| format!("{:032x}", run_plan(&Plan::of_seed(seed), false).hash);
    seeds.map(|seed| (seed, hash(seed))).collect()
}

/// Addresses, the seeds of hash maps, the environment, what memory held before and what was run
/// before differ between two processes: nothing of that decides anything.
#[test]
fn a_run_follows_from_its_plan_alone() {
    let seeds = 0..if env::var_os("CI").is_some() { 500 } else { 60 };
    let again = hashes(seeds.clone().take(20));
    if env::var_os(CHILD).is_some() {
        for (seed, hash) in hashes(seeds.rev()) {
            println!("hash {seed} {hash}");
        }
        return;
    }
    let mut child = Command::new(env::current_exe().expect("this test"));
    child.args(["--exact", "a_run_follows_from_its_plan_alone", "--nocapture"]);
    child.env(CHILD, "1".repeat(4000)).env("MALLOC_PERTURB_", "165").env("MALLOC_ARENA_MAX", "1");
    let child = child.stdout(std::process::Stdio::piped()).spawn().expect("a process");
    let ours = hashes(seeds);
    let child = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success(), "{text}");
    let theirs: BTreeMap<u64, String> = text
        .lines()
        .filter_map(|line| line.split_once("hash ")?.1.split_once(' '))
        .map(|(seed, hash)| (seed.parse().expect("a seed"), hash.to_owned()))
        .collect();
    assert_eq!(ours, theirs, "the same seeds in another process, backwards");
    assert!(again.iter().all(|(seed, hash)| ours.get(seed) == Some(hash)), "again, here");
    // Who only looks changes nothing.
    let traced = run_plan(&Plan::of_seed(1), true).hash;
    assert_eq!(ours.get(&1), Some(&format!("{traced:032x}")));
}
