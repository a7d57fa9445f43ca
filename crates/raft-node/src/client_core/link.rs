//! The one connection of a client: whom to dial, when to dial again, when to give a silent
//! server up.

use raft_core::Time;

use crate::random::Random;

/// The first wait between attempts, in milliseconds.
const BACKOFF_MIN: u64 = 50;
/// The longest.
const BACKOFF_MAX: u64 = 1000;

/// How long a server may be silent at most, in milliseconds.
const SILENCE_MAX: u64 = 1500;

#[derive(Debug)]
pub(super) struct Link {
    endpoints: usize,
    /// The endpoint in use, or the next one.
    at: usize,
    state: State,
    /// Dials and connections that ended without an answer, since the last answer.
    failures: u32,
    /// How long a server may be silent while it is asked.
    patience: u64,
    pings: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Down { dial_from: Time },
    Dialling { since: Option<Time> },
    Up { heard: Time, pinged: Time, leaving: bool },
}

/// A server that lives answers pings at once: a long timeout is no reason to wait for a dead one.
const fn patience(timeout: u64) -> u64 {
    if timeout / 3 < SILENCE_MAX { timeout / 3 } else { SILENCE_MAX }
}

/// How long to wait after so many attempts: doubling, half of it by chance.
pub(super) fn backoff(attempts: u32, random: &mut Random) -> u64 {
    let full = BACKOFF_MIN.saturating_mul(1 << attempts.min(10)).min(BACKOFF_MAX);
    full / 2 + random.below(full / 2 + 1)
}

impl Link {
    pub(super) const fn new(endpoints: usize, timeout: u64) -> Self {
        Self {
            endpoints,
            at: 0,
            state: State::Down { dial_from: Time(0) },
            failures: 0,
            patience: patience(timeout),
            pings: 0,
        }
    }

    pub(super) const fn endpoint(&self) -> usize {
        self.at
    }

    pub(super) const fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    pub(super) const fn takes_requests(&self) -> bool {
        matches!(self.state, State::Up { leaving: false, .. })
    }

    pub(super) const fn is_leaving(&self) -> bool {
        matches!(self.state, State::Up { leaving: true, .. })
    }

    /// When time alone changes something, while answers are outstanding or not.
    pub(super) fn next_deadline(&self, asking: bool) -> Option<Time> {
        match self.state {
            State::Down { dial_from } => (self.endpoints > 0).then_some(dial_from),
            State::Dialling { since } => since.map(|since| since + self.patience),
            State::Up { heard, pinged, .. } => {
                asking.then(|| (heard + self.patience).min(pinged + self.ping_interval()))
            }
        }
    }

    /// The endpoint to dial now, if it is time.
    pub(super) fn dial(&mut self, now: Time) -> Option<usize> {
        match self.state {
            State::Down { dial_from } if dial_from <= now && self.endpoints > 0 => {
                self.state = State::Dialling { since: Some(now) };
                Some(self.at)
            }
            _ => None,
        }
    }

    pub(super) const fn up(&mut self, now: Time) {
        self.state = State::Up { heard: now, pinged: now, leaving: false };
    }

    /// The dial or the connection ended: the next endpoint, after a wait once all have failed.
    pub(super) fn failed(&mut self, now: Time, random: &mut Random) {
        let endpoints = self.endpoints.max(1);
        self.at = (self.at + 1) % endpoints;
        self.failures += 1;
        let rounds = self.failures / u32::try_from(endpoints).unwrap_or(u32::MAX);
        let wait = if rounds == 0 { 0 } else { backoff(rounds - 1, random) };
        self.state = State::Down { dial_from: now + wait };
    }

    /// Ask another server, once the answers that are outstanding have come.
    pub(super) const fn leave(&mut self) {
        if let State::Up { leaving, .. } = &mut self.state {
            *leaving = true;
        }
    }

    pub(super) fn left(&mut self) {
        self.at = (self.at + 1) % self.endpoints.max(1);
        self.state = State::Down { dial_from: Time(0) };
    }

    /// The server is there.
    pub(super) const fn heard(&mut self, now: Time) {
        if let State::Up { heard, .. } = &mut self.state {
            *heard = now;
        }
    }

    /// A first request goes out: the server's silence counts from now.
    pub(super) const fn asks(&mut self, now: Time) {
        if let State::Up { heard, pinged, .. } = &mut self.state {
            (*heard, *pinged) = (now, now);
        }
    }

    /// Whether each endpoint has failed in turn since the last answer.
    pub(super) const fn has_tried_all(&self) -> bool {
        self.failures as usize >= self.endpoints
    }

    /// The server does its work.
    pub(super) const fn answered(&mut self) {
        self.failures = 0;
    }

    /// Whether to give up on the dial, or on a server that says nothing while it is asked.
    pub(super) fn is_silent(&self, now: Time, asking: bool) -> bool {
        match self.state {
            State::Down { .. } => false,
            State::Dialling { since } => since.is_some_and(|since| now - since >= self.patience),
            State::Up { heard, .. } => asking && now - heard >= self.patience,
        }
    }

    /// A ping, if one is due.
    pub(super) fn ping(&mut self, now: Time, asking: bool) -> Option<u64> {
        let interval = self.ping_interval();
        let State::Up { pinged, .. } = &mut self.state else {
            return None;
        };
        if !asking || now - *pinged < interval {
            return None;
        }
        *pinged = now;
        self.pings += 1;
        Some(self.pings)
    }

    const fn ping_interval(&self) -> u64 {
        self.patience / 3 + 1
    }
}
