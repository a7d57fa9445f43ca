//! Three real servers.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use tempfile::TempDir;

use crate::PATIENCE;
use crate::ports::free_ports;

pub(crate) struct Cluster {
    dir: TempDir,
    ports: [u16; 3],
    pages: [u16; 3],
    servers: [Option<Server>; 3],
}

struct Server {
    process: Child,
    /// What it says on standard error.
    facts: Receiver<String>,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self { dir, ports: free_ports(), pages: free_ports(), servers: [const { None }; 3] }
    }

    /// Starts a server and waits until its page is there.
    pub(crate) fn start(&mut self, place: usize) {
        let all: Vec<String> = (0..3).map(|place| self.address(place)).collect();
        let mut process = Command::new(env!("CARGO_BIN_EXE_raft"))
            .args(["server", "--cluster", &all.join(",")])
            .args(["--listen", &self.address(place)])
            .args(["--http", &format!(":{}", self.pages[place])])
            .arg("--data-dir")
            .arg(self.dir.path().join(place.to_string()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let from = BufReader::new(process.stderr.take().expect("a pipe"));
        let (to, facts) = mpsc::channel();
        // Reads on when nobody listens any more: a full pipe would hold the server up.
        let read = move || from.lines().map_while(Result::ok).for_each(|line| drop(to.send(line)));
        thread::spawn(read);
        let server = Server { process, facts };
        server.says("the live page is ");
        self.servers[place] = Some(server);
    }

    /// As a crash does it.
    pub(crate) fn kill(&mut self, place: usize) {
        let mut server = self.servers[place].take().expect("it runs");
        server.process.kill().expect("killed");
        server.process.wait().expect("ended");
    }

    /// Waits until the server there knows a leader.
    pub(crate) fn wait_for_leader(&self, place: usize) {
        self.servers[place].as_ref().expect("it runs").says(" leads in term ");
    }

    pub(crate) fn address(&self, place: usize) -> String {
        format!(":{}", self.ports[place])
    }

    pub(crate) fn place_of(&self, address: &str) -> usize {
        (0..3).find(|place| self.address(*place) == address).expect("the address of a member")
    }

    /// The port of its page.
    pub(crate) fn page(&self, place: usize) -> u16 {
        self.pages[place]
    }

    pub(crate) fn url(&self, place: usize) -> String {
        format!("http://localhost:{}/", self.pages[place])
    }
}

impl Server {
    /// Waits for a line with these words.
    fn says(&self, words: &str) {
        let mut said = Vec::new();
        loop {
            match self.facts.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(words) => return,
                Ok(line) => said.push(line),
                Err(_) => panic!("it never said {words:?}, but:\n{}", said.join("\n")),
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in self.servers.iter_mut().flatten() {
            // It may have ended by itself.
            let _ = server.process.kill();
            let _ = server.process.wait();
        }
    }
}
