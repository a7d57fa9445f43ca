//! Which trouble comes when. A schedule draws its troubles one after the other; each has a number
//! and chance of its own, so that it can be left out and the others stay what they are.

mod acts;
mod ambush;
mod directed;
mod shapes;
mod troubles;
mod watch;

use std::fmt;
use std::str::FromStr;

pub use shapes::Shape;
pub use troubles::{Trouble, Troubles};
pub(crate) use watch::Watch;

/// A way of making trouble, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Schedule {
    /// Anything, at any time, to anybody.
    Random,
    /// One server after the other is cut off from all others.
    IsolateOne,
    /// Two halves that share one member.
    Bridge,
    /// Everybody sees only its neighbours, or a majority that no other sees.
    Ring,
    /// Cables that are cut and mended in quick turns.
    Flap,
    /// Whoever leads is killed, stopped, or cut off.
    ChaseTheLeader,
    /// All power is cut at once, again and again, in the middle of writes.
    CrashAll,
    /// Members come and go while leadership is handed on.
    ChurnWhileTransferring,
    /// Whoever leads is stopped for a while, and comes back with its old belief.
    PauseTheLeader,
    /// Whoever leads has a disk that hangs: leadership must go elsewhere in time.
    SlowLeaderDisk,
    /// Disks of a few followers hang until nothing more can be sent to them: a healthy leader
    /// must stay.
    FullWindow,
}

impl Schedule {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Random,
        Self::IsolateOne,
        Self::Bridge,
        Self::Ring,
        Self::Flap,
        Self::ChaseTheLeader,
        Self::CrashAll,
        Self::ChurnWhileTransferring,
        Self::PauseTheLeader,
        Self::SlowLeaderDisk,
        Self::FullWindow,
    ];

    /// What a person calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::IsolateOne => "isolate-one",
            Self::Bridge => "bridge",
            Self::Ring => "ring",
            Self::Flap => "flap",
            Self::ChaseTheLeader => "chase-the-leader",
            Self::CrashAll => "crash-all",
            Self::ChurnWhileTransferring => "churn-while-transferring",
            Self::PauseTheLeader => "pause-the-leader",
            Self::SlowLeaderDisk => "slow-leader-disk",
            Self::FullWindow => "full-window",
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|schedule| schedule.name() == name);
        found.ok_or_else(|| format!("no schedule is called {name:?}; there are {}", known()))
    }
}
