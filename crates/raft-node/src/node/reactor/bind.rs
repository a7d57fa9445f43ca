//! Connections between members: judged, bound to one start of the peer, and taken.

use raft_core::{Lane, NodeId, Time};
use raft_log::{PEERS_MAX, PeerBoot, Write};

use super::{Party, Reactor};
use crate::binding::{Boot, ConnectionId, Output};
use crate::founding::{Formed, Founder, Report, View};
use crate::hello::{self, Hello, HelloReason, HelloRefused, Knowledge, Role, Welcome};
use crate::node::connection::Talk;
use crate::node::dial;
use crate::node::incoming::Dialled;
use crate::protocol::Standing;
use crate::replica::Event;
use crate::wire::{Admit, FRAME_BYTES_MAX, Frame};

impl Reactor<'_> {
    /// This member, as it introduces itself.
    pub(super) fn party(&self) -> hello::Party {
        hello::Party {
            cluster: Some(self.me.cluster),
            id: Some(self.me.id),
            incarnation: self.me.incarnation,
            epoch: self.parts.boot.epoch,
            nonce: self.parts.boot.nonce,
            address: self.me.address.clone(),
        }
    }

    fn founders(&self) -> Vec<Founder> {
        let founder = |founder: &raft_log::Founder| Founder {
            address: founder.address.clone(),
            incarnation: founder.incarnation,
        };
        self.me.founders.iter().map(founder).collect()
    }

    /// What a founder that comes late is told: the cluster stands.
    pub(super) fn founding_report(&self) -> Report {
        Report {
            address: self.me.address.clone(),
            incarnation: self.me.incarnation,
            view: View::Formed(Formed { cluster: self.me.cluster, founders: self.founders() }),
        }
    }

    fn judge<T>(&self, verdict: impl FnOnce(&Knowledge<'_>) -> T) -> T {
        let (at, committed) = self.parts.replica.final_membership();
        verdict(&Knowledge {
            own: &self.party(),
            standing: Standing::Member,
            membership: Some(self.parts.replica.raft().membership()),
            committed: Some((at, committed)),
            peers: &self.parts.binding.table(),
            frame_bytes_max: u32::try_from(FRAME_BYTES_MAX).unwrap_or(u32::MAX),
        })
    }

    /// Somebody dialled us and says hello.
    pub(super) fn hello_from(&mut self, id: u64, hello: &Hello) {
        let welcome = match self.judge(|known| hello::judge(known, hello)) {
            Ok(welcome) => welcome,
            Err(refused) => return self.refuse(id, refused),
        };
        match (hello.role, hello.from.id) {
            (Role::Client, _) => self.welcome(id, Party::Client, welcome),
            (Role::Peer, Some(peer)) => {
                self.set_party(id, Party::Unbound(peer, Lane::Inbound));
                self.set_boot(id, hello.from.boot());
                self.welcomes.insert(id, welcome);
                let connection = (ConnectionId(id), Lane::Inbound);
                let mut outputs = Vec::new();
                let now = self.now();
                self.parts.binding.hello(now, connection, peer, hello.from.boot(), &mut outputs);
                self.bindings(outputs);
            }
            (Role::Founder, _) => {
                self.welcome(id, Party::Passing, welcome);
                self.push(id, Frame::Founding(self.founding_report()).encode());
            }
            (Role::Admission | Role::Peer, _) => self.welcome(id, Party::Passing, welcome),
        }
    }

    fn set_party(&mut self, id: u64, party: Party) {
        if let Some(peerage) = self.connections.get_mut(&id) {
            peerage.party = party;
        }
    }

    fn set_boot(&mut self, id: u64, boot: Boot) {
        if let Some(peerage) = self.connections.get_mut(&id) {
            peerage.boot = boot;
        }
    }

    fn welcome(&mut self, id: u64, party: Party, welcome: Welcome) {
        self.set_party(id, party);
        if let Some(peerage) = self.connections.get(&id) {
            peerage.connection.trust();
        }
        self.push(id, Frame::Welcome(welcome).encode());
    }

    fn refuse(&mut self, id: u64, refused: Box<HelloRefused>) {
        self.site.tell_refused(&refused);
        self.set_party(id, Party::Leaving);
        self.expect_to_leave(id);
        self.push(id, Frame::Refused(refused).encode());
    }

    /// A dial went through up to its welcome.
    pub(super) fn dialled(&mut self, peer: NodeId, dialled: Dialled) {
        let Dialled { talk, hello, welcome } = dialled;
        if let Err(refused) = self.judge(|known| hello::check(known, &hello, &welcome)) {
            self.site.tell_refused(&refused);
            return self.redial_later(peer, talk);
        }
        let id = self.take_over(talk, Party::Unbound(peer, Lane::Outbound));
        if let Some(peerage) = self.connections.get(&id) {
            peerage.connection.trust();
        }
        self.set_boot(id, welcome.from.boot());
        let connection = (ConnectionId(id), Lane::Outbound);
        let mut outputs = Vec::new();
        let now = self.now();
        self.parts.binding.hello(now, connection, peer, welcome.from.boot(), &mut outputs);
        self.bindings(outputs);
    }

    /// Somebody else answers at the peer's address: there is no hurry.
    fn redial_later(&self, peer: NodeId, talk: Talk) {
        drop(talk);
        if let Some(dialler) = self.diallers.get(&peer) {
            dialler.redial_later();
        }
    }

    /// Time passed, for pings that wait for an answer.
    pub(super) fn binding_timer(&mut self, now: Time) {
        let mut outputs = Vec::new();
        self.parts.binding.timer(now, &mut outputs);
        self.bindings(outputs);
    }

    pub(super) fn binding_pong(&mut self, id: u64, nonce: u64) {
        let mut outputs = Vec::new();
        let now = self.now();
        self.parts.binding.pong(now, ConnectionId(id), nonce, &mut outputs);
        self.bindings(outputs);
    }

    pub(super) fn binding_closed(&mut self, id: u64) {
        let mut outputs = Vec::new();
        self.parts.binding.closed(ConnectionId(id), &mut outputs);
        self.bindings(outputs);
    }

    fn bindings(&mut self, outputs: Vec<Output>) {
        let mut lost = Vec::new();
        for output in outputs {
            match output {
                Output::Accept(ConnectionId(id)) => self.bound(id),
                Output::Refuse(ConnectionId(id), reason) => self.unbound(id, reason),
                Output::Ping(ConnectionId(id), nonce) => {
                    self.push(id, Frame::Ping { nonce }.encode());
                }
                Output::Close(ConnectionId(id)) => lost.extend(self.end_connection(id)),
                Output::TableChanged => self.keep_table(),
            }
        }
        // Those that were not replaced.
        lost.retain(|peer| !self.outbound.contains_key(peer));
        for peer in lost {
            self.redial(peer);
        }
    }

    /// A connection is bound: from here on its messages count.
    fn bound(&mut self, id: u64) {
        let party = self.connections.get(&id).map(|peerage| peerage.party);
        let Some(Party::Unbound(peer, lane)) = party else { return };
        let (bound, table) = match lane {
            Lane::Inbound => (Party::Inbound(peer), &mut self.inbound),
            Lane::Outbound => (Party::Outbound(peer), &mut self.outbound),
        };
        table.insert(peer, id);
        self.set_party(id, bound);
        if let Some(peerage) = self.connections.get(&id) {
            peerage.connection.hurry(2 * self.site.settings.election_timeout);
        }
        if let Some(welcome) = self.welcomes.remove(&id) {
            self.welcome(id, bound, welcome);
        }
        if lane == Lane::Outbound {
            let text = format!("connected to {}", self.named(peer));
            self.site.observed.event("link", text);
        }
        self.events.push(Event::Link { peer, lane, up: true });
    }

    /// Another start of the same peer stands in the way: this connection is not taken, or, if it
    /// was, counts no longer.
    fn unbound(&mut self, id: u64, reason: HelloReason) {
        let Some((party, boot)) = self.connections.get(&id).map(|p| (p.party, p.boot)) else {
            return;
        };
        let (peer, lane) = match party {
            Party::Unbound(peer, lane) => (peer, lane),
            Party::Inbound(peer) => (peer, Lane::Inbound),
            Party::Outbound(peer) => (peer, Lane::Outbound),
            Party::Stranger | Party::Client | Party::Passing | Party::Leaving => return,
        };
        let refused = hello::Party {
            cluster: Some(self.me.cluster),
            id: Some(peer),
            incarnation: boot.incarnation,
            epoch: boot.epoch,
            nonce: boot.nonce,
            address: self.named(peer),
        };
        let refused = Box::new(HelloRefused { reason, refuser: self.party(), refused });
        match lane {
            Lane::Inbound => {
                self.unseat(id, party);
                self.refuse(id, refused);
            }
            Lane::Outbound => {
                self.site.tell_refused(&refused);
                self.drop_connection(id);
            }
        }
    }

    /// The last start of every peer goes into the log: an older copy of a peer's directory is
    /// known for what it is even after this member restarts. Who was removed is refused for that
    /// and forgotten; where still too many say that they belong here, members have the room.
    fn keep_table(&mut self) {
        let (at, settled) = self.parts.replica.final_membership();
        let is_removed = |id| !settled.members.contains_key(&id) && at >= settled.added_at(id);
        // The table is written below in any case.
        self.parts.binding.retain(|id| !is_removed(id), &mut Vec::new());
        let boot = |(id, boot): (NodeId, Boot)| PeerBoot {
            id,
            incarnation: boot.incarnation,
            epoch: boot.epoch,
            nonce: boot.nonce,
        };
        let mut peers: Vec<PeerBoot> = self.parts.binding.table().into_iter().map(boot).collect();
        let members = &self.parts.replica.raft().membership().members;
        peers.sort_by_key(|peer| !members.contains_key(&peer.id));
        peers.truncate(PEERS_MAX);
        self.parts.wal.submit_peers(Write { peers: Some(peers), ..Write::default() });
    }

    /// A peer listens and refuses. If it is new and was added by a committed entry, the leader
    /// tells it who it is.
    pub(super) fn unwelcome(&mut self, peer: NodeId, refused: &HelloRefused) {
        let raft = self.parts.replica.raft();
        let waits =
            matches!(refused.reason, HelloReason::New | HelloReason::AcceptorRemoved { .. });
        let member = raft.membership().members.get(&peer);
        let admissible = member.filter(|member| {
            waits && raft.is_leader() && member.incarnation == refused.refuser.incarnation
        });
        let added_at = raft.membership().added_at(peer);
        let Some(member) = admissible.filter(|_| added_at <= raft.commit_index()) else {
            return self.obey(refused);
        };
        let admit = Admit {
            cluster: self.me.cluster,
            id: peer,
            incarnation: member.incarnation,
            address: member.address.clone(),
            founders: self.founders(),
            at: added_at,
        };
        let address = member.address.clone();
        let hello = self.hello(Role::Admission, None, Some(member.incarnation), &address);
        let patience = self.site.settings.election_timeout;
        let hurry = self.diallers.get(&peer).map(dial::Dialler::hurry);
        tokio::task::spawn_local(async move {
            // If it did not go through, the next refused dial leads here again.
            if dial::admit(&address, hello, admit, patience).await.is_ok() {
                hurry.inspect(|hurry| hurry.notify_one());
            }
        });
    }

    /// Removal is the cluster's word on this very member, and the only refusal that is obeyed.
    pub(super) fn obey(&mut self, refused: &HelloRefused) {
        if let Some(at) = refused.removes(&self.party()) {
            self.end_with(super::End::Removed(at));
            return;
        }
        // A server that waits to be told who it is needs no words about it.
        if !matches!(refused.reason, HelloReason::New | HelloReason::AcceptorRemoved { .. }) {
            self.site.tell_refused(refused);
        }
    }
}
