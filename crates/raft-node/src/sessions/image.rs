//! The session table as a part of a snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use raft_core::{Index, LogId};

use super::{ANSWER_OVERHEAD_BYTES, Answers, Class, Limits, Session, Sessions, WINDOW_MAX, cost};

/// All sessions; equal tables have equal bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SessionsBody {
    #[prost(message, repeated, tag = "1")]
    clients: Vec<SessionBody>,
    #[prost(message, repeated, tag = "2")]
    one_shots: Vec<SessionBody>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SessionBody {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    last_use: u64,
    #[prost(uint64, tag = "3")]
    lowest_unacknowledged: u64,
    #[prost(message, repeated, tag = "4")]
    answers: Vec<AnswerBody>,
    #[prost(message, repeated, tag = "5")]
    withdrawn: Vec<WithdrawnBody>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AnswerBody {
    #[prost(uint64, tag = "1")]
    sequence: u64,
    #[prost(uint64, tag = "2")]
    index: u64,
    #[prost(uint64, tag = "3")]
    term: u64,
    #[prost(bytes = "bytes", tag = "4")]
    response: Bytes,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct WithdrawnBody {
    #[prost(uint64, tag = "1")]
    sequence: u64,
    #[prost(uint64, tag = "2")]
    index: u64,
    #[prost(uint64, tag = "3")]
    term: u64,
}

impl Sessions {
    /// An empty table with the same bounds.
    pub(crate) const fn emptied(&self) -> Self {
        Self::with_limits(self.clients.limits, self.one_shots.limits)
    }

    pub(crate) fn image(&self) -> SessionsBody {
        SessionsBody { clients: self.clients.image(), one_shots: self.one_shots.image() }
    }

    /// Whether there are withdrawn requests. A reader that does not know of them would apply them.
    pub(crate) fn has_withdrawn(&self) -> bool {
        let classes = [&self.clients, &self.one_shots];
        let mut sessions = classes.into_iter().flat_map(|class| class.sessions.values());
        sessions.any(|session| !session.withdrawn.is_empty())
    }

    /// The table that the image shows, if it is one that these bounds allow.
    pub(crate) fn restored(&self, image: SessionsBody) -> Result<Self, &'static str> {
        let clients = Class::from_image(self.clients.limits, image.clients)?;
        let one_shots = Class::from_image(self.one_shots.limits, image.one_shots)?;
        if clients.sessions.keys().any(|id| one_shots.sessions.contains_key(id)) {
            return Err("one session of two kinds");
        }
        Ok(Self { clients, one_shots })
    }
}

impl Class {
    fn image(&self) -> Vec<SessionBody> {
        let answer = |(sequence, at, response): &(u64, LogId, Bytes)| AnswerBody {
            sequence: *sequence,
            index: at.index.0,
            term: at.term.0,
            response: response.clone(),
        };
        let withdrawn = |(sequence, at): (&u64, &LogId)| WithdrawnBody {
            sequence: *sequence,
            index: at.index.0,
            term: at.term.0,
        };
        let session = |(id, session): (&u64, &Session)| SessionBody {
            id: *id,
            last_use: session.last_use.0,
            lowest_unacknowledged: session.lowest_unacknowledged,
            answers: session.answers.iter().map(answer).collect(),
            withdrawn: session.withdrawn.iter().map(withdrawn).collect(),
        };
        self.sessions.iter().map(session).collect()
    }

    fn from_image(limits: Limits, image: Vec<SessionBody>) -> Result<Self, &'static str> {
        let mut class = Self::new(limits);
        for SessionBody { id, last_use, lowest_unacknowledged, answers, withdrawn } in image {
            let last_use = Index(last_use);
            let (mut kept, mut gone, mut answer_bytes) = (Answers::default(), BTreeMap::new(), 0);
            let keeps = |sequence: u64| {
                let above = sequence.checked_sub(lowest_unacknowledged);
                above.is_some_and(|above| above < WINDOW_MAX)
            };
            for AnswerBody { sequence, index, term, response } in answers {
                if !keeps(sequence) {
                    return Err("an answer that its session does not keep");
                }
                answer_bytes += cost(&response);
                kept.insert(sequence, LogId::new(index, term), response);
            }
            for WithdrawnBody { sequence, index, term } in withdrawn {
                if !keeps(sequence) || kept.get(sequence).is_some() {
                    return Err("a withdrawn request that its session does not keep");
                }
                answer_bytes += ANSWER_OVERHEAD_BYTES;
                gone.insert(sequence, LogId::new(index, term));
            }
            class.answer_bytes += answer_bytes;
            let session = Session {
                last_use,
                listed_at: last_use,
                lowest_unacknowledged,
                answers: Arc::new(kept),
                withdrawn: gone,
                answer_bytes,
            };
            let twice = class.by_use.insert(last_use, id).is_some();
            if class.sessions.insert(id, session).is_some() || twice || last_use < Index(id) {
                return Err("sessions that cannot be");
            }
        }
        let fits = class.sessions.len() <= limits.sessions_max
            && class.answer_bytes <= limits.answer_bytes_max;
        if fits { Ok(class) } else { Err("more sessions than there may be") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Sessions {
        let mut sessions = Sessions::default();
        for at in [3, 4] {
            sessions.register(Index(at), false);
        }
        sessions.register(Index(5), true);
        for (at, session, sequence, lowest) in
            [(6, 3, 1, 1), (7, 3, 2, 1), (8, 5, 1, 0), (9, 3, 3, 2)]
        {
            sessions.begin(Index(at), session, sequence, lowest);
            sessions.record(session, sequence, LogId::new(at, 2), Bytes::from(format!("{at}")));
        }
        sessions
    }

    #[test]
    fn a_table_comes_back_as_it_was() {
        let sessions = table();
        assert_eq!(sessions.emptied().restored(sessions.image()), Ok(sessions));
    }

    #[test]
    fn a_copy_shares_the_answers_until_the_next_write() {
        let mut sessions = table();
        let (copy, before) = (sessions.clone(), sessions.image());
        let answers = |table: &Sessions, id| Arc::clone(&table.clients.sessions[&id].answers);
        assert!(Arc::ptr_eq(&answers(&sessions, 3), &answers(&copy, 3)));
        sessions.begin(Index(10), 3, 4, 3);
        sessions.record(3, 4, LogId::new(10, 2), Bytes::new());
        let kept: Vec<u64> = answers(&sessions, 3).iter().map(|answer| answer.0).collect();
        assert_eq!(kept, [3, 4]);
        assert_eq!(copy.image(), before);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let image = table().image();
        let mut twice = image.clone();
        twice.clients[1].last_use = 9;
        let mut unborn = image.clone();
        unborn.clients[1].last_use = 3;
        let mut both = image.clone();
        both.one_shots[0].id = 3;
        let mut forgotten = image.clone();
        forgotten.clients[0].lowest_unacknowledged = 3;
        let mut early = image.clone();
        early.clients[0].answers[0].sequence = 1 << 40;
        for wrong in [twice, unborn, both, forgotten, early] {
            assert!(Sessions::default().restored(wrong.clone()).is_err(), "{wrong:?}");
        }
        let limits = Limits { sessions_max: 1, ..Limits::CLIENTS };
        let small = Sessions::with_limits(limits, Limits::ONE_SHOTS);
        assert_eq!(small.restored(image), Err("more sessions than there may be"));
    }
}
