//! What clients want and what goes wrong, drawn as time goes by.

use bytes::Bytes;
use raft_node::client_core::Op;
use raft_store::{COUNT, PRINT, message};

use crate::client::Client;
use crate::clock::Happening;
use crate::cluster::Cluster;
use crate::disk::Blow;
use crate::faults::{Fault, T};
use crate::host::{Host, Incoming, address};
use crate::network::{End, Place};
use crate::world::World;

impl Cluster {
    /// Gives every client its task. The last one changes the membership.
    pub(crate) fn hire(&mut self) {
        for index in 0..=self.world.settings.clients {
            let client = self.new_client(index);
            self.clients.push(client);
            let delay = self.world.random.below(T);
            self.world.after(delay, Happening::Think { client: index });
        }
    }

    fn new_client(&mut self, index: usize) -> Client {
        let mut endpoints: Vec<String> = (0..self.hosts.len()).map(address).collect();
        let first = self.world.random.below(endpoints.len() as u64) as usize;
        endpoints.rotate_left(first);
        let timeout = [T, 5 * T][self.world.random.below(2) as usize];
        Client::new(&mut self.world, index, endpoints, timeout)
    }

    fn message(&mut self) -> Bytes {
        self.messages += 1;
        let padding =
            if self.world.random.below(20) == 0 { self.world.random.below(3000) } else { 0 };
        let padding = " beer".repeat(padding as usize / 5);
        message(format!("message {}{padding}", self.messages).as_bytes())
    }

    /// A client thinks of something.
    pub(crate) fn think(&mut self, index: usize) {
        let admin = index == self.world.settings.clients;
        let every = self.world.settings.change_every;
        if self.resting || admin && (self.world.calm || every == 0) {
            return;
        }
        let pause = match (admin, self.world.calm) {
            (true, _) => every,
            (false, true) => 200,
            (false, false) => 40,
        };
        let delay = self.world.random.below(2 * pause);
        self.world.after(delay, Happening::Think { client: index });
        drop(self.clients[index].take_ended());
        let pending = self.clients[index].pending();
        let op = if admin {
            if pending > 0 {
                return;
            }
            self.change()
        } else {
            match self.world.random.below(40) {
                _ if pending > 4 => return,
                0 => Op::Write(message(COUNT)),
                1 => Op::Write(message(PRINT)),
                2 => Op::Members,
                3 => Op::Status,
                4 if pending == 0 => Op::EndSession,
                _ => Op::Write(self.message()),
            }
        };
        self.submit(index, op);
    }

    /// A client's user wants something.
    pub(crate) fn submit(&mut self, index: usize, op: Op) {
        self.clients[index].submit(&mut self.world, op);
    }

    fn change(&mut self) -> Op {
        let hosts = self.hosts.len() as u64;
        let founders = self.world.settings.founders as u64;
        let random = &mut self.world.random;
        match random.below(8) {
            0..3 if hosts > founders => {
                Op::AddMember(address((founders + random.below(hosts - founders)) as usize))
            }
            3 => Op::AddMember(address(random.below(hosts) as usize)),
            4 | 5 => Op::RemoveMember(address(random.below(hosts) as usize)),
            6 => Op::Transfer(None),
            _ => Op::Transfer(Some(address(random.below(hosts) as usize))),
        }
    }

    /// Whether members come or go at the moment.
    pub(crate) fn is_changing(&self) -> bool {
        let changing = |host: &Host| {
            host.member().is_some_and(|member| {
                let membership = member.replica().raft().membership();
                membership.job.is_some() || membership.is_joint()
            })
        };
        self.changes_ended().is_err() || self.hosts.iter().any(changing)
    }

    /// Whether nobody wants other members any more.
    pub(crate) fn changes_ended(&self) -> Result<(), String> {
        let admin = &self.clients[self.world.settings.clients];
        if admin.pending() > 0 { Err("a change of members does not end".into()) } else { Ok(()) }
    }

    /// Nobody wants anything any more; what is under way ends.
    pub(crate) fn rest(&mut self) {
        self.resting = true;
        let give_up = self.world.now() + 10 * T;
        while self.clients.iter().any(|client| client.pending() > 0) {
            if self.world.now() >= give_up {
                self.world.checkers.fail("liveness", "a client's operation does not end".into());
            }
            if self.world.checkers.violation().is_some() {
                return;
            }
            self.run_until(self.world.now() + 10);
        }
    }

    /// Something bad happens, and the next bad thing is planned.
    pub(crate) fn mischief(&mut self) {
        if self.world.calm {
            return;
        }
        let delay = 1 + self.world.random.below(2 * self.world.settings.fault_every);
        self.world.after(delay, Happening::Mischief);
        let faults = &self.world.settings.faults;
        if faults.is_empty() {
            return;
        }
        let fault = faults[self.world.random.below(faults.len() as u64) as usize];
        let host = self.victim();
        if !self.world.trouble(fault.name(), format!("{} at {}", fault.name(), address(host))) {
            return;
        }
        match fault {
            Fault::Kill => self.stop(host, false),
            Fault::Retire => self.hosts[host].tell(&mut self.world, Incoming::HandOver),
            Fault::PowerCut => self.stop(host, true),
            Fault::Blackout => {
                if self.world.random.below(4) == 0 {
                    (0..self.hosts.len()).for_each(|host| self.stop(host, true));
                }
            }
            Fault::TornWrite => self.light_fuse(host, Blow::Stop),
            Fault::DiskError => self.light_fuse(host, Blow::Error),
            Fault::Pause => {
                let pause = self.world.random.below(3 * T);
                self.hosts[host].paused_until = self.world.now() + pause;
            }
            Fault::Partition => self.partition(),
            Fault::OneWay => {
                let other = self.world.random.below(self.hosts.len() as u64) as usize;
                self.world.network.cut(Place::Host(host), Place::Host(other));
            }
            Fault::Mend => {
                let World { network, clock, random, .. } = &mut self.world;
                network.mend(clock, random);
            }
            Fault::Snap => {
                let wires = self.world.network.wires();
                if !wires.is_empty() {
                    let wire = self.world.random.below(wires.len() as u64) as usize;
                    self.snap(wires[wire]);
                }
            }
            Fault::Stall => self.stall(),
            Fault::ClientEnds => self.client_ends(),
        }
    }

    fn leader(&self) -> Option<usize> {
        let leads =
            |host: &&Host| host.member().is_some_and(|member| member.replica().raft().is_leader());
        self.hosts.iter().find(leads).map(|host| host.index)
    }

    /// Any server; the leader more often.
    fn victim(&mut self) -> usize {
        let leader = self.leader();
        let any = self.world.random.below(self.hosts.len() as u64) as usize;
        leader.filter(|_| self.world.random.below(3) == 0).unwrap_or(any)
    }

    fn stop(&mut self, host: usize, dark: bool) {
        if self.hosts[host].process.is_some() {
            self.hosts[host].stop(&mut self.world, dark);
        }
    }

    fn light_fuse(&mut self, host: usize, blow: Blow) {
        let operations = self.world.random.below(12);
        self.hosts[host].platter.light_fuse(operations, blow);
    }

    /// Two sides that do not hear each other; clients belong to one, or reach both.
    fn partition(&mut self) {
        let mut places: Vec<Place> = (0..self.hosts.len()).map(Place::Host).collect();
        places.extend((0..self.clients.len()).map(Place::Client));
        // Often it is the leader that is cut off, with some of the clients.
        let alone = (self.world.random.below(2) == 0).then(|| self.leader()).flatten();
        let mut side = |place| match (alone, place) {
            (Some(leader), Place::Host(host)) => u64::from(host == leader),
            _ => self.world.random.below(2),
        };
        let sides: Vec<(Place, u64)> =
            places.into_iter().map(|place| (place, side(place))).collect();
        for (a, side) in &sides {
            for (b, other) in &sides {
                if side != other {
                    self.world.network.cut(*a, *b);
                }
            }
        }
    }

    fn stall(&mut self) {
        let wires = self.world.network.wires();
        if wires.is_empty() {
            return;
        }
        let wire = wires[self.world.random.below(wires.len() as u64) as usize];
        let end = if self.world.random.below(4) == 0 { End::Listener } else { End::Dialler };
        if !self.world.network.stall(wire, end) {
            return;
        }
        if let Some(Place::Host(host)) = self.world.network.place(wire, end) {
            self.hosts[host].tell(&mut self.world, Incoming::Stalled(wire, true));
        }
        let delay = self.world.random.below(2 * T);
        self.world.after(delay, Happening::Drained { wire, end });
    }

    /// A client ends with everything that it asked for, and another one takes its place.
    fn client_ends(&mut self) {
        let index = self.world.random.below(self.clients.len() as u64) as usize;
        self.clients[index].end(&mut self.world);
        self.clients[index] = self.new_client(index);
    }
}
