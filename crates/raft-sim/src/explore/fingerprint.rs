//! 128 bits of what a state is. Two states with the same fingerprint are taken for one: among a
//! hundred million states that happens by chance once in 10^22 searches.

use std::hash::{Hash, Hasher};

/// Hashes in two lanes that share nothing but their input.
#[derive(Clone)]
struct Lanes {
    left: u64,
    right: u64,
}

/// The fingerprint of a value. `kind` keeps values of different types apart.
pub(super) fn fingerprint(kind: u64, value: &impl Hash) -> u128 {
    let mut lanes = Lanes { left: 0x243f_6a88_85a3_08d3, right: 0x1319_8a2e_0370_7344 };
    lanes.write_u64(kind);
    value.hash(&mut lanes);
    let (left, right) = (scramble(lanes.left), scramble(lanes.right ^ lanes.left.rotate_left(32)));
    u128::from(left) << 64 | u128::from(right)
}

/// SplitMix64's finish: every bit of the result depends on every bit of the input.
pub(super) const fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Hasher for Lanes {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.write_u64(word);
        }
    }

    /// For a given input each step is one to one in the state, and the other way round.
    fn write_u64(&mut self, word: u64) {
        let left = (self.left ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.left = (left ^ (left >> 32)).rotate_left(17);
        let right = (self.right.rotate_left(23) ^ word ^ 0xa409_3822_299f_31d0)
            .wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        self.right = right ^ (right >> 29);
    }

    fn write_u128(&mut self, value: u128) {
        self.write_u64(value as u64);
        self.write_u64((value >> 64) as u64);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn finish(&self) -> u64 {
        scramble(self.left ^ self.right)
    }
}
