//! Membership changes (thesis, chapter 4). One at a time. A learner comes or goes in one entry; a
//! voter through a joint configuration, so that at no moment two majorities exist that do not
//! overlap.
//!
//! The whole plan is in the configuration: its job says what it works towards. A new leader needs
//! nothing else to go on, and going on twice does no harm, because each stage acts only on a
//! committed configuration of the stage before.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::membership::{
    Change, ChangeOutcome, ChangeRefused, Job, JobKind, Member, Membership, OUTCOMES_MAX,
};
use crate::output::Output;
use crate::raft::Raft;
use crate::role::{CatchUp, Leader, Role, Waiting};
use crate::types::{EntryKind, Index, NodeId, RequestId, Time};

/// What becomes of a request at once.
enum Verdict {
    Ended(Result<ChangeOutcome, ChangeRefused>),
    Waits { job: RequestId },
    Begins(Membership),
}

impl Raft {
    pub(crate) fn on_change(&mut self, request: RequestId, change: &Change) {
        match self.judge(request, change) {
            Verdict::Ended(result) => {
                self.outputs.push(Output::ChangeEnded { request, result });
            }
            Verdict::Waits { job } => self.wait_for(request, job),
            Verdict::Begins(membership) => {
                self.append_membership(membership);
                self.wait_for(request, request);
            }
        }
    }

    fn judge(&mut self, request: RequestId, change: &Change) -> Verdict {
        let refused = |why| Verdict::Ended(Err(why));
        let Role::Leader(leader) = &self.role else {
            return refused(ChangeRefused::NotLeader { leader: self.leader() });
        };
        let membership = Arc::clone(self.membership());
        if membership.outcome_of(request).is_some() {
            return Verdict::Waits { job: request };
        }
        if let Some(job) = &membership.job {
            return if job.request == request || membership.job_adds(change) {
                Verdict::Waits { job: job.request }
            } else {
                refused(ChangeRefused::ChangeInProgress { request: job.request })
            };
        }
        if self.history.current_index() > self.commit_index {
            let running = membership.outcomes.last().map_or(request, |(id, _)| *id);
            return refused(ChangeRefused::ChangeInProgress { request: running });
        }
        if let Some(transfer) = leader.transfer {
            return refused(ChangeRefused::HandingOver { to: transfer.to });
        }
        // No change before an entry of the own term is committed: without this, two leaders can
        // each commit a configuration that the other does not know (raft-dev, July 2015).
        if self.commit_index < leader.term_start {
            return refused(ChangeRefused::LeaderTooYoung);
        }
        match change {
            Change::Add(member) => self.judge_add(request, member, &membership),
            Change::Remove(id) => self.judge_leave(request, JobKind::Remove(*id), *id, &membership),
            Change::Demote(id) => self.judge_leave(request, JobKind::Demote(*id), *id, &membership),
            Change::Replace { old, new } => self.judge_replace(request, *old, new, &membership),
            Change::Update { id, member } => self.judge_update(request, *id, member, &membership),
        }
    }

    fn judge_add(&self, request: RequestId, member: &Member, now: &Membership) -> Verdict {
        self.judge_newcomer(member, None, now, |id| Job { request, kind: JobKind::Promote(id) })
    }

    fn judge_replace(
        &self,
        request: RequestId,
        old: NodeId,
        member: &Member,
        now: &Membership,
    ) -> Verdict {
        if !now.members.contains_key(&old) {
            return Verdict::Ended(Err(ChangeRefused::NotMember));
        }
        if !now.is_voter(old) {
            return Verdict::Ended(Err(ChangeRefused::NotVoter));
        }
        self.judge_newcomer(member, Some(old), now, |new| Job {
            request,
            kind: JobKind::Replace { old, new },
        })
    }

    /// Whoever is to vote is a learner first: one that is there already, or a new one, at an address
    /// that nobody has but the one whose place it takes.
    fn judge_newcomer(
        &self,
        member: &Member,
        replaced: Option<NodeId>,
        now: &Membership,
        job: impl Fn(NodeId) -> Job,
    ) -> Verdict {
        let same = now.members.iter().find(|(_, m)| m.incarnation == member.incarnation);
        if let Some((&id, _)) = same {
            return if now.is_voter(id) {
                Verdict::Ended(Err(ChangeRefused::AlreadyMember { id }))
            } else {
                self.begin(Membership { job: Some(job(id)), ..now.clone() })
            };
        }
        if let Some(id) = now.at_address(&member.address, replaced) {
            return Verdict::Ended(Err(ChangeRefused::AddressTaken { id }));
        }
        let id = now.id_added_at(self.log.last_index().next());
        self.begin(now.with_learner(id, member.clone(), job(id)))
    }

    fn judge_update(
        &self,
        request: RequestId,
        id: NodeId,
        member: &Member,
        now: &Membership,
    ) -> Verdict {
        let refused = match now.members.get(&id) {
            None => Some(ChangeRefused::NotMember),
            Some(known) if known.incarnation != member.incarnation => {
                Some(ChangeRefused::OtherIncarnation { id })
            }
            Some(known) if known == member => Some(ChangeRefused::AlreadyMember { id }),
            Some(_) => now
                .at_address(&member.address, Some(id))
                .map(|id| ChangeRefused::AddressTaken { id }),
        };
        match refused {
            Some(why) => Verdict::Ended(Err(why)),
            None => self.begin(now.moved(id, member.clone(), request)),
        }
    }

    /// A voter goes, or its vote does.
    fn judge_leave(
        &mut self,
        request: RequestId,
        kind: JobKind,
        id: NodeId,
        now: &Membership,
    ) -> Verdict {
        if !now.members.contains_key(&id) {
            return Verdict::Ended(Err(ChangeRefused::NotMember));
        }
        if !now.is_voter(id) {
            return match kind {
                JobKind::Demote(_) => Verdict::Ended(Err(ChangeRefused::NotVoter)),
                _ => self.begin(now.without(id, request, false)),
            };
        }
        if now.voters.len() == 1 {
            return Verdict::Ended(Err(ChangeRefused::LastMember));
        }
        if id == self.id {
            // The client asks the next leader again, which then does it to this one.
            self.start_transfer(None);
            let silent = now.voters.iter().copied().filter(|&voter| voter != id).collect();
            let refused = match self.handing_over() {
                Some(to) => ChangeRefused::HandingOver { to },
                None => ChangeRefused::NoNewQuorum { silent },
            };
            return Verdict::Ended(Err(refused));
        }
        self.begin(now.joint_without(id, Job { request, kind }))
    }

    fn begin(&self, membership: Membership) -> Verdict {
        let silent = self.silent_voters(&membership.voters);
        if membership.is_quorum(|id| !silent.contains(&id)) {
            Verdict::Begins(membership)
        } else if self.leads_since_less_than_a_timeout() {
            // Whoever has not answered yet may do so in time.
            Verdict::Ended(Err(ChangeRefused::LeaderTooYoung))
        } else {
            Verdict::Ended(Err(ChangeRefused::NoNewQuorum { silent }))
        }
    }

    fn leads_since_less_than_a_timeout(&self) -> bool {
        let timeout = self.config.election_timeout;
        matches!(&self.role, Role::Leader(leader) if self.now - leader.since < timeout)
    }

    /// Which of these voters have not answered within the last T. A configuration that could not
    /// commit anything is not entered.
    fn silent_voters(&self, voters: &BTreeSet<NodeId>) -> Vec<NodeId> {
        let Role::Leader(leader) = &self.role else { return Vec::new() };
        let since = Time(self.now - Time(self.config.election_timeout));
        let speaks = |id: NodeId| id == self.id || leader.answered_since(id, since);
        voters.iter().copied().filter(|&id| !speaks(id)).collect()
    }

    fn wait_for(&mut self, request: RequestId, job: RequestId) {
        if let Role::Leader(leader) = &mut self.role
            && leader.waiting.iter().all(|waiting| waiting.request != request)
        {
            leader.waiting.push(Waiting { request, job });
        }
    }

    fn append_membership(&mut self, membership: Membership) {
        self.append_own(EntryKind::Membership(Arc::new(membership)));
    }

    /// A change has ended when the configuration that tells its outcome is committed and may be
    /// applied.
    pub(crate) fn answer_changes(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.waiting.is_empty() {
            return;
        }
        let Some((_, applied)) = self.history.as_of(self.apply_through) else { return };
        let outputs = &mut self.outputs;
        leader.waiting.retain(|waiting| {
            let Some(outcome) = applied.outcome_of(waiting.job) else { return true };
            let result = Ok(outcome.clone());
            outputs.push(Output::ChangeEnded { request: waiting.request, result });
            false
        });
    }

    // ---- the job -------------------------------------------------------------------------------

    /// Whether the next stage may be entered: the present one is committed, and so is an entry of
    /// the own term.
    fn job_may_advance(&self, leader: &Leader) -> bool {
        self.history.current_index() <= self.commit_index
            && self.commit_index >= leader.term_start
            && leader.transfer.is_none()
    }

    /// Takes the job in the configuration one stage further, if it is time.
    pub(crate) fn advance_job(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let membership = self.history.current();
        let rests = membership.job.is_none() && !membership.is_joint();
        if rests || !self.job_may_advance(leader) {
            return;
        }
        let membership = Arc::clone(membership);
        match &membership.job {
            Some(job) if !membership.is_joint() => match job.kind {
                JobKind::Promote(id) | JobKind::Replace { new: id, .. } => {
                    self.advance_catch_up(id, job.request, &membership);
                }
                JobKind::Remove(_) | JobKind::Demote(_) => {}
            },
            _ if membership.is_joint() => self.leave_joint(&membership),
            _ => {}
        }
    }

    /// Catch-up goes in rounds: each replicates what the log held when it began. A learner is
    /// caught up after a round that took no longer than T, so that its promotion interrupts
    /// nothing (thesis 4.2.1).
    fn advance_catch_up(&mut self, id: NodeId, request: RequestId, membership: &Membership) {
        let (now, last_index) = (self.now, self.log.last_index());
        let (timeout, patience) = (self.config.election_timeout, self.config.join_patience);
        let Role::Leader(leader) = &mut self.role else { return };
        let begin = CatchUp { id, round_end: last_index, round_started: now, progressed: now };
        let catch_up = leader.catch_up.get_or_insert(begin);
        if catch_up.id != id {
            *catch_up = begin;
        }
        if catch_up.progressed + patience <= now {
            leader.catch_up = None;
            return self.append_membership(membership.without(id, request, true));
        }
        let match_index = leader.progress.get(&id).map_or(Index(0), |p| p.match_index);
        if match_index < catch_up.round_end {
            return;
        }
        let quick = now - catch_up.round_started <= timeout;
        (catch_up.round_end, catch_up.round_started) = (last_index, now);
        let promoted = membership.joint_with_caught_up(id);
        let silent = self.silent_voters(&promoted.voters);
        let quorum = promoted.is_quorum(|voter| !silent.contains(&voter));
        if quick && quorum && !silent.contains(&id) {
            if let Role::Leader(leader) = &mut self.role {
                leader.catch_up = None;
            }
            self.append_membership(promoted);
        }
    }

    /// When the learner will have made no progress for too long.
    pub(crate) fn patience_ends(&self, leader: &Leader) -> Option<Time> {
        let catch_up = leader.catch_up.filter(|_| self.job_may_advance(leader))?;
        Some(catch_up.progressed + self.config.join_patience)
    }

    /// The joint configuration is committed: both halves know of the change, the new half may
    /// go on alone (thesis 4.3).
    fn leave_joint(&mut self, membership: &Membership) {
        if !membership.voters.contains(&self.id) && !self.stepped_aside() {
            return;
        }
        self.append_membership(membership.left_joint());
    }

    /// A leader that will not vote hands over to one that will, once; if nobody takes over, it
    /// finishes the change itself and steps down then (thesis 4.2.2).
    fn stepped_aside(&mut self) -> bool {
        let Role::Leader(leader) = &mut self.role else { return false };
        let tried = core::mem::replace(&mut leader.stepped_aside, true);
        tried || !self.start_transfer(None)
    }

    /// A leader that has no vote in the committed configuration leads no longer; first it tells
    /// the others that this is so.
    pub(crate) fn leave_if_removed(&mut self) {
        let committed = self.history.current_index() <= self.commit_index;
        if self.is_leader() && committed && !self.membership().is_voter(self.id) {
            let commit_index = self.commit_index;
            self.replicate();
            self.send_heartbeats(|progress| progress.lacks_commit(commit_index));
            self.become_follower(self.term(), None);
        }
    }

    /// This member is removed when a committed, final configuration lacks it, and is not older
    /// than the member itself.
    pub(crate) fn note_removal(&mut self) {
        let Some((at, membership)) = self.history.as_of(self.apply_through) else { return };
        let added_at = membership.added_at(self.id);
        let present = membership.is_joint() || membership.members.contains_key(&self.id);
        if !present && at >= added_at && self.removed.is_none() && membership.founders > 0 {
            self.removed = Some(at);
            self.outputs.push(Output::Removed { at });
        }
    }
}

impl Membership {
    /// How a remembered change ended.
    #[must_use]
    pub fn outcome_of(&self, request: RequestId) -> Option<&ChangeOutcome> {
        self.outcomes.iter().find(|(id, _)| *id == request).map(|(_, outcome)| outcome)
    }

    /// Whether the running job is about the very member that `change` wants to add.
    fn job_adds(&self, change: &Change) -> bool {
        match (change, &self.job) {
            (Change::Add(member), Some(Job { kind: JobKind::Promote(id), .. })) => {
                self.members.get(id) == Some(member)
            }
            (
                Change::Replace { old: asked, new: member },
                Some(Job { kind: JobKind::Replace { old, new }, .. }),
            ) => asked == old && self.members.get(new) == Some(member),
            _ => false,
        }
    }

    /// Who is at this address, other than `except`.
    fn at_address(&self, address: &str, except: Option<NodeId>) -> Option<NodeId> {
        let mut members = self.members.iter().filter(|(id, _)| Some(**id) != except);
        members.find(|(_, member)| member.address == address).map(|(id, _)| *id)
    }

    fn with_learner(&self, id: NodeId, member: Member, job: Job) -> Self {
        let mut next = self.clone();
        next.members.insert(id, member);
        next.job = Some(job);
        next
    }

    /// The same votes at other places: nothing that two majorities could disagree on.
    fn moved(&self, id: NodeId, member: Member, request: RequestId) -> Self {
        let mut next = self.clone();
        let address = member.address.clone();
        next.members.insert(id, member);
        next.ended(request, ChangeOutcome::Updated { id, address })
    }

    /// The learner votes in the new half; whom it replaces, in the old half only.
    fn joint_with_caught_up(&self, id: NodeId) -> Self {
        let mut next = self.clone();
        next.old_voters = Some(next.voters.clone());
        next.voters.insert(id);
        if let Some(Job { kind: JobKind::Replace { old, .. }, .. }) = next.job {
            next.voters.remove(&old);
        }
        next
    }

    fn joint_without(&self, id: NodeId, job: Job) -> Self {
        let mut next = self.clone();
        next.old_voters = Some(next.voters.clone());
        next.voters.remove(&id);
        next.job = Some(job);
        next
    }

    /// The final configuration after this joint one.
    fn left_joint(&self) -> Self {
        let next = Self { old_voters: None, ..self.clone() };
        let Some(Job { request, kind }) = self.job.clone() else { return next };
        match kind {
            JobKind::Remove(id) => next.without(id, request, false),
            JobKind::Promote(id) => {
                let address = next.address_of(id);
                next.ended(request, ChangeOutcome::Added { id, address })
            }
            JobKind::Demote(id) => {
                let address = next.address_of(id);
                next.ended(request, ChangeOutcome::Demoted { id, address })
            }
            JobKind::Replace { old, new: id } => {
                let (address, old_address) = (next.address_of(id), next.address_of(old));
                let outcome = ChangeOutcome::Replaced { id, address, old, old_address };
                let mut next = next.ended(request, outcome);
                next.members.remove(&old);
                next
            }
        }
    }

    /// Without a member that does not vote.
    fn without(&self, id: NodeId, request: RequestId, undone: bool) -> Self {
        let mut next = self.clone();
        let address = next.address_of(id);
        next.members.remove(&id);
        let outcome = if undone {
            ChangeOutcome::Undone { id, address }
        } else {
            ChangeOutcome::Removed { id, address }
        };
        next.ended(request, outcome)
    }

    fn ended(mut self, request: RequestId, outcome: ChangeOutcome) -> Self {
        self.job = None;
        self.outcomes.push((request, outcome));
        let excess = self.outcomes.len().saturating_sub(OUTCOMES_MAX);
        self.outcomes.drain(..excess);
        self
    }

    fn address_of(&self, id: NodeId) -> String {
        self.members.get(&id).map_or_else(String::new, |member| member.address.clone())
    }
}
