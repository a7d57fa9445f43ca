//! Single keys from the terminal, without Enter.
//!
//! Only echo and line editing are switched off: Ctrl-C and the layout of output stay as they
//! are. The terminal gets its settings back on every way out that this process has a say in.

use std::io::{self, IsTerminal, Read};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// The settings to go back to. A signal may end the process from another thread.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// As long as it lives keys are read.
#[derive(Debug)]
pub(super) struct Keys(());

impl Keys {
    /// Calls `on_key` for each key, if standard input is a terminal. In its background the
    /// system would stop the process for that.
    pub(super) fn watch(on_key: impl Fn(u8) + Send + 'static) -> Option<Self> {
        let stdin = io::stdin();
        let in_background = tcgetpgrp(&stdin).is_ok_and(|group| group != getpgrp());
        if !stdin.is_terminal() || in_background {
            return None;
        }
        let saved = tcgetattr(&stdin).ok()?;
        let mut single = saved.clone();
        single.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        *lock() = Some(saved);
        let keys = Self(());
        tcsetattr(&stdin, OptionalActions::Now, &single).ok()?;
        let read = move || {
            let mut key = [0];
            while matches!(io::stdin().lock().read(&mut key), Ok(1..)) {
                on_key(key[0]);
            }
        };
        thread::Builder::new().name("keys".into()).spawn(read).ok()?;
        Some(keys)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal its settings back. For whoever ends the process without unwinding.
pub(super) fn restore() {
    if let Some(saved) = lock().take() {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &saved);
    }
}

fn lock() -> std::sync::MutexGuard<'static, Option<Termios>> {
    SAVED.lock().unwrap_or_else(PoisonError::into_inner)
}
