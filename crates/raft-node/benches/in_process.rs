//! Three replicas in one process, without disk and network: `cargo bench -p raft-node`.
//!
//! One thread drives all three, as a program could that wants a cluster of its own in memory:
//! what a replica orders becomes an event of another, and nobody is woken. A time is that of one
//! write of each client, all in flight at once; the throughput counts writes that were answered.
//!
//! In it: admission, exactly-once sessions (one for each client), entries encoded, checksummed and
//! checked again by each follower, consensus, the tail of the log in memory, applying on all three,
//! and answers. Not in it: a disk (what is to be written is durable at once, and the log that has
//! left the memory is gone), frames and sockets, timers, and a state machine that does anything.

#![allow(missing_docs, reason = "a benchmark has no users")]

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use raft_core::{Config, Index, Lane, Member, Membership, NodeId, Recovered, Time};
use raft_log::decode_entries;
use raft_node::protocol::{Answer, Request};
use raft_node::replica::{Chunk, Effect, Event, Limits, Machine, Origin, Replica};
use raft_node::{Applied, Apply, Command, Snapshot};

const SIZE: u64 = 3;
const NOW: Time = Time(10_000);

/// Does nothing, and says nothing.
struct Nothing;

impl Apply for Nothing {
    fn apply(&mut self, _: Command<'_>) -> Applied {
        Applied { response: Bytes::new(), lines: Vec::new() }
    }

    fn query(&self, _: &[u8]) -> Bytes {
        Bytes::new()
    }

    fn version(&self) -> u64 {
        0
    }

    fn snapshot(&self) -> Box<dyn Snapshot> {
        Box::new(Bytes::new())
    }

    fn fresh(&self) -> Box<dyn Apply> {
        Box::new(Self)
    }

    fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }
}

/// One write at a time.
#[derive(Default)]
struct Client {
    session: u64,
    sequence: u64,
}

/// Replicas, and what is on its way to each. The first one leads, and has all clients.
struct Cluster {
    replicas: Vec<Replica>,
    arriving: Vec<Vec<Event>>,
    effects: Vec<Effect>,
    clients: Vec<Client>,
    answered: usize,
}

impl Cluster {
    fn new(clients: usize) -> Self {
        let member = |n| (NodeId(n), Member { address: format!(":{n}"), incarnation: n.into() });
        let founders = Membership::founding((1..=SIZE).map(member).collect());
        let memberships = vec![(Index(0), Arc::new(founders.clone()))];
        let recovered = Recovered { memberships, ..Recovered::default() };
        let replica = |n| {
            let (config, limits) = (Config::new(NodeId(n)), Limits::default());
            let machine = Machine::new(Box::new(Nothing), Index(0), founders.clone());
            Replica::new(config, recovered.clone(), machine, limits, n, Time(0))
        };
        let mut cluster = Self {
            replicas: (1..=SIZE).map(replica).collect(),
            arriving: (1..=SIZE).map(|n| links_of(NodeId(n))).collect(),
            effects: Vec::new(),
            clients: (0..clients).map(|_| Client::default()).collect(),
            answered: 0,
        };
        cluster.arriving[0].push(Event::Timer);
        cluster.settle();
        assert!(cluster.replicas[0].raft().is_leader(), "nobody else was told the time");
        cluster.request_all(|_| Request::Register { one_shot: false });
        cluster
    }

    /// Every client sends its request, and gets its answer.
    fn request_all(&mut self, request: impl Fn(&Client) -> Request) {
        for (client, connection) in self.clients.iter().zip(0..) {
            let origin = Origin { connection, request: 1, forwarded: false, since_us: 0 };
            let request = request(client);
            self.arriving[0].push(Event::Request { origin, request });
        }
        self.settle();
        assert_eq!(std::mem::take(&mut self.answered), self.clients.len(), "all are answered");
    }

    fn write_all(&mut self, command: &Bytes) {
        self.request_all(|client| Request::Write {
            session: client.session,
            sequence: client.sequence,
            lowest_unacknowledged: client.sequence,
            command: command.clone(),
        });
    }

    /// Until nothing is on its way any more, and all that is committed is applied.
    fn settle(&mut self) {
        let is_busy = |(events, replica): (&Vec<Event>, &Replica)| {
            !events.is_empty() || replica.has_backlog()
        };
        while self.arriving.iter().zip(&self.replicas).any(is_busy) {
            for at in 0..self.replicas.len() {
                if is_busy((&self.arriving[at], &self.replicas[at])) {
                    let events = std::mem::take(&mut self.arriving[at]);
                    self.replicas[at].step(NOW, events, &mut self.effects);
                    self.carry_out(at);
                }
            }
        }
    }

    fn carry_out(&mut self, at: usize) {
        let id = NodeId(at as u64 + 1);
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Send { to, message, entries } => {
                    let decoded = entries.iter().map(|bytes| decode_entries(bytes).expect("ours"));
                    let chunk = Chunk { entries: decoded.flatten().collect(), bytes: entries };
                    let free_log_bytes = u64::MAX;
                    let event = Event::Message { from: id, message, chunk, free_log_bytes };
                    self.arriving[to.0 as usize - 1].push(event);
                }
                Effect::Write { ticket, .. } => self.arriving[at].push(Event::Persisted(ticket)),
                Effect::WriteSnapshot(_) => {
                    self.arriving[at].push(Event::SnapshotWritten { result: Ok(0) });
                }
                Effect::Compact(compaction) => {
                    self.arriving[at].push(Event::Compacted { start: compaction.unneeded });
                }
                Effect::Reply { origin, reply } => {
                    let client = &mut self.clients[origin.connection as usize];
                    match reply.answer {
                        Answer::Registered { session } => client.session = session,
                        Answer::Written { .. } => {}
                        other => panic!("a client was told {other:?}"),
                    }
                    client.sequence += 1;
                    self.answered += 1;
                }
                _ => {}
            }
        }
    }
}

/// The connections to both others come up.
fn links_of(id: NodeId) -> Vec<Event> {
    let peers = (1..=SIZE).map(NodeId).filter(|peer| *peer != id);
    let both =
        |peer| [Lane::Outbound, Lane::Inbound].map(|lane| Event::Link { peer, lane, up: true });
    peers.flat_map(both).collect()
}

fn writes(criterion: &mut Criterion) {
    for bytes in [0, 256] {
        let mut group = criterion.benchmark_group(format!("writes of {bytes} B"));
        let command = Bytes::from(vec![7; bytes]);
        for clients in [1, 64, 1024] {
            group.throughput(Throughput::Elements(clients));
            group.bench_with_input(
                BenchmarkId::from_parameter(clients),
                &clients,
                |b, &clients| {
                    let mut cluster = Cluster::new(clients as usize);
                    b.iter(|| cluster.write_all(&command));
                },
            );
        }
        group.finish();
    }
}

criterion_group!(benches, writes);
criterion_main!(benches);
