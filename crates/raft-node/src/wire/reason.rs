//! Why a request was refused, inside a `Reply`.

use raft_core::Index;

use super::WireError;
use super::body::{Empty, Fields};
use crate::protocol::{Outcome, Reason, Refusal};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RefusalBody {
    /// 1 not applied; anything else is unknown.
    #[prost(uint32, tag = "1")]
    outcome: u32,
    /// For a reader that does not know the reason.
    #[prost(string, tag = "2")]
    text: String,
    #[prost(
        oneof = "ReasonBody",
        tags = "10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, \
                30, 31, 32, 33, 40"
    )]
    reason: Option<ReasonBody>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum ReasonBody {
    #[prost(message, tag = "10")]
    NoLeader(Empty),
    #[prost(message, tag = "11")]
    NotLeader(NotLeaderBody),
    #[prost(message, tag = "12")]
    LeaderLost(Empty),
    #[prost(string, tag = "13")]
    Busy(String),
    #[prost(message, tag = "14")]
    DiskFull(Empty),
    #[prost(message, tag = "15")]
    TooLarge(TooLargeBody),
    #[prost(uint64, tag = "16")]
    SessionExpired(u64),
    #[prost(message, tag = "17")]
    AnswerForgotten(AnswerForgottenBody),
    #[prost(message, tag = "18")]
    SessionLimit(Empty),
    #[prost(message, tag = "19")]
    ChangeInProgress(Empty),
    #[prost(message, tag = "20")]
    LeaderTooYoung(Empty),
    #[prost(string, tag = "21")]
    HandingOver(String),
    #[prost(message, tag = "22")]
    NoNewQuorum(AddressesBody),
    #[prost(string, tag = "23")]
    NotMember(String),
    #[prost(message, tag = "24")]
    LastMember(Empty),
    #[prost(string, tag = "25")]
    AddressTaken(String),
    #[prost(message, tag = "26")]
    Unreachable(UnreachableBody),
    #[prost(string, tag = "27")]
    HostlessCluster(String),
    #[prost(uint64, tag = "28")]
    Removed(u64),
    #[prost(message, tag = "29")]
    NotReady(Empty),
    #[prost(string, tag = "30")]
    Invalid(String),
    #[prost(message, tag = "31")]
    ShuttingDown(Empty),
    #[prost(string, tag = "32")]
    Full(String),
    #[prost(string, tag = "33")]
    NotVoter(String),
    #[prost(uint64, tag = "40")]
    Withdrawn(u64),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct NotLeaderBody {
    #[prost(string, optional, tag = "1")]
    leader: Option<String>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct TooLargeBody {
    #[prost(uint64, tag = "1")]
    limit: u64,
    #[prost(uint64, tag = "2")]
    size: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct AnswerForgottenBody {
    #[prost(uint64, tag = "1")]
    session: u64,
    #[prost(uint64, tag = "2")]
    sequence: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AddressesBody {
    #[prost(string, repeated, tag = "1")]
    addresses: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct UnreachableBody {
    #[prost(string, tag = "1")]
    address: String,
    #[prost(string, tag = "2")]
    error: String,
}

impl From<&Refusal> for RefusalBody {
    fn from(refusal: &Refusal) -> Self {
        Self {
            outcome: match refusal.outcome {
                Outcome::NotApplied => 1,
                Outcome::Unknown => 2,
            },
            text: refusal.reason.to_string(),
            reason: Some((&refusal.reason).into()),
        }
    }
}

impl RefusalBody {
    pub(super) fn validate(self, fields: Fields) -> Result<Refusal, WireError> {
        let outcome = if self.outcome == 1 { Outcome::NotApplied } else { Outcome::Unknown };
        let reason = match self.reason {
            Some(reason) => reason.validate(fields)?,
            // A newer program's reason: its own words must do.
            None => Reason::Invalid(self.text),
        };
        Ok(Refusal { outcome, reason })
    }
}

impl From<&Reason> for ReasonBody {
    fn from(reason: &Reason) -> Self {
        match reason {
            Reason::NoLeader => Self::NoLeader(Empty {}),
            Reason::NotLeader { leader } => {
                Self::NotLeader(NotLeaderBody { leader: leader.clone() })
            }
            Reason::LeaderLost => Self::LeaderLost(Empty {}),
            Reason::Busy { what } => Self::Busy(what.clone()),
            Reason::DiskFull => Self::DiskFull(Empty {}),
            Reason::Full { what } => Self::Full(what.clone()),
            Reason::TooLarge { limit, size } => {
                Self::TooLarge(TooLargeBody { limit: *limit, size: *size })
            }
            Reason::SessionExpired { session } => Self::SessionExpired(*session),
            Reason::AnswerForgotten { session, sequence } => {
                Self::AnswerForgotten(AnswerForgottenBody {
                    session: *session,
                    sequence: *sequence,
                })
            }
            Reason::Withdrawn { at } => Self::Withdrawn(at.0),
            Reason::SessionLimit => Self::SessionLimit(Empty {}),
            Reason::ChangeInProgress => Self::ChangeInProgress(Empty {}),
            Reason::LeaderTooYoung => Self::LeaderTooYoung(Empty {}),
            Reason::HandingOver { to } => Self::HandingOver(to.clone()),
            Reason::NoNewQuorum { silent } => {
                Self::NoNewQuorum(AddressesBody { addresses: silent.clone() })
            }
            Reason::NotMember { address } => Self::NotMember(address.clone()),
            Reason::NotVoter { address } => Self::NotVoter(address.clone()),
            Reason::LastMember => Self::LastMember(Empty {}),
            Reason::AddressTaken { address } => Self::AddressTaken(address.clone()),
            Reason::Unreachable { address, error } => Self::Unreachable(UnreachableBody {
                address: address.clone(),
                error: error.clone(),
            }),
            Reason::HostlessCluster { address } => Self::HostlessCluster(address.clone()),
            Reason::Removed { at } => Self::Removed(at.0),
            Reason::NotReady => Self::NotReady(Empty {}),
            Reason::Invalid(what) => Self::Invalid(what.clone()),
            Reason::ShuttingDown => Self::ShuttingDown(Empty {}),
        }
    }
}

impl ReasonBody {
    fn validate(self, fields: Fields) -> Result<Reason, WireError> {
        Ok(match self {
            Self::NoLeader(Empty {}) => Reason::NoLeader,
            Self::NotLeader(NotLeaderBody { leader }) => Reason::NotLeader { leader },
            Self::LeaderLost(Empty {}) => Reason::LeaderLost,
            Self::Busy(what) => Reason::Busy { what },
            Self::DiskFull(Empty {}) => Reason::DiskFull,
            Self::Full(what) => Reason::Full { what },
            Self::TooLarge(TooLargeBody { limit, size }) => Reason::TooLarge { limit, size },
            Self::SessionExpired(session) => Reason::SessionExpired { session },
            Self::AnswerForgotten(AnswerForgottenBody { session, sequence }) => {
                Reason::AnswerForgotten { session, sequence }
            }
            Self::Withdrawn(at) => Reason::Withdrawn { at: fields.index(at)? },
            Self::SessionLimit(Empty {}) => Reason::SessionLimit,
            Self::ChangeInProgress(Empty {}) => Reason::ChangeInProgress,
            Self::LeaderTooYoung(Empty {}) => Reason::LeaderTooYoung,
            Self::HandingOver(to) => Reason::HandingOver { to },
            Self::NoNewQuorum(AddressesBody { addresses }) => {
                Reason::NoNewQuorum { silent: addresses }
            }
            Self::NotMember(address) => Reason::NotMember { address },
            Self::NotVoter(address) => Reason::NotVoter { address },
            Self::LastMember(Empty {}) => Reason::LastMember,
            Self::AddressTaken(address) => Reason::AddressTaken { address },
            Self::Unreachable(UnreachableBody { address, error }) => {
                Reason::Unreachable { address, error }
            }
            Self::HostlessCluster(address) => Reason::HostlessCluster { address },
            Self::Removed(at) => {
                let at: Index = fields.index(at)?;
                Reason::Removed { at }
            }
            Self::NotReady(Empty {}) => Reason::NotReady,
            Self::Invalid(what) => Reason::Invalid(what),
            Self::ShuttingDown(Empty {}) => Reason::ShuttingDown,
        })
    }
}
