//! Snapshots in place of log (thesis, chapter 5). A snapshot is the state that the committed entries
//! up to it make, sessions and configuration included, and the same bytes on every member. What is
//! below the beginning of a log is in a snapshot that is durable there; and that holds only what is
//! applied and durable.
//!
//! What is right is said by a machine of our own, which applies what is committed and never sees a
//! snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use raft_core::{Index, LogId, Membership, Snapshot};
use raft_log::{Entry, Kind, SnapshotInfo};
use raft_node::replica::{Machine, Replica};
use raft_node::sessions::Sessions;
use raft_node::wire::decode_membership;
use raft_store::{Answer, Messages};

use super::disks::place;
use super::{Checked, Checkers, Stamp, disks};
use crate::disk::{Durable, Platter};
use crate::witness::{Allowance, Restored, Sight, Trail, Witness};

#[derive(Debug, Default)]
pub(super) struct Agreement {
    founders: Membership,
    sessions: Sessions,
    /// Every entry that was ever given to a log.
    entries: BTreeMap<LogId, Entry>,
    /// The committed configurations, the founders' first, as far as they were looked for.
    memberships: Vec<(Index, Arc<Membership>)>,
    looked_to: Index,
    reference: Option<(Machine, Sight)>,
    /// What is right where there is a snapshot.
    states: BTreeMap<LogId, State>,
    /// The snapshots that were seen on any disk.
    files: BTreeMap<LogId, SnapshotInfo>,
    servers: BTreeMap<usize, Server>,
}

#[derive(Debug, Default)]
struct Server {
    /// The newest snapshot that is durable there.
    newest: LogId,
    /// Where its log begins in memory.
    log_start: LogId,
    /// The snapshot of a leader that it went on from, in this life.
    installed: Option<LogId>,
    /// The files that were looked at, and what was found: the same, as long as they are.
    files: Durable,
    found: (Vec<SnapshotInfo>, Vec<String>),
}

impl Server {
    /// Of the snapshots that were found right those of which nothing has changed: neither their own
    /// file nor any that they may share.
    fn still_whole(&self, files: &Durable) -> Vec<SnapshotInfo> {
        let shared = |name: &str| !name.contains('/') || name.ends_with(".part");
        if !self.files.all_stay(files, shared) {
            return Vec::new();
        }
        let own = |id: LogId| format!("snap/{}-{}", id.index.0, id.term.0);
        let stays = |info: &&SnapshotInfo| {
            let own = own(info.id);
            files.holds(&own) && self.files.all_stay(files, |name| name == own)
        };
        self.found.0.iter().filter(stays).copied().collect()
    }
}

#[derive(Debug)]
struct State {
    sessions: Sessions,
    settled: (Index, Membership),
    membership: (Index, Arc<Membership>),
    messages: Messages,
    values: Answer,
    trail: Arc<Vec<Trail>>,
}

impl Agreement {
    pub(super) fn founded(&mut self, founders: Membership) {
        if self.memberships.is_empty() {
            self.memberships.push((Index(0), Arc::new(founders.clone())));
            self.founders = founders;
        }
    }

    pub(super) fn handed(&mut self, entries: impl Iterator<Item = Entry>) {
        self.entries
            .extend(entries.map(|entry| (LogId { term: entry.term, index: entry.index }, entry)));
    }

    /// The committed entry at an index.
    fn entry(&self, index: Index, committed: &[Stamp]) -> Checked<&Entry> {
        let stamp = committed.get(place(index));
        let id = stamp.map(|stamp| LogId { term: stamp.term, index });
        let entry = id.and_then(|id| self.entries.get(&id));
        entry.ok_or_else(|| format!("nobody committed an entry {index}"))
    }

    /// The committed configurations up to there.
    pub(super) fn memberships(
        &mut self,
        through: Index,
        committed: &[Stamp],
    ) -> Checked<Vec<(Index, Arc<Membership>)>> {
        while self.looked_to < through {
            let index = self.looked_to.next();
            let entry = self.entry(index, committed)?;
            if entry.kind == Kind::MEMBERSHIP {
                let found = decode_membership(&entry.payload).map_err(|error| error.to_string())?;
                self.memberships.push((index, Arc::new(found)));
            }
            self.looked_to = index;
        }
        let found = self.memberships.iter().filter(|(index, _)| *index <= through);
        Ok(found.cloned().collect())
    }

    /// What is right there.
    fn state(&mut self, at: LogId, committed: &[Stamp]) -> Checked<&State> {
        if committed.get(place(at.index)).map(|stamp| stamp.term) != Some(at.term) {
            return Err(format!("a snapshot stands for {at}, which nobody committed"));
        }
        if !self.states.contains_key(&at) {
            let state = self.work_out(at, committed)?;
            self.states.insert(at, state);
        }
        self.states.get(&at).ok_or_else(|| "there is no state".into())
    }

    fn work_out(&mut self, at: LogId, committed: &[Stamp]) -> Checked<State> {
        let reference = self.reference.take();
        let usable = reference.filter(|(machine, _)| machine.applied() <= at.index);
        let (mut machine, sight) = usable.unwrap_or_else(|| {
            let (witness, sight) = Witness::new(Allowance::default());
            // Nobody wants its lines.
            let shown = Index(u64::MAX);
            let machine = Machine::new(Box::new(witness), shown, self.founders.clone());
            (machine.with_sessions(self.sessions.clone()), sight)
        });
        while machine.applied() < at.index {
            let entry = self.entry(machine.applied().next(), committed)?;
            drop(machine.take(entry)?);
        }
        let membership = self.memberships(at.index, committed)?.pop();
        let (index, settled) = machine.settled();
        let state = State {
            sessions: machine.sessions().clone(),
            settled: (index, settled.clone()),
            membership: membership.ok_or("there are no founders")?,
            messages: sight.messages(),
            values: sight.values(),
            trail: sight.trail(),
        };
        drop(sight.take());
        self.reference = Some((machine, sight));
        Ok(state)
    }

    /// A machine went on from a snapshot.
    fn is_right(&mut self, machine: &Machine, base: &Snapshot, committed: &[Stamp]) -> Checked {
        let (at, (index, settled)) = (base.at, machine.settled());
        let right = self.state(at, committed)?;
        let what = if *machine.sessions() != right.sessions {
            "sessions"
        } else if (index, settled) != (right.settled.0, &right.settled.1) {
            "settled configuration"
        } else if (base.membership_index, &*base.membership)
            != (right.membership.0, &*right.membership.1)
        {
            "configuration"
        } else {
            return Ok(());
        };
        Err(format!("the snapshot of {at} has another {what} than was agreed on"))
    }

    /// And so did the state machine in it.
    fn is_same(&mut self, restored: &Restored, at: LogId, committed: &[Stamp]) -> Checked {
        let right = self.state(at, committed)?;
        let what = if restored.trail != *right.trail {
            "commands"
        } else if !restored.messages.iter().eq(right.messages.iter()) {
            "messages"
        } else if restored.values != right.values {
            "values"
        } else {
            return Ok(());
        };
        Err(format!("the snapshot of {at} has other {what} than were agreed on"))
    }

    /// What a power cut would leave of the snapshots on a disk, and what is wrong there. The log
    /// says nothing of them.
    fn look(&mut self, host: usize, platter: &Platter) -> (Vec<SnapshotInfo>, Vec<String>) {
        let server = self.servers.entry(host).or_default();
        let wanted = |name: &str| name != "LOCK" && name != "SHOWN" && !name.starts_with("wal");
        let files = platter.durable(wanted);
        if !server.files.is_same(&files) {
            let known = server.still_whole(&files);
            // Why none can be read is said where a start, or a look at the whole disk, is judged.
            server.found = disks::snapshots(&files, &known).unwrap_or_default();
            server.files = files;
        }
        server.found.clone()
    }

    /// Snapshots on a disk: the same ones everywhere.
    fn found(&mut self, host: usize, found: &[SnapshotInfo], committed: &[Stamp]) -> Checked {
        for info in found {
            self.state(info.id, committed)?;
            let known = self.files.entry(info.id).or_insert(*info);
            if known != info {
                return Err(format!("host {host} has {info:?}, and others have {known:?}"));
            }
        }
        let newest = found.iter().map(|info| info.id).max_by_key(|id| id.index);
        self.servers.entry(host).or_default().newest = newest.unwrap_or_default();
        Ok(())
    }

    fn stands_for(&self, host: usize, at: LogId) -> Checked {
        let newest = self.servers.get(&host).map(|server| server.newest).unwrap_or_default();
        if at.index > newest.index {
            return Err(format!(
                "host {host} gives up its log up to {at}, and its newest durable snapshot is \
                 {newest}"
            ));
        }
        Ok(())
    }

    fn stepped(&mut self, host: usize, replica: &Replica) -> Checked {
        let (start, applied) = (replica.raft().log_start(), replica.applied_index());
        let server = self.servers.entry(host).or_default();
        let before = std::mem::replace(&mut server.log_start, start);
        if start.index < before.index {
            return Err(format!("the log of host {host} began after {before}, now after {start}"));
        }
        if start.index > applied {
            return Err(format!(
                "the log of host {host} begins after {start}, {applied} is applied"
            ));
        }
        Ok(())
    }
}

impl Checkers {
    /// The session table that every machine begins with.
    pub fn expect_sessions(&mut self, sessions: Sessions) {
        self.agreement.sessions = sessions;
    }

    /// Snapshots may have come, or may be missing: looks at those that a power cut would leave.
    pub fn look_at_snapshots(&mut self, host: usize, platter: &Platter) {
        let (found, wrong) = self.agreement.look(host, platter);
        if !wrong.is_empty() && !self.damage.is_hurt(host) {
            self.fail("snapshots agree", format!("host {host}: {}", wrong.join("; ")));
        }
        let checked = self.agreement.found(host, &found, self.commits.all());
        self.note("snapshots agree", checked);
    }

    /// The newest one that is durable at a server.
    #[must_use]
    pub fn newest_snapshot(&self, host: usize) -> LogId {
        self.agreement.servers.get(&host).map(|server| server.newest).unwrap_or_default()
    }

    /// A member takes a snapshot.
    pub fn takes_snapshot(&mut self, host: usize, at: LogId, replica: &Replica) {
        let durable = self.disks.model(host).map_or(0, |model| model.durable.len() as u64);
        if at.index.0 > durable || at.index != replica.applied_index() {
            let applied = replica.applied_index();
            let what = format!(
                "host {host} takes a snapshot of {at}: {applied} is applied, {durable} durable"
            );
            self.fail("snapshot in place of log", what);
        }
    }

    /// A machine is about to go on from a snapshot, of a leader or of its own.
    pub fn goes_on(&mut self, host: usize, machine: &Machine) {
        // One that is kept from an earlier life has gone on since.
        let base = machine.base().filter(|base| base.at.index == machine.applied());
        let Some(base) = base else { return };
        let checked = self.agreement.is_right(machine, base, self.commits.all());
        self.note("snapshots agree", checked.map_err(|what| format!("host {host}: {what}")));
    }

    /// The state machine did so.
    pub(super) fn restored(&mut self, host: usize, restored: &Restored, replica: &Replica) {
        let Some(base) = replica.machine().base() else { return };
        let checked = self.agreement.is_same(restored, base.at, self.commits.all());
        self.note("snapshots agree", checked.map_err(|what| format!("host {host}: {what}")));
        let checked = self.applied.goes_on(host, &restored.trail);
        self.note("state machine safety", checked);
    }

    /// A log is about to lose what is below.
    pub fn compacts(&mut self, host: usize, through: LogId) {
        self.stands_for(host, through);
    }

    /// A log is about to begin after this entry. On a damaged disk nobody can tell.
    pub(super) fn stands_for(&mut self, host: usize, at: LogId) {
        let checked = self.agreement.stands_for(host, at);
        if !self.damage.is_hurt(host) {
            self.note("snapshot in place of log", checked);
        }
    }

    /// A member goes on from a leader's snapshot, and so many entries are not applied there.
    pub fn installs(&mut self, host: usize, at: LogId, skipped: u64) {
        self.agreement.servers.entry(host).or_default().installed = Some(at);
        if skipped == 0 {
            self.fail("monotone", format!("host {host} had applied {at} and goes back to it"));
        }
        self.shown.skips(host, Index(at.index.0.saturating_sub(skipped)), at.index);
    }

    /// And says so to that leader.
    pub fn says_installed(&mut self, host: usize) {
        let server = self.agreement.servers.get(&host);
        let Some(at) = server.and_then(|server| server.installed) else {
            return self.fail("durable before said", format!("host {host} installed nothing"));
        };
        let model = self.disks.model(host);
        let held = model.and_then(|model| model.durable.get(place(at.index)));
        if held.map(|stamp| stamp.term) != Some(at.term) {
            let what = format!("host {host} says that {at} is installed, and it is not durable");
            self.fail("durable before said", what);
        }
    }

    pub(super) fn snapshots_stepped(&mut self, host: usize, replica: &Replica) {
        let checked = self.agreement.stepped(host, replica);
        self.note("snapshot in place of log", checked);
        self.stands_for(host, replica.raft().log_start());
    }

    pub(super) fn snapshots_started(&mut self, host: usize, log_start: LogId) {
        let server = self.agreement.servers.entry(host).or_default();
        (server.log_start, server.installed) = (log_start, None);
    }
}
