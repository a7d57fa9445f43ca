//! Every disk that a crash can leave. Whatever the log does to its directory is recorded; at each
//! moment every state is built in which a power cut, a killed process or a failed sync can leave
//! the disk, and recovered; and the recovery is cut again.
#![allow(missing_docs, unreachable_pub, clippy::print_stdout)]

mod disk;
mod explore;
mod life;
mod picks;
mod recover;
#[path = "../support/mod.rs"]
mod support;
mod workloads;

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use disk::Kept;
use explore::{Case, Explorer, Failure, Tally};
use life::{Workload, live};
use picks::Effort;
use workloads::{DRAWN, drawn, workloads};

const PLAIN: Effort =
    Effort { all: 4096, drawn: 48, garbage: 6, again_one_in: 300, kill_one_in: 5 };
/// Lives in which a sync fails: there are many.
const FAILING: Effort =
    Effort { all: 32, drawn: 4, garbage: 1, again_one_in: 500, kill_one_in: usize::MAX };

/// Random lives of a long run: more often a second crash.
const LONG: Effort = Effort { again_one_in: 40, kill_one_in: 2, ..PLAIN };

/// One life to explore: whose, with how much effort, and which sync fails.
struct Job<'a> {
    workload: &'a Workload,
    effort: Effort,
    failing: Option<(u64, Kept)>,
}

/// What all threads together did.
#[derive(Default)]
struct Total {
    disks: HashSet<u64>,
    tally: Tally,
    lives: u64,
    failure: Option<Failure>,
}

fn work(jobs: &[Job<'_>], total: &mut Total) {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let total = Mutex::new(total);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let mut explorer = Explorer::new(job.workload, job.effort);
                    let explored = explorer.explore(job.failing);
                    let mut total = total.lock().unwrap();
                    total.lives += 1;
                    total.disks.extend(explorer.known.keys());
                    total.tally.moments += explorer.tally.moments;
                    total.tally.built += explorer.tally.built;
                    total.tally.ambiguous += explorer.tally.ambiguous;
                    if let Err(failure) = explored {
                        stop.store(true, Ordering::Relaxed);
                        total.failure.get_or_insert(failure);
                    }
                }
            });
        }
    });
}

/// The life of a workload, and those in which one of its syncs fails.
fn jobs(workload: &Workload, effort: Effort) -> Vec<Job<'_>> {
    let mut jobs = vec![Job { workload, effort, failing: None }];
    let syncs = live(workload, None).map_or(0, |story| story.syncs);
    for number in 0..syncs {
        let kept = [Kept::Nothing, Kept::Some, Kept::All][usize::try_from(number % 3).unwrap()];
        jobs.push(Job { workload, effort: FAILING, failing: Some((number, kept)) });
    }
    jobs
}

/// Explores all of it; a broken promise ends the test with the command that shows it again.
fn explore(workloads: &[Workload], effort: Effort, total: &mut Total) {
    let jobs: Vec<Job<'_>> = workloads.iter().flat_map(|life| jobs(life, effort)).collect();
    work(&jobs, total);
    println!(
        "{} lives, cut at {} moments: {} disks, {} of them distinct and recovered, {} with an \
         ambiguous end",
        total.lives,
        total.tally.moments,
        total.tally.built,
        total.disks.len(),
        total.tally.ambiguous,
    );
    if let Some(Failure { case, what }) = total.failure.take() {
        let command = "cargo test -p raft-log --test enumerate every_disk -- --nocapture";
        panic!("{what}\nRAFT_LOG_CASE='{case}' {command}");
    }
}

/// Set RAFT_LOG_CASE to what a red run printed to see that disk alone.
#[test]
fn every_disk_that_a_crash_can_leave() {
    if let Ok(case) = std::env::var("RAFT_LOG_CASE") {
        return replay(&case.parse().expect("a case as it was printed"));
    }
    let mut total = Total::default();
    explore(&workloads(), PLAIN, &mut total);
    assert!(total.disks.len() >= 100_000, "too few disks to mean anything");
    assert!(total.tally.ambiguous >= 10_000, "too few torn ends to mean anything");
    let long = std::env::var_os("RAFT_TEST_LONG").is_some();
    let mut seeds = DRAWN..;
    while long && total.disks.len() < 5_000_000 {
        let more: Vec<Workload> = seeds.by_ref().take(20).map(drawn).collect();
        explore(&more, LONG, &mut total);
    }
}

fn replay(case: &Case) {
    let mut all = workloads();
    let seed = case.workload.strip_prefix("drawn_").and_then(|seed| seed.parse().ok());
    all.extend(seed.map(drawn));
    let workload = all.iter().find(|w| w.name == case.workload).expect("a known workload");
    match Explorer::new(workload, PLAIN).replay(case) {
        Ok(outcome) => println!("{case}: {outcome:#?}"),
        Err(failure) => panic!("{case}: {}", failure.what),
    }
}
