//! Leadership transfer (thesis 3.10): stop taking proposals, bring the target up to date, tell it
//! to campaign at once. If it has not taken over within T, everything goes on as before.

use crate::message::Message;
use crate::output::Output;
use crate::raft::{Raft, reaches};
use crate::role::{Leader, Role, Transfer};
use crate::types::{Index, NodeId};

impl Raft {
    pub(crate) fn on_transfer(&mut self, to: Option<NodeId>) {
        if !self.is_leader() || to == Some(self.id) {
            let to = to.filter(|_| self.is_leader());
            return self.outputs.push(Output::TransferEnded { to });
        }
        if self.handing_over().is_none() && !self.start_transfer(to) {
            self.outputs.push(Output::TransferEnded { to: None });
        }
    }

    /// Says whether there is anybody to hand over to.
    pub(crate) fn start_transfer(&mut self, to: Option<NodeId>) -> bool {
        let named = to.filter(|id| self.membership().voters.contains(id) && *id != self.id);
        let target = if to.is_some() { named } else { self.best_successor() };
        let deadline = self.now + self.config.election_timeout;
        let Role::Leader(leader) = &mut self.role else { return false };
        if let Some(to) = target
            && leader.transfer.is_none()
        {
            leader.transfer = Some(Transfer { to, deadline, told: false });
        }
        target.is_some()
    }

    /// The connected voter with the most of the log; in a joint configuration, one that stays.
    fn best_successor(&self) -> Option<NodeId> {
        let Role::Leader(leader) = &self.role else { return None };
        let voters = self.membership().voters.iter().copied();
        voters.filter(|&id| id != self.id && self.reaches(id)).max_by_key(|id| {
            let held = leader.peers().get(id).map_or(Index(0), |p| p.match_index);
            (held, core::cmp::Reverse(*id))
        })
    }

    /// Once the target has everything, it need not wait.
    pub(crate) fn advance_transfer(&mut self) {
        let last_index = self.log.last_index();
        let Role::Leader(leader) = &mut self.role else { return };
        let Leader { transfer: Some(transfer), progress, .. } = &mut **leader else { return };
        let ready = progress.get(&transfer.to).is_some_and(|p| p.match_index == last_index);
        if ready && !transfer.told && reaches(&self.links, transfer.to) {
            transfer.told = true;
            let message = Message::TimeoutNow { term: self.hard_state.term };
            self.outputs.push(Output::Send { to: transfer.to, message });
        }
    }

    pub(crate) fn end_late_transfer(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.transfer.is_some_and(|transfer| transfer.deadline <= self.now) {
            leader.transfer = None;
            self.outputs.push(Output::TransferEnded { to: None });
        }
    }

    /// What a leader owes to those who asked it for something, when it leads no more.
    pub(crate) fn retire(&mut self, was: Leader) {
        let leader = self.leader();
        for waiting in was.waiting {
            self.outputs.push(Output::ChangeUnknown { request: waiting.request, leader });
        }
        self.successor_by = was.transfer.map(|transfer| transfer.deadline.max(self.now + 1));
    }

    /// A former leader learns who took over.
    pub(crate) fn note_successor(&mut self) {
        if self.successor_by.is_some()
            && let Some(leader) = self.leader()
        {
            self.successor_by = None;
            let to = (leader != self.id).then_some(leader);
            self.outputs.push(Output::TransferEnded { to });
        }
    }
}
