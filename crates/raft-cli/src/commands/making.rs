//! A data directory in the making, beside the one that it will be: nobody ever starts with half of
//! one.

use std::fs::{self, File};
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use jiff::Timestamp;
use raft_log::{Holder, RealDisk};
use raft_node::recovery::{self, Founders, RecoveryError};
use raft_node::replica::Machine;
use raft_node::{LogId, Term};

use super::snapshot;
use crate::errors::Problem;
use crate::exit::Exit;

/// The directory, removed with this value unless it was released.
#[derive(Debug)]
pub(super) struct Making {
    path: PathBuf,
}

impl Making {
    /// Makes the directory of a member of a new cluster, beside `dir`.
    pub(super) fn make(
        dir: &Path,
        founders: &Founders,
        machine: &Machine,
        (at, term): (LogId, Term),
    ) -> Result<Self, Problem> {
        let making = Self { path: path_beside(dir, &format!("making-{}", process::id())) };
        let disk = RealDisk::open(&making.path).map_err(|error| {
            let what = format!("{}: cannot make it: {error}", making.path.display());
            Problem::new(Exit::Io, what).hint("see that the directory above may be written to")
        })?;
        let holder = Holder { pid: process::id(), address: founders.me().address.clone() };
        let begun = recovery::begin(Arc::new(disk), holder, founders, machine, (at, term));
        begun.map_err(|error| failed(&error))?;
        Ok(making)
    }

    /// Where it is so far.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What has this path is something else now.
    pub(super) fn release(mut self) -> PathBuf {
        mem::take(&mut self.path)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // Best effort: nobody needs it.
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

/// `data` and `making-7` are `data.making-7`.
pub(super) fn path_beside(dir: &Path, what: &str) -> PathBuf {
    let mut name = dir.file_name().unwrap_or(dir.as_os_str()).to_owned();
    name.push(format!(".{what}"));
    dir.with_file_name(name)
}

/// Makes the name of a directory durable.
pub(super) fn sync_parent(dir: &Path) -> io::Result<()> {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// A word for one directory alone.
pub(super) fn new_word() -> String {
    format!("{} {}", Timestamp::now().as_nanosecond(), process::id())
}

/// What it means that there is no new cluster.
pub(super) fn failed(error: &RecoveryError) -> Problem {
    let (exit, hint) = match error {
        RecoveryError::Snapshot(error) => return snapshot::problem(error),
        RecoveryError::Directory(error) => {
            (Exit::of_log(error), "nothing was changed; raft log verify DIR says more")
        }
        RecoveryError::Log(_) | RecoveryError::Node(_) => {
            (Exit::Io, "nothing was changed; see that the disk works and has room, and try again")
        }
        RecoveryError::Unknown { .. } => {
            (Exit::TooNew, "nothing was changed; use the version that wrote it")
        }
        RecoveryError::Missing { .. } => {
            (Exit::Damaged, "nothing was changed; raft log verify DIR says more")
        }
    };
    Problem::new(exit, error.to_string()).hint(hint)
}
