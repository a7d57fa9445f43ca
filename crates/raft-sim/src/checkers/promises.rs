//! What a message promises is on its sender's disk when it leaves: rules R1 to R4. A term before
//! anything is said in it, a vote before it is asked for or given, entries before they are
//! acknowledged (paper, figure 2: "updated on stable storage before responding to RPCs").

use raft_core::{AppendResult, Message, NodeId, Term};

use super::Checked;
use super::disks::{Disks, place};

pub(super) fn check(disks: &Disks, host: usize, to: NodeId, message: &Message) -> Checked {
    let Some(model) = disks.model(host) else { return Ok(()) };
    let held = model.hard_state;
    let durable = |term: Term, vote: Option<NodeId>| {
        held.term > term || held.term == term && (vote.is_none() || vote == held.voted_for)
    };
    let (me, term) = (disks.id_of(host), message.term());
    match message {
        Message::PreVote(_) | Message::PreVoteResponse(_) => return Ok(()),
        Message::RequestVote(request) => {
            if !durable(term, model.id) {
                return Err(format!("{me} asks for votes in term {term} and its disk has {held}"));
            }
            let last = request.last_log_id;
            let on_disk = model.durable.get(place(last.index)).map(|stamp| stamp.term);
            if last.index.0 > 0 && on_disk != Some(last.term) {
                return Err(format!("{me} offers a log up to {last} that its disk does not have"));
            }
        }
        Message::RequestVoteResponse(response) if response.refusal.is_none() => {
            if !durable(term, Some(to)) {
                return Err(format!("{me} votes for {to} in term {term}, its disk has {held}"));
            }
        }
        Message::AppendEntriesResponse(response) => {
            if let AppendResult::Match(index) = response.result
                && index.0 > 0
            {
                let at = place(index);
                let on_disk = model.durable.get(at);
                if on_disk.is_none() || on_disk != model.handed.get(at) {
                    return Err(format!("{me} acknowledges {index}, which its disk does not have"));
                }
            }
        }
        Message::RequestVoteResponse(_)
        | Message::AppendEntries(_)
        | Message::TimeoutNow { .. } => {}
    }
    if !durable(term, None) {
        return Err(format!("{me} speaks in term {term} and its disk has {held}"));
    }
    Ok(())
}
