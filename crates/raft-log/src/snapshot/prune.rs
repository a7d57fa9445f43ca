//! Removes snapshots and parts that nothing needs.

use std::collections::BTreeSet;
use std::sync::Arc;

use raft_core::LogId;

use super::reader::SnapshotReader;
use super::{SNAPSHOT_DIR, SnapshotPart, Snapshots, Store, file_name, parse_id, sealed_name};
use crate::error::SnapshotError;

impl Store {
    pub(super) fn prune(self: &Arc<Self>, newest: LogId) -> Result<(), SnapshotError> {
        let ids = Snapshots { store: Arc::clone(self) }.list()?;
        let (mut needed, mut unknown, mut older) = (BTreeSet::new(), false, 0);
        let mut removed = false;
        for id in ids {
            let name = file_name(id);
            if older > 0 && !self.held().contains_key(&name) {
                self.remove(&name)?;
                removed = true;
                continue;
            }
            match SnapshotReader::open(self, id) {
                Ok(reader) => {
                    older += u32::from((id.index, id.term) < (newest.index, newest.term));
                    needed.extend(reader.parts().into_iter().filter_map(sealed_file));
                }
                // Who knows what it names.
                Err(_) => unknown = true,
            }
        }
        if removed {
            // A part is gone only when nobody that names it is left.
            self.sync_names()?;
        }
        for name in self.names()? {
            let full = format!("{SNAPSHOT_DIR}/{name}");
            let useless = if name.ends_with(".part") {
                !unknown && !needed.contains(&full)
            } else {
                parse_id(&name).is_none() && is_temporary(&name)
            };
            if useless && !self.held().contains_key(&full) {
                self.remove(&full)?;
            }
        }
        Ok(())
    }
}

fn sealed_file(part: SnapshotPart) -> Option<String> {
    match part {
        SnapshotPart::Sealed(name) => Some(sealed_name(name)),
        SnapshotPart::Changing => None,
    }
}

/// What a stopped process left in the making. Others' files are left alone.
fn is_temporary(name: &str) -> bool {
    name.ends_with(".tmp") || name.ends_with(".recv")
}
