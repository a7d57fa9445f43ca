//! Every damage to a small, rich data directory: each byte, each page, each file. A plain reading
//! of the format (`layout`) says beforehand what has to come of it, and a start and a look must
//! both say so: never wrong data, never a silent loss of what was acknowledged.
//!
//! `RAFT_LOG_CASE` runs one case alone, as a red run prints it; `RAFT_TEST_LONG` turns every bit.
#![allow(missing_docs, unreachable_pub, clippy::print_stdout)]

mod change;
mod image;
mod layout;
mod scene;
mod second_reader;
#[path = "../support/mod.rs"]
mod support;
mod sweep;
