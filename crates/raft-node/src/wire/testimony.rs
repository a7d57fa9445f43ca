//! The answer to "why?": `Testimony`. What a peer was refused is said in the words of the answers
//! that peers get.

use raft_core::{AppendEntriesResponse, Index, NodeId, RefusedRequest, VoteResponse};

use super::WireError;
use super::body::{Fields, LogIdBody};
use super::message::{AppendResponseBody, ReadIndexResponseBody, VoteBody, VoteResponseBody};
use super::reason::RefusalBody;
use super::view::StatusBody;
use crate::testimony::{Asked, ChangeView, Knew, PastRefusal, PeerView, RefusedThing, Testimony};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TestimonyBody {
    #[prost(message, optional, tag = "1")]
    status: Option<StatusBody>,
    #[prost(message, repeated, tag = "2")]
    refused: Vec<PastBody>,
    #[prost(message, repeated, tag = "3")]
    peers: Vec<PeerBody>,
    #[prost(uint64, repeated, tag = "4")]
    reaches: Vec<u64>,
    #[prost(message, optional, tag = "5")]
    change: Option<ChangeBody>,
    #[prost(uint64, optional, tag = "6")]
    write_out_ms: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PastBody {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(uint64, tag = "2")]
    first_ms: u64,
    #[prost(uint64, tag = "3")]
    last_ms: u64,
    #[prost(uint64, tag = "4")]
    term: u64,
    #[prost(message, optional, tag = "5")]
    last_log_id: Option<LogIdBody>,
    #[prost(uint64, optional, tag = "6")]
    leader: Option<u64>,
    /// Absent from those of a kind that only a newer program knows.
    #[prost(oneof = "ThingBody", tags = "7, 8, 9, 10, 11, 12")]
    thing: Option<ThingBody>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum ThingBody {
    #[prost(message, tag = "7")]
    Vote(RefusedVoteBody),
    #[prost(message, tag = "8")]
    Append(RefusedAppendBody),
    #[prost(message, tag = "9")]
    Read(RefusedReadBody),
    #[prost(message, tag = "10")]
    Entries(EntriesBody),
    #[prost(message, tag = "11")]
    Client(ClientBody),
    #[prost(message, tag = "12")]
    Hello(HelloBody),
}

#[derive(Clone, PartialEq, prost::Message)]
struct RefusedVoteBody {
    #[prost(uint64, tag = "1")]
    from: u64,
    #[prost(bool, tag = "2")]
    pre: bool,
    #[prost(message, optional, tag = "3")]
    request: Option<VoteBody>,
    #[prost(message, optional, tag = "4")]
    response: Option<VoteResponseBody>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RefusedAppendBody {
    #[prost(uint64, tag = "1")]
    from: u64,
    #[prost(uint64, tag = "2")]
    term: u64,
    #[prost(message, optional, tag = "3")]
    prev_log_id: Option<LogIdBody>,
    #[prost(message, optional, tag = "4")]
    response: Option<AppendResponseBody>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RefusedReadBody {
    #[prost(uint64, tag = "1")]
    from: u64,
    #[prost(message, optional, tag = "2")]
    response: Option<ReadIndexResponseBody>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct EntriesBody {
    #[prost(uint64, tag = "1")]
    from: u64,
    #[prost(uint64, tag = "2")]
    bytes: u64,
    #[prost(uint64, tag = "3")]
    free: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HelloBody {
    #[prost(uint64, tag = "1")]
    from: u64,
    #[prost(string, tag = "2")]
    why: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ClientBody {
    /// 1 a write, 2 a read, 3 a change; anything else is a request.
    #[prost(uint32, tag = "1")]
    asked: u32,
    #[prost(message, optional, tag = "2")]
    refusal: Option<RefusalBody>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct PeerBody {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    match_index: u64,
    #[prost(uint64, tag = "3")]
    next_index: u64,
    #[prost(bool, tag = "4")]
    installing: bool,
    #[prost(bool, tag = "5")]
    connected: bool,
    #[prost(uint64, optional, tag = "6")]
    answered_ms: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ChangeBody {
    #[prost(string, tag = "1")]
    what: String,
    #[prost(uint64, tag = "2")]
    about: u64,
    #[prost(uint64, tag = "3")]
    index: u64,
    #[prost(bool, tag = "4")]
    joint: bool,
    #[prost(uint64, optional, tag = "5")]
    stuck_ms: Option<u64>,
}

impl From<&Testimony> for TestimonyBody {
    fn from(testimony: &Testimony) -> Self {
        Self {
            status: Some((&testimony.status).into()),
            refused: testimony.refused.iter().map(PastBody::from).collect(),
            peers: testimony.peers.iter().map(PeerBody::from).collect(),
            reaches: testimony.reaches.iter().map(|id| id.0).collect(),
            change: testimony.change.as_ref().map(ChangeBody::from),
            write_out_ms: testimony.write_out_ms,
        }
    }
}

impl TestimonyBody {
    pub(super) fn validate(self, fields: Fields) -> Result<Testimony, WireError> {
        let past = |body: PastBody| body.validate(fields).transpose();
        Ok(Testimony {
            status: fields.known(self.status, "a status that is not there:")?.validate(fields)?,
            refused: self.refused.into_iter().filter_map(past).collect::<Result<_, _>>()?,
            peers: self
                .peers
                .into_iter()
                .map(|peer| peer.validate(fields))
                .collect::<Result<_, _>>()?,
            reaches: self
                .reaches
                .into_iter()
                .map(|id| fields.node_id(id))
                .collect::<Result<_, _>>()?,
            change: self.change.map(|change| change.validate(fields)).transpose()?,
            write_out_ms: self.write_out_ms,
        })
    }
}

impl From<&PastRefusal> for PastBody {
    fn from(past: &PastRefusal) -> Self {
        let Knew { term, last_log_id, leader } = past.knew;
        Self {
            count: past.count,
            first_ms: past.first_ms,
            last_ms: past.last_ms,
            term: term.0,
            last_log_id: Some(last_log_id.into()),
            leader: leader.map(|id| id.0),
            thing: Some(thing_body(&past.what, &past.knew)),
        }
    }
}

fn thing_body(thing: &RefusedThing, knew: &Knew) -> ThingBody {
    let term = knew.term;
    match thing {
        RefusedThing::Peer { from: NodeId(from), request } => match *request {
            RefusedRequest::Vote { pre, request, why } => ThingBody::Vote(RefusedVoteBody {
                from: *from,
                pre,
                request: Some((&request).into()),
                response: Some((&VoteResponse { term, refusal: Some(why) }).into()),
            }),
            RefusedRequest::Append { term: asked, prev_log_id, result } => {
                let response = AppendEntriesResponse {
                    term,
                    result,
                    last_index: knew.last_log_id.index,
                    commit_index: Index(0),
                    round: 0,
                };
                ThingBody::Append(RefusedAppendBody {
                    from: *from,
                    term: asked.0,
                    prev_log_id: Some(prev_log_id.into()),
                    response: Some((&response).into()),
                })
            }
            RefusedRequest::Read { why } => {
                let response = raft_core::ReadIndexResponse { term, request: 0, result: Err(why) };
                ThingBody::Read(RefusedReadBody { from: *from, response: Some((&response).into()) })
            }
        },
        RefusedThing::Entries { from, bytes, free } => {
            ThingBody::Entries(EntriesBody { from: from.0, bytes: *bytes, free: *free })
        }
        RefusedThing::Hello { from, why } => {
            ThingBody::Hello(HelloBody { from: from.0, why: why.clone() })
        }
        RefusedThing::Client { asked, refusal } => ThingBody::Client(ClientBody {
            asked: match asked {
                Asked::Write => 1,
                Asked::Read => 2,
                Asked::Change => 3,
                Asked::Request => 4,
            },
            refusal: Some(refusal.into()),
        }),
    }
}

impl PastBody {
    /// `None` for what only a newer program knows.
    fn validate(self, fields: Fields) -> Result<Option<PastRefusal>, WireError> {
        let Some(thing) = self.thing else { return Ok(None) };
        let Some(what) = thing.validate(fields)? else { return Ok(None) };
        let knew = Knew {
            term: fields.term(self.term)?,
            last_log_id: fields.log_id(self.last_log_id)?,
            leader: self.leader.map(|id| fields.node_id(id)).transpose()?,
        };
        let Self { count, first_ms, last_ms, .. } = self;
        Ok(Some(PastRefusal { what, count, first_ms, last_ms, knew }))
    }
}

impl ThingBody {
    fn validate(self, fields: Fields) -> Result<Option<RefusedThing>, WireError> {
        let peer = |from, request| {
            fields.node_id(from).map(|from| Some(RefusedThing::Peer { from, request }))
        };
        match self {
            Self::Vote(RefusedVoteBody { from, pre, request, response }) => {
                let request = request.unwrap_or_default().validate(fields)?;
                let response = response.unwrap_or_default();
                if !response.is_known() {
                    return Ok(None);
                }
                match response.validate(fields)?.refusal {
                    Some(why) => peer(from, RefusedRequest::Vote { pre, request, why }),
                    None => Err(fields.invalid("a refused vote that was granted")),
                }
            }
            Self::Append(RefusedAppendBody { from, term, prev_log_id, response }) => {
                let response = response.unwrap_or_default();
                if !response.is_known() {
                    return Ok(None);
                }
                let (term, result) = (fields.term(term)?, response.validate(fields)?.result);
                let prev_log_id = fields.log_id(prev_log_id)?;
                peer(from, RefusedRequest::Append { term, prev_log_id, result })
            }
            Self::Read(RefusedReadBody { from, response }) => {
                let response = response.unwrap_or_default();
                if !response.is_known() {
                    return Ok(None);
                }
                match response.validate(fields)?.result {
                    Err(why) => peer(from, RefusedRequest::Read { why }),
                    Ok(_) => Err(fields.invalid("a refused read that was answered")),
                }
            }
            Self::Entries(EntriesBody { from, bytes, free }) => {
                Ok(Some(RefusedThing::Entries { from: fields.node_id(from)?, bytes, free }))
            }
            Self::Hello(HelloBody { from, why }) => {
                Ok(Some(RefusedThing::Hello { from: fields.node_id(from)?, why }))
            }
            Self::Client(ClientBody { asked, refusal }) => {
                let asked = match asked {
                    1 => Asked::Write,
                    2 => Asked::Read,
                    3 => Asked::Change,
                    _ => Asked::Request,
                };
                let refusal = refusal.unwrap_or_default().validate(fields)?;
                Ok(Some(RefusedThing::Client { asked, refusal }))
            }
        }
    }
}

impl From<&PeerView> for PeerBody {
    fn from(peer: &PeerView) -> Self {
        Self {
            id: peer.id.0,
            match_index: peer.match_index.0,
            next_index: peer.next_index.0,
            installing: peer.installing,
            connected: peer.connected,
            answered_ms: peer.answered_ms,
        }
    }
}

impl PeerBody {
    fn validate(self, fields: Fields) -> Result<PeerView, WireError> {
        Ok(PeerView {
            id: fields.node_id(self.id)?,
            match_index: fields.index(self.match_index)?,
            next_index: fields.index(self.next_index)?,
            installing: self.installing,
            connected: self.connected,
            answered_ms: self.answered_ms,
        })
    }
}

impl From<&ChangeView> for ChangeBody {
    fn from(change: &ChangeView) -> Self {
        Self {
            what: change.what.clone(),
            about: change.about.0,
            index: change.index.0,
            joint: change.joint,
            stuck_ms: change.stuck_ms,
        }
    }
}

impl ChangeBody {
    fn validate(self, fields: Fields) -> Result<ChangeView, WireError> {
        Ok(ChangeView {
            what: self.what,
            about: fields.node_id(self.about)?,
            index: fields.index(self.index)?,
            joint: self.joint,
            stuck_ms: self.stuck_ms,
        })
    }
}
