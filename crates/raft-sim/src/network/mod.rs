//! The simulated network: wires that carry bytes in order in both directions, or break.
//!
//! As with TCP, nothing is lost on a wire that holds, unless a trouble makes it so. What cannot be
//! delivered because a direction is cut waits; if the cut lasts, the wire breaks. Frames are
//! encoded by the sender and decoded by the receiver with the production codec, in pieces of any
//! size. Every wire has chance of its own.

mod delays;
pub mod insane;
mod mute;
mod paths;
mod spoilt;

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_node::random::Random;
use raft_node::wire::{Decoder, Encoded, FRAME_BYTES_MAX, Frame, Kind, RawFrame};

use crate::chance::stream;
use crate::clock::{Clock, Happening};
use crate::faults::Settings;
use crate::plan::Reach;
use delays::way;
use paths::Luck;
use spoilt::{Spoilt, flipped, is_whole};

pub use delays::Delays;
pub use paths::{Loose, Obstacle, Paths};

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
    /// Outside, with what dials by the trouble of this number.
    Stranger(u32),
}

/// Which of a wire's ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// The one that dialled.
    Dialler,
    /// The one that was dialled.
    Listener,
}

/// All wires, and what is in their way.
#[derive(Debug)]
pub struct Network {
    seed: u64,
    wires: BTreeMap<WireId, Wire>,
    /// How many wires there were between two places.
    counts: BTreeMap<(Place, Place), u64>,
    last: u64,
    /// What is between places.
    pub paths: Paths,
    /// How long messages take.
    pub delays: Delays,
    /// How far it goes.
    reach: Reach,
    /// The election timeout T.
    t: u64,
    /// How often a frame was spoilt, and noticed; and what became of single messages.
    pub counted: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
struct Wire {
    dialler: Half,
    listener: Half,
    /// It takes everything so long at least.
    way: u64,
    breaking: bool,
    random: Random,
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
    /// It is about to take none, because the way is too slow.
    filling: bool,
    held: Vec<Bytes>,
    /// A message that the next one overtakes.
    aside: Option<Bytes>,
    /// Bytes that have left.
    sent: u64,
    /// Bytes that its reader has taken.
    taken: u64,
    /// A bit of the next frame flips on its way.
    spoil: bool,
    /// Where a frame is that was spoilt, in bytes that have left.
    spoilt: Option<Spoilt>,
}

/// Where a frame's header says what it is.
const KIND_AT: usize = 4;

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
            filling: false,
            held: Vec::new(),
            aside: None,
            sent: 0,
            taken: 0,
            spoil: false,
            spoilt: None,
        }
    }
}

impl Network {
    /// Nobody is connected.
    #[must_use]
    pub fn new(seed: u64, settings: &Settings) -> Self {
        Self {
            seed,
            wires: BTreeMap::new(),
            counts: BTreeMap::new(),
            last: 0,
            paths: Paths::default(),
            delays: settings.delays,
            reach: settings.reach,
            t: settings.t,
            counted: BTreeMap::new(),
        }
    }

    /// A wire between two places.
    pub fn connect(&mut self, from: Place, to: Place) -> WireId {
        self.last += 1;
        let count = self.counts.entry((from, to)).or_default();
        *count += 1;
        let number = |place| match place {
            Place::Host(host) => 2 * host as u64,
            Place::Client(client) => 2 * client as u64 + 1,
            Place::Stranger(number) => 1 << 19 | u64::from(number),
        };
        let pair = (number(from) << 20 | number(to)) << 20;
        let random = stream(self.seed, "wire", pair | *count);
        let (dialler, listener) = (Half::new(from), Half::new(to));
        let way = self.way(from, to);
        let wire = Wire { dialler, listener, way, breaking: false, random };
        self.wires.insert(WireId(self.last), wire);
        WireId(self.last)
    }

    /// How long everything takes at least between two places.
    #[must_use]
    pub fn way(&self, from: Place, to: Place) -> u64 {
        way(self.seed, self.reach, from, to)
    }

    fn count(&mut self, what: &'static str) {
        *self.counted.entry(what).or_default() += 1;
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

    /// Whether what arrives at an end was damaged on its way.
    #[must_use]
    pub fn is_spoilt(&self, wire: WireId, end: End) -> bool {
        let way = self.wires.get(&wire).map(|found| found.half(end.other()));
        way.is_some_and(|way| way.spoilt.is_some_and(|spoilt| way.taken > spoilt.from))
    }

    /// All directions are open again; what waited flows.
    pub fn mend(&mut self, clock: &mut Clock) {
        self.break_mute(clock);
        self.paths.clear();
        self.flow(clock);
    }

    /// What a trouble has put in the way is gone; what waited for it flows.
    pub fn lift(&mut self, clock: &mut Clock, trouble: u32) {
        self.break_mute(clock);
        self.paths.lift(trouble);
        self.flow(clock);
    }

    /// Lets through whatever need not wait any longer.
    fn flow(&mut self, clock: &mut Clock) {
        let waits = |(wire, found): (&WireId, &Wire)| {
            let waits = !found.dialler.held.is_empty() || !found.listener.held.is_empty();
            waits.then_some(*wire)
        };
        for wire in self.wires.iter().filter_map(waits).collect::<Vec<_>>() {
            for end in [End::Dialler, End::Listener] {
                let Some(half) = self.wires.get_mut(&wire).map(|w| w.half_mut(end)) else {
                    continue;
                };
                if !half.stalled {
                    for bytes in std::mem::take(&mut half.held) {
                        self.carry(clock, wire, end, bytes);
                    }
                }
            }
        }
    }

    /// Sends a frame from an end.
    pub fn send(&mut self, clock: &mut Clock, (wire, end): (WireId, End), frame: Encoded) {
        let Some(found) = self.wires.get_mut(&wire) else { return };
        let is_message = frame.head.get(KIND_AT) == Some(&(Kind::Message as u8));
        let luck = match (found.half(end).place, found.half(end.other()).place) {
            _ if !is_message => Luck::Good,
            (from, to) if self.paths.is_mute(from, to) => Luck::Lost,
            _ => self.paths.luck(&mut found.random),
        };
        let bytes = if frame.trailer.is_empty() {
            frame.head
        } else {
            frame.slices().map(|slice| &slice[..]).collect::<Vec<_>>().concat().into()
        };
        let aside = match luck {
            Luck::Swapped => found.half_mut(end).aside.replace(bytes.clone()),
            _ => found.half_mut(end).aside.take(),
        };
        match luck {
            Luck::Good => self.carry(clock, wire, end, bytes),
            Luck::Lost => self.count("messages lost"),
            Luck::Swapped => self.count("messages swapped"),
            Luck::Doubled => {
                self.count("messages doubled");
                self.carry(clock, wire, end, bytes.clone());
                self.carry(clock, wire, end, bytes);
            }
        }
        if let Some(aside) = aside {
            self.carry(clock, wire, end, aside);
        }
    }

    fn carry(&mut self, clock: &mut Clock, wire: WireId, end: End, mut bytes: Bytes) {
        let Some(found) = self.wires.get_mut(&wire) else { return };
        let (from, to) = (found.half(end).place, found.half(end.other()).place);
        let half = match end {
            End::Dialler => &mut found.dialler,
            End::Listener => &mut found.listener,
        };
        if !half.open {
            return;
        }
        if half.stalled || self.paths.is_cut(from, to) {
            let breaks = !half.stalled && self.paths.breaks(from, to);
            half.held.push(bytes);
            if breaks && !std::mem::replace(&mut found.breaking, true) {
                clock.after(20 + found.random.below(4 * self.t), Happening::Snap(wire));
            }
            return;
        }
        if std::mem::take(&mut half.spoil) {
            let (from, to) = (half.sent, half.sent + bytes.len() as u64);
            half.spoilt.get_or_insert(Spoilt { from, to, read: false });
            bytes = flipped(&bytes, &mut found.random);
            *self.counted.entry("frames spoilt").or_default() += 1;
        }
        half.sent += bytes.len() as u64;
        let limit = self.paths.bytes_per_ms(from, to).map(|limit| (limit, self.t));
        // Streams have no frames: sometimes a frame comes in two pieces.
        if bytes.len() > 1 && found.random.below(16) == 0 {
            let first = bytes.split_to(1 + found.random.below(bytes.len() as u64 - 1) as usize);
            let delay = found.way + self.delays.draw(&mut found.random);
            half.deliver(clock, (wire, end), (delay, limit), first);
        }
        let delay = found.way + self.delays.draw(&mut found.random);
        half.deliver(clock, (wire, end), (delay, limit), bytes);
    }

    /// The frames that are complete once these bytes have arrived. What was spoilt on its way must
    /// be noticed: by its checksum, or by those of the entries in it.
    pub fn receive(
        &mut self,
        wire: WireId,
        end: End,
        bytes: &[u8],
    ) -> Option<Result<Vec<Frame>, String>> {
        let found = self.wires.get_mut(&wire)?;
        let way = found.half_mut(end.other());
        way.taken += bytes.len() as u64;
        let (taken, spoilt) = (way.taken, way.spoilt);
        if let Some(spoilt) = &mut way.spoilt {
            spoilt.read |= taken >= spoilt.to;
        }
        let half = found.half_mut(end);
        if !half.open {
            return None;
        }
        let kept = spoilt.filter(|spoilt| spoilt.read);
        let received = half.take(bytes, taken, spoilt);
        let mistaken = match &received {
            _ if kept.is_some() => Some("a wire is read on that brought a spoilt frame".into()),
            Ok((_, mistaken)) => mistaken.clone(),
            Err(_) => None,
        };
        if let Some(mistaken) = mistaken {
            found.half_mut(end.other()).spoilt = None;
            return Some(Err(mistaken));
        }
        Some(received.map(|(frames, _)| frames))
    }

    /// A bit of the next frame that leaves an end flips. False if nobody is there.
    pub fn spoil(&mut self, wire: WireId, end: End) -> bool {
        let half = self.wires.get_mut(&wire).map(|found| found.half_mut(end));
        half.is_some_and(|half| half.open && !std::mem::replace(&mut half.spoil, true))
    }

    /// An end hangs up; what it said before still arrives, and then the other end knows.
    pub fn close(&mut self, clock: &mut Clock, wire: WireId, end: End) {
        if let Some(found) = self.wires.get_mut(&wire) {
            let delay = found.way + self.delays.draw(&mut found.random);
            self.hang_up(clock, (wire, end), delay);
        }
    }

    /// A process ended: its machine hangs up for it.
    pub fn drop_all(&mut self, clock: &mut Clock, place: Place) {
        for (wire, end) in self.ends_at(place) {
            self.close(clock, wire, end);
        }
    }

    /// A machine went dark: nobody tells the other ends, who find out much later.
    pub fn go_dark(&mut self, clock: &mut Clock, place: Place) {
        for (wire, end) in self.ends_at(place) {
            let random = self.wires.get_mut(&wire).map(|found| &mut found.random);
            let delay = 100 + random.map_or(0, |random| random.below(4 * self.t));
            self.hang_up(clock, (wire, end), delay);
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

    fn hang_up(&mut self, clock: &mut Clock, (wire, end): (WireId, End), delay: u64) {
        let Some(found) = self.wires.get_mut(&wire) else { return };
        let (from, to) = (found.half(end).place, found.half(end.other()).place);
        let half = found.half_mut(end);
        if !std::mem::replace(&mut half.open, false) {
            return;
        }
        half.held.clear();
        let arrival = half.arrival.saturating_sub(clock.now().0);
        let is_cut = self.paths.is_cut(from, to);
        let delay = if is_cut { found.way + found.random.below(4 * self.t) } else { delay };
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

    /// The chance of each wire.
    pub fn chances(&self) -> impl Iterator<Item = &Random> {
        self.wires.values().map(|wire| &wire.random)
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
    pub fn unstall(&mut self, clock: &mut Clock, wire: WireId, end: End) {
        if let Some(found) = self.wires.get_mut(&wire) {
            let half = found.half_mut(end);
            (half.stalled, half.filling) = (false, false);
        }
        self.flow(clock);
    }
}

impl Half {
    fn deliver(
        &mut self,
        clock: &mut Clock,
        (wire, end): (WireId, End),
        (delay, limit): (u64, Option<(u64, u64)>),
        bytes: Bytes,
    ) {
        let now = clock.now().0;
        self.arrival = self.arrival.max(now + delay);
        if let Some((bytes_per_ms, t)) = limit {
            // What is under way when the way becomes fast again is not slow for long.
            let slowest = self.arrival.max(now + t);
            self.arrival += (bytes.len() as u64).div_ceil(bytes_per_ms.max(1));
            self.arrival = self.arrival.min(slowest);
            // The socket's buffer holds what is under way for half a second.
            if self.arrival > now + t / 2 && !std::mem::replace(&mut self.filling, true) {
                let until = raft_core::Time(self.arrival);
                clock.after(0, Happening::Filled { wire, end, until });
            }
        }
        let end = end.other();
        clock.after(self.arrival - now, Happening::Bytes { wire, end, bytes });
    }

    /// The frames that are complete with these bytes, and which of them was spoilt and is believed.
    fn take(
        &mut self,
        bytes: &[u8],
        taken: u64,
        spoilt: Option<Spoilt>,
    ) -> Result<(Vec<Frame>, Option<String>), String> {
        self.decoder.set_frame_bytes_max(FRAME_BYTES_MAX);
        self.decoder.buffer().extend_from_slice(bytes);
        let (mut frames, mut mistaken) = (Vec::new(), None);
        while let Some(raw) = self.decoder.next_frame().map_err(|error| error.to_string())? {
            let frame = RawFrame::decode(raw).map_err(|error| error.to_string())?;
            let end = taken - self.decoder.buffer().len() as u64;
            if spoilt.is_some_and(|spoilt| end == spoilt.to) && is_whole(&frame) {
                mistaken = Some(format!("a spoilt frame was taken for {frame:?}"));
            }
            frames.push(frame);
        }
        Ok((frames, mistaken))
    }
}
