//! The bug zoo: faults that once escaped the tests of Raft systems, planted one by one in a copy
//! of these sources. The simulator must catch each, by the checker that its row names.
//!
//! ```console
//! $ cargo test -p raft-sim --test zoo
//! $ RAFT_PLANTED=no-pre-vote cargo test -p raft-sim --test zoo -- --nocapture
//! $ UPDATE_GOLDENFILES=1 cargo test -p raft-sim --test zoo
//! ```
//!
//! The second looks for one fault only and says what was found on the way; the third writes the
//! table of `docs/zoo.md` anew, with the times of this machine.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table is what the test has to say"
)]

mod copy;
mod hunt;
mod plantings;
mod table;

use std::path::Path;
use std::sync::Mutex;
use std::thread;

use hunt::{Hunt, hunt};
use plantings::{Edit, Planting, all};

/// A hunt ends after so many seconds of processor time.
const SECONDS_MAX: u64 = 90;

/// And in a long run.
const SECONDS_MAX_LONG: u64 = 300;

/// Half of the faults are found in less.
const MEDIAN_SECONDS_MAX: f64 = 20.0;

/// So long the sources as they are must keep all checkers content.
const CLEAN_SECONDS: u64 = 5;

/// Hunts at a time.
const HUNTERS: usize = 2;

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some()
}

#[test]
fn every_planted_fault_is_caught_by_its_checker() {
    if !copy::has_cargo() {
        assert!(!is_set("CI"), "no cargo to build the planted copy with");
        println!("skipped: no cargo to build the planted copy with");
        return;
    }
    let only = std::env::var(copy::VARIABLE).ok();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("zoo");
    let source = copy::plant_all(&all(), &target);
    let hunter = copy::build(&source, &target);

    let seconds = if is_set("RAFT_TEST_LONG") { SECONDS_MAX_LONG } else { SECONDS_MAX };
    let wanted = |planting: &Planting| only.as_ref().is_none_or(|name| name == planting.name);
    let chosen: Vec<Planting> = all().into_iter().filter(wanted).collect();
    assert!(!chosen.is_empty(), "no fault is called {only:?}");
    if only.is_none() {
        let clean = hunt(&hunter, "", "any", CLEAN_SECONDS);
        assert!(clean.caught.is_none(), "with nothing planted: {:?}", clean.caught);
    }
    let hunts = hunt_all(&hunter, &chosen, seconds);
    println!("{}", table::rows(&chosen, &hunts));
    if only.is_some() {
        hunts.iter().flat_map(|hunt| &hunt.others).for_each(|other| println!("{other}"));
    }
    let missed = chosen.iter().zip(&hunts).filter(|(_, hunt)| hunt.caught.is_none());
    let missed: Vec<String> = missed.map(|(planting, hunt)| missed_it(planting, hunt)).collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    if only.is_none() {
        let median = table::median_seconds(&hunts);
        assert!(median <= MEDIAN_SECONDS_MAX, "{median} s to catch half of them");
        table::compare_or_write(&chosen, &hunts);
    }
}

/// All hunts, some at a time, in the order of the plantings.
fn hunt_all(hunter: &Path, plantings: &[Planting], seconds: u64) -> Vec<Hunt> {
    let next = Mutex::new(plantings.iter().enumerate());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..HUNTERS {
            scope.spawn(|| {
                loop {
                    let taken = next.lock().expect("no hunt panics").next();
                    let Some((place, planting)) = taken else { return };
                    let hunt = hunt(hunter, planting.name, planting.caught_by, seconds);
                    let ended = if hunt.caught.is_some() { "caught" } else { "not caught" };
                    println!("{} {ended} in {} runs", planting.name, hunt.runs);
                    done.lock().expect("no hunt panics").push((place, hunt));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no hunt panics");
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, hunt)| hunt).collect()
}

fn missed_it(planting: &Planting, hunt: &Hunt) -> String {
    let Planting { name, what, caught_by, .. } = planting;
    let others = match hunt.others.first() {
        None => "and nobody else noticed anything".to_owned(),
        Some(other) => format!("{} runs ended otherwise, the first: {other}", hunt.others.len()),
    };
    format!(
        "{name} ({what}) was not caught by `{caught_by}` in {} runs, {:.0} s; {others}\nagain: \
         {}={name} cargo test -p raft-sim --test zoo -- --nocapture",
        hunt.runs,
        hunt.seconds,
        copy::VARIABLE
    )
}

#[test]
fn names_are_unique_and_rows_complete() {
    let mut names: Vec<&str> = all().iter().map(|planting| planting.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "two faults of one name");
    for Planting { name, what, escaped, caught_by, edits } in all() {
        let asks = edits.iter().any(|edit| edit.plant.contains("PLANTED"));
        assert!(asks, "{name} acts always, or never");
        assert!(!what.contains('|') && !escaped.contains('|'), "{name} breaks the table");
        assert!(table::explains(caught_by), "docs/zoo.md does not say what `{caught_by}` is");
    }
}

#[test]
fn a_fault_whose_lines_changed_is_named() {
    let edit = Edit { file: "raft-core/src/raft.rs", find: "a < b", plant: "PLANTED || a < b" };
    let planted = copy::plant("if a < b {", "less", &edit).expect("it stands there once");
    assert_eq!(planted, "if crate::planted(\"less\") || a < b {");
    let gone = copy::plant("if a <= b {", "less", &edit).expect_err("it does not");
    assert!(gone.starts_with("less: crates/raft-core/src/raft.rs has these lines 0 times"));
    let twice = copy::plant("a < b && a < b", "less", &edit).expect_err("it does not");
    assert!(twice.contains("2 times"), "{twice}");
    let node = Edit { file: "raft-node/src/hello.rs", ..edit };
    let planted = copy::plant("a < b", "less", &node).expect("it stands there once");
    assert_eq!(planted, "raft_core::planted(\"less\") || a < b");
}

#[test]
fn a_manifest_loses_its_tests_only() {
    let manifest = "[package]\nname = \"a\"\n[[test]]\nname = \"b\"\n[lints]\nworkspace = true\n";
    let kept = "[package]\nname = \"a\"\n[lints]\nworkspace = true\n";
    assert_eq!(copy::without_tests(manifest), kept);
}
