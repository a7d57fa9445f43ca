//! A key with its value and revisions: the same bytes in memory, in answers and in snapshots.

use std::fmt;
use std::sync::Arc;

/// What a record has beside key and value: `create_revision u64 | mod_revision u64 | version u64 |
/// lease u64 | length of the key u32`, little-endian. Then come key and value.
pub const RECORD_BYTES: usize = 36;

/// What is kept for putting records together.
const SCRATCH_BYTES: usize = 64 * 1024;

/// A state of one key. A deleted one has the version 0, no `create_revision`, and no value.
#[derive(Clone, PartialEq, Eq)]
pub struct Record(Arc<[u8]>);

impl Record {
    /// Puts a record together in `scratch`, which is empty, so that memory is asked for once.
    pub(crate) fn new(scratch: &mut Vec<u8>, key: &[u8], value: &[u8], numbers: [u64; 3]) -> Self {
        let [created, modified, version] = numbers;
        // Nothing leases a key yet.
        for number in [created, modified, version, 0] {
            scratch.extend_from_slice(&number.to_le_bytes());
        }
        scratch.extend_from_slice(&(key.len() as u32).to_le_bytes());
        scratch.extend_from_slice(key);
        scratch.extend_from_slice(value);
        let record = Self(scratch.as_slice().into());
        scratch.clear();
        // A large one is seldom.
        scratch.shrink_to(SCRATCH_BYTES);
        record
    }

    /// The record of a deletion.
    pub(crate) fn deleted(key: &[u8], modified: u64) -> Self {
        Self::new(&mut Vec::new(), key, b"", [0, modified, 0])
    }

    /// What is written for a key that was never there, or is not any more: zeros.
    pub(crate) fn nothing(key: &[u8]) -> Self {
        Self::deleted(key, 0)
    }

    /// Reads a record; `None` if it is none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let length = bytes.get(32..RECORD_BYTES)?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        if length == 0 || length > bytes.len() - RECORD_BYTES {
            return None;
        }
        let record = Self(bytes.into());
        let (created, modified) = (record.create_revision(), record.mod_revision());
        let plausible = if record.is_deleted() {
            created == 0 && record.value().is_empty()
        } else {
            (1..=modified).contains(&created) && record.version() - 1 <= modified - created
        };
        plausible.then_some(record)
    }

    /// All of it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.0[RECORD_BYTES..self.value_at()]
    }

    /// Its value.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.0[self.value_at()..]
    }

    /// The revision that created it; 0 for a deletion.
    #[must_use]
    pub fn create_revision(&self) -> u64 {
        self.number(0)
    }

    /// The revision that changed it last.
    #[must_use]
    pub fn mod_revision(&self) -> u64 {
        self.number(8)
    }

    /// How often it was put since it was created; 0 for a deletion.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.number(16)
    }

    /// What lets it go one day: always 0, nothing does.
    #[must_use]
    pub fn lease(&self) -> u64 {
        self.number(24)
    }

    /// Whether the key is not there.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.version() == 0
    }

    /// The same without its value.
    pub(crate) fn without_value(&self) -> Self {
        Self(self.0[..self.value_at()].into())
    }

    /// How much it takes, for limits.
    pub(crate) fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn value_at(&self) -> usize {
        let length = [self.0[32], self.0[33], self.0[34], self.0[35]];
        RECORD_BYTES + u32::from_le_bytes(length) as usize
    }

    fn number(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[at..at + 8]);
        u64::from_le_bytes(bytes)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (created, modified, version) =
            (self.create_revision(), self.mod_revision(), self.version());
        write!(f, "{}={} ", text(self.key()), text(self.value()))?;
        write!(f, "(created {created}, modified {modified}, version {version})")
    }
}
