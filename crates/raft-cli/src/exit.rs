//! What the program's exit code tells a script. The codes are a permanent interface.

use std::process::ExitCode;

use raft_log::OpenError;
use raft_node::{ClientError, Conclusion, FailureClass, Reason};

/// Each code, whose it is, and what it means: the table of `docs/cli.md`.
#[cfg(test)]
pub(crate) const TABLE: &[(u8, &str, &str)] = &[
    (0, "both", "done"),
    (1, "client", "refused, certainly not applied; `raft sim`: a run failed"),
    (2, "both", "the command line is wrong; nothing was tried"),
    (3, "client", "not found, or unhealthy"),
    (4, "client", "no leader was reached in time; nothing was sent"),
    (5, "client", "the outcome is unknown: it may have been applied, or still be"),
    (6, "client", "TLS or authorisation (not in use yet)"),
    (7, "both", "damaged data: do not restart, look first"),
    (8, "both", "a write or a sync failed, or the address is in use: restart once"),
    (9, "server", "the data directory is held by another process"),
    (10, "server", "the data directory belongs to another cluster, identity or program"),
    (11, "server", "the data has a format that this version does not know"),
    (130, "both", "interrupted"),
];

/// The exit codes of `raft` that are failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Refused = 1,
    Usage = 2,
    NotFound = 3,
    NothingSent = 4,
    Unknown = 5,
    Damaged = 7,
    Io = 8,
    Locked = 9,
    Identity = 10,
    TooNew = 11,
    Interrupted = 130,
}

impl Exit {
    /// All of them.
    const ALL: [Self; 11] = [
        Self::Refused,
        Self::Usage,
        Self::NotFound,
        Self::NothingSent,
        Self::Unknown,
        Self::Damaged,
        Self::Io,
        Self::Locked,
        Self::Identity,
        Self::TooNew,
        Self::Interrupted,
    ];

    /// The one with this number.
    pub(crate) fn of_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| u64::from(exit.code()) == code)
    }

    /// What a failed request of a client means. A question that nobody could answer in time has
    /// sent nothing that matters.
    pub(crate) fn of_request(error: &ClientError, is_read: bool) -> Self {
        match (error.outcome, &error.reason) {
            (_, reason) if is_read && reason.as_ref().is_none_or(Reason::retryable) => {
                Self::NothingSent
            }
            (Conclusion::NotApplied, Some(Reason::NotMember { .. })) => Self::NotFound,
            (Conclusion::NotApplied, _) => Self::Refused,
            (Conclusion::NothingSent, _) => Self::NothingSent,
            (Conclusion::Unknown, _) => Self::Unknown,
        }
    }

    /// What the end of a server means, or that it could not start.
    pub(crate) const fn of_server(class: FailureClass) -> Self {
        match class {
            FailureClass::Damaged => Self::Damaged,
            FailureClass::Disk | FailureClass::Address => Self::Io,
            FailureClass::Locked => Self::Locked,
            FailureClass::Identity => Self::Identity,
            FailureClass::TooNew => Self::TooNew,
            FailureClass::Usage => Self::Usage,
        }
    }

    /// What it means that a data directory or its log cannot be read.
    pub(crate) const fn of_log(error: &OpenError) -> Self {
        match error {
            OpenError::Damaged { .. } => Self::Damaged,
            OpenError::Io { .. } | OpenError::NoSpace { .. } => Self::Io,
            OpenError::Locked { .. } => Self::Locked,
            OpenError::ForeignFiles { .. } | OpenError::OtherIdentity { .. } => Self::Identity,
            OpenError::TooNew { .. } => Self::TooNew,
            OpenError::NotMember { .. } => Self::NotFound,
        }
    }

    /// The number that the shell sees.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// What a script may conclude about the request, as a word for JSON.
    pub(crate) const fn outcome(self) -> &'static str {
        match self {
            Self::Refused | Self::NotFound => "not_applied",
            Self::NothingSent | Self::Usage => "nothing_sent",
            Self::Unknown | Self::Interrupted => "unknown",
            Self::Damaged | Self::Io | Self::Locked | Self::Identity | Self::TooNew => "failed",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_fixed() {
        let numbers = [
            (Exit::Refused, 1),
            (Exit::Usage, 2),
            (Exit::NotFound, 3),
            (Exit::NothingSent, 4),
            (Exit::Unknown, 5),
            (Exit::Damaged, 7),
            (Exit::Io, 8),
            (Exit::Locked, 9),
            (Exit::Identity, 10),
            (Exit::TooNew, 11),
            (Exit::Interrupted, 130),
        ];
        for (exit, number) in numbers {
            assert_eq!(exit.code(), number, "{exit:?}");
            assert_eq!(Exit::of_code(number.into()), Some(exit));
        }
        assert_eq!(numbers.len(), Exit::ALL.len());
        assert_eq!(Exit::of_code(6), None);
    }

    #[test]
    fn what_a_server_ends_with() {
        let classes = [
            (FailureClass::Damaged, 7),
            (FailureClass::Disk, 8),
            (FailureClass::Address, 8),
            (FailureClass::Locked, 9),
            (FailureClass::Identity, 10),
            (FailureClass::TooNew, 11),
            (FailureClass::Usage, 2),
        ];
        for (class, number) in classes {
            assert_eq!(Exit::of_server(class).code(), number, "{class:?}");
        }
    }
}
