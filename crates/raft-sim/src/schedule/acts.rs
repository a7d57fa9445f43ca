//! Doing what a schedule wants, and ending it again.

use raft_node::random::Random;

use super::shapes::{self, Scene, Shape};
use super::troubles::{Flapping, Moment};
use crate::chance::{pick, stream};
use crate::clock::Happening;
use crate::cluster::Cluster;
use crate::disk::Blow;
use crate::faults::{Fault, Victims};
use crate::host::{Incoming, address};
use crate::network::{End, Loose, Obstacle, Place, WireId};
use crate::trace::What;

impl Cluster {
    /// The next trouble is due; after it the following one is planned. It counts even if it is
    /// left out or finds nobody.
    pub(crate) fn trouble(&mut self, number: u32) {
        if self.world.calm {
            return;
        }
        let random = &mut stream(self.world.plan.seed, "trouble", u64::from(number));
        let delay = 1 + random.below(2 * self.world.settings.fault_every);
        self.world.clock.after(delay, Happening::Trouble(number + 1));
        self.world.troubles.due = number + 1;
        let faults = &self.world.settings.faults;
        let fault = faults.get(random.below(faults.len() as u64) as usize).copied();
        let rarity = self.world.settings.rarity(self.world.plan.seed, number);
        let left_out = self.world.plan.without.contains(&number);
        let Some(fault) = rarity.or(fault).filter(|_| !left_out) else { return };
        let Some(victim) = self.victim(random) else { return };
        let Some(text) = self.act(number, fault, victim, random) else { return };
        let told = || What::Trouble { number, text: format!("{} {text}", fault.name()) };
        self.world.checkers.observer().tell(told);
        let time = self.world.time();
        self.world.troubles.note(number, time, fault.name(), text);
    }

    /// Does it; says to whom and how much, or that there was nothing to do.
    fn act(
        &mut self,
        number: u32,
        fault: Fault,
        victim: usize,
        random: &mut Random,
    ) -> Option<String> {
        let (name, t) = (address(victim), self.world.settings.t);
        match fault {
            Fault::Kill => return self.stop(victim, false).then_some(name),
            Fault::PowerCut => return self.stop(victim, true).then_some(name),
            Fault::Retire => self.tell(victim, Incoming::HandOver),
            Fault::Blackout => return Some(format!("{} servers", self.blackout())),
            Fault::TornWrite => self.hosts[victim].light_fuse(random.below(12), Blow::Stop),
            Fault::CrashLoop => self.crash_again(victim, random),
            Fault::DiskError => self.hosts[victim].light_fuse(random.below(12), Blow::Error),
            Fault::DiskHang => return self.hang_disks(victim, random),
            Fault::Pause => {
                let limit = pick(random, [t / 20, t / 2, 3 * t, 20 * t]);
                let pause = 10 + random.below(limit);
                self.pause(victim, pause);
                return Some(format!("{name} for {pause} ms"));
            }
            Fault::ClockJump => {
                let limit = pick(random, [t / 20, t, 10 * t]);
                let jump = 1 + random.below(limit);
                self.world.clock_jumps(victim, jump);
                return Some(format!("{name} by {jump} ms"));
            }
            Fault::Partition(shape) => {
                return self.obstruct(number, shape, victim, Obstacle::Cut, random);
            }
            Fault::HalfOpen(shape) => {
                return self.obstruct(number, shape, victim, Obstacle::Silence, random);
            }
            Fault::SlowLink(shape) => {
                let limit = Obstacle::Slow(pick(random, [1, 8, 64]));
                return self.obstruct(number, shape, victim, limit, random);
            }
            Fault::Flap(shape) => return self.begin_flapping(number, shape, victim, random),
            Fault::Loose => return Some(self.loosen(number, random)),
            Fault::Corrupt => {
                let (wire, end) = self.any_wire(random)?;
                return self.world.network.spoil(wire, end).then(|| format!("on {wire:?}"));
            }
            Fault::Snap => {
                let (wire, _) = self.any_wire(random)?;
                self.snap(wire);
                return Some(format!("{wire:?}"));
            }
            Fault::Stall => {
                let (wire, end) = self.any_wire(random)?;
                let pause = random.below(2 * t);
                return self.stall(wire, end, pause).then(|| format!("{wire:?} for {pause} ms"));
            }
            Fault::ClientEnds => {
                let client = random.below(self.clients.len() as u64) as usize;
                self.client_ends(client);
                return Some(format!("{client}"));
            }
            Fault::Stranger => return self.stranger_dials(number, victim, random),
            Fault::NewcomerDies => {
                return Some(self.lie_in_wait(number, Moment::Promotion, random));
            }
            Fault::LeaverLeads => return Some(self.lie_in_wait(number, Moment::Removal, random)),
            Fault::Overlap => return Some(self.lie_in_wait(number, Moment::Following, random)),
            disk => return self.disk_fault(disk, victim, random),
        }
        Some(name)
    }

    /// What a trouble has put in the way goes.
    pub(crate) fn trouble_ends(&mut self, number: u32) {
        self.world.troubles.flaps.remove(&number);
        let world = &mut self.world;
        world.network.lift(&mut world.clock, number);
    }

    pub(crate) fn leader(&self) -> Option<usize> {
        let leads = |host: &usize| {
            let member = self.hosts[*host].member();
            member.is_some_and(|member| member.replica().raft().is_leader())
        };
        // Who was cut off may still believe that it leads: the newest term counts.
        let term = |host: &usize| {
            self.hosts[*host].member().map(|member| member.replica().raft().hard_state().term)
        };
        (0..self.hosts.len()).filter(leads).max_by_key(term)
    }

    fn victim(&self, random: &mut Random) -> Option<usize> {
        let any = random.below(self.hosts.len() as u64) as usize;
        let chosen = random.below(3) == 0;
        match (self.world.settings.victims, self.leader()) {
            (Victims::Leader, leader) => leader,
            (Victims::Any, Some(leader)) if chosen => Some(leader),
            (Victims::Follower, Some(leader)) if any == leader => {
                Some((any + 1) % self.hosts.len())
            }
            _ => Some(any),
        }
    }

    /// A process stands still, and does not know it.
    pub(super) fn pause(&mut self, host: usize, pause: u64) {
        let until = self.world.clock.now() + pause;
        let paused = &mut self.hosts[host].paused_until;
        *paused = until.max(*paused);
        self.world.touch(Place::Host(host));
    }

    pub(crate) fn stop(&mut self, host: usize, dark: bool) -> bool {
        let runs = self.hosts[host].process.is_some();
        if runs {
            self.world.act_as(Place::Host(host));
            self.hosts[host].stop(&mut self.world, dark);
        }
        runs
    }

    /// All power is cut at once; how many ran.
    pub(crate) fn blackout(&mut self) -> usize {
        (0..self.hosts.len()).map(|host| usize::from(self.stop(host, true))).sum()
    }

    /// A server ends, is started at once, and ends again while it starts or soon after.
    fn crash_again(&mut self, victim: usize, random: &mut Random) {
        let dark = random.below(2) == 0;
        self.stop(victim, dark);
        self.hosts[victim].light_fuse(random.below(40), Blow::Stop);
        let delay = 1 + random.below(self.world.settings.t / 5);
        self.world.clock.after(delay, Happening::Start { host: victim });
    }

    fn hang_disks(&mut self, victim: usize, random: &mut Random) -> Option<String> {
        let mut victims = vec![victim];
        if self.world.settings.victims == Victims::Follower {
            // As many as a healthy leader can do without.
            let many = (self.hosts.len() - 1) / 2;
            let leader = self.leader()?;
            let others = (0..self.hosts.len()).map(|step| (victim + step) % self.hosts.len());
            victims = others.filter(|host| *host != leader).collect();
            // Those whose disks hang already first: no more of them than that at any time.
            victims.sort_by_key(|host| self.world.disk_hangs_until(*host).is_none());
            victims.truncate(many);
        }
        let t = self.world.settings.t;
        let hang = 2 * t + random.below(6 * t);
        for host in &victims {
            self.world.hang_disk(*host, hang);
        }
        let names: Vec<String> = victims.into_iter().map(address).collect();
        Some(format!("{} for {hang} ms", names.join(" ")))
    }

    fn cut_pairs(&self, shape: Shape, one: usize, random: &mut Random) -> Vec<(Place, Place)> {
        let scene = Scene { hosts: self.hosts.len(), clients: self.clients.len(), one };
        shapes::cut(shape, scene, random)
    }

    fn obstruct(
        &mut self,
        number: u32,
        shape: Shape,
        one: usize,
        obstacle: Obstacle,
        random: &mut Random,
    ) -> Option<String> {
        let pairs = self.cut_pairs(shape, one, random);
        for (from, to) in &pairs {
            self.world.network.paths.put(number, *from, *to, obstacle);
        }
        let t = self.world.settings.t;
        let limit = pick(random, [t / 2, 2 * t, 6 * t]);
        let time = 20 + random.below(limit);
        self.world.clock.after(time, Happening::TroubleEnds(number));
        let text = || format!("{shape:?} {}, {} ways, {time} ms", address(one), pairs.len());
        (!pairs.is_empty()).then(text)
    }

    fn begin_flapping(
        &mut self,
        number: u32,
        shape: Shape,
        one: usize,
        random: &mut Random,
    ) -> Option<String> {
        let pairs = self.cut_pairs(shape, one, random);
        let t = self.world.settings.t;
        let limit = pick(random, [t / 2, 2 * t, 6 * t]);
        let time = t / 2 + random.below(limit);
        let text = format!("{shape:?} {}, {} ways, {time} ms", address(one), pairs.len());
        let flapping = !pairs.is_empty();
        if flapping {
            let random = Random::new(random.next_u64());
            let flap = Flapping { random, pairs, is_cut: false };
            self.world.troubles.flaps.insert(number, flap);
            self.world.clock.after(time, Happening::TroubleEnds(number));
            self.flap(number);
        }
        flapping.then_some(text)
    }

    /// Cut, mended, cut.
    pub(crate) fn flap(&mut self, number: u32) {
        let world = &mut self.world;
        let Some(flap) = world.troubles.flaps.get_mut(&number) else { return };
        flap.is_cut = !flap.is_cut;
        let delay = 10 + flap.random.below(world.settings.t / 3);
        if flap.is_cut {
            for (from, to) in &flap.pairs {
                world.network.paths.put(number, *from, *to, Obstacle::Cut);
            }
        } else {
            world.network.lift(&mut world.clock, number);
        }
        world.clock.after(delay, Happening::Flap(number));
    }

    fn loosen(&mut self, number: u32, random: &mut Random) -> String {
        let mut one_in = || pick(random, [0, 3, 20]);
        let loose = Loose { lost: one_in(), doubled: one_in(), swapped: one_in() };
        let t = self.world.settings.t;
        let time = t / 5 + random.below(3 * t);
        self.world.network.paths.loosen(number, loose);
        self.world.clock.after(time, Happening::TroubleEnds(number));
        format!("{loose:?} for {time} ms")
    }

    fn any_wire(&self, random: &mut Random) -> Option<(WireId, End)> {
        let wires = self.world.network.wires();
        let wire = *wires.get(random.below(wires.len() as u64) as usize)?;
        Some((wire, if random.below(4) == 0 { End::Listener } else { End::Dialler }))
    }

    /// A sender's socket takes nothing for a while.
    pub(crate) fn stall(&mut self, wire: WireId, end: End, pause: u64) -> bool {
        let stalled = self.world.network.stall(wire, end);
        if stalled {
            if let Some(Place::Host(host)) = self.world.network.place(wire, end) {
                self.tell(host, Incoming::Stalled(wire, true));
            }
            self.world.clock.after(pause, Happening::Drained { wire, end });
        }
        stalled
    }
}
