//! Counting. Votes, pre-votes, commit, check-quorum and catch-up all go through
//! [`Membership::agreed`], so that "a majority, or a majority of both halves while joint" (thesis
//! 4.3) is written down once.

use alloc::collections::BTreeSet;

use crate::membership::Membership;
use crate::types::NodeId;

impl Membership {
    /// The largest value that a quorum has reached: the majority of the voters and, in a joint
    /// configuration, of the outgoing voters too. `None` if a half has nobody in it.
    pub fn agreed<T: Ord>(&self, value_of: impl Fn(NodeId) -> T) -> Option<T> {
        let new = majority_reached(&self.voters, &value_of)?;
        match &self.old_voters {
            None => Some(new),
            Some(old) => Some(new.min(majority_reached(old, &value_of)?)),
        }
    }

    /// Whether those who are `in_favour` form a quorum.
    pub fn is_quorum(&self, in_favour: impl Fn(NodeId) -> bool) -> bool {
        self.agreed(in_favour) == Some(true)
    }

    /// Whether this member votes, in either half.
    #[must_use]
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.old_voters.as_ref().is_some_and(|old| old.contains(&id))
    }

    /// Whether two majorities decide.
    #[must_use]
    pub const fn is_joint(&self) -> bool {
        self.old_voters.is_some()
    }

    /// Everyone that votes, in either half, once.
    pub(crate) fn all_voters(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.members.keys().copied().filter(|&id| self.is_voter(id))
    }
}

/// The largest value that more than half of `voters` have reached. Quadratic in a handful of
/// voters, and it allocates nothing: this runs on every acknowledgement.
fn majority_reached<T: Ord>(
    voters: &BTreeSet<NodeId>,
    value_of: &impl Fn(NodeId) -> T,
) -> Option<T> {
    let mut reached = None;
    for value in voters.iter().map(|&id| value_of(id)) {
        // What is no more than what was found cannot be the largest.
        if reached.as_ref().is_none_or(|found| value > *found) {
            let count = voters.iter().filter(|&&id| value_of(id) >= value).count();
            if count * 2 > voters.len() {
                reached = Some(value);
            }
        }
    }
    reached
}
