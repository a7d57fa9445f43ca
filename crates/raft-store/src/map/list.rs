//! The items of a node in order, and how a place is found among them.
//!
//! To look at an item's key is to wait for memory. So a list keeps, side by side, eight bytes of
//! each key: those behind what all keys of the list begin with. Mostly they tell alone.

use std::cmp::Ordering;

/// Where the record of this key stands that was changed last by this revision.
pub(super) type Place<'a> = (&'a [u8], u64);

/// What has a place.
pub(super) trait Placed {
    /// So many items at the beginning of a list have a place that says nothing: they stand before
    /// all others.
    const SKIP: usize;

    fn place(&self) -> Place<'_>;
}

#[derive(Clone, Debug)]
pub(super) struct List<T> {
    items: Vec<T>,
    heads: Vec<u64>,
    /// All keys begin with the same so many bytes.
    shared: usize,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new(), heads: Vec::new(), shared: 0 }
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
        (at < self.items.len()).then(|| {
            self.heads.remove(at);
            self.items.remove(at)
        })
    }
}

impl<T: Placed> List<T> {
    pub(super) fn of(items: Vec<T>) -> Self {
        let mut list = Self { items, ..Self::default() };
        // They are in order: what the first and the last begin with, all do.
        let known = list.items.get(T::SKIP..).unwrap_or_default();
        if let [first, .., last] = known {
            list.shared = common(first.place().0, last.place().0);
        }
        list.arrange();
        list
    }

    fn arrange(&mut self) {
        let shared = self.shared;
        self.heads = self.items.iter().map(|item| head(item.place().0, shared)).collect();
    }

    /// How many items stand before this place, or, with `also_at`, not behind it.
    pub(super) fn position<const VERSIONS: bool>(&self, at: Place<'_>, also_at: bool) -> usize {
        let Some(first) = self.items.get(T::SKIP) else { return self.items.len() };
        let all = first.place().0.get(..self.shared).unwrap_or_default();
        let start = at.0.get(..self.shared).unwrap_or(at.0);
        match start.cmp(all) {
            Ordering::Less => return T::SKIP,
            Ordering::Greater => return self.items.len(),
            Ordering::Equal => {}
        }
        let wanted = head(at.0, self.shared);
        let heads = self.heads.get(T::SKIP..).unwrap_or_default();
        let (before, rest) = heads.split_at(heads.partition_point(|head| *head < wanted));
        let from = T::SKIP + before.len();
        let tied = rest.partition_point(|head| *head == wanted);
        let tied = self.items.get(from..from + tied).unwrap_or_default();
        from + tied.partition_point(|item| match compare::<VERSIONS>(item.place(), at) {
            Ordering::Less => true,
            Ordering::Equal => also_at,
            Ordering::Greater => false,
        })
    }

    /// Inserts an item; returns the second half of the list if it is too long then. A list that
    /// grows at its end stays as it is, and the next one begins: keys often come in order.
    pub(super) fn insert(&mut self, at: usize, item: T, max: usize) -> Option<Self> {
        if self.items.len() < max {
            self.insert_here(at, item);
            return None;
        }
        if at == self.items.len() {
            return Some(Self::of(vec![item]));
        }
        let mut right = Self::of(self.items.split_off(max / 2));
        *self = Self::of(std::mem::take(&mut self.items));
        if at <= max / 2 {
            self.insert_here(at, item);
        } else {
            right.insert_here(at - max / 2, item);
        }
        Some(right)
    }

    fn insert_here(&mut self, at: usize, item: T) {
        let key = item.place().0;
        let first = self.items.get(T::SKIP).map_or(key, |first| first.place().0);
        let shared = common(first, key);
        let fewer = shared < self.shared || self.items.len() <= T::SKIP + 1;
        self.heads.insert(at, head(key, self.shared));
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

pub(super) fn compare<const VERSIONS: bool>(left: Place<'_>, right: Place<'_>) -> Ordering {
    let by_key = left.0.cmp(right.0);
    if VERSIONS { by_key.then(right.1.cmp(&left.1)) } else { by_key }
}

/// How many bytes both begin with.
fn common(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

/// The eight bytes of a key behind the first ones, as a number in the order of keys.
fn head(key: &[u8], skip: usize) -> u64 {
    let rest = key.get(skip..).unwrap_or_default();
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(rest) {
        *to = *from;
    }
    u64::from_be_bytes(bytes)
}
