//! A simulated disk under the production log, with every fault that a disk has.
//!
//! - Contents: of what was written since the last sync any sectors survive a power cut, of any
//!   file, in any combination, and one of each file may be garbage; a file may have grown without
//!   them. A sync makes them durable.
//!   After a *failed* sync the cache still shows the bytes, but they are not written again: a
//!   later sync succeeds without them, as on ext4, XFS and Btrfs (Rebello et al., "Can
//!   Applications Recover from fsync Failures?", ATC'20).
//! - Names: making, moving and removing a file is durable only once its directory was synced.
//!   Until then any of the changes may be undone by a power cut.
//! - A *kill* loses nothing that was written: the cache belongs to the machine.
//! - A *fuse* lets a number of operations pass. The next one is done in part, and nothing after
//!   it: the process or the machine died there. Or that one fails, and the disk goes on.
//! - Space: somebody else fills the disk, and clears it again.
//! - Time: the disk is slow for a while, or hangs.
//! - Damage, on the hosts that the [`Atlas`] names: bits turn, pages read as older versions of
//!   themselves, writes land in wrong places, files are gone or another's ([`Harm`]).

mod atlas;
mod file;
mod harm;
mod lost;
mod mount;
mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raft_core::Time;
use raft_log::Disk;
use raft_node::random::Random;

use crate::recorder::Recorder;

pub use atlas::Atlas;
use file::File;
pub use file::SECTOR_BYTES;
pub use harm::{Harm, Part, Scar};
use mount::Mount;
pub use pages::PAGE_BYTES;
use pages::{Page, Pages};

/// What the disk holds altogether.
const CAPACITY_BYTES: u64 = 1 << 30;

/// A slow disk takes at most so long, in milliseconds.
const SLOW_MAX: u64 = 500;

/// The hardware: survives processes and power cuts.
#[derive(Clone, Debug)]
pub struct Platter(Arc<Mutex<State>>, Recorder);

#[derive(Debug)]
struct State {
    random: Random,
    life: u64,
    files: BTreeMap<u64, File>,
    /// As seen now; directories are named too, as file 0.
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    name_changes: Vec<NameChange>,
    locked: BTreeSet<u64>,
    next_file: u64,
    fuse: Option<Fuse>,
    /// So many reads succeed, and then one does not.
    read_fuse: Option<u64>,
    dead: bool,
    /// Bytes that others keep on this disk.
    taken: u64,
    slow_until: Time,
    /// The next write lands elsewhere.
    astray: Option<Random>,
    scar: Option<Scar>,
    /// Slot headers that were harmed in their present use: they have two copies, not three.
    harmed_headers: BTreeSet<String>,
}

/// Some files as a power cut would leave them; directories have no pages.
#[derive(Debug, Default)]
pub struct Durable(BTreeMap<String, Option<Pages>>);

#[derive(Debug)]
enum NameChange {
    Made(String, u64),
    Moved(String, String, u64),
    Removed(String),
}

/// What happens when so many operations have passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// Everything stops there.
    Stop,
    /// That operation fails.
    Error,
}

#[derive(Clone, Copy, Debug)]
struct Fuse {
    left: u64,
    blow: Blow,
}

impl Platter {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State::new(Random::new(seed));
        Self(Arc::new(Mutex::new(state)), Recorder::default())
    }

    /// Keeps a hash of what happens on it.
    #[must_use]
    pub const fn recorder(&self) -> &Recorder {
        &self.1
    }

    /// A process begins to use the disk.
    #[must_use]
    pub fn mount(&self) -> Arc<dyn Disk> {
        let mut state = lock(&self.0);
        state.life += 1;
        state.locked.clear();
        state.dead = false;
        self.1.watch(Arc::new(Mount { state: Arc::clone(&self.0), life: state.life }))
    }

    /// The process is gone: what it wrote stays in the machine's cache.
    pub fn kill(&self) {
        let mut state = lock(&self.0);
        state.life += 1;
        (state.fuse, state.read_fuse) = (None, None);
    }

    /// The power is gone: of what was not synced, any part survives.
    pub fn cut(&self) {
        self.kill();
        lock(&self.0).lose();
    }

    /// What happens after so many more operations.
    pub fn light_fuse(&self, operations: u64, blow: Blow) {
        lock(&self.0).fuse = Some(Fuse { left: operations, blow });
    }

    /// After so many more reads one fails.
    pub fn fail_read(&self, reads: u64) {
        lock(&self.0).read_fuse = Some(reads);
    }

    /// All reads succeed again.
    pub fn let_read(&self) {
        lock(&self.0).read_fuse = None;
    }

    /// No fuse burns any more.
    pub fn put_out_fuse(&self) {
        lock(&self.0).fuse = None;
    }

    /// Everything that was wrong with it and can be mended is well: damage cannot.
    pub fn mend(&self) {
        let mut state = lock(&self.0);
        (state.fuse, state.read_fuse, state.taken, state.astray) = (None, None, 0, None);
        state.slow_until = Time(0);
    }

    /// Somebody else fills the disk up to so many bytes.
    pub fn fill(&self, left: u64) {
        let mut state = lock(&self.0);
        state.taken = 0;
        state.taken = state.free_bytes().saturating_sub(left);
    }

    /// There is room again.
    pub fn clear(&self) {
        lock(&self.0).taken = 0;
    }

    /// Everything takes longer until then.
    pub fn slow_down(&self, until: Time) {
        lock(&self.0).slow_until = until;
    }

    /// How long an operation that begins now takes, if it usually takes `usual`.
    #[must_use]
    pub fn delay(&self, now: Time, usual: u64) -> u64 {
        let state = lock(&self.0);
        // What hangs anyway does so no longer.
        let slow = (20 * usual).min(SLOW_MAX).max(usual);
        if now < state.slow_until { slow } else { usual }
    }

    /// The first page of the slot that was taken into use last.
    #[must_use]
    pub fn newest_slot(&self) -> Option<[u8; PAGE_BYTES]> {
        let state = lock(&self.0);
        let slots = state.names.iter().filter(|(name, _)| name.ends_with(".seg"));
        let pages = slots.filter_map(|(_, file)| state.files.get(file)?.cache.page(0));
        pages.map(Page::whole).max_by_key(|page| field(page, ORDER_AT))
    }

    /// Whether a fuse burnt down and stopped everything.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        lock(&self.0).dead
    }

    /// Another disk, with exactly that which a power cut now could not take away. What happens to
    /// it is not recorded.
    #[must_use]
    pub fn durable_copy(&self) -> Arc<dyn Disk> {
        lock(&self.0).durable_copy().into_disk()
    }

    /// The same of those files only whose names are wanted, and to be compared.
    #[must_use]
    pub fn durable(&self, wanted: impl Fn(&str) -> bool) -> Durable {
        let state = lock(&self.0);
        let named = state.durable_names.iter().filter(|(name, _)| wanted(name));
        let pages = |file| state.files.get(file).map(|file| file.durable.clone());
        Durable(named.map(|(name, file)| (name.clone(), pages(file))).collect())
    }
}

impl Durable {
    /// Whether these are the same files, and nothing reached them since.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.all_stay(other, |_| true)
    }

    /// Whether all files with such names are the same in the other, and nothing reached them since.
    #[must_use]
    pub fn all_stay(&self, other: &Self, named: impl Fn(&str) -> bool) -> bool {
        let same = |(name, pages): (&String, &Option<Pages>)| match (pages, other.0.get(name)) {
            (Some(one), Some(Some(other))) => one.is(other),
            (None, Some(None)) => true,
            _ => false,
        };
        self.0.iter().filter(|(name, _)| named(name)).all(same)
    }

    /// Whether there is such a file.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(Option::is_some)
    }

    /// A disk that holds them.
    #[must_use]
    pub fn disk(&self) -> Arc<dyn Disk> {
        let mut state = State::new(Random::new(0));
        for (name, pages) in &self.0 {
            let file = pages.as_ref().map_or(0, |_| state.next_file);
            state.names.insert(name.clone(), file);
            if let Some(cache) = pages.clone() {
                state.files.insert(file, File::of(cache));
                state.next_file += 1;
            }
        }
        state.durable_names.clone_from(&state.names);
        state.into_disk()
    }
}

/// Where a slot's header has its order number.
const ORDER_AT: usize = 64;

/// A number in a page.
#[must_use]
pub fn field(page: &[u8; PAGE_BYTES], offset: usize) -> u64 {
    let bytes = page.get(offset..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn directory(name: &str) -> &str {
    name.rsplit_once('/').map_or(".", |(directory, _)| directory)
}

impl NameChange {
    fn directory(&self) -> &str {
        match self {
            Self::Made(name, _) | Self::Moved(_, name, _) | Self::Removed(name) => directory(name),
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Made(name, file) => drop(names.insert(name.clone(), *file)),
            Self::Moved(from, to, file) => {
                // Another file that had this name before stays what it is.
                if names.get(from) == Some(file) {
                    names.remove(from);
                    names.insert(to.clone(), *file);
                }
            }
            Self::Removed(name) => drop(names.remove(name)),
        }
    }
}

impl State {
    const fn new(random: Random) -> Self {
        Self {
            random,
            life: 0,
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            locked: BTreeSet::new(),
            next_file: 1,
            fuse: None,
            read_fuse: None,
            dead: false,
            taken: 0,
            slow_until: Time(0),
            astray: None,
            scar: None,
            harmed_headers: BTreeSet::new(),
        }
    }

    fn durable_copy(&self) -> Self {
        let named: BTreeSet<u64> = self.durable_names.values().copied().collect();
        let durable = self.files.iter().filter(|(number, _)| named.contains(number));
        Self {
            files: durable.map(|(number, file)| (*number, file.durable_copy())).collect(),
            names: self.durable_names.clone(),
            durable_names: self.durable_names.clone(),
            next_file: self.next_file,
            ..Self::new(self.random.clone())
        }
    }

    /// The disk itself, for one process.
    fn into_disk(self) -> Arc<dyn Disk> {
        let life = self.life;
        Arc::new(Mount { state: Arc::new(Mutex::new(self)), life })
    }

    /// What a power cut does.
    fn lose(&mut self) {
        // In order up to some change, or any of them.
        let ordered = self.random.below(2) == 0;
        let mut going = true;
        for change in std::mem::take(&mut self.name_changes) {
            let survives = self.random.below(3) > 0;
            going &= survives;
            if if ordered { going } else { survives } {
                // A name that was moved is durable only if it had been made.
                change.apply(&mut self.durable_names);
            }
        }
        let durable = &mut self.durable_names;
        if !durable.contains_key("wal") {
            durable.retain(|name, _| !name.starts_with("wal/"));
        }
        self.names.clone_from(durable);
        self.files.retain(|file, _| durable.values().any(|named| named == file));
        for file in self.files.values_mut() {
            file.lose(&mut self.random);
        }
    }

    /// Lets an operation pass, or not.
    fn pass(&mut self, life: u64) -> io::Result<()> {
        self.check(life)?;
        let Some(fuse) = &mut self.fuse else { return Ok(()) };
        if fuse.left > 0 {
            fuse.left -= 1;
            return Ok(());
        }
        let blow = fuse.blow;
        self.fuse = None;
        self.dead = blow == Blow::Stop;
        Err(io::Error::other("the simulated disk failed"))
    }

    fn pass_read(&mut self, life: u64) -> io::Result<()> {
        self.check(life)?;
        match &mut self.read_fuse {
            None => return Ok(()),
            Some(0) => {}
            Some(left) => {
                *left -= 1;
                return Ok(());
            }
        }
        self.read_fuse = None;
        Err(io::Error::other("the simulated disk cannot be read"))
    }

    fn check(&self, life: u64) -> io::Result<()> {
        if self.dead || self.life != life {
            return Err(io::Error::other("the simulated process is gone"));
        }
        Ok(())
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    fn free_bytes(&self) -> u64 {
        let files = self.names.values().filter_map(|file| self.files.get(file));
        let used: usize = files.map(|file| file.cache.length()).sum();
        CAPACITY_BYTES.saturating_sub(self.taken).saturating_sub(used as u64)
    }
}
