//! The tools for a person: `raft log`, `raft dev` and `raft sim`, as the real program.

mod dev;
mod log;
mod sim;
mod support;
