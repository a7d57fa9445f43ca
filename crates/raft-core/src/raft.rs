//! [`Raft`] itself: its state, its one door, and the only places that change its role.
//!
//! A step takes one input, changes state, and then *settles*: everything that follows from the
//! state (votes to ask for, entries to send, a commit, an acknowledgement) is derived from it
//! rather than remembered as something to do. So nothing is forgotten when a socket was full, a
//! connection broke, or the disk was slow: the next step derives it again.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::config::{Config, Recovered};
use crate::election::ElectionTimer;
use crate::history::History;
use crate::input::Input;
use crate::log::Log;
use crate::membership::Membership;
use crate::message::Message;
use crate::output::{Output, PeerStatus, Status};
use crate::progress::Progress;
use crate::reads::Reads;
use crate::refusals::{Refusals, Refused};
use crate::rng::Rng;
use crate::role::{Campaign, Follower, Leader, Role};
use crate::tickets::Tickets;
use crate::types::{EntryKind, HardState, Index, LogId, NodeId, Term, Ticket, Time};

/// One member's consensus: a pure state machine without clock, socket, file or thread. Same
/// inputs, same seed: same outputs.
#[derive(Clone, Debug)]
pub struct Raft {
    pub(crate) id: NodeId,
    pub(crate) config: Config,
    pub(crate) now: Time,
    pub(crate) rng: Rng,
    pub(crate) hard_state: HardState,
    pub(crate) role: Role,
    pub(crate) log: Log,
    pub(crate) commit_index: Index,
    /// What [`Output::Apply`] allowed (rule R6). It never moves back.
    pub(crate) apply_through: Index,
    /// What the state machine reported.
    pub(crate) applied_index: Index,
    pub(crate) history: History,
    pub(crate) tickets: Tickets,
    pub(crate) held: Vec<Held>,
    pub(crate) links: BTreeMap<NodeId, Link>,
    /// Peers that talked nonsense on their present connection.
    pub(crate) quarantined: BTreeSet<NodeId>,
    pub(crate) election: ElectionTimer,
    /// Until when a former leader waits to hear who took over.
    pub(crate) successor_by: Option<Time>,
    /// This member is not part of the configuration committed here.
    pub(crate) removed: Option<Index>,
    /// Numbers the reads from the log.
    pub(crate) log_reads: u64,
    pub(crate) reads: Reads,
    /// For whoever asks why.
    pub(crate) refusals: Refusals<Refused>,
    pub(crate) outputs: Vec<Output>,
}

/// An answer that waits for the disk.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Held {
    pub(crate) to: NodeId,
    pub(crate) message: Message,
    pub(crate) until: Ticket,
}

/// The outbound connection to a peer.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(crate) struct Link {
    pub(crate) up: bool,
    pub(crate) writable: bool,
    /// It was up once, and broke.
    pub(crate) broken: bool,
}

impl Raft {
    /// A member as it was when it last stopped.
    #[must_use]
    pub fn restore(config: Config, recovered: Recovered, seed: u64, now: Time) -> Self {
        let last = recovered.last_index;
        let applied = recovered.snapshot_index;
        let mut raft = Self {
            id: config.id,
            now,
            rng: Rng::new(seed),
            hard_state: recovered.hard_state,
            role: Role::Follower(Follower::default()),
            log: Log::restore(recovered.log_start, last, recovered.term_runs),
            commit_index: recovered.commit_index.min(last).max(applied),
            apply_through: applied,
            applied_index: applied,
            history: History::restore(recovered.memberships),
            tickets: Tickets::restore(recovered.hard_state.term, last),
            held: Vec::new(),
            links: BTreeMap::new(),
            quarantined: BTreeSet::new(),
            election: ElectionTimer::restore(recovered.tail_ambiguous),
            successor_by: None,
            removed: None,
            log_reads: 0,
            reads: Reads::default(),
            refusals: Refusals::default(),
            outputs: Vec::new(),
            config,
        };
        raft.draw_first_deadline();
        raft.check_basic();
        raft
    }

    /// The one door. Whatever it says is to be done, in order, is appended to `outputs`.
    pub fn step(&mut self, now: Time, input: Input, outputs: &mut Vec<Output>) {
        let before = self.glimpse();
        self.now = self.now.max(now);
        // The caller's for the length of the step: nothing is moved once more.
        core::mem::swap(&mut self.outputs, outputs);
        self.dispatch(input);
        self.settle();
        core::mem::swap(&mut self.outputs, outputs);
        self.check_basic();
        self.check_delta(&before);
    }

    fn dispatch(&mut self, input: Input) {
        match input {
            Input::Timer => self.on_timer(),
            Input::Receive { from, message } => self.on_message(from, message),
            Input::Persisted(ticket) => self.tickets.persisted(ticket),
            Input::Applied(index) => {
                // What was known to be committed at the start is applied before anything else.
                self.advance_apply();
                self.applied_index = self.applied_index.max(index.min(self.apply_through));
            }
            Input::Propose { sizes } => self.on_propose(&sizes),
            Input::Read { requests } => self.on_read(requests),
            Input::ChangeMembership { request, change } => self.on_change(request, &change),
            Input::TransferLeadership { to } => self.on_transfer(to),
            Input::Link { peer, lane, up } => self.on_link(peer, lane, up),
            Input::Refused { peer } => self.on_refused(peer),
            Input::Writable { peer, writable } => {
                self.links.entry(peer).or_default().writable = writable;
            }
            Input::Sent { peer, through, bytes } => self.on_sent(peer, through, bytes),
            Input::LogRead { request, entries } => self.on_log_read(request, entries),
            Input::Compacted { through } => self.on_compacted(through),
            Input::SnapshotTaken { peer } => self.on_snapshot_taken(peer),
            Input::SnapshotSent { peer, through } => self.on_snapshot_sent(peer, through),
            Input::SnapshotFailed { peer } => self.on_snapshot_failed(peer),
            Input::InstallSnapshot { from, term, snapshot } => {
                self.on_install_snapshot(from, term, snapshot);
            }
        }
    }

    /// Derives everything that follows from the state.
    fn settle(&mut self) {
        self.advance_campaign();
        self.advance_commit();
        self.advance_apply();
        self.leave_if_removed();
        self.advance_job();
        self.advance_transfer();
        self.advance_reads();
        self.replicate();
        self.persist();
        self.release();
        self.acknowledge();
        let evictable = self.tickets.durable_index().min(self.applied_index);
        self.log.evict(evictable, self.config.tail_bytes_max);
    }

    fn on_message(&mut self, from: NodeId, message: Message) {
        if from == self.id || self.quarantined.contains(&from) {
            return;
        }
        if !message.is_sane() {
            return self.alarm(from, "sent a message that contradicts itself");
        }
        if !self.observe_term(from, &message) {
            return;
        }
        match message {
            Message::PreVote(request) => self.on_pre_vote(from, request),
            Message::PreVoteResponse(response) => self.on_pre_vote_response(from, response),
            Message::RequestVote(request) => self.on_request_vote(from, request),
            Message::RequestVoteResponse(response) => self.on_vote_response(from, response),
            Message::AppendEntries(append) => self.on_append_entries(from, append),
            Message::AppendEntriesResponse(response) => self.on_append_response(from, response),
            Message::TimeoutNow { .. } => self.on_timeout_now(from),
            Message::ReadIndex(asked) => self.on_read_index(from, asked),
            Message::ReadIndexResponse(response) => self.on_read_response(from, response),
        }
    }

    /// "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to
    /// follower"; and requests of an older term are refused, which teaches the term (paper,
    /// figure 2 and section 5.1). Once, before anything else. Says whether to go on.
    fn observe_term(&mut self, from: NodeId, message: &Message) -> bool {
        let term = message.term();
        match message {
            // The term of a pre-vote is hypothetical, and so is the one of its granting: neither
            // is adopted (thesis 9.6). The pre-vote's own code looks at them.
            Message::PreVote(_) => true,
            Message::PreVoteResponse(response) => {
                if response.refusal.is_some() && term > self.term() {
                    self.become_follower(term, None);
                }
                true
            }
            // "If a server receives a RequestVote request within the minimum election timeout of
            // hearing from a current leader, it does not update its term or grant its vote"
            // (thesis 4.2.3).
            Message::RequestVote(request) if self.is_loyal(request) => {
                self.refuse_disloyalty(from, *request);
                false
            }
            _ if term > self.term() => {
                let leader = matches!(message, Message::AppendEntries(_)).then_some(from);
                self.become_follower(term, leader);
                true
            }
            _ if term < self.term() => {
                self.refuse_stale(from, message);
                false
            }
            _ => true,
        }
    }

    // ---- roles: nothing else in the crate assigns `self.role` ------------------------------

    pub(crate) fn become_follower(&mut self, term: Term, leader: Option<NodeId>) {
        let was = core::mem::replace(
            &mut self.role,
            Role::Follower(Follower { leader, ..Follower::default() }),
        );
        if term > self.term() {
            self.enter_term(term, None);
        }
        if !matches!(was, Role::Follower(_)) {
            self.draw_retry_deadline();
        }
        if let Role::Leader(was) = was {
            self.retire(*was);
        }
        self.report_role();
    }

    pub(crate) fn become_pre_candidate(&mut self) {
        assert!(!matches!(self.role, Role::Leader(_)), "a leader does not campaign");
        let mut campaign = Campaign::default();
        campaign.votes.insert(self.id, true);
        self.role = Role::PreCandidate(campaign);
        self.draw_round_deadline();
        self.report_role();
    }

    /// "To begin an election, a follower increments its current term and transitions to candidate
    /// state" (paper, section 5.2).
    pub(crate) fn become_candidate(&mut self, transfer: bool) {
        assert!(!matches!(self.role, Role::Leader(_)), "a leader does not campaign");
        self.enter_term(self.term().next(), Some(self.id));
        let ready = self.tickets.newest();
        self.role = Role::Candidate(Campaign { transfer, ready, ..Campaign::default() });
        self.draw_round_deadline();
        self.report_role();
    }

    /// A leader's first act is an entry of its own term: only such an entry can commit what
    /// earlier terms left behind (paper, sections 5.4.2 and 8).
    pub(crate) fn become_leader(&mut self) {
        assert!(matches!(self.role, Role::Candidate(_)), "only a candidate wins");
        assert!(self.tickets.durable_term() >= self.term(), "R4: a leader's term is durable");
        assert_eq!(self.hard_state.voted_for, Some(self.id), "a leader voted for itself");
        let term_start = self.log.last_index().next();
        let peers = self.membership().members.keys().filter(|&&id| id != self.id);
        self.role = Role::Leader(Box::new(Leader {
            progress: peers.map(|&id| (id, Progress::new(term_start))).collect(),
            term_start,
            since: self.now,
            progressed: self.now,
            announce: None,
            transfer: None,
            fled_from: None,
            stepped_aside: false,
            catch_up: None,
            waiting: Vec::new(),
        }));
        self.end_lost_leader();
        self.report_role();
        self.append_own(EntryKind::Noop);
    }

    /// The only place that changes term and vote, except for granting one. What was held for an
    /// older term would now be a lie.
    fn enter_term(&mut self, term: Term, voted_for: Option<NodeId>) {
        assert!(term > self.term(), "terms only rise");
        self.hard_state = HardState { term, voted_for };
        self.tickets.hard_state_changed();
        self.held.clear();
    }

    pub(crate) fn report_role(&mut self) {
        self.outputs.push(Output::RoleChanged {
            role: self.role.kind(),
            term: self.term(),
            leader: self.leader(),
        });
        self.note_successor();
    }

    // ---- durability --------------------------------------------------------------------------

    fn persist(&mut self) {
        let last = self.log.last_index();
        if let Some(persist) = self.tickets.issue(self.hard_state, last, self.now) {
            self.outputs.push(Output::Persist(persist));
        }
    }

    /// Sends an answer as soon as `until` is durable.
    pub(crate) fn answer(&mut self, to: NodeId, message: Message, until: Ticket) {
        if self.tickets.is_durable(until) {
            self.outputs.push(Output::Send { to, message });
        } else {
            // Of what a peer is told about its appends only the latest is worth anything.
            if matches!(message, Message::AppendEntriesResponse(_)) {
                let stale = |m: &Message| matches!(m, Message::AppendEntriesResponse(_));
                self.held.retain(|held| held.to != to || !stale(&held.message));
            }
            self.held.push(Held { to, message, until });
        }
    }

    fn release(&mut self) {
        let (tickets, outputs) = (&self.tickets, &mut self.outputs);
        self.held.retain(|held| {
            let durable = tickets.is_durable(held.until);
            if durable {
                outputs.push(Output::Send { to: held.to, message: held.message.clone() });
            }
            !durable
        });
    }

    /// A peer said what no correct member says. It is not listened to until it connects anew.
    pub(crate) fn alarm(&mut self, peer: NodeId, what: &'static str) {
        self.quarantined.insert(peer);
        self.outputs.push(Output::Alarm { peer, what });
    }

    // ---- what others may know ----------------------------------------------------------------

    /// The configuration in force: the newest in the log, committed or not (thesis 4.1).
    #[must_use]
    pub fn membership(&self) -> &Arc<Membership> {
        self.history.current()
    }

    /// The first index whose payload must still be in memory.
    #[must_use]
    pub fn tail_start(&self) -> Index {
        self.log.tail_start()
    }

    /// Everything up to here is known to be committed.
    #[must_use]
    pub const fn commit_index(&self) -> Index {
        self.commit_index
    }

    /// The last entry of the log.
    #[must_use]
    pub fn last_log_id(&self) -> LogId {
        self.log.last_log_id()
    }

    /// Everything up to here is on this member's disk.
    #[must_use]
    pub const fn durable_index(&self) -> Index {
        self.tickets.durable_index()
    }

    /// Term and vote, durable or on their way.
    #[must_use]
    pub const fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// Which member this is.
    #[must_use]
    pub const fn id(&self) -> NodeId {
        self.id
    }

    /// Whether this member leads.
    #[must_use]
    pub const fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// Who leads the current term, if known.
    #[must_use]
    pub const fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Leader(_) => Some(self.id),
            Role::Follower(follower) => follower.leader,
            Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// To whom leadership is being handed over.
    #[must_use]
    pub fn handing_over(&self) -> Option<NodeId> {
        match &self.role {
            Role::Leader(leader) => leader.transfer.map(|transfer| transfer.to),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// When to call [`Raft::step`] with [`Input::Timer`], if nothing happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let role = match &self.role {
            Role::Leader(leader) => self.leader_deadline(leader),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                self.removed.is_none().then_some(self.election.deadline)
            }
        };
        role.into_iter().chain(self.successor_by).min()
    }

    /// A summary for people.
    #[must_use]
    pub fn status(&self) -> Status {
        let peers = match &self.role {
            Role::Leader(leader) => leader.progress.iter().map(|(&id, progress)| PeerStatus {
                id,
                match_index: progress.match_index,
                next_index: progress.next_index,
                installing: progress.installing,
                connected: self.links.get(&id).is_some_and(|link| link.up),
                answered: progress.answered,
            }),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                return self.status_with(Vec::new());
            }
        };
        self.status_with(peers.collect())
    }

    fn status_with(&self, peers: Vec<PeerStatus>) -> Status {
        Status {
            id: self.id,
            role: self.role.kind(),
            term: self.term(),
            leader: self.leader(),
            log_start: self.log.start(),
            last_log_id: self.last_log_id(),
            durable_index: self.durable_index(),
            commit_index: self.commit_index,
            peers,
            handing_over: self.handing_over(),
            membership_index: self.history.current_index(),
            catching_up: self.catching_up(),
            write_out_since: self.tickets.waiting_since(),
        }
    }

    /// The learner that a job waits for, and when it last got anywhere.
    fn catching_up(&self) -> Option<(NodeId, Time)> {
        match &self.role {
            Role::Leader(leader) => leader.catch_up.map(|learner| (learner.id, learner.progressed)),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// The latest term that this member knows of.
    #[must_use]
    pub const fn term(&self) -> Term {
        self.hard_state.term
    }

    /// Whether a request may be sent to this peer now.
    pub(crate) fn reaches(&self, peer: NodeId) -> bool {
        reaches(&self.links, peer)
    }
}

/// [`Raft::reaches`] for those that hold a part of [`Raft`] already.
pub(crate) fn reaches(links: &BTreeMap<NodeId, Link>, peer: NodeId) -> bool {
    links.get(&peer).is_some_and(|link| link.up && link.writable)
}
