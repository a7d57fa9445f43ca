//! The state that the log builds: sessions decide whether a command is new, the state machine what
//! it does. It goes on from what a snapshot says.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use raft_core::{ChangeOutcome, Index, LogId, Membership, RequestId, Snapshot};
use raft_log::Entry;

use crate::payload::Payload;
use crate::protocol::{Answer, Reason, Refusal};
use crate::sessions::{Admission, Sessions, SessionsBody};
use crate::state_machine::{self, Apply, Command, Fill, NotAdmitted, Show};
use crate::wire::{decode_membership, encode_membership};

/// The state that the log builds: the state machine, its sessions, and how far they are.
pub struct Machine {
    apply: Box<dyn Apply>,
    sessions: Sessions,
    applied: Index,
    /// Lines of entries at or below were shown before.
    shown: Index,
    /// The last ended membership change that was seen.
    last_change: Option<RequestId>,
    /// The last configuration applied that is not joint, and its index.
    settled: (Index, Membership),
    /// The snapshot that it went on from.
    base: Option<Snapshot>,
}

/// A machine as it was after one entry, to be written elsewhere while it goes on.
#[derive(Debug)]
pub struct Frozen {
    /// The entry, and the configuration then.
    is: Snapshot,
    state: Box<dyn state_machine::Snapshot>,
    sessions: Sessions,
    last_change: Option<RequestId>,
    settled: (Index, Membership),
}

/// What a snapshot holds beside the state machine's own parts. The first field is the format's
/// version.
#[derive(Clone, PartialEq, prost::Message)]
struct OwnBody {
    #[prost(uint32, tag = "1")]
    format: u32,
    #[prost(uint64, tag = "2")]
    membership_index: u64,
    #[prost(bytes = "bytes", tag = "3")]
    membership: Bytes,
    #[prost(uint64, tag = "4")]
    settled_index: u64,
    #[prost(bytes = "bytes", tag = "5")]
    settled: Bytes,
    #[prost(bytes = "bytes", optional, tag = "6")]
    last_change: Option<Bytes>,
    #[prost(message, optional, tag = "7")]
    sessions: Option<SessionsBody>,
}

const OWN_FORMAT: u32 = 1;

/// The same with withdrawn requests.
const OWN_FORMAT_WITHDRAWN: u32 = 2;

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("applied", &self.applied).finish_non_exhaustive()
    }
}

impl Machine {
    /// A state machine that has applied nothing. Lines of entries up to `shown` are not wanted.
    #[must_use]
    pub fn new(apply: Box<dyn Apply>, shown: Index, founders: Membership) -> Self {
        Self {
            apply,
            sessions: Sessions::default(),
            applied: Index(0),
            shown,
            last_change: None,
            settled: (Index(0), founders),
            base: None,
        }
    }

    /// The same with another session table, which must be the same on every replica.
    #[must_use]
    pub fn with_sessions(self, sessions: Sessions) -> Self {
        Self { sessions, ..self }
    }

    /// The session table.
    #[must_use]
    pub const fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Everything up to here is applied.
    #[must_use]
    pub const fn applied(&self) -> Index {
        self.applied
    }

    /// What the state machine answers to a question, now.
    #[must_use]
    pub fn query(&self, query: &[u8]) -> Bytes {
        self.apply.query(query)
    }

    pub(super) fn version(&self) -> u64 {
        self.apply.version()
    }

    pub(super) fn has_news(&self, query: &Bytes, since: u64) -> bool {
        self.apply.has_news(query, since)
    }

    pub(super) fn admits(&self, command: &Bytes, ahead: u64) -> Result<(), Reason> {
        self.apply.admits(command, ahead).map_err(|why| match why {
            NotAdmitted::Full(what) => Reason::Full { what },
            NotAdmitted::Undecided(what) => Reason::Busy { what },
            NotAdmitted::Invalid(what) => Reason::Invalid(what),
        })
    }

    pub(super) fn fills(&self) -> Vec<Fill> {
        self.apply.fills()
    }

    pub(super) fn answer(&self, session: u64, sequence: u64) -> Option<(LogId, Bytes)> {
        self.sessions.answer(session, sequence)
    }

    /// The last configuration applied that is not joint, and its index.
    #[must_use]
    pub const fn settled(&self) -> (Index, &Membership) {
        (self.settled.0, &self.settled.1)
    }

    /// Where it went on from; `None` if it began with the first entry.
    #[must_use]
    pub const fn base(&self) -> Option<&Snapshot> {
        self.base.as_ref()
    }

    pub(super) const fn shown(&self) -> Index {
        self.shown
    }

    /// Lines of entries up to here are not wanted any more.
    pub(super) fn show_from(&mut self, shown: Index) {
        self.shown = self.shown.max(shown);
    }

    /// An empty machine of the same kind, to go on from a snapshot.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self {
            apply: self.apply.fresh(),
            sessions: self.sessions.emptied(),
            applied: Index(0),
            shown: self.shown,
            last_change: None,
            settled: self.settled.clone(),
            base: None,
        }
    }

    /// As it is after the entry `at`, the last that it applied, with the configuration then.
    pub(super) fn freeze(&self, is: Snapshot) -> Frozen {
        Frozen {
            is,
            state: self.apply.snapshot(),
            sessions: self.sessions.clone(),
            last_change: self.last_change,
            settled: self.settled.clone(),
        }
    }

    /// As it is, as the first thing that a new cluster knows: its founders are the configuration at
    /// index 0, and changes of members before it are none of its own. Sessions stay, so that who
    /// asks again is answered as before.
    #[must_use]
    pub fn found(&self, at: LogId, founders: Membership) -> Frozen {
        let membership = Arc::new(founders.clone());
        Frozen {
            is: Snapshot { at, membership_index: Index(0), membership },
            state: self.apply.snapshot(),
            sessions: self.sessions.clone(),
            last_change: None,
            settled: (Index(0), founders),
        }
    }

    /// Goes on from a snapshot: `own` is what [`Frozen::own`] wrote, `state` the machine's parts.
    ///
    /// # Errors
    /// What `state` answers, and what is wrong with either. The machine is then of no more use.
    pub fn restore(&mut self, at: LogId, own: &[u8], state: &mut dyn Read) -> io::Result<()> {
        let own = decode_own(own)?;
        let configuration = |bytes| decode_membership(bytes).map_err(|e| invalid(e.to_string()));
        let membership = configuration(&own.membership)?;
        let settled = configuration(&own.settled)?;
        let (membership_index, settled_index) =
            (Index(own.membership_index), Index(own.settled_index));
        if settled_index > membership_index || membership_index > at.index {
            return Err(invalid("configurations that are younger than their snapshot"));
        }
        let request = |bytes: Bytes| <[u8; 16]>::try_from(&*bytes);
        let last_change = own.last_change.map(request).transpose();
        let last_change = last_change.map_err(|_| invalid("a request's name of not 16 bytes"))?;
        let sessions = own.sessions.unwrap_or_default();
        self.sessions = self.sessions.restored(sessions).map_err(invalid)?;
        self.apply.restore(state)?;
        self.applied = at.index;
        // Lines of what it stands for are not made here.
        self.show_from(at.index);
        self.last_change = last_change.map(|bytes| RequestId(u128::from_be_bytes(bytes)));
        self.settled = (settled_index, settled);
        self.base = Some(Snapshot { at, membership_index, membership: Arc::new(membership) });
        Ok(())
    }

    /// Applies the next entry; the answer is for whoever proposed it.
    ///
    /// # Errors
    /// What it is, if this version does not know it.
    pub fn take(&mut self, entry: &Entry) -> Result<(Option<Answer>, Vec<Show>), String> {
        let at = LogId { term: entry.term, index: entry.index };
        let done = match Payload::decode(entry.kind, &entry.payload)? {
            Payload::Noop => (None, Vec::new()),
            Payload::Command { session, sequence, lowest_unacknowledged, bytes } => {
                let admission =
                    self.sessions.begin(at.index, session, sequence, lowest_unacknowledged);
                self.command(at, (session, sequence), admission, &bytes)
            }
            Payload::Register { one_shot } => {
                let session = self.sessions.register(at.index, one_shot);
                (Some(Answer::Registered { session }), Vec::new())
            }
            Payload::EndSession { session } => {
                self.sessions.end(session);
                (Some(Answer::SessionEnded), Vec::new())
            }
            Payload::Withdraw(request) => {
                let answer = match self.sessions.withdraw(at, request) {
                    Ok(fate) => Answer::Fate(fate),
                    Err(what) => Refusal::not_applied(Reason::Invalid(what.into())).into(),
                };
                (Some(answer), Vec::new())
            }
            Payload::Membership(membership) => (None, self.membership(at.index, *membership)),
        };
        self.applied = entry.index;
        Ok(done)
    }

    fn command(
        &mut self,
        at: LogId,
        (session, sequence): (u64, u64),
        admission: Admission,
        bytes: &Bytes,
    ) -> (Option<Answer>, Vec<Show>) {
        let answer = match admission {
            Admission::Fresh => {
                let lines_wanted = at.index > self.shown;
                let applied = self.apply.apply(Command { at, bytes, lines_wanted });
                self.sessions.record(session, sequence, at, applied.response.clone());
                let answer = Answer::Written { at, response: applied.response };
                return (Some(answer), applied.lines);
            }
            Admission::Duplicate { at, response } => Answer::Written { at, response },
            // Whether an earlier attempt was applied is not known here any more.
            Admission::Expired => Refusal::not_applied(Reason::SessionExpired { session }).into(),
            Admission::Forgotten => {
                Refusal::unknown(Reason::AnswerForgotten { session, sequence }).into()
            }
            Admission::Withdrawn { at } => {
                Refusal::not_applied(Reason::Withdrawn { at: at.index }).into()
            }
            Admission::Invalid(what) => Refusal::not_applied(Reason::Invalid(what.into())).into(),
        };
        (Some(answer), Vec::new())
    }

    /// A final configuration carries how its change ended: that is worth a line.
    fn membership(&mut self, index: Index, membership: Membership) -> Vec<Show> {
        if !membership.is_joint() {
            self.settled = (index, membership.clone());
        }
        let Some((request, outcome)) = membership.outcomes.last() else { return Vec::new() };
        if self.last_change.replace(*request) == Some(*request) {
            return Vec::new();
        }
        let text = match outcome {
            ChangeOutcome::Added { address, .. } => format!("Added new peer {address}"),
            ChangeOutcome::Removed { address, .. } => format!("Removed peer {address}"),
            ChangeOutcome::Replaced { address, .. } => format!("Added new peer {address}"),
            ChangeOutcome::Undone { .. }
            | ChangeOutcome::Demoted { .. }
            | ChangeOutcome::Updated { .. } => return Vec::new(),
        };
        vec![Show::Text(Bytes::from(text))]
    }
}

impl Frozen {
    /// The last entry that it has applied.
    #[must_use]
    pub const fn at(&self) -> LogId {
        self.is.at
    }

    /// The state machine's.
    #[must_use]
    pub fn state(&self) -> &dyn state_machine::Snapshot {
        &*self.state
    }

    /// What belongs to it beside the state machine's parts.
    #[must_use]
    pub fn own(&self) -> Vec<u8> {
        let withdrawn = self.sessions.has_withdrawn();
        let body = OwnBody {
            format: if withdrawn { OWN_FORMAT_WITHDRAWN } else { OWN_FORMAT },
            membership_index: self.is.membership_index.0,
            membership: encode_membership(&self.is.membership),
            settled_index: self.settled.0.0,
            settled: encode_membership(&self.settled.1),
            last_change: self.last_change.map(|id| Bytes::copy_from_slice(&id.0.to_be_bytes())),
            sessions: Some(self.sessions.image()),
        };
        body.encode_to_vec()
    }
}

/// The configuration that a snapshot was taken with, and its index, from what [`Frozen::own`] wrote.
///
/// # Errors
/// It is damaged, or of a format that this version does not know.
pub fn configuration(own: &[u8]) -> io::Result<(Index, Membership)> {
    let own = decode_own(own)?;
    let membership = decode_membership(&own.membership).map_err(|e| invalid(e.to_string()))?;
    Ok((Index(own.membership_index), membership))
}

fn decode_own(own: &[u8]) -> io::Result<OwnBody> {
    let own = OwnBody::decode(own).map_err(|error| invalid(error.to_string()))?;
    if !(OWN_FORMAT..=OWN_FORMAT_WITHDRAWN).contains(&own.format) {
        let known = OWN_FORMAT_WITHDRAWN;
        let what = format!("a snapshot of format {}; this version reads {known}", own.format);
        return Err(io::Error::new(io::ErrorKind::Unsupported, what));
    }
    Ok(own)
}

fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
