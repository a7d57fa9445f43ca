//! Which hosts' disks may be damaged, so that a cluster must live through it: everything that was
//! acknowledged stays intact on a quorum of the others, in every configuration that it may have
//! (Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage", FAST'18, names what
//! is at stake; the map of faults is as in TigerBeetle's simulator).
//!
//! The founders that are not in the atlas are never removed, and outnumber it: with all of its
//! hosts voting, half a joint configuration included, those founders are a majority still.

use std::collections::BTreeSet;

use raft_node::random::Random;

use crate::plan::Storage;

/// The hosts whose disks may be damaged.
#[derive(Clone, Debug, Default)]
pub struct Atlas {
    hosts: BTreeSet<usize>,
    founders: usize,
    storage: Storage,
}

impl Atlas {
    /// Draws hosts; half of all tolerable runs have none.
    #[must_use]
    pub fn draw(
        storage: Storage,
        (founders, joiners): (usize, usize),
        random: &mut Random,
    ) -> Self {
        let count = founders + joiners;
        let mut atlas = Self { hosts: BTreeSet::new(), founders, storage };
        if storage == Storage::Exceeded {
            atlas.hosts.extend(0..count);
        } else if random.below(2) == 0 {
            for _ in 0..count {
                let host = random.below(count as u64) as usize;
                atlas.hosts.insert(host);
                if !atlas.is_bounded() {
                    atlas.hosts.remove(&host);
                }
            }
        }
        atlas
    }

    /// The hosts.
    #[must_use]
    pub const fn hosts(&self) -> &BTreeSet<usize> {
        &self.hosts
    }

    /// Whether the cluster has to survive whatever happens to them.
    #[must_use]
    pub const fn storage(&self) -> Storage {
        self.storage
    }

    /// Whether this server may be removed from the cluster without making the rest too few.
    #[must_use]
    pub fn may_leave(&self, host: usize) -> bool {
        let any = self.hosts.is_empty() || self.storage == Storage::Exceeded;
        any || host >= self.founders || self.hosts.contains(&host)
    }

    fn is_bounded(&self) -> bool {
        let damaged = self.hosts.iter().filter(|host| **host < self.founders).count();
        self.founders - damaged > self.hosts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_others_are_a_majority_of_everybody_and_of_any_smaller_cluster() {
        let mut sizes = BTreeSet::new();
        for seed in 0..500 {
            let mut random = Random::new(seed);
            let (founders, joiners) = (1 + seed as usize % 5, seed as usize % 3);
            let atlas = Atlas::draw(Storage::Tolerated, (founders, joiners), &mut random);
            let stay = (0..founders).filter(|host| !atlas.may_leave(*host)).count();
            sizes.insert(atlas.hosts().len());
            assert!(atlas.hosts().is_empty() || stay > atlas.hosts().len(), "{atlas:?}");
        }
        assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn beyond_the_atlas_is_everybody() {
        let atlas = Atlas::draw(Storage::Exceeded, (2, 1), &mut Random::new(1));
        assert_eq!(atlas.hosts().len(), 3);
        assert!((0..3).all(|host| atlas.may_leave(host)));
    }
}
