//! A disk that remembers its state before every operation that changes it: what is durable, and
//! which sectors, sizes and names the operations since then may have brought to the disk or not.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use raft_log::{Disk, DiskFile};

use crate::support::Random;

pub const SECTOR: usize = 512;
pub const PAGE: usize = 4096;
/// Stands for a directory where the number of a file would.
const DIRECTORY: usize = usize::MAX;

/// A page and its hash: files share the pages that they have in common.
#[derive(Debug)]
struct Page {
    bytes: [u8; PAGE],
    hash: u64,
}

static ZEROS: LazyLock<Arc<Page>> = LazyLock::new(|| page([0; PAGE]));

fn page(bytes: [u8; PAGE]) -> Arc<Page> {
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    Arc::new(Page { bytes, hash: hasher.finish() })
}

/// What a file holds. Behind its length all bytes are zero.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    pages: Vec<Arc<Page>>,
    length: usize,
}

impl Contents {
    fn read(&self, mut offset: usize, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.length.saturating_sub(offset));
        let mut done = 0;
        while done < count {
            let (number, within) = (offset / PAGE, offset % PAGE);
            let step = (PAGE - within).min(count - done);
            let from = &self.pages[number].bytes[within..within + step];
            buffer[done..done + step].copy_from_slice(from);
            done += step;
            offset += step;
        }
        count
    }

    fn resize(&mut self, length: usize) {
        if length < self.length && !length.is_multiple_of(PAGE) {
            let mut bytes = self.pages[length / PAGE].bytes;
            bytes[length % PAGE..].fill(0);
            self.pages[length / PAGE] = page(bytes);
        }
        self.pages.resize(length.div_ceil(PAGE), Arc::clone(&ZEROS));
        self.length = length;
    }

    fn write(&mut self, mut offset: usize, mut bytes: &[u8]) {
        self.resize(self.length.max(offset + bytes.len()));
        while !bytes.is_empty() {
            let (number, within) = (offset / PAGE, offset % PAGE);
            let (part, rest) = bytes.split_at(bytes.len().min(PAGE - within));
            let old = &self.pages[number];
            if old.bytes[within..within + part.len()] != *part {
                let mut new = old.bytes;
                new[within..within + part.len()].copy_from_slice(part);
                self.pages[number] = page(new);
            }
            offset += part.len();
            bytes = rest;
        }
    }

    fn sector(&self, number: usize) -> &[u8; SECTOR] {
        let page = self.pages.get(number * SECTOR / PAGE).unwrap_or(&ZEROS);
        let (sectors, _) = page.bytes.as_chunks();
        &sectors[number % sectors.len()]
    }
}

#[derive(Clone, Debug, Default)]
struct Inode {
    cached: Contents,
    durable: Contents,
    /// What stood in each sector that was written since the last sync, after each of the writes.
    pending: BTreeMap<usize, Vec<Arc<[u8; SECTOR]>>>,
    /// The lengths that the file had since.
    lengths: Vec<usize>,
    locked: bool,
}

impl Inode {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.cached.write(offset, bytes);
        let last = self.lengths.last().copied().unwrap_or(self.durable.length);
        if self.cached.length != last {
            self.lengths.push(self.cached.length);
        }
        for sector in offset / SECTOR..(offset + bytes.len()).div_ceil(SECTOR) {
            let written = self.pending.get(&sector).and_then(|versions| versions.last());
            let before = written.map_or(self.durable.sector(sector), |version| version);
            let now = self.cached.sector(sector);
            if before != now {
                self.pending.entry(sector).or_default().push(Arc::new(*now));
            }
        }
    }

    fn sync(&mut self) {
        self.durable = self.cached.clone();
        self.pending.clear();
        self.lengths.clear();
    }

    /// The pages count as clean from now on; some of them did reach the disk.
    fn fail_to_sync(&mut self, kept: Kept, random: &mut Random) {
        if let Some(length) = self.lengths.last() {
            self.durable.resize(*length);
        }
        for (sector, versions) in std::mem::take(&mut self.pending) {
            let keep = match kept {
                Kept::Nothing => false,
                Kept::Some => random.chance(2),
                Kept::All => true,
            };
            let version = versions.last().filter(|_| keep && sector * SECTOR < self.durable.length);
            if let Some(version) = version {
                self.durable.write(sector * SECTOR, &**version);
            }
        }
        self.lengths.clear();
    }
}

#[derive(Clone, Debug)]
enum NameChange {
    Add(String, usize),
    Remove(String),
    Rename(String, String, usize),
}

impl NameChange {
    fn dir(&self) -> &str {
        let (Self::Add(name, _) | Self::Remove(name) | Self::Rename(name, ..)) = self;
        name.rsplit_once('/').map_or(".", |(dir, _)| dir)
    }

    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Add(name, inode) => drop(names.insert(name.clone(), *inode)),
            Self::Remove(name) => drop(names.remove(name)),
            Self::Rename(from, to, inode) => {
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
        }
    }
}

/// All that a disk is at one moment, cache included.
#[derive(Clone, Debug, Default)]
pub struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
    /// The file that was written last.
    touched: Option<usize>,
}

/// Something that may have reached the disk when power was cut, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    place: Place,
    /// How many states it may be in: 0 is the durable one, the highest the newest.
    pub options: u8,
    /// Files that nothing but themselves depends on, and that were not written just now, are
    /// left in one state for each cut.
    pub live: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Name(usize),
    Length(usize),
    Sector(usize, usize),
}

/// A sector that was being written when power was cut, and now holds anything.
pub const GARBAGE: u8 = u8::MAX;

impl Choice {
    pub fn is_sector(&self) -> bool {
        matches!(self.place, Place::Sector(..))
    }

    /// Sectors of one page have the same; whatever else has its own.
    pub fn page(&self) -> (usize, usize, usize) {
        match self.place {
            Place::Name(change) => (0, change, 0),
            Place::Length(inode) => (1, inode, 0),
            Place::Sector(inode, sector) => (2, inode, sector * SECTOR / PAGE),
        }
    }
}

impl State {
    /// Everything that is not certainly on the disk.
    pub fn choices(&self) -> Vec<Choice> {
        let mut choices = Vec::new();
        for change in 0..self.pending_names.len() {
            choices.push(Choice { place: Place::Name(change), options: 2, live: true });
        }
        let pending = self.pending_names.iter().filter_map(|change| match change {
            NameChange::Add(_, inode) | NameChange::Rename(_, _, inode) => Some(inode),
            NameChange::Remove(_) => None,
        });
        let reachable: BTreeSet<usize> =
            self.durable_names.values().chain(pending).copied().collect();
        let lazy: Vec<usize> =
            ["LOCK", "SHOWN"].iter().filter_map(|name| self.names.get(*name).copied()).collect();
        for (at, inode) in self.inodes.iter().enumerate().filter(|(at, _)| reachable.contains(at)) {
            let live = !lazy.contains(&at) || self.touched == Some(at);
            let options = |count: usize| u8::try_from(count + 1).expect("few versions");
            if !inode.lengths.is_empty() {
                let options = options(inode.lengths_seen().len());
                choices.push(Choice { place: Place::Length(at), options, live });
            }
            for (sector, versions) in &inode.pending {
                let options = options(versions.len());
                choices.push(Choice { place: Place::Sector(at, *sector), options, live });
            }
        }
        choices
    }

    /// The disk after a power cut: one state picked for each choice.
    pub fn after_power_cut(&self, choices: &[Choice], picks: &[u8]) -> Image {
        let mut names = self.durable_names.clone();
        let mut contents: Vec<Contents> =
            self.inodes.iter().map(|inode| inode.durable.clone()).collect();
        for (choice, pick) in choices.iter().zip(picks).filter(|(_, pick)| **pick > 0) {
            let version = usize::from(*pick) - 1;
            match choice.place {
                Place::Name(change) => self.pending_names[change].apply(&mut names),
                Place::Length(inode) => {
                    contents[inode].resize(self.inodes[inode].lengths_seen()[version]);
                }
                Place::Sector(inode, sector) => {
                    let start = sector * SECTOR;
                    let length = contents[inode].length.saturating_sub(start).min(SECTOR);
                    let garbage = garbage(start);
                    let bytes = if *pick == GARBAGE {
                        &garbage
                    } else {
                        &*self.inodes[inode].pending[&sector][version]
                    };
                    if length > 0 {
                        contents[inode].write(start, &bytes[..length]);
                    }
                }
            }
        }
        let there = |name: &str| name.rsplit_once('/').is_none_or(|(d, _)| names.contains_key(d));
        let file = |inode: usize| (inode != DIRECTORY).then(|| contents[inode].clone());
        let files = names.iter().filter(|(name, _)| there(name));
        Image(files.map(|(name, inode)| (name.clone(), file(*inode))).collect())
    }
}

impl Inode {
    /// The lengths that the file may have besides its durable one: also one in between, for what
    /// is written in many pages.
    fn lengths_seen(&self) -> Vec<usize> {
        let mut lengths = self.lengths.clone();
        let (from, to) = (self.durable.length, self.cached.length);
        if to > from + PAGE {
            lengths.insert(0, from / PAGE * PAGE + PAGE);
        }
        lengths
    }
}

fn garbage(seed: usize) -> [u8; SECTOR] {
    let mut random = Random(seed as u64 ^ 0x6761_7262);
    std::array::from_fn(|_| random.next().to_le_bytes()[0])
}

/// A disk without a cache, as it comes up after a power cut: files and (empty) directories.
#[derive(Clone, Debug, Default)]
pub struct Image(BTreeMap<String, Option<Contents>>);

impl Image {
    /// Equal disks have equal ones.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, contents) in &self.0 {
            name.hash(&mut hasher);
            let Some(contents) = contents else { continue };
            contents.length.hash(&mut hasher);
            contents.pages.iter().for_each(|page| page.hash.hash(&mut hasher));
        }
        hasher.finish()
    }

    fn state(&self) -> State {
        let mut state = State::default();
        for (name, contents) in &self.0 {
            let mut at = DIRECTORY;
            if let Some(contents) = contents {
                at = state.inodes.len();
                let (cached, durable) = (contents.clone(), contents.clone());
                state.inodes.push(Inode { cached, durable, ..Inode::default() });
            }
            state.names.insert(name.clone(), at);
        }
        state.durable_names = state.names.clone();
        state
    }
}

/// What of its pages a failing sync brought to the disk all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Nothing,
    Some,
    All,
}

/// The state before an operation, and what had been promised by then.
#[derive(Clone, Debug)]
pub struct Moment {
    pub state: State,
    pub promise: usize,
    /// The operation that comes next.
    pub next: String,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    moments: Option<Vec<Moment>>,
    promise: usize,
    syncs: u64,
    failing: Option<(u64, Kept)>,
    /// The moment at which the sync failed.
    failed_at: Option<usize>,
}

/// The disk that records. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct RecordedFile {
    disk: Recorder,
    inode: usize,
    holds_lock: Mutex<bool>,
}

impl Recorder {
    pub fn new(image: &Image, recording: bool) -> Self {
        Self::of(image.state(), recording)
    }

    /// The machine goes on with what its cache holds; the process ended.
    pub fn after_kill(moment: &Moment) -> Self {
        Self::of(moment.state.clone(), true)
    }

    fn of(mut state: State, recording: bool) -> Self {
        state.inodes.iter_mut().for_each(|inode| inode.locked = false);
        let inner = Inner { state, moments: recording.then(Vec::new), ..Inner::default() };
        Self(Arc::new(Mutex::new(inner)))
    }

    pub fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// That sync fails: the first one is number 0.
    pub fn fail_sync(&self, number: u64, kept: Kept) {
        self.inner().failing = Some((number, kept));
    }

    pub fn syncs(&self) -> u64 {
        self.inner().syncs
    }

    /// What is promised from now on.
    pub fn promise(&self, number: usize) {
        self.inner().promise = number;
    }

    /// All moments, the last one after everything, and which of them is the first after the
    /// sync that failed.
    pub fn moments(&self) -> (Vec<Moment>, Option<usize>) {
        let mut inner = self.inner();
        inner.note("nothing");
        (inner.moments.take().unwrap_or_default(), inner.failed_at)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    fn file(&self, inode: usize) -> Arc<dyn DiskFile> {
        Arc::new(RecordedFile { disk: self.clone(), inode, holds_lock: Mutex::new(false) })
    }
}

impl Inner {
    fn note(&mut self, next: &str) {
        let (state, promise) = (&self.state, self.promise);
        if let Some(moments) = &mut self.moments {
            moments.push(Moment { state: state.clone(), promise, next: next.to_owned() });
        }
    }

    fn change(&mut self, change: NameChange) {
        self.note(&format!("{change:?}"));
        change.apply(&mut self.state.names);
        self.state.pending_names.push(change);
        self.state.touched = None;
    }

    /// Counts a sync; how much it keeps, if it is the one that fails.
    fn sync(&mut self, next: &str) -> Option<Kept> {
        self.note(next);
        self.state.touched = None;
        let number = self.syncs;
        self.syncs += 1;
        let (_, kept) = self.failing.filter(|(failing, _)| *failing == number)?;
        self.failed_at = self.moments.as_ref().map(Vec::len);
        Some(kept)
    }
}

fn failed() -> io::Error {
    io::Error::other("input/output error")
}

impl Disk for Recorder {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let found = self.inner().state.names.get(name).copied();
        Ok(self.file(found.ok_or(io::ErrorKind::NotFound)?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.inner();
        if inner.state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = inner.state.inodes.len();
        inner.change(NameChange::Add(name.into(), inode));
        inner.state.inodes.push(Inode::default());
        drop(inner);
        Ok(self.file(inode))
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        let mut inner = self.inner();
        if !inner.state.names.contains_key(name) {
            inner.change(NameChange::Add(name.into(), DIRECTORY));
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.inner();
        let inode = *inner.state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        inner.change(NameChange::Rename(from.into(), to.into(), inode));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.inner();
        if !inner.state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        inner.change(NameChange::Remove(name.into()));
        Ok(())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let inner = self.inner();
        let names = inner.state.names.keys();
        let within = |name: &String| match name.rsplit_once('/') {
            Some((above, name)) => (above == dir).then(|| name.to_owned()),
            None => (dir == ".").then(|| name.clone()),
        };
        Ok(names.filter_map(within).collect())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut inner = self.inner();
        // What a failing journal did not write, a later sync writes.
        if inner.sync(&format!("sync directory {dir}")).is_some() {
            return Err(failed());
        }
        let State { durable_names, pending_names, .. } = &mut inner.state;
        pending_names.retain(|change| {
            let other = change.dir() != dir;
            if !other {
                change.apply(durable_names);
            }
            other
        });
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/disk").join(name)
    }
}

impl DiskFile for RecordedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        Ok(self.disk.inner().state.inodes[self.inode].cached.read(offset, buffer))
    }

    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let mut inner = self.disk.inner();
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        inner.note(&format!("write {bytes} bytes at {offset} of file {}", self.inode));
        inner.state.touched = Some(self.inode);
        inner.state.inodes[self.inode].write(offset, &parts.concat());
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let failing = inner.sync(&format!("sync file {}", self.inode));
        let random = &mut Random(inner.syncs);
        let inode = &mut inner.state.inodes[self.inode];
        if let Some(kept) = failing {
            inode.fail_to_sync(kept, random);
            return Err(failed());
        }
        inode.sync();
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.disk.inner().state.inodes[self.inode].cached.length as u64)
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut inner = self.disk.inner();
        let inode = &mut inner.state.inodes[self.inode];
        let free = !inode.locked;
        inode.locked = true;
        *self.holds_lock.lock().unwrap() |= free;
        Ok(free)
    }
}

impl Drop for RecordedFile {
    fn drop(&mut self) {
        if *self.holds_lock.lock().unwrap() {
            self.disk.inner().state.inodes[self.inode].locked = false;
        }
    }
}
