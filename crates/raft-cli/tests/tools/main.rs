//! The tools for a person: `raft log`, `raft recover`, `raft dev` and `raft sim`, as the real program.

mod dev;
mod log;
mod recover;
mod sim;
mod support;
mod verdicts;
