//! What can happen in a state of the world, as one number that fits a long trail.

use raft_core::{NodeId, RoleKind};

use super::Bounds;
use super::catalog::Catalog;
use super::member::Event;
use super::world::World;

/// Something that happens: a message that arrives, or what befalls a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Action(pub(super) u32);

/// What befalls a member; the numbers are part of an [`Action`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Persist,
    Timeout,
    Campaign,
    Heartbeat,
    QuorumLost,
    TransferLate,
    Propose,
    Remove,
    Crash,
    Reconnect,
    Read,
}

const KINDS: [Kind; 11] = [
    Kind::Persist,
    Kind::Timeout,
    Kind::Campaign,
    Kind::Heartbeat,
    Kind::QuorumLost,
    Kind::TransferLate,
    Kind::Propose,
    Kind::Remove,
    Kind::Crash,
    Kind::Reconnect,
    Kind::Read,
];

/// Actions below this are no messages.
const MESSAGES: u32 = 1024;

impl Action {
    pub(super) const fn of(kind: Kind, at: usize, peer: usize) -> Self {
        Self((kind as u32) << 6 | (at as u32) << 3 | peer as u32)
    }

    pub(super) const fn deliver(envelope: u32, late: bool) -> Self {
        Self(MESSAGES + 2 * envelope + late as u32)
    }

    /// The message that arrives, and whether late.
    pub(super) fn message(self) -> Option<(u32, bool)> {
        let code = self.0.checked_sub(MESSAGES)?;
        Some((code / 2, code % 2 == 1))
    }

    /// What befalls a member, if it is no message.
    pub(super) fn kind(self) -> Option<Kind> {
        KINDS.get((self.0 >> 6) as usize).copied().filter(|_| self.0 < MESSAGES)
    }

    pub(super) const fn at(self) -> usize {
        (self.0 >> 3 & 7) as usize
    }

    pub(super) const fn peer(self) -> usize {
        (self.0 & 7) as usize
    }

    /// What it is for the member itself, if it is no message.
    pub(super) fn event(self) -> Option<Event<'static>> {
        let peer = NodeId(self.peer() as u64 + 1);
        Some(match self.kind()? {
            Kind::Persist => Event::Persist,
            Kind::Timeout => Event::Timeout,
            Kind::Campaign => Event::Campaign,
            Kind::Heartbeat => Event::Heartbeat,
            Kind::QuorumLost => Event::QuorumLost,
            Kind::TransferLate => Event::TransferLate,
            Kind::Propose => Event::Propose,
            Kind::Remove => Event::Remove(peer),
            Kind::Crash => Event::Crash,
            Kind::Reconnect => Event::Reconnect(peer),
            Kind::Read => Event::Read(peer),
        })
    }

    /// What else happens with it: the other end of a connection notices too.
    pub(super) fn echoes(self, members: usize) -> Vec<Self> {
        let at = self.at();
        match self.kind() {
            Some(Kind::Crash) => {
                let peers = (0..members).filter(|peer| *peer != at);
                peers.map(|peer| Self::of(Kind::Reconnect, peer, at)).collect()
            }
            Some(Kind::Reconnect) => vec![Self::of(Kind::Reconnect, self.peer(), at)],
            _ => Vec::new(),
        }
    }
}

/// Everything that can happen in a world, in a fixed order.
pub(super) fn actions(
    bounds: &Bounds,
    world: &World,
    catalog: &Catalog,
    actions: &mut Vec<Action>,
) {
    actions.clear();
    for &envelope in &world.flight {
        let to = catalog.labels[envelope as usize].to;
        let glance = catalog.glances[world.members[to] as usize];
        let campaigns = catalog.is_order_to_campaign(envelope);
        if campaigns && glance.standing.term >= bounds.terms {
            continue;
        }
        actions.push(Action::deliver(envelope, false));
        if glance.follows && catalog.is_vote_request(envelope) {
            actions.push(Action::deliver(envelope, true));
        }
    }
    for at in 0..world.members.len() {
        actions_at(at, bounds, world, catalog, actions);
    }
}

fn actions_at(
    at: usize,
    bounds: &Bounds,
    world: &World,
    catalog: &Catalog,
    actions: &mut Vec<Action>,
) {
    let chronicle = catalog.chronicles.get(world.chronicle);
    let glance = catalog.glances[world.members[at] as usize];
    let young = glance.standing.term < bounds.terms;
    let peers = (0..world.members.len()).filter(|&peer| peer != at);
    let mut may = |kind, when: bool| {
        if when {
            actions.push(Action::of(kind, at, 0));
        }
    };
    may(Kind::Persist, glance.writes);
    may(Kind::Crash, chronicle.crashes < bounds.crashes);
    if glance.standing.role == RoleKind::Leader {
        may(Kind::QuorumLost, young);
        may(Kind::Heartbeat, bounds.heartbeats);
        may(Kind::TransferLate, glance.hands_over);
        may(Kind::Propose, !glance.hands_over && chronicle.proposals < bounds.proposals);
        if chronicle.removals < bounds.removals {
            actions.extend(peers.clone().map(|peer| Action::of(Kind::Remove, at, peer)));
        }
        let read = peers.clone().filter(|peer| glance.reads >> peer & 1 == 1);
        actions.extend(read.map(|peer| Action::of(Kind::Read, at, peer)));
    } else {
        let asks = young && chronicle.campaigns < bounds.campaigns;
        may(if bounds.pre_votes { Kind::Timeout } else { Kind::Campaign }, asks);
    }
    if chronicle.reconnects < bounds.reconnects {
        let later = peers.filter(|&peer| peer > at);
        actions.extend(later.map(|peer| Action::of(Kind::Reconnect, at, peer)));
    }
}
