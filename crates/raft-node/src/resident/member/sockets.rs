//! Connections that come and go, when to read on from them, and guests that stay too long.

use raft_core::{Lane, NodeId, Time};

use super::{Member, Order, Party, Peerage};
use crate::binding::{Boot, ConnectionId};
use crate::replica::Event;
use crate::resident::REPLY_BYTES_MAX;
use crate::resident::order::Flushed;
use crate::wire::{Encoded, Frame};

/// Requests of one client that may be under way; beyond, its socket is not read.
const REQUESTS_MAX: usize = 1024;

impl Peerage {
    /// Whether to hear more of it. Clients wait for their turn; members are heard whatever their
    /// own clients ask, for their votes and acknowledgements must not wait behind that.
    const fn is_light(&self) -> bool {
        let reads = self.waiting < REPLY_BYTES_MAX;
        match self.party {
            // It says nothing that would make us say more to it.
            Party::Outbound(_) => true,
            Party::Inbound(_) => reads,
            _ => reads && self.load < REQUESTS_MAX,
        }
    }
}

impl Member {
    /// Somebody dialled this member.
    pub fn accepted(&mut self, now: Time, id: ConnectionId) {
        self.take_over(id, Party::Stranger);
        self.expect_to_leave(now, id);
    }

    pub(super) fn take_over(&mut self, id: ConnectionId, party: Party) {
        let boot = Boot { incarnation: 0, epoch: 0, nonce: 0 };
        let peerage = Peerage { party, boot, load: 0, waiting: 0, paused: false, blocked: false };
        self.connections.insert(id, peerage);
    }

    pub(super) fn push(&mut self, id: ConnectionId, frame: &Frame) {
        self.push_encoded(id, frame.encode(), None);
    }

    pub(super) fn push_encoded(
        &mut self,
        to: ConnectionId,
        frame: Encoded,
        entries: Option<(raft_core::Index, raft_core::Index)>,
    ) {
        if let Some(peerage) = self.connections.get_mut(&to) {
            peerage.waiting += frame.byte_count();
            self.orders.push(Order::Push { to, frame, entries });
        }
    }

    /// A socket has taken what it could of what was pushed.
    pub fn flushed(&mut self, now: Time, id: ConnectionId, flushed: Flushed) {
        let Some(peerage) = self.connections.get_mut(&id) else { return };
        peerage.waiting = flushed.waiting;
        let blocked = flushed.waiting > 0;
        if peerage.party == Party::Leaving && !blocked {
            return self.drop_connection(now, id);
        }
        let turned = std::mem::replace(&mut peerage.blocked, blocked) != blocked;
        if let Party::Outbound(peer) = peerage.party {
            if turned {
                self.events.push(Event::Writable { peer, writable: !blocked });
            }
            if let Some((through, bytes)) = flushed.sent {
                self.events.push(Event::Sent { peer, through, bytes });
            }
        }
        self.resume_if_light(id);
    }

    /// Reads on from a connection whose replies have been taken.
    pub(super) fn resume_if_light(&mut self, id: ConnectionId) {
        let Some(peerage) = self.connections.get_mut(&id) else { return };
        if peerage.paused && peerage.is_light() {
            peerage.paused = false;
            self.orders.push(Order::Resume(id));
        }
    }

    /// A connection ended; `nonsense` says what it brought that no frame is.
    pub fn closed(&mut self, now: Time, id: ConnectionId, nonsense: Option<String>) {
        if self.dials.holds(id) {
            if let Some(outcome) = self.dials.closed(now, id, &mut self.orders) {
                self.outcome(now, outcome);
            }
            return;
        }
        let Some(party) = self.connections.get(&id).map(|peerage| peerage.party) else { return };
        if let Some(what) = nonsense {
            self.tell_folly(party, &what);
        }
        self.drop_connection(now, id);
    }

    pub(super) fn tell_folly(&mut self, party: Party, what: &str) {
        let text = format!("{} was cut off: {what}", self.who(party));
        self.orders.push(Order::TellFolly(text));
    }

    fn who(&self, party: Party) -> String {
        match party {
            Party::Inbound(peer)
            | Party::Outbound(peer)
            | Party::Unbound(peer, _)
            | Party::SnapshotTo(peer)
            | Party::SnapshotFrom(peer) => self.named(peer),
            Party::Client => "a client".into(),
            Party::Stranger | Party::Passing | Party::Leaving => "somebody who dialled".into(),
        }
    }

    /// Ends a connection and what hangs on it; if we dialled it, it is dialled again.
    pub(super) fn drop_connection(&mut self, now: Time, id: ConnectionId) {
        if let Some(peer) = self.end_connection(now, id) {
            self.redial(now, peer);
        }
    }

    /// Closes both connections to a peer.
    pub(super) fn drop_peer(&mut self, now: Time, peer: NodeId) {
        let connections = [self.inbound.get(&peer).copied(), self.outbound.get(&peer).copied()];
        for id in connections.into_iter().flatten() {
            self.drop_connection(now, id);
        }
    }

    pub(super) fn redial(&mut self, now: Time, peer: NodeId) {
        self.dials.gone(now, peer.0, true, &mut self.orders);
        self.drop_dials();
    }

    /// Ends a connection and what hangs on it; says whom to dial again.
    pub(super) fn end_connection(&mut self, now: Time, id: ConnectionId) -> Option<NodeId> {
        let Peerage { party, .. } = self.connections.remove(&id)?;
        // What was said last may still be on its way, a refusal above all.
        self.orders.push(Order::Close(id));
        self.welcomes.remove(&id);
        self.unseat(id, party);
        self.binding(now, |binding, out| binding.closed(id, out));
        if let Party::Outbound(peer) = party {
            self.drop_lane(now, peer);
        }
        match party {
            Party::Outbound(peer) | Party::Unbound(peer, Lane::Outbound) => Some(peer),
            _ => None,
        }
    }

    /// A connection counts no longer: what hung on it ends with it.
    pub(super) fn unseat(&mut self, id: ConnectionId, party: Party) {
        match party {
            Party::Inbound(peer) => {
                if self.inbound.get(&peer) == Some(&id) {
                    self.inbound.remove(&peer);
                    self.events.push(Event::Link { peer, lane: Lane::Inbound, up: false });
                }
                self.events.push(Event::Gone { connection: id.0 });
            }
            Party::Outbound(peer) => {
                if self.outbound.get(&peer) == Some(&id) {
                    self.outbound.remove(&peer);
                    let text = format!("lost the connection to {}", self.named(peer));
                    self.orders.push(Order::Remember("link", text));
                    self.events.push(Event::Link { peer, lane: Lane::Outbound, up: false });
                }
            }
            Party::Client => self.events.push(Event::Gone { connection: id.0 }),
            Party::SnapshotTo(_) | Party::SnapshotFrom(_) => self.lane_ended(id, party),
            Party::Unbound(..) | Party::Stranger | Party::Passing | Party::Leaving => {}
        }
    }

    /// It may stay for a while as somebody who is neither a client nor a member.
    pub(super) fn expect_to_leave(&mut self, now: Time, id: ConnectionId) {
        self.guests.push_back((now + self.settings.guest_patience(), id));
    }

    /// Hangs up on those who never said who they are, or were told what they wanted to know and
    /// do not leave.
    pub(super) fn turn_out_guests(&mut self, now: Time) {
        while let Some((_, id)) = self.guests.pop_front_if(|(deadline, _)| *deadline <= now) {
            let party = self.connections.get(&id).map(|peerage| peerage.party);
            if matches!(party, Some(Party::Stranger | Party::Passing | Party::Leaving)) {
                self.drop_connection(now, id);
            }
        }
    }
}
