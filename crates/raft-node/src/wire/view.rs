//! The answers for people: `MembersView` and `NodeStatus`.

use bytes::Bytes;
use raft_core::NodeId;

use super::WireError;
use super::body::{Fields, LogIdBody, wide};
use super::peer::{StandingBody, standing};
use super::vitals::VitalsBody;
use crate::protocol::{
    KnownMember, MemberRow, MembersView, NodeStatus, SnapshotTransfer, SnapshotsView,
};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MembersBody {
    #[prost(uint64, optional, tag = "1")]
    leader: Option<u64>,
    #[prost(bool, tag = "2")]
    joint: bool,
    #[prost(string, optional, tag = "3")]
    job: Option<String>,
    #[prost(message, repeated, tag = "4")]
    members: Vec<RowBody>,
    #[prost(uint64, tag = "5")]
    index: u64,
    #[prost(string, tag = "6")]
    answered_by: String,
    #[prost(bool, tag = "7")]
    is_leader: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RowBody {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    address: String,
    #[prost(bool, tag = "3")]
    voter: bool,
    #[prost(bool, tag = "4")]
    outgoing: bool,
    #[prost(bool, tag = "5")]
    leader: bool,
    #[prost(uint64, optional, tag = "6")]
    match_index: Option<u64>,
    #[prost(bool, tag = "7")]
    connected: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StatusBody {
    #[prost(uint64, optional, tag = "1")]
    id: Option<u64>,
    #[prost(string, tag = "2")]
    address: String,
    #[prost(bytes = "bytes", optional, tag = "3")]
    cluster: Option<Bytes>,
    #[prost(message, optional, tag = "4")]
    standing: Option<StandingBody>,
    #[prost(string, tag = "5")]
    role: String,
    #[prost(uint64, tag = "6")]
    term: u64,
    #[prost(message, optional, tag = "7")]
    leader: Option<LeaderBody>,
    #[prost(message, optional, tag = "8")]
    last_log_id: Option<LogIdBody>,
    #[prost(uint64, tag = "9")]
    durable_index: u64,
    #[prost(uint64, tag = "10")]
    commit_index: u64,
    #[prost(uint64, tag = "11")]
    applied_index: u64,
    #[prost(string, tag = "12")]
    version: String,
    #[prost(message, optional, boxed, tag = "13")]
    vitals: Option<Box<VitalsBody>>,
    #[prost(message, repeated, tag = "14")]
    members: Vec<KnownBody>,
    #[prost(message, optional, boxed, tag = "15")]
    snapshots: Option<Box<SnapshotsBody>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SnapshotsBody {
    #[prost(message, optional, tag = "1")]
    log_start: Option<LogIdBody>,
    #[prost(message, optional, tag = "2")]
    newest: Option<LogIdBody>,
    #[prost(message, repeated, tag = "3")]
    transfers: Vec<TransferBody>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TransferBody {
    #[prost(string, tag = "1")]
    peer: String,
    #[prost(bool, tag = "2")]
    outgoing: bool,
    #[prost(uint64, tag = "3")]
    done: u64,
    #[prost(uint64, tag = "4")]
    bytes: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KnownBody {
    #[prost(uint64, optional, tag = "1")]
    id: Option<u64>,
    #[prost(string, tag = "2")]
    address: String,
    #[prost(bool, tag = "3")]
    voter: bool,
    #[prost(bool, tag = "4")]
    old_voter: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct LeaderBody {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    address: String,
}

impl From<&MembersView> for MembersBody {
    fn from(view: &MembersView) -> Self {
        Self {
            leader: view.leader.map(|id| id.0),
            joint: view.joint,
            job: view.job.clone(),
            members: view.members.iter().map(RowBody::from).collect(),
            index: view.index.0,
            answered_by: view.answered_by.clone(),
            is_leader: view.is_leader,
        }
    }
}

impl MembersBody {
    pub(super) fn validate(self, fields: Fields) -> Result<MembersView, WireError> {
        Ok(MembersView {
            leader: self.leader.map(|id| fields.node_id(id)).transpose()?,
            joint: self.joint,
            job: self.job,
            members: self
                .members
                .into_iter()
                .map(|row| row.validate(fields))
                .collect::<Result<_, _>>()?,
            index: fields.index(self.index)?,
            answered_by: self.answered_by,
            is_leader: self.is_leader,
        })
    }
}

impl From<&MemberRow> for RowBody {
    fn from(row: &MemberRow) -> Self {
        Self {
            id: row.id.0,
            address: row.address.clone(),
            voter: row.voter,
            outgoing: row.outgoing,
            leader: row.leader,
            match_index: row.match_index.map(|index| index.0),
            connected: row.connected,
        }
    }
}

impl RowBody {
    fn validate(self, fields: Fields) -> Result<MemberRow, WireError> {
        Ok(MemberRow {
            id: fields.node_id(self.id)?,
            address: self.address,
            voter: self.voter,
            outgoing: self.outgoing,
            leader: self.leader,
            match_index: self.match_index.map(|index| fields.index(index)).transpose()?,
            connected: self.connected,
        })
    }
}

impl From<&NodeStatus> for StatusBody {
    fn from(status: &NodeStatus) -> Self {
        Self {
            id: status.id.map(|id| id.0),
            address: status.address.clone(),
            cluster: status.cluster.map(wide),
            standing: Some(status.standing.into()),
            role: status.role.clone(),
            term: status.term.0,
            leader: status
                .leader
                .as_ref()
                .map(|(id, address)| LeaderBody { id: id.0, address: address.clone() }),
            last_log_id: Some(status.last_log_id.into()),
            durable_index: status.durable_index.0,
            commit_index: status.commit_index.0,
            applied_index: status.applied_index.0,
            version: status.version.clone(),
            vitals: Some(Box::new(status.vitals.as_ref().clone().into())),
            members: status.members.iter().map(KnownBody::from).collect(),
            snapshots: Some(Box::new(status.snapshots.as_ref().into())),
        }
    }
}

impl From<&SnapshotsView> for SnapshotsBody {
    fn from(view: &SnapshotsView) -> Self {
        let transfer = |transfer: &SnapshotTransfer| TransferBody {
            peer: transfer.peer.clone(),
            outgoing: transfer.outgoing,
            done: transfer.done,
            bytes: transfer.bytes,
        };
        Self {
            log_start: Some(view.log_start.into()),
            newest: Some(view.newest.into()),
            transfers: view.transfers.iter().map(transfer).collect(),
        }
    }
}

impl SnapshotsBody {
    fn validate(self, fields: Fields) -> Result<SnapshotsView, WireError> {
        let transfer = |TransferBody { peer, outgoing, done, bytes }| SnapshotTransfer {
            peer,
            outgoing,
            done,
            bytes,
        };
        Ok(SnapshotsView {
            log_start: fields.log_id(self.log_start)?,
            newest: fields.log_id(self.newest)?,
            transfers: self.transfers.into_iter().map(transfer).collect(),
        })
    }
}

impl From<&KnownMember> for KnownBody {
    fn from(member: &KnownMember) -> Self {
        Self {
            id: member.id.map(|id| id.0),
            address: member.address.clone(),
            voter: member.voter,
            old_voter: member.old_voter,
        }
    }
}

impl KnownBody {
    fn validate(self, fields: Fields) -> Result<KnownMember, WireError> {
        let Self { id, address, voter, old_voter } = self;
        let id = id.map(|id| fields.node_id(id)).transpose()?;
        Ok(KnownMember { id, address, voter, old_voter })
    }
}

impl StatusBody {
    pub(super) fn validate(self, fields: Fields) -> Result<NodeStatus, WireError> {
        let leader = self.leader.map(|leader| {
            let id: NodeId = fields.node_id(leader.id)?;
            Ok::<_, WireError>((id, leader.address))
        });
        Ok(NodeStatus {
            id: self.id.map(|id| fields.node_id(id)).transpose()?,
            address: self.address,
            cluster: self.cluster.map(|bytes| fields.wide(&bytes)).transpose()?,
            standing: standing(fields, self.standing)?,
            role: self.role,
            term: fields.term(self.term)?,
            leader: leader.transpose()?,
            last_log_id: fields.log_id(self.last_log_id)?,
            durable_index: fields.index(self.durable_index)?,
            commit_index: fields.index(self.commit_index)?,
            applied_index: fields.index(self.applied_index)?,
            version: self.version,
            vitals: Box::new(self.vitals.map(|body| (*body).into()).unwrap_or_default()),
            members: self
                .members
                .into_iter()
                .map(|member| member.validate(fields))
                .collect::<Result<_, _>>()?,
            snapshots: Box::new(self.snapshots.map_or_else(
                || Ok(SnapshotsView::default()),
                |snapshots| snapshots.validate(fields),
            )?),
        })
    }
}
