//! The prost structs that several kinds of frames share, and how their fields become our types.

use bytes::Bytes;
use raft_core::{Index, LogId, NodeId, Term};

use super::frame::{Encoded, Kind, RawFrame};
use super::{Frame, WireError, client, message, peer, snapshot};
use crate::address::Address;

/// Terms, indexes and ids of others stay below this, so that counting on from them cannot
/// overflow.
const NUMBER_MAX: u64 = 1 << 62;

/// `LogId`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct LogIdBody {
    #[prost(uint64, tag = "1")]
    pub(super) index: u64,
    #[prost(uint64, tag = "2")]
    pub(super) term: u64,
}

/// `Founder`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FounderBody {
    #[prost(string, tag = "1")]
    pub(super) address: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) incarnation: Bytes,
}

/// `Ping` and `Pong`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct PingBody {
    #[prost(fixed64, tag = "1")]
    pub(super) nonce: u64,
}

/// A variant without data.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Empty {}

/// Decodes and validates the fields of one kind of frame.
#[derive(Clone, Copy)]
pub(super) struct Fields(pub(super) Kind);

impl From<LogId> for LogIdBody {
    fn from(id: LogId) -> Self {
        Self { index: id.index.0, term: id.term.0 }
    }
}

/// 16 bytes, the most significant first: in the order in which people read them.
pub(super) fn wide(value: u128) -> Bytes {
    Bytes::copy_from_slice(&value.to_be_bytes())
}

impl Fields {
    pub(super) fn decode<B: prost::Message + Default>(self, body: Bytes) -> Result<B, WireError> {
        B::decode(body).map_err(|error| WireError::Body { kind: self.0, why: error.to_string() })
    }

    pub(super) const fn invalid(self, what: &'static str) -> WireError {
        WireError::Invalid { kind: self.0, what }
    }

    /// What is required and may be absent only in a newer program's frame.
    pub(super) fn known<T>(self, value: Option<T>, what: &'static str) -> Result<T, WireError> {
        value.ok_or(WireError::Unsupported { what, value: 0 })
    }

    pub(super) fn wide(self, bytes: &[u8]) -> Result<u128, WireError> {
        let bytes = bytes.try_into().map_err(|_| self.invalid("an identity of not 16 bytes"))?;
        Ok(u128::from_be_bytes(bytes))
    }

    fn number(self, value: u64) -> Result<u64, WireError> {
        if value >= NUMBER_MAX {
            return Err(self.invalid("a number beyond all counting"));
        }
        Ok(value)
    }

    pub(super) fn index(self, value: u64) -> Result<Index, WireError> {
        self.number(value).map(Index)
    }

    pub(super) fn term(self, value: u64) -> Result<Term, WireError> {
        self.number(value).map(Term)
    }

    pub(super) fn node_id(self, value: u64) -> Result<NodeId, WireError> {
        match self.number(value)? {
            0 => Err(self.invalid("node id 0")),
            id => Ok(NodeId(id)),
        }
    }

    /// What is written into NODE has to be an address and nothing beside it.
    pub(super) fn address(self, text: String) -> Result<String, WireError> {
        if text.parse::<Address>().is_err() || text.contains(char::is_whitespace) {
            return Err(self.invalid("a founder without an address"));
        }
        Ok(text)
    }

    pub(super) fn log_id(self, body: Option<LogIdBody>) -> Result<LogId, WireError> {
        let body = body.unwrap_or_default();
        let id = LogId { index: self.index(body.index)?, term: self.term(body.term)? };
        // Only "before the log" has no term.
        if (id.index.0 == 0) != (id.term.0 == 0) {
            return Err(self.invalid("an index without a term, or a term without an index"));
        }
        Ok(id)
    }

    pub(super) fn no_trailer(self, trailer: &Bytes) -> Result<(), WireError> {
        if trailer.is_empty() { Ok(()) } else { Err(self.invalid("bytes after its body")) }
    }
}

impl RawFrame {
    /// What the frame says.
    pub fn decode(self) -> Result<Frame, WireError> {
        let fields = Fields(self.kind);
        let trailed = matches!(
            self.kind,
            Kind::Message
                | Kind::Request
                | Kind::Reply
                | Kind::Forward
                | Kind::ForwardReply
                | Kind::SnapshotChunk
        );
        if !trailed {
            fields.no_trailer(&self.trailer)?;
        }
        match self.kind {
            Kind::Hello => peer::decode_hello(fields, self.body).map(Frame::Hello),
            Kind::Welcome => peer::decode_welcome(fields, self.body).map(Frame::Welcome),
            Kind::Refused => peer::decode_refused(fields, self.body)
                .map(|refused| Frame::Refused(Box::new(refused))),
            Kind::Founding => peer::decode_report(fields, self.body).map(Frame::Founding),
            Kind::Admit => peer::decode_admit(fields, self.body).map(Frame::Admit),
            Kind::Message => message::decode(fields, self.body, self.trailer).map(Frame::Message),
            Kind::Request => client::decode_request(fields, self.body, self.trailer)
                .map(|(id, request)| Frame::Request { id, request }),
            Kind::Forward => client::decode_request(fields, self.body, self.trailer)
                .map(|(id, request)| Frame::Forward { id, request }),
            Kind::Reply => client::decode_reply(fields, self.body, self.trailer)
                .map(|(id, reply)| Frame::Reply { id, reply }),
            Kind::ForwardReply => client::decode_reply(fields, self.body, self.trailer)
                .map(|(id, reply)| Frame::ForwardReply { id, reply }),
            Kind::Ping => {
                fields.decode::<PingBody>(self.body).map(|body| Frame::Ping { nonce: body.nonce })
            }
            Kind::Pong => {
                fields.decode::<PingBody>(self.body).map(|body| Frame::Pong { nonce: body.nonce })
            }
            Kind::SnapshotOffer => snapshot::decode_offer(fields, self.body),
            Kind::SnapshotWant => fields
                .decode::<snapshot::WantBody>(self.body)
                .map(|body| Frame::SnapshotWant { offset: body.offset }),
            Kind::SnapshotChunk => snapshot::decode_chunk(fields, self.body, self.trailer),
            Kind::SnapshotAnswer => snapshot::decode_answer(fields, self.body),
        }
    }
}

impl Frame {
    /// What kind of frame it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Hello(_) => Kind::Hello,
            Self::Welcome(_) => Kind::Welcome,
            Self::Refused(_) => Kind::Refused,
            Self::Founding(_) => Kind::Founding,
            Self::Admit(_) => Kind::Admit,
            Self::Message(_) => Kind::Message,
            Self::Request { .. } => Kind::Request,
            Self::Reply { .. } => Kind::Reply,
            Self::Forward { .. } => Kind::Forward,
            Self::ForwardReply { .. } => Kind::ForwardReply,
            Self::Ping { .. } => Kind::Ping,
            Self::Pong { .. } => Kind::Pong,
            Self::SnapshotOffer { .. } => Kind::SnapshotOffer,
            Self::SnapshotWant { .. } => Kind::SnapshotWant,
            Self::SnapshotChunk { .. } => Kind::SnapshotChunk,
            Self::SnapshotAnswer(_) => Kind::SnapshotAnswer,
        }
    }

    /// The frame's bytes. A message of the core is [`super::encode_message`]'s: its entries lie
    /// in the log.
    #[must_use]
    pub fn encode(&self) -> Encoded {
        match self {
            Self::Hello(hello) => seal(Kind::Hello, &peer::HelloBody::from(hello)),
            Self::Welcome(welcome) => seal(Kind::Welcome, &peer::WelcomeBody::from(welcome)),
            Self::Refused(refused) => {
                seal(Kind::Refused, &peer::RefusedBody::from(refused.as_ref()))
            }
            Self::Founding(report) => seal(Kind::Founding, &peer::ReportBody::from(report)),
            Self::Admit(admit) => seal(Kind::Admit, &peer::AdmitBody::from(admit)),
            Self::Message(message) => message::encode_again(message),
            Self::Request { id, request } => client::encode_request(Kind::Request, *id, request),
            Self::Reply { id, reply } => client::encode_reply(Kind::Reply, *id, reply),
            Self::Forward { id, request } => client::encode_request(Kind::Forward, *id, request),
            Self::ForwardReply { id, reply } => {
                client::encode_reply(Kind::ForwardReply, *id, reply)
            }
            Self::Ping { nonce } => seal(Kind::Ping, &PingBody { nonce: *nonce }),
            Self::Pong { nonce } => seal(Kind::Pong, &PingBody { nonce: *nonce }),
            Self::SnapshotOffer { term, info } => {
                seal(Kind::SnapshotOffer, &snapshot::OfferBody::of(*term, info))
            }
            Self::SnapshotWant { offset } => {
                seal(Kind::SnapshotWant, &snapshot::WantBody { offset: *offset })
            }
            Self::SnapshotChunk { offset, bytes } => snapshot::encode_chunk(*offset, bytes),
            Self::SnapshotAnswer(answer) => {
                seal(Kind::SnapshotAnswer, &snapshot::AnswerBody::from(answer))
            }
        }
    }
}

fn seal(kind: Kind, body: &impl prost::Message) -> Encoded {
    Encoded::seal(kind, body, Vec::new())
}
