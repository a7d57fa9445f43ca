//! The properties of figure 3 of the paper and the durability rules, checked from the outside:
//! against the members' logs and disks, never against what a core says about itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use raft_core::{AppendResult, Index, Membership, Message, NoTerm, NodeId, Raft, Term};

use super::node::{Entry, Node, last_log_id};

/// What has been seen so far.
#[derive(Default)]
pub(crate) struct Safety {
    leaders: BTreeMap<Term, NodeId>,
    pub(crate) committed: Vec<Entry>,
    /// The term of whoever was first seen to know an entry committed, for each of them.
    committed_in: Vec<Term>,
    /// How much was committed when each read was asked.
    reads: BTreeMap<u64, u64>,
    /// A script invented messages: their sender's log and quorum are not real.
    pub(crate) invented: bool,
}

type Checked = Result<(), String>;

fn check(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(what()) }
}

impl Safety {
    /// Election safety: at most one leader in a term. Leader completeness: it holds everything
    /// that was committed in earlier terms. And its vote for itself is durable (rule R2).
    pub(crate) fn on_leader(&mut self, node: &Node, term: Term) -> Checked {
        let id = node.id();
        let first = *self.leaders.entry(term).or_insert(id);
        check(first == id, || format!("election safety: {first} and {id} lead term {term}"))?;
        let earlier = self.committed_in.iter().take_while(|committed| **committed < term).count();
        check(node.log.starts_with(&self.committed[..earlier]), || {
            format!("leader completeness: {id} leads term {term} without all committed entries")
        })?;
        let durable = node.disk.hard_state;
        check(durable.term == term && durable.voted_for == Some(id), || {
            format!("R2: {id} leads term {term} but its durable state is {durable}")
        })
    }

    /// After every step: the core's view agrees with what it told its driver, what it committed
    /// is committed, and logs match. `before` is the configuration before the step.
    pub(crate) fn after_step(
        &mut self,
        nodes: &BTreeMap<NodeId, Node>,
        id: NodeId,
        before: &Arc<Membership>,
    ) -> Checked {
        let Some(node) = nodes.get(&id) else { return Ok(()) };
        let Some(raft) = &node.raft else { return Ok(()) };
        agrees(node, raft)?;
        self.committed_by(nodes, node, raft, before)?;
        log_matching(nodes)
    }

    /// State machine safety, and: what a leader commits is on a quorum of disks at this moment.
    fn committed_by(
        &mut self,
        nodes: &BTreeMap<NodeId, Node>,
        node: &Node,
        raft: &Raft,
        before: &Arc<Membership>,
    ) -> Checked {
        let commit = raft.commit_index().0 as usize;
        let known = self.committed.len().min(commit);
        check(node.log[..known] == self.committed[..known], || {
            format!("state machine safety: {} commits other entries than before", node.id())
        })?;
        for index in self.committed.len()..commit {
            let entry = &node.log[index];
            if raft.is_leader() && !self.invented {
                let holds = |peer: &NodeId| {
                    nodes.get(peer).is_some_and(|peer| peer.disk.log.get(index) == Some(entry))
                };
                let safe = decided(before, &holds) || decided(raft.membership(), &holds);
                check(safe, || {
                    format!("{} commits {} without a quorum of disks", node.id(), index + 1)
                })?;
            }
            self.committed.push(entry.clone());
            self.committed_in.push(raft.hard_state().term);
        }
        Ok(())
    }

    /// Whether a message may leave now, by rules R1 to R3.
    pub(crate) fn may_leave(
        &self,
        nodes: &BTreeMap<NodeId, Node>,
        node: &Node,
        to: NodeId,
        message: &Message,
    ) -> Checked {
        let (id, term, durable) = (node.id(), message.term(), node.disk.hard_state);
        if matches!(message, Message::PreVote(_) | Message::PreVoteResponse(_)) {
            return Ok(());
        }
        check(durable.term >= term, || {
            format!("R1: {id} speaks of term {term} before it is durable")
        })?;
        match message {
            Message::RequestVote(request) => {
                check(durable.voted_for == Some(id), || format!("R2: {id} asks, own vote unsafe"))?;
                let tail = last_log_id(&node.disk.log) == request.last_log_id;
                check(tail && node.disk.log == node.log, || {
                    format!("R2: {id} asks with a log whose tail is not durable")
                })
            }
            Message::RequestVoteResponse(answer) if answer.refusal.is_none() => {
                let safe = durable.term > term || durable.voted_for == Some(to);
                check(safe, || format!("R2: {id} grants before its vote is durable"))
            }
            Message::AppendEntriesResponse(answer) => match answer.result {
                AppendResult::Match(through) => self.may_ack(nodes, node, to, term, through.0),
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

    /// R3: an acknowledged entry is durable here and the same as the leader's.
    fn may_ack(
        &self,
        nodes: &BTreeMap<NodeId, Node>,
        node: &Node,
        to: NodeId,
        term: Term,
        through: u64,
    ) -> Checked {
        let through = through as usize;
        let Some(durable) = node.disk.log.get(..through) else {
            return Err(format!("R3: {} acknowledges {through}, not durable", node.id()));
        };
        check(node.log.get(..through) == Some(durable), || {
            format!("R3: {} acknowledges {through}, but its disk has another past", node.id())
        })?;
        let leader = nodes.get(&to).filter(|_| !self.invented);
        let same = leader
            .filter(|leader| leader.raft.as_ref().is_some_and(|raft| is_leader_of(raft, term)))
            .is_none_or(|leader| leader.log.get(..through) == Some(durable));
        check(same, || format!("R3: {} acknowledges {through} beyond what matches", node.id()))
    }

    pub(crate) fn on_read(&mut self, requests: &[u64]) {
        let committed = self.committed.len() as u64;
        self.reads.extend(requests.iter().map(|request| (*request, committed)));
    }

    /// Linearizability: a read misses nothing that was committed when it was asked.
    pub(crate) fn may_read(&mut self, request: u64, index: u64) -> Checked {
        let committed = self.reads.remove(&request);
        let committed = committed.ok_or_else(|| format!("read {request} is answered twice"))?;
        check(index >= committed || self.invented, || {
            format!("stale read: {request} is served at {index}, {committed} was committed")
        })
    }

    /// R6: a follower applies only what is committed and on its own disk; a leader applies what
    /// is committed.
    pub(crate) fn may_apply(&self, node: &Node, raft: &Raft, through: u64) -> Checked {
        let id = node.id();
        check(through > node.applied, || format!("{id} applies {through} again"))?;
        check(through <= raft.commit_index().0, || format!("{id} applies uncommitted {through}"))?;
        let durable = node.disk.log.get(..through as usize).is_some();
        check(node.leads || durable, || format!("R6: {id} applies {through}, not durable"))
    }
}

fn is_leader_of(raft: &Raft, term: Term) -> bool {
    raft.is_leader() && raft.hard_state().term == term
}

/// Whether a quorum, of each half if there are two, satisfies `holds`.
fn decided(membership: &Membership, holds: &dyn Fn(&NodeId) -> bool) -> bool {
    let majority = |voters: &BTreeSet<NodeId>| {
        voters.iter().filter(|voter| holds(voter)).count() * 2 > voters.len()
    };
    majority(&membership.voters) && membership.old_voters.as_ref().is_none_or(majority)
}

/// What the core says of its log is what its outputs made of it.
fn agrees(node: &Node, raft: &Raft) -> Checked {
    let id = node.id();
    check(raft.last_log_id() == node.last_log_id(), || {
        format!("{id} ends at {} but told {}", raft.last_log_id(), node.last_log_id())
    })?;
    for (entry, index) in node.log.iter().zip(1..) {
        let compacted = index < raft.log_start().index.0;
        let known = if compacted { Err(NoTerm::Compacted) } else { Ok(entry.meta.term) };
        let term = raft.term_at(Index(index));
        check(term == known, || format!("{id} has another term at {index}"))?;
    }
    check(raft.membership() == node.membership(), || {
        format!("{id} is not in the configuration that its log ends with")
    })?;
    let written = node.writes.iter().rev().find_map(|write| write.persist.hard_state);
    let hard_state = written.unwrap_or(node.disk.hard_state);
    check(raft.hard_state() == hard_state, || {
        format!("{id} is at {} but handed {hard_state} to the disk", raft.hard_state())
    })?;
    let agreed = node.log.iter().zip(&node.disk.log).take_while(|(a, b)| a == b).count() as u64;
    check(raft.durable_index().0 <= agreed, || {
        format!("{id} believes {} durable, the disk holds {agreed}", raft.durable_index())
    })?;
    check(raft.commit_index() <= raft.last_log_id().index, || format!("{id} commits the unknown"))
}

/// Log matching: two logs that share an entry are equal up to there.
fn log_matching(nodes: &BTreeMap<NodeId, Node>) -> Checked {
    let logs: Vec<(NodeId, &[Entry])> =
        nodes.values().flat_map(|n| [(n.id(), &n.log[..]), (n.id(), &n.disk.log[..])]).collect();
    for (at, (a, left)) in logs.iter().enumerate() {
        for (b, right) in &logs[at + 1..] {
            let pairs = || left.iter().zip(right.iter());
            let Some(shared) = pairs().rposition(|(l, r)| l.meta.term == r.meta.term) else {
                continue;
            };
            check(left[..=shared] == right[..=shared], || {
                format!("log matching: {a} and {b} differ below {}", shared + 1)
            })?;
        }
    }
    Ok(())
}
