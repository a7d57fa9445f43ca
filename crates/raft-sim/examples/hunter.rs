//! Runs seeds until a checker finds something: `hunter CHECKER SECONDS [RUNS]`.
//!
//! It stops at the first violation that CHECKER finds, or any if that is `any`; or after so many
//! seconds of processor time or runs. The last line says `caught SEED RUNS SECONDS` and by which
//! checker, or `clean RUNS SECONDS`; the lines before name what others found on the way. A run that
//! never ends is caught by the checker `end`.

#![allow(clippy::print_stdout, reason = "a program for the command line")]

use std::fs;
use std::process::exit;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use raft_sim::{Plan, Reach};

/// A run takes milliseconds: one that takes so long will never end.
const RUN_MAX: Duration = Duration::from_secs(120);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let checker = arguments.next().unwrap_or_else(|| "any".to_owned());
    let mut number = |otherwise| match arguments.next() {
        None => otherwise,
        Some(text) => text.parse().expect("a number"),
    };
    let (seconds_max, runs_max): (u64, u64) = (number(60), number(u64::MAX));
    // A run that panics is a finding like any other; its message is in the finding.
    std::panic::set_hook(Box::new(|_| {}));
    let start = Instant::now();
    let seconds = || processor_seconds().unwrap_or_else(|| start.elapsed().as_secs_f64());
    let began = watch(start, &checker);
    let mut runs = 0;
    while runs < runs_max && seconds() < seconds_max as f64 {
        let seed = runs;
        runs += 1;
        began.send(seed).expect("the watcher lives as long as this process");
        let Err(failure) =
            raft_sim::run(&Plan { network: Some(Reach::Local), ..Plan::of_seed(seed) }, false)
        else {
            continue;
        };
        let found = failure.violation;
        if checker == "any" || checker == found.checker {
            println!("caught {seed} {runs} {:.1} {found}", seconds());
            return;
        }
        println!("other {seed} {found}");
    }
    println!("clean {runs} {:.1}", seconds());
}

/// Ends this process when a run does not end.
fn watch(start: Instant, checker: &str) -> Sender<u64> {
    let (began, run) = channel();
    let wanted = checker == "any" || checker == "end";
    thread::spawn(move || {
        let mut seed = 0;
        loop {
            match run.recv_timeout(RUN_MAX) {
                Ok(next) => seed = next,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let (what, runs) = ("end: the run never ends", seed + 1);
                    let seconds = start.elapsed().as_secs_f64();
                    if wanted {
                        println!("caught {seed} {runs} {seconds:.1} {what}");
                    } else {
                        println!("other {seed} {what}\nclean {runs} {seconds:.1}");
                    }
                    exit(0);
                }
            }
        }
    });
    began
}

/// Processor time of this process, where the system tells: other processes do not count.
fn processor_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanoseconds: u64 = text.split(' ').next()?.parse().ok()?;
    Some(nanoseconds as f64 / 1e9)
}
