//! Whole clusters in one thread: the production `Resident` on the production log, over simulated
//! disks, wires and time. One seed makes one run, and the same seed makes the same run. Servers
//! start with empty directories and found their cluster themselves.
//!
//! A run has two parts. First there is trouble: processes and machines die anywhere in what they
//! do, cables are cut, disks fail, members come and go, while clients write. Then it all ends,
//! and the cluster must be well again within a bounded time. The [`checkers`] look at everything
//! that crosses a seam, all the time.
//!
//! What is not in here is what `Node` adds: sockets, threads, and the real clock.

mod calm;
mod chance;
pub mod checkers;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod diagram;
pub mod disk;
pub mod explore;
pub mod faults;
mod hardware;
pub mod hash;
pub mod host;
pub mod linear;
pub mod network;
pub mod observer;
pub mod plan;
pub mod probes;
pub mod recorder;
mod run;
pub mod schedule;
mod shrink;
mod stranger;
pub mod trace;
pub mod witness;
mod workload;
pub mod world;

pub use plan::{Plan, Reach, Storage};
pub use probes::Probe;
pub use run::{Failure, Report, run};
pub use schedule::{Schedule, Trouble};
pub use shrink::{Shrunk, shrink};
