//! Virtual time: what happens next, and when. Two things at one time happen in the order in
//! which they were asked for.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_core::{Index, Time};

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
    /// Something bad.
    Mischief,
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
            Self::Written { host, .. } => (9, *host as u64),
            Self::Attest { host, .. } => (10, *host as u64),
            Self::Read { request, .. } => (11, *request),
            Self::Spare { host, .. } => (12, *host as u64),
            Self::Start { host } => (13, *host as u64),
            Self::Think { client } => (14, *client as u64),
            Self::Mischief => (15, 0),
            Self::Inspect => (16, 0),
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
        self.agenda.insert((self.now + delay, self.next), what);
    }

    /// When the next thing on the agenda happens.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.agenda.keys().next().map(|(at, _)| *at)
    }

    /// Moves time forward; nothing is due by then.
    pub fn pass(&mut self, now: Time) {
        self.now = self.now.max(now);
    }

    /// Moves time forward, and takes what is due then.
    pub fn take_due(&mut self, now: Time) -> Option<Happening> {
        self.now = self.now.max(now);
        let due = self.next().is_some_and(|at| at <= self.now);
        due.then(|| self.agenda.pop_first()).flatten().map(|(_, what)| what)
    }
}
