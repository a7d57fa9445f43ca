//! What two members have in common that differ only in what cannot matter: for searches that visit
//! every state once ([`Raft::normalize`]) and every state up to the names of its members once
//! ([`Raft::rename`]).
//!
//! The normal form forgets the clock, the dice, and numbers that only count. A search that runs
//! members in this form lets time pass by what it passes to [`Raft::step`]: at zero, the member
//! has just heard its leader, its election timeout is due and so is every heartbeat; one election
//! timeout later it doubts its leader, three later a leader has lost its quorum. Each of these may
//! then happen at any time, which is more than real clocks allow, and never less as far as who may
//! say what to whom is concerned. Left out are a disk that hangs for longer than an election
//! timeout and a leader that flees from its own: both only make a member do less.
//!
//! All fields are named here, so that a new one is a question that the compiler asks.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use crate::election::ElectionTimer;
use crate::membership::{ChangeOutcome, JobKind, Membership};
use crate::message::{Message, ReadRefused, VoteRefusal};
use crate::progress::{Departing, Pause, Progress};
use crate::raft::{Held, Raft};
use crate::refusals::Refusals;
use crate::rng::Rng;
use crate::role::{Campaign, CatchUp, Leader, Role, Transfer};
use crate::types::{EntryKind, HardState, Index, NodeId, Ticket, Time};

/// Another name for every member. One to one.
type Names<'a> = &'a dyn Fn(NodeId) -> NodeId;

/// A read that a member in normal form waits for has the number of the peer that it is for, which
/// waits for no other; new ones get numbers above this.
const FREE_READ: u64 = 1 << 32;

/// Everything but the settings, which do not change, what was refused, which decides nothing, and
/// the outputs, which are empty between steps. Members that behave alike are equal by it only after [`Raft::normalize`].
impl Hash for Raft {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self {
            id,
            config: _,
            now,
            rng,
            hard_state,
            role,
            log,
            commit_index,
            apply_through,
            applied_index,
            history,
            tickets,
            held,
            links,
            quarantined,
            election,
            successor_by,
            removed,
            log_reads,
            reads,
            refusals: _,
            outputs: _,
        } = self;
        (id, now, rng, hard_state, role, log).hash(hasher);
        (commit_index, apply_through, applied_index, history, tickets, held).hash(hasher);
        (links, quarantined, election, successor_by, removed, log_reads, reads).hash(hasher);
    }
}

impl Raft {
    /// Brings this member into its normal form; see the module. What it would do next is the same
    /// as before, at the times named there.
    pub fn normalize(&mut self) {
        let timeout = self.config.election_timeout;
        let Self {
            id: _,
            config: _,
            now,
            rng,
            hard_state: _,
            role,
            log: _,
            commit_index: _,
            apply_through: _,
            applied_index: _,
            history: _,
            tickets,
            held,
            links: _,
            quarantined: _,
            election,
            successor_by,
            removed: _,
            log_reads,
            reads: _,
            refusals,
            outputs: _,
        } = self;
        *now = Time(0);
        *rng = Rng::new(0);
        *election = ElectionTimer::restore(false);
        *successor_by = None;
        *refusals = Refusals::default();
        let durable = tickets.count_from_zero();
        normalize_held(held, durable);
        match role {
            Role::Follower(_) => *log_reads = 0,
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => {
                *log_reads = 0;
                normalize_campaign(campaign, durable);
            }
            Role::Leader(leader) => {
                normalize_leader(leader, timeout);
                *log_reads = FREE_READ;
            }
        }
    }

    /// The same member in a cluster whose members have other names.
    pub fn rename(&mut self, names: &dyn Fn(NodeId) -> NodeId) {
        let Self {
            id,
            config,
            now: _,
            rng: _,
            hard_state: HardState { term: _, voted_for },
            role,
            log,
            commit_index: _,
            apply_through: _,
            applied_index: _,
            history,
            tickets: _,
            held,
            links,
            quarantined,
            election,
            successor_by: _,
            removed: _,
            log_reads: _,
            reads,
            refusals: _,
            outputs: _,
        } = self;
        *id = names(*id);
        config.id = *id;
        *voted_for = voted_for.map(names);
        log.special_mut().for_each(|kind| kind.rename(names));
        history.all_mut().for_each(|membership| *membership = renamed(membership, names));
        for Held { to, message, until: _ } in held {
            *to = names(*to);
            message.rename(names);
        }
        *links = keys(links, names);
        *quarantined = ids(quarantined, names);
        election.rename(names);
        reads.rename(names);
        rename_role(role, names);
    }
}

fn rename_role(role: &mut Role, names: Names<'_>) {
    match role {
        Role::Follower(follower) => {
            follower.leader = follower.leader.map(names);
        }
        Role::PreCandidate(campaign) | Role::Candidate(campaign) => {
            let Campaign { votes, asked, transfer: _, ready: _ } = campaign;
            *votes = keys(votes, names);
            *asked = ids(asked, names);
        }
        Role::Leader(leader) => {
            let Leader {
                progress,
                term_start: _,
                since: _,
                progressed: _,
                announce: _,
                transfer,
                fled_from: _,
                stepped_aside: _,
                catch_up,
                waiting: _,
            } = &mut **leader;
            *progress = keys(progress, names);
            for (peer, progress) in progress {
                if let Some(Pause::Read { request, first: _ }) = &mut progress.pause {
                    *request = peer.0;
                }
            }
            if let Some(Transfer { to, deadline: _, told: _ }) = transfer {
                *to = names(*to);
            }
            if let Some(CatchUp { id, round_end: _, round_started: _, progressed: _ }) = catch_up {
                *id = names(*id);
            }
        }
    }
}

impl Message {
    /// Forgets what its receiver does not look at: why a vote is refused, how much a follower has
    /// received, and a commit index beyond what the message verifies. Whoever relies on that should
    /// see once, without, that it is so.
    pub fn normalize(&mut self) {
        match self {
            Self::PreVoteResponse(response) | Self::RequestVoteResponse(response) => {
                response.refusal = response.refusal.map(|_| VoteRefusal::StaleTerm);
            }
            Self::AppendEntries(append) => {
                append.commit_index = append.commit_index.min(append.last_index());
            }
            Self::AppendEntriesResponse(response) => response.last_index = Index(0),
            Self::PreVote(_)
            | Self::RequestVote(_)
            | Self::TimeoutNow { .. }
            | Self::ReadIndex(_)
            | Self::ReadIndexResponse(_) => {}
        }
    }

    /// The same message in a cluster whose members have other names.
    pub fn rename(&mut self, names: &dyn Fn(NodeId) -> NodeId) {
        match self {
            Self::PreVoteResponse(response) | Self::RequestVoteResponse(response) => {
                match &mut response.refusal {
                    Some(VoteRefusal::AlreadyVoted { candidate: id })
                    | Some(VoteRefusal::LeaderAlive { leader: id }) => *id = names(*id),
                    Some(VoteRefusal::StaleTerm | VoteRefusal::LogBehind { .. }) | None => {}
                }
            }
            Self::AppendEntries(append) => {
                append.entries.iter_mut().for_each(|entry| entry.kind.rename(names));
            }
            Self::ReadIndexResponse(response) => match &mut response.result {
                Err(ReadRefused::NotLeader { leader: Some(id) })
                | Err(ReadRefused::HandingOver { to: id }) => *id = names(*id),
                Err(ReadRefused::NotLeader { leader: None }) | Ok(_) => {}
            },
            Self::PreVote(_)
            | Self::RequestVote(_)
            | Self::AppendEntriesResponse(_)
            | Self::TimeoutNow { .. }
            | Self::ReadIndex(_) => {}
        }
    }
}

impl EntryKind {
    /// The same kind of entry in a cluster whose members have other names.
    pub fn rename(&mut self, names: &dyn Fn(NodeId) -> NodeId) {
        if let Self::Membership(membership) = self {
            *membership = renamed(membership, names);
        }
    }
}

/// The same answer twice says nothing more, and answers to different peers have no order.
fn normalize_held(held: &mut Vec<Held>, durable: Ticket) {
    let mut kept: Vec<Held> = Vec::new();
    for Held { to, message, until } in held.drain(..) {
        let (mut message, until) = (message, until.less(durable));
        message.normalize();
        let twin = |h: &Held| h.to == to && h.until == until && h.message == message;
        if !kept.iter().any(twin) {
            kept.push(Held { to, message, until });
        }
    }
    kept.sort_by_key(|held| {
        (held.to, held.until, matches!(held.message, Message::RequestVoteResponse(_)))
    });
    *held = kept;
}

/// A refusal counts for nothing: only where a leader is known to be gone does it make a round end
/// sooner, and that is time.
fn normalize_campaign(campaign: &mut Campaign, durable: Ticket) {
    let Campaign { votes, asked: _, transfer: _, ready } = campaign;
    votes.retain(|_, in_favour| *in_favour);
    *ready = ready.less(durable);
}

/// Everyone has just answered; a transfer may end one millisecond later.
fn normalize_leader(leader: &mut Leader, timeout: u64) {
    let Leader {
        progress,
        term_start: _,
        since,
        progressed,
        announce,
        transfer,
        fled_from,
        stepped_aside: _,
        catch_up,
        waiting: _,
    } = leader;
    (*since, *progressed, *announce, *fled_from) = (Time(0), Time(0), None, None);
    if let Some(transfer) = transfer {
        transfer.deadline = Time(1);
    }
    if let Some(CatchUp { id: _, round_end: _, round_started, progressed }) = catch_up {
        (*round_started, *progressed) = (Time(0), Time(0));
    }
    for (peer, progress) in progress {
        normalize_progress(progress, timeout);
        if let Some(Pause::Read { request, first: _ }) = &mut progress.pause {
            *request = peer.0;
        }
    }
}

/// The window, which a small world never fills, and what only spares messages.
fn normalize_progress(progress: &mut Progress, timeout: u64) {
    let Progress {
        match_index: _,
        confirmed: _,
        next_index: _,
        pace: _,
        pause: _,
        inflight,
        answered,
        sent,
        commit_sent,
        commit_index,
        round_sent: _,
        round: _,
        taken: _,
        installing: _,
        departing,
    } = progress;
    inflight.clear();
    (*answered, *sent, *commit_sent) = (Some(Time(0)), None, Index(0));
    match departing {
        Some(Departing { at: _, until }) => *until = Time(10 * timeout),
        // What a peer knew before it had to go is below the entry that sends it away.
        None => *commit_index = Index(0),
    }
}

fn renamed(membership: &Membership, names: Names<'_>) -> Arc<Membership> {
    let mut membership = membership.clone();
    membership.members = keys(&membership.members, names);
    membership.voters = ids(&membership.voters, names);
    membership.old_voters = membership.old_voters.as_ref().map(|old| ids(old, names));
    if let Some(job) = &mut membership.job {
        match &mut job.kind {
            JobKind::Promote(id) | JobKind::Remove(id) | JobKind::Demote(id) => *id = names(*id),
            JobKind::Replace { old, new } => (*old, *new) = (names(*old), names(*new)),
        }
    }
    for (_, outcome) in &mut membership.outcomes {
        match outcome {
            ChangeOutcome::Added { id, .. }
            | ChangeOutcome::Removed { id, .. }
            | ChangeOutcome::Demoted { id, .. }
            | ChangeOutcome::Updated { id, .. }
            | ChangeOutcome::Undone { id, .. } => *id = names(*id),
            ChangeOutcome::Replaced { id, old, .. } => (*id, *old) = (names(*id), names(*old)),
        }
    }
    Arc::new(membership)
}

fn keys<T: Clone>(map: &BTreeMap<NodeId, T>, names: Names<'_>) -> BTreeMap<NodeId, T> {
    map.iter().map(|(&id, value)| (names(id), value.clone())).collect()
}

fn ids(set: &BTreeSet<NodeId>, names: Names<'_>) -> BTreeSet<NodeId> {
    set.iter().map(|&id| names(id)).collect()
}
