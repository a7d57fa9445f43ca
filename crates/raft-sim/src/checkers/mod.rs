//! What must never happen, one file for each property. They see everything that crosses a seam
//! of a server, and everything that a client is told. The first violation ends the run.

mod applied;
mod commits;
mod damage;
mod disks;
mod elections;
mod founding;
mod history;
mod log_matching;
mod monotone;
mod promises;
mod shown;
mod told;

use std::fmt;

use bytes::Bytes;
use raft_core::{Index, LogId, Message, NodeId, Raft, Term, Time};
use raft_log::{Log, MemberIdentity, NodeState, Write};
use raft_node::Conclusion;
use raft_node::replica::Replica;

use crate::disk::Platter;
use crate::network::insane::Known;
use crate::observer::Observer;
use crate::trace::What;
use crate::witness::Seen;

/// All of them, and what the first one found.
#[derive(Debug, Default)]
pub struct Checkers {
    violation: Option<Violation>,
    disks: disks::Disks,
    damage: damage::Damage,
    promises: promises::Promises,
    log_matching: log_matching::LogMatching,
    elections: elections::Elections,
    founding: founding::Founding,
    commits: commits::Commits,
    monotone: monotone::Monotone,
    applied: applied::AppliedOnce,
    shown: shown::ShownOnce,
    history: history::History,
    is_full: bool,
    told: told::Told,
    observer: Observer,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its term.
    pub term: Term,
    /// Of its kind and its payload.
    pub checksum: u32,
}

/// A write that a client began.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The newest place that anybody had been told of then.
    after: Index,
    /// Its number in the history of what clients were told.
    operation: usize,
}

/// What a check comes to.
type Checked<T = ()> = Result<T, String>;

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

    /// A member started with what its log gave back.
    pub fn started(&mut self, host: usize, me: &MemberIdentity, log: &Log) {
        self.probe("member started");
        self.observer.started(host, me.id, log);
        if log.recovered.notes.iter().any(|note| note.contains("not counted")) {
            self.probe("start not counted for lack of room");
        }
        let id = me.id;
        let held = match disks::read_back(log, NodeState::Member(me.clone())) {
            Ok(held) => held,
            // Copied into a new slot, and damaged there.
            Err(error) => return self.read_refused(host, &error),
        };
        let promised = self.disks.model(host).map_or(0, |model| model.durable.len() as u64);
        let forgets = self.damage.forgets(host);
        let checked = self.disks.started(host, id, held, forgets);
        self.note("recovery", checked);
        if log.recovered.last_index < Index(promised) {
            self.probe("newest commit forgotten");
            let checked = self.damage.forgot(host);
            self.note("damage", checked);
        }
        self.damage.proven(host);
        self.monotone.started(host, log.recovered.hard_state);
        self.commits.started(host);
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

    /// A replica gave something to its log.
    pub fn handed(&mut self, host: usize, write: &Write) {
        if write.truncate_from.is_some() {
            self.probe("entries replaced");
        }
        self.observer.handed(host, write);
        match self.disks.handed(host, write) {
            Ok(entries) => {
                for (at, before, stamp) in entries {
                    let checked = self.log_matching.check(at, before, stamp);
                    self.note("log matching", checked);
                }
            }
            Err(what) => self.fail("log seam", what),
        }
    }

    /// The log confirmed that this is durable.
    pub fn persisted(&mut self, host: usize, writes: &[Write]) {
        self.observer.persisted(writes);
        let checked = self.disks.persisted(host, writes);
        self.note("log seam", checked);
        self.damage.proven(host);
    }

    /// These writes were begun and never confirmed.
    pub fn begun(&mut self, host: usize, writes: &[Write]) {
        self.observer.begun(writes);
        self.disks.begun(host, writes);
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
        let checked = founding::Founding::sends(host, raft.status().id, state);
        self.note("founding", checked);
        self.observer.sends(message);
        let checked = promises::check(&self.promises, &self.disks, host, to, message);
        self.note("promises", checked);
        let checked = promises::feeds(to, message, raft);
        self.note("promises", checked);
        let from = self.disks.id_of(host);
        let checked = self.elections.sends(from, to, message);
        self.note("election safety", checked);
        let checked = self.log_matching.sends(message, entries);
        self.note("log matching", checked);
    }

    /// A member leads.
    pub fn leads(&mut self, host: usize, term: Term, raft: &Raft) {
        self.probe("leader elected");
        self.promises.leads(host, term, &self.disks);
        let checked = self.elections.leads(self.disks.id_of(host), term);
        self.note("election safety", checked);
        let checked = self.commits.leads(host, term, raft);
        self.note("leader completeness", checked);
    }

    /// A replica took a step.
    pub fn stepped(&mut self, host: usize, replica: &Replica) {
        self.observer.stepped(host, replica);
        let checked = self.monotone.stepped(host, replica);
        self.note("monotone", checked);
        let checked = self.commits.stepped(host, replica.raft(), &self.disks);
        self.note("commit", checked);
    }

    /// A state machine applied commands.
    pub fn applied(&mut self, host: usize, seen: Vec<Seen>) {
        for seen in seen {
            let checked = self.history.applied(&seen);
            self.note("certainly not applied", checked);
            let checked = self.applied.applied(host, seen);
            self.note("applied once", checked);
        }
    }

    /// A server showed lines.
    pub fn shown(&mut self, host: usize, index: Index, text: Vec<u8>) {
        self.observer.shown(host, index, &text);
        let may_repeat = self.damage.may_repeat(host);
        let checked = self.shown.shown(host, index, text, may_repeat);
        self.note("shown once", checked);
    }

    /// A client begins a write; what it was told before is behind it. Returns what to give to
    /// [`Checkers::answered`] or [`Checkers::unanswered`].
    #[must_use]
    pub fn asked(&mut self, client: usize, now: Time, command: &Bytes) -> Asked {
        let operation = self.told.asked(client, now, command);
        Asked { after: self.history.newest(), operation }
    }

    /// A write was acknowledged.
    pub fn answered(
        &mut self,
        asked: Asked,
        now: Time,
        command: &Bytes,
        (at, response): (LogId, &Bytes),
    ) {
        if std::mem::take(&mut self.is_full) {
            self.probe("written after room came back");
        }
        self.told.answered(asked.operation, now, command, (at, response));
        let checked = self.history.answered(asked.after, command, at);
        self.note("linearizability", checked);
        let checked = self.applied.answered(command, at, response);
        self.note("acknowledged", checked);
    }

    /// A write was not acknowledged.
    pub fn unanswered(&mut self, asked: Asked, now: Time, command: &Bytes, conclusion: Conclusion) {
        if conclusion != Conclusion::Unknown {
            self.told.refused(asked.operation, now);
        }
        self.probe(match conclusion {
            Conclusion::Unknown => "outcome unknown",
            Conclusion::NotApplied => "not applied",
            Conclusion::NothingSent => "nothing sent",
        });
        let applied = self.applied.place_of(command);
        let checked = self.history.unanswered(command, conclusion, applied);
        self.note("certainly not applied", checked);
    }

    /// All power is cut, in thought: what is committed must be on the disks of a quorum.
    pub fn inspect(&mut self, disks: &[(usize, Platter)]) {
        let mut logs = Vec::new();
        for (host, platter) in disks {
            match disks::read(platter) {
                Ok(None) => {}
                Ok(Some(log)) => {
                    let checked = self.disks.covers(*host, &log, self.damage.forgets(*host));
                    self.note("disks", checked);
                    logs.push((*host, log));
                }
                Err(disks::Unread::Refused(error)) => match self.damage.refuses(*host, &error) {
                    Ok(_) => self.probe("damage found in a copy"),
                    Err(what) => self.fail("disks", what),
                },
                Err(disks::Unread::Wrong(what)) => {
                    self.fail("disks", format!("host {host}: {what}"));
                }
            }
        }
        let checked = self.commits.on_disks(&logs, &self.disks, &self.damage);
        self.note("disks", checked);
    }

    /// Everything is calm and all agree: every server must have shown every line up to here.
    pub fn settled(&mut self, now: Time, hosts: &[(usize, Index)]) {
        for (host, applied) in hosts {
            let checked = self.shown.complete(*host, *applied);
            self.note("shown once", checked);
            let checked = self.applied.complete(*host, *applied);
            self.note("applied once", checked);
        }
        let checked = self.applied.holds_all(self.history.all());
        self.note("acknowledged", checked);
        match self.told.settled(now, self.shown.lines(), self.applied.commands()) {
            Ok(true) => {}
            Ok(false) => self.probe("history too hard to judge"),
            Err(what) => self.fail("linearizability", what),
        }
    }
}
