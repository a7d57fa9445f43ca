//! What all servers and clients of a simulation share: time, chance, the network, and the
//! checkers that see everything.

use std::fmt;

use raft_core::Time;
use raft_node::random::Random;
use raft_node::wire::Frame;

use crate::checkers::Checkers;
use crate::clock::{Clock, Happening};
use crate::faults::Settings;
use crate::network::{End, Network, Place, WireId};
use crate::plan::Plan;
use crate::schedule::Troubles;
use crate::trace::What;

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
    /// What went wrong on purpose.
    pub troubles: Troubles,
    /// How many things happened so far.
    pub events: u64,
    /// No more faults.
    pub calm: bool,
}

impl World {
    /// A world at time zero.
    #[must_use]
    pub fn new(plan: &Plan, traced: bool) -> Self {
        let mut random = Random::new(plan.seed);
        let settings = Settings::draw(&mut random).of(plan);
        let mut checkers = Checkers::default();
        if traced {
            checkers.observer().tell_all();
        }
        Self {
            clock: Clock::default(),
            network: Network::new(settings.delays),
            random,
            checkers,
            settings,
            calm: false,
            troubles: Troubles::default(),
            events: 0,
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
        let mut left = self.random.clone();
        let hash = self.checkers.observer().hash();
        hash.number(left.next_u64());
        hash.digest()
    }

    /// Trouble comes, unless it is left out. It has the next number, and its story is told.
    pub fn trouble(&mut self, kind: &'static str, text: String) -> bool {
        let number = self.troubles.due;
        self.troubles.due += 1;
        if self.plan.without.contains(&number) {
            return false;
        }
        self.checkers.observer().tell(|| What::Trouble { number, text: text.clone() });
        self.troubles.note(number, self.clock.now(), kind, text);
        true
    }

    /// Hangs up.
    pub fn close(&mut self, wire: WireId, end: End) {
        self.network.close(&mut self.clock, &mut self.random, wire, end);
    }

    /// Sends a frame.
    pub fn send(&mut self, from: (WireId, End), frame: raft_node::wire::Encoded) {
        let hash = self.checkers.observer().hash();
        hash.number(from.0.0);
        frame.slices().for_each(|part| hash.bytes(part));
        self.network.send(&mut self.clock, &mut self.random, from, frame);
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
