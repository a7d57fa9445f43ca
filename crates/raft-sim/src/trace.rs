//! What happened, line by line: for a person who replays a run, and for the diagram.

use std::fmt;

use raft_core::{Index, Input, NodeId, Output, RoleKind, Term, Time};
use raft_node::replica::{Effect, Event};

use crate::network::Place;

/// Something happened.
#[derive(Clone, Debug)]
pub struct Line {
    /// When.
    pub at: Time,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// Something that only people read.
    Told(String),
    /// A server started as a member.
    Started {
        /// Which server.
        host: usize,
        /// Who it is.
        id: NodeId,
    },
    /// A server ended.
    Stopped {
        /// Which one.
        host: usize,
        /// Its machine lost its power.
        dark: bool,
    },
    /// A member changed its role, or met a new term.
    Role {
        /// Which server.
        host: usize,
        /// Its role now.
        role: RoleKind,
        /// Its term.
        term: Term,
    },
    /// A member voted.
    Voted {
        /// Which server.
        host: usize,
        /// For whom.
        candidate: NodeId,
        /// In which term.
        term: Term,
    },
    /// A member's log changed: on its way to the disk.
    Wrote {
        /// Which server.
        host: usize,
        /// The first entry.
        first: Index,
        /// How many.
        count: u64,
        /// What was there from here on is void.
        truncate_from: Option<Index>,
    },
    /// A member learned that more is committed.
    Committed {
        /// Which server.
        host: usize,
        /// How far.
        through: Index,
    },
    /// A frame arrived.
    Frame {
        /// From whom.
        from: Place,
        /// At whom.
        to: Place,
        /// What it says.
        text: String,
        /// The same, for a diagram.
        brief: String,
        /// It only says that somebody is there, or that a leader still leads.
        idle: bool,
    },
    /// A client wants something.
    Asked {
        /// Which client.
        client: usize,
        /// What.
        text: String,
    },
    /// A client was answered.
    Answered {
        /// Which client.
        client: usize,
        /// What.
        text: String,
    },
    /// Trouble came.
    Trouble {
        /// Its number.
        number: u32,
        /// What it is.
        text: String,
    },
    /// All trouble ended.
    Healed,
    /// Something does not hold.
    Violation(String),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7} {}", self.at.0, self.what)
    }
}

/// A server is called by its number from 1 on, as in its address, and a client with a letter.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => f.pad(&crate::host::address(*host)),
            Self::Client(client) => f.pad(&format!("c{client}")),
            Self::Stranger(number) => f.pad(&format!("stranger {number}")),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(text) => f.write_str(text),
            Self::Frame { from, to, text, .. } => write!(f, "{from} -> {to}: {text}"),
            Self::Trouble { number, text } => write!(f, "trouble {number}: {text}"),
            Self::Healed => f.write_str("all trouble ends"),
            Self::Violation(text) => write!(f, "VIOLATION {text}"),
            other => match other.place() {
                Some(place) => write!(f, "{place} {}", other.words()),
                None => f.write_str(&other.words()),
            },
        }
    }
}

impl What {
    /// Where it happened, if that is one place.
    #[must_use]
    pub const fn place(&self) -> Option<Place> {
        match self {
            Self::Started { host, .. }
            | Self::Stopped { host, .. }
            | Self::Role { host, .. }
            | Self::Voted { host, .. }
            | Self::Wrote { host, .. }
            | Self::Committed { host, .. } => Some(Place::Host(*host)),
            Self::Asked { client, .. } | Self::Answered { client, .. } => {
                Some(Place::Client(*client))
            }
            _ => None,
        }
    }

    /// What happened there, without saying where.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Told(text) | Self::Frame { text, .. } | Self::Trouble { text, .. } => {
                text.clone()
            }
            Self::Started { id, .. } => format!("starts as {id}"),
            Self::Stopped { dark: true, .. } => "power lost".into(),
            Self::Stopped { .. } => "ends".into(),
            Self::Role { role, term, .. } => format!("{role}, term {term}"),
            Self::Voted { candidate, term, .. } => format!("votes {candidate}, term {term}"),
            Self::Wrote { first, count, truncate_from, .. } => {
                let cut = truncate_from.map(|index| format!("cuts {index}.. "));
                let last = first.0 + count.saturating_sub(1);
                let entries = match count {
                    0 => String::new(),
                    1 => format!("appends {first}"),
                    _ => format!("appends {first}..{last}"),
                };
                (cut.unwrap_or_default() + &entries).trim_end().to_owned()
            }
            Self::Committed { through, .. } => format!("commit {through}"),
            Self::Asked { text, .. } => format!("asks {text}"),
            Self::Answered { text, .. } => format!("gets {text}"),
            Self::Healed => "all trouble ends".into(),
            Self::Violation(text) => format!("VIOLATION {text}"),
        }
    }
}

/// An event, in words.
#[must_use]
pub fn event(event: &Event) -> String {
    match event {
        Event::Timer => Input::Timer.to_string(),
        Event::Message { from, message, .. } => {
            Input::Receive { from: *from, message: message.clone() }.to_string()
        }
        Event::Persisted(ticket) => Input::Persisted(*ticket).to_string(),
        Event::LogRead { request, chunk } => {
            let count = chunk.as_ref().map_or(0, |chunk| chunk.entries.len());
            format!("log read #{request}: {count} entries")
        }
        Event::Link { peer, lane, up } => {
            Input::Link { peer: *peer, lane: *lane, up: *up }.to_string()
        }
        other => format!("{other:?}"),
    }
}

/// An effect, in words.
#[must_use]
pub fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Send { to, message, .. } => {
            Output::Send { to: *to, message: message.clone() }.to_string()
        }
        Effect::Write { ticket, write } => format!(
            "write {ticket}: {:?}, cut from {:?}, {} entries from {}",
            write.hard_state, write.truncate_from, write.count, write.first
        ),
        other => format!("{other:?}"),
    }
}
