//! A cluster is founded once: all of its members name the same founders and the same cluster id,
//! which is theirs; each founder is who that list says it is; and nobody takes part in consensus
//! before its directory says, durably, that it is a member.

use std::collections::BTreeSet;

use raft_core::NodeId;
use raft_log::{Founder, MemberIdentity, NodeState};
use raft_node::founding::{self, cluster_id};

use super::Checked;

#[derive(Debug, Default)]
pub(super) struct Founding {
    /// As the first member was told.
    founded: Option<(u128, Vec<Founder>)>,
    members: BTreeSet<NodeId>,
}

impl Founding {
    /// Whether a founder becomes a member only now that so many entries are committed.
    pub(super) fn is_late(&self, state: &NodeState, committed: usize) -> bool {
        let NodeState::Member(me) = state else { return false };
        let is_founder = me.id.0 <= me.founders.len() as u64;
        is_founder && committed > 0 && !self.members.contains(&me.id)
    }

    /// A directory says who it is.
    pub(super) fn became(&mut self, host: usize, state: &NodeState) -> Checked {
        let (NodeState::Member(me) | NodeState::Removed(me, _)) = state else { return Ok(()) };
        self.members.insert(me.id);
        self.is_one_cluster(host, me)?;
        let Some(place) = (me.id.0 as usize).checked_sub(1) else {
            return Err(format!("host {host} is {}", me.id));
        };
        let own = Founder { address: me.address.clone(), incarnation: me.incarnation };
        match me.founders.get(place) {
            Some(founder) if *founder != own => {
                Err(format!("host {host} is {}, and the founder of that id is {founder:?}", me.id))
            }
            _ => Ok(()),
        }
    }

    fn is_one_cluster(&mut self, host: usize, me: &MemberIdentity) -> Checked {
        let named = |founder: &Founder| founding::Founder {
            address: founder.address.clone(),
            incarnation: founder.incarnation,
        };
        if me.cluster != cluster_id(&me.founders.iter().map(named).collect::<Vec<_>>()) {
            return Err(format!("host {host} is in a cluster that is not its founders'"));
        }
        let founded = self.founded.get_or_insert_with(|| (me.cluster, me.founders.clone()));
        if *founded != (me.cluster, me.founders.clone()) {
            return Err(format!("host {host} is in another cluster than those before it"));
        }
        Ok(())
    }

    /// A member says something to another: its directory must say who it is.
    pub(super) fn sends(host: usize, id: NodeId, state: Option<&NodeState>) -> Checked {
        match state {
            Some(NodeState::Member(me)) if me.id == id => Ok(()),
            other => Err(format!("host {host} speaks as {id}, and its disk says {other:?}")),
        }
    }
}
