//! What a message promises is on its sender's disk when it leaves: rules R1 to R4. A term before
//! anything is said in it, a vote before it is asked for or given, entries before they are
//! acknowledged (paper, figure 2: "updated on stable storage before responding to RPCs").

use std::collections::BTreeMap;

use raft_core::{AppendResult, Index, Message, NodeId, Raft, Term};

use super::disks::{Disks, place};
use super::{Checked, Stamp};

/// The log of each leader when it was elected: with its own entries, all that its followers may
/// acknowledge.
#[derive(Debug, Default)]
pub(super) struct Promises {
    leaders: BTreeMap<Term, Vec<Stamp>>,
}

impl Promises {
    pub(super) fn leads(&mut self, host: usize, term: Term, disks: &Disks) {
        let log = disks.model(host).map(|model| model.handed.clone());
        self.leaders.insert(term, log.unwrap_or_default());
    }

    /// Equal to the leader's log: R3, and rejections never count (CCF's "commit on NACK").
    fn is_leaders(&self, term: Term, index: Index, stamp: Stamp) -> bool {
        stamp.term == term
            || self.leaders.get(&term).is_none_or(|log| log.get(place(index)) == Some(&stamp))
    }
}

pub(super) fn check(
    promises: &Promises,
    disks: &Disks,
    host: usize,
    to: NodeId,
    message: &Message,
) -> Checked {
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
                let Some(on_disk) = on_disk.filter(|stamp| model.handed.get(at) == Some(*stamp))
                else {
                    return Err(format!("{me} acknowledges {index}, which its disk does not have"));
                };
                if !promises.is_leaders(term, index, *on_disk) {
                    return Err(format!("{me} acknowledges {index}, which is not {to}'s entry"));
                }
            }
        }
        Message::RequestVoteResponse(_)
        | Message::AppendEntries(_)
        | Message::TimeoutNow { .. }
        | Message::ReadIndex(_)
        | Message::ReadIndexResponse(_) => {}
    }
    if !durable(term, None) {
        return Err(format!("{me} speaks in term {term} and its disk has {held}"));
    }
    Ok(())
}

/// Until the entry that adds a newcomer is committed its id may become another's: nobody says
/// anything to it.
pub(super) fn feeds(to: NodeId, message: &Message, raft: &Raft) -> Checked {
    let added_at = raft.membership().added_at(to);
    let is_fed = matches!(message, Message::AppendEntries(_));
    if is_fed && raft.membership().members.contains_key(&to) && added_at > raft.commit_index() {
        return Err(format!("{to} is fed, and entry {added_at}, which adds it, is not committed"));
    }
    Ok(())
}
