//! Replica's door: what can happen to it and what it wants done. Plain data on both sides, like
//! the core's door, with payload bytes added.

use bytes::Bytes;
use raft_core::{Index, Lane, LogId, Membership, Message, NodeId, RoleKind, Term, Ticket};
use raft_log::{Entry, LogRange, Write, encoded_len};
use std::sync::Arc;

use super::machine::{Frozen, Machine};
use super::snapshots::{Compaction, SnapshotAnswer};
use crate::protocol::{Reason, Reply, Request};
use crate::state_machine::Show;

/// Where a request came from, and so where its reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The connection.
    pub connection: u64,
    /// The request's number on it.
    pub request: u64,
    /// Whether another member passed it on: it is then not passed on again.
    pub forwarded: bool,
    /// When it arrived, for whoever measures: the replica only hands it back.
    pub since_us: u64,
}

/// Entries and the bytes that they are in.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// Decoded and verified, contiguous.
    pub entries: Vec<Entry>,
    /// Exactly these entries as they lie on disk and on the wire.
    pub bytes: Vec<Bytes>,
}

/// An event.
#[derive(Debug)]
pub enum Event {
    /// Time passed.
    Timer,
    /// A message from a peer, with its entries.
    Message {
        /// The sender, as bound to the connection.
        from: NodeId,
        /// The message; an `AppendEntries` describes exactly the entries of `chunk`.
        message: Message,
        /// The entries.
        chunk: Chunk,
        /// How many bytes of log the sender's disk can still take.
        free_log_bytes: u64,
    },
    /// Everything up to this ticket is durable.
    Persisted(Ticket),
    /// Answers [`Effect::ReadLog`]; `None` if the log could not be read.
    LogRead {
        /// Which request.
        request: u64,
        /// What was read.
        chunk: Option<Chunk>,
    },
    /// A connection between members came up or went down.
    Link {
        /// The other end.
        peer: NodeId,
        /// Which of the two.
        lane: Lane,
        /// Up or down.
        up: bool,
    },
    /// Nobody listens at the peer's address.
    Refused {
        /// Who was dialled.
        peer: NodeId,
    },
    /// The outbound connection takes bytes, or is full.
    Writable {
        /// The other end.
        peer: NodeId,
        /// Whether it takes bytes.
        writable: bool,
    },
    /// The outbound socket took entries.
    Sent {
        /// The other end.
        peer: NodeId,
        /// All entries up to here.
        through: Index,
        /// And so many bytes of the following.
        bytes: u64,
    },
    /// A client, or a member on behalf of its client, asks for something.
    Request {
        /// Where the reply goes.
        origin: Origin,
        /// What is wanted.
        request: Request,
    },
    /// The leader answered what was forwarded to it.
    ForwardReply {
        /// Who answers.
        from: NodeId,
        /// The number given in [`Effect::Forward`].
        request: u64,
        /// The answer.
        reply: Reply,
    },
    /// A connection that requests came by is gone: nobody waits for their replies.
    Gone {
        /// The connection.
        connection: u64,
    },
    /// Answers [`Effect::Meet`].
    Met {
        /// The number given there.
        request: u64,
        /// The server's incarnation, or why it cannot be added.
        result: Result<u128, Reason>,
    },
    /// How many bytes of log this member's disk can still take.
    Space {
        /// The bytes.
        free_log_bytes: u64,
    },
    /// Answers [`Effect::WriteSnapshot`].
    SnapshotWritten {
        /// Its bytes on the disk, or why there is no room for it.
        result: Result<u64, String>,
    },
    /// Answers [`Effect::Compact`].
    Compacted {
        /// The entry that the log begins after now.
        start: LogId,
    },
    /// A peer has more of the snapshot that it is sent.
    SnapshotTaken {
        /// Who.
        peer: NodeId,
    },
    /// A peer answered the snapshot that it was sent.
    SnapshotAnswered {
        /// Who.
        peer: NodeId,
        /// Which snapshot.
        through: LogId,
        /// What it said.
        answer: SnapshotAnswer,
    },
    /// A snapshot did not get through.
    SnapshotFailed {
        /// To whom.
        peer: NodeId,
    },
    /// A leader's snapshot came, whole, verified, durable.
    SnapshotCame {
        /// The leader, as bound to the connection.
        from: NodeId,
        /// The term that it said it leads.
        term: Term,
        /// A machine that went on from it.
        machine: Box<Machine>,
    },
    /// This member is about to stop: leadership goes to another, new requests are refused.
    HandOver,
}

/// An instruction. To be carried out in order.
#[derive(Debug)]
pub enum Effect {
    /// Send to a member: a request on the outbound connection, a response on the inbound one.
    Send {
        /// To whom.
        to: NodeId,
        /// The message.
        message: Message,
        /// The entries of an `AppendEntries`, encoded.
        entries: Vec<Bytes>,
    },
    /// Make durable, then answer with [`Event::Persisted`].
    Write {
        /// Comes back when it is done.
        ticket: Ticket,
        /// What to write.
        write: Write,
    },
    /// Read entries back from the log, answer with [`Event::LogRead`].
    ReadLog {
        /// Names the answer.
        request: u64,
        /// The first entry.
        first: Index,
        /// The last that is wanted.
        last: Index,
        /// About how many bytes; at least one entry.
        bytes_max: u64,
    },
    /// Write a snapshot, answer with [`Event::SnapshotWritten`].
    WriteSnapshot(Box<Frozen>),
    /// Free what may go of the log, answer with [`Event::Compacted`].
    Compact(Compaction),
    /// Send the newest snapshot to a peer that lacks what is compacted. Answered with
    /// [`Event::SnapshotAnswered`] or [`Event::SnapshotFailed`].
    SendSnapshot {
        /// To whom.
        peer: NodeId,
        /// It is sent in the name of this term.
        term: Term,
    },
    /// A leader's snapshot is this member's state now; lines of what it stands for are not shown.
    Installed {
        /// Its last entry.
        at: LogId,
        /// Of so many entries.
        skipped: u64,
    },
    /// Tell the leader what became of the snapshot that it sent.
    AnswerSnapshot {
        /// The leader.
        to: NodeId,
        /// What.
        answer: SnapshotAnswer,
    },
    /// The log goes on from this snapshot, durably: of those before it one stays.
    PruneSnapshots(LogId),
    /// Answer a request.
    Reply {
        /// Where to.
        origin: Origin,
        /// The answer.
        reply: Reply,
    },
    /// Pass a client's request on to the leader, answer with [`Event::ForwardReply`].
    Forward {
        /// The leader.
        to: NodeId,
        /// Names the answer.
        request: u64,
        /// The request.
        body: Request,
    },
    /// Ask the server at this address who it is, answer with [`Event::Met`].
    Meet {
        /// Names the answer.
        request: u64,
        /// Where.
        address: String,
    },
    /// Show lines to the people at this server.
    Show {
        /// The entry that made them.
        index: Index,
        /// The lines.
        lines: Vec<Show>,
    },
    /// Role, term or leader changed.
    RoleChanged {
        /// The role.
        role: RoleKind,
        /// The term.
        term: Term,
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// This configuration is in force.
    MembershipChanged {
        /// The configuration.
        membership: Arc<Membership>,
    },
    /// This member is not part of the cluster any more.
    Removed {
        /// The index of the configuration that left it out.
        at: Index,
    },
    /// A peer said what no correct member says: close its connections.
    Alarm {
        /// Who.
        peer: NodeId,
        /// What.
        what: &'static str,
    },
    /// The log holds what this version does not understand: stop, and say so.
    Halt {
        /// What, why and what next.
        why: String,
    },
}

impl From<LogRange> for Chunk {
    fn from(range: LogRange) -> Self {
        Self { entries: range.entries, bytes: range.encoded }
    }
}

impl Chunk {
    /// The encoded entries `first` to `last`; `None` if they are not all here.
    #[must_use]
    pub fn slice(&self, first: Index, last: Index) -> Option<Vec<Bytes>> {
        let base = self.entries.first()?.index;
        if first < base || last > self.entries.last()?.index || first > last {
            return None;
        }
        let size = |from: u64, to: u64| {
            self.entries[from as usize..to as usize]
                .iter()
                .map(|entry| encoded_len(entry.payload.len()))
                .sum::<usize>()
        };
        let (from, to) = (first.0 - base.0, last.0 - base.0 + 1);
        let mut skip = size(0, from);
        let mut take = size(from, to);
        let mut slices = Vec::new();
        for bytes in &self.bytes {
            let start = skip.min(bytes.len());
            let end = (start + take).min(bytes.len());
            skip -= start;
            take -= end - start;
            if end > start {
                slices.push(bytes.slice(start..end));
            }
        }
        (take == 0).then_some(slices)
    }
}
