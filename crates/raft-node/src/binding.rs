//! Which start of a peer its connections belong to.
//!
//! Connections bind (node id, incarnation, boot epoch), and replies die with their connection. A
//! new epoch is not accepted while the old connection answers a ping within T/2: then two
//! processes run with one identity, on copies of one directory. Both are refused, and named,
//! until one of them ends. Otherwise the old process is gone, its connections are closed, and
//! the new one is accepted. An epoch below the last one seen is an older copy, always refused.
//!
//! Sans-I/O: hellos that were judged, pongs, ends of connections and time go in; what to do with
//! the connections comes out. The table of last starts is to be kept: [`Output::TableChanged`].

use std::collections::BTreeMap;

use raft_core::{Lane, NodeId, Time};

use crate::refused::HelloReason;

/// One start of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Made at random with its directory.
    pub incarnation: u128,
    /// Counts the starts.
    pub epoch: u64,
    /// Made at random at this start.
    pub nonce: u64,
}

/// A connection, as its driver numbers them. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// What is to be done with a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Take it: messages may flow.
    Accept(ConnectionId),
    /// Say why, and close it.
    Refuse(ConnectionId, HelloReason),
    /// Ask whether anybody is there.
    Ping(ConnectionId, u64),
    /// It was accepted and is not wanted any more: its peer has a newer one, or a newer start.
    Close(ConnectionId),
    /// The table of last starts changed and is to be made durable.
    TableChanged,
}

/// All bindings of a member.
#[derive(Debug)]
pub struct Binding {
    peers: BTreeMap<NodeId, Peer>,
    /// How long an old connection has to answer: T/2.
    patience: u64,
    /// One of two twins that says no hello for so long has ended: refused diallers try again
    /// every second.
    silence: u64,
    pings: u64,
}

#[derive(Debug)]
struct Peer {
    boot: Boot,
    live: BTreeMap<ConnectionId, Lane>,
    doubt: Doubt,
}

/// Whether a second process was seen with the peer's identity.
#[derive(Debug)]
enum Doubt {
    /// No.
    None,
    /// A newer start wants in; the old connections were asked.
    Asked { newer: Boot, waiting: BTreeMap<ConnectionId, Lane>, ping: u64, deadline: Time },
    /// Both live: neither gets in.
    Twins { old_heard: Time, newer: Boot, newer_heard: Time },
}

impl Boot {
    /// Whether a server last seen with this start may come with `other`: `Ok(true)` if that is a
    /// newer start.
    pub fn judge(&self, other: &Self) -> Result<bool, HelloReason> {
        if other.incarnation != self.incarnation {
            return Err(HelloReason::IncarnationMismatch { known: self.incarnation });
        }
        if other.epoch < self.epoch {
            return Err(HelloReason::EpochRegressed { known: self.epoch });
        }
        if other.epoch == self.epoch && other.nonce != self.nonce {
            return Err(self.duplicate());
        }
        Ok(other.epoch > self.epoch)
    }

    const fn duplicate(&self) -> HelloReason {
        HelloReason::DuplicateIdentity { epoch: self.epoch, nonce: self.nonce }
    }
}

impl Binding {
    /// Starts from the table that was kept, with no connection.
    #[must_use]
    pub fn new(table: BTreeMap<NodeId, Boot>, election_timeout: u64) -> Self {
        let peers = table.into_iter().map(|(id, boot)| (id, Peer::new(boot))).collect();
        let silence = 3 * election_timeout.max(1000);
        Self { peers, patience: election_timeout / 2, silence, pings: 0 }
    }

    /// The last start of each peer.
    #[must_use]
    pub fn table(&self) -> BTreeMap<NodeId, Boot> {
        self.peers.iter().map(|(id, peer)| (*id, peer.boot)).collect()
    }

    /// When [`Self::timer`] is wanted.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.peers.values().filter_map(Peer::deadline).min()
    }

    /// A peer introduced itself on a new connection, and nothing else is held against it.
    pub fn hello(
        &mut self,
        now: Time,
        (connection, lane): (ConnectionId, Lane),
        id: NodeId,
        boot: Boot,
        out: &mut Vec<Output>,
    ) {
        let (patience, silence) = (self.patience, self.silence);
        let Some(peer) = self.peers.get_mut(&id) else {
            let mut peer = Peer::new(boot);
            peer.live.insert(connection, lane);
            self.peers.insert(id, peer);
            out.extend([Output::Accept(connection), Output::TableChanged]);
            return;
        };
        if let Some(twin) = peer.living_twin(now, boot, silence) {
            out.push(Output::Refuse(connection, twin.duplicate()));
            return;
        }
        match peer.boot.judge(&boot) {
            Err(reason) => out.push(Output::Refuse(connection, reason)),
            Ok(false) if matches!(peer.doubt, Doubt::Asked { .. }) => {
                // The old start is well enough to dial.
                out.push(Output::Refuse(connection, peer.newest().duplicate()));
                peer.part_twins(now, out);
            }
            Ok(false) => peer.accept(connection, lane, out),
            Ok(true) if peer.live.is_empty() => {
                peer.boot = boot;
                peer.accept(connection, lane, out);
                out.push(Output::TableChanged);
            }
            Ok(true) => {
                self.pings += 1;
                peer.ask(boot, (connection, lane), self.pings, now + patience, out);
            }
        }
    }

    /// An old connection answered a ping.
    pub fn pong(&mut self, now: Time, connection: ConnectionId, nonce: u64, out: &mut Vec<Output>) {
        for peer in self.peers.values_mut() {
            let asked = matches!(peer.doubt, Doubt::Asked { ping, .. } if ping == nonce);
            if asked && peer.live.contains_key(&connection) {
                peer.part_twins(now, out);
            }
        }
    }

    /// A connection ended.
    pub fn closed(&mut self, connection: ConnectionId, out: &mut Vec<Output>) {
        for peer in self.peers.values_mut() {
            peer.live.remove(&connection);
            if let Doubt::Asked { waiting, .. } = &mut peer.doubt {
                waiting.remove(&connection);
                if waiting.is_empty() {
                    peer.doubt = Doubt::None;
                } else if peer.live.is_empty() {
                    peer.succeed(out);
                }
            }
        }
    }

    /// Time passed.
    pub fn timer(&mut self, now: Time, out: &mut Vec<Output>) {
        for peer in self.peers.values_mut() {
            if peer.deadline().is_some_and(|deadline| deadline <= now) {
                peer.succeed(out);
            }
        }
    }

    /// Forgets the peers that `wanted` does not name: those that are no members any more.
    pub fn retain(&mut self, wanted: impl Fn(NodeId) -> bool, out: &mut Vec<Output>) {
        let before = self.peers.len();
        self.peers.retain(|id, peer| wanted(*id) || !peer.live.is_empty());
        if self.peers.len() != before {
            out.push(Output::TableChanged);
        }
    }
}

impl Peer {
    const fn new(boot: Boot) -> Self {
        Self { boot, live: BTreeMap::new(), doubt: Doubt::None }
    }

    const fn deadline(&self) -> Option<Time> {
        match self.doubt {
            Doubt::Asked { deadline, .. } => Some(deadline),
            Doubt::None | Doubt::Twins { .. } => None,
        }
    }

    /// The newest start that was seen, accepted or not.
    const fn newest(&self) -> Boot {
        match self.doubt {
            Doubt::Asked { newer, .. } | Doubt::Twins { newer, .. } => newer,
            Doubt::None => self.boot,
        }
    }

    /// The other one of two twins, if it lives while `boot` says hello. If it has been silent for
    /// long, it has ended, and the doubt with it.
    fn living_twin(&mut self, now: Time, boot: Boot, silence: u64) -> Option<Boot> {
        let Doubt::Twins { old_heard, newer, newer_heard } = &mut self.doubt else {
            return None;
        };
        let (twin, heard) = if boot == self.boot {
            *old_heard = now;
            (*newer, *newer_heard)
        } else if newer.judge(&boot).is_ok() {
            // The newer one, or one that is newer still.
            (*newer, *newer_heard) = (boot, now);
            (self.boot, *old_heard)
        } else {
            return Some(*newer);
        };
        if now - heard < silence {
            return Some(twin);
        }
        self.doubt = Doubt::None;
        None
    }

    /// Takes a connection of the start in force, in place of an earlier one of its lane.
    fn accept(&mut self, connection: ConnectionId, lane: Lane, out: &mut Vec<Output>) {
        let replaced: Vec<_> =
            self.live.iter().filter(|(_, l)| **l == lane).map(|(id, _)| *id).collect();
        for old in replaced {
            self.live.remove(&old);
            out.push(Output::Close(old));
        }
        self.live.insert(connection, lane);
        out.push(Output::Accept(connection));
    }

    /// Lets a newer start wait until the old connections have answered or not.
    fn ask(
        &mut self,
        boot: Boot,
        (connection, lane): (ConnectionId, Lane),
        ping: u64,
        deadline: Time,
        out: &mut Vec<Output>,
    ) {
        if let Doubt::Asked { newer, waiting, .. } = &mut self.doubt {
            match newer.judge(&boot) {
                Ok(false) => {
                    waiting.insert(connection, lane);
                    return;
                }
                Err(reason) => {
                    out.push(Output::Refuse(connection, reason));
                    return;
                }
                // A newer start still: what waited belongs to a process that is gone.
                Ok(true) => {
                    let reason = HelloReason::EpochRegressed { known: boot.epoch };
                    out.extend(waiting.keys().map(|id| Output::Refuse(*id, reason.clone())));
                }
            }
        }
        out.extend(self.live.keys().map(|id| Output::Ping(*id, ping)));
        let waiting = BTreeMap::from([(connection, lane)]);
        self.doubt = Doubt::Asked { newer: boot, waiting, ping, deadline };
    }

    /// The old start is gone: its connections are closed, and the newer one takes over.
    fn succeed(&mut self, out: &mut Vec<Output>) {
        let Doubt::Asked { newer, waiting, .. } = std::mem::replace(&mut self.doubt, Doubt::None)
        else {
            return;
        };
        out.extend(std::mem::take(&mut self.live).into_keys().map(Output::Close));
        self.boot = newer;
        for (connection, lane) in waiting {
            self.accept(connection, lane, out);
        }
        out.push(Output::TableChanged);
    }

    /// The old start lives, and so does the newer one: out with both.
    fn part_twins(&mut self, now: Time, out: &mut Vec<Output>) {
        let newer = self.newest();
        if let Doubt::Asked { waiting, .. } = &self.doubt {
            out.extend(waiting.keys().map(|id| Output::Refuse(*id, self.boot.duplicate())));
        }
        let live = std::mem::take(&mut self.live);
        out.extend(live.into_keys().map(|id| Output::Refuse(id, newer.duplicate())));
        self.doubt = Doubt::Twins { old_heard: now, newer, newer_heard: now };
    }
}
