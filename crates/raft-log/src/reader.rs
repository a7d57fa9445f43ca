//! Reads entries back from the disk while the writer goes on. Every block is verified as at
//! open: what cannot be proven is an error, never an append to a peer.

use std::sync::Arc;

use bytes::Bytes;
use raft_core::Index;

use crate::block::{BLOCK_HEADER_BYTES, BlockHeader};
use crate::catalog::{BlockAt, SlotUse};
use crate::entry::{Entry, RawEntries};
use crate::error::ReadError;
use crate::slot::slot_name;
use crate::spares::Shared;

/// Reads the log on disk. Cloning is cheap; every clone reads the same log.
#[derive(Clone, Debug)]
pub struct LogReader {
    pub(crate) shared: Arc<Shared>,
}

/// Contiguous entries from the disk, and their encoded bytes in few slices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRange {
    /// The entries; payloads share the slices' memory.
    pub entries: Vec<Entry>,
    /// Exactly these entries, encoded, in order.
    pub encoded: Vec<Bytes>,
}

impl LogReader {
    /// Entries from `first` on: up to `last`, up to about `bytes_max` encoded bytes, up to the
    /// end of what was written; at least one. The caller checks terms: a truncation may happen
    /// at the same time.
    pub fn read(&self, first: Index, last: Index, bytes_max: u64) -> Result<LogRange, ReadError> {
        let mut range = LogRange::default();
        let mut next = first;
        let mut bytes_left = bytes_max;
        while next <= last {
            let found = {
                let catalog = self.shared.catalog();
                catalog.find(next).and_then(|at| Some((at, catalog.slots.get(&at.number)?.clone())))
            };
            let Some((at, slot)) = found else { break };
            let body = match self.read_block(&at, &slot) {
                Err(error) if self.is_current(&slot) => return Err(error),
                // Compacted meanwhile, and taken into use anew.
                Err(_) => break,
                Ok(body) => body,
            };
            let done = self.take(&at, &body, (next, last), &mut bytes_left, &mut range)?;
            next = Index(first.0 + range.entries.len() as u64);
            if done {
                break;
            }
        }
        if range.entries.is_empty() {
            return Err(ReadError::Missing { index: first });
        }
        Ok(range)
    }

    fn is_current(&self, slot: &SlotUse) -> bool {
        let catalog = self.shared.catalog();
        catalog.slots.get(&slot.file.number).is_some_and(|now| now.slot_seq == slot.slot_seq)
    }

    /// Adds the wanted entries of a block; true once the byte limit is reached.
    fn take(
        &self,
        at: &BlockAt,
        body: &Bytes,
        (first, last): (Index, Index),
        bytes_left: &mut u64,
        range: &mut LogRange,
    ) -> Result<bool, ReadError> {
        let (mut begin, mut end) = (body.len(), 0);
        let mut done = false;
        for (place, raw) in (0..at.count).zip(RawEntries::new(body)) {
            let raw = raw.map_err(|error| self.corrupt(at, error.to_string()))?;
            let index = raw.head.index;
            if index != Index(at.first.0 + u64::from(place)) {
                return Err(self.corrupt(at, format!("holds entry {index} in a wrong place")));
            }
            if index < first || index > last {
                continue;
            }
            let size = raw.head.encoded_len as u64;
            if size > *bytes_left && !range.entries.is_empty() {
                done = true;
                break;
            }
            *bytes_left = bytes_left.saturating_sub(size);
            let start = raw.payload_at - crate::entry::ENTRY_HEADER_BYTES;
            begin = begin.min(start);
            end = start + raw.head.encoded_len;
            range.entries.push(Entry {
                index,
                term: raw.head.term,
                kind: raw.head.kind,
                flags: raw.head.flags,
                payload: body.slice(raw.payload_at..raw.payload_at + raw.payload.len()),
            });
        }
        if begin < end {
            range.encoded.push(body.slice(begin..end));
        } else if !done {
            return Err(self.corrupt(at, format!("does not hold entry {first}")));
        }
        Ok(done)
    }

    /// The verified body of a block.
    fn read_block(&self, at: &BlockAt, slot: &SlotUse) -> Result<Bytes, ReadError> {
        let mut block = vec![0; at.bytes()];
        let count = slot.file.file.read_at(&mut block, at.offset()).map_err(|source| {
            ReadError::Io { file: self.shared.disk.path(&slot_name(at.number)), source }
        })?;
        if count != block.len() {
            return Err(self.corrupt(at, "the file ends within this block".into()));
        }
        let header = BlockHeader::decode(&block, at.offset())
            .map(|(header, _)| header)
            .filter(|header| header.slot_seq == slot.slot_seq && header.salt == slot.salt)
            .filter(|header| header.first == at.first)
            .ok_or_else(|| self.corrupt(at, "not the block that was written here".into()))?;
        let block = Bytes::from(block);
        let end = BLOCK_HEADER_BYTES.saturating_add(header.body_len as usize);
        if end > block.len() {
            return Err(self.corrupt(at, "the block is longer than it was".into()));
        }
        let body = block.slice(BLOCK_HEADER_BYTES..end);
        if crc32c::crc32c(&body) != header.body_crc {
            return Err(self.corrupt(at, "body checksum mismatch".into()));
        }
        Ok(body)
    }

    fn corrupt(&self, at: &BlockAt, what: String) -> ReadError {
        let file = self.shared.disk.path(&slot_name(at.number));
        ReadError::Corrupt { file, offset: at.offset(), what }
    }
}
