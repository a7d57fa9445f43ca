//! Every member state, message and chronicle once, under a number.
//!
//! A state of the world is a handful of these numbers, so that it takes a few dozen bytes; and
//! what an event does to a member is computed once, however many worlds that member is in. Both
//! together make the search fast: the core runs once in some hundred transitions.

use std::collections::BTreeMap;
use std::hash::Hash;

use raft_core::{Message, NodeId, RoleKind};

use super::action::Action;
use super::fingerprint::fingerprint;
use super::member::{Envelope, Event, Member, Setting};
use super::rules::Chronicle;
use super::table::Pairs;

/// Other names for all members: `names[id - 1]`.
pub(super) type Renaming = Vec<NodeId>;

/// Values of one kind, with their fingerprints under every renaming.
pub(super) struct Shelf<T> {
    pub(super) values: Vec<T>,
    prints: Vec<u128>,
    numbers: BTreeMap<u128, u32>,
    renamings: usize,
}

/// What an event does to a member.
pub(super) struct Outcome {
    /// What becomes of the member.
    pub(super) next: u32,
    /// What it sends, in order.
    pub(super) sent: Vec<u32>,
    /// Whether anything that concerns the others may have changed: [`Chronicle::watch`].
    pub(super) notable: bool,
    /// Which of its own rules it breaks.
    pub(super) broken: Option<String>,
}

/// What of a member decides which messages are dead.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) durable_term: u64,
    pub(super) term: u64,
    pub(super) role: RoleKind,
}

/// What a search asks about a member all the time.
#[derive(Clone, Copy)]
pub(super) struct Glance {
    pub(super) standing: Standing,
    pub(super) writes: bool,
    /// It follows a leader, and may or may not be loyal to it.
    pub(super) follows: bool,
    pub(super) hands_over: bool,
    /// For which peers it reads its log, a bit for each.
    pub(super) reads: u8,
}

/// What of a message decides whether it is dead, and how it is delivered.
#[derive(Clone, Copy)]
pub(super) struct Label {
    pub(super) from: usize,
    pub(super) to: usize,
    kind: Kind,
    term: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    PreVote,
    PreVoteResponse,
    RequestVote,
    VoteResponse,
    VoteRefused,
    Append,
    AppendResponse,
    TimeoutNow,
    Read,
}

pub(super) struct Catalog {
    pub(super) setting: Setting,
    pub(super) members: Shelf<Member>,
    pub(super) envelopes: Shelf<Envelope>,
    pub(super) chronicles: Shelf<Chronicle>,
    pub(super) glances: Vec<Glance>,
    pub(super) labels: Vec<Label>,
    pub(super) outcomes: Vec<Outcome>,
    known: Pairs,
    renamings: Vec<Renaming>,
    terms: u64,
}

impl<T> Shelf<T> {
    fn new(renamings: usize) -> Self {
        Self { values: Vec::new(), prints: Vec::new(), numbers: BTreeMap::new(), renamings }
    }

    /// The fingerprints of a value, one for each renaming.
    pub(super) fn prints(&self, number: u32) -> &[u128] {
        let at = number as usize * self.renamings;
        &self.prints[at..at + self.renamings]
    }

    pub(super) fn get(&self, number: u32) -> &T {
        &self.values[number as usize]
    }

    /// The number of a value; says whether it is new.
    fn number(&mut self, value: T, renamings: &[Renaming]) -> (u32, bool)
    where
        T: Clone + Hash + Named,
    {
        let own = fingerprint(T::KIND, &value);
        if let Some(&number) = self.numbers.get(&own) {
            return (number, false);
        }
        let number = self.values.len() as u32;
        self.numbers.insert(own, number);
        for names in renamings {
            let mut other = value.clone();
            other.rename(&|id| names.get(id.0 as usize - 1).copied().unwrap_or(id));
            self.prints.push(fingerprint(T::KIND, &other));
        }
        self.values.push(value);
        (number, true)
    }
}

/// What speaks of members by name.
trait Named {
    /// Keeps fingerprints of different types apart.
    const KIND: u64;
    /// The same, where members have other names.
    fn rename(&mut self, names: &dyn Fn(NodeId) -> NodeId);
}

impl Named for Member {
    const KIND: u64 = 1;
    fn rename(&mut self, names: &dyn Fn(NodeId) -> NodeId) {
        self.rename(names);
    }
}

impl Named for Envelope {
    const KIND: u64 = 2;
    fn rename(&mut self, names: &dyn Fn(NodeId) -> NodeId) {
        self.rename(names);
    }
}

impl Named for Chronicle {
    const KIND: u64 = 3;
    fn rename(&mut self, names: &dyn Fn(NodeId) -> NodeId) {
        self.rename(names);
    }
}

impl Catalog {
    pub(super) fn new(setting: Setting, renamings: Vec<Renaming>, terms: u64) -> Self {
        let count = renamings.len();
        Self {
            setting,
            members: Shelf::new(count),
            envelopes: Shelf::new(count),
            chronicles: Shelf::new(count),
            glances: Vec::new(),
            labels: Vec::new(),
            outcomes: Vec::new(),
            known: Pairs::default(),
            renamings,
            terms,
        }
    }

    pub(super) fn member(&mut self, member: Member) -> u32 {
        let glance = Glance::of(&member);
        let (number, new) = self.members.number(member, &self.renamings);
        if new {
            self.glances.push(glance);
        }
        number
    }

    fn envelope(&mut self, envelope: Envelope) -> u32 {
        let label = Label::of(&envelope);
        let (number, new) = self.envelopes.number(envelope, &self.renamings);
        if new {
            self.labels.push(label);
        }
        number
    }

    pub(super) fn chronicle(&mut self, chronicle: Chronicle) -> u32 {
        self.chronicles.number(chronicle, &self.renamings).0
    }

    /// What an action does to a member.
    pub(super) fn outcome(&mut self, member: u32, action: Action) -> u32 {
        if let Some(known) = self.known.get(member, action.0) {
            return known;
        }
        let mut next = self.members.get(member).clone();
        let event = match action.message() {
            Some((envelope, late)) => {
                Some(Event::Deliver { envelope: self.envelopes.get(envelope), late })
            }
            None => action.event(),
        };
        let result = event.map_or(Ok(Vec::new()), |event| next.on(event, &self.setting));
        let (sent, broken) = match result {
            Ok(sent) => (sent, None),
            Err(broken) => (Vec::new(), Some(broken)),
        };
        let sent: Vec<u32> = sent.into_iter().map(|sent| self.envelope(sent)).collect();
        let before = self.members.get(member);
        let acknowledges = |&sent: &u32| self.labels[sent as usize].kind == Kind::AppendResponse;
        let notable = next.log != before.log
            || next.disk.log != before.disk.log
            || next.commit() != before.commit()
            || (next.leads, next.term()) != (before.leads, before.term()) && next.leads
            || sent.iter().any(acknowledges);
        let next = if broken.is_some() { member } else { self.member(next) };
        let number = self.outcomes.len() as u32;
        self.outcomes.push(Outcome { next, sent, notable, broken });
        self.known.insert(member, action.0, number);
        number
    }

    /// Whether a message is of no use any more. A term on a disk never falls, so what is said here
    /// of one that is there remains so, through crashes too; `passed` is such.
    ///
    /// - An answer to appends or to a request for a vote concerns who leads, or asks, in its term.
    ///   Who has that term on its disk and does neither will never: it would campaign in a higher
    ///   one. All that is left is to teach the term, which is known.
    /// - A refused vote or pre-vote teaches its term. Besides, it can take back a grant that was
    ///   counted: that is the world in which the grant has not arrived yet.
    /// - A granted pre-vote counts in the term below its own only.
    /// - An order to campaign, and any request, of a term below the receiver's own is not obeyed.
    ///   A request is still refused, which teaches the sender the receiver's term: not if the
    ///   sender knows the last one. The refusal may take the place of one that waits for the disk,
    ///   which is the world in which the latter is never delivered.
    pub(super) fn is_dead(&self, envelope: u32, standings: &[Standing]) -> bool {
        let label = self.labels[envelope as usize];
        let (to, from) = (standings[label.to], standings[label.from]);
        let leads_now = to.role == RoleKind::Leader && to.term == label.term;
        let asks_now = to.role == RoleKind::Candidate && to.term == label.term;
        let passed = to.durable_term >= label.term;
        match label.kind {
            Kind::AppendResponse => passed && !leads_now && !asks_now,
            Kind::VoteResponse => passed && !asks_now,
            Kind::VoteRefused => passed,
            Kind::PreVoteResponse => passed,
            Kind::TimeoutNow => to.durable_term > label.term,
            Kind::Read => false,
            Kind::PreVote | Kind::RequestVote | Kind::Append => {
                to.durable_term > label.term
                    && from.durable_term >= self.terms
                    && from.role != RoleKind::Candidate
            }
        }
    }

    /// Whether delivering it would make a member campaign, in a term of its own choice.
    pub(super) fn is_order_to_campaign(&self, envelope: u32) -> bool {
        self.labels[envelope as usize].kind == Kind::TimeoutNow
    }

    pub(super) fn is_vote_request(&self, envelope: u32) -> bool {
        matches!(self.labels[envelope as usize].kind, Kind::RequestVote | Kind::PreVote)
    }

    /// About how much memory this takes.
    pub(super) fn bytes(&self) -> usize {
        let sent: usize = self.outcomes.iter().map(|o| o.sent.capacity() * 4).sum();
        self.known.bytes()
            + self.outcomes.capacity() * size_of::<Outcome>()
            + sent
            + self.members.values.len() * (MEMBER_BYTES + 24 * self.renamings.len())
    }
}

/// About what a member's state takes with everything that it owns.
const MEMBER_BYTES: usize = 2048;

impl Glance {
    fn of(member: &Member) -> Self {
        let role = member.role();
        Self {
            standing: Standing {
                durable_term: member.disk.hard_state.term.0,
                term: member.term().0,
                role,
            },
            writes: member.writes(),
            follows: role == RoleKind::Follower && member.raft.leader().is_some(),
            hands_over: member.raft.handing_over().is_some(),
            reads: member.reads().fold(0, |reads, id| reads | 1 << (id.0 - 1)),
        }
    }
}

impl Label {
    fn of(envelope: &Envelope) -> Self {
        let kind = match &envelope.message {
            Message::PreVote(_) => Kind::PreVote,
            Message::PreVoteResponse(_) => Kind::PreVoteResponse,
            Message::RequestVote(_) => Kind::RequestVote,
            Message::RequestVoteResponse(answer) if answer.refusal.is_some() => Kind::VoteRefused,
            Message::RequestVoteResponse(_) => Kind::VoteResponse,
            Message::AppendEntries(_) => Kind::Append,
            Message::AppendEntriesResponse(_) => Kind::AppendResponse,
            Message::TimeoutNow { .. } => Kind::TimeoutNow,
            Message::ReadIndex(_) | Message::ReadIndexResponse(_) => Kind::Read,
        };
        let place = |id: NodeId| id.0 as usize - 1;
        let (from, to) = (place(envelope.from), place(envelope.to));
        Self { from, to, kind, term: envelope.message.term().0 }
    }
}
