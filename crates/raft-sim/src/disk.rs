//! A simulated disk under the production log: what was written and not synced may be lost when
//! the power is cut, all of it, some sectors of it, or none.
//!
//! - Contents: every write since the last sync survives a power cut sector by sector, in any
//!   combination; a sync makes all of them durable. After a *failed* sync the cache still shows
//!   the bytes, but they are not written again: a later sync succeeds without them, as on ext4,
//!   XFS and Btrfs (Rebello et al., "Can Applications Recover from fsync Failures?", ATC'20).
//! - Names: making, moving and removing a file is durable only once its directory was synced.
//!   Until then any of the changes may be undone by a power cut.
//! - A *kill* loses nothing that was written: the cache belongs to the machine.
//! - A *fuse* lets a number of operations pass. The next one is done in part, and nothing after
//!   it: the process or the machine died there. Or that one fails, and the disk goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raft_log::{Disk, DiskFile};
use raft_node::random::Random;

use crate::recorder::Recorder;

/// What a disk writes at once or not at all.
pub const SECTOR_BYTES: usize = 512;

/// There is always room for so many more bytes.
pub const FREE_BYTES: u64 = 1 << 30;

/// Writes of one file that wait for a sync; older ones the machine writes back by itself.
const UNSYNCED_MAX: usize = 64;

/// The hardware: survives processes and power cuts.
#[derive(Clone, Debug)]
pub struct Platter(Arc<Mutex<State>>, Recorder);

/// The disk as one life of a process sees it. It is of no use once that life is over.
#[derive(Clone, Debug)]
struct Mount {
    state: Arc<Mutex<State>>,
    life: u64,
}

#[derive(Debug)]
struct OpenFile {
    mount: Mount,
    file: u64,
}

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
    dead: bool,
}

#[derive(Debug, Default)]
struct File {
    cache: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
}

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
        Self(
            Arc::new(Mutex::new(State {
                random: Random::new(seed),
                life: 0,
                files: BTreeMap::new(),
                names: BTreeMap::new(),
                durable_names: BTreeMap::new(),
                name_changes: Vec::new(),
                locked: BTreeSet::new(),
                next_file: 1,
                fuse: None,
                dead: false,
            })),
            Recorder::default(),
        )
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

    /// Keeps a hash of what happens on it.
    #[must_use]
    pub const fn recorder(&self) -> &Recorder {
        &self.1
    }

    /// The process is gone: what it wrote stays in the machine's cache.
    pub fn kill(&self) {
        let mut state = lock(&self.0);
        state.life += 1;
        state.fuse = None;
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

    /// No more of that.
    pub fn put_out_fuse(&self) {
        lock(&self.0).fuse = None;
    }

    /// Whether a fuse burnt down and stopped everything.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        lock(&self.0).dead
    }

    /// Another disk, with exactly that which a power cut now could not take away.
    #[must_use]
    pub fn durable_copy(&self) -> Self {
        let state = lock(&self.0);
        let named = |file: &u64| state.durable_names.values().any(|named| named == file);
        let durable =
            state.files.iter().filter(|(number, _)| named(number)).map(|(number, file)| {
                // Nobody cuts the power of the copy: what is behind its cache does not matter.
                (*number, File { cache: file.durable.clone(), ..File::default() })
            });
        let state = State {
            random: state.random.clone(),
            life: state.life,
            files: durable.collect(),
            names: state.durable_names.clone(),
            durable_names: state.durable_names.clone(),
            name_changes: Vec::new(),
            locked: BTreeSet::new(),
            next_file: state.next_file,
            fuse: None,
            dead: false,
        };
        Self(Arc::new(Mutex::new(state)), Recorder::default())
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn directory(name: &str) -> &str {
    name.rsplit_once('/').map_or(".", |(directory, _)| directory)
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{name} is not there"))
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
}

impl File {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        put(&mut self.cache, offset, bytes);
        self.unsynced.push((offset, bytes.to_vec()));
        if self.unsynced.len() > UNSYNCED_MAX {
            let (offset, bytes) = self.unsynced.remove(0);
            put(&mut self.durable, offset, &bytes);
        }
    }

    fn sync(&mut self) {
        for (offset, bytes) in std::mem::take(&mut self.unsynced) {
            put(&mut self.durable, offset, &bytes);
        }
    }

    /// Some of what was not synced reaches the disk, and the rest never will.
    fn write_some_back(&mut self, random: &mut Random) {
        let (mode, page) = (random.below(4), if random.below(2) == 0 { 8 } else { 1 });
        for (offset, bytes) in std::mem::take(&mut self.unsynced) {
            let mut at = 0;
            while at < bytes.len() {
                // Up to the next boundary on the disk.
                let unit = page * SECTOR_BYTES;
                let next = ((offset + at) / unit + 1) * unit - offset;
                let end = next.min(bytes.len());
                let survives = match mode {
                    0 => false,
                    1 => true,
                    _ => random.below(2) == 0,
                };
                if survives {
                    put(&mut self.durable, offset + at, &bytes[at..end]);
                }
                at = end;
            }
        }
    }

    fn lose(&mut self, random: &mut Random) {
        self.write_some_back(random);
        self.cache.clone_from(&self.durable);
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

impl Mount {
    fn open_file(&self, file: u64) -> Arc<dyn DiskFile> {
        Arc::new(OpenFile { mount: self.clone(), file })
    }
}

impl Disk for Mount {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = lock(&self.state);
        state.check(self.life)?;
        let file = state.names.get(name).copied().ok_or_else(|| not_found(name))?;
        Ok(self.open_file(file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = lock(&self.state);
        state.pass(self.life)?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.next_file;
        state.next_file += 1;
        state.files.insert(file, File::default());
        state.change(NameChange::Made(name.into(), file));
        Ok(self.open_file(file))
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.pass(self.life)?;
        if !state.names.contains_key(name) {
            state.change(NameChange::Made(name.into(), 0));
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.pass(self.life)?;
        let file = state.names.get(from).copied().ok_or_else(|| not_found(from))?;
        state.change(NameChange::Moved(from.into(), to.into(), file));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.check(self.life)?;
        if !state.names.contains_key(name) {
            return Err(not_found(name));
        }
        state.pass(self.life)?;
        state.change(NameChange::Removed(name.into()));
        Ok(())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let state = lock(&self.state);
        state.check(self.life)?;
        let inside = state.names.keys().filter(|name| directory(name) == dir);
        let last = |name: &String| name.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(inside.map(last).collect())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.pass(self.life)?;
        let State { name_changes, durable_names, .. } = &mut *state;
        name_changes.retain(|change| {
            let ours = change.directory() == dir;
            if ours {
                change.apply(durable_names);
            }
            !ours
        });
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(FREE_BYTES)
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/simulated/{name}"))
    }
}

impl OpenFile {
    fn with<T>(&self, act: impl FnOnce(&mut File) -> T) -> io::Result<T> {
        let mut state = lock(&self.mount.state);
        state.check(self.mount.life)?;
        // A file that was removed lives on as long as it is open.
        Ok(act(state.files.entry(self.file).or_default()))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = lock(&self.mount.state);
        state.check(self.mount.life)?;
        let passed = state.pass(self.mount.life);
        let State { files, random, dead, .. } = &mut *state;
        let file = files.entry(self.file).or_default();
        match passed {
            Ok(()) => file.sync(),
            // The process ended before the sync did anything.
            Err(_) if *dead => {}
            // The cache keeps what the disk never got.
            Err(_) => file.write_some_back(random),
        }
        passed
    }
}

impl DiskFile for OpenFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|file| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(file.cache.len());
            let count = buffer.len().min(file.cache.len() - start);
            buffer[..count].copy_from_slice(&file.cache[start..start + count]);
            count
        })
    }

    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = parts.concat();
        let mut state = lock(&self.mount.state);
        state.check(self.mount.life)?;
        let passed = state.pass(self.mount.life);
        let State { files, random, .. } = &mut *state;
        let part = match passed {
            Ok(()) => bytes.len(),
            Err(_) => random.below(bytes.len() as u64 + 1) as usize,
        };
        if part > 0 {
            files.entry(self.file).or_default().write(offset, &bytes[..part]);
        }
        passed
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn bytes(&self) -> io::Result<u64> {
        self.with(|file| file.cache.len() as u64)
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut state = lock(&self.mount.state);
        state.check(self.mount.life)?;
        Ok(state.locked.insert(self.file))
    }
}
