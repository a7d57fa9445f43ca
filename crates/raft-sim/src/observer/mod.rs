//! Looks at everything that the checkers see and at every frame that arrives, judges nothing:
//! counts what was reached ([`Probe`]) and tells the story ([`Line`]), if anybody wants to read
//! it.

mod frames;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use raft_core::{HardState, Index, Membership, NodeId, RoleKind, Time};
use raft_log::{Log, Write};

use crate::hash::TraceHash;
use crate::probes::{Counts, Probe};
use crate::trace::{Line, What};

/// Who looks.
#[derive(Debug, Default)]
pub struct Observer {
    now: Time,
    reached: Counts,
    /// Names that are not in the list of probes.
    unlisted: BTreeMap<&'static str, u64>,
    story: Option<Vec<Line>>,
    /// By their numbers; whoever is looked at just now is not there.
    servers: Vec<Option<Box<Server>>>,
    /// The server that was elected last.
    leader: Option<usize>,
    /// Session and sequence of writes that reached a server.
    writes: BTreeSet<(u64, u64)>,
    hash: TraceHash,
}

/// What was last seen of a server.
#[derive(Clone, Debug)]
struct Server {
    id: NodeId,
    running: bool,
    ambiguous: bool,
    role: RoleKind,
    hard_state: HardState,
    commit: Index,
    durable: Index,
    handing_over: bool,
    trails: bool,
    membership: Option<Arc<Membership>>,
    /// The one before.
    membership_before: Option<Arc<Membership>>,
}

impl Observer {
    /// From now on the story is told.
    pub fn tell_all(&mut self) {
        self.story = Some(Vec::new());
    }

    /// Whether anybody will read the story.
    #[must_use]
    pub const fn is_telling(&self) -> bool {
        self.story.is_some()
    }

    /// The story so far.
    #[must_use]
    pub fn take_story(&mut self) -> Vec<Line> {
        self.story.take().unwrap_or_default()
    }

    /// Time goes on.
    pub const fn at(&mut self, now: Time) {
        self.now = now;
    }

    /// A line of the story.
    pub fn tell(&mut self, what: impl FnOnce() -> What) {
        if let Some(story) = &mut self.story {
            story.push(Line { at: self.now, what: what() });
        }
    }

    /// A probe was reached.
    pub const fn reach(&mut self, probe: Probe) {
        self.reached.reach(probe);
    }

    /// The probe of this name was reached.
    pub fn reach_named(&mut self, name: &'static str) {
        match Probe::named(name) {
            Some(probe) => self.reach(probe),
            None => *self.unlisted.entry(name).or_default() += 1,
        }
    }

    /// How often each probe was reached.
    #[must_use]
    pub fn reached(&self) -> BTreeMap<&'static str, u64> {
        let listed = self.reached.iter().map(|(probe, count)| (probe.name(), count));
        listed.chain(self.unlisted.iter().map(|(name, count)| (*name, *count))).collect()
    }

    /// The trace hash of this run.
    pub const fn hash(&mut self) -> &mut TraceHash {
        &mut self.hash
    }

    fn server(&self, host: usize) -> Option<&Server> {
        self.servers.get(host)?.as_deref()
    }

    fn put(&mut self, host: usize, server: Box<Server>) {
        if self.servers.len() <= host {
            self.servers.resize_with(host + 1, || None);
        }
        self.servers[host] = Some(server);
    }

    /// A server came up as a member.
    pub fn started(&mut self, host: usize, id: NodeId, log: &Log) {
        self.tell(|| What::Started { host, id });
        if log.recovered.notes.iter().any(|note| note.contains(": cut at byte ")) {
            self.reach(Probe::TailCut);
        }
        match self.server(host).map(|server| server.id) {
            None => self.reach(Probe::ServerAdmitted),
            Some(before) if before != id => self.reach(Probe::MemberAgain),
            Some(_) => {}
        }
        self.hash.text(format_args!("start {host} {id} {}", log.recovered.last_index));
        let server = Server {
            id,
            running: true,
            ambiguous: log.recovered.tail_ambiguous,
            role: RoleKind::Follower,
            hard_state: log.recovered.hard_state,
            commit: Index(0),
            durable: log.recovered.last_index,
            handing_over: false,
            trails: false,
            membership: None,
            membership_before: None,
        };
        self.put(host, Box::new(server));
    }

    /// A server ended.
    pub fn stopped(&mut self, host: usize, dark: bool) {
        self.tell(|| What::Stopped { host, dark });
        self.hash.text(format_args!("stop {host} {dark}"));
        if let Some(Some(server)) = self.servers.get_mut(host) {
            server.running = false;
        }
    }

    /// A replica gave something to its log.
    pub fn handed(&mut self, host: usize, write: &Write) {
        let durable = self.server(host).map_or(Index(0), |server| server.durable);
        if write.count > 0 {
            self.reach(Probe::EntriesAppended);
        }
        if write.truncate_from.is_some_and(|from| from <= durable) {
            self.reach(Probe::ReplacedDurable);
        }
        match (write.hard_state.is_some(), write.count) {
            (true, 0) => self.reach(Probe::HardStateAlone),
            (true, _) => self.reach(Probe::HardStateWithEntries),
            _ => {}
        }
        if write.count > 0 || write.truncate_from.is_some() {
            let (first, count, truncate_from) = (write.first, write.count, write.truncate_from);
            self.tell(|| What::Wrote { host, first, count, truncate_from });
        }
    }

    /// All of these are durable by one sync.
    pub fn persisted(&mut self, writes: &[Write]) {
        if writes.len() > 1 {
            self.reach(Probe::GroupCommit);
        }
        if writes.iter().any(|write| write.peers.is_some()) {
            self.reach(Probe::PeersWritten);
        }
    }

    /// These were begun and never confirmed.
    pub fn begun(&mut self, writes: &[Write]) {
        if !writes.is_empty() {
            self.reach(Probe::WriteUnconfirmed);
        }
    }

    /// A server showed what its state machine says.
    pub fn shown(&mut self, host: usize, index: Index, text: &[u8]) {
        self.reach(Probe::LinesShown);
        self.hash.text(format_args!("show {host} {index}"));
        self.hash.bytes(text);
    }
}
