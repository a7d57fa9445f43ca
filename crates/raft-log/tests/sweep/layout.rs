//! A plain reading of the format, by the offsets of `docs/disk-format.md`: what stands where in a
//! whole directory, and what has to come of a damaged one.

use std::collections::BTreeMap;
use std::sync::Arc;

use raft_core::{HardState, LogId, NodeId, Term};
use raft_log::{Kind, decode_entries};

use crate::image::Image;
use crate::support::format::{DATA, PAGE, u32_at, u64_at};

pub const HEAD: usize = 128;
const ENTRIES: u16 = 1;
const HARD_STATE: u16 = 2;
const TRUNCATE: u16 = 4;
const PEERS: u16 = 8;
const SEAL: u16 = 32;

pub type Entries = Vec<(Term, Kind, Vec<u8>)>;

#[derive(Clone, Debug)]
pub struct Block {
    pub at: usize,
    /// Where its body ends; zeros follow up to `next`.
    pub end: usize,
    pub next: usize,
    pub kinds: u16,
    pub number: u64,
    synced: u64,
    first: u64,
    count: u64,
    truncate: u64,
    hard_state: HardState,
    /// The log's last index before this block.
    last_before: u64,
}

#[derive(Clone, Debug)]
pub struct Slot {
    pub name: String,
    order: u64,
    base: u64,
    synced: u64,
    salt: u64,
    used: bool,
    hard_state: HardState,
    /// All of its present use; the successor may continue before the last of them.
    pub blocks: Vec<Block>,
    /// The last index as of the successor's base, as its header says.
    last_certified: Option<u64>,
    /// So many of them are the log.
    pub counted: usize,
}

/// A snapshot: what a start looks at, in each of its files.
#[derive(Clone, Debug)]
pub struct Stored {
    pub id: LogId,
    /// The file, its length, where its list of parts begins and so its end.
    files: Vec<(String, usize, usize)>,
}

/// A whole directory.
#[derive(Debug)]
pub struct Layout {
    /// The entry that the log begins after.
    pub start: LogId,
    /// The snapshots, newest first.
    pub snapshots: Vec<Stored>,
    /// The slots that are the log, oldest first.
    pub chain: Vec<Slot>,
    /// The log before each block of the newest slot, and after the last: entries, and the body of
    /// the last PEERS block.
    pub states: Vec<(Entries, Vec<u8>)>,
    image: Image,
    /// What NODE said before.
    nodes: Vec<Vec<u8>>,
}

/// What has to come of a directory.
#[derive(Debug, PartialEq)]
pub enum Expected {
    Refused {
        /// One of these is named: what is lost may be missed in its place or by its neighbour.
        files: Vec<String>,
        offset: usize,
        /// The first index affected and, if known, the last: where a block is damaged.
        first: Option<u64>,
        last: Option<u64>,
    },
    Opened {
        /// As of this block of the newest slot.
        blocks: usize,
        ambiguous: bool,
        hard_state: HardState,
    },
}

enum Copy {
    Zero,
    Damaged,
    Valid { order: u64, number: u32, bytes: u64 },
}

fn vote_at(bytes: &[u8], at: usize) -> HardState {
    let voted_for = (bytes[at + 16] != 0).then(|| NodeId(u64_at(bytes, at + 8)));
    HardState { term: Term(u64_at(bytes, at)), voted_for }
}

fn copy_at(slot: &[u8], at: usize) -> Copy {
    let page = &slot[at..at + PAGE];
    if page.iter().all(|byte| *byte == 0) {
        return Copy::Zero;
    }
    let crc = crc32c::crc32c_append(crc32c::crc32c(&page[..12]), &page[16..]);
    let crc = crc32c::crc32c_append(crc, &(at as u64).to_le_bytes());
    if !page.starts_with(b"RAFTSLOT") || u32_at(page, 12) != crc {
        return Copy::Damaged;
    }
    Copy::Valid { order: u64_at(page, 64), number: u32_at(page, 88), bytes: u64_at(page, 80) }
}

impl Slot {
    fn read(name: &str, slot: &[u8]) -> Self {
        let mut blocks = Vec::new();
        let mut at = DATA;
        while at < slot.len()
            && slot[at..].starts_with(b"RBLK")
            && slot[at + 24..at + 32] == slot[72..80]
        {
            let end = at + HEAD + u32_at(slot, at + 68) as usize;
            let kinds = u16::from_le_bytes(slot[at + 4..at + 6].try_into().unwrap());
            blocks.push(Block {
                at,
                end,
                next: end.next_multiple_of(PAGE),
                kinds,
                number: u64_at(slot, at + 32),
                synced: u64_at(slot, at + 40),
                first: u64_at(slot, at + 56),
                count: if kinds & SEAL == 0 { u64::from(u32_at(slot, at + 64)) } else { 0 },
                truncate: u64_at(slot, at + 112),
                hard_state: vote_at(slot, at + 88),
                last_before: 0,
            });
            at = end.next_multiple_of(PAGE);
        }
        Self {
            name: name.to_owned(),
            order: u64_at(slot, 64),
            base: u64_at(slot, 96),
            synced: u64_at(slot, 112),
            salt: u64_at(slot, 72),
            used: u32_at(slot, 92) != 0,
            hard_state: vote_at(slot, 144),
            last_certified: None,
            counted: blocks.len(),
            blocks,
        }
    }

    /// Where its blocks end.
    pub fn end(&self) -> usize {
        self.blocks.last().map_or(DATA, |block| block.next)
    }
}

impl Layout {
    pub fn of(image: &Image, nodes: Vec<Vec<u8>>) -> Self {
        let mut by_order = BTreeMap::new();
        for name in image.names().iter().filter(|name| name.ends_with(".seg")) {
            let bytes = image.read(name).unwrap();
            by_order.insert(u64_at(&bytes, 64), (name.clone(), bytes));
        }
        let mut chain = Vec::new();
        let (order, (_, newest)) = by_order.last_key_value().unwrap();
        let (first, start) = (u64_at(newest, 224), (u64_at(newest, 168), u64_at(newest, 176)));
        let mut order = *order;
        while order != 0 {
            let (name, bytes) = &by_order[&order];
            chain.insert(0, Slot::read(name, bytes));
            order = if order == first { 0 } else { u64_at(bytes, 120) };
        }
        for at in 1..chain.len() {
            let base = chain[at].base;
            let header = image.read(&chain[at].name).unwrap();
            chain[at - 1].last_certified = Some(u64_at(&header, 184));
            chain[at - 1].counted = usize::try_from(base - chain[at - 1].base).unwrap();
        }
        let (start, snapshots) = (LogId::new(start.0, start.1), stored(image));
        let (states, image) = (Vec::new(), image.fork());
        let mut layout = Self { start, snapshots, chain, states, image, nodes };
        layout.replay();
        layout
    }

    fn replay(&mut self) {
        let (mut entries, mut peers) = (Entries::new(), Vec::new());
        let (newest, start) = (self.chain.len() - 1, self.start.index.0);
        for (place, slot) in self.chain.iter_mut().enumerate() {
            let bytes = self.image.read(&slot.name).unwrap();
            let counted = slot.counted;
            for (at, block) in slot.blocks.iter_mut().enumerate() {
                block.last_before = start + entries.len() as u64;
                if at >= counted {
                    continue;
                }
                if place == newest {
                    self.states.push((entries.clone(), peers.clone()));
                }
                let body = &bytes[block.at + HEAD..block.end];
                if block.kinds & TRUNCATE != 0 {
                    entries.truncate(usize::try_from(block.truncate - 1 - start).unwrap());
                }
                if block.kinds & ENTRIES != 0 {
                    let found = decode_entries(&bytes::Bytes::copy_from_slice(body)).unwrap();
                    entries.extend(found.iter().map(|e| (e.term, e.kind, e.payload.to_vec())));
                }
                if block.kinds & PEERS != 0 {
                    peers = body.to_vec();
                }
            }
        }
        self.states.push((entries, peers));
    }

    pub fn newest(&self) -> &Slot {
        self.chain.last().unwrap()
    }

    /// What has to come of the directory after a damage.
    pub fn expected(&self, image: &Image) -> Expected {
        if let Some(refused) = self.judge_node(image).or_else(|| self.judge_headers(image)) {
            return refused;
        }
        for slot in &self.chain[..self.chain.len() - 1] {
            let damaged = |block: &&Block| !self.is_whole(image, slot, block);
            if let Some(block) = slot.blocks[..slot.counted].iter().find(damaged) {
                return self.refused_block(image, slot, block);
            }
        }
        match self.judge_tail(image) {
            Expected::Opened { .. } if self.start.index.0 > 0 && self.usable(image).is_empty() => {
                refused(vec!["snap".into()])
            }
            judged => judged,
        }
    }

    /// The snapshots that a start takes for sound: it looks at their ends.
    pub fn usable(&self, image: &Image) -> Vec<LogId> {
        let is_same = |(name, length, table): &(String, usize, usize)| {
            let (now, whole) = (image.read(name), self.image.read(name).unwrap());
            now.is_some_and(|now| {
                now.len() == *length
                    && now[..HEAD] == whole[..HEAD]
                    && now[*table..] == whole[*table..]
            })
        };
        let ends = self.snapshots.iter().filter(|stored| stored.files.iter().all(is_same));
        ends.map(|stored| stored.id).collect()
    }

    /// Whether all of a snapshot is what was written.
    pub fn is_kept(&self, image: &Image, id: LogId) -> bool {
        let stored = self.snapshots.iter().find(|stored| stored.id == id).unwrap();
        stored.files.iter().all(|(name, ..)| image.read(name) == self.image.read(name))
    }

    fn judge_node(&self, image: &Image) -> Option<Expected> {
        let (node, whole) = (image.read("NODE"), self.image.read("NODE"));
        let older = node.as_ref().is_some_and(|node| self.nodes.contains(node));
        let new =
            node.as_ref().is_some_and(|node| node.windows(10).any(|words| words == b"state new\n"));
        (node != whole && (!older || new)).then(|| refused(vec!["NODE".into()]))
    }

    fn judge_headers(&self, image: &Image) -> Option<Expected> {
        let mut found = Vec::new();
        for name in image.names().iter().filter(|name| name.ends_with(".seg")) {
            let bytes = image.read(name).unwrap();
            if !bytes.len().is_power_of_two() || bytes.len() < 32 << 10 {
                return Some(refused(vec![name.clone()]));
            }
            let winner = match (copy_at(&bytes, 0), copy_at(&bytes, PAGE)) {
                (Copy::Valid { order: a, number, bytes }, Copy::Valid { order: b, .. })
                    if a >= b =>
                {
                    (a, number, bytes)
                }
                (_, Copy::Valid { order, number, bytes })
                | (Copy::Valid { order, number, bytes }, _) => (order, number, bytes),
                (_, Copy::Damaged) => return Some(refused(vec![name.clone()])),
                (_, Copy::Zero) => continue,
            };
            let (order, number, size) = winner;
            if *name != format!("wal/{number:02}.seg") || size != bytes.len() as u64 {
                return Some(refused(vec![name.clone()]));
            }
            found.push((order, name.clone()));
        }
        let lost = |slot: &&Slot| !found.contains(&(slot.order, slot.name.clone()));
        let slot = self.chain.iter().find(lost)?;
        Some(refused(vec!["wal".into(), slot.name.clone()]))
    }

    fn judge_tail(&self, image: &Image) -> Expected {
        let slot = self.newest();
        let bytes = image.read(&slot.name).unwrap();
        let damaged = |block: &Block| !self.is_whole(image, slot, block);
        let cut = slot.blocks.iter().position(damaged).unwrap_or(slot.blocks.len());
        let legible =
            || slot.blocks[cut..].iter().filter(|block| self.is_legible(image, slot, block));
        if let Some(block) = slot.blocks.get(cut) {
            let proven = legible().map(|later| later.synced).max().unwrap_or(0).max(slot.synced);
            if proven >= block.number {
                return self.refused_block(image, slot, block);
            }
        }
        let at = slot.blocks.get(cut).map_or(slot.end(), |block| block.at);
        let page = &bytes[at..at + PAGE];
        let resembles = u64_at(page, 24) == slot.salt
            || (page.starts_with(b"RBLK") && u64_at(page, 16) == slot.order);
        let strange = !slot.used && page.iter().any(|byte| *byte != 0);
        let older = self.chain[..self.chain.len() - 1].iter();
        let votes = older
            .flat_map(|slot| &slot.blocks[..slot.counted])
            .chain(&slot.blocks[..cut])
            .chain(legible())
            .filter(|block| block.kinds & HARD_STATE != 0)
            .map(|block| block.hard_state);
        let votes = votes.chain(self.chain.iter().map(|slot| slot.hard_state));
        Expected::Opened {
            blocks: cut,
            ambiguous: resembles || strange || legible().next().is_some(),
            hard_state: votes.max_by_key(|vote| (vote.term, vote.voted_for.is_some())).unwrap(),
        }
    }

    fn refused_block(&self, image: &Image, slot: &Slot, block: &Block) -> Expected {
        let next = block.last_before + 1;
        let mut later = slot.blocks.iter().filter(|later| later.at > block.at);
        let range = if self.is_legible(image, slot, block) {
            let entries = block.kinds & ENTRIES != 0;
            entries.then(|| (block.first, Some(block.first + block.count - 1)))
        } else if let Some(resumes) = later
            .find(|later| self.is_legible(image, slot, later))
            .map(|later| later.first)
            .or(slot.last_certified.map(|last| last + 1))
        {
            (resumes > next).then(|| (next, Some(resumes - 1)))
        } else {
            Some((next, None))
        };
        Expected::Refused {
            files: vec![slot.name.clone()],
            offset: block.at,
            first: range.map(|(first, _)| first),
            last: range.and_then(|(_, last)| last),
        }
    }

    /// Whether a block's header is what it was.
    fn is_legible(&self, image: &Image, slot: &Slot, block: &Block) -> bool {
        self.is_same(image, slot, block.at, block.at + HEAD)
    }

    fn is_whole(&self, image: &Image, slot: &Slot, block: &Block) -> bool {
        self.is_same(image, slot, block.at, block.end)
    }

    fn is_same(&self, image: &Image, slot: &Slot, from: usize, to: usize) -> bool {
        let (now, whole) = (image.read(&slot.name).unwrap(), self.image.read(&slot.name).unwrap());
        Arc::ptr_eq(&now, &whole) || now[from..to] == whole[from..to]
    }
}

/// The snapshots and their files, those of shared parts included.
fn stored(image: &Image) -> Vec<Stored> {
    const END: usize = 72;
    let id = |name: &str| {
        let (index, term) = name.strip_prefix("snap/")?.split_once('-')?;
        Some(LogId::new(index.parse().ok()?, term.parse().ok()?))
    };
    let mut found = Vec::new();
    for name in image.names() {
        let Some(id) = id(&name) else { continue };
        let file = image.read(&name).unwrap();
        let rows = usize::try_from(u64_at(&file, file.len() - 24)).unwrap();
        let table = file.len() - END - 24 * rows;
        let mut files = vec![(name, file.len(), table - 32)];
        for row in file[table..].chunks(24).take(rows).filter(|row| u32_at(row, 0) == 1) {
            let part = format!("snap/{:016x}.part", u64_at(row, 8));
            let length = image.read(&part).unwrap().len();
            files.push((part, length, length - END));
        }
        found.push(Stored { id, files });
    }
    found.sort_by_key(|stored| std::cmp::Reverse(stored.id.index));
    found
}

fn refused(files: Vec<String>) -> Expected {
    Expected::Refused { files, offset: 0, first: None, last: None }
}

/// The highest of the marks in SHOWN; `None` if it is lost.
pub fn shown(image: &Image) -> Option<u64> {
    let bytes = image.read("SHOWN")?;
    let copies = [0, PAGE].into_iter().filter_map(|at| bytes.get(at..at + 64));
    let valid = |copy: &&[u8]| {
        copy.starts_with(b"RAFTSHOW")
            && copy[8..10] == [1, 0]
            && u32_at(copy, 60) == crc32c::crc32c(&copy[..60])
    };
    copies.filter(valid).map(|copy| u64_at(copy, 32)).max()
}
