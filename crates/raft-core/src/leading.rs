//! The sending end of replication, the commit rule, and how a leadership ends by itself (paper,
//! figure 2, "Leaders"; thesis 6.2 and 10.2).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::message::{AppendEntriesResponse, AppendResult};
use crate::output::{Output, ProposeRefused};
use crate::progress::{Departing, Feed, Pause, Progress};
use crate::raft::{Raft, reaches};
use crate::role::{Leader, Role};
use crate::types::{EntryKind, EntryMeta, Index, LogId, NodeId, Time};

/// A new commit index that nothing carried to a follower is sent by itself after so many
/// milliseconds.
const ANNOUNCE_AFTER_MS: u64 = 10;
/// An entry's header on disk and on the wire.
const ENTRY_HEADER_BYTES: u32 = 32;

impl Raft {
    // ---- into the log --------------------------------------------------------------------------

    pub(crate) fn on_propose(&mut self, sizes: &[u32]) {
        let Role::Leader(leader) = &self.role else {
            let refused = ProposeRefused::NotLeader { leader: self.leader() };
            return self.outputs.push(Output::ProposeRefused(refused));
        };
        if let Some(transfer) = leader.transfer {
            let refused = ProposeRefused::HandingOver { to: transfer.to };
            return self.outputs.push(Output::ProposeRefused(refused));
        }
        let (term, first) = (self.term(), self.log.last_index().next());
        self.note_pending();
        for &size in sizes {
            self.append_entry(EntryMeta { term, size, kind: EntryKind::Command });
        }
        let first = LogId { term, index: first };
        self.outputs.push(Output::Proposed { first, count: sizes.len() as u64 });
    }

    /// Appends an entry of the core's own making.
    pub(crate) fn append_own(&mut self, kind: EntryKind) -> Index {
        self.note_pending();
        let entry = EntryMeta { term: self.term(), size: own_size(&kind), kind };
        let at = LogId { term: entry.term, index: self.log.last_index().next() };
        self.outputs.push(Output::Appended { at, entry: entry.clone() });
        let index = self.append_entry(entry);
        self.follow_membership();
        index
    }

    /// The clock of rule R15 runs only while something waits to be committed.
    fn note_pending(&mut self) {
        if self.commit_index == self.log.last_index()
            && let Role::Leader(leader) = &mut self.role
        {
            leader.progressed = self.now;
        }
    }

    /// Everyone in the configuration in force gets entries; those that dropped out of it, until
    /// they know.
    fn follow_membership(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        let (at, membership) = (self.history.current_index(), self.history.current());
        let next_index = self.log.last_index().next();
        for &id in membership.members.keys().filter(|&&id| id != self.id) {
            leader.progress.entry(id).or_insert_with(|| Progress::new(next_index));
        }
        let until = self.now + 10 * self.config.election_timeout;
        for (id, progress) in &mut leader.progress {
            if !membership.members.contains_key(id) && progress.departing.is_none() {
                progress.departing = Some(Departing { at, until });
            }
        }
    }

    // ---- out to the peers ----------------------------------------------------------------------

    /// Sends every peer what it lacks, and every voter the round of reads that is out; a newcomer
    /// only once the entry that added it is committed, because until then its id may become
    /// another's. R4: a leader's own sends wait for no disk, its term having been durable before it
    /// asked for votes; its followers write while it writes (thesis 10.2.1).
    pub(crate) fn replicate(&mut self) {
        let round_is_out = self.reads.is_out();
        self.with_feed(|leader, fed, feed| {
            let asks = |peer| round_is_out && feed.membership.is_voter(peer);
            for (&peer, progress) in &mut leader.progress {
                if fed(peer) {
                    progress.feed(peer, feed);
                    if asks(peer) && progress.round_sent < feed.round {
                        progress.send(peer, Vec::new(), 0, feed);
                    }
                }
            }
            let lacks = |p: &Progress| p.lacks_commit(feed.commit_index);
            leader.announce = leader
                .announce
                .filter(|_| leader.progress.iter().any(|(&peer, p)| fed(peer) && lacks(p)));
        });
    }

    fn with_feed(&mut self, act: impl FnOnce(&mut Leader, &dyn Fn(NodeId) -> bool, &mut Feed<'_>)) {
        let Role::Leader(leader) = &mut self.role else { return };
        let (links, commit_index) = (&self.links, self.commit_index);
        let membership = self.history.current();
        let fed = |peer| membership.added_at(peer) <= commit_index && reaches(links, peer);
        let mut feed = Feed {
            term: self.hard_state.term,
            commit_index,
            log: &self.log,
            membership,
            config: &self.config,
            now: self.now,
            round: self.reads.round,
            reads: &mut self.log_reads,
            outputs: &mut self.outputs,
        };
        act(leader, &fed, &mut feed);
    }

    /// Empty `AppendEntries` to those for whom `wanted` holds.
    pub(crate) fn send_heartbeats(&mut self, wanted: impl Fn(&Progress) -> bool) {
        self.with_feed(|leader, fed, feed| {
            for (&peer, progress) in &mut leader.progress {
                if fed(peer) && wanted(progress) {
                    progress.send(peer, Vec::new(), 0, feed);
                }
            }
        });
    }

    pub(crate) fn on_log_read(&mut self, request: u64, entries: Vec<EntryMeta>) {
        let log = &self.log;
        let fits = |first: Index, entries: &[EntryMeta]| {
            let mut index = first;
            entries.iter().all(|entry| {
                let fits = log.term_at(index) == Ok(entry.term);
                index = index.next();
                fits
            })
        };
        let Role::Leader(leader) = &mut self.role else { return };
        let asked =
            |p: &Progress| matches!(p.pause, Some(Pause::Read { request: r, .. }) if r == request);
        let Some((&peer, progress)) = leader.progress.iter_mut().find(|(_, p)| asked(p)) else {
            return;
        };
        let Some(Pause::Read { first, .. }) = progress.pause.take() else { return };
        if first != progress.next_index || !reaches(&self.links, peer) {
            return;
        }
        if entries.is_empty() || !fits(first, &entries) {
            progress.pause = Some(Pause::Retry);
            return;
        }
        let bytes = entries.iter().map(|entry| u64::from(entry.size)).sum();
        self.with_feed(|leader, _, feed| {
            if let Some(progress) = leader.progress.get_mut(&peer) {
                progress.send(peer, entries, bytes, feed);
            }
        });
    }

    // ---- and back ------------------------------------------------------------------------------

    pub(crate) fn on_append_response(&mut self, from: NodeId, response: AppendEntriesResponse) {
        let (now, commit_index, last_index) = (self.now, self.commit_index, self.log.last_index());
        let votes = self.history.current().is_voter(from);
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(&from) else { return };
        progress.answered = Some(now);
        progress.commit_index = progress.commit_index.max(response.commit_index);
        if response.round > self.reads.round {
            return self.alarm(from, "answers a round that it was not asked in");
        }
        // What was asked on the connection before may be answered on this one: that confirms nothing.
        if response.round <= progress.round_sent {
            progress.round = progress.round.max(response.round);
        }
        match response.result {
            AppendResult::Match(index) if index > last_index => {
                return self.alarm(from, "confirms entries that do not exist");
            }
            AppendResult::Match(index) => {
                let wanted = progress.confirmed <= commit_index;
                let news = progress.matched(index, &self.log);
                let complete = progress.match_index == last_index;
                if news || complete {
                    leader.peer_progressed(from, now, news && wanted && votes);
                }
            }
            AppendResult::Conflict { prev_index, hint } => {
                progress.conflicted(prev_index, hint, &self.log);
            }
            AppendResult::StaleTerm => {}
        }
        if leader.progress.get(&from).is_some_and(Progress::has_left) {
            leader.progress.remove(&from);
        }
    }

    /// R15: bytes that a socket took count as progress while they are of the entry that the
    /// commit waits for, or of one before it.
    pub(crate) fn on_sent(&mut self, peer: NodeId, through: Index, bytes: u64) {
        let (now, wanted) = (self.now, self.commit_index.next());
        let votes = self.history.current().is_voter(peer);
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(&peer) else { return };
        let lacks = progress.confirmed < wanted;
        if progress.took(through, bytes, wanted) {
            leader.peer_progressed(peer, now, lacks && votes);
        }
    }

    // ---- commit --------------------------------------------------------------------------------

    /// "If there exists an N such that N > commitIndex, a majority of matchIndex >= N, and
    /// the term of entry N is currentTerm: set commitIndex = N" (paper, figure 2; the last
    /// condition is section 5.4.2 and figure 8). R5: a leader counts its own disk like any other,
    /// so N may exceed what is durable here; a leader outside the configuration is not counted at
    /// all.
    pub(crate) fn advance_commit(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        if self.commit_index == self.log.last_index() {
            return;
        }
        let durable_index = self.tickets.durable_index();
        let match_index = |id| {
            if id == self.id {
                return durable_index;
            }
            leader.progress.get(&id).map_or(Index(0), |progress| progress.match_index)
        };
        let Some(agreed) = self.membership().agreed(match_index) else { return };
        if self.log.term_at(agreed) == Ok(self.term()) {
            self.commit_to(agreed);
        }
    }

    pub(crate) fn commit_to(&mut self, index: Index) {
        if index <= self.commit_index {
            return;
        }
        assert!(index <= self.log.last_index(), "only what is in the log is committed");
        self.commit_index = index;
        if self.log.term_at(index) == Ok(self.term()) {
            self.election.gain_confidence();
        }
        let soon = self.now + ANNOUNCE_AFTER_MS.min(self.config.heartbeat_interval / 2);
        if let Role::Leader(leader) = &mut self.role {
            leader.progressed = self.now;
            leader.announce = leader.announce.or(Some(soon));
        }
    }

    /// R6: a leader applies what is committed; a follower also waits for its own disk.
    pub(crate) fn advance_apply(&mut self) {
        let bound = if self.is_leader() {
            self.commit_index
        } else {
            self.commit_index.min(self.tickets.durable_index())
        };
        if bound > self.apply_through {
            self.apply_through = bound;
            self.outputs.push(Output::Apply { through: bound });
        }
        self.answer_changes();
        self.note_removal();
        self.history.trim(self.applied_index);
    }

    // ---- time ----------------------------------------------------------------------------------

    pub(crate) fn on_timer(&mut self) {
        if self.successor_by.is_some_and(|by| by <= self.now) {
            self.successor_by = None;
            self.outputs.push(Output::TransferEnded { to: None });
        }
        let Role::Leader(leader) = &self.role else { return self.on_election_timeout() };
        let (now, interval) = (self.now, self.config.heartbeat_interval);
        if self.leadership_ends(leader).is_some_and(|end| end <= now) {
            return self.become_follower(self.term(), None);
        }
        self.flee_slow_disk();
        self.end_late_transfer();
        let Role::Leader(leader) = &mut self.role else { return };
        leader.progress.retain(|_, p| p.departing.is_none_or(|gone| gone.until > now));
        for progress in leader.progress.values_mut() {
            if progress.pause == Some(Pause::Retry) && heartbeat_due(progress, interval) <= now {
                progress.pause = None;
            }
        }
        if leader.announce.is_some_and(|at| at <= now) {
            leader.announce = None;
            let commit_index = self.commit_index;
            self.send_heartbeats(|progress| progress.lacks_commit(commit_index));
        }
        self.send_heartbeats(|progress| heartbeat_due(progress, interval) <= now);
    }

    /// When this leadership ends unless something happens: no quorum heard for T (check-quorum,
    /// thesis 6.2); entries waiting, and no progress for 3 T; the own disk silent for 2 T (rule
    /// R15: leadership needs progress, not only heartbeats).
    fn leadership_ends(&self, leader: &Leader) -> Option<Time> {
        let timeout = self.config.election_timeout;
        let heard = self
            .membership()
            .agreed(|id| if id == self.id { Time(u64::MAX) } else { leader.heard(id) });
        let quorum = heard.map(|time| time + timeout);
        let pending = self.log.last_index() > self.commit_index;
        let stuck = pending.then_some(leader.progressed + 3 * timeout);
        let disk = self.tickets.waiting_since().map(|since| since + 2 * timeout);
        quorum.into_iter().chain(stuck).chain(disk).min().filter(|&end| end < Time(u64::MAX))
    }

    /// A leader whose own write is out for a whole T hands over to a member with a better disk.
    fn flee_slow_disk(&mut self) {
        let timeout = self.config.election_timeout;
        let since = self.tickets.waiting_since();
        let Role::Leader(leader) = &mut self.role else { return };
        if since.is_some_and(|since| since + timeout <= self.now) && leader.fled_from != since {
            leader.fled_from = since;
            self.start_transfer(None);
        }
    }

    pub(crate) fn leader_deadline(&self, leader: &Leader) -> Option<Time> {
        let timeout = self.config.election_timeout;
        let fed = |peer: NodeId| {
            self.membership().added_at(peer) <= self.commit_index && self.reaches(peer)
        };
        let peers = || leader.progress.iter().filter(|(peer, _)| fed(**peer)).map(|(_, p)| p);
        let heartbeat =
            peers().map(|progress| heartbeat_due(progress, self.config.heartbeat_interval)).min();
        let announce = leader
            .announce
            .filter(|_| peers().any(|progress| progress.lacks_commit(self.commit_index)));
        let since = self.tickets.waiting_since().filter(|&since| leader.fled_from != Some(since));
        let departing = leader.progress.values().filter_map(|p| p.departing).map(|d| d.until).min();
        [
            self.leadership_ends(leader),
            heartbeat,
            announce,
            since.map(|since| since + timeout),
            leader.transfer.map(|transfer| transfer.deadline),
            departing,
            self.patience_ends(leader),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

impl Leader {
    /// This peer has more than before, which `counts` if the commit waits for it (rule R15).
    pub(crate) fn peer_progressed(&mut self, id: NodeId, now: Time, counts: bool) {
        if counts {
            self.progressed = now;
        }
        if let Some(catch_up) = self.catch_up.as_mut().filter(|c| c.id == id) {
            catch_up.progressed = now;
        }
    }

    /// When this peer was last heard; a new leader gives everyone one T.
    pub(crate) fn heard(&self, id: NodeId) -> Time {
        self.progress.get(&id).and_then(|p| p.answered).map_or(self.since, |t| t.max(self.since))
    }

    /// Whether this peer really answered since `time`.
    pub(crate) fn answered_since(&self, id: NodeId, time: Time) -> bool {
        self.progress.get(&id).and_then(|p| p.answered).is_some_and(|answered| answered >= time)
    }

    pub(crate) const fn peers(&self) -> &BTreeMap<NodeId, Progress> {
        &self.progress
    }
}

fn heartbeat_due(progress: &Progress, interval: u64) -> Time {
    progress.sent.map_or(Time(0), |sent| sent + interval.max(1))
}

/// About what the entry will take when encoded; the payload is made outside, and only windows
/// depend on this.
fn own_size(kind: &EntryKind) -> u32 {
    let payload = match kind {
        EntryKind::Noop | EntryKind::Command => 0,
        EntryKind::Membership(membership) => {
            let members = membership.members.values().map(|m| m.address.len() + 40);
            64 + members.sum::<usize>() + 40 * membership.outcomes.len()
        }
    };
    ENTRY_HEADER_BYTES + u32::try_from(payload).unwrap_or(u32::MAX / 2)
}
