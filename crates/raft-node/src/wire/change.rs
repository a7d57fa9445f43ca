//! Changes of the members, inside a `Request` and a `Reply`.

use bytes::Bytes;
use raft_core::RequestId;

use super::WireError;
use super::body::{Fields, wide};
use crate::protocol::{Changed, MemberChange, MemberName, Request};

/// Which kind of change it is, says the request's field that it stands in.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ChangeBody {
    #[prost(bytes = "bytes", tag = "1")]
    request: Bytes,
    /// Of the server to add, or of the member, if that is not named by its id.
    #[prost(string, tag = "2")]
    address: String,
    #[prost(uint64, optional, tag = "3")]
    id: Option<u64>,
    /// Where the replacement listens, or the member from now on.
    #[prost(string, tag = "4")]
    to: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ChangedBody {
    /// 1 added, 2 already a member, 3 removed, 4 undone, 5 demoted, 6 already a learner,
    /// 7 replaced, 8 updated.
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint64, tag = "2")]
    id: u64,
    #[prost(string, tag = "3")]
    address: String,
    /// Who was replaced, and where it was.
    #[prost(uint64, tag = "4")]
    old: u64,
    #[prost(string, tag = "5")]
    old_address: String,
}

impl ChangeBody {
    pub(super) fn of(request: RequestId, change: &MemberChange) -> Self {
        let (name, to) = match change {
            MemberChange::Add(address) => (MemberName::Address(address.clone()), ""),
            MemberChange::Remove(name) | MemberChange::Demote(name) => (name.clone(), ""),
            MemberChange::Replace { old, new } => (old.clone(), new.as_str()),
            MemberChange::Update { member, address } => (member.clone(), address.as_str()),
        };
        let (address, id) = match name {
            MemberName::Id(id) => (String::new(), Some(id.0)),
            MemberName::Address(address) => (address, None),
        };
        Self { request: wide(request.0), address, id, to: to.into() }
    }

    /// A server that is no member yet has no id.
    pub(super) fn adds(self, fields: Fields) -> Result<Request, WireError> {
        let request = RequestId(fields.wide(&self.request)?);
        Ok(Request::Change { request, change: MemberChange::Add(self.address) })
    }

    pub(super) fn concerns(
        self,
        fields: Fields,
        change: impl FnOnce(MemberName, String) -> MemberChange,
    ) -> Result<Request, WireError> {
        let request = RequestId(fields.wide(&self.request)?);
        let name = match self.id {
            Some(id) => MemberName::Id(fields.node_id(id)?),
            None => MemberName::Address(self.address),
        };
        Ok(Request::Change { request, change: change(name, self.to) })
    }
}

impl From<&Changed> for ChangedBody {
    fn from(changed: &Changed) -> Self {
        let (kind, id, address) = match changed {
            Changed::Added { id, address } => (1, id, address),
            Changed::AlreadyMember { id, address } => (2, id, address),
            Changed::Removed { id, address } => (3, id, address),
            Changed::Undone { id, address } => (4, id, address),
            Changed::Demoted { id, address } => (5, id, address),
            Changed::AlreadyLearner { id, address } => (6, id, address),
            Changed::Replaced { id, address, .. } => (7, id, address),
            Changed::Updated { id, address } => (8, id, address),
        };
        let (old, old_address) = match changed {
            Changed::Replaced { old, old_address, .. } => (old.0, old_address.clone()),
            _ => (0, String::new()),
        };
        Self { kind, id: id.0, address: address.clone(), old, old_address }
    }
}

impl ChangedBody {
    pub(super) fn validate(self, fields: Fields) -> Result<Changed, WireError> {
        let id = fields.node_id(self.id)?;
        let address = self.address;
        Ok(match self.kind {
            1 => Changed::Added { id, address },
            2 => Changed::AlreadyMember { id, address },
            3 => Changed::Removed { id, address },
            4 => Changed::Undone { id, address },
            5 => Changed::Demoted { id, address },
            6 => Changed::AlreadyLearner { id, address },
            7 => {
                let (old, old_address) = (fields.node_id(self.old)?, self.old_address);
                Changed::Replaced { id, address, old, old_address }
            }
            8 => Changed::Updated { id, address },
            kind => {
                let what = "the end of a membership change of kind";
                return Err(WireError::Unsupported { what, value: u64::from(kind) });
            }
        })
    }
}
