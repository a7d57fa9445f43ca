//! One replica, driven by hand: what it answers, writes and shows, and what may be concluded.
#![allow(missing_docs)]

mod applying;
mod bench;
mod leaders;
mod members;
mod reads;
mod snapshots;
mod space;
mod why;
mod writes;
