//! The servers as child processes.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use raft_node::Address;
use rustix::process::{Pid, Signal, kill_process};

use super::Event;
use super::places::Places;
use crate::errors::Problem;
use crate::exit::Exit;

const FACT: Style = Style::new().dimmed();
const ADDRESS: Style = AnsiColor::Cyan.on_default();

/// A file of what a server wrote begins anew at this size; the one before is kept beside it.
const LOG_BYTES_MAX: u64 = 8 << 20;

/// One running server.
pub(super) struct Child {
    pub(super) pid: u32,
    /// The server ends when this closes.
    stdin: Option<ChildStdin>,
    /// Gets one message when the process has ended and all its output is shown.
    ended: Receiver<()>,
}

/// How a server ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) address: Address,
    pub(super) pid: u32,
    pub(super) how: String,
    code: Option<i32>,
}

impl Child {
    /// Starts a server, shows its standard output, and tells `events` what it writes on standard
    /// error and that it has ended.
    pub(super) fn start(
        places: &Places,
        address: &Address,
        election_timeout: Duration,
        events: &Sender<Event>,
    ) -> Result<Self, Problem> {
        let failed = |error: io::Error| {
            Problem::new(Exit::Io, format!("cannot start the server {address}: {error}"))
        };
        let mut child = Command::new(env::current_exe().map_err(failed)?)
            .args(places.arguments(address, election_timeout))
            .arg("--until-stdin-closes")
            .env_remove("RAFT_OUTPUT")
            .env_remove("RAFT_INSECURE")
            .env_remove("RAFT_HTTP")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let (pid, stdin) = (child.id(), child.stdin.take());
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let log = Arc::new(Mutex::new(LogFile::open(places.log_of(address)).map_err(failed)?));
        let (name, copy) = (address.to_string(), Arc::clone(&log));
        let shown = thread::Builder::new()
            .spawn(move || show(out, &name, io::stdout(), &copy))
            .map_err(failed)?;
        let (name, told) = (address.clone(), events.clone());
        let told = thread::Builder::new()
            .spawn(move || {
                each_line(err, &log, |line| {
                    let line = String::from_utf8_lossy(line).into_owned();
                    drop(told.send(Event::Line { address: name.clone(), line }));
                });
            })
            .map_err(failed)?;
        let (sender, ended) = mpsc::channel();
        let (address, events) = (address.clone(), events.clone());
        let reap = move || {
            let status = child.wait();
            // The last lines of a server say why it ended: they come first.
            let _ = (shown.join(), told.join());
            let _ = events.send(Event::Ended(Ended::new(address, pid, status)));
            let _ = sender.send(());
        };
        thread::Builder::new().spawn(reap).map_err(failed)?;
        Ok(Self { pid, stdin, ended })
    }

    /// Tells the server to end.
    pub(super) fn let_end(&mut self) {
        drop(self.stdin.take());
    }

    /// Waits for the end.
    pub(super) fn ended_before(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        !matches!(self.ended.recv_timeout(left), Err(mpsc::RecvTimeoutError::Timeout))
    }

    /// Kills a server that has not ended, and waits for the end.
    pub(super) fn kill(&self) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.ended.recv();
    }
}

impl Ended {
    fn new(address: Address, pid: u32, status: io::Result<ExitStatus>) -> Self {
        let (how, code) = match status {
            Err(error) => (error.to_string(), None),
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => (format!("exit code {code}"), Some(code)),
                (None, Some(signal)) => (format!("signal {signal}"), None),
                (None, None) => (status.to_string(), None),
            },
        };
        Self { address, pid, how, code }
    }

    /// Why there is no cluster.
    pub(super) fn problem(&self) -> Problem {
        let exits = [Exit::Usage, Exit::Damaged, Exit::Locked, Exit::Identity, Exit::TooNew];
        let same = exits.into_iter().find(|exit| self.code == Some(exit.code().into()));
        let what = format!("the server {} has ended: {}", self.address, self.how);
        Problem::new(same.unwrap_or(Exit::Io), what).hint("its own lines above say why")
    }
}

/// What a server wrote, kept in a file. Not being able to is no reason to end.
struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl LogFile {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes })
    }

    fn add(&mut self, line: &[u8]) -> io::Result<()> {
        let whole = [line, b"\n"].concat();
        if self.bytes > 0 && self.bytes + whole.len() as u64 > LOG_BYTES_MAX {
            fs::rename(&self.path, self.path.with_extension("log.old"))?;
            *self = Self::open(self.path.clone())?;
        }
        self.bytes += whole.len() as u64;
        self.file.write_all(&whole)
    }
}

/// Shows each line with the server's address in front. When nobody listens any more the lines are
/// read all the same: a full pipe would hold up the server's output. The bytes of a line stay as
/// they are, which `anstream`'s own writers do not promise.
fn show<W: Write + RawStream>(
    from: Option<impl Read>,
    address: &str,
    mut to: W,
    log: &Mutex<LogFile>,
) {
    let before = match AutoStream::choice(&to) {
        ColorChoice::Never => format!("{address}  "),
        _ => format!("{ADDRESS}{address}{ADDRESS:#}  "),
    };
    each_line(from, log, |line| {
        let whole = [before.as_bytes(), line, b"\n"].concat();
        let _ = to.write_all(&whole).and_then(|()| to.flush());
    });
}

/// What a server said on standard error, for a terminal.
pub(super) fn fact(address: &Address, line: &str) -> String {
    format!("{ADDRESS}{address}{ADDRESS:#}  {FACT}{line}{FACT:#}")
}

fn each_line(from: Option<impl Read>, log: &Mutex<LogFile>, mut take: impl FnMut(&[u8])) {
    let Some(from) = from else { return };
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while matches!(from.read_until(b'\n', &mut line), Ok(1..)) {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let _ = log.lock().unwrap_or_else(PoisonError::into_inner).add(text);
        take(text);
        line.clear();
    }
}
