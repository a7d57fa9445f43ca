//! Pre-vote (thesis 9.6): "a candidate would only increment its term if it first learned from a
//! majority of the cluster that they would be willing to grant the candidate their votes (if the
//! candidate's log is sufficiently up-to-date ...)". So terms cannot grow without end.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::{Message, NodeId, Raft, Term};

use super::Checked;
use super::commits::is_quorum;

#[derive(Debug, Default)]
pub(super) struct PreVotes {
    granted: BTreeMap<(Term, NodeId), BTreeSet<NodeId>>,
}

impl PreVotes {
    /// Who lies may have said that it would vote.
    pub(super) fn sends(
        &mut self,
        (from, to): (NodeId, NodeId),
        message: &Message,
        lies: impl Fn(NodeId) -> bool,
        raft: &Raft,
    ) -> Checked {
        let term = message.term();
        match message {
            Message::PreVoteResponse(response) if response.refusal.is_none() => {
                self.granted.entry((term, to)).or_default().insert(from);
            }
            Message::RequestVote(request) if !request.transfer => {
                let granted = self.granted.get(&(term, from));
                let would =
                    |id| id == from || lies(id) || granted.is_some_and(|by| by.contains(&id));
                if !is_quorum(raft.membership(), would) {
                    let granted = granted.map_or(0, BTreeSet::len);
                    return Err(format!(
                        "{from} campaigns in term {term}, and only {granted} others would vote for it"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
