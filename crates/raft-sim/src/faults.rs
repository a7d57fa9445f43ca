//! What may go wrong in a run, and how often: drawn from the seed, so that some runs see one
//! kind of trouble only and others all of them together.

use raft_core::{Config, NodeId};
use raft_log::Options;
use raft_node::random::Random;
use raft_node::replica::Limits;

use crate::network::Delays;
use crate::plan::Plan;

/// The election timeout T, in milliseconds.
pub const T: u64 = 1000;

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process ends and is started again.
    Kill,
    /// A process is asked to end: it hands leadership over first, if it can.
    Retire,
    /// A machine loses its power.
    PowerCut,
    /// All machines lose their power at once.
    Blackout,
    /// A process ends in the middle of a disk operation, or its machine does.
    TornWrite,
    /// A disk operation fails.
    DiskError,
    /// A process is stopped for a while and does not know it.
    Pause,
    /// Two sides do not hear each other.
    Partition,
    /// One machine is not heard by another, but hears it.
    OneWay,
    /// The network is whole again.
    Mend,
    /// A connection breaks.
    Snap,
    /// A socket is full for a while.
    Stall,
    /// The clients' world changes: one of them ends and another begins.
    ClientEnds,
}

/// Every kind.
const FAULTS: [Fault; 13] = [
    Fault::Kill,
    Fault::Retire,
    Fault::PowerCut,
    Fault::Blackout,
    Fault::TornWrite,
    Fault::DiskError,
    Fault::Pause,
    Fault::Partition,
    Fault::OneWay,
    Fault::Mend,
    Fault::Snap,
    Fault::Stall,
    Fault::ClientEnds,
];

impl Fault {
    /// What a person calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Retire => "stop in good order",
            Self::PowerCut => "power cut",
            Self::Blackout => "power cut of all",
            Self::TornWrite => "death in a write",
            Self::DiskError => "disk error",
            Self::Pause => "pause",
            Self::Partition => "partition",
            Self::OneWay => "one-way cut",
            Self::Mend => "mend",
            Self::Snap => "connection broken",
            Self::Stall => "socket full",
            Self::ClientEnds => "client ends",
        }
    }
}

/// What differs from run to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Members at the beginning.
    pub founders: usize,
    /// Servers that may be added.
    pub joiners: usize,
    /// Clients that write.
    pub clients: usize,
    /// How long trouble lasts.
    pub trouble: u64,
    /// One fault in about so many milliseconds.
    pub fault_every: u64,
    /// Which kinds, some of them several times.
    pub faults: Vec<Fault>,
    /// One change of membership or leadership in about so many milliseconds; none if zero.
    pub change_every: u64,
    /// How the network is.
    pub delays: Delays,
    /// A sync takes up to this.
    pub sync: u64,
    /// One sync in so many takes up to three election timeouts; none if zero.
    pub sync_hangs_one_in: u64,
    /// Small limits everywhere.
    pub tight: bool,
    /// What comes in together is handled together: how long a server dozes at most.
    pub doze: u64,
}

impl Settings {
    /// Draws a run.
    pub fn draw(random: &mut Random) -> Self {
        let faults: Vec<Fault> = FAULTS
            .into_iter()
            .flat_map(|fault| std::iter::repeat_n(fault, [0, 1, 1, 3][random.below(4) as usize]))
            .collect();
        let partitions = faults.contains(&Fault::Partition) || faults.contains(&Fault::OneWay);
        let mends = if partitions { 2 } else { 0 };
        Self {
            founders: [1, 2, 3, 3, 3, 3, 4, 5][random.below(8) as usize],
            joiners: random.below(3) as usize,
            clients: 1 + random.below(4) as usize,
            trouble: 2 * T + random.below(10 * T),
            fault_every: [40, 150, 400, 1000][random.below(4) as usize],
            faults: faults.into_iter().chain(std::iter::repeat_n(Fault::Mend, mends)).collect(),
            change_every: [0, 300, 1000, 2000][random.below(4) as usize],
            delays: Delays {
                usual: [3, 15, 60][random.below(3) as usize],
                slow_one_in: [0, 50, 400][random.below(3) as usize],
                slow: T / 2,
            },
            sync: [3, 10, 60][random.below(3) as usize],
            sync_hangs_one_in: [0, 0, 200, 1000][random.below(4) as usize],
            tight: random.below(3) > 0,
            doze: [0, 0, 5, 50][random.below(4) as usize],
        }
    }

    /// The same, where the plan does not say otherwise.
    #[must_use]
    pub fn of(self, plan: &Plan) -> Self {
        Self {
            founders: plan.members.unwrap_or(self.founders),
            trouble: plan.length.unwrap_or(self.trouble),
            ..self
        }
    }

    /// The core's settings.
    #[must_use]
    pub fn config(&self, id: NodeId) -> Config {
        let config = Config { join_patience: 8 * T, ..Config::new(id) };
        if !self.tight {
            return config;
        }
        Config {
            append_bytes_max: 300,
            inflight_bytes_max: 600,
            inflight_appends_max: 4,
            tail_bytes_max: 500,
            ..config
        }
    }

    /// The replica's limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        if !self.tight {
            return Limits::default();
        }
        Limits {
            uncommitted_bytes_max: 4096,
            unapplied_entries_max: 64,
            apply_bytes_max: 400,
            ..Limits::default()
        }
    }

    /// The log's settings: small slots, so that runs see many of them.
    #[must_use]
    pub const fn log_options(&self, seed: u64) -> Options {
        let bytes = 32 * 1024;
        Options { slot_bytes_start: bytes, slot_bytes_max: 4 * bytes, spares: 2, seed: Some(seed) }
    }
}
