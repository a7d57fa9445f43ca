//! One simulated server: what `Node` does with sockets, threads and a clock, done with the
//! production machines on the simulated ones. It moves bytes and time, and decides nothing.

mod bind;
mod dials;
mod effects;
mod frames;
mod lobby;
pub(crate) mod member;
mod wal;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use raft_core::{Index, Lane, NodeId, Ticket, Time};
use raft_log::{DataDir, Holder, MemberIdentity, NodeState, OpenError, ShownMark};
use raft_node::binding::Boot;
use raft_node::hello::{Hello, Party as Identity};
use raft_node::replica::{Chunk, Machine};
use raft_node::wire::Frame;
use raft_store::Messages;

use crate::disk::{Blow, Platter};
use crate::network::{End, Place, WireId};
use crate::witness::Sight;
use crate::world::World;
use dials::Purpose;
use member::Member;
pub use member::founding;

/// A machine with a disk, on which a server runs most of the time.
#[derive(Debug)]
pub struct Host {
    /// Its number.
    pub index: usize,
    /// Where it listens.
    pub address: String,
    /// Its disk.
    pub platter: Platter,
    /// The server, if it runs.
    pub process: Option<Process>,
    /// The server is stopped until then (a true time), and does not know it.
    pub paused_until: Time,
    /// Without power: it does not even refuse.
    pub dark: bool,
    life: u64,
}

/// One life of a server's process.
#[derive(Debug)]
pub struct Process {
    index: usize,
    life: u64,
    address: String,
    dir: DataDir,
    inbox: VecDeque<Incoming>,
    /// When the inbox is looked at.
    ready_at: Time,
    lines: BTreeMap<WireId, Line>,
    dials: BTreeMap<u64, Purpose>,
    last_dial: u64,
    member: Option<Box<Member>>,
    /// Kept while it is not a member.
    machine: Option<Machine>,
    sight: Sight,
    mark: Option<ShownMark>,
    fate: Option<Fate>,
}

/// A wire as its server sees it.
#[derive(Debug)]
struct Line {
    end: End,
    party: Party,
    /// The start that a member said it is.
    boot: Boot,
    stalled: bool,
    /// Entries that wait in the full socket.
    unsent: Option<Index>,
}

/// Who is at the other end of a wire.
#[derive(Clone, Debug)]
enum Party {
    /// Nobody has said hello yet.
    Stranger,
    /// A client.
    Client,
    /// A member whose connection is not bound to a start of it yet.
    Unbound(NodeId, Lane),
    /// A member that dialled us.
    Inbound(NodeId),
    /// A member that we dialled.
    Outbound(NodeId),
    /// Somebody who is told something and then hangs up.
    Passing,
    /// A leader that wants to admit this server.
    Admission,
    /// We have said hello and wait for the welcome.
    Greeting(Purpose, Box<Hello>),
    /// We told a server that it is this member.
    Admitting(NodeId),
}

/// Something happened outside.
#[derive(Debug)]
pub enum Incoming {
    /// Somebody dialled this server.
    Accepted(WireId),
    /// A dial went through, or not: true if nobody listens.
    Dialled(u64, Result<WireId, bool>),
    /// A wire brought bytes.
    Bytes(WireId, Bytes),
    /// A wire ended.
    Ended(WireId),
    /// A welcome took too long.
    GreetBy(WireId),
    /// It is time to dial again.
    DialDue(NodeId),
    /// The socket is full, or takes bytes again.
    Stalled(WireId, bool),
    /// Entries were read back.
    LogRead(u64, Option<Chunk>),
    /// Everything up to here is durable.
    Persisted(Ticket),
    /// Somebody wants the server to end.
    HandOver,
}

/// How a process goes on, or does not.
#[derive(Debug)]
enum Fate {
    /// It ends by itself, as it must after a disk error.
    Ends(String),
    /// It was removed from its cluster.
    Removed(Index),
    /// It is a member from now on.
    Admitted,
}

impl Host {
    /// A machine with an empty disk, switched off.
    #[must_use]
    pub fn new(index: usize, seed: u64) -> Self {
        Self {
            index,
            address: address(index),
            platter: Platter::new(seed),
            process: None,
            paused_until: Time(0),
            dark: false,
            life: 0,
        }
    }

    /// The place of its wires.
    #[must_use]
    pub const fn place(&self) -> Place {
        Place::Host(self.index)
    }

    /// The member that it is at the moment, if it runs.
    #[must_use]
    pub fn member(&self) -> Option<&Member> {
        self.process.as_ref()?.member.as_deref()
    }

    /// The text log of its state machine, if it runs.
    #[must_use]
    pub fn messages(&self) -> Option<Messages> {
        Some(self.process.as_ref()?.sight.messages())
    }

    /// The process with this number, if it still runs.
    pub fn process_of(&mut self, life: u64) -> Option<&mut Process> {
        self.process.as_mut().filter(|process| process.life == life)
    }

    /// When it wants to run, on its own clock.
    #[must_use]
    pub fn next_wake(&self, now: Time) -> Option<Time> {
        let process = self.process.as_ref()?;
        let inbox = (!process.inbox.is_empty()).then_some(process.ready_at);
        let own = process.member.as_ref().and_then(|member| member.next_deadline(now));
        [inbox, own].into_iter().flatten().min()
    }

    /// Something reaches the process, if there is one.
    pub fn tell(&mut self, world: &mut World, incoming: Incoming) {
        if let Some(process) = &mut self.process {
            if process.inbox.is_empty() {
                process.ready_at = world.now() + world.random.below(world.settings.doze + 1);
            }
            process.inbox.push_back(incoming);
        }
    }

    /// Makes the directory of a founder: the founding itself is not simulated.
    ///
    /// # Panics
    /// If an empty disk that works cannot be written.
    pub fn found(&self, seed: u64) -> u128 {
        let holder = Holder { pid: 0, address: self.address.clone() };
        let dir = DataDir::open_seeded(self.platter.mount(), holder, Some(seed));
        let incarnation = dir.expect("an empty disk").identity().incarnation();
        self.platter.kill();
        incarnation
    }

    /// Writes down that this is a member.
    ///
    /// # Panics
    /// If a disk that works cannot be written.
    pub fn enrol(&self, me: MemberIdentity) {
        let holder = Holder { pid: 0, address: self.address.clone() };
        let dir = DataDir::open_seeded(self.platter.mount(), holder, Some(0));
        let written = dir.expect("a disk that works").set_identity(NodeState::Member(me));
        written.expect("a disk that works");
        self.platter.kill();
    }

    /// Starts the server.
    pub fn start(&mut self, world: &mut World) {
        if self.process.is_some() {
            return;
        }
        self.dark = false;
        self.paused_until = Time(0);
        self.life += 1;
        world.trace(format_args!("{} starts", self.address));
        let holder = Holder { pid: self.life as u32, address: self.address.clone() };
        let seed = world.random.next_u64();
        let opened = DataDir::open_seeded(self.platter.mount(), holder, Some(seed));
        let dir = match opened {
            Ok(dir) => dir,
            Err(error) => return self.start_failed(world, &error),
        };
        let mut process = Process {
            index: self.index,
            life: self.life,
            address: self.address.clone(),
            dir,
            inbox: VecDeque::new(),
            ready_at: world.now(),
            lines: BTreeMap::new(),
            dials: BTreeMap::new(),
            last_dial: 0,
            member: None,
            machine: None,
            sight: Sight::default(),
            mark: None,
            fate: None,
        };
        match process.join(world) {
            Ok(()) => {
                self.process = Some(process);
                self.look(world);
            }
            Err(error) => self.start_failed(world, &error),
        }
    }

    /// A start may fail because the disk does; anything else is wrong.
    fn start_failed(&mut self, world: &mut World, error: &OpenError) {
        let OpenError::Io { .. } = error else {
            world.checkers.fail("recovery", format!("{} cannot start: {error}", self.address));
            return;
        };
        world.trace(format_args!("{} cannot start: {error}", self.address));
        self.stop(world, false);
    }

    /// The process ends at once, with its machine if `dark`; it starts again later.
    pub fn stop(&mut self, world: &mut World, dark: bool) {
        world.trace(format_args!(
            "{} {}",
            self.address,
            if dark { "loses its power" } else { "is killed" }
        ));
        if let Some(mut process) = self.process.take() {
            process.stop_mid_write(world, &self.platter);
            world.checkers.stopped(self.index, dark);
        }
        world.end_sync(self.index);
        if dark {
            self.platter.cut();
            world.network.go_dark(&mut world.clock, self.place());
        } else {
            self.platter.kill();
            world.network.drop_all(&mut world.clock, self.place());
        }
        self.dark = dark;
        self.paused_until = Time(0);
        let delay = if world.calm { 10 } else { 1 + world.random.below(4 * crate::faults::T) };
        world.after(delay, crate::clock::Happening::Start { host: self.index });
    }

    /// Lets the process run.
    pub fn wake(&mut self, world: &mut World) {
        if let Some(process) = &mut self.process {
            process.wake(world);
        }
        self.look(world);
    }

    /// What became of the process.
    pub fn look(&mut self, world: &mut World) {
        if self.platter.is_dead() {
            let dark = world.random.below(2) == 0;
            return self.stop(world, dark);
        }
        let Some(process) = &mut self.process else { return };
        let over = process.is_over();
        match process.fate.take_if(|_| over) {
            None => {}
            Some(Fate::Ends(why)) => {
                world.trace(format_args!("{} ends: {why}", self.address));
                self.stop(world, false);
            }
            Some(fate) => {
                if let Err(error) = process.live_on(world, &fate) {
                    return self.start_failed(world, &error);
                }
                self.look(world);
            }
        }
    }

    /// The next disk operations, and what becomes of them.
    pub fn light_fuse(&self, operations: u64, blow: Blow) {
        self.platter.light_fuse(operations, blow);
    }
}

impl Process {
    const fn place(&self) -> Place {
        Place::Host(self.index)
    }

    fn wake(&mut self, world: &mut World) {
        for incoming in std::mem::take(&mut self.inbox) {
            if self.is_over() {
                return;
            }
            self.incoming(world, incoming);
        }
        if self.member.is_some() && !self.is_over() {
            self.cycle(world);
        }
    }

    /// It is no member any more. A failure is the last word: no life goes on after it.
    fn removed(&mut self, at: Index) {
        if !matches!(self.fate, Some(Fate::Ends(_))) {
            self.fate = Some(Fate::Removed(at));
        }
    }

    /// Whether this life ends now. A removed member still shows what it was part of.
    fn is_over(&self) -> bool {
        let catches_up = || self.member.as_ref().is_some_and(|member| member.catches_up());
        match self.fate {
            None => false,
            Some(Fate::Removed(_)) => !catches_up(),
            Some(Fate::Ends(_) | Fate::Admitted) => true,
        }
    }

    fn incoming(&mut self, world: &mut World, incoming: Incoming) {
        match incoming {
            Incoming::Accepted(wire) => self.add_line(wire, End::Listener, Party::Stranger),
            Incoming::Dialled(dial, result) => self.dial_ended(world, dial, result),
            Incoming::Bytes(wire, bytes) => self.bytes(world, wire, &bytes),
            Incoming::Ended(wire) => self.drop_line(world, wire),
            Incoming::GreetBy(wire) => {
                let party = self.lines.get(&wire).map(|line| &line.party);
                if let Some(Party::Greeting(..) | Party::Admitting(_)) = party {
                    self.drop_line(world, wire);
                }
            }
            Incoming::DialDue(peer) => self.dial_due(world, peer),
            Incoming::Stalled(wire, stalled) => self.stalled(wire, stalled),
            Incoming::LogRead(request, chunk) => self.log_was_read(request, chunk),
            Incoming::Persisted(ticket) => self.persisted(ticket),
            Incoming::HandOver => self.hand_over(world),
        }
    }

    fn add_line(&mut self, wire: WireId, end: End, party: Party) {
        let boot = Boot { incarnation: 0, epoch: 0, nonce: 0 };
        self.lines.insert(wire, Line { end, party, boot, stalled: false, unsent: None });
    }

    fn bytes(&mut self, world: &mut World, wire: WireId, bytes: &[u8]) {
        let Some(end) = self.lines.get(&wire).map(|line| line.end) else { return };
        match world.network.receive(wire, end, bytes) {
            None => {}
            Some(Err(what)) => self.undecodable(world, wire, &what),
            Some(Ok(frames)) => {
                for frame in frames {
                    let Some(party) = self.lines.get(&wire).map(|line| line.party.clone()) else {
                        return;
                    };
                    self.frame(world, wire, party, frame);
                }
            }
        }
    }

    /// Bytes that are no frames: a connection that spoils them is given up.
    fn undecodable(&mut self, world: &mut World, wire: WireId, what: &str) {
        let spoilt = self.lines.get(&wire).is_some_and(|l| world.network.is_spoilt(wire, l.end));
        if spoilt || world.settings.insane.is_some() {
            world.checkers.probe(if spoilt { "spoilt frame noticed" } else { "nonsense refused" });
            world.trace(format_args!("{} gives up {wire:?}: {what}", self.address));
            return self.drop_line(world, wire);
        }
        let what = format!("{} cannot decode what it was sent: {what}", self.address);
        world.checkers.fail("codec", what);
    }

    fn frame(&mut self, world: &mut World, wire: WireId, party: Party, frame: Frame) {
        if let Frame::Ping { nonce } = frame {
            return self.push(world, wire, &Frame::Pong { nonce });
        }
        if let Party::Greeting(purpose, hello) = party {
            return self.greeted(world, wire, purpose, &hello, frame);
        }
        if self.member.is_some() {
            self.member_frame(world, wire, &party, frame);
        } else {
            self.lobby_frame(world, wire, &party, frame);
        }
    }

    fn push(&self, world: &mut World, wire: WireId, frame: &Frame) {
        self.push_encoded(world, wire, frame.encode());
    }

    fn push_encoded(&self, world: &mut World, wire: WireId, frame: raft_node::wire::Encoded) {
        if let Some(line) = self.lines.get(&wire) {
            world.send((wire, line.end), frame);
        }
    }

    fn set_party(&mut self, wire: WireId, party: Party) {
        if let Some(line) = self.lines.get_mut(&wire) {
            line.party = party;
        }
    }

    /// All that it knows of itself.
    fn identity(&self) -> Identity {
        match &self.member {
            Some(member) => member.party(),
            None => Identity {
                cluster: self.dir.identity().cluster(),
                incarnation: self.dir.identity().incarnation(),
                address: self.address.clone(),
                ..Identity::default()
            },
        }
    }
}

/// Where a host listens.
#[must_use]
pub fn address(index: usize) -> String {
    format!(":{}", 7001 + index)
}
