//! Many runs, several at a time.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use raft_sim::{Failure, Plan, Report};

use super::summary::{self, Summary};
use crate::args::Seeds;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::machine;
use crate::output::{Format, Output};

/// Which runs.
pub(super) struct Hunt {
    pub(super) seeds: Seeds,
    pub(super) patience: Option<Duration>,
    pub(super) threads: usize,
    /// What all of them have in common.
    pub(super) plan: Plan,
}

type Ran = (u64, Result<Report, Box<Failure>>);

/// A run that failed.
pub(super) type Failed = Option<(Plan, Box<Failure>)>;

const PROGRESS_EVERY: Duration = Duration::from_millis(500);

thread_local! {
    /// Where this thread panicked last.
    static PANICKED_AT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic is a finding of the simulation, told where all findings are; other threads keep theirs.
pub(super) fn catch_panics() {
    let otherwise = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let name = thread::current().name().map(str::to_owned);
        match name.as_deref() {
            Some("main" | "sim") => {
                let place = info.location().map(ToString::to_string);
                PANICKED_AT.with(|at| *at.borrow_mut() = place);
            }
            _ => otherwise(info),
        }
    }));
}

/// Runs a plan; a panic says where it was.
pub(super) fn run(plan: &Plan, tracing: bool) -> Result<Report, Box<Failure>> {
    raft_sim::run(plan, tracing).map_err(|mut failure| {
        let place = PANICKED_AT.with(|at| at.borrow_mut().take());
        if let (Some(place), "panic") = (place, failure.violation.checker) {
            failure.violation.what += &format!(" ({place})");
        }
        failure
    })
}

impl Hunt {
    /// Until all is run, something fails, or somebody has enough.
    pub(super) fn run(
        &self,
        stop: &Arc<AtomicBool>,
        output: &Output,
    ) -> Result<(Summary, Failed), Problem> {
        catch_panics();
        let (sender, results) = mpsc::channel();
        let next = Arc::new(AtomicU64::new(self.seeds.from));
        let enough = Arc::new(AtomicBool::new(false));
        let workers: io::Result<Vec<JoinHandle<()>>> =
            (0..self.threads).map(|_| self.worker(&next, &enough, sender.clone())).collect();
        drop(sender);
        let workers = workers
            .map_err(|error| Problem::new(Exit::Io, format!("cannot start a thread: {error}")))?;
        let begin = Instant::now();
        let mut summary = Summary::new(self.threads);
        let mut progress = Progress::new();
        let mut failed: Failed = None;
        loop {
            match results.recv_timeout(PROGRESS_EVERY) {
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
                Ok((seed, Ok(report))) => {
                    summary.add(seed, &report);
                    if output.format == Format::Jsonl {
                        output.line("", summary::of_run(seed, &report))?;
                    }
                }
                Ok((seed, Err(failure))) => {
                    summary.runs += 1;
                    enough.store(true, Ordering::Relaxed);
                    // Of several the one with the lowest seed.
                    if failed.as_ref().is_none_or(|(plan, _)| seed < plan.seed) {
                        failed = Some((Plan { seed, ..self.plan.clone() }, failure));
                    }
                }
            }
            let over = self.patience.is_some_and(|patience| begin.elapsed() >= patience);
            if over || stop.load(Ordering::Relaxed) {
                enough.store(true, Ordering::Relaxed);
            }
            (summary.took, summary.worked) = (begin.elapsed(), machine::processor_time());
            progress.show(&summary);
        }
        progress.clear();
        (summary.took, summary.worked) = (begin.elapsed(), machine::processor_time());
        for worker in workers {
            // A run catches its own panics; one outside of it is no result.
            if worker.join().is_err() {
                return Err(Problem::new(Exit::Io, "a thread ended that should not"));
            }
        }
        Ok((summary, failed))
    }

    fn worker(
        &self,
        next: &Arc<AtomicU64>,
        enough: &Arc<AtomicBool>,
        sender: Sender<Ran>,
    ) -> io::Result<JoinHandle<()>> {
        let (next, enough) = (Arc::clone(next), Arc::clone(enough));
        let (plan, to) = (self.plan.clone(), self.seeds.to);
        thread::Builder::new().name("sim".into()).spawn(move || {
            while !enough.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                let ended = to.is_some_and(|to| seed >= to);
                let plan = Plan { seed, ..plan.clone() };
                if ended || sender.send((seed, run(&plan, false))).is_err() {
                    return;
                }
            }
        })
    }
}

/// One line on a terminal, written over and over.
struct Progress {
    wanted: bool,
    last: Instant,
}

impl Progress {
    fn new() -> Self {
        Self { wanted: io::stderr().is_terminal(), last: Instant::now() }
    }

    fn show(&mut self, summary: &Summary) {
        if self.wanted && self.last.elapsed() >= PROGRESS_EVERY {
            self.last = Instant::now();
            // Nobody may be looking.
            let _ = write!(io::stderr(), "\r\x1b[K{}", summary.progress());
        }
    }

    fn clear(&self) {
        if self.wanted {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
