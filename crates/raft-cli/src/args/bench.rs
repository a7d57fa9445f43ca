//! The command line of `raft bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use raft_node::Consistency;

use super::map::consistency;
use super::{ClientArgs, duration};

/// What clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    Append,
    Put,
    Get,
    Mixed,
}

/// Whose servers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum System {
    Raft,
    Etcd,
}

impl Work {
    /// Whether keys have to be there before.
    pub(crate) fn gets(self) -> bool {
        matches!(self, Self::Get | Self::Mixed)
    }
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct BenchArgs {
    /// Three servers of its own, in a fresh temporary directory, instead of --endpoints
    #[arg(long)]
    pub(crate) local: bool,
    /// With --local: where their data is [default: a fresh temporary directory]
    #[arg(long, value_name = "DIR", requires = "local")]
    pub(crate) dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) load: Load,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// What a measurement puts on a cluster.
#[derive(Clone, Debug, PartialEq, Args)]
pub(crate) struct Load {
    /// What is asked for: to append messages, to put values under keys, to get them, or a mix of
    /// puts and gets
    #[arg(value_name = "WORK", value_enum, hide_possible_values = true, default_value = "append")]
    pub(crate) work: Work,
    /// Whose servers they are: `raft`, or `etcd` to compare with, which has keys and no messages
    #[arg(
        long,
        value_name = "SYSTEM",
        value_enum,
        hide_possible_values = true,
        default_value = "raft"
    )]
    pub(crate) target: System,
    /// Clients that ask at the same time, each waiting for its answers
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) clients: u32,
    /// Connections that the clients share, each one session [default: at most 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connections: Option<u32>,
    /// Requests that each client has under way
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) in_flight: u32,
    /// Requests a second, at fixed times whether the cluster keeps up or not; latency counts from
    /// those times [default: as fast as answers come]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: Option<u32>,
    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How long to run before
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub(crate) warm_up: Duration,
    /// Bytes of each message or value; the servers keep all messages
    #[arg(long, value_name = "BYTES", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(1..=16 << 20))]
    pub(crate) value_size: u32,
    /// Keys that are put and got, in no order; before gets, each of them is put
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) keys: u32,
    /// Of a mix, how many of 100 are gets
    #[arg(long, value_name = "PERCENT", default_value_t = 50,
          value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) gets: u8,
    /// Which state gets read: `linearizable` or `local`
    #[arg(long, value_name = "WHICH", default_value = "linearizable",
          hide_possible_values = true, value_parser = consistency())]
    pub(crate) consistency: Consistency,
    /// Ask all members in turn instead of the leader: followers forward
    #[arg(long)]
    pub(crate) spread: bool,
}
