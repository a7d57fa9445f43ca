//! Writes that are sent again and again, to all servers, whether or not they were answered, while
//! leaders are killed: each takes effect once, and whoever hears an answer hears the first one.

use std::collections::BTreeMap;
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use raft_node::LogId;
use raft_node::protocol::{Answer, Outcome, Reason, Request};
use raft_node::wire::Frame;
use raft_store::{Command, Txn};
use serde_json::Value;

use crate::support::{Cluster, Dice, Progress, Wire, founders, messages_at_the_end, raft, run};

const CLIENTS: usize = 6;

/// Writes of a client that are under way together.
const WINDOW: u64 = 16;

/// How often each write is sent at least.
const ATTEMPTS: u32 = 6;

/// A client that never trusts an answer.
struct Doubter {
    name: usize,
    ports: Vec<u16>,
    dice: Dice,
    wire: Option<Wire>,
    session: u64,
    /// The next write.
    next: u64,
    requests: u64,
    /// Requests on this connection, and the writes that they are attempts of.
    asked: BTreeMap<u64, u64>,
    /// The first answer to each write.
    answers: BTreeMap<u64, (LogId, Bytes)>,
    report: Doubts,
}

/// What became of the attempts after the first answer.
#[derive(Clone, Copy, Debug, Default)]
struct Doubts {
    writes: u64,
    /// Answered like the first.
    same: u64,
    /// Nobody listened.
    unheard: u64,
    /// The answer was that nobody knows.
    unknown: u64,
    refused: u64,
}

#[test]
fn a_write_that_is_sent_many_times_under_failover_is_applied_once() {
    let long = env::var_os("RAFT_TEST_LONG").is_some();
    let (retries, kills_min) = if long { (100_000, 60) } else { (4000, 5) };
    let mut dice = Dice::new();
    let mut cluster = Cluster::start(3);
    let (stop, progress) = (Arc::new(AtomicBool::new(false)), Arc::new(Progress::default()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|name| Doubter::start(name, cluster.running(), dice.fork(), &stop, &progress))
        .collect();
    let mut kills = 0;
    while kills < kills_min || progress.count() < retries {
        progress.wait_for_more(dice.below(400));
        match dice.below(8) {
            0 => cluster.kill_all(),
            1 => {
                let victim = cluster.follower();
                cluster.servers[victim].kill();
            }
            _ => {
                let victim = cluster.leader();
                cluster.servers[victim].kill();
                progress.wait_for_more(dice.below(200));
            }
        }
        kills += 1;
        cluster.start_all();
    }
    stop.store(true, Ordering::Relaxed);
    let join = |client: JoinHandle<Doubts>| client.join().expect("a client does not panic");
    let reports: Vec<_> = clients.into_iter().map(join).collect();
    eprintln!("{kills} kills; {:?}", reports.iter().fold(Doubts::default(), Doubts::and));
    let writes: Vec<_> = reports.iter().map(|report| report.writes).collect();
    each_is_there_once(&cluster, &writes);
}

/// The messages by their names; the values by how often their keys were put.
fn each_is_there_once(cluster: &Cluster, writes: &[u64]) {
    let mut places = BTreeMap::<String, u64>::new();
    for message in messages_at_the_end(cluster) {
        *places.entry(message).or_default() += 1;
    }
    let list = founders(&cluster.running());
    for (client, writes) in writes.iter().enumerate() {
        for sequence in (1..=*writes).filter(|sequence| is_message(*sequence)) {
            let message = text(client, sequence);
            assert_eq!(places.remove(&message), Some(1), "{message}");
        }
        let key = key(client);
        let got = run(&cluster.scene, raft(["get", &key, "-o", "json", "--endpoints", &list]));
        let got: Value = serde_json::from_str(&got.exits(0).out).expect("a document");
        let puts = (1..=*writes).filter(|sequence| !is_message(*sequence)).count();
        assert_eq!(got["records"][0]["version"], puts, "{key}");
    }
    let more = places.keys().find(|message| message.starts_with('m'));
    assert_eq!(more, None, "nobody was told that this was written");
}

const fn is_message(sequence: u64) -> bool {
    sequence.is_multiple_of(2)
}

fn text(client: usize, sequence: u64) -> String {
    format!("m{client}-{sequence}")
}

fn key(client: usize) -> String {
    format!("k{client}")
}

fn command(client: usize, sequence: u64) -> Bytes {
    match is_message(sequence) {
        true => raft_store::message(text(client, sequence).as_bytes()),
        false => Command::from(Txn::put(key(client), sequence.to_string())).encode(),
    }
}

impl Doubter {
    fn start(
        name: usize,
        ports: Vec<u16>,
        dice: Dice,
        stop: &Arc<AtomicBool>,
        progress: &Arc<Progress>,
    ) -> JoinHandle<Doubts> {
        let (stop, progress) = (Arc::clone(stop), Arc::clone(progress));
        let mut client = Self {
            name,
            ports,
            dice,
            wire: None,
            session: 0,
            next: 1,
            requests: 0,
            asked: BTreeMap::new(),
            answers: BTreeMap::new(),
            report: Doubts::default(),
        };
        thread::spawn(move || {
            while client.session == 0 {
                client.say(&[Request::Register { one_shot: false }], 0);
                client.listen();
            }
            while !stop.load(Ordering::Relaxed) {
                let before = client.report.same;
                client.write_a_window();
                progress.add(client.report.same - before);
            }
            Doubts { writes: client.next - 1, ..client.report }
        })
    }

    /// Sends some writes until all are answered, and then some more.
    fn write_a_window(&mut self) {
        let (first, end) = (self.next, self.next + WINDOW);
        self.next = end;
        let mut attempts = 0;
        while attempts < ATTEMPTS || self.answers.range(first..).count() < WINDOW as usize {
            attempts += 1;
            let write = |sequence| Request::Write {
                session: self.session,
                sequence,
                lowest_unacknowledged: first,
                command: command(self.name, sequence),
            };
            let writes: Vec<_> = (first..end).map(write).collect();
            self.say(&writes, first);
            match self.dice.below(6) {
                // It is on its way, and nobody waits for it.
                0 | 1 => self.hang_up(),
                2 => {}
                _ => self.listen(),
            }
        }
    }

    /// Says this to some server; the requests are attempts of writes from `first` on.
    fn say(&mut self, requests: &[Request], first: u64) {
        if self.wire.is_none() || self.dice.below(3) == 0 {
            self.hang_up();
            let at = self.dice.below(self.ports.len() as u64) as usize;
            self.wire = Wire::dial(self.ports[at]);
        }
        let Some(wire) = &mut self.wire else { return rest() };
        let mut frames = Vec::new();
        for (sequence, request) in (first..).zip(requests) {
            self.requests += 1;
            self.asked.insert(self.requests, sequence);
            frames.push(Frame::Request { id: self.requests, request: request.clone() });
        }
        if wire.say(frames).is_err() {
            self.hang_up();
        }
    }

    /// Listens until everything is answered, as long as there is somebody who does.
    fn listen(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        let until = Instant::now() + PATIENCE;
        let refused = self.report.refused;
        while !self.asked.is_empty() {
            let Some(frame) = self.wire.as_mut().and_then(|wire| wire.hear(until)) else {
                return self.hang_up();
            };
            if let Frame::Reply { id, reply } = frame {
                let sequence = self.asked.remove(&id).expect("it was asked");
                self.hear(sequence, reply.answer);
            }
        }
        if self.report.refused > refused {
            rest();
        }
    }

    fn hear(&mut self, sequence: u64, answer: Answer) {
        let refusal = match answer {
            Answer::Registered { session } => return self.session = session,
            Answer::Written { at, response } => {
                let answer = (at, response);
                if let Some(first) = self.answers.get(&sequence) {
                    assert_eq!(*first, answer, "client {}, write {sequence}", self.name);
                    self.report.same += 1;
                } else {
                    self.answers.insert(sequence, answer);
                }
                return;
            }
            Answer::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        };
        // The session is in use all the time.
        assert!(!matches!(refusal.reason, Reason::SessionExpired { .. }), "{refusal}");
        match refusal.outcome {
            Outcome::Unknown => self.report.unknown += 1,
            Outcome::NotApplied => self.report.refused += 1,
        }
    }

    fn hang_up(&mut self) {
        self.wire = None;
        self.report.unheard += std::mem::take(&mut self.asked).len() as u64;
    }
}

/// Nobody serves just now.
fn rest() {
    thread::park_timeout(Duration::from_millis(20));
}

impl Doubts {
    fn and(self, other: &Self) -> Self {
        Self {
            writes: self.writes + other.writes,
            same: self.same + other.same,
            unheard: self.unheard + other.unheard,
            unknown: self.unknown + other.unknown,
            refused: self.refused + other.refused,
        }
    }
}
