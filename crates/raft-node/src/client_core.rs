//! The client, less its sockets and clocks: what to send where, what to send again, and what may
//! be concluded.
//!
//! - A session is registered before the first write. A lost registration is repeated freely.
//! - A write keeps its session and sequence number in every attempt, so it takes effect once. When
//!   a connection ends, what was in flight goes to the next endpoint as it was.
//! - Reads are repeated freely; membership changes carry a request id, chosen once. A transfer
//!   without a named target is not repeated after an attempt whose end is unknown.
//! - Once an attempt of a request ended unknown, the request ends applied or unknown, whatever a
//!   later attempt says. So `SessionExpired` ends a write that an earlier attempt may have
//!   carried out, and merely starts a new session for any other.
//! - At the timeout: nothing of it sent ends *nothing sent*; an attempt without an answer ends
//!   *unknown*; refused in every attempt ends *not applied*.
//! - A membership change and a transfer take as long as they take. Their clock runs only while no
//!   server holds them: it starts again whenever the server that holds the request is heard, and
//!   whenever one says that another change is under way. The server gives up by itself when a new
//!   member makes no progress.
//! - At most [`WINDOW_MAX`] writes and [`WINDOW_BYTES_MAX`] are in flight; the others wait here.
//!
//! The driver dials as told: each [`Output::Dial`] ends in [`ClientCore::connected`] or
//! [`ClientCore::refused`], a connection in [`ClientCore::disconnected`]; [`Output::Close`] ends
//! either without a further word.

mod answers;
mod link;
mod operation;
mod outcome;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use raft_core::{RequestId, Time};

use self::link::Link;
use self::operation::Operation;
pub use self::outcome::{ClientError, ClientNotice, Conclusion, Success};
use crate::protocol::{Answer, Consistency, MemberChange, News, Reason, Reply, Request};
use crate::random::Random;
use crate::sessions::{RequestName, WINDOW_MAX};

/// Bytes of commands in flight; a single larger command goes alone.
pub const WINDOW_BYTES_MAX: usize = 8 * 1024 * 1024;

/// An operation, as its submitter numbers them. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpId(pub u64);

/// What a user of the client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A command for the state machine.
    Write(Bytes),
    /// Close the session; to be submitted when all writes are done.
    EndSession,
    /// A question to the state machine.
    Read {
        /// For the state machine: opaque.
        query: Bytes,
        /// How fresh the answer has to be.
        consistency: Consistency,
        /// Whether to wait for news, on top of the timeout.
        news: Option<News>,
    },
    /// Who is in the cluster?
    Members,
    /// Let members come, go or move.
    Change(MemberChange),
    /// Hand leadership over.
    Transfer(Option<String>),
    /// Take a snapshot.
    Snapshot,
    /// How the asked server sees itself.
    Status,
    /// How is it, what happened there lately, and how does its log end?
    Recent {
        /// Only events after this one.
        after: u64,
        /// At most so many entries.
        tail: u32,
    },
    /// What became of a write? If it is not applied yet, it never will be.
    Result(RequestName),
    /// What does it know of why something does not go on?
    Why,
}

impl Op {
    /// So many milliseconds a server may keep the answer back.
    pub(crate) const fn waits_for(&self) -> u64 {
        match self {
            Self::Read { news: Some(news), .. } => news.within as u64,
            _ => 0,
        }
    }
}

/// Settings of a client. Times are in milliseconds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to ask, in turn.
    pub endpoints: Vec<String>,
    /// How long an operation may take.
    pub timeout: u64,
    /// Register for a single write.
    pub one_shot: bool,
    /// The largest command that is sent at all.
    pub command_bytes_max: usize,
    /// For jitter and request ids.
    pub seed: u64,
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect to this endpoint (its place in the settings) and say hello.
    Dial(usize),
    /// End the connection, or the dial.
    Close,
    /// Send this on the connection.
    Send {
        /// Comes back with the reply.
        request: u64,
        /// The request.
        body: Request,
    },
    /// Ask whether the server is there; its answer goes to [`ClientCore::heard`].
    Ping(u64),
    /// An operation ended.
    Done(OpId, Result<Box<Success>, ClientError>),
    /// Something that a person may want to know.
    Notice(ClientNotice),
}

/// The client's state. All methods push what is to be done to `out`.
#[derive(Debug)]
pub struct ClientCore {
    settings: Settings,
    random: Random,
    link: Link,
    session: Session,
    /// The next sequence number of the open session.
    next_sequence: u64,
    ops: BTreeMap<OpId, Operation>,
    /// Writes without a sequence number, in order.
    fresh: VecDeque<OpId>,
    /// Everything else that may be sent at once.
    ready: VecDeque<OpId>,
    /// What is sent again later.
    retries: BTreeSet<(Time, OpId)>,
    deadlines: BTreeSet<(Time, OpId)>,
    in_flight: BTreeMap<u64, OpId>,
    /// Unfinished writes by session and sequence number.
    slots: BTreeMap<(u64, u64), OpId>,
    slot_bytes: usize,
    next_request: u64,
    /// Why the cluster could not be asked so far.
    last_trouble: Option<Trouble>,
}

/// The session of new writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    None,
    Wanted { from: Time, attempts: u32 },
    Registering { request: u64, attempts: u32 },
    Open(u64),
}

#[derive(Clone, Debug)]
enum Trouble {
    Refused(Reason),
    Unreachable(String),
}

impl ClientCore {
    /// A client that has not dialled yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            random: Random::new(settings.seed),
            link: Link::new(settings.endpoints.len(), settings.timeout),
            settings,
            session: Session::None,
            next_sequence: 1,
            ops: BTreeMap::new(),
            fresh: VecDeque::new(),
            ready: VecDeque::new(),
            retries: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            slots: BTreeMap::new(),
            slot_bytes: 0,
            next_request: 1,
            last_trouble: None,
        }
    }

    /// Operations that are not done.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.ops.len()
    }

    /// When [`Self::timer`] is wanted.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        if self.ops.is_empty() {
            return None;
        }
        let takes_requests = self.link.takes_requests();
        let registration = match self.session {
            Session::Wanted { from, .. } if !self.fresh.is_empty() && takes_requests => Some(from),
            _ => None,
        };
        let retry = self.retries.first().filter(|_| takes_requests).map(|(at, _)| *at);
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        let link = self.link.next_deadline(self.is_asking());
        [registration, retry, deadline, link].into_iter().flatten().min()
    }

    /// A user wants something.
    pub fn submit(&mut self, now: Time, id: OpId, op: Op, out: &mut Vec<Output>) {
        let limit = self.settings.command_bytes_max;
        match &op {
            Op::Write(bytes) | Op::Read { query: bytes, .. } if bytes.len() > limit => {
                let (limit, size) = (limit as u64, bytes.len() as u64);
                let refused = ClientError::refused(Reason::TooLarge { limit, size });
                out.push(Output::Done(id, Err(refused)));
                return;
            }
            Op::EndSession if !matches!(self.session, Session::Open(_)) => {
                let success = Success {
                    answer: Answer::SessionEnded,
                    contacted: String::new(),
                    forwarded_to: None,
                };
                out.push(Output::Done(id, Ok(Box::new(success))));
                return;
            }
            _ => {}
        }
        let deadline = now + self.settings.timeout + op.waits_for();
        let request = RequestId(self.random.next_u128());
        let queue = if matches!(op, Op::Write(_)) { &mut self.fresh } else { &mut self.ready };
        queue.push_back(id);
        self.deadlines.insert((deadline, id));
        self.ops.insert(id, Operation::new(op, deadline, request));
        self.pump(now, out);
    }

    /// The endpoint that was dialled said welcome.
    pub fn connected(&mut self, now: Time, out: &mut Vec<Output>) {
        self.link.up(now);
        self.pump(now, out);
    }

    /// The endpoint that was dialled cannot be reached, or refused the hello.
    pub fn refused(&mut self, now: Time, error: &str, out: &mut Vec<Output>) {
        let endpoint = self.endpoint();
        self.last_trouble = Some(Trouble::Unreachable(format!("{endpoint}: {error}")));
        if !self.link.has_tried_all() {
            let error = error.into();
            out.push(Output::Notice(ClientNotice::Unreachable { endpoint, error }));
        }
        self.link.failed(now, &mut self.random);
        self.pump(now, out);
    }

    /// The connection ended.
    pub fn disconnected(&mut self, now: Time, out: &mut Vec<Output>) {
        let (endpoint, in_flight) = (self.endpoint(), self.in_flight.len());
        if in_flight > 0 {
            out.push(Output::Notice(ClientNotice::Lost { endpoint, in_flight }));
        }
        self.link.failed(now, &mut self.random);
        if let Session::Registering { attempts, .. } = self.session {
            self.session = Session::Wanted { from: now, attempts };
        }
        for id in std::mem::take(&mut self.in_flight).into_values() {
            let Some(op) = self.ops.get_mut(&id) else { continue };
            op.request = None;
            op.unknown |= !op.is_read();
            if op.may_repeat() {
                self.ready.push_back(id);
            } else {
                self.conclude(id, Err(ClientError::unknown("the connection was lost", None)), out);
            }
        }
        self.pump(now, out);
    }

    /// The server said something that is no reply: it is there.
    pub fn heard(&mut self, now: Time, out: &mut Vec<Output>) {
        self.link.heard(now);
        let held: Vec<OpId> = self.in_flight.values().copied().collect();
        for id in held {
            self.grant_patience(now, id);
        }
        self.pump(now, out);
    }

    /// A reply arrived.
    pub fn reply(&mut self, now: Time, request: u64, reply: Reply, out: &mut Vec<Output>) {
        self.link.heard(now);
        self.link.answered();
        if let Session::Registering { request: ours, attempts } = self.session
            && ours == request
        {
            self.registered(now, attempts, reply.answer, out);
        } else if let Some(id) = self.in_flight.remove(&request)
            && let Some(op) = self.ops.get_mut(&id)
        {
            op.request = None;
            self.answered(now, id, reply, out);
        }
        self.pump(now, out);
    }

    /// Time passed.
    pub fn timer(&mut self, now: Time, out: &mut Vec<Output>) {
        while let Some((at, id)) = self.deadlines.first().copied()
            && at <= now
        {
            self.time_out(id, out);
        }
        if self.link.is_silent(now, self.is_asking()) {
            out.push(Output::Close);
            if self.link.is_up() {
                self.disconnected(now, out);
            } else {
                self.refused(now, "no answer to the dial", out);
            }
        }
        self.pump(now, out);
    }

    fn endpoint(&self) -> String {
        self.settings.endpoints.get(self.link.endpoint()).cloned().unwrap_or_default()
    }

    /// Whether an answer is outstanding.
    fn is_asking(&self) -> bool {
        !self.in_flight.is_empty() || matches!(self.session, Session::Registering { .. })
    }

    /// Does all that can be done now.
    fn pump(&mut self, now: Time, out: &mut Vec<Output>) {
        if self.link.is_leaving() && !self.is_asking() {
            out.push(Output::Close);
            self.link.left();
        }
        if self.ops.is_empty() {
            return;
        }
        if let Some(endpoint) = self.link.dial(now) {
            out.push(Output::Dial(endpoint));
        }
        if let Some(nonce) = self.link.ping(now, self.is_asking()) {
            out.push(Output::Ping(nonce));
        }
        if !self.link.takes_requests() {
            return;
        }
        if !self.is_asking() {
            self.link.asks(now);
        }
        while let Some((at, id)) = self.retries.first().copied()
            && at <= now
        {
            self.retries.remove(&(at, id));
            self.ready.push_back(id);
        }
        while let Some(id) = self.ready.pop_front() {
            self.send(id, out);
        }
        self.pump_fresh(now, out);
    }

    /// Sends writes that were never sent, as the session and the window allow.
    fn pump_fresh(&mut self, now: Time, out: &mut Vec<Output>) {
        while let Some(id) = self.fresh.front().copied() {
            let Some(bytes) = self.ops.get(&id).map(Operation::command_bytes) else {
                self.fresh.pop_front();
                continue;
            };
            let session = match self.session {
                Session::Open(session) => session,
                Session::None => return self.register(0, out),
                Session::Wanted { from, attempts } if from <= now => {
                    return self.register(attempts, out);
                }
                Session::Wanted { .. } | Session::Registering { .. } => return,
            };
            let sequence = self.next_sequence;
            let is_full = sequence >= self.lowest_unacknowledged(session) + WINDOW_MAX
                || (self.slot_bytes > 0 && self.slot_bytes + bytes > WINDOW_BYTES_MAX);
            if is_full {
                return;
            }
            self.fresh.pop_front();
            self.next_sequence += 1;
            self.slots.insert((session, sequence), id);
            self.slot_bytes += bytes;
            if let Some(op) = self.ops.get_mut(&id) {
                op.slot = Some((session, sequence));
            }
            self.send(id, out);
        }
    }

    fn register(&mut self, attempts: u32, out: &mut Vec<Output>) {
        let request = self.take_request();
        self.session = Session::Registering { request, attempts };
        let body = Request::Register { one_shot: self.settings.one_shot };
        out.push(Output::Send { request, body });
    }

    fn take_request(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request - 1
    }

    fn lowest_unacknowledged(&self, session: u64) -> u64 {
        let mut of_session = self.slots.range((session, 0)..=(session, u64::MAX));
        of_session.next().map_or(self.next_sequence, |((_, sequence), _)| *sequence)
    }

    fn send(&mut self, id: OpId, out: &mut Vec<Output>) {
        let open = self.session;
        let Some(op) = self.ops.get_mut(&id).filter(|op| op.request.is_none()) else {
            return;
        };
        // A sequence number of a session that is gone: a new one, unless an attempt may have
        // been carried out under the old.
        if let Some((session, _)) = op.slot
            && open != Session::Open(session)
            && !op.unknown
        {
            self.free_slot(id);
            self.fresh.push_front(id);
            return;
        }
        let slot_session = op.slot.map(|(session, _)| session);
        let lowest = slot_session.map_or(0, |session| self.lowest_unacknowledged(session));
        let request = self.take_request();
        let Some(op) = self.ops.get_mut(&id) else { return };
        let Some(body) = op.body(lowest, open) else {
            // Only the end of a session that is gone has nothing to say.
            let success = Success {
                answer: Answer::SessionEnded,
                contacted: self.endpoint(),
                forwarded_to: None,
            };
            self.conclude(id, Ok(success), out);
            return;
        };
        (op.sent, op.request) = (true, Some(request));
        self.in_flight.insert(request, id);
        out.push(Output::Send { request, body });
    }
}
