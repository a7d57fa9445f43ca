//! What two schedules promise about leadership (rule R15): a leader whose disk hangs is one no
//! longer three election timeouts after its write began, and somebody else is soon; a leader whose
//! own disk is well stays, whatever the disks of a few followers do. Nothing but disks is wrong in
//! these schedules, and there are others who can lead.

use raft_core::Term;

use super::Schedule;
use crate::clock::Happening;
use crate::cluster::Cluster;
use crate::plan::Storage;

/// What was seen last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watch {
    /// Who leads and since when.
    leads: Option<(usize, Term, u64)>,
    /// Nobody does, since then.
    nobody_since: Option<u64>,
}

impl Cluster {
    /// Looks at leadership, if this schedule says something about it.
    pub(crate) fn watch(&mut self) {
        let is_promised = self.world.settings.storage == Storage::Tolerated;
        if self.world.calm || self.hosts.len() < 3 || !is_promised {
            return;
        }
        match self.world.settings.schedule {
            Schedule::SlowLeaderDisk => self.watch_slow_leader(),
            Schedule::FullWindow => self.watch_healthy_leader(),
            _ => return,
        }
        let pause = self.world.settings.t / 10;
        self.world.clock.after(pause, Happening::Watch);
    }

    fn watch_slow_leader(&mut self) {
        let (now, t) = (self.world.time().0, self.world.settings.t);
        // Messages and timers take their time.
        let slack = t / 5;
        // Timeouts are up to 2 T, and a vote may be split.
        let election_max = 8 * t;
        for host in 0..self.hosts.len() {
            let member = self.hosts[host].member();
            let leads = member.is_some_and(|member| member.replica().raft().is_leader());
            let Some(since) = self.world.writes_since(host).filter(|_| leads) else { continue };
            self.world.checkers.probe("leader with a hung disk");
            if now > since.0 + 3 * t + slack {
                let what = format!("host {host} leads on, and has been writing since {since:?}");
                self.world.checkers.fail("slow disk", what);
            }
        }
        if self.leader().is_some() {
            self.watch.nobody_since = None;
        } else if now > *self.watch.nobody_since.get_or_insert(now) + election_max {
            self.world.checkers.fail("slow disk", "one disk hangs, and nobody leads".into());
        }
    }

    fn watch_healthy_leader(&mut self) {
        let now = self.world.time().0;
        let leads = self.leader().and_then(|host| {
            let term = self.hosts[host].member()?.replica().raft().hard_state().term;
            Some((host, term))
        });
        match (self.watch.leads, leads) {
            (Some((host, term, since)), leads) if leads != Some((host, term)) => {
                // Before all have met, elections are not over.
                if now > 4 * self.world.settings.t {
                    let what = format!(
                        "host {host} led term {term} since {since}, and now {leads:?} does: only \
                         disks of others hang"
                    );
                    self.world.checkers.fail("full window", what);
                }
                self.watch.leads = None;
            }
            (None, Some((host, term))) => self.watch.leads = Some((host, term, now)),
            _ => {}
        }
    }
}
