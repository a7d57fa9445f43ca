//! `raft result`: what became of a message whose answer was lost. The way between client and server
//! is one on which single frames can be held up.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use serde_json::Value;

use crate::support::{Cluster, Ended, append, founders, messages_at_the_end, raft, run};

/// What is before a frame's body.
const HEADER_BYTES: usize = 24;

/// Frames that a client sends before its message: hello, registration.
const BEFORE_THE_MESSAGE: usize = 2;

/// A way to a server for one connection, on which one frame waits until it is let go.
struct Way {
    port: u16,
    release: Sender<()>,
    /// The frame went on.
    gone: Receiver<()>,
}

/// Which frame waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    /// The client's third: the message.
    Message,
    /// The server's third: its answer.
    Answer,
}

impl Way {
    fn to(server: u16, held: Held) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (release, released) = mpsc::channel();
        let (went, gone) = mpsc::channel();
        thread::spawn(move || {
            let Ok((client, _)) = listener.accept() else { return };
            // Whoever dials again finds nobody.
            drop(listener);
            let server = TcpStream::connect(("127.0.0.1", server)).expect("the server listens");
            let (from_client, from_server) = match held {
                Held::Message => (Some(released), None),
                Held::Answer => (None, Some(released)),
            };
            let back = (server.try_clone(), client.try_clone());
            let (Ok(server_out), Ok(client_out)) = back else { return };
            let told = went.clone();
            thread::spawn(move || pass(server_out, client_out, from_server, &told));
            pass(client, server, from_client, &went);
        });
        Self { port, release, gone }
    }

    /// Lets the frame go.
    fn let_go(&self) {
        self.release.send(()).expect("somebody waits");
        self.gone.recv().expect("it went on");
    }
}

/// Passes frames on, one by one. If `wait` says so, the third waits for its release; what comes
/// meanwhile from a client that has gone away is not missed.
fn pass(mut from: TcpStream, mut to: TcpStream, wait: Option<Receiver<()>>, went: &Sender<()>) {
    let mut count = 0;
    while let Some(frame) = frame(&mut from) {
        count += 1;
        let held = wait.as_ref().filter(|_| count == BEFORE_THE_MESSAGE + 1);
        if let Some(release) = held
            && release.recv().is_err()
        {
            return;
        }
        let written = to.write_all(&frame);
        if held.is_some() {
            // The test may have ended.
            let _told = went.send(());
        }
        if written.is_err() {
            return;
        }
    }
    // As long as a frame is held, its connection lives.
    if wait.is_none() {
        let _closed = to.shutdown(Shutdown::Write);
    }
}

/// One frame: its first four bytes say how much follows its header.
fn frame(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; HEADER_BYTES];
    from.read_exact(&mut bytes).ok()?;
    let length = u32::from_le_bytes(bytes[..4].try_into().expect("four bytes")) as usize;
    bytes.resize(HEADER_BYTES + length, 0);
    from.read_exact(&mut bytes[HEADER_BYTES..]).ok()?;
    Some(bytes)
}

/// Appends over this way, in vain. Returns the name of the request, as the hint has it.
fn append_in_vain(cluster: &Cluster, way: &Way) -> String {
    let address = format!(":{}", way.port);
    let args = ["append", "lost", "--timeout", "2s", "--endpoints", &address];
    let ended = run(&cluster.scene, raft(args)).exits(5);
    let hint = ended.err.lines().find(|line| line.contains("raft result ")).unwrap_or_default();
    let (_, command) = hint.split_once("raft result ").unwrap_or_else(|| panic!("{ended:?}"));
    let (name, rest) = command.split_once(' ').expect("a name and more");
    assert_eq!(rest, format!("--endpoints '{address}'"), "{ended:?}");
    name.to_owned()
}

fn result(cluster: &Cluster, name: &str, ports: &[u16]) -> Ended {
    let list = founders(ports);
    run(&cluster.scene, raft(["result", name, "--endpoints", &list]))
}

#[test]
fn an_answer_that_the_dead_leader_owed_is_told_by_the_others() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let way = Way::to(cluster.port(leader), Held::Answer);
    let name = append_in_vain(&cluster, &way);
    cluster.servers[leader].kill();
    let told = result(&cluster, &name, &cluster.running()).exits(0);
    assert!(told.out.starts_with(&format!("{name} was applied at index ")), "{told:?}");
    let list = founders(&cluster.running());
    let args = ["result", &name, "-o", "json", "--endpoints", &list];
    let ended = run(&cluster.scene, raft(args)).exits(0);
    let document: Value = serde_json::from_str(&ended.out).expect("one document");
    assert_eq!(document["outcome"], "applied", "{ended:?}");
    drop(way);
    cluster.start_all();
    let messages = messages_at_the_end(&cluster);
    assert_eq!(messages.iter().filter(|message| *message == "lost").count(), 1, "{messages:?}");
}

#[test]
fn what_is_told_as_never_applied_stays_so_when_the_message_comes_after_all() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader();
    let way = Way::to(cluster.port(leader), Held::Message);
    let name = append_in_vain(&cluster, &way);
    let told = result(&cluster, &name, &cluster.running()).exits(1);
    assert!(told.out.starts_with(&format!("{name} is not applied and never will be")), "{told:?}");
    way.let_go();
    // What comes after it on the same server is processed after it.
    append(&cluster.scene, "later", cluster.port(leader));
    let again = result(&cluster, &name, &cluster.running()).exits(1);
    assert_eq!(again.out, told.out, "it stays with the first answer");
    // It did come, and it is in the log.
    let dir = cluster.servers[leader].dir().display().to_string();
    let dump = run(&cluster.scene, raft(["log", "dump", &dir])).exits(0);
    let is_it = |line: &str| line.contains(&name) && line.contains("lost");
    assert!(dump.out.lines().any(is_it), "{dump:?}");
    let messages = messages_at_the_end(&cluster);
    assert!(messages.contains(&"later".to_owned()), "{messages:?}");
    assert!(!messages.contains(&"lost".to_owned()), "{messages:?}");
}

#[test]
fn what_is_not_known_any_more_is_called_so() {
    let cluster = Cluster::start(1);
    // The first entry is a no-op.
    let told = result(&cluster, "1/1", &cluster.running()).exits(5);
    assert!(told.out.contains("session 1 is gone"), "{told:?}");
    // Of what may be sent yet nothing is said.
    result(&cluster, "7000/1", &cluster.running()).exits(1);
    let wrong = run(&cluster.scene, raft(["result", "7000"]));
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
}
