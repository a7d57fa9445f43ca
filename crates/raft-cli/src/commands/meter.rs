//! Long work with files says how far it is, on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use raft_log::Progress;

use super::log::text;

/// What is done faster needs no words.
const PATIENCE_BEFORE_PROGRESS: Duration = Duration::from_millis(500);

/// How far something is, on a terminal.
pub(super) struct Meter {
    doing: &'static str,
    begun: Instant,
    wanted: bool,
    shown: Option<u64>,
}

impl Meter {
    pub(super) fn new(doing: &'static str) -> Self {
        Self { doing, begun: Instant::now(), wanted: io::stderr().is_terminal(), shown: None }
    }

    pub(super) fn show(&mut self, progress: Progress) {
        let percent = progress.done.saturating_mul(100) / progress.total.max(1);
        if !self.wanted || self.shown == Some(percent) {
            return;
        }
        if self.begun.elapsed() > PATIENCE_BEFORE_PROGRESS {
            let size = text::size(progress.total);
            let _ = write!(io::stderr(), "\r{} {size}: {percent}%\x1b[K", self.doing);
            self.shown = Some(percent);
        }
    }

    pub(super) fn clear(&mut self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
