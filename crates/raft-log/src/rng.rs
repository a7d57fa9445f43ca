//! Numbers that only have to differ: salts, nonces, incarnations. Given a seed, the same ones
//! come again.

use std::hash::{BuildHasher, RandomState};

#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// With a seed: repeatable. Without: from the operating system's randomness, which keys
    /// every `RandomState`.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self(seed.unwrap_or_else(|| RandomState::new().hash_one(std::process::id())))
    }

    /// `SplitMix64`; never zero, which stands for "none" in the formats.
    pub(crate) fn next_u64(&mut self) -> u64 {
        loop {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            if z != 0 {
                return z;
            }
        }
    }

    pub(crate) fn next_u128(&mut self) -> u128 {
        (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64())
    }
}
