//! The log against the disk it lies on: `cargo bench -p raft-log`.
//!
//! - Group commits against a bare loop that writes the same bytes into a file of zeros and syncs
//!   them, in turn, so that both see the same disk.
//! - The file system's own count of journal commits meanwhile, where it tells (ext4 does).
//! - How long a log of 1 GiB takes to open, and how much memory.
//!
//! `RAFT_BENCH_DIR` names a directory on another disk, `RAFT_BENCH_ROUNDS` a number of commits.

#![allow(clippy::print_stdout, missing_docs, reason = "a table is what a benchmark is for")]

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use raft_core::{Index, NodeId, Term};
use raft_log::{
    DataDir, Disk, DiskFile, Founder, Holder, Kind, Log, MemberIdentity, NodeState, Options,
    RealDisk, Write, encode_entry,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A block's header and an entry's: what a commit of one entry writes beside its payload.
const HEADERS_BYTES: usize = 128 + 32;
const SLOT_BYTES: u64 = 64 << 20;
const GIB: u64 = 1 << 30;

fn main() -> Outcome<()> {
    let root = std::env::var_os("RAFT_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let directory = tempfile::tempdir_in(&root)?;
    println!(
        "{:>10} {:>8} {:>10} {:>10} {:>7}",
        "a sync", "rounds", "bare p50", "log p50", "ratio"
    );
    for bytes in [4 << 10, 64 << 10, 1 << 20] {
        commits(directory.path(), bytes)?;
    }
    recovery(directory.path())
}

/// The rounds of a comparison: as many as fit into what is laid out beforehand.
fn rounds(bytes: usize) -> Outcome<usize> {
    if let Ok(rounds) = std::env::var("RAFT_BENCH_ROUNDS") {
        return Ok(rounds.parse()?);
    }
    Ok((192 << 20) / bytes.max(64 << 10))
}

/// Group commits of one entry, in turn with bare writes of as many bytes.
fn commits(directory: &Path, bytes: usize) -> Outcome<()> {
    let rounds = rounds(bytes)?;
    let slots = (rounds * bytes) as u64 / (SLOT_BYTES / 2) + 2;
    let mut log = Opened::new(&directory.join(format!("log-{bytes}")), slots as usize)?;
    let disk = RealDisk::open(directory)?;
    let bare = zeroed(&disk, &format!("bare-{bytes}"), (rounds * bytes) as u64)?;
    let payload = vec![7; bytes - HEADERS_BYTES];
    let mut times = (Vec::new(), Vec::new());
    let before = journal(directory);
    for round in 0..rounds {
        let start = Instant::now();
        bare.write_at(&[&payload, &[0; HEADERS_BYTES]], (round * bytes) as u64)?;
        bare.sync_data()?;
        times.0.push(start.elapsed());
        let write = log.entry(&payload);
        let start = Instant::now();
        log.log.writer.write(&[write])?;
        times.1.push(start.elapsed());
    }
    let journal = journal(directory).zip(before).map(|(after, before)| after - before);
    let (bare, own) = (median(&mut times.0), median(&mut times.1));
    print!("{:>10} {rounds:>8} {bare:>10.2?} {own:>10.2?}", format!("{} KiB", bytes >> 10));
    print!(" {:>6.1}%", 100.0 * bare.as_secs_f64() / own.as_secs_f64());
    match journal {
        Some(commits) => println!("  {commits} journal commits in {} syncs", 2 * rounds),
        None => println!(),
    }
    Ok(())
}

/// A log of 1 GiB, opened again.
fn recovery(directory: &Path) -> Outcome<()> {
    let path = directory.join("large");
    let mut log = Opened::new(&path, 2)?;
    let payload = vec![7; (64 << 10) - 32];
    while log.written < GIB {
        let writes: Vec<Write> = (0..15).map(|_| log.entry(&payload)).collect();
        log.log.writer.write(&writes)?;
        log.make_spares()?;
    }
    drop(log);
    let before = resident();
    let start = Instant::now();
    let (_dir, log) = open(&path, 2)?;
    let took = start.elapsed();
    println!("\n1 GiB opens in {took:.2?}, {} entries", log.recovered.last_index);
    if let Some((before, after)) = before.zip(resident()) {
        println!("memory before {} MiB, at most {} MiB", before.0 >> 10, after.1 >> 10);
    }
    let start = Instant::now();
    let (mut next, last) = (Index(1), log.recovered.last_index);
    while next <= last {
        let range = log.reader.read(next, last, 256 << 10)?;
        next = range.entries.last().map_or(last, |entry| entry.index).next();
    }
    println!("and is read from its start in {:.2?}", start.elapsed());
    if let Some((_, most)) = resident() {
        println!("memory at most {} MiB", most >> 10);
    }
    Ok(())
}

struct Opened {
    _dir: DataDir,
    log: Log,
    next: Index,
    written: u64,
}

impl Opened {
    /// A new log with so many slots made ahead.
    fn new(path: &Path, slots: usize) -> Outcome<Self> {
        let (dir, log) = open(path, slots)?;
        let opened = Self { _dir: dir, log, next: Index(1), written: 0 };
        opened.make_spares()?;
        Ok(opened)
    }

    fn make_spares(&self) -> Outcome<()> {
        while let Some(bytes) = self.log.spares.needed() {
            self.log.spares.make(bytes)?;
        }
        Ok(())
    }

    fn entry(&mut self, payload: &[u8]) -> Write {
        let first = self.next;
        let entry = encode_entry(first, Term(1), Kind::COMMAND, &[payload]);
        self.next = first.next();
        self.written += entry.len() as u64;
        Write { first, entries: vec![entry], count: 1, ..Write::default() }
    }
}

fn open(path: &Path, spares: usize) -> Outcome<(DataDir, Log)> {
    let holder = Holder { pid: std::process::id(), address: ":9990".into() };
    let mut dir = DataDir::open(Arc::new(RealDisk::open(path)?), holder)?;
    if let NodeState::New { incarnation } = *dir.identity() {
        let founders = vec![Founder { address: ":9990".into(), incarnation }];
        dir.set_identity(NodeState::Member(MemberIdentity {
            incarnation,
            cluster: 1,
            id: NodeId(1),
            address: ":9990".into(),
            founders,
        }))?;
    }
    let options =
        Options { slot_bytes_start: SLOT_BYTES, slot_bytes_max: SLOT_BYTES, spares, seed: None };
    let log = dir.open_log(options)?;
    Ok((dir, log))
}

/// A file of zeros that are on the disk.
fn zeroed(disk: &RealDisk, name: &str, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create(name)?;
    let zeros = Bytes::from(vec![0; 1 << 20]);
    for offset in (0..bytes).step_by(1 << 20) {
        file.write_at(&[&zeros], offset)?;
    }
    file.sync_all()?;
    disk.sync_dir(".")?;
    Ok(file)
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// How many transactions the journal of the file system has committed, if it tells.
fn journal(directory: &Path) -> Option<u64> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let inside = |point: &&str| directory.starts_with(point);
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let device = fields.filter(|field| inside(&field[1])).max_by_key(|field| field[1].len())?;
    let device = Path::new(device[0]).file_name()?.to_str()?.to_owned();
    let journals = fs::read_dir("/proc/fs/jbd2").ok()?.filter_map(Result::ok);
    let is_ours = |name: &str| name.rsplit_once('-').is_some_and(|(name, _)| name == device);
    let journal =
        journals.into_iter().find(|entry| entry.file_name().to_str().is_some_and(is_ours))?;
    let info = fs::read_to_string(journal.path().join("info")).ok()?;
    info.split_whitespace().next()?.parse().ok()
}

/// Memory of this process in KiB: now, and at most so far.
fn resident() -> Option<(u64, u64)> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}
