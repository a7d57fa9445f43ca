//! What arrives on the wires of a member, and wires that end.

use bytes::Bytes;
use raft_core::{Lane, NodeId};
use raft_log::decode_entries;
use raft_node::Request;
use raft_node::binding::ConnectionId;
use raft_node::replica::{Chunk, Event, Origin, metas};
use raft_node::wire::{AppendHead, Frame, PeerContent, PeerMessage};

use super::{Party, Process};
use crate::network::WireId;
use crate::world::World;

impl Process {
    pub(super) fn member_frame(
        &mut self,
        world: &mut World,
        wire: WireId,
        party: &Party,
        frame: Frame,
    ) {
        match (party, frame) {
            (Party::Stranger, Frame::Hello(hello)) => self.hello_from(world, wire, &hello),
            (Party::Client, Frame::Request { id, request }) => {
                self.request(wire, id, request, false);
            }
            (Party::Inbound(_), Frame::Forward { id, request }) => {
                self.request(wire, id, request, true);
            }
            (Party::Inbound(from) | Party::Outbound(from), Frame::Message(message)) => {
                self.message(world, wire, *from, message);
            }
            (Party::Outbound(from), Frame::ForwardReply { id: request, reply }) => {
                self.event(Event::ForwardReply { from: *from, request, reply });
            }
            (_, Frame::Pong { nonce }) => self.binding_pong(world, wire, nonce),
            (Party::Passing | Party::Admitting(_), _) => {}
            // A word before the connection is closed for cause.
            (Party::Outbound(_), Frame::Refused(refused)) => {
                self.obey(&refused);
                self.drop_line(world, wire);
            }
            (party, frame) => {
                let what = format!("{}: {party:?} sends {frame:?}", self.address);
                world.checkers.fail("conversation", what);
            }
        }
    }

    fn request(&mut self, wire: WireId, request: u64, body: Request, forwarded: bool) {
        let origin = Origin { connection: wire.0, request, forwarded, since_us: 0 };
        self.event(Event::Request { origin, request: body });
    }

    /// A message of a peer; its entries are verified before the core hears of them.
    fn message(&mut self, world: &mut World, wire: WireId, from: NodeId, message: PeerMessage) {
        let free_log_bytes = message.free_log_bytes;
        let event = match message.content {
            PeerContent::Whole(message) => {
                Ok(Event::Message { from, message, chunk: Chunk::default(), free_log_bytes })
            }
            PeerContent::Append(head, bytes) => append(from, &head, bytes, free_log_bytes),
        };
        match event {
            Ok(event) => self.event(event),
            Err(what) => self.undecodable(world, wire, &what),
        }
    }

    pub(super) fn stalled(&mut self, wire: WireId, stalled: bool) {
        let Some(line) = self.lines.get_mut(&wire) else { return };
        line.stalled = stalled;
        let sent = if stalled { None } else { line.unsent.take() };
        if let Party::Outbound(peer) = line.party {
            self.event(Event::Writable { peer, writable: !stalled });
            if let Some(through) = sent {
                self.event(Event::Sent { peer, through, bytes: 0 });
            }
        }
    }

    /// Ends a connection and what hangs on it; if we dialled it, it is dialled again.
    pub(super) fn drop_line(&mut self, world: &mut World, wire: WireId) {
        if let Some(peer) = self.end_line(world, wire) {
            self.redial(world, peer);
        }
    }

    /// Ends a connection and what hangs on it; says whom to dial again.
    pub(super) fn end_line(&mut self, world: &mut World, wire: WireId) -> Option<NodeId> {
        let line = self.lines.remove(&wire)?;
        world.close(wire, line.end);
        if let Party::Admitting(peer) = line.party {
            self.hurry(world, peer);
            return None;
        }
        let redial = match &line.party {
            Party::Greeting(purpose, _) => {
                self.dial_failed(world, purpose, false);
                return None;
            }
            Party::Outbound(peer) | Party::Unbound(peer, Lane::Outbound) => Some(*peer),
            _ => None,
        };
        if let Some(member) = &mut self.member {
            member.welcomes.remove(&wire);
        }
        self.unseat(wire, &line.party);
        self.binding_closed(world, ConnectionId(wire.0));
        redial
    }

    /// A connection counts no longer: what hung on it ends with it.
    pub(super) fn unseat(&mut self, wire: WireId, party: &Party) {
        let Some(member) = &mut self.member else { return };
        let gone = Event::Gone { connection: wire.0 };
        match *party {
            Party::Inbound(peer) => {
                if member.inbound.get(&peer) == Some(&wire) {
                    member.inbound.remove(&peer);
                    member.events.push(Event::Link { peer, lane: Lane::Inbound, up: false });
                }
                member.events.push(gone);
            }
            Party::Outbound(peer) if member.outbound.get(&peer) == Some(&wire) => {
                member.outbound.remove(&peer);
                member.events.push(Event::Link { peer, lane: Lane::Outbound, up: false });
            }
            Party::Client => member.events.push(gone),
            _ => {}
        }
    }
}

fn append(
    from: NodeId,
    head: &AppendHead,
    bytes: Bytes,
    free_log_bytes: u64,
) -> Result<Event, String> {
    let entries = decode_entries(&bytes).map_err(|error| error.to_string())?;
    let first = head.prev_log_id.index.next();
    if entries.len() as u64 != u64::from(head.count)
        || entries.first().is_some_and(|entry| entry.index != first)
    {
        return Err("the entries are not those that their message describes".into());
    }
    let metas = metas(&entries).map_err(|error| error.to_string())?;
    let message = head.with_entries(metas).map_err(|error| error.to_string())?;
    let chunk = Chunk { entries, bytes: vec![bytes] };
    Ok(Event::Message { from, message, chunk, free_log_bytes })
}
