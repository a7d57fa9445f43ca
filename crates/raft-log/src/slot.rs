//! Slots: the files `wal/NN.seg`, made full of zeros once, then used over and over. A slot's
//! name and size never change; its header says what it is at present.
//!
//! The header stands twice, in pages 0 and 1. Page 0 is written and synced before page 1 is
//! touched, and a copy that a crash tore is zeroed before the slot is used again: a crash leaves
//! at most one copy torn, so two torn copies are damage.

use std::sync::Arc;

use raft_core::{HardState, Index, LogId, NodeId, Term};

use crate::disk::DiskFile;
use crate::entry::NUMBER_MAX;
use crate::le;

/// Blocks begin at multiples of this; headers are as long.
pub(crate) const PAGE_BYTES: usize = 4096;
/// Where the blocks begin.
pub(crate) const DATA_OFFSET: u64 = 2 * PAGE_BYTES as u64;
/// The directory of the slots.
pub(crate) const WAL_DIR: &str = "wal";
/// No slot is smaller: room for the blocks that are written at every start.
pub(crate) const SLOT_BYTES_MIN: u64 = 32 * 1024;
/// Nor larger: a slot holds the largest entry, and twice that is enough.
pub(crate) const SLOT_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// So many peers fit in a header.
pub const PEERS_MAX: usize = (PAGE_BYTES - PEERS_OFFSET) / PEER_BYTES;
/// Bytes of one row of the peers' table.
pub(crate) const PEER_BYTES: usize = 40;

/// The files of slots are numbered below this: there is always a next number.
const SLOT_NUMBER_MAX: u32 = 1 << 30;
const PEERS_OFFSET: usize = 256;
const MAGIC: [u8; 8] = *b"RAFTSLOT";
const MAJOR: u16 = 1;
const MINOR: u16 = 0;
const CRC_AT: usize = 12;
/// Features that a reader must know: bits.
const REQUIRED_FEATURES: u64 = COMPACTED;
/// The log does not go back to slot 1: the header names the slot that it begins with.
const COMPACTED: u64 = 1;

/// A life of a peer, as it said hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerBoot {
    /// Which member.
    pub id: NodeId,
    /// Its directory.
    pub incarnation: u128,
    /// Which start of it.
    pub epoch: u64,
    /// Tells two starts with the same number apart: one is a copy.
    pub nonce: u64,
}

/// A start of this member: the number and a random mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// Counts the starts, from 1.
    pub epoch: u64,
    /// Random.
    pub nonce: u64,
}

/// What a slot is at present, and all that was known when it was taken into use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotHeader {
    pub(crate) cluster: u128,
    pub(crate) incarnation: u128,
    /// The order of slots; from 1.
    pub(crate) slot_seq: u64,
    /// Random per use: blocks of an earlier use cannot pass for present ones.
    pub(crate) salt: u64,
    pub(crate) slot_bytes: u64,
    pub(crate) number: u32,
    /// Whether the file was used before, so that old bytes follow the last block.
    pub(crate) recycled: bool,
    /// The number of the first block here, and the checksum of the header of the block before.
    /// Blocks below it in the previous slot are certified: they were proven synced.
    pub(crate) base_block_seq: u64,
    pub(crate) base_chain: u32,
    /// The last block that was synced when this header was written: `base_block_seq - 1`, or the
    /// last of the blocks that were rewritten into this slot before it.
    pub(crate) synced_seq: u64,
    /// The slot that holds block `base_block_seq - 1`; zero if there is none.
    pub(crate) previous_slot_seq: u64,
    pub(crate) boot: Boot,
    pub(crate) hard_state: HardState,
    /// The slot that the log begins with, all before it being free; zero: nothing was compacted.
    pub(crate) first_slot_seq: u64,
    /// The entry before the first one of the log: the last one as of when that slot began.
    pub(crate) start: LogId,
    /// The last entry as of block `base_block_seq - 1`.
    pub(crate) last: LogId,
    pub(crate) commit_hint: Index,
    pub(crate) peers: Vec<PeerBoot>,
}

/// One copy of a header, judged.
#[derive(Debug)]
pub(crate) enum Copy {
    Valid(Box<SlotHeader>),
    /// Nothing was ever written.
    Zero,
    Damaged,
    TooNew(String),
}

/// An open slot file.
#[derive(Clone, Debug)]
pub(crate) struct SlotFile {
    pub(crate) number: u32,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) bytes: u64,
}

/// `wal/07.seg`.
pub(crate) fn slot_name(number: u32) -> String {
    format!("{WAL_DIR}/{number:02}.seg")
}

/// The number in a file name of the directory of slots.
pub(crate) fn slot_number(name: &str) -> Option<u32> {
    let number =
        name.strip_suffix(".seg")?.parse().ok().filter(|number| *number < SLOT_NUMBER_MAX)?;
    (slot_name(number).strip_prefix("wal/") == Some(name)).then_some(number)
}

impl SlotHeader {
    /// The page to write at `offset` (of one of the two copies).
    pub(crate) fn encode(&self, offset: u64) -> [u8; PAGE_BYTES] {
        let mut page = [0; PAGE_BYTES];
        le::put(&mut page, 0, &MAGIC);
        le::put(&mut page, 8, &MAJOR.to_le_bytes());
        le::put(&mut page, 10, &MINOR.to_le_bytes());
        le::put_u64(&mut page, 16, if self.first_slot_seq == 0 { 0 } else { COMPACTED });
        le::put_u128(&mut page, 32, self.cluster);
        le::put_u128(&mut page, 48, self.incarnation);
        le::put_u64(&mut page, 64, self.slot_seq);
        le::put_u64(&mut page, 72, self.salt);
        le::put_u64(&mut page, 80, self.slot_bytes);
        le::put_u32(&mut page, 88, self.number);
        le::put_u32(&mut page, 92, u32::from(self.recycled));
        le::put_u64(&mut page, 96, self.base_block_seq);
        le::put_u32(&mut page, 104, self.base_chain);
        le::put_u64(&mut page, 112, self.synced_seq);
        le::put_u64(&mut page, 120, self.previous_slot_seq);
        le::put_u64(&mut page, 128, self.boot.epoch);
        le::put_u64(&mut page, 136, self.boot.nonce);
        le::put_u64(&mut page, 144, self.hard_state.term.0);
        le::put_u64(&mut page, 152, self.hard_state.voted_for.map_or(0, |id| id.0));
        page[160] = u8::from(self.hard_state.voted_for.is_some());
        le::put_u64(&mut page, 168, self.start.index.0);
        le::put_u64(&mut page, 176, self.start.term.0);
        le::put_u64(&mut page, 184, self.last.index.0);
        le::put_u64(&mut page, 192, self.last.term.0);
        le::put_u64(&mut page, 200, self.commit_hint.0);
        le::put_u64(&mut page, 224, self.first_slot_seq);
        assert!(self.peers.len() <= PEERS_MAX, "more peers than a slot header holds");
        page[216] = u8::try_from(self.peers.len()).unwrap_or(u8::MAX);
        let table = encode_peers(&self.peers);
        le::put(&mut page, PEERS_OFFSET, &table);
        let crc = page_crc(&page, offset);
        le::put_u32(&mut page, CRC_AT, crc);
        page
    }

    /// Whether all that is counted can be counted on.
    pub(crate) fn is_countable(&self) -> bool {
        let counts = [self.slot_seq, self.base_block_seq, self.synced_seq, self.boot.epoch];
        let terms = [self.hard_state.term, self.start.term, self.last.term].map(|term| term.0);
        let indexes = [self.start.index, self.last.index].map(|index| index.0);
        let all = counts.iter().chain(&terms).chain(&indexes);
        let compacted = self.first_slot_seq > 0;
        self.slot_seq > 0
            && self.base_block_seq > 0
            && all.max() < Some(&NUMBER_MAX)
            && self.first_slot_seq <= self.slot_seq
            && compacted == (self.start.index > Index(0))
            && (self.start.index < self.last.index || self.start == self.last)
    }

    /// Judges the page that was read at `offset`.
    pub(crate) fn decode(page: &[u8; PAGE_BYTES], offset: u64) -> Copy {
        if page.iter().all(|byte| *byte == 0) {
            return Copy::Zero;
        }
        if !page.starts_with(&MAGIC) || page_crc(page, offset) != le::u32_at(page, CRC_AT) {
            return Copy::Damaged;
        }
        let (major, minor) = (le::u16_at(page, 8), le::u16_at(page, 10));
        if major != MAJOR {
            return Copy::TooNew(format!("{major}.{minor}"));
        }
        let unknown = le::u64_at(page, 16) & !REQUIRED_FEATURES;
        if unknown != 0 {
            return Copy::TooNew(format!("{major}.{minor} with features {unknown:#x}"));
        }
        let at = |offset| le::u64_at(page, offset);
        let rows = usize::from(page[216]) * PEER_BYTES;
        let Some(table) = page[PEERS_OFFSET..].get(..rows) else { return Copy::Damaged };
        let voted_for = (page[160] != 0).then(|| NodeId(at(152)));
        Copy::Valid(Box::new(Self {
            cluster: le::u128_at(page, 32),
            incarnation: le::u128_at(page, 48),
            slot_seq: at(64),
            salt: at(72),
            slot_bytes: at(80),
            number: le::u32_at(page, 88),
            recycled: le::u32_at(page, 92) != 0,
            base_block_seq: at(96),
            base_chain: le::u32_at(page, 104),
            synced_seq: at(112),
            previous_slot_seq: at(120),
            boot: Boot { epoch: at(128), nonce: at(136) },
            hard_state: HardState { term: Term(at(144)), voted_for },
            first_slot_seq: at(224),
            start: LogId::new(at(168), at(176)),
            last: LogId::new(at(184), at(192)),
            commit_hint: Index(at(200)),
            peers: decode_peers(table),
        }))
    }
}

/// The peers' table as it stands in headers and in PEERS blocks.
pub(crate) fn encode_peers(peers: &[PeerBoot]) -> Vec<u8> {
    let mut table = vec![0; peers.len() * PEER_BYTES];
    for (row, peer) in table.chunks_exact_mut(PEER_BYTES).zip(peers) {
        le::put_u64(row, 0, peer.id.0);
        le::put_u128(row, 8, peer.incarnation);
        le::put_u64(row, 24, peer.epoch);
        le::put_u64(row, 32, peer.nonce);
    }
    table
}

/// The rows of a peers' table; a rest that is no row is left out.
pub(crate) fn decode_peers(table: &[u8]) -> Vec<PeerBoot> {
    let row = |row: &[u8]| PeerBoot {
        id: NodeId(le::u64_at(row, 0)),
        incarnation: le::u128_at(row, 8),
        epoch: le::u64_at(row, 24),
        nonce: le::u64_at(row, 32),
    };
    table.chunks_exact(PEER_BYTES).map(row).collect()
}

/// Over the page without the checksum itself, and over where it belongs.
fn page_crc(page: &[u8; PAGE_BYTES], offset: u64) -> u32 {
    let crc = crc32c::crc32c(&page[..CRC_AT]);
    let crc = crc32c::crc32c_append(crc, &page[CRC_AT + 4..]);
    crc32c::crc32c_append(crc, &offset.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn header() -> SlotHeader {
        let peer = |id| PeerBoot { id: NodeId(id), incarnation: 9 << 90, epoch: 4, nonce: 5 };
        SlotHeader {
            cluster: 1,
            incarnation: 2,
            slot_seq: 3,
            salt: 4,
            slot_bytes: 65536,
            number: 5,
            recycled: true,
            base_block_seq: 6,
            base_chain: 7,
            synced_seq: 8,
            previous_slot_seq: 2,
            boot: Boot { epoch: 10, nonce: 11 },
            hard_state: HardState { term: Term(12), voted_for: Some(NodeId(0)) },
            first_slot_seq: 2,
            start: LogId::new(5, 3),
            last: LogId::new(13, 12),
            commit_hint: Index(12),
            peers: (1..=PEERS_MAX as u64).map(peer).collect(),
        }
    }

    #[test]
    fn decodes_what_it_encodes() {
        let page = header().encode(4096);
        assert!(matches!(SlotHeader::decode(&page, 4096), Copy::Valid(h) if *h == header()));
        assert!(matches!(SlotHeader::decode(&page, 0), Copy::Damaged), "a misdirected copy");
        assert!(matches!(SlotHeader::decode(&[0; PAGE_BYTES], 0), Copy::Zero));
    }

    #[test]
    fn every_flipped_bit_is_damage() {
        let good = header().encode(0);
        for bit in 0..PAGE_BYTES * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(SlotHeader::decode(&bad, 0), Copy::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn newer_versions_and_features_are_named() {
        for (at, name) in [(8, "2.0"), (16, "1.0 with features 0x2")] {
            let mut page = header().encode(0);
            page[at] = 2;
            let crc = page_crc(&page, 0);
            le::put_u32(&mut page, CRC_AT, crc);
            assert!(matches!(SlotHeader::decode(&page, 0), Copy::TooNew(v) if v == name));
        }
    }

    #[test]
    fn names_and_numbers_match() {
        assert_eq!(slot_name(7), "wal/07.seg");
        assert_eq!(slot_number("07.seg"), Some(7));
        assert_eq!(slot_number("123.seg"), Some(123));
        for name in
            ["4294967295.seg", "1073741824.seg", "7.seg", "007.seg", "07.tmp", "+7.seg", "seg"]
        {
            assert_eq!(slot_number(name), None, "{name}");
        }
    }
}
