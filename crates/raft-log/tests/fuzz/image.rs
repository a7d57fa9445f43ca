//! A data directory as few bytes: one byte that says which checksums are to be made right, then
//! for each file its name, its size and the parts that are not zero. Written by plain offsets, as
//! `docs/disk-format.md` has them, so that what a change leads to is not stopped by a checksum.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::BTreeMap;

/// Files by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The first byte: NODE and SHOWN; headers; bodies, and entries in them; the chain of blocks, and what
/// the end of a snapshot's file counts.
pub const SEAL_SMALL: u8 = 1;
pub const SEAL_HEADERS: u8 = 2;
pub const SEAL_BODIES: u8 = 4;
pub const SEAL_CHAIN: u8 = 8;
pub const SEAL_ALL: u8 = 15;

const PAGE: usize = 4096;
const DATA: usize = 2 * PAGE;
const BLOCK_HEADER: usize = 128;
/// No file of an image is larger, nor are there more.
const FILE_BYTES_MAX: usize = 256 << 10;
const FILES_MAX: usize = 16;

pub fn pack(seal: u8, files: &Files) -> Vec<u8> {
    let mut image = vec![seal];
    for (name, bytes) in files {
        let parts = parts(bytes);
        image.push(u8::try_from(name.len()).expect("a short name"));
        image.extend_from_slice(name.as_bytes());
        image.extend_from_slice(&u32::try_from(bytes.len()).expect("a small file").to_le_bytes());
        image.push(u8::try_from(parts.len()).expect("few parts"));
        for (at, part) in parts {
            image.extend_from_slice(&u32::try_from(at).expect("a small file").to_le_bytes());
            image.extend_from_slice(&u16::try_from(part.len()).expect("short").to_le_bytes());
            image.extend_from_slice(part);
        }
    }
    image
}

/// Whatever the bytes are, some directory.
pub fn unpack(image: &[u8]) -> Files {
    let mut files = Files::new();
    let (seal, mut rest) = image.split_first().unwrap_or((&0, &[]));
    while let Some((name, bytes)) = file(&mut rest) {
        files.insert(name, bytes);
        if files.len() == FILES_MAX {
            break;
        }
    }
    reseal(*seal, &mut files);
    files
}

fn file(rest: &mut &[u8]) -> Option<(String, Vec<u8>)> {
    let length = usize::from(*take(rest, 1)?.first()?);
    let name: String = String::from_utf8_lossy(take(rest, length)?).into_owned();
    let size = u32::from_le_bytes(take(rest, 4)?.try_into().ok()?) as usize;
    let mut bytes = vec![0; size.min(FILE_BYTES_MAX)];
    for _ in 0..*take(rest, 1)?.first()? {
        let Some(at) = take(rest, 4) else { break };
        let at = u32::from_le_bytes(at.try_into().ok()?) as usize;
        let Some(length) = take(rest, 2) else { break };
        let part = take(rest, usize::from(u16::from_le_bytes(length.try_into().ok()?)));
        let place = bytes.get_mut(at..).unwrap_or_default();
        place.iter_mut().zip(part.unwrap_or_default()).for_each(|(to, from)| *to = *from);
    }
    // A name is one of a directory, or of a directory in it.
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    let few = name.split('/').count() <= 2;
    (few && name.split('/').all(plain)).then_some((name, bytes))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

/// The runs of bytes that are not zero, each with its place.
fn parts(bytes: &[u8]) -> Vec<(usize, &[u8])> {
    const GAP: usize = 24;
    let (mut parts, mut at) = (Vec::new(), 0);
    while let Some(begin) = bytes[at..].iter().position(|byte| *byte != 0).map(|p| p + at) {
        let mut end = begin + 1;
        while let Some(more) = bytes[end..]
            .iter()
            .take(GAP)
            .position(|byte| *byte != 0)
            .filter(|_| end - begin < 60_000)
        {
            end += more + 1;
        }
        parts.push((begin, &bytes[begin..end]));
        at = end;
    }
    parts
}

/// Makes checksums right, of what looks as if it had one.
pub fn reseal(seal: u8, files: &mut Files) {
    for (name, bytes) in files {
        match name.as_str() {
            "NODE" if seal & SEAL_SMALL != 0 => seal_node(bytes),
            "SHOWN" if seal & SEAL_SMALL != 0 => {
                bytes.chunks_mut(PAGE).for_each(|page| {
                    if let Some(copy) = page.first_chunk_mut::<64>() {
                        let crc = crc32c::crc32c(&copy[..60]);
                        put(copy, 60, crc);
                    }
                });
            }
            name if name.starts_with("wal/") => seal_slot(seal, bytes),
            name if name.starts_with("snap/") => seal_sections(seal, bytes),
            _ => {}
        }
    }
}

pub fn seal_node(bytes: &mut Vec<u8>) {
    let line = b"checksum ";
    let at = bytes.windows(line.len()).rposition(|window| window == line);
    if let Some(at) = at {
        bytes.truncate(at);
        let sum = format!("checksum {:08x}\n", crc32c::crc32c(bytes));
        bytes.extend_from_slice(sum.as_bytes());
    }
}

fn seal_slot(seal: u8, slot: &mut [u8]) {
    if seal & SEAL_HEADERS != 0 {
        for (place, page) in slot.chunks_exact_mut(PAGE).take(2).enumerate() {
            if page.starts_with(b"RAFTSLOT") {
                seal_header(page, 12, (place * PAGE) as u64);
            }
        }
    }
    let mut chain = (seal & SEAL_CHAIN != 0).then(|| slot.get(104..108).map(u32_of)).flatten();
    let mut at = DATA;
    while at + PAGE <= slot.len() {
        let block = &mut slot[at..];
        let length = u32_of(&block[68..72]) as usize;
        if !block.starts_with(b"RBLK") {
            at += PAGE;
            continue;
        }
        if let Some(body) = block.get_mut(BLOCK_HEADER..BLOCK_HEADER.saturating_add(length))
            && seal & SEAL_BODIES != 0
        {
            seal_entries(body);
            let crc = crc32c::crc32c(body);
            put(block, 72, crc);
        }
        if let Some(chain) = chain {
            put(block, 12, chain);
        }
        if seal & SEAL_HEADERS != 0 {
            seal_header(&mut block[..BLOCK_HEADER], 8, at as u64);
        }
        chain = chain.map(|_| u32_of(&block[8..12]));
        at = at.saturating_add((BLOCK_HEADER + length).next_multiple_of(PAGE));
    }
}

/// Right checksums for entries, as far as their lengths make sense.
pub fn seal_entries(mut entries: &mut [u8]) {
    while entries.len() >= 32 {
        let length = u32_of(&entries[..4]) as usize;
        let Some(payload) = entries.get(32..32_usize.saturating_add(length)) else { break };
        let crc = crc32c::crc32c(payload);
        put(entries, 24, crc);
        let header = crc32c::crc32c_append(crc32c::crc32c(&entries[..4]), &entries[8..32]);
        put(entries, 4, header);
        let next = (32 + length.next_multiple_of(8)).min(entries.len());
        entries = &mut entries[next..];
    }
}

/// A snapshot's file: its header; each section's body and header; what the end counts.
pub fn seal_sections(seal: u8, file: &mut [u8]) {
    const HEADER: usize = 128;
    const SECTION: usize = 32;
    if file.len() < HEADER {
        return;
    }
    if seal & SEAL_HEADERS != 0 {
        let crc = crc_without(&file[..HEADER], 12);
        put(file, 12, crc);
    }
    let (mut all, mut count, mut at) = (crc32c::crc32c(&file[..HEADER]), 0_u64, HEADER);
    while let Some(length) = file.get(at + 16..at + 24) {
        let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(end) = at.checked_add(SECTION).and_then(|body| body.checked_add(length)) else {
            break;
        };
        let Some(section) = file.get_mut(at..end) else { break };
        let is_end = section[8..12] == [4, 0, 0, 0] && length == 40;
        if is_end && seal & SEAL_CHAIN != 0 {
            section[SECTION..SECTION + 8].copy_from_slice(&count.to_le_bytes());
            put(section, SECTION + 32, all);
        }
        if seal & SEAL_BODIES != 0 {
            let crc = crc32c::crc32c(&section[SECTION..]);
            put(section, 24, crc);
        }
        if seal & SEAL_HEADERS != 0 {
            let crc = crc_without(&section[..SECTION], 4);
            put(section, 4, crc);
        }
        all = crc32c::crc32c_append(all, &section[..SECTION]);
        count += 1;
        at = end;
    }
}

fn crc_without(bytes: &[u8], at: usize) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..at]), &bytes[at + 4..])
}

/// A checksum over all but itself, and over the place.
fn seal_header(bytes: &mut [u8], crc_at: usize, place: u64) {
    let crc = crc32c::crc32c(&bytes[..crc_at]);
    let crc = crc32c::crc32c_append(crc, &bytes[crc_at + 4..]);
    put(bytes, crc_at, crc32c::crc32c_append(crc, &place.to_le_bytes()));
}

fn u32_of(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_le_bytes)
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}
