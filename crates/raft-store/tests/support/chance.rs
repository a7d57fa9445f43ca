//! Commands and questions by chance.

use bytes::Bytes;
use raft_node::random::Random;
use raft_store::{Compare, Is, Keys, Only, Op, Range, Test, Txn};

/// Commands over so many keys.
pub struct Chance {
    pub random: Random,
    pub keys: u64,
}

impl Chance {
    pub fn new(seed: u64, keys: u64) -> Self {
        Self { random: Random::new(seed), keys }
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    /// Keys that begin alike, end with 0xff, are beginnings of others.
    pub fn key(&mut self) -> Bytes {
        let mut number = self.below(self.keys);
        let mut key = vec![b'k'];
        while number > 0 {
            key.push([0, b'a', b'b', u8::MAX][(number % 4) as usize]);
            number /= 4;
        }
        key.into()
    }

    pub fn some_keys(&mut self) -> Keys {
        match self.below(8) {
            0..4 => Keys::One(self.key()),
            4 => Keys::prefix(self.key()),
            5 => Keys::From(self.key()),
            6 if self.below(4) == 0 => Keys::prefix(Bytes::new()),
            _ => Keys::Between(self.key(), self.key()),
        }
    }

    pub fn value(&mut self) -> Bytes {
        let length = [0, 1, 8, 40, 300][self.below(5) as usize];
        vec![b'0' + self.below(4) as u8; length].into()
    }

    /// Several keys are deleted less often, so that the map grows.
    fn op(&mut self) -> Op {
        match self.below(16) {
            0..10 => Op::Put(self.key(), self.value()),
            10..13 => Op::Delete(Keys::One(self.key())),
            13 => Op::Delete(Keys::prefix(self.key())),
            _ => Op::Get(self.range(0)),
        }
    }

    fn compare(&mut self, revision: u64) -> Compare {
        let is = [Is::Equal, Is::NotEqual, Is::Less, Is::Greater][self.below(4) as usize];
        let near = self.below(revision + 2);
        let test = match self.below(5) {
            0 => Test::Exists(self.below(2) == 0),
            1 => Test::Value(is, self.value()),
            2 => Test::Version(is, self.below(4)),
            3 => Test::Created(is, near),
            _ => Test::Modified(is, near),
        };
        Compare { key: self.key(), test }
    }

    pub fn range(&mut self, revision: u64) -> Range {
        let only = [Only::All, Only::Keys, Only::Count][self.below(3) as usize];
        let limit = [0, 0, 1, 3][self.below(4) as usize];
        Range { keys: self.some_keys(), revision, limit, only }
    }

    /// A transaction that keeps the rules; most are one put or delete.
    pub fn txn(&mut self, revision: u64) -> Txn {
        loop {
            let length = if self.below(2) == 0 { 1 } else { self.below(5) };
            let compares = (0..self.below(3)).map(|_| self.compare(revision)).collect();
            let success = (0..length).map(|_| self.op()).collect();
            let failure = (0..self.below(3)).map(|_| self.op()).collect();
            let txn = Txn { compares, success, failure };
            if txn.check().is_ok() {
                return txn;
            }
        }
    }
}
