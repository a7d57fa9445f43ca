//! Snapshots on their way to other members and from a leader, each on a connection of its own, so
//! that heartbeats never wait behind them.
//!
//! The leader offers, the other says from where on it wants bytes, again after each piece, and the
//! leader stays a few pieces ahead of that. So a way that breaks, or an end that starts anew, goes
//! on where it was.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_core::{NodeId, Term, Time};
use raft_log::SnapshotInfo;

use super::{Member, Order, Party};
use crate::binding::ConnectionId;
use crate::hello::{self, Believed, Hello, Welcome};
use crate::notice::Notice;
use crate::protocol::SnapshotTransfer;
use crate::replica::{Event, SnapshotAnswer};
use crate::snapshots::{CHUNK_BYTES, SnapshotDone, SnapshotJob};
use crate::wire::Frame;

/// Bytes that may be sent and not yet wanted no more.
const WINDOW_BYTES: u64 = 4 * CHUNK_BYTES as u64;

/// Who could not use a snapshot is sent no other one for so many election timeouts.
const PAUSE_TIMEOUTS: u64 = 5;

/// A way on which nothing has been heard for so long, in milliseconds, is given up. To make a state
/// of what came takes a while.
const SILENCE_MAX: u64 = 60_000;

/// All that are under way.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    to: BTreeMap<NodeId, Outgoing>,
    /// These could not use one: when they are tried again, and what people were told.
    paused: BTreeMap<NodeId, (Time, String)>,
    /// What people were told of the last one that could not be used here.
    told: Option<String>,
    from: Option<Incoming>,
    /// When more may be sent to somebody: the rate is the disks' and the network's to give.
    next_at: Option<Time>,
}

/// A snapshot that is sent.
#[derive(Debug)]
struct Outgoing {
    term: Term,
    /// Known once it is open.
    info: Option<SnapshotInfo>,
    /// There once the other end said welcome.
    connection: Option<ConnectionId>,
    /// The other end has what lies before; unknown until it said so.
    wanted: Option<u64>,
    sent: u64,
    /// A piece is being read.
    reading: bool,
    /// When the other end last said something, or else when it was to be dialled.
    heard: Time,
}

/// A leader's snapshot that comes.
#[derive(Debug)]
struct Incoming {
    from: NodeId,
    term: Term,
    /// Gone if it broke when all was here.
    connection: Option<ConnectionId>,
    info: SnapshotInfo,
    have: u64,
    finishing: bool,
}

impl Lanes {
    /// When [`Member::look_at_lanes`] is wanted.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let silent = self.to.values().map(|outgoing| outgoing.heard + SILENCE_MAX);
        self.next_at.into_iter().chain(silent).min()
    }
}

impl Member {
    // ---- to others -----------------------------------------------------------------------------

    /// The newest snapshot is to go to a peer.
    pub(super) fn send_snapshot(&mut self, now: Time, peer: NodeId, term: Term) {
        if self.lanes.paused.get(&peer).is_some_and(|(until, _)| now < *until) {
            // The core asks again.
            return self.events.push(Event::SnapshotFailed { peer });
        }
        // One of an earlier term of this leader: what is heard on its way is not about this one.
        match self.lanes.to.remove(&peer) {
            Some(Outgoing { connection: Some(connection), .. }) => {
                self.orders.push(Order::Snapshot(SnapshotJob::Shut(peer)));
                self.drop_connection(now, connection);
            }
            Some(on_its_way) => {
                // It is being opened, or dialled. A second way would be taken for the first.
                self.lanes.to.insert(peer, Outgoing { term, heard: now, ..on_its_way });
                return;
            }
            None => {}
        }
        let outgoing = Outgoing {
            term,
            info: None,
            connection: None,
            wanted: None,
            sent: 0,
            reading: false,
            heard: now,
        };
        self.lanes.to.insert(peer, outgoing);
        self.orders.push(Order::Snapshot(SnapshotJob::Open(peer)));
    }

    fn opened(&mut self, now: Time, peer: NodeId, info: Option<SnapshotInfo>) {
        let Some(outgoing) = self.lanes.to.get_mut(&peer) else { return };
        outgoing.info = info;
        let member = self.replica.raft().membership().members.get(&peer);
        let (Some(_), Some(member)) = (info, member) else { return self.give_up_lane(peer) };
        let to = Believed {
            id: Some(peer),
            incarnation: Some(member.incarnation),
            address: member.address.clone(),
        };
        self.dials.lane(now, peer, to, &mut self.orders);
    }

    /// A peer takes a connection for a snapshot.
    pub(super) fn lane_is_welcome(
        &mut self,
        (peer, id): (NodeId, ConnectionId),
        hello: &Hello,
        welcome: &Welcome,
    ) {
        let is_right = self.judge(|known| hello::check(known, hello, welcome)).is_ok();
        let outgoing = self.lanes.to.get_mut(&peer).filter(|_| is_right);
        let offer = outgoing.and_then(|outgoing| {
            outgoing.connection = Some(id);
            Some(Frame::SnapshotOffer { term: outgoing.term, info: outgoing.info? })
        });
        let Some(offer) = offer else {
            self.orders.push(Order::Close(id));
            return self.give_up_lane(peer);
        };
        self.take_over(id, Party::SnapshotTo(peer));
        self.push(id, &offer);
    }

    pub(super) fn snapshot_wanted(&mut self, now: Time, peer: NodeId, offset: u64) {
        let Some(outgoing) = self.lanes.to.get_mut(&peer) else { return };
        let is_progress = outgoing.wanted.replace(offset).is_some_and(|before| before < offset);
        outgoing.heard = now;
        outgoing.sent = outgoing.sent.max(offset);
        if is_progress {
            self.events.push(Event::SnapshotTaken { peer });
        }
        self.feed_lanes(now);
    }

    /// Time passed.
    pub(super) fn look_at_lanes(&mut self, now: Time) {
        let is_silent = |outgoing: &Outgoing| outgoing.heard + SILENCE_MAX <= now;
        while let Some((peer, _)) = self.lanes.to.iter().find(|(_, outgoing)| is_silent(outgoing)) {
            self.drop_lane(now, *peer);
        }
        self.feed_lanes(now);
    }

    /// Reads on for whoever has taken most of what was sent, no faster than allowed.
    fn feed_lanes(&mut self, now: Time) {
        if self.lanes.next_at.is_some_and(|at| now < at) {
            return;
        }
        self.lanes.next_at = None;
        let may_send = |outgoing: &Outgoing| {
            let (Some(info), Some(wanted)) = (outgoing.info, outgoing.wanted) else { return false };
            !outgoing.reading
                && outgoing.sent < info.bytes
                && outgoing.sent < wanted.saturating_add(WINDOW_BYTES)
        };
        for (peer, outgoing) in &mut self.lanes.to {
            if may_send(outgoing) {
                outgoing.reading = true;
                let (peer, offset) = (*peer, outgoing.sent);
                self.orders.push(Order::Snapshot(SnapshotJob::Read { peer, offset }));
            }
        }
    }

    fn piece_read(&mut self, now: Time, peer: NodeId, offset: u64, bytes: Bytes) {
        let Some(outgoing) = self.lanes.to.get_mut(&peer) else { return };
        outgoing.reading = false;
        let Some(connection) = outgoing.connection else { return };
        if bytes.is_empty() {
            return self.drop_connection(now, connection);
        }
        // It may have turned out meanwhile that the other end has this already.
        if offset == outgoing.sent {
            outgoing.sent += bytes.len() as u64;
            let pause = bytes.len() as u64 * 1000 / self.replica.limits().snapshots.rate.max(1);
            if pause > 0 {
                self.lanes.next_at = Some(now + pause);
            }
            self.push(connection, &Frame::SnapshotChunk { offset, bytes });
        }
        self.feed_lanes(now);
    }

    /// What the other end made of it.
    pub(super) fn snapshot_answered(&mut self, now: Time, peer: NodeId, answer: SnapshotAnswer) {
        let Some(outgoing) = self.lanes.to.remove(&peer) else { return };
        self.orders.push(Order::Snapshot(SnapshotJob::Shut(peer)));
        if let SnapshotAnswer::Useless(why) | SnapshotAnswer::NoRoom(why) = &answer {
            let text = format!("{} cannot use the snapshot: {why}", self.named(peer));
            let until = now + PAUSE_TIMEOUTS * self.settings.election_timeout;
            let before = self.lanes.paused.insert(peer, (until, text.clone()));
            if before.is_none_or(|(_, told)| told != text) {
                self.orders.push(Order::Tell(Notice::Peer(text)));
            }
        } else {
            self.lanes.paused.remove(&peer);
        }
        match outgoing.info {
            Some(info) => {
                self.events.push(Event::SnapshotAnswered { peer, through: info.id, answer });
            }
            None => self.events.push(Event::SnapshotFailed { peer }),
        }
        if let Some(connection) = outgoing.connection {
            self.drop_connection(now, connection);
        }
    }

    /// It did not get through, this time.
    pub(super) fn give_up_lane(&mut self, peer: NodeId) {
        if self.lanes.to.remove(&peer).is_some() {
            self.orders.push(Order::Snapshot(SnapshotJob::Shut(peer)));
            self.events.push(Event::SnapshotFailed { peer });
        }
    }

    // ---- from a leader -------------------------------------------------------------------------

    /// A leader says which snapshot it sends.
    pub(super) fn snapshot_offered(
        &mut self,
        now: Time,
        (from, connection): (NodeId, ConnectionId),
        term: Term,
        info: SnapshotInfo,
    ) {
        let raft = self.replica.raft();
        let refusal = if term < raft.term() {
            Some(SnapshotAnswer::StaleTerm { term: raft.term() })
        } else if info.id.index <= raft.commit_index() {
            Some(SnapshotAnswer::NotNewer { commit_index: raft.commit_index() })
        } else {
            None
        };
        if let Some(answer) = refusal {
            return self.push(connection, &Frame::SnapshotAnswer(answer));
        }
        if self.lanes.from.as_ref().is_some_and(|incoming| incoming.finishing) {
            // One that came just now is about to be this member's state: ask again.
            return self.drop_connection(now, connection);
        }
        let incoming =
            Incoming { from, term, connection: Some(connection), info, have: 0, finishing: false };
        // Another leader's, or another try.
        let before = self.lanes.from.replace(incoming).and_then(|before| before.connection);
        if let Some(before) = before.filter(|before| *before != connection) {
            self.drop_connection(now, before);
        }
        self.orders.push(Order::Snapshot(SnapshotJob::Begin(info)));
    }

    pub(super) fn piece_came(
        &mut self,
        connection: ConnectionId,
        offset: u64,
        bytes: Bytes,
    ) -> Result<(), String> {
        let incoming = self.lanes.from.as_ref();
        let Some(incoming) = incoming.filter(|i| i.connection == Some(connection)) else {
            // On its way when this snapshot was answered, or another one offered.
            return Ok(());
        };
        if incoming.finishing {
            // All that was missing is here: the rest is in files of earlier snapshots.
            return Ok(());
        }
        if incoming.have.saturating_add(2 * WINDOW_BYTES) < offset {
            return Err("a piece of a snapshot that was not asked for".into());
        }
        self.orders.push(Order::Snapshot(SnapshotJob::Add { offset, bytes }));
        Ok(())
    }

    fn more_wanted(&mut self, of: SnapshotInfo, wanted: Result<Option<u64>, SnapshotAnswer>) {
        let incoming = self.lanes.from.as_mut();
        let Some(incoming) = incoming.filter(|incoming| incoming.info == of) else { return };
        match wanted {
            Ok(Some(offset)) => {
                incoming.have = offset;
                if let Some(connection) = incoming.connection {
                    self.push(connection, &Frame::SnapshotWant { offset });
                }
            }
            Ok(None) if incoming.finishing => {}
            Ok(None) => {
                (incoming.have, incoming.finishing) = (incoming.info.bytes, true);
                let machine = Box::new(self.replica.machine().fresh());
                self.orders.push(Order::Snapshot(SnapshotJob::Finish(machine)));
            }
            Err(answer) => self.answer_snapshot(answer),
        }
    }

    /// Tells the leader how it went; its snapshot is done with.
    pub(super) fn answer_snapshot(&mut self, answer: SnapshotAnswer) {
        let Some(incoming) = self.lanes.from.take() else { return };
        self.lanes.told = match &answer {
            SnapshotAnswer::Useless(why) | SnapshotAnswer::NoRoom(why) => {
                let from = self.named(incoming.from);
                let text = format!("the snapshot of {from} cannot be used here: {why}");
                if self.lanes.told.as_ref() != Some(&text) {
                    self.orders.push(Order::Tell(Notice::Peer(text.clone())));
                }
                Some(text)
            }
            _ => None,
        };
        if let Some(connection) = incoming.connection {
            self.push(connection, &Frame::SnapshotAnswer(answer));
        }
    }

    // ---- both ----------------------------------------------------------------------------------

    /// The helper did a piece of work.
    pub fn snapshot_done(&mut self, now: Time, done: SnapshotDone) {
        match done {
            SnapshotDone::Written(result) => {
                if let Err(what) = &result {
                    self.orders.push(Order::Tell(Notice::NoSpace { what: what.clone() }));
                }
                self.events.push(Event::SnapshotWritten { result });
            }
            SnapshotDone::Opened(peer, info) => self.opened(now, peer, info),
            SnapshotDone::Read { peer, offset, bytes } => self.piece_read(now, peer, offset, bytes),
            SnapshotDone::Wanted(of, wanted) => self.more_wanted(of, wanted),
            SnapshotDone::Came(Ok(machine)) => {
                if let Some(Incoming { from, term, .. }) = self.lanes.from {
                    self.events.push(Event::SnapshotCame { from, term, machine });
                }
            }
            SnapshotDone::Came(Err(answer)) => self.answer_snapshot(answer),
        }
    }

    /// The log on disk begins after another entry now.
    pub fn compacted(&mut self, start: raft_core::LogId) {
        self.events.push(Event::Compacted { start });
    }

    /// A peer that cannot be reached for messages cannot be for a snapshot: what it has, it keeps.
    pub(super) fn drop_lane(&mut self, now: Time, peer: NodeId) {
        let outgoing = self.lanes.to.get(&peer);
        if let Some(connection) = outgoing.and_then(|outgoing| outgoing.connection) {
            self.drop_connection(now, connection);
        }
        self.give_up_lane(peer);
    }

    /// The connection of a snapshot ended.
    pub(super) fn lane_ended(&mut self, id: ConnectionId, party: Party) {
        match party {
            Party::SnapshotTo(peer) => {
                let outgoing = self.lanes.to.get(&peer);
                if outgoing.is_some_and(|outgoing| outgoing.connection == Some(id)) {
                    self.give_up_lane(peer);
                }
            }
            Party::SnapshotFrom(_) => {
                let incoming = self.lanes.from.as_mut();
                match incoming.filter(|incoming| incoming.connection == Some(id)) {
                    Some(incoming) if incoming.finishing => incoming.connection = None,
                    Some(_) => {
                        self.lanes.from = None;
                        self.orders.push(Order::Snapshot(SnapshotJob::Abandon));
                    }
                    None => {}
                }
            }
            _ => {}
        }
    }

    /// How far the snapshots are that are under way.
    pub(super) fn transfers(&self) -> Vec<SnapshotTransfer> {
        let to = self.lanes.to.iter().filter_map(|(peer, outgoing)| {
            let (done, bytes) = (outgoing.wanted.unwrap_or(0), outgoing.info?.bytes);
            Some(SnapshotTransfer { peer: self.named(*peer), outgoing: true, done, bytes })
        });
        let from = self.lanes.from.iter().map(|incoming| SnapshotTransfer {
            peer: self.named(incoming.from),
            outgoing: false,
            done: incoming.have,
            bytes: incoming.info.bytes,
        });
        to.chain(from).collect()
    }
}
