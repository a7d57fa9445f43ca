//! What arrives on connections, and connections that come and go.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use raft_core::{Lane, NodeId};
use raft_log::decode_entries;
use tokio::net::TcpStream;

use super::{Party, Peerage, Reactor};
use crate::binding::Boot;
use crate::node::connection::{Connection, Talk};
use crate::node::observe::count;
use crate::replica::{Chunk, Event, Origin, metas};
use crate::wire::{AppendHead, Frame, PeerContent, PeerMessage};

impl Reactor<'_> {
    pub(super) fn accepted(&mut self, stream: TcpStream) {
        // A socket that is broken already needs no answer.
        if let Ok(talk) = Talk::new(stream) {
            let id = self.take_over(talk, Party::Stranger);
            self.expect_to_leave(id);
        }
    }

    pub(super) fn take_over(&mut self, talk: Talk, party: Party) -> u64 {
        let id = self.site.number_connection();
        let connection = Connection::start(
            id,
            talk,
            self.site.sender.clone(),
            Arc::clone(&self.site.observed.meter),
        );
        let boot = Boot { incarnation: 0, epoch: 0, nonce: 0 };
        let peerage = Peerage { connection, party, boot, load: 0, paused: false, blocked: false };
        self.connections.insert(id, peerage);
        id
    }

    pub(super) fn frames(&mut self, id: u64, frames: Vec<Frame>) {
        for frame in frames {
            let Some(party) = self.connections.get(&id).map(|peerage| peerage.party) else {
                return;
            };
            if let Err(what) = self.frame(id, party, frame) {
                let text = format!("{} was cut off: {what}", self.who(party));
                self.site.tell_folly(text);
                self.drop_connection(id);
                return;
            }
        }
        if let Some(peerage) = self.connections.get_mut(&id) {
            peerage.paused = true;
        }
        self.resume_if_light(id);
    }

    fn frame(&mut self, id: u64, party: Party, frame: Frame) -> Result<(), String> {
        match (party, frame) {
            (Party::Stranger, Frame::Hello(hello)) => self.hello_from(id, &hello),
            (Party::Client, Frame::Request { id: request, request: body }) => {
                self.request(id, request, body, false);
            }
            (Party::Inbound(_), Frame::Forward { id: request, request: body }) => {
                self.request(id, request, body, true);
            }
            (Party::Inbound(from) | Party::Outbound(from), Frame::Message(message)) => {
                self.message(from, message)?;
            }
            (Party::Outbound(from), Frame::ForwardReply { id: request, reply }) => {
                self.events.push(Event::ForwardReply { from, request, reply });
            }
            // A word before the connection is closed for cause.
            (Party::Outbound(_), Frame::Refused(refused)) => {
                self.obey(&refused);
                self.drop_connection(id);
            }
            (_, Frame::Ping { nonce }) => self.push(id, Frame::Pong { nonce }.encode()),
            (_, Frame::Pong { nonce }) => self.binding_pong(id, nonce),
            (Party::Leaving | Party::Passing, _) => {}
            (_, frame) => return Err(format!("a {} frame has no place there", frame.kind())),
        }
        Ok(())
    }

    fn request(&mut self, id: u64, request: u64, body: crate::protocol::Request, forwarded: bool) {
        if let Some(peerage) = self.connections.get_mut(&id) {
            peerage.load += 1;
        }
        count(&self.site.observed.counters.requests);
        let since_us = self.site.observed.now_us();
        let origin = Origin { connection: id, request, forwarded, since_us };
        self.events.push(Event::Request { origin, request: body });
    }

    /// A message of a peer; its entries are verified before the core hears of them.
    fn message(&mut self, from: NodeId, message: PeerMessage) -> Result<(), String> {
        let free_log_bytes = message.free_log_bytes;
        let (message, chunk) = match message.content {
            PeerContent::Whole(message) => (message, Chunk::default()),
            PeerContent::Append(head, bytes) => {
                if head.count > 0 {
                    count(&self.site.observed.counters.appends_received);
                }
                let chunk = entries(&head, bytes)?;
                let metas = metas(&chunk.entries).map_err(|error| error.to_string())?;
                let message = head.with_entries(metas).map_err(|error| error.to_string())?;
                (message, chunk)
            }
        };
        self.events.push(Event::Message { from, message, chunk, free_log_bytes });
        Ok(())
    }

    pub(super) fn closed(&mut self, id: u64, error: &io::Error) {
        let Some(party) = self.connections.get(&id).map(|peerage| peerage.party) else { return };
        if error.kind() == io::ErrorKind::InvalidData {
            let text = format!("{} was cut off: {error}", self.who(party));
            self.site.tell_folly(text);
        }
        self.drop_connection(id);
    }

    fn who(&self, party: Party) -> String {
        match party {
            Party::Inbound(peer) | Party::Outbound(peer) | Party::Unbound(peer, _) => {
                self.named(peer)
            }
            Party::Client => "a client".into(),
            Party::Stranger | Party::Passing | Party::Leaving => "somebody who dialled".into(),
        }
    }

    /// Ends a connection and what hangs on it; if we dialled it, it is dialled again.
    pub(super) fn drop_connection(&mut self, id: u64) {
        if let Some(peer) = self.end_connection(id) {
            self.redial(peer);
        }
    }

    pub(super) fn redial(&mut self, peer: NodeId) {
        if let Some(dialler) = self.diallers.get(&peer) {
            dialler.redial();
        }
        self.drop_diallers();
    }

    /// Ends a connection and what hangs on it; says whom to dial again.
    pub(super) fn end_connection(&mut self, id: u64) -> Option<NodeId> {
        let Peerage { connection, party, .. } = self.connections.remove(&id)?;
        let mut redial = None;
        // What was said last may still be on its way, a refusal above all.
        connection.flush();
        connection.close();
        self.welcomes.remove(&id);
        if let Party::Outbound(peer) | Party::Unbound(peer, Lane::Outbound) = party {
            redial = Some(peer);
        }
        self.unseat(id, party);
        self.binding_closed(id);
        redial
    }

    /// A connection counts no longer: what hung on it ends with it.
    pub(super) fn unseat(&mut self, id: u64, party: Party) {
        match party {
            Party::Inbound(peer) => {
                if self.inbound.get(&peer) == Some(&id) {
                    self.inbound.remove(&peer);
                    self.events.push(Event::Link { peer, lane: Lane::Inbound, up: false });
                }
                self.events.push(Event::Gone { connection: id });
            }
            Party::Outbound(peer) => {
                if self.outbound.get(&peer) == Some(&id) {
                    self.outbound.remove(&peer);
                    let text = format!("lost the connection to {}", self.named(peer));
                    self.site.observed.event("link", text);
                    self.events.push(Event::Link { peer, lane: Lane::Outbound, up: false });
                }
            }
            Party::Client => self.events.push(Event::Gone { connection: id }),
            Party::Unbound(..) | Party::Stranger | Party::Passing | Party::Leaving => {}
        }
    }
}

/// The entries of an `AppendEntries`, if they are what its head says.
fn entries(head: &AppendHead, bytes: Bytes) -> Result<Chunk, String> {
    let entries = decode_entries(&bytes).map_err(|error| error.to_string())?;
    let first = head.prev_log_id.index.next();
    if entries.len() as u64 != u64::from(head.count)
        || entries.first().is_some_and(|entry| entry.index != first)
    {
        return Err("the entries are not those that their message describes".into());
    }
    Ok(Chunk { entries, bytes: vec![bytes] })
}
