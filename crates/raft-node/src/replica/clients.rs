//! What clients ask: admission, the batch of this call, who waits for which entry, and what is
//! passed on to the leader.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Deref;

use bytes::Bytes;
use raft_core::{Index, Input, LogId, NodeId, RequestId, Term, Time};
use raft_log::{Kind, LogBuffer, encoded_len};

use super::queries::Question;
use super::{Context, Effect, Origin, Replica};
use crate::payload::COMMAND_HEADER_BYTES;
use crate::protocol::{Answer, MemberChange, Outcome, Reason, Refusal, Reply, Request};
use crate::sessions::{Fate, RequestName};

/// Requests under way at this member.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) id: NodeId,
    /// Admitted, proposed at the end of the call.
    batch: Vec<Queued>,
    /// In the log, by rising index; answered when applied.
    pending: VecDeque<Pending>,
    pending_bytes: u64,
    /// Membership changes by request: what was asked for, and who waits.
    pub(super) changes: BTreeMap<RequestId, (MemberChange, Vec<Origin>)>,
    pub(super) transfers: Vec<Origin>,
    forwards: BTreeMap<u64, Forwarded>,
    pub(super) meetings: BTreeMap<u64, Meeting>,
    /// Peers with an outbound connection.
    pub(super) linked: BTreeSet<NodeId>,
    /// Who leads next, because there is room that this member lacks.
    pub(super) heir: Option<NodeId>,
    next: u64,
    stopping: bool,
}

#[derive(Debug)]
struct Queued {
    origin: Origin,
    kind: Kind,
    header: Header,
    command: Bytes,
}

/// What stands before the client's own bytes in an entry, in place.
#[derive(Clone, Copy, Debug)]
struct Header {
    bytes: [u8; COMMAND_HEADER_BYTES],
    length: usize,
}

impl Header {
    /// A byte and numbers, or numbers alone: at most as much as a command's.
    fn new(first: Option<u8>, numbers: &[u64]) -> Self {
        let mut header = Self { bytes: [0; COMMAND_HEADER_BYTES], length: 0 };
        let mut put = |part: &[u8]| {
            header.bytes[header.length..header.length + part.len()].copy_from_slice(part);
            header.length += part.len();
        };
        first.into_iter().for_each(|first| put(&[first]));
        numbers.iter().for_each(|number| put(&number.to_le_bytes()));
        header
    }
}

impl Deref for Header {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[derive(Debug)]
struct Pending {
    index: Index,
    term: Term,
    origin: Origin,
    bytes: u64,
}

#[derive(Debug)]
struct Forwarded {
    origin: Origin,
    to: NodeId,
    /// Where leadership shall go, if that is what was asked.
    transfer: Option<Option<String>>,
}

#[derive(Debug)]
pub(super) struct Meeting {
    pub(super) origin: Origin,
    pub(super) request: RequestId,
    pub(super) change: MemberChange,
}

impl Queued {
    fn of_session(origin: Origin, what: u8, numbers: &[u64]) -> Self {
        let header = Header::new(Some(what), numbers);
        Self { origin, kind: Kind::SESSION, header, command: Bytes::new() }
    }

    fn size(&self) -> usize {
        encoded_len(self.header.len() + self.command.len())
    }

    fn ends_session(&self) -> bool {
        self.kind == Kind::SESSION && self.header.first() == Some(&2)
    }
}

pub(super) fn reply(origin: Origin, answer: Answer) -> Effect {
    Effect::Reply { origin, reply: Reply { answer, forwarded_to: None } }
}

pub(super) fn refuse(origin: Origin, outcome: Outcome, reason: Reason) -> Effect {
    reply(origin, Answer::Refused(Refusal { outcome, reason }))
}

impl Replica {
    pub(super) fn request(
        &mut self,
        now: Time,
        origin: Origin,
        request: Request,
        fx: &mut Vec<Effect>,
    ) {
        if let Request::Status | Request::Recent { .. } | Request::Why = &request {
            let answer = match request {
                Request::Recent { after, tail } => {
                    Answer::Recent(Box::new(self.recent(after, tail)))
                }
                Request::Why => Answer::Why(Box::new(self.testimony(now))),
                _ => Answer::Status(Box::new(self.status())),
            };
            fx.push(reply(origin, answer));
            return;
        }
        if request == Request::Snapshot {
            self.snapshot_asked(origin);
            return;
        }
        if self.clients.stopping {
            fx.push(refuse(origin, Outcome::NotApplied, Reason::ShuttingDown));
            return;
        }
        if let Request::Read { query, consistency, news } = request {
            self.read(now, origin, Question { query, consistency, news }, fx);
            return;
        }
        if !self.raft.is_leader() {
            self.forward(origin, request, fx);
            return;
        }
        match request {
            Request::Status
            | Request::Recent { .. }
            | Request::Why
            | Request::Read { .. }
            | Request::Snapshot => {}
            Request::Members => fx.push(reply(origin, Answer::Members(self.members_view()))),
            Request::Register { one_shot } => {
                self.admit(Queued::of_session(origin, u8::from(one_shot), &[]), fx);
            }
            Request::EndSession { session } => {
                self.admit(Queued::of_session(origin, 2, &[session]), fx);
            }
            Request::Write { session, sequence, lowest_unacknowledged, command } => {
                // A repetition of what is applied gets the first answer without another entry.
                if let Some((at, response)) = self.machine.answer(session, sequence) {
                    fx.push(reply(origin, Answer::Written { at, response }));
                    return;
                }
                let header = Header::new(None, &[session, sequence, lowest_unacknowledged]);
                self.admit(Queued { origin, kind: Kind::COMMAND, header, command }, fx);
            }
            Request::Result(name) => self.result(origin, name, fx),
            Request::Change { request, change } => {
                self.change_members(now, (origin, request, change), fx);
            }
            Request::Transfer { to } => self.transfer(now, origin, to, fx),
        }
    }

    /// What became of a request.
    fn result(&mut self, origin: Origin, name: RequestName, fx: &mut Vec<Effect>) {
        if let Some((at, response)) = self.machine.answer(name.session, name.sequence) {
            fx.push(reply(origin, Answer::Fate(Fate::Applied { at, response })));
            return;
        }
        // Anything else is true only from an entry on.
        self.admit(Queued::of_session(origin, 3, &[name.session, name.sequence]), fx);
    }

    /// Passes a request on to the leader, once.
    fn forward(&mut self, origin: Origin, request: Request, fx: &mut Vec<Effect>) {
        let leader = self.raft.leader().filter(|id| *id != self.clients.id);
        let named = leader.and_then(|id| self.address_of(id)).map(str::to_owned);
        let refusal = match leader {
            Some(to) if !origin.forwarded && self.clients.linked.contains(&to) => {
                let number = self.clients.number();
                let transfer = match &request {
                    Request::Transfer { to } => Some(to.clone()),
                    _ => None,
                };
                self.clients.forwards.insert(number, Forwarded { origin, to, transfer });
                fx.push(Effect::Forward { to, request: number, body: request });
                return;
            }
            Some(_) => Reason::NotLeader { leader: named },
            None => Reason::NoLeader,
        };
        fx.push(refuse(origin, Outcome::NotApplied, refusal));
    }

    /// Queues a request for the log, or refuses it before anything is appended: every refusal
    /// here is definite.
    fn admit(&mut self, queued: Queued, fx: &mut Vec<Effect>) {
        match self.inadmissible(&queued) {
            Some(reason) => fx.push(refuse(queued.origin, Outcome::NotApplied, reason)),
            None => {
                self.clients.pending_bytes += queued.size() as u64;
                self.clients.batch.push(queued);
            }
        }
    }

    fn inadmissible(&mut self, queued: &Queued) -> Option<Reason> {
        let size = queued.command.len() as u64;
        let limit = self.limits.command_bytes_max;
        if size > limit {
            return Some(Reason::TooLarge { limit, size });
        }
        let uncommitted = self.clients.pending_bytes;
        if queued.kind == Kind::COMMAND
            && let Err(reason) = self.machine.admits(&queued.command, uncommitted)
        {
            return Some(reason);
        }
        let wanted = self.room_for(queued);
        if !self.has_room(wanted) {
            return Some(self.no_room(wanted));
        }
        let held = self.buffer.bytes();
        let max = self.limits.uncommitted_bytes_max;
        if uncommitted > max || held > 3 * max {
            return Some(Reason::Busy {
                what: "the log has too much that is not committed".into(),
            });
        }
        let unapplied = self.raft.commit_index().0.saturating_sub(self.machine.applied().0);
        if unapplied > self.limits.unapplied_entries_max {
            return Some(Reason::Busy { what: "the state machine lags".into() });
        }
        None
    }

    /// Ending a session frees memory: it has the use of the reserve. What was admitted before has
    /// a claim on the room that is left.
    fn room_for(&self, queued: &Queued) -> u64 {
        let reserve = if queued.ends_session() { 0 } else { self.limits.reserved_log_bytes };
        queued.size() as u64 + self.clients.pending_bytes + reserve
    }

    /// Everything that was admitted in this call goes into the log as one batch.
    pub(super) fn propose(&mut self, now: Time, fx: &mut Vec<Effect>) {
        if self.clients.batch.is_empty() {
            return;
        }
        let size = |queued: &Queued| u32::try_from(queued.size()).unwrap_or(u32::MAX);
        let sizes = self.clients.batch.iter().map(size).collect();
        self.core(now, Input::Propose { sizes }, &Context::default(), fx);
    }
}

impl Clients {
    pub(super) fn new(id: NodeId) -> Self {
        Self {
            id,
            batch: Vec::new(),
            pending: VecDeque::new(),
            pending_bytes: 0,
            changes: BTreeMap::new(),
            transfers: Vec::new(),
            forwards: BTreeMap::new(),
            meetings: BTreeMap::new(),
            linked: BTreeSet::new(),
            heir: None,
            next: 0,
            stopping: false,
        }
    }

    /// The batch is in the log: its bytes are made here, and its origins wait for their indexes.
    pub(super) fn proposed(&mut self, first: LogId, count: u64, buffer: &mut LogBuffer) {
        buffer.truncate_from(first.index);
        let batch = self.batch.drain(..).take(count as usize);
        for (offset, queued) in batch.enumerate() {
            let index = buffer.append(first.term, queued.kind, &[&queued.header, &queued.command]);
            debug_assert_eq!(index.0, first.index.0 + offset as u64);
            let bytes = queued.size() as u64;
            self.pending.push_back(Pending {
                index,
                term: first.term,
                origin: queued.origin,
                bytes,
            });
        }
    }

    pub(super) fn refuse_batch(&mut self, reason: &Reason, fx: &mut Vec<Effect>) {
        for queued in self.batch.drain(..) {
            self.pending_bytes -= queued.size() as u64;
            fx.push(refuse(queued.origin, Outcome::NotApplied, reason.clone()));
        }
    }

    /// The entry at this index and term is applied: whoever proposed it gets the answer.
    pub(super) fn answer(
        &mut self,
        index: Index,
        term: Term,
        answer: Option<Answer>,
        fx: &mut Vec<Effect>,
    ) {
        let Some(waiting) = self.pending.pop_front_if(|pending| pending.index <= index) else {
            return;
        };
        self.pending_bytes -= waiting.bytes;
        match answer {
            Some(answer) if waiting.index == index && waiting.term == term => {
                fx.push(reply(waiting.origin, answer));
            }
            _ => fx.push(refuse(waiting.origin, Outcome::Unknown, Reason::LeaderLost)),
        }
    }

    /// What was appended under the lost leadership may still commit: nobody knows.
    pub(super) fn lost_leadership(&mut self, fx: &mut Vec<Effect>) {
        for pending in self.pending.drain(..) {
            self.pending_bytes -= pending.bytes;
            fx.push(refuse(pending.origin, Outcome::Unknown, Reason::LeaderLost));
        }
        for (_, meeting) in std::mem::take(&mut self.meetings) {
            fx.push(refuse(
                meeting.origin,
                Outcome::NotApplied,
                Reason::NotLeader { leader: None },
            ));
        }
    }

    pub(super) fn change_unknown(&mut self, request: RequestId, fx: &mut Vec<Effect>) {
        let origins = self.changes.remove(&request).map(|(_, origins)| origins);
        for origin in origins.into_iter().flatten() {
            fx.push(refuse(origin, Outcome::Unknown, Reason::LeaderLost));
        }
    }

    /// Leadership went to this member, or to nobody in time; `leads` says whether it stayed here.
    pub(super) fn transfer_ended(&mut self, to: Option<String>, leads: bool, fx: &mut Vec<Effect>) {
        for origin in self.transfers.drain(..) {
            fx.push(match &to {
                Some(to) => reply(origin, Answer::Transferred { to: to.clone() }),
                None if !leads => refuse(origin, Outcome::Unknown, Reason::LeaderLost),
                None => {
                    let why = "no other voter took over in time and leadership stays where it \
                               was; see that the others run and keep up";
                    refuse(origin, Outcome::NotApplied, Reason::Invalid(why.into()))
                }
            });
        }
    }

    pub(super) fn forward_reply(
        &mut self,
        number: u64,
        mut reply: Reply,
        leader: Option<String>,
        fx: &mut Vec<Effect>,
    ) {
        if let Some(Forwarded { origin, .. }) = self.forwards.remove(&number) {
            reply.forwarded_to = leader;
            fx.push(Effect::Reply { origin, reply });
        }
    }

    pub(super) fn linked(&mut self, peer: NodeId) {
        self.linked.insert(peer);
    }

    /// What was passed on over this connection may or may not have arrived.
    pub(super) fn lost_link(&mut self, peer: NodeId, fx: &mut Vec<Effect>) {
        self.linked.remove(&peer);
        self.give_up_forwards(|forwarded| forwarded.to == peer, fx);
    }

    /// What was passed on to somebody who leads no more is not waited for: a leader that stands
    /// still may never answer.
    ///
    /// A transfer is answered by the next leader's being there.
    pub(super) fn leader_is(&mut self, leader: Option<(NodeId, String)>, fx: &mut Vec<Effect>) {
        let at = leader.as_ref().map(|(id, _)| *id);
        let Some((_, address)) = leader else {
            return self.give_up_forwards(|forwarded| forwarded.transfer.is_none(), fx);
        };
        let meant = |wanted: &Option<String>| wanted.as_ref().is_none_or(|to| *to == address);
        let done = self.forwards.extract_if(.., |_, forwarded| {
            Some(forwarded.to) != at && forwarded.transfer.as_ref().is_some_and(meant)
        });
        let to = || Answer::Transferred { to: address.clone() };
        fx.extend(done.map(|(_, forwarded)| reply(forwarded.origin, to())));
        self.give_up_forwards(|forwarded| Some(forwarded.to) != at, fx);
    }

    fn give_up_forwards(&mut self, lost: impl Fn(&Forwarded) -> bool, fx: &mut Vec<Effect>) {
        let lost = self.forwards.extract_if(.., |_, forwarded| lost(forwarded));
        fx.extend(
            lost.map(|(_, forwarded)| {
                refuse(forwarded.origin, Outcome::Unknown, Reason::LeaderLost)
            }),
        );
    }

    /// Nobody waits on this connection any more.
    pub(super) fn gone(&mut self, connection: u64) {
        self.forwards.retain(|_, forwarded| forwarded.origin.connection != connection);
        self.transfers.retain(|origin| origin.connection != connection);
        for (_, origins) in self.changes.values_mut() {
            origins.retain(|origin| origin.connection != connection);
        }
    }

    pub(super) fn owes_answers(&self) -> bool {
        !self.pending.is_empty() || !self.forwards.is_empty()
    }

    pub(super) const fn stop(&mut self) {
        self.stopping = true;
    }

    pub(super) const fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
