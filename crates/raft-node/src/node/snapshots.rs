//! The snapshot thread: files of snapshots, which may be large. It keeps nobody waiting who needs a
//! slot or an old entry, which is the helper's.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

use raft_log::Snapshots;
use tokio::sync::mpsc::UnboundedSender;

use crate::node::Failure;
use crate::node::incoming::Incoming;
use crate::snapshots::{SnapshotJob, SnapshotWorks};

#[derive(Debug)]
pub(super) struct SnapshotThread {
    jobs: Option<mpsc::Sender<SnapshotJob>>,
    thread: Option<JoinHandle<()>>,
}

impl SnapshotThread {
    pub(super) fn start(
        snapshots: Option<Snapshots>,
        answers: UnboundedSender<Incoming>,
    ) -> io::Result<Self> {
        let Some(snapshots) = snapshots else { return Ok(Self { jobs: None, thread: None }) };
        let (jobs, work) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("raft-snapshot".into())
            .spawn(move || run(&work, SnapshotWorks::new(snapshots), &answers))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    pub(super) fn submit(&self, job: SnapshotJob) {
        if let Some(jobs) = &self.jobs {
            // The thread ends only after this end is dropped.
            let _sent = jobs.send(job);
        }
    }
}

impl Drop for SnapshotThread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// Tells the reactor of a thread that ends by a panic: what was asked of it is never answered.
struct Watch<'a>(&'a UnboundedSender<Incoming>);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The reactor may have ended.
            let _sent = self.0.send(Incoming::WorkFailed { failure: Failure::invariant() });
        }
    }
}

fn run(
    work: &mpsc::Receiver<SnapshotJob>,
    mut works: SnapshotWorks,
    answers: &UnboundedSender<Incoming>,
) {
    let _watch = Watch(answers);
    while let Ok(job) = work.recv() {
        let answer = match works.run(job) {
            Ok(Some(done)) => Incoming::Snapshot(done),
            Ok(None) => continue,
            Err(error) => Incoming::WorkFailed { failure: error.into() },
        };
        if answers.send(answer).is_err() {
            return;
        }
    }
}
