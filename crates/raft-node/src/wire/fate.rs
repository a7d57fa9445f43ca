//! What became of a request: the question and its answer.

use bytes::Bytes;

use super::WireError;
use super::body::{Fields, LogIdBody};
use crate::sessions::{Fate, RequestName};

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct NameBody {
    #[prost(uint64, tag = "1")]
    session: u64,
    #[prost(uint64, tag = "2")]
    sequence: u64,
}

/// The response of one that is applied is the trailer.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct FateBody {
    /// 1 applied, 2 withdrawn, 3 forgotten, 4 expired.
    #[prost(uint32, tag = "1")]
    kind: u32,
    /// Where it was applied, or its fence.
    #[prost(message, optional, tag = "2")]
    at: Option<LogIdBody>,
    #[prost(fixed32, tag = "3")]
    response_crc: u32,
}

impl From<RequestName> for NameBody {
    fn from(RequestName { session, sequence }: RequestName) -> Self {
        Self { session, sequence }
    }
}

impl From<NameBody> for RequestName {
    fn from(NameBody { session, sequence }: NameBody) -> Self {
        Self { session, sequence }
    }
}

impl From<&Fate> for FateBody {
    fn from(fate: &Fate) -> Self {
        let (kind, at, response_crc) = match fate {
            Fate::Applied { at, response } => (1, Some(*at), crc32c::crc32c(response)),
            Fate::Withdrawn { at } => (2, Some(*at), 0),
            Fate::Forgotten => (3, None, 0),
            Fate::Expired => (4, None, 0),
        };
        Self { kind, at: at.map(LogIdBody::from), response_crc }
    }
}

impl FateBody {
    pub(super) fn validate(self, fields: Fields, response: Bytes) -> Result<Fate, WireError> {
        if self.kind == 1 {
            if self.response_crc != crc32c::crc32c(&response) {
                return Err(fields.invalid("a response that was damaged on the way"));
            }
            return Ok(Fate::Applied { at: fields.log_id(self.at)?, response });
        }
        fields.no_trailer(&response)?;
        match self.kind {
            2 => Ok(Fate::Withdrawn { at: fields.log_id(self.at)? }),
            3 => Ok(Fate::Forgotten),
            4 => Ok(Fate::Expired),
            kind => {
                let value = u64::from(kind);
                Err(WireError::Unsupported { what: "the fate of a request of kind", value })
            }
        }
    }
}
