//! "The voter denies its vote if its own log is more up-to-date than that of the candidate" (paper,
//! section 5.4.1), and so it does with a pre-vote. And whoever refuses teaches: "If RPC request or
//! response contains term T > currentTerm: set currentTerm = T" (paper, figure 2). Without that a
//! member of an old term asks for ever.

use std::collections::BTreeMap;

use raft_core::{HardState, LogId, Message, NodeId, Raft, Term};

use super::{Checked, Named};

#[derive(Debug, Default)]
pub(super) struct Votes {
    steps: BTreeMap<usize, Step>,
    /// Term and vote of each server after its last step.
    given: BTreeMap<usize, HardState>,
}

/// What a member takes in one step.
#[derive(Debug, Default)]
struct Step {
    /// The last entry of its log before.
    last_log_id: LogId,
    /// Logs offered for a vote in a term.
    offered: BTreeMap<(NodeId, Term), LogId>,
    /// The highest term of a refusal.
    taught: Term,
}

impl Votes {
    pub(super) fn begins(&mut self, host: usize, last_log_id: LogId) {
        self.steps.insert(host, Step { last_log_id, ..Step::default() });
    }

    pub(super) fn takes(&mut self, host: usize, from: NodeId, message: &Message) {
        let Some(step) = self.steps.get_mut(&host) else { return };
        match message {
            Message::RequestVote(request) | Message::PreVote(request) => {
                let offered = step.offered.entry((from, request.term)).or_default();
                *offered = (*offered).max(request.last_log_id);
            }
            Message::PreVoteResponse(response) | Message::RequestVoteResponse(response)
                if response.refusal.is_some() =>
            {
                step.taught = step.taught.max(response.term);
            }
            _ => {}
        }
    }

    /// A pre-vote that is granted is sent in the step that takes it.
    pub(super) fn sends(&self, host: usize, to: NodeId, message: &Message, raft: &Raft) -> Checked {
        match message {
            Message::PreVoteResponse(response) if response.refusal.is_none() => {
                self.looked(host, to, response.term, raft)
            }
            _ => Ok(()),
        }
    }

    /// A vote may be sent later, when it is durable: it is judged when it is given, and only then,
    /// for whoever is asked once more may have a longer log by now.
    pub(super) fn stepped(&mut self, host: usize, me: NodeId, raft: &Raft) -> Named {
        let hard_state = raft.hard_state();
        if let Some(step) = self.steps.get(&host)
            && hard_state.term < step.taught
        {
            let (term, taught) = (hard_state.term, step.taught);
            let what = format!("{me} was refused in term {taught} and stays in term {term}");
            return Err(("terms spread", what));
        }
        let is_new = self.given.insert(host, hard_state) != Some(hard_state);
        match hard_state.voted_for.filter(|to| is_new && *to != me) {
            Some(to) => {
                let looked = self.looked(host, to, hard_state.term, raft);
                looked.map_err(|what| ("votes look at logs", what))
            }
            None => Ok(()),
        }
    }

    /// The step may also have changed the log: the vote was given with one of the two.
    fn looked(&self, host: usize, to: NodeId, term: Term, raft: &Raft) -> Checked {
        let Some(step) = self.steps.get(&host) else { return Ok(()) };
        let Some(offered) = step.offered.get(&(to, term)) else { return Ok(()) };
        let held = step.last_log_id.min(raft.last_log_id());
        if held > *offered {
            return Err(format!(
                "host {host} votes for {to}, which holds {offered}, and itself holds {held}"
            ));
        }
        Ok(())
    }
}
