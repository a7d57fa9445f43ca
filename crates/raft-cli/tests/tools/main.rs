//! The tools for a person: `raft log` and `raft dev`, as the real program.

mod dev;
mod log;
mod support;
