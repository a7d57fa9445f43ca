//! An ordered set of records in which a copy costs one pointer.
//!
//! A B-tree whose nodes are shared: the first change below a node that a copy holds too copies
//! that node and the path to it; everything else stays shared. Only leaves hold records; what is
//! above them has the least place and the number of records of each branch, so that the records
//! between two places are counted without looking at them.
//!
//! Records are ordered by key, and with `VERSIONS` those of one key from the newest to the oldest;
//! without, there is one record for each key, and the revision of a place says nothing.

use std::cmp::Ordering;
use std::sync::Arc;

use super::list::{List, Place, Placed, compare};
use super::record::Record;

/// Records in a leaf, and branches of a node above it.
const LEAF_MAX: usize = 64;
const BRANCHES_MAX: usize = 128;

/// An ordered set of records.
#[derive(Clone, Debug)]
pub(crate) struct Tree<const VERSIONS: bool> {
    root: Arc<Node<VERSIONS>>,
    len: usize,
}

#[derive(Clone, Debug)]
enum Node<const VERSIONS: bool> {
    Leaf(List<Record>),
    Inner(List<Branch<VERSIONS>>),
}

#[derive(Clone, Debug)]
struct Branch<const VERSIONS: bool> {
    /// At or below its first record; that of the first branch says nothing.
    least: Arc<[u8]>,
    revision: u64,
    len: usize,
    node: Arc<Node<VERSIONS>>,
}

impl Placed for Record {
    const SKIP: usize = 0;

    fn place(&self) -> Place<'_> {
        (self.key(), self.mod_revision())
    }
}

impl<const VERSIONS: bool> Placed for Branch<VERSIONS> {
    const SKIP: usize = 1;

    fn place(&self) -> Place<'_> {
        (&self.least, self.revision)
    }
}

impl<const VERSIONS: bool> Default for Tree<VERSIONS> {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(List::default())), len: 0 }
    }
}

impl<const VERSIONS: bool> Tree<VERSIONS> {
    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The record of a key; the newest one that is not newer than the revision.
    pub(crate) fn get(&self, at: Place<'_>) -> Option<&Record> {
        self.from(at).next().filter(|record| record.key() == at.0)
    }

    /// All records at and behind a place, in order.
    pub(crate) fn from(&self, at: Place<'_>) -> Iter<'_, VERSIONS> {
        let mut iter = Iter { above: Vec::new(), leaf: [].iter() };
        iter.descend(&self.root, Some(at));
        iter
    }

    /// How many stand before a place.
    pub(crate) fn rank(&self, at: Place<'_>) -> usize {
        let (mut rank, mut node) = (0, &*self.root);
        loop {
            match node {
                Node::Leaf(records) => return rank + records.position::<VERSIONS>(at, false),
                Node::Inner(branches) => {
                    let (before, rest) = branches.items().split_at(branch(branches, at));
                    rank += before.iter().map(|branch| branch.len).sum::<usize>();
                    let Some(next) = rest.first() else { return rank };
                    node = &next.node;
                }
            }
        }
    }

    /// Adds a record; returns the one that it replaces.
    pub(crate) fn insert(&mut self, record: Record) -> Option<Record> {
        let at = record.clone();
        self.put(at.place(), |_| record)
    }

    /// Puts the record there that is made of the one that is there; returns that one.
    pub(crate) fn put(
        &mut self,
        at: Place<'_>,
        make: impl FnOnce(Option<&Record>) -> Record,
    ) -> Option<Record> {
        let (old, right) = Arc::make_mut(&mut self.root).put(at, make);
        self.len += usize::from(old.is_none());
        if let Some(right) = right {
            let node = std::mem::take(self).root;
            let (least, revision) = (Arc::from([]), 0);
            let left = Branch { least, revision, len: node.len(), node };
            self.len = left.len + right.len;
            self.root = Arc::new(Node::Inner(List::of(vec![left, right])));
        }
        old
    }

    /// Takes the record out that stands at this place, if one does.
    pub(crate) fn remove(&mut self, at: Place<'_>) -> Option<Record> {
        // What is not there costs no copy.
        self.get(at)?;
        self.take(at)
    }

    /// The same, if it is known that one does.
    pub(crate) fn take(&mut self, at: Place<'_>) -> Option<Record> {
        let removed = Arc::make_mut(&mut self.root).remove(at)?;
        self.len -= 1;
        while let Node::Inner(branches) = &*self.root
            && let [only] = branches.items()
        {
            self.root = Arc::clone(&only.node);
        }
        Some(removed)
    }
}

/// The branch in which a place is.
fn branch<const VERSIONS: bool>(branches: &List<Branch<VERSIONS>>, at: Place<'_>) -> usize {
    branches.position::<VERSIONS>(at, true).saturating_sub(1)
}

impl<const VERSIONS: bool> Node<VERSIONS> {
    /// Records below.
    fn len(&self) -> usize {
        match self {
            Self::Leaf(records) => records.len(),
            Self::Inner(branches) => branches.items().iter().map(|branch| branch.len).sum(),
        }
    }

    /// Puts a record; returns the one that it replaces, and what does not fit any more.
    fn put(
        &mut self,
        at: Place<'_>,
        make: impl FnOnce(Option<&Record>) -> Record,
    ) -> (Option<Record>, Option<Branch<VERSIONS>>) {
        match self {
            Self::Leaf(records) => {
                let index = records.position::<VERSIONS>(at, false);
                match records.get_mut(index) {
                    Some(old) if compare::<VERSIONS>(old.place(), at) == Ordering::Equal => {
                        let record = make(Some(old));
                        (Some(std::mem::replace(old, record)), None)
                    }
                    _ => {
                        let right = records.insert(index, make(None), LEAF_MAX);
                        (None, right.map(Self::of_records))
                    }
                }
            }
            Self::Inner(branches) => {
                let index = branch(branches, at);
                let Some(below) = branches.get_mut(index) else { return (None, None) };
                let (old, right) = Arc::make_mut(&mut below.node).put(at, make);
                below.len += usize::from(old.is_none());
                let Some(right) = right else { return (old, None) };
                below.len -= right.len;
                let right = branches.insert(index + 1, right, BRANCHES_MAX);
                (old, right.map(Self::of_branches))
            }
        }
    }

    fn of_records(records: List<Record>) -> Branch<VERSIONS> {
        let (least, revision) = records.items().first().map(Placed::place).unwrap_or_default();
        let (least, len) = (least.into(), records.len());
        Branch { least, revision, len, node: Arc::new(Self::Leaf(records)) }
    }

    fn of_branches(branches: List<Branch<VERSIONS>>) -> Branch<VERSIONS> {
        let first = branches.items().first();
        let least = first.map_or_else(|| Arc::from([]), |first| Arc::clone(&first.least));
        let revision = first.map_or(0, |first| first.revision);
        let len = branches.items().iter().map(|branch| branch.len).sum();
        Branch { least, revision, len, node: Arc::new(Self::Inner(branches)) }
    }

    /// Takes the record out that stands at this place.
    fn remove(&mut self, at: Place<'_>) -> Option<Record> {
        match self {
            Self::Leaf(records) => {
                let index = records.position::<VERSIONS>(at, false);
                let found = records.items().get(index)?;
                let same = compare::<VERSIONS>(found.place(), at) == Ordering::Equal;
                if same { records.remove(index) } else { None }
            }
            Self::Inner(branches) => {
                let at_branch = branch(branches, at);
                let below = branches.get_mut(at_branch)?;
                let removed = Arc::make_mut(&mut below.node).remove(at)?;
                below.len -= 1;
                if below.node.is_small() {
                    join(branches, at_branch);
                }
                Some(removed)
            }
        }
    }

    fn is_small(&self) -> bool {
        match self {
            Self::Leaf(records) => records.len() < LEAF_MAX / 4,
            Self::Inner(branches) => branches.len() < BRANCHES_MAX / 4,
        }
    }
}

/// Joins a small branch with one beside it, if both fit into one.
fn join<const VERSIONS: bool>(branches: &mut List<Branch<VERSIONS>>, small: usize) {
    let left = small.min(branches.len().saturating_sub(2));
    let Some([one, other]) = branches.pair_mut(left) else { return };
    let (one_node, other_node) = (&*one.node, &*other.node);
    let fits = match (one_node, other_node) {
        (Node::Leaf(one), Node::Leaf(other)) => one.len() + other.len() <= LEAF_MAX,
        (Node::Inner(one), Node::Inner(other)) => one.len() + other.len() <= BRANCHES_MAX,
        // All leaves are equally far from the root.
        _ => false,
    };
    if !fits {
        return;
    }
    one.len += other.len;
    match (Arc::make_mut(&mut one.node), Arc::make_mut(&mut other.node)) {
        (Node::Leaf(one), Node::Leaf(other)) => one.append(other),
        (Node::Inner(one), Node::Inner(other)) => one.append(other),
        _ => {}
    }
    drop(branches.remove(left + 1));
}

/// Goes over records in order.
#[derive(Clone, Debug)]
pub(crate) struct Iter<'a, const VERSIONS: bool> {
    above: Vec<std::slice::Iter<'a, Branch<VERSIONS>>>,
    leaf: std::slice::Iter<'a, Record>,
}

impl<'a, const VERSIONS: bool> Iter<'a, VERSIONS> {
    /// Goes down to the leaf of a place, or to the first one.
    fn descend(&mut self, mut node: &'a Node<VERSIONS>, at: Option<Place<'_>>) {
        loop {
            match node {
                Node::Leaf(records) => {
                    let skip = at.map_or(0, |at| records.position::<VERSIONS>(at, false));
                    self.leaf = records.items().get(skip..).unwrap_or_default().iter();
                    return;
                }
                Node::Inner(branches) => {
                    let skip = at.map_or(0, |at| branch(branches, at));
                    let mut rest = branches.items().get(skip..).unwrap_or_default().iter();
                    let Some(next) = rest.next() else { return };
                    self.above.push(rest);
                    node = &next.node;
                }
            }
        }
    }
}

impl<'a, const VERSIONS: bool> Iterator for Iter<'a, VERSIONS> {
    type Item = &'a Record;

    fn next(&mut self) -> Option<&'a Record> {
        loop {
            if let Some(record) = self.leaf.next() {
                return Some(record);
            }
            let branches = self.above.last_mut()?;
            match branches.next() {
                Some(branch) => self.descend(&branch.node, None),
                None => drop(self.above.pop()),
            }
        }
    }
}
