//! The changes of the last revisions, each with what was there before it.
//!
//! It is all that is known of the past: a state at an older revision is today's, and what was
//! replaced since put back. So a change costs one push, and a look back costs what happened since.
//!
//! Changes are kept in chunks that copies share: a copy of the history costs a pointer for each
//! chunk, and the first change after it a copy of the last chunk. Of the first one, some changes
//! may have gone already.

use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;
use std::sync::Arc;

use crate::txn::Keys;

use super::record::Record;

/// A chunk is full when it has so many changes, or keeps so many bytes of records.
const CHUNK_CHANGES: usize = 256;
const CHUNK_BYTES: u64 = 256 * 1024;

/// What was replaced is freed for so many changes at once.
const FREED_AT_ONCE: usize = 4;

/// A change of a key.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// What the key became. If it was deleted, a record that says so.
    pub(crate) record: Record,
    /// What it was, if it was there.
    pub(crate) before: Option<Record>,
}

/// What there is to know of a change without a look at its records, which are far away.
#[derive(Clone, Copy, Debug)]
struct Note {
    revision: u64,
    /// Of its key.
    hash: u32,
    is_deletion: bool,
}

#[derive(Clone, Debug, Default)]
struct Chunk {
    notes: Vec<Note>,
    /// As many.
    changes: Vec<Change>,
    bytes: u64,
}

/// Changes in order of their revision, those of one revision in order of their keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    chunks: VecDeque<Arc<Chunk>>,
    /// So many changes of the first chunk have gone.
    gone: usize,
    bytes: u64,
}

impl History {
    /// How many changes there are.
    pub(crate) fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.notes.len()).sum::<usize>() - self.gone
    }

    /// Bytes of records that are kept for it alone: what was replaced, and deletions.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a change, which comes behind all others.
    pub(crate) fn push(&mut self, change: Change) {
        if self.chunks.back().is_none_or(|chunk| chunk.is_full()) {
            self.chunks.push_back(Arc::default());
        }
        if let Some(chunk) = self.chunks.back_mut() {
            self.bytes += Arc::make_mut(chunk).push(change);
        }
    }

    /// Lets the changes of the oldest revision go, if it is this one.
    pub(crate) fn pop(&mut self, revision: u64) {
        while let Some(chunk) = self.chunks.front_mut() {
            let Some(bytes) = chunk.kept(self.gone, revision) else { return };
            self.bytes -= bytes;
            self.gone += 1;
            if self.gone == chunk.notes.len() {
                chunk.fetch();
                self.chunks.pop_front();
                self.gone = 0;
            } else if self.gone.is_multiple_of(FREED_AT_ONCE)
                && let Some(chunk) = Arc::get_mut(chunk)
            {
                // Not all of a chunk: their memory is what the next changes take.
                chunk.free(self.gone - FREED_AT_ONCE);
            }
        }
    }

    /// The changes of some keys after a revision, which is within the history. Takes as long as
    /// it has changes since: those of one key are told by a number, else each key is looked at.
    pub(crate) fn of<'a>(
        &'a self,
        keys: &'a Keys,
        after: u64,
    ) -> impl Iterator<Item = &'a Change> + 'a {
        let only = if let Keys::One(key) = keys { Some(hash(key)) } else { None };
        let skip = self.chunks.partition_point(|chunk| chunk.last() <= after);
        let noted =
            self.chunks.range(skip..).flat_map(|chunk| chunk.notes.iter().zip(&chunk.changes));
        let likely = noted.filter(move |(note, _)| {
            note.revision > after && only.is_none_or(|hash| hash == note.hash)
        });
        likely.map(|(_, change)| change).filter(|change| keys.contains(change.record.key()))
    }

    /// What was there, of the keys that were changed since, at a revision within the history.
    pub(crate) fn undone<'a>(
        &'a self,
        keys: &'a Keys,
        revision: u64,
    ) -> BTreeMap<&'a [u8], Option<&'a Record>> {
        let changes_max = if let Keys::One(_) = keys { 1 } else { usize::MAX };
        let mut undone = BTreeMap::new();
        // The first change of a key since then replaced what was there then.
        for change in self.of(keys, revision).take(changes_max) {
            undone.entry(change.record.key()).or_insert(change.before.as_ref());
        }
        undone
    }
}

impl Chunk {
    fn is_full(&self) -> bool {
        self.changes.len() >= CHUNK_CHANGES || self.bytes >= CHUNK_BYTES
    }

    /// The revision of its last change.
    fn last(&self) -> u64 {
        self.notes.last().map_or(0, |note| note.revision)
    }

    /// Adds a change; returns the bytes that it keeps.
    fn push(&mut self, change: Change) -> u64 {
        let record = &change.record;
        let (revision, hash) = (record.mod_revision(), hash(record.key()));
        let note = Note { revision, hash, is_deletion: record.is_deleted() };
        let bytes = change.kept(note);
        self.notes.push(note);
        self.changes.push(change);
        self.bytes += bytes;
        bytes
    }

    /// The bytes that a change keeps, if it is of this revision.
    fn kept(&self, place: usize, revision: u64) -> Option<u64> {
        let note = self.notes.get(place).filter(|note| note.revision == revision)?;
        self.changes.get(place).map(|change| change.kept(*note))
    }

    /// Frees what some changes replaced, from this one on.
    fn free(&mut self, from: usize) {
        let changes = self.changes.get_mut(from..from + FREED_AT_ONCE).unwrap_or_default();
        fetch(changes.iter().filter_map(|change| change.before.as_ref()));
        changes.iter_mut().for_each(|change| change.before = None);
    }

    /// Gets ready to go.
    fn fetch(&self) {
        fetch(self.changes.iter().map(|change| &change.record));
    }
}

/// Looks at records that were not touched for long and soon are let go. All that is waited for
/// here is waited for at once; to let one go waits for its memory before the next one is begun.
fn fetch<'a>(records: impl Iterator<Item = &'a Record>) {
    records.for_each(|record| _ = black_box(record.create_revision()));
}

impl Change {
    /// Bytes of records that are there for it alone.
    fn kept(&self, note: Note) -> u64 {
        let deletion = if note.is_deletion { self.record.size() } else { 0 };
        deletion + self.before.as_ref().map_or(0, Record::size)
    }
}

/// A number that keys seldom have in common.
fn hash(key: &[u8]) -> u32 {
    let mut hash = key.len() as u64;
    for piece in key.chunks(8) {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(piece) {
            *to = *from;
        }
        // An odd number without a pattern: that of the golden ratio.
        hash =
            (hash.rotate_left(23) ^ u64::from_le_bytes(bytes)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    (hash >> 32) as u32
}
