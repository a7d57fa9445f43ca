//! Everything that reaches the reactor, on one queue.

use std::io;

use raft_log::MakeError;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::binding::ConnectionId;
use crate::node::Failure;
use crate::protocol::{Reply, Request};
use crate::replica::Chunk;
use crate::resident::DialId;
use crate::snapshots::SnapshotDone;
use crate::wire::Frame;

/// Something happened outside.
#[derive(Debug)]
pub(super) enum Incoming {
    /// Somebody dialled this member.
    Accepted { stream: TcpStream },
    /// Somebody dialled and was hung up on: of so many descriptors too few are left.
    Crowded { limit: u64 },
    /// A connection brought frames; it reads on when it is resumed.
    Frames { connection: ConnectionId, frames: Vec<Frame> },
    /// A connection ended.
    Closed { connection: ConnectionId, error: io::Error },
    /// A connection that is full has taken some more bytes of entries.
    Wrote { connection: ConnectionId },
    /// A connection that was full takes bytes again.
    Drained { connection: ConnectionId },
    /// A dial came to something.
    Dialled { dial: DialId, result: io::Result<TcpStream> },
    /// Entries were read back.
    LogRead { request: u64, chunk: Option<Chunk> },
    /// A thread could not do its work: entries cannot be read back, a snapshot not be written.
    WorkFailed { failure: Failure },
    /// The helper looked after spare slots.
    Spare { result: Result<(), MakeError> },
    /// How many bytes the data directory takes, and its file system has left.
    Disk { used: u64, free: u64 },
    /// Work on a snapshot was done.
    Snapshot(SnapshotDone),
    /// The program that embeds this node wants something.
    Local(Local),
}

/// What the program itself may want.
#[derive(Debug)]
pub(super) enum Local {
    /// A request as a client makes it.
    Ask { request: Request, reply: oneshot::Sender<Reply> },
    /// Hand leadership over, then end.
    Stop,
}
