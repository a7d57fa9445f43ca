//! What a node tells about itself beyond its part in consensus: counters, latencies, disk, and
//! what happened lately. Plain data, which `node/` fills in.

use bytes::Bytes;
use raft_core::{Index, Term};

use crate::protocol::{NodeStatus, Standing};
use crate::state_machine::Fill;

/// Upper bounds of the buckets of [`Vitals::sync_buckets`], in microseconds. The last bucket has
/// no bound.
pub const SYNC_BUCKETS_US: [u64; 16] = [
    50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 102_400, 204_800, 409_600,
    819_200, 1_638_400,
];

/// A node's counters since its start, latencies of the last minute, and its disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Milliseconds since the node started.
    pub uptime_ms: u64,
    /// Syncs of the log.
    pub syncs: u64,
    /// Writes to the log.
    pub log_writes: u64,
    /// Bytes written to the log, padding included.
    pub log_bytes: u64,
    /// `AppendEntries` with entries, sent and received.
    pub appends_sent: u64,
    /// See above.
    pub appends_received: u64,
    /// Entries in those sent.
    pub entries_sent: u64,
    /// Reads from sockets that brought something.
    pub socket_reads: u64,
    /// Writes to sockets that took something.
    pub socket_writes: u64,
    /// Requests of clients, forwarded ones included.
    pub requests: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Times that the reactor woke up.
    pub wakeups: u64,
    /// What the server's process has worked, all its threads together, in microseconds.
    pub processor_us: u64,
    /// Times that another leader, or none, was seen.
    pub leader_changes: u64,
    /// How long a sync took, in the last minute: half of them at most so many microseconds.
    pub sync_p50_us: u64,
    /// 99 of 100.
    pub sync_p99_us: u64,
    /// The longest.
    pub sync_max_us: u64,
    /// How long a request of a client took at the leader, from its arrival to its reply, in the
    /// last minute; zero elsewhere.
    pub request_p50_us: u64,
    /// 99 of 100.
    pub request_p99_us: u64,
    /// Syncs since the start by duration: see [`SYNC_BUCKETS_US`].
    pub sync_buckets: Vec<u64>,
    /// All syncs since the start together, in microseconds.
    pub sync_total_us: u64,
    /// Bytes that the data directory takes.
    pub disk_used: u64,
    /// Bytes that its file system has left.
    pub disk_free: u64,
    /// Bytes of log that can be written before another slot must be made.
    pub free_log_bytes: u64,
    /// How full the state machine is, of what may grow only so far.
    pub fills: Vec<Fill>,
    /// What is not as it should be, one fact each; empty when all is well.
    pub problems: Vec<String>,
}

/// Less room than this is worth a word, and a second look: a few slots of the largest size.
pub const DISK_FREE_LOW: u64 = 256 * 1024 * 1024;

/// More entries to apply than this are worth a word.
const LAG_HIGH: u64 = 10_000;

/// Completes what a resident says of itself: with what its server counted, and of a member what
/// an operator should know. The election timeout is in milliseconds.
pub fn fill_in(status: &mut NodeStatus, vitals: Vitals, election_timeout: u64) {
    let fills = std::mem::take(&mut status.vitals.fills);
    *status.vitals = Vitals { fills, ..vitals };
    if status.standing == Standing::Member {
        status.vitals.problems = problems(status, election_timeout);
    }
}

/// What an operator should know of, one fact each.
fn problems(status: &NodeStatus, election_timeout: u64) -> Vec<String> {
    let mut problems = Vec::new();
    if status.leader.is_none() {
        problems.push("no leader".to_owned());
    }
    let vitals = &status.vitals;
    // A tenth of it, in microseconds.
    if vitals.sync_p99_us > election_timeout * 100 {
        problems.push(format!("slow disk: 1 of 100 syncs takes {} ms", vitals.sync_p99_us / 1000));
    }
    // Before the first look both are zero; of a member's directory never `disk_used`.
    if vitals.disk_used > 0 && vitals.disk_free < DISK_FREE_LOW {
        problems.push(format!("disk nearly full: {} MiB left", vitals.disk_free >> 20));
    }
    let high = vitals.fills.iter().filter(|fill| fill.is_high());
    problems.extend(high.map(|Fill { what, bytes, bytes_max }| {
        format!("{what} nearly full: it has {bytes} bytes of at most {bytes_max}")
    }));
    let lag = status.commit_index.0.saturating_sub(status.applied_index.0);
    if lag > LAG_HIGH {
        problems.push(format!("{lag} committed entries are not applied"));
    }
    problems
}

/// What happened lately at a node, and the end of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent {
    /// The node.
    pub status: NodeStatus,
    /// Events after the one of this number were asked for.
    pub after: u64,
    /// Events after the one that was asked for, oldest first. A gap in their numbers says that
    /// some were forgotten meanwhile.
    pub events: Vec<RecentEvent>,
    /// The last entries of the log that are in memory, oldest first.
    pub tail: Vec<TailEntry>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentEvent {
    /// Rises by one with each event of a node's life.
    pub number: u64,
    /// Milliseconds since the node started.
    pub at_ms: u64,
    /// What kind: `role`, `membership`, `link`, `notice`.
    pub kind: String,
    /// The fact, for people.
    pub text: String,
}

/// One entry at the end of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailEntry {
    /// Its index.
    pub index: Index,
    /// Its term.
    pub term: Term,
    /// `noop`, `membership`, `command`, `session`.
    pub kind: String,
    /// The beginning of what the client sent.
    pub text: Bytes,
    /// The bytes of its payload.
    pub size: u64,
}

/// How much of a command a [`TailEntry`] shows.
pub const TAIL_TEXT_BYTES: usize = 64;
