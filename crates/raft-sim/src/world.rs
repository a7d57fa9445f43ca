//! What all servers and clients of a simulation share: time, chance, the network, and the
//! checkers that see everything.

use std::collections::BTreeMap;
use std::fmt;

use raft_core::Time;
use raft_node::random::Random;
use raft_node::wire::{Encoded, Frame};

use crate::chance::stream;
use crate::checkers::Checkers;
use crate::clock::{Clock, Happening, HostClock};
use crate::disk::Atlas;
use crate::faults::Settings;
use crate::network::{End, Network, Place, WireId, insane};
use crate::plan::Plan;
use crate::schedule::Troubles;
use crate::trace::What;
use crate::witness::Allowance;

/// The surroundings of everybody.
#[derive(Debug)]
pub struct World {
    /// True time.
    pub clock: Clock,
    /// The chance of whoever acts at the moment: see [`World::act_as`].
    pub random: Random,
    /// The wires.
    pub network: Network,
    /// What must never happen.
    pub checkers: Checkers,
    /// What is run.
    pub plan: Plan,
    /// How this run differs from others.
    pub settings: Settings,
    /// Whose disks may be damaged.
    pub atlas: Atlas,
    /// What went wrong on purpose.
    pub troubles: Troubles,
    /// How much happened so far: wakes of servers and clients, and what was on the agenda.
    pub events: u64,
    /// No more faults.
    pub calm: bool,
    /// How large text logs may grow.
    pub(crate) allowance: Allowance,
    /// Who acts, if it is a server or a client.
    actor: Option<Place>,
    /// Who has acted, or was acted on, since anybody looked.
    touched: Vec<Place>,
    /// Of everybody; what stands there of whoever acts is old.
    chances: BTreeMap<Option<Place>, Random>,
    /// Of the hosts.
    clocks: Vec<HostClock>,
    disks: BTreeMap<usize, DiskTime>,
}

/// What a machine's disk is doing.
#[derive(Clone, Copy, Debug, Default)]
struct DiskTime {
    /// It takes nothing until then.
    hangs_until: Time,
    /// The log has been writing since then.
    writes_since: Option<Time>,
}

impl World {
    /// A world at time zero.
    #[must_use]
    pub fn new(plan: &Plan, traced: bool) -> Self {
        let settings = Settings::draw(plan);
        // Nonsense and damage together are more than a minority does.
        let atlas = match settings.insane {
            Some(_) => Atlas::default(),
            None => {
                let hosts = (settings.founders, settings.joiners);
                Atlas::draw(settings.storage, hosts, &mut stream(plan.seed, "atlas", 0))
            }
        };
        let mut checkers = Checkers::default();
        if traced {
            checkers.observer().tell_all();
        }
        checkers.expect_sessions(settings.sessions());
        checkers.expect_timeout(settings.t);
        let allowance = settings.text_bytes_max.map(Allowance::of_text).unwrap_or_default();
        if let Some(host) = settings.insane {
            checkers.expect_lies_of(host);
        }
        Self {
            clock: Clock::default(),
            network: Network::new(plan.seed, &settings),
            random: stream(plan.seed, "world", 0),
            checkers,
            settings,
            atlas,
            troubles: Troubles::default(),
            events: 0,
            calm: false,
            allowance,
            actor: None,
            touched: Vec::new(),
            chances: BTreeMap::new(),
            clocks: Vec::new(),
            disks: BTreeMap::new(),
            plan: plan.clone(),
        }
    }

    /// What a server was started with. Not all with the same: it is a leader's own say.
    pub(crate) fn allowance(&self, host: usize) -> Allowance {
        if host % 3 == 2 { Allowance::default() } else { self.allowance.clone() }
    }

    /// From here on somebody acts: [`World::random`] is its own stream of chance, and
    /// [`World::now`] is what its clock shows.
    pub fn act_as(&mut self, actor: Place) {
        self.touch(actor);
        if self.actor == Some(actor) {
            return;
        }
        let (purpose, place) = match actor {
            Place::Host(host) => ("host", host),
            Place::Client(client) => ("client", client),
            Place::Stranger(number) => ("stranger", number as usize),
        };
        let own = self.chances.get(&Some(actor)).cloned();
        let own = own.unwrap_or_else(|| stream(self.plan.seed, purpose, place as u64));
        let other = std::mem::replace(&mut self.random, own);
        self.chances.insert(self.actor.replace(actor), other);
    }

    /// When somebody wants to run next may have changed.
    pub fn touch(&mut self, place: Place) {
        if !self.touched.contains(&place) {
            self.touched.push(place);
        }
    }

    /// Somebody who has acted, or was acted on, since anybody looked; in no order.
    pub fn take_touched(&mut self) -> Option<Place> {
        self.touched.pop()
    }

    /// The true time, which nobody knows.
    #[must_use]
    pub const fn time(&self) -> Time {
        self.clock.now()
    }

    /// The time on the clock of whoever acts.
    #[must_use]
    pub fn now(&self) -> Time {
        match self.actor {
            Some(Place::Host(host)) => self.clock_of(host).shows(self.time()),
            _ => self.time(),
        }
    }

    /// A machine's clock.
    #[must_use]
    pub fn clock_of(&self, host: usize) -> HostClock {
        self.clocks.get(host).copied().unwrap_or(HostClock::new(0))
    }

    /// Gives the next machine a clock of its own, fast or slow.
    pub fn add_clock(&mut self) {
        let (host, skew) = (self.clocks.len() as u64, self.settings.skew);
        let drawn = stream(self.plan.seed, "clock", host).below(2 * skew + 1);
        self.clocks.push(HostClock::new(drawn.cast_signed() - skew.cast_signed()));
    }

    /// A machine's clock jumps ahead.
    pub fn clock_jumps(&mut self, host: usize, by: u64) {
        let now = self.time();
        self.touch(Place::Host(host));
        if let Some(clock) = self.clocks.get_mut(host) {
            clock.jump(now, by);
        }
    }

    /// A disk takes nothing for a while.
    pub fn hang_disk(&mut self, host: usize, pause: u64) {
        let until = self.time() + pause;
        let disk = self.disks.entry(host).or_default();
        disk.hangs_until = disk.hangs_until.max(until);
    }

    /// Until when a disk takes nothing, if it does not.
    #[must_use]
    pub fn disk_hangs_until(&self, host: usize) -> Option<Time> {
        let until = self.disks.get(&host)?.hangs_until;
        (until > self.time() && !self.calm).then_some(until)
    }

    /// A log begins to write: how long that takes, if the disk does not hang.
    pub fn begin_sync(&mut self, host: usize) -> u64 {
        self.disks.entry(host).or_default().writes_since = Some(self.time());
        let hangs = self.settings.sync_hangs_one_in;
        if !self.calm && hangs > 0 && self.random.below(hangs) == 0 {
            return self.random.below(3 * self.settings.t);
        }
        1 + self.random.below(if self.calm { 3 } else { self.settings.sync })
    }

    /// It has written, or will never end.
    pub fn end_sync(&mut self, host: usize) {
        self.disks.entry(host).or_default().writes_since = None;
    }

    /// Since when a log has been writing, if it does.
    #[must_use]
    pub fn writes_since(&self, host: usize) -> Option<Time> {
        self.disks.get(&host)?.writes_since
    }

    /// How often each probe was reached.
    #[must_use]
    pub fn probes(&mut self) -> BTreeMap<&'static str, u64> {
        let mut probes = self.checkers.observer().reached();
        probes.extend(&self.network.counted);
        probes
    }

    /// Puts something on the agenda: after so long on the clock of whoever acts.
    pub fn after(&mut self, delay: u64, what: Happening) {
        let delay = match self.actor {
            Some(Place::Host(host)) => {
                let clock = self.clock_of(host);
                clock.when(clock.shows(self.time()) + delay) - self.time()
            }
            _ => delay,
        };
        self.clock.after(delay, what);
    }

    /// Whether anybody will read the trace.
    #[must_use]
    pub const fn is_traced(&mut self) -> bool {
        self.checkers.observer().is_telling()
    }

    /// Writes a line of the trace.
    pub fn trace(&mut self, line: fmt::Arguments<'_>) {
        self.checkers.observer().tell(|| What::Told(line.to_string()));
    }

    /// Something is about to happen now.
    pub fn tick(&mut self, now: Time, number: u64) {
        self.events += 1;
        let observer = self.checkers.observer();
        observer.at(now);
        observer.hash().number(now.0);
        observer.hash().number(number);
    }

    /// The trace hash of all that happened so far, and of all chance that is left.
    pub fn hash(&mut self) -> u128 {
        let hash = self.checkers.observer().hash();
        let others = self.chances.iter().filter(|(of, _)| **of != self.actor);
        let others = others.map(|(_, random)| random);
        for random in others.chain([&self.random]).chain(self.network.chances()) {
            hash.number(random.clone().next_u64());
        }
        hash.digest()
    }

    /// Hangs up.
    pub fn close(&mut self, wire: WireId, end: End) {
        self.network.close(&mut self.clock, wire, end);
    }

    /// Sends a frame.
    pub fn send(&mut self, from: (WireId, End), frame: Encoded) {
        let frame = self.nonsense(from, &frame).unwrap_or(frame);
        let hash = self.checkers.observer().hash();
        hash.number(from.0.0);
        frame.slices().for_each(|part| hash.bytes(part));
        self.network.send(&mut self.clock, from, frame);
    }

    /// What a member that has lost its mind says instead.
    fn nonsense(&mut self, (wire, end): (WireId, End), frame: &Encoded) -> Option<Encoded> {
        let insane = self.settings.insane.filter(|_| !self.calm)?;
        if self.network.place(wire, end)? != Place::Host(insane) || self.random.below(6) > 0 {
            return None;
        }
        let Place::Host(receiver) = self.network.place(wire, end.other())? else { return None };
        let known = self.checkers.known_to(receiver);
        let said = insane::instead_of(frame, known, &mut self.random)?;
        self.checkers.probe("nonsense said");
        Some(said)
    }

    /// Bytes arrived at an end: the frames that are complete now.
    pub fn receive(
        &mut self,
        wire: WireId,
        end: End,
        bytes: &[u8],
    ) -> Option<Result<Vec<Frame>, String>> {
        self.checkers.observer().hash().bytes(bytes);
        let received = self.network.receive(wire, end, bytes)?;
        let from = self.network.place(wire, end.other());
        let to = self.network.place(wire, end);
        if let (Ok(frames), Some(from), Some(to)) = (&received, from, to) {
            for frame in frames {
                self.checkers.observer().received(from, to, frame);
            }
        }
        Some(received)
    }

    /// Starts a dial: it reaches the other machine after a while.
    pub fn dial(&mut self, from: Place, address: String, dial: u64) {
        let delay = self.network.delays.draw(&mut self.random);
        self.after(delay, Happening::Knock { from, address, dial });
    }
}
