//! What arrives on connections.

use bytes::Bytes;
use raft_core::{NodeId, Time};
use raft_log::decode_entries;

use super::{Member, Order, Party};
use crate::binding::ConnectionId;
use crate::protocol::Request;
use crate::replica::{Chunk, Event, Origin, metas};
use crate::wire::{AppendHead, Frame, PeerContent, PeerMessage};

impl Member {
    /// A connection brought frames. Each is taken by what the ones before it made of the
    /// connection.
    pub fn frames(&mut self, now: Time, id: ConnectionId, frames: Vec<Frame>, since_us: u64) {
        for frame in frames {
            let Some(party) = self.connections.get(&id).map(|peerage| peerage.party) else {
                if let Some(outcome) = self.dials.frame(now, id, frame, &mut self.orders) {
                    self.outcome(now, outcome);
                }
                continue;
            };
            if let Err(what) = self.frame(now, (id, party), frame, since_us) {
                self.tell_folly(party, &what);
                self.drop_connection(now, id);
                return;
            }
        }
        match self.connections.get_mut(&id) {
            Some(peerage) => {
                peerage.paused = true;
                self.resume_if_light(id);
            }
            None if self.dials.holds(id) => self.orders.push(Order::Resume(id)),
            None => {}
        }
    }

    fn frame(
        &mut self,
        now: Time,
        (id, party): (ConnectionId, Party),
        frame: Frame,
        since_us: u64,
    ) -> Result<(), String> {
        match (party, frame) {
            (Party::Stranger, Frame::Hello(hello)) => self.hello_from(now, id, &hello),
            (Party::Client, Frame::Request { id: request, request: body }) => {
                let origin = Origin { connection: id.0, request, forwarded: false, since_us };
                self.asked(id, origin, body);
            }
            (Party::Inbound(_), Frame::Forward { id: request, request: body }) => {
                let origin = Origin { connection: id.0, request, forwarded: true, since_us };
                self.asked(id, origin, body);
            }
            (Party::Inbound(from) | Party::Outbound(from), Frame::Message(message)) => {
                self.message(from, message)?;
            }
            (Party::Outbound(from), Frame::ForwardReply { id: request, reply }) => {
                self.events.push(Event::ForwardReply { from, request, reply });
            }
            (Party::SnapshotFrom(from), Frame::SnapshotOffer { term, info }) => {
                self.snapshot_offered(now, (from, id), term, info);
            }
            (Party::SnapshotFrom(_), Frame::SnapshotChunk { offset, bytes }) => {
                self.piece_came(id, offset, bytes)?;
            }
            (Party::SnapshotTo(peer), Frame::SnapshotWant { offset }) => {
                self.snapshot_wanted(now, peer, offset);
            }
            (Party::SnapshotTo(peer), Frame::SnapshotAnswer(answer)) => {
                self.snapshot_answered(now, peer, answer);
            }
            // A word before the connection is closed for cause.
            (Party::Outbound(_), Frame::Refused(refused)) => {
                self.obey(refused);
                self.drop_connection(now, id);
            }
            (_, Frame::Ping { nonce }) => self.push(id, &Frame::Pong { nonce }),
            (_, Frame::Pong { nonce }) => {
                self.binding(now, |binding, out| binding.pong(now, id, nonce, out));
            }
            (Party::Leaving | Party::Passing, _) => {}
            (_, frame) => return Err(format!("a {} frame has no place there", frame.kind())),
        }
        Ok(())
    }

    fn asked(&mut self, id: ConnectionId, origin: Origin, request: Request) {
        if let Some(peerage) = self.connections.get_mut(&id) {
            peerage.load += 1;
        }
        self.counts.requests += 1;
        self.request(origin, request);
    }

    /// A message of a peer; its entries are verified before the core hears of them.
    fn message(&mut self, from: NodeId, message: PeerMessage) -> Result<(), String> {
        let free_log_bytes = message.free_log_bytes;
        let (message, chunk) = match message.content {
            PeerContent::Whole(message) => (message, Chunk::default()),
            PeerContent::Append(head, bytes) => {
                self.counts.appends_received += u64::from(head.count > 0);
                let chunk = entries(&head, bytes)?;
                let metas = metas(&chunk.entries).map_err(|error| error.to_string())?;
                let message = head.with_entries(metas).map_err(|error| error.to_string())?;
                (message, chunk)
            }
        };
        self.events.push(Event::Message { from, message, chunk, free_log_bytes });
        Ok(())
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
