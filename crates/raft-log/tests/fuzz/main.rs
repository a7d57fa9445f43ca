//! Bytes of any kind, taken for what stands on disk: never a panic, never more memory than is
//! allowed, and what is accepted can be written again and means the same.
#![allow(missing_docs)]

mod directory;
mod files;
mod harness;
mod image;
mod log;
mod snapshot;
#[path = "../support/mod.rs"]
mod support;

use harness::Named;
use image::Files;
use support::model::{entries, vote};
use support::{MemDisk, open_with, small};

fn named(what: &str, bytes: Vec<u8>) -> Named {
    (what.into(), bytes)
}

/// What a directory holds.
fn files_of(disk: &MemDisk) -> Files {
    disk.names().into_iter().map(|name| (name.clone(), disk.read(&name))).collect()
}

fn disk_of(files: &Files) -> MemDisk {
    let disk = MemDisk::default();
    files.iter().for_each(|(name, bytes)| disk.put(name, bytes.clone()));
    disk
}

/// A log in one slot: a vote, and entries in two blocks.
fn small_log() -> MemDisk {
    let disk = MemDisk::default();
    let options = raft_log::Options { spares: 0, ..small(1) };
    let (_dir, mut log) = open_with(&disk, options).expect("a new log");
    log.writer.write(&[vote(2, Some(1)), entries(1, 3, 2, 20)]).expect("written");
    log.writer.write(&[entries(4, 1, 2, 5)]).expect("written");
    disk
}
