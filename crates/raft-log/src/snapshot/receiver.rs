//! Receives a snapshot, in pieces and over as many connections as it takes. What came stays in a
//! temporary file of its own name and checksum, so that another start, or another sender of the
//! same snapshot, goes on with it; it counts once all of it was verified.

use std::sync::Arc;

use super::gradual::GradualFile;
use super::reader::SnapshotReader;
use super::section::{FileId, SectionReader};
use super::{Hold, SNAPSHOT_DIR, SnapshotInfo, SnapshotPart, Store, file_name, sealed_name};
use crate::error::SnapshotError;

/// A snapshot on its way here.
#[derive(Debug)]
pub struct SnapshotReceiver {
    store: Arc<Store>,
    info: SnapshotInfo,
    hold: Hold,
    /// Where the snapshot's own file is while it is received.
    temporary: String,
    /// Sealed parts still to come, the next one last.
    parts: Vec<Piece>,
    /// The file that comes at present; none once all are there.
    now: Option<Incoming>,
}

/// A file of the snapshot: where it stands in what is sent.
#[derive(Clone, Debug)]
struct Piece {
    part: Option<u64>,
    begin: u64,
    bytes: u64,
    checksum: u32,
}

#[derive(Debug)]
struct Incoming {
    piece: Piece,
    name: String,
    file: GradualFile,
    have: u64,
}

impl SnapshotReceiver {
    pub(super) fn begin(store: &Arc<Store>, info: SnapshotInfo) -> Result<Self, SnapshotError> {
        store.make_dir()?;
        let temporary = temporary_name(&info);
        let mut hold = Hold::new(store);
        hold.add(temporary.clone());
        let piece = Piece { part: None, begin: 0, bytes: info.file_bytes, checksum: info.checksum };
        let (store, now, parts) = (Arc::clone(store), None, Vec::new());
        let mut receiver = Self { store, info, hold, temporary, parts, now };
        receiver.enter(piece)?;
        receiver.settle()?;
        Ok(receiver)
    }

    /// From where on bytes are wanted: what lies before is here. `None`: all is here.
    #[must_use]
    pub fn wanted(&self) -> Option<u64> {
        self.now.as_ref().map(|incoming| incoming.piece.begin + incoming.have)
    }

    /// Takes bytes that were sent from `offset` on; what is not wanted of them is left out. What
    /// turns out damaged is removed, and wanted again from a receiver that is begun anew.
    pub fn add(&mut self, offset: u64, bytes: &[u8]) -> Result<(), SnapshotError> {
        while let Some(incoming) = &mut self.now {
            let wanted = incoming.piece.begin + incoming.have;
            let skip = wanted.checked_sub(offset).and_then(|skip| usize::try_from(skip).ok());
            let rest = skip.and_then(|skip| bytes.get(skip..)).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            let left = usize::try_from(incoming.piece.bytes - incoming.have).unwrap_or(usize::MAX);
            let now = rest.get(..left).unwrap_or(rest);
            let written = incoming.file.write_at(&[now], incoming.have);
            incoming.have += now.len() as u64;
            if let Err(source) = written {
                let error = self.store.error(&incoming.name, "write", source);
                self.discard();
                return Err(error);
            }
            self.settle()?;
        }
        Ok(())
    }

    /// Verifies all of it, and gives it its name, durably. The snapshot before it has to stay
    /// until the log was reset to this one.
    ///
    /// # Panics
    /// If bytes are still wanted.
    pub fn finish(self) -> Result<SnapshotInfo, SnapshotError> {
        assert!(self.now.is_none(), "a snapshot counts once all of it came");
        let reader = SnapshotReader::open_as(&self.store, self.info.id, self.temporary.clone());
        let verified = reader.and_then(|reader| reader.verify().map(|()| reader.info()));
        let verified = verified
            .and_then(|found| if found == self.info { Ok(found) } else { Err(self.other()) });
        if let Err(error @ SnapshotError::Damaged { .. }) = verified {
            self.store.remove(&self.temporary)?;
            return Err(error);
        }
        let info = verified?;
        // The names of new sealed parts are durable before that of who needs them.
        self.store.sync_names()?;
        self.store.rename(&self.temporary, &file_name(info.id))?;
        self.store.sync_names()?;
        Ok(info)
    }

    fn other(&self) -> SnapshotError {
        let file = self.store.disk.path(&self.temporary);
        SnapshotError::Damaged { file, offset: 0, what: "not the snapshot that was offered".into() }
    }

    /// Opens or makes the file of a piece.
    fn enter(&mut self, piece: Piece) -> Result<(), SnapshotError> {
        let name = piece.part.map_or_else(|| self.temporary.clone(), receiving_name);
        self.hold.add(name.clone());
        let disk = &self.store.disk;
        let file = match disk.open(&name) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => disk.create(&name),
            opened => opened,
        };
        let file = file.map_err(|source| self.store.error(&name, "make", source))?;
        let have = file.bytes().map_err(|source| self.store.error(&name, "measure", source))?;
        let have = have.min(piece.bytes);
        self.now = Some(Incoming { piece, name, file: GradualFile::new(file), have });
        Ok(())
    }

    /// Verifies the file that comes at present, if all of it came, and goes on to the next.
    fn settle(&mut self) -> Result<(), SnapshotError> {
        while self.now.as_ref().is_some_and(|now| now.have == now.piece.bytes) {
            let Some(incoming) = self.now.take() else { break };
            if let Err(error) = self.accept(&incoming) {
                if matches!(error, SnapshotError::Damaged { .. }) {
                    self.store.remove(&incoming.name)?;
                }
                return Err(error);
            }
            while let Some(piece) = self.parts.pop() {
                if !self.is_here(&piece)? {
                    self.enter(piece)?;
                    break;
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, incoming: &Incoming) -> Result<(), SnapshotError> {
        let synced = incoming.file.sync_all();
        synced.map_err(|source| self.store.error(&incoming.name, "sync", source))?;
        let id = match incoming.piece.part {
            Some(part) => self.store.sealed_id(part),
            None => self.store.snapshot_id(self.info.id),
        };
        if !self.is_sound(&incoming.name, id, &incoming.piece)? {
            return Err(self.other());
        }
        match incoming.piece.part {
            Some(part) => self.store.rename(&incoming.name, &sealed_name(part)),
            None => self.plan_parts(),
        }
    }

    /// What the snapshot's own file names: these files follow it.
    fn plan_parts(&mut self) -> Result<(), SnapshotError> {
        let id = self.store.snapshot_id(self.info.id);
        let main = SectionReader::open(&*self.store.disk, &self.temporary, id)?;
        let mut begin = self.info.file_bytes;
        let mut seen = std::collections::BTreeSet::new();
        for row in super::reader::read_table(&main)? {
            let SnapshotPart::Sealed(part) = row.part else { continue };
            if seen.insert(part) {
                let (bytes, checksum) = (super::section::sealed_bytes(row.bytes), row.checksum);
                self.hold.add(sealed_name(part));
                self.parts.push(Piece { part: Some(part), begin, bytes, checksum });
                begin = begin.saturating_add(bytes);
            }
        }
        if begin != self.info.bytes {
            return Err(self.other());
        }
        self.parts.reverse();
        Ok(())
    }

    /// Whether a sealed part is here already: it was in an earlier snapshot, or came before.
    fn is_here(&self, piece: &Piece) -> Result<bool, SnapshotError> {
        let Some(part) = piece.part else { return Ok(false) };
        match self.is_sound(&sealed_name(part), self.store.sealed_id(part), piece) {
            Err(SnapshotError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                Ok(false)
            }
            Err(SnapshotError::Damaged { .. } | SnapshotError::OtherCluster { .. }) => Ok(false),
            sound => sound,
        }
    }

    /// Reads a file to its end: whether it is the one that was offered.
    fn is_sound(&self, name: &str, id: FileId, piece: &Piece) -> Result<bool, SnapshotError> {
        let mut reader = SectionReader::open(&*self.store.disk, name, id)?;
        while reader.next()?.is_some() {}
        Ok(reader.bytes() == piece.bytes && reader.end.checksum == piece.checksum)
    }

    /// Frees the space of what came.
    fn discard(&mut self) {
        if let Some(incoming) = self.now.take() {
            // Best effort, as all that came can come again.
            drop(self.store.remove(&incoming.name));
        }
        drop(self.store.remove(&self.temporary));
    }
}

/// `snap/120-3-0badcafe.recv`: another snapshot of the same entry has another checksum.
fn temporary_name(info: &SnapshotInfo) -> String {
    let (index, term) = (info.id.index.0, info.id.term.0);
    format!("{SNAPSHOT_DIR}/{index}-{term}-{:08x}.recv", info.checksum)
}

fn receiving_name(part: u64) -> String {
    sealed_name(part).replace(".part", ".recv")
}
