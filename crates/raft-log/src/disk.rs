//! The seam between the log and a file system. Everything that the log does to a disk goes
//! through here, so that a simulator can record, lose, tear and damage it.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// A directory with files. Names are relative: `NODE`, `wal/00.seg`; `.` is the directory.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a new, empty file; fails if the name exists.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a directory; no error if it exists.
    fn create_dir(&self, name: &str) -> io::Result<()>;
    /// Gives a file another name, replacing what had it, atomically.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// The names in a directory, sorted; none if it does not exist.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Bytes that can still be stored.
    fn free_bytes(&self) -> io::Result<u64>;
    /// The name as a person would find it.
    fn path(&self, name: &str) -> PathBuf;
    /// An error if anybody but the owner, who runs this process, may use the directory itself.
    fn check_private(&self) -> io::Result<()> {
        Ok(())
    }
    /// Takes the directory away from everybody else.
    fn make_private(&self) -> io::Result<()> {
        Ok(())
    }
}

/// An open file. Positions are arguments; there is no cursor.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Reads until the buffer is full or the file ends; tells how much.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all parts, one after another, from `offset` on.
    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()>;
    /// Writes zeros from the beginning of the file on.
    fn fill_with_zeros(&self, bytes: u64) -> io::Result<()> {
        let write = |part: &[u8], offset| self.write_at(&[part], offset);
        write_zeros(bytes, ZERO_STEP_BYTES, write, &mut |_| Ok(()))
    }
    /// The same step by step. After each of them `pace` is told how far it is; it may take its
    /// time, or end it with an error.
    fn fill_at_leisure(
        &self,
        bytes: u64,
        pace: &mut dyn FnMut(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        self.fill_with_zeros(bytes)?;
        pace(bytes)
    }
    /// Makes the contents durable, and what is needed to read them.
    fn sync_data(&self) -> io::Result<()>;
    /// Makes the contents and all attributes durable.
    fn sync_all(&self) -> io::Result<()>;
    /// The length in bytes.
    fn bytes(&self) -> io::Result<u64>;
    /// Locks the file against all other openings; false if one of them holds it. Ends when the
    /// file is closed, however the process ends.
    fn try_lock(&self) -> io::Result<bool>;
}

/// A directory of the file system: 0700, files 0600, no symbolic link followed to a file. What
/// others may read or change is not opened for writing.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    directory: OwnedFd,
    read_only: bool,
}

#[derive(Debug)]
struct RealFile {
    file: File,
    read_only: bool,
}

/// Zeros are written in steps of this.
const ZERO_STEP_BYTES: usize = 1024 * 1024;

/// And of this where somebody else may wait for the disk meanwhile: a sync makes durable whatever
/// the disk was given, and a step of the size above makes it three times as long.
const SMALL_STEP_BYTES: usize = 128 * 1024;

/// What writes past the page cache have to be aligned to; no disk wants more.
const ALIGNMENT: u64 = 4096;

#[repr(align(4096))]
struct Zeros([u8; ZERO_STEP_BYTES]);

static ZEROS: Zeros = Zeros([0; ZERO_STEP_BYTES]);

/// The kernel takes at most this many parts in one call.
const PARTS_MAX: usize = 1024;

impl RealDisk {
    /// Opens the directory; makes it (and its parents) if it does not exist.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        let missing: Vec<&Path> = root.ancestors().take_while(|dir| !dir.exists()).collect();
        if !missing.is_empty() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
        }
        for made in missing {
            // The name of a new directory is durable once the one above it is synced.
            let above = made.parent().filter(|dir| !dir.as_os_str().is_empty());
            File::open(above.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Self::open_existing(root, false)
    }

    /// Opens an existing directory to look at it only: nothing can be written or locked through
    /// what this returns.
    pub fn open_read_only(root: impl Into<PathBuf>) -> io::Result<Self> {
        Self::open_existing(root.into(), true)
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn open_existing(root: PathBuf, read_only: bool) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&root, flags, Mode::empty())?;
        Ok(Self { root, directory, read_only })
    }

    /// An error if nothing may be changed.
    fn check_writable(&self) -> io::Result<()> {
        if self.read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }

    fn open_file(&self, name: &str, extra: OFlags) -> io::Result<Arc<dyn DiskFile>> {
        let access = if self.read_only { OFlags::RDONLY } else { OFlags::RDWR };
        let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW | extra;
        let mode = Mode::RUSR | Mode::WUSR;
        let fd =
            rustix::io::retry_on_intr(|| rustix::fs::openat(&self.directory, name, flags, mode))
                .map_err(|error| self.explain(name, error))?;
        if !self.read_only {
            self.check_owner(name, &fd)?;
        }
        Ok(Arc::new(RealFile { file: File::from(fd), read_only: self.read_only }))
    }

    fn open_dir(&self, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::io::retry_on_intr(|| {
            rustix::fs::openat(&self.directory, name, flags, Mode::empty())
        })
        .map_err(|error| self.explain(name, error))?;
        if !self.read_only && name != "." {
            self.check_owner(name, &fd)?;
        }
        Ok(fd)
    }

    /// A symbolic link is not followed, and the system's words for that lead nowhere.
    fn explain(&self, name: &str, error: Errno) -> io::Error {
        let is_link = || {
            rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
        };
        if [Errno::LOOP, Errno::NOTDIR].contains(&error) && is_link() {
            let what = "it is a symbolic link, and data is not read or written through one; put \
                        what it points to in its place";
            return io::Error::new(io::ErrorKind::InvalidInput, what);
        }
        error.into()
    }

    /// Data is for nobody but whom the server runs as: others could read what clients wrote, or
    /// change what they were promised.
    fn check_owner(&self, name: &str, file: &OwnedFd) -> io::Result<()> {
        let stat = rustix::fs::fstat(file)?;
        let (user, path) = (rustix::process::geteuid().as_raw(), self.path(name));
        let what = if stat.st_uid != user {
            let owner = stat.st_uid;
            format!(
                "it belongs to user {owner}, and this process runs as {user}; run it as {owner}"
            )
        } else if stat.st_mode & 0o077 != 0 {
            let mode = stat.st_mode & 0o777;
            format!(
                "others than its owner may use it (mode {mode:04o}); make it private: chmod go= \
                 '{}'",
                path.display()
            )
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
    }
}

impl RealFile {
    /// Past the page cache where the file system can: nobody reads these zeros, and copying them
    /// is most of the work.
    fn fill(
        &self,
        bytes: u64,
        step: usize,
        pace: &mut dyn FnMut(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let buffered = |pace: &mut dyn FnMut(u64) -> io::Result<()>| {
            write_zeros(bytes, step, |part, offset| self.write_at(&[part], offset), pace)
        };
        if !bytes.is_multiple_of(ALIGNMENT) || self.set_direct(true).is_err() {
            return buffered(pace);
        }
        let write = |part: &[u8], offset| self.write_at(&[part], offset);
        let filled = write_zeros(bytes, step, write, pace);
        self.set_direct(false)?;
        match filled {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => buffered(pace),
            filled => filled,
        }
    }

    /// Whether writes go past the page cache.
    #[cfg(target_os = "linux")]
    fn set_direct(&self, direct: bool) -> io::Result<()> {
        let mut flags = rustix::fs::fcntl_getfl(&self.file)?;
        flags.set(OFlags::DIRECT, direct);
        Ok(rustix::fs::fcntl_setfl(&self.file, flags)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn set_direct(&self, _direct: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn write_zeros(
    bytes: u64,
    step_max: usize,
    write: impl Fn(&[u8], u64) -> io::Result<()>,
    pace: &mut dyn FnMut(u64) -> io::Result<()>,
) -> io::Result<()> {
    let mut offset = 0;
    while offset < bytes {
        let step = usize::try_from(bytes - offset).unwrap_or(usize::MAX).min(step_max);
        write(&ZEROS.0[..step], offset)?;
        offset += step as u64;
        pace(offset)?;
    }
    Ok(())
}

impl Disk for RealDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.open_file(name, OFlags::empty())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.check_writable()?;
        self.open_file(name, OFlags::CREATE | OFlags::EXCL)
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.check_writable()?;
        match rustix::fs::mkdirat(&self.directory, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.check_writable()?;
        Ok(rustix::fs::renameat(&self.directory, from, &self.directory, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.check_writable()?;
        Ok(rustix::fs::unlinkat(&self.directory, name, AtFlags::empty())?)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let fd = match self.open_dir(dir) {
            Ok(fd) => fd,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&fd)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::from(self.open_dir(dir)?).sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.directory)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn path(&self, name: &str) -> PathBuf {
        if name == "." { self.root.clone() } else { self.root.join(name) }
    }

    fn check_private(&self) -> io::Result<()> {
        self.check_owner(".", &self.directory)
    }

    fn make_private(&self) -> io::Result<()> {
        self.check_writable()?;
        if self.check_private().is_err() {
            rustix::fs::fchmod(&self.directory, Mode::RWXU)?;
        }
        self.check_private()
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, parts: &[&[u8]], mut offset: u64) -> io::Result<()> {
        for group in parts.chunks(PARTS_MAX) {
            let mut slices: Vec<IoSlice<'_>> =
                group.iter().map(|part| IoSlice::new(part)).collect();
            let mut rest = slices.as_mut_slice();
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                let written =
                    rustix::io::retry_on_intr(|| rustix::io::pwritev(&self.file, rest, offset))?;
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                offset += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
        }
        Ok(())
    }

    fn fill_with_zeros(&self, bytes: u64) -> io::Result<()> {
        self.fill(bytes, ZERO_STEP_BYTES, &mut |_| Ok(()))
    }

    fn fill_at_leisure(
        &self,
        bytes: u64,
        pace: &mut dyn FnMut(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        self.fill(bytes, SMALL_STEP_BYTES, pace)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn try_lock(&self) -> io::Result<bool> {
        if self.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
