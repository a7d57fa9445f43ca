//! Snapshots in place of log (paper, section 7; thesis, chapter 5). Each member compacts by
//! itself. Who lacks what its leader compacted is sent a snapshot, on a connection of its own: the
//! core says that one is needed and what becomes of one that came, files are the driver's.
//!
//! A snapshot speaks for its leader's term like any other message. Without that, what a later
//! leader committed could be confirmed to an earlier one, which would count it for its own entries.

use alloc::sync::Arc;

use crate::membership::Membership;
use crate::output::{Output, SnapshotRefused};
use crate::progress::{Pace, Pause};
use crate::raft::Raft;
use crate::role::Role;
use crate::types::{Index, LogId, NoTerm, NodeId, Snapshot, Term};
use crate::validate::is_sane_snapshot;

impl Raft {
    // ---- compacting ----------------------------------------------------------------------------

    /// The log begins after `through` now. Only what a snapshot holds may go: what is applied, and
    /// durable.
    pub(crate) fn on_compacted(&mut self, through: LogId) {
        if through.index <= self.log.start().index {
            return;
        }
        let safe = self.applied_index.min(self.tickets.durable_index());
        assert!(through.index <= safe, "{through} is not applied and durable");
        assert_eq!(self.log.term_at(through.index), Ok(through.term), "{through} is another's");
        self.log.compact(through);
    }

    // ---- sending -------------------------------------------------------------------------------

    /// The peer has a snapshot: its log goes on after that one, or it will say where.
    pub(crate) fn on_snapshot_sent(&mut self, peer: NodeId, through: Index) {
        let last_index = self.log.last_index();
        let Role::Leader(leader) = &mut self.role else { return };
        if let Some(progress) = leader.progress.get_mut(&peer) {
            progress.snapshot_sent(through.min(last_index));
        }
    }

    pub(crate) fn on_snapshot_failed(&mut self, peer: NodeId) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(&peer) else { return };
        progress.installing = false;
        if progress.pace == Pace::Snapshot {
            progress.pace = Pace::Probe;
            progress.pause = Some(Pause::Retry);
        }
    }

    /// R15: bytes of a snapshot are progress like bytes of entries, which come after them.
    pub(crate) fn on_snapshot_taken(&mut self, peer: NodeId) {
        let now = self.now;
        let votes = self.history.current().is_voter(peer);
        let Role::Leader(leader) = &mut self.role else { return };
        if !leader.peers().get(&peer).is_some_and(|progress| progress.installing) {
            return;
        }
        leader.peer_progressed(peer, now, votes);
    }

    // ---- installing ----------------------------------------------------------------------------

    /// "If existing log entry has same index and term as snapshot's last included entry, retain log
    /// entries following it; discard the entire log; reset state machine using snapshot contents"
    /// (paper, figure 13, steps 6 to 8).
    pub(crate) fn on_install_snapshot(&mut self, from: NodeId, term: Term, snapshot: Snapshot) {
        let at = snapshot.at;
        if let Err(why) = self.judge_snapshot(from, term, &snapshot) {
            if why == SnapshotRefused::Senseless {
                self.alarm(from, "sent a snapshot that cannot be");
            }
            return self.outputs.push(Output::SnapshotRefused { at, why });
        }
        self.heard_leader();
        // What is equal but not durable was confirmed to nobody, and may go as well.
        let durable = self.tickets.durable_index() >= at.index;
        let kept = durable && self.log.term_at(at.index) == Ok(at.term);
        if kept {
            self.log.compact(at);
        } else {
            self.log.reset(at);
            self.tickets.reset(at);
        }
        self.outputs.push(Output::SnapshotInstalled { at, kept });
        self.apply_through = at.index;
        self.applied_index = at.index;
        if self.history.install(at.index, (snapshot.membership_index, snapshot.membership), kept) {
            self.report_membership();
        }
        if let Role::Follower(follower) = &mut self.role {
            let beyond = if kept { follower.verified_index } else { Index(0) };
            follower.verified_index = at.index.max(beyond);
            // R9: confirmed like entries, so only once the log's new beginning is durable.
            follower.owed = follower.owed.max(Some(at.index));
        }
        self.commit_to(at.index);
    }

    /// Takes over the sender's term, and says why the snapshot is of no use.
    fn judge_snapshot(
        &mut self,
        from: NodeId,
        term: Term,
        snapshot: &Snapshot,
    ) -> Result<(), SnapshotRefused> {
        let at = snapshot.at;
        if from == self.id || !is_sane_snapshot(term, snapshot) {
            return Err(SnapshotRefused::Senseless);
        }
        if term < self.term() {
            return Err(SnapshotRefused::StaleTerm { term: self.term() });
        }
        if term > self.term() {
            self.become_follower(term, Some(from));
        }
        if !self.accept_leader(from) {
            return Err(SnapshotRefused::Senseless);
        }
        if at.index <= self.commit_index {
            return Err(SnapshotRefused::NotNewer { commit_index: self.commit_index });
        }
        if at.index <= self.verified_index() && self.log.term_at(at.index) != Ok(at.term) {
            return Err(SnapshotRefused::Senseless);
        }
        Ok(())
    }

    // ---- what others may know ------------------------------------------------------------------

    /// The entry that the log begins after: what was there and below is compacted.
    #[must_use]
    pub const fn log_start(&self) -> LogId {
        self.log.start()
    }

    /// The term of an entry, or of where the log begins; zero is the term before the first entry.
    ///
    /// # Errors
    /// If the log does not say: not any more, or not yet.
    pub fn term_at(&self, index: Index) -> Result<Term, NoTerm> {
        self.log.term_at(index)
    }

    /// The configuration that a snapshot at `index` carries: the newest at or below it, with its
    /// own index. Known from what was reported as applied on.
    #[must_use]
    pub fn membership_at(&self, index: Index) -> Option<(Index, &Arc<Membership>)> {
        self.history.as_of(index)
    }
}
