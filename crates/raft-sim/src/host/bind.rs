//! Connections between members: judged, bound to one start of the peer, and taken.

use raft_core::{Lane, NodeId};
use raft_log::{PEERS_MAX, PeerBoot, Write};
use raft_node::Standing;
use raft_node::binding::{Boot, ConnectionId, Output};
use raft_node::founding::Founder;
use raft_node::hello::{
    self, Hello, HelloReason, HelloRefused, Knowledge, Party as Identity, Role, Welcome,
};
use raft_node::replica::Event;
use raft_node::wire::{Admit, FRAME_BYTES_MAX, Frame};

use super::dials::Purpose;
use super::{Line, Party, Process};
use crate::network::WireId;
use crate::world::World;

impl Process {
    fn judge<T>(&self, verdict: impl FnOnce(&Knowledge<'_>) -> T) -> Option<T> {
        let member = self.member.as_ref()?;
        let (at, committed) = member.replica.final_membership();
        Some(verdict(&Knowledge {
            own: &member.party(),
            standing: Standing::Member,
            membership: Some(member.replica.raft().membership()),
            committed: Some((at, committed)),
            peers: &member.binding.table(),
            frame_bytes_max: u32::try_from(FRAME_BYTES_MAX).unwrap_or(u32::MAX),
        }))
    }

    /// Somebody dialled us and says hello.
    pub(super) fn hello_from(&mut self, world: &mut World, wire: WireId, hello: &Hello) {
        let welcome = match self.judge(|known| hello::judge(known, hello)) {
            Some(Ok(welcome)) => welcome,
            Some(Err(refused)) => return self.refuse(world, wire, refused),
            None => return,
        };
        match (hello.role, hello.from.id) {
            (Role::Client, _) => self.welcome(world, wire, Party::Client, welcome),
            (Role::Peer, Some(peer)) => {
                self.set_party(wire, Party::Unbound(peer, Lane::Inbound));
                if let Some(member) = &mut self.member {
                    member.welcomes.insert(wire, welcome);
                }
                self.bind(world, (wire, Lane::Inbound), peer, hello.from.boot());
            }
            (Role::Founder | Role::Admission | Role::Peer, _) => {
                self.welcome(world, wire, Party::Passing, welcome);
            }
        }
    }

    fn welcome(&mut self, world: &mut World, wire: WireId, party: Party, welcome: Welcome) {
        self.set_party(wire, party);
        self.push(world, wire, &Frame::Welcome(welcome));
    }

    fn refuse(&mut self, world: &mut World, wire: WireId, refused: Box<HelloRefused>) {
        world.trace(format_args!("{} refuses: {refused}", self.address));
        world.checkers.probe("hello refused");
        self.push(world, wire, &Frame::Refused(refused));
        self.end_line(world, wire);
    }

    /// A dial went through up to its welcome.
    pub(super) fn welcomed(
        &mut self,
        world: &mut World,
        wire: WireId,
        peer: NodeId,
        hello: &Hello,
        welcome: &Welcome,
    ) {
        if let Some(Err(refused)) = self.judge(|known| hello::check(known, hello, welcome)) {
            world.trace(format_args!("{} does not like: {refused}", self.address));
            self.forget_line(world, wire);
            return self.redial_later(world, peer);
        }
        self.set_party(wire, Party::Unbound(peer, Lane::Outbound));
        self.bind(world, (wire, Lane::Outbound), peer, welcome.from.boot());
    }

    fn bind(&mut self, world: &mut World, (wire, lane): (WireId, Lane), peer: NodeId, boot: Boot) {
        let now = world.now();
        if let Some(line) = self.lines.get_mut(&wire) {
            line.boot = boot;
        }
        let connection = (ConnectionId(wire.0), lane);
        self.binding(world, |binding, outputs| {
            binding.hello(now, connection, peer, boot, outputs);
        });
    }

    pub(super) fn binding_timer(&mut self, world: &mut World) {
        let now = world.now();
        self.binding(world, |binding, outputs| {
            if binding.next_deadline().is_some_and(|deadline| deadline <= now) {
                binding.timer(now, outputs);
            }
        });
    }

    pub(super) fn binding_pong(&mut self, world: &mut World, wire: WireId, nonce: u64) {
        let now = world.now();
        self.binding(world, |binding, outputs| {
            binding.pong(now, ConnectionId(wire.0), nonce, outputs);
        });
    }

    pub(super) fn binding_closed(&mut self, world: &mut World, connection: ConnectionId) {
        self.binding(world, |binding, outputs| binding.closed(connection, outputs));
    }

    fn binding(
        &mut self,
        world: &mut World,
        act: impl FnOnce(&mut raft_node::binding::Binding, &mut Vec<Output>),
    ) {
        let Some(member) = &mut self.member else { return };
        let mut outputs = Vec::new();
        act(&mut member.binding, &mut outputs);
        let mut lost = Vec::new();
        for output in outputs {
            match output {
                Output::Accept(ConnectionId(id)) => self.bound(world, WireId(id)),
                Output::Refuse(ConnectionId(id), reason) => self.unbound(world, WireId(id), reason),
                Output::Ping(ConnectionId(id), nonce) => {
                    self.push(world, WireId(id), &Frame::Ping { nonce });
                }
                Output::Close(ConnectionId(id)) => lost.extend(self.end_line(world, WireId(id))),
                Output::TableChanged => self.keep_table(world),
            }
        }
        // Those that were not replaced.
        for peer in lost {
            if self.member.as_ref().is_some_and(|member| !member.outbound.contains_key(&peer)) {
                self.redial(world, peer);
            }
        }
    }

    /// A connection is bound: from here on its messages count.
    fn bound(&mut self, world: &mut World, wire: WireId) {
        let Some(Party::Unbound(peer, lane)) = self.lines.get(&wire).map(|l| l.party.clone())
        else {
            return;
        };
        let Some(member) = &mut self.member else { return };
        let (bound, table) = match lane {
            Lane::Inbound => (Party::Inbound(peer), &mut member.inbound),
            Lane::Outbound => (Party::Outbound(peer), &mut member.outbound),
        };
        table.insert(peer, wire);
        member.events.push(Event::Link { peer, lane, up: true });
        let welcome = member.welcomes.remove(&wire);
        self.set_party(wire, bound.clone());
        if let Some(welcome) = welcome {
            self.welcome(world, wire, bound, welcome);
        }
    }

    /// Another start of the same peer stands in the way: this connection is not taken, or, if it
    /// was, counts no longer.
    fn unbound(&mut self, world: &mut World, wire: WireId, reason: HelloReason) {
        let Some(Line { party, boot, .. }) = self.lines.get(&wire) else { return };
        let (party, boot) = (party.clone(), *boot);
        let (peer, lane) = match party {
            Party::Unbound(peer, lane) => (peer, lane),
            Party::Inbound(peer) => (peer, Lane::Inbound),
            Party::Outbound(peer) => (peer, Lane::Outbound),
            _ => return,
        };
        if lane == Lane::Outbound {
            return self.drop_line(world, wire);
        }
        let refuser = self.identity();
        let refused = Identity {
            cluster: refuser.cluster,
            id: Some(peer),
            incarnation: boot.incarnation,
            epoch: boot.epoch,
            nonce: boot.nonce,
            ..Identity::default()
        };
        self.unseat(wire, &party);
        self.refuse(world, wire, Box::new(HelloRefused { reason, refuser, refused }));
    }

    /// The last start of every peer goes into the log. Who was removed is refused for that and
    /// forgotten; where still too many say that they belong here, members have the room.
    fn keep_table(&mut self, world: &mut World) {
        let Some(member) = &mut self.member else { return };
        let (at, settled) = member.replica.final_membership();
        let is_removed = |id| !settled.members.contains_key(&id) && at >= settled.added_at(id);
        // The table is written below in any case.
        member.binding.retain(|id| !is_removed(id), &mut Vec::new());
        let boot = |(id, boot): (NodeId, Boot)| PeerBoot {
            id,
            incarnation: boot.incarnation,
            epoch: boot.epoch,
            nonce: boot.nonce,
        };
        let mut peers: Vec<PeerBoot> = member.binding.table().into_iter().map(boot).collect();
        let members = &member.replica.raft().membership().members;
        peers.sort_by_key(|peer| !members.contains_key(&peer.id));
        peers.truncate(PEERS_MAX);
        self.submit(world, None, Write { peers: Some(peers), ..Write::default() });
    }

    /// A peer listens and refuses. If it is new and was added by a committed entry, the leader
    /// tells it who it is.
    pub(super) fn unwelcome(&mut self, world: &mut World, peer: NodeId, refused: &HelloRefused) {
        let Some(own) = &self.member else { return };
        let raft = own.replica.raft();
        let waits =
            matches!(refused.reason, HelloReason::New | HelloReason::AcceptorRemoved { .. });
        let added_at = raft.membership().added_at(peer);
        let member = raft.membership().members.get(&peer);
        let admissible = member.filter(|member| {
            waits
                && raft.is_leader()
                && member.incarnation == refused.refuser.incarnation
                && added_at <= raft.commit_index()
        });
        let Some(member) = admissible else { return self.obey(refused) };
        let founder = |founder: &raft_log::Founder| Founder {
            address: founder.address.clone(),
            incarnation: founder.incarnation,
        };
        let admit = Box::new(Admit {
            cluster: own.me.cluster,
            id: peer,
            incarnation: member.incarnation,
            address: member.address.clone(),
            founders: own.me.founders.iter().map(founder).collect(),
            at: added_at,
        });
        self.dial(world, Purpose::Admit(peer, admit));
    }

    /// Removal is the cluster's word on this very member, and the only refusal that is obeyed.
    pub(super) fn obey(&mut self, refused: &HelloRefused) {
        if self.member.is_some()
            && let Some(at) = refused.removes(&self.identity())
        {
            self.removed(at);
        }
    }
}
