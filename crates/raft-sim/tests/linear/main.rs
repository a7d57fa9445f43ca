//! The linearizability checker against histories with known verdicts, against another checker,
//! against brute force, and against a million operations.
//! `RAFT_LINEAR_SEED=17 cargo test -p raft-sim --test linear twins` judges history 17 alone.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "figures, and the command that replays a red run"
)]

mod chained;
mod corpus;
mod drawn;
mod naive;
mod other;
mod scale;
mod twins;
mod world;
