//! Reads a slot's blocks one after another and judges where they end.

use std::path::PathBuf;

use raft_core::{HardState, Index};

use crate::block::{BLOCK_HEADER_BYTES, BlockHeader, Flags};
use crate::disk::Disk;
use crate::entry::NUMBER_MAX;
use crate::error::OpenError;
use crate::slot::{PAGE_BYTES, SlotFile, SlotHeader, slot_name};

/// So much is read at once.
const READ_AHEAD_BYTES: usize = 1024 * 1024;

/// A slot with a valid header, being read.
#[derive(Debug)]
pub(crate) struct SlotScan<'a> {
    pub(crate) file: &'a SlotFile,
    pub(crate) header: &'a SlotHeader,
    path: PathBuf,
    buffer: Vec<u8>,
    buffer_at: u64,
}

/// A block that was found valid.
#[derive(Debug)]
pub(crate) struct Block<'b> {
    pub(crate) header: BlockHeader,
    pub(crate) crc: u32,
    pub(crate) body: &'b [u8],
}

/// Why there is no valid block at a place.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) what: &'static str,
    /// Something was there: not zeros, and not certainly left over from an earlier use.
    pub(crate) ambiguous: bool,
    /// Its header, if that at least is valid.
    pub(crate) header: Option<BlockHeader>,
}

/// What stands behind the place where valid blocks end.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    /// The highest block known durable by what is said there, and the index before the first
    /// block that is still readable.
    pub(crate) synced_seq: u64,
    pub(crate) resumes_at: Option<Index>,
    /// Hard states in valid blocks, with the block's number.
    pub(crate) hard_states: Vec<(HardState, u64)>,
    /// Whether any valid block is there.
    pub(crate) any: bool,
}

impl<'a> SlotScan<'a> {
    pub(crate) fn new(disk: &dyn Disk, file: &'a SlotFile, header: &'a SlotHeader) -> Self {
        let path = disk.path(&slot_name(file.number));
        Self { file, header, path, buffer: Vec::new(), buffer_at: 0 }
    }

    /// The block at `offset`, or what is wrong with what is there.
    pub(crate) fn block(&mut self, offset: u64) -> Result<Result<Block<'_>, Flaw>, OpenError> {
        let Some(page) = self.bytes(offset, PAGE_BYTES)? else {
            let what = "the slot ends";
            return Ok(Err(Flaw { what, ambiguous: false, header: None }));
        };
        let empty = page.iter().all(|byte| *byte == 0);
        let Some((header, crc)) = self.header_at(offset)? else {
            return Ok(Err(self.flaw(offset, empty)?));
        };
        self.check_known(&header, offset)?;
        let length = BLOCK_HEADER_BYTES.saturating_add(header.body_len as usize);
        let body = self.bytes(offset, length)?.map(|bytes| &bytes[BLOCK_HEADER_BYTES..]);
        match body.filter(|body| crc32c::crc32c(body) == header.body_crc) {
            // Looked up again to end the loan of the failing case.
            Some(_) => {
                let body = self.bytes(offset, length)?.map(|bytes| &bytes[BLOCK_HEADER_BYTES..]);
                Ok(Ok(Block { header, crc, body: body.unwrap_or_default() }))
            }
            None => {
                let what = "the block's body does not match its checksum";
                Ok(Err(Flaw { what, ambiguous: true, header: Some(header) }))
            }
        }
    }

    /// Looks at every page from `offset` to the slot's end.
    pub(crate) fn behind(&mut self, offset: u64) -> Result<Behind, OpenError> {
        let mut behind = Behind::default();
        let mut at = offset;
        while at + PAGE_BYTES as u64 <= self.header.slot_bytes {
            if let Some((header, _)) = self.header_at(at)? {
                behind.any = true;
                behind.synced_seq = behind.synced_seq.max(header.synced_seq);
                behind.resumes_at.get_or_insert(header.first);
                let counted = header.hard_state.term.0 < NUMBER_MAX;
                if header.flags.has(Flags::HARD_STATE) && counted {
                    behind.hard_states.push((header.hard_state, header.block_seq));
                }
            }
            at += PAGE_BYTES as u64;
        }
        Ok(behind)
    }

    /// The verdict "damaged", with all that is known of it.
    pub(crate) fn damaged(
        &self,
        offset: u64,
        what: impl Into<String>,
        first: Option<Index>,
        last: Option<Index>,
    ) -> OpenError {
        OpenError::Damaged { file: self.path.clone(), offset, what: what.into(), first, last }
    }

    /// The path, for notes.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The header of a block of this slot's present use.
    fn header_at(&mut self, offset: u64) -> Result<Option<(BlockHeader, u32)>, OpenError> {
        let (slot_seq, salt) = (self.header.slot_seq, self.header.salt);
        let Some(page) = self.bytes(offset, BLOCK_HEADER_BYTES)? else { return Ok(None) };
        let found = BlockHeader::decode(page, offset);
        Ok(found.filter(|(header, _)| header.slot_seq == slot_seq && header.salt == salt))
    }

    fn flaw(&mut self, offset: u64, empty: bool) -> Result<Flaw, OpenError> {
        let (slot_seq, salt) = (self.header.slot_seq, self.header.salt);
        let recycled = self.header.recycled;
        let page = self.bytes(offset, PAGE_BYTES)?.unwrap_or_default();
        let resembles = BlockHeader::resembles(page, slot_seq, salt);
        // In a slot that was used before, whatever does not look like a block of the present
        // use is taken for old bytes.
        let ambiguous = resembles || !(empty || recycled);
        let what = match (empty, ambiguous) {
            (true, _) => "the page is empty",
            (_, true) => "the block's header does not match its checksum",
            _ => "there is no block of this use of the slot",
        };
        Ok(Flaw { what, ambiguous, header: None })
    }

    fn check_known(&self, header: &BlockHeader, offset: u64) -> Result<(), OpenError> {
        let unknown = header.flags.unknown();
        if unknown != 0 || header.group != 0 {
            let version =
                format!("1 with block kind {unknown:#x}, group {} at byte {offset}", header.group);
            return Err(OpenError::TooNew { file: self.path.clone(), version });
        }
        Ok(())
    }

    /// `length` bytes at `offset`; `None` if they are not all within the slot.
    fn bytes(&mut self, offset: u64, length: usize) -> Result<Option<&[u8]>, OpenError> {
        if offset.saturating_add(length as u64) > self.header.slot_bytes {
            return Ok(None);
        }
        let held = self.buffer_at <= offset
            && offset + length as u64 <= self.buffer_at + self.buffer.len() as u64;
        if !held {
            let rest = usize::try_from(self.header.slot_bytes - offset).unwrap_or(usize::MAX);
            self.buffer = vec![0; length.max(READ_AHEAD_BYTES.min(rest))];
            self.buffer_at = offset;
            let read = self.file.file.read_at(&mut self.buffer, offset).map_err(|source| {
                OpenError::Io { doing: "read", path: self.path.clone(), source }
            })?;
            self.buffer.truncate(read);
        }
        let start = usize::try_from(offset - self.buffer_at).unwrap_or(usize::MAX);
        Ok(self.buffer.get(start..start.saturating_add(length)))
    }
}
