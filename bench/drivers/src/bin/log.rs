//! Appending and syncing: our log, raft-engine and a bare loop, in turn on the same disk.
//!
//! `log --dir PATH --batch N --rounds N`: so many batches of entries of 256 B, each batch one
//! write and one sync. Each takes its turn for a few rounds, so that all see the same minutes.
//! Making room beforehand is outside of the time that counts, for all. `raft_log` encodes its
//! entries within its time, as raft-engine does; `raft_log_write` is its writing alone.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench_drivers::{Outcome, flag, quantile, tell};
use protobuf::well_known_types::BytesValue;
use raft_core::{Index, NodeId, Term};
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};
use raft_log::{
    DataDir, Founder, Holder, Kind, Log, LogBuffer, MemberIdentity, NodeState, Options, RealDisk,
    Write,
};

const ENTRY_BYTES: usize = 256;
/// What a record has beside its payload in the bare file, as in our own log.
const HEADER_BYTES: usize = 32;
const PAGE_BYTES: usize = 4096;
const SLOT_BYTES: u64 = 64 << 20;
const TURN: usize = 50;

fn main() -> Outcome<()> {
    let directory: PathBuf = flag("dir", std::env::temp_dir());
    let (batch, rounds): (usize, usize) = (flag("batch", 1), flag("rounds", 2_000));
    let bytes = (rounds * (batch * (ENTRY_BYTES + HEADER_BYTES) + PAGE_BYTES)) as u64;
    let mut bare = Bare::new(&directory, bytes)?;
    let mut ours = Ours::new(&directory.join("raft-log"), bytes)?;
    let mut engine = RaftEngine::new(&directory.join("raft-engine"))?;
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..rounds / TURN {
        for _ in 0..TURN {
            times[0].push(bare.append(batch)?);
        }
        for _ in 0..TURN {
            let (all, write) = ours.append(batch)?;
            times[1].push(all);
            times[2].push(write);
        }
        for _ in 0..TURN {
            times[3].push(engine.append(batch)?);
        }
    }
    let mut values = Vec::new();
    let names = ["bare", "raft_log", "raft_log_write", "raft_engine"]
        .map(|name| ["syncs_per_second", "p50_us", "p99_us"].map(|what| format!("{name}_{what}")));
    for (names, times) in names.iter().zip(&mut times) {
        let total: Duration = times.iter().sum();
        values.push((&*names[0], times.len() as f64 / total.as_secs_f64()));
        values.push((&*names[1], quantile(times, 0.5)));
        values.push((&*names[2], quantile(times, 0.99)));
    }
    tell(&values);
    Ok(())
}

/// A file of zeros that is written from its beginning to its end.
struct Bare {
    file: File,
    offset: u64,
}

impl Bare {
    fn new(directory: &Path, bytes: u64) -> Outcome<Self> {
        fs::create_dir_all(directory)?;
        let file = File::create(directory.join("bare"))?;
        for offset in (0..bytes).step_by(1 << 20) {
            file.write_all_at(&vec![0; 1 << 20], offset)?;
        }
        file.sync_all()?;
        Ok(Self { file, offset: 0 })
    }

    fn append(&mut self, batch: usize) -> Outcome<Duration> {
        let data = vec![7; batch * (ENTRY_BYTES + HEADER_BYTES)];
        let start = Instant::now();
        self.file.write_all_at(&data, self.offset)?;
        self.file.sync_data()?;
        let spent = start.elapsed();
        self.offset = (self.offset + data.len() as u64).next_multiple_of(PAGE_BYTES as u64);
        Ok(spent)
    }
}

/// Our log, with all the slots made ahead that the run needs.
struct Ours {
    _dir: DataDir,
    log: Log,
    buffer: LogBuffer,
}

impl Ours {
    fn new(path: &Path, bytes: u64) -> Outcome<Self> {
        fs::create_dir_all(path)?;
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
        let spares = (bytes / (SLOT_BYTES / 2) + 2) as usize;
        let options = Options {
            slot_bytes_start: SLOT_BYTES,
            slot_bytes_max: SLOT_BYTES,
            spares,
            seed: None,
        };
        let log = dir.open_log(options)?;
        while let Some(bytes) = log.spares.needed() {
            log.spares.make(bytes)?;
        }
        Ok(Self { _dir: dir, log, buffer: LogBuffer::new(Index(1)) })
    }

    /// How long it took with encoding, and without: that is done by another thread in a server.
    fn append(&mut self, batch: usize) -> Outcome<(Duration, Duration)> {
        let payload = [7; ENTRY_BYTES];
        let start = Instant::now();
        let first = self.buffer.next();
        for _ in 0..batch {
            self.buffer.append(Term(1), Kind::COMMAND, &[&payload]);
        }
        let last = Index(first.0 + batch as u64 - 1);
        let entries = self.buffer.slice(first, last).ok_or("the buffer has no such entries")?;
        let write = Write { first, entries, count: batch as u64, ..Write::default() };
        let encoded = start.elapsed();
        self.log.writer.write(&[write])?;
        let spent = start.elapsed();
        self.buffer.evict_below(self.buffer.next());
        Ok((spent, spent - encoded))
    }
}

/// raft-engine with its defaults, but without compression: the payload is no text.
struct RaftEngine {
    engine: Engine,
    next: u64,
}

/// An entry's index is the first eight bytes of its payload.
struct Numbered;

impl MessageExt for Numbered {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        let bytes = entry.value.first_chunk().copied().unwrap_or_default();
        u64::from_le_bytes(bytes)
    }
}

impl RaftEngine {
    fn new(path: &Path) -> Outcome<Self> {
        let config = Config {
            dir: path.to_string_lossy().into_owned(),
            batch_compression_threshold: ReadableSize(0),
            ..Config::default()
        };
        Ok(Self { engine: Engine::open(config)?, next: 1 })
    }

    fn append(&mut self, batch: usize) -> Outcome<Duration> {
        let entry = |index: u64| {
            let mut entry = BytesValue::new();
            entry.value = vec![7; ENTRY_BYTES];
            entry.value[..8].copy_from_slice(&index.to_le_bytes());
            entry
        };
        let entries: Vec<_> = (self.next..self.next + batch as u64).map(entry).collect();
        let start = Instant::now();
        let mut records = LogBatch::with_capacity(batch * ENTRY_BYTES * 2);
        records.add_entries::<Numbered>(1, &entries)?;
        self.engine.write(&mut records, true)?;
        let spent = start.elapsed();
        self.next += batch as u64;
        Ok(spent)
    }
}
