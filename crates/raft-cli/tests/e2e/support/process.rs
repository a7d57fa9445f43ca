//! One process, and everything that it writes.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

use super::PATIENCE;

pub(crate) use rustix::process::Signal;

/// A child process. Ends with this value.
pub(crate) struct Process {
    name: String,
    pid: u32,
    pidfd: Pidfd,
    shared: Arc<Shared>,
}

/// A process that is spoken of by something better than a number that may be used again.
pub(crate) struct Pidfd(OwnedFd);

struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

/// What a process has done so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Lines of its standard output, bytes that are not UTF-8 included.
    pub(crate) out: Vec<Vec<u8>>,
    /// Lines of its standard error.
    pub(crate) err: Vec<String>,
    /// Of the two streams, how many have ended.
    ended_streams: u8,
    /// How it ended, if it did.
    pub(crate) exit: Option<ExitStatus>,
}

impl Process {
    /// Starts a process. `record` is the stem of the files that keep what it writes.
    pub(crate) fn spawn(mut command: Command, name: &str, record: &Path) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let pid = child.id();
        let pidfd = Pidfd::of(pid).expect("the child is not waited for yet");
        let shared = Arc::new(Shared { seen: Mutex::default(), changed: Condvar::new() });
        let out = child.stdout.take().expect("it is a pipe");
        let err = child.stderr.take().expect("it is a pipe");
        follow(out, record.with_extension("out"), &shared, |seen, line| seen.out.push(line));
        follow(err, record.with_extension("err"), &shared, |seen, line| {
            seen.err.push(String::from_utf8_lossy(&line).into_owned());
        });
        let waited = Arc::clone(&shared);
        thread::spawn(move || wait_for(child, &waited));
        Self { name: name.to_owned(), pid, pidfd, shared }
    }

    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn seen(&self) -> Seen {
        self.shared.lock().clone()
    }

    /// Waits until `find` finds something in what the process did. `what` says what that is.
    pub(crate) fn wait<T>(&self, what: &str, mut find: impl FnMut(&Seen) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.shared.lock();
        loop {
            if let Some(found) = find(&seen) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // A process that has ended, and all of whose output is read, will do nothing more.
            assert!(
                !left.is_zero() && !seen.is_over(),
                "{} never showed {what}; {}",
                self.name,
                seen.story()
            );
            let waited = self.shared.changed.wait_timeout(seen, left);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a line of standard error that contains `text`, and returns it.
    pub(crate) fn wait_err(&self, text: &str) -> String {
        let find = |seen: &Seen| seen.err.iter().find(|line| line.contains(text)).cloned();
        self.wait(&format!("`{text}` on standard error"), find)
    }

    /// Waits until it ended by itself and everything that it wrote is read.
    pub(crate) fn wait_end(&self) -> Seen {
        self.wait("its end", |seen| seen.is_over().then(|| seen.clone()))
    }

    /// The same, but gives up without a panic after a time.
    pub(crate) fn ends_within(&self, limit: Duration) -> Option<Seen> {
        let until = |seen: &mut Seen| !seen.is_over();
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), limit, until);
        let (seen, _) = waited.unwrap_or_else(PoisonError::into_inner);
        seen.is_over().then(|| seen.clone())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.pidfd.signal(signal);
    }

    /// `kill -9`: no chance to write anything any more.
    pub(crate) fn kill(&self) -> Seen {
        self.signal(Signal::KILL);
        self.wait_end()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

impl Pidfd {
    /// The process with this number; nothing if there is none.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        pidfd_open(pid, PidfdFlags::empty()).ok().map(Self)
    }

    /// Sends a signal; a process that has ended does not mind.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.0, signal);
    }

    /// Waits until the process ended; false if it did not in time.
    pub(crate) fn ended(&self, limit: Duration) -> bool {
        readable(&self.0, limit)
    }
}

/// Waits until there is something to read, or to accept; false if there is not in time.
pub(crate) fn readable(file: &impl AsFd, limit: Duration) -> bool {
    let limit = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).expect("a short time"),
        tv_nsec: limit.subsec_nanos().into(),
    };
    let mut fds = [PollFd::new(file, PollFlags::IN)];
    poll(&mut fds, Some(&limit)).expect("poll works") > 0
}

impl Shared {
    /// A test that panicked while it looked has changed nothing.
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

impl Seen {
    /// The exit code; nothing if a signal ended it.
    pub(crate) fn code(&self) -> Option<i32> {
        self.exit.and_then(|exit| exit.code())
    }

    fn is_over(&self) -> bool {
        self.exit.is_some() && self.ended_streams == 2
    }

    /// How it ended and the last lines that it wrote.
    pub(crate) fn story(&self) -> String {
        let mut story = match self.exit {
            Some(exit) => format!("it ended with {exit}"),
            None => "it is still running".to_owned(),
        };
        let out: Vec<_> = self.out.iter().map(|line| String::from_utf8_lossy(line)).collect();
        let streams = [
            ("standard output", out.iter().map(AsRef::as_ref).collect::<Vec<&str>>()),
            ("standard error", self.err.iter().map(String::as_str).collect()),
        ];
        for (stream, lines) in streams {
            let _ = write!(story, "\n  the last lines on {stream}:");
            for line in lines.iter().skip(lines.len().saturating_sub(12)) {
                let shown: String = line.chars().take(300).collect();
                let _ = write!(story, "\n    {shown}");
            }
        }
        story
    }
}

/// Reads a stream to its end, line by line.
fn follow(
    stream: impl Read + Send + 'static,
    record: impl AsRef<Path>,
    shared: &Arc<Shared>,
    mut keep: impl FnMut(&mut Seen, Vec<u8>) + Send + 'static,
) {
    let mut record = File::options()
        .append(true)
        .create(true)
        .open(record.as_ref())
        .unwrap_or_else(|error| panic!("cannot open {}: {error}", record.as_ref().display()));
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|size| size > 0) {
            let _ = record.write_all(&line);
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            let line = std::mem::take(&mut line);
            shared.change(|seen| keep(seen, line));
        }
        shared.change(|seen| seen.ended_streams += 1);
    });
}

fn wait_for(mut child: Child, shared: &Shared) {
    let exit = child.wait().expect("a child can be waited for");
    shared.change(|seen| seen.exit = Some(exit));
}

/// A command with a clean environment: only what is given, and what finds programs.
pub(crate) fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}
