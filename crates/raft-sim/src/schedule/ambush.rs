//! Troubles that lie in wait: for a moment that is short, and that chance alone seldom meets.

use std::collections::BTreeSet;

use raft_core::{JobKind, Membership, NodeId};
use raft_node::random::Random;

use super::troubles::{Ambush, Moment};
use crate::clock::Happening;
use crate::cluster::Cluster;
use crate::host::address;
use crate::network::{End, Obstacle, Place};

/// How often they look whether it has come.
const LOOK_EVERY: u64 = 10;

/// What was done, and what is waited for next.
type Struck = (String, Option<Moment>);

impl Cluster {
    /// A trouble waits for its moment. Says for how long.
    pub(super) fn lie_in_wait(
        &mut self,
        number: u32,
        moment: Moment,
        random: &mut Random,
    ) -> String {
        let t = self.world.settings.t;
        let patience = 2 * t + random.below(6 * t);
        let until = self.world.time() + patience;
        let random = Random::new(random.next_u64());
        self.world.troubles.ambushes.insert(number, Ambush { moment, until, random });
        self.world.clock.after(0, Happening::Lurk(number));
        format!("waits for it for {patience} ms")
    }

    /// Has it come?
    pub(crate) fn lurk(&mut self, number: u32) {
        let Some(mut ambush) = self.world.troubles.ambushes.remove(&number) else { return };
        if self.world.calm || ambush.until <= self.world.time() {
            if let Moment::Lagging(..) = ambush.moment {
                self.trouble_ends(number);
            }
            return;
        }
        let random = &mut ambush.random;
        let last = |text| (text, None);
        let struck = match ambush.moment {
            Moment::Promotion => self.newcomer_dies(random).map(last),
            Moment::Removal => {
                self.let_leaver_lead(random).map(|text| (text, Some(Moment::HandOver)))
            }
            Moment::HandOver => self.hinder_successor().map(last),
            Moment::Following => self.silence_follower(number, random),
            Moment::Lagging(leader, follower) => {
                self.send_what_it_has(number, (leader, follower)).map(last)
            }
        };
        if let Some((text, next)) = struck {
            self.world.trace(format_args!("trouble {number} strikes: {text}"));
            let Some(next) = next else { return };
            let patience = 8 * self.world.settings.t;
            (ambush.moment, ambush.until) = (next, self.world.time() + patience);
        }
        let pause = if ambush.moment == Moment::HandOver { 1 } else { LOOK_EVERY };
        self.world.troubles.ambushes.insert(number, ambush);
        self.world.clock.after(pause, Happening::Lurk(number));
    }

    /// A server that is being added dies for good before it votes.
    fn newcomer_dies(&mut self, random: &mut Random) -> Option<String> {
        let membership = self.membership_of(self.leader()?)?;
        let job = membership.job.as_ref().filter(|_| !membership.is_joint())?;
        let JobKind::Promote(id) = job.kind else { return None };
        let host = self.host_at(&membership.members.get(&id)?.address)?;
        if self.dead.insert(host) {
            self.stop(host, random.below(2) == 0);
        }
        Some(address(host))
    }

    /// All others stand still until the member that they are removing wants to lead.
    fn let_leaver_lead(&mut self, random: &mut Random) -> Option<String> {
        let leaver = (0..self.hosts.len()).find(|host| self.leaves(*host, false))?;
        let t = self.world.settings.t;
        let pause = 2 * t + random.below(t);
        for host in (0..self.hosts.len()).filter(|host| *host != leaver) {
            self.pause(host, pause);
        }
        Some(format!("all but {} stand still for {pause} ms", address(leaver)))
    }

    /// It leads, and hands over to another: what that one is told gets lost, so that the leaver has
    /// to end what it began, its own removal.
    fn hinder_successor(&mut self) -> Option<String> {
        let leaver = (0..self.hosts.len()).find(|host| self.leaves(*host, true))?;
        let raft = self.hosts[leaver].member()?.replica().raft();
        let heir = self.host_at(&raft.membership().members.get(&raft.handing_over()?)?.address)?;
        self.snap_between(leaver, heir);
        Some(format!("{} is not told to take over from {}", address(heir), address(leaver)))
    }

    /// All connections that one of them dialled to the other break.
    fn snap_between(&mut self, dialler: usize, listener: usize) {
        for wire in self.world.network.wires() {
            let place = |end| self.world.network.place(wire, end);
            if [place(End::Dialler), place(End::Listener)]
                == [dialler, listener].map(|host| Some(Place::Host(host)))
            {
                self.snap(wire);
            }
        }
    }

    /// A leader does not hear any more what a follower confirms, which goes on to follow.
    fn silence_follower(&mut self, number: u32, random: &mut Random) -> Option<Struck> {
        let leader = self.leader()?;
        let membership = self.membership_of(leader)?;
        let others = membership.voters.iter().filter_map(|id| {
            self.host_at(&membership.members.get(id)?.address).filter(|host| *host != leader)
        });
        let others: Vec<usize> = others.collect();
        // A leader alone with a silent follower leads no longer.
        if others.len() < 2 {
            return None;
        }
        let follower = others[random.below(others.len() as u64) as usize];
        let (from, to) = (Place::Host(follower), Place::Host(leader));
        self.world.network.paths.put(number, from, to, Obstacle::Mute);
        let text = format!("{} does not hear {}", address(leader), address(follower));
        Some((text, Some(Moment::Lagging(leader, follower))))
    }

    /// The leader has compacted what it does not know that this follower holds, and has a snapshot
    /// that ends within the follower's log and is news there: they lose each other, and nobody else
    /// wants anything until the snapshot has come.
    fn send_what_it_has(
        &mut self,
        number: u32,
        (leader, follower): (usize, usize),
    ) -> Option<String> {
        let leads = self.hosts[leader].member()?.replica().raft();
        let member = self.hosts[follower].member()?;
        let (id, follows) = (member.identity().id, member.replica().raft());
        let at = self.world.checkers.newest_snapshot(leader);
        let peer = leads.status().peers.into_iter().find(|peer| peer.id == id)?;
        let is_needed = leads.is_leader() && peer.match_index < leads.log_start().index;
        let is_news = follows.commit_index() < at.index;
        let is_within =
            follows.durable_index() >= at.index && follows.last_log_id().index > at.index;
        if !is_needed || !is_news || !is_within || follows.term_at(at.index) != Ok(at.term) {
            return None;
        }
        let (one, other) = (Place::Host(leader), Place::Host(follower));
        let paths = &mut self.world.network.paths;
        paths.put(number, one, other, Obstacle::Mute);
        for (client, host) in
            (0..self.clients.len()).flat_map(|c| (0..self.hosts.len()).map(move |h| (c, h)))
        {
            paths.put(number, Place::Client(client), Place::Host(host), Obstacle::Silence);
        }
        self.snap_between(leader, follower);
        self.snap_between(follower, leader);
        let time = 4 * self.world.settings.t;
        self.world.clock.after(time, Happening::TroubleEnds(number));
        Some(format!("{} needs no snapshot of {at} from {}", address(follower), address(leader)))
    }

    /// Whether a joint configuration is in force there that this server is about to leave.
    fn leaves(&self, host: usize, leads: bool) -> bool {
        self.hosts[host].member().is_some_and(|member| {
            let (raft, id) = (member.replica().raft(), member.identity().id);
            let (old, new) = (&raft.membership().old_voters, &raft.membership().voters);
            let votes_in = |half: &BTreeSet<NodeId>| half.contains(&id);
            old.as_ref().is_some_and(votes_in) && !votes_in(new) && raft.is_leader() == leads
        })
    }

    fn membership_of(&self, host: usize) -> Option<&Membership> {
        Some(self.hosts[host].member()?.replica().raft().membership())
    }
}
