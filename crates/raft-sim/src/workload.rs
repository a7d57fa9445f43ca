//! What clients want, drawn as time goes by.

use bytes::Bytes;
use raft_node::Consistency::{Linearizable, Local};
use raft_node::client_core::Op;
use raft_node::{MemberChange, MemberName, News};
use raft_store::{COUNT, Command, Keys, PRINT, Query, Range, Txn, message};

use crate::chance::{pick, stream};
use crate::client::Client;
use crate::clock::Happening;
use crate::cluster::Cluster;
use crate::host::{Host, address, other_address};
use crate::network::Place;
use crate::plan::{Reach, Storage};

/// Keys that all clients want.
pub(crate) const KEYS: [&[u8]; 3] = [b"beer", b"wine", b"water"];

impl Cluster {
    /// Gives every client its task. The last ones change the membership.
    pub(crate) fn hire(&mut self) {
        for index in 0..self.world.settings.clients + self.world.settings.admins {
            self.world.act_as(Place::Client(index));
            let client = self.new_client(index);
            self.clients.push(client);
            let delay = self.world.random.below(self.world.settings.t);
            self.world.clock.after(delay, Happening::Think { client: index });
        }
    }

    fn new_client(&mut self, index: usize) -> Client {
        let settings = &self.world.settings;
        let hosts = settings.founders + settings.joiners;
        let mut endpoints: Vec<String> = (0..hosts).map(address).collect();
        let first = self.world.random.below(endpoints.len() as u64) as usize;
        endpoints.rotate_left(first);
        let timeout = [settings.t, 5 * settings.t][self.world.random.below(2) as usize];
        Client::new(&mut self.world, index, endpoints, timeout)
    }

    fn message(&mut self) -> Bytes {
        self.messages += 1;
        // Now and then one that takes several pages on the disk: more that can be torn.
        let large = self.world.random.below(10) == 0;
        let padding = if large { self.world.random.below(9000) } else { 0 };
        let padding = " beer".repeat(padding as usize / 5);
        message(format!("message {}{padding}", self.messages).as_bytes())
    }

    /// A key that others want something of, too. No value is put twice.
    fn about_a_key(&mut self) -> Op {
        let (t, random) = (self.world.settings.t, &mut self.world.random);
        let place = random.below(self.values.len() as u64) as usize;
        let key = Bytes::from_static(KEYS[place]);
        let what = random.below(10);
        if what < 5 {
            let query = Query::Range(Range::of(Keys::One(key))).encode();
            let consistency = pick(random, [Linearizable, Linearizable, Linearizable, Local]);
            let news = Some(News { after: random.below(9), within: random.below(2 * t) as u32 });
            return Op::Read { query, consistency, news: news.filter(|_| what == 0) };
        }
        self.messages += 1;
        let (old, new) = (self.values[place], self.messages);
        self.values[place] = new;
        let new = new.to_string();
        let txn = match what {
            5..8 => Txn::put(key, new),
            _ => Txn::cas(key, Some(old.to_string().into()), new),
        };
        Op::Write(Command::from(txn).encode())
    }

    /// A client thinks of something.
    pub(crate) fn think(&mut self, index: usize) {
        self.world.act_as(Place::Client(index));
        let admin = index >= self.world.settings.clients;
        let every = self.world.settings.change_every;
        if self.resting || admin && (self.world.calm || every == 0) {
            return;
        }
        let pause = match (admin, self.world.calm) {
            (true, _) => every,
            // Slow enough that all have the same for a moment.
            (false, true) if self.world.settings.reach == Reach::Wide => 2 * self.world.settings.t,
            (false, true) => 400,
            (false, false) => self.world.settings.think_every,
        };
        let delay = self.world.random.below(2 * pause);
        self.world.clock.after(delay, Happening::Think { client: index });
        drop(self.clients[index].take_ended());
        let pending = self.clients[index].pending();
        let op = if admin {
            if pending > 0 {
                return;
            }
            self.change(index)
        } else {
            match self.world.random.below(40) {
                _ if pending > 4 => return,
                0 => Op::Write(message(COUNT)),
                1 => Op::Write(message(PRINT)),
                2 => Op::Members,
                3 => Op::Status,
                4 if pending == 0 => Op::EndSession,
                5 if self.world.settings.snapshots.is_some() => Op::Snapshot,
                6..20 => self.about_a_key(),
                _ => Op::Write(self.message()),
            }
        };
        self.submit(index, op);
    }

    /// A client's user wants something.
    pub(crate) fn submit(&mut self, index: usize, op: Op) {
        self.world.act_as(Place::Client(index));
        self.clients[index].submit(&mut self.world, op);
    }

    /// Of two that change things the second one only hands leadership on.
    fn change(&mut self, index: usize) -> Op {
        let founders = self.world.settings.founders as u64;
        let hosts = founders + self.world.settings.joiners as u64;
        let transfers = index > self.world.settings.clients;
        let random = &mut self.world.random;
        let what = if transfers { 10 + random.below(2) } else { random.below(12) };
        let at = random.below(hosts);
        let named = || MemberName::Address(address(at as usize));
        let add = |host: u64| MemberChange::Add(address(host as usize));
        let may_leave = self.world.atlas.may_leave(at as usize);
        Op::Change(match what {
            0..=2 if hosts > founders => add(founders + random.below(hosts - founders)),
            4 | 5 if may_leave => MemberChange::Remove(named()),
            6 if may_leave => MemberChange::Demote(named()),
            7 if may_leave && hosts > founders => {
                let new = address((founders + random.below(hosts - founders)) as usize);
                MemberChange::Replace { old: named(), new }
            }
            8 if self.loses_disk(at as usize) => {
                MemberChange::Replace { old: named(), new: address(at as usize) }
            }
            9 => {
                // And back, if it is at that one.
                let (one, other) = (address(at as usize), other_address(at as usize));
                let (from, to) = pick(&mut self.world.random, [(&one, &other), (&other, &one)]);
                let member = MemberName::Address(from.clone());
                MemberChange::Update { member, address: to.clone() }
            }
            10 => return Op::Transfer(None),
            11 => return Op::Transfer(Some(address(at as usize))),
            _ => add(at),
        })
    }

    /// A machine whose disk may be damaged is never seen again. Another one, with an empty disk, is
    /// at its address from now on, and waits to take its place. Says whether there is one.
    fn loses_disk(&mut self, host: usize) -> bool {
        let founders = self.world.settings.founders;
        let is_founded = self.hosts[..founders].iter().all(|founder| founder.member().is_some());
        let is_member = self.hosts[host].member().is_some();
        // All the others could be such, too, where more is damaged than a cluster survives.
        let atlas = &self.world.atlas;
        let is_spare = atlas.storage() == Storage::Tolerated && atlas.hosts().contains(&host);
        let may_be_lost = is_spare && is_founded && is_member;
        if may_be_lost && self.lost.insert(host) {
            self.stop(host, true);
            let heir = self.hosts.len();
            let disk = stream(self.world.plan.seed, "disk", heir as u64).next_u64();
            let mut heir_of = Host::new(heir, self.founders(), disk);
            heir_of.address = address(host);
            self.hosts.push(heir_of);
            self.world.add_clock();
            self.world.clock.after(0, Happening::Start { host: heir });
            self.world.checkers.probe("disk lost");
        }
        self.lost.contains(&host)
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
        let settings = &self.world.settings;
        let mut admins = self.clients.iter().skip(settings.clients).take(settings.admins);
        match admins.any(|admin| admin.pending() > 0) {
            true => Err("a change of members does not end".into()),
            false => Ok(()),
        }
    }

    /// Nobody wants anything any more; what is under way ends.
    pub(crate) fn rest(&mut self) {
        self.resting = true;
        // A write may time out, and then the question what became of it.
        let give_up = self.world.time() + 20 * self.world.settings.t;
        while self.clients.iter().any(|client| client.pending() > 0) {
            if self.world.time() >= give_up {
                self.world.checkers.fail("liveness", "a client's operation does not end".into());
            }
            if self.world.checkers.violation().is_some() {
                return;
            }
            self.run_until(self.world.time() + 10);
        }
    }

    /// A client ends with everything that it asked for, and another one takes its place.
    pub(crate) fn client_ends(&mut self, index: usize) {
        self.world.act_as(Place::Client(index));
        self.clients[index].end(&mut self.world);
        self.clients[index] = self.new_client(index);
    }
}
