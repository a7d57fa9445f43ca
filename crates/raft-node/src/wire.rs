//! What travels between members and clients: frames.
//!
//! ```text
//! u32 length | u8 kind | u8 flags | u16 0 | u64 group | u32 crc32c | u32 body length | body | trailer
//! ```
//!
//! Little-endian. `length` counts what follows the header: body and trailer. The body is prost;
//! the trailer is raw bytes that carry checksums of their own: log entries exactly as they lie on
//! disk, or a client's command. The header's checksum covers the header and the body.
//!
//! Bytes from others are validated, never asserted on: lengths before anything is allocated,
//! checksums before anything is decoded, every field before it becomes one of our types. The
//! prost structs are private; the field numbers stand in `docs/wire-format.md`.

mod body;
mod change;
mod client;
mod fate;
mod frame;
mod membership;
mod message;
mod peer;
mod reason;
mod snapshot;
mod testimony;
mod view;
mod vitals;

use bytes::Bytes;
use raft_core::{AppendEntries, EntryMeta, Index, LogId, Message, NodeId, Term};
use raft_log::SnapshotInfo;

pub use self::frame::{
    BODY_BYTES_MAX, COMMAND_BYTES_MAX, Decoder, Encoded, FRAME_BYTES_MAX, FrameError, HEADER_BYTES,
    HELLO_BYTES_MAX, Kind, MESSAGE_BYTES_MAX, PROTOCOL_MAX, PROTOCOL_MIN, RESPONSE_BYTES_MAX,
    RawFrame,
};
pub use self::membership::{
    MEMBERSHIP_BYTES_MAX, MEMBERSHIP_VERSION, decode_membership, encode_membership,
};
pub use self::message::encode_message;

use crate::founding::{Founder, Report};
use crate::hello::{Hello, HelloRefused, Welcome};
use crate::protocol::{Reply, Request};
use crate::replica::SnapshotAnswer;

/// Everything that can be said on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The dialler's first word.
    Hello(Hello),
    /// The acceptor's, if it takes the connection.
    Welcome(Welcome),
    /// The acceptor's, if it does not. Also said later, before a connection is closed for cause.
    Refused(Box<HelloRefused>),
    /// One founder's view of the founding.
    Founding(Report),
    /// The leader's word to a server that was added: who it is from now on.
    Admit(Admit),
    /// Raft's own messages.
    Message(PeerMessage),
    /// A client's request; `id` is the client's and comes back with the reply.
    Request {
        /// Names the reply on this connection.
        id: u64,
        /// What is wanted.
        request: Request,
    },
    /// The answer to a request.
    Reply {
        /// The request's.
        id: u64,
        /// The answer.
        reply: Reply,
    },
    /// A client's request that a follower passes on to the leader.
    Forward {
        /// Names the reply on this connection.
        id: u64,
        /// What is wanted.
        request: Request,
    },
    /// The leader's answer to it.
    ForwardReply {
        /// The forward's.
        id: u64,
        /// The answer.
        reply: Reply,
    },
    /// A leader's first word on a connection for a snapshot: the one that it sends.
    SnapshotOffer {
        /// The term that it leads.
        term: Term,
        /// The snapshot.
        info: SnapshotInfo,
    },
    /// Everything before this offset is there; a first one begins the sending.
    SnapshotWant {
        /// In the bytes of all its files together.
        offset: u64,
    },
    /// A piece of it.
    SnapshotChunk {
        /// Where it begins.
        offset: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// What became of it.
    SnapshotAnswer(SnapshotAnswer),
    /// Are you there?
    Ping {
        /// Comes back.
        nonce: u64,
    },
    /// Here.
    Pong {
        /// The ping's.
        nonce: u64,
    },
}

/// What a server that was added needs to become a member. Sent when the entry that added it is
/// committed, and not before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admit {
    /// The cluster.
    pub cluster: u128,
    /// The new member's id.
    pub id: NodeId,
    /// The incarnation that was added: a server with another one ignores this.
    pub incarnation: u128,
    /// The address that it was added with.
    pub address: String,
    /// The founders by address: the configuration at index 0.
    pub founders: Vec<Founder>,
    /// The index of the entry that added it.
    pub at: Index,
}

/// A message of the core on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerMessage {
    /// How many log bytes the sender can still write: a leader admits what a quorum can hold.
    pub free_log_bytes: u64,
    /// The message.
    pub content: PeerContent,
}

/// A message of the core as it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerContent {
    /// Complete.
    Whole(Message),
    /// An `AppendEntries` whose entries are still bytes.
    Append(AppendHead, Bytes),
}

/// An `AppendEntries` without its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendHead {
    /// The leader's term.
    pub term: Term,
    /// The entry just before the sent ones.
    pub prev_log_id: LogId,
    /// The leader's commit index.
    pub commit_index: Index,
    /// How many entries the bytes hold.
    pub count: u32,
    /// The leader's newest round of reads.
    pub round: u64,
}

/// Why bytes are not a frame of ours. The connection that they came by is of no more use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The frame itself is wrong.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A body that is no prost message of its kind.
    #[error("the body of a {kind} frame cannot be decoded: {why}")]
    Body {
        /// The frame's kind.
        kind: Kind,
        /// What prost said.
        why: String,
    },
    /// A body that lacks something, or says what no correct peer says.
    #[error("a {kind} frame is not valid: {what}")]
    Invalid {
        /// The frame's kind.
        kind: Kind,
        /// What is wrong.
        what: &'static str,
    },
    /// A newer program's word that this one does not know.
    #[error("{what} {value} is not known to this version of the program; upgrade it")]
    Unsupported {
        /// What is unknown.
        what: &'static str,
        /// Which.
        value: u64,
    },
}

impl AppendHead {
    /// The message, once its entries are decoded.
    pub fn with_entries(self, entries: Vec<EntryMeta>) -> Result<Message, WireError> {
        if entries.len() as u64 != u64::from(self.count) {
            let what = "fewer or more entries than it says";
            return Err(WireError::Invalid { kind: Kind::Message, what });
        }
        Ok(Message::AppendEntries(AppendEntries {
            term: self.term,
            prev_log_id: self.prev_log_id,
            entries,
            commit_index: self.commit_index,
            round: self.round,
        }))
    }
}
