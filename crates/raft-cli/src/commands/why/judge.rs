//! What follows from what the servers said. A pure function: nothing here asks anybody, and it
//! can be read, and tested, without a cluster.
//!
//! What is wrong comes in the order in which it should be mended: without a leader nothing else
//! goes on, then come the members one by one, the change that waits for them, and what clients
//! are refused. A server may say nothing, or what was true a moment ago, or the contrary of what
//! another one says: the latest term counts, and who contradicts it is named.

use raft_node::testimony::{
    Asked, PastRefusal, RefusedRequest, RefusedThing, Testimony, VoteRefusal,
};
use raft_node::{NodeId, NodeStatus, Reason, Standing};

use super::words;
use crate::commands::status::report::{Report, Row};
use crate::commands::status::survey::Seen;
use crate::commands::status::why::{impossible, list_of};
use crate::errors::Problem;
use crate::exit::Exit;

/// What was refused so long ago, in milliseconds, may be mended by now.
const RECENT: u64 = 10_000;

/// A disk that has not answered for so long, in milliseconds, is told of.
pub(super) const DISK_SLOW: u64 = 1_000;

/// Of what was refused earlier, when all is well, so much is told.
const EARLIER_MAX: usize = 5;

/// All that is wrong; or one finding, that nothing is.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) findings: Vec<Finding>,
    /// For standard error and the exit code.
    pub(super) problem: Option<Problem>,
}

/// One thing that is wrong, and why it is thought so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) about: About,
    pub(super) says: String,
    pub(super) evidence: Vec<Evidence>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Nothing is wrong.
    Nothing,
    Leader,
    Member,
    Change,
    Requests,
}

/// What somebody said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Evidence {
    /// The server.
    pub(super) who: String,
    /// So many milliseconds ago; `None` for what is so now.
    pub(super) ago: Option<u64>,
    pub(super) times: u64,
    pub(super) says: String,
}

/// What all have said, and what it comes to by itself.
pub(super) struct Case<'a> {
    /// What members of this cluster said, by id.
    said: Vec<&'a Testimony>,
    pub(super) report: Report,
}

/// What is wrong, by what these servers said.
pub(super) fn judge(heard: &[Seen<Testimony>]) -> Verdict {
    let seen = |seen: &Seen<Testimony>| Seen {
        address: seen.address.clone(),
        answer: seen.answer.as_ref().map(|said| said.status.clone()).map_err(Clone::clone),
    };
    let report = Report::of(heard.iter().map(seen).collect());
    let all = heard.iter().filter_map(|seen| seen.answer.as_ref().ok());
    let is_member = |said: &&Testimony| {
        said.status.standing == Standing::Member && said.status.cluster == report.cluster
    };
    let mut said: Vec<&Testimony> = all.filter(is_member).collect();
    said.sort_by_key(|said| (said.status.id, &said.status.address));
    // One server may have answered under two addresses.
    said.dedup_by_key(|said| (said.status.id, &said.status.address));
    let case = Case { said, report };
    let mut findings: Vec<Finding> = case.leader();
    findings.extend(case.members());
    findings.extend(case.change());
    findings.extend(case.requests());
    let problem = (!findings.is_empty()).then(|| case.problem(&findings));
    if findings.is_empty() {
        findings.push(case.nothing());
    }
    Verdict { findings, problem }
}

impl Finding {
    pub(super) fn new(about: About, says: impl Into<String>, evidence: Vec<Evidence>) -> Self {
        Self { about, says: says.into(), evidence }
    }
}

impl Evidence {
    pub(super) fn now(who: impl Into<String>, says: impl Into<String>) -> Self {
        Self { who: who.into(), ago: None, times: 1, says: says.into() }
    }
}

impl<'a> Case<'a> {
    // ---- who said what ---------------------------------------------------------------------------

    pub(super) fn said(&self) -> impl Iterator<Item = &'a Testimony> {
        self.said.iter().copied()
    }

    pub(super) fn said_by(&self, id: NodeId) -> Option<&'a Testimony> {
        self.said().find(|said| said.status.id == Some(id))
    }

    /// The leader's word, if it was heard and says itself that it leads.
    pub(super) fn leader_said(&self) -> Option<&'a Testimony> {
        let (id, _) = self.report.leader.as_ref()?;
        self.said_by(*id).filter(|said| said.status.role == "leader")
    }

    /// A member's address.
    pub(super) fn named(&self, id: NodeId) -> String {
        let row = self.report.rows.iter().find(|row| row.id == Some(id));
        row.map_or_else(|| id.to_string(), |row| row.address.clone())
    }

    pub(super) fn evidence(&self, who: &NodeStatus, past: &PastRefusal) -> Evidence {
        Evidence {
            who: who.address.clone(),
            ago: Some(past.last_ms),
            times: past.count,
            says: words::past(past, &|id| self.named(id)),
        }
    }

    /// What was refused and is of this kind, the latest first.
    pub(super) fn refused(
        &self,
        wanted: impl Fn(&Testimony, &PastRefusal) -> bool,
    ) -> Vec<(&'a Testimony, &'a PastRefusal)> {
        let of = |said: &'a Testimony| said.refused.iter().map(move |past| (said, past));
        let mut found: Vec<_> =
            self.said().flat_map(of).filter(|(said, past)| wanted(said, past)).collect();
        found.sort_by_key(|(_, past)| past.last_ms);
        found
    }

    fn voters(&self) -> impl Iterator<Item = &Row> {
        self.report.rows.iter().filter(|row| row.voter.is_some_and(|vote| vote.new || vote.old))
    }

    // ---- the leader ------------------------------------------------------------------------------

    fn leader(&self) -> Vec<Finding> {
        if let Some(why) = impossible(&self.report.rows, self.report.cluster)
            .filter(|_| self.report.leader.is_none())
        {
            let silent = self.report.rows.iter().filter_map(|row| {
                let error = row.answer.as_ref().err()?;
                Some(Evidence::now(&row.address, format!("does not answer ({error})")))
            });
            return vec![Finding::new(About::Leader, why, silent.collect())];
        }
        if self.report.leader.is_none() {
            return vec![self.undecided()];
        }
        let latest = self.said().map(|said| said.status.term).max();
        let led = self.said().filter(|said| said.status.leader == self.report.leader);
        if let (Some(latest), Some(led)) = (latest, led.map(|said| said.status.term).max())
            && led < latest
        {
            return vec![self.deposed(latest.0, led.0)];
        }
        let mut findings = self.rivals();
        findings.extend(self.unheard());
        findings
    }

    /// Somebody leads, by what the others say, and does not answer here.
    fn unheard(&self) -> Option<Finding> {
        let (id, address) = self.report.leader.as_ref()?;
        let row = self.report.rows.iter().find(|row| row.id == Some(*id))?;
        let error = row.answer.as_ref().err()?;
        let follows = |said: &&Testimony| said.status.leader == self.report.leader;
        let by: Vec<&str> =
            self.said().filter(follows).map(|said| said.status.address.as_str()).collect();
        let who = list_of(&by);
        let verb = if by.len() == 1 { "says" } else { "say" };
        let says = format!("{address} leads, {who} {verb}, and does not answer here ({error})");
        Some(Finding::new(About::Leader, says, Vec::new()))
    }

    /// Enough voters answer, and nobody leads: they refuse each other, or do not reach each other,
    /// or a disk hangs, or it is a matter of moments.
    fn undecided(&self) -> Finding {
        let votes = self.refused(|_, past| is_vote(past) && past.last_ms <= RECENT);
        let evidence =
            || votes.iter().map(|(who, past)| self.evidence(&who.status, past)).collect();
        let finding = |says: String| Finding::new(About::Leader, says, evidence());
        if let Some(says) = self.apart() {
            return finding(says);
        }
        let hanging = self.said().find(|said| said.write_out_ms.is_some_and(|ms| ms > DISK_SLOW));
        if let Some(said) = hanging {
            let (who, ms) = (&said.status.address, said.write_out_ms.unwrap_or(0));
            return finding(format!(
                "no leader: the disk of {who} has not ended a write for {}, and it does not ask for votes meanwhile",
                words::span(ms)
            ));
        }
        // Of a log that is behind there is nothing that waiting mends: it comes first.
        let telling = |(_, past): &&(&Testimony, &PastRefusal)| is_log_behind(past);
        match votes.iter().find(telling).or(votes.first()) {
            Some((who, past)) => {
                let says = words::past(past, &|id| self.named(id));
                finding(format!("no leader: {} {says}", who.status.address))
            }
            None => {
                let count = self.voters().count();
                let there = self.voters().filter(|row| row.is_member(self.report.cluster)).count();
                finding(format!(
                    "no leader, although {there} of {count} voters answer: an election is under \
                     way, look again in a moment"
                ))
            }
        }
    }

    /// Voters that are asked from here answer, and no voter reaches so many of the others that
    /// both would be a majority.
    fn apart(&self) -> Option<String> {
        let voters: Vec<NodeId> = self.voters().filter_map(|row| row.id).collect();
        let needed = voters.len() / 2 + 1;
        let reach = |said: &Testimony| {
            let others = voters.iter().filter(|id| Some(**id) != said.status.id);
            others.filter(|id| said.reaches.contains(id)).count() + 1
        };
        let of_voters: Vec<&Testimony> = self
            .said()
            .filter(|said| said.status.id.is_some_and(|id| voters.contains(&id)))
            .collect();
        if of_voters.is_empty() || of_voters.iter().any(|said| reach(said) >= needed) {
            return None;
        }
        let reaches = |said: &&Testimony| {
            let names: Vec<String> = voters
                .iter()
                .filter(|id| said.reaches.contains(id) && Some(**id) != said.status.id)
                .map(|id| self.named(*id))
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let whom = if names.is_empty() { "nobody".into() } else { list_of(&names) };
            format!("{} reaches {whom}", said.status.address)
        };
        let who: Vec<String> = of_voters.iter().map(reaches).collect();
        Some(format!(
            "no leader: {} voters answer, but they do not reach each other: {}",
            of_voters.len(),
            who.join(", ")
        ))
    }

    /// Somebody is in a later term than anybody leads.
    fn deposed(&self, latest: u64, led: u64) -> Finding {
        let (_, leader) = self.report.leader.clone().unwrap_or((NodeId(0), String::new()));
        let says = format!(
            "no leader: term {latest} has begun and nobody leads it yet; {leader} led term {led}"
        );
        let own = |said: &Testimony| {
            let status = &said.status;
            let leader = status.leader.as_ref().map_or("nobody", |(_, address)| address);
            Evidence::now(&status.address, format!("is in term {}, led by {leader}", status.term))
        };
        Finding::new(About::Leader, says, self.said().map(own).collect())
    }

    /// More than one member says that it leads.
    fn rivals(&self) -> Vec<Finding> {
        let leaders = || self.said().filter(|said| said.status.role == "leader");
        let Some(latest) = leaders().map(|said| said.status.term).max() else { return Vec::new() };
        let evidence = || {
            let leads = |said: &Testimony| {
                Evidence::now(&said.status.address, format!("leads term {}", said.status.term))
            };
            leaders().map(leads).collect::<Vec<_>>()
        };
        let current: Vec<&str> = leaders()
            .filter(|said| said.status.term == latest)
            .map(|said| said.status.address.as_str())
            .collect();
        if current.len() > 1 {
            let says = format!(
                "{} all lead term {latest}: that must never be; stop them, keep their directories",
                list_of(&current)
            );
            return vec![Finding::new(About::Leader, says, evidence())];
        }
        let stale = leaders().filter(|said| said.status.term < latest);
        stale
            .map(|said| {
                let (who, term) = (&said.status.address, said.status.term);
                let says = format!(
                    "{who} still leads term {term}, and {} term {latest}: it cannot commit \
                     anything, and follows once it hears of it",
                    list_of(&current)
                );
                Finding::new(About::Leader, says, evidence())
            })
            .collect()
    }

    // ---- what clients are refused ----------------------------------------------------------------

    /// What is refused because of the cluster, not because of what was asked. That there is no
    /// leader is told already.
    fn requests(&self) -> Vec<Finding> {
        let is_ours = |past: &PastRefusal| past.last_ms <= RECENT && overload(past).is_some();
        let mut found: Vec<(Asked, String, Vec<Evidence>)> = Vec::new();
        for (who, past) in self.refused(|_, past| is_ours(past)) {
            let Some((asked, why)) = overload(past) else { continue };
            let evidence = self.evidence(&who.status, past);
            match found
                .iter_mut()
                .find(|(other, known, _)| (*other, known.as_str()) == (asked, why.as_str()))
            {
                Some((_, _, all)) => all.push(evidence),
                None => found.push((asked, why, vec![evidence])),
            }
        }
        let finding = |(asked, why, evidence)| {
            let what = words::several(asked);
            Finding::new(About::Requests, format!("{what} are refused: {why}"), evidence)
        };
        found.into_iter().map(finding).collect()
    }

    // ---- the whole -------------------------------------------------------------------------------

    fn problem(&self, findings: &[Finding]) -> Problem {
        let what = match findings.len() {
            _ if self.report.leader.is_none() => "the cluster has no leader".into(),
            1 => "1 thing is wrong".into(),
            count => format!("{count} things are wrong"),
        };
        let mut problem = Problem::verdict(Exit::NotFound, what);
        problem.hint = self.report.problem().and_then(|problem| problem.hint);
        problem
    }

    fn nothing(&self) -> Finding {
        let members = self.report.rows.iter().filter(|row| row.voter.is_some()).count();
        let (leader, term) = self.leader_said().map_or_else(
            || ("nobody".into(), 0),
            |said| (said.status.address.clone(), said.status.term.0),
        );
        let last = self.leader_said().map_or(0, |said| said.status.commit_index.0);
        let follow = match members {
            1 => "it is alone".into(),
            2 => "the other one follows".into(),
            3 => "both others follow".into(),
            many => format!("all {} others follow", many - 1),
        };
        let says = format!(
            "nothing is wrong: {leader} leads term {term}, {follow}, {last} entries are committed"
        );
        let earlier = self.refused(|_, _| true);
        let told = earlier.iter().take(EARLIER_MAX);
        let evidence = told.map(|(who, past)| self.evidence(&who.status, past)).collect();
        Finding::new(About::Nothing, says, evidence)
    }
}

const fn is_vote(past: &PastRefusal) -> bool {
    matches!(past.what, RefusedThing::Peer { request: RefusedRequest::Vote { .. }, .. })
}

const fn is_log_behind(past: &PastRefusal) -> bool {
    let RefusedThing::Peer { request: RefusedRequest::Vote { why, .. }, .. } = past.what else {
        return false;
    };
    matches!(why, VoteRefusal::LogBehind { .. })
}

/// What was asked, and what is too full for it.
fn overload(past: &PastRefusal) -> Option<(Asked, String)> {
    let RefusedThing::Client { asked, refusal } = &past.what else { return None };
    let why = match &refusal.reason {
        Reason::DiskFull => "the disks are full".into(),
        Reason::Busy { what } => format!("too much is under way ({what})"),
        Reason::Full { what } => format!("the state machine is full ({what})"),
        _ => return None,
    };
    Some((*asked, why))
}
