//! The simulated network: wires that carry bytes in order in both directions, or break.
//!
//! As with TCP, nothing is lost on a wire that holds. What cannot be delivered because a
//! direction is cut waits; if the cut lasts, the wire breaks. Frames are encoded by the sender
//! and decoded by the receiver with the production codec, in pieces of any size.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use raft_node::random::Random;
use raft_node::wire::{Decoder, Encoded, FRAME_BYTES_MAX, Frame, RawFrame};

use crate::clock::{Clock, Happening};

/// A wire, never numbered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WireId(pub u64);

/// Where a wire ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// At a server, by its number.
    Host(usize),
    /// At a client, by its number.
    Client(usize),
}

/// Which of a wire's ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// The one that dialled.
    Dialler,
    /// The one that was dialled.
    Listener,
}

/// How long things take, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    /// A message usually takes up to this.
    pub usual: u64,
    /// One in so many takes longer; none if zero.
    pub slow_one_in: u64,
    /// Up to this.
    pub slow: u64,
}

/// All wires, and which directions are cut.
#[derive(Debug)]
pub struct Network {
    wires: BTreeMap<WireId, Wire>,
    cut: BTreeSet<(Place, Place)>,
    last: u64,
    /// How long messages take.
    pub delays: Delays,
}

#[derive(Debug)]
struct Wire {
    dialler: Half,
    listener: Half,
    breaking: bool,
}

/// One end, and the direction away from it.
#[derive(Debug)]
struct Half {
    place: Place,
    open: bool,
    decoder: Decoder,
    /// When the last bytes that it sent arrive.
    arrival: u64,
    /// The socket takes no bytes.
    stalled: bool,
    held: Vec<Bytes>,
}

impl End {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Listener,
            Self::Listener => Self::Dialler,
        }
    }
}

impl Delays {
    /// Once nothing is wrong any more.
    pub const CALM: Self = Self { usual: 3, slow_one_in: 0, slow: 0 };

    /// How long the next thing takes.
    pub fn draw(&self, random: &mut Random) -> u64 {
        if self.slow_one_in > 0 && random.below(self.slow_one_in) == 0 {
            return 1 + random.below(self.slow);
        }
        1 + random.below(self.usual)
    }
}

impl Wire {
    const fn half(&self, end: End) -> &Half {
        match end {
            End::Dialler => &self.dialler,
            End::Listener => &self.listener,
        }
    }

    const fn half_mut(&mut self, end: End) -> &mut Half {
        match end {
            End::Dialler => &mut self.dialler,
            End::Listener => &mut self.listener,
        }
    }
}

impl Half {
    fn new(place: Place) -> Self {
        Self {
            place,
            open: true,
            decoder: Decoder::new(),
            arrival: 0,
            stalled: false,
            held: Vec::new(),
        }
    }
}

impl Network {
    /// Nobody is connected.
    #[must_use]
    pub const fn new(delays: Delays) -> Self {
        Self { wires: BTreeMap::new(), cut: BTreeSet::new(), last: 0, delays }
    }

    /// A wire between two places.
    pub fn connect(&mut self, dialler: Place, listener: Place) -> WireId {
        self.last += 1;
        let (dialler, listener) = (Half::new(dialler), Half::new(listener));
        self.wires.insert(WireId(self.last), Wire { dialler, listener, breaking: false });
        WireId(self.last)
    }

    /// Who is at an end.
    #[must_use]
    pub fn place(&self, wire: WireId, end: End) -> Option<Place> {
        Some(self.wires.get(&wire)?.half(end).place)
    }

    /// Whether anybody still listens at an end.
    #[must_use]
    pub fn is_open(&self, wire: WireId, end: End) -> bool {
        self.wires.get(&wire).is_some_and(|found| found.half(end).open)
    }

    /// Whether bytes from one place reach the other.
    #[must_use]
    pub fn is_cut(&self, from: Place, to: Place) -> bool {
        self.cut.contains(&(from, to))
    }

    /// Cuts one direction.
    pub fn cut(&mut self, from: Place, to: Place) {
        if from != to {
            self.cut.insert((from, to));
        }
    }

    /// Mends all directions; what waited flows.
    pub fn mend(&mut self, clock: &mut Clock, random: &mut Random) {
        self.cut.clear();
        self.flow(clock, random);
    }

    /// Lets through whatever need not wait any longer.
    fn flow(&mut self, clock: &mut Clock, random: &mut Random) {
        let ids: Vec<WireId> = self.wires.keys().copied().collect();
        for wire in ids {
            for end in [End::Dialler, End::Listener] {
                let Some(half) = self.wires.get_mut(&wire).map(|w| w.half_mut(end)) else {
                    continue;
                };
                if !half.stalled {
                    for bytes in std::mem::take(&mut half.held) {
                        self.carry(clock, random, wire, end, bytes);
                    }
                }
            }
        }
    }

    /// Sends a frame from an end.
    pub fn send(
        &mut self,
        clock: &mut Clock,
        random: &mut Random,
        (wire, end): (WireId, End),
        frame: Encoded,
    ) {
        let bytes: Vec<u8> = frame.into_slices().flatten().collect();
        self.carry(clock, random, wire, end, bytes.into());
    }

    fn carry(
        &mut self,
        clock: &mut Clock,
        random: &mut Random,
        wire: WireId,
        end: End,
        mut bytes: Bytes,
    ) {
        let Some(found) = self.wires.get_mut(&wire) else { return };
        let (from, to) = (found.half(end).place, found.half(end.other()).place);
        let half = found.half_mut(end);
        if !half.open {
            return;
        }
        if half.stalled || self.cut.contains(&(from, to)) {
            half.held.push(bytes);
            if !half.stalled && !std::mem::replace(&mut found.breaking, true) {
                clock.after(20 + random.below(4000), Happening::Snap(wire));
            }
            return;
        }
        // Streams have no frames: sometimes a frame comes in two pieces.
        if bytes.len() > 1 && random.below(16) == 0 {
            let first = bytes.split_to(1 + random.below(bytes.len() as u64 - 1) as usize);
            half.deliver(clock, random, self.delays, (wire, end), first);
        }
        half.deliver(clock, random, self.delays, (wire, end), bytes);
    }

    /// The frames that are complete once these bytes have arrived.
    pub fn receive(
        &mut self,
        wire: WireId,
        end: End,
        bytes: &[u8],
    ) -> Option<Result<Vec<Frame>, String>> {
        let half = self.wires.get_mut(&wire)?.half_mut(end);
        half.open.then(|| {
            half.decoder.set_frame_bytes_max(FRAME_BYTES_MAX);
            half.decoder.buffer().extend_from_slice(bytes);
            let mut frames = Vec::new();
            while let Some(raw) = half.decoder.next_frame().map_err(|error| error.to_string())? {
                frames.push(RawFrame::decode(raw).map_err(|error| error.to_string())?);
            }
            Ok(frames)
        })
    }

    /// An end hangs up; what it said before still arrives, and then the other end knows.
    pub fn close(&mut self, clock: &mut Clock, random: &mut Random, wire: WireId, end: End) {
        let delay = self.delays.draw(random);
        self.hang_up(clock, random, (wire, end), delay);
    }

    /// A process ended: its machine hangs up for it.
    pub fn drop_all(&mut self, clock: &mut Clock, random: &mut Random, place: Place) {
        for end in self.ends_at(place) {
            let delay = self.delays.draw(random);
            self.hang_up(clock, random, end, delay);
        }
    }

    /// A machine went dark: nobody tells the other ends, who find out much later.
    pub fn go_dark(&mut self, clock: &mut Clock, random: &mut Random, place: Place) {
        for end in self.ends_at(place) {
            let delay = 100 + random.below(4000);
            self.hang_up(clock, random, end, delay);
        }
    }

    fn ends_at(&self, place: Place) -> Vec<(WireId, End)> {
        let mut ends = Vec::new();
        for (wire, found) in &self.wires {
            for end in [End::Dialler, End::Listener] {
                if found.half(end).place == place {
                    ends.push((*wire, end));
                }
            }
        }
        ends
    }

    fn hang_up(
        &mut self,
        clock: &mut Clock,
        random: &mut Random,
        (wire, end): (WireId, End),
        delay: u64,
    ) {
        let Some(found) = self.wires.get_mut(&wire) else { return };
        let (from, to) = (found.half(end).place, found.half(end.other()).place);
        let half = found.half_mut(end);
        if !std::mem::replace(&mut half.open, false) {
            return;
        }
        half.held.clear();
        let arrival = half.arrival.saturating_sub(clock.now().0);
        let delay = if self.cut.contains(&(from, to)) { random.below(4000) } else { delay };
        if found.half(end.other()).open {
            clock.after(delay.max(arrival), Happening::Hangup { wire, end: end.other() });
        } else {
            self.wires.remove(&wire);
        }
    }

    /// A wire breaks. The ends that are to be told.
    pub fn snap(&mut self, wire: WireId) -> Vec<(Place, End)> {
        let Some(found) = self.wires.remove(&wire) else { return Vec::new() };
        let ends = [End::Dialler, End::Listener].into_iter();
        ends.filter(|end| found.half(*end).open).map(|end| (found.half(end).place, end)).collect()
    }

    /// Wires that hold, to choose from.
    #[must_use]
    pub fn wires(&self) -> Vec<WireId> {
        self.wires.keys().copied().collect()
    }

    /// A sender's socket fills up: nothing more goes out for a while. False if it has already.
    pub fn stall(&mut self, wire: WireId, end: End) -> bool {
        let half = self.wires.get_mut(&wire).map(|found| found.half_mut(end));
        half.is_some_and(|half| half.open && !std::mem::replace(&mut half.stalled, true))
    }

    /// It takes bytes again.
    pub fn unstall(&mut self, clock: &mut Clock, random: &mut Random, wire: WireId, end: End) {
        if let Some(found) = self.wires.get_mut(&wire) {
            found.half_mut(end).stalled = false;
        }
        self.flow(clock, random);
    }
}

impl Half {
    fn deliver(
        &mut self,
        clock: &mut Clock,
        random: &mut Random,
        delays: Delays,
        (wire, end): (WireId, End),
        bytes: Bytes,
    ) {
        let now = clock.now().0;
        self.arrival = self.arrival.max(now + delays.draw(random));
        let end = end.other();
        clock.after(self.arrival - now, Happening::Bytes { wire, end, bytes });
    }
}
