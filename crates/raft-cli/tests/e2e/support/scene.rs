//! Where one test plays.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use tempfile::TempDir;

/// Clusters that may run at the same time: more would only slow each other down.
const CLUSTERS_MAX: u32 = 2;

static CLUSTERS: Mutex<u32> = Mutex::new(0);
static CLUSTER_ENDED: Condvar = Condvar::new();

/// A folder on the disk that the project is built on, and leave to run a cluster. The folder is
/// removed in the end, unless the test failed.
pub(crate) struct Scene {
    dir: TempDir,
    records: AtomicU64,
}

impl Scene {
    /// Waits for its turn.
    pub(crate) fn new() -> Self {
        let running = CLUSTERS.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = CLUSTER_ENDED.wait_while(running, |running| *running >= CLUSTERS_MAX);
        *waited.unwrap_or_else(PoisonError::into_inner) += 1;
        let dir = tempfile::Builder::new().prefix("e2e-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        Self { dir: dir.expect("a folder"), records: AtomicU64::new(0) }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A path in it.
    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// Where the next process called `name` leaves what it writes.
    pub(crate) fn record(&self, name: &str) -> PathBuf {
        let number = self.records.fetch_add(1, Ordering::Relaxed);
        self.join(format!("{number:02}-{name}"))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        *CLUSTERS.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        CLUSTER_ENDED.notify_all();
        if thread::panicking() {
            self.dir.disable_cleanup(true);
            let name = thread::current().name().unwrap_or("a test").to_owned();
            eprintln!("{name}: data and output are kept in {}", self.path().display());
            eprintln!("again: cargo test -p raft-cli --test e2e -- --exact {name}");
        }
    }
}
