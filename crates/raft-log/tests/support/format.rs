//! The format as `docs/disk-format.md` tells it, read by plain offsets: not by the code under
//! test.

use super::MemDisk;

pub const PAGE: usize = 4096;
pub const DATA: usize = 8192;

/// The fields of a block header: name, offset, length.
pub const BLOCK_FIELDS: [(&str, usize, usize); 19] = [
    ("magic", 0, 4),
    ("flags", 4, 2),
    ("zero", 6, 2),
    ("header crc", 8, 4),
    ("chain", 12, 4),
    ("slot seq", 16, 8),
    ("salt", 24, 8),
    ("block seq", 32, 8),
    ("synced seq", 40, 8),
    ("group", 48, 8),
    ("first", 56, 8),
    ("count", 64, 4),
    ("body length", 68, 4),
    ("body crc", 72, 4),
    ("commit hint", 80, 8),
    ("term", 88, 8),
    ("voted for", 96, 16),
    ("truncate from", 112, 8),
    ("zero", 120, 8),
];

/// The fields of a slot header.
pub const SLOT_FIELDS: [(&str, usize, usize); 28] = [
    ("magic", 0, 8),
    ("major", 8, 2),
    ("minor", 10, 2),
    ("crc", 12, 4),
    ("required features", 16, 8),
    ("optional features", 24, 8),
    ("cluster", 32, 16),
    ("incarnation", 48, 16),
    ("slot seq", 64, 8),
    ("salt", 72, 8),
    ("slot bytes", 80, 8),
    ("number", 88, 4),
    ("recycled", 92, 4),
    ("base block seq", 96, 8),
    ("base chain", 104, 4),
    ("zero", 108, 4),
    ("synced seq", 112, 8),
    ("previous slot seq", 120, 8),
    ("epoch", 128, 8),
    ("nonce", 136, 8),
    ("term", 144, 8),
    ("voted for", 152, 16),
    ("start", 168, 16),
    ("last", 184, 16),
    ("commit hint", 200, 8),
    ("group, peers", 208, 16),
    ("first slot seq", 224, 8),
    ("table", 256, 3840),
];

#[derive(Clone, Debug)]
pub struct BlockPlace {
    pub offset: usize,
    pub length: usize,
    pub flags: u16,
    pub first: u64,
    pub count: u64,
    pub body: usize,
    pub synced: u64,
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The slot files that were used, oldest first.
pub fn slots(disk: &MemDisk) -> Vec<String> {
    let mut found: Vec<(u64, String)> = disk
        .names()
        .into_iter()
        .filter(|name| name.ends_with(".seg"))
        .map(|name| (u64_at(&disk.read(&name), 64), name))
        .filter(|(seq, _)| *seq > 0)
        .collect();
    found.sort();
    found.into_iter().map(|(_, name)| name).collect()
}

/// The blocks of a slot's present use.
pub fn blocks(slot: &[u8]) -> Vec<BlockPlace> {
    let mut found = Vec::new();
    let mut at = DATA;
    while at < slot.len()
        && slot[at..].starts_with(b"RBLK")
        && slot[at + 24..at + 32] == slot[72..80]
    {
        let body = u32_at(slot, at + 68) as usize;
        let length = (128 + body).next_multiple_of(PAGE);
        found.push(BlockPlace {
            offset: at,
            length,
            flags: u16::from_le_bytes(slot[at + 4..at + 6].try_into().unwrap()),
            first: u64_at(slot, at + 56),
            count: u64::from(u32_at(slot, at + 64)),
            body,
            synced: u64_at(slot, at + 40),
        });
        at += length;
    }
    found
}

pub fn flip(bytes: &mut [u8], at: usize) {
    bytes[at] ^= 0x10;
}
