//! Requests about the members themselves: who they are, one more, one less, another leader.

use raft_core::{
    Change, ChangeOutcome, ChangeRefused, Input, Member, NodeId, RequestId, RoleKind, Time,
};

use super::clients::{Meeting, refuse, reply};
use super::{Context, Effect, Origin, Replica};
use crate::address::Address;
use crate::protocol::{Answer, Changed, MemberRow, MembersView, Outcome, Reason, Refusal};

/// Servers that are asked at once who they are.
const MEETINGS_MAX: usize = 16;

impl Replica {
    pub(super) fn member_at(&self, address: &str) -> Option<(NodeId, Member)> {
        let mut members = self.membership().members.iter();
        members.find(|(_, member)| member.address == address).map(|(id, m)| (*id, m.clone()))
    }

    pub(super) fn add_member(
        &mut self,
        now: Time,
        origin: Origin,
        request: RequestId,
        address: String,
        fx: &mut Vec<Effect>,
    ) {
        if let Some((_, member)) = self.member_at(&address) {
            self.change(now, origin, request, address, Change::Add(member), fx);
            return;
        }
        let membership = self.membership();
        let known = membership.outcomes.iter().any(|(id, _)| *id == request)
            || membership.job.as_ref().is_some_and(|job| job.request == request);
        if known {
            let member = Member { address: address.clone(), incarnation: 0 };
            self.change(now, origin, request, address, Change::Add(member), fx);
            return;
        }
        if let Some(reason) = self.unreachable_from_here(&address) {
            fx.push(refuse(origin, Outcome::NotApplied, reason));
            return;
        }
        if self.clients.meetings.len() >= MEETINGS_MAX {
            let what = "many servers are being asked whether they can be added".into();
            fx.push(refuse(origin, Outcome::NotApplied, Reason::Busy { what }));
            return;
        }
        let number = self.clients.number();
        self.clients.meetings.insert(number, Meeting { origin, request, address: address.clone() });
        fx.push(Effect::Meet { request: number, address });
    }

    /// Members of a cluster on one machine are known to each other without a host: a member
    /// elsewhere could not reach them.
    fn unreachable_from_here(&self, address: &str) -> Option<Reason> {
        let hostless = |text: &str| text.parse::<Address>().is_ok_and(|a| a.is_hostless());
        let cluster = self.membership().members.values().any(|member| hostless(&member.address));
        let joiner: Address = match address.parse() {
            Ok(address) => address,
            Err(error) => return Some(Reason::Invalid(format!("{error}"))),
        };
        // Two spellings of one address would be two members.
        if joiner.to_string() != address {
            return Some(Reason::Invalid(format!("'{address}' is written {joiner}")));
        }
        (cluster && !joiner.is_loopback())
            .then(|| Reason::HostlessCluster { address: address.to_owned() })
    }

    pub(super) fn met(
        &mut self,
        now: Time,
        number: u64,
        result: Result<u128, Reason>,
        fx: &mut Vec<Effect>,
    ) {
        let Some(Meeting { origin, request, address }) = self.clients.meetings.remove(&number)
        else {
            return;
        };
        match result {
            Ok(incarnation) if self.raft.is_leader() => {
                let member = Member { address: address.clone(), incarnation };
                self.change(now, origin, request, address, Change::Add(member), fx);
            }
            Ok(_) => {
                let reason = Reason::NotLeader { leader: None };
                fx.push(refuse(origin, Outcome::NotApplied, reason));
            }
            Err(reason) => fx.push(refuse(origin, Outcome::NotApplied, reason)),
        }
    }

    pub(super) fn change(
        &mut self,
        now: Time,
        origin: Origin,
        request: RequestId,
        address: String,
        change: Change,
        fx: &mut Vec<Effect>,
    ) {
        let waiting = self.clients.changes.entry(request).or_insert_with(|| (address, Vec::new()));
        waiting.1.push(origin);
        self.core(now, Input::ChangeMembership { request, change }, &Context::default(), fx);
    }

    pub(super) fn change_ended(
        &mut self,
        request: RequestId,
        result: Result<ChangeOutcome, ChangeRefused>,
        fx: &mut Vec<Effect>,
    ) {
        let Some((address, origins)) = self.clients.changes.remove(&request) else { return };
        let answer = match result {
            Ok(ChangeOutcome::Added { id, address }) => {
                Answer::Changed(Changed::Added { id, address })
            }
            Ok(ChangeOutcome::Removed { id, address }) => {
                Answer::Changed(Changed::Removed { id, address })
            }
            Ok(ChangeOutcome::Undone { id, address }) => {
                Answer::Changed(Changed::Undone { id, address })
            }
            // No client can ask for these yet.
            Ok(ChangeOutcome::Replaced { id, address, .. }) => {
                Answer::Changed(Changed::Added { id, address })
            }
            Ok(ChangeOutcome::Demoted { id, address } | ChangeOutcome::Updated { id, address }) => {
                Answer::Changed(Changed::AlreadyMember { id, address })
            }
            Err(ChangeRefused::AlreadyMember { id }) => {
                Answer::Changed(Changed::AlreadyMember { id, address })
            }
            Err(refused) => {
                let reason = self.change_refused(refused, address);
                Answer::Refused(Refusal { outcome: Outcome::NotApplied, reason })
            }
        };
        fx.extend(origins.into_iter().map(|origin| reply(origin, answer.clone())));
    }

    fn change_refused(&self, refused: ChangeRefused, address: String) -> Reason {
        let named = |id| self.address_of(id).map_or_else(|| format!("{id}"), str::to_owned);
        match refused {
            ChangeRefused::NotLeader { leader } => Reason::NotLeader { leader: leader.map(named) },
            ChangeRefused::ChangeInProgress { .. } => Reason::ChangeInProgress,
            ChangeRefused::LeaderTooYoung => Reason::LeaderTooYoung,
            ChangeRefused::HandingOver { to } => Reason::HandingOver { to: named(to) },
            ChangeRefused::NoNewQuorum { silent } => {
                Reason::NoNewQuorum { silent: silent.into_iter().map(named).collect() }
            }
            ChangeRefused::AlreadyMember { id }
            | ChangeRefused::AddressTaken { id }
            | ChangeRefused::OtherIncarnation { id } => Reason::AddressTaken { address: named(id) },
            ChangeRefused::NotMember | ChangeRefused::NotVoter => Reason::NotMember { address },
            ChangeRefused::LastMember => Reason::LastMember,
        }
    }

    pub(super) fn transfer(
        &mut self,
        now: Time,
        origin: Origin,
        to: Option<String>,
        fx: &mut Vec<Effect>,
    ) {
        let to = match to {
            None => None,
            Some(address) => match self.member_at(&address) {
                Some((id, _)) if id == self.clients.id => {
                    fx.push(reply(origin, Answer::Transferred { to: address }));
                    return;
                }
                Some((id, _)) => Some(id),
                None => {
                    fx.push(refuse(origin, Outcome::NotApplied, Reason::NotMember { address }));
                    return;
                }
            },
        };
        self.clients.transfers.push(origin);
        self.core(now, Input::TransferLeadership { to }, &Context::default(), fx);
    }

    pub(super) fn members_view(&self) -> MembersView {
        let membership = self.membership();
        let status = self.raft.status();
        let me = self.clients.id;
        let leads = status.role == RoleKind::Leader;
        let row = |(id, member): (&NodeId, &Member)| {
            let peer = status.peers.iter().find(|peer| peer.id == *id);
            let own = leads && *id == me;
            // What a peer confirmed counts as long as its connection.
            let held = peer.filter(|peer| peer.connected).map(|peer| peer.match_index);
            MemberRow {
                id: *id,
                address: member.address.clone(),
                voter: membership.voters.contains(id),
                outgoing: membership.old_voters.as_ref().is_some_and(|old| old.contains(id))
                    && !membership.voters.contains(id),
                leader: status.leader == Some(*id),
                match_index: held.or(own.then_some(status.durable_index)),
                connected: own || peer.is_some_and(|peer| peer.connected),
            }
        };
        MembersView {
            leader: status.leader,
            joint: membership.old_voters.is_some(),
            job: membership.job.as_ref().map(|job| match job.kind {
                raft_core::JobKind::Promote(id) => format!("adding {id}"),
                raft_core::JobKind::Remove(id) => format!("removing {id}"),
                raft_core::JobKind::Demote(id) => format!("demoting {id}"),
                raft_core::JobKind::Replace { old, new } => format!("replacing {old} by {new}"),
            }),
            members: membership.members.iter().map(row).collect(),
            index: status.commit_index,
            answered_by: self.address_of(me).unwrap_or_default().to_owned(),
            is_leader: leads,
        }
    }
}
