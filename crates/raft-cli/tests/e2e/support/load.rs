//! Clients that write without pause.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use raft_node::{Address, Client, ClientOptions, Conclusion};

use super::PATIENCE;

/// Several clients, each of which writes its next message when the last one is answered.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    progress: Arc<Progress>,
    clients: Vec<JoinHandle<Report>>,
}

/// What became of the messages. Each one is unique and has no spaces.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// By index: what was answered with success.
    pub(crate) acknowledged: BTreeMap<u64, String>,
    /// What may have been applied.
    pub(crate) unknown: Vec<String>,
    /// What certainly was not.
    pub(crate) refused: Vec<String>,
    /// The longest time that a message took to be acknowledged.
    pub(crate) longest: Duration,
}

/// How much several threads have done.
#[derive(Default)]
pub(crate) struct Progress {
    done: Mutex<u64>,
    changed: Condvar,
}

impl Load {
    /// Starts `clients` of them, each of which knows all `ports` and begins at another one.
    pub(crate) fn start(ports: &[u16], clients: usize) -> Self {
        Self::of(ports, clients, |client, count| format!("m{client}-{count}"))
    }

    /// The same with other messages: `message` gets the number of the client and that of the
    /// message.
    pub(crate) fn of(ports: &[u16], clients: usize, message: fn(usize, u64) -> String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let progress = Arc::new(Progress::default());
        let spawn = |number: usize| {
            let mut ports = ports.to_vec();
            let first = number % ports.len();
            ports.rotate_left(first);
            let (stop, progress) = (Arc::clone(&stop), Arc::clone(&progress));
            let messages = (0..).map(move |count| message(number, count));
            thread::spawn(move || write(&ports, messages, &stop, &progress))
        };
        let clients = (0..clients).map(spawn).collect();
        Self { stop, progress, clients }
    }

    /// Waits until this many more messages are acknowledged.
    pub(crate) fn wait_for_more(&self, more: u64) {
        self.progress.wait_for_more(more);
    }

    /// How many messages are acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.progress.count()
    }

    /// Ends the load and says what became of it.
    pub(crate) fn finish(mut self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Report::default();
        for client in self.clients.drain(..) {
            let report = client.join().expect("a client does not panic");
            all.unknown.extend(report.unknown);
            all.refused.extend(report.refused);
            all.longest = all.longest.max(report.longest);
            for (index, message) in report.acknowledged {
                let twice = all.acknowledged.insert(index, message);
                assert_eq!(twice, None, "two messages at index {index}");
            }
        }
        eprintln!(
            "load: {} acknowledged, the slowest after {:?}; {} unknown, {} refused",
            all.acknowledged.len(),
            all.longest,
            all.unknown.len(),
            all.refused.len()
        );
        all
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Progress {
    /// How much is done.
    pub(crate) fn count(&self) -> u64 {
        *self.lock()
    }

    /// So much more is done.
    pub(crate) fn add(&self, more: u64) {
        *self.lock() += more;
        self.changed.notify_all();
    }

    /// Waits until so much more is done.
    pub(crate) fn wait_for_more(&self, more: u64) {
        let done = self.lock();
        let enough = *done + more;
        let lacking = |done: &mut u64| *done < enough;
        let waited = self.changed.wait_timeout_while(done, PATIENCE, lacking);
        let (done, result) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!result.timed_out(), "no progress: {done} of {enough} are done");
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, u64> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(
    ports: &[u16],
    messages: impl Iterator<Item = String>,
    stop: &AtomicBool,
    progress: &Progress,
) -> Report {
    let address = |port: &u16| format!(":{port}").parse::<Address>().expect("an address");
    let options = ClientOptions { timeout: Duration::from_secs(20), ..ClientOptions::default() };
    let endpoints: Vec<_> = ports.iter().map(address).collect();
    let client = Client::new(endpoints, options).expect("a client");
    let mut report = Report::default();
    for message in messages.take_while(|_| !stop.load(Ordering::Relaxed)) {
        let begun = Instant::now();
        match client.write(raft_store::message(message.as_bytes())).wait() {
            Ok(written) => {
                report.acknowledged.insert(written.at.index.0, message);
                report.longest = report.longest.max(begun.elapsed());
                progress.add(1);
            }
            Err(error) => {
                eprintln!("{message}: {error}");
                match error.outcome {
                    Conclusion::Unknown => report.unknown.push(message),
                    _ => report.refused.push(message),
                }
            }
        }
    }
    report
}
