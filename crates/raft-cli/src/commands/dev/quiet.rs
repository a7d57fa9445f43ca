//! A local cluster that keeps to itself: for measurements.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use raft_node::Address;

use super::places::Places;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::Output;

const ELECTION_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the servers have to end, before they are killed.
const END_MAX: Duration = Duration::from_secs(2);

/// Between two looks whether a server has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Running servers that show nothing. They end, and a temporary directory goes, when this is
/// dropped.
pub(crate) struct Quiet {
    places: Places,
    servers: Vec<Child>,
    output: Output,
}

impl Quiet {
    /// Starts so many servers, in `dir` or in a fresh temporary directory.
    pub(crate) fn start(
        dir: Option<&Path>,
        nodes: usize,
        output: &Output,
    ) -> Result<Self, Problem> {
        let places = Places::choose(dir, nodes, output)?;
        let mut cluster = Self { places, servers: Vec::new(), output: *output };
        for address in &cluster.places.addresses {
            let server = cluster.start_one(address).map_err(|error| {
                Problem::new(Exit::Io, format!("cannot start the server {address}: {error}"))
            })?;
            cluster.servers.push(server);
        }
        Ok(cluster)
    }

    /// Where they listen.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        self.places.addresses.clone()
    }

    /// Where their data is.
    pub(crate) fn dir(&self) -> &Path {
        &self.places.dir
    }

    fn start_one(&self, address: &Address) -> io::Result<Child> {
        Command::new(env::current_exe()?)
            .args(self.places.arguments(address, ELECTION_TIMEOUT))
            .arg("--until-stdin-closes")
            .env_remove("RAFT_OUTPUT")
            .env_remove("RAFT_INSECURE")
            .env_remove("RAFT_HTTP")
            // Ctrl-C reaches only this process.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A server ends with its standard input.
        self.servers.iter_mut().for_each(|server| drop(server.stdin.take()));
        let deadline = Instant::now() + END_MAX;
        for server in &mut self.servers {
            while matches!(server.try_wait(), Ok(None)) {
                if Instant::now() >= deadline {
                    // It may have ended just now.
                    let _ = server.kill();
                    let _ = server.wait();
                }
                thread::sleep(LOOK_AGAIN);
            }
        }
        self.places.remove(&self.output);
    }
}
