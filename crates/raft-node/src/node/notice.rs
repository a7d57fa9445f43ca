//! Facts for people, one a line.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Something worth a line on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Where the data lies, who this member is, what was found at start.
    Fact(String),
    /// Where this node listens.
    Listening {
        /// The address as given.
        address: String,
        /// Whether only this machine reaches it.
        loopback: bool,
    },
    /// Who leads.
    Leads {
        /// The leader's address.
        address: String,
        /// Its term.
        term: u64,
        /// Whether it is this member.
        own: bool,
    },
    /// Nobody leads, as far as this member knows.
    NoLeader {
        /// The term.
        term: u64,
    },
    /// A peer is refused, or refuses.
    Peer(String),
    /// Lines were not written because nobody read them.
    LinesSkipped {
        /// How many.
        count: u64,
    },
    /// Lines are not written any more.
    OutputClosed {
        /// Why.
        error: String,
    },
    /// The shown mark could not be written: lines may be shown again after a restart.
    MarkFailed {
        /// Why.
        error: String,
    },
    /// The disk takes no more; writes wait.
    NoSpace {
        /// Path, bytes needed, and what next.
        what: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fact(fact) | Self::Peer(fact) => f.write_str(fact),
            Self::Listening { address, loopback: true } => {
                write!(f, "listening at {address}, this machine only")
            }
            Self::Listening { address, loopback: false } => write!(f, "listening at {address}"),
            Self::Leads { term, own: true, .. } => write!(f, "this server leads in term {term}"),
            Self::Leads { address, term, own: false } => {
                write!(f, "{address} leads in term {term}")
            }
            Self::NoLeader { term } => write!(f, "no leader in term {term}"),
            Self::LinesSkipped { count } => {
                write!(f, "{count} lines were not written because nobody read the output")
            }
            Self::OutputClosed { error } => {
                write!(f, "no more lines are written: the output is closed ({error})")
            }
            Self::MarkFailed { error } => write!(
                f,
                "the shown mark could not be written ({error}): lines may repeat after a restart"
            ),
            Self::NoSpace { what } => f.write_str(what),
        }
    }
}

/// Where notices go; shared by the threads of a node.
#[derive(Clone)]
pub(super) struct Notices(Arc<Mutex<NoticeSink>>);

/// Takes notices, one after the other.
pub(super) type NoticeSink = Box<dyn FnMut(Notice) + Send>;

impl Notices {
    pub(super) fn new(sink: NoticeSink) -> Self {
        Self(Arc::new(Mutex::new(sink)))
    }

    pub(super) fn tell(&self, notice: Notice) {
        let mut sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sink(notice);
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notices")
    }
}
