//! Raft as a pure state machine: one door, [`Raft::step`], and plain data on both sides of it.
//!
//! No clock, socket, file or thread: time, messages and the disk's confirmations are inputs;
//! messages, durable operations and what may be applied are outputs. Payloads of entries never
//! come in here, only their terms, sizes and kinds.
//!
//! Where to start reading: `raft` is the state, the door, the term rule and the four changes of
//! role; `election`, `leading` and `following` are figure 2 of the paper; `change` and `transfer`
//! are chapters 4 and 3.10 of the thesis, `reads` is 6.4, `snapshots` 5. `tickets` says what the
//! disk holds, `progress` what a peer holds, `log` and `history` what this member holds, and
//! `quorum` counts; `refusals` remembers what was refused.
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
mod normal_form;
mod output;
mod progress;
#[cfg(test)]
mod quick;
mod quorum;
mod raft;
mod reads;
mod refusals;
mod rng;
mod role;
mod snapshots;
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
    AppendEntries, AppendEntriesResponse, AppendResult, Message, ReadIndex, ReadIndexResponse,
    ReadRefused, RequestVote, VoteRefusal, VoteResponse,
};
pub use output::{Output, PeerStatus, Persist, ProposeRefused, RoleKind, SnapshotRefused, Status};
pub use raft::Raft;
pub use refusals::{Alike, REFUSALS_MAX, Refusals, Refused, RefusedRequest, Repeated};
pub use types::{
    EntryKind, EntryMeta, HardState, Index, LogId, NoTerm, NodeId, RequestId, Snapshot, Term,
    Ticket, Time,
};
