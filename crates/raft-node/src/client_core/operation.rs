//! One operation of a client, and what its answers mean.

use raft_core::{RequestId, Time};

use super::{ClientError, Conclusion, Op, Session};
use crate::protocol::{Answer, Outcome, Reason, Request};

#[derive(Debug)]
pub(super) struct Operation {
    pub(super) op: Op,
    pub(super) deadline: Time,
    /// Names a membership change in every attempt.
    change: RequestId,
    /// Names a write in every attempt: session and sequence number.
    pub(super) slot: Option<(u64, u64)>,
    /// The attempt in flight.
    pub(super) request: Option<u64>,
    /// It was sent at least once.
    pub(super) sent: bool,
    /// An attempt ended, and may have been carried out.
    pub(super) unknown: bool,
    /// Refused so many times.
    pub(super) attempts: u32,
    pub(super) last_reason: Option<Reason>,
}

/// What follows from an answer.
pub(super) enum Verdict {
    Success(Answer),
    Failure(ClientError),
    /// Send it again in a new session.
    NewSession,
    /// Send it again as it is, after a while.
    Again(Reason),
}

impl Operation {
    pub(super) const fn new(op: Op, deadline: Time, change: RequestId) -> Self {
        Self {
            op,
            deadline,
            change,
            slot: None,
            request: None,
            sent: false,
            unknown: false,
            attempts: 0,
            last_reason: None,
        }
    }

    pub(super) fn command_bytes(&self) -> usize {
        match &self.op {
            Op::Write(command) => command.len(),
            _ => 0,
        }
    }

    /// Changes nothing, so that nothing about it can be unknown.
    pub(super) const fn is_read(&self) -> bool {
        matches!(
            self.op,
            Op::Read { .. }
                | Op::Members
                | Op::Snapshot
                | Op::Status
                | Op::Recent { .. }
                | Op::Why
                | Op::Result(_)
        )
    }

    /// Takes as long as it takes, while a server holds it.
    pub(super) const fn is_patient(&self) -> bool {
        matches!(self.op, Op::Change(_) | Op::Transfer(_) | Op::Snapshot)
    }

    /// Whether a further attempt does nothing that the first one did not. "Anybody but you"
    /// would hand leadership over twice.
    pub(super) const fn may_repeat(&self) -> bool {
        !matches!(self.op, Op::Transfer(None))
    }

    /// The request, the same in every attempt but for what is acknowledged. `None` for the end of
    /// a session that is not there.
    pub(super) fn body(&self, lowest_unacknowledged: u64, session: Session) -> Option<Request> {
        Some(match &self.op {
            Op::Write(command) => {
                let (session, sequence) = self.slot?;
                let command = command.clone();
                Request::Write { session, sequence, lowest_unacknowledged, command }
            }
            Op::EndSession => match session {
                Session::Open(session) => Request::EndSession { session },
                _ => return None,
            },
            Op::Read { query, consistency, news } => {
                Request::Read { query: query.clone(), consistency: *consistency, news: *news }
            }
            Op::Members => Request::Members,
            Op::Change(change) => Request::Change { request: self.change, change: change.clone() },
            Op::Transfer(to) => Request::Transfer { to: to.clone() },
            Op::Snapshot => Request::Snapshot,
            Op::Status => Request::Status,
            Op::Result(name) => Request::Result(*name),
            Op::Why => Request::Why,
            Op::Recent { after, tail } => Request::Recent { after: *after, tail: *tail },
        })
    }

    /// What an answer means for the request as a whole.
    pub(super) fn judge(&mut self, answer: Answer, worth_waiting: bool) -> Verdict {
        let refusal = match answer {
            Answer::Refused(refusal) => refusal,
            answer if self.fits(&answer) => return Verdict::Success(answer),
            _ => {
                let outcome =
                    if self.is_read() { Conclusion::NotApplied } else { Conclusion::Unknown };
                return Verdict::Failure(ClientError::nonsense(outcome));
            }
        };
        self.attempts += 1;
        self.last_reason = Some(refusal.reason.clone());
        self.unknown |= refusal.outcome == Outcome::Unknown && !self.is_read();
        match refusal.reason {
            // That is in the log, and holds for every attempt.
            reason @ Reason::Withdrawn { .. } => Verdict::Failure(ClientError::refused(reason)),
            Reason::SessionExpired { .. } if self.op == Op::EndSession => {
                Verdict::Success(Answer::SessionEnded)
            }
            Reason::SessionExpired { .. } if !self.unknown => Verdict::NewSession,
            reason if worth_waiting && (self.may_repeat() || !self.unknown) => {
                Verdict::Again(reason)
            }
            // The rule of the request as a whole: an earlier attempt may have been carried out.
            reason if self.unknown => {
                Verdict::Failure(ClientError::unknown(&reason.to_string(), Some(reason.clone())))
            }
            reason => Verdict::Failure(ClientError::refused(reason)),
        }
    }

    /// What may be concluded when the time is over.
    pub(super) fn timed_out(
        &self,
        timeout: u64,
        reason: Option<Reason>,
        unreachable: Option<&str>,
    ) -> ClientError {
        let outcome = if !self.sent {
            Conclusion::NothingSent
        } else if !self.is_read() && (self.unknown || self.request.is_some()) {
            Conclusion::Unknown
        } else {
            Conclusion::NotApplied
        };
        let within = if timeout.is_multiple_of(1000) {
            format!("within {} s", timeout / 1000)
        } else {
            format!("within {timeout} ms")
        };
        let what = match (&reason, unreachable) {
            (Some(reason), _) => format!("no success {within}: {reason}"),
            (None, Some(error)) => format!("no server was reached {within}: {error}"),
            (None, None) => format!("no answer {within}"),
        };
        ClientError { outcome, reason, what, request: None }
    }

    fn fits(&self, answer: &Answer) -> bool {
        matches!(
            (&self.op, answer),
            (Op::Write(_), Answer::Written { .. })
                | (Op::EndSession, Answer::SessionEnded)
                | (Op::Read { .. }, Answer::Read(_))
                | (Op::Members, Answer::Members(_))
                | (Op::Change(_), Answer::Changed(_))
                | (Op::Transfer(_), Answer::Transferred { .. })
                | (Op::Snapshot, Answer::Snapshot { .. })
                | (Op::Status, Answer::Status(_))
                | (Op::Recent { .. }, Answer::Recent(_))
                | (Op::Result(_), Answer::Fate(_))
                | (Op::Why, Answer::Why(_))
        )
    }
}
