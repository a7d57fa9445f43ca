//! The snapshot thread: files of snapshots, which may be large. It keeps nobody waiting who needs a
//! slot or an old entry, which is the helper's, and where processors are scarce it steps back behind
//! the threads that serve.

use std::io;

use raft_log::Snapshots;
use tokio::sync::mpsc::UnboundedSender;

use crate::node::incoming::Incoming;
use crate::node::worker::Worker;
use crate::snapshots::{SnapshotJob, SnapshotWorks};

/// How far it steps back: to a quarter of what another busy thread gets.
const NICE: i32 = 6;

pub(super) fn start(
    snapshots: Snapshots,
    answers: UnboundedSender<Incoming>,
) -> io::Result<Worker<SnapshotJob>> {
    let mut works = SnapshotWorks::new(snapshots);
    let mut is_first = true;
    Worker::start("raft-snapshot", answers, move |job, _| {
        if std::mem::take(&mut is_first) {
            // Of this thread alone; where that is not allowed, it runs like the others.
            let _lowered = rustix::process::setpriority_process(None, NICE);
        }
        match works.run(job) {
            Ok(done) => done.map(Incoming::Snapshot),
            Err(error) => Some(Incoming::WorkFailed { failure: error.into() }),
        }
    })
}
