//! `raft bench`: how fast a cluster appends, puts and gets, and what that costs the servers.
//!
//! Every request is one like any other: a write is synced on a majority before it is answered.
//! What the servers counted meanwhile comes from their own status, as a difference of two looks.
//! It is divided by the entries that were committed between these looks, so it does not matter
//! that no two servers are asked at the same instant; or by the answers, if there are gets.

mod cost;
mod etcd;
mod load;
mod plot;
mod report;
mod requests;
mod tally;
mod target;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{io, process};

use raft_node::{Address, MembersView};

use super::ask::Ask;
use super::dev::Quiet;
use crate::args::{Load, System, address};
use crate::datadir;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::machine;
use crate::output::Output;
use crate::signals;
use cost::{Look, costs};
use load::Generator;
use report::Report;
use requests::Requests;
use tally::{Summary, Tally};

/// What is measured.
#[derive(Debug, PartialEq)]
pub(crate) struct BenchOptions {
    pub(crate) ask: Ask,
    pub(crate) local: bool,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) load: Load,
}

const LOCAL_SERVERS: usize = 3;

/// How long a new cluster has to find its first leader.
const READY_MAX: Duration = Duration::from_secs(20);

/// Between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

pub(crate) fn run(options: &BenchOptions, output: &Output) -> Result<(), Problem> {
    let mut ask = options.ask.clone();
    let cluster = match options.local {
        true => Some(Quiet::start(options.dir.as_deref(), LOCAL_SERVERS, output)?),
        false => None,
    };
    if let Some(cluster) = &cluster {
        ask.endpoints = cluster.addresses();
        if datadir::is_in_memory(cluster.dir()) {
            output.note(&format!(
                "warning: {} is in memory (tmpfs), where a sync costs nothing: --dir DIR on a \
                 disk measures what counts",
                cluster.dir().display()
            ));
        }
    }
    let stop = stop_on_signal()?;
    let (members, view) = match options.load.target {
        System::Etcd => {
            let timeout = ask.timeout.unwrap_or(load::TIMEOUT);
            let servers = load::on_this_thread(etcd::leader_first(&ask.endpoints, timeout));
            (servers.map_err(|error| ask.problem(&error, "measured"))?, None)
        }
        System::Raft => {
            let patient = if options.local { ask.timeout.or(Some(READY_MAX)) } else { ask.timeout };
            let client = Ask { timeout: patient, ..ask.clone() }.quiet_client()?;
            let view = client.members().wait();
            let view = view.map_err(|error| ask.problem(&error, "measured"))?;
            (leader_first(&view), Some(view))
        }
    };
    let report = measure(&options.load, &ask, members, view.as_ref(), &stop, output)?;
    drop(cluster);
    report.write(output)
}

fn leader_first(view: &MembersView) -> Vec<Address> {
    let (leader, others): (Vec<_>, Vec<_>) = view.members.iter().partition(|row| row.leader);
    leader.iter().chain(&others).filter_map(|row| address(&row.address).ok()).collect()
}

/// Runs the load and looks at the servers at the beginning and at the end of what is measured.
fn measure(
    load: &Load,
    ask: &Ask,
    members: Vec<Address>,
    view: Option<&MembersView>,
    stop: &Receiver<()>,
    output: &Output,
) -> Result<Report, Problem> {
    let requests = Requests::new(load);
    if load.work.gets() {
        load::prepare(load, &requests, ask.timeout.unwrap_or(load::TIMEOUT), &members)
            .map_err(|error| ask.problem(&error, "prepared"))?;
    }
    let tally = Arc::new(Tally::new());
    let generator = Generator::start(load, requests, ask, members.clone(), Arc::clone(&tally))
        .map_err(|error| Problem::new(Exit::Io, format!("cannot start a thread: {error}")))?;
    let mut progress = Progress::new(&tally);
    let begin = Instant::now();
    let mut interrupted = progress.wait_until(begin + load.warm_up, stop, "warm-up");
    // Only servers of this program can be asked what they did.
    let looked_at = if view.is_some() { &members[..] } else { &[] };
    let before = Look::all(looked_at)?;
    let worked = machine::processor_time();
    tally.measure_from_now();
    let until = Instant::now() + load.duration;
    interrupted = interrupted || progress.wait_until(until, stop, "measuring");
    tally.end_now();
    let worked = machine::processor_time() - worked;
    let after = Look::all(looked_at)?;
    progress.clear();
    generator.finish();
    let summary = tally.summary();
    if summary.done == 0 {
        let what = summary.first_failure.unwrap_or_else(|| "no request was answered".into());
        return Err(Problem::new(Exit::NothingSent, format!("nothing was measured: {what}")));
    }
    if interrupted {
        output.note("interrupted: this is what was measured until then");
    }
    let answers = load.work.gets().then_some(summary.done);
    Ok(Report {
        load: load.clone(),
        asked: members.first().map(ToString::to_string).unwrap_or_default(),
        costs: view.map(|view| costs(view, &before, &after, answers)).unwrap_or_default(),
        worked,
        summary,
    })
}

/// The first signal ends the measurement early, the second one the program.
fn stop_on_signal() -> Result<Receiver<()>, Problem> {
    let (sender, stop) = mpsc::channel();
    let on_signal = move |number| {
        if number > 1 || sender.send(()).is_err() {
            process::exit(Exit::Interrupted.code().into());
        }
    };
    signals::watch(on_signal)
        .map_err(|error| Problem::new(Exit::Io, format!("cannot watch signals: {error}")))?;
    Ok(stop)
}

/// One line on a terminal, written over and over.
struct Progress<'a> {
    tally: &'a Tally,
    wanted: bool,
}

impl<'a> Progress<'a> {
    fn new(tally: &'a Tally) -> Self {
        Self { tally, wanted: io::stderr().is_terminal() }
    }

    /// Waits; says whether it was told to stop instead.
    fn wait_until(&mut self, until: Instant, stop: &Receiver<()>, what: &str) -> bool {
        loop {
            let now = Instant::now();
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return false;
            }
            match stop.recv_timeout(left.min(PROGRESS_EVERY)) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return true,
            }
            self.show(what, &self.tally.interval(), now.elapsed(), until);
        }
    }

    fn show(&self, what: &str, interval: &Summary, over: Duration, until: Instant) {
        if self.wanted {
            let left = until.saturating_duration_since(Instant::now()).as_secs_f64().ceil();
            let rate = interval.done as f64 / over.as_secs_f64();
            let latency = &interval.latency;
            // Nobody may be looking.
            let _ = write!(
                io::stderr(),
                "\r\x1b[K{what}, {left:.0} s left: {rate:.0} ops/s, p50 {}, p99 {}",
                report::time(latency.value_at_quantile(0.5)),
                report::time(latency.value_at_quantile(0.99)),
            );
        }
    }

    fn clear(&self) {
        if self.wanted {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
