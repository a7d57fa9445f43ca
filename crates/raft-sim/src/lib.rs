//! Whole clusters in one thread: the production `Replica` on the production log, over simulated
//! disks, wires and time. One seed makes one run, and the same seed makes the same run.
//!
//! A run has two parts. First there is trouble: processes and machines die anywhere in what they
//! do, cables are cut, disks fail, members come and go, while clients write. Then it all ends,
//! and the cluster must be well again within a bounded time. The [`checkers`] look at everything
//! that crosses a seam, all the time.
//!
//! What is not in here is what `Node` adds: sockets, threads, and the real clock.

pub mod checkers;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod disk;
pub mod faults;
pub mod host;
pub mod network;
mod plan;
mod run;
pub mod schedule;
pub mod trace;
pub mod witness;
mod workload;
pub mod world;

pub use plan::{Plan, Storage};
pub use run::{Failure, Report, run};
pub use schedule::Schedule;
