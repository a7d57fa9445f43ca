//! One hunt: a process of the planted copy, and what it found.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::copy;

/// What became of a hunt.
#[derive(Clone, Debug)]
pub(crate) struct Hunt {
    /// What the checker said, if it caught the fault.
    pub(crate) caught: Option<String>,
    /// Runs, the last one included.
    pub(crate) runs: u64,
    /// Processor time.
    pub(crate) seconds: f64,
    /// What other checkers said before.
    pub(crate) others: Vec<String>,
}

/// Looks for one fault until that checker catches it.
pub(crate) fn hunt(hunter: &Path, name: &str, checker: &str, seconds: u64) -> Hunt {
    let output = Command::new(hunter)
        .args([checker, &seconds.to_string()])
        .env(copy::VARIABLE, name)
        .stderr(Stdio::inherit())
        .output()
        .expect("the hunter starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<&str> = text.lines().collect();
    let last = lines.pop().unwrap_or_default();
    let others = lines.into_iter().filter_map(|line| line.strip_prefix("other "));
    let others = others.map(|line| format!("seed {line}")).collect();
    verdict(last, others).unwrap_or_else(|| {
        panic!("the hunter of {name} ended with {}: {last}", output.status);
    })
}

/// Reads `caught SEED RUNS SECONDS WHAT` or `clean RUNS SECONDS`.
fn verdict(line: &str, others: Vec<String>) -> Option<Hunt> {
    let mut words = line.splitn(5, ' ');
    let caught = match words.next()? {
        "caught" => Some(words.next()?),
        "clean" => None,
        _ => return None,
    };
    let (runs, seconds) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let caught = caught.map(|seed| format!("seed {seed}: {}", words.next().unwrap_or_default()));
    Some(Hunt { caught, runs, seconds, others })
}
