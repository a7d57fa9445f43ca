//! Room for the log: slots that are made ahead, and what the disk has left.

use std::sync::atomic::Ordering;

use raft_core::Time;

use super::Reactor;
use crate::node::helper::Job;
use crate::notice::Notice;
use crate::replica::Event;

/// Less room than this is worth a word, and a second look: a few slots of the largest size.
pub(super) const DISK_FREE_LOW: u64 = 256 * 1024 * 1024;

/// A disk that is nearly full is looked at again after so many milliseconds. Nothing else would:
/// who refuses all writes is not woken by any.
const LOOK_AGAIN_MS: u64 = 1000;

/// What is known of the room, and what the helper was asked about it.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// The helper makes a slot.
    making: bool,
    /// The helper looks at the disk.
    looking: bool,
    /// The disk took no slot when it was last asked to: what it says it has left does not help.
    refused: bool,
    /// When to ask again.
    pub(super) again: Option<Time>,
}

impl Reactor<'_> {
    /// Has a slot made if the log wants one, and the disk looked at; each once at a time, for old
    /// log is read by the same thread.
    pub(super) fn want_slot(&mut self) {
        if !self.space.making && self.parts.spares.needed().is_some() {
            self.space.making = true;
            self.parts.helper.submit(Job::Spare);
            self.want_look();
        }
    }

    /// As [`Self::want_slot`]; a disk that took none is only asked from time to time.
    pub(super) fn want_slot_after_write(&mut self) {
        if !self.space.refused {
            self.want_slot();
        }
    }

    pub(super) fn want_look(&mut self) {
        if !std::mem::replace(&mut self.space.looking, true) {
            self.parts.helper.submit(Job::Disk);
        }
    }

    /// The helper made a slot, or could not.
    pub(super) fn slot_made(&mut self, result: Result<(), String>) {
        self.space.making = false;
        let refused = result.is_err();
        if let Err(what) = result
            && !self.space.refused
        {
            self.site.notices.tell(Notice::NoSpace { what });
        }
        self.space.refused = refused;
        self.look_at_space();
    }

    /// The helper looked at the disk.
    pub(super) fn disk_seen(&mut self, used: u64, free: u64) {
        self.space.looking = false;
        let counters = &self.site.observed.counters;
        counters.disk_used.store(used, Ordering::Relaxed);
        counters.disk_free.store(free, Ordering::Relaxed);
        self.look_at_space();
    }

    /// The log itself waits for room.
    pub(super) fn no_space(&mut self, what: String) {
        self.site.notices.tell(Notice::NoSpace { what });
        self.want_look();
    }

    /// Tells the replica what the log can take, and looks again before long where that is little.
    pub(super) fn look_at_space(&mut self) {
        let free_log_bytes = self.free_log_bytes();
        self.events.push(Event::Space { free_log_bytes });
        let is_low = self.space.refused || free_log_bytes < DISK_FREE_LOW;
        self.space.again = match self.space.again {
            _ if !is_low => None,
            None => Some(self.now() + LOOK_AGAIN_MS),
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

    /// What the log can still take: slots that are there, and those that the disk has room for.
    pub(super) fn free_log_bytes(&self) -> u64 {
        let made = self.parts.spares.free_bytes();
        if self.space.refused {
            return made;
        }
        made.saturating_add(self.site.observed.counters.disk_free.load(Ordering::Relaxed))
    }
}
