//! A run that failed: what, the command that makes it again, the same with less around it, and
//! how that went.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use raft_sim::{Failure, Plan, Shrunk, diagram, shrink};
use serde_json::json;

use super::hunt;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::Output;

/// Longer than this nobody waits for a smaller failure.
const SHRINK_MAX: Duration = Duration::from_secs(30);

/// Tells all of it; the problem is what it was.
pub(super) fn report(
    plan: &Plan,
    failure: Failure,
    mermaid: bool,
    stop: &AtomicBool,
    output: &Output,
) -> Result<(), Problem> {
    let what = format!("seed {}, at {} ms: {}", plan.seed, failure.time, failure.violation);
    let shrunk = smaller(plan, failure, stop);
    let again = hunt::run(&shrunk.plan, true);
    let story = match &again {
        Ok(report) => &report.story,
        Err(failure) => &failure.story,
    };
    let last = &shrunk.failure;
    if output.format.is_json() {
        output.line(
            "",
            json!({
                "seed": plan.seed,
                "checker": last.violation.checker,
                "what": last.violation.what,
                "replay": format!("raft sim {plan}"),
                "smaller": format!("raft sim {}", shrunk.plan),
                "troubles": last.troubles.iter().map(|trouble| json!({
                    "number": trouble.number,
                    "ms": trouble.at.0,
                    "kind": trouble.kind,
                    "text": trouble.text,
                })).collect::<Vec<_>>(),
                "smaller_is_minimal": shrunk.is_minimal,
                "diagram": diagram::text(story),
            }),
        )?;
    } else {
        let drawn = if mermaid { diagram::mermaid(story) } else { diagram::text(story) };
        let tried = if shrunk.is_minimal { "nothing more can be left out" } else { "not the end" };
        output.text(&format!(
            "\n{}\nwith {} troubles, {} servers and {} ms of trouble ({} runs tried, {tried}):\n\n{drawn}\n",
            last.violation,
            last.troubles.len(),
            last.members,
            last.length,
            shrunk.runs,
        ))?;
        output.note(&format!("the whole run:   raft sim {plan} --trace"));
        output.note(&format!("the smaller one: raft sim {} --trace", shrunk.plan));
    }
    Err(Problem::new(Exit::Refused, what).hint(format!("raft sim {}", shrunk.plan)))
}

fn smaller(plan: &Plan, failure: Failure, stop: &AtomicBool) -> Shrunk {
    let (begin, terminal) = (Instant::now(), io::stderr().is_terminal());
    let mut run = |plan: &Plan| hunt::run(plan, false).map(drop);
    let mut go_on = |best: &Shrunk| {
        if terminal {
            // Nobody may be looking.
            let _ = write!(
                io::stderr(),
                "\r\x1b[Kleaving things out: {} runs, {} troubles left, {} ms of them, {} servers",
                best.runs,
                best.failure.troubles.len(),
                best.failure.length,
                best.failure.members,
            );
        }
        begin.elapsed() < SHRINK_MAX && !stop.load(Ordering::Relaxed)
    };
    let shrunk = shrink(plan, failure, &mut run, &mut go_on);
    if terminal {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    shrunk
}
