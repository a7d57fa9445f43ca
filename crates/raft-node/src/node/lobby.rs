//! The lobby: a node outside of a cluster. It founds one with the others of its list, or waits to
//! be added to one. Clients are told so.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use raft_core::{Index, LogId, NodeId, Term};
use raft_log::{DataDir, MemberIdentity, NodeState};
use tokio::time::{Instant, sleep_until};

use super::connection::{Connection, Flushed, Talk};
use super::dial::Dialler;
use super::incoming::{Dialled, Incoming, Local};
use super::site::Site;
use super::{Failure, FailureClass};
use crate::address::Address;
use crate::binding::ConnectionId;
use crate::founding::{Fact, Formed, Founder, Founding, Output};
use crate::hello::{self, Believed, Hello, Knowledge, Party, Role};
use crate::notice::Notice;
use crate::protocol::{Answer, KnownMember, NodeStatus, Reason, Refusal, Reply, Request, Standing};
use crate::refused::add_command;
use crate::vitals::Recent;
use crate::wire::{Admit, FRAME_BYTES_MAX, Frame};

/// Servers that are started together need no word about waiting for each other.
const PATIENCE_BEFORE_WORDS: Duration = Duration::from_millis(500);

/// How a node left the lobby.
pub(super) enum Left {
    /// As a member.
    Member(MemberIdentity),
    /// Asked to stop.
    Stopped,
}

/// Waits until this node is a member of a cluster.
pub(super) async fn wait(site: &mut Site, dir: &mut DataDir) -> Result<Left, Failure> {
    site.begin_life();
    Lobby::new(site, dir).run().await
}

struct Lobby<'a> {
    site: &'a mut Site,
    dir: &'a mut DataDir,
    own: Party,
    standing: Standing,
    founding: Option<Founding>,
    /// What the founding wants done.
    outputs: Vec<Output>,
    connections: BTreeMap<u64, Visit>,
    diallers: BTreeMap<NodeId, Dialler>,
    speak_at: Instant,
    said: Option<String>,
    left: Option<Result<Left, Failure>>,
    leave_at: Option<Instant>,
}

/// A connection.
struct Visit {
    connection: Rc<Connection>,
    guest: Guest,
    since: Instant,
    /// It is not read until it has read what it was told.
    paused: bool,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guest {
    Stranger,
    Client,
    /// A founder; the number is that of our dialler, if it was us who dialled.
    Founder(Option<NodeId>),
    Admission,
    Leaving,
}

impl<'a> Lobby<'a> {
    fn new(site: &'a mut Site, dir: &'a mut DataDir) -> Self {
        let address = site.settings.address.to_string();
        let incarnation = dir.identity().incarnation();
        let mut outputs = Vec::new();
        let (standing, founding) = match dir.identity() {
            NodeState::Removed(_, at) => (Standing::Removed { at: *at }, None),
            NodeState::New { .. } | NodeState::Member(_) => {
                let own = Founder { address: address.clone(), incarnation };
                let list: Vec<String> =
                    site.settings.cluster.iter().map(ToString::to_string).collect();
                (Standing::New, Some(Founding::new(own, &list, &mut outputs)))
            }
        };
        let own =
            Party { cluster: dir.identity().cluster(), incarnation, address, ..Party::default() };
        Self {
            site,
            dir,
            own,
            standing,
            founding,
            outputs,
            connections: BTreeMap::new(),
            diallers: BTreeMap::new(),
            speak_at: Instant::now() + PATIENCE_BEFORE_WORDS,
            said: None,
            left: None,
            leave_at: None,
        }
    }

    async fn run(mut self) -> Result<Left, Failure> {
        self.dial_others();
        self.founding_outputs();
        loop {
            self.flush();
            if self.leave_at.is_none_or(|at| at <= Instant::now())
                && let Some(left) = self.left.take()
            {
                for visit in self.connections.values() {
                    visit.connection.close();
                }
                return left;
            }
            let wake = self.leave_at.unwrap_or(self.speak_at);
            tokio::select! {
                Some(incoming) = self.site.next() => self.incoming(incoming),
                () = sleep_until(wake) => {
                    self.speak();
                    self.turn_out_guests();
                }
            }
        }
    }

    /// Writes what waits. Who reads is heard again; a broken socket is closed.
    fn flush(&mut self) {
        let mut broken = Vec::new();
        for (id, visit) in &mut self.connections {
            if visit.connection.flush() == Flushed::Broken {
                broken.push(*id);
            } else if visit.paused && visit.connection.is_read() {
                visit.paused = false;
                visit.connection.resume();
            }
        }
        for id in broken {
            self.closed(id);
        }
    }

    /// Hangs up on those who never said who they are, or do not leave.
    fn turn_out_guests(&mut self) {
        let patience = self.site.guest_patience();
        let overstays = |visit: &Visit| match visit.guest {
            Guest::Stranger | Guest::Admission | Guest::Leaving => {
                visit.since.elapsed() >= patience
            }
            Guest::Client | Guest::Founder(_) => false,
        };
        let late: Vec<u64> = self
            .connections
            .iter()
            .filter(|(_, visit)| overstays(visit))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.closed(id);
        }
    }

    /// Says what this node waits for, when that has not changed for a moment.
    fn speak(&mut self) {
        let line = match (&self.founding, self.standing) {
            (Some(founding), _) => founding.waiting_line(),
            (None, Standing::Removed { at }) => Some(format!(
                "removed from its cluster at index {at}; to add it again: {}",
                add_command(&self.own.address, self.other_founder())
            )),
            (None, _) => None,
        };
        if line != self.said {
            self.said.clone_from(&line);
            if let Some(line) = line {
                self.site.notices.tell(Notice::Fact(line));
            }
        }
        self.speak_at = Instant::now() + PATIENCE_BEFORE_WORDS;
    }

    /// Founders are dialled by their place in the list: none of them has an id yet.
    fn dial_others(&mut self) {
        let Some(founding) = &self.founding else { return };
        let others: Vec<String> = founding.others().map(str::to_owned).collect();
        for (place, address) in others.into_iter().enumerate() {
            let hello = Hello {
                protocol: hello::Protocols::OURS,
                role: Role::Founder,
                from: self.own.clone(),
                to: Believed { address: address.clone(), ..Believed::default() },
            };
            let dialler = Dialler::start(
                NodeId(place as u64),
                address,
                move || hello.clone(),
                self.site.settings.election_timeout,
                self.site.sender.clone(),
            );
            self.diallers.insert(NodeId(place as u64), dialler);
        }
    }

    /// Somebody who may still be a member.
    fn other_founder(&self) -> &str {
        let NodeState::Removed(me, _) = self.dir.identity() else { return "ADDRESS" };
        let mut founders = me.founders.iter().map(|founder| founder.address.as_str());
        founders.find(|address| *address != self.own.address).unwrap_or("ADDRESS")
    }

    fn incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Accepted { stream } => {
                if let Ok(talk) = Talk::new(stream) {
                    self.take_over(talk, Guest::Stranger);
                }
            }
            Incoming::Frames { connection, frames } => {
                for frame in frames {
                    self.frame(connection, frame);
                }
                if let Some(visit) = self.connections.get_mut(&connection) {
                    visit.paused = true;
                    if visit.guest == Guest::Leaving {
                        visit.connection.flush();
                        self.closed(connection);
                    }
                }
            }
            Incoming::Closed { connection, .. } => self.closed(connection),
            Incoming::Dialled { peer, dialled } => {
                let Dialled { talk, welcome, .. } = *dialled;
                let connection = self.take_over(talk, Guest::Founder(Some(peer)));
                self.met(connection, &welcome.from);
            }
            Incoming::Unwelcome { refused, .. } => self.site.tell_refused(&refused),
            Incoming::Local(Local::Stop) => self.left = Some(Ok(Left::Stopped)),
            Incoming::Local(Local::Ask { request, reply }) => {
                // Whoever asked may have stopped waiting.
                let _told = reply.send(self.answer(&request));
            }
            // Looked at whenever something happens.
            Incoming::Drained { .. } => {}
            // A member's business.
            Incoming::Refused { .. }
            | Incoming::Wrote { .. }
            | Incoming::Met { .. }
            | Incoming::LogRead { .. }
            | Incoming::ReadFailed { .. }
            | Incoming::Spare { .. }
            | Incoming::Disk { .. } => {}
        }
        self.founding_outputs();
    }

    fn take_over(&mut self, talk: Talk, guest: Guest) -> u64 {
        let id = self.site.number_connection();
        let connection = Connection::start(
            id,
            talk,
            self.site.sender.clone(),
            Arc::clone(&self.site.observed.meter),
        );
        if guest != Guest::Stranger {
            connection.trust();
        }
        let visit = Visit { connection, guest, since: Instant::now(), paused: false };
        self.connections.insert(id, visit);
        id
    }

    fn push(&self, id: u64, frame: &Frame) {
        if let Some(visit) = self.connections.get(&id) {
            visit.connection.push(frame.encode());
        }
    }

    fn closed(&mut self, id: u64) {
        let Some(Visit { connection, guest, .. }) = self.connections.remove(&id) else { return };
        connection.close();
        if let Guest::Founder(dialler) = guest {
            if let Some(founding) = &mut self.founding {
                founding.closed(ConnectionId(id));
            }
            if let Some(dialler) = dialler.and_then(|number| self.diallers.get(&number)) {
                dialler.redial_later();
            }
        }
    }

    /// Another founder, or a member of a cluster that stands.
    fn met(&mut self, id: u64, party: &Party) {
        let founder = Founder { address: party.address.clone(), incarnation: party.incarnation };
        if let Some(founding) = &mut self.founding {
            founding.connected(ConnectionId(id), founder, &mut self.outputs);
        }
    }

    fn frame(&mut self, id: u64, frame: Frame) {
        let Some(guest) = self.connections.get(&id).map(|visit| visit.guest) else { return };
        match (guest, frame) {
            (Guest::Stranger, Frame::Hello(hello)) => self.hello_from(id, &hello),
            (Guest::Client, Frame::Request { id: number, request }) => {
                let reply = self.answer(&request);
                self.push(id, &Frame::Reply { id: number, reply });
            }
            (Guest::Founder(_), Frame::Founding(report)) => {
                if let Some(founding) = &mut self.founding {
                    founding.received(ConnectionId(id), report, &mut self.outputs);
                }
            }
            (Guest::Admission, Frame::Admit(admit)) => self.admitted(admit),
            (_, Frame::Ping { nonce }) => self.push(id, &Frame::Pong { nonce }),
            _ => self.closed(id),
        }
    }

    fn hello_from(&mut self, id: u64, hello: &Hello) {
        let known = Knowledge {
            own: &self.own,
            standing: self.standing,
            membership: None,
            committed: None,
            peers: &BTreeMap::new(),
            frame_bytes_max: u32::try_from(FRAME_BYTES_MAX).unwrap_or(u32::MAX),
        };
        let (guest, frame) = match hello::judge(&known, hello) {
            Ok(welcome) => {
                let guest = match hello.role {
                    Role::Client => Guest::Client,
                    Role::Founder => Guest::Founder(None),
                    Role::Admission => Guest::Admission,
                    Role::Peer => Guest::Leaving,
                };
                (guest, Frame::Welcome(welcome))
            }
            Err(refused) => (Guest::Leaving, Frame::Refused(refused)),
        };
        self.push(id, &frame);
        if let Some(visit) = self.connections.get_mut(&id) {
            visit.guest = guest;
            visit.connection.trust();
        }
        if guest == Guest::Founder(None) {
            self.met(id, &hello.from);
        }
    }

    fn answer(&self, request: &Request) -> Reply {
        let answer = match (request, self.standing) {
            (Request::Status, _) => Answer::Status(self.status()),
            (Request::Recent { after, .. }, _) => Answer::Recent(Box::new(Recent {
                status: self.status(),
                after: *after,
                events: self.site.observed.events_after(*after),
                tail: Vec::new(),
            })),
            (_, Standing::Removed { at }) => Refusal::not_applied(Reason::Removed { at }).into(),
            _ => Refusal::not_applied(Reason::NotReady).into(),
        };
        Reply { answer, forwarded_to: None }
    }

    fn status(&self) -> NodeStatus {
        NodeStatus {
            id: None,
            address: self.own.address.clone(),
            cluster: self.own.cluster,
            standing: self.standing,
            role: "none".into(),
            term: Term(0),
            leader: None,
            last_log_id: LogId::default(),
            durable_index: Index(0),
            commit_index: Index(0),
            applied_index: Index(0),
            version: env!("CARGO_PKG_VERSION").into(),
            vitals: Box::new(self.site.observed.vitals()),
            members: self.founders(),
        }
    }

    /// Those that this server was started with, if it is one of them.
    fn founders(&self) -> Vec<KnownMember> {
        let cluster = &self.site.settings.cluster;
        let own = &self.site.settings.address;
        if self.founding.is_none() || !cluster.iter().any(|other| other.is_same_place(own)) {
            return Vec::new();
        }
        let known = |address: &Address| KnownMember {
            id: None,
            address: address.to_string(),
            voter: true,
            old_voter: false,
        };
        cluster.iter().map(known).collect()
    }

    fn founding_outputs(&mut self) {
        for output in std::mem::take(&mut self.outputs) {
            match output {
                Output::Formed(formed) => self.formed(formed),
                Output::Send(ConnectionId(id), report) => {
                    self.push(id, &Frame::Founding(report));
                }
                Output::Fact(fact) => self.fact(&fact),
            }
        }
    }

    /// The others are told what this node saw before it ends.
    fn fact(&mut self, fact: &Fact) {
        if matches!(fact, Fact::DifferentLists { .. } | Fact::AddressClash { .. }) {
            let class = FailureClass::Identity;
            self.left.get_or_insert(Err(Failure { class, what: fact.to_string() }));
            self.leave_at = Some(Instant::now() + self.site.settings.election_timeout / 2);
        } else {
            self.site.notices.tell(Notice::Fact(fact.to_string()));
        }
    }

    fn formed(&mut self, formed: Formed) {
        let Formed { cluster, founders } = formed;
        let own = (&self.own.address, self.own.incarnation);
        let place = founders.iter().position(|f| (&f.address, f.incarnation) == own);
        let Some(place) = place else { return };
        self.become_member(cluster, NodeId(place as u64 + 1), self.own.address.clone(), founders);
    }

    /// The address is the own one as it was given: the operator may have added this server by
    /// another name. A leader that has not heard of the removal yet is not obeyed.
    fn admitted(&mut self, admit: Admit) {
        let stale = matches!(self.standing, Standing::Removed { at } if admit.at <= at);
        if admit.incarnation == self.own.incarnation && !stale {
            let address = self.own.address.clone();
            self.become_member(admit.cluster, admit.id, address, admit.founders);
        }
    }

    /// From here on, also after a restart, this node is that member.
    fn become_member(
        &mut self,
        cluster: u128,
        id: NodeId,
        address: String,
        founders: Vec<Founder>,
    ) {
        let founder = |founder: Founder| raft_log::Founder {
            address: founder.address,
            incarnation: founder.incarnation,
        };
        let me = MemberIdentity {
            incarnation: self.own.incarnation,
            cluster,
            id,
            address,
            founders: founders.into_iter().map(founder).collect(),
        };
        self.left = Some(match self.dir.set_identity(NodeState::Member(me.clone())) {
            Ok(()) => Ok(Left::Member(me)),
            Err(error) => Err(Failure {
                class: FailureClass::Disk,
                what: format!(
                    "cannot write who this server is into its data directory: {error}; see that \
                     the disk works and has room, then start again"
                ),
            }),
        });
        self.leave_at = None;
    }
}
