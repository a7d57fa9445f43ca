//! `raft log`: looks at the log in a data directory, also while its server runs. Nothing is
//! written, locked or started; the verdict is that of a start.

mod dump;
pub(super) mod snapshots;
mod stat;
pub(super) mod text;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_log::{Cut, Disk, InspectError, Inspection, OpenError, RealDisk, Shown, inspect};
use serde_json::{Value, json};

use super::meter::Meter;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::Output;

/// What to look at, and for what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogOptions {
    pub(crate) dir: PathBuf,
    pub(crate) job: LogJob,
}

/// What is wanted of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogJob {
    Stat,
    Dump { from: u64, to: u64, blocks: bool },
    Verify,
}

pub(crate) fn run(options: &LogOptions, output: &Output) -> Result<(), Problem> {
    let mut inspection = open(&options.dir)?;
    if options.job == LogJob::Verify {
        snapshots::read(&mut inspection, &options.dir)?;
    }
    match options.job {
        LogJob::Stat => stat::show(&inspection, &options.dir, output)?,
        LogJob::Dump { from, to, blocks } => {
            dump::show(&inspection, &dump::Choice { from, to, blocks }, output)?;
        }
        LogJob::Verify => verdict(&inspection, output)?,
    }
    if let (Some(cut), false) = (&inspection.cut, output.format.is_json()) {
        output.note(&torn(cut));
    }
    if options.job == LogJob::Verify && !output.format.is_json() {
        harmless(&inspection).iter().for_each(|fact| output.note(fact));
        snapshots::facts(&inspection).iter().for_each(|fact| output.note(fact));
    }
    conclude(&inspection, options.job == LogJob::Verify, output)
}

/// A directory in which nothing is changed.
pub(super) fn look_into(dir: &Path) -> Result<Arc<dyn Disk>, Problem> {
    let disk = RealDisk::open_read_only(dir).map_err(|error| {
        let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        let exit = if absent.contains(&error.kind()) { Exit::NotFound } else { Exit::Io };
        Problem::new(exit, format!("{}: no log there: {error}", dir.display()))
    })?;
    Ok(Arc::new(disk))
}

/// Reads all of it.
fn open(dir: &Path) -> Result<Inspection, Problem> {
    let disk = look_into(dir)?;
    let mut meter = Meter::new("reading");
    let inspected = inspect(&disk, &mut |progress| meter.show(progress));
    meter.clear();
    inspected.map_err(|error| nothing_there(dir, &error))
}

/// Why there is nothing to look at, and where else.
pub(super) fn nothing_there(dir: &Path, error: &InspectError) -> Problem {
    match error {
        InspectError::Refused(refusal) => Problem::new(Exit::of_log(refusal), format!("{refusal}")),
        InspectError::New { .. } => Problem::new(Exit::NotFound, error.to_string()),
        InspectError::Absent { .. } => {
            let problem = Problem::new(Exit::NotFound, error.to_string());
            match data_dirs_in(dir) {
                None => problem.hint("by default a server's data is in ~/.goraft/HOSTNAME_PORT"),
                Some(dirs) => problem.hint(format!("data directories in it: {dirs}")),
            }
        }
    }
}

/// `raft log verify`, for the reader of standard output.
fn verdict(inspection: &Inspection, output: &Output) -> Result<(), Problem> {
    let text = match inspection.damages.as_slice() {
        [] => format!("intact: {}{}", extent(inspection), snapshots::counted(inspection)),
        damages => damages.iter().map(damage).collect::<Vec<_>>().join("\n"),
    };
    let object = json!({
        "intact": inspection.damages.is_empty(),
        "log_start": inspection.log.start.index.0,
        "last_index": inspection.last().index.0,
        "last_term": inspection.last().term.0,
        "snapshots": snapshots::objects(inspection),
        "shown": shown_index(inspection),
        "torn_end": torn_object(inspection),
        "damaged_copies": copy_objects(inspection),
        "damages": damage_objects(inspection),
    });
    output.line(&text, object)
}

/// `2 entries, last 2@1`.
fn extent(inspection: &Inspection) -> String {
    let (start, last) = (inspection.log.start, inspection.last());
    let after = if start.index.0 > 0 { format!(" after {start}") } else { String::new() };
    match last.index.0 - start.index.0 {
        0 => format!("no entries{after}"),
        1 => format!("1 entry{after}, last {last}"),
        count => format!("{count} entries{after}, last {last}"),
    }
}

/// An exit code for what is wrong, and what to do about it.
fn conclude(inspection: &Inspection, told: bool, output: &Output) -> Result<(), Problem> {
    let Some(first) = inspection.damages.first() else { return snapshots::conclude(inspection) };
    if !told {
        inspection.damages.iter().for_each(|error| output.note(&damage(error)));
    }
    let exit = Exit::of_log(first);
    if exit != Exit::Damaged {
        return Err(Problem::new(exit, first.to_string()));
    }
    let what = match inspection.damages.len() {
        1 => "the log is damaged; a start refuses it".into(),
        count => format!("the log is damaged in {count} slots; a start refuses it"),
    };
    Err(Problem::new(exit, what).hint(
        "keep the directory as it is. The other members hold what is missing here: remove this \
         member, then add a server with an empty directory; or restore the file that is named, \
         from the disk that it came from",
    ))
}

/// One place that is not what was written.
fn damage(error: &OpenError) -> String {
    let OpenError::Damaged { file, offset, what, first, last } = error else {
        return format!("unreadable: {error}");
    };
    let range = match (first, last) {
        (Some(first), Some(last)) if first < last => format!(": log indexes {first} to {last}"),
        (Some(first), Some(_)) => format!(": log index {first}"),
        (Some(first), None) => format!(": log indexes from {first} on"),
        (None, _) => String::new(),
    };
    format!("damaged: {}, byte {offset}{range}: {what}", file.display())
}

fn torn(cut: &Cut) -> String {
    format!(
        "torn end: {}, byte {}, from log index {} on: {}. It was never known to be durable: the \
         next start cuts it off. If a server works here right now it may be a write under way",
        cut.file.display(),
        cut.offset,
        cut.first,
        cut.what
    )
}

/// What is damaged, and costs no entry.
fn harmless(inspection: &Inspection) -> Vec<String> {
    let copy = |(file, offset): (&Path, u64)| {
        format!(
            "{}, byte {offset}: one of the two copies of the slot's header is damaged, as by a \
             crash while it was written. The other one counts: nothing is lost by that",
            file.display()
        )
    };
    let mut facts: Vec<String> = damaged_copies(inspection).map(copy).collect();
    if let Shown::Lost(why) = &inspection.shown {
        facts.push(format!(
            "{why}: up to where lines were shown is not known. The log does not depend on it: the \
             next start takes all that it recovers for shown"
        ));
    }
    facts
}

fn damaged_copies(inspection: &Inspection) -> impl Iterator<Item = (&Path, u64)> {
    inspection.slots.iter().filter_map(|slot| Some((&*slot.file, slot.damaged_copy?)))
}

fn damage_objects(inspection: &Inspection) -> Vec<Value> {
    let object = |error: &OpenError| {
        let exit = Exit::of_log(error).code();
        let OpenError::Damaged { file, offset, what, first, last } = error else {
            return json!({ "what": error.to_string(), "exit": exit });
        };
        json!({
            "file": file.display().to_string(),
            "offset": offset,
            "what": what,
            "first_index": first.map(|index| index.0),
            "last_index": last.map(|index| index.0),
            "exit": exit,
        })
    };
    inspection.damages.iter().map(object).collect()
}

fn copy_objects(inspection: &Inspection) -> Vec<Value> {
    let object = |(file, offset): (&Path, u64)| {
        json!({
            "file": file.display().to_string(),
            "offset": offset,
        })
    };
    damaged_copies(inspection).map(object).collect()
}

fn shown_index(inspection: &Inspection) -> Option<u64> {
    match inspection.shown {
        Shown::At(index) => Some(index.0),
        Shown::Lost(_) => None,
    }
}

fn torn_object(inspection: &Inspection) -> Value {
    let object = |cut: &Cut| {
        json!({
            "file": cut.file.display().to_string(),
            "offset": cut.offset,
            "first_index": cut.first.0,
            "what": cut.what,
        })
    };
    inspection.cut.as_ref().map(object).into()
}

/// Who asks for `~/.goraft` means one of the directories in it.
fn data_dirs_in(dir: &Path) -> Option<String> {
    let mut found: Vec<String> = fs::read_dir(dir)
        .ok()?
        .flatten()
        .filter(|entry| entry.path().join("NODE").exists())
        .map(|entry| entry.path().display().to_string())
        .collect();
    found.sort();
    (!found.is_empty()).then(|| found.join(", "))
}
