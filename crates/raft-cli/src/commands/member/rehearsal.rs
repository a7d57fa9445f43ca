//! `--dry-run`: which majorities a change would need before, during and after, and whose crash
//! would stop it. It asks who is there, and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use raft_node::{Address, MemberRow, MembersView, NodeStatus, Standing};
use serde_json::{Map, Value, json};

use super::change::{MemberJob, unreachable};
use crate::commands::ask::Ask;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::{Output, Table};

/// A server that waits to be added answers at once, if it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// Somebody who votes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Voter {
    name: String,
    answers: bool,
}

/// Who decides for a while: one set of voters, or two that must agree.
#[derive(Debug, PartialEq, Eq)]
struct Phase {
    name: &'static str,
    halves: Vec<BTreeSet<Voter>>,
}

pub(super) fn show(
    ask: &Ask,
    job: &MemberJob,
    members: &MembersView,
    output: &Output,
) -> Result<(), Problem> {
    if let Some(running) = &members.job {
        let what = format!("another membership change is under way: {running}");
        return Err(Problem::new(Exit::Refused, what).hint("wait for its end"));
    }
    let comes = match job {
        MemberJob::Add(address) if row_at(members, address).is_none() => Some(address),
        MemberJob::Replace { new, .. } => Some(new),
        _ => None,
    };
    if let Some(address) = comes {
        greet(ask, address, members)?;
    }
    let phases = phases(job, members)?;
    let mut table = Table::new(&["phase", "voters", "majority", "answer", "stopped by a crash of"]);
    phases.iter().for_each(|phase| table.row(phase.cells()));
    let mut document = Map::new();
    document.insert("dry_run".into(), true.into());
    let objects = phases.iter().map(Phase::object).collect();
    output.table(&table, "phases", objects, document)?;
    match phases.iter().find(|phase| !phase.decides(None)) {
        Some(phase) => {
            let what = format!("it would be refused: {} it, no majority answers", phase.name);
            let silent: Vec<String> = phase.silent().collect();
            let hint = format!("start {} first", silent.join(", "));
            Err(Problem::verdict(Exit::Refused, what).hint(hint))
        }
        None => Ok(()),
    }
}

/// Whether the server that is to come is there, and may come.
fn greet(ask: &Ask, address: &Address, members: &MembersView) -> Result<(), Problem> {
    let timeout = Some(ask.timeout.map_or(PATIENCE, |timeout| timeout.min(PATIENCE)));
    let itself = Ask { endpoints: vec![address.clone()], timeout };
    let status = itself.quiet_client()?.status().wait();
    let status = status.map_err(|_| unreachable(&address.to_string(), "no answer", members))?;
    is_free(&status, members).map_err(|what| {
        Problem::new(Exit::Refused, format!("{address} {what}"))
            .hint("start it there with an empty data directory (--data-dir)")
    })
}

fn is_free(status: &NodeStatus, members: &MembersView) -> Result<(), String> {
    let known = members.members.iter().find(|row| Some(row.id) == status.id);
    match (status.standing, status.id, known) {
        (Standing::New | Standing::Removed { .. }, ..) => Ok(()),
        // A learner that is to vote.
        (Standing::Member, _, Some(row)) if !row.voter => Ok(()),
        (Standing::Member, Some(id), _) => Err(format!("runs as member {} already", id.0)),
        (Standing::Member, None, _) => Err("is a member already".into()),
    }
}

fn row_at<'a>(members: &'a MembersView, address: &Address) -> Option<&'a MemberRow> {
    let at = address.to_string();
    members.members.iter().find(|row| row.address == at)
}

/// The configurations that the change goes through.
fn phases(job: &MemberJob, members: &MembersView) -> Result<Vec<Phase>, Problem> {
    let voter = |row: &MemberRow| Voter { name: row.address.clone(), answers: row.connected };
    let rows = || members.members.iter().filter(|row| row.voter);
    let before: BTreeSet<Voter> = rows().map(voter).collect();
    let mut after = before.clone();
    if let Some(target) = job.member().filter(|_| !matches!(job, MemberJob::Update { .. })) {
        let gone = target.find(members)?;
        if let (MemberJob::Replace { .. }, false) = (job, gone.voter) {
            let what = format!("{} is a learner and has no vote to pass on", gone.address);
            return Err(Problem::new(Exit::Refused, what).hint("remove it, then add the other one"));
        }
        after.remove(&voter(gone));
    }
    if let MemberJob::Add(address) | MemberJob::Replace { new: address, .. } = job {
        let known = row_at(members, address);
        let in_place = known.is_some() && matches!(job, MemberJob::Replace { .. });
        let is_voter = known.is_some_and(|row| row.voter);
        let name = match in_place && is_voter {
            true => format!("{address} (new)"),
            false => address.to_string(),
        };
        if in_place || !is_voter {
            after.insert(Voter { name, answers: true });
        }
    }
    if after.is_empty() {
        let what = "the last voter can be neither removed nor demoted";
        return Err(Problem::new(Exit::Refused, what).hint("add another one first"));
    }
    let mut phases = vec![Phase { name: "before", halves: vec![before.clone()] }];
    if after != before {
        phases.push(Phase { name: "during", halves: vec![before, after.clone()] });
    }
    phases.push(Phase { name: "after", halves: vec![after] });
    Ok(phases)
}

impl Phase {
    /// Whether majorities answer, also without this one.
    fn decides(&self, without: Option<&str>) -> bool {
        self.halves.iter().all(|half| {
            let answers = |voter: &&Voter| voter.answers && Some(voter.name.as_str()) != without;
            half.iter().filter(answers).count() >= majority(half)
        })
    }

    /// Each by itself.
    fn pillars(&self) -> Vec<&str> {
        let all = self.halves.iter().flatten().filter(|voter| voter.answers);
        let all: BTreeSet<&str> = all.map(|voter| voter.name.as_str()).collect();
        all.into_iter().filter(|name| !self.decides(Some(name))).collect()
    }

    fn silent(&self) -> impl Iterator<Item = String> {
        let silent = self.halves.iter().flatten().filter(|voter| !voter.answers);
        silent.map(|voter| voter.name.clone()).collect::<BTreeSet<_>>().into_iter()
    }

    fn each(&self, cell: impl Fn(&BTreeSet<Voter>) -> String) -> String {
        self.halves.iter().map(cell).collect::<Vec<_>>().join(" and ")
    }

    fn cells(&self) -> Vec<String> {
        let voters = match self.halves.as_slice() {
            [half] => half.iter().map(|voter| voter.name.as_str()).collect::<Vec<_>>().join(" "),
            _ => "both".into(),
        };
        let stopped = match (self.decides(None), self.pillars()) {
            (false, _) => "stands still".into(),
            (true, pillars) if pillars.is_empty() => "nobody".into(),
            (true, pillars) => pillars.join(" or "),
        };
        vec![
            self.name.into(),
            voters,
            self.each(|half| format!("{} of {}", majority(half), half.len())),
            self.each(|half| answering(half).to_string()),
            stopped,
        ]
    }

    fn object(&self) -> Value {
        let half = |half: &BTreeSet<Voter>| {
            json!({
                "voters": half.iter().map(|voter| voter.name.as_str()).collect::<Vec<_>>(),
                "majority": majority(half),
                "answering": answering(half),
            })
        };
        json!({
            "phase": self.name,
            "sets": self.halves.iter().map(half).collect::<Vec<_>>(),
            "has_majority": self.decides(None),
            "stopped_by_a_crash_of": self.pillars(),
        })
    }
}

fn majority(half: &BTreeSet<Voter>) -> usize {
    half.len() / 2 + 1
}

fn answering(half: &BTreeSet<Voter>) -> usize {
    half.iter().filter(|voter| voter.answers).count()
}

#[cfg(test)]
mod tests {
    use raft_node::NodeId;

    use super::*;
    use crate::args::address;
    use crate::commands::ask::Target;

    /// `:1 :2 :3`, and a learner at `:4`; of those named, no word is heard.
    fn members(silent: &[u64]) -> MembersView {
        let row = |id: u64| MemberRow {
            id: NodeId(id),
            address: format!(":{id}"),
            voter: id < 4,
            outgoing: false,
            leader: id == 1,
            match_index: None,
            connected: !silent.contains(&id),
        };
        MembersView { members: (1..=4).map(row).collect(), ..MembersView::default() }
    }

    fn at(text: &str) -> Address {
        address(text).expect("an address")
    }

    /// The rows of the table, a line each.
    fn rehearsed(job: &MemberJob, silent: &[u64]) -> Vec<String> {
        let phases = phases(job, &members(silent)).expect("phases");
        phases.iter().map(|phase| phase.cells().join(" | ")).collect()
    }

    #[test]
    fn one_more_and_one_less() {
        assert_eq!(
            rehearsed(&MemberJob::Add(at(":5")), &[]),
            [
                "before | :1 :2 :3 | 2 of 3 | 3 | nobody",
                "during | both | 2 of 3 and 3 of 4 | 3 and 4 | nobody",
                "after | :1 :2 :3 :5 | 3 of 4 | 4 | nobody",
            ]
        );
        assert_eq!(
            rehearsed(&MemberJob::Remove(Target::Id(3)), &[]),
            [
                "before | :1 :2 :3 | 2 of 3 | 3 | nobody",
                "during | both | 2 of 3 and 2 of 2 | 3 and 2 | :1 or :2",
                "after | :1 :2 | 2 of 2 | 2 | :1 or :2",
            ]
        );
        let demoted = rehearsed(&MemberJob::Demote(Target::Id(3)), &[2]);
        assert_eq!(demoted[0], "before | :1 :2 :3 | 2 of 3 | 2 | :1 or :3");
        assert_eq!(demoted[2], "after | :1 :2 | 2 of 2 | 1 | stands still");
    }

    #[test]
    fn a_lost_disk_is_refilled_at_its_address_and_elsewhere() {
        let replace = |new| MemberJob::Replace { old: Target::Id(3), new: at(new) };
        assert_eq!(
            rehearsed(&replace(":3"), &[3]),
            [
                "before | :1 :2 :3 | 2 of 3 | 2 | :1 or :2",
                "during | both | 2 of 3 and 2 of 3 | 2 and 3 | :1 or :2",
                "after | :1 :2 :3 (new) | 2 of 3 | 3 | nobody",
            ]
        );
        // A learner may come, too.
        assert_eq!(rehearsed(&replace(":4"), &[3])[2], "after | :1 :2 :4 | 2 of 3 | 3 | nobody");
    }

    #[test]
    fn what_changes_no_vote_has_nothing_in_between() {
        for job in [MemberJob::Remove(Target::Id(4)), MemberJob::Add(at(":2"))] {
            assert_eq!(rehearsed(&job, &[]).len(), 2, "{job:?}");
        }
        let promoted = rehearsed(&MemberJob::Add(at(":4")), &[]);
        assert_eq!(promoted[2], "after | :1 :2 :3 :4 | 3 of 4 | 4 | nobody");
    }

    #[test]
    fn what_would_be_refused_is_refused() {
        let jobs = [
            MemberJob::Replace { old: Target::Id(4), new: at(":5") },
            MemberJob::Demote(Target::Id(9)),
        ];
        for job in jobs {
            assert!(phases(&job, &members(&[])).is_err(), "{job:?}");
        }
    }
}
