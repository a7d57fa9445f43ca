//! The table of `docs/zoo.md`: a row for each fault. Times differ from machine to machine, and runs
//! with every change of the simulator: these are as of the last time that the table was written.

use std::fs;
use std::path::PathBuf;

use crate::copy::root;
use crate::hunt::Hunt;
use crate::plantings::Planting;

/// The variable that writes what is expected anew, here as in other tests.
const UPDATE: &str = "UPDATE_GOLDENFILES";

/// The table begins and ends at these lines.
const BEGIN: &str =
    "<!-- written by the test: UPDATE_GOLDENFILES=1 cargo test -p raft-sim --test zoo -->";
const END: &str = "<!-- end -->";

fn document() -> PathBuf {
    root().join("docs/zoo.md")
}

/// The table, with what the hunts found.
pub(crate) fn rows(plantings: &[Planting], hunts: &[Hunt]) -> String {
    let head =
        "| fault | it escaped from | caught by | runs | seconds |\n|---|---|---|---:|---:|\n";
    let mut text = head.to_owned();
    for (planting, hunt) in plantings.iter().zip(hunts) {
        let found = match &hunt.caught {
            Some(_) => format!("{} | {:.1}", hunt.runs, hunt.seconds),
            None => format!("not in {} | {:.1}", hunt.runs, hunt.seconds),
        };
        text.push_str(&format!("{} {found} |\n", known(planting)));
    }
    text
}

/// What a row says whatever the machine.
fn known(planting: &Planting) -> String {
    let Planting { name, what, escaped, caught_by, .. } = planting;
    format!("| **{name}**: {what} | {escaped} | {caught_by} |")
}

/// Whether the document says what a checker holds a cluster to; some of them share a row.
pub(crate) fn explains(checker: &str) -> bool {
    let text = fs::read_to_string(document()).expect("docs/zoo.md");
    let (_, after) = text.split_once(END).expect("the line where the table ends");
    let firsts = after.lines().filter_map(|row| row.strip_prefix("| ")?.split(" |").next());
    firsts.flat_map(|names| names.split(", ")).any(|name| name == checker)
}

/// Half of the faults were caught in so many seconds or less.
pub(crate) fn median_seconds(hunts: &[Hunt]) -> f64 {
    let mut seconds: Vec<f64> = hunts.iter().map(|hunt| hunt.seconds).collect();
    seconds.sort_unstable_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or_default()
}

/// The document has a row for each fault, with its checker, and no other.
pub(crate) fn compare_or_write(plantings: &[Planting], hunts: &[Hunt]) {
    let text = fs::read_to_string(document()).expect("docs/zoo.md");
    let (before, rest) = text.split_once(BEGIN).expect("the line where the table begins");
    let (table, after) = rest.split_once(END).expect("the line where the table ends");
    if std::env::var_os(UPDATE).is_some() {
        let slowest = hunts.iter().map(|hunt| hunt.seconds).fold(0.0, f64::max);
        let (count, median) = (hunts.len(), median_seconds(hunts));
        let summary = format!(
            "{count} planted, {count} caught; half of them within {median:.1} s of processor time, \
             all within {slowest:.1} s."
        );
        let table = rows(plantings, hunts);
        let text = format!("{before}{BEGIN}\n\n{summary}\n\n{table}\n{END}{after}");
        return fs::write(document(), text).expect("docs/zoo.md can be written");
    }
    let written: Vec<&str> = table.lines().filter(|line| line.starts_with("| **")).collect();
    let same = written.len() == plantings.len()
        && written.iter().zip(plantings).all(|(row, planting)| row.starts_with(&known(planting)));
    assert!(same, "docs/zoo.md has other rows: {UPDATE}=1 cargo test -p raft-sim --test zoo");
}
