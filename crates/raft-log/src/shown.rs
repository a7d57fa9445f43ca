//! SHOWN: up to which index the state machine's lines were shown. Written before each line
//! without a sync: after `kill -9` at most the last line is missing and none repeats; after a
//! power cut recent lines may repeat.
//!
//! Two copies take turns, so that one damaged or torn copy costs at most the last step.

use std::io;
use std::sync::Arc;

use raft_core::Index;

use crate::disk::{Disk, DiskFile};
use crate::le;

pub(crate) const SHOWN_NAME: &str = "SHOWN";
pub(crate) const SHOWN_TEMPORARY_NAME: &str = "SHOWN.tmp";
const COPY_BYTES: usize = 64;
/// The copies stand in pages of their own.
const COPY_DISTANCE: u64 = 4096;
const MAGIC: [u8; 8] = *b"RAFTSHOW";
const VERSION: u16 = 1;

/// What the file said when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Lines up to here were shown.
    At(Index),
    /// The file is missing, damaged or of another cluster; the text says which. The caller sets
    /// the mark to the last recovered index, so that nothing repeats, and says so.
    Lost(String),
}

/// The mark. It is never lowered.
#[derive(Debug)]
pub struct ShownMark {
    file: Arc<dyn DiskFile>,
    cluster: u128,
    index: Index,
    /// The copy to write next.
    turn: u64,
}

impl ShownMark {
    /// Up to where lines were shown.
    #[must_use]
    pub fn index(&self) -> Index {
        self.index
    }

    /// Raises the mark; at or below the present one nothing happens. Not synced.
    pub fn advance(&mut self, to: Index) -> io::Result<()> {
        if to <= self.index {
            return Ok(());
        }
        let copy = encode(self.cluster, to);
        self.file.write_at(&[&copy], self.turn * COPY_DISTANCE)?;
        self.turn ^= 1;
        self.index = to;
        Ok(())
    }

    /// Opens the file; makes it anew if it cannot be used.
    pub(crate) fn open(disk: &dyn Disk, cluster: u128) -> io::Result<(Self, Shown)> {
        let file = match disk.open(SHOWN_NAME) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Self::remake(disk, cluster, format!("{SHOWN_NAME} is missing"));
            }
            Err(error) => return Err(error),
        };
        match read(&*file, cluster)? {
            Ok((index, turn)) => Ok((Self { file, cluster, index, turn }, Shown::At(index))),
            Err(what) => Self::remake(disk, cluster, what),
        }
    }

    /// What the file says, looked at only.
    pub(crate) fn look_at(disk: &dyn Disk, cluster: u128) -> io::Result<Shown> {
        let file = match disk.open(SHOWN_NAME) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Shown::Lost(format!("{SHOWN_NAME} is missing")));
            }
            opened => opened?,
        };
        let read = read(&*file, cluster)?;
        Ok(read.map_or_else(Shown::Lost, |(index, _)| Shown::At(index)))
    }

    /// Writes a file that says "nothing shown": made with the directory.
    pub(crate) fn create(disk: &dyn Disk, cluster: u128) -> io::Result<Arc<dyn DiskFile>> {
        remove_if_there(disk, SHOWN_TEMPORARY_NAME)?;
        let file = disk.create(SHOWN_TEMPORARY_NAME)?;
        let copy = encode(cluster, Index(0));
        file.write_at(&[&copy], 0)?;
        file.write_at(&[&copy], COPY_DISTANCE)?;
        disk.rename(SHOWN_TEMPORARY_NAME, SHOWN_NAME)?;
        Ok(file)
    }

    fn remake(disk: &dyn Disk, cluster: u128, what: String) -> io::Result<(Self, Shown)> {
        let file = Self::create(disk, cluster)?;
        Ok((Self { file, cluster, index: Index(0), turn: 0 }, Shown::Lost(what)))
    }
}

/// The mark and the copy to write next, or why there is none.
fn read(file: &dyn DiskFile, cluster: u128) -> io::Result<Result<(Index, u64), String>> {
    let mut found = [None, None];
    for (turn, slot) in found.iter_mut().enumerate() {
        let mut copy = [0; COPY_BYTES];
        if file.read_at(&mut copy, turn as u64 * COPY_DISTANCE)? == COPY_BYTES {
            *slot = decode(&copy);
        }
    }
    // Cluster 0: made with the directory, before it had a cluster; nothing was shown.
    let foreign = found.iter().flatten().any(|(of, _)| *of != 0 && *of != cluster);
    let usable = |copy: &Option<(u128, Index)>| match copy {
        Some((of, index)) if *of == cluster => Some(*index),
        Some((0, _)) if !foreign => Some(Index(0)),
        _ => None,
    };
    let [even, odd] = [usable(&found[0]), usable(&found[1])];
    Ok(match even.max(odd) {
        // The copy that holds the mark is written last.
        Some(index) => Ok((index, u64::from(even >= odd))),
        None if foreign => Err(format!("{SHOWN_NAME} is of another cluster")),
        None => Err(format!("{SHOWN_NAME} is damaged")),
    })
}

pub(crate) fn remove_if_there(disk: &dyn Disk, name: &str) -> io::Result<()> {
    match disk.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn encode(cluster: u128, index: Index) -> [u8; COPY_BYTES] {
    let mut copy = [0; COPY_BYTES];
    le::put(&mut copy, 0, &MAGIC);
    le::put(&mut copy, 8, &VERSION.to_le_bytes());
    le::put_u128(&mut copy, 16, cluster);
    le::put_u64(&mut copy, 32, index.0);
    let crc = crc32c::crc32c(&copy[..COPY_BYTES - 4]);
    le::put_u32(&mut copy, COPY_BYTES - 4, crc);
    copy
}

/// Cluster and index; `None` if damaged or of an unknown version: the mark is then rebuilt.
fn decode(copy: &[u8; COPY_BYTES]) -> Option<(u128, Index)> {
    let crc = crc32c::crc32c(&copy[..COPY_BYTES - 4]);
    let valid = copy.starts_with(&MAGIC)
        && le::u16_at(copy, 8) == VERSION
        && le::u32_at(copy, COPY_BYTES - 4) == crc;
    valid.then(|| (le::u128_at(copy, 16), Index(le::u64_at(copy, 32))))
}
