//! The answers that a session keeps, by rising sequence number. Nearly always the newest comes
//! last and the oldest goes first.

use std::collections::VecDeque;

use bytes::Bytes;
use raft_core::LogId;

/// What was answered to which request, and where that was applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers(VecDeque<(u64, LogId, Bytes)>);

impl Answers {
    pub(super) fn get(&self, sequence: u64) -> Option<(LogId, Bytes)> {
        let (_, at, response) = self.0.get(self.place(sequence).ok()?)?;
        Some((*at, response.clone()))
    }

    /// Keeps an answer, in place of an earlier one.
    pub(super) fn insert(&mut self, sequence: u64, at: LogId, response: Bytes) {
        let place = self.place(sequence);
        let answer = (sequence, at, response);
        match place {
            Ok(place) => self.0[place] = answer,
            Err(place) => self.0.insert(place, answer),
        }
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        self.0.front().map(|(sequence, ..)| *sequence)
    }

    /// Lets the oldest go, if it is below `lowest`.
    pub(super) fn pop_below(&mut self, lowest: u64) -> Option<Bytes> {
        self.0.pop_front_if(|(sequence, ..)| *sequence < lowest).map(|(_, _, response)| response)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(u64, LogId, Bytes)> {
        self.0.iter()
    }

    /// Where it is, or belongs.
    fn place(&self, sequence: u64) -> Result<usize, usize> {
        if self.0.back().is_none_or(|(last, ..)| *last < sequence) {
            return Err(self.0.len());
        }
        self.0.binary_search_by_key(&sequence, |(sequence, ..)| *sequence)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::random::Random;

    #[test]
    fn it_is_a_map_whose_oldest_go() {
        let (mut random, mut lowest) = (Random::new(1), 0);
        let (mut answers, mut twin) = (Answers::default(), BTreeMap::new());
        for index in 1..2000 {
            let sequence = lowest + random.below(20);
            let (at, response) = (LogId::new(index, 1), Bytes::from(index.to_string()));
            answers.insert(sequence, at, response.clone());
            twin.insert(sequence, (at, response));
            lowest += random.below(3);
            while answers.pop_below(lowest).is_some() {}
            twin.retain(|sequence, _| *sequence >= lowest);
            assert_eq!(answers.oldest(), twin.keys().next().copied());
            let all =
                answers.iter().map(|(sequence, at, response)| (*sequence, (*at, response.clone())));
            assert!(all.eq(twin.clone()));
            let probe = lowest + random.below(20);
            assert_eq!(answers.get(probe), twin.get(&probe).cloned());
        }
    }
}
