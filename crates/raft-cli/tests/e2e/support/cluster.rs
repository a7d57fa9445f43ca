//! A cluster on this machine.

use std::time::Instant;

use serde_json::Value;

use super::ports::free_port;
use super::{Image, PATIENCE, Scene, Server, raft, run};

/// Some servers, most of them members of one cluster.
pub(crate) struct Cluster {
    pub(crate) servers: Vec<Server>,
    pub(crate) list: String,
    /// The servers' disks, where they have some of their own.
    pub(crate) images: Vec<Image>,
    // Last: servers end before their folder does.
    pub(crate) scene: Scene,
}

impl Cluster {
    /// Servers that do not run yet.
    pub(crate) fn new(size: usize) -> Self {
        Self::in_scene(Scene::new(), size)
    }

    /// The same in a scene that is there.
    pub(crate) fn in_scene(scene: Scene, size: usize) -> Self {
        let ports: Vec<u16> = (0..size).map(|_| free_port()).collect();
        let list = founders(&ports);
        let servers = ports.iter().map(|&port| Server::new(&scene, &list, port)).collect();
        Self { servers, list, images: Vec::new(), scene }
    }

    /// Servers with a disk each whose power can be cut, that do not run yet.
    pub(crate) fn on_images(scene: Scene, size: usize) -> Self {
        let mut cluster = Self::in_scene(scene, size);
        for at in 0..size {
            let port = cluster.port(at);
            let image = Image::new(&cluster.scene, &format!("disk-{port}"), 512);
            let dir = image.path().join("data");
            cluster.servers[at] = Server::with_dir(&cluster.list, port, &dir);
            cluster.images.push(image);
        }
        cluster
    }

    /// Servers of which one leads.
    pub(crate) fn start(size: usize) -> Self {
        let mut cluster = Self::new(size);
        cluster.start_all();
        cluster.leader();
        cluster
    }

    /// Starts every server that does not run.
    pub(crate) fn start_all(&mut self) {
        for server in self.servers.iter_mut().filter(|server| !server.is_running()) {
            server.start(&self.scene);
        }
    }

    /// `kill -9` for all of them, none of which sees another one die first.
    pub(crate) fn kill_all(&mut self) {
        let running = || self.servers.iter().filter(|server| server.is_running());
        running().for_each(|server| server.process().signal(super::Signal::STOP));
        self.servers.iter_mut().filter(|server| server.is_running()).for_each(Server::kill);
    }

    pub(crate) fn port(&self, position: usize) -> u16 {
        self.servers[position].port
    }

    /// The ports of the servers that run.
    pub(crate) fn running(&self) -> Vec<u16> {
        self.servers.iter().filter(|server| server.is_running()).map(|server| server.port).collect()
    }

    /// The position of the leader, as soon as the servers that run agree that there is one.
    pub(crate) fn leader(&self) -> usize {
        self.leader_among(&self.running())
    }

    /// The same, asking only these.
    pub(crate) fn leader_among(&self, ports: &[u16]) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let members = self.members(ports);
            let led = |row: &&Value| row["id"].is_u64() && row["id"] == members["leader"];
            let rows = members["members"].as_array().expect("a list of members");
            let address = rows.iter().find(led).and_then(|row| row["address"].as_str());
            let leads = |server: &Server| Some(&*server.address()) == address;
            let position = self.servers.iter().position(leads);
            if let Some(position) = position.filter(|&at| ports.contains(&self.port(at))) {
                return position;
            }
            assert!(Instant::now() < deadline, "nobody leads: {members}");
        }
    }

    /// A running server that does not lead.
    pub(crate) fn follower(&self) -> usize {
        let leader = self.leader();
        let follower = |&at: &usize| at != leader && self.servers[at].is_running();
        (0..self.servers.len()).find(follower).expect("a server that does not lead")
    }

    /// `raft member list -o json`.
    pub(crate) fn members(&self, ports: &[u16]) -> Value {
        let list = founders(ports);
        let listed = run(&self.scene, raft(["member", "list", "-o", "json", "--endpoints", &list]));
        let listed = listed.exits(0);
        serde_json::from_str(&listed.out).unwrap_or_else(|error| panic!("{error}: {listed:?}"))
    }

    /// The id of the member with this address, if there is one. The leader is asked: another
    /// member may be behind.
    pub(crate) fn id_of(&self, port: u16) -> Option<u64> {
        let members = self.members(&[self.port(self.leader())]);
        let rows = members["members"].as_array().expect("a list of members");
        let row = rows.iter().find(|row| row["address"] == format!(":{port}"));
        row.map(|row| row["id"].as_u64().expect("an id"))
    }

    /// One more server, outside the list, not started yet. Returns its position.
    pub(crate) fn newcomer(&mut self) -> usize {
        let port = free_port();
        self.servers.push(Server::new(&self.scene, &self.list, port));
        self.servers.len() - 1
    }
}

/// `:9990,:9991,:9992`.
pub(crate) fn founders(ports: &[u16]) -> String {
    ports.iter().map(|port| format!(":{port}")).collect::<Vec<_>>().join(",")
}
