//! What a replica tells people about itself.

use raft_core::{Index, Member, Membership, NodeId, RoleKind};
use raft_log::Kind;

use super::Replica;
use crate::payload::COMMAND_HEADER_BYTES;
use crate::protocol::{KnownMember, NodeStatus, SnapshotsView, Standing};
use crate::vitals::{Recent, TAIL_TEXT_BYTES, TailEntry, Vitals};

/// Entries that are shown at most.
const TAIL_MAX: u32 = 256;

/// How a replica sees itself.
pub(super) fn status(replica: &Replica) -> NodeStatus {
    let status = replica.raft.status();
    let named = |id| (id, replica.address_of(id).unwrap_or_default().to_owned());
    NodeStatus {
        id: Some(status.id),
        address: named(status.id).1,
        standing: Standing::Member,
        role: match status.role {
            RoleKind::Follower => "follower",
            RoleKind::PreCandidate => "pre-candidate",
            RoleKind::Candidate => "candidate",
            RoleKind::Leader => "leader",
        }
        .into(),
        term: status.term,
        leader: status.leader.map(named),
        last_log_id: status.last_log_id,
        durable_index: status.durable_index,
        commit_index: status.commit_index,
        applied_index: replica.machine.applied(),
        version: env!("CARGO_PKG_VERSION").into(),
        cluster: None,
        vitals: Box::new(Vitals { fills: replica.machine.fills(), ..Vitals::default() }),
        members: known_members(replica.membership()),
        snapshots: Box::new(SnapshotsView {
            log_start: status.log_start,
            newest: replica.snapshots.newest(),
            transfers: Vec::new(),
        }),
    }
}

fn known_members(membership: &Membership) -> Vec<KnownMember> {
    let known = |(id, member): (&NodeId, &Member)| KnownMember {
        id: Some(*id),
        address: member.address.clone(),
        voter: membership.voters.contains(id),
        old_voter: membership.old_voters.as_ref().is_some_and(|old| old.contains(id)),
    };
    membership.members.iter().map(known).collect()
}

impl Replica {
    /// The end of the log as far as it is in memory, for people.
    pub(super) fn recent(&self, after: u64, tail: u32) -> Recent {
        let last = self.raft.last_log_id().index.0;
        let first = (last + 1).saturating_sub(u64::from(tail.min(TAIL_MAX)));
        let entries = (first..=last).filter_map(|index| self.buffer.get(Index(index)));
        let tail = entries.map(|entry| {
            let (kind, skip) = match entry.kind {
                Kind::NOOP => ("noop", 0),
                Kind::MEMBERSHIP => ("membership", usize::MAX),
                Kind::COMMAND => ("command", COMMAND_HEADER_BYTES),
                _ => ("session", usize::MAX),
            };
            let start = skip.min(entry.payload.len());
            let end = (start + TAIL_TEXT_BYTES).min(entry.payload.len());
            TailEntry {
                index: entry.index,
                term: entry.term,
                kind: kind.into(),
                text: entry.payload.slice(start..end),
                size: entry.payload.len() as u64,
            }
        });
        Recent { status: self.status(), after, events: Vec::new(), tail: tail.collect() }
    }
}
