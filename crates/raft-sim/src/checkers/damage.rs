//! What a server with a damaged disk may do: read what was written, or refuse and name the place.
//! It never serves other bytes, forgets a confirmed entry, or votes as if it had not voted.
//!
//! The one exception is documented: a commit that was damaged before anything was written after
//! it, and before the process ended, may be missing. Its entries are then forgotten, and whether
//! that was noticed (`tail_ambiguous`) depends on what is left of it; a turned bit always is.
//! Once a later block or ATTEST is durable, the same damage must be refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use raft_core::{Index, NodeId};
use raft_log::{Log, LogRange, OpenError, ReadError};

use super::disks::Disks;
use super::log_matching::stamp;
use super::{Checked, Checkers, Stamp};
use crate::disk::{Harm, Part, Scar};

#[derive(Debug, Default)]
pub(super) struct Damage {
    hosts: BTreeMap<usize, Hurt>,
}

#[derive(Debug, Default)]
struct Hurt {
    scars: Vec<Scar>,
    /// Entries from here on are not promised any more, and how the newest commit was damaged.
    forgets: Option<(Index, Harm)>,
    /// A start said that the end of the log is not certain.
    noticed: bool,
    refuses: bool,
}

impl Damage {
    pub(super) fn scarred(&mut self, host: usize, scar: Scar) {
        let hurt = self.hosts.entry(host).or_default();
        if let Some(from) = scar.forgets {
            hurt.forgets = Some((from, scar.harm));
        }
        hurt.scars.push(scar);
    }

    /// A later block proves what was forgettable.
    pub(super) fn proven(&mut self, host: usize) {
        if let Some(hurt) = self.hosts.get_mut(&host) {
            (hurt.forgets, hurt.noticed) = (None, false);
        }
    }

    pub(super) fn is_hurt(&self, host: usize) -> bool {
        self.hosts.contains_key(&host)
    }

    fn is_wrecked(&self, host: usize) -> bool {
        let is_whole = |scar: &Scar| scar.part == Part::WholeSlot;
        self.hosts.get(&host).is_some_and(|hurt| hurt.scars.iter().any(is_whole))
    }

    /// Where what a host may forget begins.
    pub(super) fn forgets(&self, host: usize) -> Option<Index> {
        Some(self.hosts.get(&host)?.forgets?.0)
    }

    /// A start, or a look at the disk, ended with this: the probe for it, if there is one.
    pub(super) fn refuses(&self, host: usize, error: &OpenError) -> Checked<Option<&'static str>> {
        let (file, reason) = match error {
            OpenError::Damaged { file, .. } if file.ends_with("NODE") => {
                (file, Some("refused disk: NODE is damaged"))
            }
            OpenError::Damaged { file, what, .. } => (file, reason(host, what)?),
            OpenError::OtherIdentity { file, .. } => (file, Some("refused disk: another's slot")),
            other => return Err(format!("host {host} cannot start: {other}")),
        };
        self.names(host, file).map(|()| reason).map_err(|why| format!("{why}: {error}"))
    }

    /// A process ended with this.
    pub(super) fn read_refused(&self, host: usize, error: &ReadError) -> Checked {
        let ReadError::Corrupt { file, .. } = error else {
            return Err(format!("host {host} cannot read its log: {error}"));
        };
        self.names(host, file).map_err(|why| format!("{why}: {error}"))
    }

    pub(super) fn down(&mut self, host: usize) {
        self.hosts.entry(host).or_default().refuses = true;
    }

    pub(super) fn is_down(&self, host: usize) -> bool {
        self.hosts.get(&host).is_some_and(|hurt| hurt.refuses)
    }

    /// A refusal is due to damage, and names a file that was damaged; the slots' directory if a
    /// whole slot seems to be gone.
    fn names(&self, host: usize, file: &Path) -> Checked {
        let Some(hurt) = self.hosts.get(&host) else {
            return Err(format!("host {host} refuses its disk, which nobody damaged"));
        };
        let is_file = |name: &str| file.ends_with(name);
        let known = |scar: &Scar| {
            is_file(&scar.file) || scar.missed.as_ref().is_some_and(|(missed, _)| is_file(missed))
        };
        // NODE is written beside itself.
        let moved = file.ends_with("NODE") && hurt.scars.iter().any(Scar::is_of_node);
        let of_snapshots = |name: &str| name.starts_with("snap/");
        let missed = |scar: &Scar| scar.missed.as_ref().is_some_and(|(file, _)| of_snapshots(file));
        let in_snapshots = hurt.scars.iter().any(|scar| of_snapshots(&scar.file) || missed(scar));
        // It was written or received under another name, and a log that begins after what is left
        // names the directory.
        let at_snapshots = file.components().any(|part| part.as_os_str() == "snap");
        if at_snapshots && in_snapshots {
            return Ok(());
        }
        if moved || file.ends_with("wal") || hurt.scars.iter().any(known) {
            return Ok(());
        }
        Err(format!("host {host} blames another file than those damaged, {:?}", hurt.scars))
    }

    /// A start found the end of the log damaged, or may have. If it does not succeed, the next one
    /// finds a whole log: the doubt is not written down.
    pub(super) fn noticed(&mut self, host: usize) {
        if let Some(hurt) = self.hosts.get_mut(&host) {
            hurt.noticed = true;
        }
    }

    /// A member started without its newest commit: by a turned bit that is always noticed.
    pub(super) fn forgot(&self, host: usize) -> Checked {
        let hurt = self.hosts.get(&host);
        let forgets = hurt.and_then(|hurt| hurt.forgets);
        let noticed = hurt.is_some_and(|hurt| hurt.noticed);
        match forgets {
            Some((_, Harm::Rot)) if !noticed => {
                Err(format!("host {host} forgot entries, and takes its log for whole"))
            }
            _ => Ok(()),
        }
    }

    /// What is read back is what was written.
    pub(super) fn read(&self, host: usize, range: &LogRange, disks: &Disks) -> Checked {
        let Some(model) = disks.model(host) else { return Ok(()) };
        for entry in &range.entries {
            let written: Option<&Stamp> = model.durable.get(super::disks::place(entry.index));
            if written.is_some_and(|written| *written != stamp(entry)) {
                let index = entry.index;
                return Err(format!("host {host} reads entry {index}, and wrote another there"));
            }
            if model.gone.contains(&(super::disks::place(entry.index), stamp(entry))) {
                let index = entry.index;
                return Err(format!("host {host} reads entry {index}, given up for a snapshot"));
            }
        }
        Ok(())
    }

    /// The lines that a server shows may repeat if its mark was damaged.
    pub(super) fn may_repeat(&self, host: usize) -> bool {
        let of_shown = |scar: &Scar| {
            scar.part == Part::Shown
                || scar.missed.as_ref().is_some_and(|(file, _)| file == "SHOWN")
        };
        self.hosts.get(&host).is_some_and(|hurt| hurt.scars.iter().any(of_shown))
    }
}

impl Checkers {
    /// A start failed: it may have begun a new slot, which the next one takes for whole.
    pub fn start_failed(&mut self, host: usize) {
        self.probe("start failed");
        self.damage.noticed(host);
    }

    /// A log was opened: a start that goes on.
    pub fn opened(&mut self, host: usize, log: &Log) {
        if log.recovered.tail_ambiguous {
            self.probe("tail ambiguous");
            self.damage.noticed(host);
        }
    }

    /// The log wrote down that everything before is durable.
    pub fn attested(&mut self, host: usize) {
        self.damage.proven(host);
    }

    /// A server's disk was damaged.
    pub fn scarred(&mut self, host: usize, scar: Scar) {
        self.probe(match scar.harm {
            Harm::Rot => "bit turned",
            Harm::Stale => "page stale",
            Harm::Misdirected => "write misdirected",
            Harm::Gone => "slot gone",
            Harm::Swapped => "slot swapped",
        });
        self.probe(match scar.part {
            Part::BlockBody => "block body damaged",
            Part::BlockHeader => "block header damaged",
            Part::SlotHeader => "slot header damaged",
            Part::Unused => "unused space damaged",
            Part::NewestCommit => "newest commit damaged",
            Part::Node => "NODE damaged",
            Part::Shown => "shown mark damaged",
            Part::WholeSlot => "whole slot damaged",
            Part::Snapshot => "snapshot damaged",
        });
        self.damage.scarred(host, scar);
    }

    /// A server refuses to start: it stays down.
    pub fn refuses(&mut self, host: usize, error: &OpenError) {
        match self.damage.refuses(host, error) {
            Ok(reason) => reason.into_iter().for_each(|reason| self.probe(reason)),
            Err(what) => self.fail("recovery", what),
        }
        self.damage.down(host);
    }

    /// A server cannot read its log back: it ends, and stays down.
    pub fn read_refused(&mut self, host: usize, error: &ReadError) {
        self.probe("refused disk: a block read back is damaged");
        let checked = self.damage.read_refused(host, error);
        self.note("damage", checked);
        self.damage.down(host);
    }

    /// Whether a server was a member at any time.
    #[must_use]
    pub fn was_member(&self, host: usize) -> bool {
        self.disks.model(host).is_some_and(|model| model.id.is_some())
    }

    /// Whether a server's disk was damaged, so that what showed one more damage may be gone.
    #[must_use]
    pub fn is_hurt(&self, host: usize) -> bool {
        self.damage.is_hurt(host)
    }

    /// Whether a whole slot was: the others are what shows it.
    #[must_use]
    pub fn is_wrecked(&self, host: usize) -> bool {
        self.damage.is_wrecked(host)
    }

    /// Whether a server stays down because of its disk.
    #[must_use]
    pub fn is_down(&self, host: usize) -> bool {
        self.damage.is_down(host)
    }

    /// The same, of the server that is this member.
    #[must_use]
    pub fn is_member_down(&self, id: NodeId) -> bool {
        self.host_of(id).is_some_and(|host| self.damage.is_down(host))
    }

    /// The server that this member is, if it ever was one.
    pub fn host_of(&self, id: NodeId) -> Option<usize> {
        self.disks.host_of(id)
    }

    /// Entries were read back from a disk.
    pub fn read_back(&mut self, host: usize, range: &LogRange) {
        self.probe("log read back");
        let checked = self.damage.read(host, range, &self.disks);
        self.note("damage", checked);
    }

    /// Whether the newest commit of a server was damaged, and nothing shows that yet.
    #[must_use]
    pub fn may_forget(&self, host: usize) -> bool {
        self.damage.forgets(host).is_some()
    }

    /// Whether these entries are committed, and on the disks of a quorum without these hosts.
    #[must_use]
    pub fn are_elsewhere(&self, first: Index, last: Index, without: &BTreeSet<usize>) -> bool {
        // Who may have forgotten them already holds nothing.
        let sure = |host: usize| !without.contains(&host) && self.damage.forgets(host).is_none();
        self.commits.are_elsewhere((first, last), &sure, &self.disks)
    }

    /// A write was refused for lack of room.
    pub fn disk_full(&mut self) {
        self.probe("disk full answered");
        self.is_full = true;
    }
}

impl Scar {
    fn is_of_node(&self) -> bool {
        let missed = self.missed.as_ref();
        self.part == Part::Node || missed.is_some_and(|(file, _)| file.starts_with("NODE"))
    }
}

/// The ways to refuse, so that a run shows which of them it has seen. A block says where it belongs,
/// and so a valid one that does not follow the one before it is no damage: it was written so.
fn reason(host: usize, what: &str) -> Checked<Option<&'static str>> {
    const WRITTEN_SO: [&str; 2] = ["belongs", "is not the one that the next slot certifies"];
    if WRITTEN_SO.iter().any(|words| what.contains(words)) {
        return Err(format!("host {host} wrote what it refuses: {what}"));
    }
    const REASONS: [(&str, &str); 8] = [
        ("no snapshot goes so far", "refused disk: no snapshot is left"),
        ("which the next slot certifies", "refused disk: a certified block is damaged"),
        ("which was durable", "refused disk: a proven block is damaged"),
        ("both copies", "refused disk: both header copies are damaged"),
        ("that was made as", "refused disk: a slot by another name"),
        ("order number", "refused disk: a slot is missing"),
        ("newest slot is missing", "refused disk: the newest slot is missing"),
        ("its successor", "refused disk: the successor is missing"),
    ];
    Ok(REASONS.iter().find(|(words, _)| what.contains(words)).map(|(_, reason)| *reason))
}
