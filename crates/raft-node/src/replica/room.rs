//! Room on the disks: a leader admits what itself and a quorum can hold, and lets another lead when
//! it is its own disk that is full.

use std::cmp::Reverse;

use raft_core::{Input, NodeId, Time};

use super::door::Effect;
use super::{Context, Replica};

impl Replica {
    /// Whether this member *and* a quorum can hold so many more bytes of log.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        let room = |id| {
            let free =
                if id == self.clients.id { Some(&self.own_free) } else { self.free.get(&id) };
            free.is_none_or(|free| *free >= bytes)
        };
        self.own_free >= bytes && self.membership().is_quorum(room)
    }

    /// What was refused here for lack of room goes through with another leader, if a quorum has
    /// room without this member: the voter with the most of it takes over.
    pub(super) fn yield_to_room(&mut self, now: Time, fx: &mut Vec<Effect>) {
        let Some(bytes) = self.clients.unplaced.take() else { return };
        if self.own_free >= bytes || !self.raft.is_leader() || self.raft.handing_over().is_some() {
            return;
        }
        let me = self.clients.id;
        let free =
            |id: NodeId| self.free.get(&id).copied().filter(|free| id != me && *free >= bytes);
        let linked = |id: &NodeId| self.clients.linked.contains(id);
        let voters = self.membership().voters.iter().copied().filter(linked);
        let roomiest = voters.filter_map(|id| Some((free(id)?, Reverse(id)))).max();
        if let Some((_, Reverse(to))) = roomiest
            && self.membership().is_quorum(|id| free(id).is_some())
        {
            let input = Input::TransferLeadership { to: Some(to) };
            self.core(now, input, &Context::default(), fx);
        }
    }
}
