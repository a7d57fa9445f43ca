//! NODE: who this directory belongs to. A small text that a person can read, replaced as a
//! whole, with a checksum in its last line.
//!
//! The first line, the `format` line and the checksum line stay as they are in every future
//! format, so that an old program can tell "newer" from "damaged".

use std::fmt::Write as _;
use std::io;

use raft_core::{Index, NodeId};

use crate::entry::NUMBER_MAX;

/// What a directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Not a member of any cluster yet.
    New {
        /// Random, made with the directory.
        incarnation: u128,
    },
    /// A member; has a log.
    Member(MemberIdentity),
    /// Was a member until this index.
    Removed(MemberIdentity, Index),
}

/// Which member of which cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberIdentity {
    /// Random, made with the directory.
    pub incarnation: u128,
    /// The cluster.
    pub cluster: u128,
    /// This member's id.
    pub id: NodeId,
    /// This member's address as its peers know it.
    pub address: String,
    /// The configuration at index 0: sorted by address, ids from 1 on in this order.
    pub founders: Vec<Founder>,
}

/// One of those who founded the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founder {
    /// Its address.
    pub address: String,
    /// Its directory's incarnation.
    pub incarnation: u128,
}

impl NodeState {
    /// The directory's incarnation.
    #[must_use]
    pub fn incarnation(&self) -> u128 {
        match self {
            Self::New { incarnation } => *incarnation,
            Self::Member(identity) | Self::Removed(identity, _) => identity.incarnation,
        }
    }

    /// The cluster, once there is one.
    #[must_use]
    pub fn cluster(&self) -> Option<u128> {
        match self {
            Self::New { .. } => None,
            Self::Member(identity) | Self::Removed(identity, _) => Some(identity.cluster),
        }
    }
}

/// The file's contents: the state, and how often the log was started. A log whose newest slot
/// was started less often has lost a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeFile {
    pub(crate) state: NodeState,
    pub(crate) epoch: u64,
}

/// Why the text is not a NODE file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NodeFileError {
    Damaged(String),
    TooNew(String),
}

const TITLE: &str = "raft data directory";
const FORMAT: u64 = 1;

impl NodeFile {
    /// The text; an error if an address cannot stand in it.
    pub(crate) fn encode(&self) -> io::Result<String> {
        let mut text = format!("{TITLE}\nformat {FORMAT}\n");
        let (name, identity, removed_at) = match &self.state {
            NodeState::New { .. } => ("new", None, None),
            NodeState::Member(identity) => ("member", Some(identity), None),
            NodeState::Removed(identity, at) => ("removed", Some(identity), Some(*at)),
        };
        let mut line = |key: &str, value: String| {
            text.push_str(key);
            text.push(' ');
            text.push_str(&value);
            text.push('\n');
        };
        line("state", name.to_owned());
        line("incarnation", format!("{:032x}", self.state.incarnation()));
        if let Some(identity) = identity {
            line("cluster", format!("{:032x}", identity.cluster));
            line("node", identity.id.0.to_string());
            line("address", checked(&identity.address)?);
            for founder in &identity.founders {
                let address = checked(&founder.address)?;
                line("founder", format!("{:032x} {address}", founder.incarnation));
            }
        }
        if let Some(at) = removed_at {
            line("removed-at", at.to_string());
        }
        line("epoch", self.epoch.to_string());
        let crc = crc32c::crc32c(text.as_bytes());
        let _ = writeln!(text, "checksum {crc:08x}");
        Ok(text)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, NodeFileError> {
        let damaged = |what: &str| NodeFileError::Damaged(what.to_owned());
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("not a text"))?;
        let body_len = text.rfind("checksum ").ok_or_else(|| damaged("no checksum line"))?;
        let (body, last) = text.split_at(body_len);
        if last != format!("checksum {:08x}\n", crc32c::crc32c(body.as_bytes())) {
            return Err(damaged("checksum mismatch"));
        }
        let mut lines = Lines { lines: body.lines().peekable() };
        if lines.lines.next() != Some(TITLE) {
            return Err(damaged("does not begin with its title"));
        }
        let format: u64 = lines.number("format")?;
        if format != FORMAT {
            return Err(NodeFileError::TooNew(format.to_string()));
        }
        let name = lines.value("state")?;
        let incarnation = lines.hex("incarnation")?;
        let state = match name {
            "new" => NodeState::New { incarnation },
            "member" => NodeState::Member(lines.identity(incarnation)?),
            "removed" => {
                let identity = lines.identity(incarnation)?;
                NodeState::Removed(identity, Index(lines.number("removed-at")?))
            }
            _ => return Err(damaged("unknown state")),
        };
        let epoch = lines.number("epoch")?;
        if epoch >= NUMBER_MAX {
            return Err(damaged("more starts than can be counted"));
        }
        match lines.lines.next() {
            None => Ok(Self { state, epoch }),
            Some(line) => Err(NodeFileError::Damaged(format!("unexpected line {line:?}"))),
        }
    }
}

/// The lines of the text, in their fixed order.
struct Lines<'a> {
    lines: std::iter::Peekable<std::str::Lines<'a>>,
}

impl<'a> Lines<'a> {
    fn optional(&mut self, key: &str) -> Option<&'a str> {
        let value = self.lines.peek()?.strip_prefix(key)?.strip_prefix(' ')?;
        self.lines.next();
        Some(value)
    }

    fn value(&mut self, key: &str) -> Result<&'a str, NodeFileError> {
        self.optional(key).ok_or_else(|| NodeFileError::Damaged(format!("no line \"{key}\"")))
    }

    fn number(&mut self, key: &str) -> Result<u64, NodeFileError> {
        let value = self.value(key)?;
        value.parse().map_err(|_| NodeFileError::Damaged(format!("{:?}", format!("{key} {value}"))))
    }

    fn hex(&mut self, key: &str) -> Result<u128, NodeFileError> {
        hex(self.value(key)?)
    }

    fn identity(&mut self, incarnation: u128) -> Result<MemberIdentity, NodeFileError> {
        let cluster = self.hex("cluster")?;
        let id = NodeId(self.number("node")?);
        if id.0 == 0 || id.0 >= NUMBER_MAX {
            return Err(NodeFileError::Damaged(format!("\"node {id}\"")));
        }
        let address = self.value("address").and_then(readable)?;
        let mut founders = Vec::new();
        while let Some(value) = self.optional("founder") {
            let (incarnation, place) = value
                .split_once(' ')
                .ok_or_else(|| NodeFileError::Damaged(format!("no address: founder {value:?}")))?;
            founders.push(Founder { address: readable(place)?, incarnation: hex(incarnation)? });
        }
        if founders.is_empty() {
            return Err(NodeFileError::Damaged("no line \"founder\"".to_owned()));
        }
        Ok(MemberIdentity { incarnation, cluster, id, address, founders })
    }
}

fn hex(value: &str) -> Result<u128, NodeFileError> {
    u128::from_str_radix(value, 16).map_err(|_| NodeFileError::Damaged(format!("{value:?}")))
}

/// What can be read can be written.
fn readable(value: &str) -> Result<String, NodeFileError> {
    checked(value).map_err(|error| NodeFileError::Damaged(error.to_string()))
}

fn checked(address: &str) -> io::Result<String> {
    if !can_be_address(address) {
        let what = format!("address {address:?} cannot stand in NODE");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(address.to_owned())
}

/// Whether it is one word, and a terminal takes it for text.
pub(crate) fn can_be_address(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> MemberIdentity {
        let founder = |address: &str, incarnation| Founder { address: address.into(), incarnation };
        MemberIdentity {
            incarnation: 0xabc,
            cluster: u128::MAX,
            id: NodeId(2),
            address: ":9991".into(),
            founders: vec![founder(":9990", 1), founder(":9991", 0xabc)],
        }
    }

    #[test]
    fn every_state_comes_back() {
        for state in [
            NodeState::New { incarnation: 5 },
            NodeState::Member(identity()),
            NodeState::Removed(identity(), Index(17)),
        ] {
            let file = NodeFile { state, epoch: 3 };
            let text = file.encode().unwrap();
            assert_eq!(NodeFile::decode(text.as_bytes()), Ok(file));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_damage() {
        let text = NodeFile { state: NodeState::Member(identity()), epoch: 3 }.encode().unwrap();
        for bit in 0..text.len() * 8 {
            let mut bad = text.clone().into_bytes();
            bad[bit / 8] ^= 1 << (bit % 8);
            let error = NodeFile::decode(&bad);
            assert!(matches!(error, Err(NodeFileError::Damaged(_))), "bit {bit}: {error:?}");
        }
        for length in 0..text.len() {
            assert!(NodeFile::decode(&text.as_bytes()[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn a_newer_format_is_named() {
        let body = "raft data directory\nformat 2\nanything\n";
        let text = format!("{body}checksum {:08x}\n", crc32c::crc32c(body.as_bytes()));
        let newer = NodeFileError::TooNew("2".into());
        assert_eq!(NodeFile::decode(text.as_bytes()), Err(newer));
    }

    #[test]
    fn what_is_damaged_is_shown_as_text() {
        let good = NodeFile { state: NodeState::Member(identity()), epoch: 7 };
        let text = good.encode().unwrap();
        for (from, to) in [("node 2\n", "node \u{1b}[2J\n"), ("epoch 7\n", "epoch 7\n\u{1b}c\n")] {
            let (body, _) = text.split_once("checksum ").unwrap();
            let body = body.replace(from, to);
            let bad = format!("{body}checksum {:08x}\n", crc32c::crc32c(body.as_bytes()));
            let Err(NodeFileError::Damaged(what)) = NodeFile::decode(bad.as_bytes()) else {
                panic!("{bad:?}")
            };
            assert!(what.contains("\\u{1b}") && !what.contains('\u{1b}'), "{what:?}");
        }
    }

    #[test]
    fn an_address_with_a_line_feed_is_refused() {
        let mut identity = identity();
        identity.address = ":1\nepoch 9".into();
        assert!(NodeFile { state: NodeState::Member(identity), epoch: 0 }.encode().is_err());
    }
}
