//! A run that failed: what, the command that makes it again, the same with less around it, and
//! how that went.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use raft_sim::schedule::Trouble;
use raft_sim::trace::Line;
use raft_sim::{Failure, Plan, Shrunk, diagram, shrink};
use serde_json::{Value, json};

use super::hunt;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::Output;

/// Longer than this nobody waits for a smaller failure.
const SHRINK_MAX: Duration = Duration::from_secs(30);

/// A failure, made as small as it gets.
pub(super) struct Found {
    plan: Plan,
    /// As it was at first.
    what: String,
    shrunk: Shrunk,
    /// How the smaller run went.
    story: Vec<Line>,
}

impl Found {
    /// Makes the run again and again, with less and less around it.
    pub(super) fn of(plan: &Plan, failure: Failure, stop: &AtomicBool) -> Self {
        let what = format!("seed {}, at {} ms: {}", plan.seed, failure.time, failure.violation);
        let shrunk = smaller(plan, failure, stop);
        let story = match hunt::run(&shrunk.plan, true) {
            Ok(report) => report.story,
            Err(failure) => failure.story,
        };
        Self { plan: plan.clone(), what, shrunk, story }
    }

    pub(super) fn write(&self, mermaid: bool, output: &Output) -> Result<(), Problem> {
        let draw = if mermaid { diagram::mermaid } else { diagram::text };
        output.text(&format!("\n{}\n{}\n", what_is_left(&self.shrunk), draw(&self.story)))?;
        output.note(&format!("the whole run:   raft sim {} --trace", self.plan));
        output.note(&format!("the smaller one: raft sim {} --trace", self.shrunk.plan));
        Ok(())
    }

    pub(super) fn object(&self) -> Value {
        let failure = &self.shrunk.failure;
        let trouble = |trouble: &Trouble| {
            let Trouble { number, time, kind, text } = trouble;
            json!({ "number": number, "ms": time, "kind": kind, "text": text })
        };
        json!({
            "seed": self.plan.seed,
            "checker": failure.violation.checker,
            "what": failure.violation.what,
            "replay": format!("raft sim {}", self.plan),
            "smaller": format!("raft sim {}", self.shrunk.plan),
            "is_minimal": self.shrunk.is_minimal,
            "troubles": failure.troubles.iter().map(trouble).collect::<Vec<_>>(),
            "diagram": diagram::text(&self.story),
        })
    }

    pub(super) fn problem(&self) -> Problem {
        Problem::verdict(Exit::Refused, &*self.what).hint(format!("raft sim {}", self.shrunk.plan))
    }
}

/// What does not hold, and all that it takes.
fn what_is_left(shrunk: &Shrunk) -> String {
    let Shrunk { failure, runs, is_minimal, .. } = shrunk;
    let tried = if *is_minimal { "nothing more can be left out" } else { "there may be less" };
    let (members, length) = (failure.members, failure.length);
    let mut text = format!(
        "{}\nservers at first: {members}, trouble for {length} ms; {runs} runs tried: {tried}\n",
        failure.violation
    );
    for Trouble { number, time, text: what, .. } in &failure.troubles {
        text += &format!("trouble {number} at {time} ms: {what}\n");
    }
    text
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

#[cfg(test)]
mod tests {
    use raft_sim::checkers::Violation;

    use super::*;

    #[test]
    fn what_it_takes_to_fail() {
        let trouble = Trouble {
            number: 7,
            time: 512,
            kind: "disk error",
            text: "disk error at :7002".into(),
        };
        let failure = Failure {
            violation: Violation { checker: "commit", what: "too early".into() },
            time: 777,
            length: 760,
            members: 3,
            due: 9,
            troubles: vec![trouble],
            story: Vec::new(),
        };
        let plan = Plan { seed: 3, without: [0, 1].into(), ..Plan::default() };
        let mut shrunk = Shrunk { plan, failure, runs: 14, is_minimal: true };
        let expected = "commit: too early\n\
            servers at first: 3, trouble for 760 ms; 14 runs tried: nothing more can be left out\n\
            trouble 7 at 512 ms: disk error at :7002\n";
        assert_eq!(what_is_left(&shrunk), expected);
        shrunk.is_minimal = false;
        assert!(what_is_left(&shrunk).contains("there may be less"));
        let plan = shrunk.plan.clone();
        let found = Found { plan, what: "seed 3".into(), shrunk, story: Vec::new() };
        let told = found.problem().object();
        // No request failed, so that nothing of it was applied or not.
        assert_eq!((&told["error"]["exit"], &told["error"]["outcome"]), (&json!(1), &Value::Null));
    }
}
