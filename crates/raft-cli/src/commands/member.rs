//! `raft member`, `-C addserver` and `-C removeserver`.

mod change;
mod rehearsal;

use raft_node::{MemberRow, MembersView};
use serde_json::{Map, Value, json};

pub(crate) use change::{MemberJob, run};

use super::ask::Ask;
use crate::errors::{Problem, READ};
use crate::output::{Output, Table};

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
