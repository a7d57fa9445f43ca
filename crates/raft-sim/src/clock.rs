//! Virtual time: what happens next, and when. Two things at one time happen in the order in
//! which they were asked for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::Bytes;
use raft_core::{Index, Time};

use crate::network::{End, Place, WireId};

/// The clock and its agenda.
#[derive(Debug, Default)]
pub struct Clock {
    now: Time,
    next: u64,
    /// When, in which order, and where it stands what happens then.
    agenda: BinaryHeap<Reverse<(Time, u64, usize)>>,
    places: Vec<Option<Happening>>,
    free: Vec<usize>,
}

/// The clock of one machine: it never goes back, but it may run fast or slow, and jump ahead as
/// after a suspend.
#[derive(Clone, Copy, Debug)]
pub struct HostClock {
    /// It showed this ...
    shown: u64,
    /// ... at this true time,
    at: u64,
    /// and since then it goes by so many thousandths of a second in one.
    rate: u64,
}

/// A clock that goes right.
const TRUE_RATE: u64 = 1000;

impl HostClock {
    /// A clock that runs fast by so many thousandths, or slow.
    #[must_use]
    pub const fn new(skew: i64) -> Self {
        Self { shown: 0, at: 0, rate: TRUE_RATE.saturating_add_signed(skew) }
    }

    /// What it shows at a true time.
    #[must_use]
    pub const fn shows(&self, at: Time) -> Time {
        Time(self.shown + at.0.saturating_sub(self.at) * self.rate / TRUE_RATE)
    }

    /// The first true time at which it shows this.
    #[must_use]
    pub const fn when(&self, shown: Time) -> Time {
        Time(self.at + (shown.0.saturating_sub(self.shown) * TRUE_RATE).div_ceil(self.rate))
    }

    /// Now it shows more.
    pub const fn jump(&mut self, now: Time, by: u64) {
        self.shown = self.shows(now).0 + by;
        self.at = now.0;
    }
}

/// Something that will happen.
#[derive(Debug)]
pub enum Happening {
    /// Bytes reach an end of a wire.
    Bytes {
        /// Which wire.
        wire: WireId,
        /// At which end.
        end: End,
        /// What arrives.
        bytes: Bytes,
    },
    /// An end learns that the other one hung up.
    Hangup {
        /// Which wire.
        wire: WireId,
        /// Who learns it.
        end: End,
    },
    /// A wire breaks: what is under way on it is lost.
    Snap(WireId),
    /// A sender's full socket takes bytes again.
    Drained {
        /// Which wire.
        wire: WireId,
        /// The sender.
        end: End,
    },
    /// A dial reaches the machine at an address.
    Knock {
        /// The dialler.
        from: Place,
        /// Whom it wants.
        address: String,
        /// Its number for it.
        dial: u64,
    },
    /// A dial came to something.
    Dialled {
        /// The dialler.
        to: Place,
        /// Its number for it.
        dial: u64,
        /// The wire, or whether it was refused outright.
        result: Result<WireId, bool>,
    },
    /// The disk has done what the log was writing.
    Written {
        /// Whose.
        host: usize,
        /// Its life.
        life: u64,
    },
    /// Nothing was written for a while.
    Attest {
        /// Whose log.
        host: usize,
        /// Its life.
        life: u64,
        /// The writes by then.
        writes: u64,
    },
    /// The helper reads old log.
    Read {
        /// Whose.
        host: usize,
        /// Its life.
        life: u64,
        /// The replica's number for it.
        request: u64,
        /// The first entry.
        first: Index,
        /// The last.
        last: Index,
        /// About how much.
        bytes_max: u64,
    },
    /// A piece of work on snapshots is done.
    Snapshot {
        /// Whose.
        host: usize,
        /// Its life.
        life: u64,
    },
    /// The helper looks after spare slots.
    Spare {
        /// Whose.
        host: usize,
        /// Its life.
        life: u64,
    },
    /// The helper sees how full the disk is.
    Look {
        /// Whose.
        host: usize,
        /// Its life.
        life: u64,
    },
    /// A machine is switched on again.
    Start {
        /// Which one.
        host: usize,
    },
    /// A client thinks of something to ask.
    Think {
        /// Which one.
        client: usize,
    },
    /// Something bad, by its number.
    Trouble(u32),
    /// What was bad about it ends.
    TroubleEnds(u32),
    /// A cable that is cut and mended in quick turns turns again.
    Flap(u32),
    /// A trouble looks whether its moment has come.
    Lurk(u32),
    /// A sender's socket is full until then.
    Filled {
        /// Which wire.
        wire: WireId,
        /// The sender.
        end: End,
        /// When there is room again.
        until: Time,
    },
    /// What had filled a disk is gone.
    RoomAgain {
        /// Whose.
        host: usize,
    },
    /// Leadership is looked at where a schedule promises something about it.
    Watch,
    /// The disks are read as if all power were cut now.
    Inspect,
}

impl Happening {
    /// Which kind, and whose: for the trace hash.
    #[must_use]
    pub fn number(&self) -> u64 {
        let (kind, of) = match self {
            Self::Bytes { wire, .. } => (1, wire.0),
            Self::Hangup { wire, .. } => (2, wire.0),
            Self::Snap(wire) => (3, wire.0),
            Self::Drained { wire, .. } => (4, wire.0),
            Self::Knock { dial, .. } => (5, *dial),
            Self::Dialled { dial, .. } => (6, *dial),
            Self::Look { host, .. } => (7, *host as u64),
            Self::Snapshot { host, .. } => (8, *host as u64),
            Self::Written { host, .. } => (9, *host as u64),
            Self::Attest { host, .. } => (10, *host as u64),
            Self::Read { request, .. } => (11, *request),
            Self::Spare { host, .. } => (12, *host as u64),
            Self::Start { host } => (13, *host as u64),
            Self::Think { client } => (14, *client as u64),
            Self::Trouble(number) => (15, u64::from(*number)),
            Self::TroubleEnds(number) => (17, u64::from(*number)),
            Self::Flap(number) => (18, u64::from(*number)),
            Self::Filled { wire, .. } => (19, wire.0),
            Self::Watch => (20, 0),
            Self::Inspect => (16, 0),
            Self::RoomAgain { host } => (21, *host as u64),
            Self::Lurk(number) => (22, u64::from(*number)),
        };
        (kind << 56) ^ of
    }
}

impl Clock {
    /// The time.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    /// Puts something on the agenda.
    pub fn after(&mut self, delay: u64, what: Happening) {
        self.next += 1;
        let place = self.free.pop().unwrap_or(self.places.len());
        match self.places.get_mut(place) {
            Some(free) => *free = Some(what),
            None => self.places.push(Some(what)),
        }
        self.agenda.push(Reverse((self.now + delay, self.next, place)));
    }

    /// When the next thing on the agenda happens.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.agenda.peek().map(|Reverse((at, ..))| *at)
    }

    /// Moves time forward; nothing is due by then.
    pub fn pass(&mut self, now: Time) {
        self.now = self.now.max(now);
    }

    /// Moves time forward, and takes what is due then.
    pub fn take_due(&mut self, now: Time) -> Option<Happening> {
        self.now = self.now.max(now);
        self.next().filter(|at| *at <= self.now)?;
        let Reverse((.., place)) = self.agenda.pop()?;
        self.free.push(place);
        self.places.get_mut(place)?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_wakes_its_machine_when_it_shows_the_time_and_not_before() {
        for skew in [-50, -1, 0, 1, 50] {
            let mut clock = HostClock::new(skew);
            let mut before = clock.shows(Time(0));
            for at in 1..3000 {
                if at % 997 == 0 {
                    clock.jump(Time(at), at);
                }
                let shown = clock.shows(Time(at));
                assert!(shown >= before, "a clock went back, skew {skew}, at {at}");
                before = shown;
                let due = clock.when(shown + 37);
                assert!(clock.shows(due) >= shown + 37 && due > Time(at), "skew {skew}, at {at}");
                assert!(clock.shows(Time(due.0 - 1)) < shown + 37, "skew {skew}, at {at}");
            }
        }
    }
}
