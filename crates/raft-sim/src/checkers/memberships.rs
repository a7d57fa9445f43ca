//! Changes of the members (thesis, chapter 4). "A server always uses the latest configuration in
//! its log, regardless of whether the entry is committed"; one change at a time, each after an
//! entry of the leader's own term is committed; and of two configurations that follow each other
//! any two majorities overlap.

use std::collections::BTreeMap;
use std::sync::Arc;

use raft_core::{Index, LogId, Membership, NodeId, Raft};
use raft_log::{Kind, Write};
use raft_node::wire::decode_membership;

use super::Checked;
use super::commits::is_quorum;
use super::log_matching::entries;

#[derive(Debug, Default)]
pub(super) struct Memberships {
    /// The configurations in each log, oldest first; the founders' is at index 0.
    logs: BTreeMap<usize, Vec<(Index, Arc<Membership>)>>,
    /// Configurations that were seen once, and so judged.
    judged: BTreeMap<LogId, ()>,
    /// The newest in each member's log, and what it obeyed, after its last step.
    obeyed: BTreeMap<usize, (Arc<Membership>, Arc<Membership>)>,
}

impl Memberships {
    pub(super) fn started(&mut self, host: usize, found: Vec<(Index, Arc<Membership>)>) {
        self.logs.insert(host, found);
        self.obeyed.remove(&host);
    }

    /// A replica gave something to its log; `raft` is as it is after that step.
    pub(super) fn handed(&mut self, host: usize, write: &Write, raft: &Raft) -> Checked {
        let log = self.logs.entry(host).or_default();
        if let Some(from) = write.truncate_from {
            log.retain(|(index, _)| *index < from);
        }
        for entry in entries(&write.entries)? {
            if entry.kind != Kind::MEMBERSHIP {
                continue;
            }
            let new = decode_membership(&entry.payload).map_err(|error| error.to_string())?;
            let at = LogId { term: entry.term, index: entry.index };
            // A leader writes its entry down in the step that makes it: nobody had it before.
            if self.judged.insert(at, ()).is_none() {
                judge(at, log.last(), &new, raft)?;
            }
            log.push((entry.index, Arc::new(new)));
        }
        Ok(())
    }

    /// The member acts by the newest configuration in its log.
    pub(super) fn stepped(&mut self, host: usize, raft: &Raft) -> Checked {
        let Some((index, newest)) = self.newest(host) else { return Ok(()) };
        let obeyed = raft.membership();
        let known = self.obeyed.get(&host);
        if known.is_some_and(|(log, known)| Arc::ptr_eq(log, newest) && Arc::ptr_eq(known, obeyed))
        {
            return Ok(());
        }
        if **newest != **obeyed {
            return Err(format!("host {host} obeys {obeyed}, and entry {index} is {newest}"));
        }
        let looked_at = (Arc::clone(newest), Arc::clone(obeyed));
        self.obeyed.insert(host, looked_at);
        Ok(())
    }

    /// Whether a committed configuration is in force in which this member does not vote.
    pub(super) fn leaves_out(&self, host: usize, id: NodeId, commit: Index) -> bool {
        self.newest(host).is_some_and(|(at, newest)| *at <= commit && !newest.is_voter(id))
    }

    fn newest(&self, host: usize) -> Option<&(Index, Arc<Membership>)> {
        self.logs.get(&host)?.last()
    }
}

fn judge(
    at: LogId,
    before: Option<&(Index, Arc<Membership>)>,
    new: &Membership,
    raft: &Raft,
) -> Checked {
    let commit = raft.commit_index();
    if raft.term_at(commit).ok() < Some(at.term) {
        return Err(format!("{at} changes the members, and nothing of its term is committed"));
    }
    let Some((index, old)) = before else { return Ok(()) };
    if *index > commit {
        return Err(format!("{at} changes the members, and the change at {index} goes on"));
    }
    if disjoint(old, new) {
        return Err(format!("{at} is {new}: a majority of it need not meet one of {old}"));
    }
    Ok(())
}

/// Whether there are a quorum of one and a quorum of the other with nobody in common. Every
/// division of a handful of voters is looked at.
fn disjoint(one: &Membership, other: &Membership) -> bool {
    let voters =
        |of: &Membership| of.members.keys().copied().filter(|id| of.is_voter(*id)).collect();
    let (mut all, more): (Vec<NodeId>, Vec<NodeId>) = (voters(one), voters(other));
    all.extend(more);
    all.sort_unstable();
    all.dedup();
    (0_u32..1 << all.len().min(16)).any(|division| {
        let within =
            |id: NodeId| all.binary_search(&id).is_ok_and(|place| division >> place & 1 == 1);
        is_quorum(one, within) && is_quorum(other, |id| !within(id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(voters: &[u64], old: Option<&[u64]>) -> Membership {
        let ids = |ids: &[u64]| ids.iter().map(|id| NodeId(*id)).collect();
        let every = voters.iter().chain(old.into_iter().flatten());
        let member = raft_core::Member { address: String::new(), incarnation: 0 };
        Membership {
            members: every.map(|id| (NodeId(*id), member.clone())).collect(),
            voters: ids(voters),
            old_voters: old.map(ids),
            ..Membership::default()
        }
    }

    #[test]
    fn one_more_overlaps_two_more_do_not() {
        let three = members(&[1, 2, 3], None);
        assert!(!disjoint(&three, &members(&[1, 2, 3, 4], None)));
        assert!(disjoint(&three, &members(&[1, 2, 3, 4, 5], None)));
        assert!(!disjoint(&three, &members(&[1, 2, 3, 4, 5], Some(&[1, 2, 3]))));
        assert!(disjoint(&three, &members(&[4, 5], None)));
    }
}
