//! Why a transaction or a question is refused. Nothing was changed then.

use std::fmt;

use bytes::BufMut;

use crate::codec::Reader;
use crate::txn::{CHANGE_BYTES_MAX, CHANGES_MAX, KEY_BYTES_MAX, OPS_MAX};

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes begin with the number of a format that this version does not know.
    UnknownFormat {
        /// The number.
        format: u8,
    },
    /// The bytes are not what they claim to be.
    Malformed,
    /// More than [`OPS_MAX`] compares, or operations in one branch.
    TooManyOps,
    /// A key has no bytes.
    EmptyKey,
    /// A key has more than [`KEY_BYTES_MAX`] bytes.
    KeyTooLong,
    /// One branch changes a key twice.
    DuplicateKey,
    /// More than [`CHANGES_MAX`] keys would be changed.
    TooManyChanges,
    /// The changes take more than [`CHANGE_BYTES_MAX`] bytes.
    TooLarge,
    /// A transaction asks for an older revision: it sees the current one only.
    OldRevision,
    /// The history does not go back so far.
    Compacted {
        /// The oldest revision that can be asked for.
        oldest: u64,
    },
    /// There has been no such revision yet.
    Future {
        /// The newest one.
        revision: u64,
    },
}

impl Refusal {
    pub(crate) fn encode(self, to: &mut Vec<u8>) {
        let (code, number) = match self {
            Self::UnknownFormat { format } => (0, u64::from(format)),
            Self::Malformed => (1, 0),
            Self::TooManyOps => (2, 0),
            Self::EmptyKey => (3, 0),
            Self::KeyTooLong => (4, 0),
            Self::DuplicateKey => (5, 0),
            Self::TooManyChanges => (6, 0),
            Self::TooLarge => (7, 0),
            Self::OldRevision => (8, 0),
            Self::Compacted { oldest } => (9, oldest),
            Self::Future { revision } => (10, revision),
        };
        to.put_u8(code);
        to.put_u64_le(number);
    }

    pub(crate) fn decode(from: &mut Reader) -> Result<Self, Self> {
        let (code, number) = (from.u8()?, from.u64()?);
        let refusal = match (code, number) {
            (9, oldest) => Self::Compacted { oldest },
            (10, revision) => Self::Future { revision },
            (0, format) => {
                Self::UnknownFormat { format: format.try_into().map_err(|_| Self::Malformed)? }
            }
            (1, 0) => Self::Malformed,
            (2, 0) => Self::TooManyOps,
            (3, 0) => Self::EmptyKey,
            (4, 0) => Self::KeyTooLong,
            (5, 0) => Self::DuplicateKey,
            (6, 0) => Self::TooManyChanges,
            (7, 0) => Self::TooLarge,
            (8, 0) => Self::OldRevision,
            _ => return Err(Self::Malformed),
        };
        Ok(refusal)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFormat { format } => {
                write!(f, "format {format} is not known to this version")
            }
            Self::Malformed => f.write_str("the bytes are not what they claim to be"),
            Self::TooManyOps => write!(f, "more than {OPS_MAX} compares or operations"),
            Self::EmptyKey => f.write_str("a key is empty"),
            Self::KeyTooLong => write!(f, "a key has more than {KEY_BYTES_MAX} bytes"),
            Self::DuplicateKey => f.write_str("a key is changed twice"),
            Self::TooManyChanges => write!(f, "more than {CHANGES_MAX} keys would be changed"),
            Self::TooLarge => write!(f, "the changes take more than {CHANGE_BYTES_MAX} bytes"),
            Self::OldRevision => f.write_str("a transaction cannot read older revisions"),
            Self::Compacted { oldest } => {
                write!(f, "the history begins at revision {oldest}")
            }
            Self::Future { revision } => write!(f, "the newest revision is {revision}"),
        }
    }
}

impl std::error::Error for Refusal {}
