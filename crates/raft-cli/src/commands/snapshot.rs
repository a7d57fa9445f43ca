//! `raft snapshot`: snapshots, which stand for the log below them: taken, listed, kept elsewhere, and
//! begun with anew.

mod inspect;
mod restore;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_log::{Disk, RealDisk, SnapshotError, SnapshotReader, Snapshots, snapshots_of};
use serde_json::{Map, json};

use super::ask::Ask;
use super::log;
use super::meter::Meter;
use crate::errors::{Problem, READ};
use crate::exit::Exit;
use crate::output::Output;

pub(super) use inspect::Holding;
pub(crate) use restore::RestoreOptions;

/// What to do with the files of snapshots.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SnapshotJob {
    Ls { dir: PathBuf },
    Save { dir: PathBuf, file: PathBuf, force: bool },
    Inspect { path: PathBuf },
    Restore(RestoreOptions),
}

pub(crate) fn run(job: &SnapshotJob, output: &Output) -> Result<(), Problem> {
    match job {
        SnapshotJob::Ls { dir } => list(dir, output),
        SnapshotJob::Save { dir, file, force } => save(dir, file, *force, output),
        SnapshotJob::Inspect { path } => inspect::run(path, output),
        SnapshotJob::Restore(options) => restore::run(options, output),
    }
}

pub(crate) fn now(ask: &Ask, output: &Output) -> Result<(), Problem> {
    let asked = ask.client(output)?.snapshot().wait();
    let (at, bytes, served) = asked.map_err(|error| ask.problem(&error, READ))?;
    let object = json!({
        "index": at.index.0,
        "term": at.term.0,
        "bytes": bytes,
        "contacted": served.contacted,
    });
    let text = match bytes {
        0 => format!("the snapshot at {at} holds everything already"),
        _ => format!("snapshot at {at}, {} bytes", bytes),
    };
    output.line(&text, object)
}

fn list(dir: &Path, output: &Output) -> Result<(), Problem> {
    let snapshots = of(dir)?;
    // Which of them the log goes on from is for a look at the log to say.
    let found = snapshots.look(|_| true).map_err(|error| problem(&error))?;
    if found.is_empty() {
        return Err(none_yet(dir));
    }
    let objects = found.iter().map(log::snapshots::object).collect();
    output.table(&log::snapshots::table(&found), "snapshots", objects, Map::new())
}

fn save(dir: &Path, file: &Path, force: bool, output: &Output) -> Result<(), Problem> {
    let snapshots = of(dir)?;
    let (disk, name) = place(file)?;
    if !force && file.symlink_metadata().is_ok() {
        let what = format!("{}: there is such a file already", file.display());
        return Err(
            Problem::new(Exit::Refused, what).hint("name another file, or replace it with --force")
        );
    }
    let mut meter = Meter::new("saving");
    let saved = snapshots.save(&disk, &name, &mut |progress| meter.show(progress));
    meter.clear();
    let (id, faults) = saved.map_err(|error| problem(&error))?.ok_or_else(|| none_yet(dir))?;
    for fault in &faults {
        output.note(&format!("a newer snapshot is of no use: {fault}"));
    }
    let bytes = file.metadata().map_or(0, |file| file.len());
    let object = json!({
        "file": file.display().to_string(),
        "index": id.index.0,
        "term": id.term.0,
        "bytes": bytes,
    });
    let size = log::text::size(bytes);
    output.line(&format!("saved {id} as {}, {size}", file.display()), object)?;
    output.note(&format!(
        "what was written after index {} is not in it; raft snapshot now takes a newer one",
        id.index
    ));
    Ok(())
}

/// The snapshots of a data directory, in which nothing is changed.
fn of(dir: &Path) -> Result<Snapshots, Problem> {
    let disk = log::look_into(dir)?;
    let (_, snapshots) = snapshots_of(&disk).map_err(|error| log::nothing_there(dir, &error))?;
    Ok(snapshots)
}

fn none_yet(dir: &Path) -> Problem {
    Problem::new(Exit::NotFound, format!("{}: there is no snapshot yet", dir.display()))
        .hint("raft snapshot now --endpoints 'ITS ADDRESS' takes one")
}

/// The directory of a file that is written, and the file's name in it.
fn place(file: &Path) -> Result<(RealDisk, String), Problem> {
    let (parent, name) = apart(file)?;
    if !parent.is_dir() {
        let what = format!("{}: no such directory", parent.display());
        return Err(Problem::new(Exit::NotFound, what).hint("make it first, or name another file"));
    }
    let disk = RealDisk::open(parent).map_err(|error| {
        Problem::new(Exit::Io, format!("{}: cannot open: {error}", parent.display()))
    })?;
    Ok((disk, name))
}

fn apart(file: &Path) -> Result<(&Path, String), Problem> {
    let name = file.file_name().and_then(|name| name.to_str());
    let Some(name) = name.filter(|_| !file.is_dir()) else {
        return Err(Problem::usage(format!("'{}' is not the name of a file", file.display())));
    };
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok((parent.unwrap_or(Path::new(".")), name.to_owned()))
}

/// A saved snapshot.
fn open_saved(file: &Path) -> Result<SnapshotReader, Problem> {
    let (parent, name) = apart(file)?;
    let absent = |error| {
        let what = format!("{}: no snapshot there: {error}", file.display());
        Problem::new(Exit::NotFound, what)
    };
    file.metadata().map_err(absent)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open_read_only(parent).map_err(absent)?);
    Snapshots::open_saved(disk, &name).map_err(|error| problem(&error))
}

/// What a snapshot's error means, and what next.
pub(super) fn problem(error: &SnapshotError) -> Problem {
    let (exit, hint) = match error {
        SnapshotError::Damaged { .. } => (
            Exit::Damaged,
            "use another copy of it: nothing in this one is to be trusted; those of a data \
             directory: raft snapshot ls DIR",
        ),
        SnapshotError::TooNew { .. } | SnapshotError::Unusable { .. } => {
            (Exit::TooNew, "use the version of raft that wrote it, or a newer one")
        }
        SnapshotError::OtherCluster { .. } => {
            (Exit::Identity, "a file of another directory was put here: take it away")
        }
        SnapshotError::NoSpace { .. } => (Exit::Io, "free some space there, or name another disk"),
        SnapshotError::Io { .. } => (Exit::Io, "see that it is there and may be used by you"),
    };
    Problem::new(exit, error.to_string()).hint(hint)
}
