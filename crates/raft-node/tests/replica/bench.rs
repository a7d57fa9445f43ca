//! The replica of one member and its surroundings, in short words.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use raft_core::{
    AppendEntries, AppendEntriesResponse, AppendResult, Config, Index, Lane, LogId, Member,
    Membership, Message, NodeId, Recovered, Term, Ticket, Time, VoteResponse,
};
use raft_log::{Entry, Kind, Write, decode_entries, encode_entry};
use raft_node::protocol::{Answer, Consistency, News, ReadAnswer, Refusal, Request};
use raft_node::replica::{Chunk, Effect, Event, Limits, Machine, Origin, Replica, metas};
use raft_node::{Applied, Apply, Command, Fill, NotAdmitted, Show, Snapshot, Wire};

pub(crate) const N1: NodeId = NodeId(1);
pub(crate) const N2: NodeId = NodeId(2);
pub(crate) const N3: NodeId = NodeId(3);

/// Answers every command with how many there were, and shows it; remembers whether that was
/// wanted, and does not care.
#[derive(Default)]
struct Counter(u64, Arc<Mutex<Vec<bool>>>);

impl Apply for Counter {
    fn apply(&mut self, command: Command<'_>) -> Applied {
        self.0 += 1;
        self.1.lock().expect("nobody panics").push(command.lines_wanted);
        let text = Bytes::from(self.0.to_string());
        Applied { response: text.clone(), lines: vec![Show::Text(text)] }
    }

    fn query(&self, _: &[u8]) -> Bytes {
        self.0.to_bytes()
    }

    fn version(&self) -> u64 {
        self.0
    }

    fn snapshot(&self) -> Box<dyn Snapshot> {
        Box::new(self.0.to_bytes())
    }

    /// Only who asks for what is rare is not woken by everything.
    fn has_news(&self, query: &Bytes, since: u64) -> bool {
        let every = if query == "tens" { 10 } else { 1 };
        self.0 / every > since / every
    }

    fn admits(&self, command: &Bytes, ahead: u64) -> Result<(), NotAdmitted> {
        match &command[..] {
            b"too much" => Err(NotAdmitted::Full("the counter is full".into())),
            b"much" if ahead > 0 => Err(NotAdmitted::Undecided("it may be full soon".into())),
            b"nonsense" => Err(NotAdmitted::Invalid("it is no command".into())),
            _ => Ok(()),
        }
    }

    fn fills(&self) -> Vec<Fill> {
        vec![Fill { what: "counter".into(), bytes: self.0, bytes_max: 9 }]
    }

    fn fresh(&self) -> Box<dyn Apply> {
        Box::new(Self(0, Arc::clone(&self.1)))
    }

    fn restore(&mut self, from: &mut dyn io::Read) -> io::Result<()> {
        let mut count = [0; 8];
        io::Read::read_exact(from, &mut count)?;
        self.0 = u64::from_le_bytes(count);
        Ok(())
    }
}

pub(crate) fn founders() -> Membership {
    let member = |n: u64| Member { address: format!(":999{n}"), incarnation: u128::from(n) };
    Membership::founding([N1, N2, N3].map(|id| (id, member(id.0))).into())
}

/// The replica of n1, and what it was last asked to do.
pub(crate) struct Bench {
    pub(crate) replica: Replica,
    pub(crate) now: u64,
    pub(crate) effects: Vec<Effect>,
    pub(crate) writes: Vec<(Ticket, Write)>,
    requests: u64,
    pub(crate) wanted: Arc<Mutex<Vec<bool>>>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default(), Index(0))
    }

    pub(crate) fn with(limits: Limits, shown: Index) -> Self {
        let recovered = Recovered {
            memberships: vec![(Index(0), Arc::new(founders()))],
            ..Recovered::default()
        };
        let counter = Counter::default();
        let wanted = Arc::clone(&counter.1);
        let machine = Machine::new(Box::new(counter), shown, founders());
        let replica = Replica::new(Config::new(N1), recovered, machine, limits, 1, Time(0));
        Self { replica, now: 0, effects: vec![], writes: vec![], requests: 0, wanted }
    }

    pub(crate) fn step(&mut self, events: Vec<Event>) {
        self.effects.clear();
        self.replica.step(Time(self.now), events, &mut self.effects);
        let mut writes = 0;
        for effect in &self.effects {
            if let Effect::Write { ticket, write } = effect {
                self.writes.push((*ticket, write.clone()));
                writes += 1;
            }
        }
        assert!(writes <= 1, "one persist operation for a call");
    }

    pub(crate) fn persisted(&mut self) {
        if let Some((ticket, _)) = self.writes.last() {
            let ticket = *ticket;
            self.step(vec![Event::Persisted(ticket)]);
        }
    }

    pub(crate) fn hear(&mut self, from: NodeId, message: Message, chunk: Chunk) {
        self.step(vec![heard(from, message, chunk)]);
    }

    /// n3 leads term 3 already.
    pub(crate) fn hear_next_leader(&mut self) {
        let append = AppendEntries {
            term: Term(3),
            prev_log_id: LogId::default(),
            entries: vec![],
            commit_index: Index(0),
            round: 0,
        };
        self.hear(N3, Message::AppendEntries(append), Chunk::default());
    }

    /// n1 leads term 1, with its no-op committed and applied.
    pub(crate) fn leading() -> Self {
        let mut bench = Self::new();
        bench.lead();
        bench
    }

    pub(crate) fn lead(&mut self) {
        let link = |peer, lane| Event::Link { peer, lane, up: true };
        self.step([N2, N3].map(|peer| link(peer, Lane::Outbound)).into());
        self.now = self.replica.next_deadline().expect("a deadline").0;
        self.step(vec![Event::Timer]);
        let grant = VoteResponse { term: Term(1), refusal: None };
        self.hear(N2, Message::PreVoteResponse(grant), Chunk::default());
        self.persisted();
        self.hear(N2, Message::RequestVoteResponse(grant), Chunk::default());
        assert!(self.replica.raft().is_leader());
        self.persisted();
        self.matched(N2, 1);
        assert_eq!(self.replica.applied_index(), Index(1));
    }

    pub(crate) fn matched(&mut self, from: NodeId, index: u64) {
        self.confirmed(from, index, 0);
    }

    /// This member confirms entries, and a round of reads.
    pub(crate) fn confirmed(&mut self, from: NodeId, index: u64, round: u64) {
        let response = AppendEntriesResponse {
            term: self.replica.raft().status().term,
            result: AppendResult::Match(Index(index)),
            last_index: Index(index),
            commit_index: Index(0),
            round,
        };
        self.hear(from, Message::AppendEntriesResponse(response), Chunk::default());
    }

    /// The other two say how much room they have.
    pub(crate) fn peers_have(&mut self, n2: u64, n3: u64) {
        for (from, free_log_bytes) in [(N2, n2), (N3, n3)] {
            let response = AppendEntriesResponse {
                term: Term(1),
                result: AppendResult::Match(Index(2)),
                last_index: Index(2),
                commit_index: Index(0),
                round: 0,
            };
            let message = Message::AppendEntriesResponse(response);
            let chunk = Chunk::default();
            self.step(vec![Event::Message { from, message, chunk, free_log_bytes }]);
        }
    }

    /// n2 leads term 2 from now on and has sent these entries.
    pub(crate) fn follow(&mut self, prev: LogId, entries: &[(Kind, &[u8])], commit: u64) {
        self.step(vec![self.append(prev, entries, commit)]);
    }

    pub(crate) fn append(&self, prev: LogId, entries: &[(Kind, &[u8])], commit: u64) -> Event {
        let mut bytes = Vec::new();
        for (index, (kind, payload)) in (prev.index.0 + 1..).zip(entries) {
            bytes.extend_from_slice(&encode_entry(Index(index), Term(2), *kind, &[payload]));
        }
        let bytes = Bytes::from(bytes);
        let entries: Vec<Entry> = decode_entries(&bytes).expect("they were encoded here");
        let append = AppendEntries {
            term: Term(2),
            prev_log_id: prev,
            entries: metas(&entries).expect("no configurations"),
            commit_index: Index(commit),
            round: 0,
        };
        heard(N2, Message::AppendEntries(append), Chunk { entries, bytes: vec![bytes] })
    }

    pub(crate) fn ask(&mut self, request: Request) -> Origin {
        let (event, origin) = self.asked(request);
        self.step(vec![event]);
        origin
    }

    pub(crate) fn asked(&mut self, request: Request) -> (Event, Origin) {
        self.requests += 1;
        let origin =
            Origin { connection: 7, request: self.requests, forwarded: false, since_us: 0 };
        (Event::Request { origin, request }, origin)
    }

    pub(crate) fn session(&mut self) -> u64 {
        let origin = self.ask(Request::Register { one_shot: false });
        self.persisted();
        let last = self.replica.raft().last_log_id().index.0;
        self.matched(N2, last);
        match self.answer(origin) {
            Some(Answer::Registered { session }) => session,
            other => panic!("no session: {other:?}"),
        }
    }

    pub(crate) fn answer(&self, to: Origin) -> Option<Answer> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Reply { origin, reply } if *origin == to => Some(reply.answer.clone()),
            _ => None,
        })
    }

    pub(crate) fn refusal(&self, to: Origin) -> Refusal {
        match self.answer(to) {
            Some(Answer::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) fn shown(&self) -> usize {
        self.effects.iter().filter(|effect| matches!(effect, Effect::Show { .. })).count()
    }
}

pub(crate) fn heard(from: NodeId, message: Message, chunk: Chunk) -> Event {
    Event::Message { from, message, chunk, free_log_bytes: u64::MAX }
}

pub(crate) fn write(session: u64, sequence: u64, command: &'static [u8]) -> Request {
    let command = Bytes::from_static(command);
    Request::Write { session, sequence, lowest_unacknowledged: 1, command }
}

pub(crate) fn read(consistency: Consistency) -> Request {
    Request::Read { query: Bytes::from_static(b"how many?"), consistency, news: None }
}

/// Answered when there is news after `after`, or 100 ms are over.
pub(crate) fn news(after: u64) -> Request {
    let news = Some(News { after, within: 100 });
    Request::Read { query: Bytes::new(), consistency: Consistency::Local, news }
}

pub(crate) fn told(count: u64, applied: u64, stale: bool) -> Option<Answer> {
    let (response, applied) = (count.to_bytes(), Index(applied));
    Some(Answer::Read(ReadAnswer { response, applied, version: count, stale }))
}
