//! What goes wrong with the hosts' disks, but for power.

use raft_core::Index;
use raft_node::random::Random;

use crate::chance::pick;
use crate::clock::Happening;
use crate::cluster::Cluster;
use crate::disk::{Harm, Part, Platter, field};
use crate::faults::Fault;
use crate::host::address;
use crate::plan::Storage;
use crate::world::World;

impl Cluster {
    /// A disk gets worse: this host's, or one that may be damaged. Says which, and how.
    pub(crate) fn disk_fault(
        &mut self,
        fault: Fault,
        host: usize,
        random: &mut Random,
    ) -> Option<String> {
        let (now, name) = (self.world.time(), address(host));
        let t = self.world.settings.t;
        let platter = &self.hosts[host].platter;
        match fault {
            Fault::ReadError => {
                let reads = random.below(20);
                platter.fail_read(reads);
                Some(format!("{name} after {reads} reads"))
            }
            Fault::SlowDisk => {
                let time = random.below(4 * t);
                platter.slow_down(now + time);
                Some(format!("{name} for {time} ms"))
            }
            Fault::DiskFull => {
                // Nothing at all, or so little that a slot or a reserve does not fit.
                let left = pick(random, [0, 2048, 40 * 1024, 300 * 1024]);
                let time = random.below(3 * t);
                platter.fill(left);
                self.world.checkers.probe("disk filled");
                self.world.clock.after(time, Happening::RoomAgain { host });
                Some(format!("{name} up to {left} bytes, for {time} ms"))
            }
            Fault::Rot => self.damage(Harm::Rot, random),
            Fault::Stale => self.damage(Harm::Stale, random),
            Fault::Misdirected => self.damage(Harm::Misdirected, random),
            Fault::SlotGone => self.damage_slot(Harm::Gone, random),
            Fault::SlotSwapped => self.damage_slot(Harm::Swapped, random),
            _ => None,
        }
    }

    /// Damages a disk of the atlas.
    fn damage(&mut self, harm: Harm, random: &mut Random) -> Option<String> {
        let host = self.damageable(random)?;
        let (hosts, checkers) = (self.world.atlas.hosts(), &self.world.checkers);
        let stable = !self.is_changing();
        let without = match self.world.atlas.storage() {
            Storage::Tolerated => hosts.clone(),
            Storage::Exceeded => [host].into(),
        };
        let elsewhere = |first, last| stable && checkers.are_elsewhere(first, last, &without);
        // Twice damaged, the newest commit could lose its vote, or the one before be the newest.
        let gap = (!checkers.may_forget(host)).then_some(&elsewhere as _);
        let scar = self.hosts[host].platter.harm(harm, gap, random);
        if harm == Harm::Misdirected {
            return Some(format!("{}, the next that can", address(host)));
        }
        let scar = scar?;
        let text = format!("{}: {scar}", address(host));
        let newest = scar.part == Part::NewestCommit;
        self.world.checkers.scarred(host, scar);
        self.read_all(host);
        if newest && random.below(2) == 0 {
            // The gap is open until something else is written.
            self.stop(host, true);
        }
        Some(text)
    }

    /// A host of the atlas, if its disk can be damaged now.
    fn damageable(&self, random: &mut Random) -> Option<usize> {
        let hosts = self.world.atlas.hosts();
        let at = random.below(hosts.len() as u64) as usize;
        let host = hosts.iter().nth(at).copied()?;
        // A cluster is founded by all its founders, or not at all; and who is the only one to know
        // that it was founded is no minority.
        let checkers = &self.world.checkers;
        let founded = checkers.was_member(host) && checkers.committed() > 0;
        let is_lost = checkers.is_down(host) || checkers.is_wrecked(host);
        (founded && !is_lost).then_some(host)
    }

    /// A machine loses its power, and comes back without one of its log's files, or with one of
    /// another machine or another name.
    fn damage_slot(&mut self, harm: Harm, random: &mut Random) -> Option<String> {
        let host = self.damageable(random).filter(|host| !self.world.checkers.is_hurt(*host))?;
        let other = random.below(self.hosts.len() as u64) as usize;
        self.hosts[host].platter.steady();
        self.stop(host, true);
        let platter = &self.hosts[host].platter;
        let scar = match harm {
            Harm::Swapped => platter.swap_slot(&self.hosts[other].platter, random),
            _ => platter.lose_slot(random),
        }?;
        let text = format!("{}: {scar}", address(host));
        self.world.checkers.scarred(host, scar);
        Some(text)
    }

    /// Reads back all that a server has in its log: right, or known to be damaged.
    fn read_all(&mut self, host: usize) {
        let Some(member) = self.hosts[host].member() else { return };
        let raft = member.replica().raft();
        let (first, last) = (raft.log_start().index.next(), raft.last_log_id().index);
        let Some(reader) = self.hosts[host].reader() else { return };
        let mut next = first;
        while next <= last {
            let read = reader.read(next, last, 1);
            let count = match &read {
                Ok(range) => range.entries.len() as u64,
                Err(_) => 1,
            };
            if let Ok(range) = read {
                self.world.checkers.read_back(host, &range);
            }
            next = Index(next.0 + count);
        }
    }
}

/// Whether a write to this disk has gone astray since the last look.
pub(crate) fn note_scar(world: &mut World, host: usize, platter: &Platter) -> bool {
    let Some(scar) = platter.take_scar() else { return false };
    world.trace(format_args!("{}: {scar}", address(host)));
    world.checkers.scarred(host, scar);
    true
}

/// What the slot of a start, which was just begun, says of the slots before: by the offsets of the
/// format's description.
pub(crate) fn note_start(world: &mut World, platter: &Platter) {
    let Some(header) = platter.newest_slot() else { return };
    let [order, base, synced, previous] = [64, 96, 112, 120].map(|at| field(&header, at));
    if synced >= base {
        world.checkers.probe("tail rewritten");
    }
    if previous + 1 < order {
        world.checkers.probe("slot superseded");
    }
    if header[92] == 1 {
        world.checkers.probe("slot recycled");
    }
}
