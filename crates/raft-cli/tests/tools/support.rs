//! The program as a child process, and what it writes.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

/// Nothing here takes so long on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A directory of one test, and the environment of its programs.
pub(crate) struct Scene(tempfile::TempDir);

/// What a finished program did.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A running program. Ends with this value.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Nothing of the surroundings reaches the program, and nothing of it leaves the scene.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_raft"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RAFT_")) {
            command.env_remove(name);
        }
        let here = self.0.path();
        command.args(args).current_dir(here).env("HOME", here).stdin(Stdio::null());
        command.env("TMPDIR", here).env("XDG_RUNTIME_DIR", here);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        let output = self.command(args).output().expect("it runs");
        Done::of(&output)
    }

    /// Runs it and expects exit code 0.
    pub(crate) fn ok(&self, args: &[&str]) -> Done {
        let done = self.run(args);
        assert_eq!(done.code, Some(0), "{args:?}\n{}{}", done.out, done.err);
        done
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(args).out).expect("JSON")
    }

    pub(crate) fn start(&self, args: &[&str], stdin: Stdio) -> Running {
        let mut command = self.command(args);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let (sender, lines) = mpsc::channel();
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("a pipe")),
            Box::new(child.stderr.take().expect("a pipe")),
        ];
        for stream in streams {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                    let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
                }
            });
        }
        Running { child, lines, seen: Vec::new() }
    }
}

impl Done {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Running {
    /// Waits for a line with this text, unless one came before another that was waited for.
    pub(crate) fn wait_until_said(&mut self, text: &str) {
        if !self.seen.iter().any(|line| line.contains(text)) {
            self.wait_for(text);
        }
    }

    /// Waits for a line, on either stream, that was not waited for before.
    pub(crate) fn wait(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("the line did not come; seen:\n{}", self.seen.join("\n"));
            };
            self.seen.push(line.clone());
            if wanted(&line) {
                return line;
            }
        }
    }

    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        self.wait(|line| line.contains(text))
    }

    /// Waits until both streams have ended, and the process.
    pub(crate) fn wait_end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    panic!("it does not end; seen:\n{}", self.seen.join("\n"))
                }
            }
        }
        self.child.wait().expect("it ended")
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, Signal::INT).expect("it runs");
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.wait_end();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The data directory of format 1 that is kept with the log.
pub(crate) fn golden() -> PathBuf {
    kept("v1")
}

/// One of those that are kept with the log.
pub(crate) fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../raft-log/tests/fixtures").join(name)
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).expect("made");
    for entry in fs::read_dir(from).expect("listed").map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("known").is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// A terminal: our end, and the name of the other one.
pub(crate) fn terminal() -> (File, PathBuf) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).expect("granted");
    unlockpt(&ours).expect("unlocked");
    let name = ptsname(&ours, Vec::new()).expect("a name");
    (File::from(ours), PathBuf::from(name.into_string().expect("text")))
}

/// Waits until nobody holds the lock of a data directory any more.
pub(crate) fn wait_until_free(data: &Path) {
    let lock = File::open(data.join("LOCK")).expect("there is one");
    let (sender, locked) = mpsc::channel();
    thread::spawn(move || sender.send(lock.lock().is_ok()));
    assert_eq!(locked.recv_timeout(PATIENCE), Ok(true), "{} is still held", data.display());
}
