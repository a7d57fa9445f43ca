//! Against a server that drops, repeats, delays and refuses what it likes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use raft_core::{Index, LogId};
use raft_node::client_core::Conclusion;
use raft_node::protocol::{Answer, Outcome, Reason, Refusal, Request};
use raft_node::random::Random;
use raft_node::sessions::{Admission, Sessions};

use crate::bench::Bench;

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
                    Admission::Withdrawn { at } => {
                        Refusal::not_applied(Reason::Withdrawn { at: at.index }).into()
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
