//! Requests about the members themselves: who they are, who comes, goes or moves, who leads.

use raft_core::{
    Change, ChangeOutcome, ChangeRefused, Input, Job, JobKind, Member, NodeId, RequestId, RoleKind,
    Time,
};

use super::clients::{Meeting, refuse, reply};
use super::{Context, Effect, Origin, Replica};
use crate::address::Address;
use crate::protocol::{
    Answer, Changed, MemberChange, MemberName, MemberRow, MembersView, Outcome, Reason, Refusal,
};

/// Servers that are asked at once who they are.
const MEETINGS_MAX: usize = 16;

/// A change of the members that a client asked for.
pub(super) type Asked = (Origin, RequestId, MemberChange);

/// What a change comes to before the core decides.
enum Step {
    /// The core decides.
    Core(Change),
    /// First the server at this address is asked who it is.
    Meet(String),
    Refuse(Reason),
}

impl Replica {
    fn member_at(&self, address: &str) -> Option<(NodeId, &Member)> {
        let mut members = self.membership().members.iter();
        members.find(|(_, member)| member.address == address).map(|(id, member)| (*id, member))
    }

    /// The member of this name. Where two share an address, one takes the place of the other,
    /// which is meant until it is gone: it has the lower id.
    fn member_named(&self, name: &MemberName) -> Option<(NodeId, &Member)> {
        match name {
            MemberName::Id(id) => self.membership().members.get(id).map(|member| (*id, member)),
            MemberName::Address(address) => self.member_at(address),
        }
    }

    pub(super) fn change_members(&mut self, now: Time, asked: Asked, fx: &mut Vec<Effect>) {
        let (origin, request, change) = asked;
        let membership = self.membership();
        let known = membership.outcomes.iter().any(|(id, _)| *id == request)
            || membership.job.as_ref().is_some_and(|job| job.request == request);
        let step = match &change {
            // The core knows the request by its name: what else is said of it does not matter.
            _ if known => Step::Core(Change::Remove(NodeId(0))),
            MemberChange::Add(address) => self.step_to_add(address),
            MemberChange::Remove(name) => self.step_about(name, Change::Remove),
            MemberChange::Demote(name) => self.step_about(name, Change::Demote),
            MemberChange::Replace { old, new } => self.step_to_replace(old, new),
            MemberChange::Update { member, address } => self.step_to_update(member, address),
        };
        match step {
            Step::Core(core) => self.change(now, (origin, request, change), core, fx),
            Step::Meet(address) => self.meet((origin, request, change), address, fx),
            Step::Refuse(reason) => fx.push(refuse(origin, Outcome::NotApplied, reason)),
        }
    }

    fn step_about(&self, name: &MemberName, change: fn(NodeId) -> Change) -> Step {
        match self.member_named(name) {
            Some((id, _)) => Step::Core(change(id)),
            None => Step::Refuse(not_member(name)),
        }
    }

    fn step_to_add(&self, address: &str) -> Step {
        match self.member_at(address) {
            // Who is connected is who it says it is. At the address of another one there may be a
            // new directory by now.
            Some((id, member)) if id == self.clients.id || self.clients.linked.contains(&id) => {
                Step::Core(Change::Add(member.clone()))
            }
            Some(_) => Step::Meet(address.to_owned()),
            None => self.step_to_meet(address),
        }
    }

    fn step_to_replace(&self, old: &MemberName, new: &str) -> Step {
        let Some((old, _)) = self.member_named(old) else { return Step::Refuse(not_member(old)) };
        let membership = self.membership();
        // Whoever asks again joins the change under way.
        if let Some(Job { kind: JobKind::Replace { old: going, new: id }, .. }) = membership.job
            && let Some(member) = membership.members.get(&id)
            && going == old
            && member.address == new
        {
            return Step::Core(Change::Replace { old, new: member.clone() });
        }
        match self.member_at(new) {
            Some((id, learner)) if id != old => {
                Step::Core(Change::Replace { old, new: learner.clone() })
            }
            _ => self.step_to_meet(new),
        }
    }

    fn step_to_update(&self, name: &MemberName, address: &str) -> Step {
        let Some((id, member)) = self.member_named(name) else {
            return Step::Refuse(not_member(name));
        };
        match self.unreachable_from_here(address) {
            Some(reason) => Step::Refuse(reason),
            None => {
                let member = Member { address: address.to_owned(), ..*member };
                Step::Core(Change::Update { id, member })
            }
        }
    }

    fn step_to_meet(&self, address: &str) -> Step {
        match self.unreachable_from_here(address) {
            Some(reason) => Step::Refuse(reason),
            None => Step::Meet(address.to_owned()),
        }
    }

    fn meet(&mut self, (origin, request, change): Asked, address: String, fx: &mut Vec<Effect>) {
        if self.clients.meetings.len() >= MEETINGS_MAX {
            let what = "many servers are being asked whether they can be added".into();
            fx.push(refuse(origin, Outcome::NotApplied, Reason::Busy { what }));
            return;
        }
        let number = self.clients.number();
        self.clients.meetings.insert(number, Meeting { origin, request, change });
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
        let Some(Meeting { origin, request, change }) = self.clients.meetings.remove(&number)
        else {
            return;
        };
        let core = if self.raft.is_leader() {
            self.change_after_meeting(&change, result)
        } else {
            Err(Reason::NotLeader { leader: None })
        };
        match core {
            Ok(core) => self.change(now, (origin, request, change), core, fx),
            Err(reason) => fx.push(refuse(origin, Outcome::NotApplied, reason)),
        }
    }

    /// What is asked of the core, now that it is known who listens there.
    fn change_after_meeting(
        &self,
        change: &MemberChange,
        met: Result<u128, Reason>,
    ) -> Result<Change, Reason> {
        let at = |address: &String, incarnation| Member { address: address.clone(), incarnation };
        match change {
            MemberChange::Add(address) => match (self.member_at(address), met) {
                (Some((_, member)), Ok(incarnation)) if incarnation != member.incarnation => {
                    Err(Reason::AddressTaken { address: address.clone() })
                }
                // A member is one also while it does not run.
                (Some((_, member)), _) => Ok(Change::Add(member.clone())),
                (None, met) => Ok(Change::Add(at(address, met?))),
            },
            MemberChange::Replace { old, new } => {
                let (id, _) = self.member_named(old).ok_or_else(|| not_member(old))?;
                Ok(Change::Replace { old: id, new: at(new, met?) })
            }
            // Nobody new is in these.
            MemberChange::Remove(name)
            | MemberChange::Demote(name)
            | MemberChange::Update { member: name, .. } => Err(not_member(name)),
        }
    }

    fn change(&mut self, now: Time, asked: Asked, change: Change, fx: &mut Vec<Effect>) {
        let (origin, request, asked) = asked;
        let waiting = self.clients.changes.entry(request).or_insert_with(|| (asked, Vec::new()));
        waiting.1.push(origin);
        self.core(now, Input::ChangeMembership { request, change }, &Context::default(), fx);
    }

    pub(super) fn change_ended(
        &mut self,
        request: RequestId,
        result: Result<ChangeOutcome, ChangeRefused>,
        fx: &mut Vec<Effect>,
    ) {
        let Some((asked, origins)) = self.clients.changes.remove(&request) else { return };
        let answer = match result {
            Ok(outcome) => Answer::Changed(changed(outcome)),
            Err(refused) => match self.nothing_to_do(&asked, &refused) {
                Some(changed) => Answer::Changed(changed),
                None => {
                    let reason = self.change_refused(refused, &asked);
                    Answer::Refused(Refusal { outcome: Outcome::NotApplied, reason })
                }
            },
        };
        fx.extend(origins.into_iter().map(|origin| reply(origin, answer.clone())));
    }

    /// What was asked for is so already.
    fn nothing_to_do(&self, asked: &MemberChange, refused: &ChangeRefused) -> Option<Changed> {
        match (asked, refused) {
            (MemberChange::Add(address), ChangeRefused::AlreadyMember { id })
            | (MemberChange::Update { address, .. }, ChangeRefused::AlreadyMember { id }) => {
                Some(Changed::AlreadyMember { id: *id, address: address.clone() })
            }
            (MemberChange::Demote(name), ChangeRefused::NotVoter) => {
                let (id, member) = self.member_named(name)?;
                Some(Changed::AlreadyLearner { id, address: member.address.clone() })
            }
            _ => None,
        }
    }

    fn change_refused(&self, refused: ChangeRefused, asked: &MemberChange) -> Reason {
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
            ChangeRefused::NotMember => Reason::NotMember { address: about(asked) },
            ChangeRefused::NotVoter => Reason::NotVoter { address: about(asked) },
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
                JobKind::Promote(id) => format!("adding {id}"),
                JobKind::Remove(id) => format!("removing {id}"),
                JobKind::Demote(id) => format!("demoting {id}"),
                JobKind::Replace { old, new } => format!("replacing {old} by {new}"),
            }),
            members: membership.members.iter().map(row).collect(),
            index: status.commit_index,
            answered_by: self.address_of(me).unwrap_or_default().to_owned(),
            is_leader: leads,
        }
    }
}

fn changed(outcome: ChangeOutcome) -> Changed {
    match outcome {
        ChangeOutcome::Added { id, address } => Changed::Added { id, address },
        ChangeOutcome::Removed { id, address } => Changed::Removed { id, address },
        ChangeOutcome::Demoted { id, address } => Changed::Demoted { id, address },
        ChangeOutcome::Updated { id, address } => Changed::Updated { id, address },
        ChangeOutcome::Replaced { id, address, old, old_address } => {
            Changed::Replaced { id, address, old, old_address }
        }
        ChangeOutcome::Undone { id, address } => Changed::Undone { id, address },
    }
}

fn not_member(name: &MemberName) -> Reason {
    Reason::NotMember { address: name.to_string() }
}

/// The member that a change is about.
fn about(change: &MemberChange) -> String {
    match change {
        MemberChange::Add(address) => address.clone(),
        MemberChange::Remove(name)
        | MemberChange::Demote(name)
        | MemberChange::Replace { old: name, .. }
        | MemberChange::Update { member: name, .. } => name.to_string(),
    }
}
