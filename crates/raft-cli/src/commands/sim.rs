//! `raft sim`: whole clusters in simulation, in this process: all trouble that they can have, from
//! one number each.
//!
//! Runs are independent of each other, one thread makes one at a time. The first that fails ends
//! them all: it is made again with less and less around it, and then drawn.

mod failed;
mod hunt;
mod summary;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{process, thread};

use raft_sim::{Plan, Probe, diagram};
use serde_json::Map;

use crate::args::{Seeds, SimArgs};
use crate::errors::Problem;
use crate::exit::Exit;
use crate::machine;
use crate::output::Output;
use crate::signals;
use failed::Found;
use hunt::Hunt;
use summary::Summary;

/// What is run, and what is shown of it.
#[derive(Debug, PartialEq)]
pub(crate) struct SimOptions {
    pub(crate) args: SimArgs,
}

/// Without any number.
const SEEDS: Seeds = Seeds { from: 0, to: Some(100) };

pub(crate) fn run(options: &SimOptions, output: &Output) -> Result<(), Problem> {
    let args = &options.args;
    let stop = stop_on_signal()?;
    let plan = Plan {
        seed: args.seed.unwrap_or_default(),
        schedule: args.schedule,
        members: args.members.map(usize::from),
        storage: args.storage,
        network: args.network,
        length: args.length.map(|length| length.as_millis() as u64),
        short: args.short,
        without: args.without.clone().map(|numbers| numbers.0).unwrap_or_default(),
    };
    if args.seed.is_some() && (args.trace || args.mermaid) {
        return replay(&plan, args, &stop, output);
    }
    let hunt = Hunt {
        seeds: seeds(args)?,
        patience: args.minutes,
        threads: args.threads.map_or_else(cores, usize::from),
        plan,
    };
    let (summary, failed) = hunt.run(&stop, output)?;
    if stop.load(Ordering::Relaxed) {
        output.note("interrupted: this is what was run until then");
    }
    let Some((plan, failure)) = failed else {
        summary.write(args.probes, Map::new(), output)?;
        return verdict(&summary, args);
    };
    if output.format.is_json() {
        let found = Found::of(&plan, *failure, &stop);
        let more = Map::from_iter([("failure".to_owned(), found.object())]);
        summary.write(args.probes, more, output)?;
        return Err(found.problem());
    }
    // It takes a while until less cannot be left out: the sum first.
    summary.write(args.probes, Map::new(), output)?;
    let found = Found::of(&plan, *failure, &stop);
    found.write(args.mermaid, output)?;
    Err(found.problem())
}

/// One run with its story.
fn replay(plan: &Plan, args: &SimArgs, stop: &AtomicBool, output: &Output) -> Result<(), Problem> {
    hunt::catch_panics();
    let begin = Instant::now();
    let ran = hunt::run(plan, true);
    let mut summary = Summary::new(1);
    (summary.took, summary.worked) = (begin.elapsed(), machine::processor_time());
    let story = match &ran {
        Ok(report) => &report.story,
        Err(failure) => &failure.story,
    };
    let mut more = Map::new();
    let lines = || story.iter().map(ToString::to_string);
    if output.format.is_json() && args.trace {
        more.insert("trace".into(), lines().collect());
    } else if args.trace {
        output.text(&lines().map(|line| line + "\n").collect::<String>())?;
    }
    if output.format.is_json() && args.mermaid {
        more.insert("mermaid".into(), diagram::mermaid(story).into());
    } else if args.mermaid && ran.is_ok() {
        output.text(&diagram::mermaid(story))?;
    }
    match ran {
        Ok(report) => {
            summary.add(plan.seed, &report);
            // The diagram alone is a document for other programs.
            let alone = args.mermaid && !args.trace && !output.format.is_json();
            if alone { Ok(()) } else { summary.write(args.probes, more, output) }
        }
        Err(failure) => {
            let found = Found::of(plan, *failure, stop);
            if output.format.is_json() {
                more.insert("failure".into(), found.object());
                summary.write(args.probes, more, output)?;
            } else {
                found.write(args.mermaid, output)?;
            }
            Err(found.problem())
        }
    }
}

/// Runs that reach little prove little.
fn verdict(summary: &Summary, args: &SimArgs) -> Result<(), Problem> {
    if let Some(why) = summary.is_vacuous() {
        return Err(Problem::verdict(Exit::Refused, format!("these runs prove nothing: {why}"))
            .hint("longer runs, or other ones: raft sim -h"));
    }
    let missed = summary.missed();
    let reached = Probe::ALL.len() - missed.len();
    if args.probes_all && !missed.is_empty() {
        let what = format!("{} probes were never reached: {}", missed.len(), missed.join("; "));
        return Err(Problem::verdict(Exit::Refused, what).hint("more seeds, or other schedules"));
    }
    if let Some(wanted) = args.probes_min.filter(|wanted| reached < *wanted) {
        let what = format!("{reached} probes were reached, fewer than {wanted}");
        return Err(Problem::verdict(Exit::Refused, what).hint("which ones: raft sim --probes"));
    }
    Ok(())
}

fn seeds(args: &SimArgs) -> Result<Seeds, Problem> {
    let chosen = match (args.seed, args.seeds, args.minutes) {
        (Some(seed), ..) => Seeds { from: seed, to: Some(seed.saturating_add(1)) },
        (None, Some(seeds), minutes) => {
            if seeds.to.is_none() && minutes.is_none() {
                return Err(Problem::usage(format!("--seeds {}.. has no end", seeds.from))
                    .hint("name one, or say for how long: --minutes 5"));
            }
            seeds
        }
        (None, None, Some(_)) => Seeds { from: fresh(), to: None },
        (None, None, None) => SEEDS,
    };
    Ok(chosen)
}

/// Seeds that nobody has run yet, most likely, and short enough to be typed.
fn fresh() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    now.as_secs().wrapping_mul(1_000_000) % 1_000_000_000_000
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The first signal ends the runs early, the second one the program.
fn stop_on_signal() -> Result<Arc<AtomicBool>, Problem> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let on_signal = move |number| {
        if number > 1 {
            process::exit(Exit::Interrupted.code().into());
        }
        told.store(true, Ordering::Relaxed);
    };
    signals::watch(on_signal)
        .map_err(|error| Problem::new(Exit::Io, format!("cannot watch signals: {error}")))?;
    Ok(stop)
}
