//! A member of a cluster of two on this machine, and the other one played by the test, word by
//! word on real sockets.
#![allow(missing_docs, unreachable_pub, dead_code)]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use raft_core::{Index, NodeId};
use raft_log::{
    DataDir, Founder, Holder, MemberIdentity, NodeState, Options, RealDisk, Write as LogWrite,
};
use raft_node::founding;
use raft_node::hello::{Believed, Hello, Party, Protocols, Role};
use raft_node::wire::{Admit, Decoder, FRAME_BYTES_MAX, Frame, RawFrame};
use raft_node::{LogId, Node, Notice, StateMachine, Typed, node};
use tempfile::TempDir;

/// Nothing here takes so long unless it never happens.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const CLUSTER: u128 = 0xc1 << 64;
/// The other member's directory.
pub const OTHER: u128 = 0x0e;

/// A state machine that repeats.
pub struct Echo;

impl StateMachine for Echo {
    type State = ();
    type Command = Bytes;
    type Response = Bytes;
    fn apply((): &mut (), _at: LogId, command: Bytes) -> Bytes {
        command
    }
}

/// A directory of member 1 of a cluster of two, and where both listen.
pub struct Place {
    pub dir: TempDir,
    pub incarnation: u128,
    pub port: u16,
    pub other_port: u16,
    /// Holds the other's port until the test wants it.
    pub other: TcpListener,
}

/// Member 1 at work, and what it says to people.
pub struct Running {
    pub place: Place,
    pub node: Node,
    pub notices: mpsc::Receiver<String>,
}

/// A port that nobody listened at a moment ago, below the range from which the system takes the
/// ports of those who dial.
pub fn free_port(salt: u16) -> (u16, TcpListener) {
    let start = 10_000 + (std::process::id() as u16 % 1000) * 20 + salt;
    (start..32_000)
        .find_map(|port| Some((port, TcpListener::bind(("127.0.0.1", port)).ok()?)))
        .expect("a free port")
}

impl Place {
    pub fn new(salt: u16) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (port, held) = free_port(salt);
        let (other_port, other) = free_port(salt + 1);
        drop(held);
        let disk = Arc::new(RealDisk::open(dir.path()).expect("a disk"));
        let holder = Holder { pid: 0, address: String::new() };
        let mut data = DataDir::open(disk, holder).expect("a data directory");
        let incarnation = data.identity().incarnation();
        let founder = |port: u16, incarnation| Founder { address: format!(":{port}"), incarnation };
        let identity = MemberIdentity {
            incarnation,
            cluster: CLUSTER,
            id: NodeId(1),
            address: format!(":{port}"),
            founders: vec![founder(port, incarnation), founder(other_port, OTHER)],
        };
        data.set_identity(NodeState::Member(identity)).expect("a member");
        Self { dir, incarnation, port, other_port, other }
    }

    /// Changes what the directory is.
    pub fn set_state(&self, change: impl FnOnce(MemberIdentity) -> NodeState) {
        let disk = Arc::new(RealDisk::open(self.dir.path()).expect("a disk"));
        let holder = Holder { pid: 0, address: String::new() };
        let mut data = DataDir::open(disk, holder).expect("a data directory");
        let NodeState::Member(identity) = data.identity().clone() else { panic!("no member") };
        data.set_identity(change(identity)).expect("another state");
    }

    /// Puts entries into its log, and no vote before them.
    pub fn write_log(&self, entries: &[Bytes]) {
        let disk = Arc::new(RealDisk::open(self.dir.path()).expect("a disk"));
        let holder = Holder { pid: 0, address: String::new() };
        let mut data = DataDir::open(disk, holder).expect("a data directory");
        let mut log = data.open_log(Options::default()).expect("a log");
        let (entries, count) = (entries.to_vec(), entries.len() as u64);
        let write = LogWrite { first: Index(1), entries, count, ..LogWrite::default() };
        log.writer.write(&[write]).expect("written");
    }

    /// What the leader tells a server that was added by the entry at `at`.
    pub fn admit(&self, at: u64, address: &str) -> Frame {
        let founder =
            |port: u16, incarnation| founding::Founder { address: format!(":{port}"), incarnation };
        Frame::Admit(Admit {
            cluster: CLUSTER,
            id: NodeId(2 + at),
            incarnation: self.incarnation,
            address: address.to_owned(),
            founders: vec![founder(self.port, self.incarnation), founder(self.other_port, OTHER)],
            at: Index(at),
        })
    }

    pub fn start(self, election_timeout: Duration) -> Running {
        let (tell, notices) = mpsc::channel();
        let sink = Box::new(move |notice: Notice| {
            // The test may have stopped listening.
            let _told = tell.send(notice.to_string());
        });
        let node = self.start_with(election_timeout, sink);
        Running { place: self, node, notices }
    }

    pub fn start_with(
        &self,
        election_timeout: Duration,
        notices: Box<dyn FnMut(Notice) + Send>,
    ) -> Node {
        node(self.dir.path())
            .listen(format!(":{}", self.port).parse().expect("an address"))
            .election_timeout(election_timeout)
            .notices(notices)
            .start(Typed::<Echo>::new(()))
            .expect("a node")
    }

    /// The other member in its start number `epoch`.
    pub fn other(&self, epoch: u64) -> Party {
        Party {
            cluster: Some(CLUSTER),
            id: Some(NodeId(2)),
            incarnation: OTHER,
            epoch,
            nonce: epoch,
            address: format!(":{}", self.other_port),
        }
    }

    pub fn hello(&self, role: Role, from: Party) -> Frame {
        let to = Believed { address: format!(":{}", self.port), ..Believed::default() };
        Frame::Hello(Hello { protocol: Protocols::OURS, role, from, to })
    }

    pub fn dial(&self) -> Wire {
        Wire::new(TcpStream::connect(("127.0.0.1", self.port)).expect("a connection"))
    }

    /// Dials as the other member; the answer is still to come.
    pub fn dial_as(&self, epoch: u64) -> Wire {
        let mut wire = self.dial();
        wire.say(&self.hello(Role::Peer, self.other(epoch)));
        wire
    }

    /// Dials as a client, up to the welcome.
    pub fn dial_as_client(&self) -> Wire {
        let mut wire = self.dial();
        wire.say(&self.hello(Role::Client, Party::default()));
        assert!(matches!(wire.hear(), Some(Frame::Welcome(_))));
        wire
    }
}

/// One end of a connection.
pub struct Wire {
    pub stream: TcpStream,
    decoder: Decoder,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut decoder = Decoder::new();
        decoder.set_frame_bytes_max(FRAME_BYTES_MAX);
        Self { stream, decoder }
    }

    pub fn say(&mut self, frame: &Frame) {
        for slice in frame.encode().slices() {
            self.stream.write_all(slice).expect("a connection that takes bytes");
        }
    }

    /// The next frame; `None` once the other end has hung up.
    pub fn hear(&mut self) -> Option<Frame> {
        loop {
            if let Some(raw) = self.decoder.next_frame().expect("frames") {
                return Some(RawFrame::decode(raw).expect("a frame that is known"));
            }
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.decoder.buffer().extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing more was said: {error}"),
            }
        }
    }

    /// The next frame that `wanted` takes; others are passed over.
    pub fn hear_until<T>(&mut self, mut wanted: impl FnMut(&Frame) -> Option<T>) -> T {
        loop {
            let frame = self.hear().expect("more words before the end");
            if let Some(found) = wanted(&frame) {
                return found;
            }
        }
    }

    /// Passes over all words until the other end hangs up.
    pub fn hear_the_end(&mut self) {
        while self.hear().is_some() {}
    }
}
