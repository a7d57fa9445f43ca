//! The reactor: the one thread that owns the sockets and runs what lives here. It decides
//! nothing: what arrives goes into the [`Resident`], and its orders are carried out.
//!
//! A cycle: take everything that arrived, step once, carry out what is wanted, write to every
//! touched socket once. Deadlines are looked at after the sockets were drained: a node that was
//! stalled never starts an election over messages that lie in its buffers.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use raft_core::Ticket;
use raft_log::{DataDir, NodeState, SpareMaker};
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep_until;

use super::connection::hear_sockets;
use super::helper::{Job, Read};
use super::incoming::{Incoming, Local};
use super::observe::{add, count};
use super::output::Output;
use super::site::Site;
use super::sockets::Sockets;
use super::wal::{News, Wal};
use super::worker::Worker;
use super::{Failure, FailureClass};
use crate::protocol::{Answer, Reply};
use crate::replica::Origin;
use crate::resident::{Counts, LOCAL, Next, NoConnection, Order, Resident, Room};
use crate::snapshots::SnapshotJob;
use crate::vitals::fill_in;

/// So often at most the sockets are looked at before a cycle.
const TURNS_MAX: u32 = 32;

/// The threads that work for a member.
#[derive(Debug)]
pub(super) struct Works {
    pub(super) wal: Wal,
    pub(super) helper: Worker<Job>,
    pub(super) snapshots: Worker<SnapshotJob>,
    pub(super) spares: SpareMaker,
}

/// Runs one life.
pub(super) struct Reactor<'a> {
    site: &'a mut Site,
    dir: &'a mut DataDir,
    output: Option<&'a Output>,
    resident: Resident,
    works: Option<Works>,
    /// Notified by the WAL thread.
    wal_wake: Arc<Notify>,
    sockets: Sockets,
    /// The program's own requests.
    local: BTreeMap<u64, oneshot::Sender<Reply>>,
    last_local: u64,
    persisted: Ticket,
    orders: Vec<Order>,
    failure: Option<Failure>,
}

impl<'a> Reactor<'a> {
    pub(super) fn new(
        (site, dir): (&'a mut Site, &'a mut DataDir),
        output: Option<&'a Output>,
        resident: Resident,
        (works, wal_wake): (Option<Works>, Arc<Notify>),
    ) -> Self {
        Self {
            site,
            dir,
            output,
            resident,
            works,
            wal_wake,
            sockets: Sockets::default(),
            local: BTreeMap::new(),
            last_local: 0,
            persisted: Ticket(0),
            orders: Vec::new(),
            failure: None,
        }
    }

    /// Runs until this life ends, and says what follows. What the disk was given is written.
    pub(super) async fn run(mut self) -> Result<Next, Failure> {
        self.carry_out();
        loop {
            self.flush();
            if let Some(failure) = self.failure.take() {
                self.site.ready.clear();
                return Err(failure);
            }
            if let Some(end) = self.resident.take_end() {
                self.site.ready.clear();
                return Ok(self.resident.into_next(end));
            }
            self.wait().await;
            self.hear_all().await;
            self.cycle();
        }
    }

    /// Sleeps until there is something to do.
    async fn wait(&mut self) {
        if self.resident.has_work() || self.sockets.is_touched() {
            tokio::task::yield_now().await;
            return;
        }
        let deadline = self.resident.next_deadline();
        let at = self.site.instant(deadline.unwrap_or_default());
        let wake = Arc::clone(&self.wal_wake);
        tokio::select! {
            biased;
            Some(incoming) = self.site.next() => self.incoming(incoming),
            () = wake.notified() => {}
            () = sleep_until(at), if deadline.is_some() => {
                // The sockets first: see the head of this file.
                hear_sockets().await;
            }
        }
    }

    /// Takes all that arrived. Where two bring something more may: the runtime gives only so many
    /// connections a turn before this one, and each part would be a batch by itself. A connection
    /// that was heard waits for the cycle, so this ends.
    async fn hear_all(&mut self) {
        for _ in 0..TURNS_MAX {
            let mut heard = false;
            while let Some(incoming) = self.site.next_ready() {
                self.incoming(incoming);
                heard = true;
            }
            if !heard {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    fn cycle(&mut self) {
        count(&self.site.observed.counters.wakeups);
        self.look_at_disk();
        self.resident.step(self.site.now(), &mut ());
        self.carry_out();
        self.measure();
    }

    fn look_at_disk(&mut self) {
        let (Some(works), Some(member)) = (&self.works, self.resident.member_mut()) else { return };
        let durable = works.wal.durable();
        if durable > self.persisted {
            self.persisted = durable;
            member.persisted(self.site.now(), durable, Room::of(&works.spares));
        }
        let News { start, no_space, failed } = works.wal.take_news();
        if let Some(start) = start {
            member.compacted(start);
        }
        if let Some(what) = no_space {
            member.no_space(what);
        }
        if failed.is_some() {
            self.failure = failed;
        }
    }

    /// Writes what was ordered. What is ordered in answer to that waits for the next cycle.
    fn flush(&mut self) {
        while let Some((id, flushed)) = self.sockets.flush_next() {
            let now = self.site.now();
            match flushed {
                Some(flushed) => self.resident.flushed(now, id, flushed),
                None => self.resident.closed(now, id, None),
            }
        }
        self.carry_out();
    }

    /// What was counted in this cycle, and how long the requests that it answered took.
    fn measure(&mut self) {
        let Some(member) = self.resident.member_mut() else { return };
        let observed = &self.site.observed;
        let Counts {
            appends_sent,
            appends_received,
            entries_sent,
            requests,
            refused,
            leader_changes,
        } = member.take_counts();
        let counters = &observed.counters;
        for (counter, many) in [
            (&counters.appends_sent, appends_sent),
            (&counters.appends_received, appends_received),
            (&counters.entries_sent, entries_sent),
            (&counters.requests, requests),
            (&counters.refused, refused),
            (&counters.leader_changes, leader_changes),
        ] {
            if many > 0 {
                add(counter, many);
            }
        }
        if member.is_ready() {
            self.site.ready.set();
        }
        let mut answered = member.take_answered().peekable();
        if answered.peek().is_some() {
            let now = observed.now_us();
            observed.requests.record(answered.map(|since| now.saturating_sub(since)));
        }
    }

    fn incoming(&mut self, incoming: Incoming) {
        let now = self.site.now();
        match incoming {
            Incoming::Accepted { stream } => {
                // A socket that is broken already needs no answer.
                if let Ok(id) = self.sockets.add(self.site, stream) {
                    self.resident.accepted(now, id);
                }
            }
            Incoming::Crowded { limit } => self.site.tell_crowded(limit),
            Incoming::Frames { connection, frames } => {
                let since_us = self.site.observed.now_us();
                self.resident.frames(now, connection, frames, since_us);
            }
            Incoming::Closed { connection, error } => {
                let is_nonsense = error.kind() == io::ErrorKind::InvalidData;
                self.resident.closed(now, connection, is_nonsense.then(|| error.to_string()));
            }
            Incoming::Wrote { connection } => {
                if let Some(flushed) = self.sockets.taken(connection) {
                    self.resident.flushed(now, connection, flushed);
                }
            }
            Incoming::Drained { connection } => self.sockets.touch(connection),
            Incoming::Dialled { dial, result } => {
                self.sockets.end_dial(dial);
                let result = result.and_then(|stream| self.sockets.add(self.site, stream));
                self.resident.dialled(now, dial, result.map_err(|error| no_connection(&error)));
            }
            Incoming::LogRead { request, chunk } => {
                if let Some(member) = self.resident.member_mut() {
                    member.log_read(request, chunk);
                }
            }
            Incoming::WorkFailed { failure } => self.failure = Some(failure),
            Incoming::Disk { used, free } => {
                let counters = &self.site.observed.counters;
                counters.disk_used.store(used, Ordering::Relaxed);
                counters.disk_free.store(free, Ordering::Relaxed);
                if let Some(member) = self.resident.member_mut() {
                    member.disk_seen(now, free);
                }
            }
            Incoming::Spare { result } => {
                if let (Some(works), Some(member)) = (&self.works, self.resident.member_mut()) {
                    member.slot_made(now, result, Room::of(&works.spares));
                }
            }
            Incoming::Snapshot(done) => {
                if let Some(member) = self.resident.member_mut() {
                    member.snapshot_done(now, done);
                }
            }
            Incoming::Local(Local::Ask { request, reply }) => {
                self.last_local += 1;
                self.local.insert(self.last_local, reply);
                let since_us = self.site.observed.now_us();
                let (connection, number) = (LOCAL, self.last_local);
                let origin = Origin { connection, request: number, forwarded: false, since_us };
                self.resident.request(origin, request);
            }
            Incoming::Local(Local::Stop) => self.resident.stop(now),
        }
    }

    /// Carries out all orders, up to one that fails.
    fn carry_out(&mut self) {
        let mut orders = std::mem::take(&mut self.orders);
        self.resident.take_orders(&mut orders);
        for order in orders.drain(..) {
            if self.failure.is_some() {
                break;
            }
            self.do_as_told(order);
        }
        self.orders = orders;
    }

    fn do_as_told(&mut self, order: Order) {
        match order {
            Order::Push { to, frame, entries } => self.sockets.push(to, frame, entries),
            Order::Resume(id) => self.sockets.resume(id),
            Order::Trust(id) => self.sockets.trust(id),
            Order::Hurry(id) => self.sockets.hurry(id, 2 * self.site.settings.election_timeout),
            Order::Close(id) => self.sockets.close(id),
            Order::Dial(dial, address) => self.sockets.dial(self.site, dial, address),
            Order::GiveUp(dial) => self.sockets.end_dial(dial),
            Order::Write { ticket, write } => {
                self.have_done(|works| works.wal.submit(ticket, write));
            }
            Order::ReadLog { request, first, last, bytes_max } => {
                let read = Job::Read(Read { request, first, last, bytes_max });
                self.have_done(|works| works.helper.submit(read));
            }
            Order::Compact(compaction) => self.have_done(|works| works.wal.compact(compaction)),
            Order::Snapshot(job) => self.have_done(|works| works.snapshots.submit(job)),
            Order::MakeSlot => self.have_done(|works| works.helper.submit(Job::Spare)),
            Order::LookAtDisk => self.have_done(|works| works.helper.submit(Job::Disk)),
            Order::Store(state) => self.store(state),
            Order::Show { index, lines } => {
                if let Some(output) = self.output {
                    output.show(index, lines);
                }
            }
            Order::Answer { request, reply } => {
                if let Some(asked) = self.local.remove(&request) {
                    // Whoever asked may have stopped waiting.
                    let _told = asked.send(*reply);
                }
            }
            Order::Report { origin, reply } => {
                let reply = self.complete(*reply);
                self.do_as_told(Order::reply(origin, reply));
            }
            Order::Tell(notice) => self.site.notices.tell(notice),
            Order::TellRefused(refused) => self.site.tell_refused(&refused),
            Order::TellFolly(text) => self.site.tell_folly(text),
            Order::Remember(kind, text) => self.site.observed.event(kind, text),
        }
    }

    /// By one of the threads that work for a member; only members order that.
    fn have_done(&self, act: impl FnOnce(&Works)) {
        if let Some(works) = &self.works {
            act(works);
        }
    }

    fn store(&mut self, state: NodeState) {
        if let Err(error) = self.dir.set_identity(state) {
            self.failure = Some(Failure {
                class: FailureClass::Disk,
                what: format!(
                    "cannot write who this server is into its data directory: {error}; see that \
                     the disk works and has room, then start again"
                ),
            });
        }
    }

    /// Adds what only this server knows.
    fn complete(&self, mut reply: Reply) -> Reply {
        let observed = &self.site.observed;
        let status = match &mut reply.answer {
            Answer::Status(status) => &mut **status,
            Answer::Recent(recent) => {
                recent.events = observed.events_after(recent.after);
                &mut recent.status
            }
            Answer::Why(testimony) => &mut testimony.status,
            _ => return reply,
        };
        let mut vitals = observed.vitals();
        if let Some(works) = &self.works {
            vitals.free_log_bytes = works.spares.free_bytes();
        }
        fill_in(status, vitals, self.site.settings.election_timeout);
        reply
    }
}

fn no_connection(error: &io::Error) -> NoConnection {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => NoConnection::Refused,
        _ => NoConnection::Failed(error.to_string()),
    }
}
