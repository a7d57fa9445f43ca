//! Virtual time: what happens next, and when. Two things at one time happen in the order in
//! which they were asked for.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_core::{Index, NodeId, Time};

use crate::network::{End, Place, WireId};

/// The clock and its agenda.
#[derive(Debug, Default)]
pub struct Clock {
    now: Time,
    next: u64,
    agenda: BTreeMap<(Time, u64), Happening>,
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
    /// The other end of a fresh wire has had time enough to say welcome.
    GreetBy {
        /// The dialler.
        host: usize,
        /// Its life.
        life: u64,
        /// The wire.
        wire: WireId,
    },
    /// A member dials a peer again.
    DialDue {
        /// Who.
        host: usize,
        /// Its life.
        life: u64,
        /// Whom.
        peer: NodeId,
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
    /// The helper looks after spare slots.
    Spare {
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
    /// Something bad.
    Mischief,
    /// What had filled a disk is gone.
    RoomAgain {
        /// Whose.
        host: usize,
    },
    /// The disks are read as if all power were cut now.
    Inspect,
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
        self.agenda.insert((self.now + delay, self.next), what);
    }

    /// When the next thing on the agenda happens.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.agenda.keys().next().map(|(at, _)| *at)
    }

    /// Moves time forward, and takes what is due then.
    pub fn take_due(&mut self, now: Time) -> Option<Happening> {
        self.now = self.now.max(now);
        let due = self.next().is_some_and(|at| at <= self.now);
        due.then(|| self.agenda.pop_first()).flatten().map(|(_, what)| what)
    }
}
