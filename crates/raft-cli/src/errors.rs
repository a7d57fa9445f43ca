//! What a person is told when something does not work: what, why, what next.

use raft_node::{ClientError, Conclusion, Reason};

use crate::exit::Exit;

/// One failure, ready to be reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) exit: Exit,
    /// What did not work and why, in one line.
    pub(crate) what: String,
    /// What to do about it; a command where there is one.
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), hint: None }
    }

    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A request that failed. `action` is what it would have done, as in "it may have been
    /// `appended`"; `endpoints` are the servers that were asked.
    pub(crate) fn of_request(error: &ClientError, action: &str, endpoints: &str) -> Self {
        let mut problem = Self::new(Exit::of_request(error), error.to_string());
        problem.hint = match error.outcome {
            Conclusion::Unknown => {
                Some(format!("it may have been {action}, now or later: look before you repeat it"))
            }
            Conclusion::NothingSent => Some(format!(
                "are the servers running, and a majority of them? raft status --endpoints \
                 '{endpoints}'"
            )),
            Conclusion::NotApplied => {
                error.reason.as_ref().and_then(|reason| next_step(reason, endpoints))
            }
        };
        problem
    }
}

/// What helps against a refusal; nothing where the refusal itself says it all.
fn next_step(reason: &Reason, endpoints: &str) -> Option<String> {
    let list = format!("raft member list --endpoints '{endpoints}'");
    let next = match reason {
        Reason::NotMember { .. } => format!("the members are: {list}"),
        Reason::LastMember => "to end a cluster of one, stop its server".into(),
        Reason::AddressTaken { .. } => format!("each member needs its own address: {list}"),
        Reason::DiskFull => "make room on the disks of the servers, then send it again".into(),
        Reason::NoNewQuorum { silent } => {
            format!("a majority after the change must be up; start {} first", silent.join(", "))
        }
        Reason::ChangeInProgress => {
            format!("one change at a time; it shows in the list when it ended: {list}")
        }
        Reason::Removed { .. } => {
            format!("to add it again: raft -C addserver -m '{endpoints}' -S 'ADDRESS OF A MEMBER'")
        }
        Reason::Unreachable { address, .. } => format!("start the server at {address} first"),
        Reason::SessionLimit | Reason::Busy { .. } => "send it again later".into(),
        Reason::NoLeader
        | Reason::NotLeader { .. }
        | Reason::LeaderLost
        | Reason::LeaderTooYoung
        | Reason::HandingOver { .. }
        | Reason::NotReady
        | Reason::ShuttingDown => {
            format!("send it again; how the servers are: raft status --endpoints '{endpoints}'")
        }
        _ => return None,
    };
    Some(next)
}

#[cfg(test)]
mod tests {
    use raft_node::Index;

    use super::*;

    fn problem(outcome: Conclusion, reason: Option<Reason>) -> Problem {
        let error = ClientError { outcome, what: "it failed".into(), reason };
        Problem::of_request(&error, "appended", ":9990")
    }

    #[test]
    fn the_exit_code_follows_the_outcome_of_the_request() {
        let address = || ":9993".to_owned();
        let cases = [
            (Conclusion::NotApplied, None, 1),
            (Conclusion::NotApplied, Some(Reason::LastMember), 1),
            (Conclusion::NotApplied, Some(Reason::DiskFull), 1),
            (Conclusion::NotApplied, Some(Reason::Removed { at: Index(7) }), 1),
            (Conclusion::NotApplied, Some(Reason::NotMember { address: address() }), 3),
            (Conclusion::NothingSent, Some(Reason::NoLeader), 4),
            (Conclusion::NothingSent, None, 4),
            (Conclusion::Unknown, Some(Reason::LeaderLost), 5),
            // Once unknown, a later refusal does not make it certain.
            (Conclusion::Unknown, Some(Reason::DiskFull), 5),
        ];
        for (outcome, reason, code) in cases {
            let problem = problem(outcome, reason.clone());
            assert_eq!(problem.exit.code(), code, "{outcome:?} {reason:?}");
        }
    }

    #[test]
    fn an_unknown_outcome_is_never_sold_as_a_refusal() {
        let problem = problem(Conclusion::Unknown, Some(Reason::LastMember));
        let hint = problem.hint.expect("there is one");
        assert_eq!(hint, "it may have been appended, now or later: look before you repeat it");
    }

    #[test]
    fn a_hint_names_a_command() {
        let problem = problem(Conclusion::NotApplied, Some(Reason::LastMember));
        assert_eq!(problem.hint.as_deref(), Some("to end a cluster of one, stop its server"));
        let reason = Reason::NotMember { address: ":9993".into() };
        let hint = next_step(&reason, ":9990,:9991").expect("there is one");
        assert_eq!(hint, "the members are: raft member list --endpoints ':9990,:9991'");
    }
}
