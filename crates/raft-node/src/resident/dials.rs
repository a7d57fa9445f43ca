//! Dials: connections that are kept to others, and short conversations with servers that are to
//! be added. From the first dial to the welcome a connection belongs here.
//!
//! Sans-I/O: what the dials and their connections bring goes in, orders and outcomes come out.

use std::collections::BTreeMap;

use raft_core::{NodeId, Time};

use super::order::{DialId, NoConnection, Order};
use crate::binding::ConnectionId;
use crate::hello::{Believed, Hello, HelloRefused, Party, Protocols, Role, Welcome};
use crate::protocol::Reason;
use crate::random::Random;
use crate::wire::{Admit, Frame};

/// The first and the longest pause between two dials, in milliseconds.
const PAUSE_MIN: u64 = 50;
const PAUSE_MAX: u64 = 1000;

/// All dials of one life.
#[derive(Debug)]
pub(super) struct Dials {
    own: Party,
    /// A dial must have come to a welcome by then.
    patience: u64,
    random: Random,
    last: u64,
    /// Whom to stay connected to, by the number that the owner gives them.
    kept: BTreeMap<u64, Kept>,
    under_way: BTreeMap<DialId, (Purpose, Time)>,
    talks: BTreeMap<ConnectionId, Talk>,
}

/// What a dial is for.
#[derive(Clone, Debug)]
enum Purpose {
    /// To stay connected.
    Keep(u64),
    /// To ask a server who it is.
    Meet { request: u64, address: String },
    /// To tell a server who it is.
    Admit(NodeId, Box<Admit>),
    /// To send a member a snapshot.
    Lane(NodeId, Box<Believed>),
}

/// Somebody to stay connected to.
#[derive(Debug)]
struct Kept {
    role: Role,
    to: Believed,
    pause: u64,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// A dial is under way, or its welcome.
    Dialling,
    Connected {
        since: Time,
    },
    Pausing {
        until: Time,
    },
}

/// A connection on which we have said hello.
#[derive(Debug)]
struct Talk {
    purpose: Purpose,
    hello: Box<Hello>,
    /// It was welcome, and told its server who that is.
    admitted: bool,
    deadline: Time,
}

/// What a dial came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A connection that was to be kept is welcome, and its owner's from now on.
    Welcomed { number: u64, connection: ConnectionId, hello: Box<Hello>, welcome: Welcome },
    /// Nobody listens there.
    Refused { number: u64 },
    /// Somebody listens and does not want to talk.
    Unwelcome { number: u64, refused: Box<HelloRefused> },
    /// A member takes a snapshot on this connection, its owner's from now on.
    Lane { peer: NodeId, connection: ConnectionId, hello: Box<Hello>, welcome: Welcome },
    /// A member could not be reached for a snapshot, or does not take one.
    NoLane { peer: NodeId },
    /// A server was asked who it is.
    Met { request: u64, address: String, answer: Result<Welcome, Reason> },
}

impl Dials {
    /// No dial yet; each will say who `own` is, and give up after an election timeout.
    pub(super) const fn new(own: Party, election_timeout: u64, seed: u64) -> Self {
        Self {
            own,
            patience: election_timeout,
            random: Random::new(seed),
            last: 0,
            kept: BTreeMap::new(),
            under_way: BTreeMap::new(),
            talks: BTreeMap::new(),
        }
    }

    /// Who dials.
    pub(super) const fn own(&self) -> &Party {
        &self.own
    }

    /// Stays connected to somebody from now on.
    pub(super) fn keep(
        &mut self,
        now: Time,
        (number, role): (u64, Role),
        to: Believed,
        out: &mut Vec<Order>,
    ) {
        if self.kept.get(&number).is_some_and(|kept| kept.to.address == to.address) {
            return;
        }
        self.forget(number, out);
        self.kept.insert(number, Kept { role, to, pause: PAUSE_MIN, state: State::Dialling });
        self.dial(now, Purpose::Keep(number), out);
    }

    /// Stays connected only to those that are wanted; connections that are up stay as they are.
    pub(super) fn retain(&mut self, wanted: impl Fn(u64) -> bool, out: &mut Vec<Order>) {
        let others = self.kept.keys().copied().filter(|number| !wanted(*number));
        for number in others.collect::<Vec<_>>() {
            self.forget(number, out);
        }
    }

    fn forget(&mut self, number: u64, out: &mut Vec<Order>) {
        self.kept.remove(&number);
        let is_its = |purpose: &Purpose| matches!(purpose, Purpose::Keep(of) if *of == number);
        let dials = self.under_way.extract_if(.., |_, (purpose, _)| is_its(purpose));
        out.extend(dials.map(|(dial, _)| Order::GiveUp(dial)));
        let talks = self.talks.extract_if(.., |_, talk| is_its(&talk.purpose));
        out.extend(talks.map(|(connection, _)| Order::Close(connection)));
    }

    /// Asks the server at an address who it is.
    pub(super) fn meet(&mut self, now: Time, request: u64, address: String, out: &mut Vec<Order>) {
        self.dial(now, Purpose::Meet { request, address }, out);
    }

    /// Tells a server who it is from now on. If that does not go through, its next refusal leads
    /// here again.
    pub(super) fn admit(&mut self, now: Time, peer: NodeId, admit: Admit, out: &mut Vec<Order>) {
        self.dial(now, Purpose::Admit(peer, Box::new(admit)), out);
    }

    /// Opens a connection for a snapshot.
    pub(super) fn lane(&mut self, now: Time, peer: NodeId, to: Believed, out: &mut Vec<Order>) {
        self.dial(now, Purpose::Lane(peer, Box::new(to)), out);
    }

    fn dial(&mut self, now: Time, purpose: Purpose, out: &mut Vec<Order>) {
        let address = match &purpose {
            Purpose::Keep(number) => {
                let Some(kept) = self.kept.get_mut(number) else { return };
                kept.state = State::Dialling;
                kept.to.address.clone()
            }
            Purpose::Meet { address, .. } => address.clone(),
            Purpose::Admit(_, admit) => admit.address.clone(),
            Purpose::Lane(_, to) => to.address.clone(),
        };
        self.last += 1;
        let dial = DialId(self.last);
        self.under_way.insert(dial, (purpose, now + self.patience));
        out.push(Order::Dial(dial, address));
    }

    /// A dial came to something.
    pub(super) fn dialled(
        &mut self,
        now: Time,
        dial: DialId,
        result: Result<ConnectionId, NoConnection>,
        out: &mut Vec<Order>,
    ) -> Option<Outcome> {
        let Some((purpose, deadline)) = self.under_way.remove(&dial) else {
            out.extend(result.ok().map(Order::Close));
            return None;
        };
        match result {
            Ok(connection) => {
                let hello = Box::new(self.hello(&purpose));
                out.push(Order::push(connection, &Frame::Hello(Hello::clone(&hello))));
                let talk = Talk { purpose, hello, admitted: false, deadline };
                self.talks.insert(connection, talk);
                None
            }
            Err(why) => self.failed(now, purpose, why),
        }
    }

    fn hello(&self, purpose: &Purpose) -> Hello {
        let admission = |incarnation, address: &String| {
            (Role::Admission, Believed { id: None, incarnation, address: address.clone() })
        };
        let (role, to) = match purpose {
            Purpose::Keep(number) => match self.kept.get(number) {
                Some(kept) => (kept.role, kept.to.clone()),
                None => (Role::Peer, Believed::default()),
            },
            Purpose::Meet { address, .. } => admission(None, address),
            Purpose::Admit(_, admit) => admission(Some(admit.incarnation), &admit.address),
            Purpose::Lane(_, to) => (Role::Snapshot, Believed::clone(to)),
        };
        Hello { protocol: Protocols::OURS, role, from: self.own.clone(), to }
    }

    /// Whether a connection is not its owner's yet.
    pub(super) fn holds(&self, connection: ConnectionId) -> bool {
        self.talks.contains_key(&connection)
    }

    /// The first word of whom we dialled.
    pub(super) fn frame(
        &mut self,
        now: Time,
        connection: ConnectionId,
        frame: Frame,
        out: &mut Vec<Order>,
    ) -> Option<Outcome> {
        if self.talks.get(&connection)?.admitted {
            // It closes the connection once its identity is on its disk.
            return None;
        }
        let Talk { purpose, hello, .. } = self.talks.remove(&connection)?;
        match (purpose, frame) {
            (Purpose::Keep(number), Frame::Welcome(welcome)) => {
                out.push(Order::Trust(connection));
                if let Some(kept) = self.kept.get_mut(&number) {
                    kept.state = State::Connected { since: now };
                }
                Some(Outcome::Welcomed { number, connection, hello, welcome })
            }
            (Purpose::Admit(peer, admit), Frame::Welcome(_)) => {
                out.push(Order::push(connection, &Frame::Admit(Admit::clone(&admit))));
                let deadline = now + self.patience;
                let purpose = Purpose::Admit(peer, admit);
                self.talks.insert(connection, Talk { purpose, hello, admitted: true, deadline });
                None
            }
            (Purpose::Lane(peer, _), Frame::Welcome(welcome)) => {
                out.push(Order::Trust(connection));
                out.push(Order::Hurry(connection));
                Some(Outcome::Lane { peer, connection, hello, welcome })
            }
            (Purpose::Meet { request, address }, Frame::Welcome(welcome)) => {
                out.push(Order::Close(connection));
                Some(Outcome::Met { request, address, answer: Ok(welcome) })
            }
            (purpose, frame) => {
                out.push(Order::Close(connection));
                self.turned_away(now, purpose, frame)
            }
        }
    }

    fn turned_away(&mut self, now: Time, purpose: Purpose, frame: Frame) -> Option<Outcome> {
        match (purpose, frame) {
            (Purpose::Keep(number), Frame::Refused(refused)) => {
                self.pause(now, number);
                Some(Outcome::Unwelcome { number, refused })
            }
            (Purpose::Meet { request, address }, Frame::Refused(refused)) => {
                let answer = Err(Reason::Invalid(refused.to_string()));
                Some(Outcome::Met { request, address, answer })
            }
            (purpose, _) => self.failed(now, purpose, NoConnection::Failed("no welcome".into())),
        }
    }

    fn failed(&mut self, now: Time, purpose: Purpose, why: NoConnection) -> Option<Outcome> {
        match (purpose, why) {
            (Purpose::Keep(number), why) => {
                self.pause(now, number);
                (why == NoConnection::Refused).then_some(Outcome::Refused { number })
            }
            (Purpose::Meet { request, address }, why) => {
                let error = match why {
                    NoConnection::Refused => "nobody listens there".into(),
                    NoConnection::Failed(error) => error,
                };
                let answer = Err(Reason::Unreachable { address: address.clone(), error });
                Some(Outcome::Met { request, address, answer })
            }
            (Purpose::Admit(..), _) => None,
            (Purpose::Lane(peer, _), _) => Some(Outcome::NoLane { peer }),
        }
    }

    /// A connection that is not its owner's yet ended.
    pub(super) fn closed(
        &mut self,
        now: Time,
        connection: ConnectionId,
        out: &mut Vec<Order>,
    ) -> Option<Outcome> {
        let Talk { purpose, admitted, .. } = self.talks.remove(&connection)?;
        out.push(Order::Close(connection));
        match purpose {
            Purpose::Admit(peer, _) if admitted => {
                self.hurry(now, peer.0, out);
                None
            }
            purpose => {
                let why = NoConnection::Failed("the other end closed it".into());
                self.failed(now, purpose, why)
            }
        }
    }

    /// A kept connection is gone: it is dialled at once if it was of use and lasted.
    pub(super) fn gone(&mut self, now: Time, number: u64, was_of_use: bool, out: &mut Vec<Order>) {
        let Some(kept) = self.kept.get_mut(&number) else { return };
        let State::Connected { since } = kept.state else { return };
        // Whoever says welcome and hangs up, again and again, is not dialled without end.
        if now - since >= PAUSE_MAX {
            kept.pause = PAUSE_MIN;
            if was_of_use {
                return self.dial(now, Purpose::Keep(number), out);
            }
        }
        self.pause(now, number);
    }

    /// There is a reason not to wait before the next dial. A connection that is up stays as it is.
    fn hurry(&mut self, now: Time, number: u64, out: &mut Vec<Order>) {
        if let Some(kept) = self.kept.get_mut(&number)
            && let State::Pausing { .. } = kept.state
        {
            kept.pause = PAUSE_MIN;
            self.dial(now, Purpose::Keep(number), out);
        }
    }

    fn pause(&mut self, now: Time, number: u64) {
        let Some(kept) = self.kept.get_mut(&number) else { return };
        // Members that fail together must not dial in step: three quarters to five.
        let pause = kept.pause * 3 / 4 + self.random.below(kept.pause / 2);
        kept.state = State::Pausing { until: now + pause };
        kept.pause = (kept.pause * 2).min(PAUSE_MAX);
    }

    /// When [`Self::timer`] is wanted.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let pauses = self.kept.values().filter_map(|kept| match kept.state {
            State::Pausing { until } => Some(until),
            State::Dialling | State::Connected { .. } => None,
        });
        let dials = self.under_way.values().map(|(_, deadline)| *deadline);
        let talks = self.talks.values().map(|talk| talk.deadline);
        pauses.chain(dials).chain(talks).min()
    }

    /// Time passed.
    pub(super) fn timer(&mut self, now: Time, out: &mut Vec<Order>) -> Vec<Outcome> {
        let mut late = Vec::new();
        for (dial, (purpose, _)) in
            self.under_way.extract_if(.., |_, (_, deadline)| *deadline <= now)
        {
            out.push(Order::GiveUp(dial));
            late.push(purpose);
        }
        for (connection, talk) in self.talks.extract_if(.., |_, talk| talk.deadline <= now) {
            out.push(Order::Close(connection));
            late.push(talk.purpose);
        }
        let timed_out = || NoConnection::Failed("timed out".into());
        let outcomes =
            late.into_iter().filter_map(|purpose| self.failed(now, purpose, timed_out()));
        let outcomes = outcomes.collect();
        let is_due = |kept: &Kept| matches!(kept.state, State::Pausing { until } if until <= now);
        let due = self.kept.iter().filter(|(_, kept)| is_due(kept)).map(|(number, _)| *number);
        for number in due.collect::<Vec<_>>() {
            self.dial(now, Purpose::Keep(number), out);
        }
        outcomes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Standing;

    const PEER: u64 = 2;
    const THERE: ConnectionId = ConnectionId(1);

    /// Connected to a peer at time zero.
    fn connected() -> Dials {
        let mut dials = Dials::new(Party::default(), 1000, 7);
        let (mut out, now) = (Vec::new(), Time(0));
        dials.keep(now, (PEER, Role::Peer), Believed::default(), &mut out);
        assert_eq!(dials.dialled(now, DialId(1), Ok(THERE), &mut out), None);
        let welcome = Welcome {
            protocol: Protocols::OURS.max,
            from: Party::default(),
            standing: Standing::Member,
            frame_bytes_max: 1 << 20,
        };
        let outcome = dials.frame(now, THERE, Frame::Welcome(welcome), &mut out);
        assert!(matches!(outcome, Some(Outcome::Welcomed { number: PEER, .. })));
        assert!(!dials.holds(THERE));
        dials
    }

    /// Whether it dials at once when the connection is gone at that time.
    fn dials_at_once(lasted: u64, was_of_use: bool) -> bool {
        let (mut dials, mut out) = (connected(), Vec::new());
        dials.gone(Time(lasted), PEER, was_of_use, &mut out);
        let dialled = matches!(out[..], [Order::Dial(DialId(2), _)]);
        assert_eq!(dialled, !out.is_empty());
        dialled
    }

    #[test]
    fn a_connection_that_lasted_is_dialled_again_at_once() {
        assert!(dials_at_once(PAUSE_MAX, true));
        assert!(!dials_at_once(PAUSE_MAX - 1, true));
        assert!(!dials_at_once(PAUSE_MAX, false));
    }

    #[test]
    fn whoever_is_not_wanted_is_neither_dialled_nor_greeted() {
        let mut dials = Dials::new(Party::default(), 1000, 7);
        let (mut out, now) = (Vec::new(), Time(0));
        dials.keep(now, (2, Role::Peer), Believed::default(), &mut out);
        dials.keep(now, (3, Role::Peer), Believed::default(), &mut out);
        dials.dialled(now, DialId(2), Ok(THERE), &mut out);
        out.clear();
        dials.retain(|_| false, &mut out);
        let hangs_up = matches!(out[..], [Order::GiveUp(DialId(1)), Order::Close(THERE)]);
        assert!(hangs_up, "{out:?}");
        assert_eq!(dials.next_deadline(), None);
    }
}
