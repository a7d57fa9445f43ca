//! One simulated server: what `Node` does with sockets, threads and a clock, done with the
//! production machines on the simulated ones. It moves bytes and time, and decides nothing.

mod life;
mod lines;
mod orders;
mod snapshots;
mod wal;

use std::collections::VecDeque;

use bytes::Bytes;
use raft_core::{LogId, Ticket, Time};
use raft_log::{DataDir, Holder, LogReader, MakeError, OpenError};
use raft_node::Address;
use raft_node::replica::Chunk;
use raft_node::resident::{Member, Order, Resident};
use raft_node::snapshots::SnapshotDone;
use raft_store::Messages;

use crate::disk::{Blow, Platter};
use crate::hardware::note_scar;
use crate::network::{Place, WireId};
use crate::world::World;
use life::{Estate, Works};
use lines::Lines;

/// A machine with a disk, on which a server runs most of the time.
#[derive(Debug)]
pub struct Host {
    /// Its number.
    pub index: usize,
    /// Where it listens.
    pub address: String,
    /// What it is started with: the founders of its cluster.
    cluster: Vec<Address>,
    /// Its disk.
    pub platter: Platter,
    /// The server, if it runs.
    pub process: Option<Process>,
    /// The server is stopped until then (a true time), and does not know it.
    pub paused_until: Time,
    /// Without power: it does not even refuse.
    pub dark: bool,
    /// Counts the lives of its servers: outside of a cluster, or as one member.
    lives: u64,
}

/// A server's process.
#[derive(Debug)]
pub struct Process {
    index: usize,
    /// The number of its present life.
    life: u64,
    address: String,
    estate: Estate,
    inbox: VecDeque<Incoming>,
    /// When the inbox is looked at.
    ready_at: Time,
    resident: Resident,
    /// When that wants to run, as it said when it last did.
    due: Option<Time>,
    /// What a member has.
    works: Option<Works>,
    lines: Lines,
    orders: Vec<Order>,
    /// It ends by itself, as it must after a disk error.
    ends: Option<String>,
    platter: Platter,
}

/// Something happened outside.
#[derive(Debug)]
pub enum Incoming {
    /// Somebody dialled this server.
    Accepted(WireId),
    /// A dial went through, or not: true if nobody listens.
    Dialled(u64, Result<WireId, bool>),
    /// A wire brought bytes.
    Bytes(WireId, Bytes),
    /// A wire ended.
    Ended(WireId),
    /// A wire that was not read may be read again.
    Readable(WireId),
    /// The socket is full, or takes bytes again.
    Stalled(WireId, bool),
    /// Entries were read back.
    LogRead(u64, Option<Chunk>),
    /// Everything up to here is durable.
    Persisted(Ticket),
    /// A spare slot was made, or could not be.
    SlotMade(Result<(), MakeError>),
    /// The disk has so many bytes left.
    DiskSeen(u64),
    /// The log waits for room.
    NoSpace(String),
    /// The log begins after this entry now.
    Compacted(LogId),
    /// A piece of work on snapshots was done.
    Snapshot(SnapshotDone),
    /// Somebody wants the server to end.
    HandOver,
}

impl Host {
    /// A machine with an empty disk, switched off.
    #[must_use]
    pub fn new(index: usize, cluster: Vec<Address>, seed: u64) -> Self {
        Self {
            index,
            address: address(index),
            cluster,
            platter: Platter::new(seed),
            process: None,
            paused_until: Time(0),
            dark: false,
            lives: 0,
        }
    }

    /// The place of its wires.
    #[must_use]
    pub const fn place(&self) -> Place {
        Place::Host(self.index)
    }

    /// The member that it is at the moment, if it runs.
    #[must_use]
    pub fn member(&self) -> Option<&Member> {
        self.process.as_ref()?.resident.member()
    }

    /// What reads its log, if it runs as a member.
    pub(crate) fn reader(&self) -> Option<&LogReader> {
        Some(&self.process.as_ref()?.works.as_ref()?.reader)
    }

    /// The text log of its state machine, if it runs.
    #[must_use]
    pub fn messages(&self) -> Option<Messages> {
        Some(self.process.as_ref()?.estate.sight.messages())
    }

    /// All keys of its state machine with their values and revisions, if it runs.
    #[must_use]
    pub fn values(&self) -> Option<raft_store::Answer> {
        Some(self.process.as_ref()?.estate.sight.values())
    }

    /// The process with this life, if it still lives it.
    pub fn process_of(&mut self, life: u64) -> Option<&mut Process> {
        self.process.as_mut().filter(|process| process.life == life)
    }

    /// When the process wants to run, on its own clock.
    #[must_use]
    pub fn next_wake(&self) -> Option<Time> {
        let process = self.process.as_ref()?;
        let arrived = (!process.inbox.is_empty()).then_some(process.ready_at);
        [arrived, process.due].into_iter().flatten().min()
    }

    /// Something reaches the process, if there is one.
    pub fn tell(&mut self, world: &mut World, incoming: Incoming) {
        if let Some(process) = &mut self.process {
            if process.inbox.is_empty() {
                process.ready_at = world.now() + world.random.below(world.settings.doze + 1);
            }
            process.inbox.push_back(incoming);
        }
    }

    /// Starts the server.
    pub fn start(&mut self, world: &mut World) {
        if self.process.is_some() || world.checkers.is_down(self.index) {
            return;
        }
        self.dark = false;
        self.paused_until = Time(0);
        self.lives += 1;
        world.trace(format_args!("{} starts", self.address));
        let holder = Holder { pid: self.lives as u32, address: self.address.clone() };
        let seed = world.random.next_u64();
        let opened = DataDir::open_seeded(self.platter.mount(), holder, Some(seed));
        let process = opened.and_then(|dir| Process::start(world, self, dir));
        match process {
            Ok(process) => {
                self.process = Some(process);
                self.look(world);
            }
            Err(error) => self.start_failed(world, &error),
        }
    }

    /// A start may fail because the disk does, or wait for room on it; who refuses a damaged disk
    /// is not started again.
    fn start_failed(&mut self, world: &mut World, error: &OpenError) {
        world.trace(format_args!("{} cannot start: {error}", self.address));
        note_scar(world, self.index, &self.platter);
        match error {
            OpenError::Io { .. } => world.checkers.start_failed(self.index),
            OpenError::NoSpace { .. } => world.checkers.probe("start waits for room"),
            _ => world.checkers.refuses(self.index, error),
        }
        // If it died in there, its machine may have, too.
        let dark = self.platter.is_dead() && world.random.below(2) == 0;
        self.stop(world, dark);
    }

    /// The process ends at once, with its machine if `dark`; it starts again later.
    pub fn stop(&mut self, world: &mut World, dark: bool) {
        world.trace(format_args!(
            "{} {}",
            self.address,
            if dark { "loses its power" } else { "is killed" }
        ));
        if let Some(mut process) = self.process.take() {
            process.stop_mid_snapshot(world, &self.platter);
            process.stop_mid_write(world, &self.platter);
            note_scar(world, self.index, &self.platter);
            world.checkers.stopped(self.index, dark);
        } else if dark {
            // It was about to start.
            world.checkers.stopped(self.index, dark);
        }
        world.end_sync(self.index);
        if dark {
            self.platter.cut();
            world.network.go_dark(&mut world.clock, self.place());
        } else {
            self.platter.kill();
            world.network.drop_all(&mut world.clock, self.place());
        }
        self.dark = dark;
        self.paused_until = Time(0);
        if !world.calm && world.random.below(3) == 0 {
            // The next start ends in the midst of it, or soon after.
            self.light_fuse(world.random.below(24), Blow::Stop);
        }
        let delay = if world.calm { 10 } else { 1 + world.random.below(4 * world.settings.t) };
        world.after(delay, crate::clock::Happening::Start { host: self.index });
    }

    /// Lets the process run.
    pub fn wake(&mut self, world: &mut World) {
        if let Some(process) = &mut self.process {
            process.wake(world);
        }
        self.look(world);
    }

    /// What became of the process.
    pub fn look(&mut self, world: &mut World) {
        note_scar(world, self.index, &self.platter);
        if self.platter.is_dead() {
            let dark = world.random.below(2) == 0;
            return self.stop(world, dark);
        }
        let Some(process) = &mut self.process else { return };
        if let Some(why) = process.ends.take() {
            world.trace(format_args!("{} ends: {why}", self.address));
            return self.stop(world, false);
        }
        if let Some(end) = process.resident.take_end() {
            self.lives += 1;
            if let Err(error) = process.live_on(world, end, self.lives) {
                return self.start_failed(world, &error);
            }
            return self.look(world);
        }
        process.due = process.backlog(world.now());
    }

    /// The next disk operations, and what becomes of them.
    pub fn light_fuse(&self, operations: u64, blow: Blow) {
        self.platter.light_fuse(operations, blow);
    }
}

impl Process {
    const fn place(&self) -> Place {
        Place::Host(self.index)
    }

    fn backlog(&self, now: Time) -> Option<Time> {
        if self.resident.has_work() || self.lines.is_touched() {
            return Some(now);
        }
        self.resident.next_deadline()
    }

    /// Everything that arrived, one step, all that it orders, and one write to each socket.
    fn wake(&mut self, world: &mut World) {
        let now = world.now();
        let mut read = Vec::new();
        for incoming in std::mem::take(&mut self.inbox) {
            self.incoming(world, incoming, &mut read);
        }
        for wire in read {
            self.hear(world, wire);
        }
        self.step(world);
        for (connection, flushed) in self.lines.flush() {
            self.resident.flushed(now, connection, flushed);
        }
        self.carry_out(world);
    }

    fn incoming(&mut self, world: &mut World, incoming: Incoming, read: &mut Vec<WireId>) {
        let now = world.now();
        match incoming {
            Incoming::Accepted(wire) => {
                self.resident.accepted(now, self.lines.add(wire, crate::network::End::Listener));
            }
            Incoming::Dialled(dial, result) => self.dialled(world, dial, result),
            Incoming::Bytes(wire, bytes) => {
                self.lines.hold(wire, bytes);
                read.push(wire);
            }
            Incoming::Ended(wire) => {
                self.lines.end(wire);
                read.push(wire);
            }
            Incoming::Readable(wire) => read.push(wire),
            Incoming::Stalled(wire, stalled) => self.lines.stall(wire, stalled),
            Incoming::HandOver => self.resident.stop(now),
            Incoming::LogRead(..)
            | Incoming::Persisted(_)
            | Incoming::SlotMade(_)
            | Incoming::DiskSeen(_)
            | Incoming::NoSpace(_)
            | Incoming::Compacted(_)
            | Incoming::Snapshot(_) => self.works_did(now, incoming),
        }
    }

    fn works_did(&mut self, now: Time, incoming: Incoming) {
        let (Some(member), Some(works)) = (self.resident.member_mut(), &self.works) else { return };
        match incoming {
            Incoming::LogRead(request, chunk) => member.log_read(request, chunk),
            Incoming::Persisted(ticket) => member.persisted(now, ticket, works.room()),
            Incoming::SlotMade(result) => member.slot_made(now, result, works.room()),
            Incoming::DiskSeen(free) => member.disk_seen(now, free),
            Incoming::NoSpace(what) => member.no_space(what),
            Incoming::Compacted(start) => member.compacted(start),
            Incoming::Snapshot(done) => member.snapshot_done(now, done),
            _ => {}
        }
    }
}

/// Where a host listens.
#[must_use]
pub fn address(index: usize) -> String {
    format!(":{}", 7001 + index)
}

/// The same place by another name, to which its member may move.
#[must_use]
pub fn other_address(index: usize) -> String {
    format!("127.0.0.1{}", address(index))
}
