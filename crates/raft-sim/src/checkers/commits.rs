//! State Machine Safety, one step earlier: what is committed at an index is the same for all and
//! for ever, and is on the disks of a quorum when the first member says so. Leader Completeness:
//! "if a log entry is committed in a given term, then that entry will be present in the logs of
//! the leaders for all higher-numbered terms" (paper, figure 3; `LeaderCompleteness`).

use std::collections::BTreeMap;
use std::sync::Arc;

use raft_core::{Index, Membership, NodeId, Raft, Term};

use super::damage::Damage;
use super::disks::{Disks, OnDisk, place};
use super::{Checked, Named, Stamp};

#[derive(Debug, Default)]
pub(super) struct Commits {
    committed: Vec<Stamp>,
    /// The term of the member that first said so.
    committed_in: Vec<Term>,
    /// By which configuration the newest of them was counted.
    membership: Option<Arc<Membership>>,
    /// How far each member has said so, in this life.
    told: BTreeMap<usize, (Index, Arc<Membership>)>,
    /// Members that a final configuration has left out, if it is known.
    final_membership: Option<(Index, Arc<Membership>)>,
}

impl Commits {
    pub(super) fn count(&self) -> usize {
        self.committed.len()
    }

    /// All that is committed, from the first entry on.
    pub(super) fn all(&self) -> &[Stamp] {
        &self.committed
    }

    /// The term of a committed entry; zero before the log.
    pub(super) fn term_at(&self, index: Index) -> Term {
        let stamp = index.0.checked_sub(1).and_then(|at| self.committed.get(at as usize));
        stamp.map_or(Term(0), |stamp| stamp.term)
    }

    pub(super) fn started(&mut self, host: usize) {
        self.told.remove(&host);
    }

    /// Below the beginning of its log a snapshot holds them.
    pub(super) fn leads(&self, host: usize, term: Term, raft: &Raft, disks: &Disks) -> Checked {
        let before = self.committed_in.partition_point(|earlier| *earlier < term);
        let handed = disks.model(host).map(|model| &model.handed[..]).unwrap_or_default();
        for (i, stamp) in self.committed.iter().take(before).enumerate() {
            let index = Index(i as u64 + 1);
            let held = if index < raft.log_start().index {
                handed.get(i) == Some(stamp)
            } else {
                raft.term_at(index) == Ok(stamp.term)
            };
            if !held {
                return Err(format!("host {host} leads term {term} without entry {index}"));
            }
        }
        Ok(())
    }

    pub(super) fn stepped(&mut self, host: usize, raft: &Raft, disks: &Disks) -> Named {
        let now = Arc::clone(raft.membership());
        // What it knew at first counts: its first news may come with the next configuration.
        let first = || (Index(0), Arc::clone(&now));
        let (told, before) = self.told.entry(host).or_insert_with(first).clone();
        let commit = raft.commit_index();
        if commit == told && Arc::ptr_eq(&before, &now) {
            return Ok(());
        }
        self.told.insert(host, (commit, Arc::clone(&now)));
        let Some(model) = disks.model(host) else { return Ok(()) };
        let news = commit.0 > self.committed.len() as u64;
        if news && raft.is_leader() && raft.term_at(commit) != Ok(raft.hard_state().term) {
            // "Only log entries from the leader's current term are committed by counting
            // replicas" (paper, section 5.4.2).
            let what = format!("host {host} commits {commit}, the newest, from an older term");
            return Err(("commit by counting", what));
        }
        for index in (told.0 + 1..=commit.0).map(Index) {
            let Some(stamp) = model.handed.get(place(index)).copied() else {
                let what = format!("host {host} commits {index}, which its log does not have");
                return Err(("commit on a quorum", what));
            };
            if let Some(known) = self.committed.get(place(index)) {
                if *known != stamp {
                    let what = format!("host {host} commits another entry {index} than others");
                    return Err(("state machine safety", what));
                }
                continue;
            }
            let holds = |id: NodeId| disks.durable(id, index) == Some(stamp);
            // A step may commit first and change the configuration then.
            let counted = [&now, &before].into_iter().find(|counted| is_quorum(counted, holds));
            let Some(counted) = counted else {
                let what = format!("host {host} commits {index} without a quorum's disks");
                return Err(("commit on a quorum", what));
            };
            self.membership = Some(Arc::clone(counted));
            self.committed.push(stamp);
            self.committed_in.push(raft.hard_state().term);
        }
        if !now.is_joint()
            && raft.is_leader()
            && self.final_membership.as_ref().is_none_or(|(at, _)| commit > *at)
        {
            self.final_membership = Some((commit, now));
        }
        Ok(())
    }

    /// A member obeys only what the cluster has decided.
    pub(super) fn left(&self, host: usize, id: NodeId) -> Checked {
        let still_in = self.final_membership.as_ref().is_some_and(|(at, membership)| {
            membership.members.contains_key(&id) && *at == Index(self.committed.len() as u64)
        });
        if still_in {
            return Err(format!("host {host} leaves as {id}, which is a member"));
        }
        Ok(())
    }

    /// Whether these entries are committed, and on the disks of a quorum of such hosts.
    pub(super) fn are_elsewhere(
        &self,
        (first, last): (Index, Index),
        counts: &dyn Fn(usize) -> bool,
        disks: &Disks,
    ) -> bool {
        let Some(membership) = &self.membership else { return false };
        (first.0..=last.0).map(Index).all(|index| {
            let Some(stamp) = self.committed.get(place(index)) else { return false };
            let holds = |id| {
                disks.host_of(id).is_some_and(counts) && disks.durable(id, index) == Some(*stamp)
            };
            is_quorum(membership, holds)
        })
    }

    /// What is committed is on the disks of a quorum, whatever happens to the machines now.
    /// A disk that refuses to be read counts as what it confirmed: its server says nothing more.
    pub(super) fn on_disks(
        &self,
        logs: &[(usize, OnDisk)],
        disks: &Disks,
        damage: &Damage,
    ) -> Checked {
        let Some(membership) = &self.membership else { return Ok(()) };
        for (i, stamp) in self.committed.iter().enumerate() {
            let holds = |id: NodeId| {
                let host = disks.host_of(id);
                let log = logs.iter().find(|(of, _)| Some(*of) == host);
                match log {
                    Some((_, log)) => log.entries.get(i) == Some(stamp),
                    None => {
                        host.is_some_and(|host| damage.is_hurt(host))
                            && disks.durable(id, Index(i as u64 + 1)) == Some(*stamp)
                    }
                }
            };
            if !is_quorum(membership, holds) {
                return Err(format!(
                    "entry {} is committed and not on the disks of a quorum of {membership}",
                    i + 1
                ));
            }
        }
        Ok(())
    }
}

/// Counted once more, by other means than the core's: a majority of each half.
pub(super) fn is_quorum(membership: &Membership, holds: impl Fn(NodeId) -> bool) -> bool {
    let halves = [Some(&membership.voters), membership.old_voters.as_ref()];
    halves.into_iter().flatten().all(|half| {
        let holders = half.iter().filter(|id| holds(**id)).count();
        let others = half.len() - holders;
        holders > others
    })
}
