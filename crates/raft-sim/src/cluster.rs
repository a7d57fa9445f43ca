//! A whole cluster: servers, clients, and the loop that lets whoever is next do what is next.

use raft_core::{Index, Time};
use raft_node::Address;

use crate::client::Client;
use crate::clock::Happening;
use crate::disk::{Blow, Platter};
use crate::faults::T;
use crate::host::{Host, Incoming, address};
use crate::network::{End, Place, WireId};
use crate::plan::Plan;
use crate::world::World;

/// When something is due, and at which host or client.
type Due = Option<(Time, usize)>;

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
    pub(crate) messages: u64,
    pub(crate) resting: bool,
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
        let list: Vec<Address> =
            (0..founders).map(|index| address(index).parse().expect("an address")).collect();
        // Who waits to be added may be told of the founders, or not.
        let told = |index: usize| {
            if index < founders || index.is_multiple_of(2) { list.clone() } else { Vec::new() }
        };
        let hosts: Vec<Host> = (0..count)
            .map(|index| Host::new(index, told(index), world.random.next_u64()))
            .collect();
        // Mostly at once; sometimes in the midst of trouble.
        let late = if world.random.below(4) == 0 { 2 * T } else { T / 10 };
        for host in 0..count {
            let delay = world.random.below(late);
            world.after(delay, Happening::Start { host });
        }
        // Often one of the founders dies in the midst of it.
        if world.random.below(2) == 0 {
            let founder = world.random.below(founders as u64) as usize;
            hosts[founder].light_fuse(world.random.below(32), Blow::Stop);
        }
        let mut cluster =
            Self { world, hosts, clients: Vec::new(), messages: 0, resting: false, steps: 0 };
        cluster.hire();
        cluster.world.after(T / 4, Happening::Mischief);
        cluster.world.after(T, Happening::Inspect);
        cluster
    }

    /// Runs until that time, or until something is wrong.
    pub fn run_until(&mut self, end: Time) {
        while self.world.checkers.violation().is_none() {
            let now = self.world.now();
            let host = self.hosts.iter().filter_map(|h| Some((h.next_wake(now)?, h.index))).min();
            let client = self.clients.iter().enumerate();
            let client = client.filter_map(|(i, c)| Some((c.next_wake()?, i))).min();
            let agenda = self.world.clock.next();
            let times = [host.map(|h| h.0), client.map(|c| c.0), agenda];
            let Some(next) = times.into_iter().flatten().min().filter(|next| *next <= end) else {
                // Nothing is due any more: only the clock moves.
                self.world.clock.pass(end);
                return;
            };
            self.count_steps(next, (host, client));
            if let Some(happening) = self.world.clock.take_due(next) {
                self.world.tick(next, happening.number());
                self.happen(happening);
            } else if let Some((_, index)) = host.filter(|(at, _)| *at <= next) {
                self.world.tick(next, 100 + index as u64);
                self.hosts[index].wake(&mut self.world);
            } else if let Some((_, index)) = client {
                self.world.tick(next, 200 + index as u64);
                self.clients[index].wake(&mut self.world);
            }
        }
    }

    /// Time must go on: somebody who is woken without end has no deadline but a bug.
    fn count_steps(&mut self, next: Time, (host, client): (Due, Due)) {
        self.steps = if next > self.world.now() { 0 } else { self.steps + 1 };
        if self.steps > STEPS_MAX {
            let what = format!("time stands still at {next:?}: server {host:?}, client {client:?}");
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
                let World { network, clock, random, .. } = &mut self.world;
                network.unstall(clock, random, wire, end);
                if let Some(Place::Host(host)) = network.place(wire, end) {
                    self.hosts[host].tell(&mut self.world, Incoming::Stalled(wire, false));
                }
            }
            Happening::Knock { from, address, dial } => self.knock(from, &address, dial),
            Happening::Dialled { to, dial, result } => match to {
                Place::Host(host) if self.hosts[host].process.is_some() => {
                    self.hosts[host].tell(&mut self.world, Incoming::Dialled(dial, result));
                }
                Place::Host(_) => {
                    if let Ok(wire) = result {
                        self.world.close(wire, End::Dialler);
                    }
                }
                Place::Client(client) => {
                    self.clients[client].dialled(&mut self.world, dial, result);
                }
            },
            Happening::Start { host } => self.hosts[host].start(&mut self.world),
            Happening::Think { client } => self.think(client),
            Happening::Mischief => self.mischief(),
            Happening::Inspect => {
                self.inspect();
                self.world.after(2 * T, Happening::Inspect);
            }
            other => self.device(other),
        }
    }

    /// What a server's own devices did: dropped if that process is gone.
    fn device(&mut self, happening: Happening) {
        let (host, life) = match &happening {
            Happening::Written { host, life }
            | Happening::Attest { host, life, .. }
            | Happening::Read { host, life, .. }
            | Happening::Spare { host, life }
            | Happening::Look { host, life } => (*host, *life),
            _ => return,
        };
        let until = self.hosts[host].paused_until;
        if until > self.world.now() {
            // A stopped process has stopped threads.
            let delay = until - self.world.now();
            return self.world.after(delay, happening);
        }
        let Some(process) = self.hosts[host].process_of(life) else { return };
        match happening {
            Happening::Written { .. } => process.written(&mut self.world),
            Happening::Attest { writes, .. } => process.attest(writes),
            Happening::Read { request, first, last, bytes_max, .. } => {
                process.read_log(&mut self.world, request, (first, last, bytes_max));
            }
            Happening::Spare { .. } => process.make_spare(&self.world),
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
                self.hosts[host].tell(&mut self.world, Incoming::Bytes(wire, bytes));
            }
            Some(Place::Client(client)) => {
                self.clients[client].bytes(&mut self.world, wire, &bytes);
            }
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
            Place::Host(host) => self.hosts[host].tell(&mut self.world, Incoming::Ended(wire)),
            Place::Client(client) => {
                self.clients[client].ended(&mut self.world, wire);
            }
        }
    }

    /// A dial reaches a machine, or the end of the cut cable.
    fn knock(&mut self, from: Place, wanted: &str, dial: u64) {
        let host = (0..self.hosts.len()).find(|index| address(*index) == wanted);
        let delay = self.world.network.delays.draw(&mut self.world.random);
        let to = host.map(Place::Host).filter(|to| {
            !self.world.network.is_cut(from, *to) && !self.world.network.is_cut(*to, from)
        });
        let (delay, result) = match (host, to) {
            (Some(host), Some(to)) if !self.hosts[host].dark => {
                if self.hosts[host].process.is_some() {
                    let wire = self.world.network.connect(from, to);
                    self.hosts[host].tell(&mut self.world, Incoming::Accepted(wire));
                    (delay, Ok(wire))
                } else {
                    (delay, Err(true))
                }
            }
            _ => (T, Err(false)),
        };
        self.world.after(delay, Happening::Dialled { to: from, dial, result });
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

    /// Everything that is wrong with the network and the machines ends.
    pub fn heal(&mut self) {
        self.world.checkers.observer().tell(|| crate::trace::What::Healed);
        self.world.calm = true;
        self.world.network.delays = crate::network::Delays::CALM;
        let World { network, clock, random, .. } = &mut self.world;
        network.mend(clock, random);
        for index in 0..self.hosts.len() {
            self.hosts[index].paused_until = Time(0);
            self.hosts[index].platter.put_out_fuse();
            self.hosts[index].start(&mut self.world);
        }
    }

    /// Whether all members of the newest configuration run, agree and have nothing left to do;
    /// who they are.
    pub fn agreed(&self) -> Result<Vec<(usize, Index)>, String> {
        let members = || self.hosts.iter().filter_map(|host| Some((host.index, host.member()?)));
        let leader = members().find(|(_, member)| {
            let raft = member.replica().raft();
            raft.is_leader() && raft.commit_index().0 == self.world.checkers.committed() as u64
        });
        let leader = leader.ok_or("nobody leads")?.1.replica().raft();
        let membership = leader.membership();
        if membership.job.is_some() || membership.is_joint() {
            return Err(format!("a change goes on: {membership}"));
        }
        let mut agreed = Vec::new();
        for id in membership.members.keys() {
            let found = members().find(|(_, member)| member.identity().id == *id);
            let (host, member) = found.ok_or_else(|| format!("{id} does not run"))?;
            let (applied, due) = (member.replica().applied_index(), leader.last_log_id().index);
            if applied != due || member.replica().raft().last_log_id() != leader.last_log_id() {
                return Err(format!("{id} has applied {applied} of {due}"));
            }
            agreed.push((host, applied));
        }
        Ok(agreed)
    }
}
