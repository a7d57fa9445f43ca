//! Questions and answers, as bytes. The first byte says in which format.

use bytes::{BufMut, Bytes};

use crate::codec::{Reader, put_list, put_piece};
use crate::map::Record;
use crate::refusal::Refusal;
use crate::txn::{Keys, OPS_MAX, Range};

/// The first byte of questions and answers.
pub const FORMAT: u8 = 1;

/// Bytes of records in an answer to a query. One that is larger alone is answered all the same.
pub const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What the answer to a transaction has beside one byte for each put.
const TXN_ANSWER_BYTES: usize = 15;

/// A question about the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Which keys there are, now or at an older revision.
    Range(Range),
    /// What happened to some keys after a revision.
    Events {
        /// Which keys.
        keys: Keys,
        /// The last revision of which the asker knows everything.
        after: u64,
    },
    /// How many messages the text log has.
    Count,
}

/// What the store answers to a transaction or a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A transaction was done.
    Txn {
        /// The newest revision; the transaction's own, if it changed something.
        revision: u64,
        /// Whether all compares held.
        succeeded: bool,
        /// What became of each operation of the branch that was run.
        done: Vec<Done>,
    },
    /// To [`Query::Range`].
    Range {
        /// The newest revision.
        revision: u64,
        /// What there is.
        found: Found,
    },
    /// To [`Query::Events`]. Deleted keys are records without a value, of version 0.
    Events {
        /// The newest revision.
        revision: u64,
        /// Ask for what is after this one next time: everything up to it is here.
        through: u64,
        /// By revision, those of one revision by key.
        events: Vec<Record>,
    },
    /// To [`Query::Count`].
    Count(u64),
    /// Refused; nothing was changed.
    Refused(Refusal),
}

/// What became of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The value is set.
    Put,
    /// So many keys were deleted.
    Deleted(u64),
    /// This was there.
    Got(Found),
}

/// A range of the map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In order of their keys.
    pub records: Vec<Record>,
    /// How many keys there are in the range, here or not.
    pub count: u64,
    /// The limit, or that of an answer, cut the list: there are more behind its last key.
    pub more: bool,
}

impl Query {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut bytes = vec![FORMAT];
        match self {
            Self::Range(range) => {
                bytes.put_u8(0);
                range.encode(&mut bytes);
            }
            Self::Events { keys, after } => {
                bytes.put_u8(1);
                keys.encode(&mut bytes);
                bytes.put_u64_le(*after);
            }
            Self::Count => bytes.put_u8(2),
        }
        bytes.into()
    }

    /// Reads a question.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &Bytes) -> Result<Self, Refusal> {
        let mut reader = Reader::of_format(bytes, FORMAT)?;
        let query = match reader.u8()? {
            0 => Self::Range(Range::decode(&mut reader)?),
            1 => Self::Events { keys: Keys::decode(&mut reader)?, after: reader.u64()? },
            2 => Self::Count,
            _ => return Err(Refusal::Malformed),
        };
        reader.end().map(|()| query)
    }
}

impl Answer {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut bytes = vec![FORMAT];
        let to = &mut bytes;
        match self {
            Self::Txn { revision, succeeded, done } => {
                return encode_txn(*revision, *succeeded, done);
            }
            Self::Range { revision, found } => {
                to.put_u8(1);
                to.put_u64_le(*revision);
                found.encode(to);
            }
            Self::Events { revision, through, events } => {
                to.put_u8(2);
                to.put_u64_le(*revision);
                to.put_u64_le(*through);
                put_list(to, events, put_record);
            }
            Self::Count(count) => {
                to.put_u8(3);
                to.put_u64_le(*count);
            }
            Self::Refused(refusal) => {
                to.put_u8(4);
                refusal.encode(to);
            }
        }
        bytes.into()
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &Bytes) -> Result<Self, Refusal> {
        let mut reader = Reader::of_format(bytes, FORMAT)?;
        let from = &mut reader;
        let answer = match from.u8()? {
            0 => Self::Txn {
                revision: from.u64()?,
                succeeded: from.flag()?,
                done: from.list(OPS_MAX, Done::decode)?,
            },
            1 => Self::Range { revision: from.u64()?, found: Found::decode(from)? },
            2 => Self::Events {
                revision: from.u64()?,
                through: from.u64()?,
                events: from.list(usize::MAX, take_record)?,
            },
            3 => Self::Count(from.u64()?),
            4 => Self::Refused(Refusal::decode(from)?),
            _ => return Err(Refusal::Malformed),
        };
        reader.end().map(|()| answer)
    }
}

/// An [`Answer::Txn`] as bytes.
pub(crate) fn encode_txn(revision: u64, succeeded: bool, done: &[Done]) -> Bytes {
    // It is kept for its session: no byte too many.
    let mut bytes = Vec::with_capacity(TXN_ANSWER_BYTES + done.len());
    bytes.put_slice(&[FORMAT, 0]);
    bytes.put_u64_le(revision);
    bytes.put_u8(u8::from(succeeded));
    put_list(&mut bytes, done, Done::encode);
    bytes.into()
}

impl Done {
    fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Self::Put => to.put_u8(0),
            Self::Deleted(count) => {
                to.put_u8(1);
                to.put_u64_le(*count);
            }
            Self::Got(found) => {
                to.put_u8(2);
                found.encode(to);
            }
        }
    }

    fn decode(from: &mut Reader) -> Result<Self, Refusal> {
        match from.u8()? {
            0 => Ok(Self::Put),
            1 => Ok(Self::Deleted(from.u64()?)),
            2 => Ok(Self::Got(Found::decode(from)?)),
            _ => Err(Refusal::Malformed),
        }
    }
}

impl Found {
    fn encode(&self, to: &mut Vec<u8>) {
        to.put_u64_le(self.count);
        to.put_u8(u8::from(self.more));
        put_list(to, &self.records, put_record);
    }

    fn decode(from: &mut Reader) -> Result<Self, Refusal> {
        let (count, more) = (from.u64()?, from.flag()?);
        Ok(Self { records: from.list(usize::MAX, take_record)?, count, more })
    }
}

fn put_record(record: &Record, to: &mut Vec<u8>) {
    put_piece(to, record.as_bytes());
}

fn take_record(from: &mut Reader) -> Result<Record, Refusal> {
    Record::from_bytes(&from.piece()?).ok_or(Refusal::Malformed)
}
