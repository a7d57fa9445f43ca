//! One server over all of its lives: its port, its directory, and the lines that it showed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Process, Seen, Signal};
use super::{ELECTION_TIMEOUT, Scene, raft, unstamped};

/// A server. Stops with this value, its directory stays.
pub(crate) struct Server {
    pub(crate) port: u16,
    args: Vec<OsString>,
    dir: PathBuf,
    process: Option<Process>,
    /// The lines of its earlier lives.
    shown_before: Vec<String>,
}

impl Server {
    /// A server of the cluster `list`, not started yet, with a directory of its own in `scene`.
    pub(crate) fn new(scene: &Scene, list: &str, port: u16) -> Self {
        let dir = scene.join(format!("data-{port}"));
        Self::with_dir(list, port, &dir)
    }

    pub(crate) fn with_dir(list: &str, port: u16, dir: &Path) -> Self {
        let listen = format!(":{port}");
        let mut args: Vec<OsString> = ["-c", list, "-p", &listen].map(Into::into).to_vec();
        args.extend(["--election-timeout", ELECTION_TIMEOUT, "--data-dir"].map(Into::into));
        args.push(dir.into());
        Self { port, args, dir: dir.to_owned(), process: None, shown_before: Vec::new() }
    }

    /// Another one than [`ELECTION_TIMEOUT`].
    pub(crate) fn set_election_timeout(&mut self, timeout: &str) {
        let place = self.args.iter().position(|arg| arg == "--election-timeout");
        self.args[place.expect("it is given") + 1] = timeout.into();
    }

    /// Starts with these as well from now on.
    pub(crate) fn add_arguments(&mut self, args: &[&str]) {
        self.args.extend(args.iter().map(Into::into));
    }

    pub(crate) fn command(&self) -> Command {
        raft(&self.args)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// `:9990`.
    pub(crate) fn address(&self) -> String {
        format!(":{}", self.port)
    }

    /// Starts it; it may be refused, or not be ready yet.
    pub(crate) fn start(&mut self, scene: &Scene) -> &Process {
        self.start_as(self.command(), scene)
    }

    /// The same by a command that becomes the server.
    pub(crate) fn start_as(&mut self, command: Command, scene: &Scene) -> &Process {
        assert!(self.process.is_none(), "{} runs already", self.address());
        let name = format!("server-{}", self.port);
        self.process.insert(Process::spawn(command, &name, &scene.record(&name)))
    }

    pub(crate) const fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// The running process.
    pub(crate) fn process(&self) -> &Process {
        self.process.as_ref().expect("the server runs")
    }

    /// `kill -9`, and waits for the end.
    pub(crate) fn kill(&mut self) {
        let seen = self.process().kill();
        self.ended(seen);
    }

    /// Stops it as a service manager does, and waits for the end.
    pub(crate) fn terminate(&mut self) -> Seen {
        self.process().signal(Signal::TERM);
        let seen = self.process().wait_end();
        self.ended(seen.clone());
        seen
    }

    /// Takes note of an end that was waited for.
    pub(crate) fn ended(&mut self, seen: Seen) {
        self.shown_before.extend(shown(&seen));
        self.process = None;
    }

    /// What its state machine showed in all of its lives, without the stamps.
    pub(crate) fn shown(&self) -> Vec<String> {
        let mut lines = self.shown_before.clone();
        if let Some(process) = &self.process {
            lines.extend(shown(&process.seen()));
        }
        lines
    }

    /// Waits until it showed this line in its present life.
    pub(crate) fn wait_shown(&self, text: &str) -> String {
        self.wait_shown_where(&format!("`{text}` on standard output"), |line| line == text)
    }

    /// The same for lines that are known by something else.
    pub(crate) fn wait_shown_where(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        self.process().wait(what, |seen| shown(seen).find(|line| is(line)))
    }
}

/// The lines of a state machine. Anything else on standard output is a mistake.
fn shown(seen: &Seen) -> impl Iterator<Item = String> {
    seen.out.iter().map(|line| {
        let line = String::from_utf8_lossy(line);
        let unstamped = unstamped(&line);
        unstamped
            .unwrap_or_else(|| panic!("standard output has a line without time: {line}"))
            .into()
    })
}
