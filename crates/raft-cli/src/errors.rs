//! What a person is told when something does not work: what, why, what next.

use raft_node::refused::replace_command;
use raft_node::{Address, ClientError, Conclusion, Failure, FailureClass, Reason};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::select::join;

/// One failure, ready to be reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) exit: Exit,
    /// What did not work and why, in one line.
    pub(crate) what: String,
    /// What to do about it; a command where there is one.
    pub(crate) hint: Option<String>,
    /// What a script may conclude about the request, if there was one.
    outcome: Option<&'static str>,
    /// What `raft result` calls the request, if its outcome is unknown.
    request: Option<String>,
}

impl Problem {
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), hint: None, outcome: Some(exit.outcome()), request: None }
    }

    /// What was looked at is not well. Nothing was requested that could be done or not.
    pub(crate) fn verdict(exit: Exit, what: impl Into<String>) -> Self {
        Self { outcome: None, ..Self::new(exit, what) }
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
    /// `appended`", or [`READ`]; `endpoints` are the servers that were asked.
    pub(crate) fn of_request(error: &ClientError, action: &str, endpoints: &str) -> Self {
        let is_read = action == READ;
        let (fact, advice) = match &error.reason {
            Some(reason) => {
                let text = reason.to_string();
                let (fact, advice) = apart(&text);
                (error.what.replace(&text, fact), advice.map(str::to_owned))
            }
            None => (error.what.clone(), None),
        };
        // There is nothing that a question could have changed.
        let what = if is_read { fact } else { format!("{}: {fact}", error.outcome) };
        let hint = match (error.outcome, &error.reason) {
            (Conclusion::Unknown, _) if !is_read => match &error.request {
                Some(request) => format!(
                    "it may have been {action}, now or later; to hear which: raft result \
                     {request} --endpoints '{endpoints}'"
                ),
                None => {
                    format!("it may have been {action}, now or later: look before you repeat it")
                }
            },
            (_, None) => are_they_up(endpoints),
            (_, Some(reason)) => next_step(reason, endpoints)
                .or(advice)
                .unwrap_or_else(|| "raft -h shows what it takes".into()),
        };
        let request = error.request.map(|request| request.to_string());
        let problem = Self::new(Exit::of_request(error, is_read), what).hint(hint);
        Self { request, ..problem }
    }

    /// A server that could not start, or had to end.
    pub(crate) fn of_server(failure: &Failure) -> Self {
        let (fact, advice) = apart(&failure.what);
        let hint = advice.unwrap_or(match failure.class {
            FailureClass::Usage => "raft server -h shows what it takes",
            FailureClass::Address => "name an address of this machine that is free",
            FailureClass::Damaged => {
                "do not start it again: start it with an empty directory, and replace the member"
            }
            FailureClass::Disk => {
                "see that the disk works, has room and may be written to, then start it again, once"
            }
            FailureClass::Locked => "stop the other process first",
            FailureClass::Identity => "name another directory with --data-dir",
            FailureClass::TooNew => "use the newer program",
        });
        Self::new(Exit::of_server(failure.class), fact).hint(hint)
    }

    /// The same of a member whose cluster has these other servers, as far as its command line says:
    /// they have what it lost.
    pub(crate) fn of_member(failure: &Failure, address: &Address, others: &[Address]) -> Self {
        let problem = Self::of_server(failure);
        if failure.class != FailureClass::Damaged {
            return problem;
        }
        if others.is_empty() {
            return problem.hint(
                "keep the directory, and do not start it again: nobody else has what is in it; \
                 restore the file from the disk that it came from",
            );
        }
        let (own, others) = (address.to_string(), join(others));
        problem.hint(format!(
            "keep the directory, and do not start it again. While a majority of the members is up \
             without this one: start this server with an empty directory (--data-dir), then {}",
            replace_command(&own, &own, &others)
        ))
    }

    /// For programs.
    pub(crate) fn object(&self) -> Value {
        json!({
            "error": {
                "what": self.what,
                "hint": self.hint,
                "outcome": self.outcome,
                "request": self.request,
                "exit": self.exit.code(),
            },
        })
    }
}

/// The action of a question: it changes nothing.
pub(crate) const READ: &str = "read";

/// The texts of the library are one line each: what; why; what next.
pub(crate) fn apart(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once("; ") {
        Some((fact, advice)) => (fact, Some(advice)),
        None => (text, None),
    }
}

fn are_they_up(endpoints: &str) -> String {
    format!(
        "are the servers running, and a majority of them? raft status --endpoints '{endpoints}'"
    )
}

/// A better hint than the refusal's own: for this program, and a command where there is one.
fn next_step(reason: &Reason, endpoints: &str) -> Option<String> {
    let status = format!("raft status --endpoints '{endpoints}'");
    let list = format!("raft member list --endpoints '{endpoints}'");
    let next = match reason {
        Reason::NoLeader | Reason::NotLeader { .. } | Reason::LeaderLost => are_they_up(endpoints),
        Reason::NotReady => format!("start the other founders, or add it; who is there: {status}"),
        Reason::Busy { .. }
        | Reason::LeaderTooYoung
        | Reason::HandingOver { .. }
        | Reason::ShuttingDown
        | Reason::SessionExpired { .. }
        | Reason::SessionLimit => "send it again in a moment".into(),
        Reason::NotMember { .. } => format!("the members are: {list}"),
        Reason::ChangeInProgress => format!("the list shows when it has ended: {list}"),
        Reason::Removed { .. } => {
            let own = if endpoints.contains(',') { "ITS ADDRESS" } else { endpoints };
            let add = format!("raft -C addserver -m '{own}' -S 'ADDRESS OF A MEMBER'");
            format!("ask a member, or add it again: {add}")
        }
        _ => return None,
    };
    Some(next)
}

#[cfg(test)]
mod tests;
