//! The log's writer as a device: takes all that is queued, needs a while, and then all of it is
//! durable; or the process ends anywhere in between.

use raft_core::Ticket;
use raft_log::{LogWriter, Write, WriteError};
use raft_node::replica::Compaction;

use super::life::Works;
use super::{Incoming, Process};
use crate::clock::Happening;
use crate::disk::{Blow, Platter};
use crate::hardware::note_scar;
use crate::world::World;

/// After so long without a write the last one is attested.
const ATTEST_AFTER: u64 = 100;

/// A log that waits for room tries again after so long.
const NO_SPACE_RETRY: u64 = 500;

#[derive(Debug)]
pub(super) struct Wal {
    writer: LogWriter,
    queue: Vec<Write>,
    queued: Ticket,
    /// On its way to the disk.
    batch: Vec<Write>,
    ticket: Ticket,
    writes: u64,
    /// For room on the disk, and has said so.
    waits: bool,
    /// Before anything that is written after what is under way.
    compaction: Option<Compaction>,
}

impl Wal {
    pub(super) const fn new(writer: LogWriter) -> Self {
        Self {
            writer,
            queue: Vec::new(),
            queued: Ticket(0),
            batch: Vec::new(),
            ticket: Ticket(0),
            writes: 0,
            waits: false,
            compaction: None,
        }
    }
}

impl Process {
    /// Queues a durable operation.
    pub(super) fn submit(&mut self, world: &mut World, ticket: Option<Ticket>, write: Write) {
        let Some(Works { wal, .. }) = &mut self.works else { return };
        wal.queue.push(write);
        wal.queued = ticket.unwrap_or(wal.queued);
        self.begin_write(world);
    }

    /// Has space freed before anything that is queued later is written.
    pub(super) fn compact(&mut self, world: &mut World, compaction: Compaction) {
        let Some(Works { wal, .. }) = &mut self.works else { return };
        wal.compaction = Some(compaction);
        if wal.batch.is_empty() {
            self.carry_out_compaction(world);
        }
    }

    fn carry_out_compaction(&mut self, world: &mut World) {
        let Some(wal) = self.works.as_mut().map(|works| &mut works.wal) else { return };
        let Some(compaction) = wal.compaction.take() else { return };
        world.checkers.compacts(self.index, compaction.through);
        let start = compaction.carry_out(&mut wal.writer);
        let member = self.resident.member();
        let before = member.map(|member| member.replica().raft().log_start());
        if before.is_some_and(|before| before.index < start.index) {
            world.checkers.probe("log compacted");
        }
        self.tell_self(world, Incoming::Compacted(start));
    }

    fn begin_write(&mut self, world: &mut World) {
        let (host, life) = (self.index, self.life);
        let Some(Wal { queue, queued, batch, ticket, writes, .. }) =
            self.works.as_mut().map(|works| &mut works.wal)
        else {
            return;
        };
        if !batch.is_empty() {
            return;
        }
        if queue.is_empty() {
            let writes = *writes;
            world.after(ATTEST_AFTER, Happening::Attest { host, life, writes });
            return;
        }
        (*batch, *ticket) = (std::mem::take(queue), *queued);
        let usual = world.begin_sync(host);
        let delay = self.platter.delay(world.time(), usual);
        world.after(delay, Happening::Written { host, life });
    }

    /// The disk is done.
    pub fn written(&mut self, world: &mut World) {
        let Some(Wal { writer, batch, ticket, writes, waits, .. }) =
            self.works.as_mut().map(|works| &mut works.wal)
        else {
            return;
        };
        let done = std::mem::take(batch);
        match writer.write(&done) {
            Ok(_) => {
                *writes += 1;
                *waits = false;
                world.checkers.persisted(self.index, &done);
                if note_scar(world, self.index, &self.platter) {
                    // The gap of the newest commit is not for writes that went astray, whose
                    // entries nobody else has yet: this one is proven at once.
                    self.platter.put_out_fuse();
                    if writer.attest().is_err() {
                        world.checkers.fail("damage", "a sound disk cannot attest".into());
                    }
                }
                let ticket = *ticket;
                self.tell_self(world, Incoming::Persisted(ticket));
                self.carry_out_compaction(world);
                self.begin_write(world);
            }
            Err(error @ WriteError::NoSpace { .. }) => {
                // What was admitted waits as long as it takes.
                *batch = done;
                world.checkers.probe("log waits for room");
                if !std::mem::replace(waits, true) {
                    self.tell_self(world, Incoming::NoSpace(error.to_string()));
                }
                self.carry_out_compaction(world);
                let (host, life) = (self.index, self.life);
                world.after(NO_SPACE_RETRY, Happening::Written { host, life });
            }
            Err(WriteError::Failed(_)) => {
                world.checkers.begun(self.index, &done);
                self.ends = Some("the log cannot be written".into());
            }
        }
    }

    /// Nothing was written for a while.
    pub fn attest(&mut self, world: &mut World, writes: u64) {
        let Some(wal) = self.works.as_mut().map(|works| &mut works.wal) else { return };
        if wal.writes != writes || !wal.batch.is_empty() {
            return;
        }
        match wal.writer.attest() {
            Ok(_) => world.checkers.attested(self.index),
            Err(_) => self.ends = Some("the log cannot be written".into()),
        }
    }

    /// What was queued is written, and attested, before a member's life ends in good order.
    pub(super) fn flush_wal(&mut self, world: &mut World) {
        let Some(wal) = self.works.as_mut().map(|works| &mut works.wal) else { return };
        // Nothing follows that would show that this went astray.
        self.platter.steady();
        let mut rest = std::mem::take(&mut wal.batch);
        rest.append(&mut wal.queue);
        world.end_sync(self.index);
        match wal.writer.write(&rest) {
            Ok(_) => {
                world.checkers.persisted(self.index, &rest);
                if wal.writer.attest().is_ok() {
                    world.checkers.attested(self.index);
                }
            }
            Err(_) => world.checkers.begun(self.index, &rest),
        }
    }

    /// The process ends while the log may be writing: some, all or nothing of that happens.
    pub(super) fn stop_mid_write(&mut self, world: &mut World, platter: &Platter) {
        let Some(wal) = self.works.as_mut().map(|works| &mut works.wal) else { return };
        if wal.batch.is_empty() || platter.is_dead() || world.random.below(2) == 0 {
            return;
        }
        world.checkers.begun(self.index, &wal.batch);
        platter.light_fuse(world.random.below(3), Blow::Stop);
        // It dies in there, or just after.
        let _ended = wal.writer.write(&wal.batch);
    }
}
