//! The helper thread: everything slow that is not the log's own write. It reads old log for
//! members that lag and for a state machine that catches up, and makes spare slots.

use std::io;
use std::sync::Arc;

use raft_core::Index;
use raft_log::{Disk, LogReader, ReadError, SpareMaker};
use tokio::sync::mpsc::UnboundedSender;

use crate::node::incoming::Incoming;
use crate::node::worker::Worker;
use crate::node::{Failure, FailureClass};

/// Work for the helper.
#[derive(Debug)]
pub(super) enum Job {
    /// Read entries back.
    Read { request: u64, first: Index, last: Index, bytes_max: u64 },
    /// See whether the log wants a spare slot.
    Spare,
    /// See how full the disk is.
    Disk,
}

pub(super) fn start(
    reader: LogReader,
    spares: SpareMaker,
    disk: Arc<dyn Disk>,
    answers: UnboundedSender<Incoming>,
) -> io::Result<Worker<Job>> {
    Worker::start("raft-helper", answers, move |job| {
        Some(match job {
            Job::Read { request, first, last, bytes_max } => {
                match reader.read(first, last, bytes_max) {
                    Ok(read) => Incoming::LogRead { request, chunk: Some(read.into()) },
                    // Cut off since it was asked for; whoever wants it asks for what is there.
                    Err(ReadError::Missing { .. }) => Incoming::LogRead { request, chunk: None },
                    Err(error) => Incoming::WorkFailed { failure: failure(&error) },
                }
            }
            Job::Disk => Incoming::Disk {
                used: used_bytes(&*disk),
                // What cannot be known is not doubted: a write that finds no room says so.
                free: disk.free_bytes().unwrap_or(u64::MAX),
            },
            Job::Spare => {
                let result = spares.needed().map_or(Ok(()), |bytes| spares.make(bytes));
                Incoming::Spare { result }
            }
        })
    })
}

fn failure(error: &ReadError) -> Failure {
    let class = match error {
        ReadError::Io { .. } => FailureClass::Disk,
        ReadError::Missing { .. } | ReadError::Corrupt { .. } => FailureClass::Damaged,
    };
    Failure { class, what: error.to_string() }
}

/// The bytes of all files of the data directory; what cannot be looked at counts as nothing.
fn used_bytes(disk: &dyn Disk) -> u64 {
    let of = |dir: &str, prefix: &str| -> u64 {
        let names = disk.list(dir).unwrap_or_default();
        let size = |name: &String| disk.open(&format!("{prefix}{name}")).ok()?.bytes().ok();
        names.iter().filter_map(size).sum()
    };
    of(".", "") + of("wal", "wal/") + of("snap", "snap/")
}
