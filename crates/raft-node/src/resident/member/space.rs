//! Room for the log: slots that are made ahead, and what the disk has left.

use raft_core::{Ticket, Time};
use raft_log::{MakeError, SpareMaker};

use super::{Member, Order};
use crate::notice::Notice;
use crate::replica::Event;
use crate::vitals::DISK_FREE_LOW;

/// A disk that is nearly full is looked at again after so many milliseconds. Nothing else would:
/// who refuses all writes is not woken by any.
const LOOK_AGAIN_MS: u64 = 1000;

/// What the log can take as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Bytes in slots that are made.
    pub spare_bytes: u64,
    /// It wants another slot.
    pub slot_wanted: bool,
}

impl Room {
    /// Looks at the log's slots.
    #[must_use]
    pub fn of(spares: &SpareMaker) -> Self {
        Self { spare_bytes: spares.free_bytes(), slot_wanted: spares.needed().is_some() }
    }
}

/// What is known of the room, and what was asked about it.
#[derive(Debug)]
pub(super) struct Space {
    room: Room,
    /// What the disk has left; until somebody has looked, nothing is known to be lacking.
    disk_free: u64,
    /// A slot is being made.
    making: bool,
    /// Somebody looks at the disk.
    looking: bool,
    /// No slot could be made when that was last tried: it is tried again from time to time.
    failing: bool,
    /// Because the disk is full: what it says it has left does not help.
    full: bool,
    /// When to ask again.
    pub(super) again: Option<Time>,
}

impl Space {
    pub(super) const fn new(room: Room) -> Self {
        Self {
            room,
            disk_free: u64::MAX,
            making: false,
            looking: false,
            failing: false,
            full: false,
            again: None,
        }
    }

    /// A log that wants no slot, because it was given others back, says nothing of the disk.
    const fn set_room(&mut self, room: Room) {
        self.room = room;
        if !room.slot_wanted {
            (self.failing, self.full) = (false, false);
        }
    }

    /// What the log can still take: slots that are there, and those that the disk has room for.
    pub(super) const fn free_log_bytes(&self) -> u64 {
        let disk = if self.full { 0 } else { self.disk_free };
        self.room.spare_bytes.saturating_add(disk)
    }
}

impl Member {
    /// Everything up to this ticket is durable; what the log can take now.
    pub fn persisted(&mut self, now: Time, ticket: Ticket, room: Room) {
        self.events.push(Event::Persisted(ticket));
        self.space.set_room(room);
        if !self.space.failing {
            self.want_slot();
        }
        self.look_at_space(now);
    }

    /// A slot was made, or could not be. Only a full disk is a reason to refuse writes: they need
    /// no slot yet.
    pub fn slot_made(&mut self, now: Time, result: Result<(), MakeError>, room: Room) {
        self.space.making = false;
        self.space.full = matches!(result, Err(MakeError::NoSpace { .. }));
        let was_failing = std::mem::replace(&mut self.space.failing, result.is_err());
        if let Err(error) = result
            && !was_failing
        {
            self.orders.push(Order::Tell(Notice::NoSpace { what: error.to_string() }));
        }
        self.space.set_room(room);
        self.look_at_space(now);
    }

    /// Somebody looked at the disk: what it has left.
    pub fn disk_seen(&mut self, now: Time, free: u64) {
        self.space.looking = false;
        self.space.disk_free = free;
        self.look_at_space(now);
    }

    /// The log itself waits for room.
    pub fn no_space(&mut self, what: String) {
        self.orders.push(Order::Tell(Notice::NoSpace { what }));
        self.want_look();
    }

    /// Has a slot made if the log wants one, and the disk looked at; each once at a time, for old
    /// log is read by the same thread.
    pub(super) fn want_slot(&mut self) {
        if !self.space.making && self.space.room.slot_wanted {
            self.space.making = true;
            self.orders.push(Order::MakeSlot);
            self.want_look();
        }
    }

    pub(super) fn want_look(&mut self) {
        if !std::mem::replace(&mut self.space.looking, true) {
            self.orders.push(Order::LookAtDisk);
        }
    }

    /// Tells the replica what the log can take, and looks again before long where that is little.
    fn look_at_space(&mut self, now: Time) {
        let free_log_bytes = self.space.free_log_bytes();
        self.events.push(Event::Space { free_log_bytes });
        let is_low = self.space.failing || free_log_bytes < DISK_FREE_LOW;
        self.space.again = match self.space.again {
            _ if !is_low => None,
            None => Some(now + LOOK_AGAIN_MS),
            waiting => waiting,
        };
    }

    pub(super) fn space_timer(&mut self, now: Time) {
        if self.space.again.is_some_and(|again| again <= now) {
            self.space.again = Some(now + LOOK_AGAIN_MS);
            self.want_slot();
            self.want_look();
        }
    }
}
