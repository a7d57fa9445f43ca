//! The WAL thread: group commit. Takes everything that is queued, one write, one sync, publishes
//! the ticket, repeats. Batches form by themselves from what queued during the last sync.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use raft_core::{LogId, Ticket};
use raft_log::{Counters, LogWriter, Write, WriteError};
use tokio::sync::Notify;

use crate::node::observe::Observed;
use crate::node::{Failure, FailureClass};
use crate::replica::Compaction;

/// After so long without a write the last one is attested: from then on, damage to it is told
/// from a torn write.
const ATTEST_AFTER: Duration = Duration::from_millis(100);

/// How long a write without room waits before it asks the disk again.
const NO_SPACE_RETRY: Duration = Duration::from_millis(500);

/// The reactor's end of the WAL thread.
#[derive(Debug)]
pub(super) struct Wal {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    durable: AtomicU64,
    wake: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Queue {
    writes: Vec<Write>,
    ticket: Ticket,
    compaction: Option<Compaction>,
    stop: bool,
    news: News,
}

/// What the reactor is to be told, beside what is durable.
#[derive(Clone, Debug, Default)]
pub(super) struct News {
    /// Where the log begins since the last compaction.
    pub(super) start: Option<LogId>,
    /// Why writes wait for room, once each time it begins.
    pub(super) no_space: Option<String>,
    /// The error that ended the thread. After a failed write or sync nothing is known of what the
    /// disk holds (rule R11): the process must end.
    pub(super) failed: Option<Failure>,
}

impl Shared {
    /// A panic elsewhere never leaves the queue half changed: each change is one assignment.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wal {
    /// Starts the thread. `wake` is notified whenever [`Wal::durable`] changed or there are news.
    pub(super) fn start(
        writer: LogWriter,
        wake: Arc<Notify>,
        observed: Arc<Observed>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            ready: Condvar::new(),
            durable: AtomicU64::new(0),
            wake,
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("raft-wal".into())
            .spawn(move || run(writer, &theirs, &observed))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Queues one durable operation; without a ticket nothing waits for it.
    pub(super) fn submit(&self, ticket: Option<Ticket>, write: Write) {
        let mut queue = self.shared.lock();
        queue.writes.push(write);
        queue.ticket = ticket.unwrap_or(queue.ticket);
        drop(queue);
        self.shared.ready.notify_one();
    }

    /// Has space freed before anything that is queued later is written.
    pub(super) fn compact(&self, compaction: Compaction) {
        self.shared.lock().compaction = Some(compaction);
        self.shared.ready.notify_one();
    }

    /// Everything up to here is durable.
    pub(super) fn durable(&self) -> Ticket {
        Ticket(self.shared.durable.load(Ordering::Acquire))
    }

    /// What happened since it was asked last.
    pub(super) fn take_news(&self) -> News {
        std::mem::take(&mut self.shared.lock().news)
    }
}

impl Drop for Wal {
    /// Writes what is queued, attests it, and ends the thread.
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.ready.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the WAL thread was reported by the thread itself.
            let _ended = thread.join();
        }
    }
}

/// Tells the reactor of a thread that ends by a panic: what it was given is never written.
struct Watch<'a>(&'a Shared);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().news.failed = Some(Failure::invariant());
            self.0.wake.notify_one();
        }
    }
}

fn run(mut writer: LogWriter, shared: &Shared, observed: &Observed) {
    let _watch = Watch(shared);
    let mut attested = true;
    let mut writes = Vec::new();
    loop {
        let mut queue = shared.lock();
        while queue.writes.is_empty() && queue.compaction.is_none() && !queue.stop {
            if attested {
                queue = shared.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (back, timeout) = shared
                .ready
                .wait_timeout(queue, ATTEST_AFTER)
                .unwrap_or_else(PoisonError::into_inner);
            queue = back;
            if timeout.timed_out() {
                break;
            }
        }
        std::mem::swap(&mut writes, &mut queue.writes);
        let (ticket, stop, compaction) = (queue.ticket, queue.stop, queue.compaction.take());
        drop(queue);
        if let Some(compaction) = compaction {
            compact(&mut writer, compaction, shared);
            if writes.is_empty() && !stop {
                continue;
            }
        }
        let begun = Instant::now();
        let result = if writes.is_empty() {
            attested = true;
            writer.attest().map(|_| ())
        } else {
            attested = false;
            write_all(&mut writer, &writes, shared)
        };
        if let Err(error) = result {
            let what = error.to_string();
            shared.lock().news.failed = Some(Failure { class: FailureClass::Disk, what });
            shared.wake.notify_one();
            return;
        }
        observed.synced(begun.elapsed());
        let Counters { writes: made, bytes, .. } = writer.counters();
        observed.counters.log_writes.store(made, Ordering::Relaxed);
        observed.counters.log_bytes.store(bytes, Ordering::Relaxed);
        if !writes.is_empty() {
            shared.durable.store(ticket.0, Ordering::Release);
            shared.wake.notify_one();
            writes.clear();
        } else if stop {
            return;
        }
    }
}

fn compact(writer: &mut LogWriter, compaction: Compaction, shared: &Shared) {
    let start = compaction.carry_out(writer);
    shared.lock().news.start = Some(start);
    shared.wake.notify_one();
}

/// Waits for room as long as it takes: what was queued was admitted, and is neither lost nor
/// refused by a disk that is full for now.
fn write_all(writer: &mut LogWriter, writes: &[Write], shared: &Shared) -> Result<(), WriteError> {
    let mut told = false;
    loop {
        match writer.write(writes) {
            Err(error @ WriteError::NoSpace { .. }) => {
                let mut queue = shared.lock();
                if queue.stop {
                    return Err(error);
                }
                if let Some(compaction) = queue.compaction.take() {
                    // The room may be in the log itself.
                    drop(queue);
                    compact(writer, compaction, shared);
                    continue;
                }
                if !told {
                    told = true;
                    queue.news.no_space = Some(error.to_string());
                    shared.wake.notify_one();
                }
                let waited = shared.ready.wait_timeout(queue, NO_SPACE_RETRY);
                drop(waited);
            }
            other => return other.map(|_| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use raft_core::{Index, NodeId, Term};
    use raft_log::{DataDir, Holder, Kind, MemberIdentity, NodeState, RealDisk, encode_entry};

    use super::*;

    #[test]
    fn a_writer_that_panics_is_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(RealDisk::open(dir.path()).unwrap());
        let mut data = DataDir::open(disk, Holder { pid: 0, address: String::new() }).unwrap();
        let identity = MemberIdentity {
            incarnation: data.identity().incarnation(),
            cluster: 1,
            id: NodeId(1),
            address: ":1".into(),
            founders: Vec::new(),
        };
        data.set_identity(NodeState::Member(identity)).unwrap();
        let log = data.open_log(raft_log::Options::default()).unwrap();
        let wake = Arc::new(Notify::new());
        let wal = Wal::start(log.writer, Arc::clone(&wake), Observed::new()).unwrap();
        // An entry that cannot follow the empty log.
        let entry = encode_entry(Index(5), Term(1), Kind::NOOP, &[]);
        let write = Write { first: Index(5), count: 1, entries: vec![entry], ..Write::default() };
        wal.submit(Some(Ticket(1)), write);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let woken = runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(20), wake.notified()).await
        });
        assert!(woken.is_ok(), "the reactor is not told");
        assert_eq!(wal.take_news().failed, Some(Failure::invariant()));
        assert_eq!(wal.durable(), Ticket(0));
    }
}
