//! Room on the disks: a leader admits what itself and a quorum can hold, and lets another lead when
//! it is its own disk that is full.

use std::cmp::Reverse;
use std::collections::VecDeque;

use bytes::Bytes;
use raft_core::{Input, NodeId, Ticket, Time};
use raft_log::Write;

use super::door::{Chunk, Effect};
use super::{Context, Replica};
use crate::protocol::Reason;

/// What is left of the log at least for votes, by which the members find a leader when all their
/// disks are full: a few dozen.
const VOTES_BYTES: u64 = 64 * 1024;

/// What the log was given and has not written yet, by ticket: the room that it takes is counted as
/// free until then.
#[derive(Debug, Default)]
pub(super) struct Unwritten(VecDeque<(Ticket, u64)>);

impl Unwritten {
    pub(super) fn handed(&mut self, ticket: Ticket, write: &Write) {
        self.0.push_back((ticket, byte_count(&write.entries)));
    }

    pub(super) fn persisted(&mut self, through: Ticket) {
        while self.0.pop_front_if(|(ticket, _)| *ticket <= through).is_some() {}
    }

    fn bytes(&self) -> u64 {
        self.0.iter().map(|(_, bytes)| bytes).sum()
    }
}

fn byte_count(slices: &[Bytes]) -> u64 {
    slices.iter().map(|slice| slice.len() as u64).sum()
}

impl Replica {
    /// Whether these entries of a leader fit without what is kept for votes. If they do not, they
    /// are taken for lost, and will be sent again. It is a minority that has less room than what
    /// its leader keeps free.
    pub(super) fn can_hold(&self, received: &Chunk) -> bool {
        let bytes = byte_count(&received.bytes);
        bytes == 0 || self.own_free >= bytes + self.unwritten.bytes() + VOTES_BYTES
    }

    /// Whether this member *and* a quorum can hold so many more bytes of log.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        let room = |id| {
            let free =
                if id == self.clients.id { Some(&self.own_free) } else { self.free.get(&id) };
            free.is_none_or(|free| *free >= bytes)
        };
        self.own_free >= bytes && self.membership().is_quorum(room)
    }

    /// Why there is no room here: the disks are full, unless a quorum has room without this member.
    /// Then the voter with the most of it takes over, and the request belongs there.
    pub(super) fn no_room(&mut self, bytes: u64) -> Reason {
        match self.roomiest(bytes) {
            Some(to) => {
                self.clients.heir = Some(to);
                Reason::HandingOver { to: self.address_of(to).unwrap_or_default().to_owned() }
            }
            None => Reason::DiskFull,
        }
    }

    fn roomiest(&self, bytes: u64) -> Option<NodeId> {
        let me = self.clients.id;
        let free =
            |id: NodeId| self.free.get(&id).copied().filter(|free| id != me && *free >= bytes);
        if self.own_free >= bytes || !self.membership().is_quorum(|id| free(id).is_some()) {
            return None;
        }
        let linked = |id: &NodeId| self.clients.linked.contains(id);
        let voters = self.membership().voters.iter().copied().filter(linked);
        voters.filter_map(|id| Some((free(id)?, Reverse(id)))).max().map(|(_, Reverse(id))| id)
    }

    /// Lets somebody with more room lead.
    pub(super) fn yield_to_room(&mut self, now: Time, fx: &mut Vec<Effect>) {
        let Some(to) = self.clients.heir.take() else { return };
        if self.raft.is_leader() && self.raft.handing_over().is_none() {
            let input = Input::TransferLeadership { to: Some(to) };
            self.core(now, input, &Context::default(), fx);
        }
    }
}
