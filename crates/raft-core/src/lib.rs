//! Raft as a pure state machine: one door, [`Raft::step`], and plain data on both sides of it.
#![no_std]

extern crate alloc;

mod change;
mod config;
mod display;
mod election;
mod following;
mod history;
mod input;
mod invariants;
mod leading;
mod log;
mod membership;
mod message;
mod output;
mod progress;
mod quorum;
mod raft;
mod rng;
mod role;
mod tickets;
mod transfer;
mod types;
mod validate;

pub use config::{Config, Recovered};
pub use input::{Input, Lane};
pub use membership::{
    Change, ChangeOutcome, ChangeRefused, Job, JobKind, Member, Membership, OUTCOMES_MAX,
};
pub use message::{
    AppendEntries, AppendEntriesResponse, AppendResult, Message, RequestVote, VoteRefusal,
    VoteResponse,
};
pub use output::{Output, PeerStatus, Persist, ProposeRefused, RoleKind, Status};
pub use raft::Raft;
pub use types::{
    EntryKind, EntryMeta, HardState, Index, LogId, NodeId, RequestId, Term, Ticket, Time,
};
