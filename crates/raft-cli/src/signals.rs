//! SIGINT and SIGTERM, as calls of a function on a thread of its own.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal so soon after the one before is the same one, delivered twice: `timeout` and shells
/// signal a process and its group. Nobody presses Ctrl-C twice that fast.
const SAME: Duration = Duration::from_millis(200);

/// Calls `on_signal` with 1, 2, 3... as signals arrive. From now on they do not end the process
/// by themselves.
pub(crate) fn watch(mut on_signal: impl FnMut(u32) + Send + 'static) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let (interrupt, terminate) = runtime.block_on(async {
        io::Result::Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    })?;
    let wait = move || runtime.block_on(forward(interrupt, terminate, &mut on_signal));
    thread::Builder::new().name("signals".into()).spawn(wait)?;
    Ok(())
}

async fn forward(mut interrupt: Signal, mut terminate: Signal, on_signal: &mut impl FnMut(u32)) {
    let (mut number, mut before) = (0, None);
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if before.is_none_or(|before: Instant| before.elapsed() >= SAME) {
            number += 1;
            on_signal(number);
        }
        before = Some(Instant::now());
    }
}
