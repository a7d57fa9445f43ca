//! The reactor: the one thread that owns the sockets, the core and the cheap part of applying.
//!
//! A cycle: take everything that arrived, step the replica once, carry out what it wants, write
//! to every touched socket once. Deadlines are looked at after the sockets were drained: a node
//! that was stalled never starts an election over messages that lie in its buffers.

mod bind;
mod effects;
mod frames;
mod sockets;
mod space;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use raft_core::{Index, Lane, NodeId, Time};
use raft_log::MemberIdentity;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::binding::{Binding, Boot};
use crate::hello::Welcome;
use crate::node::Failure;
use crate::node::connection::{Connection, hear_sockets};
use crate::node::dial::Dialler;
use crate::node::helper::Helper;
use crate::node::incoming::{Incoming, Local};
use crate::node::observe::count;
use crate::node::output::Output;
use crate::node::site::Site;
use crate::node::wal::Wal;
use crate::protocol::Reply;
use crate::replica::{Effect, Event, Machine, Origin, Replica};
use space::Space;

/// How a member's life in the cluster ends.
#[derive(Debug)]
enum End {
    Stopped,
    Removed(Index),
    Failed(Failure),
}

/// How a member's life in the cluster ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It was asked to stop, and has handed leadership over if it could.
    Stopped,
    /// It was removed; its state machine may be wanted again.
    Removed { at: Index, machine: Box<Machine> },
    /// It must not go on.
    Failed(Failure),
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Party {
    /// Nobody has said hello yet.
    Stranger,
    /// A client.
    Client,
    /// A member whose connection is not bound to a start of it yet.
    Unbound(NodeId, Lane),
    /// A member that dialled us.
    Inbound(NodeId),
    /// A member that we dialled.
    Outbound(NodeId),
    /// Somebody who is told something and then hangs up.
    Passing,
    /// Somebody who is told something before we hang up.
    Leaving,
}

/// A connection and what the reactor knows of it.
#[derive(Debug)]
struct Peerage {
    connection: Rc<Connection>,
    party: Party,
    /// The start that a member said it is.
    boot: Boot,
    /// Requests under way for it.
    load: usize,
    /// It is not read until its load falls.
    paused: bool,
    /// Its socket is full.
    blocked: bool,
}

/// What the reactor is given to begin with.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) replica: Replica,
    pub(super) wal: Wal,
    pub(super) wal_wake: Arc<Notify>,
    pub(super) helper: Helper,
    pub(super) binding: Binding,
    pub(super) boot: raft_log::Boot,
    pub(super) origin: Instant,
    pub(super) spares: raft_log::SpareMaker,
}

pub(super) struct Reactor<'a> {
    site: &'a mut Site,
    me: MemberIdentity,
    parts: Parts,
    output: &'a Output,
    connections: BTreeMap<u64, Peerage>,
    inbound: BTreeMap<NodeId, u64>,
    outbound: BTreeMap<NodeId, u64>,
    diallers: BTreeMap<NodeId, Dialler>,
    /// The program's own requests.
    local: BTreeMap<u64, oneshot::Sender<Reply>>,
    /// Welcomes of connections that are not bound yet.
    welcomes: BTreeMap<u64, Welcome>,
    next_local: u64,
    /// Until when those who dialled in must have said who they are.
    guests: VecDeque<(Time, u64)>,
    space: Space,
    /// When the requests answered in this cycle had arrived.
    answered: Vec<u64>,
    events: Vec<Event>,
    effects: Vec<Effect>,
    touched: BTreeSet<u64>,
    persisted: raft_core::Ticket,
    leader: Option<(NodeId, u64)>,
    stop_by: Option<Time>,
    end: Option<End>,
}

impl<'a> Reactor<'a> {
    pub(super) fn new(
        site: &'a mut Site,
        me: MemberIdentity,
        parts: Parts,
        output: &'a Output,
    ) -> Self {
        Self {
            site,
            me,
            parts,
            output,
            connections: BTreeMap::new(),
            inbound: BTreeMap::new(),
            outbound: BTreeMap::new(),
            diallers: BTreeMap::new(),
            local: BTreeMap::new(),
            welcomes: BTreeMap::new(),
            next_local: 0,
            guests: VecDeque::new(),
            space: Space::default(),
            answered: Vec::new(),
            events: Vec::new(),
            effects: Vec::new(),
            touched: BTreeSet::new(),
            persisted: raft_core::Ticket(0),
            leader: None,
            stop_by: None,
            end: None,
        }
    }

    /// Runs until this life ends.
    pub(super) async fn run(mut self) -> Ended {
        let membership = Arc::clone(self.parts.replica.raft().membership());
        self.membership_changed(&membership);
        self.want_slot();
        self.want_look();
        loop {
            self.wait().await;
            while let Some(incoming) = self.site.next_ready() {
                self.incoming(incoming);
            }
            self.cycle();
            // A removed member still shows what it was part of.
            let catches_up = matches!(self.end, Some(End::Removed(_)))
                && self.stop_by.is_none()
                && self.parts.replica.is_behind();
            if let Some(end) = self.end.take_if(|_| !catches_up) {
                return self.finish(end);
            }
        }
    }

    /// Sleeps until there is something to do.
    async fn wait(&mut self) {
        if self.has_work() {
            tokio::task::yield_now().await;
            return;
        }
        let deadline = [
            self.parts.replica.next_deadline(),
            self.parts.binding.next_deadline(),
            self.guests.front().map(|(deadline, _)| *deadline),
            self.space.again,
            self.stop_by,
        ];
        let deadline = deadline.into_iter().flatten().min();
        let at = self.instant(deadline);
        let wake = Arc::clone(&self.parts.wal_wake);
        tokio::select! {
            biased;
            Some(incoming) = self.site.next() => self.incoming(incoming),
            () = wake.notified() => {}
            () = sleep_until(at), if deadline.is_some() => {
                // The sockets first: see the head of this file.
                hear_sockets().await;
            }
        }
    }

    /// Whether the last cycle left something for the next one. What sockets took can wait.
    fn has_work(&self) -> bool {
        self.parts.replica.has_backlog()
            || !self.touched.is_empty()
            || self.events.iter().any(|event| !matches!(event, Event::Sent { .. }))
    }

    fn now(&self) -> Time {
        Time(u64::try_from(self.parts.origin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn instant(&self, time: Option<Time>) -> Instant {
        self.parts.origin + Duration::from_millis(time.map_or(0, |time| time.0))
    }

    fn cycle(&mut self) {
        let now = self.now();
        count(&self.site.observed.counters.wakeups);
        self.look_at_disk();
        self.space_timer(now);
        if self.parts.replica.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.events.push(Event::Timer);
        }
        let mut effects = std::mem::take(&mut self.effects);
        self.parts.replica.step(now, self.events.drain(..), &mut effects);
        for effect in effects.drain(..) {
            self.carry_out(effect);
        }
        self.effects = effects;
        if self.parts.binding.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.binding_timer(now);
        }
        self.turn_out_guests(now);
        self.flush();
        self.measure();
        self.look_at_stop(now);
        self.tell_readiness();
    }

    fn look_at_disk(&mut self) {
        let durable = self.parts.wal.durable();
        if durable > self.persisted {
            self.persisted = durable;
            self.events.push(Event::Persisted(durable));
            self.want_slot_after_write();
            self.look_at_space();
        }
        if let Some(what) = self.parts.wal.take_no_space() {
            self.no_space(what);
        }
        if let Some(failure) = self.parts.wal.failed() {
            self.fail(failure);
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.end_with(End::Failed(failure));
    }

    /// A failure is the last word: no life goes on after it.
    fn end_with(&mut self, end: End) {
        if !matches!(self.end, Some(End::Failed(_))) {
            self.end = Some(end);
        }
    }

    /// How long the requests that were answered in this cycle took.
    fn measure(&mut self) {
        if !self.answered.is_empty() {
            let now = self.site.observed.now_us();
            let took = self.answered.drain(..).map(|since| now.saturating_sub(since));
            self.site.observed.requests.record(took);
        }
    }

    fn look_at_stop(&mut self, now: Time) {
        let Some(by) = self.stop_by else { return };
        let raft = self.parts.replica.raft();
        let leads_on = raft.is_leader() && raft.handing_over().is_some();
        if now >= by || (!leads_on && !self.parts.replica.owes_answers()) {
            self.end.get_or_insert(End::Stopped);
        }
    }

    /// Ready: a leader is known and everything that it had committed is applied.
    fn tell_readiness(&self) {
        let raft = self.parts.replica.raft();
        let ready = raft.leader().is_some()
            && raft.commit_index() > Index(0)
            && self.parts.replica.applied_index() >= raft.commit_index();
        if ready {
            self.site.ready.set();
        }
    }

    fn incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Accepted { stream } => self.accepted(stream),
            Incoming::Frames { connection, frames } => self.frames(connection, frames),
            Incoming::Closed { connection, error } => self.closed(connection, &error),
            Incoming::Wrote { connection } => self.tell_sent(connection),
            Incoming::Drained { connection } => self.drained(connection),
            Incoming::Dialled { peer, dialled } => self.dialled(peer, *dialled),
            Incoming::Refused { peer } => self.events.push(Event::Refused { peer }),
            Incoming::Unwelcome { peer, refused } => self.unwelcome(peer, &refused),
            Incoming::Met { request, result } => self.events.push(Event::Met { request, result }),
            Incoming::LogRead { request, chunk } => {
                self.events.push(Event::LogRead { request, chunk });
            }
            Incoming::ReadFailed { failure } => self.fail(failure),
            Incoming::Disk { used, free } => self.disk_seen(used, free),
            Incoming::Spare { result } => self.slot_made(result),
            Incoming::Local(Local::Ask { request, reply }) => {
                self.next_local += 1;
                let number = self.next_local;
                self.local.insert(number, reply);
                let origin = Origin {
                    connection: 0,
                    request: number,
                    forwarded: false,
                    since_us: self.site.observed.now_us(),
                };
                self.events.push(Event::Request { origin, request });
            }
            Incoming::Local(Local::Stop) => {
                self.events.push(Event::HandOver);
                let patience = self.site.settings.election_timeout;
                let by = self.now() + u64::try_from(patience.as_millis()).unwrap_or(0);
                self.stop_by.get_or_insert(by);
            }
        }
    }

    /// Ends all conversations; what the disk was given is written.
    fn finish(mut self, end: End) -> Ended {
        self.diallers.clear();
        for peerage in self.connections.values() {
            peerage.connection.close();
        }
        self.site.ready.clear();
        match end {
            End::Stopped => Ended::Stopped,
            End::Failed(failure) => Ended::Failed(failure),
            End::Removed(at) => {
                Ended::Removed { at, machine: Box::new(self.parts.replica.into_machine()) }
            }
        }
    }
}
