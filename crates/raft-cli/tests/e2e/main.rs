//! The program, end to end: real processes, real disks, real sockets.
//!
//! Each test says in its name what a user may rely on. All of them wait for what they need (a
//! line, an exit, an answer), at most [`support::PATIENCE`]; how fast something is, is not their
//! business. A test that fails keeps its folder, with the data of every server and what every
//! server wrote, and names it.

#![allow(clippy::print_stderr, reason = "what a test prints is shown when it fails")]

mod calls;
mod changes;
mod classic;
mod copies;
mod crash;
mod crowd;
mod dev;
mod directory;
mod disk;
mod early;
mod full_disk;
mod input;
mod map;
mod member;
mod membership;
mod power;
mod readme;
mod recovery;
mod result;
mod retries;
mod sizes;
mod snapshots;
mod support;
mod text_log;
mod why;
