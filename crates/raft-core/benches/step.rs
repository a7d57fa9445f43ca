//! From proposed to committed by everyone: `cargo bench -p raft-core`.
//!
//! All members on one thread. Messages are handed over as values and every disk is durable at
//! once, so what is measured is `Raft::step` and nothing else, of all members together; a time
//! is that of one batch of 256 B entries, and the throughput counts entries.
//!
//! - `propose to commit`: three members, batches of 1, 64 and 1,024.
//! - `entries held`: the same with so many entries in memory, in batches of 64.
//! - `members`: the same in clusters of one to seven.

#![allow(missing_docs, reason = "a benchmark has no users")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use raft_core::{
    Config, Index, Input, Lane, Member, Membership, NodeId, Output, Raft, Recovered, Time,
};

const ENTRY_BYTES: u32 = 256;
const NOW: Time = Time(10_000);

/// Members, and what is on its way to them. The first one leads.
struct Cluster {
    members: Vec<Raft>,
    arriving: VecDeque<(NodeId, Input)>,
    outputs: Vec<Output>,
}

impl Cluster {
    fn new(size: u64, tail_bytes_max: u64) -> Self {
        let member = |n| (NodeId(n), Member { address: String::new(), incarnation: n.into() });
        let founders: BTreeMap<_, _> = (1..=size).map(member).collect();
        let membership = Arc::new(Membership::founding(founders));
        let members = (1..=size).map(|n| {
            let config = Config { tail_bytes_max, ..Config::new(NodeId(n)) };
            let memberships = vec![(Index(0), Arc::clone(&membership))];
            let recovered = Recovered { memberships, ..Recovered::default() };
            Raft::restore(config, recovered, n, Time(0))
        });
        let mut cluster =
            Self { members: members.collect(), arriving: VecDeque::new(), outputs: Vec::new() };
        for (from, to) in (1..=size).flat_map(|a| (1..=size).map(move |b| (a, b))) {
            for lane in [Lane::Outbound, Lane::Inbound] {
                let link = Input::Link { peer: NodeId(to), lane, up: true };
                cluster.arriving.extend((from != to).then_some((NodeId(from), link)));
            }
        }
        cluster.arriving.push_back((NodeId(1), Input::Timer));
        cluster.settle();
        assert!(cluster.members[0].is_leader(), "nobody else was told the time");
        cluster
    }

    /// Until nothing is on its way any more.
    fn settle(&mut self) {
        while let Some((id, input)) = self.arriving.pop_front() {
            self.members[id.0 as usize - 1].step(NOW, input, &mut self.outputs);
            for output in self.outputs.drain(..) {
                let (to, input) = match output {
                    Output::Send { to, message } => (to, Input::Receive { from: id, message }),
                    Output::Persist(persist) => (id, Input::Persisted(persist.ticket)),
                    Output::Apply { through } => (id, Input::Applied(through)),
                    _ => continue,
                };
                self.arriving.push_back((to, input));
            }
        }
    }

    fn commit(&mut self, count: usize) {
        let propose = Input::Propose { sizes: vec![ENTRY_BYTES; count] };
        self.arriving.push_back((NodeId(1), propose));
        self.settle();
        let leader = &self.members[0];
        assert_eq!(leader.commit_index(), leader.last_log_id().index, "all is committed");
    }

    /// Commits until the log is so long.
    fn grow(&mut self, length: u64) {
        while self.members[0].last_log_id().index.0 < length {
            self.commit(1024);
        }
    }
}

/// What production keeps of the log in memory.
fn tail_bytes_max() -> u64 {
    Config::new(NodeId(1)).tail_bytes_max
}

fn propose_to_commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("propose to commit");
    for batch in [1, 64, 1024] {
        group.throughput(Throughput::Elements(batch));
        group.bench_with_input(BenchmarkId::from_parameter(batch), &batch, |bencher, &batch| {
            let mut cluster = Cluster::new(3, tail_bytes_max());
            bencher.iter(|| cluster.commit(batch as usize));
        });
    }
    group.finish();
}

fn entries_held(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("entries held");
    for length in [10_000, 1_000_000, 10_000_000] {
        group.throughput(Throughput::Elements(64));
        group.bench_with_input(BenchmarkId::from_parameter(length), &length, |bencher, &length| {
            let mut cluster = Cluster::new(3, length * u64::from(ENTRY_BYTES));
            cluster.grow(length);
            bencher.iter(|| cluster.commit(64));
        });
    }
    group.finish();
}

fn members(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("members");
    for size in 1..=7 {
        group.throughput(Throughput::Elements(64));
        group.bench_with_input(BenchmarkId::from_parameter(size), &size, |bencher, &size| {
            let mut cluster = Cluster::new(size, tail_bytes_max());
            bencher.iter(|| cluster.commit(64));
        });
    }
    group.finish();
}

criterion_group!(benches, propose_to_commit, entries_held, members);
criterion_main!(benches);
