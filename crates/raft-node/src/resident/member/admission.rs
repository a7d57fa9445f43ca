//! Whom this member dials, and servers that are to be added: who they are, and that they are told
//! who they will be.

use raft_core::{Index, Member as Peer, Membership, NodeId, Time};

use super::{End, Member, Order};
use crate::binding::ConnectionId;
use crate::hello::{Believed, HelloReason, HelloRefused, Role, Welcome};
use crate::protocol::{Reason, Standing};
use crate::replica::Event;
use crate::resident::dials::Outcome;
use crate::resident::order::{DialId, NoConnection};
use crate::wire::Admit;

impl Member {
    /// A dial came to something.
    pub fn dialled(&mut self, now: Time, dial: DialId, result: Result<ConnectionId, NoConnection>) {
        if let Some(outcome) = self.dials.dialled(now, dial, result, &mut self.orders) {
            self.outcome(now, outcome);
        }
    }

    pub(super) fn outcome(&mut self, now: Time, outcome: Outcome) {
        match outcome {
            Outcome::Welcomed { number, connection, hello, welcome } => {
                self.welcomed(now, (connection, NodeId(number)), &hello, &welcome);
            }
            Outcome::Refused { number } => {
                self.events.push(Event::Refused { peer: NodeId(number) });
            }
            Outcome::Unwelcome { number, refused } => {
                self.unwelcome(now, NodeId(number), refused);
            }
            Outcome::Lane { peer, connection, hello, welcome } => {
                self.lane_is_welcome((peer, connection), &hello, &welcome);
            }
            Outcome::NoLane { peer } => self.give_up_lane(peer),
            Outcome::Met { request, address, answer } => {
                let result = answer.and_then(|welcome| self.addable(&address, &welcome));
                self.events.push(Event::Met { request, result });
            }
        }
    }

    /// Keeps a connection to every other member, and none to anybody else.
    pub(super) fn dial_members(&mut self, now: Time, membership: &Membership) {
        let me = &self.me;
        for (id, member) in membership.members.iter() {
            // Nor to itself under an earlier id: a server that was replaced at its address.
            if *id == me.id || member.address == me.address || is_superseded(*id, membership) {
                continue;
            }
            let to = Believed {
                id: Some(*id),
                incarnation: Some(member.incarnation),
                address: member.address.clone(),
            };
            self.dials.keep(now, (id.0, Role::Peer), to, &mut self.orders);
        }
        self.drop_dials();
    }

    /// A removed member is still fed for a while: it is dialled no more when its connection ends.
    pub(super) fn drop_dials(&mut self) {
        let membership = self.replica.raft().membership();
        let outbound = &self.outbound;
        let wanted = |number| {
            let id = NodeId(number);
            let is_member = membership.members.contains_key(&id);
            outbound.contains_key(&id) || (is_member && !is_superseded(id, membership))
        };
        self.dials.retain(wanted, &mut self.orders);
    }

    /// Whether a server that says welcome can be added to this cluster, and its incarnation.
    fn addable(&self, address: &str, welcome: &Welcome) -> Result<u128, Reason> {
        let is_ours = welcome.from.cluster == Some(self.me.cluster);
        let known = welcome.from.id.and_then(|id| self.members().members.get(&id));
        match (welcome.standing, known) {
            (Standing::New, _) => Ok(welcome.from.incarnation),
            (Standing::Removed { .. }, _) if is_ours => Ok(welcome.from.incarnation),
            (Standing::Member, Some(Peer { address: name, .. })) if is_ours && name == address => {
                Err(Reason::Invalid(format!(
                    "the server at {address} is that member itself, with the data directory that it \
                     had; stop it and start it with an empty data directory, then ask again"
                )))
            }
            (Standing::Member, Some(Peer { address: name, .. })) if is_ours => {
                Err(Reason::Invalid(format!(
                    "the server at {address} is a member already, and is known to the others as \
                     {name}"
                )))
            }
            (Standing::Member, None) if is_ours => Err(Reason::Busy {
                what: format!("{address} has not heard yet that it was removed"),
            }),
            (Standing::Removed { .. } | Standing::Member, _) => Err(Reason::Invalid(format!(
                "the server at {address} belongs to a cluster already; stop it and start it with \
                 another data directory (--data-dir), then add it again"
            ))),
        }
    }

    /// A peer listens and refuses. If it is new and was added by a committed entry, the leader
    /// tells it who it is. A founder that comes late asks for itself, and adopts its cluster.
    fn unwelcome(&mut self, now: Time, peer: NodeId, refused: Box<HelloRefused>) {
        let raft = self.replica.raft();
        let added_at = raft.membership().added_at(peer);
        let member = raft.membership().members.get(&peer).filter(|member| {
            waits_for_a_cluster(&refused)
                && raft.is_leader()
                && member.incarnation == refused.refuser.incarnation
                && (Index(1)..=raft.commit_index()).contains(&added_at)
        });
        let Some(member) = member else { return self.obey(refused) };
        let admit = Admit {
            cluster: self.me.cluster,
            id: peer,
            incarnation: member.incarnation,
            address: member.address.clone(),
            founders: self.founders(),
            at: added_at,
        };
        self.dials.admit(now, peer, admit, &mut self.orders);
    }

    /// Removal is the cluster's word on this very member, and the only refusal that is obeyed.
    pub(super) fn obey(&mut self, refused: Box<HelloRefused>) {
        if let Some(at) = refused.removes(self.dials.own()) {
            self.end_with(End::Removed(at));
        } else if !waits_for_a_cluster(&refused) {
            self.orders.push(Order::TellRefused(refused));
        }
    }
}

/// At the address of this member there is another one by now, which takes its place.
fn is_superseded(id: NodeId, membership: &Membership) -> bool {
    let later = |own: &Peer| {
        let mut others = membership.members.range(id..).filter(|(other, _)| **other != id);
        others.any(|(_, other)| other.address == own.address)
    };
    membership.members.get(&id).is_some_and(later)
}

/// A server that waits to be told who it is needs no words about it.
const fn waits_for_a_cluster(refused: &HelloRefused) -> bool {
    matches!(refused.reason, HelloReason::New | HelloReason::AcceptorRemoved { .. })
}
