//! What clients and servers say to each other: `Request` and `Reply`, and the same two between a
//! follower and the leader, `Forward` and `ForwardReply`.
//!
//! A command, a question, and a state machine's response is the frame's trailer; its CRC32C is in the body.

use bytes::Bytes;

use super::WireError;
use super::body::{Empty, Fields, LogIdBody};
use super::change::{ChangeBody, ChangedBody};
use super::fate::{FateBody, NameBody};
use super::frame::{Encoded, Kind};
use super::reason::RefusalBody;
use super::testimony::TestimonyBody;
use super::view::{MembersBody, StatusBody};
use super::vitals::RecentBody;
use crate::protocol::{Answer, Consistency, MemberChange, News, ReadAnswer, Reply, Request};
use crate::sessions::Fate;

#[derive(Clone, PartialEq, prost::Message)]
struct RequestBody {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(oneof = "Ask", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 20, 21")]
    ask: Option<Ask>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Ask {
    #[prost(message, tag = "2")]
    Register(RegisterBody),
    #[prost(message, tag = "3")]
    Write(WriteBody),
    #[prost(uint64, tag = "4")]
    EndSession(u64),
    #[prost(message, tag = "5")]
    Members(Empty),
    #[prost(message, tag = "6")]
    AddMember(ChangeBody),
    #[prost(message, tag = "7")]
    RemoveMember(ChangeBody),
    #[prost(message, tag = "8")]
    Transfer(TransferBody),
    #[prost(message, tag = "9")]
    Status(Empty),
    #[prost(message, tag = "10")]
    Recent(AskRecentBody),
    #[prost(message, tag = "11")]
    Read(ReadBody),
    #[prost(message, tag = "12")]
    Snapshot(Empty),
    #[prost(message, tag = "13")]
    DemoteMember(ChangeBody),
    #[prost(message, tag = "14")]
    ReplaceMember(ChangeBody),
    #[prost(message, tag = "15")]
    UpdateMember(ChangeBody),
    #[prost(message, tag = "20")]
    Why(Empty),
    #[prost(message, tag = "21")]
    Result(NameBody),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct ReadBody {
    /// 1 linearizable, 2 local.
    #[prost(uint32, tag = "1")]
    consistency: u32,
    #[prost(fixed32, tag = "2")]
    query_crc: u32,
    #[prost(message, optional, tag = "3")]
    news: Option<NewsBody>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct NewsBody {
    #[prost(uint64, tag = "1")]
    after: u64,
    #[prost(uint32, tag = "2")]
    within: u32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct AskRecentBody {
    #[prost(uint64, tag = "1")]
    after: u64,
    #[prost(uint32, tag = "2")]
    tail: u32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct RegisterBody {
    #[prost(bool, tag = "1")]
    one_shot: bool,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct WriteBody {
    #[prost(uint64, tag = "1")]
    session: u64,
    #[prost(uint64, tag = "2")]
    sequence: u64,
    #[prost(uint64, tag = "3")]
    lowest_unacknowledged: u64,
    #[prost(fixed32, tag = "4")]
    command_crc: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TransferBody {
    #[prost(string, optional, tag = "1")]
    to: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ReplyBody {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, optional, tag = "2")]
    forwarded_to: Option<String>,
    #[prost(oneof = "AnswerBody", tags = "3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 20, 21")]
    answer: Option<AnswerBody>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum AnswerBody {
    #[prost(uint64, tag = "3")]
    Registered(u64),
    #[prost(message, tag = "4")]
    Written(WrittenBody),
    #[prost(message, tag = "5")]
    SessionEnded(Empty),
    #[prost(message, tag = "6")]
    Members(MembersBody),
    #[prost(message, tag = "7")]
    Changed(ChangedBody),
    #[prost(string, tag = "8")]
    Transferred(String),
    #[prost(message, tag = "9")]
    Status(StatusBody),
    #[prost(message, tag = "10")]
    Refused(RefusalBody),
    #[prost(message, tag = "11")]
    Recent(RecentBody),
    #[prost(message, tag = "12")]
    Read(ReadAnswerBody),
    #[prost(message, tag = "13")]
    Snapshot(SnapshotBody),
    #[prost(message, tag = "20")]
    Why(TestimonyBody),
    #[prost(message, tag = "21")]
    Fate(FateBody),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct SnapshotBody {
    #[prost(message, optional, tag = "1")]
    at: Option<LogIdBody>,
    #[prost(uint64, tag = "2")]
    bytes: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct ReadAnswerBody {
    #[prost(uint64, tag = "1")]
    applied: u64,
    #[prost(uint64, tag = "2")]
    version: u64,
    #[prost(bool, tag = "3")]
    stale: bool,
    #[prost(fixed32, tag = "4")]
    response_crc: u32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct WrittenBody {
    #[prost(message, optional, tag = "1")]
    at: Option<LogIdBody>,
    #[prost(fixed32, tag = "2")]
    response_crc: u32,
}

/// A request as a frame of this kind; a large command is not copied.
pub(super) fn encode_request(kind: Kind, id: u64, request: &Request) -> Encoded {
    let mut trailer = Bytes::new();
    let ask = match request {
        Request::Register { one_shot } => Ask::Register(RegisterBody { one_shot: *one_shot }),
        Request::Write { session, sequence, lowest_unacknowledged, command } => {
            trailer = command.clone();
            Ask::Write(WriteBody {
                session: *session,
                sequence: *sequence,
                lowest_unacknowledged: *lowest_unacknowledged,
                command_crc: crc32c::crc32c(command),
            })
        }
        Request::EndSession { session } => Ask::EndSession(*session),
        Request::Read { query, consistency, news } => {
            trailer = query.clone();
            Ask::Read(ReadBody::of(query, *consistency, *news))
        }
        Request::Members => Ask::Members(Empty {}),
        Request::Change { request, change } => {
            let body = ChangeBody::of(*request, change);
            match change {
                MemberChange::Add(_) => Ask::AddMember(body),
                MemberChange::Remove(_) => Ask::RemoveMember(body),
                MemberChange::Demote(_) => Ask::DemoteMember(body),
                MemberChange::Replace { .. } => Ask::ReplaceMember(body),
                MemberChange::Update { .. } => Ask::UpdateMember(body),
            }
        }
        Request::Transfer { to } => Ask::Transfer(TransferBody { to: to.clone() }),
        Request::Snapshot => Ask::Snapshot(Empty {}),
        Request::Status => Ask::Status(Empty {}),
        Request::Why => Ask::Why(Empty {}),
        Request::Result(request) => Ask::Result((*request).into()),
        Request::Recent { after, tail } => {
            Ask::Recent(AskRecentBody { after: *after, tail: *tail })
        }
    };
    Encoded::seal_small(kind, &RequestBody { id, ask: Some(ask) }, trailer)
}

pub(super) fn decode_request(
    fields: Fields,
    body: Bytes,
    trailer: Bytes,
) -> Result<(u64, Request), WireError> {
    let body: RequestBody = fields.decode(body)?;
    let ask = fields.known(body.ask, "a request")?;
    if !matches!(ask, Ask::Write(_) | Ask::Read(_)) {
        fields.no_trailer(&trailer)?;
    }
    let request = match ask {
        Ask::Register(RegisterBody { one_shot }) => Request::Register { one_shot },
        Ask::Write(write) => {
            if write.command_crc != crc32c::crc32c(&trailer) {
                return Err(fields.invalid("a command that was damaged on the way"));
            }
            Request::Write {
                session: write.session,
                sequence: write.sequence,
                lowest_unacknowledged: write.lowest_unacknowledged,
                command: trailer,
            }
        }
        Ask::EndSession(session) => Request::EndSession { session },
        Ask::Read(read) => read.validate(fields, trailer)?,
        Ask::Members(Empty {}) => Request::Members,
        Ask::AddMember(body) => body.adds(fields)?,
        Ask::RemoveMember(body) => body.concerns(fields, |name, _| MemberChange::Remove(name))?,
        Ask::DemoteMember(body) => body.concerns(fields, |name, _| MemberChange::Demote(name))?,
        Ask::ReplaceMember(body) => {
            body.concerns(fields, |old, new| MemberChange::Replace { old, new })?
        }
        Ask::UpdateMember(body) => {
            body.concerns(fields, |member, address| MemberChange::Update { member, address })?
        }
        Ask::Transfer(TransferBody { to }) => Request::Transfer { to },
        Ask::Snapshot(Empty {}) => Request::Snapshot,
        Ask::Status(Empty {}) => Request::Status,
        Ask::Why(Empty {}) => Request::Why,
        Ask::Result(name) => Request::Result(name.into()),
        Ask::Recent(AskRecentBody { after, tail }) => Request::Recent { after, tail },
    };
    Ok((body.id, request))
}

/// A reply as a frame of this kind; a large response is not copied.
pub(super) fn encode_reply(kind: Kind, id: u64, reply: &Reply) -> Encoded {
    let mut trailer = Bytes::new();
    let answer = match &reply.answer {
        Answer::Registered { session } => AnswerBody::Registered(*session),
        Answer::Written { at, response } => {
            trailer = response.clone();
            let response_crc = crc32c::crc32c(response);
            AnswerBody::Written(WrittenBody { at: Some((*at).into()), response_crc })
        }
        Answer::SessionEnded => AnswerBody::SessionEnded(Empty {}),
        Answer::Read(answer) => {
            trailer = answer.response.clone();
            AnswerBody::Read(answer.into())
        }
        Answer::Members(view) => AnswerBody::Members(view.into()),
        Answer::Changed(changed) => AnswerBody::Changed(changed.into()),
        Answer::Transferred { to } => AnswerBody::Transferred(to.clone()),
        Answer::Snapshot { at, bytes } => {
            AnswerBody::Snapshot(SnapshotBody { at: Some((*at).into()), bytes: *bytes })
        }
        Answer::Status(status) => AnswerBody::Status(status.as_ref().into()),
        Answer::Fate(fate) => {
            if let Fate::Applied { response, .. } = fate {
                trailer = response.clone();
            }
            AnswerBody::Fate(fate.into())
        }
        Answer::Why(testimony) => AnswerBody::Why(testimony.as_ref().into()),
        Answer::Recent(recent) => AnswerBody::Recent(recent.as_ref().into()),
        Answer::Refused(refusal) => AnswerBody::Refused(refusal.into()),
    };
    let forwarded_to = reply.forwarded_to.clone();
    Encoded::seal_small(kind, &ReplyBody { id, forwarded_to, answer: Some(answer) }, trailer)
}

pub(super) fn decode_reply(
    fields: Fields,
    body: Bytes,
    trailer: Bytes,
) -> Result<(u64, Reply), WireError> {
    let body: ReplyBody = fields.decode(body)?;
    let answer = fields.known(body.answer, "an answer")?;
    if !matches!(answer, AnswerBody::Written(_) | AnswerBody::Read(_) | AnswerBody::Fate(_)) {
        fields.no_trailer(&trailer)?;
    }
    let answer = match answer {
        AnswerBody::Registered(session) => Answer::Registered { session },
        AnswerBody::Written(written) => {
            if written.response_crc != crc32c::crc32c(&trailer) {
                return Err(fields.invalid("a response that was damaged on the way"));
            }
            Answer::Written { at: fields.log_id(written.at)?, response: trailer }
        }
        AnswerBody::SessionEnded(Empty {}) => Answer::SessionEnded,
        AnswerBody::Read(answer) => Answer::Read(answer.validate(fields, trailer)?),
        AnswerBody::Members(view) => Answer::Members(view.validate(fields)?),
        AnswerBody::Changed(changed) => Answer::Changed(changed.validate(fields)?),
        AnswerBody::Transferred(to) => Answer::Transferred { to },
        AnswerBody::Snapshot(SnapshotBody { at, bytes }) => {
            Answer::Snapshot { at: fields.log_id(at)?, bytes }
        }
        AnswerBody::Status(status) => Answer::Status(Box::new(status.validate(fields)?)),
        AnswerBody::Fate(fate) => Answer::Fate(fate.validate(fields, trailer)?),
        AnswerBody::Why(body) => Answer::Why(Box::new(body.validate(fields)?)),
        AnswerBody::Recent(recent) => Answer::Recent(Box::new(recent.validate(fields)?)),
        AnswerBody::Refused(refusal) => Answer::Refused(refusal.validate(fields)?),
    };
    Ok((body.id, Reply { answer, forwarded_to: body.forwarded_to }))
}

impl ReadBody {
    fn of(query: &Bytes, consistency: Consistency, news: Option<News>) -> Self {
        Self {
            consistency: match consistency {
                Consistency::Linearizable => 1,
                Consistency::Local => 2,
            },
            query_crc: crc32c::crc32c(query),
            news: news.map(|News { after, within }| NewsBody { after, within }),
        }
    }

    fn validate(self, fields: Fields, query: Bytes) -> Result<Request, WireError> {
        if self.query_crc != crc32c::crc32c(&query) {
            return Err(fields.invalid("a question that was damaged on the way"));
        }
        let consistency = match self.consistency {
            1 => Consistency::Linearizable,
            2 => Consistency::Local,
            other => {
                let value = u64::from(other);
                return Err(WireError::Unsupported { what: "a read of consistency", value });
            }
        };
        let news = self.news.map(|NewsBody { after, within }| News { after, within });
        Ok(Request::Read { query, consistency, news })
    }
}

impl From<&ReadAnswer> for ReadAnswerBody {
    fn from(answer: &ReadAnswer) -> Self {
        Self {
            applied: answer.applied.0,
            version: answer.version,
            stale: answer.stale,
            response_crc: crc32c::crc32c(&answer.response),
        }
    }
}

impl ReadAnswerBody {
    fn validate(self, fields: Fields, response: Bytes) -> Result<ReadAnswer, WireError> {
        if self.response_crc != crc32c::crc32c(&response) {
            return Err(fields.invalid("a response that was damaged on the way"));
        }
        let Self { version, stale, .. } = self;
        Ok(ReadAnswer { response, applied: fields.index(self.applied)?, version, stale })
    }
}
