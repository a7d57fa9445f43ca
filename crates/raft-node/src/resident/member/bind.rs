//! Connections between members: judged, bound to one start of the peer, and taken.

use raft_core::{Lane, NodeId, Time};
use raft_log::{PEERS_MAX, PeerBoot, Write};

use super::{Member, Order, Party};
use crate::binding::{Binding, Boot, ConnectionId, Output};
use crate::founding::{Formed, Founder, Report, View};
use crate::hello::{self, Hello, HelloReason, HelloRefused, Knowledge, Role, Welcome};
use crate::protocol::Standing;
use crate::replica::Event;
use crate::wire::{FRAME_BYTES_MAX, Frame};

impl Member {
    pub(super) fn founders(&self) -> Vec<Founder> {
        let founder = |founder: &raft_log::Founder| Founder {
            address: founder.address.clone(),
            incarnation: founder.incarnation,
        };
        self.me.founders.iter().map(founder).collect()
    }

    /// What a founder that comes late is told: the cluster stands.
    fn founding_report(&self) -> Report {
        Report {
            address: self.me.address.clone(),
            incarnation: self.me.incarnation,
            view: View::Formed(Formed { cluster: self.me.cluster, founders: self.founders() }),
        }
    }

    pub(super) fn judge<T>(&self, verdict: impl FnOnce(&Knowledge<'_>) -> T) -> T {
        let (at, committed) = self.replica.final_membership();
        verdict(&Knowledge {
            own: self.dials.own(),
            standing: Standing::Member,
            membership: Some(self.members()),
            committed: Some((at, committed)),
            peers: &self.binding.table(),
            frame_bytes_max: u32::try_from(FRAME_BYTES_MAX).unwrap_or(u32::MAX),
        })
    }

    /// Somebody dialled us and says hello.
    pub(super) fn hello_from(&mut self, now: Time, id: ConnectionId, hello: &Hello) {
        let welcome = match self.judge(|known| hello::judge(known, hello)) {
            Ok(welcome) => welcome,
            Err(refused) => return self.refuse(now, id, refused),
        };
        match (hello.role, hello.from.id) {
            (Role::Client, _) => self.welcome(id, Party::Client, welcome),
            (Role::Peer, Some(peer)) => {
                self.welcomes.insert(id, welcome);
                self.bind(now, (id, Lane::Inbound), peer, hello.from.boot());
            }
            (Role::Snapshot, Some(peer)) => {
                self.welcome(id, Party::SnapshotFrom(peer), welcome);
                self.orders.push(Order::Hurry(id));
            }
            (Role::Founder, _) => {
                self.welcome(id, Party::Passing, welcome);
                self.push(id, &Frame::Founding(self.founding_report()));
            }
            (Role::Admission | Role::Peer | Role::Snapshot, _) => {
                self.welcome(id, Party::Passing, welcome)
            }
        }
    }

    fn set_party(&mut self, id: ConnectionId, party: Party) {
        if let Some(peerage) = self.connections.get_mut(&id) {
            peerage.party = party;
        }
    }

    fn welcome(&mut self, id: ConnectionId, party: Party, welcome: Welcome) {
        self.set_party(id, party);
        self.orders.push(Order::Trust(id));
        self.push(id, &Frame::Welcome(welcome));
    }

    fn refuse(&mut self, now: Time, id: ConnectionId, refused: Box<HelloRefused>) {
        self.note_unwelcome(now, &refused);
        self.orders.push(Order::TellRefused(refused.clone()));
        self.set_party(id, Party::Leaving);
        self.expect_to_leave(now, id);
        self.push(id, &Frame::Refused(refused));
    }

    /// Keeps why somebody who says that it is a member is not let in, for whoever asks.
    fn note_unwelcome(&mut self, now: Time, refused: &HelloRefused) {
        let is_member = |id: &NodeId| self.members().members.contains_key(id);
        if let Some(peer) = refused.refused.id.filter(is_member) {
            self.replica.note_unwelcome(now, peer, refused.why());
        }
    }

    /// A dial went through up to its welcome.
    pub(super) fn welcomed(
        &mut self,
        now: Time,
        (id, peer): (ConnectionId, NodeId),
        hello: &Hello,
        welcome: &Welcome,
    ) {
        if let Err(refused) = self.judge(|known| hello::check(known, hello, welcome)) {
            // Somebody else answers at the peer's address: there is no hurry.
            self.orders.extend([Order::TellRefused(refused), Order::Close(id)]);
            return self.dials.gone(now, peer.0, false, &mut self.orders);
        }
        self.take_over(id, Party::Unbound(peer, Lane::Outbound));
        self.bind(now, (id, Lane::Outbound), peer, welcome.from.boot());
    }

    fn bind(&mut self, now: Time, (id, lane): (ConnectionId, Lane), peer: NodeId, boot: Boot) {
        if let Some(peerage) = self.connections.get_mut(&id) {
            (peerage.party, peerage.boot) = (Party::Unbound(peer, lane), boot);
        }
        self.binding(now, |binding, out| binding.hello(now, (id, lane), peer, boot, out));
    }

    pub(super) fn binding(&mut self, now: Time, act: impl FnOnce(&mut Binding, &mut Vec<Output>)) {
        let (mut outputs, mut lost) = (Vec::new(), Vec::new());
        act(&mut self.binding, &mut outputs);
        for output in outputs {
            match output {
                Output::Accept(id) => self.bound(id),
                Output::Refuse(id, reason) => self.unbound(now, id, reason),
                Output::Ping(id, nonce) => self.push(id, &Frame::Ping { nonce }),
                Output::Close(id) => lost.extend(self.end_connection(now, id)),
                Output::TableChanged => self.keep_table(),
            }
        }
        // Those that were not replaced.
        lost.retain(|peer| !self.outbound.contains_key(peer));
        for peer in lost {
            self.redial(now, peer);
        }
    }

    /// A connection is bound: from here on its messages count.
    fn bound(&mut self, id: ConnectionId) {
        let party = self.connections.get(&id).map(|peerage| peerage.party);
        let Some(Party::Unbound(peer, lane)) = party else { return };
        let (bound, table) = match lane {
            Lane::Inbound => (Party::Inbound(peer), &mut self.inbound),
            Lane::Outbound => (Party::Outbound(peer), &mut self.outbound),
        };
        table.insert(peer, id);
        self.set_party(id, bound);
        self.orders.push(Order::Hurry(id));
        if let Some(welcome) = self.welcomes.remove(&id) {
            self.welcome(id, bound, welcome);
        }
        if lane == Lane::Outbound {
            let text = format!("connected to {}", self.named(peer));
            self.orders.push(Order::Remember("link", text));
        }
        self.events.push(Event::Link { peer, lane, up: true });
    }

    /// Another start of the same peer stands in the way: this connection is not taken, or, if it
    /// was, counts no longer.
    fn unbound(&mut self, now: Time, id: ConnectionId, reason: HelloReason) {
        let Some((party, boot)) = self.connections.get(&id).map(|p| (p.party, p.boot)) else {
            return;
        };
        let (peer, lane) = match party {
            Party::Unbound(peer, lane) => (peer, lane),
            Party::Inbound(peer) => (peer, Lane::Inbound),
            Party::Outbound(peer) => (peer, Lane::Outbound),
            Party::SnapshotTo(_)
            | Party::SnapshotFrom(_)
            | Party::Stranger
            | Party::Client
            | Party::Passing
            | Party::Leaving => return,
        };
        let refused = hello::Party {
            cluster: Some(self.me.cluster),
            id: Some(peer),
            incarnation: boot.incarnation,
            epoch: boot.epoch,
            nonce: boot.nonce,
            address: self.named(peer),
        };
        let refuser = self.dials.own().clone();
        let refused = Box::new(HelloRefused { reason, refuser, refused });
        match lane {
            Lane::Inbound => {
                self.unseat(id, party);
                self.refuse(now, id, refused);
            }
            Lane::Outbound => {
                self.note_unwelcome(now, &refused);
                self.orders.push(Order::TellRefused(refused));
                self.drop_connection(now, id);
            }
        }
    }

    /// The last start of every peer goes into the log: an older copy of a peer's directory is
    /// known for what it is even after this member restarts. Who was removed is refused for that
    /// and forgotten; where still too many say that they belong here, members have the room.
    fn keep_table(&mut self) {
        let (at, settled) = self.replica.final_membership();
        let is_removed = |id| !settled.members.contains_key(&id) && at >= settled.added_at(id);
        // The table is written below in any case.
        self.binding.retain(|id| !is_removed(id), &mut Vec::new());
        let boot = |(id, boot): (NodeId, Boot)| PeerBoot {
            id,
            incarnation: boot.incarnation,
            epoch: boot.epoch,
            nonce: boot.nonce,
        };
        let mut peers: Vec<PeerBoot> = self.binding.table().into_iter().map(boot).collect();
        let members = &self.members().members;
        peers.sort_by_key(|peer| !members.contains_key(&peer.id));
        peers.truncate(PEERS_MAX);
        let write = Write { peers: Some(peers), ..Write::default() };
        self.orders.push(Order::Write { ticket: None, write });
    }
}
