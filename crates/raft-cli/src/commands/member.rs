//! `raft member list|add|remove`, `-C addserver` and `-C removeserver`.

use raft_node::{Address, Changed, MemberRow, MembersView, Reason, Served};
use serde_json::{Map, Value, json};

use super::ask::{self, Ask, Target, addresses_of};
use crate::errors::{Problem, READ};
use crate::exit::Exit;
use crate::output::{Output, Table};

const GOES_ON: &str = "interrupted: the change goes on at the cluster, `raft member list` shows it";

pub(crate) fn list(ask: &Ask, output: &Output) -> Result<(), Problem> {
    let view = ask.client(output)?.members().wait().map_err(|error| ask.problem(&error, READ))?;
    let mut table = Table::new(&["id", "address", "role", "match", "connected"]);
    for row in &view.members {
        table.row(vec![
            row.id.to_string(),
            row.address.clone(),
            role(row).into(),
            row.match_index.map_or("-".into(), |index| index.to_string()),
            if row.connected { "yes" } else { "no" }.into(),
        ]);
    }
    if let Some(job) = &view.job {
        output.note(&format!("a change is running: {job}"));
    }
    let objects = view.members.iter().map(object).collect();
    output.table(&table, "members", objects, document(&view))
}

pub(crate) fn add(ask: &Ask, address: &Address, output: &Output) -> Result<(), Problem> {
    let members = ask.members_first(output)?;
    let client = ask.client(output)?;
    ask::on_interrupt(GOES_ON, output)?;
    let reply = client.add_member(address).wait().map_err(|error| {
        let problem = ask.problem(&error, "added");
        match &error.reason {
            Some(Reason::Unreachable { address, error }) => unreachable(address, error, &members),
            _ => problem,
        }
    })?;
    changed(&reply, output)
}

pub(crate) fn remove(ask: &Ask, member: &Target, output: &Output) -> Result<(), Problem> {
    let members = ask.members_first(output)?;
    let address = member.resolve(&members)?;
    let client = ask.client(output)?;
    ask::on_interrupt(GOES_ON, output)?;
    let reply = client.remove_member(&address).wait();
    changed(&reply.map_err(|error| ask.problem(&error, "removed"))?, output)
}

/// The server to add is not there: the most common mistake, so the hint is the whole command.
fn unreachable(address: &str, error: &str, members: &MembersView) -> Problem {
    let what = format!("{address} does not answer ({error}); the cluster is unchanged");
    Problem::new(Exit::Refused, what)
        .hint(format!("start it first: raft -c '{}' -p '{address}'", addresses_of(members)))
}

fn changed((changed, served): &(Changed, Served), output: &Output) -> Result<(), Problem> {
    ask::forwarded(served, output);
    let (done, id, address, text) = match changed {
        Changed::Added { id, address } => {
            ("added", id, address, format!("added {address} as member {}", id.0))
        }
        Changed::AlreadyMember { id, address } => {
            ("already_member", id, address, format!("{address} is already member {}", id.0))
        }
        Changed::Removed { id, address } => {
            ("removed", id, address, format!("removed {address}, which was member {}", id.0))
        }
        Changed::Undone { address, .. } => {
            let what = format!(
                "{address} could not be added: it made no progress, and the cluster took it out \
                 again"
            );
            return Err(Problem::new(Exit::Refused, what)
                .hint(format!("see what the server at {address} says, then add it again")));
        }
    };
    let object = json!({
        "outcome": done,
        "id": id.0,
        "address": address,
        "contacted": served.contacted,
        "forwarded_to": served.forwarded_to,
    });
    output.line(&text, object)
}

const fn role(row: &MemberRow) -> &'static str {
    match row {
        MemberRow { leader: true, .. } => "leader",
        MemberRow { outgoing: true, .. } => "leaving",
        MemberRow { voter: true, .. } => "voter",
        _ => "learner",
    }
}

fn object(row: &MemberRow) -> Value {
    json!({
        "id": row.id.0,
        "address": row.address,
        "role": role(row),
        "voter": row.voter,
        "match_index": row.match_index.map(|index| index.0),
        "connected": row.connected,
    })
}

/// All that `member list` says, for programs.
pub(crate) fn members_object(view: &MembersView) -> Value {
    let mut document = document(view);
    document.insert("members".into(), view.members.iter().map(object).collect());
    document.into()
}

fn document(view: &MembersView) -> Map<String, Value> {
    let mut document = Map::new();
    document.insert("leader".into(), view.leader.map(|id| id.0).into());
    document.insert("joint".into(), view.joint.into());
    document.insert("job".into(), view.job.clone().into());
    document.insert("index".into(), view.index.0.into());
    document.insert("answered_by".into(), view.answered_by.clone().into());
    document
}
