//! How long messages take: up to some milliseconds where the network is local, and as long as the
//! way is where it is not.

use raft_node::random::Random;

use super::Place;
use crate::chance::stream;
use crate::plan::Reach;

/// The shortest way and the longest of a wide-area network, in milliseconds.
const WAY_MIN: u64 = 20;
const WAY_MAX: u64 = 150;

/// How long things take, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    /// A message usually takes up to this, beside the way.
    pub usual: u64,
    /// One in so many takes longer; none if zero.
    pub slow_one_in: u64,
    /// Up to this.
    pub slow: u64,
}

impl Delays {
    /// Once nothing is wrong any more.
    pub const CALM: Self = Self { usual: 3, slow_one_in: 0, slow: 0 };

    /// How long the next thing takes.
    pub fn draw(&self, random: &mut Random) -> u64 {
        if self.slow_one_in > 0 && random.below(self.slow_one_in) == 0 {
            return 1 + random.below(self.slow);
        }
        1 + random.below(self.usual)
    }
}

/// How long everything takes from one of these places to the other at least, and back.
pub(super) fn way(seed: u64, reach: Reach, from: Place, to: Place) -> u64 {
    if reach == Reach::Local {
        return 0;
    }
    let number = |place| match place {
        Place::Host(host) => 2 * host as u64,
        Place::Client(client) => 2 * client as u64 + 1,
        Place::Stranger(number) => 1 << 19 | u64::from(number),
    };
    let (one, other) = (number(from.min(to)), number(from.max(to)));
    WAY_MIN + stream(seed, "way", one << 20 | other).below(WAY_MAX - WAY_MIN + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_as_long_back_and_only_where_the_network_is_wide() {
        let (one, other) = (Place::Host(0), Place::Client(3));
        let mut lengths = Vec::new();
        for seed in 0..200 {
            let there = way(seed, Reach::Wide, one, other);
            assert_eq!(there, way(seed, Reach::Wide, other, one));
            assert_eq!(way(seed, Reach::Local, one, other), 0);
            lengths.push(there);
        }
        assert!(lengths.iter().all(|length| (WAY_MIN..=WAY_MAX).contains(length)));
        let (short, long) = (WAY_MIN + 10, WAY_MAX - 10);
        assert!(lengths.iter().any(|l| *l < short) && lengths.iter().any(|l| *l > long));
    }
}
