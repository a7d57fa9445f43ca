//! The disk as one life of a process sees it. It is of no use once that life is over.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use raft_log::{Disk, DiskFile};

use super::file::File;
use super::pages::zeros;
use super::{NameChange, State, directory, lock};

/// Where the disk is, as far as a message says.
pub(super) const ROOT: &str = "/simulated";

#[derive(Clone, Debug)]
pub(super) struct Mount {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) life: u64,
}

#[derive(Debug)]
struct OpenFile {
    mount: Mount,
    file: u64,
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{name} is not there"))
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
        let state = lock(&self.state);
        state.check(self.life)?;
        Ok(state.free_bytes())
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("{ROOT}/{name}"))
    }
}

impl OpenFile {
    fn sync(&self) -> io::Result<()> {
        let mut state = lock(&self.mount.state);
        state.check(self.mount.life)?;
        let passed = state.pass(self.mount.life);
        let State { files, random, dead, .. } = &mut *state;
        // A file that was removed lives on as long as it is open.
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

    fn write(&self, mut bytes: Bytes, offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let mut state = lock(&self.mount.state);
        state.check(self.mount.life)?;
        let mut passed = state.pass(self.mount.life);
        if passed.is_err() {
            bytes.truncate(state.random.below(bytes.len() as u64 + 1) as usize);
        }
        let length = state.files.get(&self.file).map_or(0, |file| file.cache.length());
        let growth = (offset + bytes.len()).saturating_sub(length) as u64;
        let short = if growth > 0 { growth.saturating_sub(state.free_bytes()) } else { 0 };
        if short > 0 {
            // As much as there was room for.
            bytes.truncate(bytes.len().saturating_sub(short as usize));
            passed = Err(io::ErrorKind::StorageFull.into());
        }
        if !bytes.is_empty() {
            state.write(self.file, offset, bytes);
        }
        passed
    }
}

impl DiskFile for OpenFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = lock(&self.mount.state);
        state.pass_read(self.mount.life)?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(state.files.get(&self.file).map_or(0, |file| file.cache.read(buffer, offset)))
    }

    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        self.write(parts.concat().into(), offset)
    }

    fn fill_with_zeros(&self, bytes: u64) -> io::Result<()> {
        let mut offset = 0;
        while offset < bytes {
            let step = zeros(bytes - offset);
            let next = offset + step.len() as u64;
            self.write(step, offset)?;
            offset = next;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn bytes(&self) -> io::Result<u64> {
        let state = lock(&self.mount.state);
        state.check(self.mount.life)?;
        Ok(state.files.get(&self.file).map_or(0, |file| file.cache.length() as u64))
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut state = lock(&self.mount.state);
        state.check(self.mount.life)?;
        Ok(state.locked.insert(self.file))
    }
}
