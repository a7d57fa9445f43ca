//! What a member became in a step, and what it says to others.

use std::sync::Arc;

use raft_core::{AppendResult, EntryKind, Index, Message, Raft, RoleKind, VoteRefusal};
use raft_node::replica::Replica;

use super::{Observer, Server};
use crate::probes::Probe;
use crate::trace::What;

/// So many entries in one message are many.
const MANY_SENT: usize = 8;

/// So many entries committed in one step are many.
const MANY_COMMITTED: u64 = 16;

impl Observer {
    /// A replica took a step.
    pub fn stepped(&mut self, host: usize, replica: &Replica) {
        let raft = replica.raft();
        let Some(mut server) = self.servers.get_mut(host).and_then(Option::take) else { return };
        let now = (raft.commit_index(), raft.durable_index(), replica.applied_index());
        for index in [now.0, now.1, now.2, raft.last_log_id().index] {
            self.hash.number(index.0);
        }
        self.hash.number(raft.hard_state().term.0);
        self.look_at_role(host, &mut server, raft);
        self.look_at_votes(host, &mut server, raft);
        self.look_at_commit(host, &mut server, raft);
        self.look_at_members(&mut server, raft);
        server.durable = raft.durable_index();
        let (trails, handing_over) = (replica.has_backlog(), raft.handing_over().is_some());
        if trails && !std::mem::replace(&mut server.trails, trails) {
            self.reach(Probe::ApplyTrails);
        }
        if handing_over && !server.handing_over {
            self.reach(Probe::HandingOver);
        }
        (server.trails, server.handing_over) = (trails, handing_over);
        self.put(host, server);
    }

    fn look_at_role(&mut self, host: usize, server: &mut Server, raft: &Raft) {
        let role = if raft.is_leader() { RoleKind::Leader } else { raft.status().role };
        let (before, term) = (server.role, raft.hard_state().term);
        let known = server.hard_state.term;
        if (role, term) == (before, known) {
            return;
        }
        self.hash.text(format_args!("{host} {role} {term}"));
        self.tell(|| What::Role { host, role, term });
        if known.0 > 0 && term.0 > known.0 + 1 {
            self.reach(Probe::TermJumped);
        }
        match (before, role) {
            (RoleKind::Leader, RoleKind::Follower) if term > known => {
                self.reach(Probe::LeaderOusted);
            }
            (RoleKind::Leader, RoleKind::Follower) => self.reach(Probe::LeaderResigned),
            (RoleKind::PreCandidate, RoleKind::Follower) => self.reach(Probe::PreCandidateGaveUp),
            (RoleKind::Candidate, RoleKind::Follower) => self.reach(Probe::CandidateGaveUp),
            (RoleKind::Candidate, RoleKind::PreCandidate) => self.reach(Probe::CandidateAgain),
            _ => {}
        }
        if role != before {
            match role {
                RoleKind::PreCandidate => self.reach(Probe::BecamePreCandidate),
                RoleKind::Candidate => self.reach(Probe::BecameCandidate),
                RoleKind::Leader => self.elected(host, server, raft),
                RoleKind::Follower => {}
            }
        }
        server.role = role;
    }

    /// That a leader was elected is counted by the checker of elections.
    fn elected(&mut self, host: usize, server: &Server, raft: &Raft) {
        let membership = raft.membership();
        if self.leader.replace(host) == Some(host) {
            self.reach(Probe::LeaderAgain);
        }
        if membership.is_joint() {
            self.reach(Probe::LeaderInJoint);
        } else if membership.voters.len() == 1 {
            self.reach(Probe::LeaderOfOne);
        }
        if server.ambiguous {
            self.reach(Probe::LeaderAmbiguous);
        }
        if membership.job.is_some() {
            self.reach(Probe::JobResumed);
        }
        let leads = |server: &Server| server.running && server.role == RoleKind::Leader;
        if self.servers.iter().flatten().any(|server| leads(server)) {
            self.reach(Probe::TwoLeaders);
        }
    }

    fn look_at_votes(&mut self, host: usize, server: &mut Server, raft: &Raft) {
        let (before, now) = (server.hard_state, raft.hard_state());
        server.hard_state = now;
        let Some(candidate) = now.voted_for.filter(|_| before != now) else { return };
        if (before.term, before.voted_for) == (now.term, Some(candidate)) {
            return;
        }
        self.reach(match candidate == server.id {
            true => Probe::VotedForItself,
            false => Probe::VotedForAnother,
        });
        self.tell(|| What::Voted { host, candidate, term: now.term });
    }

    fn look_at_commit(&mut self, host: usize, server: &mut Server, raft: &Raft) {
        let (before, through) = (server.commit, raft.commit_index());
        if through <= before {
            return;
        }
        server.commit = through;
        self.reach(Probe::Committed);
        if before.0 > 0 && through.0 - before.0 >= MANY_COMMITTED {
            self.reach(Probe::CommittedMany);
        }
        let older = raft.term_at(before.next()).is_ok_and(|term| term < raft.hard_state().term);
        if raft.is_leader() && older {
            self.reach(Probe::OlderTermCommitted);
        }
        if raft.is_leader() && raft.membership().is_joint() {
            self.reach(Probe::CommittedInJoint);
        }
        self.tell(|| What::Committed { host, through });
    }

    fn look_at_members(&mut self, server: &mut Server, raft: &Raft) {
        let membership = raft.membership();
        if server.membership.as_ref().is_some_and(|known| Arc::ptr_eq(known, membership)) {
            return;
        }
        let before = server.membership.replace(Arc::clone(membership));
        let Some(before) = before else { return };
        let undone = server.membership_before.as_ref().is_some_and(|older| **older == **membership);
        if undone {
            self.reach(Probe::ConfigurationUndone);
        } else {
            match (before.is_joint(), membership.is_joint()) {
                (false, true) => self.reach(Probe::JointEntered),
                (true, false) => self.reach(Probe::JointLeft),
                _ => {}
            }
            let learners = |of: &raft_core::Membership| of.members.len() > of.voters.len();
            if !membership.is_joint() && learners(membership) && !learners(&before) {
                self.reach(Probe::LearnerThere);
            }
        }
        if raft.is_leader() && !membership.members.contains_key(&server.id) {
            self.reach(Probe::LeaderLeavesItself);
        }
        server.membership_before = Some(before);
    }

    /// A member says something to another.
    pub fn sends(&mut self, message: &Message) {
        match message {
            Message::PreVote(_) => self.reach(Probe::PreVoteAsked),
            Message::RequestVote(ask) => {
                self.reach(Probe::VoteAsked);
                if ask.transfer {
                    self.reach(Probe::VoteForTransfer);
                }
            }
            Message::PreVoteResponse(answer) => match answer.refusal {
                None => self.reach(Probe::PreVoteGranted),
                Some(VoteRefusal::StaleTerm) => self.reach(Probe::PreVoteStale),
                Some(VoteRefusal::LogBehind { .. }) => self.reach(Probe::PreVoteBehind),
                Some(VoteRefusal::LeaderAlive { .. }) => self.reach(Probe::PreVoteLeaderAlive),
                Some(VoteRefusal::AlreadyVoted { .. }) => {}
            },
            Message::RequestVoteResponse(answer) => self.reach(match answer.refusal {
                None => Probe::VoteGranted,
                Some(VoteRefusal::StaleTerm) => Probe::VoteStale,
                Some(VoteRefusal::LogBehind { .. }) => Probe::VoteBehind,
                Some(VoteRefusal::LeaderAlive { .. }) => Probe::VoteLeaderAlive,
                Some(VoteRefusal::AlreadyVoted { .. }) => Probe::VoteTaken,
            }),
            Message::AppendEntries(append) => {
                self.reach(match append.entries.len() {
                    0 => Probe::Heartbeat,
                    1..MANY_SENT => Probe::EntriesSent,
                    _ => Probe::ManyEntriesSent,
                });
                let is_configuration = |kind: &EntryKind| matches!(kind, EntryKind::Membership(_));
                if append.entries.iter().any(|entry| is_configuration(&entry.kind)) {
                    self.reach(Probe::ConfigurationSent);
                }
            }
            Message::AppendEntriesResponse(answer) => match answer.result {
                AppendResult::Match(_) => self.reach(Probe::Matched),
                AppendResult::StaleTerm => self.reach(Probe::AppendStale),
                AppendResult::Conflict { prev_index, hint } => {
                    self.reach(Probe::Conflict);
                    if hint.index.next() < Index(prev_index.0.saturating_sub(1)) {
                        self.reach(Probe::ConflictFarBack);
                    }
                }
            },
            Message::TimeoutNow { .. } => self.reach(Probe::CampaignNow),
            Message::ReadIndex(_) | Message::ReadIndexResponse(_) => {}
        }
    }
}
