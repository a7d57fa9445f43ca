//! Looking again and again: in place on a terminal, one document after the other elsewhere.

use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;
use std::{env, process, thread};

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use super::report::Report;
use super::{survey, view};
use crate::commands::ask::Ask;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::{Format, Output};
use crate::signals;

/// The other screen of a terminal, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Looks until it is told to stop; the last look is the result.
pub(super) fn run(ask: &Ask, interval: Duration, output: &Output) -> Result<Report, Problem> {
    let (stop, stopped) = mpsc::channel();
    let in_place = output.format == Format::Table && is_screen();
    let screen = Arc::new(Screen::enter(in_place));
    watch_signals(stop.clone(), Arc::clone(&screen))?;
    if in_place && io::stdin().is_terminal() {
        watch_keys(stop.clone())?;
    }
    let look = || survey::survey(ask).map(Report::of);
    let footer = format!("every {}, q or Ctrl-C ends", seconds(interval));
    let draw = |report: &Report| match (in_place, output.format) {
        (true, _) => {
            let picture = in_place_of_the_last(&painted(view::text(report)), &footer);
            write(&picture, &mut io::stdout())
        }
        (false, Format::Plain) => write(&view::table(report).plain(), &mut io::stdout()),
        (false, _) => write(&view::json_line(report), &mut io::stdout()),
    };
    let last = looks(look, draw, &stopped, interval);
    screen.leave();
    drop(stop);
    let last = last?;
    if in_place {
        output.text(&view::text(&last))?;
    }
    Ok(last)
}

/// The loop itself: `draw` says whether anybody still reads.
pub(super) fn looks<T>(
    mut look: impl FnMut() -> Result<T, Problem>,
    mut draw: impl FnMut(&T) -> Result<bool, Problem>,
    stopped: &Receiver<()>,
    interval: Duration,
) -> Result<T, Problem> {
    loop {
        let seen = look()?;
        if !draw(&seen)? || stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
            return Ok(seen);
        }
    }
}

/// Wipes the screen and draws in one go.
pub(super) fn in_place_of_the_last(text: &str, footer: &str) -> String {
    format!("\x1b[H\x1b[2J{text}\n{footer}\n")
}

/// `2 s`, `1.5 s`.
pub(super) fn seconds(interval: Duration) -> String {
    format!("{} s", interval.as_secs_f64())
}

/// Without colours if nobody wants them. What moves the cursor has to stay.
fn painted(text: String) -> String {
    match AutoStream::choice(&io::stdout()) {
        ColorChoice::Never => strip_str(&text).to_string(),
        _ => text,
    }
}

/// Says whether anybody reads it.
fn write(text: &str, to: &mut impl Write) -> Result<bool, Problem> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            Err(Problem::new(Exit::Io, format!("standard output cannot be written: {error}"))
                .hint("see what it is connected to: a full disk, a closed terminal"))
        }
        Ok(()) => Ok(true),
    }
}

/// Whether standard output can be drawn upon.
fn is_screen() -> bool {
    io::stdout().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The first signal ends the loop after the look that is under way, the second one at once.
fn watch_signals(stop: Sender<()>, screen: Arc<Screen>) -> Result<(), Problem> {
    let on_signal = move |number| {
        if number > 1 || stop.send(()).is_err() {
            screen.leave();
            process::exit(Exit::Interrupted.code().into());
        }
    };
    signals::watch(on_signal)
        .map_err(|error| Problem::new(Exit::NothingSent, format!("cannot watch signals: {error}")))
}

fn watch_keys(stop: Sender<()>) -> Result<(), Problem> {
    let read = move || {
        let mut key = [0];
        // Ctrl-D is a byte like any other here.
        while matches!(io::stdin().read(&mut key), Ok(1)) && !matches!(key[0], b'q' | b'Q' | 4) {}
        // The loop may have ended.
        let _told = stop.send(());
    };
    let spawned = thread::Builder::new().name("keys".into()).spawn(read);
    spawned
        .map(drop)
        .map_err(|error| Problem::new(Exit::NothingSent, format!("cannot start a thread: {error}")))
}

/// A terminal that is given back as it was, however this ends.
struct Screen {
    before: Option<Termios>,
    taken: AtomicBool,
}

impl Screen {
    fn enter(wanted: bool) -> Self {
        let before = tcgetattr(io::stdin()).ok().filter(|_| wanted);
        if let Some(mut modes) = before.clone() {
            modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            // Ctrl-Z would leave the shell with this screen.
            modes.special_codes[SpecialCodeIndex::VSUSP] = 0;
            // Without it keys want an Enter: no more than that.
            let _changed = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
        }
        if wanted {
            let _written = write!(io::stdout(), "{ENTER}").and_then(|()| io::stdout().flush());
        }
        Self { before, taken: AtomicBool::new(wanted) }
    }

    fn leave(&self) {
        if !self.taken.swap(false, Ordering::AcqRel) {
            return;
        }
        let _written = write!(io::stdout(), "{LEAVE}").and_then(|()| io::stdout().flush());
        if let Some(before) = &self.before {
            let _restored = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}
