//! The helper thread: everything slow that is not the log's own write. It reads old log for
//! members that lag and for a state machine that catches up, and makes spare slots.

use std::io;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use raft_core::Index;
use raft_log::{Disk, LogReader, ReadError, SpareMaker};

use crate::node::incoming::Incoming;
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

#[derive(Debug)]
pub(super) struct Helper {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Helper {
    pub(super) fn start(
        reader: LogReader,
        spares: SpareMaker,
        disk: Arc<dyn Disk>,
        answers: tokio::sync::mpsc::UnboundedSender<Incoming>,
    ) -> io::Result<Self> {
        let (jobs, work) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("raft-helper".into())
            .spawn(move || run(&work, &reader, &spares, disk.as_ref(), &answers))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    pub(super) fn submit(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread ends only after this end is dropped.
            let _sent = jobs.send(job);
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// Tells the reactor of a thread that ends by a panic: what was asked of it is never answered.
struct Watch<'a>(&'a tokio::sync::mpsc::UnboundedSender<Incoming>);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The reactor may have ended.
            let _sent = self.0.send(Incoming::WorkFailed { failure: Failure::invariant() });
        }
    }
}

fn failure(error: &ReadError) -> Failure {
    let class = match error {
        ReadError::Io { .. } => FailureClass::Disk,
        ReadError::Missing { .. } | ReadError::Corrupt { .. } => FailureClass::Damaged,
    };
    Failure { class, what: error.to_string() }
}

fn run(
    work: &mpsc::Receiver<Job>,
    reader: &LogReader,
    spares: &SpareMaker,
    disk: &dyn Disk,
    answers: &tokio::sync::mpsc::UnboundedSender<Incoming>,
) {
    let _watch = Watch(answers);
    while let Ok(job) = work.recv() {
        let answer = match job {
            Job::Read { request, first, last, bytes_max } => {
                match reader.read(first, last, bytes_max) {
                    Ok(read) => Incoming::LogRead { request, chunk: Some(read.into()) },
                    // Cut off since it was asked for; whoever wants it asks for what is there.
                    Err(ReadError::Missing { .. }) => Incoming::LogRead { request, chunk: None },
                    Err(error) => Incoming::WorkFailed { failure: failure(&error) },
                }
            }
            Job::Disk => Incoming::Disk {
                used: used_bytes(disk),
                // What cannot be known is not doubted: a write that finds no room says so.
                free: disk.free_bytes().unwrap_or(u64::MAX),
            },
            Job::Spare => Incoming::Spare {
                result: match spares.needed() {
                    Some(bytes) => spares.make(bytes),
                    None => Ok(()),
                },
            },
        };
        if answers.send(answer).is_err() {
            return;
        }
    }
}

/// The bytes of all files of the data directory; what cannot be looked at counts as nothing.
fn used_bytes(disk: &dyn Disk) -> u64 {
    let of = |dir: &str, prefix: &str| -> u64 {
        let names = disk.list(dir).unwrap_or_default();
        let size = |name: &String| disk.open(&format!("{prefix}{name}")).ok()?.bytes().ok();
        names.iter().filter_map(size).sum()
    };
    of(".", "") + of("wal", "wal/")
}
