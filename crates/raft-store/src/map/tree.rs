//! An ordered set of records, one for each key, in which a copy costs one pointer.
//!
//! A B-tree whose nodes are shared: the first change below a node that a copy holds too copies
//! that node and the path to it; everything else stays shared. Only leaves hold records; what is
//! above them has the least key and the number of records of each branch, so that the records
//! between two keys are counted without looking at them.

use std::sync::Arc;

use super::list::{Keyed, LIST_MAX, List};
use super::record::Record;

/// An ordered set of records.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    root: Arc<Node>,
    len: usize,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(List<Record>),
    Inner(List<Branch>),
}

#[derive(Clone, Debug)]
struct Branch {
    /// At or below its first record; that of the first branch says nothing.
    least: Arc<[u8]>,
    len: usize,
    node: Arc<Node>,
}

impl Keyed for Record {
    const SKIP: usize = 0;

    fn key(&self) -> &[u8] {
        self.key()
    }
}

impl Keyed for Branch {
    const SKIP: usize = 1;

    fn key(&self) -> &[u8] {
        &self.least
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(List::default())), len: 0 }
    }
}

impl Tree {
    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The record of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Record> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(records) => return records.items().get(records.find(key).ok()?),
                Node::Inner(branches) => node = &branches.items().get(branch(branches, key))?.node,
            }
        }
    }

    /// All records from a key on, in order.
    pub(crate) fn from(&self, key: &[u8]) -> Iter<'_> {
        let mut iter = Iter { above: Vec::new(), leaf: [].iter() };
        iter.descend(&self.root, Some(key));
        iter
    }

    /// How many stand before a key.
    pub(crate) fn rank(&self, key: &[u8]) -> usize {
        let (mut rank, mut node) = (0, &*self.root);
        loop {
            match node {
                Node::Leaf(records) => return rank + place(records, key),
                Node::Inner(branches) => {
                    let (before, rest) = branches.items().split_at(branch(branches, key));
                    rank += before.iter().map(|branch| branch.len).sum::<usize>();
                    let Some(next) = rest.first() else { return rank };
                    node = &next.node;
                }
            }
        }
    }

    /// Adds a record; returns the one that it replaces.
    pub(crate) fn insert(&mut self, record: Record) -> Option<Record> {
        let of = record.clone();
        self.put(of.key(), |_| record)
    }

    /// Puts the record there that is made of the one that is there; returns that one.
    pub(crate) fn put(
        &mut self,
        key: &[u8],
        make: impl FnOnce(Option<&Record>) -> Record,
    ) -> Option<Record> {
        let (old, right) = Arc::make_mut(&mut self.root).put(key, make);
        self.len += usize::from(old.is_none());
        if let Some(right) = right {
            let node = std::mem::take(self).root;
            let left = Branch { least: Arc::from([]), len: node.len(), node };
            self.len = left.len + right.len;
            self.root = Arc::new(Node::Inner(List::of(vec![left, right])));
        }
        old
    }

    /// Takes the record of a key out, if there is one.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Record> {
        // What is not there costs no copy.
        self.get(key)?;
        let removed = Arc::make_mut(&mut self.root).remove(key)?;
        self.len -= 1;
        while let Node::Inner(branches) = &*self.root
            && let [only] = branches.items()
        {
            self.root = Arc::clone(&only.node);
        }
        Some(removed)
    }
}

/// The branch in which a key is.
fn branch(branches: &List<Branch>, key: &[u8]) -> usize {
    branches.find(key).unwrap_or_else(|behind| behind.saturating_sub(1))
}

/// How many of a leaf stand before a key.
fn place(records: &List<Record>, key: &[u8]) -> usize {
    records.find(key).unwrap_or_else(|place| place)
}

impl Node {
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
        key: &[u8],
        make: impl FnOnce(Option<&Record>) -> Record,
    ) -> (Option<Record>, Option<Branch>) {
        match self {
            Self::Leaf(records) => {
                let found = records.find(key);
                if let Some(old) = found.ok().and_then(|at| records.get_mut(at)) {
                    let record = make(Some(old));
                    return (Some(std::mem::replace(old, record)), None);
                }
                let (Ok(at) | Err(at)) = found;
                (None, records.insert(at, make(None)).map(Self::of_records))
            }
            Self::Inner(branches) => {
                let index = branch(branches, key);
                let Some(below) = branches.get_mut(index) else { return (None, None) };
                let (old, right) = Arc::make_mut(&mut below.node).put(key, make);
                below.len += usize::from(old.is_none());
                let Some(right) = right else { return (old, None) };
                below.len -= right.len;
                let right = branches.insert(index + 1, right);
                (old, right.map(Self::of_branches))
            }
        }
    }

    fn of_records(records: List<Record>) -> Branch {
        let least = records.items().first().map(Record::key).unwrap_or_default();
        Branch { least: least.into(), len: records.len(), node: Arc::new(Self::Leaf(records)) }
    }

    fn of_branches(branches: List<Branch>) -> Branch {
        let first = branches.items().first();
        let least = first.map_or_else(|| Arc::from([]), |first| Arc::clone(&first.least));
        let len = branches.items().iter().map(|branch| branch.len).sum();
        Branch { least, len, node: Arc::new(Self::Inner(branches)) }
    }

    /// Takes the record of a key out.
    fn remove(&mut self, key: &[u8]) -> Option<Record> {
        match self {
            Self::Leaf(records) => records.remove(records.find(key).ok()?),
            Self::Inner(branches) => {
                let at_branch = branch(branches, key);
                let below = branches.get_mut(at_branch)?;
                let removed = Arc::make_mut(&mut below.node).remove(key)?;
                below.len -= 1;
                if below.node.is_small() {
                    join(branches, at_branch);
                }
                Some(removed)
            }
        }
    }

    fn items(&self) -> usize {
        match self {
            Self::Leaf(records) => records.len(),
            Self::Inner(branches) => branches.len(),
        }
    }

    fn is_small(&self) -> bool {
        self.items() < LIST_MAX / 4
    }
}

/// Joins a small branch with one beside it, if both fit into one.
fn join(branches: &mut List<Branch>, small: usize) {
    let left = small.min(branches.len().saturating_sub(2));
    let Some([one, other]) = branches.pair_mut(left) else { return };
    if one.node.items() + other.node.items() > LIST_MAX {
        return;
    }
    // All leaves are equally far from the root.
    match (Arc::make_mut(&mut one.node), Arc::make_mut(&mut other.node)) {
        (Node::Leaf(one), Node::Leaf(other)) => one.append(other),
        (Node::Inner(one), Node::Inner(other)) => one.append(other),
        _ => return,
    }
    one.len += other.len;
    drop(branches.remove(left + 1));
}

/// Goes over records in order.
#[derive(Clone, Debug)]
pub(crate) struct Iter<'a> {
    above: Vec<std::slice::Iter<'a, Branch>>,
    leaf: std::slice::Iter<'a, Record>,
}

impl<'a> Iter<'a> {
    /// Goes down to the leaf of a key, or to the first one.
    fn descend(&mut self, mut node: &'a Node, key: Option<&[u8]>) {
        loop {
            match node {
                Node::Leaf(records) => {
                    let skip = key.map_or(0, |key| place(records, key));
                    self.leaf = records.items().get(skip..).unwrap_or_default().iter();
                    return;
                }
                Node::Inner(branches) => {
                    let skip = key.map_or(0, |key| branch(branches, key));
                    let mut rest = branches.items().get(skip..).unwrap_or_default().iter();
                    let Some(next) = rest.next() else { return };
                    self.above.push(rest);
                    node = &next.node;
                }
            }
        }
    }
}

impl<'a> Iterator for Iter<'a> {
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
