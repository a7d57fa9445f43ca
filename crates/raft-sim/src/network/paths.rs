//! What is between two places: nothing, or obstacles that troubles have put there. An obstacle
//! goes when its trouble ends; others may still be in the way then.

use std::collections::BTreeMap;

use raft_node::random::Random;

use super::Place;

/// What is in the way from one place to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// Nothing passes, and a connection that has something to carry breaks after a while.
    Cut,
    /// Nothing passes, and nobody hangs up.
    Silence,
    /// Messages of consensus get lost, and all else passes.
    Mute,
    /// So many bytes pass in a millisecond.
    Slow(u64),
}

/// Single messages of consensus get lost, doubled or swapped on a connection: one in so many of
/// each, none if zero. TCP does not do that; the rules of the core must not need it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loose {
    /// Lost.
    pub lost: u64,
    /// Sent twice.
    pub doubled: u64,
    /// Sent after the next one.
    pub swapped: u64,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Luck {
    Good,
    Lost,
    Doubled,
    Swapped,
}

/// All obstacles, by direction and by the trouble that they belong to.
#[derive(Debug, Default)]
pub struct Paths {
    obstacles: BTreeMap<(Place, Place), BTreeMap<u32, Obstacle>>,
    loose: BTreeMap<u32, Loose>,
}

impl Paths {
    /// Puts an obstacle between two places, in one direction.
    pub fn put(&mut self, trouble: u32, from: Place, to: Place, obstacle: Obstacle) {
        if from != to {
            self.obstacles.entry((from, to)).or_default().insert(trouble, obstacle);
        }
    }

    /// Messages are not safe any more.
    pub fn loosen(&mut self, trouble: u32, loose: Loose) {
        self.loose.insert(trouble, loose);
    }

    /// A trouble ends.
    pub fn lift(&mut self, trouble: u32) {
        self.loose.remove(&trouble);
        self.obstacles.retain(|_, here| {
            here.remove(&trouble);
            !here.is_empty()
        });
    }

    /// All troubles end.
    pub fn clear(&mut self) {
        self.obstacles.clear();
        self.loose.clear();
    }

    fn between(&self, from: Place, to: Place) -> impl Iterator<Item = Obstacle> {
        self.obstacles.get(&(from, to)).into_iter().flat_map(|here| here.values().copied())
    }

    /// Whether nothing passes in this direction.
    #[must_use]
    pub fn is_cut(&self, from: Place, to: Place) -> bool {
        self.between(from, to).any(|o| matches!(o, Obstacle::Cut | Obstacle::Silence))
    }

    /// Whether messages of consensus get lost in this direction.
    pub(super) fn is_mute(&self, from: Place, to: Place) -> bool {
        self.between(from, to).any(|obstacle| obstacle == Obstacle::Mute)
    }

    /// Whether connections that need this direction break.
    pub(super) fn breaks(&self, from: Place, to: Place) -> bool {
        self.between(from, to).any(|obstacle| obstacle == Obstacle::Cut)
    }

    /// How many bytes pass in a millisecond, if that is limited.
    pub(super) fn bytes_per_ms(&self, from: Place, to: Place) -> Option<u64> {
        let limit =
            |obstacle| if let Obstacle::Slow(bytes) = obstacle { Some(bytes) } else { None };
        self.between(from, to).filter_map(limit).min()
    }

    /// What becomes of the next message of consensus.
    pub(super) fn luck(&self, random: &mut Random) -> Luck {
        let mut hits = |one_in: u64| one_in > 0 && random.below(one_in) == 0;
        for loose in self.loose.values() {
            if hits(loose.lost) {
                return Luck::Lost;
            }
            if hits(loose.doubled) {
                return Luck::Doubled;
            }
            if hits(loose.swapped) {
                return Luck::Swapped;
            }
        }
        Luck::Good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Place = Place::Host(0);
    const B: Place = Place::Host(1);

    #[test]
    fn an_obstacle_goes_with_its_trouble_and_leaves_the_others() {
        let mut paths = Paths::default();
        paths.put(1, A, B, Obstacle::Cut);
        paths.put(2, A, B, Obstacle::Silence);
        paths.put(3, A, B, Obstacle::Slow(64));
        paths.put(4, A, B, Obstacle::Slow(8));
        assert!(paths.is_cut(A, B) && paths.breaks(A, B) && !paths.is_cut(B, A));
        paths.lift(1);
        assert!(paths.is_cut(A, B) && !paths.breaks(A, B), "silence stays");
        paths.lift(2);
        assert!(!paths.is_cut(A, B));
        assert_eq!(paths.bytes_per_ms(A, B), Some(8), "the slower one counts");
        paths.put(4, B, A, Obstacle::Mute);
        assert!(paths.is_mute(B, A) && !paths.is_mute(A, B) && !paths.is_cut(B, A));
        paths.lift(4);
        assert!(!paths.is_mute(B, A));
        assert_eq!(paths.bytes_per_ms(A, B), Some(64));
        paths.clear();
        assert_eq!(paths.bytes_per_ms(A, B), None);
    }

    #[test]
    fn nothing_is_between_a_place_and_itself() {
        let mut paths = Paths::default();
        paths.put(1, A, A, Obstacle::Cut);
        assert!(!paths.is_cut(A, A));
    }
}
