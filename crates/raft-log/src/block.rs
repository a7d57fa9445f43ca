//! Blocks: what one group commit writes, in one or more of them. A block begins at a page, so
//! that a page which was synced is never written again while its slot is in use.
//!
//! A header's checksum also covers where the block stands; the header names its slot's order
//! and salt: stale, foreign and misdirected blocks all fail. `chain` is the checksum of the header
//! before, `synced_seq` says which blocks were durable when this one was made: a later block
//! thereby convicts the disk of losing an earlier one.

use raft_core::{HardState, Index, NodeId, Term};

use crate::le;
use crate::slot::PAGE_BYTES;

/// Bytes before the body.
pub(crate) const BLOCK_HEADER_BYTES: usize = 128;
/// A body takes entries up to this size; a larger entry has a block of its own.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;

const MAGIC: u32 = u32::from_le_bytes(*b"RBLK");
const CRC_AT: usize = 8;

/// What a block carries: bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u16);

impl Flags {
    /// The body is entries.
    pub(crate) const ENTRIES: Self = Self(1);
    /// The header carries term and vote.
    pub(crate) const HARD_STATE: Self = Self(2);
    /// Everything from `truncate_from` on is void before this block's entries are added.
    pub(crate) const TRUNCATE: Self = Self(4);
    /// The body is the whole table of peers.
    pub(crate) const PEERS: Self = Self(8);
    /// Says only `synced_seq`.
    pub(crate) const ATTEST: Self = Self(16);
    /// The slot is complete; `count` is the number of the slot file that follows.
    pub(crate) const SEAL: Self = Self(32);
    const KNOWN: u16 = 63;

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Bits that this version does not know.
    pub(crate) const fn unknown(self) -> u16 {
        self.0 & !Self::KNOWN
    }
}

/// A block's header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    pub(crate) flags: Flags,
    /// The checksum of the header before.
    pub(crate) chain: u32,
    pub(crate) slot_seq: u64,
    pub(crate) salt: u64,
    /// Counts blocks without a gap across slots; from 1.
    pub(crate) block_seq: u64,
    /// Blocks up to this number were durable when this header was made.
    pub(crate) synced_seq: u64,
    /// The raft group; zero.
    pub(crate) group: u64,
    pub(crate) first: Index,
    pub(crate) count: u32,
    pub(crate) body_len: u32,
    pub(crate) body_crc: u32,
    /// The lower of the commit index and the last index as of this block.
    pub(crate) commit_hint: Index,
    pub(crate) hard_state: HardState,
    pub(crate) truncate_from: Index,
}

/// Room that a block with such a body takes.
pub(crate) const fn block_bytes(body_len: usize) -> usize {
    (BLOCK_HEADER_BYTES + body_len).next_multiple_of(PAGE_BYTES)
}

impl BlockHeader {
    /// The header to write at `offset`, and its checksum.
    pub(crate) fn encode(&self, offset: u64) -> ([u8; BLOCK_HEADER_BYTES], u32) {
        let mut bytes = [0; BLOCK_HEADER_BYTES];
        le::put_u32(&mut bytes, 0, MAGIC);
        le::put(&mut bytes, 4, &self.flags.0.to_le_bytes());
        le::put_u32(&mut bytes, 12, self.chain);
        le::put_u64(&mut bytes, 16, self.slot_seq);
        le::put_u64(&mut bytes, 24, self.salt);
        le::put_u64(&mut bytes, 32, self.block_seq);
        le::put_u64(&mut bytes, 40, self.synced_seq);
        le::put_u64(&mut bytes, 48, self.group);
        le::put_u64(&mut bytes, 56, self.first.0);
        le::put_u32(&mut bytes, 64, self.count);
        le::put_u32(&mut bytes, 68, self.body_len);
        le::put_u32(&mut bytes, 72, self.body_crc);
        le::put_u64(&mut bytes, 80, self.commit_hint.0);
        le::put_u64(&mut bytes, 88, self.hard_state.term.0);
        le::put_u64(&mut bytes, 96, self.hard_state.voted_for.map_or(0, |id| id.0));
        bytes[104] = u8::from(self.hard_state.voted_for.is_some());
        le::put_u64(&mut bytes, 112, self.truncate_from.0);
        let crc = header_crc(&bytes, offset);
        le::put_u32(&mut bytes, CRC_AT, crc);
        (bytes, crc)
    }

    /// The header that was read at `offset`, and its checksum; `None` if it is none, is damaged
    /// or belongs elsewhere. Whether it is of this slot's present use is for the caller.
    pub(crate) fn decode(bytes: &[u8], offset: u64) -> Option<(Self, u32)> {
        let bytes = bytes.first_chunk::<BLOCK_HEADER_BYTES>()?;
        if le::u32_at(bytes, 0) != MAGIC {
            return None;
        }
        let crc = header_crc(bytes, offset);
        if le::u32_at(bytes, CRC_AT) != crc {
            return None;
        }
        let at = |offset| le::u64_at(bytes, offset);
        let header = Self {
            flags: Flags(le::u16_at(bytes, 4)),
            chain: le::u32_at(bytes, 12),
            slot_seq: at(16),
            salt: at(24),
            block_seq: at(32),
            synced_seq: at(40),
            group: at(48),
            first: Index(at(56)),
            count: le::u32_at(bytes, 64),
            body_len: le::u32_at(bytes, 68),
            body_crc: le::u32_at(bytes, 72),
            commit_hint: Index(at(80)),
            hard_state: HardState {
                term: Term(at(88)),
                voted_for: (bytes[104] != 0).then(|| NodeId(at(96))),
            },
            truncate_from: Index(at(112)),
        };
        Some((header, crc))
    }

    /// Whether bytes that are no valid block look like a damaged one of this slot's use, rather
    /// than like something left over: the magic with the slot's order, or the salt, is there.
    pub(crate) fn resembles(bytes: &[u8], slot_seq: u64, salt: u64) -> bool {
        let Some(bytes) = bytes.first_chunk::<BLOCK_HEADER_BYTES>() else { return false };
        le::u64_at(bytes, 24) == salt
            || (le::u32_at(bytes, 0) == MAGIC && le::u64_at(bytes, 16) == slot_seq)
    }

    /// Room that the block takes.
    pub(crate) fn bytes(&self) -> u64 {
        block_bytes(self.body_len as usize) as u64
    }

    /// The last index of its entries; the one before `first` if there are none.
    pub(crate) fn last(&self) -> Index {
        Index(self.first.0.saturating_add(u64::from(self.count)).saturating_sub(1))
    }
}

fn header_crc(bytes: &[u8; BLOCK_HEADER_BYTES], offset: u64) -> u32 {
    let crc = crc32c::crc32c(&bytes[..CRC_AT]);
    let crc = crc32c::crc32c_append(crc, &bytes[CRC_AT + 4..]);
    crc32c::crc32c_append(crc, &offset.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> BlockHeader {
        BlockHeader {
            flags: Flags::ENTRIES.with(Flags::TRUNCATE),
            chain: 1,
            slot_seq: 2,
            salt: 3,
            block_seq: 4,
            synced_seq: 3,
            group: 0,
            first: Index(6),
            count: 7,
            body_len: 8,
            body_crc: 9,
            commit_hint: Index(10),
            hard_state: HardState { term: Term(11), voted_for: Some(NodeId(12)) },
            truncate_from: Index(6),
        }
    }

    #[test]
    fn decodes_what_it_encodes() {
        let (bytes, crc) = header().encode(8192);
        assert_eq!(BlockHeader::decode(&bytes, 8192), Some((header(), crc)));
        assert_eq!(BlockHeader::decode(&bytes, 4096), None, "a misdirected block");
        assert_eq!(header().last(), Index(12));
    }

    #[test]
    fn every_flipped_bit_is_damage_and_still_resembles_a_block() {
        let (good, _) = header().encode(8192);
        for bit in 0..BLOCK_HEADER_BYTES * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(BlockHeader::decode(&bad, 8192), None, "bit {bit}");
            assert!(BlockHeader::resembles(&bad, 2, 3), "bit {bit}");
        }
        assert!(!BlockHeader::resembles(&good, 5, 4), "a block of an earlier use");
        assert!(!BlockHeader::resembles(&[0; BLOCK_HEADER_BYTES], 2, 3));
    }

    #[test]
    fn a_block_takes_whole_pages() {
        assert_eq!(block_bytes(0), PAGE_BYTES);
        assert_eq!(block_bytes(PAGE_BYTES - BLOCK_HEADER_BYTES), PAGE_BYTES);
        assert_eq!(block_bytes(PAGE_BYTES), 2 * PAGE_BYTES);
    }
}
