//! Writes a snapshot, part by part, on whatever thread can wait for the disk.

use std::io::{self, Write};
use std::sync::Arc;

use raft_core::{Index, LogId};

use super::reader::SnapshotReader;
use super::section::{End, FileId, SectionKind, SectionReader, SectionWriter};
use super::{Hold, Row, SnapshotInfo, SnapshotPart, Store, file_name, sealed_name};
use crate::error::SnapshotError;
use crate::shown::remove_if_there;

/// A snapshot in the making. Dropped before it is finished, it leaves nothing but sealed parts
/// that are whole.
#[derive(Debug)]
pub struct SnapshotWriter {
    store: Arc<Store>,
    id: LogId,
    file: SectionWriter,
    rows: Vec<Row>,
    own_bytes: u64,
    temporary: Temporary,
    hold: Hold,
}

/// A temporary file: removed when this is dropped, unless it has another name by then.
#[derive(Debug)]
struct Temporary {
    store: Arc<Store>,
    name: String,
}

/// Takes the bytes of one part.
struct PartWriter<'a> {
    file: &'a mut SectionWriter,
    part: u32,
    bytes: u64,
}

impl SnapshotWriter {
    pub(super) fn begin(store: &Arc<Store>, id: LogId, own: &[u8]) -> Result<Self, SnapshotError> {
        assert!(id.index > Index(0), "a snapshot stands for an entry");
        store.make_dir()?;
        let mut hold = Hold::new(store);
        let (temporary, mut file) =
            Temporary::create(store, file_name(id), store.snapshot_id(id), &mut hold)?;
        let written = file.add(SectionKind::Own, 0, own);
        written
            .and_then(|()| file.flush(SectionKind::Own, 0))
            .map_err(|source| store.error(&temporary.name, "write", source))?;
        let (store, own_bytes) = (Arc::clone(store), own.len() as u64);
        Ok(Self { store, id, file, rows: Vec::new(), own_bytes, temporary, hold })
    }

    /// Adds the next part, written by `write`, which is not called for a sealed part that is
    /// there already.
    pub fn part(
        &mut self,
        part: SnapshotPart,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), SnapshotError> {
        let row = match part {
            SnapshotPart::Changing => {
                let number = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
                let error = |source| self.store.error(&self.temporary.name, "write", source);
                let bytes = write_part(&mut self.file, number, write).map_err(error)?;
                Row { part, bytes, checksum: 0 }
            }
            SnapshotPart::Sealed(name) => {
                let end = self.sealed(name, write)?;
                Row { part, bytes: end.part_bytes, checksum: end.checksum }
            }
        };
        self.rows.push(row);
        Ok(())
    }

    /// Makes it durable and gives it its name.
    pub fn finish(self) -> Result<SnapshotInfo, SnapshotError> {
        let Self { store, id, file, rows, own_bytes, temporary, hold: _hold } = self;
        let ended = end(file, &rows, own_bytes);
        ended.map_err(|source| store.error(&temporary.name, "write", source))?;
        // The names of new sealed parts are durable before that of who needs them.
        store.sync_names()?;
        store.rename(&temporary.name, &file_name(id))?;
        store.sync_names()?;
        Ok(SnapshotReader::open(&store, id)?.info())
    }

    /// The file of a sealed part: that of an earlier snapshot, or a new one.
    fn sealed(
        &mut self,
        name: u64,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<End, SnapshotError> {
        let (file, id) = (sealed_name(name), self.store.sealed_id(name));
        self.hold.add(file.clone());
        match SectionReader::open(&*self.store.disk, &file, id) {
            Ok(there) => return Ok(there.end),
            // What cannot be used is replaced.
            Err(SnapshotError::Damaged { .. } | SnapshotError::OtherCluster { .. }) => {}
            Err(SnapshotError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let (temporary, mut new) = Temporary::create(&self.store, file, id, &mut self.hold)?;
        let written = write_part(&mut new, 0, write).and_then(|part_bytes| {
            let parts = 1;
            new.finish(End { parts, part_bytes, ..End::default() })
        });
        let error = |source| self.store.error(&temporary.name, "write", source);
        let end = written.map_err(error)?;
        self.store.rename(&temporary.name, &sealed_name(name))?;
        Ok(end)
    }
}

/// Behind the parts: the list of them, and the end.
fn end(mut file: SectionWriter, rows: &[Row], own_bytes: u64) -> io::Result<End> {
    for row in rows {
        file.add(SectionKind::Table, 0, &row.encode())?;
    }
    file.flush(SectionKind::Table, 0)?;
    let part_bytes = rows.iter().map(|row| row.bytes).sum();
    file.finish(End { own_bytes, parts: rows.len() as u64, part_bytes, ..End::default() })
}

fn write_part(
    file: &mut SectionWriter,
    part: u32,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<u64> {
    let mut writer = PartWriter { file, part, bytes: 0 };
    write(&mut writer)?;
    let bytes = writer.bytes;
    file.flush(SectionKind::Part, part)?;
    Ok(bytes)
}

impl Write for PartWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.add(SectionKind::Part, self.part, bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Temporary {
    fn create(
        store: &Arc<Store>,
        name: String,
        id: FileId,
        hold: &mut Hold,
    ) -> Result<(Self, SectionWriter), SnapshotError> {
        let name = format!("{name}.tmp");
        hold.add(name.clone());
        let temporary = Self { store: Arc::clone(store), name };
        let removed = remove_if_there(&*store.disk, &temporary.name);
        let file = removed.and_then(|()| SectionWriter::create(&*store.disk, &temporary.name, id));
        match file {
            Ok(file) => Ok((temporary, file)),
            Err(source) => Err(store.error(&temporary.name, "make", source)),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Best effort: it is removed again before the next attempt.
        drop(remove_if_there(&*self.store.disk, &self.name));
    }
}
