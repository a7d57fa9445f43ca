//! Election Safety: "at most one leader can be elected in a given term" (paper, figure 3;
//! `ElectionSafety` in the TLA+ specification), and what it rests on: nobody votes twice in a
//! term, whatever happened to its process and its disk in between, nobody leads without the votes
//! of a quorum, and nobody obeys another.

use std::collections::BTreeMap;

use raft_core::{Message, NodeId, Raft, Term};

use super::Checked;
use super::commits::is_quorum;

#[derive(Debug, Default)]
pub(super) struct Elections {
    leaders: BTreeMap<Term, NodeId>,
    votes: BTreeMap<(Term, NodeId), NodeId>,
}

impl Elections {
    pub(super) fn leads(&mut self, id: NodeId, term: Term, raft: &Raft) -> Checked {
        let leader = *self.leaders.entry(term).or_insert(id);
        if leader != id {
            return Err(format!("{leader} and {id} both lead term {term}"));
        }
        let voted = |voter| voter == id || self.votes.get(&(term, voter)) == Some(&id);
        if !is_quorum(raft.membership(), voted) {
            return Err(format!("{id} leads term {term}, and no quorum has voted for it"));
        }
        Ok(())
    }

    pub(super) fn sends(&mut self, from: NodeId, to: NodeId, message: &Message) -> Checked {
        let candidate = match message {
            Message::RequestVote(_) => from,
            Message::RequestVoteResponse(response) if response.refusal.is_none() => to,
            _ => return Ok(()),
        };
        let term = message.term();
        let voted_for = *self.votes.entry((term, from)).or_insert(candidate);
        if voted_for != candidate {
            return Err(format!("{from} votes in term {term} for {voted_for} and {candidate}"));
        }
        Ok(())
    }

    /// Whom a member follows is who was elected in its term.
    pub(super) fn stepped(&self, host: usize, raft: &Raft) -> Checked {
        let (term, Some(leader)) = (raft.hard_state().term, raft.leader()) else { return Ok(()) };
        let elected = self.leaders.get(&term);
        if elected != Some(&leader) {
            let elected = elected.map_or_else(|| "nobody".to_owned(), NodeId::to_string);
            return Err(format!(
                "host {host} follows {leader} in term {term}, which {elected} leads"
            ));
        }
        Ok(())
    }
}
