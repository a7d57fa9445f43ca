//! A simulated client: the production `ClientCore` on simulated wires, and a user who wants
//! things.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_core::Time;
use raft_node::client_core::{ClientCore, Op, OpId, Output, Settings, Success};
use raft_node::hello::{Believed, Hello, Party, Protocols, Role};
use raft_node::wire::Frame;
use raft_node::{Answer, Changed, ClientError, Conclusion, Consistency, Fate, Reason, RequestName};

use crate::checkers;
use crate::network::{End, Place, WireId};
use crate::trace::What;
use crate::witness::text_of;
use crate::world::World;

/// A client and its connection.
#[derive(Debug)]
pub struct Client {
    index: usize,
    core: ClientCore,
    endpoints: Vec<String>,
    dial: u64,
    wire: Option<WireId>,
    welcome: bool,
    last_op: u64,
    asked: BTreeMap<OpId, Asked>,
    doubts: BTreeMap<OpId, Doubt>,
    /// How its operations ended, since anybody looked.
    ended: Vec<(Op, Result<Success, ClientError>)>,
}

#[derive(Debug)]
struct Asked {
    op: Op,
    /// What the checkers know it by, if it is a write.
    write: Option<checkers::Asked>,
    /// If it is a linearizable read.
    read: Option<checkers::Reading>,
}

/// A write whose outcome is unknown, and is asked for.
#[derive(Debug)]
struct Doubt {
    command: Bytes,
    write: checkers::Asked,
}

impl Client {
    /// A client that asks these servers.
    #[must_use]
    pub fn new(world: &mut World, index: usize, endpoints: Vec<String>, timeout: u64) -> Self {
        let settings = Settings {
            endpoints: endpoints.clone(),
            timeout,
            one_shot: world.random.below(4) == 0,
            command_bytes_max: 1 << 20,
            seed: world.random.next_u64(),
        };
        Self {
            index,
            core: ClientCore::new(settings),
            endpoints,
            dial: world.random.next_u64() << 8,
            wire: None,
            welcome: false,
            last_op: 0,
            asked: BTreeMap::new(),
            doubts: BTreeMap::new(),
            ended: Vec::new(),
        }
    }

    /// Operations under way.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.asked.len()
    }

    /// What ended since anybody looked.
    pub fn take_ended(&mut self) -> Vec<(Op, Result<Success, ClientError>)> {
        std::mem::take(&mut self.ended)
    }

    /// When it wants its timer.
    #[must_use]
    pub fn next_wake(&self) -> Option<Time> {
        self.core.next_deadline()
    }

    /// Its user wants something.
    pub fn submit(&mut self, world: &mut World, op: Op) {
        let client = self.index;
        world.checkers.observer().tell(|| What::Asked { client, text: format!("{op:?}") });
        self.last_op += 1;
        let id = OpId(self.last_op);
        let write = match &op {
            Op::Write(command) => {
                Some(world.checkers.asked(self.index, world.now(), &text_of(command)))
            }
            _ => None,
        };
        let read = match &op {
            Op::Read { query, consistency: Consistency::Linearizable, .. } => {
                world.checkers.reads(self.index, world.now(), query)
            }
            _ => None,
        };
        self.asked.insert(id, Asked { op: op.clone(), write, read });
        self.act(world, |core, now, outputs| core.submit(now, id, op, outputs));
    }

    fn ask_for(&mut self, world: &mut World, request: RequestName, doubt: Doubt) {
        self.doubts.insert(OpId(self.last_op + 1), doubt);
        self.submit(world, Op::Result(request));
    }

    /// Time passed.
    pub fn wake(&mut self, world: &mut World) {
        self.act(world, ClientCore::timer);
    }

    /// The process of the client ends; nobody is told anything any more.
    pub fn end(&mut self, world: &mut World) {
        self.hang_up(world);
    }

    /// Its dial came to something.
    pub fn dialled(&mut self, world: &mut World, dial: u64, result: Result<WireId, bool>) {
        if dial != self.dial {
            if let Ok(wire) = result {
                world.close(wire, End::Dialler);
            }
            return;
        }
        match result {
            Ok(wire) => {
                self.wire = Some(wire);
                let hello = Hello {
                    protocol: Protocols::OURS,
                    role: Role::Client,
                    from: Party::default(),
                    to: Believed::default(),
                };
                world.send((wire, End::Dialler), Frame::Hello(hello).encode());
            }
            Err(_) => {
                self.act(world, |core, now, out| core.refused(now, "nobody listens there", out));
            }
        }
    }

    /// Bytes arrived.
    pub fn bytes(&mut self, world: &mut World, wire: WireId, bytes: &[u8]) {
        if self.wire != Some(wire) {
            return;
        }
        match world.receive(wire, End::Dialler, bytes) {
            None => {}
            Some(Err(_)) if world.network.is_spoilt(wire, End::Dialler) => {
                world.checkers.probe("spoilt frame noticed");
                self.ended(world, wire);
            }
            Some(Err(what)) => world.checkers.fail("codec", what),
            Some(Ok(frames)) => {
                for frame in frames {
                    self.frame(world, wire, frame);
                }
            }
        }
    }

    fn frame(&mut self, world: &mut World, wire: WireId, frame: Frame) {
        if self.wire != Some(wire) {
            return;
        }
        match frame {
            Frame::Welcome(_) => {
                self.welcome = true;
                self.act(world, ClientCore::connected);
            }
            Frame::Refused(refused) => {
                self.hang_up(world);
                self.act(world, |core, now, out| core.refused(now, &refused.to_string(), out));
            }
            Frame::Reply { id, reply } => {
                self.act(world, |core, now, outputs| core.reply(now, id, reply, outputs));
            }
            Frame::Pong { .. } => self.act(world, ClientCore::heard),
            Frame::Ping { nonce } => {
                world.send((wire, End::Dialler), Frame::Pong { nonce }.encode());
            }
            frame => {
                let what = format!("client {} is told {frame:?}", self.index);
                world.checkers.fail("conversation", what);
            }
        }
    }

    /// The wire ended.
    pub fn ended(&mut self, world: &mut World, wire: WireId) {
        if self.wire != Some(wire) {
            return;
        }
        let welcome = self.welcome;
        self.hang_up(world);
        self.act(world, |core, now, outputs| match welcome {
            true => core.disconnected(now, outputs),
            false => core.refused(now, "hung up", outputs),
        });
    }

    fn hang_up(&mut self, world: &mut World) {
        self.dial += 1;
        self.welcome = false;
        if let Some(wire) = self.wire.take() {
            world.close(wire, End::Dialler);
        }
    }

    fn act(
        &mut self,
        world: &mut World,
        act: impl FnOnce(&mut ClientCore, Time, &mut Vec<Output>),
    ) {
        let mut outputs = Vec::new();
        act(&mut self.core, world.now(), &mut outputs);
        for output in outputs {
            match output {
                Output::Dial(place) => {
                    self.hang_up(world);
                    let address = self.endpoints.get(place).cloned().unwrap_or_default();
                    world.dial(Place::Client(self.index), address, self.dial);
                }
                Output::Close => self.hang_up(world),
                Output::Send { request, body } => {
                    if let Some(wire) = self.wire {
                        let frame = Frame::Request { id: request, request: body };
                        world.send((wire, End::Dialler), frame.encode());
                    }
                }
                Output::Ping(nonce) => {
                    if let Some(wire) = self.wire {
                        world.send((wire, End::Dialler), Frame::Ping { nonce }.encode());
                    }
                }
                Output::Done(id, result) => self.done(world, id, result),
                Output::Notice(_) => {}
            }
        }
    }

    fn done(&mut self, world: &mut World, id: OpId, result: Result<Box<Success>, ClientError>) {
        let Some(Asked { op, write, read }) = self.asked.remove(&id) else {
            return world.checkers.fail("conversation", format!("{id:?} ends twice"));
        };
        world.checkers.observer().answered(self.index, &op, &result);
        if let Ok(success) = &result
            && let Some(probe) = probe(&success.answer)
        {
            world.checkers.probe(probe);
        }
        if let Some(reading) = read {
            let response = match result.as_ref().map(|success| &success.answer) {
                Ok(Answer::Read(answer)) => Some(&answer.response),
                _ => None,
            };
            world.checkers.has_read(&reading, world.now(), response);
        }
        if let Err(ClientError { reason: Some(reason), .. }) = &result
            && is_groundless(world, reason)
        {
            world.checkers.fail("conversation", format!("{op:?} -> {reason}"));
        }
        if let Some(Doubt { command, write }) = self.doubts.remove(&id) {
            conclude(world, &command, write, &result);
        }
        if let (Op::Write(command), Some(write)) = (&op, write) {
            let command = text_of(command);
            match unknown(&result) {
                Some(request) => self.ask_for(world, request, Doubt { command, write }),
                None => judge(world, &command, write, &result),
            }
        }
        self.ended.push((op, result.map(|success| *success)));
    }
}

/// The name of a write that was not answered, if its user wants to know. It takes no dice: every
/// other one does.
fn unknown(result: &Result<Box<Success>, ClientError>) -> Option<RequestName> {
    let request = result.as_ref().err().and_then(|error| error.request);
    request.filter(|request| (request.session + request.sequence).is_multiple_of(2))
}

/// What had become of a write is told, or that is not known either.
fn conclude(
    world: &mut World,
    command: &Bytes,
    write: checkers::Asked,
    result: &Result<Box<Success>, ClientError>,
) {
    let now = world.now();
    let fate = match result.as_ref().map(|success| &success.answer) {
        Ok(Answer::Fate(fate)) => Some(fate),
        _ => None,
    };
    match fate {
        Some(Fate::Applied { at, response }) => {
            world.checkers.answered(write, now, command, (*at, response));
        }
        Some(Fate::Withdrawn { .. }) => {
            world.checkers.unanswered(write, now, command, Conclusion::NotApplied);
        }
        Some(Fate::Forgotten | Fate::Expired) | None => {
            world.checkers.unanswered(write, now, command, Conclusion::Unknown);
        }
    }
}

fn probe(answer: &Answer) -> Option<&'static str> {
    match answer {
        Answer::Changed(Changed::Added { .. }) => Some("member added"),
        Answer::Changed(Changed::AlreadyMember { .. }) => Some("member there already"),
        Answer::Changed(Changed::Removed { .. }) => Some("member removed"),
        Answer::Changed(Changed::Undone { .. }) => Some("member given up"),
        Answer::Changed(Changed::Demoted { .. }) => Some("member demoted"),
        Answer::Changed(Changed::Replaced { address, old_address, .. }) => {
            let refilled = address == old_address;
            Some(if refilled { "member refilled at its address" } else { "member replaced" })
        }
        Answer::Changed(Changed::Updated { .. }) => Some("member moved"),
        Answer::Transferred { .. } => Some("leadership transferred"),
        _ => None,
    }
}

/// What has no ground in this run, or in any: one session more is opened at the cost of the
/// oldest.
fn is_groundless(world: &World, reason: &Reason) -> bool {
    match reason {
        Reason::SessionLimit => true,
        Reason::Full { .. } => world.settings.text_bytes_max.is_none(),
        _ => false,
    }
}

fn judge(
    world: &mut World,
    command: &Bytes,
    asked: checkers::Asked,
    result: &Result<Box<Success>, ClientError>,
) {
    let now = world.now();
    match result {
        Ok(success) => match &success.answer {
            Answer::Written { at, response } => {
                world.checkers.answered(asked, now, command, (*at, response));
            }
            other => world.checkers.fail("conversation", format!("{command:?} -> {other:?}")),
        },
        Err(error) => {
            if error.reason == Some(Reason::DiskFull) {
                world.checkers.disk_full();
            }
            world.checkers.unanswered(asked, now, command, error.outcome);
        }
    }
}
