//! `strace`, which makes system calls of a server fail, or take their time.

use std::env;
use std::path::Path;
use std::process::Command;

use super::process::{Process, Signal, clean};
use super::{Scene, Server};

/// Interferes with the calls of one running server as long as this value lives.
pub(crate) struct Tracer(Process);

impl Tracer {
    /// Whether there is such a thing here. If not, says so; where nothing may be skipped, it
    /// fails.
    pub(crate) fn is_possible() -> bool {
        let found = Command::new("strace").arg("-V").output();
        if found.is_ok_and(|found| found.status.success()) {
            return true;
        }
        assert!(env::var_os("CI").is_none(), "there must be strace here");
        eprintln!("skipped: there is no strace");
        false
    }

    /// Interferes from now on with every call that `fault` names, as `strace --inject` does.
    pub(crate) fn attach(scene: &Scene, server: &Server, fault: &str) -> Self {
        let mut command = clean("strace");
        command.args(["-f", "-e", &traced(fault), "-e", &format!("inject={fault}")]);
        command.args(["-o", "/dev/null", "-p", &server.process().pid().to_string()]);
        let name = format!("strace-{}", server.port);
        let process = Process::spawn(command, &name, &scene.record(&name));
        process.wait_err(" attached");
        Self(process)
    }

    /// The same from the first call of a server on. What was called is in `record`.
    pub(crate) fn command(server: &Server, fault: &str, record: &Path) -> Command {
        let inner = server.command();
        let mut command = clean("strace");
        // As the server's grandchild: the process that the test knows is the server.
        command.args(["-D", "-f", "-qq", "-e", &traced(fault), "-e", &format!("inject={fault}")]);
        command.arg("-o").arg(record).arg("--").arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        command
    }

    /// Lets everything work again. A call that is being delayed ends in its time.
    pub(crate) fn detach(self) {
        self.0.signal(Signal::TERM);
        self.0.wait_end();
    }
}

/// Only the calls that the fault is for: the others go at full speed.
fn traced(fault: &str) -> String {
    let calls = fault.split_once(':').map_or(fault, |(calls, _)| calls);
    format!("trace={calls}")
}
