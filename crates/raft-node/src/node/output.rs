//! The output thread: writes the shown mark, then the state machine's line, so that a stopped
//! pager or a closed pipe never delays consensus.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use raft_core::Index;
use raft_log::ShownMark;

use crate::node::notice::Notices;
use crate::notice::Notice;
use crate::state_machine::Show;

/// How many bytes of lines may wait for a reader; further lines are counted, not kept.
const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a waiting view costs in memory, roughly: it shares its text with the state machine.
const VIEW_BYTES: usize = 256;

/// A line of the state machine, as the program that embeds a node gets it.
#[derive(Clone, Debug)]
pub struct Line {
    /// The entry that made it.
    pub index: Index,
    /// Its text, without a line feed.
    pub show: Show,
}

/// Where lines go. An error ends the output, not the node.
pub type Lines = Box<dyn FnMut(Line) -> io::Result<()> + Send>;

/// How long a node that ends waits for its last lines to be read.
const LAST_LINES_PATIENCE: Duration = Duration::from_secs(1);

/// The reactor's end of the output thread.
#[derive(Debug)]
pub(super) struct Output {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Index, Vec<Show>)>,
    bytes: usize,
    skipped: u64,
    stop: bool,
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output {
    pub(super) fn start(mark: ShownMark, lines: Lines, notices: Notices) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        // Never joined: a reader that does not read must not keep a node from ending.
        std::thread::Builder::new().name("raft-output".into()).spawn(move || {
            run(&theirs, mark, lines, &notices);
            theirs.lock().ended = true;
            theirs.ready.notify_all();
        })?;
        Ok(Self { shared })
    }

    /// Queues the lines of one entry.
    pub(super) fn show(&self, index: Index, lines: Vec<Show>) {
        let mut queue = self.shared.lock();
        let size = lines.iter().map(cost).sum::<usize>();
        if queue.bytes + size > WAITING_BYTES_MAX {
            queue.skipped += lines.len() as u64;
        } else {
            queue.bytes += size;
            queue.waiting.push_back((index, lines));
        }
        drop(queue);
        self.shared.ready.notify_all();
    }
}

impl Drop for Output {
    /// Lets the thread write what waits, for a while.
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.stop = true;
        self.shared.ready.notify_all();
        let until = Instant::now() + LAST_LINES_PATIENCE;
        while !queue.ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // Whoever opens the directory next shows them.
                queue.waiting.clear();
                return;
            }
            let waited = self.shared.ready.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn cost(show: &Show) -> usize {
    match show {
        Show::Text(text) => text.len() + VIEW_BYTES,
        Show::View(_) => VIEW_BYTES,
    }
}

fn run(shared: &Shared, mut mark: ShownMark, mut lines: Lines, notices: &Notices) {
    let mut open = true;
    loop {
        let mut queue = shared.lock();
        while queue.waiting.is_empty() && queue.skipped == 0 && !queue.stop {
            queue = shared.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let Some((index, shows)) = queue.waiting.pop_front() else {
            if queue.skipped == 0 {
                return;
            }
            let count = std::mem::take(&mut queue.skipped);
            drop(queue);
            notices.tell(Notice::LinesSkipped { count });
            continue;
        };
        queue.bytes -= shows.iter().map(cost).sum::<usize>();
        drop(queue);
        if open {
            open = show(index, shows, &mut mark, &mut lines, notices);
        }
    }
}

/// The mark first: after a crash at most this line is missing, and none repeats.
fn show(
    index: Index,
    shows: Vec<Show>,
    mark: &mut ShownMark,
    lines: &mut Lines,
    notices: &Notices,
) -> bool {
    if let Err(error) = mark.advance(index) {
        notices.tell(Notice::MarkFailed { error: error.to_string() });
    }
    for show in shows {
        if let Err(error) = lines(Line { index, show }) {
            notices.tell(Notice::OutputClosed { error: error.to_string() });
            return false;
        }
    }
    true
}
