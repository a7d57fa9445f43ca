//! One replica, driven by hand: what it answers, writes and shows, and what may be concluded.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use raft_core::{
    AppendEntries, AppendEntriesResponse, AppendResult, Config, Index, Lane, LogId, Member,
    Membership, Message, NodeId, ReadIndexResponse, Recovered, Term, Ticket, Time, VoteResponse,
};
use raft_log::{Entry, Kind, Write, decode_entries, encode_entry, encoded_len};
use raft_node::protocol::{
    Answer, Consistency, News, Outcome, ReadAnswer, Reason, Refusal, Request,
};
use raft_node::replica::{Chunk, Effect, Event, Limits, Machine, Origin, Replica, metas};
use raft_node::{Applied, Apply, Command, Show, Snapshot, Wire};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

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

    fn admits(&self, command: &[u8]) -> Result<(), String> {
        if command == b"too much" { Err("the counter is full".into()) } else { Ok(()) }
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

fn founders() -> Membership {
    let member = |n: u64| Member { address: format!(":999{n}"), incarnation: u128::from(n) };
    Membership::founding([N1, N2, N3].map(|id| (id, member(id.0))).into())
}

/// The replica of n1, and what it was last asked to do.
struct Bench {
    replica: Replica,
    now: u64,
    effects: Vec<Effect>,
    writes: Vec<(Ticket, Write)>,
    requests: u64,
    wanted: Arc<Mutex<Vec<bool>>>,
}

impl Bench {
    fn new() -> Self {
        Self::with(Limits::default(), Index(0))
    }

    fn with(limits: Limits, shown: Index) -> Self {
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

    fn step(&mut self, events: Vec<Event>) {
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

    fn persisted(&mut self) {
        if let Some((ticket, _)) = self.writes.last() {
            let ticket = *ticket;
            self.step(vec![Event::Persisted(ticket)]);
        }
    }

    fn hear(&mut self, from: NodeId, message: Message, chunk: Chunk) {
        self.step(vec![heard(from, message, chunk)]);
    }

    /// n3 leads term 3 already.
    fn hear_next_leader(&mut self) {
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
    fn leading() -> Self {
        let mut bench = Self::new();
        bench.lead();
        bench
    }

    fn lead(&mut self) {
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

    fn matched(&mut self, from: NodeId, index: u64) {
        self.confirmed(from, index, 0);
    }

    /// This member confirms entries, and a round of reads.
    fn confirmed(&mut self, from: NodeId, index: u64, round: u64) {
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
    fn peers_have(&mut self, n2: u64, n3: u64) {
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
    fn follow(&mut self, prev: LogId, entries: &[(Kind, &[u8])], commit: u64) {
        self.step(vec![self.append(prev, entries, commit)]);
    }

    fn append(&self, prev: LogId, entries: &[(Kind, &[u8])], commit: u64) -> Event {
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

    fn ask(&mut self, request: Request) -> Origin {
        let (event, origin) = self.asked(request);
        self.step(vec![event]);
        origin
    }

    fn asked(&mut self, request: Request) -> (Event, Origin) {
        self.requests += 1;
        let origin =
            Origin { connection: 7, request: self.requests, forwarded: false, since_us: 0 };
        (Event::Request { origin, request }, origin)
    }

    fn session(&mut self) -> u64 {
        let origin = self.ask(Request::Register { one_shot: false });
        self.persisted();
        let last = self.replica.raft().last_log_id().index.0;
        self.matched(N2, last);
        match self.answer(origin) {
            Some(Answer::Registered { session }) => session,
            other => panic!("no session: {other:?}"),
        }
    }

    fn answer(&self, to: Origin) -> Option<Answer> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Reply { origin, reply } if *origin == to => Some(reply.answer.clone()),
            _ => None,
        })
    }

    fn refusal(&self, to: Origin) -> Refusal {
        match self.answer(to) {
            Some(Answer::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn shown(&self) -> usize {
        self.effects.iter().filter(|effect| matches!(effect, Effect::Show { .. })).count()
    }
}

fn heard(from: NodeId, message: Message, chunk: Chunk) -> Event {
    Event::Message { from, message, chunk, free_log_bytes: u64::MAX }
}

fn write(session: u64, sequence: u64, command: &'static [u8]) -> Request {
    let command = Bytes::from_static(command);
    Request::Write { session, sequence, lowest_unacknowledged: 1, command }
}

#[test]
fn a_write_is_answered_when_it_is_committed_and_applied_and_not_before() {
    let mut bench = Bench::leading();
    let session = bench.session();
    assert!(!bench.replica.owes_answers());
    let origin = bench.ask(write(session, 1, b"a"));
    assert_eq!(bench.answer(origin), None);
    bench.persisted();
    assert_eq!(bench.answer(origin), None, "on one disk of three");
    assert!(bench.replica.owes_answers());
    bench.matched(N2, 3);
    assert!(!bench.replica.owes_answers());
    let expected = Answer::Written { at: LogId::new(3, 1), response: Bytes::from_static(b"1") };
    assert_eq!(bench.answer(origin), Some(expected));
}

#[test]
fn writes_of_one_call_are_one_batch_and_one_operation() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let events = (1..=20).map(|sequence| bench.asked(write(session, sequence, b"a")).0).collect();
    bench.step(events);
    let (_, last) = bench.writes.last().expect("a write");
    assert_eq!((last.first, last.count), (Index(3), 20));
    let appends = bench.effects.iter().filter(|e| matches!(e, Effect::Send { to: N2, .. })).count();
    assert_eq!(appends, 1);
}

#[test]
fn a_repetition_gets_the_first_answer_without_another_entry() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let first = bench.ask(write(session, 1, b"a"));
    bench.persisted();
    bench.matched(N2, 3);
    let answer = bench.answer(first);
    let again = bench.ask(write(session, 1, b"a"));
    assert_eq!(bench.answer(again), answer);
    assert_eq!(bench.replica.raft().last_log_id(), LogId::new(3, 1));
}

#[test]
fn a_repetition_that_overtakes_is_applied_once() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let (one, first) = bench.asked(write(session, 1, b"a"));
    let (two, second) = bench.asked(write(session, 1, b"a"));
    bench.step(vec![one, two]);
    bench.persisted();
    bench.matched(N2, 4);
    assert!(bench.answer(first).is_some());
    assert_eq!(bench.answer(first), bench.answer(second), "both are in the log, one was applied");
}

#[test]
fn what_was_appended_under_a_lost_leadership_is_unknown() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let origin = bench.ask(write(session, 1, b"a"));
    bench.follow(LogId::new(2, 1), &[], 0);
    assert_eq!(bench.refusal(origin), Refusal::unknown(Reason::LeaderLost));
    bench.ask(write(session, 2, b"b"));
    assert!(bench.effects.iter().any(|e| matches!(e, Effect::Forward { to: N2, .. })));
}

#[test]
fn what_was_passed_on_is_unknown_when_the_leader_is_lost() {
    let lose: [fn(&mut Bench); 2] = [
        |bench| bench.step(vec![Event::Link { peer: N2, lane: Lane::Outbound, up: false }]),
        |bench| bench.hear_next_leader(),
    ];
    for lose in lose {
        let mut bench = Bench::new();
        bench.step(vec![Event::Link { peer: N2, lane: Lane::Outbound, up: true }]);
        bench.follow(LogId::default(), &[], 0);
        let origin = bench.ask(write(1, 1, b"a"));
        assert!(bench.effects.iter().any(|e| matches!(e, Effect::Forward { to: N2, .. })));
        lose(&mut bench);
        assert_eq!(bench.refusal(origin), Refusal::unknown(Reason::LeaderLost));
    }
}

#[test]
fn a_transfer_that_was_passed_on_is_answered_by_the_next_leader() {
    let elsewhere = Some(":9991".to_owned());
    for (to, ends_well) in [(None, true), (Some(":9993".to_owned()), true), (elsewhere, false)] {
        let mut bench = Bench::new();
        bench.step(vec![Event::Link { peer: N2, lane: Lane::Outbound, up: true }]);
        bench.follow(LogId::default(), &[], 0);
        let origin = bench.ask(Request::Transfer { to });
        bench.hear_next_leader();
        let expected = if ends_well {
            Answer::Transferred { to: ":9993".into() }
        } else {
            Refusal::unknown(Reason::LeaderLost).into()
        };
        assert_eq!(bench.answer(origin), Some(expected));
    }
}

#[test]
fn a_forwarded_request_is_not_forwarded_again() {
    let mut bench = Bench::new();
    bench.step(vec![Event::Link { peer: N2, lane: Lane::Outbound, up: true }]);
    bench.follow(LogId::default(), &[], 0);
    let origin = Origin { connection: 9, request: 1, forwarded: true, since_us: 0 };
    bench.step(vec![Event::Request { origin, request: write(1, 1, b"a") }]);
    let leader = Some(":9992".to_owned());
    assert_eq!(bench.refusal(origin), Refusal::not_applied(Reason::NotLeader { leader }));
}

#[test]
fn refusals_before_the_log_are_definite() {
    let small = Limits { command_bytes_max: 2, uncommitted_bytes_max: 100, ..Limits::default() };
    let mut bench = Bench::with(small, Index(0));
    bench.lead();
    let session = bench.session();
    let large = bench.ask(write(session, 1, b"abc"));
    let too_large = Reason::TooLarge { limit: 2, size: 3 };
    assert_eq!(bench.refusal(large), Refusal::not_applied(too_large));
    bench.ask(write(session, 2, b"a"));
    bench.ask(write(session, 3, b"a"));
    let busy = bench.ask(write(session, 4, b"a"));
    let refusal = bench.refusal(busy);
    assert_eq!(refusal.outcome, Outcome::NotApplied);
    assert!(matches!(refusal.reason, Reason::Busy { .. }));
    assert_eq!(bench.replica.raft().last_log_id().index, Index(4), "nothing else was appended");
}

#[test]
fn a_leader_admits_what_itself_and_a_quorum_can_hold() {
    let mut bench = Bench::leading();
    let session = bench.session();
    bench.step(vec![Event::Space { free_log_bytes: 10 }]);
    let origin = bench.ask(write(session, 1, b"a"));
    assert_eq!(bench.refusal(origin), Refusal::not_applied(Reason::DiskFull));
    bench.step(vec![Event::Space { free_log_bytes: u64::MAX }]);
    bench.peers_have(10, 10);
    let origin = bench.ask(write(session, 2, b"a"));
    assert_eq!(bench.refusal(origin), Refusal::not_applied(Reason::DiskFull));
}

#[test]
fn a_full_leader_lets_the_voter_with_the_most_room_lead() {
    let (little, enough) = (10, 1 << 30);
    for (own, n2, n3, to) in [
        (little, enough, enough + 1, Some(N3)),
        (little, enough, enough, Some(N2)),
        // Who would lead then could not commit.
        (little, little, enough, None),
        (enough, little, little, None),
    ] {
        let mut bench = Bench::leading();
        let session = bench.session();
        bench.peers_have(n2, n3);
        bench.step(vec![Event::Space { free_log_bytes: own }]);
        assert_eq!(bench.replica.raft().handing_over(), None, "nobody wants to write");
        let origin = bench.ask(write(session, 1, b"a"));
        let reason = to.map_or(Reason::DiskFull, |heir| Reason::HandingOver {
            to: bench.replica.address_of(heir).unwrap().to_owned(),
        });
        assert_eq!(bench.refusal(origin), Refusal::not_applied(reason));
        assert_eq!(bench.replica.raft().handing_over(), to, "{own}, {n2}, {n3}");
    }
}

#[test]
fn a_follower_takes_no_entries_into_the_room_for_votes() {
    let mut bench = Bench::new();
    bench.follow(LogId::default(), &[(Kind::NOOP, b"")], 0);
    let payload = vec![0; 20_000];
    let size = encoded_len(payload.len()) as u64;
    let votes = 64 * 1024;
    let last = |bench: &Bench| bench.replica.raft().last_log_id().index;
    // The first entry, which is not written yet, needs room as well.
    bench.step(vec![Event::Space { free_log_bytes: size + votes }]);
    bench.follow(LogId::new(1, 2), &[(Kind::NOOP, &payload)], 0);
    assert_eq!(last(&bench), Index(1));
    bench.persisted();
    bench.follow(LogId::new(1, 2), &[(Kind::NOOP, &payload)], 0);
    assert_eq!(last(&bench), Index(2));
    // A leader without entries is heard all the same.
    bench.persisted();
    bench.step(vec![Event::Space { free_log_bytes: 0 }]);
    bench.follow(LogId::new(2, 2), &[], 2);
    assert_eq!(bench.replica.raft().commit_index(), Index(2));
}

#[test]
fn what_was_admitted_has_a_claim_on_the_room_that_is_left() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let size = encoded_len(24 + 1) as u64;
    let free_log_bytes = Limits::default().reserved_log_bytes + size;
    bench.step(vec![Event::Space { free_log_bytes }]);
    let (one, first) = bench.asked(write(session, 1, b"a"));
    let (two, second) = bench.asked(write(session, 2, b"a"));
    bench.step(vec![one, two]);
    assert_eq!(bench.answer(first), None);
    assert_eq!(bench.refusal(second), Refusal::not_applied(Reason::DiskFull));
}

#[test]
fn the_reserve_serves_the_end_of_a_session_and_not_its_beginning() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let reserve = Limits::default().reserved_log_bytes;
    bench.step(vec![Event::Space { free_log_bytes: reserve }]);
    bench.peers_have(reserve, reserve);
    let begin = bench.ask(Request::Register { one_shot: true });
    assert_eq!(bench.refusal(begin), Refusal::not_applied(Reason::DiskFull));
    let end = bench.ask(Request::EndSession { session });
    bench.persisted();
    bench.matched(N2, 3);
    assert_eq!(bench.answer(end), Some(Answer::SessionEnded));
}

#[test]
fn a_leader_that_is_known_and_not_reached_is_named() {
    let mut bench = Bench::new();
    bench.follow(LogId::default(), &[], 0);
    let origin = bench.ask(write(1, 1, b"a"));
    let leader = Some(":9992".to_owned());
    assert_eq!(bench.refusal(origin), Refusal::not_applied(Reason::NotLeader { leader }));
}

#[test]
fn replaced_entries_are_one_operation_that_says_where_the_old_ones_end() {
    let mut bench = Bench::leading();
    let session = bench.session();
    bench.ask(write(session, 1, b"lost"));
    bench.ask(write(session, 2, b"lost too"));
    let prev = LogId::new(2, 1);
    let first = bench.append(prev, &[(Kind::NOOP, b"")], 0);
    let second = bench.append(LogId::new(3, 2), &[(Kind::NOOP, b""), (Kind::NOOP, b"")], 0);
    bench.step(vec![first, second]);
    let (_, last) = bench.writes.last().expect("a write");
    assert_eq!(last.truncate_from, Some(Index(3)));
    assert_eq!((last.first, last.count), (Index(3), 3));
    assert_eq!(last.hard_state.map(|state| state.term), Some(Term(2)));
}

#[test]
fn lines_at_or_below_the_shown_mark_are_not_shown_again() {
    let command = |text: &[u8]| [&[0; 24][..], text].concat();
    let payload = command(b"a");
    let register: (Kind, &[u8]) = (Kind::SESSION, &[0]);
    let mut commands = vec![register];
    let mut one = payload.clone();
    one[..8].copy_from_slice(&1u64.to_le_bytes());
    one[8..16].copy_from_slice(&1u64.to_le_bytes());
    let mut two = one.clone();
    two[8..16].copy_from_slice(&2u64.to_le_bytes());
    commands.extend([(Kind::COMMAND, &one[..]), (Kind::COMMAND, &two[..])]);
    for (shown, expected) in [(0, 2), (2, 1), (3, 0)] {
        let mut bench = Bench::with(Limits::default(), Index(shown));
        bench.follow(LogId::default(), &commands, 3);
        bench.persisted();
        assert_eq!(bench.replica.applied_index(), Index(3));
        assert_eq!(bench.shown(), expected, "mark {shown}");
        let wanted = bench.wanted.lock().expect("nobody panics");
        assert_eq!(wanted.iter().filter(|wanted| **wanted).count(), expected, "mark {shown}");
    }
}

#[test]
fn an_entry_of_an_unknown_kind_stops_the_replica_and_is_not_skipped() {
    let mut bench = Bench::new();
    bench.follow(LogId::default(), &[(Kind::NOOP, b""), (Kind(200), b"?"), (Kind::NOOP, b"")], 3);
    bench.persisted();
    assert_eq!(bench.replica.applied_index(), Index(1));
    let halts = bench.effects.iter().any(|effect| matches!(effect, Effect::Halt { .. }));
    assert!(halts, "{:?}", bench.effects);
}

#[test]
fn one_that_is_about_to_stop_takes_nothing_new() {
    let mut bench = Bench::leading();
    bench.step(vec![Event::HandOver]);
    let origin = bench.ask(Request::Register { one_shot: true });
    assert_eq!(bench.refusal(origin), Refusal::not_applied(Reason::ShuttingDown));
}

#[test]
fn a_transfer_that_lost_the_leadership_to_nobody_known_is_unknown() {
    let mut bench = Bench::leading();
    let origin = bench.ask(Request::Transfer { to: Some(":9992".into()) });
    let response = AppendEntriesResponse {
        term: Term(5),
        result: AppendResult::StaleTerm,
        last_index: Index(1),
        commit_index: Index(1),
        round: 0,
    };
    bench.hear(N3, Message::AppendEntriesResponse(response), Chunk::default());
    assert_eq!(bench.answer(origin), None, "whoever takes over may still be heard of");
    while bench.answer(origin).is_none() {
        bench.now = bench.replica.next_deadline().expect("a deadline").0;
        bench.step(vec![Event::Timer]);
    }
    assert_eq!(bench.refusal(origin), Refusal::unknown(Reason::LeaderLost));
}

#[test]
fn what_no_budget_was_left_for_is_applied_in_the_next_calls() {
    let mut bench = Bench::with(Limits { apply_bytes_max: 1, ..Limits::default() }, Index(0));
    bench.follow(LogId::default(), &[(Kind::NOOP, b""), (Kind::NOOP, b""), (Kind::NOOP, b"")], 3);
    bench.persisted();
    for applied in 1..=3 {
        assert_eq!(bench.replica.applied_index(), Index(applied));
        assert_eq!(bench.replica.is_behind(), applied < 3);
        bench.step(vec![]);
    }
}

fn read(consistency: Consistency) -> Request {
    Request::Read { query: Bytes::from_static(b"how many?"), consistency, news: None }
}

/// Answered when there is news after `after`, or 100 ms are over.
fn news(after: u64) -> Request {
    let news = Some(News { after, within: 100 });
    Request::Read { query: Bytes::new(), consistency: Consistency::Local, news }
}

fn told(count: u64, applied: u64, stale: bool) -> Option<Answer> {
    let (response, applied) = (count.to_bytes(), Index(applied));
    Some(Answer::Read(ReadAnswer { response, applied, version: count, stale }))
}

#[test]
fn a_leader_answers_a_read_when_a_majority_confirmed_that_it_still_leads() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let origin = bench.ask(read(Consistency::Linearizable));
    assert_eq!(bench.answer(origin), None);
    bench.confirmed(N2, 2, 0);
    assert_eq!(bench.answer(origin), None, "said before it was asked");
    assert!(bench.replica.owes_answers());
    bench.confirmed(N3, 2, 1);
    assert_eq!(bench.answer(origin), told(0, 2, false));
    bench.ask(write(session, 1, b"a"));
    bench.persisted();
    bench.matched(N2, 3);
    let origin = bench.ask(read(Consistency::Linearizable));
    bench.confirmed(N2, 3, 2);
    assert_eq!(bench.answer(origin), told(1, 3, false));
    assert!(!bench.replica.owes_answers());
}

#[test]
fn reads_of_one_call_share_a_round() {
    let mut bench = Bench::leading();
    let (events, origins): (Vec<_>, Vec<_>) =
        (0..20).map(|_| bench.asked(read(Consistency::Linearizable))).unzip();
    bench.step(events);
    let appends = bench.effects.iter().filter(|e| matches!(e, Effect::Send { to: N2, .. })).count();
    assert_eq!(appends, 1);
    bench.confirmed(N2, 1, 1);
    assert!(origins.into_iter().all(|origin| bench.answer(origin) == told(0, 1, false)));
}

#[test]
fn without_a_leader_only_what_this_member_has_is_answered() {
    let mut bench = Bench::new();
    let origin = bench.ask(read(Consistency::Linearizable));
    assert_eq!(bench.refusal(origin), Refusal::not_applied(Reason::NoLeader));
    let origin = bench.ask(read(Consistency::Local));
    assert_eq!(bench.answer(origin), told(0, 0, true));
}

#[test]
fn a_read_that_was_not_confirmed_is_refused_when_the_leadership_ends() {
    let mut bench = Bench::leading();
    let origin = bench.ask(read(Consistency::Linearizable));
    bench.follow(LogId::new(1, 1), &[], 0);
    let leader = Some(":9992".into());
    assert_eq!(bench.refusal(origin), Refusal::not_applied(Reason::NotLeader { leader }));
}

#[test]
fn a_follower_asks_its_leader_and_answers_when_it_has_applied_as_much() {
    let mut bench = Bench::new();
    let link = |lane| Event::Link { peer: N2, lane, up: true };
    bench.step(vec![link(Lane::Outbound), link(Lane::Inbound)]);
    bench.follow(LogId::default(), &[(Kind::NOOP, b""), (Kind::NOOP, b"")], 1);
    bench.persisted();
    let origin = bench.ask(read(Consistency::Linearizable));
    let asked = bench.effects.iter().find_map(|effect| match effect {
        Effect::Send { to: N2, message: Message::ReadIndex(asked), .. } => Some(*asked),
        _ => None,
    });
    let request = asked.expect("the leader is asked").request;
    let response = ReadIndexResponse { term: Term(2), request, result: Ok(Index(3)) };
    bench.hear(N2, Message::ReadIndexResponse(response), Chunk::default());
    assert_eq!(bench.replica.applied_index(), Index(2), "it holds no more");
    assert_eq!(bench.answer(origin), None);
    bench.follow(LogId::new(2, 2), &[(Kind::NOOP, b"")], 3);
    bench.persisted();
    assert_eq!(bench.answer(origin), told(0, 3, false));
}

#[test]
fn a_read_for_news_waits_until_there_is_some_or_its_time_is_over() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let origin = bench.ask(news(0));
    assert_eq!(bench.answer(origin), None);
    assert!(!bench.replica.owes_answers(), "nobody has to stay for it");
    bench.ask(write(session, 1, b"a"));
    bench.persisted();
    bench.matched(N2, 3);
    assert_eq!(bench.answer(origin), told(1, 3, true));
    let origin = bench.ask(news(0));
    assert_eq!(bench.answer(origin), told(1, 3, true), "there was some already");
    let origin = bench.ask(news(1));
    bench.now += 99;
    bench.step(vec![Event::Timer]);
    assert_eq!(bench.answer(origin), None);
    assert!(bench.replica.next_deadline().is_some_and(|deadline| deadline <= Time(bench.now + 1)));
    bench.now += 1;
    bench.step(vec![Event::Timer]);
    assert_eq!(bench.answer(origin), told(1, 3, true), "nothing new");
    let origin = bench.ask(news(1));
    bench.step(vec![Event::HandOver]);
    assert_eq!(bench.refusal(origin), Refusal::not_applied(Reason::ShuttingDown));
}

#[test]
fn the_end_of_a_wait_for_news_is_no_timeout_of_the_core() {
    let mut bench = Bench::new();
    bench.follow(LogId::default(), &[(Kind::NOOP, b"")], 0);
    let origin = bench.ask(news(7));
    bench.now += 100;
    bench.step(vec![Event::Timer]);
    assert_eq!(bench.answer(origin), told(0, 0, true));
    assert_eq!(bench.replica.status().role, "follower", "no election before its time");
}

#[test]
fn reads_that_wait_are_bounded_and_make_room_when_their_client_goes() {
    let limits = Limits { waiting_query_bytes_max: 600, query_bytes_max: 9, ..Limits::default() };
    let mut bench = Bench::with(limits, Index(0));
    for _ in 0..2 {
        let origin = bench.ask(news(7));
        assert_eq!(bench.answer(origin), None);
    }
    let origin = bench.ask(news(7));
    let Reason::Busy { .. } = bench.refusal(origin).reason else { panic!("too many") };
    bench.step(vec![Event::Gone { connection: 7 }]);
    let origin = bench.ask(news(7));
    assert_eq!(bench.answer(origin), None);
    let (query, consistency) = (Bytes::from_static(b"how many??"), Consistency::Local);
    let origin = bench.ask(Request::Read { query, consistency, news: None });
    let reason = Reason::TooLarge { limit: 9, size: 10 };
    assert_eq!(bench.refusal(origin), Refusal::not_applied(reason));
}

#[test]
fn what_no_budget_was_left_for_is_answered_in_the_next_calls() {
    let mut bench = Bench::with(Limits { answer_bytes_max: 1, ..Limits::default() }, Index(0));
    let (events, origins): (Vec<_>, Vec<_>) =
        (0..3).map(|_| bench.asked(read(Consistency::Local))).unzip();
    bench.step(events);
    for (place, origin) in origins.into_iter().enumerate() {
        assert_eq!(bench.answer(origin), told(0, 0, true));
        assert_eq!(bench.replica.has_backlog(), place < 2);
        bench.step(vec![]);
    }
}

#[test]
fn what_the_state_machine_does_not_admit_is_certainly_not_applied() {
    let mut bench = Bench::leading();
    let session = bench.session();
    let origin = bench.ask(write(session, 1, b"too much"));
    let reason = Reason::Full { what: "the counter is full".into() };
    assert_eq!(bench.refusal(origin), Refusal::not_applied(reason));
    assert_eq!(bench.replica.raft().last_log_id(), LogId::new(2, 1), "nothing was appended");
}
