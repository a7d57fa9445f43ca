//! What became of a request, for whoever lost its answer: applied where and with which answer, or
//! never.
//!
//! That a request has not been applied says nothing: a copy of it may still be in a socket, or in
//! the log of somebody who leads no more, and be applied later. So the question is an entry, and
//! the entry a fence: if the request is not applied when the fence is, its place in the session is
//! taken, as by an answer, and whatever copy of it comes later finds that. All replicas decide so
//! at the same index. The fence is for one request; the others of its session go on as they were.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use raft_core::LogId;

use super::{ANSWER_OVERHEAD_BYTES, Class, Sessions, WINDOW_MAX};

/// A write of a client, as it is named in the log: `17/1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestName {
    /// The client's session.
    pub session: u64,
    /// The request within the session, from 1 on.
    pub sequence: u64,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is applied.
    Applied {
        /// Its place in the log.
        at: LogId,
        /// What the state machine answered.
        response: Bytes,
    },
    /// It is not applied, and never will be.
    Withdrawn {
        /// The place of the fence.
        at: LogId,
    },
    /// Its client had said that it needs the answer no longer. Whether it was applied is not known
    /// any more; it will not be from now on.
    Forgotten,
    /// Its session is not there: ended, given up for others, or never opened. Whether the request
    /// was applied is not known any more; it will not be from now on.
    Expired,
}

impl Sessions {
    /// The fence for a request was committed at `at`.
    ///
    /// # Errors
    /// Why no correct client has sent that request. Nothing is decided then.
    pub fn withdraw(&mut self, at: LogId, request: RequestName) -> Result<Fate, &'static str> {
        // It may be opened yet, and a request of that name be sent then.
        if request.session >= at.index.0 {
            return Err("no session of that number has been opened yet");
        }
        match self.class_of(request.session) {
            Some(class) => class.withdraw(at, request),
            None => Ok(Fate::Expired),
        }
    }
}

impl Class {
    fn withdraw(&mut self, at: LogId, request: RequestName) -> Result<Fate, &'static str> {
        let RequestName { session: id, sequence } = request;
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(Fate::Expired) };
        if sequence == 0 {
            return Err("requests are counted from 1 on");
        }
        if sequence < session.lowest_unacknowledged {
            return Ok(Fate::Forgotten);
        }
        if let Some((at, response)) = session.answers.get(sequence) {
            return Ok(Fate::Applied { at, response });
        }
        if let Some(at) = session.withdrawn.get(&sequence) {
            return Ok(Fate::Withdrawn { at: *at });
        }
        if sequence - session.lowest_unacknowledged >= WINDOW_MAX {
            return Err("it is beyond what its session may have under way");
        }
        session.withdrawn.insert(sequence, at);
        session.answer_bytes += ANSWER_OVERHEAD_BYTES;
        self.answer_bytes += ANSWER_OVERHEAD_BYTES;
        while self.answer_bytes > self.limits.answer_bytes_max && self.expire_oldest() {}
        Ok(Fate::Withdrawn { at })
    }
}

impl fmt::Display for RequestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.session, self.sequence)
    }
}

impl FromStr for RequestName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let numbers = parts.map(|(session, sequence)| (session.parse(), sequence.parse()));
        match numbers {
            Some((Ok(session), Ok(sequence))) => Ok(Self { session, sequence }),
            _ => Err(format!("'{text}' names no request; one is written 17/1")),
        }
    }
}

#[cfg(test)]
mod tests {
    use raft_core::Index;

    use super::super::{Admission, Limits};
    use super::*;

    const NAME: RequestName = RequestName { session: 3, sequence: 1 };

    /// Session 3, whose request 2 is applied.
    fn table() -> Sessions {
        let mut sessions = Sessions::default();
        sessions.register(Index(3), false);
        assert_eq!(sessions.begin(Index(4), 3, 2, 1), Admission::Fresh);
        sessions.record(3, 2, LogId::new(4, 1), Bytes::from_static(b"two"));
        sessions
    }

    fn fate(sessions: &mut Sessions, at: u64, sequence: u64) -> Result<Fate, &'static str> {
        sessions.withdraw(LogId::new(at, 1), RequestName { sequence, ..NAME })
    }

    #[test]
    fn whatever_copy_comes_later_finds_the_fence() {
        let mut sessions = table();
        let at = LogId::new(5, 1);
        assert_eq!(fate(&mut sessions, 5, 1), Ok(Fate::Withdrawn { at }));
        assert_eq!(sessions.begin(Index(6), 3, 1, 1), Admission::Withdrawn { at });
        // It stays with the first one.
        assert_eq!(fate(&mut sessions, 7, 1), Ok(Fate::Withdrawn { at }));
        // Others go on, and what their client needs no longer goes, the fence included.
        assert_eq!(sessions.begin(Index(8), 3, 3, 3), Admission::Fresh);
        assert_eq!(sessions.begin(Index(9), 3, 1, 1), Admission::Forgotten);
        assert_eq!(fate(&mut sessions, 10, 1), Ok(Fate::Forgotten));
    }

    #[test]
    fn what_is_applied_stays_applied() {
        let mut sessions = table();
        let (at, response) = (LogId::new(4, 1), Bytes::from_static(b"two"));
        assert_eq!(fate(&mut sessions, 5, 2), Ok(Fate::Applied { at, response }));
        assert!(matches!(sessions.begin(Index(6), 3, 2, 1), Admission::Duplicate { .. }));
    }

    #[test]
    fn a_session_that_is_gone_applies_nothing_any_more() {
        let mut sessions = table();
        sessions.end(3);
        assert_eq!(fate(&mut sessions, 5, 1), Ok(Fate::Expired));
        assert_eq!(sessions.begin(Index(6), 3, 1, 1), Admission::Expired);
    }

    #[test]
    fn nothing_is_said_of_a_session_that_may_be_opened_yet() {
        let mut sessions = table();
        let request = RequestName { session: 7, sequence: 1 };
        assert!(sessions.withdraw(LogId::new(5, 1), request).is_err());
        assert!(sessions.withdraw(LogId::new(7, 1), request).is_err());
        assert_eq!(sessions.withdraw(LogId::new(8, 1), request), Ok(Fate::Expired));
    }

    #[test]
    fn no_fence_beyond_what_a_client_may_send() {
        let mut sessions = table();
        assert!(fate(&mut sessions, 5, 0).is_err());
        assert!(fate(&mut sessions, 5, 1 + WINDOW_MAX).is_err());
        let fence = fate(&mut sessions, 5, WINDOW_MAX);
        assert_eq!(fence, Ok(Fate::Withdrawn { at: LogId::new(5, 1) }));
    }

    #[test]
    fn fences_are_in_the_image_and_count() {
        let mut sessions = table();
        assert!(fate(&mut sessions, 5, 1).is_ok());
        let mut other = sessions.emptied().restored(sessions.image()).expect("the same table");
        assert_eq!(other, sessions);
        assert!(matches!(other.begin(Index(6), 3, 1, 1), Admission::Withdrawn { .. }));
        let bytes = 3 * ANSWER_OVERHEAD_BYTES;
        let limits = Limits { sessions_max: 2, answer_bytes_max: bytes };
        let mut small = Sessions::with_limits(limits, Limits::ONE_SHOTS);
        small.register(Index(3), false);
        for sequence in 1..=3 {
            assert!(fate(&mut small, 3 + sequence, sequence).is_ok());
        }
        assert_eq!(small.count(), 1);
        assert!(fate(&mut small, 7, 4).is_ok());
        assert_eq!(small.count(), 0, "whole sessions go");
    }

    #[test]
    fn a_fence_goes_with_what_its_client_needs_no_longer() {
        let mut sessions = Sessions::default();
        sessions.register(Index(3), false);
        assert!(fate(&mut sessions, 5, 1).is_ok());
        assert_eq!(sessions.begin(Index(6), 3, 2, 2), Admission::Fresh);
        let mut fresh = Sessions::default();
        fresh.register(Index(3), false);
        assert_eq!(fresh.begin(Index(6), 3, 2, 2), Admission::Fresh);
        assert_eq!(sessions, fresh, "no answer went with it");
        assert!(sessions.emptied().restored(sessions.image()).is_ok());
    }

    #[test]
    fn names() {
        assert_eq!("17/1".parse(), Ok(RequestName { session: 17, sequence: 1 }));
        assert_eq!(RequestName { session: 17, sequence: 1 }.to_string(), "17/1");
        for wrong in ["", "17", "17/", "/1", "17/1/1", "-1/1", "n3"] {
            assert!(wrong.parse::<RequestName>().is_err(), "{wrong}");
        }
    }
}
