//! Damage: what is on the disk is not what was written there.
//!
//! It goes as far as the log promises to notice, and one step further where that is harmless:
//!
//! - A block that a later one proves durable may be damaged in any way, and so may `NODE`,
//!   `SHOWN`, space that is not in use, and a slot's header. Of a header's two copies, both may
//!   rot; a *silent* harm (an older version, a write that never came) hits one of them at most,
//!   for who sees two older copies sees an older slot.
//! - The newest commit, which nothing proves yet, is the documented gap: it may be damaged only
//!   if nobody needs this copy of its entries, and its term and vote, which stand there twice,
//!   only by one turned bit.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use raft_core::Index;
use raft_log::{Inspection, inspect};
use raft_node::random::Random;

use super::mount::ROOT;
use super::{PAGE_BYTES, Platter, State, lock};

/// A block's header.
const BLOCK_HEADER_BYTES: u64 = 128;
const PAGE: u64 = PAGE_BYTES as u64;
const SLOT_MAGIC: &[u8] = b"RAFTSLOT";

/// A kind of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// A bit turns.
    Rot,
    /// A page reads as an older version of itself.
    Stale,
    /// A write lands in a wrong place, and the right one keeps what it had.
    Misdirected,
    /// A file is not there any more: see [`Platter::lose_slot`].
    Gone,
    /// A file is another one, or another server's: see [`Platter::swap_slot`].
    Swapped,
}

/// What is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What a proven block carries.
    BlockBody,
    /// The first bytes of a proven block.
    BlockHeader,
    /// One of the two pages that say what a slot is, or both.
    SlotHeader,
    /// Space that no block uses at present.
    Unused,
    /// A block of the newest commit, which no later one proves.
    NewestCommit,
    /// The file that says whose directory this is.
    Node,
    /// The shown mark.
    Shown,
    /// A slot with all that it holds.
    WholeSlot,
    /// A snapshot, or a part of one.
    Snapshot,
}

/// A place that was damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scar {
    /// How.
    pub harm: Harm,
    /// What.
    pub part: Part,
    /// The file.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// Where the write should have gone.
    pub missed: Option<(String, u64)>,
    /// Entries from here on may be forgotten, as long as nothing is written after them.
    pub forgets: Option<Index>,
}

/// A place that can be damaged.
#[derive(Clone, Debug)]
struct Site {
    part: Part,
    file: String,
    range: Range<u64>,
}

/// What a disk holds, as damage sees it.
struct Sites {
    places: Vec<Site>,
    /// The entries of the newest commit.
    newest: Option<(Index, Index)>,
    /// Why its blocks may only rot, or not be touched at all.
    has_hard_state: bool,
    has_truncation: bool,
    last_index: Index,
}

/// Whether entries are on the disks of a quorum of others.
pub(super) type Elsewhere<'a> = &'a dyn Fn(Index, Index) -> bool;

impl fmt::Display for Scar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {:?} of {} at {}", self.harm, self.part, self.file, self.offset)?;
        if let Some((file, offset)) = &self.missed {
            write!(f, ", instead of {file} at {offset}")?;
        }
        Ok(())
    }
}

impl Platter {
    /// Damages some place on the disk, if there is one that may be: the newest commit only with a
    /// `gap` that says whether its entries are elsewhere. A misdirected write is armed only: see
    /// [`Platter::take_scar`].
    pub fn harm(
        &self,
        harm: Harm,
        gap: Option<Elsewhere<'_>>,
        random: &mut Random,
    ) -> Option<Scar> {
        if harm == Harm::Misdirected {
            lock(&self.0).astray = Some(Random::new(random.next_u64()));
            return None;
        }
        let mut state = lock(&self.0);
        let sites = sites(state.durable_copy(), gap, harm)?;
        let site = state.choose(&sites, harm, random)?;
        state.damage(harm, &site, &sites, random)
    }

    /// The write that landed in a wrong place, if one did.
    #[must_use]
    pub fn take_scar(&self) -> Option<Scar> {
        lock(&self.0).scar.take()
    }

    /// All writes land where they should.
    pub fn steady(&self) {
        lock(&self.0).astray = None;
    }
}

/// Everything on the disk that may be damaged; none if it is beyond use already.
fn sites(copy: State, gap: Option<Elsewhere<'_>>, harm: Harm) -> Option<Sites> {
    let mut sites = Sites {
        places: Vec::new(),
        newest: None,
        has_hard_state: false,
        has_truncation: false,
        last_index: Index(0),
    };
    for (name, part) in [("NODE", Part::Node), ("SHOWN", Part::Shown)] {
        let length = copy.length(name);
        sites.add(part, name, 0..length);
    }
    for (name, length) in snapshot_files(&copy) {
        sites.add(Part::Snapshot, &name, 0..length);
    }
    let Ok(found) = inspect(&copy.into_disk(), &mut |_| {}) else { return Some(sites) };
    if !found.damages.is_empty() {
        return None;
    }
    sites.add_log(&found);
    let forgettable = sites
        .newest
        .is_none_or(|(first, last)| gap.is_some_and(|elsewhere| elsewhere(first, last)));
    let silent = harm != Harm::Rot;
    if !forgettable || sites.has_truncation || sites.has_hard_state && silent || gap.is_none() {
        sites.places.retain(|site| site.part != Part::NewestCommit);
    }
    Some(sites)
}

/// Files of snapshots that count, and how long they are.
fn snapshot_files(state: &State) -> Vec<(String, u64)> {
    let counts = |name: &&String| {
        name.starts_with("snap/") && !name.ends_with(".tmp") && !name.ends_with(".recv")
    };
    let names = state.names.keys().filter(counts);
    names.map(|name| (name.clone(), state.length(name))).collect()
}

impl Sites {
    fn add(&mut self, part: Part, file: &str, range: Range<u64>) {
        if !range.is_empty() {
            self.places.push(Site { part, file: file.to_owned(), range });
        }
    }

    fn add_log(&mut self, found: &Inspection) {
        self.last_index = found.log.last_index;
        let name = |path: &std::path::Path| {
            let below = path.strip_prefix(ROOT).unwrap_or(path);
            below.to_string_lossy().into_owned()
        };
        for slot in &found.slots {
            let file = name(&slot.file);
            self.add(Part::SlotHeader, &file, 0..PAGE);
            self.add(Part::SlotHeader, &file, PAGE..2 * PAGE);
            for block in &slot.blocks {
                let (begin, end) = (block.offset, block.offset + block.bytes);
                if block.durable {
                    self.add(Part::BlockHeader, &file, begin..begin + BLOCK_HEADER_BYTES);
                    self.add(Part::BlockBody, &file, begin + BLOCK_HEADER_BYTES..end);
                    continue;
                }
                self.add(Part::NewestCommit, &file, begin..end);
                self.has_hard_state |= block.hard_state.is_some();
                self.has_truncation |= block.truncate_from.is_some();
                if block.count > 0 {
                    let last = Index(block.first.0 + u64::from(block.count) - 1);
                    let first = self.newest.map_or(block.first, |(first, _)| first);
                    self.newest = Some((first, last));
                }
            }
            self.add(Part::Unused, &file, slot.bytes_used..slot.bytes);
        }
        for (path, bytes) in &found.spares {
            let file = name(path);
            self.add(Part::SlotHeader, &file, 0..PAGE);
            self.add(Part::Unused, &file, 2 * PAGE..*bytes);
        }
    }
}

impl State {
    fn length(&self, name: &str) -> u64 {
        let file = self.names.get(name).and_then(|file| self.files.get(file));
        file.map_or(0, |file| file.cache.length() as u64)
    }

    fn name_of(&self, file: u64) -> Option<&String> {
        self.names.iter().find(|(_, of)| **of == file).map(|(name, _)| name)
    }

    /// Any part first, then any place of that: most places are blocks.
    fn choose(&self, sites: &Sites, harm: Harm, random: &mut Random) -> Option<Site> {
        let allowed: Vec<&Site> = sites
            .places
            .iter()
            .filter(|site| {
                site.part != Part::SlotHeader || !self.harmed_headers.contains(&site.file)
            })
            // Nothing but its first version was ever in NODE.
            .filter(|site| harm != Harm::Stale || site.part != Part::Node)
            .collect();
        let mut parts: Vec<Part> = allowed.iter().map(|site| site.part).collect();
        parts.sort();
        parts.dedup();
        // Where it is possible at all, it is so for a moment only.
        let gap =
            sites.newest.is_some() && parts.contains(&Part::NewestCommit) && random.below(2) == 0;
        let mut draw = || parts.get(random.below(parts.len() as u64) as usize).copied();
        let mut part = draw()?;
        if matches!(part, Part::Node | Part::Shown) {
            // The log is more interesting.
            part = draw()?;
        }
        part = if gap { Part::NewestCommit } else { part };
        let of_part: Vec<&Site> = allowed.into_iter().filter(|site| site.part == part).collect();
        of_part.get(random.below(of_part.len() as u64) as usize).map(|site| (*site).clone())
    }

    fn damage(
        &mut self,
        harm: Harm,
        site: &Site,
        sites: &Sites,
        random: &mut Random,
    ) -> Option<Scar> {
        let id = *self.durable_names.get(&site.file)?;
        // Blocks end in zeros that nobody reads.
        let span = [256, u64::MAX][random.below(2) as usize];
        let span = span.min(site.range.end - site.range.start);
        let offset = site.range.start + random.below(span);
        let file = self.files.get_mut(&id)?;
        let mut harmed = vec![(offset / PAGE) as usize];
        if harm == Harm::Stale {
            let number = harmed[0];
            let older = file.older_version(number, random)?;
            file.durable.replace(number, older);
        } else {
            if site.part == Part::SlotHeader && random.below(3) == 0 {
                harmed = vec![0, 1];
            }
            for number in &harmed {
                let at = number * PAGE_BYTES + (offset % PAGE) as usize;
                let mut byte = [0];
                file.durable.read(&mut byte, at);
                byte[0] ^= 1 << random.below(8);
                file.durable.write(at, &Bytes::copy_from_slice(&byte));
            }
        }
        if random.below(2) == 0 {
            harmed.iter().for_each(|number| file.evict(*number));
        }
        if site.part == Part::SlotHeader {
            self.harmed_headers.insert(site.file.clone());
        }
        let forgets = (site.part == Part::NewestCommit)
            .then(|| sites.newest.map_or(sites.last_index.next(), |(first, _)| first));
        let (part, file) = (site.part, site.file.clone());
        Some(Scar { harm, part, file, offset, missed: None, forgets })
    }

    /// A write, which may land elsewhere.
    pub(super) fn write(&mut self, id: u64, offset: usize, bytes: Bytes) {
        if bytes.starts_with(SLOT_MAGIC)
            && offset == 0
            && let Some(name) = self.name_of(id).cloned()
        {
            // A new use of the slot, with two new copies of its header.
            self.harmed_headers.remove(&name);
        }
        let file = self.files.entry(id).or_default();
        file.write(offset, bytes.clone(), &mut self.random);
        if let Some(mut random) = self.astray.take()
            && !self.goes_astray((id, offset as u64), &bytes, &mut random)
        {
            self.astray = Some(random);
        }
    }

    /// Whether the last write does.
    fn goes_astray(
        &mut self,
        (id, offset): (u64, u64),
        bytes: &Bytes,
        random: &mut Random,
    ) -> bool {
        let Some(name) = self.name_of(id).cloned() else { return false };
        let is_header = bytes.starts_with(SLOT_MAGIC);
        let zeros = bytes.iter().all(|byte| *byte == 0);
        if zeros || is_header && self.harmed_headers.contains(&name) {
            return false;
        }
        let sites = sites(self.durable_copy(), None, Harm::Misdirected);
        let Some(mut sites) = sites else { return false };
        let meant = offset / PAGE..(offset + bytes.len() as u64).div_ceil(PAGE);
        sites.places.retain(|site| {
            let pages = site.range.start / PAGE..site.range.end.div_ceil(PAGE);
            site.file != name || pages.end <= meant.start || meant.end <= pages.start
        });
        let Some(site) = self.choose(&sites, Harm::Misdirected, random) else { return false };
        let Some(victim) = self.durable_names.get(&site.file).copied() else { return false };
        if let Some(file) = self.files.get_mut(&id) {
            file.lose_last_write();
        }
        if is_header {
            self.harmed_headers.insert(name.clone());
        }
        let pages = site.range.start / PAGE..site.range.end.div_ceil(PAGE);
        let page = pages.start + random.below(pages.end - pages.start);
        let end = (pages.end * PAGE).min(self.length(&site.file));
        let at = page * PAGE;
        let length = bytes.len().min(end.saturating_sub(at) as usize);
        let evicted = random.below(2) == 0;
        if let Some(file) = self.files.get_mut(&victim) {
            file.reach_disk(at as usize, &bytes.slice(..length));
            if evicted {
                (page..(at + length as u64).div_ceil(PAGE)).for_each(|n| file.evict(n as usize));
            }
        }
        if site.part == Part::SlotHeader {
            self.harmed_headers.insert(site.file.clone());
        }
        if evicted && let Some(file) = self.files.get_mut(&id) {
            file.durable.grow(file.cache.length());
            meant.for_each(|number| file.evict(number as usize));
        }
        self.scar = Some(Scar {
            harm: Harm::Misdirected,
            part: site.part,
            file: site.file,
            offset: at,
            missed: Some((name, offset)),
            forgets: None,
        });
        true
    }
}
