//! What the client makes of answers, and of their absence.

use raft_core::Time;

use super::link::backoff;
use super::operation::Verdict;
use super::{
    ClientCore, ClientError, ClientNotice, Conclusion, Op, OpId, Output, Session, Success, Trouble,
};
use crate::protocol::{Answer, Reason, Refusal, Reply};
use crate::sessions::RequestName;

impl ClientCore {
    pub(super) fn registered(
        &mut self,
        now: Time,
        attempts: u32,
        answer: Answer,
        out: &mut Vec<Output>,
    ) {
        match answer {
            Answer::Registered { session } => {
                (self.session, self.next_sequence) = (Session::Open(session), 1);
                self.last_trouble = None;
            }
            Answer::Refused(refusal) if self.is_worth_waiting(&refusal.reason) => {
                self.last_trouble = Some(Trouble::Refused(refusal.reason.clone()));
                let from = self.wait_for(now, attempts, refusal.reason, out);
                self.session = Session::Wanted { from, attempts: attempts + 1 };
            }
            other => {
                // No session, no writes: nothing of them was sent.
                self.session = Session::None;
                let error = match other {
                    Answer::Refused(refusal) => ClientError::refused(refusal.reason),
                    _ => ClientError::nonsense(Conclusion::NotApplied),
                };
                for id in std::mem::take(&mut self.fresh) {
                    self.conclude(id, Err(error.clone()), out);
                }
            }
        }
    }

    pub(super) fn answered(&mut self, now: Time, id: OpId, reply: Reply, out: &mut Vec<Output>) {
        let worth_waiting = match &reply.answer {
            Answer::Refused(refusal) => self.is_worth_waiting(&refusal.reason),
            _ => false,
        };
        if let Answer::Refused(Refusal { reason: Reason::SessionExpired { session }, .. }) =
            reply.answer
            && self.session == Session::Open(session)
        {
            self.session = Session::None;
        }
        let Some(op) = self.ops.get_mut(&id) else { return };
        match op.judge(reply.answer, worth_waiting) {
            Verdict::Success(answer) => {
                let (contacted, forwarded_to) = (self.endpoint(), reply.forwarded_to);
                self.conclude(id, Ok(Success { answer, contacted, forwarded_to }), out);
            }
            Verdict::Failure(error) => self.conclude(id, Err(error), out),
            Verdict::NewSession => {
                self.free_slot(id);
                self.fresh.push_front(id);
            }
            Verdict::Again(reason) => {
                let attempts = op.attempts - 1;
                if matches!(reason, Reason::ChangeInProgress) {
                    self.grant_patience(now, id);
                }
                let at = self.wait_for(now, attempts, reason, out);
                self.retries.insert((at, id));
            }
        }
    }

    /// Whether to ask again after this refusal.
    fn is_worth_waiting(&self, reason: &Reason) -> bool {
        reason.retryable()
            || (matches!(reason, Reason::Removed { .. }) && self.settings.endpoints.len() > 1)
    }

    /// When to ask again after this refusal, and whether to ask another server then.
    fn wait_for(
        &mut self,
        now: Time,
        attempts: u32,
        reason: Reason,
        out: &mut Vec<Output>,
    ) -> Time {
        let elsewhere = match reason {
            Reason::NotLeader { .. }
            | Reason::NotReady
            | Reason::ShuttingDown
            | Reason::Removed { .. } => true,
            // It may be the one that is cut off.
            Reason::NoLeader => attempts >= 3,
            _ => false,
        };
        if elsewhere && self.settings.endpoints.len() > 1 {
            self.link.leave();
        }
        if attempts == 0 {
            let endpoint = self.endpoint();
            out.push(Output::Notice(ClientNotice::Waiting { endpoint, reason }));
        }
        now + backoff(attempts, &mut self.random)
    }

    /// A server holds this request, or has it wait for another one: its clock starts again.
    pub(super) fn grant_patience(&mut self, now: Time, id: OpId) {
        let Some(op) = self.ops.get_mut(&id).filter(|op| op.is_patient()) else {
            return;
        };
        self.deadlines.remove(&(op.deadline, id));
        op.deadline = now + self.settings.timeout;
        self.deadlines.insert((op.deadline, id));
    }

    pub(super) fn time_out(&mut self, id: OpId, out: &mut Vec<Output>) {
        let Some(op) = self.ops.get(&id) else {
            self.deadlines.retain(|(_, other)| *other != id);
            return;
        };
        let reason = op.last_reason.clone().or_else(|| match (&self.last_trouble, op.sent) {
            (Some(Trouble::Refused(reason)), false) => Some(reason.clone()),
            _ => None,
        });
        let unreachable = match &self.last_trouble {
            Some(Trouble::Unreachable(error)) if !op.sent => Some(error.as_str()),
            _ => None,
        };
        let error = op.timed_out(self.settings.timeout, reason, unreachable);
        self.conclude(id, Err(error), out);
    }

    pub(super) fn conclude(
        &mut self,
        id: OpId,
        mut result: Result<Success, ClientError>,
        out: &mut Vec<Output>,
    ) {
        if let Err(error) = &mut result
            && error.outcome == Conclusion::Unknown
        {
            let slot = self.ops.get(&id).and_then(|op| op.slot);
            error.request = slot.map(|(session, sequence)| RequestName { session, sequence });
        }
        self.free_slot(id);
        if let Some(op) = self.ops.remove(&id) {
            self.deadlines.remove(&(op.deadline, id));
            if let Some(request) = op.request {
                self.in_flight.remove(&request);
            }
            if op.op == Op::EndSession && result.is_ok() {
                self.session = Session::None;
            }
            out.push(Output::Done(id, result.map(Box::new)));
        }
    }

    pub(super) fn free_slot(&mut self, id: OpId) {
        if let Some(op) = self.ops.get_mut(&id)
            && let Some(slot) = op.slot.take()
        {
            self.slots.remove(&slot);
            self.slot_bytes -= op.command_bytes();
        }
    }
}
