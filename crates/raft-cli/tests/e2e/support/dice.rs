//! Chance that comes again.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

/// The variable that replays the random choices of a run.
const SEED: &str = "RAFT_E2E_SEED";

/// Random numbers that come again with the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    /// The seed is that of the environment, if it has one.
    pub(crate) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let given = env::var(SEED).ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or(u64::from(now.subsec_nanos()));
        eprintln!("the same choices again: {SEED}={seed}");
        Self(seed)
    }

    /// Others, that come again too.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.below(u64::MAX))
    }

    /// A number below `bound`: SplitMix64.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
