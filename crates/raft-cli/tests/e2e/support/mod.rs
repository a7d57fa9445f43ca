//! What the tests stand on: processes, ports, servers, clusters, load, and what must hold in the
//! end.

mod agreement;
mod client;
mod cluster;
mod dice;
mod image;
mod load;
mod ports;
mod process;
mod scene;
mod server;
mod text;
mod tracer;
mod wire;

use std::time::Duration;

pub(crate) use agreement::{agree, messages_at_the_end};
pub(crate) use client::{Ended, add, append, raft, remove, run, shell};
pub(crate) use cluster::{Cluster, founders};
pub(crate) use dice::Dice;
pub(crate) use image::Image;
pub(crate) use load::{Load, Progress, Report};
pub(crate) use ports::free_ports;
pub(crate) use process::{Pidfd, Process, Seen, Signal, readable};
pub(crate) use scene::Scene;
pub(crate) use server::Server;
pub(crate) use text::{appended_at, is_stamp, unstamped};
pub(crate) use tracer::Tracer;
pub(crate) use wire::Wire;

/// The program under test.
pub(crate) const RAFT: &str = env!("CARGO_BIN_EXE_raft");

/// How long anything may take before a test gives up on it: far more than it ever needs, also on
/// a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The election timeout of most servers here: short, so that a test need not wait for elections,
/// and long enough for two busy cores.
pub(crate) const ELECTION_TIMEOUT: &str = "400ms";
