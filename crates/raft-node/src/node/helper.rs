//! The helper thread: everything slow that is not the log's own write. It reads old log for
//! members that lag and for a state machine that catches up, and makes spare slots.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

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
    Read(Read),
    /// See whether the log wants a spare slot.
    Spare,
    /// See how full the disk is.
    Disk,
}

/// Entries that are wanted back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) request: u64,
    pub(super) first: Index,
    pub(super) last: Index,
    pub(super) bytes_max: u64,
}

/// Between two steps of making a slot, while the log does not need it sooner.
const PAUSE: Duration = Duration::from_millis(4);

pub(super) fn start(
    reader: LogReader,
    spares: SpareMaker,
    disk: Arc<dyn Disk>,
    answers: UnboundedSender<Incoming>,
) -> io::Result<Worker<Job>> {
    let helper = Helper { reader, spares, disk, answers: answers.clone() };
    Worker::start("raft-helper", answers, move |job, others| {
        Some(match job {
            Job::Read(read) => helper.read(&read),
            Job::Disk => helper.look(),
            Job::Spare => helper.make_slot(others),
        })
    })
}

struct Helper {
    reader: LogReader,
    spares: SpareMaker,
    disk: Arc<dyn Disk>,
    answers: UnboundedSender<Incoming>,
}

impl Helper {
    fn read(&self, read: &Read) -> Incoming {
        let Read { request, first, last, bytes_max } = *read;
        match self.reader.read(first, last, bytes_max) {
            Ok(read) => Incoming::LogRead { request, chunk: Some(read.into()) },
            // Cut off since it was asked for; whoever wants it asks for what is there.
            Err(ReadError::Missing { .. }) => Incoming::LogRead { request, chunk: None },
            Err(error) => Incoming::WorkFailed { failure: failure(&error) },
        }
    }

    fn look(&self) -> Incoming {
        Incoming::Disk {
            used: used_bytes(&*self.disk),
            // What cannot be known is not doubted: a write that finds no room says so.
            free: self.disk.free_bytes().unwrap_or(u64::MAX),
        }
    }

    /// Takes its time, in which old log is read; given up when the reactor ends. The disk is
    /// looked at afterwards: half a slot is neither free nor a slot.
    fn make_slot(&self, others: &Receiver<Job>) -> Incoming {
        let Some(bytes) = self.spares.needed() else { return Incoming::Spare { result: Ok(()) } };
        let mut looks = false;
        let result = self.spares.make_at_leisure(bytes, &mut || {
            match others.recv_timeout(PAUSE) {
                // If nobody hears the answer, the next pause finds that out.
                Ok(Job::Read(read)) => drop(self.answers.send(self.read(&read))),
                Ok(Job::Disk) => looks = true,
                // It is being made.
                Ok(Job::Spare) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            true
        });
        if looks {
            // First the slot, then what is left beside it.
            drop(self.answers.send(Incoming::Spare { result }));
            return self.look();
        }
        Incoming::Spare { result }
    }
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
