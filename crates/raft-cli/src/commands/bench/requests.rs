//! What clients ask for, one request after another: the same ones in every run.

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use raft_node::random::Random;

use crate::args::{Load, Work};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The next request.
pub(super) enum Request {
    Append(Bytes),
    Put(Bytes, Bytes),
    Get(Bytes),
}

/// Makes them.
pub(super) struct Requests {
    work: Work,
    keys: u64,
    gets: u64,
    /// A value, less its number.
    blank: Vec<u8>,
    sent: Cell<u64>,
    random: RefCell<Random>,
}

impl Requests {
    pub(super) fn new(load: &Load) -> Self {
        Self {
            work: load.work,
            keys: load.keys.into(),
            gets: load.gets.into(),
            blank: vec![b'.'; load.value_size as usize],
            sent: Cell::new(0),
            random: RefCell::new(Random::new(1)),
        }
    }

    pub(super) fn next(&self) -> Request {
        let get = match self.work {
            Work::Append => return Request::Append(self.value()),
            Work::Put => false,
            Work::Get => true,
            Work::Mixed => self.below(100) < self.gets,
        };
        let number = self.below(self.keys);
        if get { Request::Get(key(number)) } else { self.put(number) }
    }

    /// Every key once, so that each get finds a value.
    pub(super) fn puts(&self) -> impl Iterator<Item = Request> {
        (0..self.keys).map(|number| self.put(number))
    }

    fn put(&self, number: u64) -> Request {
        Request::Put(key(number), self.value())
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.borrow_mut().below(bound)
    }

    /// No two are the same, and none is a command.
    fn value(&self) -> Bytes {
        let number = self.sent.get();
        self.sent.set(number + 1);
        let mut value = self.blank.clone();
        for (digit, shift) in value.iter_mut().zip((0..u64::BITS).step_by(4).rev()) {
            *digit = HEX[(number >> shift) as usize % HEX.len()];
        }
        value.into()
    }
}

fn key(number: u64) -> Bytes {
    format!("bench/{number:08}").into()
}
