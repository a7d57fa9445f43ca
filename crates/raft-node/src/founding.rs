//! Founding: how the servers named in `-c` become a cluster.
//!
//! Each founder tells all others, on live connections, its list of addresses and the incarnations
//! that it has met there. A founder is done when **every** member of its list reports the very
//! list that it holds itself, having seen it: then no two founders can end with different lists,
//! for whoever reports one list to be the last word has not been done with another. The echo
//! (`seen`) closes the case of two reports that cross.
//!
//! Whoever is done tells the others, and a founder that meets a member whose list holds its own
//! incarnation and address adopts that list. A server that a formed cluster's list does not hold
//! never votes: it waits and knows the command that adds it. That is also the fate of a founder
//! whose directory was lost: its votes were lost with it.
//!
//! Sans-I/O: connections and reports go in, reports and facts come out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use xxhash_rust::xxh3::Xxh3;

use crate::binding::ConnectionId;
use crate::refused::{add_command, replace_command};

/// Sets these hashes apart from all others, and their versions from each other.
const CLUSTER_ID_DOMAIN: &[u8] = b"raft cluster id, version 1\0";

/// One founder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Founder {
    /// Its address, as given.
    pub address: String,
    /// Made at random with its directory.
    pub incarnation: u128,
}

/// A founded cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formed {
    /// Its id: [`cluster_id`] of the founders.
    pub cluster: u128,
    /// By address; their node ids are 1 to n in this order.
    pub founders: Vec<Founder>,
}

/// What a server says of the founding on a founders' connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who says it: its address.
    pub address: String,
    /// And its incarnation.
    pub incarnation: u128,
    /// What it knows.
    pub view: View,
}

/// What a server knows of a founding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// It is a founder and has not met all others yet.
    Gathering {
        /// Counts the changes of its list, from 1 on.
        revision: u64,
        /// The last revision of the receiver that arrived by this connection; zero for none.
        seen: u64,
        /// Its list, with the incarnations that it has met.
        founders: BTreeMap<String, Option<u128>>,
    },
    /// It is a member: the cluster stands.
    Formed(Formed),
    /// It is not in its own list and waits to be added.
    Joining,
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The cluster stands and this server is in it: that is to be durable before anything that
    /// follows.
    Formed(Formed),
    /// Send this.
    Send(ConnectionId, Report),
    /// Tell the person who started this server. Each fact once.
    Fact(Fact),
}

/// What stands in the way of a founding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// A founder was started with another list.
    DifferentLists {
        /// Who.
        peer: String,
        /// This server's list.
        ours: Vec<String>,
        /// The other's.
        theirs: Vec<String>,
    },
    /// The cluster stands, and has this server's address with another incarnation: this
    /// server's directory is not the one that founded it.
    Replaced {
        /// This server's address.
        address: String,
        /// The member that said so.
        member: String,
    },
    /// The cluster stands without this server.
    NotFounder {
        /// This server's address.
        address: String,
        /// The member that said so.
        member: String,
    },
    /// A founder's list names another server by this server's address.
    AddressClash {
        /// The address that both have.
        address: String,
    },
    /// A member's founders do not hash to its cluster id: it is not to be trusted.
    WrongHash {
        /// Which member.
        member: String,
    },
}

/// One server's part in a founding, and later its memory of it.
#[derive(Clone, Debug)]
pub struct Founding {
    own: Founder,
    /// This server's list; without itself, it is no founder and waits to be added.
    list: BTreeMap<String, Option<u128>>,
    revision: u64,
    links: BTreeMap<ConnectionId, Link>,
    formed: Option<Formed>,
    /// A formed cluster that this server is no founder of.
    left_out: Option<Fact>,
    facts: BTreeSet<Fact>,
}

/// A live connection to another server.
#[derive(Clone, Debug)]
struct Link {
    founder: Founder,
    /// The last revision that arrived by it.
    seen: u64,
    /// Whether the last report was our list, in its present revision.
    agrees: bool,
}

/// The id of the cluster of these founders: a hash of their sorted addresses and their sorted
/// incarnations.
#[must_use]
pub fn cluster_id(founders: &[Founder]) -> u128 {
    let mut addresses: Vec<&str> = founders.iter().map(|f| f.address.as_str()).collect();
    let mut incarnations: Vec<u128> = founders.iter().map(|f| f.incarnation).collect();
    addresses.sort_unstable();
    incarnations.sort_unstable();
    let mut hash = Xxh3::new();
    hash.update(CLUSTER_ID_DOMAIN);
    hash.update(&(founders.len() as u64).to_le_bytes());
    for address in addresses {
        hash.update(&(address.len() as u64).to_le_bytes());
        hash.update(address.as_bytes());
    }
    for incarnation in incarnations {
        hash.update(&incarnation.to_be_bytes());
    }
    hash.digest128()
}

impl Founding {
    /// A new server with the addresses of its `-c`. A cluster of one stands at once.
    #[must_use]
    pub fn new(own: Founder, list: &[String], out: &mut Vec<Output>) -> Self {
        let mut list: BTreeMap<String, Option<u128>> =
            list.iter().map(|address| (address.clone(), None)).collect();
        if let Some(incarnation) = list.get_mut(&own.address) {
            *incarnation = Some(own.incarnation);
        }
        let mut founding = Self {
            own,
            list,
            revision: 1,
            links: BTreeMap::new(),
            formed: None,
            left_out: None,
            facts: BTreeSet::new(),
        };
        founding.conclude(out);
        founding
    }

    /// A member, which tells founders that come late.
    #[must_use]
    pub fn member(own: Founder, formed: Formed) -> Self {
        Self {
            own,
            list: BTreeMap::new(),
            revision: 1,
            links: BTreeMap::new(),
            formed: Some(formed),
            left_out: None,
            facts: BTreeSet::new(),
        }
    }

    /// The cluster, once it stands and this server is in it.
    #[must_use]
    pub const fn formed(&self) -> Option<&Formed> {
        self.formed.as_ref()
    }

    /// Everybody else in the list: whom to dial.
    pub fn others(&self) -> impl Iterator<Item = &str> {
        self.list.keys().map(String::as_str).filter(|address| *address != self.own.address)
    }

    /// The founders that are not met, or, once all are, those that do not agree yet.
    #[must_use]
    pub fn waiting_for(&self) -> Vec<&str> {
        if self.formed.is_some() || !self.list.contains_key(&self.own.address) {
            return Vec::new();
        }
        let lacks = |wanted: &dyn Fn(&Link) -> bool| -> Vec<&str> {
            self.others()
                .filter(|address| {
                    !self
                        .links
                        .values()
                        .any(|link| link.founder.address == *address && wanted(link))
                })
                .collect()
        };
        let absent = lacks(&|_| true);
        if absent.is_empty() { lacks(&|link| link.agrees) } else { absent }
    }

    /// What this server waits for, as a line for people; `None` once it is a member.
    #[must_use]
    pub fn waiting_line(&self) -> Option<String> {
        if self.formed.is_some() {
            return None;
        }
        match &self.left_out {
            Some(Fact::Replaced { address, member }) => {
                let command = replace_command(address, address, member);
                return Some(format!("waiting to be replaced: {command}"));
            }
            Some(Fact::NotFounder { address, member }) => {
                return Some(format!("waiting to be added: {}", add_command(address, member)));
            }
            _ => {}
        }
        if !self.list.contains_key(&self.own.address) {
            let member = self.list.keys().next().map_or("ADDRESS", String::as_str);
            return Some(format!(
                "waiting to be added: {}",
                add_command(&self.own.address, member)
            ));
        }
        let count = self.list.len();
        let majority = count / 2 + 1;
        Some(format!(
            "waiting for {} (a new cluster needs all of its members once; later any {majority} \
             of {count} will do)",
            self.waiting_for().join(", ")
        ))
    }

    /// A connection to another server came up; the hellos said who it is.
    pub fn connected(&mut self, connection: ConnectionId, peer: Founder, out: &mut Vec<Output>) {
        if peer.address == self.own.address {
            self.tell(Fact::AddressClash { address: peer.address }, out);
            return;
        }
        let news = match self.list.get_mut(&peer.address) {
            Some(met) if *met != Some(peer.incarnation) && self.formed.is_none() => {
                *met = Some(peer.incarnation);
                true
            }
            _ => false,
        };
        self.links.insert(connection, Link { founder: peer, seen: 0, agrees: false });
        if news {
            self.revision += 1;
            self.links.values_mut().for_each(|link| link.agrees = false);
            self.send_all(out);
        } else {
            self.send(connection, out);
        }
    }

    /// A report arrived.
    pub fn received(&mut self, connection: ConnectionId, report: Report, out: &mut Vec<Output>) {
        let Some(link) = self.links.get_mut(&connection) else {
            return;
        };
        let Report { address, incarnation, view } = report;
        if link.founder != (Founder { address, incarnation }) || self.formed.is_some() {
            return;
        }
        let peer = link.founder.address.clone();
        match view {
            View::Gathering { revision, seen, founders } => {
                let is_news = link.seen != revision;
                link.seen = revision;
                link.agrees = founders == self.list && seen == self.revision;
                if !founders.keys().eq(self.list.keys()) {
                    let ours = self.list.keys().cloned().collect();
                    let theirs = founders.into_keys().collect();
                    self.tell(Fact::DifferentLists { peer, ours, theirs }, out);
                }
                if is_news {
                    self.send(connection, out);
                }
                self.conclude(out);
            }
            View::Formed(formed) => self.meet_member(peer, formed, out),
            View::Joining => {}
        }
    }

    /// A connection ended: what it reported is not a live word any more.
    pub fn closed(&mut self, connection: ConnectionId) {
        self.links.remove(&connection);
    }

    /// Adopts a formed cluster, if this server is one of its founders.
    fn meet_member(&mut self, member: String, formed: Formed, out: &mut Vec<Output>) {
        if cluster_id(&formed.founders) != formed.cluster {
            self.tell(Fact::WrongHash { member }, out);
        } else if formed.founders.contains(&self.own) {
            self.form(formed, out);
        } else if self.left_out.is_none() {
            let address = self.own.address.clone();
            let is_replaced = formed.founders.iter().any(|founder| founder.address == address);
            let fact = if is_replaced {
                Fact::Replaced { address, member }
            } else {
                Fact::NotFounder { address, member }
            };
            self.left_out = Some(fact.clone());
            self.tell(fact, out);
        }
    }

    /// The cluster stands as soon as every founder, on a live connection, holds our list and has
    /// seen that we do.
    fn conclude(&mut self, out: &mut Vec<Output>) {
        let founders: Option<Vec<Founder>> = self
            .list
            .iter()
            .map(|(address, incarnation)| {
                let founder = Founder { address: address.clone(), incarnation: (*incarnation)? };
                let agrees = founder == self.own
                    || self.links.values().any(|link| link.agrees && link.founder == founder);
                agrees.then_some(founder)
            })
            .collect();
        if let Some(founders) = founders
            && founders.contains(&self.own)
            && self.formed.is_none()
        {
            self.form(Formed { cluster: cluster_id(&founders), founders }, out);
        }
    }

    fn form(&mut self, formed: Formed, out: &mut Vec<Output>) {
        self.formed = Some(formed.clone());
        out.push(Output::Formed(formed));
        self.send_all(out);
    }

    fn send_all(&self, out: &mut Vec<Output>) {
        for connection in self.links.keys() {
            self.send(*connection, out);
        }
    }

    fn send(&self, connection: ConnectionId, out: &mut Vec<Output>) {
        let Some(link) = self.links.get(&connection) else {
            return;
        };
        let view = if let Some(formed) = &self.formed {
            View::Formed(formed.clone())
        } else if self.list.contains_key(&self.own.address) {
            let founders = self.list.clone();
            View::Gathering { revision: self.revision, seen: link.seen, founders }
        } else {
            View::Joining
        };
        let Founder { address, incarnation } = self.own.clone();
        out.push(Output::Send(connection, Report { address, incarnation, view }));
    }

    fn tell(&mut self, fact: Fact, out: &mut Vec<Output>) {
        if self.facts.insert(fact.clone()) {
            out.push(Output::Fact(fact));
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DifferentLists { peer, ours, theirs } => write!(
                f,
                "{peer} was started with other founders ({}) than this server ({}); start both \
                 with the same -c",
                theirs.join(","),
                ours.join(",")
            ),
            Self::Replaced { address, member } => write!(
                f,
                "the cluster of {member} was founded with another data directory at {address}, \
                 and what that one promised is not known here: this server does not vote; start it \
                 with that directory, or, if that is lost, refill it from the others: {}",
                replace_command(address, address, member)
            ),
            Self::NotFounder { address, member } => write!(
                f,
                "the cluster of {member} was founded without this server, which waits to be \
                 added: {}",
                add_command(address, member)
            ),
            Self::AddressClash { address } => write!(
                f,
                "another server calls itself {address} too; give every member an address of its \
                 own"
            ),
            Self::WrongHash { member } => write!(
                f,
                "the founders that {member} names do not belong to the cluster that it names; \
                 its data directory is damaged or from another program"
            ),
        }
    }
}
