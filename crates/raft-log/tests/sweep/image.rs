//! A disk of plain files that is cheap to copy: what is not changed is shared between copies.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use raft_log::{Disk, DiskFile};

use crate::support::MemDisk;

type Inode = Arc<Mutex<Arc<Vec<u8>>>>;

/// Cloning shares the disk; `fork` copies it.
#[derive(Clone, Debug, Default)]
pub struct Image(Arc<Mutex<BTreeMap<String, Inode>>>);

#[derive(Debug)]
struct File(Inode);

impl Image {
    pub fn of(disk: &MemDisk) -> Self {
        let image = Self::default();
        disk.names().into_iter().for_each(|name| image.put(&name, disk.read(&name)));
        image
    }

    fn inode(&self, name: &str) -> io::Result<Inode> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(names.get(name).ok_or(io::ErrorKind::NotFound)?))
    }

    pub fn fork(&self) -> Self {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let copy = |inode: &Inode| Arc::new(Mutex::new(Arc::clone(&inode.lock().unwrap())));
        let copies = names.iter().map(|(name, inode)| (name.clone(), copy(inode)));
        Self(Arc::new(Mutex::new(copies.collect())))
    }

    pub fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    /// The bytes of a file; `None` if there is no such file.
    pub fn read(&self, name: &str) -> Option<Arc<Vec<u8>>> {
        Some(Arc::clone(&self.inode(name).ok()?.lock().unwrap()))
    }

    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        self.0.lock().unwrap().insert(name.into(), Arc::new(Mutex::new(Arc::new(bytes))));
    }

    pub fn take_away(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }

    /// The files that are not the same, by name.
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let mut names = self.names();
        names.extend(other.names());
        names.sort();
        names.dedup();
        names.retain(|name| match (self.read(name), other.read(name)) {
            (Some(a), Some(b)) => !Arc::ptr_eq(&a, &b) && a != b,
            _ => true,
        });
        names
    }
}

impl Disk for Image {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(File(self.inode(name)?)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        if self.inode(name).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.put(name, Vec::new());
        self.open(name)
    }

    fn create_dir(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut names = self.0.lock().unwrap();
        let inode = names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        names.insert(to.into(), inode);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inode(name)?;
        self.take_away(name);
        Ok(())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let names = self.names();
        let mut found: Vec<String> = match dir {
            "." => names.iter().map(|name| name.split('/').next().unwrap().to_owned()).collect(),
            _ => {
                let below = |name: &String| Some(name.strip_prefix(dir)?[1..].to_owned());
                names.iter().filter_map(below).collect()
            }
        };
        found.dedup();
        Ok(found)
    }

    fn sync_dir(&self, _dir: &str) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/disk").join(name)
    }
}

impl DiskFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.0.lock().unwrap();
        let rest = bytes.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        let mut bytes = self.0.lock().unwrap();
        let bytes = Arc::make_mut(&mut bytes);
        let mut at = usize::try_from(offset).unwrap();
        for part in parts {
            bytes.resize(bytes.len().max(at + part.len()), 0);
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }
}
