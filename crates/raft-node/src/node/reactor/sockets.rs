//! Writing to sockets, when to read on from them, and guests that stay too long.

use raft_core::Time;

use super::{Party, Peerage, Reactor};
use crate::node::connection::Flushed;
use crate::replica::Event;

/// Requests of one client that may be under way; beyond, its socket is not read.
const REQUESTS_MAX: usize = 1024;

impl Peerage {
    /// Whether to hear more of it. Clients wait for their turn; members are heard whatever their
    /// own clients ask, for their votes and acknowledgements must not wait behind that.
    fn is_light(&self) -> bool {
        let reads = self.connection.is_read();
        match self.party {
            // It says nothing that would make us say more to it.
            Party::Outbound(_) => true,
            Party::Inbound(_) => reads,
            _ => reads && self.load < REQUESTS_MAX,
        }
    }
}

impl Reactor<'_> {
    /// Writes to every touched socket once.
    pub(super) fn flush(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            let Some(peerage) = self.connections.get_mut(&id) else { continue };
            let flushed = peerage.connection.flush();
            // Its reader may be waiting for it to be light, and would never notice.
            if flushed == Flushed::Broken
                || (peerage.party == Party::Leaving && flushed == Flushed::All)
            {
                self.drop_connection(id);
                continue;
            }
            let blocked = flushed == Flushed::Blocked;
            if std::mem::replace(&mut peerage.blocked, blocked) != blocked
                && let Party::Outbound(peer) = peerage.party
            {
                self.events.push(Event::Writable { peer, writable: !blocked });
            }
            self.tell_sent(id);
            self.resume_if_light(id);
        }
    }

    /// How far the socket to a member has taken entries.
    pub(super) fn tell_sent(&mut self, id: u64) {
        let Some(peerage) = self.connections.get(&id) else { return };
        if let Party::Outbound(peer) = peerage.party
            && let Some((through, bytes)) = peerage.connection.take_sent()
        {
            self.events.push(Event::Sent { peer, through, bytes });
        }
    }

    /// A socket that was full takes bytes again.
    pub(super) fn drained(&mut self, id: u64) {
        if let Some(peerage) = self.connections.get_mut(&id)
            && std::mem::replace(&mut peerage.blocked, false)
            && let Party::Outbound(peer) = peerage.party
        {
            self.events.push(Event::Writable { peer, writable: true });
        }
        self.touched.insert(id);
    }

    /// Reads on from a connection whose replies have been taken.
    pub(super) fn resume_if_light(&mut self, id: u64) {
        let Some(peerage) = self.connections.get_mut(&id) else { return };
        if peerage.paused && peerage.is_light() {
            peerage.paused = false;
            peerage.connection.resume();
        }
    }

    /// It may stay for a while as somebody who is neither a client nor a member.
    pub(super) fn expect_to_leave(&mut self, id: u64) {
        let patience = u64::try_from(self.site.guest_patience().as_millis()).unwrap_or(u64::MAX);
        self.guests.push_back((self.now() + patience, id));
    }

    /// Hangs up on those who never said who they are, or were told what they wanted to know and
    /// do not leave.
    pub(super) fn turn_out_guests(&mut self, now: Time) {
        while let Some((_, id)) = self.guests.pop_front_if(|(deadline, _)| *deadline <= now) {
            let party = self.connections.get(&id).map(|peerage| peerage.party);
            if matches!(party, Some(Party::Stranger | Party::Passing | Party::Leaving)) {
                self.drop_connection(id);
            }
        }
    }
}
