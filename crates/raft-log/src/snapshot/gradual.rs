//! A long file that is synced while it is written: all of it at once would keep the syncs of the
//! log waiting.

use std::io;
use std::sync::Arc;

use crate::disk::DiskFile;

/// So much may wait to be written to the disk.
const UNSYNCED_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct GradualFile {
    file: Arc<dyn DiskFile>,
    unsynced: usize,
}

impl GradualFile {
    pub(super) const fn new(file: Arc<dyn DiskFile>) -> Self {
        Self { file, unsynced: 0 }
    }

    /// Writes all parts, one after another, from `offset` on.
    pub(super) fn write_at(&mut self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        self.file.write_at(parts, offset)?;
        self.unsynced += parts.iter().map(|part| part.len()).sum::<usize>();
        if self.unsynced >= UNSYNCED_MAX {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Makes the file durable, but not its name.
    pub(super) fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}
