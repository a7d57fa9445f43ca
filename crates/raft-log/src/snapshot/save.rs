//! A snapshot in one file of its own, to be kept elsewhere: the same format, every part in it.

use std::io::{self, Read};
use std::sync::Arc;

use raft_core::LogId;

use super::section::SectionWriter;
use super::section::{End, FileId, FileKind, SECTION_BYTES_MAX, SectionKind, SectionReader};
use super::{Row, SnapshotPart, SnapshotReader, Snapshots};
use crate::disk::Disk;
use crate::error::{SnapshotError, is_full};
use crate::inspect::Progress;
use crate::shown::remove_if_there;

/// Snapshots may be removed while one is saved: how often the list is looked at again.
const LOOKS_MAX: usize = 8;

impl Snapshots {
    /// Writes the newest snapshot that is sound, all of it read and verified, into the file `name`
    /// of `to`, which it replaces; tells which one that was and what is wrong with newer ones.
    /// `None`: there is no snapshot.
    pub fn save(
        &self,
        to: &dyn Disk,
        name: &str,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Option<(LogId, Vec<SnapshotError>)>, SnapshotError> {
        for look in 1.. {
            let (ids, mut faults) = (self.list()?, Vec::new());
            for id in &ids {
                let saved = self.open(*id).and_then(|reader| reader.save(to, name, progress));
                match saved {
                    Ok(()) => return Ok(Some((*id, faults))),
                    Err(error @ SnapshotError::NoSpace { .. }) => return Err(error),
                    Err(SnapshotError::Io { doing, path, source })
                        if source.kind() != io::ErrorKind::NotFound =>
                    {
                        return Err(SnapshotError::Io { doing, path, source });
                    }
                    Err(fault) => faults.push(fault),
                }
            }
            if look == LOOKS_MAX || self.list()? == ids {
                return faults.into_iter().next().map_or(Ok(None), Err);
            }
        }
        Ok(None)
    }

    /// Opens a snapshot that was saved as the file `name`.
    pub fn open_saved(disk: Arc<dyn Disk>, name: &str) -> Result<SnapshotReader, SnapshotError> {
        let (main, FileId { cluster, numbers, .. }) = SectionReader::open_any(&*disk, name)?;
        let rows = super::reader::read_table(&main)?;
        if rows.iter().any(|row| row.part != SnapshotPart::Changing) {
            let what = "it shares parts with others: not a saved snapshot, but one of a data \
                        directory";
            return Err(main.damaged(0, what));
        }
        let snapshots = Self::new(disk, cluster);
        let id = LogId::new(numbers.0, numbers.1);
        SnapshotReader::open_as(&snapshots.store, id, name.to_owned())
    }
}

impl SnapshotReader {
    /// Writes all of it into one file, verified on the way; the file has its name once it is
    /// durable.
    fn save(
        &self,
        to: &dyn Disk,
        name: &str,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), SnapshotError> {
        let temporary = format!("{name}.tmp");
        let failed = |source: io::Error| {
            let path = to.path(name);
            match is_full(&source) {
                true => SnapshotError::NoSpace { path },
                false => SnapshotError::Io { doing: "write", path, source },
            }
        };
        let saved = self.copy(to, &temporary, progress, failed).and_then(|()| {
            to.rename(&temporary, name).and_then(|()| to.sync_dir(".")).map_err(failed)
        });
        if saved.is_err() {
            // Best effort: it is removed again before the next attempt.
            drop(remove_if_there(to, &temporary));
        }
        saved
    }

    fn copy(
        &self,
        to: &dyn Disk,
        temporary: &str,
        progress: &mut dyn FnMut(Progress),
        failed: impl Fn(io::Error) -> SnapshotError,
    ) -> Result<(), SnapshotError> {
        let id = self.info().id;
        let numbers = (id.index.0, id.term.0);
        let id = FileId { kind: FileKind::Snapshot, cluster: self.cluster(), numbers };
        let mut contents = self.contents()?;
        let made = remove_if_there(to, temporary);
        let made = made.and_then(|()| SectionWriter::create(to, temporary, id));
        let mut file = made.map_err(&failed)?;
        let own = contents.take_own();
        let added = file.add(SectionKind::Own, 0, &own);
        added.and_then(|()| file.flush(SectionKind::Own, 0)).map_err(&failed)?;
        let total = self.part_bytes().sum();
        let (mut piece, mut done) = (vec![0; SECTION_BYTES_MAX], 0);
        let mut rows = Vec::new();
        for (number, bytes) in (0..).zip(self.part_bytes()) {
            let mut left = bytes;
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
                let wanted = piece.get_mut(..most).unwrap_or_default();
                let read = contents.read(wanted).map_err(|error| self.unusable(error))?;
                let written = file.add(SectionKind::Part, number, &piece[..read]);
                written.map_err(&failed)?;
                left -= read as u64;
                done += read as u64;
                progress(Progress { done, total });
            }
            file.flush(SectionKind::Part, number).map_err(&failed)?;
            rows.push(Row { part: SnapshotPart::Changing, bytes, checksum: 0 });
        }
        // The end is verified when it is read.
        contents.read(&mut [0]).map_err(|error| self.unusable(error))?;
        let own_bytes = own.len() as u64;
        let (parts, part_bytes) = (rows.len() as u64, total);
        let end = rows.iter().try_for_each(|row| file.add(SectionKind::Table, 0, &row.encode()));
        end.and_then(|()| file.flush(SectionKind::Table, 0))
            .and_then(|()| file.finish(End { own_bytes, parts, part_bytes, ..End::default() }))
            .map_err(&failed)?;
        Ok(())
    }
}
