//! Founding: how the servers named in `-c` become a cluster.

use std::collections::BTreeMap;

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
        /// Counts the changes of its list.
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
