//! Dialling peers, and short conversations with servers that are to be added.

use raft_core::NodeId;
use raft_node::hello::{Believed, Hello, Protocols, Role, Welcome};
use raft_node::replica::Event;
use raft_node::wire::{Admit, Frame};
use raft_node::{Reason, Standing};

use super::{End, Party, Process};
use crate::clock::Happening;
use crate::faults::T;
use crate::network::WireId;
use crate::world::World;

const PAUSE_MIN: u64 = 50;
const PAUSE_MAX: u64 = 1000;

/// What a dial is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// To talk to a member.
    Peer(NodeId),
    /// To ask a server who it is.
    Meet(u64, String),
    /// To tell a server who it is.
    Admit(NodeId, Box<Admit>),
}

/// Keeps a connection to one peer.
#[derive(Debug)]
pub(super) struct Dialler {
    pub(super) address: String,
    incarnation: u128,
    pause: u64,
    /// It waits until then; `None` while it dials or is connected.
    due: Option<u64>,
    /// Since when it is connected.
    since: Option<u64>,
}

impl Dialler {
    pub(super) const fn new(address: String, incarnation: u128) -> Self {
        Self { address, incarnation, pause: PAUSE_MIN, due: None, since: None }
    }
}

impl Process {
    pub(super) fn hello(
        &self,
        role: Role,
        id: Option<NodeId>,
        incarnation: Option<u128>,
        address: &str,
    ) -> Hello {
        let to = Believed { id, incarnation, address: address.to_owned() };
        Hello { protocol: Protocols::OURS, role, from: self.identity(), to }
    }

    pub(super) fn dial(&mut self, world: &mut World, purpose: Purpose) {
        self.last_dial += 1;
        let dial = self.last_dial | self.life << 32;
        let address = match &purpose {
            Purpose::Peer(peer) => {
                let Some(dialler) = self.dialler(*peer) else { return };
                (dialler.due, dialler.since) = (None, None);
                dialler.address.clone()
            }
            Purpose::Meet(_, address) => address.clone(),
            Purpose::Admit(_, admit) => admit.address.clone(),
        };
        self.dials.insert(dial, purpose);
        world.dial(self.place(), address, dial);
    }

    fn dialler(&mut self, peer: NodeId) -> Option<&mut Dialler> {
        self.member.as_mut()?.diallers.get_mut(&peer)
    }

    pub(super) fn dial_due(&mut self, world: &mut World, peer: NodeId) {
        let now = world.now().0;
        if self.dialler(peer).is_some_and(|dialler| dialler.due.is_some_and(|due| due <= now)) {
            self.dial(world, Purpose::Peer(peer));
        }
    }

    /// There is a reason not to wait before the next dial. A connection that is up by now stays.
    pub(super) fn hurry(&mut self, world: &mut World, peer: NodeId) {
        if let Some(dialler) = self.dialler(peer)
            && dialler.due.is_some()
        {
            dialler.pause = PAUSE_MIN;
            self.dial(world, Purpose::Peer(peer));
        }
    }

    /// The connection is gone: dial at once, unless it did not last.
    pub(super) fn redial(&mut self, world: &mut World, peer: NodeId) {
        let now = world.now().0;
        if let Some(dialler) = self.dialler(peer) {
            match dialler.since {
                // Whoever says welcome and hangs up, again and again, is not dialled without end.
                Some(since) if now - since < PAUSE_MAX => self.redial_later(world, peer),
                Some(_) => {
                    dialler.pause = PAUSE_MIN;
                    self.dial(world, Purpose::Peer(peer));
                }
                None => self.hurry(world, peer),
            }
        }
        self.drop_diallers();
    }

    /// The dial was of no use: the next one comes after a pause.
    pub(super) fn redial_later(&mut self, world: &mut World, peer: NodeId) {
        let (host, life, now) = (self.index, self.life, world.now().0);
        let Some(dialler) = self.dialler(peer) else { return };
        let wait = dialler.pause * 3 / 4 + world.random.below(dialler.pause / 2);
        dialler.pause = (dialler.pause * 2).min(PAUSE_MAX);
        (dialler.due, dialler.since) = (Some(now + wait), None);
        world.after(wait, Happening::DialDue { host, life, peer });
    }

    pub(super) fn dial_ended(
        &mut self,
        world: &mut World,
        dial: u64,
        result: Result<WireId, bool>,
    ) {
        let Some(purpose) = self.dials.remove(&dial) else {
            if let Ok(wire) = result {
                world.close(wire, End::Dialler);
            }
            return;
        };
        match result {
            Err(refused) => self.dial_failed(world, &purpose, refused),
            Ok(wire) => {
                let hello = Box::new(self.hello_for(&purpose));
                let said = Frame::Hello(Hello::clone(&hello));
                self.add_line(wire, End::Dialler, Party::Greeting(purpose, hello));
                self.push(world, wire, &said);
                let (host, life) = (self.index, self.life);
                world.after(T, Happening::GreetBy { host, life, wire });
            }
        }
    }

    fn hello_for(&mut self, purpose: &Purpose) -> Hello {
        match purpose {
            Purpose::Peer(peer) => {
                let (address, incarnation) = match self.dialler(*peer) {
                    Some(dialler) => (dialler.address.clone(), Some(dialler.incarnation)),
                    None => (String::new(), None),
                };
                self.hello(Role::Peer, Some(*peer), incarnation, &address)
            }
            Purpose::Meet(_, address) => self.hello(Role::Admission, None, None, address),
            Purpose::Admit(_, admit) => {
                self.hello(Role::Admission, None, Some(admit.incarnation), &admit.address)
            }
        }
    }

    pub(super) fn dial_failed(&mut self, world: &mut World, purpose: &Purpose, refused: bool) {
        match purpose {
            Purpose::Peer(peer) => {
                let peer = *peer;
                if refused {
                    self.event(Event::Refused { peer });
                }
                self.redial_later(world, peer);
            }
            Purpose::Meet(request, address) => {
                let error = if refused { "nobody listens there" } else { "no answer" }.to_owned();
                let result = Err(Reason::Unreachable { address: address.clone(), error });
                self.event(Event::Met { request: *request, result });
            }
            // The next refused dial leads here again.
            Purpose::Admit(..) => {}
        }
    }

    /// The first word of whom we dialled.
    pub(super) fn greeted(
        &mut self,
        world: &mut World,
        wire: WireId,
        purpose: Purpose,
        hello: &Hello,
        frame: Frame,
    ) {
        match (purpose, frame) {
            (Purpose::Peer(peer), Frame::Welcome(welcome)) => {
                let now = world.now().0;
                if let Some(dialler) = self.dialler(peer) {
                    dialler.since = Some(now);
                }
                self.welcomed(world, wire, peer, hello, &welcome);
            }
            (Purpose::Meet(request, address), Frame::Welcome(welcome)) => {
                let result = self.addable(&welcome, address);
                self.event(Event::Met { request, result });
                self.forget_line(world, wire);
            }
            (Purpose::Admit(peer, admit), Frame::Welcome(_)) => {
                self.push(world, wire, &Frame::Admit(*admit));
                self.set_party(wire, Party::Admitting(peer));
            }
            (Purpose::Peer(peer), Frame::Refused(refused)) => {
                self.unwelcome(world, peer, &refused);
                self.forget_line(world, wire);
                self.redial_later(world, peer);
            }
            (Purpose::Meet(request, _), Frame::Refused(refused)) => {
                let result = Err(Reason::Invalid(refused.to_string()));
                self.event(Event::Met { request, result });
                self.forget_line(world, wire);
            }
            (_, _) => self.drop_line(world, wire),
        }
    }

    /// Whether a server that said welcome can be added.
    fn addable(&self, welcome: &Welcome, address: String) -> Result<u128, Reason> {
        let members = self.member.as_ref().map(|own| &own.replica().raft().membership().members);
        let is_ours = welcome.from.cluster == self.identity().cluster;
        let known = welcome.from.id.is_some_and(|id| members.is_some_and(|m| m.contains_key(&id)));
        match welcome.standing {
            Standing::New => Ok(welcome.from.incarnation),
            Standing::Removed { .. } if is_ours => Ok(welcome.from.incarnation),
            Standing::Member if is_ours && !known => {
                Err(Reason::Busy { what: format!("{address} has not heard of its removal") })
            }
            Standing::Removed { .. } | Standing::Member => {
                Err(Reason::Invalid(format!("{address} belongs to a cluster already")))
            }
        }
    }

    /// Hangs up without any consequence.
    pub(super) fn forget_line(&mut self, world: &mut World, wire: WireId) {
        if let Some(line) = self.lines.remove(&wire) {
            world.close(wire, line.end);
        }
    }
}
