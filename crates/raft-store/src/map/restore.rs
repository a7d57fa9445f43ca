//! The map as a part of a snapshot, and back.
//!
//! `revision u64 | oldest u64 | number of records u64 | records | number of changes u64 | changes`,
//! the records in order of their keys, the changes in that of their revisions, those of one
//! revision by keys. A change is `revision u64 | record`: what it replaced; the key with zeros, if
//! that was nothing. A record has its length before it, u32.
//!
//! What a change made of its key is not written: it is what the key was until its next change, or
//! is now. So the changes are gone through from the newest one, and undone.

use std::io::{self, Read, Write};

use bytes::Bytes;

use crate::snapshot::{Source, damaged, write_piece};
use crate::txn::{KEY_BYTES_MAX, Keys};

use super::history::Change;
use super::{HistoryLimits, Map, MapView, Record};

/// No map comes so far.
const REVISION_MAX: u64 = 1 << 62;

impl MapView {
    pub(crate) fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(&self.revision.to_le_bytes())?;
        to.write_all(&self.oldest.to_le_bytes())?;
        to.write_all(&(self.current.len() as u64).to_le_bytes())?;
        self.current.from(b"").try_for_each(|record| write_piece(to, record.as_bytes()))?;
        to.write_all(&(self.history.len() as u64).to_le_bytes())?;
        let all = Keys::From(Bytes::new());
        self.history.of(&all, self.oldest).try_for_each(|Change { record, before }| {
            to.write_all(&record.mod_revision().to_le_bytes())?;
            match before {
                Some(before) => write_piece(to, before.as_bytes()),
                None => write_piece(to, Record::nothing(record.key()).as_bytes()),
            }
        })
    }
}

/// A change as it is written: its revision, and what it replaced.
type Replaced = (u64, Record);

impl Map {
    pub(crate) fn read(limits: HistoryLimits, from: &mut Source<impl Read>) -> io::Result<Self> {
        let mut map = Self::new(limits);
        map.revision = from.u64()?;
        map.oldest = from.u64()?;
        if !(1..=map.revision).contains(&map.oldest) || map.revision > REVISION_MAX {
            return Err(damaged("the map's revisions cannot be"));
        }
        let mut last: Option<Record> = None;
        for _ in 0..from.u64()? {
            let record = map.read_record(from)?;
            if record.is_deleted() || last.is_some_and(|last| last.key() >= record.key()) {
                return Err(damaged("the map's keys are not in order"));
            }
            map.bytes += record.size();
            map.current.insert(record.clone());
            last = Some(record);
        }
        let changes = map.read_changes(from)?;
        map.undo(changes)?;
        Ok(map)
    }

    fn read_record(&self, from: &mut Source<impl Read>) -> io::Result<Record> {
        Record::from_bytes(&from.piece()?)
            .filter(|record| record.mod_revision() <= self.revision)
            .filter(|record| record.key().len() <= KEY_BYTES_MAX)
            .ok_or_else(|| damaged("a record of the map is none"))
    }

    fn read_changes(&self, from: &mut Source<impl Read>) -> io::Result<Vec<Replaced>> {
        let mut changes: Vec<Replaced> = Vec::new();
        let mut newest = self.oldest;
        for _ in 0..from.u64()? {
            let (revision, before) = (from.u64()?, self.read_record(from)?);
            if before.is_deleted() && before != Record::nothing(before.key()) {
                return Err(damaged("a record of the map is none"));
            }
            let in_order = match changes.last() {
                Some((same, last)) if *same == revision => last.key() < before.key(),
                _ => newest < revision,
            };
            if !in_order {
                return Err(damaged("the map's history is not in order"));
            }
            if revision > newest + 1 {
                return Err(damaged("a revision of the map is missing"));
            }
            newest = revision;
            changes.push((revision, before));
        }
        if newest != self.revision {
            return Err(damaged("a revision of the map is missing"));
        }
        Ok(changes)
    }

    /// Finds out what each change made, and puts it into the history.
    fn undo(&mut self, replaced: Vec<Replaced>) -> io::Result<()> {
        let mut then = self.current.clone();
        let mut changes = Vec::new();
        for (revision, before) in replaced.into_iter().rev() {
            let was_there = !before.is_deleted();
            let after =
                if was_there { then.insert(before.clone()) } else { then.remove(before.key()) };
            let record = after.unwrap_or_else(|| Record::deleted(before.key(), revision));
            let change = Change { record, before: was_there.then_some(before) };
            if !is_made_by(revision, &change) {
                return Err(damaged("a change of the map cannot be"));
            }
            changes.push(change);
        }
        if then.from(b"").any(|record| record.mod_revision() > self.oldest) {
            return Err(damaged("a change of the map is missing"));
        }
        changes.into_iter().rev().for_each(|change| self.history.push(change));
        Ok(())
    }
}

/// Whether a transaction of this revision makes such a change.
fn is_made_by(revision: u64, Change { record, before }: &Change) -> bool {
    let before = before.as_ref();
    let numbers = before.map_or((revision, 1), |old| (old.create_revision(), old.version() + 1));
    let is_put = (record.create_revision(), record.version()) == numbers;
    let is_deletion = record.is_deleted() && before.is_some();
    record.mod_revision() == revision && (is_put || is_deletion)
}
