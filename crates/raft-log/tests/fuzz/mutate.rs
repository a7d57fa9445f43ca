//! Changes of inputs: bits, numbers that are known to hurt, pieces cut, doubled, moved, and taken
//! from other inputs.

use super::{Random, Target};

/// Numbers at which counting goes wrong.
const NUMBERS: [u64; 20] = [
    0,
    1,
    7,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x100_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    (1 << 62) - 1,
    1 << 62,
    u64::MAX - 1,
    u64::MAX,
];

/// An input of the corpus, changed one to eight times.
pub fn mutate(target: &Target, inputs: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let mut bytes = one_of(inputs, random).unwrap_or_default().to_vec();
    let most = 1 << random.below(4);
    for _ in 0..1 + random.below(most) {
        change(&mut bytes, target, inputs, random);
        bytes.truncate(target.bytes_max);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, target: &Target, inputs: &[&[u8]], random: &mut Random) {
    let at = below(bytes.len() + 1, random);
    match random.below(14) {
        0 | 1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.next_u64() as u8;
            }
        }
        3 | 4 => overwrite(bytes, at, &number(random)),
        5 => insert(bytes, at, &number(random)),
        6 => insert(bytes, at, &varint(one_of(&NUMBERS, random).unwrap_or_default())),
        7 => bytes.truncate(at),
        8 => drop(bytes.drain(piece(bytes, at, random))),
        9 => {
            let piece = bytes[piece(bytes, at, random)].to_vec();
            let to = below(bytes.len() + 1, random);
            insert(bytes, to, &piece);
        }
        10 => {
            // A short piece over and over: long lists, deep nesting.
            let end = at + below((bytes.len() - at).min(12) + 1, random);
            let times = 1 << random.below(13);
            let room = target.bytes_max.saturating_sub(bytes.len());
            let many: Vec<u8> =
                bytes[at..end].iter().copied().cycle().take((end - at) * times).collect();
            insert(bytes, at, &many[..many.len().min(room)]);
        }
        11 => {
            let other = one_of(inputs, random).unwrap_or_default();
            let piece = &other[piece(other, below(other.len() + 1, random), random)];
            insert(bytes, at, piece);
        }
        12 => {
            let other = one_of(inputs, random).unwrap_or_default();
            bytes.truncate(at);
            bytes.extend_from_slice(&other[below(other.len() + 1, random)..]);
        }
        _ => match one_of(target.words, random) {
            Some(word) if random.below(2) == 0 => overwrite(bytes, at, word),
            Some(word) => insert(bytes, at, word),
            None => bytes.push(random.next_u64() as u8),
        },
    }
}

/// One of the numbers, or one beside it, in one, two, four or eight bytes.
fn number(random: &mut Random) -> Vec<u8> {
    let near = random.below(3).wrapping_sub(1);
    let value = one_of(&NUMBERS, random).unwrap_or_default().wrapping_add(near);
    let width = 1 << random.below(4);
    let mut bytes = value.to_le_bytes()[..width].to_vec();
    if random.below(4) == 0 {
        bytes.reverse();
    }
    bytes
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    let rest = bytes.get_mut(at..).unwrap_or_default();
    rest.iter_mut().zip(with).for_each(|(to, from)| *to = *from);
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(bytes.splice(at..at, piece.iter().copied()));
}

/// A piece that begins at `at`; most are short.
fn piece(bytes: &[u8], at: usize, random: &mut Random) -> std::ops::Range<usize> {
    let rest = bytes.len() - at;
    let longest = if random.below(4) == 0 { rest } else { rest.min(16) };
    at..at + below(longest + 1, random)
}

fn below(bound: usize, random: &mut Random) -> usize {
    usize::try_from(random.below(bound as u64)).unwrap_or(0)
}

fn one_of<T: Copy>(list: &[T], random: &mut Random) -> Option<T> {
    list.get(below(list.len(), random)).copied()
}
