//! What must never happen, one file for each property. They see everything that crosses a seam
//! of a server, and everything that a client is told. The first violation ends the run.

mod applied;
mod clients;
mod commits;
mod damage;
mod disks;
mod elections;
mod founding;
mod history;
mod leadership;
mod log_matching;
mod memberships;
mod monotone;
mod pre_votes;
mod promises;
mod shown;
mod snapshots;
mod told;
mod values;
mod votes;

use std::fmt;

use bytes::Bytes;
use raft_core::{Index, LogId, Message, NodeId, Raft, Snapshot, Term, Time};
use raft_log::{Log, MemberIdentity, NodeState, PeerBoot, Write};
use raft_node::replica::{Event, Replica, founding};

use crate::disk::Platter;
use crate::network::insane::Known;
use crate::observer::Observer;
use crate::trace::What;
use crate::witness::News;

pub use clients::{Asked, Reading};
pub(crate) use disks::refusal;

/// All of them, and what the first one found.
#[derive(Debug, Default)]
pub struct Checkers {
    violation: Option<Violation>,
    disks: disks::Disks,
    damage: damage::Damage,
    promises: promises::Promises,
    log_matching: log_matching::LogMatching,
    elections: elections::Elections,
    pre_votes: pre_votes::PreVotes,
    votes: votes::Votes,
    leadership: leadership::Leadership,
    founding: founding::Founding,
    memberships: memberships::Memberships,
    commits: commits::Commits,
    monotone: monotone::Monotone,
    applied: applied::AppliedOnce,
    shown: shown::ShownOnce,
    agreement: snapshots::Agreement,
    history: history::History,
    is_full: bool,
    told: told::Told,
    values: values::Values,
    observer: Observer,
    /// When the server takes the step that is being looked at.
    now: Time,
    /// A member that does not say what its core says.
    insane: Option<usize>,
}

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Who noticed.
    pub checker: &'static str,
    /// What.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.checker, self.what)
    }
}

/// An entry, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Its term.
    pub term: Term,
    /// Of its kind and its payload.
    pub checksum: u32,
}

/// What a check comes to.
type Checked<T = ()> = Result<T, String>;

/// What a check comes to that looks after several properties: which of them, and what.
type Named = Result<(), (&'static str, String)>;

impl Checkers {
    /// Notes a violation, unless there is one already.
    pub fn fail(&mut self, checker: &'static str, what: String) {
        if self.violation.is_none() {
            self.observer.tell(|| What::Violation(format!("{checker}: {what}")));
            self.violation = Some(Violation { checker, what });
        }
    }

    /// Something happened that a good simulation sees happen.
    pub fn probe(&mut self, what: &'static str) {
        self.observer.reach_named(what);
    }

    /// Who looks at all of it and judges nothing.
    pub const fn observer(&mut self) -> &mut Observer {
        &mut self.observer
    }

    /// What was violated first.
    #[must_use]
    pub const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// How many entries are known to be committed.
    #[must_use]
    pub fn committed(&self) -> usize {
        self.commits.count()
    }

    /// What a member knows to be committed, for who wants to lie to it about that.
    #[must_use]
    pub fn known_to(&self, host: usize) -> Known {
        let index = self.monotone.commit_index(host);
        let at = |index: Index| LogId { term: self.commits.term_at(index), index };
        Known { committed: at(index), before: at(index.previous()) }
    }

    /// The last starts of its peers that a member has certainly seen.
    #[must_use]
    pub fn starts_known_to(&self, host: usize) -> &[PeerBoot] {
        self.disks.peers(host)
    }

    /// A member says that another said what no correct member says.
    pub fn alarm(&mut self, what: String, expected: bool) {
        self.probe("alarm");
        if !expected {
            self.fail("alarm", what);
        }
    }

    /// How many writes were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.history.acknowledged()
    }

    /// How many commands were applied.
    #[must_use]
    pub fn commands(&self) -> usize {
        self.applied.count()
    }

    fn note(&mut self, checker: &'static str, checked: Checked) {
        if let Err(what) = checked {
            self.fail(checker, what);
        }
    }

    fn note_named(&mut self, checked: Named) {
        if let Err((checker, what)) = checked {
            self.fail(checker, what);
        }
    }

    /// A member started with what its log gave back, and from this snapshot, if from one.
    pub fn started(
        &mut self,
        host: usize,
        me: &MemberIdentity,
        log: &Log,
        (base, platter): (Option<&Snapshot>, &Platter),
    ) {
        self.probe("member started");
        self.observer.started(host, me.id, log);
        if log.recovered.notes.iter().any(|note| note.contains("not counted")) {
            self.probe("start not counted for lack of room");
        }
        self.agreement.founded(founding(me));
        self.look_at_snapshots(host, platter);
        let id = me.id;
        let stands_for = base.map_or(Index(0), |base| base.at.index);
        let state = NodeState::Member(me.clone());
        let held = match disks::read_back(log, state, stands_for, self.commits.all()) {
            Ok(held) => held,
            // Copied into a new slot, and damaged there.
            Err(disks::Unread::Corrupt(error)) => return self.read_refused(host, &error),
            Err(error) => return self.fail("recovery", format!("host {host}: {error:?}")),
        };
        let promised = self.disks.model(host).map_or(0, |model| model.durable.len() as u64);
        let forgets = self.damage.forgets(host);
        let checked = self.disks.started(host, id, held, forgets);
        self.note("kept on disk", checked);
        if log.recovered.last_index < Index(promised) {
            self.probe("newest commit forgotten");
            let checked = self.damage.forgot(host);
            self.note("damage", checked);
        }
        self.damage.proven(host);
        let below = self.agreement.memberships(stands_for, self.commits.all());
        match below.and_then(|below| disks::memberships(below, log)) {
            Ok(found) => self.memberships.started(host, found),
            Err(what) => self.fail("recovery", what),
        }
        self.leadership.started(host);
        self.monotone.started(host, log.recovered.hard_state);
        self.commits.started(host);
        self.snapshots_started(host, log.recovered.start);
    }

    /// A process ended; `dark` if its machine lost its power.
    pub fn stopped(&mut self, host: usize, dark: bool) {
        self.probe(if dark { "power lost" } else { "process ended" });
        self.observer.stopped(host, dark);
        self.shown.stopped(host, dark);
    }

    /// A member was told that it is none any more.
    pub fn left(&mut self, host: usize, id: NodeId) {
        let checked = self.commits.left(host, id);
        self.note("removal", checked);
    }

    /// A state machine begins from nothing.
    pub fn new_machine(&mut self, host: usize, shown: Index, lost: bool) {
        if lost {
            self.probe("shown mark lost");
        }
        self.applied.new_machine(host);
        let checked = self.shown.new_machine(host, shown, lost);
        self.note("shown once", checked);
    }

    /// The election timeout of all servers.
    pub const fn expect_timeout(&mut self, t: u64) {
        self.leadership.t = t;
    }

    /// What this server says on the wire proves nothing of it, nor of who believes it.
    pub const fn expect_lies_of(&mut self, host: usize) {
        self.insane = Some(host);
    }

    fn is_insane(&self, member: NodeId) -> bool {
        self.insane.is_some() && self.disks.host_of(member) == self.insane
    }

    /// A server is about to take a step.
    pub fn begins(&mut self, host: usize, now: Time) {
        self.now = now;
        self.votes.begins(host, self.disks.last_log_id(host));
    }

    /// And is told this in it.
    pub fn takes(&mut self, host: usize, event: &Event) {
        if let Event::Message { from, message, .. } = event {
            if !self.is_insane(*from) {
                self.votes.takes(host, *from, message);
            }
            self.leadership.takes(host, *from, message, self.now);
        }
    }

    /// A replica gave something to its log.
    pub fn handed(&mut self, host: usize, write: &Write, raft: &Raft) {
        self.leadership.handed(host, self.now);
        if let Some(at) = write.reset {
            self.resets(host, at);
        }
        let checked = self.memberships.handed(host, write, raft);
        self.note("one change at a time", checked);
        if write.truncate_from.is_some() {
            self.probe("entries replaced");
        }
        self.observer.handed(host, write);
        match self.disks.handed(host, write, self.commits.all()) {
            Ok(entries) => {
                for (before, entry) in &entries {
                    let stamp = log_matching::stamp(entry);
                    let checked = self.log_matching.check(entry.index, *before, stamp);
                    self.note("log matching", checked);
                }
                self.agreement.handed(entries.into_iter().map(|(_, entry)| entry));
            }
            Err(what) => self.fail("log seam", what),
        }
    }

    /// A log begins anew after this entry.
    fn resets(&mut self, host: usize, at: LogId) {
        self.probe("log begun anew");
        self.stands_for(host, at);
        match self.agreement.memberships(at.index, self.commits.all()) {
            Ok(below) => self.memberships.started(host, below),
            Err(what) => self.fail("snapshots agree", what),
        }
    }

    /// The log confirmed that this is durable.
    pub fn persisted(&mut self, host: usize, writes: &[Write]) {
        self.leadership.persisted(host, writes);
        self.observer.persisted(writes);
        let checked = self.disks.persisted(host, writes, self.commits.all());
        self.note("log seam", checked);
        self.damage.proven(host);
    }

    /// These writes were begun and never confirmed.
    pub fn begun(&mut self, host: usize, writes: &[Write]) {
        self.observer.begun(writes);
        self.disks.begun(host, writes, self.commits.all());
    }

    /// A server reads in its directory who it is.
    pub fn identified(&mut self, host: usize, state: &NodeState) {
        let checked = self.disks.identified(host, state);
        self.note("recovery", checked);
        self.founded(host, state);
    }

    fn founded(&mut self, host: usize, state: &NodeState) {
        if self.founding.is_late(state, self.committed()) {
            self.probe("late founder");
        }
        let checked = self.founding.became(host, state);
        self.note("founding", checked);
    }

    /// A server's directory says so from now on; or it was written and not confirmed.
    pub fn became(&mut self, host: usize, state: Option<NodeState>) {
        if let Some(state) = &state {
            self.founded(host, state);
        }
        self.disks.became(host, state);
    }

    /// A member says something to another.
    pub fn sends(
        &mut self,
        host: usize,
        to: NodeId,
        (message, entries): (&Message, &[Bytes]),
        raft: &Raft,
    ) {
        let state = self.disks.model(host).and_then(|model| model.state.as_ref());
        let checked = founding::Founding::sends(host, raft.id(), state);
        self.note("founding", checked);
        self.observer.sends(message);
        let checked = promises::check(&self.promises, &self.disks, host, to, message);
        self.note("durable before said", checked);
        let checked = promises::feeds(to, message, raft);
        self.note("fed when committed", checked);
        let from = self.disks.id_of(host);
        let checked = self.votes.sends(host, to, message, raft);
        self.note("votes look at logs", checked);
        let (insane, disks) = (self.insane, &self.disks);
        let lies = |id| insane.is_some() && disks.host_of(id) == insane;
        let checked = self.pre_votes.sends((from, to), message, lies, raft);
        self.note("pre-vote", checked);
        let checked = self.elections.sends(from, to, message);
        self.note("election safety", checked);
        let checked = self.log_matching.sends(message, entries);
        self.note("log matching", checked);
    }

    /// A member leads.
    pub fn leads(&mut self, host: usize, term: Term, raft: &Raft) {
        self.probe("leader elected");
        self.promises.leads(host, term, &self.disks);
        self.leadership.leads(host, term, self.now);
        let checked = self.elections.leads(self.disks.id_of(host), term, raft);
        self.note("election safety", checked);
        let checked = self.commits.leads(host, term, raft, &self.disks);
        self.note("leader completeness", checked);
    }

    /// A replica took a step.
    pub fn stepped(&mut self, host: usize, replica: &Replica) {
        self.observer.stepped(host, replica);
        let checked = self.monotone.stepped(host, replica);
        self.note("monotone", checked);
        let raft = replica.raft();
        if !raft.leader().is_some_and(|leader| self.is_insane(leader)) {
            let checked = self.elections.stepped(host, raft);
            self.note("one leader obeyed", checked);
        }
        let id = self.disks.id_of(host);
        let checked = self.votes.stepped(host, id, raft);
        self.note_named(checked);
        let checked = self.commits.stepped(host, raft, &self.disks);
        self.note_named(checked);
        let checked = self.memberships.stepped(host, raft);
        self.note("configuration in force", checked);
        let left_out = self.memberships.leaves_out(host, id, raft.commit_index());
        let checked = self.leadership.stepped((host, id), raft, left_out, self.now);
        self.note("leadership ends", checked);
        self.snapshots_stepped(host, replica);
    }

    /// A state machine came from a snapshot, or applied commands, or both.
    pub fn applied(&mut self, host: usize, news: News, replica: &Replica) {
        if let Some(restored) = &news.restored {
            self.restored(host, restored, replica);
        }
        for seen in news.seen {
            let checked = self.history.applied(&seen);
            self.note("certainly not applied", checked);
            let checked = self.applied.applied(host, seen);
            self.note_named(checked);
        }
    }

    /// A server showed lines.
    pub fn shown(&mut self, host: usize, index: Index, text: Vec<u8>) {
        self.observer.shown(host, index, &text);
        let may_repeat = self.damage.may_repeat(host);
        let checked = self.shown.shown(host, index, text, may_repeat);
        self.note("shown once", checked);
    }

    /// All power is cut, in thought: what is committed must be on the disks of a quorum.
    pub fn inspect(&mut self, disks: &[(usize, Platter)]) {
        let mut logs = Vec::new();
        for (host, platter) in disks {
            self.look_at_snapshots(*host, platter);
            match disks::read(platter, self.commits.all()) {
                Ok(None) => {}
                Ok(Some(log)) => {
                    let checked = self.disks.covers(*host, &log, self.damage.forgets(*host));
                    self.note("kept on disk", checked);
                    logs.push((*host, log));
                }
                Err(disks::Unread::Refused(error)) => match self.damage.refuses(*host, &error) {
                    Ok(_) => self.probe("damage found in a copy"),
                    Err(what) => self.fail("recovery", what),
                },
                Err(disks::Unread::Corrupt(error)) => {
                    self.fail("recovery", format!("host {host}: {error}"));
                }
            }
        }
        let checked = self.commits.on_disks(&logs, &self.disks, &self.damage);
        self.note("nothing committed is lost", checked);
    }

    /// Everything is calm and all agree: every server must have shown every line up to here.
    pub fn settled(&mut self, now: Time, hosts: &[(usize, Index)]) {
        for (host, applied) in hosts {
            let checked = self.shown.complete(*host, *applied);
            self.note("shown once", checked);
            let checked = self.applied.complete(*host, *applied);
            self.note("state machine safety", checked);
        }
        let checked = self.applied.holds_all(self.history.all());
        self.note("nothing acknowledged is lost", checked);
        let messages = self.told.settled(now, self.shown.lines(), self.applied.messages());
        self.note("linearizability", messages);
        let checked = self.values.settled();
        self.note("linearizability", checked);
    }
}
