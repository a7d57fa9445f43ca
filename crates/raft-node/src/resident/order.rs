//! What a resident wants of whoever moves its bytes, files and time.

use raft_core::{Index, Ticket};
use raft_log::{NodeState, Write};

use crate::binding::ConnectionId;
use crate::notice::Notice;
use crate::protocol::Reply;
use crate::refused::HelloRefused;
use crate::replica::{Compaction, Origin};
use crate::snapshots::SnapshotJob;
use crate::state_machine::Show;
use crate::wire::{Encoded, Frame};

/// A dial, as its resident numbers them. Never used again in one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DialId(pub u64);

/// How a dial ended without a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoConnection {
    /// Nobody listens there.
    Refused,
    /// Anything else.
    Failed(String),
}

/// What became of that which was pushed to a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Bytes that wait, because the socket is full.
    pub waiting: usize,
    /// How far the socket has taken entries, if that is news: all up to this index, and so many
    /// bytes of the following.
    pub sent: Option<(Index, u64)>,
}

/// An order. To be carried out in this order.
#[derive(Debug)]
pub enum Order {
    /// Send a frame.
    Push {
        /// On which connection.
        to: ConnectionId,
        /// The frame.
        frame: Encoded,
        /// If its last bytes are entries: the index before them, and the last one's. How far the
        /// socket takes them is to be told: [`Flushed::sent`].
        entries: Option<(Index, Index)>,
    },
    /// What it brought last has been taken: more may come.
    Resume(ConnectionId),
    /// Let frames of any size through: the other end is known.
    Trust(ConnectionId),
    /// Give up on this end if it takes nothing of what is sent for two election timeouts.
    Hurry(ConnectionId),
    /// Hang up, after what was pushed, as far as the socket takes it.
    Close(ConnectionId),
    /// Connect to this address, and say how that went.
    Dial(DialId, String),
    /// Nobody waits for this dial any more.
    GiveUp(DialId),
    /// Make durable, and say so if it has a ticket.
    Write {
        /// What comes back when it is durable.
        ticket: Option<Ticket>,
        /// What to write.
        write: Write,
    },
    /// Read entries back from the log.
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
    /// Have a piece of work done on snapshots.
    Snapshot(SnapshotJob),
    /// Free what may go of the log before anything that follows is written, and say where it
    /// begins then.
    Compact(Compaction),
    /// Make a spare slot, if the log wants one.
    MakeSlot,
    /// See how full the disk is.
    LookAtDisk,
    /// Write who this is into the data directory, durably, before anything that follows.
    Store(NodeState),
    /// Show lines to the people at this server.
    Show {
        /// The entry that made them.
        index: Index,
        /// The lines.
        lines: Vec<Show>,
    },
    /// Answer what the program itself asked.
    Answer {
        /// Its number for it.
        request: u64,
        /// The answer.
        reply: Box<Reply>,
    },
    /// Add to a status what a resident cannot know of its server, then send it to where it was
    /// asked for.
    Report {
        /// Who asked.
        origin: Origin,
        /// The status.
        reply: Box<Reply>,
    },
    /// Tell the people at this server.
    Tell(Notice),
    /// Tell them of a connection that was refused.
    TellRefused(Box<HelloRefused>),
    /// Tell them what an end of a connection did wrong.
    TellFolly(String),
    /// Remember what happened, for whoever asks later: its kind and a text.
    Remember(&'static str, String),
}

impl Order {
    /// Sends a frame without entries.
    #[must_use]
    pub fn push(to: ConnectionId, frame: &Frame) -> Self {
        Self::Push { to, frame: frame.encode(), entries: None }
    }

    /// Takes a reply to whoever asked.
    #[must_use]
    pub fn reply(origin: Origin, reply: Reply) -> Self {
        let id = origin.request;
        if origin.connection == LOCAL {
            return Self::Answer { request: id, reply: Box::new(reply) };
        }
        let frame = match origin.forwarded {
            true => Frame::ForwardReply { id, reply },
            false => Frame::Reply { id, reply },
        };
        Self::push(ConnectionId(origin.connection), &frame)
    }
}

/// The connection of the program's own requests.
pub const LOCAL: u64 = 0;
