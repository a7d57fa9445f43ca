//! Raft's own messages: kind `Message`.

use bytes::Bytes;
use raft_core::{
    AppendEntries, AppendEntriesResponse, AppendResult, Message, ReadIndex, ReadIndexResponse,
    ReadRefused, RequestVote, VoteRefusal, VoteResponse,
};

use super::body::{Empty, Fields, LogIdBody};
use super::frame::{Encoded, Kind};
use super::{AppendHead, PeerContent, PeerMessage, WireError};

/// An entry's header in the log's format: no entry is smaller.
const ENTRY_BYTES_MIN: u64 = 32;

#[derive(Clone, PartialEq, prost::Message)]
struct MessageBody {
    #[prost(uint64, tag = "1")]
    free_log_bytes: u64,
    #[prost(oneof = "Content", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10")]
    content: Option<Content>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Content {
    #[prost(message, tag = "2")]
    PreVote(VoteBody),
    #[prost(message, tag = "3")]
    PreVoteResponse(VoteResponseBody),
    #[prost(message, tag = "4")]
    RequestVote(VoteBody),
    #[prost(message, tag = "5")]
    RequestVoteResponse(VoteResponseBody),
    #[prost(message, tag = "6")]
    AppendEntries(AppendBody),
    #[prost(message, tag = "7")]
    AppendEntriesResponse(AppendResponseBody),
    #[prost(message, tag = "8")]
    TimeoutNow(TimeoutNowBody),
    #[prost(message, tag = "9")]
    ReadIndex(ReadIndexBody),
    #[prost(message, tag = "10")]
    ReadIndexResponse(ReadIndexResponseBody),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct VoteBody {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(message, optional, tag = "2")]
    last_log_id: Option<LogIdBody>,
    #[prost(bool, tag = "3")]
    transfer: bool,
}

/// `granted` is said in so many words: a refusal of a kind that the reader does not know must
/// not look like a vote.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct VoteResponseBody {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(bool, tag = "2")]
    granted: bool,
    #[prost(oneof = "RefusalBody", tags = "3, 4, 5, 6")]
    refusal: Option<RefusalBody>,
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
enum RefusalBody {
    #[prost(message, tag = "3")]
    StaleTerm(Empty),
    #[prost(uint64, tag = "4")]
    AlreadyVoted(u64),
    #[prost(message, tag = "5")]
    LogBehind(LogIdBody),
    #[prost(uint64, tag = "6")]
    LeaderAlive(u64),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct AppendBody {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(message, optional, tag = "2")]
    prev_log_id: Option<LogIdBody>,
    #[prost(uint64, tag = "3")]
    commit_index: u64,
    #[prost(uint32, tag = "4")]
    count: u32,
    #[prost(uint64, tag = "5")]
    bytes: u64,
    #[prost(uint64, tag = "6")]
    round: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct AppendResponseBody {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    last_index: u64,
    #[prost(uint64, tag = "3")]
    commit_index: u64,
    #[prost(oneof = "ResultBody", tags = "4, 5, 6")]
    result: Option<ResultBody>,
    #[prost(uint64, tag = "7")]
    round: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
enum ResultBody {
    #[prost(uint64, tag = "4")]
    Match(u64),
    #[prost(message, tag = "5")]
    Conflict(ConflictBody),
    #[prost(message, tag = "6")]
    StaleTerm(Empty),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct ConflictBody {
    #[prost(uint64, tag = "1")]
    prev_index: u64,
    #[prost(message, optional, tag = "2")]
    hint: Option<LogIdBody>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct TimeoutNowBody {
    #[prost(uint64, tag = "1")]
    term: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct ReadIndexBody {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    request: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct ReadIndexResponseBody {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    request: u64,
    #[prost(oneof = "ReadBody", tags = "3, 4, 5")]
    result: Option<ReadBody>,
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
enum ReadBody {
    #[prost(uint64, tag = "3")]
    Index(u64),
    /// The leader, or zero where it is not known.
    #[prost(uint64, tag = "4")]
    NotLeader(u64),
    #[prost(uint64, tag = "5")]
    HandingOver(u64),
}

/// A message of the core as a frame. `entries` are the encoded entries of an `AppendEntries`,
/// exactly those that it names, in as many slices as they lie in: they are not copied.
#[must_use]
pub fn encode_message(message: &Message, entries: &[Bytes], free_log_bytes: u64) -> Encoded {
    let content = match message {
        Message::AppendEntries(append) => return encode_append(append, entries, free_log_bytes),
        whole => content(whole),
    };
    Encoded::seal(Kind::Message, &MessageBody { free_log_bytes, content }, Vec::new())
}

/// The frame that a message came by.
pub(super) fn encode_again(message: &PeerMessage) -> Encoded {
    let free_log_bytes = message.free_log_bytes;
    match &message.content {
        PeerContent::Whole(message) => encode_message(message, &[], free_log_bytes),
        PeerContent::Append(head, entries) => {
            seal_append(*head, std::slice::from_ref(entries), free_log_bytes)
        }
    }
}

fn encode_append(append: &AppendEntries, entries: &[Bytes], free_log_bytes: u64) -> Encoded {
    let head = AppendHead {
        term: append.term,
        prev_log_id: append.prev_log_id,
        commit_index: append.commit_index,
        count: u32::try_from(append.entries.len()).unwrap_or(u32::MAX),
        round: append.round,
    };
    seal_append(head, entries, free_log_bytes)
}

fn seal_append(head: AppendHead, entries: &[Bytes], free_log_bytes: u64) -> Encoded {
    let append = AppendBody {
        term: head.term.0,
        prev_log_id: Some(head.prev_log_id.into()),
        commit_index: head.commit_index.0,
        count: head.count,
        bytes: entries.iter().map(|slice| slice.len() as u64).sum(),
        round: head.round,
    };
    let content = Some(Content::AppendEntries(append));
    Encoded::seal(Kind::Message, &MessageBody { free_log_bytes, content }, entries.to_vec())
}

/// Messages without entries; `None` for the one with.
fn content(message: &Message) -> Option<Content> {
    Some(match message {
        Message::PreVote(vote) => Content::PreVote(vote.into()),
        Message::PreVoteResponse(response) => Content::PreVoteResponse(response.into()),
        Message::RequestVote(vote) => Content::RequestVote(vote.into()),
        Message::RequestVoteResponse(response) => Content::RequestVoteResponse(response.into()),
        Message::AppendEntriesResponse(response) => Content::AppendEntriesResponse(response.into()),
        Message::TimeoutNow { term } => Content::TimeoutNow(TimeoutNowBody { term: term.0 }),
        Message::ReadIndex(asked) => {
            let (term, request) = (asked.term.0, asked.request);
            Content::ReadIndex(ReadIndexBody { term, request })
        }
        Message::ReadIndexResponse(response) => Content::ReadIndexResponse(response.into()),
        Message::AppendEntries(_) => return None,
    })
}

pub(super) fn decode(
    fields: Fields,
    body: Bytes,
    trailer: Bytes,
) -> Result<PeerMessage, WireError> {
    let body: MessageBody = fields.decode(body)?;
    let free_log_bytes = body.free_log_bytes;
    let content = fields.known(body.content, "a message")?;
    if !matches!(content, Content::AppendEntries(_)) {
        fields.no_trailer(&trailer)?;
    }
    let message = match content {
        Content::AppendEntries(append) => {
            let head = append.validate(fields, &trailer)?;
            let content = PeerContent::Append(head, trailer);
            return Ok(PeerMessage { free_log_bytes, content });
        }
        Content::PreVote(vote) => Message::PreVote(vote.validate(fields)?),
        Content::PreVoteResponse(response) => Message::PreVoteResponse(response.validate(fields)?),
        Content::RequestVote(vote) => Message::RequestVote(vote.validate(fields)?),
        Content::RequestVoteResponse(response) => {
            Message::RequestVoteResponse(response.validate(fields)?)
        }
        Content::AppendEntriesResponse(response) => {
            Message::AppendEntriesResponse(response.validate(fields)?)
        }
        Content::TimeoutNow(body) => Message::TimeoutNow { term: fields.term(body.term)? },
        Content::ReadIndex(body) => {
            let (term, request) = (fields.term(body.term)?, body.request);
            Message::ReadIndex(ReadIndex { term, request })
        }
        Content::ReadIndexResponse(body) => Message::ReadIndexResponse(body.validate(fields)?),
    };
    Ok(PeerMessage { free_log_bytes, content: PeerContent::Whole(message) })
}

impl AppendBody {
    fn validate(self, fields: Fields, trailer: &Bytes) -> Result<AppendHead, WireError> {
        let head = AppendHead {
            term: fields.term(self.term)?,
            prev_log_id: fields.log_id(self.prev_log_id)?,
            commit_index: fields.index(self.commit_index)?,
            count: self.count,
            round: self.round,
        };
        if self.bytes != trailer.len() as u64 {
            return Err(fields.invalid("fewer or more bytes of entries than it says"));
        }
        if u64::from(self.count) * ENTRY_BYTES_MIN > self.bytes {
            return Err(fields.invalid("more entries than its bytes can hold"));
        }
        if self.count == 0 && self.bytes > 0 {
            return Err(fields.invalid("bytes of entries that it does not count"));
        }
        if head.prev_log_id.term > head.term {
            return Err(fields.invalid("an entry of a term after the leader's"));
        }
        Ok(head)
    }
}

impl From<&RequestVote> for VoteBody {
    fn from(vote: &RequestVote) -> Self {
        Self {
            term: vote.term.0,
            last_log_id: Some(vote.last_log_id.into()),
            transfer: vote.transfer,
        }
    }
}

impl VoteBody {
    pub(super) fn validate(self, fields: Fields) -> Result<RequestVote, WireError> {
        Ok(RequestVote {
            term: fields.term(self.term)?,
            last_log_id: fields.log_id(self.last_log_id)?,
            transfer: self.transfer,
        })
    }
}

impl From<&VoteResponse> for VoteResponseBody {
    fn from(response: &VoteResponse) -> Self {
        let refusal = response.refusal.map(|refusal| match refusal {
            VoteRefusal::StaleTerm => RefusalBody::StaleTerm(Empty {}),
            VoteRefusal::AlreadyVoted { candidate } => RefusalBody::AlreadyVoted(candidate.0),
            VoteRefusal::LogBehind { last_log_id } => RefusalBody::LogBehind(last_log_id.into()),
            VoteRefusal::LeaderAlive { leader } => RefusalBody::LeaderAlive(leader.0),
        });
        Self { term: response.term.0, granted: refusal.is_none(), refusal }
    }
}

impl VoteResponseBody {
    /// Whether its reason is one that this version knows.
    pub(super) const fn is_known(&self) -> bool {
        self.granted || self.refusal.is_some()
    }

    pub(super) fn validate(self, fields: Fields) -> Result<VoteResponse, WireError> {
        let refusal = match (self.granted, self.refusal) {
            (true, None) => None,
            (true, Some(_)) => return Err(fields.invalid("a vote granted and refused at once")),
            (false, refusal) => Some(match fields.known(refusal, "a reason to refuse a vote")? {
                RefusalBody::StaleTerm(Empty {}) => VoteRefusal::StaleTerm,
                RefusalBody::AlreadyVoted(id) => {
                    VoteRefusal::AlreadyVoted { candidate: fields.node_id(id)? }
                }
                RefusalBody::LogBehind(id) => {
                    VoteRefusal::LogBehind { last_log_id: fields.log_id(Some(id))? }
                }
                RefusalBody::LeaderAlive(id) => {
                    VoteRefusal::LeaderAlive { leader: fields.node_id(id)? }
                }
            }),
        };
        Ok(VoteResponse { term: fields.term(self.term)?, refusal })
    }
}

impl From<&AppendEntriesResponse> for AppendResponseBody {
    fn from(response: &AppendEntriesResponse) -> Self {
        let result = match response.result {
            AppendResult::Match(index) => ResultBody::Match(index.0),
            AppendResult::Conflict { prev_index, hint } => ResultBody::Conflict(ConflictBody {
                prev_index: prev_index.0,
                hint: Some(hint.into()),
            }),
            AppendResult::StaleTerm => ResultBody::StaleTerm(Empty {}),
        };
        Self {
            term: response.term.0,
            last_index: response.last_index.0,
            commit_index: response.commit_index.0,
            result: Some(result),
            round: response.round,
        }
    }
}

impl AppendResponseBody {
    /// As with votes.
    pub(super) const fn is_known(&self) -> bool {
        self.result.is_some()
    }

    pub(super) fn validate(self, fields: Fields) -> Result<AppendEntriesResponse, WireError> {
        let result = match fields.known(self.result, "a result of an append")? {
            ResultBody::Match(index) => AppendResult::Match(fields.index(index)?),
            ResultBody::Conflict(conflict) => AppendResult::Conflict {
                prev_index: fields.index(conflict.prev_index)?,
                hint: fields.log_id(conflict.hint)?,
            },
            ResultBody::StaleTerm(Empty {}) => AppendResult::StaleTerm,
        };
        Ok(AppendEntriesResponse {
            term: fields.term(self.term)?,
            result,
            last_index: fields.index(self.last_index)?,
            commit_index: fields.index(self.commit_index)?,
            round: self.round,
        })
    }
}

impl From<&ReadIndexResponse> for ReadIndexResponseBody {
    fn from(response: &ReadIndexResponse) -> Self {
        let result = match response.result {
            Ok(index) => ReadBody::Index(index.0),
            Err(ReadRefused::NotLeader { leader }) => {
                ReadBody::NotLeader(leader.map_or(0, |id| id.0))
            }
            Err(ReadRefused::HandingOver { to }) => ReadBody::HandingOver(to.0),
        };
        Self { term: response.term.0, request: response.request, result: Some(result) }
    }
}

impl ReadIndexResponseBody {
    /// As with votes.
    pub(super) const fn is_known(&self) -> bool {
        self.result.is_some()
    }

    pub(super) fn validate(self, fields: Fields) -> Result<ReadIndexResponse, WireError> {
        let result = match fields.known(self.result, "an answer to a read")? {
            ReadBody::Index(index) => Ok(fields.index(index)?),
            ReadBody::NotLeader(0) => Err(ReadRefused::NotLeader { leader: None }),
            ReadBody::NotLeader(id) => {
                Err(ReadRefused::NotLeader { leader: Some(fields.node_id(id)?) })
            }
            ReadBody::HandingOver(id) => Err(ReadRefused::HandingOver { to: fields.node_id(id)? }),
        };
        Ok(ReadIndexResponse { term: fields.term(self.term)?, request: self.request, result })
    }
}
