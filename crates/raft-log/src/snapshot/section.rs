//! Section files: snapshots, and the sealed parts that snapshots share. A header says whose and
//! which it is; sections of at most 1 MiB follow, each with a checksum; the last one counts all
//! before it, so that a file that was cut is noticed at once.

use std::io;
use std::path::PathBuf;

use super::gradual::GradualFile;
use crate::disk::{Disk, DiskFile};
use crate::entry::NUMBER_MAX;
use crate::error::SnapshotError;
use crate::le;

/// Bytes before the first section.
pub(super) const HEADER_BYTES: usize = 128;
/// Bytes before a section's body.
pub(super) const SECTION_HEADER_BYTES: usize = 32;
/// No section's body is larger.
pub(super) const SECTION_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the last section's body.
const END_BODY_BYTES: usize = 40;
const END_BYTES: usize = SECTION_HEADER_BYTES + END_BODY_BYTES;

const MAJOR: u16 = 1;
const SECTION_MAGIC: u32 = u32::from_le_bytes(*b"RSEC");

/// What a file is: its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Snapshot,
    /// A part that never changes, in a file of its own.
    Sealed,
}

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SectionKind {
    /// Bytes of whoever drives the state machine.
    Own = 1,
    /// Bytes of a part of the state machine.
    Part = 2,
    /// The list of parts.
    Table = 3,
    /// The end.
    End = 4,
}

/// Which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    pub(super) kind: FileKind,
    pub(super) cluster: u128,
    /// Index and term of the last entry; the name of a sealed part, and zero.
    pub(super) numbers: (u64, u64),
}

/// What the last section says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// Sections before this one.
    pub(super) sections: u64,
    /// Bytes of the owner's own sections.
    pub(super) own_bytes: u64,
    /// Rows of the list of parts.
    pub(super) parts: u64,
    /// Bytes of parts in this file and in the sealed ones that it names.
    pub(super) part_bytes: u64,
    /// Checksum of the file's header and of all sections' headers before this one.
    pub(super) checksum: u32,
}

/// A section's header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    pub(super) kind: SectionKind,
    pub(super) part: u32,
    length: usize,
    body_crc: u32,
    bytes: [u8; SECTION_HEADER_BYTES],
}

impl FileKind {
    const fn magic(self) -> [u8; 8] {
        match self {
            Self::Snapshot => *b"RAFTSNAP",
            Self::Sealed => *b"RAFTPART",
        }
    }
}

impl FileId {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        le::put(&mut bytes, 0, &self.kind.magic());
        le::put(&mut bytes, 8, &MAJOR.to_le_bytes());
        le::put_u128(&mut bytes, 32, self.cluster);
        le::put_u64(&mut bytes, 48, self.numbers.0);
        le::put_u64(&mut bytes, 56, self.numbers.1);
        let crc = crc_without(&bytes, 12);
        le::put_u32(&mut bytes, 12, crc);
        bytes
    }

    /// What is wrong with a header that should be this one.
    fn check(&self, bytes: &[u8; HEADER_BYTES]) -> Result<(), Verdict> {
        let found = Self::decode(self.kind, bytes)?;
        if found.cluster != self.cluster {
            let (found, ours) = (found.cluster, self.cluster);
            return Err(Verdict::OtherCluster(format!(
                "a snapshot of cluster {found:032x}; this is cluster {ours:032x}"
            )));
        }
        if found.numbers != self.numbers {
            return Err(Verdict::Damaged("it was made under another name".into()));
        }
        Ok(())
    }

    /// Which file of this kind a header belongs to.
    fn decode(kind: FileKind, bytes: &[u8; HEADER_BYTES]) -> Result<Self, Verdict> {
        let damaged = |what: &str| Err(Verdict::Damaged(what.into()));
        if !bytes.starts_with(&kind.magic()) {
            return damaged("no snapshot, or its first bytes are damaged");
        }
        if le::u32_at(bytes, 12) != crc_without(bytes, 12) {
            return damaged("the header does not match its checksum");
        }
        let (major, features) = (le::u16_at(bytes, 8), le::u64_at(bytes, 16));
        if major != MAJOR || features != 0 {
            let minor = le::u16_at(bytes, 10);
            return Err(Verdict::TooNew(format!("{major}.{minor} with features {features:#x}")));
        }
        let numbers = (le::u64_at(bytes, 48), le::u64_at(bytes, 56));
        Ok(Self { kind, cluster: le::u128_at(bytes, 32), numbers })
    }
}

impl Section {
    pub(super) fn encode(kind: SectionKind, part: u32, body: &[u8]) -> [u8; SECTION_HEADER_BYTES] {
        let mut bytes = [0; SECTION_HEADER_BYTES];
        le::put_u32(&mut bytes, 0, SECTION_MAGIC);
        le::put_u32(&mut bytes, 8, kind as u32);
        le::put_u32(&mut bytes, 12, part);
        le::put_u64(&mut bytes, 16, body.len() as u64);
        le::put_u32(&mut bytes, 24, crc32c::crc32c(body));
        let crc = crc_without(&bytes, 4);
        le::put_u32(&mut bytes, 4, crc);
        bytes
    }

    fn decode(bytes: &[u8; SECTION_HEADER_BYTES]) -> Result<Self, &'static str> {
        if le::u32_at(bytes, 0) != SECTION_MAGIC || le::u32_at(bytes, 4) != crc_without(bytes, 4) {
            return Err("a section's header does not match its checksum");
        }
        let kind = match le::u32_at(bytes, 8) {
            1 => SectionKind::Own,
            2 => SectionKind::Part,
            3 => SectionKind::Table,
            4 => SectionKind::End,
            _ => return Err("a section of a kind that does not exist"),
        };
        let length = le::u64_at(bytes, 16);
        let length = usize::try_from(length).ok().filter(|length| *length <= SECTION_BYTES_MAX);
        let length = length.ok_or("a section longer than 1 MiB")?;
        let (part, body_crc) = (le::u32_at(bytes, 12), le::u32_at(bytes, 24));
        Ok(Self { kind, part, length, body_crc, bytes: *bytes })
    }
}

impl End {
    pub(super) fn encode(&self) -> [u8; END_BODY_BYTES] {
        let mut bytes = [0; END_BODY_BYTES];
        le::put_u64(&mut bytes, 0, self.sections);
        le::put_u64(&mut bytes, 8, self.own_bytes);
        le::put_u64(&mut bytes, 16, self.parts);
        le::put_u64(&mut bytes, 24, self.part_bytes);
        le::put_u32(&mut bytes, 32, self.checksum);
        bytes
    }

    fn decode(bytes: &[u8; END_BODY_BYTES]) -> Option<Self> {
        let at = |offset| le::u64_at(bytes, offset);
        let (sections, own_bytes, parts, part_bytes) = (at(0), at(8), at(16), at(24));
        let highest = [sections, own_bytes, parts, part_bytes].into_iter().max();
        let checksum = le::u32_at(bytes, 32);
        let end = Self { sections, own_bytes, parts, part_bytes, checksum };
        (highest < Some(NUMBER_MAX)).then_some(end)
    }
}

/// What is wrong with a file.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Damaged(String),
    TooNew(String),
    OtherCluster(String),
}

/// A section file whose header and end were found right, being read.
#[derive(Debug)]
pub(super) struct SectionReader {
    file: std::sync::Arc<dyn DiskFile>,
    path: PathBuf,
    bytes: u64,
    pub(super) end: End,
    /// Where the next section begins, how many there were, and the checksum so far.
    offset: u64,
    sections: u64,
    checksum: u32,
    done: bool,
}

impl SectionReader {
    /// Opens a file and looks at its header and its end.
    pub(super) fn open(disk: &dyn Disk, name: &str, id: FileId) -> Result<Self, SnapshotError> {
        let (reader, header) = Self::begin(disk, name)?;
        id.check(&header).map_err(|verdict| reader.refused(verdict))?;
        reader.with_end(&header)
    }

    /// The same with a snapshot of which only its own header says which one it is.
    pub(super) fn open_any(disk: &dyn Disk, name: &str) -> Result<(Self, FileId), SnapshotError> {
        let (reader, header) = Self::begin(disk, name)?;
        let id = FileId::decode(FileKind::Snapshot, &header);
        let id = id.map_err(|verdict| reader.refused(verdict))?;
        let (index, term) = id.numbers;
        if index == 0 || index.max(term) >= NUMBER_MAX {
            return Err(reader.damaged(0, "a snapshot of an entry that cannot be"));
        }
        Ok((reader.with_end(&header)?, id))
    }

    fn begin(disk: &dyn Disk, name: &str) -> Result<(Self, [u8; HEADER_BYTES]), SnapshotError> {
        let path = disk.path(name);
        let io = |source| SnapshotError::Io { doing: "read", path: disk.path(name), source };
        let file = disk.open(name).map_err(io)?;
        let bytes = file.bytes().map_err(io)?;
        let reader = Self {
            file,
            path,
            bytes,
            end: End::default(),
            offset: HEADER_BYTES as u64,
            sections: 0,
            checksum: 0,
            done: false,
        };
        if bytes < (HEADER_BYTES + END_BYTES) as u64 {
            return Err(reader.damaged(0, "the file was cut"));
        }
        let mut header = [0; HEADER_BYTES];
        reader.read_exact(&mut header, 0)?;
        Ok((reader, header))
    }

    fn with_end(mut self, header: &[u8; HEADER_BYTES]) -> Result<Self, SnapshotError> {
        self.checksum = crc32c::crc32c(header);
        self.end = self.read_end(self.end_at())?;
        Ok(self)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where the end begins.
    pub(super) fn end_at(&self) -> u64 {
        self.bytes - END_BYTES as u64
    }

    /// The next section and its verified body; `None` at the end, which is verified too.
    pub(super) fn next(&mut self) -> Result<Option<(Section, Vec<u8>)>, SnapshotError> {
        if self.done {
            return Ok(None);
        }
        let at = self.offset;
        if at == self.end_at() {
            if self.end.sections != self.sections || self.end.checksum != self.checksum {
                return Err(self.damaged(at, "the end counts other sections than there are"));
            }
            self.done = true;
            return Ok(None);
        }
        let (section, body) = self.section_at(at)?;
        self.checksum = crc32c::crc32c_append(self.checksum, &section.bytes);
        self.sections += 1;
        self.offset += (SECTION_HEADER_BYTES + section.length) as u64;
        Ok(Some((section, body)))
    }

    /// The section that begins at `at`, and its verified body.
    pub(super) fn section_at(&self, at: u64) -> Result<(Section, Vec<u8>), SnapshotError> {
        let mut head = [0; SECTION_HEADER_BYTES];
        self.read_exact(&mut head, at)?;
        let section = Section::decode(&head).map_err(|what| self.damaged(at, what))?;
        let body_at = at + SECTION_HEADER_BYTES as u64;
        if body_at + section.length as u64 > self.end_at() {
            return Err(self.damaged(at, "a section reaches behind the last one"));
        }
        let mut body = vec![0; section.length];
        self.read_exact(&mut body, body_at)?;
        if crc32c::crc32c(&body) != section.body_crc {
            return Err(self.damaged(at, "a section does not match its checksum"));
        }
        Ok((section, body))
    }

    pub(super) fn damaged(&self, offset: u64, what: &str) -> SnapshotError {
        SnapshotError::Damaged { file: self.path.clone(), offset, what: what.into() }
    }

    fn refused(&self, verdict: Verdict) -> SnapshotError {
        let file = self.path.clone();
        match verdict {
            Verdict::Damaged(what) => SnapshotError::Damaged { file, offset: 0, what },
            Verdict::TooNew(version) => SnapshotError::TooNew { file, version },
            Verdict::OtherCluster(what) => SnapshotError::OtherCluster { file, what },
        }
    }

    fn read_end(&self, at: u64) -> Result<End, SnapshotError> {
        let (mut head, mut body) = ([0; SECTION_HEADER_BYTES], [0; END_BODY_BYTES]);
        self.read_exact(&mut head, at)?;
        self.read_exact(&mut body, at + SECTION_HEADER_BYTES as u64)?;
        let section = Section::decode(&head).ok();
        let right = section.filter(|section| {
            (section.kind, section.length) == (SectionKind::End, END_BODY_BYTES)
                && section.body_crc == crc32c::crc32c(&body)
        });
        let end = right.and_then(|_| End::decode(&body));
        end.ok_or_else(|| self.damaged(at, "the end is missing or damaged: the file was cut"))
    }

    fn read_exact(&self, buffer: &mut [u8], offset: u64) -> Result<(), SnapshotError> {
        let read = self.file.read_at(buffer, offset).map_err(|source| SnapshotError::Io {
            doing: "read",
            path: self.path.clone(),
            source,
        })?;
        if read < buffer.len() {
            return Err(self.damaged(offset, "the file was cut"));
        }
        Ok(())
    }
}

/// Writes a section file, front to back.
#[derive(Debug)]
pub(super) struct SectionWriter {
    file: GradualFile,
    offset: u64,
    sections: u64,
    checksum: u32,
    pending: Vec<u8>,
}

impl SectionWriter {
    pub(super) fn create(disk: &dyn Disk, name: &str, id: FileId) -> io::Result<Self> {
        let mut file = GradualFile::new(disk.create(name)?);
        let header = id.encode();
        file.write_at(&[&header], 0)?;
        let checksum = crc32c::crc32c(&header);
        let offset = HEADER_BYTES as u64;
        Ok(Self { file, offset, sections: 0, checksum, pending: Vec::new() })
    }

    /// Adds bytes to the sections of this kind and part.
    pub(super) fn add(&mut self, kind: SectionKind, part: u32, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = SECTION_BYTES_MAX - self.pending.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.pending.extend_from_slice(now);
            bytes = later;
            if self.pending.len() == SECTION_BYTES_MAX {
                self.flush(kind, part)?;
            }
        }
        Ok(())
    }

    /// Ends the sections of this kind and part.
    pub(super) fn flush(&mut self, kind: SectionKind, part: u32) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let head = Section::encode(kind, part, &self.pending);
        self.file.write_at(&[&head, &self.pending], self.offset)?;
        self.checksum = crc32c::crc32c_append(self.checksum, &head);
        self.sections += 1;
        self.offset += (head.len() + self.pending.len()) as u64;
        self.pending.clear();
        Ok(())
    }

    /// Writes the end and makes all durable but the name; tells what the end says.
    pub(super) fn finish(mut self, counts: End) -> io::Result<End> {
        let end = End { sections: self.sections, checksum: self.checksum, ..counts };
        let body = end.encode();
        let head = Section::encode(SectionKind::End, 0, &body);
        self.file.write_at(&[&head, &body], self.offset)?;
        self.file.sync_all()?;
        Ok(end)
    }
}

/// How long the file of a sealed part of so many bytes is.
pub(super) fn sealed_bytes(part_bytes: u64) -> u64 {
    let sections = part_bytes.div_ceil(SECTION_BYTES_MAX as u64);
    let heads = sections.saturating_mul(SECTION_HEADER_BYTES as u64);
    part_bytes.saturating_add(heads).saturating_add((HEADER_BYTES + END_BYTES) as u64)
}

/// The checksum of all bytes but the four at `at`.
fn crc_without(bytes: &[u8], at: usize) -> u32 {
    let crc = crc32c::crc32c(bytes.get(..at).unwrap_or_default());
    crc32c::crc32c_append(crc, bytes.get(at + 4..).unwrap_or_default())
}
