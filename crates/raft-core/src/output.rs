//! What a member wants done. Outputs are to be carried out in order.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::membership::{ChangeOutcome, ChangeRefused, Membership};
use crate::message::{Message, ReadRefused};
use crate::types::{EntryMeta, HardState, Index, LogId, NodeId, RequestId, Term, Ticket, Time};

/// An instruction. Plain data: the caller does it, later outputs may depend on earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this now. Nothing that must wait for the disk is ever in here too early.
    Send {
        /// To whom.
        to: NodeId,
        /// What. The payloads of its entries are the log's from `prev_log_id.index + 1` on.
        message: Message,
    },
    /// Make this durable, then answer with `Persisted`. Several may be merged: the last hard
    /// state, the lowest `truncate_from` and `first`, the last `last`, the highest ticket; but of
    /// what came before a `reset` only its hard state is left.
    Persist(Persist),
    /// The proposed commands are in the log, the first of them here.
    Proposed {
        /// The first command's place.
        first: LogId,
        /// How many there are.
        count: u64,
    },
    /// The proposed commands are certainly not in the log.
    ProposeRefused(ProposeRefused),
    /// This read may be answered by the state machine once it applied everything up to `index`.
    ReadReady {
        /// The number that it came with.
        request: u64,
        /// Everything that was committed when it was asked is at or below.
        index: Index,
    },
    /// This read is not answered here. It may be asked again, here or elsewhere.
    ReadRefused {
        /// The number that it came with.
        request: u64,
        /// Why.
        why: ReadRefused,
    },
    /// The core itself appended this entry at this place; its payload is made from `entry.kind`.
    Appended {
        /// Its place.
        at: LogId,
        /// No-op or membership.
        entry: EntryMeta,
    },
    /// Entries `first` to `last` of the message just received are now the log's, in place of
    /// whatever was at or above `first`.
    Received {
        /// The first entry taken.
        first: Index,
        /// The last entry taken.
        last: Index,
    },
    /// Entries up to here are committed and may be applied.
    Apply {
        /// The last of them.
        through: Index,
    },
    /// A peer lacks entries that are no longer in memory: read them from the log, answer with
    /// `LogRead`.
    ReadLog {
        /// Names the answer.
        request: u64,
        /// For whom.
        peer: NodeId,
        /// The first entry wanted.
        first: Index,
        /// The last entry that may be sent.
        last: Index,
        /// About how many bytes; at least one entry.
        bytes_max: u64,
    },
    /// A peer lacks what was compacted: send it a snapshot, over a connection of its own. Once for
    /// each try: the core waits for `SnapshotSent` or `SnapshotFailed`, whatever becomes of the
    /// other connections. When this member no longer leads, what is under way may end or go on.
    SendSnapshot {
        /// To whom.
        peer: NodeId,
        /// It must reach at least so far; the newest is best.
        at_least: LogId,
        /// To be said with it: it speaks for this leader.
        term: Term,
    },
    /// The snapshot that just came is this member's state now. In this order: the state machine is
    /// replaced by the file's, at once, and what waited to be applied up to `at` is dropped; the log
    /// in memory up to `at` is dropped, or all of it unless `kept`; then the following outputs.
    /// What was already written to the log stays on disk until the `reset` of the next `Persist`
    /// is durable, and the snapshot before this one as long.
    SnapshotInstalled {
        /// The last entry that it stands for.
        at: LogId,
        /// The log goes on: what it holds after `at` fits. Otherwise a `Persist` with `reset` comes
        /// in the same step.
        kept: bool,
    },
    /// The snapshot that just came is not needed; its file may go. The sender is told.
    SnapshotRefused {
        /// Which.
        at: LogId,
        /// Why.
        why: SnapshotRefused,
    },
    /// Role, term or known leader changed.
    RoleChanged {
        /// The new role.
        role: RoleKind,
        /// The current term.
        term: Term,
        /// Who leads it, if known.
        leader: Option<NodeId>,
    },
    /// This configuration is now in force.
    MembershipChanged {
        /// The index of its entry; zero for the founders'.
        index: Index,
        /// The configuration.
        membership: Arc<Membership>,
    },
    /// A change that was asked for here came to its end.
    ChangeEnded {
        /// Which request.
        request: RequestId,
        /// How; an error is certainly not applied.
        result: Result<ChangeOutcome, ChangeRefused>,
    },
    /// A change that was asked for here goes on elsewhere: this member no longer leads. Asking
    /// again with the same request id finds it.
    ChangeUnknown {
        /// Which request.
        request: RequestId,
        /// Who leads now, if known.
        leader: Option<NodeId>,
    },
    /// A leadership transfer ended.
    TransferEnded {
        /// Who took over; `None`: nobody did in time, and this member leads on.
        to: Option<NodeId>,
    },
    /// This member is not part of the committed configuration any more.
    Removed {
        /// The index of that configuration.
        at: Index,
    },
    /// A peer said something that no correct member says; it is not listened to any more on
    /// this connection.
    Alarm {
        /// Who.
        peer: NodeId,
        /// What it did.
        what: &'static str,
    },
}

/// One durable operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Persist {
    /// Comes back in `Persisted`.
    pub ticket: Ticket,
    /// The new term and vote, if they changed.
    pub hard_state: Option<HardState>,
    /// R9: everything that was handed over before is void, the log begins anew after this entry,
    /// for which a snapshot stands. `truncate_from` is then `None`.
    pub reset: Option<LogId>,
    /// Everything at or above this index that was handed over before is void.
    pub truncate_from: Option<Index>,
    /// The first entry to write.
    pub first: Index,
    /// The last entry to write; below `first` when there is none.
    pub last: Index,
}

/// Why commands were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposeRefused {
    /// This member does not lead.
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// Leadership is being handed over.
    HandingOver {
        /// To whom.
        to: NodeId,
    },
}

/// Why a snapshot was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotRefused {
    /// So much is committed here already: never backwards. The sender takes it as sent.
    NotNewer {
        /// How far this member knows entries to be committed.
        commit_index: Index,
    },
    /// Its sender does not lead any more.
    StaleTerm {
        /// This member's term.
        term: Term,
    },
    /// No correct leader sends it.
    Senseless,
}

/// The role without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoleKind {
    /// Listens to a leader.
    Follower,
    /// Asks whether an election could be won.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// A member's view of itself, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This member.
    pub id: NodeId,
    /// Its role.
    pub role: RoleKind,
    /// Its term.
    pub term: Term,
    /// Who leads the term, if known.
    pub leader: Option<NodeId>,
    /// The entry that its log begins after.
    pub log_start: LogId,
    /// The last entry of its log.
    pub last_log_id: LogId,
    /// Everything up to here is on its disk.
    pub durable_index: Index,
    /// Everything up to here is committed.
    pub commit_index: Index,
    /// A leader's view of the others; empty elsewhere.
    pub peers: Vec<PeerStatus>,
    /// To whom leadership is being handed over.
    pub handing_over: Option<NodeId>,
    /// The index of the configuration in force; zero for the founders'.
    pub membership_index: Index,
    /// A leader's: the learner that is to vote once it has caught up, and when it last got
    /// anywhere.
    pub catching_up: Option<(NodeId, Time)>,
    /// Since when the oldest own write is out.
    pub write_out_since: Option<Time>,
}

/// A leader's view of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Who.
    pub id: NodeId,
    /// Known to be equal and durable there, by what it said on this connection.
    pub match_index: Index,
    /// The next entry to send.
    pub next_index: Index,
    /// A snapshot is on its way to it.
    pub installing: bool,
    /// Whether the outbound connection is up.
    pub connected: bool,
    /// When it last answered in this term.
    pub answered: Option<Time>,
}
