//! What the answers of a cluster's members mean together. Nothing here asks anybody.

use raft_node::refused::replace_command;
use raft_node::{KnownMember, NodeId, NodeStatus, Standing};

use super::survey::{self, Seen};
use super::view::arriving;
use super::why::{list_of, why};
use crate::args::address;
use crate::errors::Problem;
use crate::exit::Exit;

/// Entries that a member may lack before that is worth a word.
const LAG_HIGH: u64 = 10_000;

/// A cluster, as far as its members answered.
#[derive(Debug)]
pub(in crate::commands) struct Report {
    pub(in crate::commands) cluster: Option<u128>,
    /// Who leads, by the latest term that anybody knows a leader of.
    pub(in crate::commands) leader: Option<(NodeId, String)>,
    /// Why nobody leads, as far as known.
    pub(in crate::commands) why: Option<String>,
    /// The members by id, then whoever else was asked.
    pub(in crate::commands) rows: Vec<Row>,
}

/// One server.
#[derive(Debug)]
pub(in crate::commands) struct Row {
    pub(in crate::commands) id: Option<NodeId>,
    pub(in crate::commands) address: String,
    /// As the others know it; `None` if it is in no configuration.
    pub(in crate::commands) voter: Option<Vote>,
    pub(in crate::commands) answer: Result<NodeStatus, String>,
    /// Entries that the leader has committed and this member does not have on its disk.
    pub(in crate::commands) lag: Option<u64>,
    pub(in crate::commands) troubles: Vec<Trouble>,
}

/// What part a member has in decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) struct Vote {
    /// In the configuration, or its new half.
    pub(in crate::commands) new: bool,
    /// In the old half of a joint one.
    pub(in crate::commands) old: bool,
}

/// Something that is not well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands) struct Trouble {
    pub(in crate::commands) kind: Kind,
    /// For a column.
    pub(in crate::commands) short: String,
    pub(in crate::commands) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) enum Kind {
    Silent,
    New,
    Removed,
    Foreign,
    NoLeader,
    Other,
}

impl Report {
    pub(in crate::commands) fn of(mut seen: Vec<Seen>) -> Self {
        let cluster = survey::cluster(&seen);
        let members = members(&seen, cluster);
        let leader = leader(&seen, cluster);
        let commit = leader.as_ref().and_then(|(id, _)| {
            let own = |status: &&NodeStatus| status.id == Some(*id);
            answers(&seen, cluster).find(own).map(|status| status.commit_index.0)
        });
        let mut rows: Vec<Row> = Vec::new();
        for member in members {
            let place = seen.iter().position(|seen| is_answer_of(seen, &member, cluster));
            let place = place.or_else(|| seen.iter().position(|seen| is_at(seen, &member)));
            let answer = match place {
                Some(place) => seen.remove(place).answer,
                None => Err("not asked".into()),
            };
            let mut row = Row::new(member.address.clone(), answer);
            (row.id, row.voter) = (member.id, Some(Vote::of(&member)));
            rows.push(row);
        }
        // Whoever answered under one more address is one server all the same.
        seen.retain(|seen| !rows.iter().any(|row| row.is_answer(seen)));
        rows.extend(seen.into_iter().map(|seen| Row::new(seen.address.to_string(), seen.answer)));
        for row in &mut rows {
            row.judge(cluster, commit, leader.as_ref().map(|(_, address)| address.as_str()));
        }
        let why = leader.is_none().then(|| why(&rows, cluster));
        Self { cluster, leader, why, rows }
    }

    pub(in crate::commands) fn is_well(&self) -> bool {
        self.why.is_none() && self.rows.iter().all(|row| row.troubles.is_empty())
    }

    /// In one line, what is not well, and what to do first.
    pub(in crate::commands) fn problem(&self) -> Option<Problem> {
        if self.is_well() {
            return None;
        }
        let ill = self.rows.iter().filter(|row| !row.troubles.is_empty()).count();
        let what = match (&self.why, ill) {
            (Some(_), _) => "the cluster has no leader".into(),
            (None, 1) => format!("1 of {} servers is not well", self.rows.len()),
            (None, ill) => format!("{ill} of {} servers are not well", self.rows.len()),
        };
        let mut problem = Problem::verdict(Exit::NotFound, what);
        problem.hint = self.hint();
        Some(problem)
    }

    fn hint(&self) -> Option<String> {
        let has = |row: &&Row, kind| row.troubles.iter().any(|trouble| trouble.kind == kind);
        let silent = self.rows.iter().filter(|row| has(row, Kind::Silent));
        let silent: Vec<&str> = silent.map(|row| row.address.as_str()).collect();
        if !silent.is_empty() {
            let (list, they) = (list_of(&silent), if silent.len() == 1 { "it" } else { "they" });
            return Some(format!("start {list}, or see whether {they} can be reached from here"));
        }
        let (_, leader) = self.leader.as_ref()?;
        let outside = |row: &&Row| has(row, Kind::New) || has(row, Kind::Removed);
        let row = self.rows.iter().find(outside)?;
        let add = format!("raft -C addserver -m '{}' -S '{leader}'", row.address);
        Some(format!("to add {}: {add}", row.address))
    }
}

impl Row {
    fn new(address: String, answer: Result<NodeStatus, String>) -> Self {
        let id = answer.as_ref().ok().and_then(|status| status.id);
        Self { id, address, voter: None, answer, lag: None, troubles: Vec::new() }
    }

    /// Whether this row shows what was seen, too.
    fn is_answer(&self, seen: &Seen) -> bool {
        match (&self.answer, &seen.answer) {
            (Ok(ours), Ok(other)) => {
                (ours.id, ours.cluster, &ours.address) == (other.id, other.cluster, &other.address)
            }
            _ => false,
        }
    }

    /// A member of this cluster, by its own word.
    pub(in crate::commands) fn is_member(&self, cluster: Option<u128>) -> bool {
        let member = |status: &NodeStatus| is_member(status, cluster);
        self.answer.as_ref().is_ok_and(member)
    }

    fn judge(&mut self, cluster: Option<u128>, commit: Option<u64>, leader: Option<&str>) {
        let status = match &self.answer {
            Ok(status) => status,
            Err(error) => {
                let text = format!("no answer ({error})");
                self.troubles = vec![Trouble::new(Kind::Silent, "no answer", text)];
                return;
            }
        };
        self.troubles.extend(self.misplaced(status, cluster, leader));
        for text in &status.vitals.problems {
            let short = text.split(": ").next().unwrap_or_default();
            let kind = if text == "no leader" { Kind::NoLeader } else { Kind::Other };
            self.troubles.push(Trouble::new(kind, short, text));
        }
        if self.voter.is_some() && is_member(status, cluster) {
            let durable = status.durable_index.0;
            self.lag = commit.map(|commit| commit.saturating_sub(durable));
        }
        if let Some(lag) = self.lag.filter(|lag| *lag > LAG_HIGH) {
            let more =
                arriving(&status.snapshots).map_or_else(String::new, |text| format!("; {text}"));
            let text = format!("behind the leader by {lag} entries{more}");
            self.troubles.push(Trouble::new(Kind::Other, "behind", text));
        }
    }

    /// Why this server is no member of this cluster, or not the one that it should be.
    fn misplaced(
        &self,
        status: &NodeStatus,
        cluster: Option<u128>,
        leader: Option<&str>,
    ) -> Option<Trouble> {
        let trouble = match status.standing {
            Standing::Removed { at } => {
                let text = format!("removed from its cluster at index {at}");
                Trouble::new(Kind::Removed, "removed", text)
            }
            Standing::New if cluster.is_none() => {
                Trouble::new(Kind::New, "no cluster", "in no cluster yet")
            }
            Standing::New if self.voter.is_some() => {
                let name = self.id.map_or_else(|| self.address.clone(), |id| id.to_string());
                let asked = leader.unwrap_or("A MEMBER THAT RUNS");
                let text = format!(
                    "its data directory is a new one, not the member's; if that is lost, refill \
                     it from the others: {}",
                    replace_command(&name, &self.address, asked)
                );
                Trouble::new(Kind::Foreign, "new directory", text)
            }
            Standing::New => {
                Trouble::new(Kind::New, "no cluster", "in no cluster: it waits to be added")
            }
            Standing::Member if status.cluster != cluster => {
                let other = status.cluster.unwrap_or_default() >> 64;
                let text = format!("a member of another cluster ({other:016x})");
                Trouble::new(Kind::Foreign, "another cluster", text)
            }
            Standing::Member if self.voter.is_none() => {
                let text = "not in the configuration of the others: it was removed and does not \
                            know, or it has just been added";
                Trouble::new(Kind::Foreign, "no member", text)
            }
            Standing::Member if status.id != self.id => {
                let who = status.id.map_or_else(|| "nobody".into(), |id| id.to_string());
                Trouble::new(Kind::Foreign, "another member", format!("{who} answers there"))
            }
            Standing::Member => return None,
        };
        Some(trouble)
    }
}

impl Vote {
    const fn of(member: &KnownMember) -> Self {
        Self { new: member.voter, old: member.old_voter }
    }
}

impl Trouble {
    fn new(kind: Kind, short: &str, text: impl Into<String>) -> Self {
        Self { kind, short: short.into(), text: text.into() }
    }
}

fn is_member(status: &NodeStatus, cluster: Option<u128>) -> bool {
    status.standing == Standing::Member && status.cluster == cluster
}

fn answers(seen: &[Seen], cluster: Option<u128>) -> impl Iterator<Item = &NodeStatus> {
    let answers = seen.iter().filter_map(|seen| seen.answer.as_ref().ok());
    answers.filter(move |status| is_member(status, cluster))
}

fn is_answer_of(seen: &Seen, member: &KnownMember, cluster: Option<u128>) -> bool {
    let own = |status: &NodeStatus| {
        member.id.is_some() && status.id == member.id && status.cluster == cluster
    };
    seen.answer.as_ref().is_ok_and(own)
}

fn is_at(seen: &Seen, member: &KnownMember) -> bool {
    address(&member.address).is_ok_and(|address| seen.address.is_same_place(&address))
}

/// The members by the latest configuration that anybody follows: the leader's, or that of the
/// longest log; before there is a cluster, its founders.
fn members(seen: &[Seen], cluster: Option<u128>) -> Vec<KnownMember> {
    let latest = answers(seen, cluster).max_by_key(|status| {
        let log = status.last_log_id;
        (status.role == "leader", status.term, log.term, log.index)
    });
    let founder = || {
        let all = seen.iter().filter_map(|seen| seen.answer.as_ref().ok());
        all.into_iter().find(|status| cluster.is_none() && !status.members.is_empty())
    };
    latest.or_else(founder).map(|status| status.members.clone()).unwrap_or_default()
}

fn leader(seen: &[Seen], cluster: Option<u128>) -> Option<(NodeId, String)> {
    let knowing = answers(seen, cluster).filter(|status| status.leader.is_some());
    knowing.max_by_key(|status| status.term)?.leader.clone()
}
