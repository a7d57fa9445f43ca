//! Looks at the snapshots of a data directory without changing them, also while a server works in
//! it. What a server removes meanwhile was never damaged.

use std::path::PathBuf;

use raft_core::LogId;

use super::{Snapshots, file_name};
use crate::error::SnapshotError;
use crate::inspect::Progress;

/// A snapshot in a data directory.
#[derive(Debug)]
pub struct InspectedSnapshot {
    /// The last entry that it stands for.
    pub id: LogId,
    /// Its own file.
    pub file: PathBuf,
    /// Bytes of all its files, those that it shares with others included.
    pub bytes: u64,
    /// The parts of the state machine in it.
    pub parts: usize,
    /// Whether the log goes on from it: whether it holds that entry, or begins after it.
    pub held: bool,
    /// What is wrong with it, as far as it was read.
    pub fault: Option<SnapshotError>,
}

impl InspectedSnapshot {
    /// Whether a start can go on from it, as far as it was read.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.held && self.fault.is_none()
    }
}

impl Snapshots {
    /// Those that are there, newest first, with their ends looked at. `held` says whether the log
    /// goes on from one.
    pub fn look(
        &self,
        held: impl Fn(LogId) -> bool,
    ) -> Result<Vec<InspectedSnapshot>, SnapshotError> {
        let mut found = Vec::new();
        for id in self.list()? {
            let file = self.store.disk.path(&file_name(id));
            let mut row =
                InspectedSnapshot { id, file, bytes: 0, parts: 0, held: held(id), fault: None };
            match self.open(id) {
                Ok(reader) => {
                    (row.bytes, row.parts) = (reader.info().bytes, reader.parts().len());
                }
                Err(_) if !self.is_there(id)? => continue,
                Err(fault) => row.fault = Some(fault),
            }
            found.push(row);
        }
        Ok(found)
    }

    /// Reads all of them that are not known to be damaged, and notes what is wrong.
    pub fn verify(
        &self,
        found: &mut Vec<InspectedSnapshot>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), SnapshotError> {
        let total = found.iter().map(|row| row.bytes).sum();
        let (mut done, mut gone) = (0, Vec::new());
        for row in found.iter_mut().filter(|row| row.fault.is_none()) {
            let mut show = |read: u64| progress(Progress { done: (done + read).min(total), total });
            let read = self.open(row.id).and_then(|reader| reader.verify_showing(&mut show));
            match read {
                Ok(()) => {}
                Err(_) if !self.is_there(row.id)? => gone.push(row.id),
                Err(fault) => row.fault = Some(fault),
            }
            done += row.bytes;
        }
        found.retain(|row| !gone.contains(&row.id));
        Ok(())
    }

    /// Whether it has a name still: its parts go after it.
    fn is_there(&self, id: LogId) -> Result<bool, SnapshotError> {
        Ok(self.list()?.contains(&id))
    }
}
