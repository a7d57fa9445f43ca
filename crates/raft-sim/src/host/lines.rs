//! A server's ends of its wires, as sockets are: they hold what was not read yet, and count what
//! they could not send.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use raft_core::Index;
use raft_node::binding::ConnectionId;
use raft_node::resident::{DialId, Flushed, NoConnection};
use raft_node::wire::Encoded;

use super::Process;
use crate::network::{End, Place, WireId};
use crate::world::World;

/// All wires of a server.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: BTreeMap<WireId, Line>,
    touched: BTreeSet<WireId>,
}

#[derive(Debug)]
struct Line {
    end: End,
    /// What arrived and was not read.
    held: Vec<Bytes>,
    /// And then it ended.
    ended: bool,
    /// It is not read: what it brought last has not been taken.
    paused: bool,
    /// The socket is full.
    stalled: bool,
    /// Bytes that wait in it.
    waiting: usize,
    /// The last entry that went into it and was not told of.
    unsent: Option<Index>,
}

impl Lines {
    pub(super) fn add(&mut self, wire: WireId, end: End) -> ConnectionId {
        let line = Line {
            end,
            held: Vec::new(),
            ended: false,
            paused: false,
            stalled: false,
            waiting: 0,
            unsent: None,
        };
        self.lines.insert(wire, line);
        ConnectionId(wire.0)
    }

    pub(super) fn hold(&mut self, wire: WireId, bytes: Bytes) {
        if let Some(line) = self.lines.get_mut(&wire) {
            line.held.push(bytes);
        }
    }

    pub(super) fn end(&mut self, wire: WireId) {
        if let Some(line) = self.lines.get_mut(&wire) {
            line.ended = true;
        }
    }

    pub(super) fn stall(&mut self, wire: WireId, stalled: bool) {
        if let Some(line) = self.lines.get_mut(&wire) {
            line.stalled = stalled;
            self.touched.insert(wire);
        }
    }

    pub(super) fn push(
        &mut self,
        world: &mut World,
        wire: WireId,
        frame: Encoded,
        entries: Option<(Index, Index)>,
    ) {
        let Some(line) = self.lines.get_mut(&wire) else { return };
        line.waiting += frame.byte_count();
        line.unsent = entries.map(|(_, through)| through).or(line.unsent);
        self.touched.insert(wire);
        world.send((wire, line.end), frame);
    }

    /// Whether any of them brought what was damaged on its way.
    pub(super) fn any_is_spoilt(&self, world: &World) -> bool {
        self.lines.iter().any(|(wire, line)| world.network.is_spoilt(*wire, line.end))
    }

    /// It may be read again; whether anything is there.
    pub(super) fn resume(&mut self, wire: WireId) -> bool {
        let Some(line) = self.lines.get_mut(&wire) else { return false };
        line.paused = false;
        line.ended || !line.held.is_empty()
    }

    pub(super) fn close(&mut self, world: &mut World, wire: WireId) {
        if let Some(line) = self.lines.remove(&wire) {
            world.close(wire, line.end);
        }
    }

    pub(super) fn close_all(&mut self, world: &mut World) {
        for (wire, line) in std::mem::take(&mut self.lines) {
            world.close(wire, line.end);
        }
        self.touched.clear();
    }

    pub(super) fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Sockets that are not full have sent everything.
    pub(super) fn flush(&mut self) -> Vec<(ConnectionId, Flushed)> {
        let flush = |wire: WireId| {
            let line = self.lines.get_mut(&wire)?;
            let connection = ConnectionId(wire.0);
            if line.stalled {
                return Some((connection, Flushed { waiting: line.waiting, sent: None }));
            }
            line.waiting = 0;
            let sent = line.unsent.take().map(|through| (through, 0));
            Some((connection, Flushed { waiting: 0, sent }))
        };
        std::mem::take(&mut self.touched).into_iter().filter_map(flush).collect()
    }
}

impl Process {
    /// Reads what a wire brought, and that it ended.
    pub(super) fn hear(&mut self, world: &mut World, wire: WireId) {
        let now = world.now();
        let Some(line) = self.lines.lines.get_mut(&wire).filter(|line| !line.paused) else {
            return;
        };
        let (end, held) = (line.end, std::mem::take(&mut line.held));
        let received = match held.as_slice() {
            [] => None,
            [bytes] => world.receive(wire, end, bytes),
            several => world.receive(wire, end, &several.concat()),
        };
        let connection = ConnectionId(wire.0);
        match received.unwrap_or_else(|| Ok(Vec::new())) {
            Ok(frames) if frames.is_empty() => {
                if line.ended {
                    self.resident.closed(now, connection, None);
                }
            }
            Ok(frames) => {
                line.paused = true;
                self.resident.frames(now, connection, frames, 0);
            }
            Err(what) => {
                self.undecodable(world, (wire, end), &what);
                self.resident.closed(now, connection, Some(what));
            }
        }
    }

    /// Bytes that are no frames.
    fn undecodable(&self, world: &mut World, (wire, end): (WireId, End), what: &str) {
        if world.network.is_spoilt(wire, end) {
            return world.checkers.probe("spoilt frame noticed");
        }
        let insane = world.settings.insane.map(Place::Host);
        if insane.is_none() || world.network.place(wire, end.other()) != insane {
            let what = format!("{} cannot decode what it was sent: {what}", self.address);
            world.checkers.fail("codec", what);
        }
    }

    pub(super) fn dialled(&mut self, world: &mut World, dial: u64, result: Result<WireId, bool>) {
        let (life, dial) = (dial >> DIAL_BITS, DialId(dial & ((1 << DIAL_BITS) - 1)));
        if life != self.life {
            // An earlier life wanted it.
            return result.map_or((), |wire| world.close(wire, End::Dialler));
        }
        let result = match result {
            Ok(wire) => Ok(self.lines.add(wire, End::Dialler)),
            Err(true) => Err(NoConnection::Refused),
            Err(false) => Err(NoConnection::Failed("no answer".into())),
        };
        self.resident.dialled(world.now(), dial, result);
    }

    pub(super) fn dial(&self, world: &mut World, dial: DialId, address: String) {
        world.dial(self.place(), address, self.life << DIAL_BITS | dial.0);
    }
}

/// A dial's number on the network: its life's above, its own in it below.
const DIAL_BITS: u32 = 32;
