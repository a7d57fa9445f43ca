//! The tail of the log in memory: every entry's bytes once, shared by reference with whoever
//! sends, writes or applies them.
//!
//! A *piece* is a run of encoded entries in one ref-counted buffer. Own appends collect in an
//! open piece, which the next `slice` closes, so that a batch leaves as one slice. Small closed
//! pieces are joined by copying once 64 KiB of them stand in a row: a peer that lags is then fed
//! few slices, and a large receive buffer is not kept alive by a few bytes of it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use raft_core::{Index, Term};

use crate::entry::{self, Entry, Kind};

/// An open piece is closed at this size.
const OPEN_PIECE_BYTES_MAX: usize = 256 * 1024;
/// Pieces below this are small: worth joining.
const SMALL_PIECE_BYTES: usize = 16 * 1024;
/// Small pieces are joined when they make up this much together.
const JOIN_BYTES: usize = 64 * 1024;

/// Encoded entries in memory, contiguous from `first` to before `next`.
#[derive(Debug)]
pub struct LogBuffer {
    pieces: VecDeque<Piece>,
    open: OpenPiece,
    first: Index,
    bytes: u64,
    /// Bytes of the small pieces at the very end.
    small_tail_bytes: usize,
}

#[derive(Clone, Debug)]
struct Piece {
    first: Index,
    /// Where each entry begins within `bytes`.
    starts: Vec<u32>,
    bytes: Bytes,
}

#[derive(Debug)]
struct OpenPiece {
    first: Index,
    starts: Vec<u32>,
    bytes: BytesMut,
}

impl LogBuffer {
    /// An empty buffer whose first entry will be `next`.
    #[must_use]
    pub fn new(next: Index) -> Self {
        let open = OpenPiece { first: next, starts: Vec::new(), bytes: BytesMut::new() };
        Self { pieces: VecDeque::new(), open, first: next, bytes: 0, small_tail_bytes: 0 }
    }

    /// The first entry held; equals `next` if there is none.
    #[must_use]
    pub fn first(&self) -> Index {
        self.first
    }

    /// The index of the next entry to append.
    #[must_use]
    pub fn next(&self) -> Index {
        Index(self.open.first.0 + self.open.starts.len() as u64)
    }

    /// Encoded bytes of the entries held.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends an entry whose payload is the concatenation of `parts`; tells its index.
    pub fn append(&mut self, term: Term, kind: Kind, parts: &[&[u8]]) -> Index {
        let index = self.next();
        if self.open.bytes.len() >= OPEN_PIECE_BYTES_MAX {
            self.close();
        }
        let start = self.open.bytes.len();
        self.open.starts.push(offset(start));
        entry::encode_into(&mut self.open.bytes, index, term, kind, parts);
        self.bytes += (self.open.bytes.len() - start) as u64;
        index
    }

    /// Appends entries that were decoded from exactly these bytes.
    ///
    /// # Panics
    /// If they do not continue the buffer, or are not these bytes: a broken invariant of the
    /// caller, whose log would diverge silently.
    pub fn append_encoded(&mut self, entries: &[Entry], bytes: Bytes) {
        let Some(head) = entries.first() else {
            assert!(bytes.is_empty(), "bytes without entries");
            return;
        };
        assert_eq!(head.index, self.next(), "entries must continue the buffer");
        self.close();
        let mut starts = Vec::with_capacity(entries.len());
        let mut at = 0;
        for entry in entries {
            starts.push(offset(at));
            at += entry::encoded_len(entry.payload.len());
        }
        assert_eq!(at, bytes.len(), "the bytes must be those of the entries");
        let first = head.index;
        self.bytes += at as u64;
        self.open.first = Index(first.0 + entries.len() as u64);
        self.push(Piece { first, starts, bytes });
    }

    /// Drops everything at and above `from`, which then comes next, also where it lies below all
    /// that is held.
    pub fn truncate_from(&mut self, from: Index) {
        if from >= self.next() {
            return;
        }
        self.close();
        self.first = self.first.min(from);
        while self.pieces.back().is_some_and(|piece| piece.first >= from) {
            self.pieces.pop_back();
        }
        if let Some(piece) = self.pieces.back_mut() {
            piece.truncate_from(from);
        }
        self.open.first = from;
        self.bytes = self.pieces.iter().map(|piece| piece.bytes.len() as u64).sum();
        self.small_tail_bytes = 0;
    }

    /// Drops everything below `below`; what was sliced before stays valid.
    pub fn evict_below(&mut self, below: Index) {
        if below <= self.first {
            return;
        }
        if below > self.open.first {
            self.close();
        }
        self.first = below.min(self.next());
        while self.pieces.front().is_some_and(|piece| piece.end() <= self.first) {
            if let Some(piece) = self.pieces.pop_front() {
                self.bytes -= piece.bytes.len() as u64;
            }
        }
        if let Some(piece) = self.pieces.front_mut() {
            self.bytes -= piece.evict_below(self.first);
        } else {
            self.small_tail_bytes = 0;
        }
    }

    /// The bytes of entries `first` to `last`, in few slices; `None` if part of them is not held.
    /// An empty range is no slices.
    pub fn slice(&mut self, first: Index, last: Index) -> Option<Vec<Bytes>> {
        if last < first {
            return Some(Vec::new());
        }
        if first < self.first || last >= self.next() {
            return None;
        }
        if last >= self.open.first {
            self.close();
        }
        let begin = self.pieces.partition_point(|piece| piece.end() <= first);
        let pieces = self.pieces.range(begin..).take_while(|piece| piece.first <= last);
        Some(pieces.map(|piece| piece.range(first, last)).collect())
    }

    /// One entry. Its payload is shared, except while its piece is still open: then copied.
    #[must_use]
    pub fn get(&self, index: Index) -> Option<Entry> {
        if index < self.first || index >= self.next() {
            return None;
        }
        let bytes = if index >= self.open.first {
            let place = usize::try_from(index.0 - self.open.first.0).ok()?;
            let start = *self.open.starts.get(place)? as usize;
            let end =
                self.open.starts.get(place + 1).map_or(self.open.bytes.len(), |s| *s as usize);
            Bytes::copy_from_slice(self.open.bytes.get(start..end)?)
        } else {
            let at = self.pieces.partition_point(|piece| piece.end() <= index);
            self.pieces.get(at)?.range(index, index)
        };
        entry::decode_first(&bytes)
    }

    /// Entries from `first` on up to `last`, as far as they are held in one piece. What was checked
    /// when it came is not checked again.
    pub fn read(&mut self, first: Index, last: Index) -> impl Iterator<Item = Entry> {
        if last >= self.open.first {
            self.close();
        }
        let at = self.pieces.partition_point(|piece| piece.end() <= first);
        let piece = self.pieces.get(at).filter(|_| first >= self.first && first <= last);
        let bytes = piece.map_or_else(Bytes::new, |piece| piece.range(first, last));
        entry::split_known(bytes)
    }

    /// Closes the open piece: its bytes do not change any more.
    fn close(&mut self) {
        if self.open.starts.is_empty() {
            return;
        }
        let next = self.next();
        let piece = Piece {
            first: self.open.first,
            starts: std::mem::take(&mut self.open.starts),
            bytes: self.open.bytes.split().freeze(),
        };
        self.open.first = next;
        if self.open.bytes.capacity() < SMALL_PIECE_BYTES {
            self.open.bytes = BytesMut::with_capacity(OPEN_PIECE_BYTES_MAX);
        }
        self.push(piece);
    }

    /// Adds a closed piece; joins the small ones at the end when they are enough.
    fn push(&mut self, piece: Piece) {
        let length = piece.bytes.len();
        self.pieces.push_back(piece);
        if length >= SMALL_PIECE_BYTES {
            self.small_tail_bytes = 0;
            return;
        }
        self.small_tail_bytes += length;
        if self.small_tail_bytes < JOIN_BYTES {
            return;
        }
        self.small_tail_bytes = 0;
        let small = self.pieces.iter().rev().take_while(|p| p.bytes.len() < SMALL_PIECE_BYTES);
        let begin = self.pieces.len() - small.count();
        let Some(first) = self.pieces.get(begin).map(|piece| piece.first) else { return };
        let mut starts = Vec::new();
        let mut bytes = BytesMut::with_capacity(JOIN_BYTES + SMALL_PIECE_BYTES);
        for piece in self.pieces.drain(begin..) {
            let base = offset(bytes.len());
            starts.extend(piece.starts.iter().map(|start| base + start));
            bytes.extend_from_slice(&piece.bytes);
        }
        self.pieces.push_back(Piece { first, starts, bytes: bytes.freeze() });
    }
}

impl Piece {
    fn end(&self) -> Index {
        Index(self.first.0 + self.starts.len() as u64)
    }

    /// Where entry `index` begins; the length of the bytes for one past the last.
    fn start_of(&self, index: Index) -> usize {
        let place = usize::try_from(index.0.saturating_sub(self.first.0)).unwrap_or(usize::MAX);
        self.starts.get(place).map_or(self.bytes.len(), |start| *start as usize)
    }

    fn range(&self, first: Index, last: Index) -> Bytes {
        self.bytes.slice(self.start_of(first.max(self.first))..self.start_of(last.next()))
    }

    fn truncate_from(&mut self, from: Index) {
        let keep = self.start_of(from);
        self.starts.retain(|start| (*start as usize) < keep);
        self.bytes.truncate(keep);
    }

    /// Drops entries below `below`; tells how many bytes they had.
    fn evict_below(&mut self, below: Index) -> u64 {
        if below <= self.first {
            return 0;
        }
        let drop = self.start_of(below);
        self.starts.retain(|start| *start as usize >= drop);
        for start in &mut self.starts {
            *start -= offset(drop);
        }
        self.bytes = self.bytes.slice(drop..);
        self.first = below;
        drop as u64
    }
}

/// Offsets within a piece: a piece is at most one largest entry beyond its limit.
fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("a piece is far smaller than 4 GiB")
}
