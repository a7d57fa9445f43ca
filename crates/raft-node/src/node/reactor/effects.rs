//! Carrying out what the replica wants.

use std::sync::Arc;

use raft_core::{Index, Member, Membership, Message, NodeId};

use super::space::DISK_FREE_LOW;
use super::{End, Reactor};
use crate::hello::{Believed, Hello, Role};
use crate::node::dial::{self, Dialler};
use crate::node::helper::Job;
use crate::node::incoming::Incoming;
use crate::node::observe::{add, count};
use crate::node::{Failure, FailureClass};
use crate::notice::Notice;
use crate::protocol::{Answer, NodeStatus, Reason, Refusal, Reply, Request};
use crate::replica::{Effect, Event, Origin};
use crate::wire::{Encoded, Frame, encode_message};

/// Bytes that may wait for a leader to take them before no more requests are passed on to it.
const FORWARD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// More entries to apply than this are worth a word.
const LAG_HIGH: u64 = 10_000;

impl Reactor<'_> {
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, message, entries } => self.send(to, &message, entries),
            Effect::Write { ticket, write } => self.parts.wal.submit(ticket, write),
            Effect::ReadLog { request, first, last, bytes_max } => {
                self.parts.helper.submit(Job::Read { request, first, last, bytes_max });
            }
            Effect::Reply { origin, reply } => self.reply(origin, reply),
            Effect::Forward { to, request, body } => self.forward(to, request, body),
            Effect::Meet { request, address } => self.meet(request, address),
            Effect::Show { index, lines } => self.output.show(index, lines),
            Effect::RoleChanged { term, leader, .. } => self.role_changed(term.0, leader),
            Effect::MembershipChanged { membership } => {
                self.site.observed.event("membership", membership.to_string());
                self.membership_changed(&membership);
            }
            Effect::Removed { at } => self.end_with(End::Removed(at)),
            Effect::Alarm { peer, what } => {
                self.site.tell_folly(format!(
                    "{} said what no correct member says ({what}); its connections were closed",
                    self.named(peer)
                ));
                self.drop_peer(peer);
            }
            Effect::Halt { why } => self.fail(Failure { class: FailureClass::TooNew, what: why }),
        }
    }

    /// Sends a request on the connection that we dialled, a response on the one that the peer
    /// dialled; without it, nothing: the core derives again what a peer lacks.
    fn send(&mut self, to: NodeId, message: &Message, entries: Vec<bytes::Bytes>) {
        let lane = if message.is_response() { &self.inbound } else { &self.outbound };
        let Some(id) = lane.get(&to) else { return };
        let Some(peerage) = self.connections.get(id) else { return };
        let free = self.free_log_bytes();
        let frame = encode_message(message, &entries, free);
        match message {
            Message::AppendEntries(append) if !append.entries.is_empty() => {
                let (prev, many) = (append.prev_log_id.index, append.entries.len() as u64);
                count(&self.site.observed.counters.appends_sent);
                add(&self.site.observed.counters.entries_sent, many);
                peerage.connection.push_entries(frame, prev, Index(prev.0 + many));
            }
            _ => peerage.connection.push(frame),
        }
        self.touched.insert(*id);
    }

    pub(super) fn push(&mut self, id: u64, frame: Encoded) {
        if let Some(peerage) = self.connections.get(&id) {
            peerage.connection.push(frame);
            self.touched.insert(id);
        }
    }

    fn reply(&mut self, origin: Origin, mut reply: Reply) {
        match &mut reply.answer {
            Answer::Written { .. } => self.answered.push(origin.since_us),
            Answer::Refused(_) => count(&self.site.observed.counters.refused),
            Answer::Status(status) => self.fill_in(status),
            Answer::Recent(recent) => {
                self.fill_in(&mut recent.status);
                recent.events = self.site.observed.events_after(recent.after);
            }
            _ => {}
        }
        if origin.connection == 0 {
            if let Some(asked) = self.local.remove(&origin.request) {
                // Whoever asked may have stopped waiting.
                let _told = asked.send(reply);
            }
            return;
        }
        if let Some(peerage) = self.connections.get_mut(&origin.connection) {
            peerage.load = peerage.load.saturating_sub(1);
        }
        let id = origin.request;
        let frame = match origin.forwarded {
            true => Frame::ForwardReply { id, reply },
            false => Frame::Reply { id, reply },
        };
        self.push(origin.connection, frame.encode());
    }

    /// What the replica cannot know of itself.
    fn fill_in(&mut self, status: &mut NodeStatus) {
        let observed = &self.site.observed;
        status.cluster = Some(self.me.cluster);
        *status.vitals = observed.vitals();
        status.vitals.free_log_bytes = self.parts.spares.free_bytes();
        status.vitals.problems = self.problems(status);
        // Looked at by the helper, for the next who asks.
        self.want_look();
    }

    /// What an operator should know of, one fact each.
    fn problems(&self, status: &NodeStatus) -> Vec<String> {
        let mut problems = Vec::new();
        if status.leader.is_none() {
            problems.push("no leader".to_owned());
        }
        let timeout = self.site.settings.election_timeout;
        let vitals = &status.vitals;
        if u128::from(vitals.sync_p99_us) > timeout.as_micros() / 10 {
            problems
                .push(format!("slow disk: 1 of 100 syncs takes {} ms", vitals.sync_p99_us / 1000));
        }
        if vitals.disk_free > 0 && vitals.disk_free < DISK_FREE_LOW {
            problems.push(format!("disk nearly full: {} MiB left", vitals.disk_free >> 20));
        }
        let lag = status.commit_index.0.saturating_sub(status.applied_index.0);
        if lag > LAG_HIGH {
            problems.push(format!("{lag} committed entries are not applied"));
        }
        problems
    }

    /// Passes a request on. A leader that does not take what waits for it gets no more: nobody
    /// else bounds what many clients send to one follower.
    fn forward(&mut self, to: NodeId, id: u64, request: Request) {
        let Some(connection) = self.outbound.get(&to).copied() else { return };
        let waiting = self.connections.get(&connection).map_or(0, |p| p.connection.waiting());
        if waiting < FORWARD_BYTES_MAX {
            self.push(connection, Frame::Forward { id, request }.encode());
            return;
        }
        let what = "the leader takes requests more slowly than they come".into();
        let answer = Refusal::not_applied(Reason::Busy { what }).into();
        let reply = Reply { answer, forwarded_to: None };
        self.events.push(Event::ForwardReply { from: to, request: id, reply });
    }

    fn meet(&self, request: u64, address: String) {
        let hello = self.hello(Role::Admission, None, None, &address);
        let (cluster, patience) = (self.me.cluster, self.site.settings.election_timeout);
        let incoming = self.site.sender.clone();
        let members = &self.parts.replica.raft().membership().members;
        let members = members.iter().map(|(id, member)| (*id, member.address.clone())).collect();
        tokio::task::spawn_local(async move {
            let result = dial::meet(&address, hello, cluster, &members, patience).await;
            let _sent = incoming.send(Incoming::Met { request, result });
        });
    }

    fn role_changed(&mut self, term: u64, leader: Option<NodeId>) {
        let news = leader.map(|leader| (leader, term));
        if news == self.leader {
            return;
        }
        let had_one = std::mem::replace(&mut self.leader, news).is_some();
        count(&self.site.observed.counters.leader_changes);
        let named = leader.map_or_else(|| "nobody".into(), |id| self.named(id));
        self.site.observed.event("role", format!("{named} leads in term {term}"));
        match leader {
            Some(id) => self.site.notices.tell(Notice::Leads {
                address: self.named(id),
                term,
                own: id == self.me.id,
            }),
            None if had_one => self.site.notices.tell(Notice::NoLeader { term }),
            None => {}
        }
    }

    /// Keeps a connection to every other member, and none to anybody else.
    pub(super) fn membership_changed(&mut self, membership: &Membership) {
        // Nor to itself under an earlier id: a server that was replaced at its address.
        let me = &self.me;
        let other =
            |(id, member): &(&NodeId, &Member)| **id != me.id && member.address != me.address;
        for (id, member) in membership.members.iter().filter(other) {
            if self.diallers.get(id).is_some_and(|dialler| dialler.address == member.address) {
                continue;
            }
            let template = Arc::new(self.hello(
                Role::Peer,
                Some(*id),
                Some(member.incarnation),
                &member.address,
            ));
            let patience = self.site.settings.election_timeout;
            let dialler = Dialler::start(
                *id,
                member.address.clone(),
                move || Hello::clone(&template),
                patience,
                self.site.sender.clone(),
            );
            self.diallers.insert(*id, dialler);
        }
        self.drop_diallers();
    }

    /// A removed member is still fed for a while: its dialler goes when its connection does.
    pub(super) fn drop_diallers(&mut self) {
        let members = &self.parts.replica.raft().membership().members;
        let outbound = &self.outbound;
        self.diallers.retain(|id, _| members.contains_key(id) || outbound.contains_key(id));
    }

    /// Our first word on a connection that we dial.
    pub(super) fn hello(
        &self,
        role: Role,
        id: Option<NodeId>,
        incarnation: Option<u128>,
        address: &str,
    ) -> Hello {
        let to = Believed { id, incarnation, address: address.to_owned() };
        Hello { protocol: crate::hello::Protocols::OURS, role, from: self.party(), to }
    }

    pub(super) fn named(&self, id: NodeId) -> String {
        self.parts.replica.address_of(id).map_or_else(|| id.to_string(), str::to_owned)
    }

    /// Closes both connections to a peer.
    pub(super) fn drop_peer(&mut self, peer: NodeId) {
        let connections = [self.inbound.get(&peer).copied(), self.outbound.get(&peer).copied()];
        for id in connections.into_iter().flatten() {
            self.drop_connection(id);
        }
    }
}
