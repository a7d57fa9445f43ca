//! What must hold in every state of the small world: the properties of figure 3 of the paper and
//! the durability rules, checked against the members' logs and disks, never against what a core
//! says about itself.

use std::collections::BTreeSet;

use raft_core::{AppendResult, Membership, Message, NodeId, Term};

use super::member::{Entry, Envelope, Maker, Member, last_log_id};

type Checked = Result<(), String>;

/// What has been seen so far and must not be contradicted; and how often what is bounded happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Chronicle {
    /// Who led each term, from term 1 on.
    pub(super) leaders: Vec<Option<Maker>>,
    /// Each with the term of whoever committed it first.
    pub(super) committed: Vec<(Entry, Term)>,
    pub(super) campaigns: u8,
    pub(super) proposals: u8,
    pub(super) crashes: u8,
    pub(super) reconnects: u8,
    pub(super) removals: u8,
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(what()) }
}

impl Chronicle {
    pub(super) fn rename(&mut self, names: &dyn Fn(NodeId) -> NodeId) {
        self.leaders.iter_mut().flatten().for_each(|leader| leader.id = names(leader.id));
        self.committed.iter_mut().for_each(|(entry, _)| entry.rename(names));
    }

    /// Looks at what the step from `before` to `members[at]` changed.
    pub(super) fn watch(
        &mut self,
        members: &[&Member],
        at: usize,
        before: &Member,
        sent: &[&Envelope],
    ) -> Checked {
        let Some(&now) = members.get(at) else { return Ok(()) };
        self.election_safety(now)?;
        if now.log != before.log || now.disk.log != before.disk.log {
            log_matching(members)?;
        }
        self.committed_by(members, now, before)?;
        for leader in members.iter().filter(|member| member.leads) {
            self.leader_completeness(leader)?;
        }
        sent.iter().try_for_each(|envelope| same_as_leader(members, now, envelope))
    }

    /// At most one leader in a term: one member, in one of its lives.
    fn election_safety(&mut self, now: &Member) -> Checked {
        if !now.leads {
            return Ok(());
        }
        let (term, maker) = (now.term(), Maker { id: now.id, life: now.life });
        let place = term.0 as usize - 1;
        if self.leaders.len() <= place {
            self.leaders.resize(place + 1, None);
        }
        let first = *self.leaders[place].get_or_insert(maker);
        check(first == maker, || {
            format!("election safety: {} and {} lead term {term}", first.id, maker.id)
        })
    }

    /// A leader holds everything that was committed in earlier terms.
    fn leader_completeness(&self, leader: &Member) -> Checked {
        let (id, term) = (leader.id, leader.term());
        let earlier = self.committed.iter().take_while(|(_, committed)| *committed < term);
        let held = earlier.enumerate().all(|(at, (entry, _))| leader.log.get(at) == Some(entry));
        check(held, || {
            format!("leader completeness: {id} leads term {term} without all committed entries")
        })
    }

    /// State machine safety; and what a leader commits is of its own term and on a quorum of disks
    /// at this moment.
    fn committed_by(&mut self, members: &[&Member], now: &Member, before: &Member) -> Checked {
        let (id, commit) = (now.id, now.commit());
        let known = self.committed.iter().take(commit).enumerate();
        let same = known.into_iter().all(|(at, (entry, _))| now.log.get(at) == Some(entry));
        check(same, || format!("state machine safety: {id} commits other entries than before"))?;
        if commit <= self.committed.len() {
            return Ok(());
        }
        // A leader whose own removal it commits leads no more when the step ends.
        let leads = now.leads || before.leads && before.term() == now.term();
        check(leads, || format!("{id} commits {commit}, which no leader committed"))?;
        let newest = now.log.get(commit - 1).map(|entry| entry.meta.term);
        check(newest == Some(now.term()), || {
            format!("{id} commits {commit} of an older term by counting")
        })?;
        for at in self.committed.len()..commit {
            let Some(entry) = now.log.get(at) else { break };
            let holds = |id: &NodeId| {
                let member = members.iter().find(|member| member.id == *id);
                member.is_some_and(|member| member.disk.log.get(at) == Some(entry))
            };
            let safe =
                decided(before.raft.membership(), &holds) || decided(now.raft.membership(), &holds);
            check(safe, || format!("{id} commits {} without a quorum of disks", at + 1))?;
            self.committed.push((entry.clone(), now.term()));
        }
        Ok(())
    }
}

/// Whether a quorum, of each half if there are two, satisfies `holds`.
fn decided(membership: &Membership, holds: &dyn Fn(&NodeId) -> bool) -> bool {
    let majority = |voters: &BTreeSet<NodeId>| {
        voters.iter().filter(|voter| holds(voter)).count() * 2 > voters.len()
    };
    majority(&membership.voters) && membership.old_voters.as_ref().is_none_or(majority)
}

/// Two logs that share an entry are equal up to there: in memory and on disk.
fn log_matching(members: &[&Member]) -> Checked {
    let logs = || members.iter().flat_map(|m| [(m.id, &m.log), (m.id, &m.disk.log)]);
    for (at, (a, left)) in logs().enumerate() {
        for (b, right) in logs().skip(at + 1) {
            let mut pairs = left.iter().zip(right.iter());
            let shared = pairs.rposition(|(l, r)| l.meta.term == r.meta.term);
            let same = shared.is_none_or(|shared| left[..=shared] == right[..=shared]);
            check(same, || format!("log matching: the logs of {a} and {b} differ"))?;
        }
    }
    Ok(())
}

/// R3: what is acknowledged is the same as in the log of the leader that learns it.
fn same_as_leader(members: &[&Member], now: &Member, envelope: &Envelope) -> Checked {
    let Message::AppendEntriesResponse(answer) = envelope.message else { return Ok(()) };
    let AppendResult::Match(through) = answer.result else { return Ok(()) };
    let through = through.0 as usize;
    let leader = members
        .iter()
        .find(|member| member.id == envelope.to && member.leads && member.term() == answer.term);
    let same = leader.is_none_or(|leader| leader.log.get(..through) == now.log.get(..through));
    check(same, || format!("R3: {} acknowledges {through} beyond what matches", now.id))
}

/// Whether a message may leave now, by rules R1 to R3.
pub(super) fn may_leave(member: &Member, to: NodeId, message: &Message) -> Checked {
    let (id, term, durable) = (member.id, message.term(), member.disk.hard_state);
    if matches!(message, Message::PreVote(_) | Message::PreVoteResponse(_)) {
        return Ok(());
    }
    check(durable.term >= term, || format!("R1: {id} speaks of term {term} before it is durable"))?;
    match message {
        Message::RequestVote(request) => {
            check(durable.voted_for == Some(id), || format!("R2: {id} asks, own vote unsafe"))?;
            let tail = last_log_id(&member.disk.log) == request.last_log_id;
            check(tail && member.disk.log == member.log, || {
                format!("R2: {id} asks with a log whose tail is not durable")
            })
        }
        Message::RequestVoteResponse(answer) if answer.refusal.is_none() => {
            let safe = durable.term > term || durable.voted_for == Some(to);
            check(safe, || format!("R2: {id} grants before its vote is durable"))
        }
        Message::AppendEntriesResponse(answer) => match answer.result {
            AppendResult::Match(through) => {
                let through = through.0 as usize;
                let durable = member.disk.log.get(..through);
                let same = durable.is_some() && durable == member.log.get(..through);
                check(same, || format!("R3: {id} acknowledges {through}, not durable"))
            }
            AppendResult::Conflict { .. } | AppendResult::StaleTerm => Ok(()),
        },
        Message::RequestVoteResponse(_)
        | Message::AppendEntries(_)
        | Message::TimeoutNow { .. }
        | Message::ReadIndex(_)
        | Message::ReadIndexResponse(_)
        | Message::PreVote(_)
        | Message::PreVoteResponse(_) => Ok(()),
    }
}

/// R6: a follower applies only what is committed and on its own disk; a leader, what is committed.
pub(super) fn may_apply(member: &Member, through: raft_core::Index) -> Checked {
    let (id, through) = (member.id, through.0 as usize);
    check(through <= member.commit(), || format!("{id} applies uncommitted {through}"))?;
    let durable = member.disk.log.len() >= through;
    check(member.leads || durable, || format!("R6: {id} applies {through}, not durable"))
}

/// R4: a leader's term, and its vote for itself, are on its disk.
pub(super) fn may_lead(member: &Member) -> Checked {
    let (id, term, durable) = (member.id, member.term(), member.disk.hard_state);
    check(durable.term == term && durable.voted_for == Some(id), || {
        format!("R4: {id} leads term {term} but its disk says {durable}")
    })
}

/// What the core says of its log is what its outputs made of it, and what it believes durable is.
pub(super) fn agrees(member: &Member) -> Checked {
    let (id, raft) = (member.id, &member.raft);
    let mut entries = member.log.iter().zip(1..);
    let same = raft.last_log_id() == last_log_id(&member.log)
        && entries.all(|(entry, at)| raft.term_at(raft_core::Index(at)) == Ok(entry.meta.term));
    check(same, || format!("the log of {id} is not what it told its driver"))?;
    let agreed = member.log.iter().zip(&member.disk.log).take_while(|(a, b)| a == b).count();
    check(raft.durable_index().0 as usize <= agreed, || {
        format!("{id} believes {} durable, its disk holds {agreed}", raft.durable_index())
    })
}
