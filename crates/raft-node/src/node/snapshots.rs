//! The snapshot thread: files of snapshots, which may be large. It keeps nobody waiting who needs a
//! slot or an old entry, which is the helper's.

use std::io;

use raft_log::Snapshots;
use tokio::sync::mpsc::UnboundedSender;

use crate::node::incoming::Incoming;
use crate::node::worker::Worker;
use crate::snapshots::{SnapshotJob, SnapshotWorks};

pub(super) fn start(
    snapshots: Snapshots,
    answers: UnboundedSender<Incoming>,
) -> io::Result<Worker<SnapshotJob>> {
    let mut works = SnapshotWorks::new(snapshots);
    Worker::start("raft-snapshot", answers, move |job| match works.run(job) {
        Ok(done) => done.map(Incoming::Snapshot),
        Err(error) => Some(Incoming::WorkFailed { failure: error.into() }),
    })
}
