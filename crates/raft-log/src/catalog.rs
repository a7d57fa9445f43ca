//! Where each block of entries stands: shared by the writer, who adds, and the readers, who look
//! up while it writes. 24 bytes for each block.

use std::collections::BTreeMap;

use raft_core::{Index, LogId};

use crate::slot::{PAGE_BYTES, SlotFile};
use crate::spares::Spare;

/// A block of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockAt {
    pub(crate) first: Index,
    /// Entries that still count: a truncation may have voided the later ones.
    pub(crate) count: u32,
    /// The slot file.
    pub(crate) number: u32,
    pub(crate) page: u32,
    pub(crate) pages: u32,
}

/// A slot in use: the file, and what its blocks must name.
#[derive(Clone, Debug)]
pub(crate) struct SlotUse {
    pub(crate) file: SlotFile,
    pub(crate) slot_seq: u64,
    pub(crate) salt: u64,
    /// The last entry as of when it was taken into use.
    pub(crate) before: LogId,
    /// Where the copy of its header is that a crash tore, if one did.
    pub(crate) torn: Option<u64>,
}

/// Slots that are not needed any more, and with what the log begins then.
#[derive(Debug)]
pub(crate) struct Compaction {
    pub(crate) free: Vec<Spare>,
    pub(crate) first_slot_seq: u64,
    pub(crate) start: LogId,
}

/// All blocks of entries, by index, and the slots that hold them.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) slots: BTreeMap<u32, SlotUse>,
    blocks: Vec<BlockAt>,
}

impl BlockAt {
    pub(crate) fn new(first: Index, count: u32, number: u32, offset: u64, bytes: u64) -> Self {
        let page = PAGE_BYTES as u64;
        let pages = |bytes: u64| u32::try_from(bytes / page).expect("slots are below 16 TiB");
        Self { first, count, number, page: pages(offset), pages: pages(bytes) }
    }

    pub(crate) fn offset(&self) -> u64 {
        u64::from(self.page) * PAGE_BYTES as u64
    }

    pub(crate) fn bytes(&self) -> usize {
        self.pages as usize * PAGE_BYTES
    }

    fn end(&self) -> Index {
        Index(self.first.0 + u64::from(self.count))
    }
}

impl Catalog {
    /// Voids everything from `from` on.
    pub(crate) fn truncate_from(&mut self, from: Index) {
        while self.blocks.last().is_some_and(|block| block.first >= from) {
            self.blocks.pop();
        }
        if let Some(block) = self.blocks.last_mut().filter(|block| block.end() > from) {
            block.count = u32::try_from(from.0 - block.first.0).unwrap_or(block.count);
        }
    }

    pub(crate) fn push(&mut self, block: BlockAt) {
        self.blocks.push(block);
    }

    /// The block that holds `index`.
    pub(crate) fn find(&self, index: Index) -> Option<BlockAt> {
        let at = self.blocks.partition_point(|block| block.end() <= index);
        self.blocks.get(at).filter(|block| block.first <= index).copied()
    }

    /// Takes out the slots that hold nothing but entries up to `through`, but for the newest of
    /// them that make up `keep_bytes`.
    pub(crate) fn compact(&mut self, through: Index, keep_bytes: u64) -> Option<Compaction> {
        let mut slots: Vec<&SlotUse> = self.slots.values().collect();
        slots.sort_by_key(|slot| slot.slot_seq);
        let last = slots.iter().rposition(|slot| self.may_begin_with(slot, through))?;
        let (mut count, mut kept_bytes) = (last, 0);
        while kept_bytes < keep_bytes || !self.may_begin_with(slots.get(count)?, through) {
            kept_bytes += slots.get(count.checked_sub(1)?)?.file.bytes;
            count -= 1;
        }
        let (free, rest) = slots.split_at(count);
        let first = rest.first().filter(|_| !free.is_empty())?;
        let (first_slot_seq, start) = (first.slot_seq, first.before);
        let numbers: Vec<u32> = free.iter().map(|slot| slot.file.number).collect();
        let free = numbers.iter().filter_map(|number| self.slots.remove(number));
        let free = free.map(SlotUse::into_spare).collect();
        self.blocks.retain(|block| !numbers.contains(&block.number));
        Some(Compaction { free, first_slot_seq, start })
    }

    /// Takes out everything.
    pub(crate) fn clear(&mut self) -> Vec<Spare> {
        self.blocks.clear();
        std::mem::take(&mut self.slots).into_values().map(SlotUse::into_spare).collect()
    }

    /// Whether all up to `through` that counts and is older than this slot is in slots before it:
    /// no truncation in it, or behind it, goes back over its beginning.
    fn may_begin_with(&self, slot: &SlotUse, through: Index) -> bool {
        let holder = self.find(slot.before.index).and_then(|at| self.slots.get(&at.number));
        slot.before.index <= through && holder.is_some_and(|held| held.slot_seq < slot.slot_seq)
    }

    /// Blocks of slot file `from` that were rewritten, each to its new offset in file `to`.
    pub(crate) fn relocate(&mut self, from: u32, to: u32, moved: &BTreeMap<u64, u64>) {
        let moved_blocks = self.blocks.iter_mut().rev().take_while(|block| block.number == from);
        for block in moved_blocks {
            if let Some(offset) = moved.get(&block.offset()) {
                *block = BlockAt::new(block.first, block.count, to, *offset, block.bytes() as u64);
            }
        }
    }
}

impl SlotUse {
    fn into_spare(self) -> Spare {
        Spare { file: self.file, recycled: true, torn: self.torn }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_takes_24_bytes() {
        assert_eq!(size_of::<BlockAt>(), 24);
    }

    #[test]
    fn finds_cuts_and_moves_blocks() {
        let mut catalog = Catalog::default();
        catalog.push(BlockAt::new(Index(1), 3, 0, 8192, 4096));
        catalog.push(BlockAt::new(Index(4), 2, 0, 12288, 8192));
        assert_eq!(catalog.find(Index(3)).map(|b| b.offset()), Some(8192));
        assert_eq!(catalog.find(Index(5)).map(|b| b.bytes()), Some(8192));
        assert_eq!(catalog.find(Index(6)), None);
        assert_eq!(catalog.find(Index(0)), None);

        catalog.relocate(0, 7, &BTreeMap::from([(12288, 8192)]));
        assert_eq!(catalog.find(Index(4)).map(|b| (b.number, b.offset())), Some((7, 8192)));
        assert_eq!(catalog.find(Index(1)).map(|b| b.number), Some(0));

        catalog.truncate_from(Index(3));
        assert_eq!(catalog.find(Index(2)).map(|b| b.count), Some(2));
        assert_eq!(catalog.find(Index(3)), None);
    }
}
