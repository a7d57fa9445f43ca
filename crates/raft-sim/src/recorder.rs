//! A disk that keeps a hash of all that is asked of it and of all that it answers.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use raft_log::{Disk, DiskFile};

use crate::hash::TraceHash;

/// What happened on one disk, through all lives of its server.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<TraceHash>>);

#[derive(Debug)]
struct Recorded {
    disk: Arc<dyn Disk>,
    recorder: Recorder,
}

#[derive(Debug)]
struct RecordedFile {
    file: Arc<dyn DiskFile>,
    name: String,
    recorder: Recorder,
}

impl Recorder {
    /// The same disk, watched.
    #[must_use]
    pub fn watch(&self, disk: Arc<dyn Disk>) -> Arc<dyn Disk> {
        Arc::new(Recorded { disk, recorder: self.clone() })
    }

    /// Of all that happened so far.
    #[must_use]
    pub fn digest(&self) -> u128 {
        self.with(|hash| hash.digest())
    }

    fn with<T>(&self, act: impl FnOnce(&mut TraceHash) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes an operation and what came of it.
    fn note<T>(
        &self,
        asked: fmt::Arguments<'_>,
        result: io::Result<T>,
        answer: impl FnOnce(&mut TraceHash, &T),
    ) -> io::Result<T> {
        self.with(|hash| {
            hash.text(asked);
            match &result {
                Ok(answered) => answer(hash, answered),
                Err(error) => hash.text(format_args!("{:?}", error.kind())),
            }
        });
        result
    }
}

fn done<T>(_: &mut TraceHash, _: &T) {}

fn number(hash: &mut TraceHash, number: &u64) {
    hash.number(*number);
}

impl Recorded {
    fn file(&self, name: &str, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(RecordedFile { file, name: name.into(), recorder: self.recorder.clone() })
    }
}

impl Disk for Recorded {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let opened = self.recorder.note(format_args!("open {name}"), self.disk.open(name), done);
        Ok(self.file(name, opened?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let made = self.recorder.note(format_args!("create {name}"), self.disk.create(name), done);
        Ok(self.file(name, made?))
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.recorder.note(format_args!("mkdir {name}"), self.disk.create_dir(name), done)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.recorder.note(format_args!("move {from} {to}"), self.disk.rename(from, to), done)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.recorder.note(format_args!("remove {name}"), self.disk.remove(name), done)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.recorder.note(format_args!("list {dir}"), self.disk.list(dir), |hash, names| {
            names.iter().for_each(|name| hash.bytes(name.as_bytes()));
        })
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.recorder.note(format_args!("sync {dir}"), self.disk.sync_dir(dir), done)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.recorder.note(format_args!("free"), self.disk.free_bytes(), number)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }
}

impl DiskFile for RecordedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.file.read_at(buffer, offset);
        self.recorder.note(format_args!("read {} {offset}", self.name), read, |hash, count| {
            hash.bytes(buffer.get(..*count).unwrap_or_default());
        })
    }

    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        self.recorder.with(|hash| parts.iter().for_each(|part| hash.bytes(part)));
        let written = self.file.write_at(parts, offset);
        self.recorder.note(format_args!("write {} {offset}", self.name), written, done)
    }

    fn fill_with_zeros(&self, bytes: u64) -> io::Result<()> {
        let filled = self.file.fill_with_zeros(bytes);
        self.recorder.note(format_args!("fill {} {bytes}", self.name), filled, done)
    }

    fn sync_data(&self) -> io::Result<()> {
        let synced = self.file.sync_data();
        self.recorder.note(format_args!("sync {}", self.name), synced, done)
    }

    fn sync_all(&self) -> io::Result<()> {
        let synced = self.file.sync_all();
        self.recorder.note(format_args!("sync all {}", self.name), synced, done)
    }

    fn bytes(&self) -> io::Result<u64> {
        self.recorder.note(format_args!("length {}", self.name), self.file.bytes(), number)
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.recorder.note(
            format_args!("lock {}", self.name),
            self.file.try_lock(),
            |hash, held| {
                hash.number(u64::from(*held));
            },
        )
    }
}
