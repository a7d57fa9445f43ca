//! The session table: its rules one by one, and against a twin that is too simple to be wrong.

use bytes::Bytes;
use raft_core::{Index, LogId};
use raft_node::random::Random;
use raft_node::sessions::{Admission, Fate, Limits, RequestName, Sessions, WINDOW_MAX};

const SMALL: Limits = Limits { sessions_max: 3, answer_bytes_max: 1000 };

fn response(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Commits a write at `at` and applies it if it is fresh.
fn write(sessions: &mut Sessions, at: u64, session: u64, sequence: u64, lowest: u64) -> Admission {
    let admission = sessions.begin(Index(at), session, sequence, lowest);
    if admission == Admission::Fresh {
        sessions.record(session, sequence, LogId::new(at, 1), response(&format!("answer {at}")));
    }
    admission
}

fn duplicate(at: u64) -> Admission {
    Admission::Duplicate { at: LogId::new(at, 1), response: response(&format!("answer {at}")) }
}

#[test]
fn a_repetition_gets_the_first_answer() {
    let mut sessions = Sessions::default();
    let session = sessions.register(Index(5), false);
    assert_eq!(session, 5);
    assert_eq!(write(&mut sessions, 6, session, 1, 1), Admission::Fresh);
    assert_eq!(write(&mut sessions, 7, session, 1, 1), duplicate(6));
    assert_eq!(sessions.answer(session, 1), Some((LogId::new(6, 1), response("answer 6"))));
    assert_eq!(sessions.answer(session, 2), None);
}

#[test]
fn requests_in_flight_together_are_applied_in_any_order() {
    let mut sessions = Sessions::default();
    let session = sessions.register(Index(1), false);
    assert_eq!(write(&mut sessions, 2, session, 3, 1), Admission::Fresh);
    assert_eq!(write(&mut sessions, 3, session, 1, 1), Admission::Fresh);
    assert_eq!(write(&mut sessions, 4, session, 2, 1), Admission::Fresh);
    assert_eq!(write(&mut sessions, 5, session, 3, 1), duplicate(2));
}

#[test]
fn an_acknowledged_request_is_never_applied_again() {
    let mut sessions = Sessions::default();
    let session = sessions.register(Index(1), false);
    assert_eq!(write(&mut sessions, 2, session, 1, 1), Admission::Fresh);
    assert_eq!(write(&mut sessions, 3, session, 2, 2), Admission::Fresh);
    assert_eq!(write(&mut sessions, 4, session, 1, 1), Admission::Forgotten);
    assert_eq!(write(&mut sessions, 5, session, 2, 1), duplicate(3), "the mark is never lowered");
}

#[test]
fn unknown_and_ended_sessions_are_expired() {
    let mut sessions = Sessions::default();
    assert_eq!(write(&mut sessions, 1, 9, 1, 1), Admission::Expired);
    let session = sessions.register(Index(2), false);
    assert!(sessions.end(session));
    assert!(!sessions.end(session));
    assert_eq!(write(&mut sessions, 3, session, 1, 1), Admission::Expired);
}

#[test]
fn the_window_is_bounded() {
    let mut sessions = Sessions::default();
    let session = sessions.register(Index(1), false);
    assert_eq!(write(&mut sessions, 2, session, WINDOW_MAX, 1), Admission::Fresh);
    let invalid = |admission| matches!(admission, Admission::Invalid(_));
    assert!(invalid(write(&mut sessions, 3, session, WINDOW_MAX + 1, 1)));
    assert!(invalid(write(&mut sessions, 4, session, 0, 0)));
    assert!(invalid(write(&mut sessions, 5, session, 1, 2)));
    assert!(invalid(write(&mut sessions, 6, session, u64::MAX, 1)));
    assert_eq!(write(&mut sessions, 7, session, u64::MAX, u64::MAX), Admission::Fresh);
}

#[test]
fn the_least_recently_used_session_expires_first() {
    let mut sessions = Sessions::with_limits(SMALL, SMALL);
    for at in 1..=3 {
        sessions.register(Index(at), false);
    }
    assert_eq!(write(&mut sessions, 4, 1, 1, 1), Admission::Fresh);
    sessions.register(Index(5), false);
    assert_eq!(write(&mut sessions, 6, 2, 1, 1), Admission::Expired);
    assert_eq!(write(&mut sessions, 7, 1, 1, 1), duplicate(4));
}

#[test]
fn one_shots_never_expire_a_client() {
    let mut sessions = Sessions::with_limits(SMALL, SMALL);
    let client = sessions.register(Index(1), false);
    for at in 2..100 {
        sessions.register(Index(at), true);
    }
    assert_eq!(write(&mut sessions, 100, client, 1, 1), Admission::Fresh);
    assert_eq!(sessions.count(), 4);
}

#[test]
fn answers_are_bounded_in_bytes_by_whole_sessions() {
    let mut sessions = Sessions::with_limits(SMALL, SMALL);
    let (first, second) = (sessions.register(Index(1), false), sessions.register(Index(2), false));
    let large = Bytes::from(vec![0; 600]);
    assert_eq!(sessions.begin(Index(3), first, 1, 1), Admission::Fresh);
    sessions.record(first, 1, LogId::new(3, 1), large.clone());
    assert_eq!(sessions.begin(Index(4), second, 1, 1), Admission::Fresh);
    sessions.record(second, 1, LogId::new(4, 1), large.clone());
    assert_eq!(sessions.begin(Index(5), first, 1, 1), Admission::Expired);
    assert!(sessions.answer(second, 1).is_some());
    // Over the bound all by itself: never half a session.
    assert_eq!(sessions.begin(Index(6), second, 2, 1), Admission::Fresh);
    sessions.record(second, 2, LogId::new(6, 1), large);
    assert_eq!(sessions.begin(Index(7), second, 2, 1), Admission::Expired);
    assert_eq!(sessions.count(), 0);
}

/// The same rules over a list, with no index and no running totals.
struct Twin {
    sessions: Vec<TwinSession>,
}

/// Session, one-shot, last use, lowest unacknowledged, answers, withdrawn requests.
struct TwinSession(u64, bool, u64, u64, Vec<(u64, LogId, Bytes)>, Vec<(u64, LogId)>);

impl Twin {
    fn expire_while(&mut self, one_shot: bool, over: impl Fn(usize, usize) -> bool) {
        loop {
            let class = self.sessions.iter().filter(|s| s.1 == one_shot);
            let answers: usize = class.clone().flat_map(|s| &s.4).map(|a| a.2.len() + 64).sum();
            let withdrawn: usize = class.clone().map(|s| s.5.len() * 64).sum();
            if !over(class.clone().count(), answers + withdrawn) {
                return;
            }
            let oldest = class.min_by_key(|s| s.2).map(|s| s.0);
            self.sessions.retain(|s| Some(s.0) != oldest);
        }
    }

    fn register(&mut self, at: u64, one_shot: bool) {
        self.expire_while(one_shot, |count, _| count >= SMALL.sessions_max);
        self.sessions.push(TwinSession(at, one_shot, at, 0, Vec::new(), Vec::new()));
    }

    fn begin(&mut self, at: u64, session: u64, sequence: u64, lowest: u64) -> Admission {
        let Some(s) = self.sessions.iter_mut().find(|s| s.0 == session) else {
            return Admission::Expired;
        };
        let after = lowest.max(s.3);
        if sequence == 0 || lowest > sequence || sequence >= after + WINDOW_MAX {
            return Admission::Invalid("");
        }
        (s.2, s.3) = (at, after);
        s.4.retain(|answer| answer.0 >= after);
        s.5.retain(|withdrawn| withdrawn.0 >= after);
        if sequence < after {
            return Admission::Forgotten;
        }
        if let Some((_, at)) = s.5.iter().find(|withdrawn| withdrawn.0 == sequence) {
            return Admission::Withdrawn { at: *at };
        }
        match s.4.iter().find(|answer| answer.0 == sequence) {
            Some((_, at, response)) => Admission::Duplicate { at: *at, response: response.clone() },
            None => Admission::Fresh,
        }
    }

    fn withdraw(&mut self, at: LogId, session: u64, sequence: u64) -> Option<Fate> {
        let Some(s) = self.sessions.iter_mut().find(|s| s.0 == session) else {
            return Some(Fate::Expired);
        };
        if sequence == 0 || sequence >= s.3 + WINDOW_MAX {
            return None;
        }
        if sequence < s.3 {
            return Some(Fate::Forgotten);
        }
        if let Some((_, at, response)) = s.4.iter().find(|answer| answer.0 == sequence) {
            return Some(Fate::Applied { at: *at, response: response.clone() });
        }
        if let Some((_, at)) = s.5.iter().find(|withdrawn| withdrawn.0 == sequence) {
            return Some(Fate::Withdrawn { at: *at });
        }
        s.5.push((sequence, at));
        let one_shot = s.1;
        self.expire_while(one_shot, |_, bytes| bytes as u64 > SMALL.answer_bytes_max);
        Some(Fate::Withdrawn { at })
    }

    fn record(&mut self, session: u64, sequence: u64, at: LogId, response: Bytes) {
        let Some(s) = self.sessions.iter_mut().find(|s| s.0 == session) else { return };
        s.4.push((sequence, at, response));
        let one_shot = s.1;
        self.expire_while(one_shot, |_, bytes| bytes as u64 > SMALL.answer_bytes_max);
    }
}

#[test]
fn the_table_agrees_with_its_twin() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut sessions = Sessions::with_limits(SMALL, SMALL);
        let mut twin = Twin { sessions: Vec::new() };
        for at in 1..300 {
            let session = random.below(at);
            match random.below(8) {
                0 => {
                    let one_shot = random.below(2) == 0;
                    sessions.register(Index(at), one_shot);
                    twin.register(at, one_shot);
                }
                1 if random.below(4) == 0 => {
                    let before = twin.sessions.len();
                    twin.sessions.retain(|s| s.0 != session);
                    assert_eq!(sessions.end(session), twin.sessions.len() < before, "seed {seed}");
                }
                2 => {
                    let pick = random.below(twin.sessions.len() as u64) as usize;
                    let session = twin.sessions.get(pick).map_or(session, |s| s.0);
                    let (place, sequence) = (LogId::new(at, 1), random.below(8));
                    let fate = sessions.withdraw(place, RequestName { session, sequence }).ok();
                    assert_eq!(fate, twin.withdraw(place, session, sequence), "seed {seed}");
                }
                _ => {
                    // Mostly living sessions, so that something happens.
                    let known = twin.sessions.len() as u64;
                    let pick = random.below(known) as usize;
                    let session = twin.sessions.get(pick).map_or(session, |s| s.0);
                    let (sequence, lowest) = (random.below(8), random.below(5));
                    let ours = sessions.begin(Index(at), session, sequence, lowest);
                    let theirs = twin.begin(at, session, sequence, lowest);
                    match (&ours, &theirs) {
                        (Admission::Invalid(_), Admission::Invalid(_)) => {}
                        _ => assert_eq!(ours, theirs, "seed {seed} index {at}"),
                    }
                    if ours == Admission::Fresh {
                        let answer = Bytes::from(vec![0; random.below(300) as usize]);
                        sessions.record(session, sequence, LogId::new(at, 1), answer.clone());
                        twin.record(session, sequence, LogId::new(at, 1), answer);
                    }
                }
            }
            assert_eq!(sessions.count(), twin.sessions.len(), "seed {seed} index {at}");
        }
    }
}
