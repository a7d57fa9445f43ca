//! A disk in memory that can lose, tear and damage what was written, and helpers around it.
#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod format;
pub mod model;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use raft_core::{Index, NodeId};
use raft_log::{
    DataDir, Disk, DiskFile, Founder, Holder, Log, MemberIdentity, NodeState, OpenError, Options,
};

/// How everything ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process dies; the page cache stays, and is still not on the disk.
    Process,
    /// Power is lost: nothing that was not synced is there.
    PowerNothing,
    /// Power is lost: of what was not synced any sectors of this many bytes are there.
    PowerTorn(usize),
}

/// A small generator: the tests replay from its seed.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }
}

#[derive(Clone, Debug, Default)]
struct Inode {
    cached: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
    locked: bool,
}

#[derive(Clone, Debug)]
enum NameChange {
    Add(String, usize),
    Remove(String),
    Rename(String, String),
}

#[derive(Clone, Debug, Default)]
struct Inner {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
    operations: u64,
    /// The operation that does not return any more.
    cut_at: Option<u64>,
    /// The sync that fails, its pages dropped from the cache's list of dirty ones.
    fail_sync_at: Option<u64>,
    syncs: u64,
    free: Option<u64>,
    dead: bool,
}

/// Cloning shares the disk; `fork` copies it.
#[derive(Clone, Debug, Default)]
pub struct MemDisk(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct MemFile {
    disk: MemDisk,
    inode: usize,
    holds_lock: Mutex<bool>,
}

fn died() -> io::Error {
    io::Error::other("the machine stopped")
}

fn directory_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(".", |(dir, _)| dir)
}

fn write_into(bytes: &mut Vec<u8>, offset: usize, part: &[u8]) {
    if bytes.len() < offset + part.len() {
        let grown = vec![0; offset + part.len() - bytes.len()];
        bytes.extend_from_slice(&grown);
    }
    bytes[offset..offset + part.len()].copy_from_slice(part);
}

impl Inner {
    /// Counts a changing operation; an error if it is the one that does not return.
    fn step(&mut self) -> io::Result<bool> {
        if self.dead {
            return Err(died());
        }
        self.operations += 1;
        self.dead = self.cut_at.is_some_and(|at| self.operations >= at);
        Ok(self.dead)
    }

    fn change_name(names: &mut BTreeMap<String, usize>, change: &NameChange) {
        match change {
            NameChange::Add(name, inode) => drop(names.insert(name.clone(), *inode)),
            NameChange::Remove(name) => drop(names.remove(name)),
            NameChange::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
        }
    }

    fn name_step(&mut self, change: NameChange) -> io::Result<()> {
        let died_now = self.step()?;
        Self::change_name(&mut self.names, &change);
        self.pending_names.push(change);
        if died_now { Err(died()) } else { Ok(()) }
    }
}

impl MemDisk {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub fn fork(&self) -> Self {
        let mut inner = self.inner().clone();
        inner.inodes.iter_mut().for_each(|inode| inode.locked = false);
        Self(Arc::new(Mutex::new(inner)))
    }

    /// The operation after `operations` more does not return.
    pub fn cut_after(&self, operations: u64) {
        let mut inner = self.inner();
        inner.cut_at = Some(inner.operations + operations + 1);
    }

    /// The sync after `syncs` more fails and forgets what it was to write.
    pub fn fail_sync_after(&self, syncs: u64) {
        let mut inner = self.inner();
        inner.fail_sync_at = Some(inner.syncs + syncs + 1);
    }

    pub fn operations(&self) -> u64 {
        self.inner().operations
    }

    pub fn set_free(&self, free: Option<u64>) {
        self.inner().free = free;
    }

    /// The state of the disk after a crash, to be opened anew.
    pub fn crash(&self, crash: Crash, random: &mut Random) -> Self {
        let mut inner = self.inner().clone();
        inner.dead = false;
        inner.cut_at = None;
        inner.fail_sync_at = None;
        for inode in &mut inner.inodes {
            inode.locked = false;
            match crash {
                Crash::Process => continue,
                Crash::PowerNothing => {}
                Crash::PowerTorn(sector) => {
                    for (offset, bytes) in &inode.pending {
                        for (at, part) in bytes.chunks(sector).enumerate() {
                            if random.chance(2) {
                                write_into(&mut inode.durable, offset + at * sector, part);
                            }
                        }
                    }
                }
            }
            inode.pending.clear();
            inode.cached.clone_from(&inode.durable);
        }
        if crash != Crash::Process {
            let kept = match crash {
                Crash::PowerTorn(_) => random.below(inner.pending_names.len() as u64 + 1),
                _ => 0,
            };
            let pending = std::mem::take(&mut inner.pending_names);
            for change in pending.iter().take(usize::try_from(kept).unwrap()) {
                Inner::change_name(&mut inner.durable_names, change);
            }
            inner.names = inner.durable_names.clone();
        }
        Self(Arc::new(Mutex::new(inner)))
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        let inner = self.inner();
        inner.inodes[inner.names[name]].cached.clone()
    }

    /// Replaces a file's bytes, as damage does.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut inner = self.inner();
        let at = if let Some(at) = inner.names.get(name).copied() {
            at
        } else {
            inner.inodes.push(Inode::default());
            let at = inner.inodes.len() - 1;
            inner.names.insert(name.into(), at);
            inner.durable_names.insert(name.into(), at);
            at
        };
        inner.inodes[at] = Inode { cached: bytes.clone(), durable: bytes, ..Inode::default() };
    }

    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.read(name);
        change(&mut bytes);
        self.put(name, bytes);
    }

    pub fn take_away(&self, name: &str) {
        let mut inner = self.inner();
        inner.names.remove(name).unwrap();
        inner.durable_names.remove(name);
    }

    pub fn names(&self) -> Vec<String> {
        self.inner().names.keys().cloned().collect()
    }
}

impl Disk for MemDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.inner();
        let inode = *inner.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(MemFile { disk: self.clone(), inode, holds_lock: Mutex::new(false) }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.inner();
        if inner.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        inner.inodes.push(Inode::default());
        let inode = inner.inodes.len() - 1;
        inner.name_step(NameChange::Add(name.into(), inode))?;
        Ok(Arc::new(MemFile { disk: self.clone(), inode, holds_lock: Mutex::new(false) }))
    }

    fn create_dir(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner().name_step(NameChange::Rename(from.into(), to.into()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.inner();
        if !inner.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        inner.name_step(NameChange::Remove(name.into()))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let names = self.inner();
        let mut found = Vec::new();
        for name in names.names.keys() {
            if dir == "." {
                let top = name.split('/').next().unwrap_or_default().to_owned();
                if found.last() != Some(&top) {
                    found.push(top);
                }
            } else if let Some(rest) = name.strip_prefix(&format!("{dir}/")) {
                found.push(rest.to_owned());
            }
        }
        Ok(found)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut inner = self.inner();
        if inner.step()? {
            return Err(died());
        }
        let changes = std::mem::take(&mut inner.pending_names);
        for change in changes {
            let (NameChange::Add(name, _) | NameChange::Remove(name) | NameChange::Rename(name, _)) =
                &change;
            if directory_of(name) == dir {
                Inner::change_name(&mut inner.durable_names, &change);
            } else {
                inner.pending_names.push(change);
            }
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.inner().free.unwrap_or(u64::MAX))
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/disk").join(name)
    }
}

impl DiskFile for MemFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.disk.inner();
        let offset = usize::try_from(offset).unwrap();
        let rest = inner.inodes[self.inode].cached.get(offset..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let died_now = inner.step()?;
        let bytes = parts.concat();
        let offset = usize::try_from(offset).unwrap();
        let free = inner.free;
        let inode = &mut inner.inodes[self.inode];
        let growth = (offset + bytes.len()).saturating_sub(inode.cached.len()) as u64;
        if free.is_some_and(|free| free < growth) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        write_into(&mut inode.cached, offset, &bytes);
        inode.pending.push((offset, bytes));
        inner.free = free.map(|free| free - growth);
        if died_now { Err(died()) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.disk.inner();
        if inner.step()? {
            return Err(died());
        }
        inner.syncs += 1;
        let fails = inner.fail_sync_at.is_some_and(|at| inner.syncs == at);
        let inode = &mut inner.inodes[self.inode];
        let pending = std::mem::take(&mut inode.pending);
        if fails {
            // The kernel marks the pages clean: no later sync will write them.
            return Err(io::Error::other("input/output error"));
        }
        for (offset, bytes) in pending {
            write_into(&mut inode.durable, offset, &bytes);
        }
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.disk.inner().inodes[self.inode].cached.len() as u64)
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut inner = self.disk.inner();
        let inode = &mut inner.inodes[self.inode];
        let free = !inode.locked;
        inode.locked = true;
        *self.holds_lock.lock().unwrap() |= free;
        Ok(free)
    }
}

impl Drop for MemFile {
    fn drop(&mut self) {
        if *self.holds_lock.lock().unwrap() {
            self.disk.inner().inodes[self.inode].locked = false;
        }
    }
}

pub fn holder() -> Holder {
    Holder { pid: 7, address: ":9990".into() }
}

pub fn identity(incarnation: u128) -> MemberIdentity {
    let founders = vec![Founder { address: ":9990".into(), incarnation }];
    MemberIdentity { incarnation, cluster: 99, id: NodeId(1), address: ":9990".into(), founders }
}

/// Small slots: 64 KiB, of which 48 KiB are for blocks.
pub fn small(seed: u64) -> Options {
    Options { slot_bytes_start: 64 << 10, slot_bytes_max: 64 << 10, spares: 1, seed: Some(seed) }
}

/// Opens the directory, makes it a member's if it is new, and opens its log.
pub fn open_with(disk: &dyn CloneDisk, options: Options) -> Result<(DataDir, Log), OpenError> {
    let mut dir = DataDir::open_seeded(disk.shared(), holder(), Some(5))?;
    if let NodeState::New { incarnation } = *dir.identity() {
        dir.set_identity(NodeState::Member(identity(incarnation))).map_err(|source| {
            OpenError::Io { doing: "write", path: PathBuf::from("NODE"), source }
        })?;
    }
    let log = dir.open_log(options)?;
    Ok((dir, log))
}

pub fn open(disk: &MemDisk, seed: u64) -> Result<(DataDir, Log), OpenError> {
    open_with(disk, small(seed))
}

pub trait CloneDisk {
    fn shared(&self) -> Arc<dyn Disk>;
}

impl CloneDisk for MemDisk {
    fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }
}

/// Everything in the log, read back from the disk.
pub fn read_all(log: &Log, last: Index) -> Vec<raft_log::Entry> {
    read_after(log, log.recovered.start.index, last)
}

/// The entries after `start`.
pub fn read_after(log: &Log, start: Index, last: Index) -> Vec<raft_log::Entry> {
    let mut entries: Vec<raft_log::Entry> = Vec::new();
    while start.0 + (entries.len() as u64) < last.0 {
        let next = Index(start.0 + entries.len() as u64 + 1);
        let range = log.reader.read(next, last, 10_000).unwrap();
        let decoded: Vec<_> =
            range.encoded.iter().flat_map(|b| raft_log::decode_entries(b).unwrap()).collect();
        assert_eq!(decoded, range.entries, "the slices must hold exactly the entries");
        entries.extend(range.entries);
    }
    entries
}
