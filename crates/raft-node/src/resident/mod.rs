//! Resident: who lives in a data directory, outside of a cluster in the lobby or inside as a
//! member. All that a server decides is decided here: who is welcome and who is dialled, which
//! connections count, what becomes of each frame and of each wish of the replica, when a life
//! ends and as what the next one begins.
//!
//! **Invariant:** no clock, no socket, no file, no thread. What happens outside goes in by the
//! functions of [`Resident`]; what is to be done comes out as [`Order`]s, and is to be carried
//! out in that order. `Node` does it with sockets, and the simulator with what it simulates.

mod dials;
mod lobby;
mod member;
mod order;

use raft_core::{Index, Time};
use raft_log::{MemberIdentity, NodeState};

pub use lobby::Lobby;
pub use member::{Counts, Member, Room, Start, Watch};
pub use order::{DialId, Flushed, LOCAL, NoConnection, Order};

use crate::address::Address;
use crate::binding::ConnectionId;
use crate::notice::Notice;
use crate::protocol::Request;
use crate::replica::{Machine, Origin};
use crate::wire::Frame;

/// Bytes that may wait for the other end to read them; beyond, nothing more is taken from it.
const REPLY_BYTES_MAX: usize = 256 * 1024;

/// Who dialled in has so many election timeouts to say who it is, and at least so many
/// milliseconds.
const GUEST_TIMEOUTS: u64 = 5;
const GUEST_PATIENCE_MIN: u64 = 1000;

/// What does not change while a server runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens, and by which address others know it.
    pub address: Address,
    /// The founders as given; empty for a server that waits to be added.
    pub cluster: Vec<Address>,
    /// The election timeout T, in milliseconds.
    pub election_timeout: u64,
}

/// How a life ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It was asked to stop, and has handed leadership over if it could.
    Stopped,
    /// It is a member from now on.
    Member,
    /// It was removed by the configuration at this index.
    Removed(Index),
    /// It does not fit the cluster that it was to found: why.
    Misfit(String),
    /// Its log holds what this version does not understand: what, why and what next.
    Halted(String),
}

/// What follows a life.
#[derive(Debug)]
pub enum Next {
    /// The server ends in good order.
    Stop,
    /// The server must end: it does not fit the cluster that it was to found.
    Misfit(String),
    /// The server must end: its log holds what this version does not understand.
    Halted(String),
    /// Another life, by what the directory says. What a member leaves behind: who it was and is no
    /// more, to be written there first, and the state that its log built, for its next life.
    Live(Option<Box<(NodeState, Machine)>>),
}

/// One life of a server.
#[derive(Debug)]
pub enum Resident {
    /// Outside of a cluster.
    Lobby(Box<Lobby>),
    /// Inside.
    Member(Box<Member>),
}

impl Settings {
    /// How long somebody may stay who is neither a client nor a member: idle sockets must not
    /// pile up.
    const fn guest_patience(&self) -> u64 {
        let patience = self.election_timeout * GUEST_TIMEOUTS;
        if patience < GUEST_PATIENCE_MIN { GUEST_PATIENCE_MIN } else { patience }
    }

    /// Whether a member's directory belongs to the place where this server listens: the others
    /// dial the address that is in the configuration, and nobody would be there.
    #[must_use]
    pub fn is_place_of(&self, me: &MemberIdentity) -> bool {
        self.is_place(&me.address)
    }

    /// Whether this is the place where this server listens.
    #[must_use]
    pub fn is_place(&self, address: &str) -> bool {
        address.parse::<Address>().is_ok_and(|address| address.is_same_place(&self.address))
    }

    /// What people are told when a member starts: who it is, and whether `-c` says otherwise.
    pub fn introduce(&self, me: &MemberIdentity) -> impl Iterator<Item = Notice> {
        let who = format!("member {} of cluster {:016x}", me.id, (me.cluster >> 64) as u64);
        let founders: Vec<&str> =
            me.founders.iter().map(|founder| founder.address.as_str()).collect();
        let is_same = self.cluster.len() == founders.len()
            && self.cluster.iter().all(|address| founders.contains(&&*address.to_string()));
        let ignored = (!self.cluster.is_empty() && !is_same).then(|| {
            format!(
                "the list given with -c is ignored: this directory belongs to a cluster that was \
                 founded by {}",
                founders.join(",")
            )
        });
        [Some(who), ignored].into_iter().flatten().map(Notice::Fact)
    }
}

impl Resident {
    /// Somebody dialled this server.
    pub fn accepted(&mut self, now: Time, connection: ConnectionId) {
        match self {
            Self::Lobby(lobby) => lobby.accepted(now, connection),
            Self::Member(member) => member.accepted(now, connection),
        }
    }

    /// A dial came to something.
    pub fn dialled(&mut self, now: Time, dial: DialId, result: Result<ConnectionId, NoConnection>) {
        match self {
            Self::Lobby(lobby) => lobby.dialled(now, dial, result),
            Self::Member(member) => member.dialled(now, dial, result),
        }
    }

    /// A connection brought frames; it brings more when it is resumed. `since_us` is given back
    /// with the answers to the requests among them.
    pub fn frames(&mut self, now: Time, from: ConnectionId, frames: Vec<Frame>, since_us: u64) {
        match self {
            Self::Lobby(lobby) => lobby.frames(now, from, frames),
            Self::Member(member) => member.frames(now, from, frames, since_us),
        }
    }

    /// A connection ended; `nonsense` says what it brought that no frame is.
    pub fn closed(&mut self, now: Time, connection: ConnectionId, nonsense: Option<String>) {
        match self {
            Self::Lobby(lobby) => lobby.closed(now, connection),
            Self::Member(member) => member.closed(now, connection, nonsense),
        }
    }

    /// A socket has taken what it could of what was pushed.
    pub fn flushed(&mut self, now: Time, connection: ConnectionId, flushed: Flushed) {
        match self {
            Self::Lobby(lobby) => lobby.flushed(now, connection, flushed),
            Self::Member(member) => member.flushed(now, connection, flushed),
        }
    }

    /// The program itself asks for something.
    pub fn request(&mut self, origin: Origin, request: Request) {
        match self {
            Self::Lobby(lobby) => lobby.request(origin, &request),
            Self::Member(member) => member.request(origin, request),
        }
    }

    /// It is to end: leadership goes to another first.
    pub fn stop(&mut self, now: Time) {
        match self {
            Self::Lobby(lobby) => lobby.stop(),
            Self::Member(member) => member.stop(now),
        }
    }

    /// One cycle: all that arrived is taken, and all that it leads to is ordered.
    pub fn step(&mut self, now: Time, watch: &mut impl Watch) {
        match self {
            Self::Lobby(lobby) => lobby.step(now),
            Self::Member(member) => member.step(now, watch),
        }
    }

    /// Takes the orders since the last time, in exchange for a list that is empty.
    pub fn take_orders(&mut self, empty: &mut Vec<Order>) {
        debug_assert!(empty.is_empty());
        let orders = match self {
            Self::Lobby(lobby) => &mut lobby.orders,
            Self::Member(member) => &mut member.orders,
        };
        std::mem::swap(orders, empty);
    }

    /// When [`Self::step`] is wanted at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        match self {
            Self::Lobby(lobby) => lobby.next_deadline(),
            Self::Member(member) => member.next_deadline(),
        }
    }

    /// Whether [`Self::step`] is wanted at once.
    #[must_use]
    pub fn has_work(&self) -> bool {
        match self {
            Self::Lobby(_) => false,
            Self::Member(member) => member.has_work(),
        }
    }

    /// How this life ended, once it has and its last orders are taken.
    pub fn take_end(&mut self) -> Option<End> {
        match self {
            Self::Lobby(lobby) => lobby.take_end(),
            Self::Member(member) => member.take_end(),
        }
    }

    /// What follows this life, now that it ended so.
    #[must_use]
    pub fn into_next(self, end: End) -> Next {
        match (end, self) {
            (End::Stopped, _) => Next::Stop,
            (End::Misfit(what), _) => Next::Misfit(what),
            (End::Halted(what), _) => Next::Halted(what),
            (End::Removed(at), Self::Member(member)) => {
                let (me, machine) = member.into_parts();
                Next::Live(Some(Box::new((NodeState::Removed(me, at), machine))))
            }
            (End::Member | End::Removed(_), _) => Next::Live(None),
        }
    }

    /// The member, if it is one.
    #[must_use]
    pub const fn member(&self) -> Option<&Member> {
        match self {
            Self::Lobby(_) => None,
            Self::Member(member) => Some(member),
        }
    }

    /// The member, if it is one, for what only members are told.
    pub const fn member_mut(&mut self) -> Option<&mut Member> {
        match self {
            Self::Lobby(_) => None,
            Self::Member(member) => Some(member),
        }
    }
}
