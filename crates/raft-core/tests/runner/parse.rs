//! The words of a script that are neither numbers nor strings.

use std::str::FromStr;

use raft_core::{EntryKind, EntryMeta, LogId, NodeId, Term};

/// `n1`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) NodeId);

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix('n').and_then(|number| number.parse().ok());
        number.map(|number| Self(NodeId(number))).ok_or_else(|| format!("{text} is no member"))
    }
}

/// `n1,n2`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ids(pub(crate) Vec<NodeId>);

impl FromStr for Ids {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ids = text.split(',').map(|id| Id::from_str(id).map(|id| id.0));
        ids.collect::<Result<_, _>>().map(Self)
    }
}

/// `3@1`: index 3, term 1.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct At(pub(crate) LogId);

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is not index@term");
        let (index, term) = text.split_once('@').ok_or_else(wrong)?;
        let index = index.parse().map_err(|_| wrong())?;
        let term = term.parse().map_err(|_| wrong())?;
        Ok(Self(LogId::new(index, term)))
    }
}

/// `1 1 4x3`: commands by their terms, some repeated.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms(pub(crate) Vec<EntryMeta>);

impl FromStr for Terms {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut entries = Vec::new();
        for word in text.split_whitespace() {
            let (term, count) = word.split_once('x').unwrap_or((word, "1"));
            let term: u64 = term.parse().map_err(|_| format!("{word} is no term"))?;
            let count: usize = count.parse().map_err(|_| format!("{word} is no term"))?;
            let entry = EntryMeta { term: Term(term), size: 100, kind: EntryKind::Command };
            entries.extend(vec![entry; count]);
        }
        Ok(Self(entries))
    }
}

/// The payload of an entry that a script makes up: the same for the same entry everywhere.
pub(crate) const fn invented_payload(index: u64, term: Term) -> u64 {
    (term.0 + 1) * 1_000_000 + index
}
