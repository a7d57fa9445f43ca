//! Elections: who may ask, who grants, who wins (paper, sections 5.2 and 5.4.1), preceded by a
//! pre-vote so that a member that could not win disturbs nobody (thesis 9.6).

use crate::input::Lane;
use crate::message::{
    AppendEntriesResponse, AppendResult, Message, ReadRefused, RequestVote, VoteRefusal,
    VoteResponse,
};
use crate::output::Output;
use crate::raft::Raft;
use crate::refusals::RefusedRequest;
use crate::role::{Campaign, Role};
use crate::types::{Index, NodeId, Term, Time};

/// How often a round is repeated quickly after a leader was lost.
const QUICK_ROUNDS: u32 = 5;

/// When this member loses patience.
#[derive(Clone, Debug, Hash)]
pub(crate) struct ElectionTimer {
    pub(crate) deadline: Time,
    /// The deadline was drawn from the short range.
    quick: bool,
    /// When this term's leader was last heard.
    heard: Time,
    lost: Option<LostLeader>,
    /// The last write before the start may have been lost: others go first.
    hesitant: bool,
}

/// A leader whose process is gone: its connection broke and nobody listens at its address.
#[derive(Clone, Copy, Debug, Hash)]
struct LostLeader {
    peer: NodeId,
    rounds_left: u32,
}

impl ElectionTimer {
    pub(crate) const fn restore(hesitant: bool) -> Self {
        Self { deadline: Time(0), quick: false, heard: Time(0), lost: None, hesitant }
    }

    /// An entry of the current term is committed: the log was made whole.
    pub(crate) const fn gain_confidence(&mut self) {
        self.hesitant = false;
    }

    /// For [`Raft::rename`].
    pub(crate) fn rename(&mut self, names: &dyn Fn(NodeId) -> NodeId) {
        if let Some(lost) = &mut self.lost {
            lost.peer = names(lost.peer);
        }
    }
}

impl Raft {
    // ---- deadlines -----------------------------------------------------------------------------

    /// A cluster just founded, and a voter alone, need not wait for a leader that cannot be.
    pub(crate) fn draw_first_deadline(&mut self) {
        if self.is_alone() {
            self.election.deadline = self.now;
        } else if self.term() == Term(0) && self.log.last_index() == Index(0) {
            self.draw_quick_deadline();
        } else {
            self.draw_deadline();
        }
    }

    /// "Election timeouts are chosen randomly from a fixed interval", here T to 2 T, so that
    /// split votes are rare and resolved quickly (paper, section 5.2).
    pub(crate) fn draw_deadline(&mut self) {
        let timeout = self.config.election_timeout;
        let mut wait = timeout + self.rng.below(timeout);
        if self.election.hesitant && !self.is_alone() {
            wait *= 2;
        }
        self.election.deadline = self.now + wait.max(1);
        self.election.quick = false;
    }

    fn draw_quick_deadline(&mut self) {
        let range = self.config.election_timeout / 5;
        self.election.deadline = self.now + 1 + self.rng.below(range);
        self.election.quick = true;
    }

    /// How long a round may take: as long as usual; or, where a leader is known to be gone, long
    /// enough for an answer, plus jitter.
    pub(crate) fn draw_round_deadline(&mut self) {
        if self.election.lost.is_some_and(|lost| lost.rounds_left > 0) {
            self.draw_quick_deadline();
            self.election.deadline = self.election.deadline + self.config.election_timeout / 5;
        } else {
            self.draw_deadline();
        }
    }

    /// After a round that was lost to a higher term.
    pub(crate) fn draw_retry_deadline(&mut self) {
        match &mut self.election.lost {
            Some(lost) if lost.rounds_left > 0 => {
                lost.rounds_left -= 1;
                self.draw_quick_deadline();
            }
            _ => self.draw_deadline(),
        }
    }

    /// A leader of this term spoke.
    pub(crate) fn heard_leader(&mut self) {
        self.election.heard = self.now;
        self.election.lost = None;
        self.draw_deadline();
    }

    pub(crate) const fn end_lost_leader(&mut self) {
        self.election.lost = None;
    }

    // ---- campaigning ---------------------------------------------------------------------------

    /// Whether this member alone is a quorum.
    fn is_alone(&self) -> bool {
        self.membership().is_quorum(|id| id == self.id)
    }

    /// A member campaigns if it votes in the configuration in force, or, while that may still be
    /// rolled back, voted in the one before: a removed server may be needed until the removal is
    /// committed (thesis 4.2.2). Not while its own disk hangs (rule R15).
    fn may_campaign(&self) -> bool {
        let uncommitted = self.history.current_index() > self.commit_index;
        let voted_before = || self.history.previous().is_some_and(|old| old.is_voter(self.id));
        let voter = self.membership().is_voter(self.id) || (uncommitted && voted_before());
        let disk_hangs = self
            .tickets
            .waiting_since()
            .is_some_and(|since| self.now - since > self.config.election_timeout);
        voter && !disk_hangs && self.removed.is_none()
    }

    /// Nothing was heard of a leader, or a round did not end, in time.
    pub(crate) fn on_election_timeout(&mut self) {
        if self.removed.is_some() || self.now < self.election.deadline {
            return;
        }
        if let (Role::PreCandidate(_) | Role::Candidate(_), Some(lost)) =
            (&self.role, &mut self.election.lost)
        {
            lost.rounds_left = lost.rounds_left.saturating_sub(1);
        }
        if !self.may_campaign() {
            if self.leader().is_some() || !matches!(self.role, Role::Follower(_)) {
                self.become_follower(self.term(), None);
            }
            self.draw_deadline();
        } else if self.is_alone() {
            self.become_candidate(false);
        } else {
            self.become_pre_candidate();
        }
    }

    /// Asks whom it has not asked, counts, and moves on when there is a quorum.
    pub(crate) fn advance_campaign(&mut self) {
        if let Role::PreCandidate(campaign) = &self.role
            && self.membership().is_quorum(|id| campaign.votes.get(&id) == Some(&true))
        {
            self.become_candidate(false);
        }
        self.count_own_vote();
        self.ask_for_votes();
        if let Role::Candidate(campaign) = &self.role
            && self.membership().is_quorum(|id| campaign.votes.get(&id) == Some(&true))
        {
            self.become_leader();
        }
    }

    /// R2: "a server votes for itself" only once that vote is on its disk.
    fn count_own_vote(&mut self) {
        if let Role::Candidate(campaign) = &mut self.role
            && self.tickets.is_durable(campaign.ready)
        {
            campaign.votes.insert(self.id, true);
        }
    }

    /// R2: a request for a vote leaves only when term, own vote and the whole log that it
    /// describes are durable. A pre-vote promises nothing and leaves at once.
    fn ask_for_votes(&mut self) {
        let last_log_id = self.log.last_log_id();
        let (term, membership) = (self.term(), self.history.current());
        let (campaign, pre) = match &mut self.role {
            Role::PreCandidate(campaign) => (campaign, true),
            Role::Candidate(campaign) if self.tickets.is_durable(campaign.ready) => {
                (campaign, false)
            }
            Role::Candidate(_) | Role::Follower(_) | Role::Leader(_) => return,
        };
        for to in membership.all_voters() {
            let reached = crate::raft::reaches(&self.links, to);
            if to == self.id || !reached || !campaign.asked.insert(to) {
                continue;
            }
            let message = if pre {
                Message::PreVote(RequestVote { term: term.next(), last_log_id, transfer: false })
            } else {
                let transfer = campaign.transfer;
                Message::RequestVote(RequestVote { term, last_log_id, transfer })
            };
            self.outputs.push(Output::Send { to, message });
        }
    }

    // ---- voting --------------------------------------------------------------------------------

    /// The leader that this member is loyal to: itself, or one heard within T (thesis 4.2.3).
    fn live_leader(&self) -> Option<NodeId> {
        let heard = self.now < self.election.heard + self.config.election_timeout;
        self.leader().filter(|_| heard || self.is_leader())
    }

    pub(crate) fn is_loyal(&self, request: &RequestVote) -> bool {
        !request.transfer && request.term >= self.term() && self.live_leader().is_some()
    }

    pub(crate) fn refuse_disloyalty(&mut self, from: NodeId, request: RequestVote) {
        if let Some(leader) = self.live_leader() {
            let why = VoteRefusal::LeaderAlive { leader };
            self.note_vote_refusal(from, false, request, why);
            self.answer_vote(from, Some(why));
        }
    }

    /// R2: granted or refused, the answer is held until the hard state behind it is durable.
    fn answer_vote(&mut self, to: NodeId, refusal: Option<VoteRefusal>) {
        let response = VoteResponse { term: self.term(), refusal };
        self.answer(to, Message::RequestVoteResponse(response), self.tickets.hard_state());
    }

    /// Requests of an old term are refused with the current one; old answers mean nothing.
    pub(crate) fn refuse_stale(&mut self, from: NodeId, message: &Message) {
        match message {
            Message::RequestVote(request) => {
                self.note_vote_refusal(from, false, *request, VoteRefusal::StaleTerm);
                self.answer_vote(from, Some(VoteRefusal::StaleTerm));
            }
            Message::AppendEntries(append) => {
                let (term, prev_log_id) = (append.term, append.prev_log_id);
                let result = AppendResult::StaleTerm;
                self.note_refusal(from, RefusedRequest::Append { term, prev_log_id, result });
                let response = AppendEntriesResponse {
                    term: self.term(),
                    result,
                    last_index: self.log.last_index(),
                    commit_index: self.commit_index,
                    // Of whatever leadership this was, it is over.
                    round: 0,
                };
                let until = self.tickets.hard_state();
                self.answer(from, Message::AppendEntriesResponse(response), until);
            }
            Message::ReadIndex(asked) => {
                let refused = ReadRefused::NotLeader { leader: self.leader() };
                self.answer_read(from, asked.request, Err(refused));
            }
            Message::PreVote(_)
            | Message::PreVoteResponse(_)
            | Message::RequestVoteResponse(_)
            | Message::AppendEntriesResponse(_)
            | Message::ReadIndexResponse(_)
            | Message::TimeoutNow { .. } => {}
        }
    }

    /// Whether this member would vote for, or votes for, a candidate in `request.term`, which is
    /// not below its own. By log and term alone: neither its own role nor its own membership
    /// matters, because its knowledge of the configuration may be the older one.
    fn objection(&self, from: NodeId, request: &RequestVote) -> Option<VoteRefusal> {
        if request.term == self.term()
            && let Some(candidate) = self.hard_state.voted_for.filter(|&id| id != from)
        {
            return Some(VoteRefusal::AlreadyVoted { candidate });
        }
        let last_log_id = self.log.last_log_id();
        let behind = !self.log.is_up_to_date(request.last_log_id);
        behind.then_some(VoteRefusal::LogBehind { last_log_id })
    }

    /// Changes nothing here, except that one who would win soon is let go first.
    pub(crate) fn on_pre_vote(&mut self, from: NodeId, request: RequestVote) {
        let refusal = if request.term < self.term() {
            Some(VoteRefusal::StaleTerm)
        } else if let Some(leader) = self.live_leader().filter(|_| !request.transfer) {
            Some(VoteRefusal::LeaderAlive { leader })
        } else {
            self.objection(from, &request)
        };
        let term = if refusal.is_none() { request.term } else { self.term() };
        let waits = matches!(self.role, Role::Follower(_));
        if refusal.is_none() && self.election.quick && waits {
            self.draw_quick_deadline();
        }
        if let Some(why) = refusal {
            self.note_vote_refusal(from, true, request, why);
        }
        let message = Message::PreVoteResponse(VoteResponse { term, refusal });
        self.outputs.push(Output::Send { to: from, message });
    }

    pub(crate) fn on_request_vote(&mut self, from: NodeId, request: RequestVote) {
        let refusal = self.objection(from, &request);
        if refusal.is_none() {
            if self.hard_state.voted_for.is_none() {
                self.hard_state.voted_for = Some(from);
                self.tickets.hard_state_changed();
            }
            if matches!(self.role, Role::PreCandidate(_)) {
                self.become_follower(self.term(), None);
            }
            self.draw_deadline();
        }
        if let Some(why) = refusal {
            self.note_vote_refusal(from, false, request, why);
        }
        self.answer_vote(from, refusal);
    }

    pub(crate) fn on_pre_vote_response(&mut self, from: NodeId, response: VoteResponse) {
        let asked = self.term().next();
        let Role::PreCandidate(campaign) = &mut self.role else { return };
        if response.refusal.is_some() {
            campaign.votes.entry(from).or_insert(false);
        } else if response.term == asked {
            campaign.votes.insert(from, true);
        }
        self.hurry_if_hopeless();
    }

    pub(crate) fn on_vote_response(&mut self, from: NodeId, response: VoteResponse) {
        let Role::Candidate(campaign) = &mut self.role else { return };
        campaign.votes.insert(from, response.refusal.is_none());
        self.hurry_if_hopeless();
    }

    /// Where a leader is known to be gone, a round that cannot be won any more is not sat out.
    fn hurry_if_hopeless(&mut self) {
        let (Role::PreCandidate(campaign) | Role::Candidate(campaign)) = &self.role else { return };
        if self.election.lost.is_none_or(|lost| lost.rounds_left == 0) {
            return;
        }
        if !self.membership().is_quorum(|id| self.may_yet_vote(campaign, id)) {
            let deadline = self.election.deadline;
            self.draw_quick_deadline();
            self.election.deadline = self.election.deadline.min(deadline);
        }
    }

    fn may_yet_vote(&self, campaign: &Campaign, id: NodeId) -> bool {
        let answer = campaign.votes.get(&id).copied();
        answer.unwrap_or_else(|| id == self.id || self.reaches(id))
    }

    /// The leader wants this member to take over: no pre-vote and no waiting (thesis 3.10). One
    /// that had just begun to doubt the leader is invited too.
    pub(crate) fn on_timeout_now(&mut self, from: NodeId) {
        let invited = match &self.role {
            Role::Follower(follower) => follower.leader == Some(from),
            Role::PreCandidate(_) => true,
            Role::Candidate(_) | Role::Leader(_) => false,
        };
        if invited && self.may_campaign() {
            self.become_candidate(true);
        }
    }

    // ---- connections ---------------------------------------------------------------------------

    /// What was asked or waits to be answered on a connection dies with it (rule R13).
    pub(crate) fn on_link(&mut self, peer: NodeId, lane: Lane, up: bool) {
        self.quarantined.remove(&peer);
        self.on_reads_cut(peer, lane == Lane::Inbound);
        match lane {
            Lane::Inbound => {
                self.held.retain(|held| held.to != peer);
                if let Role::Follower(follower) = &mut self.role
                    && follower.leader == Some(peer)
                {
                    follower.owed = None;
                    follower.heartbeat_owed = false;
                    follower.round = 0;
                }
            }
            Lane::Outbound => {
                let link = self.links.entry(peer).or_default();
                link.broken = (link.up || link.broken) && !up;
                (link.up, link.writable) = (up, up);
                self.reconnected(peer);
                if up && self.election.lost.is_some_and(|lost| lost.peer == peer) {
                    self.election.lost = None;
                    self.draw_deadline();
                }
            }
        }
    }

    fn reconnected(&mut self, peer: NodeId) {
        match &mut self.role {
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => {
                campaign.asked.remove(&peer);
            }
            Role::Leader(leader) => {
                let term_start = leader.term_start;
                if let Some(progress) = leader.progress.get_mut(&peer) {
                    progress.reconnect(term_start);
                }
            }
            Role::Follower(_) => {}
        }
    }

    /// The leader's connection broke and nobody listens at its address any more: it is gone, and
    /// there is nothing to wait for.
    pub(crate) fn on_refused(&mut self, peer: NodeId) {
        let broken = self.links.get(&peer).is_some_and(|link| link.broken);
        let leads = matches!(&self.role, Role::Follower(f) if f.leader == Some(peer));
        if broken && leads {
            self.election.lost = Some(LostLeader { peer, rounds_left: QUICK_ROUNDS });
            self.become_follower(self.term(), None);
            self.draw_quick_deadline();
        }
    }
}
