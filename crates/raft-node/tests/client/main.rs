//! The client's decisions: each rule by itself, and against a server that drops, repeats and
//! delays what it likes.
#![allow(missing_docs)]

mod bench;
mod careless;
mod changes;
mod conclusions;
mod endpoints;
mod sessions;
