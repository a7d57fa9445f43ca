//! Replica and Node: a replicated log with a state machine on top, as a library.
//!
//! [`node`] starts a member of a cluster around your [`StateMachine`]; [`Client`] talks to one.
//! In between lie state machines without sockets and clocks, each in a file of its own: the
//! handshake, founding, connection binding, sessions, the client's retries; [`replica`], which
//! joins the consensus core with log, sessions and state machine; and [`resident`], which is all
//! of that but the client: what a server decides.

pub mod address;
pub mod binding;
pub mod client_core;
pub mod founding;
pub mod hello;
mod node;
pub mod notice;
pub mod payload;
pub mod protocol;
pub mod random;
pub mod recovery;
pub mod refused;
pub mod replica;
pub mod resident;
pub mod sessions;
pub mod snapshots;
pub mod state_machine;
pub mod testimony;
pub mod vitals;
pub mod wire;

pub use bytes::Bytes;
pub use raft_core::{Index, LogId, Membership, NodeId, RequestId, Term};

pub use address::{Address, AddressError, AddressList};
pub use protocol::{
    Answer, Changed, Consistency, KnownMember, MemberChange, MemberName, MemberRow, MembersView,
    News, NodeStatus, Outcome, ReadAnswer, Reason, Refusal, Reply, Request, SnapshotTransfer,
    SnapshotsView, Standing,
};

pub use client_core::{ClientError, ClientNotice, Conclusion};
pub use node::{
    Builder, Client, ClientOptions, Failure, FailureClass, Line, Lines, Node, Notice, Pending,
    Served, StopHandle, Written, node,
};
pub use payload::Payload;
pub use sessions::{Fate, RequestName};
pub use testimony::Testimony;
pub use vitals::{Recent, RecentEvent, TailEntry, Vitals};

pub use state_machine::{
    Applied, Apply, Command, Fill, NotAdmitted, Part, Render, Show, Snapshot, StateMachine, Typed,
    Wire,
};
