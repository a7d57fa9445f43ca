//! Founding, driven by a small network in memory: arrivals in every order, lost connections,
//! restarts, lost directories, lists that differ.

use std::collections::{BTreeMap, VecDeque};

use raft_node::binding::ConnectionId;
use raft_node::founding::{Fact, Formed, Founder, Founding, Output, Report, View, cluster_id};
use raft_node::random::Random;

/// One server: what its directory keeps, and what runs if it runs.
struct Server {
    list: Vec<String>,
    incarnation: u128,
    /// NODE says *member*.
    formed: Option<Formed>,
    running: Option<Founding>,
    facts: Vec<Fact>,
}

/// One direction of a connection: reports on their way, in order.
struct Pipe {
    to: String,
    reports: VecDeque<Report>,
}

struct Network {
    servers: BTreeMap<String, Server>,
    /// Both ends of a connection share its number; the pipes are by sender.
    pipes: BTreeMap<(u64, String), Pipe>,
    connections: u64,
    incarnations: u128,
    random: Random,
}

fn addresses(count: u64) -> Vec<String> {
    (0..count).map(|n| format!(":999{n}")).collect()
}

impl Network {
    fn new(lists: &[(&str, &[String])], seed: u64) -> Self {
        let mut network = Self {
            servers: BTreeMap::new(),
            pipes: BTreeMap::new(),
            connections: 0,
            incarnations: 0,
            random: Random::new(seed),
        };
        for (address, list) in lists {
            network.incarnations += 1;
            let server = Server {
                list: list.to_vec(),
                incarnation: network.incarnations,
                formed: None,
                running: None,
                facts: Vec::new(),
            };
            network.servers.insert((*address).into(), server);
        }
        network
    }

    fn same_list(count: u64, seed: u64) -> Self {
        let list = addresses(count);
        let lists: Vec<(&str, &[String])> =
            list.iter().map(|address| (address.as_str(), list.as_slice())).collect();
        Self::new(&lists, seed)
    }

    fn founder(&self, address: &str) -> Founder {
        Founder { address: address.into(), incarnation: self.servers[address].incarnation }
    }

    fn start(&mut self, address: &str) {
        let own = self.founder(address);
        let mut out = Vec::new();
        let server = self.servers.get_mut(address).expect("a server");
        server.running = Some(match &server.formed {
            Some(formed) => Founding::member(own, formed.clone()),
            None => Founding::new(own, &server.list, &mut out),
        });
        self.carry_out(address, out);
    }

    fn stop(&mut self, address: &str) {
        self.servers.get_mut(address).expect("a server").running = None;
        let broken: Vec<u64> = self
            .pipes
            .iter()
            .filter(|((_, from), pipe)| from == address || pipe.to == address)
            .map(|((connection, _), _)| *connection)
            .collect();
        for connection in broken {
            self.disconnect(connection);
        }
    }

    /// The directory is lost; the server comes back with a new one.
    fn wipe(&mut self, address: &str) {
        self.stop(address);
        self.incarnations += 1;
        let server = self.servers.get_mut(address).expect("a server");
        (server.incarnation, server.formed) = (self.incarnations, None);
    }

    fn disconnect(&mut self, connection: u64) {
        self.pipes.retain(|(number, _), _| *number != connection);
        for server in self.servers.values_mut() {
            if let Some(founding) = &mut server.running {
                founding.closed(ConnectionId(connection));
            }
        }
    }

    fn connect(&mut self, from: &str, to: &str) {
        if self.servers[from].running.is_none() || self.servers[to].running.is_none() {
            return;
        }
        self.connections += 1;
        let connection = self.connections;
        for (near, far) in [(from, to), (to, from)] {
            let pipe = Pipe { to: far.into(), reports: VecDeque::new() };
            self.pipes.insert((connection, near.into()), pipe);
        }
        for (near, far) in [(from, to), (to, from)] {
            let peer = self.founder(far);
            let mut out = Vec::new();
            let founding = self.servers.get_mut(near).expect("a server").running.as_mut();
            founding.expect("it runs").connected(ConnectionId(connection), peer, &mut out);
            self.carry_out(near, out);
        }
    }

    fn carry_out(&mut self, address: &str, out: Vec<Output>) {
        for output in out {
            let server = self.servers.get_mut(address).expect("a server");
            match output {
                Output::Formed(formed) => server.formed = Some(formed),
                Output::Fact(fact) => server.facts.push(fact),
                Output::Send(ConnectionId(connection), report) => {
                    if let Some(pipe) = self.pipes.get_mut(&(connection, address.into())) {
                        pipe.reports.push_back(report);
                    }
                }
            }
        }
    }

    /// Delivers one report of a random connection; `false` if none is under way.
    fn deliver_one(&mut self) -> bool {
        let busy: Vec<_> = self
            .pipes
            .iter()
            .filter(|(_, pipe)| !pipe.reports.is_empty())
            .map(|(key, _)| key.clone())
            .collect();
        let pick = self.random.below(busy.len() as u64) as usize;
        let Some(key) = busy.get(pick) else { return false };
        let pipe = self.pipes.get_mut(key).expect("a pipe");
        let report = pipe.reports.pop_front().expect("a report");
        let to = pipe.to.clone();
        let mut out = Vec::new();
        if let Some(founding) = &mut self.servers.get_mut(&to).expect("a server").running {
            founding.received(ConnectionId(key.0), report, &mut out);
        }
        self.carry_out(&to, out);
        self.check();
        true
    }

    fn settle(&mut self) {
        while self.deliver_one() {}
    }

    /// Everything that runs is connected with everything else that runs.
    fn connect_all(&mut self) {
        let all: Vec<String> = self.servers.keys().cloned().collect();
        for from in &all {
            for to in &all {
                if from < to {
                    self.connect(from, to);
                }
            }
        }
        self.settle();
    }

    /// Everything starts again, and finds everything else.
    fn restart_all(&mut self) {
        for address in self.servers.keys().cloned().collect::<Vec<_>>() {
            self.stop(&address);
            self.start(&address);
        }
        self.connect_all();
    }

    /// What must never be false: the members that have a directory agree on one cluster, and
    /// its list holds them.
    fn check(&self) {
        let mut formed = self.servers.iter().filter_map(|(a, s)| Some((a, s.formed.as_ref()?)));
        let first = formed.clone().next();
        for (address, cluster) in &mut formed {
            assert_eq!(Some(cluster), first.map(|f| f.1), "two clusters");
            assert!(cluster.founders.contains(&self.founder(address)), "a member not in its list");
        }
    }

    fn formed_count(&self) -> usize {
        self.servers.values().filter(|server| server.formed.is_some()).count()
    }
}

#[test]
fn clusters_of_every_size_form_in_every_order_of_arrival() {
    for count in [1, 2, 3, 5, 7] {
        for seed in 0..20 {
            let mut network = Network::same_list(count, seed);
            let mut order = addresses(count);
            for last in (1..order.len()).rev() {
                order.swap(last, network.random.below(last as u64 + 1) as usize);
            }
            let mut met: Vec<String> = Vec::new();
            for address in order {
                assert_eq!(network.formed_count(), 0, "all of them are needed once");
                network.start(&address);
                for other in &met {
                    network.connect(&address, other);
                    for _ in 0..network.random.below(4) {
                        network.deliver_one();
                    }
                }
                met.push(address);
            }
            network.settle();
            assert_eq!(network.formed_count() as u64, count, "{count} servers, seed {seed}");
        }
    }
}

#[test]
fn the_waiting_line_names_who_is_missing() {
    let mut network = Network::same_list(3, 1);
    network.start(":9990");
    network.start(":9991");
    network.connect_all();
    let waiting = network.servers[":9990"].running.as_ref().expect("it runs");
    assert_eq!(
        waiting.waiting_line().expect("it waits"),
        "waiting for :9992 (a new cluster needs all of its members once; later any 2 of 3 will do)"
    );
    assert_eq!(waiting.others().collect::<Vec<_>>(), [":9991", ":9992"]);
}

#[test]
fn crashes_and_lost_connections_delay_a_founding_and_no_more() {
    for seed in 0..300 {
        let mut network = Network::same_list(3, seed);
        let all = addresses(3);
        for _ in 0..60 {
            let pick = |random: &mut Random| all[random.below(3) as usize].clone();
            let (one, other) = (pick(&mut network.random), pick(&mut network.random));
            match network.random.below(10) {
                0 => network.stop(&one),
                1 => {
                    let connection = 1 + network.random.below(network.connections + 1);
                    network.disconnect(connection);
                }
                2 | 3 if network.servers[&one].running.is_none() => network.start(&one),
                4 | 5 if one != other => network.connect(&one, &other),
                _ => {
                    network.deliver_one();
                }
            }
        }
        network.restart_all();
        assert_eq!(network.formed_count(), 3, "seed {seed}");
    }
}

#[test]
fn a_directory_lost_before_the_end_takes_part_with_its_new_one() {
    let mut network = Network::same_list(3, 1);
    network.start(":9990");
    network.start(":9991");
    network.connect_all();
    network.wipe(":9991");
    network.start(":9991");
    network.start(":9992");
    network.connect_all();
    assert_eq!(network.formed_count(), 3);
}

#[test]
fn directories_lost_during_a_founding_never_make_two_clusters() {
    // A wiped server's cluster is gone with it; those who remain must agree (`check`).
    for seed in 0..300 {
        let mut network = Network::same_list(3, seed);
        let all = addresses(3);
        let mut wipes = 0;
        for _ in 0..80 {
            let one = all[network.random.below(3) as usize].clone();
            let other = all[network.random.below(3) as usize].clone();
            match network.random.below(12) {
                // One lost directory is what a cluster of three must bear.
                0 if wipes == 0 => {
                    network.wipe(&one);
                    wipes += 1;
                }
                1..4 if network.servers[&one].running.is_none() => network.start(&one),
                4..6 if one != other => network.connect(&one, &other),
                _ => {
                    network.deliver_one();
                }
            }
        }
        network.restart_all();
        // Everybody, or all but the one who came back with another directory.
        assert!(network.formed_count() >= 2, "seed {seed}");
    }
}

#[test]
fn who_finishes_first_is_adopted_by_the_others() {
    // Every delivery order in which one founder finishes while the others' news are lost.
    let mut network = Network::same_list(3, 3);
    for address in addresses(3) {
        network.start(&address);
    }
    for (one, other) in [(":9990", ":9991"), (":9990", ":9992"), (":9991", ":9992")] {
        network.connect(one, other);
    }
    while network.formed_count() == 0 {
        assert!(network.deliver_one());
    }
    let (first, _) =
        network.servers.iter().find(|(_, s)| s.formed.is_some()).expect("the first one");
    let first = first.clone();
    // All else that was under way is lost, and the first one comes back as a member.
    for address in addresses(3) {
        network.stop(&address);
        network.start(&address);
    }
    for address in addresses(3) {
        if address != first {
            network.connect(&first, &address);
        }
    }
    network.settle();
    assert_eq!(network.formed_count(), 3);
}

#[test]
fn a_lost_directory_does_not_vote_and_is_told_what_to_do() {
    let mut network = Network::same_list(3, 1);
    for address in addresses(3) {
        network.start(&address);
    }
    network.connect_all();
    network.wipe(":9991");
    network.start(":9991");
    network.connect(":9990", ":9991");
    network.settle();
    network.connect_all();
    assert_eq!(network.formed_count(), 2);
    assert_eq!(network.servers[":9991"].facts.len(), 1, "one member's word is enough");
    let waiting = network.servers[":9991"].running.as_ref().expect("it runs").waiting_line();
    assert_eq!(
        waiting.expect("it waits"),
        "waiting to be replaced: raft member replace ':9991' ':9991' --endpoints ':9990'"
    );
    let fact = network.servers[":9991"].facts.first().expect("a fact").to_string();
    assert_eq!(
        fact,
        "the cluster of :9990 was founded with another data directory at :9991, and what that \
         one promised is not known here: this server does not vote; start it with that \
         directory, or, if that is lost, refill it from the others: raft member replace ':9991' \
         ':9991' --endpoints ':9990'"
    );
}

#[test]
fn different_lists_are_named_on_both_sides() {
    let (two, three) = (addresses(2), addresses(3));
    let mut network = Network::new(&[(":9990", &three), (":9991", &two)], 1);
    network.start(":9990");
    network.start(":9991");
    network.connect_all();
    assert_eq!(network.formed_count(), 0);
    for (address, peer) in [(":9990", ":9991"), (":9991", ":9990")] {
        let facts = &network.servers[address].facts;
        assert!(
            matches!(facts.as_slice(), [Fact::DifferentLists { peer: p, .. }] if p == peer),
            "{facts:?}"
        );
    }
    assert_eq!(
        network.servers[":9990"].facts[0].to_string(),
        ":9991 was started with other founders (:9990,:9991) than this server \
         (:9990,:9991,:9992); start both with the same -c"
    );
}

#[test]
fn a_server_outside_the_list_waits_with_the_command() {
    let list = addresses(1);
    let mut network = Network::new(&[(":9990", &list), (":9993", &list)], 1);
    network.start(":9993");
    let line = |network: &Network| {
        network.servers[":9993"].running.as_ref().expect("it runs").waiting_line()
    };
    assert_eq!(
        line(&network).expect("it waits"),
        "waiting to be added: raft -C addserver -m ':9993' -S ':9990'"
    );
    network.start(":9990");
    network.connect_all();
    assert_eq!(network.formed_count(), 1);
    assert!(matches!(network.servers[":9993"].facts[..], [Fact::NotFounder { .. }]));
}

#[test]
fn a_member_with_a_wrong_hash_is_not_believed() {
    let own = Founder { address: ":9990".into(), incarnation: 1 };
    let peer = Founder { address: ":9991".into(), incarnation: 2 };
    let mut out = Vec::new();
    let list = [own.address.clone(), peer.address.clone()];
    let mut founding = Founding::new(own.clone(), &list, &mut out);
    founding.connected(ConnectionId(1), peer.clone(), &mut out);
    out.clear();
    let founders = vec![own, peer.clone()];
    let view = View::Formed(Formed { cluster: cluster_id(&founders) + 1, founders });
    let report = Report { address: peer.address, incarnation: peer.incarnation, view };
    founding.received(ConnectionId(1), report, &mut out);
    assert_eq!(out, [Output::Fact(Fact::WrongHash { member: ":9991".into() })]);
    assert!(founding.formed().is_none());
}

#[test]
fn the_cluster_id_is_part_of_the_format() {
    let founder = |address: &str, incarnation| Founder { address: address.into(), incarnation };
    let founders = [founder(":9990", 1), founder(":9991", 2)];
    assert_eq!(format!("{:032x}", cluster_id(&founders)), "de79b75e50a102552381656c7afa5090");
    let turned = [founder(":9991", 2), founder(":9990", 1)];
    assert_eq!(cluster_id(&founders), cluster_id(&turned));
    assert_ne!(cluster_id(&founders), cluster_id(&[founder(":9990", 1), founder(":9991", 3)]));
}
