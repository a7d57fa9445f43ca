//! What this replica refused to clients, and all that it says when it is asked why.
//!
//! Clients are refused in many places; here it is seen in one, where the replies leave the replica.

use raft_core::{Alike, JobKind, NodeId, PeerStatus, Repeated, Time};

use super::{Chunk, Effect, Event, Replica};
use crate::protocol::{Answer, Request};
use crate::testimony::{Asked, ChangeView, Knew, PastRefusal, PeerView, RefusedThing, Testimony};

/// A refusal that the core does not know of.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    thing: RefusedThing,
    knew: Knew,
}

impl Alike for Refused {
    fn is_alike(&self, other: &Self) -> bool {
        self.thing.is_alike(&other.thing)
    }
}

impl Asked {
    /// What a client asks by this event; `None` for an answer of the leader to what was passed on
    /// to it: its refusal is the leader's.
    pub(super) const fn by(event: &Event) -> Option<Self> {
        match event {
            Event::Request { request, .. } => Some(match request {
                Request::Register { .. }
                | Request::Write { .. }
                | Request::Result(_)
                | Request::EndSession { .. } => Self::Write,
                Request::Read { .. } => Self::Read,
                Request::Change { .. } | Request::Transfer { .. } => Self::Change,
                Request::Members
                | Request::Snapshot
                | Request::Status
                | Request::Recent { .. }
                | Request::Why => Self::Request,
            }),
            Event::Met { .. } => Some(Self::Change),
            Event::ForwardReply { .. } => None,
            _ => Some(Self::Request),
        }
    }
}

impl Replica {
    /// Keeps the refusals among these effects.
    pub(super) fn note_refusals(&mut self, now: Time, asked: Option<Asked>, effects: &[Effect]) {
        let Some(asked) = asked else { return };
        for effect in effects {
            if let Effect::Reply { reply, .. } = effect
                && let Answer::Refused(refusal) = &reply.answer
            {
                let refusal = refusal.clone();
                self.note_refusal(now, RefusedThing::Client { asked, refusal });
            }
        }
    }

    /// Whether there is room for a leader's entries. If not, they are refused without a word.
    pub(super) fn takes(&mut self, now: Time, from: NodeId, received: &Chunk) -> bool {
        let takes = self.can_hold(received);
        if !takes {
            let bytes = received.bytes.iter().map(|slice| slice.len() as u64).sum();
            let free = self.own_free;
            self.note_refusal(now, RefusedThing::Entries { from, bytes, free });
        }
        takes
    }

    /// Somebody who says that it is this member was not let in.
    pub(crate) fn note_unwelcome(&mut self, now: Time, from: NodeId, why: String) {
        self.note_refusal(now, RefusedThing::Hello { from, why });
    }

    fn note_refusal(&mut self, now: Time, thing: RefusedThing) {
        let knew = Knew {
            term: self.raft.term(),
            last_log_id: self.raft.last_log_id(),
            leader: self.raft.leader(),
        };
        self.refusals.note(now, Refused { thing, knew });
    }

    /// All that there is to say.
    pub(super) fn testimony(&self, now: Time) -> Testimony {
        let core = self.raft.status();
        let ago = |then: Time| now - then;
        let peer = |peer: &PeerStatus| PeerView {
            id: peer.id,
            match_index: peer.match_index,
            next_index: peer.next_index,
            installing: peer.installing,
            connected: peer.connected,
            answered_ms: peer.answered.map(ago),
        };
        Testimony {
            status: self.status(),
            refused: self.past_refusals(now),
            peers: core.peers.iter().map(peer).collect(),
            reaches: self.clients.linked.iter().copied().collect(),
            change: self.change_view(core.catching_up.map(|(_, since)| ago(since))),
            write_out_ms: core.write_out_since.map(ago),
        }
    }

    /// The core's and ours, the latest last.
    fn past_refusals(&self, now: Time) -> Vec<PastRefusal> {
        let past = |what: RefusedThing, knew: Knew, count: u64, (first, last): (Time, Time)| {
            PastRefusal { what, knew, count, first_ms: now - first, last_ms: now - last }
        };
        let core = self.raft.refusals().iter().map(|kept: &Repeated<raft_core::Refused>| {
            let refused = kept.what;
            let knew = Knew {
                term: refused.term,
                last_log_id: refused.last_log_id,
                leader: refused.leader,
            };
            let thing = RefusedThing::Peer { from: refused.from, request: refused.what };
            past(thing, knew, kept.count, (kept.first, kept.last))
        });
        let own = self.refusals.iter().map(|kept| {
            let Refused { thing, knew } = kept.what.clone();
            past(thing, knew, kept.count, (kept.first, kept.last))
        });
        let mut all: Vec<PastRefusal> = core.chain(own).collect();
        all.sort_by_key(|refusal| std::cmp::Reverse(refusal.last_ms));
        all
    }

    fn change_view(&self, stuck_ms: Option<u64>) -> Option<ChangeView> {
        let membership = self.membership();
        let job = membership.job.as_ref()?;
        let (what, about) = match job.kind {
            JobKind::Promote(id) => (format!("adding {id}"), id),
            JobKind::Remove(id) => (format!("removing {id}"), id),
            JobKind::Demote(id) => (format!("demoting {id}"), id),
            JobKind::Replace { old, new } => (format!("replacing {old} by {new}"), new),
        };
        let index = self.raft.status().membership_index;
        let joint = membership.old_voters.is_some();
        Some(ChangeView { what, about, index, joint, stuck_ms })
    }
}
