//! The end of trouble: who comes back, and when all is well again.

use std::sync::Arc;

use raft_core::{Index, Membership, NodeId, Time};
use raft_node::client_core::Op;
use raft_node::resident::Member;
use raft_node::{Answer, ClientError, Consistency, Reason};
use raft_store::{Keys, Query, Range, message};

use crate::chance::{shuffle, stream};
use crate::client::Client;
use crate::cluster::Cluster;
use crate::network::{Delays, Place};
use crate::trace::What;
use crate::workload::KEYS;

impl Cluster {
    /// So long after all trouble every member takes writes again.
    const fn calm_max(&self) -> u64 {
        10 * self.world.settings.t
    }

    /// A change of members that was under way may take as long as a new member is waited for.
    const fn change_max(&self) -> u64 {
        30 * self.world.settings.t
    }

    /// Everything that is wrong with the network and the machines ends; or a majority comes back,
    /// and the others never do.
    pub(crate) fn heal(&mut self) {
        self.world.checkers.observer().tell(|| What::Healed);
        self.world.calm = true;
        self.world.allowance.lift();
        self.world.network.delays = Delays::CALM;
        self.world.network.mend(&mut self.world.clock);
        for index in 0..self.hosts.len() {
            self.hosts[index].paused_until = Time(0);
            self.world.touch(Place::Host(index));
            self.hosts[index].platter.mend();
            self.start(index);
        }
        if !self.is_core() {
            self.raise_the_dead();
        }
        if self.world.settings.minority_stays_dead {
            self.bury();
        }
    }

    /// Who died for good is needed after all.
    fn raise_the_dead(&mut self) {
        std::mem::take(&mut self.dead).into_iter().for_each(|host| self.start(host));
    }

    /// A minority dies for good; none while the members change, because it may be a majority of
    /// what comes out of that.
    fn bury(&mut self) {
        if self.is_changing() {
            return;
        }
        let random = &mut stream(self.world.plan.seed, "burial", 0);
        let mut hosts: Vec<usize> = (0..self.hosts.len()).collect();
        shuffle(random, &mut hosts);
        let many = 1 + random.below(hosts.len() as u64) as usize;
        for host in hosts.into_iter().take(many) {
            self.dead.insert(host);
            if self.is_core() {
                self.stop(host, random.below(2) == 0);
                self.world.checkers.probe("stays dead");
            } else {
                self.dead.remove(&host);
            }
        }
    }

    /// Where more was damaged than a cluster survives, who refuses its disk may be a majority: what
    /// runs must be right, and need not be well.
    pub(crate) fn wait_and_see(&mut self) {
        self.run_until(self.world.time() + self.calm_max());
        self.inspect();
    }

    fn members(&self) -> impl Iterator<Item = (usize, &Member)> {
        self.hosts.iter().filter_map(|host| Some((host.index, host.member()?)))
    }

    /// Whether those that live can decide, by all that any of them believes. Whose disk may be
    /// damaged is not counted on.
    fn is_core(&self) -> bool {
        let lives = |id: &NodeId| {
            let lasts = |host: &usize| {
                !self.dead.contains(host) && !self.world.atlas.hosts().contains(host)
            };
            self.members().any(|(host, member)| member.identity().id == *id && lasts(&host))
        };
        let decides = |membership: &Membership| {
            let halves = [Some(&membership.voters), membership.old_voters.as_ref()];
            halves.into_iter().flatten().all(|half| {
                let living = half.iter().filter(|id| lives(id)).count();
                living > half.len() - living
            })
        };
        let mut living = self.members().filter(|(host, _)| !self.dead.contains(host)).peekable();
        living.peek().is_some()
            && living.all(|(_, member)| decides(member.replica().raft().membership()))
    }

    /// How long to wait until all is well: members that come or go take their time.
    pub(crate) fn patience(&self) -> u64 {
        if self.is_changing() { self.change_max() } else { self.calm_max() }
    }

    /// Waits until the members agree, and says until when it would have waited.
    pub(crate) fn await_agreement(&mut self, patience: u64) -> Time {
        let mut give_up = self.world.time() + patience;
        while let Err(why) = self.agreed().and_then(|_| self.changes_ended()) {
            if self.world.time() >= give_up {
                if self.dead.is_empty() || self.is_core() {
                    self.world.checkers.fail("liveness", format!("healed, but {why}"));
                } else {
                    // What was on its way made another majority.
                    self.raise_the_dead();
                    give_up = self.world.time() + patience;
                }
            }
            if self.world.checkers.violation().is_some() {
                break;
            }
            self.run_until(self.world.time() + 10);
        }
        give_up
    }

    /// Whether all members of the newest configuration run, agree and have nothing left to do;
    /// who they are. Those that are dead for good do not count, nor those that refuse their disk.
    pub(crate) fn agreed(&self) -> Result<Vec<(usize, Index)>, String> {
        let leader = self.members().find(|(_, member)| {
            let raft = member.replica().raft();
            raft.is_leader() && raft.commit_index().0 == self.world.checkers.committed() as u64
        });
        let leader = leader.ok_or("nobody leads")?.1.replica().raft();
        let membership = leader.membership();
        if membership.job.is_some() || membership.is_joint() {
            return Err(format!("a change goes on: {membership}"));
        }
        let mut agreed = Vec::new();
        for (id, peer) in &membership.members {
            let found = self.members().find(|(_, member)| member.identity().id == *id);
            let Some((host, member)) = found else {
                let at = self.host_at(&peer.address);
                let is_dead = at.is_some_and(|host| self.dead.contains(&host));
                let own = self.world.checkers.host_of(*id);
                let is_lost = own.is_some_and(|host| self.lost.contains(&host));
                if is_dead || is_lost || self.world.checkers.is_member_down(*id) {
                    continue;
                }
                return Err(format!("{id} does not run"));
            };
            let (applied, due) = (member.replica().applied_index(), leader.last_log_id().index);
            if applied != due || member.replica().raft().last_log_id() != leader.last_log_id() {
                return Err(format!("{id} has applied {applied} of {due}"));
            }
            agreed.push((host, applied));
        }
        Ok(agreed)
    }

    /// A fresh write through every member must be acknowledged, and until then. Through one after
    /// the other; in a short run through all at once, which takes less.
    pub(crate) fn write_through_all(&mut self, until: Time) {
        let hosts = self.agreed().unwrap_or_default().into_iter().map(|(host, _)| host);
        if self.world.plan.short {
            let asked: Vec<(usize, usize)> =
                hosts.map(|host| (host, self.write_to(host))).collect();
            asked.into_iter().for_each(|(host, client)| self.await_written(host, client));
        } else {
            for host in hosts {
                let client = self.write_to(host);
                self.await_written(host, client);
            }
        }
        let now = self.world.time();
        if now > until {
            let what = format!(
                "it took {} ms too long until every member had taken a write",
                now.0 - until.0
            );
            self.world.checkers.fail("liveness", what);
        }
    }

    /// A new client that asks this server only writes and reads; which client.
    fn write_to(&mut self, host: usize) -> usize {
        let client = self.visitor(host);
        self.write_and_read(host, client, 0);
        client
    }

    fn write_and_read(&mut self, host: usize, client: usize, attempt: u64) {
        let text = format!("after all, through {host}, client {client}, {attempt}");
        self.submit(client, Op::Write(message(text.as_bytes())));
        let query = Query::Range(Range::of(Keys::One(KEYS[host % KEYS.len()].into()))).encode();
        let consistency = Consistency::Linearizable;
        self.submit(client, Op::Read { query, consistency, news: None });
    }

    fn await_written(&mut self, host: usize, client: usize) {
        let give_up = self.world.time() + self.calm_max();
        for attempt in 1.. {
            while self.clients[client].pending() > 0 {
                if self.world.checkers.violation().is_some() {
                    return;
                }
                self.run_until(self.world.time() + 10);
            }
            let mut again = false;
            for (op, result) in self.clients[client].take_ended() {
                let well = match &result {
                    // Of a write that has to be sent again, its client may have asked the fate.
                    Ok(success) => matches!(
                        success.answer,
                        Answer::Written { .. } | Answer::Read(_) | Answer::Fate(_)
                    ),
                    Err(error) if passes(error) && self.world.time() < give_up => {
                        again = true;
                        continue;
                    }
                    Err(_) if self.world.checkers.is_down(host) => return,
                    // A removal whose client had gone may have been on its way until now.
                    Err(error) => {
                        matches!(error.reason, Some(Reason::Removed { .. }))
                            && self.hosts[host].member().is_none()
                    }
                };
                if !well {
                    let what =
                        format!("healed, but {op:?} by {} -> {result:?}", self.hosts[host].address);
                    self.world.checkers.fail("liveness", what);
                }
            }
            if !again {
                return;
            }
            self.write_and_read(host, client, attempt);
        }
    }

    /// A client that asks one server only.
    fn visitor(&mut self, host: usize) -> usize {
        let index = self.clients.len();
        self.world.act_as(Place::Client(index));
        let timeout = 10 * self.world.settings.t;
        let client =
            Client::new(&mut self.world, index, vec![self.hosts[host].address.clone()], timeout);
        self.clients.push(client);
        index
    }

    /// Lets everything end, and compares everybody.
    pub(crate) fn settle(&mut self) {
        self.rest();
        self.await_agreement(self.calm_max());
        match self.agreed() {
            Ok(members) => {
                self.world.checkers.settled(self.world.clock.now(), &members);
                self.compare(&members);
            }
            Err(why) => self.world.checkers.fail("liveness", why),
        }
    }

    /// All members that have applied the same have the same state: every byte of the text log, all
    /// sessions with their answers, the configuration.
    fn compare(&mut self, members: &[(usize, Index)]) {
        let state = |host: usize| {
            let replica = self.hosts[host].member()?.replica();
            let membership = Arc::clone(replica.raft().membership());
            let settled = replica.final_membership();
            let host = &self.hosts[host];
            let sessions = replica.machine().sessions();
            Some((sessions, membership, settled, host.messages()?, host.values()?))
        };
        let mut states = members.iter().map(|(host, _)| (*host, state(*host)));
        let Some((first, Some(one))) = states.next() else { return };
        let different = states.find_map(|(host, other)| {
            let what = match other {
                None => "whether it runs",
                Some(other) if other.0 != one.0 => "its sessions",
                Some(other) if other.1 != one.1 || other.2 != one.2 => "its configuration",
                Some(other) if !other.3.iter().eq(one.3.iter()) => "its messages",
                Some(other) if other.4 != one.4 => "its values",
                Some(_) => return None,
            };
            Some(format!("hosts {first} and {host} have applied the same; {what} differ"))
        });
        if let Some(what) = different {
            self.world.checkers.fail("state", what);
        }
    }

    /// All power is cut once more, in the middle of writes, and everything must still be there.
    pub(crate) fn cut_all_power(&mut self) {
        let Some((host, _)) = self.agreed().ok().and_then(|members| members.first().copied())
        else {
            return;
        };
        let random = &mut stream(self.world.plan.seed, "last cut", 0);
        let client = self.visitor(host);
        for number in 0..1 + random.below(20) {
            let text = format!("before the last cut, {number}");
            self.submit(client, Op::Write(message(text.as_bytes())));
        }
        self.run_until(self.world.time() + random.below(30));
        self.blackout();
        self.world.checkers.probe("last power cut");
        self.run_until(self.world.time() + 20);
        let until = self.await_agreement(self.calm_max());
        self.write_through_all(until);
        self.settle();
    }
}

/// Sessions are opened anew, and a disk that has room again is noticed before long.
fn passes(error: &ClientError) -> bool {
    matches!(error.reason, Some(Reason::SessionExpired { .. } | Reason::DiskFull))
}
