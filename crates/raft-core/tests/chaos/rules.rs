//! What holds at every send and at every commit.

use std::sync::Arc;

use raft_core::{AppendResult, EntryKind, HardState, Index, Membership, Message, NodeId};

use crate::sim::Sim;

impl Sim {
    /// What a message promises is on the sender's disk when it leaves (rules R1 to R4).
    pub(crate) fn check_send(&self, from: NodeId, to: NodeId, message: &Message) {
        let disk = &self.machines[&from].disk;
        let durable = |term, vote: Option<NodeId>| {
            let HardState { term: held, voted_for } = disk.hard_state;
            held > term || held == term && (vote == voted_for || vote.is_none())
        };
        let term = message.term();
        match message {
            Message::PreVote(_) | Message::PreVoteResponse(_) => return,
            Message::RequestVote(request) => {
                assert!(durable(term, Some(from)), "{from} asks before it voted");
                assert!(disk.log.len() as u64 >= request.last_log_id.index.0, "R2");
            }
            Message::RequestVoteResponse(response) if response.refusal.is_none() => {
                assert!(durable(term, Some(to)), "{from} grants before it voted");
            }
            Message::AppendEntriesResponse(response) => {
                if let AppendResult::Match(index) = response.result {
                    let held = disk.log.get(..index.0 as usize);
                    assert!(
                        held.is_some_and(|held| self.machines[&from].log.starts_with(held)),
                        "R3"
                    );
                }
            }
            Message::RequestVoteResponse(_)
            | Message::AppendEntries(_)
            | Message::TimeoutNow { .. }
            | Message::ReadIndex(_)
            | Message::ReadIndexResponse(_) => {}
        }
        assert!(durable(term, None), "R1: {from} sends {message} too early");
    }

    /// Nothing is committed unless a quorum's disks hold it, and never two different things.
    pub(crate) fn check_commit(
        &mut self,
        id: NodeId,
        before: Index,
        after: Index,
        membership: &Membership,
    ) {
        let Some(raft) = self.machines[&id].raft.as_ref() else { return };
        let (now, term) = (Arc::clone(raft.membership()), raft.hard_state().term);
        for index in before.0..after.0.min(self.machines[&id].log.len() as u64) {
            let i = index as usize;
            let entry = self.machines[&id].log[i].clone();
            if let Some(known) = self.committed.get(i) {
                assert!(*known == entry, "{id} commits another entry at {}", i + 1);
                continue;
            }
            let holds =
                |peer| self.machines.get(&peer).is_some_and(|m| m.disk.log.get(i) == Some(&entry));
            assert!(
                membership.is_quorum(holds) || now.is_quorum(holds),
                "{id} commits {} without a quorum's disks",
                i + 1
            );
            self.committed.push(entry.clone());
            self.committed_in.push(term);
            if let EntryKind::Membership(membership) = &entry.0.kind {
                let new: Vec<NodeId> = membership
                    .members
                    .keys()
                    .copied()
                    .filter(|id| !self.machines.contains_key(id))
                    .collect();
                new.into_iter().for_each(|id| self.boot(id));
            }
        }
    }
}
