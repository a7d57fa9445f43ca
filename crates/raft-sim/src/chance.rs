//! Chance comes in streams, one for each purpose and place: a draw more or less in one of them
//! shifts no other. So a run from which one trouble is left out is the same run otherwise.

use raft_node::random::Random;

/// The stream of a purpose (`"wire"`, `"trouble"`) at a place, in the run of a seed.
#[must_use]
pub(crate) fn stream(seed: u64, purpose: &str, place: u64) -> Random {
    let mix = |mixed: u64, next: u64| Random::new(mixed ^ next).next_u64();
    let purpose = purpose.bytes().fold(seed, |mixed, byte| mix(mixed, u64::from(byte)));
    Random::new(mix(purpose, place))
}

/// One of several values.
pub(crate) fn pick<V: Copy, const N: usize>(random: &mut Random, values: [V; N]) -> V {
    values[random.below(N as u64) as usize]
}

/// Puts values into another order.
pub(crate) fn shuffle<V>(random: &mut Random, values: &mut [V]) {
    for last in (1..values.len()).rev() {
        values.swap(last, random.below(last as u64 + 1) as usize);
    }
}
