//! The two large tables of a search, as flat as can be: a hundred million entries fit in memory,
//! and their order depends on their contents alone.

use super::fingerprint::scramble;

/// Shards, so that growing one copies little.
const SHARDS: usize = 64;

/// A set of fingerprints: 16 bytes each, and room for as many again at worst.
pub(super) struct Visited {
    shards: Vec<Shard>,
}

#[derive(Default)]
struct Shard {
    /// A power of two of them; zero is empty.
    slots: Vec<u128>,
    filled: usize,
}

impl Visited {
    pub(super) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect() }
    }

    /// Says whether it is new.
    pub(super) fn insert(&mut self, fingerprint: u128) -> bool {
        let shard = (fingerprint >> 122) as usize % SHARDS;
        self.shards.get_mut(shard).is_some_and(|shard| shard.insert(fingerprint.max(1)))
    }

    pub(super) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.slots.capacity() * size_of::<u128>()).sum()
    }
}

impl Shard {
    fn insert(&mut self, fingerprint: u128) -> bool {
        if self.filled * 5 >= self.slots.len() * 4 {
            self.grow();
        }
        let new = self.place(fingerprint);
        self.filled += usize::from(new);
        new
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(1024);
        let old = std::mem::replace(&mut self.slots, vec![0; size]);
        for fingerprint in old.into_iter().filter(|slot| *slot != 0) {
            self.place(fingerprint);
        }
    }

    fn place(&mut self, fingerprint: u128) -> bool {
        let mask = self.slots.len() - 1;
        let mut at = fingerprint as usize & mask;
        while self.slots[at] != 0 {
            if self.slots[at] == fingerprint {
                return false;
            }
            at = (at + 1) & mask;
        }
        self.slots[at] = fingerprint;
        true
    }
}

/// From a pair of numbers to a number.
#[derive(Default)]
pub(super) struct Pairs {
    /// A power of two of them: key plus one, value.
    slots: Vec<(u64, u32)>,
    filled: usize,
}

impl Pairs {
    pub(super) fn get(&self, left: u32, right: u32) -> Option<u32> {
        let key = key(left, right);
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = scramble(key) as usize & mask;
        loop {
            match self.slots[at] {
                (0, _) => return None,
                (held, value) if held == key => return Some(value),
                _ => at = (at + 1) & mask,
            }
        }
    }

    pub(super) fn insert(&mut self, left: u32, right: u32, value: u32) {
        if self.filled * 3 >= self.slots.len() * 2 {
            let size = (self.slots.len() * 2).max(1024);
            let old = std::mem::replace(&mut self.slots, vec![(0, 0); size]);
            for (key, value) in old.into_iter().filter(|slot| slot.0 != 0) {
                self.place(key, value);
            }
        }
        self.filled += 1;
        self.place(key(left, right), value);
    }

    fn place(&mut self, key: u64, value: u32) {
        let mask = self.slots.len() - 1;
        let mut at = scramble(key) as usize & mask;
        while self.slots[at].0 != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = (key, value);
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<(u64, u32)>()
    }
}

const fn key(left: u32, right: u32) -> u64 {
    ((left as u64) << 32 | right as u64) + 1
}
