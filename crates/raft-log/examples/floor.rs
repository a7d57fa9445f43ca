//! The physical limit of a replicated write on this machine: a leader and two followers that do
//! nothing but what no such system can leave out. `cargo run --release -p raft-log --example floor`
//!
//! A client asks over TCP (300 bytes, and 32 come back). The leader sends the records of all
//! requests that it has read to both followers, writes them into a file of zeros, syncs, and waits
//! for one of two acknowledgements, each of which follows the follower's own write and sync. One
//! commit is under way at a time. Threads with blocking sockets, no checksums, no state machine.
//!
//! | flag | means |
//! |---|---|
//! | `--clients N` | requests that are under way, over one connection; 0: the leader asks itself |
//! | `--batch N` | records in each request |
//! | `--bytes N` | bytes in each record, beside 16 for its header |
//! | `--spin-us N` | who waits asks the system again and again for so long before it sleeps |
//! | `--seconds N` | how long |
//! | `--no-sync` | the disk is left out |
//! | `--dir PATH` | where the files are |

#![allow(clippy::print_stdout, missing_docs, reason = "a line of figures is what this is for")]

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const REQUEST_BYTES: usize = 300;
const REPLY_BYTES: usize = 32;
const HEADER_BYTES: usize = 16;
const PAGE_BYTES: usize = 4096;
const FILE_BYTES: u64 = 64 << 20;

/// Set when the time is over.
static OVER: AtomicBool = AtomicBool::new(false);

#[derive(Clone, Debug)]
struct Settings {
    clients: usize,
    batch: usize,
    bytes: usize,
    spin: Duration,
    time: Duration,
    sync: bool,
    dir: PathBuf,
}

fn main() -> Outcome<()> {
    let settings = settings()?;
    let directory = tempfile::tempdir_in(&settings.dir)?;
    let mut acks = Vec::new();
    for number in 1..=2 {
        let (near, far) = pair()?;
        let journal = Journal::new(&directory.path().join(format!("{number}")), &settings)?;
        let spin = settings.spin;
        thread::spawn(move || follow(far, journal, spin));
        acks.push(near);
    }
    let journal = Journal::new(&directory.path().join("0"), &settings)?;
    let (door, asked) = pair()?;
    let of_client = settings.clone();
    let client = (settings.clients > 0).then(|| thread::spawn(move || ask(asked, &of_client)));
    let cpu = processor();
    let begun = Instant::now();
    thread::spawn({
        let time = settings.time;
        move || {
            thread::sleep(time);
            OVER.store(true, Ordering::Relaxed);
        }
    });
    let mut commits = lead(door, &acks, journal, &settings)?;
    let elapsed = begun.elapsed().as_secs_f64();
    let cpu = (processor() - cpu).as_secs_f64() * 1e6 / commits.times.len() as f64;
    let rounds = commits.times.len() as f64 / elapsed;
    let (half, most) = quantiles(&mut commits.times);
    println!(
        "clients {} batch {} bytes {} spin {}: {rounds:.0} commits/s {:.0} records/s, commit p50 \
         {half} p99 {most} us, {cpu:.0} us of processor each",
        settings.clients,
        settings.batch,
        settings.bytes,
        settings.spin.as_micros(),
        commits.records as f64 / elapsed,
    );
    if let Some(client) = client {
        let mut times = client.join().map_err(|_| "the client ended")??;
        let (half, most) = quantiles(&mut times);
        println!("  as the client sees it: p50 {half} p99 {most} us");
    }
    Ok(())
}

fn settings() -> Outcome<Settings> {
    let mut settings = Settings {
        clients: 1,
        batch: 1,
        bytes: 256,
        spin: Duration::ZERO,
        time: Duration::from_secs(3),
        sync: true,
        dir: std::env::temp_dir(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        match &word[..] {
            "--clients" => settings.clients = value()?.parse()?,
            "--batch" => settings.batch = value()?.parse()?,
            "--bytes" => settings.bytes = value()?.parse()?,
            "--spin-us" => settings.spin = Duration::from_micros(value()?.parse()?),
            "--seconds" => settings.time = Duration::from_secs_f64(value()?.parse()?),
            "--dir" => settings.dir = value()?.into(),
            "--no-sync" => settings.sync = false,
            _ => return Err(format!("{word}: no such flag").into()),
        }
    }
    Ok(settings)
}

/// A file of zeros that are on the disk, written from its beginning again when it is full.
struct Journal {
    file: File,
    sync: bool,
    end: u64,
}

impl Journal {
    fn new(path: &Path, settings: &Settings) -> io::Result<Self> {
        let mut file = File::options().read(true).write(true).create_new(true).open(path)?;
        let zeros = vec![0; 1 << 20];
        for _ in 0..FILE_BYTES >> 20 {
            file.write_all(&zeros)?;
        }
        file.sync_all()?;
        Ok(Self { file, sync: settings.sync, end: 0 })
    }

    /// Writes whole pages and syncs.
    fn append(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.resize(bytes.len().next_multiple_of(PAGE_BYTES), 0);
        if self.end + bytes.len() as u64 > FILE_BYTES {
            self.end = 0;
        }
        self.file.write_all_at(bytes, self.end)?;
        self.end += bytes.len() as u64;
        if self.sync { self.file.sync_data() } else { Ok(()) }
    }
}

/// The leader's figures: how long each commit took, and what was in all of them.
#[derive(Default)]
struct Commits {
    times: Vec<Duration>,
    records: u64,
}

fn lead(
    mut door: TcpStream,
    followers: &[TcpStream],
    mut journal: Journal,
    settings: &Settings,
) -> io::Result<Commits> {
    let record = settings.bytes + HEADER_BYTES;
    let mut commits = Commits::default();
    let mut requests = Stream::default();
    let mut acks = [Stream::default(), Stream::default()];
    let (mut round, mut body) = (0_u64, Vec::new());
    while !OVER.load(Ordering::Relaxed) {
        let mut asked = 1;
        if settings.clients > 0 {
            if requests.read(&mut door, REQUEST_BYTES, settings.spin)? == 0 {
                break;
            }
            asked = requests.take_whole(REQUEST_BYTES);
        }
        let begun = Instant::now();
        round += 1;
        let bytes = asked * settings.batch * record;
        body.clear();
        body.extend_from_slice(&round.to_le_bytes());
        body.extend_from_slice(&(bytes as u64).to_le_bytes());
        body.resize(HEADER_BYTES + bytes, 7);
        for mut follower in followers {
            follower.write_all(&body)?;
        }
        journal.append(&mut body)?;
        let mut is_acked = false;
        while !is_acked {
            let at = wait(followers, settings.spin)?;
            acks[at].read(&mut &followers[at], 8, Duration::ZERO)?;
            is_acked = acks[at].last_u64().is_some_and(|acked| acked == round);
        }
        commits.times.push(begun.elapsed());
        commits.records += (asked * settings.batch) as u64;
        if settings.clients > 0 {
            door.write_all(&vec![1; asked * REPLY_BYTES])?;
        }
    }
    Ok(commits)
}

/// All that was read at once is one write, one sync, one acknowledgement. Ends with its socket.
fn follow(mut leader: TcpStream, mut journal: Journal, spin: Duration) -> io::Result<()> {
    let mut stream = Stream::default();
    let mut body = Vec::new();
    loop {
        let mut last = None;
        while let Some(round) = stream.take_message(&mut body) {
            last = Some(round);
        }
        if let Some(round) = last {
            journal.append(&mut body)?;
            body.clear();
            leader.write_all(&round.to_le_bytes())?;
        }
        if stream.read(&mut leader, stream.bytes.len() + 1, spin)? == 0 {
            return Ok(());
        }
    }
}

/// Keeps so many requests under way.
fn ask(mut server: TcpStream, settings: &Settings) -> Outcome<Vec<Duration>> {
    let mut since = std::collections::VecDeque::new();
    let (mut times, mut replies, mut owed) = (Vec::new(), Stream::default(), settings.clients);
    loop {
        let now = Instant::now();
        since.extend(std::iter::repeat_n(now, owed));
        let sent = server.write_all(&vec![1; owed * REQUEST_BYTES]);
        if sent.is_err() || replies.read(&mut server, REPLY_BYTES, settings.spin).unwrap_or(0) == 0
        {
            return Ok(times);
        }
        owed = replies.take_whole(REPLY_BYTES);
        times.extend(since.drain(..owed).map(|since| since.elapsed()));
    }
}

/// What was read of a stream and not yet taken.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
}

impl Stream {
    /// Reads until there are so many bytes; tells how many there are, or zero at the end.
    fn read(
        &mut self,
        stream: &mut (impl Read + std::os::fd::AsFd),
        least: usize,
        spin: Duration,
    ) -> io::Result<usize> {
        while self.bytes.len() < least {
            if !spin.is_zero() {
                wait(std::slice::from_ref(stream), spin)?;
            }
            let had = self.bytes.len();
            self.bytes.resize(had + (256 << 10), 0);
            let read = stream.read(&mut self.bytes[had..])?;
            self.bytes.truncate(had + read);
            if read == 0 {
                return Ok(0);
            }
        }
        Ok(self.bytes.len())
    }

    fn take_whole(&mut self, each: usize) -> usize {
        let whole = self.bytes.len() / each;
        self.bytes.drain(..whole * each);
        whole
    }

    fn last_u64(&mut self) -> Option<u64> {
        let whole = self.bytes.len() / 8 * 8;
        let last = self.bytes.get(whole.checked_sub(8)?..whole)?.try_into().ok()?;
        self.bytes.drain(..whole);
        Some(u64::from_le_bytes(last))
    }

    /// Moves one message of the leader's to the end of `body`; tells its number.
    fn take_message(&mut self, body: &mut Vec<u8>) -> Option<u64> {
        let field = |at: usize| {
            let bytes = self.bytes.get(at..at + 8)?.try_into().ok()?;
            Some(u64::from_le_bytes(bytes))
        };
        let (round, bytes) = (field(0)?, field(8)?);
        let end = HEADER_BYTES + usize::try_from(bytes).ok()?;
        body.extend_from_slice(self.bytes.get(..end)?);
        self.bytes.drain(..end);
        Some(round)
    }
}

/// Waits until one of these has something to read; tells which.
fn wait(streams: &[impl std::os::fd::AsFd], spin: Duration) -> io::Result<usize> {
    let mut fds: Vec<_> = streams.iter().map(|stream| PollFd::new(stream, PollFlags::IN)).collect();
    let begun = Instant::now();
    loop {
        let sleeps = begun.elapsed() >= spin;
        let timeout = (!sleeps).then(Timespec::default);
        if poll(&mut fds, timeout.as_ref())? > 0 {
            let ready = fds.iter().position(|fd| !fd.revents().is_empty());
            return Ok(ready.unwrap_or_default());
        }
        thread::yield_now();
    }
}

fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    for stream in [&near, &far] {
        stream.set_nodelay(true)?;
    }
    Ok((near, far))
}

fn quantiles(times: &mut [Duration]) -> (u128, u128) {
    times.sort_unstable();
    let at = |part: f64| times.get((times.len() as f64 * part) as usize);
    (at(0.5).map_or(0, Duration::as_micros), at(0.99).map_or(0, Duration::as_micros))
}

/// The processor time of this process.
fn processor() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}
