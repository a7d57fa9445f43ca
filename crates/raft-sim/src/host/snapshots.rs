//! The helper that works on snapshots: one piece of work after another, each of which takes a while;
//! or the process ends anywhere in one.

use std::collections::VecDeque;

use raft_log::Snapshots;
use raft_node::snapshots::{SnapshotDone, SnapshotJob, SnapshotWorks};

use super::{Incoming, Process};
use crate::clock::Happening;
use crate::disk::{Blow, Platter};
use crate::hardware::note_scar;
use crate::world::World;

/// So many disk operations are the most that a stop lets pass.
const OPERATIONS_MAX: u64 = 16;

/// What is to be done, and who does it.
#[derive(Debug)]
pub(super) struct Jobs {
    works: SnapshotWorks,
    queue: VecDeque<SnapshotJob>,
}

impl Jobs {
    pub(super) fn new(snapshots: Snapshots, chunk_bytes: usize) -> Self {
        let works = SnapshotWorks::new(snapshots).in_pieces_of(chunk_bytes);
        Self { works, queue: VecDeque::new() }
    }
}

impl Process {
    pub(super) fn queue_snapshot(&mut self, world: &mut World, job: SnapshotJob) {
        let Some(works) = &mut self.works else { return };
        works.snapshots.queue.push_back(job);
        if works.snapshots.queue.len() == 1 {
            self.begin_snapshot(world);
        }
    }

    fn begin_snapshot(&self, world: &mut World) {
        let (host, life) = (self.index, self.life);
        let limit = match (world.calm, world.random.below(4)) {
            (true, _) => 3,
            // Long enough for the world to change meanwhile.
            (false, 0) => world.settings.t / 2,
            (false, _) => world.settings.sync,
        };
        let usual = 1 + world.random.below(limit);
        let delay = self.platter.delay(world.time(), usual);
        world.after(delay, Happening::Snapshot { host, life });
    }

    /// The first piece of work is done.
    pub fn work_on_snapshots(&mut self, world: &mut World) {
        self.do_next(world);
        let more = self.works.as_ref().is_some_and(|works| !works.snapshots.queue.is_empty());
        if more && self.ends.is_none() {
            self.begin_snapshot(world);
        }
    }

    fn do_next(&mut self, world: &mut World) {
        let Some(jobs) = self.works.as_mut().map(|works| &mut works.snapshots) else { return };
        let Some(job) = jobs.queue.pop_front() else { return };
        world.trace(format_args!("{} works on {job:?}", self.address));
        let result = jobs.works.run(job);
        note_scar(world, self.index, &self.platter);
        match result {
            Ok(None) => {}
            Ok(Some(done)) => {
                self.judge(world, &done);
                self.tell_self(world, Incoming::Snapshot(done));
            }
            Err(error) => self.ends = Some(error.to_string()),
        }
    }

    fn judge(&self, world: &mut World, done: &SnapshotDone) {
        match done {
            SnapshotDone::Written(Ok(_)) => {
                world.checkers.probe("snapshot taken");
                world.checkers.look_at_snapshots(self.index, &self.platter);
            }
            SnapshotDone::Written(Err(_)) => {
                world.checkers.probe("snapshot refused for lack of room");
            }
            SnapshotDone::Came(Ok(machine)) => {
                world.checkers.look_at_snapshots(self.index, &self.platter);
                world.checkers.goes_on(self.index, machine);
            }
            SnapshotDone::Opened(..)
            | SnapshotDone::Read { .. }
            | SnapshotDone::Wanted(..)
            | SnapshotDone::Came(Err(_)) => {}
        }
    }

    /// What was begun is finished before a member's life ends in good order.
    pub(super) fn finish_snapshots(&mut self, world: &mut World) {
        while self.works.as_ref().is_some_and(|works| !works.snapshots.queue.is_empty())
            && self.ends.is_none()
        {
            self.do_next(world);
        }
    }

    /// The process ends while the helper may be at work: some, all or nothing of that happens.
    pub(super) fn stop_mid_snapshot(&mut self, world: &mut World, platter: &Platter) {
        let Some(jobs) = self.works.as_mut().map(|works| &mut works.snapshots) else { return };
        let Some(job) = jobs.queue.pop_front() else { return };
        if platter.is_dead() || world.random.below(2) == 0 {
            return;
        }
        platter.light_fuse(world.random.below(OPERATIONS_MAX), Blow::Stop);
        // It dies in there, or just after.
        let _ended = jobs.works.run(job);
        if platter.is_dead() {
            world.checkers.probe("snapshot cut short");
        }
        platter.put_out_fuse();
    }
}
