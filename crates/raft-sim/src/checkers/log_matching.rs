//! Log Matching: "If two logs contain an entry with the same index and term, then the logs are
//! identical in all entries up through the given index" (paper, figure 3; `LogMatching` in the
//! TLA+ specification). By induction: an index and a term name one content and one predecessor,
//! for ever, wherever they are seen: on the wire or on the way to a disk.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_core::{Index, LogId, Message, Term};
use raft_log::{Entry, decode_entries};

use super::{Checked, Stamp};

#[derive(Debug, Default)]
pub(super) struct LogMatching {
    entries: BTreeMap<LogId, (Term, u32)>,
}

impl LogMatching {
    pub(super) fn check(&mut self, at: Index, before: Term, stamp: Stamp) -> Checked {
        let id = LogId { term: stamp.term, index: at };
        let (known_before, checksum) = *self.entries.entry(id).or_insert((before, stamp.checksum));
        if checksum != stamp.checksum {
            return Err(format!("two different entries are both {id}"));
        }
        if known_before != before {
            return Err(format!("{id} follows an entry of term {before}, and of {known_before}"));
        }
        Ok(())
    }

    pub(super) fn sends(&mut self, message: &Message, slices: &[Bytes]) -> Checked {
        let Message::AppendEntries(append) = message else { return Ok(()) };
        let mut before = append.prev_log_id;
        for entry in entries(slices)? {
            if entry.index != before.index.next() {
                return Err(format!("{} is sent right after {before}", entry.index));
            }
            self.check(entry.index, before.term, stamp(&entry))?;
            before = LogId { term: entry.term, index: entry.index };
        }
        let last = Index(append.prev_log_id.index.0 + append.entries.len() as u64);
        if before.index != last {
            return Err(format!("entries up to {} are sent as entries up to {last}", before.index));
        }
        Ok(())
    }
}

/// The entries in these slices.
pub(super) fn entries(slices: &[Bytes]) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for slice in slices {
        entries.extend(decode_entries(slice).map_err(|error| error.to_string())?);
    }
    Ok(entries)
}

pub(super) fn stamp(entry: &Entry) -> Stamp {
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&[entry.kind.0]), &entry.payload);
    Stamp { term: entry.term, checksum }
}
