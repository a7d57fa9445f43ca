//! A server's lives: outside of a cluster, and as a member on its log.

use std::collections::VecDeque;

use raft_core::Index;
use raft_log::{
    DataDir, LogReader, MakeError, MemberIdentity, NodeState, OpenError, ReadError, ShownMark,
    SpareMaker,
};
use raft_node::notice::Notice;
use raft_node::replica::{Machine, founding, shown_mark};
use raft_node::resident::{End, Lobby, Member, Next, Resident, Room, Settings, Start};
use raft_node::snapshots::go_on;

use super::lines::Lines;
use super::snapshots::Jobs;
use super::wal::Wal;
use super::{Host, Incoming, Process};
use crate::checkers::refusal;
use crate::disk::Platter;
use crate::hardware::{note_scar, note_start};
use crate::witness::{Sight, Witness};
use crate::world::World;

/// What works for a member.
#[derive(Debug)]
pub(super) struct Works {
    pub(super) wal: Wal,
    pub(super) reader: LogReader,
    pub(super) snapshots: Jobs,
    spares: SpareMaker,
    /// No spare could be made when one was wanted last.
    refused: bool,
}

/// What a server has from life to life.
#[derive(Debug)]
pub(super) struct Estate {
    index: usize,
    settings: Settings,
    pub(super) dir: DataDir,
    /// Kept while it is not a member.
    machine: Option<Machine>,
    platter: Platter,
    pub(super) sight: Sight,
    pub(super) mark: Option<ShownMark>,
}

impl Works {
    pub(super) fn room(&self) -> Room {
        Room::of(&self.spares)
    }
}

impl Estate {
    /// Who lives there, by what the directory says.
    fn resident(&mut self, world: &mut World) -> Result<(Resident, Option<Works>), OpenError> {
        let (seed, now) = (world.random.next_u64(), world.now());
        let settings = self.settings.clone();
        world.checkers.identified(self.index, self.dir.identity());
        let NodeState::Member(me) = self.dir.identity().clone() else {
            let lobby = Lobby::new(settings, self.dir.identity(), seed, now);
            return Ok((Resident::Lobby(Box::new(lobby)), None));
        };
        if !settings.is_place_of(&me) {
            world.checkers.fail("recovery", format!("{} is not at {}", me.id, settings.address));
        }
        for notice in settings.introduce(&me) {
            world.trace(format_args!("{}: {notice}", me.address));
        }
        let log = self.dir.open_log(world.settings.log_options(seed))?;
        world.checkers.opened(self.index, &log);
        let machine = match self.machine.take() {
            Some(machine) => machine,
            None => self.new_machine(world, &me, log.recovered.last_index)?,
        };
        for note in &log.recovered.notes {
            world.trace(format_args!("{} notes: {note}", me.address));
        }
        note_scar(world, self.index, &self.platter);
        note_start(world, &self.platter);
        self.platter.let_read();
        let gone_on = go_on(&log, machine).map_err(refusal)?;
        let machine = self.went_on(world, gone_on, &log.recovered.notes);
        let from = (machine.base(), &self.platter);
        world.checkers.started(self.index, &me, &log, from);
        let start = Start {
            settings,
            config: world.settings.config(me.id),
            limits: world.settings.limits(),
            me,
            log: &log.recovered,
            machine,
            room: Room::of(&log.spares),
            seed: world.random.next_u64(),
            now,
        };
        // What a member wrote it can read.
        let member = Member::new(start).unwrap_or_else(|error| panic!("{error}"));
        let works = Works {
            wal: Wal::new(log.writer),
            reader: log.reader,
            snapshots: Jobs::new(log.snapshots, world.settings.chunk_bytes),
            spares: log.spares,
            refused: false,
        };
        Ok((Resident::Member(Box::new(member)), Some(works)))
    }

    /// A machine goes on from a snapshot, or from the first entry. A damaged snapshot is noticed
    /// when the log is opened, or when its contents are read.
    fn went_on(
        &mut self,
        world: &mut World,
        (machine, damaged): (Machine, Vec<Notice>),
        at_open: &[String],
    ) -> Machine {
        if !damaged.is_empty() || at_open.iter().any(|note| note.ends_with("; not used")) {
            world.checkers.probe("snapshot not used");
        }
        for notice in damaged {
            world.trace(format_args!("{notice}"));
        }
        if let Some(base) = machine.base() {
            world.checkers.probe("start from a snapshot");
            world.trace(format_args!("{} goes on from {}", self.settings.address, base.at));
            world.checkers.goes_on(self.index, &machine);
        }
        machine
    }

    fn new_machine(
        &mut self,
        world: &mut World,
        me: &MemberIdentity,
        last: Index,
    ) -> Result<Machine, OpenError> {
        let path = self.dir.disk().path("SHOWN");
        let error = |source| OpenError::Io { doing: "open", path: path.clone(), source };
        let (mark, lost) = shown_mark(&self.dir, last).map_err(error)?;
        if let Some(notice) = &lost {
            world.trace(format_args!("{}: {notice}", me.address));
        }
        let (witness, sight) = Witness::new(world.allowance(self.index));
        world.checkers.new_machine(self.index, mark.index(), lost.is_some());
        let machine = Machine::new(Box::new(witness), mark.index(), founding(me))
            .with_sessions(world.settings.sessions());
        (self.sight, self.mark) = (sight, Some(mark));
        Ok(machine)
    }
}

impl Process {
    /// The first life of a process.
    pub(super) fn start(world: &mut World, host: &Host, dir: DataDir) -> Result<Self, OpenError> {
        let settings = Settings {
            address: host.address.parse().expect("an address"),
            cluster: host.cluster.clone(),
            election_timeout: world.settings.t,
        };
        let (sight, index) = (Sight::default(), host.index);
        let mut estate = Estate {
            index,
            settings,
            dir,
            machine: None,
            platter: host.platter.clone(),
            sight,
            mark: None,
        };
        let (resident, works) = estate.resident(world)?;
        let mut process = Self {
            index,
            life: host.lives,
            address: host.address.clone(),
            estate,
            inbox: VecDeque::new(),
            ready_at: world.now(),
            resident,
            due: None,
            works,
            lines: Lines::default(),
            orders: Vec::new(),
            ends: None,
            platter: host.platter.clone(),
        };
        process.carry_out(world);
        Ok(process)
    }

    /// From the lobby into the cluster, or back.
    pub(super) fn live_on(
        &mut self,
        world: &mut World,
        end: End,
        life: u64,
    ) -> Result<(), OpenError> {
        world.trace(format_args!("{} ends a life: {end:?}", self.address));
        self.lines.close_all(world);
        self.inbox.clear();
        self.flush_wal(world);
        self.finish_snapshots(world);
        self.life = life;
        self.works = None;
        let (settings, state) = (self.estate.settings.clone(), self.estate.dir.identity());
        let empty = Resident::Lobby(Box::new(Lobby::new(settings, state, life, world.now())));
        match std::mem::replace(&mut self.resident, empty).into_next(end) {
            Next::Stop => self.ends = Some("it was asked to".into()),
            Next::Live(Some(left)) => {
                let (state, machine) = *left;
                if let NodeState::Removed(me, _) = &state {
                    world.checkers.left(self.index, me.id);
                }
                world.checkers.probe("server removed");
                self.estate.machine = Some(machine);
                self.store(world, state);
            }
            Next::Live(None) => {}
            Next::Misfit(why) | Next::Halted(why) => world.checkers.fail("lives", why),
        }
        if self.ends.is_none() {
            (self.resident, self.works) = self.estate.resident(world)?;
            self.carry_out(world);
        }
        Ok(())
    }

    /// The helper makes a spare slot, if one is wanted.
    pub fn make_spare(&mut self, world: &mut World) {
        let Some(works) = &mut self.works else { return };
        let result = match works.spares.needed() {
            Some(bytes) => {
                let result = works.spares.make(bytes);
                let refused = std::mem::replace(&mut works.refused, result.is_err());
                world.checkers.probe(match result {
                    Ok(()) if refused => "spare made after room came back",
                    Ok(()) => "spare made",
                    Err(MakeError::NoSpace { .. }) => "spare refused for lack of room",
                    Err(MakeError::Io { .. }) => "spare failed",
                });
                result
            }
            None => Ok(()),
        };
        self.tell_self(world, Incoming::SlotMade(result));
    }

    /// The helper sees how full the disk is.
    pub fn look_at_disk(&mut self, world: &World) {
        let free = self.estate.dir.disk().free_bytes().unwrap_or(u64::MAX);
        self.tell_self(world, Incoming::DiskSeen(free));
    }

    /// The helper reads old log.
    pub fn read_log(
        &mut self,
        world: &mut World,
        request: u64,
        (first, last, bytes_max): (Index, Index, u64),
    ) {
        let Some(works) = &self.works else { return };
        let chunk = match works.reader.read(first, last, bytes_max) {
            Ok(range) => {
                world.checkers.read_back(self.index, &range);
                Some(range.into())
            }
            Err(ReadError::Missing { .. }) => None,
            Err(ReadError::Io { source, .. }) => return self.ends = Some(source.to_string()),
            Err(error) => {
                world.checkers.read_refused(self.index, &error);
                return self.ends = Some(error.to_string());
            }
        };
        self.tell_self(world, Incoming::LogRead(request, chunk));
    }
}
