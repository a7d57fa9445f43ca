//! Election Safety: "at most one leader can be elected in a given term" (paper, figure 3;
//! `ElectionSafety` in the TLA+ specification), and what it rests on: nobody votes twice in a
//! term, whatever happened to its process and its disk in between.

use std::collections::BTreeMap;

use raft_core::{Message, NodeId, Term};

use super::Checked;

#[derive(Debug, Default)]
pub(super) struct Elections {
    leaders: BTreeMap<Term, NodeId>,
    votes: BTreeMap<(Term, NodeId), NodeId>,
}

impl Elections {
    pub(super) fn leads(&mut self, id: NodeId, term: Term) -> Checked {
        let leader = *self.leaders.entry(term).or_insert(id);
        if leader == id { Ok(()) } else { Err(format!("{leader} and {id} both lead term {term}")) }
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
}
