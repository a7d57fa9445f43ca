//! The plain words of the protocol: terms, indexes, identities, time.

use alloc::sync::Arc;
use core::fmt;
use core::ops::{Add, Sub};

use crate::membership::Membership;

/// A member of the cluster. Founders are 1 to n; later members continue after them; an id is
/// never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// A term (paper, section 5.1): time as Raft counts it. Zero is before the first election.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

/// The position of an entry in the log. The first entry is 1; zero is "before the log".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(pub u64);

/// An entry's identity: no two entries with the same term and index differ (Log Matching,
/// paper, figure 3). Printed as `index@term`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    /// The term first: ordering two log ids orders two logs by how up-to-date they are
    /// (paper, section 5.4.1).
    pub term: Term,
    /// The index within the log.
    pub index: Index,
}

/// One durable operation. Tickets rise; `Persisted(t)` covers every ticket up to `t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names one request for a membership change for ever, so that a repeated request gets the
/// first answer. Chosen at random by the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u128);

/// A point in time in milliseconds since an origin that the caller chose. Never read from a
/// clock by the core: always an argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

/// What must be durable before a vote leaves (paper, figure 2, "persistent state").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HardState {
    /// The latest term that this member has seen.
    pub term: Term,
    /// Who got this member's vote in `term`.
    pub voted_for: Option<NodeId>,
}

/// Why the term of an entry is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTerm {
    /// The entry was there once; a snapshot stands for it.
    Compacted,
    /// The log does not reach that far.
    Missing,
}

/// What the core knows of a snapshot: everything but the state machine's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last entry that it stands for.
    pub at: LogId,
    /// The index of the configuration's entry; zero for the founders'.
    pub membership_index: Index,
    /// The configuration in force at `at`.
    pub membership: Arc<Membership>,
}

/// What the core knows of an entry: everything but its payload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryMeta {
    /// The term in which a leader made it.
    pub term: Term,
    /// Its encoded size in bytes, header included.
    pub size: u32,
    /// What the core must do about it.
    pub kind: EntryKind,
}

/// The kinds of entries that differ for consensus.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// Says nothing; a leader's first entry (paper, section 8).
    Noop,
    /// The state machine's business: opaque.
    Command,
    /// A configuration: acts as soon as it is in the log (thesis 4.1).
    Membership(Arc<Membership>),
}

impl Index {
    /// The following index.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The index before; zero stays zero.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl Term {
    /// The following term.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Ticket {
    /// Counted from `start`; zero for all up to it.
    pub(crate) const fn less(self, start: Self) -> Self {
        Self(self.0.saturating_sub(start.0))
    }
}

impl LogId {
    /// `index@term`.
    #[must_use]
    pub const fn new(index: u64, term: u64) -> Self {
        Self { term: Term(term), index: Index(index) }
    }
}

impl Add<u64> for Time {
    type Output = Self;
    fn add(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

impl Sub for Time {
    type Output = u64;
    /// Milliseconds from `earlier` to `self`; zero if `earlier` is later.
    fn sub(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for HardState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.voted_for {
            Some(id) => write!(f, "vote={id}@{}", self.term),
            None => write!(f, "vote=none@{}", self.term),
        }
    }
}
