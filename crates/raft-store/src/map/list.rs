//! The items of a node in order, and how a key is found among them.
//!
//! To look at an item's key is to wait for memory. So a list has, in itself, eight bytes of each
//! key: those behind what all keys of the list begin with. Mostly they tell alone, and what is
//! looked at is the item that was searched for.

use std::cmp::Ordering;

/// Items of a list.
pub(super) const LIST_MAX: usize = 64;

/// What has a key.
pub(super) trait Keyed {
    /// So many items at the beginning of a list have a key that says nothing: they stand before
    /// all others.
    const SKIP: usize;

    fn key(&self) -> &[u8];
}

#[derive(Clone, Debug)]
pub(super) struct List<T> {
    /// One for each item, then [`u64::MAX`].
    heads: [u64; LIST_MAX],
    /// All keys begin with the same so many bytes.
    shared: usize,
    items: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { heads: [u64::MAX; LIST_MAX], shared: 0, items: Vec::new() }
    }
}

impl<T> List<T> {
    pub(super) fn items(&self) -> &[T] {
        &self.items
    }

    pub(super) const fn len(&self) -> usize {
        self.items.len()
    }

    /// For changes that move nothing.
    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.items.get_mut(at)
    }

    /// Two neighbours.
    pub(super) fn pair_mut(&mut self, left: usize) -> Option<[&mut T; 2]> {
        self.items.get_disjoint_mut([left, left + 1]).ok()
    }

    pub(super) fn remove(&mut self, at: usize) -> Option<T> {
        let heads = self.heads.get_mut(at..self.items.len())?;
        heads.rotate_left(1);
        *heads.last_mut()? = u64::MAX;
        Some(self.items.remove(at))
    }
}

impl<T: Keyed> List<T> {
    pub(super) fn of(items: Vec<T>) -> Self {
        let mut list = Self { items, ..Self::default() };
        // They are in order: what the first and the last begin with, all do.
        let known = list.items.get(T::SKIP..).unwrap_or_default();
        if let [first, .., last] = known {
            list.shared = common(first.key(), last.key());
        }
        list.arrange();
        list
    }

    fn arrange(&mut self) {
        self.heads.fill(u64::MAX);
        for (place, (to, item)) in self.heads.iter_mut().zip(&self.items).enumerate() {
            *to = if place < T::SKIP { 0 } else { head(item.key(), self.shared) };
        }
    }

    /// Where the item of a key is; if there is none, how many stand before it.
    pub(super) fn find(&self, key: &[u8]) -> Result<usize, usize> {
        let wanted = head(key, self.shared);
        // All of them, not half by half: so the waits for memory are one wait.
        let less = self.heads.iter().filter(|head| **head < wanted).count();
        let from = less.max(T::SKIP);
        let Some(rest) = self.items.get(from..) else { return Err(self.items.len()) };
        // Any item knows what all begin with; one that has this head has to be looked at anyway.
        let known = rest.first().or(self.items.get(T::SKIP..).and_then(<[T]>::last));
        let Some(known) = known else { return Err(self.items.len()) };
        let all = known.key().get(..self.shared).unwrap_or_default();
        match key.get(..self.shared).unwrap_or(key).cmp(all) {
            Ordering::Less => return Err(T::SKIP),
            Ordering::Greater => return Err(self.items.len()),
            Ordering::Equal => {}
        }
        let heads = self.heads.get(from..).unwrap_or_default();
        let tied = heads.iter().zip(rest).take_while(|(head, _)| **head == wanted).count();
        let tied = rest.get(..tied).unwrap_or_default();
        let found = tied.binary_search_by(|item| item.key().cmp(key));
        found.map(|at| from + at).map_err(|at| from + at)
    }

    /// Inserts an item; returns the second half of the list if it is too long then. A list that
    /// grows at its end stays as it is, and the next one begins: keys often come in order.
    pub(super) fn insert(&mut self, at: usize, item: T) -> Option<Self> {
        const HALF: usize = LIST_MAX / 2;
        if self.items.len() < LIST_MAX {
            self.insert_here(at, item);
            return None;
        }
        if at == self.items.len() {
            return Some(Self::of(vec![item]));
        }
        let mut right = Self::of(self.items.split_off(HALF));
        *self = Self::of(std::mem::take(&mut self.items));
        if at <= HALF {
            self.insert_here(at, item);
        } else {
            right.insert_here(at - HALF, item);
        }
        Some(right)
    }

    fn insert_here(&mut self, at: usize, item: T) {
        let key = item.key();
        let first = self.items.get(T::SKIP).map_or(key, Keyed::key);
        let shared = common(first, key);
        let fewer = shared < self.shared || self.items.len() <= T::SKIP + 1;
        if let Some(heads) = self.heads.get_mut(at..=self.items.len()) {
            heads.rotate_right(1);
            heads.iter_mut().take(1).for_each(|first| *first = head(key, self.shared));
        }
        self.items.insert(at, item);
        if fewer {
            self.shared = shared;
            self.arrange();
        }
    }

    pub(super) fn append(&mut self, other: &mut Self) {
        let mut items = std::mem::take(&mut self.items);
        items.append(&mut other.items);
        *self = Self::of(items);
    }
}

/// How many bytes both begin with.
fn common(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

/// The eight bytes of a key behind the first ones, as a number in the order of keys.
fn head(key: &[u8], skip: usize) -> u64 {
    let rest = key.get(skip..).unwrap_or_default();
    if let Some(bytes) = rest.first_chunk() {
        return u64::from_be_bytes(*bytes);
    }
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(rest) {
        *to = *from;
    }
    u64::from_be_bytes(bytes)
}
