//! Client commands.

use std::ffi::OsStr;
use std::process::Command;

use super::process::{Process, Seen, clean};
use super::{PATIENCE, RAFT, Scene, appended_at};

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    #[expect(dead_code, reason = "for whoever reads a failure")]
    command: String,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The program with a clean environment, in which a request may take as long as a test has
/// patience.
pub(crate) fn raft<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = clean(RAFT);
    command.args(args).env("RAFT_TIMEOUT", "40s");
    command
}

/// A line for a shell, in which `$RAFT` is the program.
pub(crate) fn shell(line: &str) -> Command {
    let mut command = clean("sh");
    command.args(["-c", line]).env("RAFT", RAFT).env("RAFT_TIMEOUT", "40s");
    command
}

/// Runs a command to its end.
pub(crate) fn run(scene: &Scene, command: Command) -> Ended {
    let shown = format!("{command:?}");
    let process = Process::spawn(command, "the command", &scene.record("client"));
    let seen = process
        .ends_within(PATIENCE)
        .unwrap_or_else(|| panic!("{shown} does not end; {}", process.seen().story()));
    Ended::new(shown, &seen)
}

/// `raft -C clientcommand -m MESSAGE -S :PORT`, which has to succeed.
pub(crate) fn append(scene: &Scene, message: impl AsRef<OsStr>, port: u16) -> Ended {
    let mut command = raft(["-C", "clientcommand", "-m"]);
    command.arg(message).arg("-S").arg(format!(":{port}"));
    let ended = run(scene, command).exits(0);
    assert!(appended_at(ended.out.trim_end()).is_some(), "no place in the log: {ended:?}");
    ended
}

/// `raft -C addserver -m :SERVER -S :PORT`.
pub(crate) fn add(scene: &Scene, server: u16, port: u16) -> Ended {
    run(scene, change("addserver", server, &[port]))
}

/// `raft -C removeserver -m :SERVER -S :PORT`.
pub(crate) fn remove(scene: &Scene, server: u16, port: u16) -> Ended {
    run(scene, change("removeserver", server, &[port]))
}

/// A change of members, asked of several.
pub(crate) fn change(verb: &str, server: u16, asked: &[u16]) -> Command {
    let asked: Vec<_> = asked.iter().map(|port| format!(":{port}")).collect();
    raft(["-C", verb, "-m", &format!(":{server}"), "-S", &asked.join(",")])
}

impl Ended {
    pub(crate) fn new(command: String, seen: &Seen) -> Self {
        let mut out = seen.out.join(&b'\n');
        if !seen.out.is_empty() {
            out.push(b'\n');
        }
        let out = String::from_utf8_lossy(&out).into_owned();
        Self { command, code: seen.code(), out, err: seen.err.join("\n") }
    }

    /// Fails unless the exit code is this one.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Fails unless standard error has all of these.
    #[track_caller]
    pub(crate) fn says<S: AsRef<str>>(self, texts: impl IntoIterator<Item = S>) -> Self {
        for text in texts {
            let text = text.as_ref();
            assert!(self.err.contains(text), "standard error lacks `{text}`: {self:#?}");
        }
        self
    }

    /// Fails if standard output has anything.
    #[track_caller]
    pub(crate) fn shows_nothing(self) -> Self {
        assert!(self.out.is_empty(), "standard output has a result: {self:#?}");
        self
    }

    /// The index of `appended at index 7, term 2`.
    #[track_caller]
    pub(crate) fn index(&self) -> u64 {
        let place = appended_at(self.out.trim_end());
        place.unwrap_or_else(|| panic!("no place in the log: {self:#?}")).0
    }
}
