//! Why a directory cannot be opened, a write not made, a read not answered. Every text says
//! what happened, why, and what to do next.

use std::fmt;
use std::io;
use std::path::PathBuf;

use raft_core::Index;
use thiserror::Error;

/// Why a data directory or its log was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Something that was durable is not what was written. Never repaired silently: what is cut
    /// away here could be what a client was promised.
    #[error(
        "{}: damaged at byte {offset}: {what}{}; nothing was changed. Do not restart this member: \
         replace it, or restore the file from the disk it came from",
        file.display(), IndexRange(*first, *last)
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: String,
        /// The first log index affected, if known.
        first: Option<Index>,
        /// The last log index known to be affected.
        last: Option<Index>,
    },
    /// The operating system refused.
    #[error("{}: cannot {doing}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// The disk is full. Nothing was changed: waiting and repeating is safe.
    #[error(
        "{}: no space for a log slot of {bytes} bytes; free some, the start is then tried again",
        path.display()
    )]
    NoSpace {
        /// The file that was to be made.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// Another process works in this directory.
    #[error(
        "{}: in use by {}; stop it first, or choose another directory with --data-dir",
        path.display(), HolderText(*pid, address.as_deref())
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The other process, if it said so yet.
        pid: Option<u32>,
        /// The address that it serves, if it said so yet.
        address: Option<String>,
    },
    /// The directory belongs to something else.
    #[error(
        "{}: holds files that are not ours ({}) and no NODE file; nothing was changed. Choose an \
         empty directory with --data-dir",
        dir.display(), names(found)
    )]
    ForeignFiles {
        /// The directory.
        dir: PathBuf,
        /// Some of what was found.
        found: Vec<String>,
    },
    /// The log is that of another member or cluster.
    #[error("{}: {what}; nothing was changed. Put back the file that belongs here", file.display())]
    OtherIdentity {
        /// The file.
        file: PathBuf,
        /// Whose it is and whose it should be.
        what: String,
    },
    /// A newer version wrote this.
    #[error(
        "{}: written in format {version}, newer than this program knows; nothing was changed. \
         Use the newer program",
        file.display()
    )]
    TooNew {
        /// The file.
        file: PathBuf,
        /// The format's version or feature.
        version: String,
    },
    /// A log exists only in state member.
    #[error("{}: this directory is not a member's; it has no log yet or no longer", dir.display())]
    NotMember {
        /// The directory.
        dir: PathBuf,
    },
}

/// Why a write was not made.
#[derive(Debug, Error)]
pub enum WriteError {
    /// No room, and none could be made. Nothing of this call was written: waiting and repeating
    /// it is safe.
    #[error("{}: no space for a log slot of {bytes} bytes", path.display())]
    NoSpace {
        /// The file that was to be made.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A write or sync failed. What is on the disk is unknown until the log is opened anew: the
    /// process must end. Every later call gets this too.
    #[error("the log cannot be written any more: {0}")]
    Failed(io::Error),
}

/// Why a read was not answered.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The log on disk does not hold this entry (now).
    #[error("entry {index} is not in the log on disk")]
    Missing {
        /// Which entry.
        index: Index,
    },
    /// What is there is not what was written.
    #[error("{}: damaged at byte {offset}: {what}", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The operating system refused.
    #[error("{}: cannot read: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

/// Why a snapshot was not written, read or received. None of these is a failure of the log.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// What is there is not what was written.
    #[error("{}: damaged at byte {offset}: {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// A newer version wrote this.
    #[error("{}: written in format {version}, newer than this program knows", file.display())]
    TooNew {
        /// The file.
        file: PathBuf,
        /// The format's version or feature.
        version: String,
    },
    /// The snapshot is of another cluster.
    #[error("{}: {what}", file.display())]
    OtherCluster {
        /// The file.
        file: PathBuf,
        /// Whose it is and whose it should be.
        what: String,
    },
    /// What it holds is as it was written, and is of no use to who reads it.
    #[error("{}: the state in it cannot be used: {source}", file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The disk is full; the temporary file was removed. Try again later.
    #[error("{}: no space for a snapshot", path.display())]
    NoSpace {
        /// The file that was to be made.
        path: PathBuf,
    },
    /// The operating system refused for another reason.
    #[error("{}: cannot {doing}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

/// Why a spare slot was not made.
#[derive(Debug, Error)]
pub enum MakeError {
    /// The disk is full; the temporary file was removed. Try again later.
    #[error("{}: no space for a log slot of {bytes} bytes", path.display())]
    NoSpace {
        /// The file that was to be made.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The operating system refused for another reason.
    #[error("{}: cannot make a log slot: {source}", path.display())]
    Io {
        /// The file that was to be made.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

impl From<MakeError> for OpenError {
    fn from(error: MakeError) -> Self {
        match error {
            MakeError::NoSpace { path, bytes } => Self::NoSpace { path, bytes },
            MakeError::Io { path, source } => Self::Io { doing: "make a log slot", path, source },
        }
    }
}

/// Whether the disk (or the quota) is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// File names may hold what a terminal obeys.
fn names(found: &[String]) -> String {
    found.iter().map(|name| name.escape_debug().to_string()).collect::<Vec<_>>().join(", ")
}

struct IndexRange(Option<Index>, Option<Index>);

impl fmt::Display for IndexRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Some(first), Some(last)) if first < last => {
                write!(f, " (log indexes {first} to {last})")
            }
            (Some(first), Some(_)) => write!(f, " (log index {first})"),
            (Some(first), None) => write!(f, " (log indexes from {first} on)"),
            (None, _) => Ok(()),
        }
    }
}

struct HolderText<'a>(Option<u32>, Option<&'a str>);

impl fmt::Display for HolderText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Some(pid), Some(address)) => write!(f, "process {pid}, which serves {address}"),
            (Some(pid), None) => write!(f, "process {pid}"),
            _ => write!(f, "another process"),
        }
    }
}
