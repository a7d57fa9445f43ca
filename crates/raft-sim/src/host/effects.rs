//! Carrying out what the replica wants.

use bytes::Bytes;
use raft_core::{Index, Membership, Message, NodeId, RoleKind};
use raft_node::replica::{Effect, Event, Origin};
use raft_node::wire::{Frame, encode_message};
use raft_node::{Reply, Show};

use super::dials::{Dialler, Purpose};
use super::{Fate, Party, Process};
use crate::clock::Happening;
use crate::world::World;

impl Process {
    pub(super) fn carry_out(&mut self, world: &mut World, effect: Effect) {
        if world.is_traced() {
            world.trace(format_args!("{} -> {}", self.address, crate::trace::effect(&effect)));
        }
        match effect {
            Effect::Send { to, message, entries } => self.send(world, to, &message, &entries),
            Effect::Write { ticket, write } => {
                if let Some(member) = &self.member {
                    world.checkers.handed(self.index, &write, member.replica.raft());
                }
                self.submit(world, Some(ticket), write);
            }
            Effect::ReadLog { request, first, last, bytes_max } => {
                let (host, life) = (self.index, self.life);
                let delay = world.random.below(10);
                let read = Happening::Read { host, life, request, first, last, bytes_max };
                world.after(delay, read);
            }
            Effect::Reply { origin, reply } => self.reply(world, origin, reply),
            Effect::Forward { to, request, body } => {
                let wire = self.member.as_ref().and_then(|member| member.outbound.get(&to));
                if let Some(wire) = wire.copied() {
                    self.push(world, wire, &Frame::Forward { id: request, request: body });
                }
            }
            Effect::Meet { request, address } => self.dial(world, Purpose::Meet(request, address)),
            Effect::Show { index, lines } => self.show(world, index, &lines),
            Effect::RoleChanged { role, term, .. } => {
                if let (RoleKind::Leader, Some(member)) = (role, &self.member) {
                    world.checkers.leads(self.index, term, member.replica.raft());
                }
            }
            Effect::MembershipChanged { membership } => {
                self.membership_changed(world, &membership);
            }
            Effect::Removed { at } => self.removed(at),
            Effect::Alarm { peer, what } => {
                let what = format!("{} says that {peer} {what}", self.address);
                world.checkers.fail("alarm", what);
            }
            Effect::Halt { why } => world.checkers.fail("halt", why),
        }
    }

    /// A request goes out on the connection that we dialled, a response on the one that the peer
    /// dialled.
    fn send(&mut self, world: &mut World, to: NodeId, message: &Message, entries: &[Bytes]) {
        let Some(member) = &mut self.member else { return };
        let raft = member.replica.raft();
        world.checkers.sends(self.index, to, (message, entries), raft);
        let lane = if message.is_response() { &member.inbound } else { &member.outbound };
        let Some(wire) = lane.get(&to).copied() else { return };
        let frame = encode_message(message, entries, member.free_log_bytes());
        if let Message::AppendEntries(append) = message
            && !append.entries.is_empty()
            && let Some(line) = self.lines.get_mut(&wire)
        {
            let through = Index(append.prev_log_id.index.0 + append.entries.len() as u64);
            if line.stalled {
                line.unsent = Some(through);
            } else {
                member.events.push(Event::Sent { peer: to, through, bytes: 0 });
            }
        }
        self.push_encoded(world, wire, frame);
    }

    fn reply(&self, world: &mut World, origin: Origin, reply: Reply) {
        let id = origin.request;
        let frame = match origin.forwarded {
            true => Frame::ForwardReply { id, reply },
            false => Frame::Reply { id, reply },
        };
        self.push(world, crate::network::WireId(origin.connection), &frame);
    }

    /// The mark first: after a crash at most this line is missing, and none repeats.
    fn show(&mut self, world: &mut World, index: Index, lines: &[Show]) {
        if let Some(mark) = &mut self.mark
            && mark.advance(index).is_err()
        {
            self.fate = Some(Fate::Ends("the shown mark cannot be written".into()));
            return;
        }
        let mut text = Vec::new();
        for line in lines {
            match line {
                Show::Text(line) => text.extend_from_slice(line),
                Show::View(view) => drop(view.render(&mut text)),
            }
            text.push(b'\n');
        }
        world.checkers.shown(self.index, index, text);
    }

    /// Keeps a connection to every other member, and none to anybody else.
    pub(super) fn membership_changed(&mut self, world: &mut World, membership: &Membership) {
        let Some(member) = &mut self.member else { return };
        let mut new = Vec::new();
        // Nor to itself under an earlier id: a server that was replaced at its address.
        let (id, address) = (member.me.id, &member.me.address);
        let others =
            membership.members.iter().filter(|(of, m)| **of != id && m.address != *address);
        for (id, peer) in others {
            if member.diallers.get(id).is_some_and(|dialler| dialler.address == peer.address) {
                continue;
            }
            member.diallers.insert(*id, Dialler::new(peer.address.clone(), peer.incarnation));
            new.push(*id);
        }
        for peer in new {
            self.dial(world, Purpose::Peer(peer));
        }
        self.drop_diallers();
    }

    /// A removed member is still fed for a while: its dialler goes when its connection does.
    pub(super) fn drop_diallers(&mut self) {
        let Some(member) = &mut self.member else { return };
        let members = &member.replica.raft().membership().members;
        let outbound = &member.outbound;
        member.diallers.retain(|id, _| members.contains_key(id) || outbound.contains_key(id));
    }

    /// Whether a wire leads to a member that we dialled.
    pub fn dialled_peer(&self, wire: crate::network::WireId) -> bool {
        self.lines.get(&wire).is_some_and(|line| matches!(line.party, Party::Outbound(_)))
    }
}
