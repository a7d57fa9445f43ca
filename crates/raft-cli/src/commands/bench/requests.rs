//! What clients ask for, one request after another: the same ones in every run.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use bytes::Bytes;
use raft_node::random::Random;
use raft_node::{Address, Client, ClientError, ClientOptions};
use raft_store::{Command, Keys, OPS_MAX, Op, Query, Range, Txn};

use crate::args::{Load, Work};
use crate::commands::Ask;
use crate::errors::Problem;
use crate::exit::Exit;

/// Bytes of values that one request puts before a measurement, and how many of these are under way.
const BATCH_BYTES: usize = 256 * 1024;
const BATCHES_UNDER_WAY: usize = 16;

/// The next request.
pub(super) enum Request {
    Write(Bytes),
    Read(Bytes),
}

/// Makes them.
pub(super) struct Requests {
    work: Work,
    keys: u64,
    gets: u64,
    value_size: usize,
    sent: Cell<u64>,
    random: RefCell<Random>,
}

impl Requests {
    pub(super) fn new(load: &Load) -> Self {
        Self {
            work: load.work,
            keys: load.keys.into(),
            gets: load.gets.into(),
            value_size: load.value_size as usize,
            sent: Cell::new(0),
            random: RefCell::new(Random::new(1)),
        }
    }

    pub(super) fn next(&self) -> Request {
        let get = match self.work {
            Work::Append => return Request::Write(raft_store::message(&self.value())),
            Work::Put => false,
            Work::Get => true,
            Work::Mixed => self.below(100) < self.gets,
        };
        let key = key(self.below(self.keys));
        if get {
            Request::Read(Query::Range(Range::of(Keys::One(key))).encode())
        } else {
            Request::Write(Command::from(Txn::put(key, self.value())).encode())
        }
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.borrow_mut().below(bound)
    }

    /// No two are the same, and none is a command.
    fn value(&self) -> Vec<u8> {
        let number = self.sent.get();
        self.sent.set(number + 1);
        let mut value = format!("{number:016x}").into_bytes();
        value.resize(self.value_size, b'.');
        value
    }

    /// Puts every key, so that each get finds a value.
    pub(super) fn prepare(&self, ask: &Ask, members: &[Address]) -> Result<(), Problem> {
        let timeout = ask.timeout.unwrap_or(super::load::TIMEOUT);
        let options = ClientOptions { timeout, one_shot: false, notices: None };
        let client = Client::new(members.to_vec(), options)
            .map_err(|error| Problem::new(Exit::NothingSent, format!("cannot ask: {error}")))?;
        let put = self.put_all(&client);
        put.map_err(|error| ask.problem(&error, "prepared"))?;
        // The cluster forgets the session by itself in the end.
        let _ended = client.end_session().wait();
        Ok(())
    }

    fn put_all(&self, client: &Client) -> Result<(), ClientError> {
        let batch = (BATCH_BYTES / self.value_size).clamp(1, OPS_MAX) as u64;
        let mut under_way = VecDeque::new();
        for first in (0..self.keys).step_by(batch as usize) {
            let puts =
                (first..self.keys.min(first + batch)).map(|n| Op::Put(key(n), self.value().into()));
            let txn = Txn { success: puts.collect(), ..Txn::default() };
            under_way.push_back(client.write(Command::from(txn).encode()));
            if under_way.len() == BATCHES_UNDER_WAY
                && let Some(oldest) = under_way.pop_front()
            {
                oldest.wait()?;
            }
        }
        under_way.into_iter().try_for_each(|put| put.wait().map(drop))
    }
}

fn key(number: u64) -> Bytes {
    format!("bench/{number:08}").into()
}
