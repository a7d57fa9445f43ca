//! Carrying out what the resident orders; and the checkers look on.

use raft_core::{Index, RoleKind, Time};
use raft_log::NodeState;
use raft_node::Show;
use raft_node::binding::ConnectionId;
use raft_node::replica::{Effect, Event, Replica, SnapshotAnswer};
use raft_node::resident::{Order, Watch};

use super::{Incoming, Process};
use crate::clock::Happening;
use crate::network::WireId;
use crate::witness::Sight;
use crate::world::World;

/// Shows the checkers what crosses a replica's door.
struct Observer<'a> {
    world: &'a mut World,
    index: usize,
    address: &'a str,
    sight: &'a Sight,
    now: Time,
    timer: bool,
}

impl Watch for Observer<'_> {
    fn event(&mut self, event: &Event) {
        self.world.checkers.takes(self.index, event);
        self.timer |= matches!(event, Event::Timer);
        if self.world.is_traced() {
            let event = crate::trace::event(event);
            self.world.trace(format_args!("{} <- {event}", self.address));
        }
    }

    fn stepped(&mut self, replica: &Replica) {
        let is_due = |deadline| deadline <= self.now;
        if self.timer && replica.next_deadline().is_some_and(is_due) {
            let what = format!("{} wants its timer at once", self.address);
            self.world.checkers.fail("timers", what);
        }
        self.world.checkers.applied(self.index, self.sight.take(), replica);
    }

    fn effect(&mut self, replica: &Replica, effect: &Effect) {
        let Self { world, index, address, .. } = self;
        if world.is_traced() {
            let effect = crate::trace::effect(effect);
            world.trace(format_args!("{address} -> {effect}"));
        }
        match effect {
            Effect::Send { to, message, entries } => {
                world.checkers.sends(*index, *to, (message, entries), replica.raft());
            }
            Effect::Write { write, .. } => {
                world.checkers.handed(*index, write, replica.raft());
            }
            Effect::RoleChanged { role: RoleKind::Leader, term, .. } => {
                world.checkers.leads(*index, *term, replica.raft());
            }
            Effect::Alarm { peer, what } => {
                let what = format!("{address} says that {peer} {what}");
                let expected = world.settings.insane.is_some();
                world.checkers.alarm(what, expected);
            }
            Effect::WriteSnapshot(frozen) => {
                world.checkers.takes_snapshot(*index, frozen.at(), replica);
            }
            Effect::Installed { at, skipped } => {
                if replica.raft().last_log_id().index > at.index {
                    world.checkers.probe("log kept behind a snapshot");
                }
                world.checkers.installs(*index, *at, *skipped);
            }
            Effect::AnswerSnapshot { answer: SnapshotAnswer::Installed, .. } => {
                world.checkers.says_installed(*index);
            }
            Effect::Halt { why } => world.checkers.fail("halt", why.clone()),
            _ => {}
        }
    }
}

impl Process {
    /// One step of the resident, and all that it orders.
    pub(super) fn step(&mut self, world: &mut World) {
        let now = world.now();
        let (index, address, sight) = (self.index, self.address.as_str(), &self.estate.sight);
        world.checkers.begins(index, now);
        let mut observer = Observer { world, index, address, sight, now, timer: false };
        let handed = self.is_handing_over();
        self.resident.step(now, &mut observer);
        if !handed && self.is_handing_over() && self.is_full(world) {
            world.checkers.probe("full leader hands over");
        }
        self.carry_out(world);
        if let Some(member) = self.resident.member() {
            world.checkers.stepped(index, member.replica());
        }
    }

    fn is_handing_over(&self) -> bool {
        let member = self.resident.member();
        member.is_some_and(|member| member.replica().raft().handing_over().is_some())
    }

    /// Whether its own log has too little room to take writes.
    fn is_full(&self, world: &World) -> bool {
        let spare = self.works.as_ref().map_or(0, |works| works.room().spare_bytes);
        let on_disk = self.estate.dir.disk().free_bytes().unwrap_or(0);
        spare.saturating_add(on_disk) < world.settings.limits().reserved_log_bytes
    }

    pub(super) fn carry_out(&mut self, world: &mut World) {
        let mut orders = std::mem::take(&mut self.orders);
        self.resident.take_orders(&mut orders);
        for order in orders.drain(..) {
            if self.ends.is_some() {
                break;
            }
            self.do_as_told(world, order);
        }
        self.orders = orders;
    }

    fn do_as_told(&mut self, world: &mut World, order: Order) {
        let (host, life) = (self.index, self.life);
        match order {
            Order::Push { to, frame, entries } => {
                self.lines.push(world, WireId(to.0), frame, entries);
            }
            Order::Resume(ConnectionId(id)) => {
                if self.lines.resume(WireId(id)) {
                    self.tell_self(world, Incoming::Readable(WireId(id)));
                }
            }
            Order::Close(ConnectionId(id)) => self.lines.close(world, WireId(id)),
            Order::Dial(dial, address) => self.dial(world, dial, address),
            Order::Write { ticket, write } => self.submit(world, ticket, write),
            Order::ReadLog { request, first, last, bytes_max } => {
                let delay = world.random.below(10);
                let read = Happening::Read { host, life, request, first, last, bytes_max };
                world.after(delay, read);
            }
            Order::MakeSlot => {
                let delay = world.random.below(200);
                world.after(delay, Happening::Spare { host, life });
            }
            Order::LookAtDisk => {
                let delay = world.random.below(10);
                world.after(delay, Happening::Look { host, life });
            }
            Order::Store(state) => self.store(world, state),
            Order::Show { index, lines } => self.show(world, index, &lines),
            Order::Report { origin, reply } => {
                self.do_as_told(world, Order::reply(origin, *reply));
            }
            Order::Tell(notice) => world.trace(format_args!("{}: {notice}", self.address)),
            Order::TellRefused(refused) => {
                world.trace(format_args!("{}: {refused}", self.address));
                world.checkers.probe("hello refused");
            }
            Order::TellFolly(what) => self.folly(world, &what),
            Order::Remember(kind, text) => {
                world.trace(format_args!("{}: {kind}: {text}", self.address));
            }
            Order::Snapshot(job) => self.queue_snapshot(world, job),
            Order::Compact(compaction) => self.compact(world, compaction),
            // Dials that nobody waits for come to nothing, bytes have no sockets to wait in, and
            // no program asks its own server.
            Order::Trust(_) | Order::Hurry(_) | Order::GiveUp(_) | Order::Answer { .. } => {}
        }
    }

    /// Nobody says what no correct server says, but a mad one, or one whose words were damaged on
    /// their way.
    fn folly(&self, world: &mut World, what: &str) {
        let what = format!("{}: {what}", self.address);
        if world.settings.insane.is_none() && !self.lines.any_is_spoilt(world) {
            return world.checkers.fail("conversation", what);
        }
        world.checkers.probe("nonsense refused");
        world.trace(format_args!("{what}"));
    }

    /// The process itself has something to do, at once.
    pub(super) fn tell_self(&mut self, world: &World, incoming: Incoming) {
        if self.inbox.is_empty() {
            self.ready_at = world.now();
        }
        self.inbox.push_back(incoming);
    }

    /// Writes down who it is from now on.
    pub(super) fn store(&mut self, world: &mut World, state: NodeState) {
        match self.estate.dir.set_identity(state.clone()) {
            Ok(()) => world.checkers.became(self.index, Some(state)),
            Err(error) => {
                world.checkers.became(self.index, None);
                self.ends = Some(error.to_string());
            }
        }
    }

    /// The mark first: after a crash at most this line is missing, and none repeats.
    fn show(&mut self, world: &mut World, index: Index, lines: &[Show]) {
        if let Some(mark) = &mut self.estate.mark
            && mark.advance(index).is_err()
        {
            self.ends = Some("the shown mark cannot be written".into());
            return;
        }
        if lines.is_empty() {
            // Those up to here came in a snapshot.
            return;
        }
        let mut text = Vec::new();
        for line in lines {
            match line {
                Show::Text(line) => text.extend_from_slice(line),
                Show::View(view) => drop(view.render(&mut text)),
            }
            text.push(b'\n');
        }
        world.checkers.shown(self.index, index, text);
    }
}
