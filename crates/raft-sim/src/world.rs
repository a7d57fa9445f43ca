//! What all servers and clients of a simulation share: time, chance, the network, and the
//! checkers that see everything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use raft_core::Time;
use raft_node::random::Random;

use crate::chance::stream;
use crate::checkers::Checkers;
use crate::clock::{Clock, Happening, HostClock};
use crate::faults::{Settings, T};
use crate::network::{End, Network, Place, WireId, insane};
use crate::plan::Plan;
use crate::schedule::Troubles;

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
    /// What went wrong on purpose.
    pub troubles: Troubles,
    /// No more faults.
    pub calm: bool,
    /// Who acts, if it is a server or a client.
    actor: Option<Place>,
    /// Who has acted, or was acted on, since anybody looked.
    touched: BTreeSet<Place>,
    chances: BTreeMap<Option<Place>, Random>,
    clocks: BTreeMap<usize, HostClock>,
    disks: BTreeMap<usize, DiskTime>,
    trace: Option<Vec<String>>,
    digest: u64,
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
        Self {
            clock: Clock::default(),
            network: Network::new(plan.seed, settings.delays),
            random: stream(plan.seed, "world", 0),
            checkers: Checkers::default(),
            settings,
            troubles: Troubles::default(),
            calm: false,
            actor: None,
            touched: BTreeSet::new(),
            chances: BTreeMap::new(),
            clocks: BTreeMap::new(),
            disks: BTreeMap::new(),
            trace: traced.then(Vec::new),
            digest: plan.seed,
            plan: plan.clone(),
        }
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
        };
        let own = self.chances.remove(&Some(actor));
        let own = own.unwrap_or_else(|| stream(self.plan.seed, purpose, place as u64));
        let other = std::mem::replace(&mut self.random, own);
        self.chances.insert(self.actor.replace(actor), other);
    }

    /// When somebody wants to run next may have changed.
    pub fn touch(&mut self, place: Place) {
        self.touched.insert(place);
    }

    /// Who has acted, or was acted on, since anybody looked.
    pub fn take_touched(&mut self) -> BTreeSet<Place> {
        std::mem::take(&mut self.touched)
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
        self.clocks.get(&host).copied().unwrap_or(HostClock::new(0))
    }

    /// Gives a machine a clock of its own, fast or slow.
    pub fn set_clock(&mut self, host: usize) {
        let skew = self.settings.skew;
        let drawn = stream(self.plan.seed, "clock", host as u64).below(2 * skew + 1);
        self.clocks.insert(host, HostClock::new(drawn.cast_signed() - skew.cast_signed()));
    }

    /// A machine's clock jumps ahead.
    pub fn clock_jumps(&mut self, host: usize, by: u64) {
        let now = self.time();
        self.touch(Place::Host(host));
        if let Some(clock) = self.clocks.get_mut(&host) {
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
            return self.random.below(3 * T);
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

    /// How often what happened.
    #[must_use]
    pub fn probes(&self) -> BTreeMap<&'static str, u64> {
        let probes = self.checkers.probes().iter().chain(&self.network.counted);
        probes.map(|(what, often)| (*what, *often)).collect()
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
    pub const fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// Writes a line of the trace.
    pub fn trace(&mut self, line: fmt::Arguments<'_>) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>7} {line}", self.clock.now().0));
        }
    }

    /// The lines so far.
    #[must_use]
    pub fn take_trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }

    /// Mixes a number into the digest of this run.
    pub const fn mix(&mut self, number: u64) {
        self.digest = (self.digest.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// The digest of all that happened so far: the same for the same seed.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// Hangs up.
    pub fn close(&mut self, wire: WireId, end: End) {
        self.network.close(&mut self.clock, wire, end);
    }

    /// Sends a frame.
    pub fn send(&mut self, (wire, end): (WireId, End), frame: raft_node::wire::Encoded) {
        self.mix(wire.0);
        self.mix(u64::from(frame.slices().fold(0, |crc, part| crc32c::crc32c_append(crc, part))));
        let frame = self.nonsense((wire, end), &frame).unwrap_or(frame);
        self.network.send(&mut self.clock, (wire, end), frame);
    }

    /// What a member that has lost its mind says instead.
    fn nonsense(
        &mut self,
        (wire, end): (WireId, End),
        frame: &raft_node::wire::Encoded,
    ) -> Option<raft_node::wire::Encoded> {
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

    /// Starts a dial: it reaches the other machine after a while.
    pub fn dial(&mut self, from: Place, address: String, dial: u64) {
        let delay = self.network.delays.draw(&mut self.random);
        self.after(delay, Happening::Knock { from, address, dial });
    }
}
