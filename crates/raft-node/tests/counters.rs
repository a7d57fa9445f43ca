//! What a write costs three servers, in counts and not in time: syncs, writes to the log, calls on
//! sockets, wake-ups, and allocations of servers and client together. With more requests in
//! flight each of them costs less, for a batch costs what a single one does. One write alone is bounded
//! by what it must cost; the others by three times what an idle machine shows, and half as many
//! allocations again, for it is chance what a batch takes along.

mod support;

use std::alloc::System;
use std::collections::VecDeque;

use bytes::Bytes;
use raft_node::{Address, Client, ClientOptions, Node, Typed, Vitals, node};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{Echo, PATIENCE, free_port};
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Counts for each write: those of the leader, and of the follower that has most.
#[derive(Debug)]
struct Costs {
    syncs: [f64; 2],
    log_writes: [f64; 2],
    socket_reads: [f64; 2],
    socket_writes: [f64; 2],
    wakeups: [f64; 2],
    allocations: f64,
}

struct Cluster {
    /// The leader first.
    nodes: Vec<Node>,
    client: Client,
    _directories: Vec<TempDir>,
}

impl Cluster {
    fn start() -> Self {
        let (ports, held): (Vec<u16>, Vec<_>) = (0..3).map(|place| free_port(10 + place)).unzip();
        drop(held);
        let addresses = ports.iter().map(|port| format!(":{port}").parse().expect("an address"));
        let addresses: Vec<Address> = addresses.collect();
        let start = |address: &Address| {
            let directory = tempfile::tempdir().expect("a directory");
            let node = node(directory.path()).listen(address.clone()).cluster(addresses.clone());
            (node.start(Typed::<Echo>::new(())).expect("a node"), directory)
        };
        let (mut nodes, directories): (Vec<Node>, _) = addresses.iter().map(start).unzip();
        assert!(nodes.iter().all(|node| node.wait_ready(PATIENCE)), "no leader");
        let status = nodes[0].status().expect("it runs");
        let (_, leader) = status.leader.expect("it is ready");
        let leader: Address = leader.parse().expect("an address");
        let place = addresses.iter().position(|address| *address == leader).expect("one of them");
        nodes.swap(0, place);
        let options = ClientOptions { timeout: PATIENCE, ..ClientOptions::default() };
        let client = Client::new([leader], options).expect("a client");
        Self { nodes, client, _directories: directories }
    }

    fn write(&self, in_flight: usize, writes: usize) {
        let command = Bytes::from(vec![b'.'; 256]);
        let mut pending = VecDeque::with_capacity(in_flight);
        for _ in 0..writes {
            if pending.len() == in_flight {
                pending.pop_front().map(raft_node::Pending::wait).expect("one").expect("written");
            }
            pending.push_back(self.client.write(command.clone()));
        }
        pending.into_iter().for_each(|write| _ = write.wait().expect("written"));
    }

    fn look(&self) -> Vec<Vitals> {
        let status = |node: &Node| *node.status().expect("it runs").vitals;
        self.nodes.iter().map(status).collect()
    }

    fn costs(&self, in_flight: usize, writes: usize) -> Costs {
        self.write(in_flight, writes / 4);
        let (before, region) = (self.look(), Region::new(ALLOCATOR));
        self.write(in_flight, writes);
        let allocated = region.change();
        let after = self.look();
        let each = |counter: fn(&Vitals) -> u64| {
            let mut counts = after
                .iter()
                .zip(&before)
                .map(|(after, before)| (counter(after) - counter(before)) as f64 / writes as f64);
            let leader = counts.next().unwrap_or_default();
            [leader, counts.fold(0.0, f64::max)]
        };
        Costs {
            syncs: each(|vitals| vitals.syncs),
            log_writes: each(|vitals| vitals.log_writes),
            socket_reads: each(|vitals| vitals.socket_reads),
            socket_writes: each(|vitals| vitals.socket_writes),
            wakeups: each(|vitals| vitals.wakeups),
            allocations: (allocated.allocations + allocated.reallocations) as f64 / writes as f64,
        }
    }
}

impl Costs {
    /// What is more than allowed.
    fn beyond(&self, bound: &Self) -> Vec<&'static str> {
        let most = |[leader, follower]: [f64; 2], [for_leader, for_follower]: [f64; 2]| {
            leader > for_leader || follower > for_follower
        };
        let beyond = [
            ("syncs", most(self.syncs, bound.syncs)),
            ("log writes", most(self.log_writes, bound.log_writes)),
            ("socket reads", most(self.socket_reads, bound.socket_reads)),
            ("socket writes", most(self.socket_writes, bound.socket_writes)),
            ("wake-ups", most(self.wakeups, bound.wakeups)),
            ("allocations", self.allocations > bound.allocations),
        ];
        beyond.into_iter().filter_map(|(what, beyond)| beyond.then_some(what)).collect()
    }
}

#[test]
fn a_write_costs_no_more_than_so_many_calls_wake_ups_and_allocations() {
    let cluster = Cluster::start();
    let bounds = [
        (
            1,
            500,
            Costs {
                syncs: [1.1, 1.1],
                log_writes: [1.1, 1.1],
                socket_reads: [3.3, 1.3],
                socket_writes: [3.3, 1.3],
                wakeups: [4.5, 2.6],
                allocations: 95.0,
            },
        ),
        (
            64,
            10_000,
            Costs {
                syncs: [0.1, 0.1],
                log_writes: [0.1, 0.1],
                socket_reads: [0.27, 0.13],
                socket_writes: [0.33, 0.1],
                wakeups: [0.3, 0.18],
                allocations: 14.0,
            },
        ),
        (
            1000,
            50_000,
            Costs {
                syncs: [0.02, 0.02],
                log_writes: [0.02, 0.02],
                socket_reads: [0.08, 0.07],
                socket_writes: [0.12, 0.02],
                wakeups: [0.08, 0.06],
                allocations: 10.0,
            },
        ),
    ];
    for (in_flight, writes, bound) in bounds {
        let costs = cluster.costs(in_flight, writes);
        let beyond = costs.beyond(&bound);
        assert!(beyond.is_empty(), "{in_flight} in flight: {beyond:?} of {costs:?}");
    }
}
