//! What can happen to a member.

use alloc::vec::Vec;

use crate::membership::Change;
use crate::message::Message;
use crate::types::{EntryMeta, Index, LogId, NodeId, RequestId, Snapshot, Term, Ticket};

/// An event. Everything that the core ever learns arrives as one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time passed; [`crate::Raft::next_deadline`] says when this is wanted.
    Timer,
    /// A message arrived.
    Receive {
        /// Who sent it, as established by the connection that it came by.
        from: NodeId,
        /// The message.
        message: Message,
    },
    /// Everything up to this ticket is durable.
    Persisted(Ticket),
    /// The state machine has applied everything up to here; it need not stay in memory.
    Applied(Index),
    /// Clients want these commands in the log, in this order.
    Propose {
        /// The encoded size of each in bytes.
        sizes: Vec<u32>,
    },
    /// Clients want to read, and to miss nothing that was acknowledged before (thesis 6.4). Each is
    /// answered with `ReadReady` or `ReadRefused`, and may be asked again at any time.
    Read {
        /// Numbers of the driver's own; all of one input share a round.
        requests: Vec<u64>,
    },
    /// A client wants another membership.
    ChangeMembership {
        /// Names the request for ever.
        request: RequestId,
        /// What is wanted.
        change: Change,
    },
    /// Leadership shall go to another member; `None` picks the best.
    TransferLeadership {
        /// To whom.
        to: Option<NodeId>,
    },
    /// The connection that this member dialled to `peer` (`Outbound`) or that `peer` dialled
    /// (`Inbound`) came up or went down. What waits to be answered dies with its connection. A
    /// new outbound connection is writable and its peer is probed.
    Link {
        /// The other end.
        peer: NodeId,
        /// Which of the two connections.
        lane: Lane,
        /// Up or down.
        up: bool,
    },
    /// A dial to `peer` was refused: nobody listens there. Repeated for every attempt.
    Refused {
        /// Who was dialled.
        peer: NodeId,
    },
    /// The outbound connection to `peer` takes bytes, or is full. What was not sent meanwhile is
    /// derived again when it turns writable.
    Writable {
        /// The other end.
        peer: NodeId,
        /// Whether it takes bytes.
        writable: bool,
    },
    /// The outbound socket to `peer` took bytes of entries: the leader makes progress (rule R15).
    Sent {
        /// The other end.
        peer: NodeId,
        /// All entries up to here are in the socket.
        through: Index,
        /// And so many bytes of the following one.
        bytes: u64,
    },
    /// The answer to [`crate::Output::ReadLog`]; empty if the log could not be read.
    LogRead {
        /// Which request.
        request: u64,
        /// The entries from the requested index on, as many as fitted.
        entries: Vec<EntryMeta>,
    },
    /// The log was compacted: it begins after `through` now. Each member does this by itself. In this
    /// order: a snapshot of what is applied, taken when that is durable in the log too; its file and
    /// directory synced; this input; then the log's space.
    Compacted {
        /// At or below what is applied and durable.
        through: LogId,
    },
    /// The peer has more of the snapshot that was asked for by `SendSnapshot` than before: the
    /// leader makes progress (rule R15).
    SnapshotTaken {
        /// The receiver.
        peer: NodeId,
    },
    /// The peer has a snapshot, and said so: it installed it, or did not need it.
    SnapshotSent {
        /// The receiver.
        peer: NodeId,
        /// The snapshot's last entry.
        through: Index,
    },
    /// The snapshot did not arrive, or was refused. The core asks again in time.
    SnapshotFailed {
        /// The receiver.
        peer: NodeId,
    },
    /// A leader's snapshot came, whole, checked, and is durable: file synced, renamed, directory
    /// synced. Answered in the same step with `SnapshotInstalled` or `SnapshotRefused`.
    InstallSnapshot {
        /// The leader, as established by the connection that it came by.
        from: NodeId,
        /// The leader's term, as it said when it began to send.
        term: Term,
        /// What the file says of itself.
        snapshot: Snapshot,
    },
}

/// Which of the two connections between a pair of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Dialled by this member; carries its requests and the answers to them.
    Outbound,
    /// Dialled by the peer; carries the peer's requests and this member's answers.
    Inbound,
}
