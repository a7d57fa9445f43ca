//! A whole cluster: servers, clients, and the loop that lets whoever is next do what is next.

use std::collections::BTreeSet;

use raft_core::Time;
use raft_node::Address;

use crate::chance::stream;
use crate::client::Client;
use crate::clock::Happening;
use crate::disk::{Blow, Platter};
use crate::host::{Host, Incoming, address, other_address};
use crate::network::{End, Place, WireId};
use crate::plan::Plan;
use crate::schedule::Watch;
use crate::world::World;

/// So many things happen in one millisecond at most.
const STEPS_MAX: u64 = 20_000;

/// Everybody.
#[derive(Debug)]
pub struct Cluster {
    /// What they share.
    pub world: World,
    /// The servers, founders first.
    pub hosts: Vec<Host>,
    /// The clients.
    pub clients: Vec<Client>,
    /// Servers that never come back.
    pub dead: BTreeSet<usize>,
    /// Servers that never come back, whatever happens: another machine is at their address.
    pub(crate) lost: BTreeSet<usize>,
    pub(crate) messages: u64,
    /// The value that was last wanted for each key.
    pub(crate) values: [u64; 3],
    pub(crate) resting: bool,
    pub(crate) watch: Watch,
    /// When each of them wants to run.
    wakes: Vec<(Time, Place)>,
    /// Without time going on.
    steps: u64,
}

impl Cluster {
    /// Servers with empty directories, about to start: some of them found a cluster, and the
    /// others wait to be added to it.
    #[must_use]
    pub fn new(plan: &Plan, traced: bool) -> Self {
        let mut world = World::new(plan, traced);
        let founders = world.settings.founders;
        let count = founders + world.settings.joiners;
        let list = self::founders(founders);
        // Who waits to be added may be told of the founders, or not.
        let told = |index: usize| {
            if index < founders || index.is_multiple_of(2) { list.clone() } else { Vec::new() }
        };
        let disk = |index: usize| stream(plan.seed, "disk", index as u64).next_u64();
        let hosts: Vec<Host> =
            (0..count).map(|index| Host::new(index, told(index), disk(index))).collect();
        let random = &mut stream(plan.seed, "founding", 0);
        (0..count).for_each(|_| world.add_clock());
        for host in 0..count {
            let delay = random.below(world.settings.starts_within);
            world.clock.after(delay, Happening::Start { host });
        }
        if world.settings.founder_dies {
            let founder = random.below(founders as u64) as usize;
            hosts[founder].light_fuse(random.below(32), Blow::Stop);
        }
        let mut cluster = Self {
            world,
            hosts,
            clients: Vec::new(),
            dead: BTreeSet::new(),
            lost: BTreeSet::new(),
            messages: 0,
            values: [0; 3],
            resting: false,
            watch: Watch::default(),
            wakes: Vec::new(),
            steps: 0,
        };
        cluster.hire();
        let first = cluster.world.settings.first_trouble();
        cluster.world.clock.after(first, Happening::Trouble(0));
        cluster.world.clock.after(0, Happening::Watch);
        let t = cluster.world.settings.t;
        cluster.world.clock.after(2 * t, Happening::Inspect);
        cluster
    }

    /// Runs until that time, or until something is wrong.
    pub fn run_until(&mut self, end: Time) {
        while self.world.checkers.violation().is_none() {
            self.look_at_wakes();
            let first = self.wakes.iter().min().copied();
            let times = [first.map(|(at, _)| at), self.world.clock.next()];
            let Some(next) = times.into_iter().flatten().min().filter(|next| *next <= end) else {
                // Nothing is due any more: only the clock moves.
                self.world.clock.pass(end);
                return;
            };
            self.count_steps(next, first);
            if let Some(happening) = self.world.clock.take_due(next) {
                self.world.tick(next, happening.number());
                self.happen(happening);
            } else if let Some((_, place)) = first {
                self.world.act_as(place);
                match place {
                    Place::Host(host) => {
                        self.world.tick(next, 100 + host as u64);
                        self.hosts[host].wake(&mut self.world);
                    }
                    Place::Client(client) => {
                        self.world.tick(next, 200 + client as u64);
                        self.clients[client].wake(&mut self.world);
                    }
                    Place::Stranger(_) => {}
                }
            }
        }
    }

    /// Those who acted, or were acted on, may want to run at other times now.
    fn look_at_wakes(&mut self) {
        while let Some(place) = self.world.take_touched() {
            let wake = match place {
                Place::Host(host) => self.hosts.get(host).and_then(|host| self.wake_of(host)),
                Place::Client(client) => self.clients.get(client).and_then(Client::next_wake),
                Place::Stranger(_) => None,
            };
            let known = self.wakes.iter().position(|(_, of)| *of == place);
            match (wake, known) {
                (Some(at), Some(known)) => self.wakes[known].0 = at,
                (Some(at), None) => self.wakes.push((at, place)),
                (None, Some(known)) => {
                    self.wakes.swap_remove(known);
                }
                (None, None) => {}
            }
        }
    }

    /// The true time at which a server wants to run, or may.
    fn wake_of(&self, host: &Host) -> Option<Time> {
        let clock = self.world.clock_of(host.index);
        Some(clock.when(host.next_wake()?).max(host.paused_until))
    }

    /// Time must go on: somebody who is woken without end has no deadline but a bug.
    fn count_steps(&mut self, next: Time, first: Option<(Time, Place)>) {
        self.steps = if next > self.world.time() { 0 } else { self.steps + 1 };
        if self.steps > STEPS_MAX {
            let what = format!("time stands still at {next:?}: {first:?} is next");
            self.world.checkers.fail("timers", what);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Bytes { wire, end, bytes } => self.bytes(wire, end, bytes),
            Happening::Hangup { wire, end } => {
                if let Some(place) = self.world.network.place(wire, end) {
                    self.ended(place, wire);
                }
            }
            Happening::Snap(wire) => self.snap(wire),
            Happening::Drained { wire, end } => {
                let World { network, clock, .. } = &mut self.world;
                network.unstall(clock, wire, end);
                if let Some(Place::Host(host)) = network.place(wire, end) {
                    self.tell(host, Incoming::Stalled(wire, false));
                }
            }
            Happening::Filled { wire, end, until } => {
                let pause = until - self.world.time();
                self.stall(wire, end, pause);
            }
            Happening::Knock { from, address, dial } => self.knock(from, &address, dial),
            Happening::Dialled { to, dial, result } => self.dialled(to, dial, result),
            Happening::Start { host } => self.start(host),
            Happening::Think { client } => self.think(client),
            Happening::RoomAgain { host } => self.hosts[host].platter.clear(),
            Happening::Trouble(number) => self.trouble(number),
            Happening::TroubleEnds(number) => self.trouble_ends(number),
            Happening::Flap(number) => self.flap(number),
            Happening::Lurk(number) => self.lurk(number),
            Happening::Watch => self.watch(),
            Happening::Inspect => {
                self.inspect();
                // All disks, on the way.
                let pause = 5 * self.world.settings.t;
                self.world.clock.after(pause, Happening::Inspect);
            }
            other => self.device(other),
        }
    }

    /// Something reaches a server, if it runs.
    pub(crate) fn tell(&mut self, host: usize, incoming: Incoming) {
        self.world.act_as(Place::Host(host));
        self.hosts[host].tell(&mut self.world, incoming);
    }

    pub(crate) fn start(&mut self, host: usize) {
        if !self.dead.contains(&host) && !self.lost.contains(&host) {
            self.world.act_as(Place::Host(host));
            self.hosts[host].start(&mut self.world);
        }
    }

    fn dialled(&mut self, to: Place, dial: u64, result: Result<WireId, bool>) {
        match to {
            Place::Host(host) if self.hosts[host].process.is_some() => {
                self.tell(host, Incoming::Dialled(dial, result));
            }
            Place::Host(_) => {
                if let Ok(wire) = result {
                    self.world.close(wire, End::Dialler);
                }
            }
            Place::Client(client) => {
                self.world.act_as(to);
                self.clients[client].dialled(&mut self.world, dial, result);
            }
            Place::Stranger(_) => {}
        }
    }

    /// What a server's own devices did: dropped if that process is gone.
    fn device(&mut self, happening: Happening) {
        let (host, life) = match &happening {
            Happening::Written { host, life }
            | Happening::Attest { host, life, .. }
            | Happening::Read { host, life, .. }
            | Happening::Snapshot { host, life }
            | Happening::Spare { host, life }
            | Happening::Look { host, life } => (*host, *life),
            _ => return,
        };
        let hangs = matches!(happening, Happening::Written { .. } | Happening::Snapshot { .. });
        let hangs = if hangs { self.world.disk_hangs_until(host) } else { None };
        let until = self.hosts[host].paused_until.max(hangs.unwrap_or_default());
        if until > self.world.time() && self.hosts[host].process_of(life).is_some() {
            // A stopped process has stopped threads, and a disk that hangs ends nothing. Either
            // may be over early.
            let delay = (until - self.world.time()).min(self.world.settings.t / 10);
            return self.world.clock.after(delay, happening);
        }
        self.world.act_as(Place::Host(host));
        let Some(process) = self.hosts[host].process_of(life) else { return };
        if let Happening::Written { .. } = happening {
            self.world.end_sync(host);
        }
        match happening {
            Happening::Written { .. } => process.written(&mut self.world),
            Happening::Attest { writes, .. } => process.attest(&mut self.world, writes),
            Happening::Read { request, first, last, bytes_max, .. } => {
                process.read_log(&mut self.world, request, (first, last, bytes_max));
            }
            Happening::Snapshot { .. } => process.work_on_snapshots(&mut self.world),
            Happening::Spare { .. } => process.make_spare(&mut self.world),
            Happening::Look { .. } => process.look_at_disk(&self.world),
            _ => {}
        }
        self.hosts[host].look(&mut self.world);
    }

    fn bytes(&mut self, wire: WireId, end: End, bytes: bytes::Bytes) {
        let network = &self.world.network;
        if !network.is_open(wire, end) {
            // Nobody is there any more; if the machine runs, it says so.
            let dark = match network.place(wire, end) {
                Some(Place::Host(host)) => self.hosts[host].dark,
                _ => false,
            };
            if !dark {
                self.snap(wire);
            }
            return;
        }
        match network.place(wire, end) {
            Some(Place::Host(host)) => {
                self.tell(host, Incoming::Bytes(wire, bytes));
            }
            Some(Place::Client(client)) => {
                self.world.act_as(Place::Client(client));
                self.clients[client].bytes(&mut self.world, wire, &bytes);
            }
            Some(Place::Stranger(_)) => self.stranger_hears(wire, &bytes),
            None => {}
        }
    }

    pub(crate) fn snap(&mut self, wire: WireId) {
        for (place, _) in self.world.network.snap(wire) {
            self.ended(place, wire);
        }
    }

    fn ended(&mut self, place: Place, wire: WireId) {
        match place {
            Place::Host(host) => self.tell(host, Incoming::Ended(wire)),
            Place::Client(client) => {
                self.world.act_as(place);
                self.clients[client].ended(&mut self.world, wire);
            }
            Place::Stranger(_) => self.world.close(wire, End::Dialler),
        }
    }

    /// A dial reaches a machine, or the end of the cut cable.
    fn knock(&mut self, from: Place, wanted: &str, dial: u64) {
        let host = self.host_at(wanted);
        self.world.act_as(from);
        let delay = self.world.network.delays.draw(&mut self.world.random);
        let paths = &self.world.network.paths;
        let to =
            host.map(Place::Host).filter(|to| !paths.is_cut(from, *to) && !paths.is_cut(*to, from));
        let (delay, result) = match (host, to) {
            (Some(host), Some(to)) if !self.hosts[host].dark => {
                let there_and_back = 2 * self.world.network.way(from, to);
                if self.hosts[host].process.is_some() {
                    let wire = self.world.network.connect(from, to);
                    self.tell(host, Incoming::Accepted(wire));
                    (there_and_back + delay, Ok(wire))
                } else {
                    (there_and_back + delay, Err(true))
                }
            }
            _ => (self.world.settings.t, Err(false)),
        };
        self.world.clock.after(delay, Happening::Dialled { to: from, dial, result });
    }

    /// Who is at this address, by either of its names: where a machine was lost, the one that came.
    pub(crate) fn host_at(&self, wanted: &str) -> Option<usize> {
        let known = self.world.settings.founders + self.world.settings.joiners;
        let other = (0..known).find(|host| other_address(*host) == wanted).map(address);
        let wanted = other.as_deref().unwrap_or(wanted);
        self.hosts.iter().rposition(|host| host.address == wanted)
    }

    /// What servers are started with.
    pub(crate) fn founders(&self) -> Vec<Address> {
        founders(self.world.settings.founders)
    }

    /// Reads all disks as a power cut would leave them.
    pub fn inspect(&mut self) {
        let disks: Vec<(usize, Platter)> =
            self.hosts.iter().map(|host| (host.index, host.platter.clone())).collect();
        self.world.checkers.inspect(&disks);
    }

    /// The trace hash of the whole run so far.
    #[must_use]
    pub fn hash(&mut self) -> u128 {
        for host in &self.hosts {
            let disk = host.platter.recorder().digest();
            self.world.checkers.observer().hash().bytes(&disk.to_le_bytes());
        }
        self.world.hash()
    }
}

fn founders(count: usize) -> Vec<Address> {
    (0..count).map(|index| address(index).parse().expect("an address")).collect()
}
