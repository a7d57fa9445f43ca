//! What was refused lately, and by which numbers, for whoever asks why. Nothing here decides
//! anything.
//!
//! A refusal repeats: a candidate that lacks entries asks again with every timeout. So refusals
//! that are alike are counted, and the numbers of the last one are kept.

use alloc::collections::VecDeque;

use crate::message::{AppendResult, ReadRefused, RequestVote, VoteRefusal};
use crate::raft::Raft;
use crate::types::{LogId, NodeId, Term, Time};

/// So many different refusals are kept: more than a cluster of usual size can make.
pub const REFUSALS_MAX: usize = 32;

/// The last refusals of different kinds, the latest one last. Takes no memory before the first.
#[derive(Clone, Debug)]
pub struct Refusals<T> {
    kept: VecDeque<Repeated<T>>,
}

/// A refusal, and how often there was one like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated<T> {
    /// The last of them.
    pub what: T,
    /// How many.
    pub count: u64,
    /// When the first one was.
    pub first: Time,
    /// And the last.
    pub last: Time,
}

/// Refusals that say the same, but for their numbers.
pub trait Alike {
    /// Whether the other one takes the place of this one.
    fn is_alike(&self, other: &Self) -> bool;
}

/// What this member refused to a peer, and what it knew then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Who had asked.
    pub from: NodeId,
    /// This member's term.
    pub term: Term,
    /// The end of its log.
    pub last_log_id: LogId,
    /// Who led, as far as it knew.
    pub leader: Option<NodeId>,
    /// What was asked, and why not.
    pub what: RefusedRequest,
}

/// What a peer had asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedRequest {
    /// A vote.
    Vote {
        /// A pre-vote.
        pre: bool,
        /// By these numbers.
        request: RequestVote,
        /// Why not.
        why: VoteRefusal,
    },
    /// That entries be taken.
    Append {
        /// The sender's term.
        term: Term,
        /// The entry before them.
        prev_log_id: LogId,
        /// Why not: never a match.
        result: AppendResult,
    },
    /// From where on a read may be answered.
    Read {
        /// Why not.
        why: ReadRefused,
    },
}

impl<T> Default for Refusals<T> {
    fn default() -> Self {
        Self { kept: VecDeque::new() }
    }
}

impl<T: Alike> Refusals<T> {
    /// One more.
    pub fn note(&mut self, now: Time, what: T) {
        let known = self.kept.iter().position(|kept| kept.what.is_alike(&what));
        let (count, first) = match known.and_then(|at| self.kept.remove(at)) {
            Some(known) => (known.count + 1, known.first),
            None => (1, now),
        };
        if self.kept.len() >= REFUSALS_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(Repeated { what, count, first, last: now });
    }

    /// All that are kept, the latest one last.
    pub fn iter(&self) -> impl Iterator<Item = &Repeated<T>> {
        self.kept.iter()
    }
}

impl Alike for Refused {
    fn is_alike(&self, other: &Self) -> bool {
        self.from == other.from && self.what.is_alike(&other.what)
    }
}

impl Alike for RefusedRequest {
    fn is_alike(&self, other: &Self) -> bool {
        use core::mem::discriminant;
        match (self, other) {
            (Self::Vote { pre, why, .. }, Self::Vote { pre: other_pre, why: other_why, .. }) => {
                pre == other_pre && discriminant(why) == discriminant(other_why)
            }
            (Self::Append { result, .. }, Self::Append { result: other, .. }) => {
                discriminant(result) == discriminant(other)
            }
            (Self::Read { why }, Self::Read { why: other }) => {
                discriminant(why) == discriminant(other)
            }
            _ => false,
        }
    }
}

impl Raft {
    /// What this member refused to its peers lately.
    #[must_use]
    pub const fn refusals(&self) -> &Refusals<Refused> {
        &self.refusals
    }

    pub(crate) fn note_refusal(&mut self, from: NodeId, what: RefusedRequest) {
        let (term, last_log_id, leader) = (self.term(), self.log.last_log_id(), self.leader());
        self.refusals.note(self.now, Refused { from, term, last_log_id, leader, what });
    }

    pub(crate) fn note_vote_refusal(
        &mut self,
        from: NodeId,
        pre: bool,
        request: RequestVote,
        why: VoteRefusal,
    ) {
        self.note_refusal(from, RefusedRequest::Vote { pre, request, why });
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Note(u64, &'static str);

    impl Alike for Note {
        fn is_alike(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }

    fn kept(refusals: &Refusals<Note>) -> Vec<(u64, &'static str, u64, u64, u64)> {
        let tuple = |kept: &Repeated<Note>| {
            (kept.what.0, kept.what.1, kept.count, kept.first.0, kept.last.0)
        };
        refusals.iter().map(tuple).collect()
    }

    #[test]
    fn repeated_ones_are_counted_and_the_last_numbers_stay() {
        let mut refusals = Refusals::default();
        refusals.note(Time(1), Note(1, "a"));
        refusals.note(Time(2), Note(2, "b"));
        refusals.note(Time(5), Note(1, "c"));
        assert_eq!(kept(&refusals), [(2, "b", 1, 2, 2), (1, "c", 2, 1, 5)]);
    }

    #[test]
    fn the_ring_does_not_grow() {
        let mut refusals = Refusals::default();
        let many = REFUSALS_MAX as u64 + 3;
        for number in 0..many {
            refusals.note(Time(number), Note(number, "a"));
        }
        assert_eq!(refusals.iter().count(), REFUSALS_MAX);
        assert_eq!(kept(&refusals)[0].0, 3);
        // One that is known takes nobody's place.
        refusals.note(Time(many), Note(3, "again"));
        assert_eq!(kept(&refusals)[0].0, 4);
        assert_eq!(kept(&refusals)[REFUSALS_MAX - 1], (3, "again", 2, 3, many));
    }
}
