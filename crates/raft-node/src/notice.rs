//! Facts for people, one a line, and which of them are told twice.

use std::collections::BTreeSet;
use std::fmt;

use crate::refused::{HelloReason, HelloRefused};

/// Different refusals, and different follies of strangers, that are told; a person has read
/// enough by then.
const REFUSALS_TOLD_MAX: usize = 256;
const FOLLIES_TOLD_MAX: usize = 64;

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
    /// Facts were not told because nobody took them.
    Dropped {
        /// How many.
        count: u64,
    },
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
            Self::Dropped { count } => {
                write!(f, "{count} facts were not told because nobody read them")
            }
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

/// What was told of others already: diallers try again and again.
#[derive(Clone, Debug, Default)]
pub struct Told {
    refusals: BTreeSet<String>,
    follies: BTreeSet<String>,
}

impl Told {
    /// A connection was refused; the text, if it is to be told.
    pub fn refused(&mut self, refused: &HelloRefused) -> Option<String> {
        // The server that was meant, added again under another id: whoever dials the old one is
        // about to hear of that.
        if let HelloReason::WrongNode { believed } = &refused.reason
            && [refused.refuser.incarnation, refused.refused.incarnation]
                .iter()
                .any(|incarnation| believed.incarnation == Some(*incarnation))
        {
            return None;
        }
        let text = refused.to_string();
        let is_news = self.refusals.len() < REFUSALS_TOLD_MAX && self.refusals.insert(text.clone());
        is_news.then_some(text)
    }

    /// An end of a connection did something wrong; whether that is to be told.
    pub fn folly(&mut self, text: &str) -> bool {
        self.follies.len() < FOLLIES_TOLD_MAX && self.follies.insert(text.to_owned())
    }
}
