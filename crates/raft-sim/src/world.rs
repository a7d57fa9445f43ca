//! What all servers and clients of a simulation share: time, chance, the network, and the
//! checkers that see everything.

use std::fmt;

use raft_core::Time;
use raft_node::random::Random;

use crate::checkers::Checkers;
use crate::clock::{Clock, Happening};
use crate::faults::Settings;
use crate::network::{End, Network, Place, WireId};
use crate::plan::Plan;

/// The surroundings of everybody.
#[derive(Debug)]
pub struct World {
    /// Virtual time.
    pub clock: Clock,
    /// All chance comes from here.
    pub random: Random,
    /// The wires.
    pub network: Network,
    /// What must never happen.
    pub checkers: Checkers,
    /// What is run.
    pub plan: Plan,
    /// How this run differs from others.
    pub settings: Settings,
    /// How many troubles were due so far.
    pub troubles: u32,
    /// No more faults.
    pub calm: bool,
    trace: Option<Vec<String>>,
    digest: u64,
}

impl World {
    /// A world at time zero.
    #[must_use]
    pub fn new(plan: &Plan, traced: bool) -> Self {
        let mut random = Random::new(plan.seed);
        let settings = Settings::draw(&mut random).of(plan);
        Self {
            clock: Clock::default(),
            network: Network::new(settings.delays),
            random,
            checkers: Checkers::default(),
            settings,
            calm: false,
            troubles: 0,
            trace: traced.then(Vec::new),
            digest: plan.seed,
            plan: plan.clone(),
        }
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.clock.now()
    }

    /// Puts something on the agenda.
    pub fn after(&mut self, delay: u64, what: Happening) {
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
        self.network.close(&mut self.clock, &mut self.random, wire, end);
    }

    /// Sends a frame.
    pub fn send(&mut self, from: (WireId, End), frame: raft_node::wire::Encoded) {
        self.mix(from.0.0);
        self.mix(u64::from(frame.slices().fold(0, |crc, part| crc32c::crc32c_append(crc, part))));
        self.network.send(&mut self.clock, &mut self.random, from, frame);
    }

    /// Starts a dial: it reaches the other machine after a while.
    pub fn dial(&mut self, from: Place, address: String, dial: u64) {
        let delay = self.network.delays.draw(&mut self.random);
        self.after(delay, Happening::Knock { from, address, dial });
    }
}
