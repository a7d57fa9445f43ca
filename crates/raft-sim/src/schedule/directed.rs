//! What the schedules that want something do with a run that was drawn for anything.

use raft_node::random::Random;
use raft_node::replica::SnapshotLimits;

use super::{Schedule, Shape};
use crate::chance::pick;
use crate::faults::{Fault, SLOT_BYTES_MIN, Settings, T, Victims};
use crate::network::Delays;

impl Settings {
    /// Makes a run one of its schedule.
    pub(crate) fn direct(&mut self, random: &mut Random) {
        let t = self.t;
        let several = pick(random, [3, 3, 4, 5, 5, 7]);
        if self.schedule != Schedule::Random {
            self.founders = several;
            self.fault_every = pick(random, [t / 2, t, 3 * t]);
        }
        match self.schedule {
            Schedule::Random => self.rare_one_in = 80,
            Schedule::IsolateOne => {
                self.faults = vec![
                    Fault::Partition(Shape::Alone),
                    Fault::Partition(Shape::Deaf),
                    Fault::HalfOpen(Shape::Alone),
                ];
            }
            Schedule::Bridge => self.faults = vec![Fault::Partition(Shape::Bridge)],
            Schedule::Ring => {
                let shapes = [Shape::Ring, Shape::MajorityRing];
                self.faults = shapes.map(Fault::Partition).to_vec();
            }
            Schedule::Flap => {
                let shapes = [Shape::Halves, Shape::Alone, Shape::OneWay, Shape::Bridge];
                self.faults = shapes.map(Fault::Flap).to_vec();
            }
            Schedule::ChaseTheLeader => {
                self.victims = Victims::Leader;
                self.faults = vec![
                    Fault::Kill,
                    Fault::Retire,
                    Fault::PowerCut,
                    Fault::TornWrite,
                    Fault::Pause,
                    Fault::Partition(Shape::Alone),
                    Fault::Partition(Shape::Deaf),
                ];
            }
            Schedule::CrashAll => {
                self.founders = pick(random, [1, 2, 3, 3, 5]);
                self.faults = vec![Fault::Blackout];
                self.trouble += 6 * t;
                // There is nearly always a write to be torn.
                (self.think_every, self.sync) = (30, pick(random, [10, 60]));
                self.fault_every = pick(random, [t, 2 * t, 4 * t]);
            }
            Schedule::ChurnWhileTransferring => {
                (self.joiners, self.admins) = (2, 2);
                self.change_every = pick(random, [50, 150, 400]) * t / T;
                self.rare_one_in = 4;
                self.faults = vec![Fault::Snap, Fault::Kill, Fault::Stall, Fault::Retire];
            }
            Schedule::PauseTheLeader => {
                self.victims = Victims::Leader;
                self.faults = vec![Fault::Pause];
                self.fault_every = pick(random, [2 * t, 4 * t]);
            }
            Schedule::SlowLeaderDisk => self.hang_disks(Victims::Leader),
            Schedule::FullWindow => {
                self.hang_disks(Victims::Follower);
                self.tight = true;
            }
        }
    }

    /// What only runs with a wide-area network have: snapshots that overlap, and in some of them
    /// hardly anything else.
    pub(crate) fn widen(&mut self, random: &mut Random) {
        // A window of one message is one message in a third of a second.
        let (append, tail, appends) = self.window;
        self.window = (4 * append, tail, 4 * appends);
        let Some(snapshots) = self.snapshots.filter(|_| self.schedule == Schedule::Random) else {
            return;
        };
        if random.below(4) > 0 {
            self.overlap_one_in = 6;
            return;
        }
        // Much is on its way, and little stays in the log.
        self.overlap_one_in = 1;
        self.founders = self.founders.max(3);
        (self.tight, self.insane, self.sync_hangs_one_in) = (false, None, 0);
        (self.clients, self.think_every, self.sync) = (4, 100, 3);
        self.slot_bytes_max = SLOT_BYTES_MIN;
        self.snapshots = Some(SnapshotLimits {
            bytes: u64::MAX,
            entries: pick(random, [20, 60]),
            keep_bytes: 0,
            ..snapshots
        });
        (self.trouble, self.fault_every) = (self.trouble + 4 * self.t, 2 * self.t);
    }

    /// Where something is said about leaders there is one before the first trouble comes.
    pub(crate) const fn first_trouble(&self) -> u64 {
        match self.victims {
            Victims::Any => self.t / 4,
            Victims::Leader | Victims::Follower => 4 * self.t,
        }
    }

    /// Nothing else may be wrong where it is said what must happen.
    fn hang_disks(&mut self, victims: Victims) {
        self.founders = self.founders.max(3);
        (self.joiners, self.starts_within, self.founder_dies) = (0, self.t / 10, false);
        self.victims = victims;
        self.faults = vec![Fault::DiskHang];
        self.fault_every = 4 * self.t;
        self.change_every = 0;
        self.delays = Delays { slow_one_in: 0, ..self.delays };
        self.sync_hangs_one_in = 0;
        self.doze = self.doze.min(5);
        self.skew = 0;
        self.insane = None;
    }
}
