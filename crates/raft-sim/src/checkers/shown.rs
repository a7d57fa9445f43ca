//! Lines shown: every server shows the same line for the same entry, once, in order. After a
//! kill at most one line is missing and none repeats; after a power cut recent ones may repeat.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::Index;

use super::Checked;

#[derive(Debug, Default)]
pub(super) struct ShownOnce {
    lines: BTreeMap<Index, Vec<u8>>,
    servers: BTreeMap<usize, Server>,
}

#[derive(Debug, Default)]
struct Server {
    shown: BTreeSet<Index>,
    last: Index,
    /// Nothing up to here is owed any more.
    forgiven: Index,
    /// Entries whose lines were never made here: a snapshot stands for those after the first of
    /// two up to the second.
    skipped: Vec<(Index, Index)>,
    /// Lines that a stop may have swallowed.
    stops: usize,
    was_dark: bool,
}

impl ShownOnce {
    /// What was shown for each entry.
    pub(super) const fn lines(&self) -> &BTreeMap<Index, Vec<u8>> {
        &self.lines
    }

    pub(super) fn stopped(&mut self, host: usize, dark: bool) {
        let server = self.servers.entry(host).or_default();
        server.stops += 1;
        server.was_dark |= dark;
    }

    pub(super) fn new_machine(&mut self, host: usize, mark: Index, lost: bool) -> Checked {
        let server = self.servers.entry(host).or_default();
        if lost {
            server.forgiven = server.forgiven.max(mark);
        }
        if std::mem::take(&mut server.was_dark) {
            server.last = mark;
        }
        Ok(())
    }

    /// The lines of entries after one up to another are not made here.
    pub(super) fn skips(&mut self, host: usize, after: Index, through: Index) {
        let server = self.servers.entry(host).or_default();
        server.skipped.push((after, through));
        server.last = server.last.max(through);
    }

    pub(super) fn shown(
        &mut self,
        host: usize,
        index: Index,
        text: Vec<u8>,
        may_repeat: bool,
    ) -> Checked {
        let server = self.servers.entry(host).or_default();
        if index <= server.last && !may_repeat {
            return Err(format!("host {host} shows entry {index} after {}", server.last));
        }
        server.last = index;
        server.shown.insert(index);
        let known = self.lines.entry(index).or_insert_with(|| text.clone());
        if *known != text {
            return Err(format!("host {host} shows other lines for entry {index} than others"));
        }
        Ok(())
    }

    pub(super) fn complete(&self, host: usize, applied: Index) -> Checked {
        let Some(server) = self.servers.get(&host) else { return Ok(()) };
        let skipped =
            |at: Index| server.skipped.iter().any(|(after, through)| *after < at && at <= *through);
        let due = self.lines.keys().filter(|at| **at <= applied && **at > server.forgiven);
        let due = due.filter(|at| !skipped(**at));
        let missing: Vec<_> = due.filter(|at| !server.shown.contains(at)).collect();
        if missing.len() > server.stops {
            return Err(format!(
                "host {host} never showed the lines of entries {missing:?}, after {} stops",
                server.stops
            ));
        }
        Ok(())
    }
}
