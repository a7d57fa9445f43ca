//! What a look says of the snapshots.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use raft_core::{Index, LogId};

use super::{InspectError, Inspection, Progress, whose};
use crate::disk::Disk;
use crate::error::{OpenError, SnapshotError};
use crate::node_file::MemberIdentity;
use crate::snapshot::{InspectedSnapshot, SNAPSHOT_DIR, SnapshotReader, Snapshots};

/// The snapshots of a member's directory, without a look at its log.
pub fn snapshots_of(disk: &Arc<dyn Disk>) -> Result<(MemberIdentity, Snapshots), InspectError> {
    let (identity, ..) = whose(&**disk)?;
    let snapshots = Snapshots::new(Arc::clone(disk), identity.cluster);
    Ok((identity, snapshots))
}

/// The list of snapshots could not be read: what is wrong with one of them is a fact about it.
pub(super) fn unreadable(error: SnapshotError) -> OpenError {
    match error {
        SnapshotError::Io { doing, path, source } => OpenError::Io { doing, path, source },
        other => {
            let path = PathBuf::from(SNAPSHOT_DIR);
            OpenError::Io { doing: "list", path, source: io::Error::other(other) }
        }
    }
}

impl Inspection {
    /// Opens one of the snapshots.
    pub fn open_snapshot(&self, id: LogId) -> Result<SnapshotReader, SnapshotError> {
        Snapshots::new(Arc::clone(&self.disk), self.identity.cluster).open(id)
    }

    /// Reads all of the snapshots and notes what is wrong with them; among the damages, too, if
    /// nothing serves in their place: a log that does not go back to its first entry needs one.
    pub fn read_snapshots(
        &mut self,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), InspectError> {
        let snapshots = Snapshots::new(Arc::clone(&self.disk), self.identity.cluster);
        snapshots.verify(&mut self.snapshots, progress).map_err(unreadable)?;
        let start = self.log.start.index;
        let needed = start > Index(0) && !self.snapshots.iter().any(InspectedSnapshot::serves);
        let lost = self.snapshots.iter().find(|row| row.held && row.fault.is_some());
        if let Some(InspectedSnapshot { file, fault: Some(fault), .. }) = lost.filter(|_| needed)
            && self.log.snapshot.is_some()
        {
            let what = format!("no snapshot can be used where the log begins: {fault}");
            let (file, first, last) = (file.clone(), Some(Index(1)), Some(start));
            self.damages.push(OpenError::Damaged { file, offset: 0, what, first, last });
        }
        Ok(())
    }
}
