//! What is to be run: everything that happens follows from it.

use std::collections::BTreeSet;
use std::fmt;

use crate::schedule::Schedule;

/// Which run. The same plan makes the same run, event for event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// All chance comes from here.
    pub seed: u64,
    /// Which trouble comes when; the seed chooses if it is not given.
    pub schedule: Option<Schedule>,
    /// How many servers found the cluster; the seed chooses if it is not given.
    pub members: Option<usize>,
    /// What disks do at worst.
    pub storage: Storage,
    /// How long trouble lasts, in virtual milliseconds; the seed chooses if it is not given.
    pub length: Option<u64>,
    /// Troubles that are left out, by their number.
    pub without: BTreeSet<u32>,
}

/// What disks do at worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Storage {
    /// What a cluster must survive: an intact copy of everything stays on a quorum.
    #[default]
    Tolerated,
    /// More than that: a cluster may stop, but must say why, and never serve wrong data.
    Exceeded,
}

impl Plan {
    /// The run of a seed, which chooses all the rest.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }
}

/// The options of `raft sim` that make this run.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--seed {}", self.seed)?;
        if let Some(schedule) = self.schedule {
            write!(f, " --schedule {schedule}")?;
        }
        if let Some(members) = self.members {
            write!(f, " --members {members}")?;
        }
        if self.storage == Storage::Exceeded {
            f.write_str(" --storage exceeded")?;
        }
        if let Some(length) = self.length {
            write!(f, " --length {length}ms")?;
        }
        for (place, number) in self.without.iter().enumerate() {
            write!(f, "{}{number}", if place == 0 { " --without " } else { "," })?;
        }
        Ok(())
    }
}
