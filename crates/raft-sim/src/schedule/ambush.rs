//! Troubles that lie in wait: for a moment that is short, and that chance alone seldom meets.

use std::collections::BTreeSet;

use raft_core::{JobKind, Membership, NodeId};
use raft_node::random::Random;

use super::troubles::{Ambush, Moment};
use crate::clock::Happening;
use crate::cluster::Cluster;
use crate::host::address;
use crate::network::{End, Place};

/// How often they look whether it has come.
const LOOK_EVERY: u64 = 10;

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
            return;
        }
        let struck = match ambush.moment {
            Moment::Promotion => self.newcomer_dies(&mut ambush.random),
            Moment::Removal => self.let_leaver_lead(&mut ambush.random),
            Moment::HandOver => self.hinder_successor(),
        };
        if let Some(text) = struck {
            self.world.trace(format_args!("trouble {number} strikes: {text}"));
            let Moment::Removal = ambush.moment else { return };
            (ambush.moment, ambush.until) =
                (Moment::HandOver, self.world.time() + 8 * self.world.settings.t);
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
        for wire in self.world.network.wires() {
            let place = |end| self.world.network.place(wire, end);
            if [place(End::Dialler), place(End::Listener)]
                == [leaver, heir].map(|host| Some(Place::Host(host)))
            {
                self.snap(wire);
            }
        }
        Some(format!("{} is not told to take over from {}", address(heir), address(leaver)))
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
