//! An entry's bytes: the same on disk, in memory and on the wire, encoded once.
//!
//! ```text
//! payload length u32 | header crc u32 | index u64 | term u64 | payload crc u32 | kind u8 |
//! flags u8 | zero u16 | payload | zeros up to a multiple of 8
//! ```
//! The two checksums are apart so that a header can be trusted (its index, its length) while
//! its payload is known to be damaged. Whoever passes entries on checks both: a read error must
//! never become a malformed append.

use std::iter;

use bytes::{BufMut, Bytes, BytesMut};
use raft_core::{Index, Term};
use thiserror::Error;

use crate::le;

/// Bytes in front of every payload.
pub const ENTRY_HEADER_BYTES: usize = 32;

/// No payload is larger than this: a bound for lengths that were read from outside.
pub const ENTRY_PAYLOAD_BYTES_MAX: usize = 1 << 30;

/// Terms, indexes and whatever else is counted stay below this, so that counting on from what was
/// read cannot overflow. No log comes near it.
pub(crate) const NUMBER_MAX: u64 = 1 << 62;

/// What an entry is for. Kinds that this version does not know are kept and passed on; only
/// applying them is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u8);

impl Kind {
    /// A leader's first entry; says nothing.
    pub const NOOP: Self = Self(0);
    /// A configuration.
    pub const MEMBERSHIP: Self = Self(1);
    /// A command of the state machine.
    pub const COMMAND: Self = Self(2);
    /// The start or end of a client's session.
    pub const SESSION: Self = Self(3);
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub index: Index,
    /// The term in which a leader made it.
    pub term: Term,
    /// What it is for.
    pub kind: Kind,
    /// Zero in this version; kept as they are.
    pub flags: u8,
    /// Its contents.
    pub payload: Bytes,
}

/// Why bytes are not entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EntryError {
    /// The bytes end within an entry.
    #[error("entry cut short at byte {at}")]
    Short {
        /// Where the entry begins.
        at: usize,
    },
    /// The header does not match its checksum.
    #[error("entry header checksum mismatch at byte {at}")]
    HeaderChecksum {
        /// Where the entry begins.
        at: usize,
    },
    /// The payload does not match its checksum.
    #[error("payload checksum mismatch of entry {index} at byte {at}")]
    PayloadChecksum {
        /// Where the entry begins.
        at: usize,
        /// Which entry.
        index: Index,
    },
    /// Bytes that must be zero are not.
    #[error("entry {index} at byte {at} has bytes set that must be zero")]
    NotZero {
        /// Where the entry begins.
        at: usize,
        /// Which entry.
        index: Index,
    },
    /// The length is beyond any that is ever written.
    #[error("entry {index} at byte {at} claims a payload of {length} bytes")]
    TooLong {
        /// Where the entry begins.
        at: usize,
        /// Which entry.
        index: Index,
        /// The claimed length.
        length: u64,
    },
    /// Indexes do not follow one another.
    #[error("entry {found} where entry {expected} belongs, at byte {at}")]
    NotContiguous {
        /// Where the entry begins.
        at: usize,
        /// The index that belongs here.
        expected: Index,
        /// The index found.
        found: Index,
    },
    /// An index or a term that no log ever reaches.
    #[error("entry {index} of term {term} at byte {at} is beyond all counting")]
    BeyondCounting {
        /// Where the entry begins.
        at: usize,
        /// Which entry.
        index: Index,
        /// Its term.
        term: Term,
    },
    /// Terms never fall along a log.
    #[error("the term falls at entry {index}, at byte {at}")]
    TermFalls {
        /// Where the entry begins.
        at: usize,
        /// Which entry.
        index: Index,
    },
}

/// The size of an entry whose payload has `payload` bytes.
#[must_use]
pub const fn encoded_len(payload: usize) -> usize {
    ENTRY_HEADER_BYTES + payload.next_multiple_of(8)
}

/// Encodes one entry; the payload is the concatenation of `parts`.
#[must_use]
pub fn encode_entry(index: Index, term: Term, kind: Kind, parts: &[&[u8]]) -> Bytes {
    let mut out = BytesMut::new();
    encode_into(&mut out, index, term, kind, parts);
    out.freeze()
}

/// Splits contiguous encoded entries without copying. Checks everything that can be checked:
/// both checksums, lengths, padding, indexes that follow one another, terms that do not fall.
pub fn decode_entries(bytes: &Bytes) -> Result<Vec<Entry>, EntryError> {
    RawEntries::new(bytes).map(|raw| raw.map(|raw| raw.shared(bytes))).collect()
}

/// The first of contiguous encoded entries; `None` if there is none, or it is damaged.
pub(crate) fn decode_first(bytes: &Bytes) -> Option<Entry> {
    Some(RawEntries::new(bytes).next()?.ok()?.shared(bytes))
}

/// Splits entries that were encoded or checked here before: nothing is checked again.
pub(crate) fn split_known(bytes: Bytes) -> impl Iterator<Item = Entry> {
    let mut at = 0;
    iter::from_fn(move || {
        let header = bytes.get(at..at + ENTRY_HEADER_BYTES)?;
        let length = le::u32_at(header, 0) as usize;
        let payload_at = at + ENTRY_HEADER_BYTES;
        at += encoded_len(length);
        Some(Entry {
            index: Index(le::u64_at(header, 8)),
            term: Term(le::u64_at(header, 16)),
            kind: Kind(header[28]),
            flags: header[29],
            payload: bytes.slice(payload_at..payload_at + length),
        })
    })
}

pub(crate) fn encode_into(
    out: &mut BytesMut,
    index: Index,
    term: Term,
    kind: Kind,
    parts: &[&[u8]],
) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    assert!(length <= ENTRY_PAYLOAD_BYTES_MAX, "a payload of {length} bytes is too long to encode");
    let payload_crc = parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part));
    let mut header = [0; ENTRY_HEADER_BYTES];
    #[expect(clippy::cast_possible_truncation, reason = "at most ENTRY_PAYLOAD_BYTES_MAX")]
    le::put_u32(&mut header, 0, length as u32);
    le::put_u64(&mut header, 8, index.0);
    le::put_u64(&mut header, 16, term.0);
    le::put_u32(&mut header, 24, payload_crc);
    header[28] = kind.0;
    let header_crc = header_crc(&header);
    le::put_u32(&mut header, 4, header_crc);

    out.reserve(encoded_len(length));
    out.put_slice(&header);
    for part in parts {
        out.put_slice(part);
    }
    out.put_bytes(0, length.next_multiple_of(8) - length);
}

/// An entry's header, found valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) index: Index,
    pub(crate) term: Term,
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) encoded_len: usize,
}

/// An entry within a borrowed buffer, found valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawEntry<'a> {
    pub(crate) head: Head,
    pub(crate) payload: &'a [u8],
    pub(crate) payload_at: usize,
}

impl RawEntry<'_> {
    /// The same, sharing `bytes`, which it was found in.
    fn shared(&self, bytes: &Bytes) -> Entry {
        let payload = bytes.slice(self.payload_at..self.payload_at + self.payload.len());
        let Head { index, term, kind, flags, .. } = self.head;
        Entry { index, term, kind, flags, payload }
    }
}

/// Walks encoded entries; ends after the first error.
pub(crate) struct RawEntries<'a> {
    bytes: &'a [u8],
    at: usize,
    previous: Option<(Index, Term)>,
    failed: bool,
}

impl<'a> RawEntries<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, previous: None, failed: false }
    }

    fn decode_next(&mut self) -> Result<RawEntry<'a>, EntryError> {
        let at = self.at;
        let head = decode_head(self.bytes, at)?;
        let payload_length = le::u32_at(self.bytes, at) as usize;
        let payload_at = at + ENTRY_HEADER_BYTES;
        let index = head.index;
        let body = &self.bytes[payload_at..at + head.encoded_len];
        let (payload, padding) = body.split_at(payload_length);
        if crc32c::crc32c(payload) != le::u32_at(self.bytes, at + 24) {
            return Err(EntryError::PayloadChecksum { at, index });
        }
        if padding.iter().any(|byte| *byte != 0) {
            return Err(EntryError::NotZero { at, index });
        }
        if let Some((last, term)) = self.previous {
            let expected = last.next();
            if index != expected {
                return Err(EntryError::NotContiguous { at, expected, found: index });
            }
            if head.term < term {
                return Err(EntryError::TermFalls { at, index });
            }
        }
        self.previous = Some((index, head.term));
        self.at += head.encoded_len;
        Ok(RawEntry { head, payload, payload_at })
    }
}

impl<'a> Iterator for RawEntries<'a> {
    type Item = Result<RawEntry<'a>, EntryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.at == self.bytes.len() {
            return None;
        }
        let next = self.decode_next();
        self.failed = next.is_err();
        Some(next)
    }
}

/// Decodes and checks the header at `at`, and that the whole entry is there.
pub(crate) fn decode_head(bytes: &[u8], at: usize) -> Result<Head, EntryError> {
    let rest = &bytes[at..];
    let Some(header) = rest.first_chunk::<ENTRY_HEADER_BYTES>() else {
        return Err(EntryError::Short { at });
    };
    if header_crc(header) != le::u32_at(header, 4) {
        return Err(EntryError::HeaderChecksum { at });
    }
    let index = Index(le::u64_at(header, 8));
    let length = le::u32_at(header, 0) as usize;
    if length > ENTRY_PAYLOAD_BYTES_MAX {
        return Err(EntryError::TooLong { at, index, length: length as u64 });
    }
    if le::u16_at(header, 30) != 0 {
        return Err(EntryError::NotZero { at, index });
    }
    if index.0 == 0 {
        return Err(EntryError::NotContiguous { at, expected: Index(1), found: index });
    }
    let term = Term(le::u64_at(header, 16));
    if index.0 >= NUMBER_MAX || term.0 >= NUMBER_MAX {
        return Err(EntryError::BeyondCounting { at, index, term });
    }
    if rest.len() < encoded_len(length) {
        return Err(EntryError::Short { at });
    }
    let (kind, flags) = (Kind(header[28]), header[29]);
    Ok(Head { index, term, kind, flags, encoded_len: encoded_len(length) })
}

/// The checksum of a header covers all of it but itself.
fn header_crc(header: &[u8; ENTRY_HEADER_BYTES]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..4]), &header[8..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Vec<u8> {
        let mut out = BytesMut::new();
        encode_into(&mut out, Index(7), Term(2), Kind::COMMAND, &[b"I like", b" beer."]);
        encode_into(&mut out, Index(8), Term(3), Kind::NOOP, &[]);
        out.to_vec()
    }

    #[test]
    fn decodes_what_it_encodes() {
        let entries = decode_entries(&Bytes::from(two())).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].payload, "I like beer.");
        assert_eq!((entries[0].index, entries[0].term), (Index(7), Term(2)));
        assert_eq!((entries[1].kind, entries[1].payload.len()), (Kind::NOOP, 0));
        assert_eq!(two().len(), encoded_len(12) + encoded_len(0));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let good = two();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_entries(&Bytes::from(bad)).is_err(), "bit {bit} went unnoticed");
        }
    }

    #[test]
    fn every_cut_is_noticed() {
        let good = two();
        for length in 1..good.len() {
            let whole = length == encoded_len(12);
            let cut = Bytes::copy_from_slice(&good[..length]);
            assert_eq!(decode_entries(&cut).is_ok(), whole, "cut at {length}");
        }
    }

    #[test]
    fn gaps_and_falling_terms_are_refused() {
        let mut gap = BytesMut::new();
        encode_into(&mut gap, Index(1), Term(1), Kind::NOOP, &[]);
        encode_into(&mut gap, Index(3), Term(1), Kind::NOOP, &[]);
        assert!(matches!(decode_entries(&gap.freeze()), Err(EntryError::NotContiguous { .. })));
        let mut fall = BytesMut::new();
        encode_into(&mut fall, Index(1), Term(2), Kind::NOOP, &[]);
        encode_into(&mut fall, Index(2), Term(1), Kind::NOOP, &[]);
        assert!(matches!(decode_entries(&fall.freeze()), Err(EntryError::TermFalls { .. })));
    }
}
