//! A configuration as the payload of its log entry: a version byte, then prost.
//!
//! The bytes go to every disk and stay there, and equal configurations have equal bytes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;
use raft_core::{ChangeOutcome, Job, JobKind, Member, Membership, NodeId, OUTCOMES_MAX, RequestId};

use super::WireError;
use super::body::{Fields, wide};
use super::frame::Kind;

/// The first byte of the payload.
pub const MEMBERSHIP_VERSION: u8 = 1;

/// A configuration with larger bytes is refused unread.
pub const MEMBERSHIP_BYTES_MAX: usize = 1024 * 1024;

#[derive(Clone, PartialEq, prost::Message)]
struct MembershipBody {
    #[prost(uint64, tag = "1")]
    founders: u64,
    #[prost(message, repeated, tag = "2")]
    members: Vec<MemberBody>,
    #[prost(uint64, repeated, tag = "3")]
    voters: Vec<u64>,
    #[prost(message, optional, tag = "4")]
    old_voters: Option<OldVotersBody>,
    #[prost(message, optional, tag = "5")]
    job: Option<JobBody>,
    #[prost(message, repeated, tag = "6")]
    outcomes: Vec<OutcomeBody>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MemberBody {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    address: String,
    #[prost(bytes = "bytes", tag = "3")]
    incarnation: Bytes,
}

/// Present in a joint configuration.
#[derive(Clone, PartialEq, prost::Message)]
struct OldVotersBody {
    #[prost(uint64, repeated, tag = "1")]
    ids: Vec<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct JobBody {
    #[prost(bytes = "bytes", tag = "1")]
    request: Bytes,
    #[prost(oneof = "JobKindBody", tags = "2, 3, 4, 5")]
    kind: Option<JobKindBody>,
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
enum JobKindBody {
    #[prost(uint64, tag = "2")]
    Promote(u64),
    #[prost(uint64, tag = "3")]
    Remove(u64),
    #[prost(uint64, tag = "4")]
    Demote(u64),
    #[prost(message, tag = "5")]
    Replace(ReplaceBody),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct ReplaceBody {
    #[prost(uint64, tag = "1")]
    old: u64,
    #[prost(uint64, tag = "2")]
    new: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OutcomeBody {
    #[prost(bytes = "bytes", tag = "1")]
    request: Bytes,
    /// 1 added, 2 removed, 3 undone, 4 demoted, 5 updated, 6 replaced.
    #[prost(uint32, tag = "2")]
    kind: u32,
    #[prost(uint64, tag = "3")]
    id: u64,
    #[prost(string, tag = "4")]
    address: String,
    /// Who was replaced, and where it was.
    #[prost(uint64, tag = "5")]
    old: u64,
    #[prost(string, tag = "6")]
    old_address: String,
}

/// The payload of a configuration's entry.
#[must_use]
pub fn encode_membership(membership: &Membership) -> Bytes {
    let body = MembershipBody {
        founders: membership.founders,
        members: membership
            .members
            .iter()
            .map(|(id, member)| MemberBody {
                id: id.0,
                address: member.address.clone(),
                incarnation: wide(member.incarnation),
            })
            .collect(),
        voters: ids(&membership.voters),
        old_voters: membership.old_voters.as_ref().map(|old| OldVotersBody { ids: ids(old) }),
        job: membership.job.as_ref().map(|job| JobBody {
            request: wide(job.request.0),
            kind: Some(match job.kind {
                JobKind::Promote(id) => JobKindBody::Promote(id.0),
                JobKind::Remove(id) => JobKindBody::Remove(id.0),
                JobKind::Demote(id) => JobKindBody::Demote(id.0),
                JobKind::Replace { old, new } => {
                    JobKindBody::Replace(ReplaceBody { old: old.0, new: new.0 })
                }
            }),
        }),
        outcomes: membership.outcomes.iter().map(outcome_body).collect(),
    };
    let mut payload = BytesMut::with_capacity(1 + body.encoded_len());
    payload.put_u8(MEMBERSHIP_VERSION);
    body.encode_raw(&mut payload);
    payload.freeze()
}

/// Reads the payload of a configuration's entry, from disk or from a peer.
pub fn decode_membership(payload: &Bytes) -> Result<Membership, WireError> {
    let fields = Fields(Kind::Message);
    let (&version, _) =
        payload.split_first().ok_or(fields.invalid("an empty configuration entry"))?;
    if version != MEMBERSHIP_VERSION {
        let what = "a configuration entry of version";
        return Err(WireError::Unsupported { what, value: u64::from(version) });
    }
    if payload.len() > MEMBERSHIP_BYTES_MAX {
        return Err(fields.invalid("a configuration entry that is too large"));
    }
    fields.decode::<MembershipBody>(payload.slice(1..))?.validate(fields)
}

fn ids(set: &BTreeSet<NodeId>) -> Vec<u64> {
    set.iter().map(|id| id.0).collect()
}

fn outcome_body((request, outcome): &(RequestId, ChangeOutcome)) -> OutcomeBody {
    let (kind, id, address) = match outcome {
        ChangeOutcome::Added { id, address } => (1, id, address),
        ChangeOutcome::Removed { id, address } => (2, id, address),
        ChangeOutcome::Undone { id, address } => (3, id, address),
        ChangeOutcome::Demoted { id, address } => (4, id, address),
        ChangeOutcome::Updated { id, address } => (5, id, address),
        ChangeOutcome::Replaced { id, address, .. } => (6, id, address),
    };
    let (old, old_address) = match outcome {
        ChangeOutcome::Replaced { old, old_address, .. } => (old.0, old_address.clone()),
        _ => (0, String::new()),
    };
    let (request, address) = (wide(request.0), address.clone());
    OutcomeBody { request, kind, id: id.0, address, old, old_address }
}

impl MembershipBody {
    fn validate(self, fields: Fields) -> Result<Membership, WireError> {
        let mut members = BTreeMap::new();
        for body in self.members {
            let id = fields.node_id(body.id)?;
            let incarnation = fields.wide(&body.incarnation)?;
            let member = Member { address: body.address, incarnation };
            if members.insert(id, member).is_some() {
                return Err(fields.invalid("a configuration with one member twice"));
            }
        }
        let voters = voters_of(fields, &members, &self.voters)?;
        let old_voters =
            self.old_voters.map(|old| voters_of(fields, &members, &old.ids)).transpose()?;
        if self.outcomes.len() > OUTCOMES_MAX {
            return Err(fields.invalid("a configuration that remembers too many changes"));
        }
        let outcomes = self
            .outcomes
            .into_iter()
            .map(|body| body.validate(fields))
            .collect::<Result<_, _>>()?;
        let job = self.job.map(|body| body.validate(fields)).transpose()?;
        // Ids count on from here.
        let founders = fields.index(self.founders)?.0;
        Ok(Membership { founders, members, voters, old_voters, job, outcomes })
    }
}

/// One half of a configuration: at least one, each a member, none twice.
fn voters_of(
    fields: Fields,
    members: &BTreeMap<NodeId, Member>,
    ids: &[u64],
) -> Result<BTreeSet<NodeId>, WireError> {
    let voters: BTreeSet<NodeId> = ids.iter().copied().map(NodeId).collect();
    if voters.is_empty() {
        return Err(fields.invalid("a configuration in which nobody votes"));
    }
    if voters.len() != ids.len() {
        return Err(fields.invalid("a configuration with one voter twice"));
    }
    if !voters.iter().all(|id| members.contains_key(id)) {
        return Err(fields.invalid("a configuration with a voter that is no member"));
    }
    Ok(voters)
}

impl JobBody {
    fn validate(self, fields: Fields) -> Result<Job, WireError> {
        let kind = match fields.known(self.kind, "a kind of membership change")? {
            JobKindBody::Promote(id) => JobKind::Promote(fields.node_id(id)?),
            JobKindBody::Remove(id) => JobKind::Remove(fields.node_id(id)?),
            JobKindBody::Demote(id) => JobKind::Demote(fields.node_id(id)?),
            JobKindBody::Replace(ReplaceBody { old, new }) => {
                JobKind::Replace { old: fields.node_id(old)?, new: fields.node_id(new)? }
            }
        };
        Ok(Job { request: RequestId(fields.wide(&self.request)?), kind })
    }
}

impl OutcomeBody {
    fn validate(self, fields: Fields) -> Result<(RequestId, ChangeOutcome), WireError> {
        let id = fields.node_id(self.id)?;
        let address = self.address;
        let outcome = match self.kind {
            1 => ChangeOutcome::Added { id, address },
            2 => ChangeOutcome::Removed { id, address },
            3 => ChangeOutcome::Undone { id, address },
            4 => ChangeOutcome::Demoted { id, address },
            5 => ChangeOutcome::Updated { id, address },
            6 => {
                let (old, old_address) = (fields.node_id(self.old)?, self.old_address);
                ChangeOutcome::Replaced { id, address, old, old_address }
            }
            kind => {
                let what = "an outcome of a membership change of kind";
                return Err(WireError::Unsupported { what, value: u64::from(kind) });
            }
        };
        Ok((RequestId(fields.wide(&self.request)?), outcome))
    }
}
