//! What is to be run: everything that happens follows from it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

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
    /// What disks do at worst; the seed chooses if it is not given.
    pub storage: Option<Storage>,
    /// How far the network goes; the seed chooses if it is not given.
    pub network: Option<Reach>,
    /// How long trouble lasts, in virtual milliseconds; the seed chooses if it is not given.
    pub length: Option<u64>,
    /// Trouble is over when [`EVENTS_MIN`] things have happened.
    pub short: bool,
    /// Troubles that are left out, by their number.
    pub without: BTreeSet<u32>,
}

/// So much happens in a short run before its trouble ends, and not much more.
pub const EVENTS_MIN: u64 = 1500;

/// What disks do at worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Storage {
    /// What a cluster must survive: an intact copy of everything stays on a quorum.
    #[default]
    Tolerated,
    /// More than that: a cluster may stop, but must say why, and never serve wrong data.
    Exceeded,
}

impl Storage {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tolerated, Self::Exceeded];

    /// What a person calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tolerated => "tolerated",
            Self::Exceeded => "exceeded",
        }
    }
}

impl FromStr for Storage {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|storage| storage.name() == name);
        found.ok_or_else(|| format!("storage is tolerated or exceeded, not {name:?}"))
    }
}

/// How far a network goes, and how patient members are with each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Messages take as long as in one room, or city: the election timeout is a second.
    #[default]
    Local,
    /// Between any two places it is far, 20 to 150 ms one way: the election timeout is 2 to 5
    /// seconds, and all trouble lasts longer in proportion.
    Wide,
}

impl Reach {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Local, Self::Wide];

    /// What a person calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Wide => "wide",
        }
    }
}

impl FromStr for Reach {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|reach| reach.name() == name);
        found.ok_or_else(|| format!("a network is local or wide, not {name:?}"))
    }
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
        if let Some(storage) = self.storage {
            write!(f, " --storage {}", storage.name())?;
        }
        if let Some(network) = self.network {
            write!(f, " --network {}", network.name())?;
        }
        if let Some(length) = self.length {
            write!(f, " --length {length}ms")?;
        }
        if self.short {
            f.write_str(" --short")?;
        }
        for (place, (first, last)) in ranges(&self.without).into_iter().enumerate() {
            f.write_str(if place == 0 { " --without " } else { "," })?;
            match first == last {
                true => write!(f, "{first}")?,
                false => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// The same options, read.
impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut plan = Self::default();
        let mut words = text.split_whitespace();
        while let Some(option) = words.next() {
            if option == "--short" {
                plan.short = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{option} has no value"))?;
            let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
            match option {
                "--seed" => plan.seed = number(value)?,
                "--schedule" => plan.schedule = Some(value.parse()?),
                "--members" => plan.members = Some(number(value)? as usize),
                "--storage" => plan.storage = Some(value.parse()?),
                "--network" => plan.network = Some(value.parse()?),
                "--length" => plan.length = Some(number(value.trim_end_matches("ms"))?),
                "--without" => plan.without = numbers(value)?,
                _ => return Err(format!("{option} {value} is not known")),
            }
        }
        Ok(plan)
    }
}

/// More troubles than any run has.
const NUMBER_MAX: u32 = 1_000_000;

/// `3,5,9-12`: the numbers of troubles.
///
/// # Errors
/// If it is not written like that.
pub fn numbers(text: &str) -> Result<BTreeSet<u32>, String> {
    let mut all = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u32>().ok().filter(|n| *n < NUMBER_MAX);
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => all.extend(first..=last),
            _ => return Err("write it like 3,5,9-12".into()),
        }
    }
    Ok(all)
}

/// Numbers that follow each other, as their first and last.
fn ranges(numbers: &BTreeSet<u32>) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_command_line() {
        assert_eq!(Plan::of_seed(7).to_string(), "--seed 7");
        let plan = Plan {
            seed: 8,
            schedule: Some(Schedule::Random),
            members: Some(3),
            storage: Some(Storage::Exceeded),
            network: Some(Reach::Wide),
            length: Some(900),
            short: false,
            without: [0, 1, 2, 5, 7, 8].into(),
        };
        assert_eq!(
            plan.to_string(),
            "--seed 8 --schedule random --members 3 --storage exceeded --network wide \
             --length 900ms --without 0-2,5,7-8"
        );
        assert_eq!(plan.to_string().parse(), Ok(plan));
        let tolerated = Plan { storage: Some(Storage::Tolerated), ..Plan::of_seed(9) };
        assert_eq!(tolerated.to_string(), "--seed 9 --storage tolerated");
        assert_eq!(tolerated.to_string().parse(), Ok(tolerated));
        let short = Plan { short: true, ..Plan::of_seed(9) };
        assert_eq!(short.to_string(), "--seed 9 --short");
        assert_eq!(short.to_string().parse(), Ok(short));
        let never = ["--schedule never", "--storage x", "--network x", "--seed 1 --beer 2"];
        for wrong in never.into_iter().chain(["--seed", "--seed x"]) {
            assert!(wrong.parse::<Plan>().is_err(), "{wrong}");
        }
    }
    #[test]
    fn which_troubles() {
        assert_eq!(numbers("5, 3,9-11"), Ok([3, 5, 9, 10, 11].into()));
        for wrong in ["", "3,", "9-3", "-3", "0-4294967295"] {
            assert!(numbers(wrong).is_err(), "{wrong}");
        }
    }
}
