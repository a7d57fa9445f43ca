//! How a client's operations end, and what it tells a person meanwhile.

use std::fmt;

use crate::protocol::{Answer, Outcome, Reason};
use crate::sessions::RequestName;

/// An operation that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    /// Its answer, of the operation's kind.
    pub answer: Answer,
    /// The endpoint that was asked.
    pub contacted: String,
    /// The leader that the endpoint passed it on to.
    pub forwarded_to: Option<String>,
}

/// What may be concluded about an operation that was not answered with success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// Certainly not applied, now or later.
    NotApplied,
    /// Not applied: it has not even been sent.
    NothingSent,
    /// It may have been applied, or may be yet.
    Unknown,
}

/// An operation that was not carried out, as far as known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientError {
    /// What may be concluded.
    pub outcome: Conclusion,
    /// The last refusal, if a server refused.
    pub reason: Option<Reason>,
    /// What happened.
    pub what: String,
    /// What the write is called whose outcome is unknown: by this one may ask for it later.
    pub request: Option<RequestName>,
}

/// Something that a person may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientNotice {
    /// An endpoint cannot be reached.
    Unreachable {
        /// Which one.
        endpoint: String,
        /// What the dial said.
        error: String,
    },
    /// A connection was lost while requests were under way: they go to the next endpoint.
    Lost {
        /// To which endpoint.
        endpoint: String,
        /// How many requests.
        in_flight: usize,
    },
    /// A server refused for now: the request waits and is sent again.
    Waiting {
        /// The server.
        endpoint: String,
        /// Its words.
        reason: Reason,
    },
}

impl ClientError {
    pub(super) fn refused(reason: Reason) -> Self {
        let what = reason.to_string();
        Self { outcome: Conclusion::NotApplied, reason: Some(reason), what, request: None }
    }

    pub(super) fn unknown(what: &str, reason: Option<Reason>) -> Self {
        Self { outcome: Conclusion::Unknown, reason, what: what.into(), request: None }
    }

    pub(super) fn nonsense(outcome: Conclusion) -> Self {
        let what = "the server's answer does not fit the question".into();
        Self { outcome, reason: None, what, request: None }
    }
}

impl From<Outcome> for Conclusion {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::NotApplied => Self::NotApplied,
            Outcome::Unknown => Self::Unknown,
        }
    }
}

impl fmt::Display for Conclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotApplied => "not applied",
            Self::NothingSent => "nothing was sent",
            Self::Unknown => "outcome unknown",
        })
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.outcome, self.what)
    }
}

impl std::error::Error for ClientError {}

impl fmt::Display for ClientNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { endpoint, error } => {
                write!(f, "{endpoint} cannot be reached: {error}")
            }
            Self::Lost { endpoint, in_flight } => {
                write!(f, "lost the connection to {endpoint} with {in_flight} requests under way")
            }
            Self::Waiting { endpoint, reason } => {
                write!(f, "{endpoint} asks to wait: {reason}")
            }
        }
    }
}
