//! What the store is told, as bytes. The first byte says in which format.

use bytes::Bytes;

use crate::codec::Reader;
use crate::map::RECORD_BYTES;
use crate::refusal::Refusal;
use crate::txn::{CHANGE_BYTES_MAX, KEY_BYTES_MAX, Txn};

/// The first byte of a message: the rest is its text.
pub const MESSAGE_FORMAT: u8 = 1;
/// The first byte of a transaction.
pub const TXN_FORMAT: u8 = 2;

/// A command of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Text for the log.
    Message(Bytes),
    /// A change of the map.
    Txn(Txn),
}

/// The command that appends this message.
#[must_use]
pub fn message(text: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(1 + text.len());
    bytes.push(MESSAGE_FORMAT);
    bytes.extend_from_slice(text);
    bytes.into()
}

impl Command {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Message(text) => message(text),
            Self::Txn(txn) => {
                let mut bytes = vec![TXN_FORMAT];
                txn.encode(&mut bytes);
                bytes.into()
            }
        }
    }

    /// Reads a command, and checks it against the limits.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &Bytes) -> Result<Self, Refusal> {
        if bytes.first() == Some(&MESSAGE_FORMAT) {
            return Ok(Self::Message(bytes.slice(1..)));
        }
        let mut reader = Reader::of_format(bytes, TXN_FORMAT)?;
        let txn = Txn::decode(&mut reader)?;
        reader.end().map(|()| Self::Txn(txn))
    }
}

/// What a transaction of one put begins with: no compares, one operation, a put.
const PUT: &[u8] = &[TXN_FORMAT, 0, 0, 0, 0, 1, 0, 0, 0, 0];

/// Key and value of a command that is one put and nothing else, and within the limits: as most
/// are. It is read in place; any other one is for [`Command::decode`].
pub(crate) fn as_put(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, rest) = split_piece(bytes.strip_prefix(PUT)?)?;
    let (value, rest) = split_piece(rest)?;
    let fits = (1..=KEY_BYTES_MAX).contains(&key.len())
        && RECORD_BYTES + key.len() + value.len() <= CHANGE_BYTES_MAX;
    (fits && rest == [0; 4]).then_some((key, value))
}

fn split_piece(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

impl From<Txn> for Command {
    fn from(txn: Txn) -> Self {
        Self::Txn(txn)
    }
}
