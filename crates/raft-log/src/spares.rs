//! Spare slots: made ahead by a helper, taken by the writer. What the writer, the readers and
//! the helper share stands here.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::block::block_bytes;
use crate::catalog::Catalog;
use crate::disk::{Disk, DiskFile};
use crate::entry::encoded_len;
use crate::error::{MakeError, is_full};
use crate::shown::remove_if_there;
use crate::slot::{
    DATA_OFFSET, PAGE_BYTES, SLOT_BYTES_MAX, SLOT_BYTES_MIN, SlotFile, WAL_DIR, slot_name,
};

/// Pages at a slot's end that only an ATTEST and a SEAL block may take.
pub(crate) const RESERVED_BYTES: u64 = 2 * PAGE_BYTES as u64;

/// How a log is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The size of the first slot: a power of two, at least 32 KiB.
    pub slot_bytes_start: u64,
    /// Slots double up to this; only an entry that does not fit gets a larger one.
    pub slot_bytes_max: u64,
    /// How many spare slots the helper keeps ready.
    pub spares: usize,
    /// Makes salts and nonces repeatable. A different one for each start, or none.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { slot_bytes_start: 1 << 20, slot_bytes_max: 64 << 20, spares: 2, seed: None }
    }
}

impl Options {
    pub(crate) fn validate(&self) {
        let sizes = [self.slot_bytes_start, self.slot_bytes_max];
        assert!(sizes.iter().all(|s| s.is_power_of_two()), "slot sizes are powers of two");
        assert!(SLOT_BYTES_MIN <= sizes[0] && sizes[0] <= sizes[1], "slot sizes from 32 KiB up");
        assert!(sizes[1] <= SLOT_BYTES_MAX, "slot sizes up to 4 GiB");
    }

    /// The size of the slot after one of `bytes`.
    pub(crate) fn grown(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(2).clamp(self.slot_bytes_start, self.slot_bytes_max)
    }
}

/// Makes spare slots ahead of need, on whatever thread can wait for the disk.
#[derive(Clone, Debug)]
pub struct SpareMaker {
    pub(crate) shared: Arc<Shared>,
}

impl SpareMaker {
    /// The size of the spare slot that should be made now, if any.
    #[must_use]
    pub fn needed(&self) -> Option<u64> {
        let pool = self.shared.pool();
        let ready = pool.spares.iter().filter(|spare| spare.file.bytes >= pool.wanted_bytes);
        (ready.count() < pool.spares_wanted).then_some(pool.wanted_bytes)
    }

    /// Makes a spare slot of at least `bytes`. Waits for the disk.
    pub fn make(&self, bytes: u64) -> Result<(), MakeError> {
        let _one_at_a_time = self.shared.making();
        self.shared.make_spare(bytes.next_power_of_two().max(SLOT_BYTES_MIN), None)
    }

    /// The same in small steps, and no faster than the log needs it: every sync of anybody's log
    /// on this disk waits for the zeros that were written before it. Between steps `pause` takes
    /// some milliseconds, or says that it is to be given up; it is not asked while the log fills
    /// up faster than the new slot, or waits for it.
    pub fn make_at_leisure(
        &self,
        bytes: u64,
        pause: &mut dyn FnMut() -> bool,
    ) -> Result<(), MakeError> {
        let _one_at_a_time = self.shared.making();
        let bytes = bytes.next_power_of_two().max(SLOT_BYTES_MIN);
        let free = self.free_bytes();
        let mut pace = |filled: u64| {
            // In time is: when half of what was free is used up.
            let used = free.saturating_sub(self.free_bytes());
            let is_late =
                u128::from(2 * used) * u128::from(bytes) > u128::from(filled) * u128::from(free);
            if is_late || filled == bytes || self.shared.is_waited_for() || pause() {
                return Ok(());
            }
            Err(io::Error::new(io::ErrorKind::Interrupted, "the log is closed"))
        };
        self.shared.make_spare(bytes, Some(&mut pace))
    }

    /// Log bytes that can be written without new space on the disk.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.shared.pool().free_bytes()
    }

    /// Whether an entry with such a payload can be written without making a slot first.
    #[must_use]
    pub fn fits(&self, payload: usize) -> bool {
        let need = block_bytes(encoded_len(payload)) as u64;
        let pool = self.shared.pool();
        need <= pool.room || pool.spares.iter().any(|spare| need <= capacity(spare.file.bytes))
    }

    /// The size of a slot that holds an entry with such a payload: what to `make` if it does not
    /// fit.
    #[must_use]
    pub fn slot_bytes_for(&self, payload: usize) -> u64 {
        slot_bytes_for_block(block_bytes(encoded_len(payload)) as u64)
            .max(self.shared.pool().wanted_bytes)
    }
}

/// A slot that nothing refers to.
#[derive(Clone, Debug)]
pub(crate) struct Spare {
    pub(crate) file: SlotFile,
    pub(crate) recycled: bool,
    /// Where the copy of its header is that may be torn on the disk, if one may.
    pub(crate) torn: Option<u64>,
}

impl Spare {
    /// Makes a torn copy of the header zeros, before anything else of the slot is written. The
    /// next header could else be torn in just the sectors that make the old one whole, over
    /// blocks that are no longer its own; or tear the other copy while this one is still torn.
    pub(crate) fn clear_torn_header(&self) -> io::Result<()> {
        if let Some(offset) = self.torn {
            self.file.file.write_at(&[&[0; PAGE_BYTES]], offset)?;
            self.file.file.sync_data()?;
        }
        Ok(())
    }
}

/// The spares, and what is known of the room.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) spares: Vec<Spare>,
    pub(crate) spares_wanted: usize,
    pub(crate) wanted_bytes: u64,
    /// The number of the next slot file.
    pub(crate) next_number: u32,
    /// Bytes left in the slot that is being written.
    pub(crate) room: u64,
}

impl Pool {
    /// Takes a spare of at least `least` bytes: the smallest that has what is wanted, else the
    /// largest.
    pub(crate) fn take(&mut self, least: u64, wanted: u64) -> Option<Spare> {
        let fits = |spare: &&(usize, u64)| spare.1 >= least;
        let sizes: Vec<(usize, u64)> =
            self.spares.iter().enumerate().map(|(at, spare)| (at, spare.file.bytes)).collect();
        let whole = sizes.iter().filter(fits).filter(|(_, bytes)| *bytes >= wanted);
        let (at, _) = whole
            .min_by_key(|(at, bytes)| (*bytes, *at))
            .or_else(|| sizes.iter().filter(fits).max_by_key(|(at, bytes)| (*bytes, *at)))?;
        Some(self.spares.remove(*at))
    }

    pub(crate) fn free_bytes(&self) -> u64 {
        self.room + self.spares.iter().map(|spare| capacity(spare.file.bytes)).sum::<u64>()
    }
}

/// What the writer, the readers and the helper share. The locks are held for look-ups only,
/// never over a disk operation; `making` alone is, by whoever makes a slot.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pool: Mutex<Pool>,
    making: Mutex<()>,
    /// The writer waits for a slot that is being made.
    waits: AtomicBool,
    catalog: RwLock<Catalog>,
}

impl Shared {
    pub(crate) fn new(disk: Arc<dyn Disk>, pool: Pool, catalog: Catalog) -> Self {
        let (pool, catalog) = (Mutex::new(pool), RwLock::new(catalog));
        Self { disk, pool, making: Mutex::new(()), waits: AtomicBool::new(false), catalog }
    }

    // A thread that panicked in here left nothing half done: each change is a single step.
    pub(crate) fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn catalog(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn catalog_mut(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// One slot is made at a time.
    fn making(&self) -> MutexGuard<'_, ()> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the writer can do nothing until a slot is made.
    fn is_waited_for(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Takes a spare; makes one if there is none.
    pub(crate) fn take_spare(&self, least: u64, wanted: u64) -> Result<Spare, MakeError> {
        if let Some(spare) = self.pool().take(least, wanted) {
            return Ok(spare);
        }
        // One may be in the making, at leisure.
        self.waits.store(true, Ordering::Relaxed);
        let _one_at_a_time = self.making();
        self.waits.store(false, Ordering::Relaxed);
        loop {
            if let Some(spare) = self.pool().take(least, wanted) {
                return Ok(spare);
            }
            match self.make_spare(wanted.max(least), None) {
                // A smaller one may still fit on a disk that is nearly full.
                Err(MakeError::NoSpace { .. }) if wanted > least => self.make_spare(least, None)?,
                made => made?,
            }
        }
    }

    /// Makes a slot full of zeros and adds it to the spares. Its size and name are durable
    /// before it can be taken: later writes to it touch no directory and no size. The caller
    /// holds [`Self::making`].
    fn make_spare(&self, bytes: u64, pace: Option<Pace<'_>>) -> Result<(), MakeError> {
        let number = self.pool().next_number;
        let file = match self.fill_with_zeros(number, bytes, pace) {
            Ok(file) => file,
            Err(error) => {
                let path = self.disk.path(&slot_name(number));
                // Best effort: it is removed again before the next attempt.
                drop(self.disk.remove(&temporary_name(number)));
                return Err(make_error(error, path, bytes));
            }
        };
        let mut pool = self.pool();
        pool.next_number = number + 1;
        let file = SlotFile { number, file, bytes };
        pool.spares.push(Spare { file, recycled: false, torn: None });
        Ok(())
    }

    fn fill_with_zeros(
        &self,
        number: u32,
        bytes: u64,
        pace: Option<Pace<'_>>,
    ) -> io::Result<Arc<dyn DiskFile>> {
        let temporary = temporary_name(number);
        remove_if_there(&*self.disk, &temporary)?;
        let file = self.disk.create(&temporary)?;
        match pace {
            Some(pace) => file.fill_at_leisure(bytes, pace)?,
            None => file.fill_with_zeros(bytes)?,
        }
        file.sync_all()?;
        self.disk.rename(&temporary, &slot_name(number))?;
        self.disk.sync_dir(WAL_DIR)?;
        Ok(file)
    }
}

/// What is asked between steps of making a slot.
type Pace<'a> = &'a mut dyn FnMut(u64) -> io::Result<()>;

/// Bytes of blocks that a slot of such a size holds.
pub(crate) fn capacity(slot_bytes: u64) -> u64 {
    slot_bytes.saturating_sub(DATA_OFFSET + RESERVED_BYTES)
}

/// The smallest slot that holds a block of such a size.
pub(crate) fn slot_bytes_for_block(block: u64) -> u64 {
    (block + DATA_OFFSET + RESERVED_BYTES).next_power_of_two().max(SLOT_BYTES_MIN)
}

fn temporary_name(number: u32) -> String {
    format!("{WAL_DIR}/{number:02}.tmp")
}

fn make_error(source: io::Error, path: PathBuf, bytes: u64) -> MakeError {
    if is_full(&source) {
        MakeError::NoSpace { path, bytes }
    } else {
        MakeError::Io { path, source }
    }
}
