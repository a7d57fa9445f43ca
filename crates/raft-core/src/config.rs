//! The core's settings and what it starts from.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::membership::Membership;
use crate::types::{HardState, Index, LogId, NodeId, Term};

/// Settings of one member. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This member.
    pub id: NodeId,
    /// The election timeout T; timeouts are drawn from T to 2 T.
    pub election_timeout: u64,
    /// How often a leader is heard at least; a tenth of T by default.
    pub heartbeat_interval: u64,
    /// Entry bytes in one `AppendEntries`, unless one entry is larger.
    pub append_bytes_max: u64,
    /// Entry bytes sent to a peer and not yet acknowledged.
    pub inflight_bytes_max: u64,
    /// `AppendEntries` with entries sent to a peer and not yet acknowledged.
    pub inflight_appends_max: usize,
    /// Entry bytes kept in memory once durable and applied.
    pub tail_bytes_max: u64,
    /// How long a joining member may make no progress before it is taken out again.
    pub join_patience: u64,
}

/// What was read back from the log at start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Term and vote.
    pub hard_state: HardState,
    /// The entry that the log begins after; `0@0` if nothing was compacted.
    pub log_start: LogId,
    /// What the state machine begins with: the index of its snapshot, at or above `log_start`; zero
    /// if it begins empty.
    pub snapshot_index: Index,
    /// The last entry, at or above `snapshot_index`.
    pub last_index: Index,
    /// Where each term begins: `(first index, term)`, both rising. What lies at or below
    /// `log_start` does not matter.
    pub term_runs: Vec<(Index, Term)>,
    /// Known to be committed; a lower bound.
    pub commit_index: Index,
    /// The configurations by the indexes of their entries, rising. The first is the one in force
    /// at `snapshot_index`: the founders', at 0, or the snapshot's; the others are in the log.
    pub memberships: Vec<(Index, Arc<Membership>)>,
    /// The last write before the start was damaged: it cannot be told whether it had been
    /// acknowledged. Such a member campaigns late.
    pub tail_ambiguous: bool,
}

impl Config {
    /// The defaults for this member: T is one second.
    #[must_use]
    pub const fn new(id: NodeId) -> Self {
        Self {
            id,
            election_timeout: 1000,
            heartbeat_interval: 100,
            append_bytes_max: 256 * 1024,
            inflight_bytes_max: 4 * 1024 * 1024,
            inflight_appends_max: 64,
            tail_bytes_max: 64 * 1024 * 1024,
            join_patience: 30_000,
        }
    }
}
