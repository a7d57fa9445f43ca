//! The map as a part of a snapshot, and back.
//!
//! `revision u64 | oldest u64 | number of current records u64 | records | number of past ones u64 |
//! records`, each record with its length before it, u32, both kinds in order. The history follows
//! from the records: every change within it is the one record with its key and revision.

use std::io::{self, Read, Write};

use crate::snapshot::{Source, damaged, write_piece};
use crate::txn::KEY_BYTES_MAX;

use super::{HistoryLimits, Map, MapView, Record};

/// No map comes so far.
const REVISION_MAX: u64 = 1 << 62;

impl MapView {
    pub(crate) fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(&self.revision.to_le_bytes())?;
        to.write_all(&self.oldest.to_le_bytes())?;
        let first = (&[][..], u64::MAX);
        to.write_all(&(self.current.len() as u64).to_le_bytes())?;
        self.current.from(first).try_for_each(|record| write_piece(to, record.as_bytes()))?;
        to.write_all(&(self.past.len() as u64).to_le_bytes())?;
        self.past.from(first).try_for_each(|record| write_piece(to, record.as_bytes()))
    }
}

impl Map {
    pub(crate) fn read(limits: HistoryLimits, from: &mut Source<impl Read>) -> io::Result<Self> {
        let mut map = Self::new(limits);
        map.revision = from.u64()?;
        map.oldest = from.u64()?;
        if !(1..=map.revision).contains(&map.oldest) || map.revision > REVISION_MAX {
            return Err(damaged("the map's revisions cannot be"));
        }
        let mut changes = Vec::new();
        let mut last: Option<Record> = None;
        for _ in 0..from.u64()? {
            let record = map.read_record(from, &mut changes)?;
            if record.is_deleted() || last.is_some_and(|last| last.key() >= record.key()) {
                return Err(damaged("the map's keys are not in order"));
            }
            map.bytes += record.size();
            map.current.insert(record.clone());
            last = Some(record);
        }
        last = None;
        for _ in 0..from.u64()? {
            let record = map.read_record(from, &mut changes)?;
            map.check_past(last.as_ref(), &record)?;
            map.keep(record.clone());
            last = Some(record);
        }
        map.read_history(changes)?;
        Ok(map)
    }

    /// Reads a record, and notes the change if it is within the history.
    fn read_record(
        &self,
        from: &mut Source<impl Read>,
        changes: &mut Vec<Record>,
    ) -> io::Result<Record> {
        let record = Record::from_bytes(&from.piece()?)
            .filter(|record| record.mod_revision() <= self.revision)
            .filter(|record| record.key().len() <= KEY_BYTES_MAX)
            .ok_or_else(|| damaged("a record of the map is none"))?;
        if record.mod_revision() > self.oldest {
            changes.push(record.clone());
        }
        Ok(record)
    }

    /// A past record comes behind newer ones of its key, the newest of which is the current one
    /// or a deletion; and something within the history came after it, or it would not be kept.
    fn check_past(&self, last: Option<&Record>, record: &Record) -> io::Result<()> {
        let in_order = last.is_none_or(|last| last.key() <= record.key());
        let same = last.filter(|last| last.key() == record.key());
        let newer = same.or_else(|| self.current.get((record.key(), 0)));
        let revision = newer.map_or(u64::MAX, Record::mod_revision);
        let is_replaced = record.mod_revision() < revision && self.oldest < revision;
        let is_last_deletion = newer.is_none() && record.is_deleted();
        let deleted_in_history = !record.is_deleted() || record.mod_revision() > self.oldest;
        if in_order && is_replaced && (newer.is_some() || is_last_deletion) && deleted_in_history {
            Ok(())
        } else {
            Err(damaged("the map's history is not in order"))
        }
    }

    fn read_history(&mut self, mut changes: Vec<Record>) -> io::Result<()> {
        changes.sort_unstable_by(|left, right| {
            let by_revision = left.mod_revision().cmp(&right.mod_revision());
            by_revision.then_with(|| left.key().cmp(right.key()))
        });
        let mut revision = self.oldest;
        for change in &changes {
            if change.mod_revision() > revision + 1 {
                return Err(damaged("a revision of the map is missing"));
            }
            revision = change.mod_revision();
        }
        if revision != self.revision {
            return Err(damaged("a revision of the map is missing"));
        }
        self.history.push(changes);
        Ok(())
    }
}
