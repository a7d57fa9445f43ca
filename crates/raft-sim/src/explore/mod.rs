//! Every state of a small world: a few members of the real core, cloned, through every order of
//! everything that can happen within [`Bounds`]. No model of the core that could be wrong.
//!
//! - **Messages** are lost, delayed, reordered and repeated without bounds: what was sent may
//!   arrive at any time, any number of times, or never. What is on its way to a process that dies
//!   is lost with its sockets; what that process sent may outlive it.
//! - **Disks** finish writes in order, each at any later time. A crash loses what is not finished,
//!   and the member starts at once from the rest: a long absence is the same as slow messages. Its
//!   peers see the connection break at once; one that sees it later is one more of `reconnects`.
//! - **Time** is no part of a state ([`raft_core::Raft::normalize`] says what that keeps and
//!   leaves out). Whether a follower is still loyal to its leader is open at every request for a
//!   vote. In the last term nobody's patience ends: that bounds the terms.
//! - **Pre-votes** are messages where the bounds say so; elsewhere whoever campaigns has them,
//!   which allows more campaigns than pre-votes would.
//!
//! Three reductions, each with its reason where it is made. None hides a violation: what is left
//! out does nothing that what is kept does not do as well.
//!
//! 1. Members that differ in their names only are the same: `fingerprint.rs`, `search.rs`.
//! 2. What only adds messages is done at once: `Stepper::saturate`.
//! 3. A message that can do nothing any more is forgotten: `Catalog::is_dead`.
//!
//! Different states are told apart by 128 bits. What must hold is in `rules.rs`; the core's own
//! assertions and alarms are rules too. The search is breadth first: a violation comes with the
//! shortest story, as a golden script.

mod action;
mod catalog;
mod disk;
mod fingerprint;
mod member;
mod report;
mod rules;
mod script;
mod search;
mod table;
mod world;

pub use report::{Closure, Progress, Violation};

/// How small the world is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many members, up to seven.
    pub members: usize,
    /// The last term: nobody campaigns in it.
    pub terms: u64,
    /// How many times in all a member campaigns; where pre-votes are messages, asks for them.
    pub campaigns: u8,
    /// How many commands clients propose. Each term adds its no-op.
    pub proposals: u8,
    /// How many times a process dies and starts again.
    pub crashes: u8,
    /// How many times all connections of a pair break and are made again.
    pub reconnects: u8,
    /// How many times a client asks to remove a member.
    pub removals: u8,
    /// Whether leaders send heartbeats, at any time; otherwise only what is new is sent.
    pub heartbeats: bool,
    /// Whether pre-votes are messages.
    pub pre_votes: bool,
    /// Whether a message carries one entry at most.
    pub one_entry_a_message: bool,
    /// Whether members keep nothing in memory that is durable and applied, and what a leader reads
    /// back comes at any later time; otherwise everything stays in memory until a crash, and reads
    /// are done at once.
    pub slow_reads: bool,
    /// Whether messages keep what their receiver should not look at, to see that it does not:
    /// [`raft_core::Message::normalize`].
    pub whole_messages: bool,
    /// Whether states count as one that differ in the names of members only. Never with removals:
    /// who is asked to take over depends on the name.
    pub symmetry: bool,
    /// What the driver does wrong, to see that it is found.
    pub fault: Option<Fault>,
    /// Where the search gives up.
    pub states_max: u64,
}

/// What a driver can do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Says that a write is done when it begins.
    ConfirmsEarly,
    /// Does the newest write only, and says that all are done.
    SkipsWrites,
    /// Forgets its vote in a crash.
    ForgetsVote,
    /// Loses its last entry in a crash.
    LosesTail,
}

/// Visits every state within the bounds, or all up to the first violation. `progress` hears of
/// every depth that is done.
pub fn explore(bounds: &Bounds, progress: &mut dyn FnMut(&Progress)) -> Closure {
    search::search(bounds, progress)
}
