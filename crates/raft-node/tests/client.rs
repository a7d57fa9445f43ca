//! The client's decisions: each rule by itself, and against a server that drops, repeats and
//! delays what it likes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use raft_core::{Index, LogId, NodeId, RequestId, Time};
use raft_node::client_core::{
    ClientCore, ClientError, ClientNotice, Conclusion, Op, OpId, Output, Settings, Success,
    WINDOW_BYTES_MAX,
};
use raft_node::protocol::{
    Answer, Changed, Consistency, MembersView, News, Outcome, ReadAnswer, Reason, Refusal, Reply,
    Request,
};
use raft_node::random::Random;
use raft_node::sessions::{Admission, Sessions, WINDOW_MAX};

const TIMEOUT: u64 = 5000;

fn settings(endpoints: usize, seed: u64) -> Settings {
    Settings {
        endpoints: (0..endpoints).map(|n| format!(":999{n}")).collect(),
        timeout: TIMEOUT,
        one_shot: false,
        command_bytes_max: 16 * 1024 * 1024,
        seed,
    }
}

/// A client and what it wants done, with short words.
struct Bench {
    client: ClientCore,
    now: u64,
    /// Requests on the connection, in order.
    sent: Vec<(u64, Request)>,
    dials: Vec<usize>,
    closes: usize,
    pings: Vec<u64>,
    done: BTreeMap<u64, Result<Success, ClientError>>,
    notices: Vec<ClientNotice>,
}

type Step<'a> = &'a dyn Fn(&mut ClientCore, Time, &mut Vec<Output>);

impl Bench {
    fn new(endpoints: usize) -> Self {
        Self {
            client: ClientCore::new(settings(endpoints, 1)),
            now: 0,
            sent: Vec::new(),
            dials: Vec::new(),
            closes: 0,
            pings: Vec::new(),
            done: BTreeMap::new(),
            notices: Vec::new(),
        }
    }

    /// Connected, with an open session 7 and these writes in flight.
    fn writing(endpoints: usize, writes: &[u64]) -> Self {
        let mut bench = Self::new(endpoints);
        for id in writes {
            bench.write(*id);
        }
        bench.connect();
        bench.answer(Answer::Registered { session: 7 });
        bench
    }

    fn step(&mut self, step: Step<'_>) {
        let mut out = Vec::new();
        step(&mut self.client, Time(self.now), &mut out);
        for output in out {
            match output {
                Output::Dial(endpoint) => self.dials.push(endpoint),
                Output::Close => {
                    self.closes += 1;
                    self.sent.clear();
                }
                Output::Send { request, body } => self.sent.push((request, body)),
                Output::Ping(nonce) => self.pings.push(nonce),
                Output::Done(OpId(id), result) => {
                    let first = self.done.insert(id, result.map(|success| *success));
                    assert!(first.is_none(), "operation {id} ended twice");
                }
                Output::Notice(notice) => self.notices.push(notice),
            }
        }
    }

    fn submit(&mut self, id: u64, op: Op) {
        self.step(&|client, now, out| client.submit(now, OpId(id), op.clone(), out));
    }

    fn write(&mut self, id: u64) {
        self.submit(id, Op::Write(Bytes::from(id.to_string())));
    }

    fn connect(&mut self) {
        self.sent.clear();
        self.step(&|client, now, out| client.connected(now, out));
    }

    fn disconnect(&mut self) {
        self.sent.clear();
        self.step(&|client, now, out| client.disconnected(now, out));
    }

    /// Answers the oldest request that has no answer.
    fn answer(&mut self, answer: Answer) -> Request {
        let (request, body) = self.sent.remove(0);
        let reply = Reply { answer, forwarded_to: None };
        self.step(&|client, now, out| client.reply(now, request, reply.clone(), out));
        body
    }

    fn refuse(&mut self, outcome: Outcome, reason: Reason) -> Request {
        self.answer(Answer::Refused(Refusal { outcome, reason }))
    }

    /// Lets time pass, with all that is due on the way.
    fn wait(&mut self, millis: u64) {
        let end = self.now + millis;
        while let Some(Time(at)) = self.client.next_deadline()
            && at <= end
        {
            self.now = self.now.max(at);
            self.step(&|client, now, out| client.timer(now, out));
        }
        self.now = end;
    }

    /// Time passes while the server answers every ping.
    fn wait_heard(&mut self, millis: u64) {
        for _ in 0..millis / 100 {
            self.wait(100);
            if !std::mem::take(&mut self.pings).is_empty() {
                self.step(&|client, now, out| client.heard(now, out));
            }
        }
    }

    fn outcome(&self, id: u64) -> Option<Conclusion> {
        match self.done.get(&id)? {
            Ok(_) => None,
            Err(error) => Some(error.outcome),
        }
    }
}

fn written(index: u64) -> Answer {
    Answer::Written { at: LogId::new(index, 1), response: Bytes::new() }
}

fn name_of(request: &Request) -> (u64, u64, u64) {
    match request {
        Request::Write { session, sequence, lowest_unacknowledged, .. } => {
            (*session, *sequence, *lowest_unacknowledged)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_is_registered_before_the_first_write() {
    let mut bench = Bench::new(1);
    bench.write(1);
    assert_eq!(bench.dials, [0]);
    bench.connect();
    assert_eq!(
        bench.answer(Answer::Registered { session: 7 }),
        Request::Register { one_shot: false }
    );
    assert_eq!(name_of(&bench.sent[0].1), (7, 1, 1));
    bench.answer(written(8));
    let success = bench.done[&1].as_ref().expect("success");
    assert_eq!((&success.answer, success.contacted.as_str()), (&written(8), ":9990"));
    // The next one needs no registration.
    bench.write(2);
    assert_eq!(name_of(&bench.sent[0].1), (7, 2, 2));
}

#[test]
fn a_one_shot_says_so() {
    let mut bench = Bench::new(1);
    bench.client = ClientCore::new(Settings { one_shot: true, ..settings(1, 1) });
    bench.write(1);
    bench.connect();
    assert_eq!(bench.sent[0].1, Request::Register { one_shot: true });
}

#[test]
fn a_lost_registration_is_repeated_freely() {
    let mut bench = Bench::new(2);
    bench.write(1);
    bench.connect();
    bench.disconnect();
    bench.connect();
    assert_eq!(bench.sent[0].1, Request::Register { one_shot: false });
    bench.wait(TIMEOUT);
    assert_eq!(bench.outcome(1), Some(Conclusion::NothingSent));
}

#[test]
fn what_was_in_flight_goes_to_the_next_endpoint_as_it_was() {
    let mut bench = Bench::writing(3, &[1, 2]);
    let before: Vec<Request> = bench.sent.iter().map(|(_, request)| request.clone()).collect();
    bench.disconnect();
    assert_eq!(bench.dials, [0, 1]);
    bench.connect();
    let after: Vec<Request> = bench.sent.iter().map(|(_, request)| request.clone()).collect();
    assert_eq!(before, after);
    assert!(matches!(bench.notices[..], [ClientNotice::Lost { in_flight: 2, .. }]));
    bench.answer(written(8));
    bench.answer(written(9));
    assert!(bench.done.values().all(Result::is_ok));
}

#[test]
fn the_lowest_unacknowledged_request_moves_up_with_the_answers() {
    let mut bench = Bench::writing(1, &[1, 2, 3]);
    bench.sent.swap(0, 1);
    bench.answer(written(8));
    bench.write(4);
    assert_eq!(name_of(&bench.sent[2].1), (7, 4, 1), "the first one has no answer yet");
    bench.answer(written(9));
    bench.write(5);
    assert_eq!(name_of(&bench.sent[2].1), (7, 5, 3));
}

#[test]
fn a_refusal_that_waiting_can_help_is_waited_out() {
    let mut bench = Bench::writing(1, &[1]);
    let first = bench.refuse(Outcome::NotApplied, Reason::NoLeader);
    assert!(bench.sent.is_empty() && bench.done.is_empty());
    assert!(matches!(bench.notices[..], [ClientNotice::Waiting { .. }]));
    bench.wait(1000);
    assert_eq!(bench.sent[0].1, first);
    bench.answer(written(8));
    assert!(bench.done[&1].is_ok());
}

#[test]
fn a_definite_refusal_ends_not_applied() {
    let mut bench = Bench::writing(1, &[1]);
    bench.refuse(Outcome::NotApplied, Reason::DiskFull);
    let error = bench.done[&1].as_ref().expect_err("refused");
    assert_eq!((error.outcome, &error.reason), (Conclusion::NotApplied, &Some(Reason::DiskFull)));
}

#[test]
fn an_attempt_that_ended_unknown_makes_the_request_unknown_whatever_follows() {
    for reason in [Reason::DiskFull, Reason::SessionExpired { session: 7 }, Reason::LastMember] {
        // Lost with the connection.
        let mut bench = Bench::writing(2, &[1]);
        bench.disconnect();
        bench.connect();
        bench.refuse(Outcome::NotApplied, reason.clone());
        assert_eq!(bench.outcome(1), Some(Conclusion::Unknown), "{reason:?}");
        // Said by the server.
        let mut bench = Bench::writing(1, &[1]);
        bench.refuse(Outcome::Unknown, Reason::LeaderLost);
        bench.wait(1000);
        bench.refuse(Outcome::NotApplied, reason.clone());
        assert_eq!(bench.outcome(1), Some(Conclusion::Unknown), "{reason:?}");
    }
}

#[test]
fn unknown_turns_into_applied_when_a_later_attempt_says_so() {
    let mut bench = Bench::writing(1, &[1]);
    bench.refuse(Outcome::Unknown, Reason::LeaderLost);
    bench.wait(1000);
    bench.answer(written(8));
    assert!(bench.done[&1].is_ok());
}

#[test]
fn an_unknown_refusal_and_then_waiting_refusals_end_unknown_at_the_timeout() {
    let mut bench = Bench::writing(1, &[1]);
    bench.refuse(Outcome::Unknown, Reason::LeaderLost);
    while bench.done.is_empty() {
        bench.wait(100);
        if !bench.sent.is_empty() {
            let busy = Reason::Busy { what: "all".into() };
            bench.refuse(Outcome::NotApplied, busy);
        }
    }
    assert_eq!(bench.outcome(1), Some(Conclusion::Unknown));
}

#[test]
fn refused_in_every_attempt_ends_not_applied_at_the_timeout() {
    let mut bench = Bench::writing(1, &[1]);
    while bench.done.is_empty() {
        bench.wait(10);
        if !bench.sent.is_empty() {
            bench.refuse(Outcome::NotApplied, Reason::NoLeader);
        }
    }
    assert_eq!(bench.now / 100, TIMEOUT / 100);
    assert_eq!(bench.outcome(1), Some(Conclusion::NotApplied));
}

#[test]
fn an_expired_session_is_replaced_for_what_was_not_carried_out() {
    let mut bench = Bench::writing(1, &[1, 2]);
    bench.refuse(Outcome::NotApplied, Reason::SessionExpired { session: 7 });
    // Both find out, one new session serves both.
    bench.refuse(Outcome::NotApplied, Reason::SessionExpired { session: 7 });
    bench.answer(Answer::Registered { session: 20 });
    let names: Vec<_> = bench.sent.iter().map(|(_, request)| name_of(request)).collect();
    assert_eq!(names, [(20, 1, 1), (20, 2, 1)]);
    bench.answer(written(21));
    bench.answer(written(22));
    assert!(bench.done.values().all(Result::is_ok));
}

#[test]
fn at_the_timeout_nothing_sent_and_unknown_are_told_apart() {
    let mut bench = Bench::new(1);
    bench.write(1);
    bench.wait(TIMEOUT);
    assert_eq!(bench.outcome(1), Some(Conclusion::NothingSent));

    let mut bench = Bench::writing(1, &[1]);
    bench.wait_heard(TIMEOUT);
    assert_eq!(bench.outcome(1), Some(Conclusion::Unknown));
    assert_eq!(
        bench.done[&1].as_ref().expect_err("an error").to_string(),
        "outcome unknown: no answer within 5 s"
    );
}

#[test]
fn the_reason_why_nothing_was_sent_is_named() {
    let mut bench = Bench::new(1);
    bench.write(1);
    bench.step(&|client, now, out| client.refused(now, "connection refused", out));
    bench.wait(TIMEOUT);
    assert_eq!(
        bench.done[&1].as_ref().expect_err("an error").what,
        "no server was reached within 5 s: :9990: no answer to the dial"
    );
    let mut bench = Bench::new(1);
    bench.write(1);
    bench.connect();
    while bench.done.is_empty() {
        bench.wait(10);
        if !bench.sent.is_empty() {
            bench.refuse(Outcome::NotApplied, Reason::NoLeader);
        }
    }
    let error = bench.done[&1].as_ref().expect_err("an error");
    assert_eq!((error.outcome, &error.reason), (Conclusion::NothingSent, &Some(Reason::NoLeader)));
}

#[test]
fn an_endpoint_that_does_not_lead_is_left_for_the_next_one() {
    let mut bench = Bench::writing(2, &[1, 2]);
    bench.refuse(Outcome::NotApplied, Reason::NotLeader { leader: None });
    assert_eq!(bench.closes, 0, "another answer is still to come");
    bench.answer(written(8));
    assert_eq!((bench.closes, bench.dials.as_slice()), (1, &[0, 1][..]));
    bench.connect();
    bench.wait(1000);
    assert_eq!(name_of(&bench.sent[0].1), (7, 1, 1));
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let mut bench = Bench::writing(2, &[1]);
    bench.wait(TIMEOUT / 3 + 1);
    assert!(!bench.pings.is_empty());
    assert_eq!((bench.closes, bench.dials.as_slice()), (1, &[0, 1][..]));
    bench.connect();
    bench.answer(written(8));
    assert!(bench.done[&1].is_ok());
    // Silence while nothing is asked is no silence.
    bench.wait(60_000);
    bench.write(2);
    bench.answer(written(9));
    assert!(bench.done[&2].is_ok());
    assert_eq!(bench.closes, 1);
}

#[test]
fn dials_go_round_and_slow_down() {
    let mut bench = Bench::new(2);
    bench.submit(1, Op::Members);
    for _ in 0..200 {
        if bench.done.is_empty() && bench.dials.len() < 100 {
            let dialled = bench.dials.len();
            bench.step(&|client, now, out| client.refused(now, "refused", out));
            while bench.dials.len() == dialled && bench.done.is_empty() {
                bench.wait(1);
            }
        }
    }
    assert_eq!(bench.dials[..4], [0, 1, 0, 1]);
    assert!(bench.dials.len() < 30, "{} dials in 5 s", bench.dials.len());
    assert_eq!(bench.notices.len(), 2, "each endpoint once");
}

#[test]
fn reads_are_never_unknown() {
    let mut bench = Bench::new(2);
    bench.submit(1, Op::Members);
    bench.connect();
    assert_eq!(bench.sent[0].1, Request::Members, "without a session");
    bench.disconnect();
    bench.connect();
    assert_eq!(bench.sent[0].1, Request::Members);
    bench.submit(2, Op::Status);
    bench.answer(Answer::Members(MembersView::default()));
    assert!(bench.done[&1].is_ok());
    bench.wait_heard(TIMEOUT);
    assert_eq!(bench.outcome(2), Some(Conclusion::NotApplied));
}

#[test]
fn a_question_is_asked_anew_elsewhere_and_waits_for_news_on_top_of_the_timeout() {
    let mut bench = Bench::new(2);
    let (query, consistency) = (Bytes::from_static(b"?"), Consistency::Linearizable);
    bench.submit(1, Op::Read { query: query.clone(), consistency, news: None });
    bench.connect();
    let asked = Request::Read { query: query.clone(), consistency, news: None };
    assert_eq!(bench.sent[0].1, asked, "without a session");
    bench.disconnect();
    bench.connect();
    assert_eq!(bench.sent[0].1, asked);
    let answer =
        ReadAnswer { response: query.clone(), applied: Index(3), version: 1, stale: false };
    bench.answer(Answer::Read(answer.clone()));
    assert_eq!(bench.done[&1].as_ref().map(|done| &done.answer), Ok(&Answer::Read(answer)));
    let news = Some(News { after: 1, within: 30_000 });
    bench.submit(2, Op::Read { query, consistency, news });
    bench.wait_heard(TIMEOUT + 29_900);
    assert!(!bench.done.contains_key(&2));
    bench.wait_heard(100);
    assert_eq!(bench.outcome(2), Some(Conclusion::NotApplied));
}

#[test]
fn a_membership_change_keeps_its_name() {
    let mut bench = Bench::new(2);
    bench.submit(1, Op::AddMember(":9993".into()));
    bench.submit(2, Op::RemoveMember(":9993".into()));
    bench.connect();
    let name = |request: &Request| -> RequestId {
        match request {
            Request::AddMember { request, .. } | Request::RemoveMember { request, .. } => *request,
            other => panic!("{other:?}"),
        }
    };
    let first: Vec<_> = bench.sent.iter().map(|(_, request)| name(request)).collect();
    bench.disconnect();
    bench.connect();
    let again: Vec<_> = bench.sent.iter().map(|(_, request)| name(request)).collect();
    assert_eq!(first, again);
    assert_ne!(first[0], first[1]);
}

#[test]
fn a_membership_change_takes_as_long_as_a_server_holds_it() {
    let mut bench = Bench::new(1);
    bench.submit(1, Op::AddMember(":9993".into()));
    bench.connect();
    bench.wait_heard(20 * TIMEOUT);
    assert!(bench.done.is_empty());
    let changed = Changed::Added { id: NodeId(9), address: ":9993".into() };
    bench.answer(Answer::Changed(changed));
    assert!(bench.done[&1].is_ok());
    // Once the server is gone, the clock runs.
    bench.submit(2, Op::AddMember(":9994".into()));
    bench.wait_heard(2 * TIMEOUT);
    bench.wait(2 * TIMEOUT);
    assert_eq!(bench.outcome(2), Some(Conclusion::Unknown));
}

#[test]
fn a_second_membership_change_waits_for_the_first() {
    let mut bench = Bench::new(1);
    bench.submit(1, Op::AddMember(":9993".into()));
    bench.connect();
    while bench.now < 4 * TIMEOUT {
        bench.wait(50);
        if !bench.sent.is_empty() {
            bench.refuse(Outcome::NotApplied, Reason::ChangeInProgress);
        }
    }
    assert!(bench.done.is_empty());
}

#[test]
fn leadership_is_not_handed_to_anybody_twice() {
    let mut bench = Bench::new(2);
    bench.submit(1, Op::Transfer(None));
    bench.submit(2, Op::Transfer(Some(":9991".into())));
    bench.connect();
    bench.disconnect();
    assert_eq!(bench.outcome(1), Some(Conclusion::Unknown));
    bench.connect();
    assert_eq!(bench.sent.len(), 1);
    bench.answer(Answer::Transferred { to: ":9991".into() });
    assert!(bench.done[&2].is_ok());
}

#[test]
fn the_window_bounds_what_is_in_flight() {
    let ids: Vec<u64> = (1..=WINDOW_MAX + 5).collect();
    let mut bench = Bench::writing(1, &ids);
    assert_eq!(bench.sent.len() as u64, WINDOW_MAX);
    bench.answer(written(8));
    assert_eq!(bench.sent.len() as u64, WINDOW_MAX, "one answered, one more sent");

    let mut bench = Bench::new(1);
    for id in 1..=3 {
        bench.submit(id, Op::Write(Bytes::from(vec![0; WINDOW_BYTES_MAX / 2])));
    }
    bench.connect();
    bench.answer(Answer::Registered { session: 7 });
    assert_eq!(bench.sent.len(), 2);
    // One that is larger than the window goes alone.
    let mut bench = Bench::new(1);
    bench.submit(1, Op::Write(Bytes::from(vec![0; WINDOW_BYTES_MAX + 1])));
    bench.write(2);
    bench.connect();
    bench.answer(Answer::Registered { session: 7 });
    assert_eq!(bench.sent.len(), 1);
}

#[test]
fn a_command_that_is_too_large_is_not_sent() {
    let mut bench = Bench::new(1);
    bench.submit(1, Op::Write(Bytes::from(vec![0; 16 * 1024 * 1024 + 1])));
    assert_eq!(bench.outcome(1), Some(Conclusion::NotApplied));
    assert!(bench.dials.is_empty());
}

#[test]
fn a_session_that_cannot_be_opened_ends_the_writes_that_wait_for_it() {
    let mut bench = Bench::new(1);
    bench.write(1);
    bench.connect();
    bench.refuse(Outcome::NotApplied, Reason::SessionLimit);
    assert_eq!(bench.outcome(1), Some(Conclusion::NotApplied));
}

#[test]
fn the_end_of_a_session() {
    let mut bench = Bench::new(1);
    bench.submit(1, Op::EndSession);
    assert!(bench.done[&1].is_ok(), "there is none");
    let mut bench = Bench::writing(1, &[1]);
    bench.answer(written(8));
    bench.submit(2, Op::EndSession);
    assert_eq!(bench.answer(Answer::SessionEnded), Request::EndSession { session: 7 });
    assert!(bench.done[&2].is_ok());
    bench.write(3);
    assert_eq!(bench.sent[0].1, Request::Register { one_shot: false });
}

#[test]
fn an_answer_to_another_question_proves_nothing() {
    let mut bench = Bench::writing(1, &[1]);
    bench.answer(Answer::SessionEnded);
    assert_eq!(bench.outcome(1), Some(Conclusion::Unknown));
}

/// A cluster behind one connection. What it commits goes through the real session table; it
/// loses, repeats, delays and refuses at will, and never lies.
struct Cluster {
    sessions: Sessions,
    index: u64,
    /// How often each command was applied.
    applied: BTreeMap<Bytes, (u64, LogId)>,
    /// Requests that it has, and may carry out at any time.
    held: Vec<Request>,
}

impl Cluster {
    fn commit(&mut self, request: &Request) -> Answer {
        self.index += 1;
        let at = LogId::new(self.index, 1);
        match request {
            Request::Register { one_shot } => {
                let session = self.sessions.register(Index(self.index), *one_shot);
                Answer::Registered { session }
            }
            Request::Write { session, sequence, lowest_unacknowledged, command } => {
                let (session, sequence) = (*session, *sequence);
                match self.sessions.begin(at.index, session, sequence, *lowest_unacknowledged) {
                    Admission::Fresh => {
                        self.applied.entry(command.clone()).or_insert((0, at)).0 += 1;
                        let response = Bytes::from(at.to_string());
                        self.sessions.record(session, sequence, at, response.clone());
                        Answer::Written { at, response }
                    }
                    Admission::Duplicate { at, response } => Answer::Written { at, response },
                    Admission::Expired => {
                        Refusal::not_applied(Reason::SessionExpired { session }).into()
                    }
                    Admission::Forgotten => {
                        Refusal::unknown(Reason::AnswerForgotten { session, sequence }).into()
                    }
                    Admission::Invalid(what) => panic!("{what}"),
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn expire_all(&mut self) {
        self.sessions = Sessions::default();
    }
}

#[test]
fn every_write_takes_effect_once_and_every_conclusion_is_true() {
    let mut conclusions = BTreeSet::new();
    for seed in 0..400 {
        conclusions.extend(run(seed));
    }
    let all = ["applied", "not applied", "nothing was sent", "outcome unknown"];
    assert_eq!(conclusions, all.map(String::from).into(), "all of them are met");
}

/// One life of a client; returns the conclusions that it came to.
fn run(seed: u64) -> BTreeSet<String> {
    let mut random = Random::new(seed);
    let mut bench = Bench::new(1 + random.below(3) as usize);
    let mut cluster = Cluster {
        sessions: Sessions::default(),
        index: 0,
        applied: BTreeMap::new(),
        held: Vec::new(),
    };
    let writes = 1 + random.below(30);
    let mut submitted = 0;
    // Bad times end, or do not.
    let bad_until = random.below(3) * 4000;
    let mut dials = 0;
    let mut connected = false;
    while submitted < writes || bench.client.pending() > 0 {
        let bad = bench.now < bad_until;
        if submitted < writes && random.below(3) == 0 {
            submitted += 1;
            bench.write(submitted);
        }
        if bench.closes > 0 {
            (bench.closes, connected) = (0, false);
        }
        if bench.dials.len() > dials {
            dials = bench.dials.len();
            if bad && random.below(2) == 0 {
                bench.step(&|client, now, out| client.refused(now, "refused", out));
            } else {
                bench.connect();
                connected = true;
            }
        }
        if connected && !bench.sent.is_empty() {
            let pick = random.below(bench.sent.len() as u64) as usize;
            bench.sent.swap(0, pick);
            serve(&mut bench, &mut cluster, &mut random, bad, &mut connected);
        }
        if random.below(20) == 0 && !cluster.held.is_empty() {
            let pick = random.below(cluster.held.len() as u64) as usize;
            let late = cluster.held.swap_remove(pick);
            cluster.commit(&late);
        }
        if bad && random.below(200) == 0 {
            cluster.expire_all();
        }
        if !std::mem::take(&mut bench.pings).is_empty() && random.below(4) > 0 {
            bench.step(&|client, now, out| client.heard(now, out));
        }
        bench.wait(random.below(60));
    }
    // What was still under way arrives after all.
    for request in std::mem::take(&mut cluster.held) {
        cluster.commit(&request);
    }
    judge(&bench, &cluster, seed)
}

/// Answers the first request in one of the ways in which it can go.
fn serve(
    bench: &mut Bench,
    cluster: &mut Cluster,
    random: &mut Random,
    bad: bool,
    connected: &mut bool,
) {
    let request = bench.sent[0].1.clone();
    let way = if bad { random.below(8) } else { 7 };
    match way {
        // Committed or not, and the connection is lost.
        0 | 1 => {
            if way == 0 {
                cluster.commit(&request);
            }
            bench.disconnect();
            *connected = false;
        }
        // Certainly not carried out.
        2 => drop(bench.refuse(Outcome::NotApplied, Reason::NoLeader)),
        3 => drop(bench.refuse(Outcome::NotApplied, Reason::NotLeader { leader: None })),
        // Carried out later, perhaps never.
        4 | 5 => {
            cluster.held.push(request);
            if way == 4 {
                bench.refuse(Outcome::Unknown, Reason::LeaderLost);
            } else {
                bench.sent.remove(0);
            }
        }
        6 if random.below(4) == 0 => {
            bench.refuse(Outcome::NotApplied, Reason::DiskFull);
        }
        _ => {
            let answer = cluster.commit(&request);
            bench.answer(answer);
        }
    }
}

fn judge(bench: &Bench, cluster: &Cluster, seed: u64) -> BTreeSet<String> {
    let mut conclusions = BTreeSet::new();
    for (id, result) in &bench.done {
        let command = Bytes::from(id.to_string());
        let (times, at) = cluster.applied.get(&command).copied().unwrap_or_default();
        assert!(times <= 1, "seed {seed}: write {id} was applied {times} times");
        match result {
            Ok(success) => {
                let response = Bytes::from(at.to_string());
                assert_eq!(success.answer, Answer::Written { at, response }, "seed {seed}");
                assert_eq!(times, 1, "seed {seed}: write {id} was applied, it is said");
                conclusions.insert("applied".into());
            }
            Err(error) => {
                let may_be = error.outcome == Conclusion::Unknown;
                assert!(may_be || times == 0, "seed {seed}: write {id}: {error}");
                conclusions.insert(error.outcome.to_string());
            }
        }
    }
    conclusions
}
