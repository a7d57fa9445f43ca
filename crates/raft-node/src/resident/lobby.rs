//! The lobby: a server outside of a cluster. It founds one with the others of its list, or waits
//! to be added to one. Clients are told so.

use std::collections::BTreeMap;

use raft_core::{Index, LogId, NodeId, Term, Time};
use raft_log::{MemberIdentity, NodeState};

use super::dials::{Dials, Outcome};
use super::order::{DialId, Flushed, NoConnection, Order};
use super::{End, REPLY_BYTES_MAX, Settings};
use crate::address::Address;
use crate::binding::ConnectionId;
use crate::founding::{Fact, Formed, Founder, Founding, Output};
use crate::hello::{self, Believed, Hello, Knowledge, Party, Role};
use crate::notice::Notice;
use crate::protocol::{Answer, KnownMember, NodeStatus, Reason, Refusal, Reply, Request, Standing};
use crate::refused::add_command;
use crate::replica::Origin;
use crate::testimony::Testimony;
use crate::vitals::Recent;
use crate::wire::{Admit, FRAME_BYTES_MAX, Frame};

/// Servers that are started together need no word about waiting for each other, in milliseconds.
const PATIENCE_BEFORE_WORDS: u64 = 500;

/// A server outside of a cluster.
#[derive(Debug)]
pub struct Lobby {
    settings: Settings,
    own: Party,
    standing: Standing,
    /// Somebody who may still be a member, for a server that was removed.
    other_founder: Option<String>,
    founding: Option<Founding>,
    guests: BTreeMap<ConnectionId, Guest>,
    /// Founders are dialled by their place in the list: none of them has an id yet.
    dials: Dials,
    pub(super) orders: Vec<Order>,
    speak_at: Time,
    said: Option<String>,
    end: Option<End>,
    /// The others are told what this server saw before it ends.
    leave_at: Option<Time>,
}

/// A connection.
#[derive(Debug)]
struct Guest {
    party: Visitor,
    since: Time,
    waiting: usize,
    /// It is not read until it has read what it was told.
    paused: bool,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visitor {
    Stranger,
    Client,
    /// A founder; the number is its place in the list, if it was us who dialled.
    Founder(Option<u64>),
    Admission,
    Leaving,
}

impl Lobby {
    /// A server whose directory says that it is new, or was removed.
    #[must_use]
    pub fn new(settings: Settings, state: &NodeState, seed: u64, now: Time) -> Self {
        let own = Party {
            cluster: state.cluster(),
            incarnation: state.incarnation(),
            address: settings.address.to_string(),
            ..Party::default()
        };
        let mut outputs = Vec::new();
        let (standing, founding) = match state {
            NodeState::Removed(_, at) => (Standing::Removed { at: *at }, None),
            NodeState::New { .. } | NodeState::Member(_) => {
                let founder =
                    Founder { address: own.address.clone(), incarnation: own.incarnation };
                let list: Vec<String> = settings.cluster.iter().map(ToString::to_string).collect();
                (Standing::New, Some(Founding::new(founder, &list, &mut outputs)))
            }
        };
        let dials = Dials::new(own.clone(), settings.election_timeout, seed);
        let mut lobby = Self {
            other_founder: other_founder(state, &own.address),
            settings,
            own,
            standing,
            founding,
            guests: BTreeMap::new(),
            dials,
            orders: Vec::new(),
            speak_at: now + PATIENCE_BEFORE_WORDS,
            said: None,
            end: None,
            leave_at: None,
        };
        lobby.dial_others(now);
        lobby.founding_outputs(now, outputs);
        lobby
    }

    fn dial_others(&mut self, now: Time) {
        let Some(founding) = &self.founding else { return };
        for (place, address) in founding.others().enumerate() {
            let to = Believed { address: address.to_owned(), ..Believed::default() };
            self.dials.keep(now, (place as u64, Role::Founder), to, &mut self.orders);
        }
    }

    /// Somebody dialled this server.
    pub fn accepted(&mut self, now: Time, id: ConnectionId) {
        self.add_guest(now, id, Visitor::Stranger);
    }

    fn add_guest(&mut self, since: Time, id: ConnectionId, party: Visitor) {
        self.guests.insert(id, Guest { party, since, waiting: 0, paused: false });
    }

    /// A dial came to something.
    pub fn dialled(&mut self, now: Time, dial: DialId, result: Result<ConnectionId, NoConnection>) {
        let outcome = self.dials.dialled(now, dial, result, &mut self.orders);
        self.outcome(now, outcome);
    }

    fn outcome(&mut self, now: Time, outcome: Option<Outcome>) {
        match outcome {
            Some(Outcome::Welcomed { number, connection, welcome, .. }) => {
                self.add_guest(now, connection, Visitor::Founder(Some(number)));
                self.met(now, connection, &welcome.from);
            }
            Some(Outcome::Unwelcome { refused, .. }) => {
                self.orders.push(Order::TellRefused(refused));
            }
            // Founders are dialled again until they answer, and nobody else is dialled.
            Some(
                Outcome::Refused { .. }
                | Outcome::Met { .. }
                | Outcome::Lane { .. }
                | Outcome::NoLane { .. },
            )
            | None => {}
        }
    }

    /// A connection brought frames.
    pub fn frames(&mut self, now: Time, id: ConnectionId, frames: Vec<Frame>) {
        for frame in frames {
            match self.guests.get(&id).map(|guest| guest.party) {
                Some(visitor) => self.frame(now, id, visitor, frame),
                None => {
                    let outcome = self.dials.frame(now, id, frame, &mut self.orders);
                    self.outcome(now, outcome);
                }
            }
        }
        match self.guests.get_mut(&id) {
            Some(guest) if guest.party == Visitor::Leaving => self.close(now, id),
            Some(guest) => {
                guest.paused = true;
                self.resume_if_read(id);
            }
            None if self.dials.holds(id) => self.orders.push(Order::Resume(id)),
            None => {}
        }
    }

    fn frame(&mut self, now: Time, id: ConnectionId, visitor: Visitor, frame: Frame) {
        match (visitor, frame) {
            (Visitor::Stranger, Frame::Hello(hello)) => self.hello_from(now, id, &hello),
            (Visitor::Client, Frame::Request { id: request, request: body }) => {
                let connection = id.0;
                self.request(Origin { connection, request, forwarded: false, since_us: 0 }, &body);
            }
            (Visitor::Founder(_), Frame::Founding(report)) => {
                self.founding(now, |founding, out| founding.received(id, report, out));
            }
            (Visitor::Admission, Frame::Admit(admit)) => self.admitted(admit),
            (_, Frame::Ping { nonce }) => self.push(id, &Frame::Pong { nonce }),
            _ => self.close(now, id),
        }
    }

    fn hello_from(&mut self, now: Time, id: ConnectionId, hello: &Hello) {
        let known = Knowledge {
            own: &self.own,
            standing: self.standing,
            membership: None,
            committed: None,
            peers: &BTreeMap::new(),
            frame_bytes_max: u32::try_from(FRAME_BYTES_MAX).unwrap_or(u32::MAX),
        };
        let (visitor, frame) = match hello::judge(&known, hello) {
            Ok(welcome) => {
                let visitor = match hello.role {
                    Role::Client => Visitor::Client,
                    Role::Founder => Visitor::Founder(None),
                    Role::Admission => Visitor::Admission,
                    Role::Peer | Role::Snapshot => Visitor::Leaving,
                };
                (visitor, Frame::Welcome(welcome))
            }
            Err(refused) => (Visitor::Leaving, Frame::Refused(refused)),
        };
        self.push(id, &frame);
        self.orders.push(Order::Trust(id));
        if let Some(guest) = self.guests.get_mut(&id) {
            guest.party = visitor;
        }
        if visitor == Visitor::Founder(None) {
            self.met(now, id, &hello.from);
        }
    }

    /// Another founder, or a member of a cluster that stands.
    fn met(&mut self, now: Time, id: ConnectionId, party: &Party) {
        let founder = Founder { address: party.address.clone(), incarnation: party.incarnation };
        self.founding(now, |founding, out| founding.connected(id, founder, out));
    }

    fn push(&mut self, id: ConnectionId, frame: &Frame) {
        let order = Order::push(id, frame);
        if let (Order::Push { frame, .. }, Some(guest)) = (&order, self.guests.get_mut(&id)) {
            guest.waiting += frame.byte_count();
        }
        self.orders.push(order);
    }

    /// A connection ended.
    pub fn closed(&mut self, now: Time, id: ConnectionId) {
        if self.dials.holds(id) {
            let outcome = self.dials.closed(now, id, &mut self.orders);
            return self.outcome(now, outcome);
        }
        self.close(now, id);
    }

    fn close(&mut self, now: Time, id: ConnectionId) {
        let Some(Guest { party, .. }) = self.guests.remove(&id) else { return };
        self.orders.push(Order::Close(id));
        if let Visitor::Founder(dialled) = party {
            if let Some(founding) = &mut self.founding {
                founding.closed(id);
            }
            if let Some(place) = dialled {
                self.dials.gone(now, place, false, &mut self.orders);
            }
        }
    }

    /// A socket has taken what it could.
    pub fn flushed(&mut self, now: Time, id: ConnectionId, flushed: Flushed) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        guest.waiting = flushed.waiting;
        if guest.party == Visitor::Leaving && flushed.waiting == 0 {
            return self.close(now, id);
        }
        self.resume_if_read(id);
    }

    /// Who reads what it is told is heard again.
    fn resume_if_read(&mut self, id: ConnectionId) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        if guest.paused && guest.waiting < REPLY_BYTES_MAX {
            guest.paused = false;
            self.orders.push(Order::Resume(id));
        }
    }

    /// Somebody asks for something.
    pub fn request(&mut self, origin: Origin, request: &Request) {
        let answer = match (request, self.standing) {
            (Request::Status, _) => Answer::Status(Box::new(self.status())),
            (Request::Recent { after, .. }, _) => Answer::Recent(Box::new(Recent {
                status: self.status(),
                after: *after,
                events: Vec::new(),
                tail: Vec::new(),
            })),
            (Request::Why, _) => Answer::Why(Box::new(Testimony::of(self.status()))),
            (_, Standing::Removed { at }) => Refusal::not_applied(Reason::Removed { at }).into(),
            _ => Refusal::not_applied(Reason::NotReady).into(),
        };
        let is_report = matches!(answer, Answer::Status(_) | Answer::Recent(_) | Answer::Why(_));
        let reply = Reply { answer, forwarded_to: None };
        if is_report {
            self.orders.push(Order::Report { origin, reply: Box::new(reply) });
            return;
        }
        let order = Order::reply(origin, reply);
        if let Order::Push { to, frame, .. } = &order
            && let Some(guest) = self.guests.get_mut(to)
        {
            guest.waiting += frame.byte_count();
        }
        self.orders.push(order);
    }

    fn status(&self) -> NodeStatus {
        NodeStatus {
            id: None,
            address: self.own.address.clone(),
            cluster: self.own.cluster,
            standing: self.standing,
            role: "none".into(),
            term: Term(0),
            leader: None,
            last_log_id: LogId::default(),
            durable_index: Index(0),
            commit_index: Index(0),
            applied_index: Index(0),
            snapshots: Box::default(),
            version: env!("CARGO_PKG_VERSION").into(),
            vitals: Box::default(),
            members: self.founders(),
        }
    }

    /// Those that this server was started with, if it is one of them.
    fn founders(&self) -> Vec<KnownMember> {
        let Settings { cluster, address: own, .. } = &self.settings;
        if self.founding.is_none() || !cluster.iter().any(|other| other.is_same_place(own)) {
            return Vec::new();
        }
        let known = |address: &Address| KnownMember {
            id: None,
            address: address.to_string(),
            voter: true,
            old_voter: false,
        };
        cluster.iter().map(known).collect()
    }

    fn founding(&mut self, now: Time, act: impl FnOnce(&mut Founding, &mut Vec<Output>)) {
        let mut outputs = Vec::new();
        if let Some(founding) = &mut self.founding {
            act(founding, &mut outputs);
        }
        self.founding_outputs(now, outputs);
    }

    fn founding_outputs(&mut self, now: Time, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Formed(formed) => self.formed(formed),
                Output::Send(id, report) => self.push(id, &Frame::Founding(report)),
                Output::Fact(fact) => self.fact(now, &fact),
            }
        }
    }

    fn fact(&mut self, now: Time, fact: &Fact) {
        if matches!(fact, Fact::DifferentLists { .. } | Fact::AddressClash { .. }) {
            self.end.get_or_insert(End::Misfit(fact.to_string()));
            self.leave_at = Some(now + self.settings.election_timeout / 2);
        } else {
            self.orders.push(Order::Tell(Notice::Fact(fact.to_string())));
        }
    }

    fn formed(&mut self, formed: Formed) {
        let Formed { cluster, founders } = formed;
        let own = (&self.own.address, self.own.incarnation);
        let place = founders.iter().position(|f| (&f.address, f.incarnation) == own);
        let Some(place) = place else { return };
        self.become_member(cluster, NodeId(place as u64 + 1), founders);
    }

    /// A leader that has not heard of the removal yet is not obeyed.
    fn admitted(&mut self, admit: Admit) {
        let is_stale = matches!(self.standing, Standing::Removed { at } if admit.at <= at);
        if admit.incarnation == self.own.incarnation && !is_stale {
            self.become_member(admit.cluster, admit.id, admit.founders);
        }
    }

    /// From here on, also after a restart, this server is that member. The address is the own
    /// one as it was given: the operator may have added this server by another name.
    fn become_member(&mut self, cluster: u128, id: NodeId, founders: Vec<Founder>) {
        let founder = |founder: Founder| raft_log::Founder {
            address: founder.address,
            incarnation: founder.incarnation,
        };
        let me = MemberIdentity {
            incarnation: self.own.incarnation,
            cluster,
            id,
            address: self.own.address.clone(),
            founders: founders.into_iter().map(founder).collect(),
        };
        self.orders.push(Order::Store(NodeState::Member(me)));
        (self.end, self.leave_at) = (Some(End::Member), None);
    }

    /// It is asked to end.
    pub fn stop(&mut self) {
        (self.end, self.leave_at) = (Some(End::Stopped), None);
    }

    /// Time passed, or not.
    pub fn step(&mut self, now: Time) {
        for outcome in self.dials.timer(now, &mut self.orders) {
            self.outcome(now, Some(outcome));
        }
        if self.speak_at <= now {
            self.speak_at = now + PATIENCE_BEFORE_WORDS;
            self.speak();
            self.turn_out_guests(now);
        }
        self.leave_at.take_if(|at| *at <= now);
    }

    /// When [`Self::step`] is wanted.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        [self.leave_at, Some(self.speak_at), self.dials.next_deadline()].into_iter().flatten().min()
    }

    /// How this life ended, once it has and its last orders are taken.
    pub fn take_end(&mut self) -> Option<End> {
        let stays = self.leave_at.is_some() || !self.orders.is_empty();
        self.end.take_if(|_| !stays)
    }

    /// Says what this server waits for, when that has not changed for a moment.
    fn speak(&mut self) {
        let line = match (&self.founding, self.standing) {
            (Some(founding), _) => founding.waiting_line(),
            (None, Standing::Removed { at }) => Some(format!(
                "removed from its cluster at index {at}; to add it again: {}",
                add_command(&self.own.address, self.other_founder.as_deref().unwrap_or("ADDRESS"))
            )),
            (None, _) => None,
        };
        if line != self.said {
            self.said.clone_from(&line);
            self.orders.extend(line.map(|line| Order::Tell(Notice::Fact(line))));
        }
    }

    /// Hangs up on those who never said who they are, or do not leave.
    fn turn_out_guests(&mut self, now: Time) {
        let patience = self.settings.guest_patience();
        let overstays = |guest: &Guest| match guest.party {
            Visitor::Stranger | Visitor::Admission | Visitor::Leaving => {
                now - guest.since >= patience
            }
            Visitor::Client | Visitor::Founder(_) => false,
        };
        let late = self.guests.iter().filter(|(_, guest)| overstays(guest)).map(|(id, _)| *id);
        for id in late.collect::<Vec<_>>() {
            self.close(now, id);
        }
    }
}

fn other_founder(state: &NodeState, own: &str) -> Option<String> {
    let NodeState::Removed(me, _) = state else { return None };
    let mut founders = me.founders.iter().map(|founder| &founder.address);
    founders.find(|address| *address != own).cloned()
}
