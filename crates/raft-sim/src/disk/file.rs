//! One file: what a read sees, what is on the disk, and what is on its way there.

use std::collections::VecDeque;

use bytes::Bytes;
use raft_node::random::Random;

use super::pages::{PAGE_BYTES, Page, Pages};

/// What a disk writes at once or not at all, unless the power goes just then.
pub const SECTOR_BYTES: usize = 512;

/// Writes that wait for a sync; beyond that the machine writes some back by itself.
const UNSYNCED_MAX: usize = 64;

/// So many earlier versions of pages are remembered.
const OLDER_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct File {
    /// What a read sees.
    pub(super) cache: Pages,
    /// What is there once the power was cut.
    pub(super) durable: Pages,
    unsynced: Vec<(usize, Bytes)>,
    /// What pages held before they were written last, oldest first.
    older: VecDeque<(usize, Page)>,
}

impl File {
    /// What a power cut could not take away. Nobody cuts the power of the copy: what is behind its
    /// cache does not matter.
    pub(super) fn durable_copy(&self) -> Self {
        Self::of(self.durable.clone())
    }

    /// A file of which a read sees this.
    pub(super) fn of(cache: Pages) -> Self {
        Self { cache, ..Self::default() }
    }

    pub(super) fn write(&mut self, offset: usize, bytes: Bytes, random: &mut Random) {
        self.cache.write(offset, &bytes);
        self.unsynced.push((offset, bytes));
        if self.unsynced.len() > UNSYNCED_MAX {
            let at = self.first_of_its_place(random.below(self.unsynced.len() as u64) as usize);
            let (offset, bytes) = self.unsynced.remove(at);
            self.reach_disk(offset, &bytes);
        }
    }

    /// The write comes to the disk at another place: nothing of it waits here any more.
    pub(super) fn lose_last_write(&mut self) {
        self.unsynced.pop();
    }

    pub(super) fn sync(&mut self) {
        for (offset, bytes) in std::mem::take(&mut self.unsynced) {
            self.reach_disk(offset, &bytes);
        }
        self.durable.grow(self.cache.length());
    }

    /// Some of what was not synced reaches the disk, in any order, and the rest never will.
    pub(super) fn write_some_back(&mut self, random: &mut Random) {
        let (mode, sectors) = (random.below(4), if random.below(2) == 0 { 8 } else { 1 });
        for (offset, bytes) in std::mem::take(&mut self.unsynced) {
            // The file may be longer without what was written there: zeros.
            if random.below(2) == 0 {
                self.durable.grow(offset + bytes.len());
            }
            let mut at = 0;
            while at < bytes.len() {
                // Up to the next boundary on the disk.
                let unit = sectors * SECTOR_BYTES;
                let next = ((offset + at) / unit + 1) * unit - offset;
                let end = next.min(bytes.len());
                let survives = match mode {
                    0 => false,
                    1 => true,
                    _ => random.below(2) == 0,
                };
                if survives {
                    self.reach_disk(offset + at, &bytes.slice(at..end));
                }
                at = end;
            }
        }
    }

    /// What a power cut leaves. Garbage stands, perhaps, in the sector that was just being written.
    pub(super) fn lose(&mut self, random: &mut Random) {
        let torn = self.tear(random);
        self.write_some_back(random);
        if let Some((offset, garbage)) = torn {
            self.reach_disk(offset, &garbage.into());
        }
        self.forget_cache();
    }

    /// A sector of what is not synced, and what it becomes if the power goes right now.
    fn tear(&self, random: &mut Random) -> Option<(usize, Vec<u8>)> {
        let torn = !self.unsynced.is_empty() && random.below(2) == 0;
        let at = torn.then(|| random.below(self.unsynced.len() as u64) as usize)?;
        let (offset, bytes) = self.unsynced.get(at)?;
        let end = offset + bytes.len();
        let sectors = offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES);
        let sector = sectors.start + random.below(sectors.len() as u64) as usize;
        let begin = (sector * SECTOR_BYTES).max(*offset);
        let end = ((sector + 1) * SECTOR_BYTES).min(end);
        Some((begin, (begin..end).map(|_| random.next_u64() as u8).collect()))
    }

    pub(super) fn forget_cache(&mut self) {
        self.unsynced.clear();
        self.cache.clone_from(&self.durable);
    }

    /// The page is read from the disk the next time, unless it waits to be written.
    pub(super) fn evict(&mut self, number: usize) {
        let page = number * PAGE_BYTES..(number + 1) * PAGE_BYTES;
        let waits = |(offset, bytes): &(usize, Bytes)| {
            *offset < page.end && page.start < offset + bytes.len()
        };
        if !self.unsynced.iter().any(waits)
            && let Some(durable) = self.durable.page(number)
        {
            self.cache.replace(number, durable.clone());
        }
    }

    /// An earlier version of the page, if it ever held anything else.
    pub(super) fn older_version(&self, number: usize, random: &mut Random) -> Option<Page> {
        let now = self.durable.page(number)?;
        let versions = self.older.iter().filter(|(of, page)| *of == number && page != now);
        let versions: Vec<&Page> = versions.map(|(_, page)| page).collect();
        let at = random.below(versions.len() as u64) as usize;
        versions.get(at).map(|page| Page::clone(page))
    }

    pub(super) fn reach_disk(&mut self, offset: usize, bytes: &Bytes) {
        for number in offset / PAGE_BYTES..(offset + bytes.len()).div_ceil(PAGE_BYTES) {
            if let Some(page) = self.durable.page(number) {
                self.older.push_back((number, page.clone()));
            }
        }
        while self.older.len() > OLDER_MAX {
            self.older.pop_front();
        }
        self.durable.write(offset, bytes);
    }

    /// Two writes to one place reach the disk in their order: the one to go ahead of this one.
    fn first_of_its_place(&self, at: usize) -> usize {
        let overlap =
            |a: &(usize, Bytes), b: &(usize, Bytes)| a.0 < b.0 + b.1.len() && b.0 < a.0 + a.1.len();
        let (mut at, mut earlier) = (at, at);
        while earlier > 0 {
            earlier -= 1;
            if overlap(&self.unsynced[earlier], &self.unsynced[at]) {
                at = earlier;
            }
        }
        at
    }
}
