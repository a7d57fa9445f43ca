//! What must never happen, one file for each property. They see everything that crosses a seam
//! of a server, and everything that a client is told. The first violation ends the run.

mod applied;
mod commits;
mod disks;
mod elections;
mod history;
mod leadership;
mod log_matching;
mod memberships;
mod monotone;
mod pre_votes;
mod promises;
mod shown;
mod votes;

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use raft_core::{Index, LogId, Message, NodeId, Raft, Term, Time};
use raft_log::{Log, MemberIdentity, NodeState, Write};
use raft_node::Conclusion;
use raft_node::replica::{Event, Replica};

use crate::disk::Platter;
use crate::witness::Seen;

/// All of them, and what the first one found.
#[derive(Debug, Default)]
pub struct Checkers {
    violation: Option<Violation>,
    disks: disks::Disks,
    promises: promises::Promises,
    log_matching: log_matching::LogMatching,
    elections: elections::Elections,
    pre_votes: pre_votes::PreVotes,
    votes: votes::Votes,
    leadership: leadership::Leadership,
    memberships: memberships::Memberships,
    commits: commits::Commits,
    monotone: monotone::Monotone,
    applied: applied::AppliedOnce,
    shown: shown::ShownOnce,
    history: history::History,
    probes: BTreeMap<&'static str, u64>,
    /// When the server took its step that is being looked at.
    now: Time,
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

/// What a check comes to.
type Checked = Result<(), String>;

/// What a check comes to that looks after several properties: which of them, and what.
type Named = Result<(), (&'static str, String)>;

impl Checkers {
    /// Notes a violation, unless there is one already.
    pub fn fail(&mut self, checker: &'static str, what: String) {
        self.violation.get_or_insert(Violation { checker, what });
    }

    /// Something happened that a good simulation sees happen.
    pub fn probe(&mut self, what: &'static str) {
        *self.probes.entry(what).or_default() += 1;
    }

    /// How often what happened.
    #[must_use]
    pub const fn probes(&self) -> &BTreeMap<&'static str, u64> {
        &self.probes
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

    /// A member started with what its log gave back.
    pub fn started(&mut self, host: usize, me: &MemberIdentity, log: &Log) {
        self.probe("member started");
        if log.recovered.tail_ambiguous {
            self.probe("tail ambiguous");
        }
        let id = me.id;
        match disks::read_back(log, NodeState::Member(me.clone())) {
            Ok(held) => {
                let checked = self.disks.started(host, id, held);
                self.note("kept on disk", checked);
            }
            Err(what) => self.fail("recovery", what),
        }
        match disks::memberships(me, log) {
            Ok(found) => self.memberships.started(host, found),
            Err(what) => self.fail("recovery", what),
        }
        self.leadership.started(host);
        self.monotone.started(host, log.recovered.hard_state);
        self.commits.started(host);
    }

    /// A process ended; `dark` if its machine lost its power.
    pub fn stopped(&mut self, host: usize, dark: bool) {
        self.probe(if dark { "power lost" } else { "process ended" });
        self.shown.stopped(host, dark);
    }

    /// A member was told that it is none any more.
    pub fn left(&mut self, host: usize, id: NodeId) {
        let checked = self.commits.left(host, id);
        self.note("removal", checked);
    }

    /// A state machine begins from nothing.
    pub fn new_machine(&mut self, host: usize, shown: Index, lost: bool) {
        self.applied.new_machine(host);
        let checked = self.shown.new_machine(host, shown, lost);
        self.note("shown once", checked);
    }

    /// A server is about to take a step with these events.
    pub fn takes(&mut self, host: usize, now: Time, events: &[Event]) {
        self.now = now;
        self.votes.begins(host, self.disks.last_log_id(host));
        for event in events {
            if let Event::Message { from, message, .. } = event {
                self.votes.takes(host, *from, message);
                self.leadership.takes(host, *from, message, now);
            }
        }
    }

    /// A replica gave something to its log.
    pub fn handed(&mut self, host: usize, write: &Write, raft: &Raft) {
        self.leadership.handed(host, self.now);
        let checked = self.memberships.handed(host, write, raft);
        self.note("one change at a time", checked);
        if write.truncate_from.is_some() {
            self.probe("entries replaced");
        }
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
        self.leadership.persisted(host, writes);
        let checked = self.disks.persisted(host, writes);
        self.note("log seam", checked);
    }

    /// These writes were begun and never confirmed.
    pub fn begun(&mut self, host: usize, writes: &[Write]) {
        self.disks.begun(host, writes);
    }

    /// A server's directory says so from now on; or it was written and not confirmed.
    pub fn became(&mut self, host: usize, state: Option<NodeState>) {
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
        let checked = promises::check(&self.promises, &self.disks, host, to, message);
        self.note("durable before said", checked);
        let checked = promises::feeds(to, message, raft);
        self.note("fed when committed", checked);
        let from = self.disks.id_of(host);
        let checked = self.votes.sends(host, to, message, raft);
        self.note("votes look at logs", checked);
        let checked = self.pre_votes.sends((from, to), message, raft);
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
        let checked = self.commits.leads(host, term, raft);
        self.note("leader completeness", checked);
    }

    /// A replica took a step.
    pub fn stepped(&mut self, host: usize, replica: &Replica) {
        let checked = self.monotone.stepped(host, replica);
        self.note("monotone", checked);
        let raft = replica.raft();
        let checked = self.elections.stepped(host, raft);
        self.note("one leader obeyed", checked);
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
    }

    /// A state machine applied commands.
    pub fn applied(&mut self, host: usize, seen: Vec<Seen>) {
        for seen in seen {
            let checked = self.history.applied(&seen);
            self.note("certainly not applied", checked);
            let checked = self.applied.applied(host, seen);
            self.note_named(checked);
        }
    }

    /// A server showed lines.
    pub fn shown(&mut self, host: usize, index: Index, text: Vec<u8>) {
        let checked = self.shown.shown(host, index, text);
        self.note("shown once", checked);
    }

    /// A client begins a write; what it was told before is behind it. Returns the mark to give
    /// to [`Checkers::answered`].
    #[must_use]
    pub const fn asked(&self) -> Index {
        self.history.newest()
    }

    /// A write was acknowledged.
    pub fn answered(&mut self, after: Index, command: &Bytes, at: LogId, response: &Bytes) {
        let checked = self.history.answered(after, command, at);
        self.note("linearizability", checked);
        let checked = self.applied.answered(command, at, response);
        self.note("acknowledged is applied", checked);
    }

    /// A write was not acknowledged.
    pub fn unanswered(&mut self, command: &Bytes, conclusion: Conclusion) {
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
                    let checked = self.disks.covers(*host, &log);
                    self.note("kept on disk", checked);
                    logs.push((*host, log));
                }
                Err(what) => self.fail("recovery", format!("host {host}: {what}")),
            }
        }
        let checked = self.commits.on_disks(&logs, &self.disks);
        self.note("nothing committed is lost", checked);
    }

    /// Everything is calm and all agree: every server must have shown every line up to here.
    pub fn settled(&mut self, hosts: &[(usize, Index)]) {
        for (host, applied) in hosts {
            let checked = self.shown.complete(*host, *applied);
            self.note("shown once", checked);
            let checked = self.applied.complete(*host, *applied);
            self.note("state machine safety", checked);
        }
        let checked = self.applied.holds_all(self.history.all());
        self.note("nothing acknowledged is lost", checked);
    }
}
