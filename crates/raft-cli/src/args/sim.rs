//! `raft sim`: which runs, and what is shown of them.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use raft_sim::{Reach, Schedule, Storage};

use super::duration;

#[derive(Clone, Debug, PartialEq, Args)]
pub(crate) struct SimArgs {
    /// One run, replayed: everything in it follows from this number
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "minutes"])]
    pub(crate) seed: Option<u64>,
    /// Many runs: A..B, or A.. together with --minutes [default: 0..100]
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    pub(crate) seeds: Option<Seeds>,
    /// So many minutes of runs, with seeds that nobody has chosen
    #[arg(long, value_name = "M", value_parser = minutes)]
    pub(crate) minutes: Option<Duration>,
    /// Which trouble comes when [default: each seed chooses]
    #[arg(long, value_name = "NAME",
          value_parser = PossibleValuesParser::new(Schedule::ALL.map(Schedule::name))
              .try_map(|name| name.parse::<Schedule>()))]
    pub(crate) schedule: Option<Schedule>,
    /// How many servers found the cluster, 1 to 7 [default: each seed chooses]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=7))]
    pub(crate) members: Option<u8>,
    /// What disks do at worst: what a cluster must survive, or more [default: each seed chooses]
    #[arg(long, value_name = "WHAT",
          value_parser = PossibleValuesParser::new(Storage::ALL.map(Storage::name))
              .try_map(|name| name.parse::<Storage>()))]
    pub(crate) storage: Option<Storage>,
    /// How far the network goes: a second of election timeout, or several [default: each seed chooses]
    #[arg(long, value_name = "WHAT",
          value_parser = PossibleValuesParser::new(Reach::ALL.map(Reach::name))
              .try_map(|name| name.parse::<Reach>()))]
    pub(crate) network: Option<Reach>,
    /// How long trouble lasts, in virtual time [default: each seed chooses]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) length: Option<Duration>,
    /// Trouble until 1,500 events have happened, and not much longer: for many runs
    #[arg(long, conflicts_with = "length")]
    pub(crate) short: bool,
    /// Troubles to leave out, by number: 3,5,9-12
    #[arg(long, value_name = "NUMBERS", requires = "seed", value_parser = numbers)]
    pub(crate) without: Option<Numbers>,
    /// How many runs at a time [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// With --seed: show everything that happens
    #[arg(long, requires = "seed")]
    pub(crate) trace: bool,
    /// With --seed, or of a failure: the diagram for Mermaid
    #[arg(long)]
    pub(crate) mermaid: bool,
    /// Show how often each kind of trouble came and each probe, a point of interest, was reached
    #[arg(long)]
    pub(crate) probes: bool,
    /// Fail if fewer probes were reached than this
    #[arg(long, value_name = "N")]
    pub(crate) probes_min: Option<usize>,
    /// Fail if any probe was not reached
    #[arg(long, conflicts_with = "probes_min")]
    pub(crate) probes_all: bool,
}

/// From the first to before the last, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seeds {
    pub(crate) from: u64,
    pub(crate) to: Option<u64>,
}

/// Some numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbers(pub(crate) BTreeSet<u32>);

/// `0..100`, `1000..`.
fn seeds(text: &str) -> Result<Seeds, String> {
    let wrong = || "write it like 0..100, or 1000.. together with --minutes".to_owned();
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
    let to = if to.trim().is_empty() { None } else { Some(number(to)?) };
    let seeds = Seeds { from: number(from)?, to };
    if seeds.to.is_some_and(|to| to <= seeds.from) {
        return Err(
            "that is no seed at all: the second number is the first that is left out".into()
        );
    }
    Ok(seeds)
}

/// `5`, `0.5`.
fn minutes(text: &str) -> Result<Duration, String> {
    let minutes = text.parse().ok().filter(|minutes| (0.01..=100_000.0).contains(minutes));
    let minutes: f64 = minutes.ok_or("from 0.01 to 100000 minutes")?;
    Duration::try_from_secs_f64(minutes * 60.0).map_err(|error| error.to_string())
}

/// `3,5,9-12`.
fn numbers(text: &str) -> Result<Numbers, String> {
    raft_sim::plan::numbers(text).map(Numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_seeds() {
        assert_eq!(seeds("3..7"), Ok(Seeds { from: 3, to: Some(7) }));
        assert_eq!(seeds("1000.."), Ok(Seeds { from: 1000, to: None }));
        for wrong in ["", "7", "7..3", "7..7", "..7", "a..b"] {
            assert!(seeds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn how_long() {
        assert_eq!(minutes("0.5"), Ok(Duration::from_secs(30)));
        for wrong in ["", "0", "-1", "inf", "NaN", "5m"] {
            assert!(minutes(wrong).is_err(), "{wrong}");
        }
    }
}
