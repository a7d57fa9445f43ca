//! Who members are to each other: `Hello`, `Welcome`, `Refused`, `Founding`, `Admit`.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_core::Index;

use super::body::{Empty, Fields, FounderBody, wide};
use super::{Admit, WireError};
use crate::founding::{Formed, Founder, Report, View};
use crate::hello::{Believed, Hello, HelloReason, HelloRefused, Party, Protocols, Role, Welcome};
use crate::protocol::Standing;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HelloBody {
    #[prost(message, optional, tag = "1")]
    protocol: Option<ProtocolsBody>,
    /// 1 peer, 2 client, 3 founder, 4 admission, 5 snapshot.
    #[prost(uint32, tag = "2")]
    role: u32,
    #[prost(message, optional, tag = "3")]
    from: Option<PartyBody>,
    #[prost(message, optional, tag = "4")]
    to: Option<BelievedBody>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WelcomeBody {
    #[prost(uint32, tag = "1")]
    protocol: u32,
    #[prost(message, optional, tag = "2")]
    from: Option<PartyBody>,
    #[prost(message, optional, tag = "3")]
    standing: Option<StandingBody>,
    #[prost(uint32, tag = "4")]
    frame_bytes_max: u32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct ProtocolsBody {
    #[prost(uint32, tag = "1")]
    min: u32,
    #[prost(uint32, tag = "2")]
    max: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PartyBody {
    #[prost(bytes = "bytes", optional, tag = "1")]
    cluster: Option<Bytes>,
    #[prost(uint64, optional, tag = "2")]
    id: Option<u64>,
    #[prost(bytes = "bytes", tag = "3")]
    incarnation: Bytes,
    #[prost(uint64, tag = "4")]
    epoch: u64,
    #[prost(fixed64, tag = "5")]
    nonce: u64,
    #[prost(string, tag = "6")]
    address: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct BelievedBody {
    #[prost(uint64, optional, tag = "1")]
    id: Option<u64>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    incarnation: Option<Bytes>,
    #[prost(string, tag = "3")]
    address: String,
}

/// What a directory says its server is; shared with `Status`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct StandingBody {
    /// 1 new, 2 member, 3 removed.
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint64, tag = "2")]
    removed_at: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RefusedBody {
    #[prost(message, optional, tag = "1")]
    refuser: Option<PartyBody>,
    #[prost(message, optional, tag = "2")]
    refused: Option<PartyBody>,
    /// For a reader that does not know the reason.
    #[prost(string, tag = "3")]
    text: String,
    #[prost(oneof = "ReasonBody", tags = "10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20")]
    reason: Option<ReasonBody>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum ReasonBody {
    #[prost(message, tag = "10")]
    Unsupported(UnsupportedBody),
    #[prost(message, tag = "11")]
    WrongCluster(Empty),
    #[prost(message, tag = "12")]
    WrongNode(BelievedBody),
    #[prost(message, tag = "13")]
    Itself(Empty),
    #[prost(uint64, tag = "14")]
    Removed(u64),
    #[prost(bytes = "bytes", tag = "15")]
    IncarnationMismatch(Bytes),
    #[prost(uint64, tag = "16")]
    EpochRegressed(u64),
    #[prost(message, tag = "17")]
    DuplicateIdentity(DuplicateBody),
    #[prost(message, tag = "18")]
    New(Empty),
    #[prost(uint64, tag = "19")]
    AcceptorRemoved(u64),
    #[prost(string, tag = "20")]
    Invalid(String),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct UnsupportedBody {
    #[prost(message, optional, tag = "1")]
    ours: Option<ProtocolsBody>,
    #[prost(message, optional, tag = "2")]
    theirs: Option<ProtocolsBody>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct DuplicateBody {
    #[prost(uint64, tag = "1")]
    epoch: u64,
    #[prost(fixed64, tag = "2")]
    nonce: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ReportBody {
    #[prost(string, tag = "1")]
    address: String,
    #[prost(bytes = "bytes", tag = "2")]
    incarnation: Bytes,
    #[prost(oneof = "ViewBody", tags = "3, 4, 5")]
    view: Option<ViewBody>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum ViewBody {
    #[prost(message, tag = "3")]
    Gathering(GatheringBody),
    #[prost(message, tag = "4")]
    Formed(FormedBody),
    #[prost(message, tag = "5")]
    Joining(Empty),
}

#[derive(Clone, PartialEq, prost::Message)]
struct GatheringBody {
    #[prost(uint64, tag = "1")]
    revision: u64,
    #[prost(uint64, tag = "2")]
    seen: u64,
    /// Without an incarnation if that founder was not met yet.
    #[prost(message, repeated, tag = "3")]
    founders: Vec<FounderBody>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FormedBody {
    #[prost(bytes = "bytes", tag = "1")]
    cluster: Bytes,
    #[prost(message, repeated, tag = "2")]
    founders: Vec<FounderBody>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AdmitBody {
    #[prost(bytes = "bytes", tag = "1")]
    cluster: Bytes,
    #[prost(uint64, tag = "2")]
    id: u64,
    #[prost(bytes = "bytes", tag = "3")]
    incarnation: Bytes,
    #[prost(string, tag = "4")]
    address: String,
    #[prost(message, repeated, tag = "5")]
    founders: Vec<FounderBody>,
    #[prost(uint64, tag = "6")]
    at: u64,
}

impl From<&Hello> for HelloBody {
    fn from(hello: &Hello) -> Self {
        Self {
            protocol: Some(hello.protocol.into()),
            role: match hello.role {
                Role::Peer => 1,
                Role::Client => 2,
                Role::Founder => 3,
                Role::Admission => 4,
                Role::Snapshot => 5,
            },
            from: Some((&hello.from).into()),
            to: Some((&hello.to).into()),
        }
    }
}

pub(super) fn decode_hello(fields: Fields, body: Bytes) -> Result<Hello, WireError> {
    let body: HelloBody = fields.decode(body)?;
    let role = match body.role {
        1 => Role::Peer,
        2 => Role::Client,
        3 => Role::Founder,
        4 => Role::Admission,
        5 => Role::Snapshot,
        role => return Err(WireError::Unsupported { what: "role", value: u64::from(role) }),
    };
    Ok(Hello {
        protocol: protocols(fields, body.protocol)?,
        role,
        from: party(fields, body.from)?,
        to: believed(fields, body.to.unwrap_or_default())?,
    })
}

impl From<&Welcome> for WelcomeBody {
    fn from(welcome: &Welcome) -> Self {
        Self {
            protocol: welcome.protocol,
            from: Some((&welcome.from).into()),
            standing: Some(welcome.standing.into()),
            frame_bytes_max: welcome.frame_bytes_max,
        }
    }
}

pub(super) fn decode_welcome(fields: Fields, body: Bytes) -> Result<Welcome, WireError> {
    let body: WelcomeBody = fields.decode(body)?;
    Ok(Welcome {
        protocol: body.protocol,
        from: party(fields, body.from)?,
        standing: standing(fields, body.standing)?,
        frame_bytes_max: body.frame_bytes_max,
    })
}

impl From<Protocols> for ProtocolsBody {
    fn from(protocols: Protocols) -> Self {
        Self { min: protocols.min, max: protocols.max }
    }
}

fn protocols(fields: Fields, body: Option<ProtocolsBody>) -> Result<Protocols, WireError> {
    let body = body.unwrap_or_default();
    if body.min > body.max {
        return Err(fields.invalid("a range of protocols that ends before it begins"));
    }
    Ok(Protocols { min: body.min, max: body.max })
}

impl From<&Party> for PartyBody {
    fn from(party: &Party) -> Self {
        Self {
            cluster: party.cluster.map(wide),
            id: party.id.map(|id| id.0),
            incarnation: wide(party.incarnation),
            epoch: party.epoch,
            nonce: party.nonce,
            address: party.address.clone(),
        }
    }
}

fn party(fields: Fields, body: Option<PartyBody>) -> Result<Party, WireError> {
    let body = body.ok_or(fields.invalid("a party without a name"))?;
    Ok(Party {
        cluster: body.cluster.map(|bytes| fields.wide(&bytes)).transpose()?,
        id: body.id.map(|id| fields.node_id(id)).transpose()?,
        incarnation: fields.wide(&body.incarnation)?,
        epoch: body.epoch,
        nonce: body.nonce,
        address: body.address,
    })
}

impl From<&Believed> for BelievedBody {
    fn from(believed: &Believed) -> Self {
        Self {
            id: believed.id.map(|id| id.0),
            incarnation: believed.incarnation.map(wide),
            address: believed.address.clone(),
        }
    }
}

fn believed(fields: Fields, body: BelievedBody) -> Result<Believed, WireError> {
    Ok(Believed {
        id: body.id.map(|id| fields.node_id(id)).transpose()?,
        incarnation: body.incarnation.map(|bytes| fields.wide(&bytes)).transpose()?,
        address: body.address,
    })
}

impl From<Standing> for StandingBody {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::New => Self { kind: 1, removed_at: 0 },
            Standing::Member => Self { kind: 2, removed_at: 0 },
            Standing::Removed { at } => Self { kind: 3, removed_at: at.0 },
        }
    }
}

pub(super) fn standing(fields: Fields, body: Option<StandingBody>) -> Result<Standing, WireError> {
    let body = body.unwrap_or_default();
    match body.kind {
        1 => Ok(Standing::New),
        2 => Ok(Standing::Member),
        3 => Ok(Standing::Removed { at: fields.index(body.removed_at)? }),
        kind => Err(WireError::Unsupported { what: "standing", value: u64::from(kind) }),
    }
}

impl From<&HelloRefused> for RefusedBody {
    fn from(refused: &HelloRefused) -> Self {
        let reason = match &refused.reason {
            HelloReason::Unsupported { ours, theirs } => ReasonBody::Unsupported(UnsupportedBody {
                ours: Some((*ours).into()),
                theirs: Some((*theirs).into()),
            }),
            HelloReason::WrongCluster => ReasonBody::WrongCluster(Empty {}),
            HelloReason::WrongNode { believed } => ReasonBody::WrongNode(believed.into()),
            HelloReason::Itself => ReasonBody::Itself(Empty {}),
            HelloReason::Removed { at } => ReasonBody::Removed(at.0),
            HelloReason::IncarnationMismatch { known } => {
                ReasonBody::IncarnationMismatch(wide(*known))
            }
            HelloReason::EpochRegressed { known } => ReasonBody::EpochRegressed(*known),
            HelloReason::DuplicateIdentity { epoch, nonce } => {
                ReasonBody::DuplicateIdentity(DuplicateBody { epoch: *epoch, nonce: *nonce })
            }
            HelloReason::New => ReasonBody::New(Empty {}),
            HelloReason::AcceptorRemoved { at } => ReasonBody::AcceptorRemoved(at.0),
            HelloReason::Invalid(what) => ReasonBody::Invalid(what.clone()),
        };
        Self {
            refuser: Some((&refused.refuser).into()),
            refused: Some((&refused.refused).into()),
            text: refused.to_string(),
            reason: Some(reason),
        }
    }
}

pub(super) fn decode_refused(fields: Fields, body: Bytes) -> Result<HelloRefused, WireError> {
    let body: RefusedBody = fields.decode(body)?;
    let reason = match body.reason {
        Some(ReasonBody::Unsupported(range)) => HelloReason::Unsupported {
            ours: protocols(fields, range.ours)?,
            theirs: protocols(fields, range.theirs)?,
        },
        Some(ReasonBody::WrongCluster(Empty {})) => HelloReason::WrongCluster,
        Some(ReasonBody::WrongNode(body)) => {
            HelloReason::WrongNode { believed: believed(fields, body)? }
        }
        Some(ReasonBody::Itself(Empty {})) => HelloReason::Itself,
        Some(ReasonBody::Removed(at)) => HelloReason::Removed { at: fields.index(at)? },
        Some(ReasonBody::IncarnationMismatch(known)) => {
            HelloReason::IncarnationMismatch { known: fields.wide(&known)? }
        }
        Some(ReasonBody::EpochRegressed(known)) => HelloReason::EpochRegressed { known },
        Some(ReasonBody::DuplicateIdentity(DuplicateBody { epoch, nonce })) => {
            HelloReason::DuplicateIdentity { epoch, nonce }
        }
        Some(ReasonBody::New(Empty {})) => HelloReason::New,
        Some(ReasonBody::AcceptorRemoved(at)) => {
            HelloReason::AcceptorRemoved { at: fields.index(at)? }
        }
        Some(ReasonBody::Invalid(what)) => HelloReason::Invalid(what),
        // A newer program's reason: its own words must do.
        None => HelloReason::Invalid(body.text),
    };
    Ok(HelloRefused {
        reason,
        refuser: party(fields, body.refuser)?,
        refused: party(fields, body.refused)?,
    })
}

impl From<&Report> for ReportBody {
    fn from(report: &Report) -> Self {
        let view = match &report.view {
            View::Gathering { revision, seen, founders } => ViewBody::Gathering(GatheringBody {
                revision: *revision,
                seen: *seen,
                founders: founders
                    .iter()
                    .map(|(address, incarnation)| FounderBody {
                        address: address.clone(),
                        incarnation: incarnation.map(wide).unwrap_or_default(),
                    })
                    .collect(),
            }),
            View::Formed(formed) => ViewBody::Formed(FormedBody {
                cluster: wide(formed.cluster),
                founders: founder_bodies(&formed.founders),
            }),
            View::Joining => ViewBody::Joining(Empty {}),
        };
        Self {
            address: report.address.clone(),
            incarnation: wide(report.incarnation),
            view: Some(view),
        }
    }
}

pub(super) fn decode_report(fields: Fields, body: Bytes) -> Result<Report, WireError> {
    let body: ReportBody = fields.decode(body)?;
    let view = match fields.known(body.view, "a founder's view")? {
        ViewBody::Gathering(view) => {
            let mut founders = BTreeMap::new();
            for founder in view.founders {
                let met = !founder.incarnation.is_empty();
                let incarnation = met.then(|| fields.wide(&founder.incarnation)).transpose()?;
                if founders.insert(founder.address, incarnation).is_some() {
                    return Err(fields.invalid("one founder twice"));
                }
            }
            View::Gathering { revision: view.revision, seen: view.seen, founders }
        }
        ViewBody::Formed(formed) => View::Formed(Formed {
            cluster: fields.wide(&formed.cluster)?,
            founders: founders(fields, formed.founders)?,
        }),
        ViewBody::Joining(Empty {}) => View::Joining,
    };
    Ok(Report { address: body.address, incarnation: fields.wide(&body.incarnation)?, view })
}

impl From<&Admit> for AdmitBody {
    fn from(admit: &Admit) -> Self {
        Self {
            cluster: wide(admit.cluster),
            id: admit.id.0,
            incarnation: wide(admit.incarnation),
            address: admit.address.clone(),
            founders: founder_bodies(&admit.founders),
            at: admit.at.0,
        }
    }
}

pub(super) fn decode_admit(fields: Fields, body: Bytes) -> Result<Admit, WireError> {
    let body: AdmitBody = fields.decode(body)?;
    let at = fields.index(body.at)?;
    if at == Index(0) {
        return Err(fields.invalid("a member added by no entry"));
    }
    Ok(Admit {
        cluster: fields.wide(&body.cluster)?,
        id: fields.node_id(body.id)?,
        incarnation: fields.wide(&body.incarnation)?,
        address: body.address,
        founders: founders(fields, body.founders)?,
        at,
    })
}

fn founder_bodies(founders: &[Founder]) -> Vec<FounderBody> {
    let body = |founder: &Founder| FounderBody {
        address: founder.address.clone(),
        incarnation: wide(founder.incarnation),
    };
    founders.iter().map(body).collect()
}

/// A complete list of founders: at least one, in the order of their addresses, none twice. It is
/// written into NODE, where only addresses can stand.
fn founders(fields: Fields, bodies: Vec<FounderBody>) -> Result<Vec<Founder>, WireError> {
    let founders = bodies
        .into_iter()
        .map(|body| {
            let incarnation = fields.wide(&body.incarnation)?;
            let address = fields.address(body.address)?;
            Ok(Founder { address, incarnation })
        })
        .collect::<Result<Vec<_>, WireError>>()?;
    let in_order = founders.windows(2).all(|pair| match pair {
        [first, second] => first.address < second.address,
        _ => false,
    });
    if founders.is_empty() || !in_order {
        return Err(fields.invalid("a list of founders that is empty or out of order"));
    }
    Ok(founders)
}
