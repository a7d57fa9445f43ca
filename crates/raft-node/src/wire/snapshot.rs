//! A snapshot on its way: `SnapshotOffer`, `SnapshotWant`, `SnapshotChunk`, `SnapshotAnswer`.

use bytes::Bytes;
use raft_core::Term;
use raft_log::SnapshotInfo;

use super::body::{Fields, LogIdBody};
use super::frame::{Encoded, Kind};
use super::{Frame, WireError};
use crate::replica::SnapshotAnswer;

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct OfferBody {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(message, optional, tag = "2")]
    id: Option<LogIdBody>,
    #[prost(uint64, tag = "3")]
    file_bytes: u64,
    #[prost(uint64, tag = "4")]
    bytes: u64,
    #[prost(fixed32, tag = "5")]
    checksum: u32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct WantBody {
    #[prost(uint64, tag = "1")]
    pub(super) offset: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct ChunkBody {
    #[prost(uint64, tag = "1")]
    offset: u64,
    #[prost(fixed32, tag = "2")]
    crc: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AnswerBody {
    /// 1 installed, 2 not newer, 3 of an old term, 4 useless, 5 no room.
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint64, tag = "2")]
    commit_index: u64,
    #[prost(uint64, tag = "3")]
    term: u64,
    #[prost(string, tag = "4")]
    why: String,
}

impl OfferBody {
    pub(super) fn of(term: Term, info: &SnapshotInfo) -> Self {
        let SnapshotInfo { id, file_bytes, bytes, checksum } = *info;
        Self { term: term.0, id: Some(id.into()), file_bytes, bytes, checksum }
    }
}

pub(super) fn decode_offer(fields: Fields, body: Bytes) -> Result<Frame, WireError> {
    let OfferBody { term, id, file_bytes, bytes, checksum } = fields.decode(body)?;
    let (term, id) = (fields.term(term)?, fields.log_id(id)?);
    if id.index.0 == 0 || id.term > term || file_bytes > bytes {
        return Err(fields.invalid("a snapshot that cannot be"));
    }
    let info = SnapshotInfo { id, file_bytes, bytes, checksum };
    Ok(Frame::SnapshotOffer { term, info })
}

/// The bytes are not copied.
pub(super) fn encode_chunk(offset: u64, bytes: &Bytes) -> Encoded {
    let body = ChunkBody { offset, crc: crc32c::crc32c(bytes) };
    Encoded::seal(Kind::SnapshotChunk, &body, vec![bytes.clone()])
}

pub(super) fn decode_chunk(fields: Fields, body: Bytes, bytes: Bytes) -> Result<Frame, WireError> {
    let ChunkBody { offset, crc } = fields.decode(body)?;
    if bytes.is_empty() || crc != crc32c::crc32c(&bytes) {
        return Err(fields.invalid("a piece that was damaged on the way"));
    }
    Ok(Frame::SnapshotChunk { offset, bytes })
}

impl From<&SnapshotAnswer> for AnswerBody {
    fn from(answer: &SnapshotAnswer) -> Self {
        let empty = Self::default();
        match answer {
            SnapshotAnswer::Installed => Self { kind: 1, ..empty },
            SnapshotAnswer::NotNewer { commit_index } => {
                Self { kind: 2, commit_index: commit_index.0, ..empty }
            }
            SnapshotAnswer::StaleTerm { term } => Self { kind: 3, term: term.0, ..empty },
            SnapshotAnswer::Useless(why) => Self { kind: 4, why: why.clone(), ..empty },
            SnapshotAnswer::NoRoom(why) => Self { kind: 5, why: why.clone(), ..empty },
        }
    }
}

pub(super) fn decode_answer(fields: Fields, body: Bytes) -> Result<Frame, WireError> {
    let AnswerBody { kind, commit_index, term, why } = fields.decode(body)?;
    Ok(Frame::SnapshotAnswer(match kind {
        1 => SnapshotAnswer::Installed,
        2 => SnapshotAnswer::NotNewer { commit_index: fields.index(commit_index)? },
        3 => SnapshotAnswer::StaleTerm { term: fields.term(term)? },
        4 => SnapshotAnswer::Useless(why),
        5 => SnapshotAnswer::NoRoom(why),
        kind => {
            let value = u64::from(kind);
            return Err(WireError::Unsupported { what: "an answer to a snapshot", value });
        }
    }))
}
