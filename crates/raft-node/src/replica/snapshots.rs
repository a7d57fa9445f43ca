//! Snapshots in place of log (thesis, chapter 5): when this member takes one, what may go then,
//! and one that its leader sent.

use std::collections::BTreeMap;

use raft_core::{Index, Input, LogId, NodeId, Snapshot, SnapshotRefused, Term, Ticket, Time};
use raft_log::{LogBuffer, LogWriter};

use super::clients::{refuse, reply};
use super::machine::Machine;
use super::{Context, Effect, Origin, Replica};
use crate::protocol::{Answer, Outcome, Reason};

/// After one that could not be written, the next is not begun for so long, in milliseconds.
const RETRY: u64 = 10_000;

/// What bounds the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotLimits {
    /// A snapshot is taken after so many bytes of entries.
    pub bytes: u64,
    /// Or after so many entries.
    pub entries: u64,
    /// Bytes of log that stay below a snapshot for members that lag a little.
    pub keep_bytes: u64,
    /// A log of more bytes goes even where it is being fed from.
    pub log_bytes_max: u64,
    /// Bytes of snapshots that are sent in a second, about.
    pub rate: u64,
}

impl Default for SnapshotLimits {
    fn default() -> Self {
        Self {
            bytes: 256 * 1024 * 1024,
            entries: 4_000_000,
            keep_bytes: 64 * 1024 * 1024,
            log_bytes_max: 1024 * 1024 * 1024,
            rate: 64 * 1024 * 1024,
        }
    }
}

/// What may go of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// A durable snapshot stands for everything up to here.
    pub through: LogId,
    /// So far nobody is being fed who needs it.
    pub unneeded: LogId,
    /// So much of that stays.
    pub keep_bytes: u64,
    /// Unless the log has more bytes than this.
    pub log_bytes_max: u64,
}

/// The snapshots of one replica.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// The newest that is durable.
    newest: LogId,
    writing: Option<LogId>,
    /// Bytes of entries applied since the last was begun.
    bytes: u64,
    /// The newest one was of no use to somebody, or there was no room for another.
    wanted: bool,
    /// Written because of that: not again, should this one be of no use either.
    anew: LogId,
    /// These wait for one that is not begun.
    asked: Vec<Origin>,
    /// And these for the one that is being written.
    waiting: Vec<Origin>,
    not_before: Time,
    /// One is due, and what is applied is not durable here yet.
    holds: bool,
    /// To whom one is sent, and how far it goes at least: they go on from the log behind it.
    sent: BTreeMap<NodeId, Index>,
    /// A leader's that this member goes on from, and the write that makes it so.
    installing: Option<(NodeId, LogId, Ticket)>,
}

/// A leader's snapshot that came.
#[derive(Debug)]
pub(super) struct Arrived {
    from: NodeId,
    machine: Machine,
}

/// What a leader is told of the snapshot that it sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotAnswer {
    /// It is the receiver's state now, durably.
    Installed,
    /// So much is committed there already.
    NotNewer {
        /// How far.
        commit_index: Index,
    },
    /// The sender does not lead any more.
    StaleTerm {
        /// The receiver's term.
        term: Term,
    },
    /// There is no room for it: what for.
    NoRoom(String),
    /// It cannot be used: why.
    Useless(String),
}

impl Compaction {
    /// Does it, and tells after which entry the log begins now.
    pub fn carry_out(&self, writer: &mut LogWriter) -> LogId {
        let start = writer.compact(self.unneeded, self.keep_bytes);
        if writer.bytes() <= self.log_bytes_max {
            return start;
        }
        writer.compact(self.through, self.keep_bytes)
    }
}

impl Snapshots {
    pub(super) fn new(newest: Option<LogId>) -> Self {
        Self { newest: newest.unwrap_or_default(), ..Self::default() }
    }

    /// Entries of so many bytes were applied.
    pub(super) const fn applied(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    pub(super) const fn newest(&self) -> LogId {
        self.newest
    }

    pub(super) fn sends(&mut self, peer: NodeId) {
        self.sent.insert(peer, self.newest.index);
    }

    pub(super) fn sends_no_more(&mut self, peer: NodeId) {
        self.sent.remove(&peer);
    }

    pub(super) const fn holds(&self) -> bool {
        self.holds
    }

    /// The log begins anew with this write.
    pub(super) const fn resets(&mut self, ticket: Ticket) {
        if let Some((_, _, wait)) = &mut self.installing {
            *wait = ticket;
        }
    }
}

impl Replica {
    // ---- taken here ----------------------------------------------------------------------------

    /// A snapshot of what is applied now, for whoever asks.
    pub(super) fn snapshot_asked(&mut self, origin: Origin) {
        self.snapshots.asked.push(origin);
    }

    fn snapshot_is_due(&self, now: Time) -> bool {
        let Snapshots { newest, writing, bytes, wanted, asked, not_before, .. } = &self.snapshots;
        let limits = &self.limits.snapshots;
        let entries = self.machine.applied().0 - newest.index.0;
        let is_due =
            entries > 0 && (*bytes >= limits.bytes || entries >= limits.entries) || *wanted;
        writing.is_none() && (!asked.is_empty() || is_due && now >= *not_before)
    }

    /// How far entries may be applied now. Only what is durable here too goes into a snapshot: one
    /// that is due waits for the disk, and what is applied waits for it.
    pub(super) fn apply_bound(&self, now: Time) -> Index {
        let bound = self.progress.bound;
        if self.snapshot_is_due(now) {
            return bound.min(self.raft.durable_index().max(self.machine.applied()));
        }
        bound
    }

    /// Takes a snapshot if one is due. Writing it is another thread's work.
    pub(super) fn take_snapshot(&mut self, now: Time, fx: &mut Vec<Effect>) {
        let applied = self.machine.applied();
        let is_due = self.snapshot_is_due(now);
        self.snapshots.holds = is_due && self.raft.durable_index() < applied;
        if !is_due || self.snapshots.holds {
            return;
        }
        if applied == self.snapshots.newest.index && !self.snapshots.wanted {
            let asked = std::mem::take(&mut self.snapshots.asked);
            let answer = Answer::Snapshot { at: self.snapshots.newest, bytes: 0 };
            return fx.extend(asked.into_iter().map(|origin| reply(origin, answer.clone())));
        }
        let term = self.raft.term_at(applied).ok();
        let configuration = self.raft.membership_at(applied);
        let (Some(term), Some((membership_index, membership))) = (term, configuration) else {
            return;
        };
        let at = LogId { term, index: applied };
        let membership = membership.clone();
        let frozen = self.machine.freeze(Snapshot { at, membership_index, membership });
        self.snapshots.writing = Some(at);
        self.snapshots.waiting.append(&mut self.snapshots.asked);
        self.snapshots.bytes = 0;
        if std::mem::take(&mut self.snapshots.wanted) {
            self.snapshots.anew = at;
        }
        fx.push(Effect::WriteSnapshot(Box::new(frozen)));
    }

    /// The snapshot that was taken has so many bytes on the disk, or found no room there.
    pub(super) fn snapshot_written(
        &mut self,
        now: Time,
        result: Result<u64, String>,
        fx: &mut Vec<Effect>,
    ) {
        let Some(at) = self.snapshots.writing.take() else { return };
        let waiting = std::mem::take(&mut self.snapshots.waiting);
        match result {
            Ok(bytes) => {
                self.snapshots.newest = self.snapshots.newest.max(at);
                let answer = Answer::Snapshot { at, bytes };
                fx.extend(waiting.into_iter().map(|origin| reply(origin, answer.clone())));
                self.compact(fx);
            }
            Err(_) => {
                (self.snapshots.not_before, self.snapshots.wanted) = (now + RETRY, true);
                let refusal = |origin| refuse(origin, Outcome::NotApplied, Reason::DiskFull);
                fx.extend(waiting.into_iter().map(refusal));
            }
        }
    }

    // ---- the log below -------------------------------------------------------------------------

    fn compact(&self, fx: &mut Vec<Effect>) {
        let through = self.snapshots.newest;
        if through.index <= self.raft.log_start().index {
            return;
        }
        // Who is being fed goes on from the log; who is sent a snapshot, from the log behind that.
        let peers = self.raft.status().peers;
        let needed = peers.iter().filter_map(|peer| match peer.installing {
            true => self.snapshots.sent.get(&peer.id).copied(),
            false if peer.connected => Some(peer.match_index.max(peer.next_index.previous())),
            false => None,
        });
        let needed = needed.min();
        let unneeded = needed.unwrap_or(through.index).min(through.index);
        let term = self.raft.term_at(unneeded);
        let unneeded =
            term.map_or_else(|_| self.raft.log_start(), |term| LogId { term, index: unneeded });
        let SnapshotLimits { keep_bytes, log_bytes_max, .. } = self.limits.snapshots;
        let compaction = Compaction { through, unneeded, keep_bytes, log_bytes_max };
        fx.push(Effect::Compact(compaction));
    }

    /// The log on disk begins after `start` now.
    pub(super) fn compacted(&mut self, now: Time, start: LogId, fx: &mut Vec<Effect>) {
        if start.index > self.raft.log_start().index {
            self.core(now, Input::Compacted { through: start }, &Context::default(), fx);
        }
    }

    // ---- sent there ----------------------------------------------------------------------------

    pub(super) fn snapshot_answered(
        &mut self,
        now: Time,
        (peer, through): (NodeId, LogId),
        answer: &SnapshotAnswer,
        fx: &mut Vec<Effect>,
    ) {
        self.snapshots.sends_no_more(peer);
        let input = match answer {
            SnapshotAnswer::Installed => Input::SnapshotSent { peer, through: through.index },
            SnapshotAnswer::NotNewer { commit_index } => {
                Input::SnapshotSent { peer, through: *commit_index }
            }
            SnapshotAnswer::StaleTerm { .. } | SnapshotAnswer::NoRoom(_) => {
                Input::SnapshotFailed { peer }
            }
            SnapshotAnswer::Useless(_) => {
                // The file may be damaged here: the next try is with one that is written anew.
                let Snapshots { newest, anew, .. } = self.snapshots;
                self.snapshots.wanted |= through == newest && newest != anew;
                Input::SnapshotFailed { peer }
            }
        };
        self.core(now, input, &Context::default(), fx);
    }

    // ---- sent here -----------------------------------------------------------------------------

    /// A leader's snapshot is here, verified and durable, and `machine` went on from it.
    pub(super) fn snapshot_came(
        &mut self,
        now: Time,
        (from, term): (NodeId, Term),
        machine: Machine,
        fx: &mut Vec<Effect>,
    ) {
        let Some(snapshot) = machine.base().cloned() else { return };
        self.arrived = Some(Arrived { from, machine });
        let input = Input::InstallSnapshot { from, term, snapshot };
        self.core(now, input, &Context::default(), fx);
        self.arrived = None;
    }

    /// The state is the snapshot's from here on.
    pub(super) fn install(&mut self, at: LogId, kept: bool, fx: &mut Vec<Effect>) {
        let Some(Arrived { from, mut machine }) = self.arrived.take() else { return };
        machine.show_from(self.machine.shown());
        let skipped = at.index.0.saturating_sub(self.machine.applied().0);
        self.machine = machine;
        self.progress.skip_to(at.index);
        self.reads.for_machine = None;
        if !kept {
            self.buffer = LogBuffer::new(at.index.next());
            self.handed = at.index;
        }
        self.snapshots.bytes = 0;
        self.snapshots.newest = at;
        fx.push(Effect::Installed { at, skipped });
        if kept {
            fx.extend(self.installed(from, at));
        } else {
            self.snapshots.installing = Some((from, at, Ticket(u64::MAX)));
        }
    }

    /// R9: the answer leaves once the log's new beginning is durable, and what was before goes.
    pub(super) fn reset_persisted(&mut self, through: Ticket, fx: &mut Vec<Effect>) {
        let done = self.snapshots.installing.take_if(|(_, _, ticket)| *ticket <= through);
        if let Some((from, at, _)) = done {
            fx.extend(self.installed(from, at));
        }
    }

    fn installed(&self, to: NodeId, at: LogId) -> [Effect; 2] {
        [
            Effect::PruneSnapshots(at),
            Effect::AnswerSnapshot { to, answer: SnapshotAnswer::Installed },
        ]
    }

    pub(super) fn snapshot_refused(&mut self, why: SnapshotRefused, fx: &mut Vec<Effect>) {
        let Some(Arrived { from, .. }) = self.arrived.take() else { return };
        let answer = match why {
            SnapshotRefused::NotNewer { commit_index } => SnapshotAnswer::NotNewer { commit_index },
            SnapshotRefused::StaleTerm { term } => SnapshotAnswer::StaleTerm { term },
            SnapshotRefused::Senseless => SnapshotAnswer::Useless("no leader sends that".into()),
        };
        fx.push(Effect::AnswerSnapshot { to: from, answer });
    }
}
