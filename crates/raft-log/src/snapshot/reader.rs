//! Reads a snapshot: as a stream to restore from, and in pieces to send. Nothing is passed on
//! that its checksum does not confirm; what is sent is confirmed by the receiver.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use raft_core::LogId;

use super::section::{
    HEADER_BYTES, SECTION_BYTES_MAX, SECTION_HEADER_BYTES, SectionKind, SectionReader,
};
use super::{Hold, ROW_BYTES, Row, SnapshotInfo, SnapshotPart, Store, file_name, sealed_name};
use crate::error::SnapshotError;

/// An open snapshot. It is not removed as long as it is open.
#[derive(Debug)]
pub struct SnapshotReader {
    store: Arc<Store>,
    info: SnapshotInfo,
    name: String,
    rows: Vec<Row>,
    /// The files in the order in which they are sent: name, where it begins, where it ends.
    files: Vec<(String, u64, u64)>,
    _hold: Hold,
}

/// The state machine's parts, one after another, verified as they are read.
#[derive(Debug)]
pub struct StateReader<'a> {
    snapshot: &'a SnapshotReader,
    main: SectionReader,
    own: Vec<u8>,
    /// A section of the main file that was read ahead.
    ahead: Option<(SectionKind, u32, Vec<u8>)>,
    /// The part that is being read, what is left of it, and its file, if it is sealed.
    part: usize,
    left: u64,
    sealed: Option<SectionReader>,
    /// What was verified and not yet taken.
    ready: Bytes,
    done: bool,
}

impl SnapshotReader {
    pub(super) fn open(store: &Arc<Store>, id: LogId) -> Result<Self, SnapshotError> {
        Self::open_as(store, id, file_name(id))
    }

    /// Opens a snapshot whose file has another name so far.
    pub(super) fn open_as(
        store: &Arc<Store>,
        id: LogId,
        name: String,
    ) -> Result<Self, SnapshotError> {
        let mut hold = Hold::new(store);
        hold.add(name.clone());
        let main = SectionReader::open(&*store.disk, &name, store.snapshot_id(id))?;
        let rows = read_table(&main)?;
        let mut files = vec![(name.clone(), 0, main.bytes())];
        let mut bytes = main.bytes();
        let mut seen = BTreeSet::new();
        for row in &rows {
            let SnapshotPart::Sealed(part) = row.part else { continue };
            let file = sealed_name(part);
            hold.add(file.clone());
            let sealed = open_sealed(store, part, row)?;
            if seen.insert(part) {
                files.push((file, bytes, bytes + sealed.bytes()));
                bytes += sealed.bytes();
            }
        }
        let (file_bytes, checksum) = (main.bytes(), main.end.checksum);
        let info = SnapshotInfo { id, file_bytes, bytes, checksum };
        Ok(Self { store: Arc::clone(store), info, name, rows, files, _hold: hold })
    }

    /// Which snapshot, and how much it is to send.
    #[must_use]
    pub fn info(&self) -> SnapshotInfo {
        self.info
    }

    /// The cluster that it is of.
    #[must_use]
    pub fn cluster(&self) -> u128 {
        self.store.cluster
    }

    /// The parts, in order.
    #[must_use]
    pub fn parts(&self) -> Vec<SnapshotPart> {
        self.rows.iter().map(|row| row.part).collect()
    }

    /// Begins to read the contents from the start: the driver's own bytes, and then, by what this
    /// returns, the state.
    pub fn contents(&self) -> Result<StateReader<'_>, SnapshotError> {
        let id = self.store.snapshot_id(self.info.id);
        let main = SectionReader::open(&*self.store.disk, &self.name, id)?;
        if main.end.checksum != self.info.checksum {
            return Err(main.damaged(0, "another snapshot took its place"));
        }
        let mut reader = StateReader {
            snapshot: self,
            main,
            own: Vec::new(),
            ahead: None,
            part: 0,
            left: 0,
            sealed: None,
            ready: Bytes::new(),
            done: false,
        };
        reader.read_own()?;
        reader.enter_part()?;
        Ok(reader)
    }

    /// Why the contents could not be used, from what whoever read them was told or says.
    #[must_use]
    pub fn unusable(&self, error: io::Error) -> SnapshotError {
        let file = self.store.disk.path(&self.name);
        match error.kind() {
            io::ErrorKind::InvalidData => match error.downcast() {
                Ok(damage) => damage,
                Err(source) => SnapshotError::Unusable { file, source },
            },
            io::ErrorKind::Unsupported | io::ErrorKind::UnexpectedEof => {
                SnapshotError::Unusable { file, source: error }
            }
            _ => SnapshotError::Io { doing: "read", path: file, source: error },
        }
    }

    /// Reads all of it: whether it is what was written.
    pub fn verify(&self) -> Result<(), SnapshotError> {
        self.verify_showing(&mut |_| {})
    }

    /// The same; tells how many bytes of the state were read.
    pub(super) fn verify_showing(
        &self,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), SnapshotError> {
        let (mut contents, mut done) = (self.contents()?, 0);
        while contents.fill()? {
            done += std::mem::take(&mut contents.ready).len() as u64;
            progress(done);
        }
        Ok(())
    }

    /// Bytes of each part, in order.
    pub(super) fn part_bytes(&self) -> impl Iterator<Item = u64> {
        self.rows.iter().map(|row| row.bytes)
    }

    /// Bytes from `offset` of all its files together, to be sent: at most `bytes_max`, and fewer
    /// where a file ends. None at the very end.
    pub fn read_at(&self, offset: u64, bytes_max: usize) -> Result<Bytes, SnapshotError> {
        let file = self.files.iter().find(|(_, begin, end)| (*begin..*end).contains(&offset));
        let Some((name, begin, end)) = file else { return Ok(Bytes::new()) };
        let error = |source| self.store.error(name, "read", source);
        let length = usize::try_from(end - offset).unwrap_or(usize::MAX).min(bytes_max);
        let mut bytes = vec![0; length];
        let file = self.store.disk.open(name).map_err(error)?;
        let read = file.read_at(&mut bytes, offset - begin).map_err(error)?;
        bytes.truncate(read);
        if bytes.is_empty() && bytes_max > 0 {
            return Err(error(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(bytes.into())
    }
}

impl StateReader<'_> {
    /// The driver's own bytes.
    #[must_use]
    pub fn own(&self) -> &[u8] {
        &self.own
    }

    /// The same, for good: there are none after it.
    #[must_use]
    pub fn take_own(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.own)
    }

    fn read_own(&mut self) -> Result<(), SnapshotError> {
        while let Some((section, body)) = self.main.next()? {
            if section.kind != SectionKind::Own {
                self.ahead = Some((section.kind, section.part, body));
                break;
            }
            self.own.extend_from_slice(&body);
        }
        if self.own.len() as u64 != self.main.end.own_bytes {
            return Err(self.main.damaged(0, "its own sections are not as long as the end says"));
        }
        Ok(())
    }

    /// Goes on to the part of that number.
    fn enter_part(&mut self) -> Result<(), SnapshotError> {
        self.sealed = None;
        if let Some(row) = self.snapshot.rows.get(self.part) {
            self.left = row.bytes;
            if let SnapshotPart::Sealed(name) = row.part {
                self.sealed = Some(open_sealed(&self.snapshot.store, name, row)?);
            }
        }
        Ok(())
    }

    /// Makes the next section ready; false at the end of all parts.
    fn fill(&mut self) -> Result<bool, SnapshotError> {
        while !self.done {
            if self.part >= self.snapshot.rows.len() {
                self.finish()?;
                self.done = true;
            } else if let Some(sealed) = &mut self.sealed {
                // Read to the end, which is verified, also when all bytes came.
                if let Some((section, body)) = sealed.next()? {
                    let long = body.len() as u64 > self.left;
                    if long || section.kind != SectionKind::Part {
                        return Err(sealed.damaged(0, "other sections than the part has"));
                    }
                    self.left -= body.len() as u64;
                    self.ready = body.into();
                    return Ok(true);
                }
                self.leave_part()?;
            } else if self.left > 0 {
                let next = match self.ahead.take() {
                    Some(ahead) => Some(ahead),
                    None => self.main.next()?.map(|(head, body)| (head.kind, head.part, body)),
                };
                let wanted = u32::try_from(self.part).unwrap_or(u32::MAX);
                let right = next.filter(|(kind, part, body)| {
                    *kind == SectionKind::Part && *part == wanted && body.len() as u64 <= self.left
                });
                let Some((_, _, body)) = right else {
                    return Err(self.main.damaged(0, "other sections than the list of parts says"));
                };
                self.left -= body.len() as u64;
                self.ready = body.into();
                return Ok(true);
            } else {
                self.leave_part()?;
            }
        }
        Ok(false)
    }

    fn leave_part(&mut self) -> Result<(), SnapshotError> {
        if self.left > 0 {
            return Err(self.main.damaged(0, "a part is shorter than the list of parts says"));
        }
        self.part += 1;
        self.enter_part()
    }

    /// Behind the parts there is the list of them, which was read already, and the end.
    fn finish(&mut self) -> Result<(), SnapshotError> {
        let mut next = self.ahead.take().map(|(kind, ..)| kind);
        loop {
            let kind = match next.take() {
                Some(kind) => Some(kind),
                None => self.main.next()?.map(|(section, _)| section.kind),
            };
            match kind {
                None => return Ok(()),
                Some(SectionKind::Table) => {}
                Some(_) => {
                    return Err(self.main.damaged(0, "other sections than the list of parts says"));
                }
            }
        }
    }
}

impl Read for StateReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() {
            let more = self.fill().map_err(|error| match error {
                SnapshotError::Io { source, .. } => source,
                error => io::Error::new(io::ErrorKind::InvalidData, error),
            })?;
            if !more {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.ready.len());
        let (now, to) = (self.ready.split_to(count), buffer.get_mut(..count));
        to.unwrap_or_default().copy_from_slice(&now);
        Ok(count)
    }
}

/// Opens the file of a sealed part and sees whether it is the one that the list names.
fn open_sealed(store: &Store, name: u64, row: &Row) -> Result<SectionReader, SnapshotError> {
    let file = SectionReader::open(&*store.disk, &sealed_name(name), store.sealed_id(name));
    let file = match file {
        Err(SnapshotError::Io { path, source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            let what = "a part of a snapshot is missing".into();
            return Err(SnapshotError::Damaged { file: path, offset: 0, what });
        }
        file => file?,
    };
    if (file.end.checksum, file.end.part_bytes) != (row.checksum, row.bytes) {
        return Err(file.damaged(0, "another part than the snapshot names"));
    }
    Ok(file)
}

/// The list of parts, which stands right before the end.
pub(super) fn read_table(main: &SectionReader) -> Result<Vec<Row>, SnapshotError> {
    let damaged = || main.damaged(0, "the list of parts is damaged");
    let body_bytes = main.end.parts.checked_mul(ROW_BYTES as u64).ok_or_else(damaged)?;
    let sections = body_bytes.div_ceil(SECTION_BYTES_MAX as u64);
    let table_bytes = body_bytes.checked_add(sections * SECTION_HEADER_BYTES as u64);
    let begin = main.end_at().checked_sub(table_bytes.ok_or_else(damaged)?);
    let begin = begin.filter(|at| *at >= HEADER_BYTES as u64);
    let mut at = begin.ok_or_else(damaged)?;
    let mut rows = Vec::new();
    let mut rest = Vec::new();
    for _ in 0..sections {
        let (section, body) = main.section_at(at)?;
        if section.kind != SectionKind::Table {
            return Err(damaged());
        }
        at += (SECTION_HEADER_BYTES + body.len()) as u64;
        rest.extend_from_slice(&body);
    }
    let (whole, cut) = rest.as_chunks::<ROW_BYTES>();
    for row in whole {
        rows.push(Row::decode(row).ok_or_else(damaged)?);
    }
    let bytes = rows.iter().try_fold(0_u64, |sum, row| sum.checked_add(row.bytes));
    if !cut.is_empty() || at != main.end_at() || bytes != Some(main.end.part_bytes) {
        return Err(damaged());
    }
    Ok(rows)
}
