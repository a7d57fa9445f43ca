//! The thread that hands facts on to people.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use crate::notice::Notice;

/// Notices that may wait for whoever takes them; further ones are counted, not kept.
const WAITING_MAX: usize = 1024;

/// How long a node that ends waits for its last notices to be taken.
const LAST_WORDS_PATIENCE: Duration = Duration::from_secs(1);

/// Where notices go; shared by the threads of a node. A thread of its own hands them on, so that
/// a stopped pager delays nothing but them.
#[derive(Clone)]
pub(super) struct Notices(Arc<Shared>);

/// Takes notices, one after the other.
pub(super) type NoticeSink = Box<dyn FnMut(Notice) + Send>;

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Notice>,
    dropped: u64,
    /// The sink has not come back yet.
    telling: bool,
    stop: bool,
}

/// Lets the last notices be taken, for a while, when a node ends.
pub(super) struct LastWords(Arc<Shared>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notices {
    pub(super) fn start(mut sink: NoticeSink) -> io::Result<(Self, LastWords)> {
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        // Never joined: whoever does not take its notices must not keep a node from ending.
        std::thread::Builder::new().name("raft-notices".into()).spawn(move || {
            while let Some(notice) = theirs.next() {
                sink(notice);
            }
        })?;
        Ok((Self(Arc::clone(&shared)), LastWords(shared)))
    }

    pub(super) fn tell(&self, notice: Notice) {
        let mut queue = self.0.lock();
        if queue.waiting.len() < WAITING_MAX {
            queue.waiting.push_back(notice);
        } else {
            queue.dropped += 1;
        }
        drop(queue);
        self.0.changed.notify_all();
    }
}

impl Shared {
    /// The next notice; `None` once the node has ended and all are told.
    fn next(&self) -> Option<Notice> {
        let mut queue = self.lock();
        queue.telling = false;
        self.changed.notify_all();
        loop {
            let mut notice = queue.waiting.pop_front();
            if notice.is_none() && queue.dropped > 0 {
                notice = Some(Notice::Dropped { count: std::mem::take(&mut queue.dropped) });
            }
            if notice.is_some() {
                queue.telling = true;
                return notice;
            }
            if queue.stop {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for LastWords {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.stop = true;
        self.0.changed.notify_all();
        let until = Instant::now() + LAST_WORDS_PATIENCE;
        while queue.telling || !queue.waiting.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                queue.waiting.clear();
                return;
            }
            let waited = self.0.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notices")
    }
}
