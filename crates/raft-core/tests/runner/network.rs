//! The scripted network: one queue, connections that can go, pairs that can be cut.

use std::collections::BTreeSet;

use raft_core::{Message, NodeId};

/// A message on its way.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) message: Message,
    /// What the entries of an `AppendEntries` carry.
    pub(crate) payloads: Vec<u64>,
}

impl Envelope {
    /// The connection that it travels on, as (who dialled, whom): an answer goes back on the
    /// connection that its question came by.
    pub(crate) const fn connection(&self) -> (NodeId, NodeId) {
        if self.message.is_response() { (self.to, self.from) } else { (self.from, self.to) }
    }
}

/// All messages in flight, oldest first, and what hinders them.
#[derive(Default)]
pub(crate) struct Network {
    pub(crate) flight: Vec<Envelope>,
    /// Connections that are up, as (who dialled, whom).
    pub(crate) up: BTreeSet<(NodeId, NodeId)>,
    /// Directed pairs between which everything is lost while the connection seems to live.
    pub(crate) cut: BTreeSet<(NodeId, NodeId)>,
}

impl Network {
    /// Whether a message would arrive at all.
    pub(crate) fn carries(&self, envelope: &Envelope) -> bool {
        self.up.contains(&envelope.connection())
            && !self.cut.contains(&(envelope.from, envelope.to))
    }

    /// Takes a message, or loses it; says which.
    pub(crate) fn send(&mut self, envelope: Envelope) -> bool {
        let carried = self.carries(&envelope);
        if carried {
            self.flight.push(envelope);
        }
        carried
    }

    /// What is in flight on a connection dies with it.
    pub(crate) fn close(&mut self, dialler: NodeId, peer: NodeId) -> bool {
        self.flight.retain(|envelope| envelope.connection() != (dialler, peer));
        self.up.remove(&(dialler, peer))
    }

    /// Cuts a directed pair; what is in flight between them is lost.
    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
        self.flight.retain(|envelope| (envelope.from, envelope.to) != (from, to));
    }
}
