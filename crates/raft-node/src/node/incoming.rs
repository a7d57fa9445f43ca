//! Everything that reaches the reactor, on one queue.

use std::io;

use raft_core::NodeId;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::hello::{Hello, HelloRefused, Welcome};
use crate::node::Failure;
use crate::node::connection::Talk;
use crate::protocol::{Reason, Reply, Request};
use crate::replica::Chunk;
use crate::wire::Frame;

/// Something happened outside.
#[derive(Debug)]
pub(super) enum Incoming {
    /// Somebody dialled this member.
    Accepted { stream: TcpStream },
    /// A connection brought frames; it reads on when it is resumed.
    Frames { connection: u64, frames: Vec<Frame> },
    /// A connection ended.
    Closed { connection: u64, error: io::Error },
    /// A connection that is full has taken some more bytes of entries.
    Wrote { connection: u64 },
    /// A connection that was full takes bytes again.
    Drained { connection: u64 },
    /// A dial to a peer went through, up to its welcome.
    Dialled { peer: NodeId, dialled: Box<Dialled> },
    /// Nobody listens at a peer's address.
    Refused { peer: NodeId },
    /// A peer listens and does not want to talk.
    Unwelcome { peer: NodeId, refused: Box<HelloRefused> },
    /// A server that may be added was asked who it is.
    Met { request: u64, result: Result<u128, Reason> },
    /// Entries were read back.
    LogRead { request: u64, chunk: Option<Chunk> },
    /// Entries could not be read back.
    ReadFailed { failure: Failure },
    /// The helper looked after spare slots.
    Spare { result: Result<(), String> },
    /// How many bytes the data directory takes, and its file system has left.
    Disk { used: u64, free: u64 },
    /// The program that embeds this node wants something.
    Local(Local),
}

/// A connection that we made, and what was said on it.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) talk: Talk,
    pub(super) hello: Hello,
    pub(super) welcome: Welcome,
}

/// What the program itself may want.
#[derive(Debug)]
pub(super) enum Local {
    /// A request as a client makes it.
    Ask { request: Request, reply: oneshot::Sender<Reply> },
    /// Hand leadership over, then end.
    Stop,
}
