//! `raft status`: how each member is. Exit code 3 if one is not well.

use std::time::Duration;

use raft_node::{Address, NodeStatus, Standing};
use serde_json::{Map, Value, json};

use super::ask::Ask;
use crate::args::address;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::{Output, Table};

/// One member that is down must not hold up the rest.
const TIMEOUT: Duration = Duration::from_secs(1);

/// A member, and what it answered or why it did not.
struct Row {
    address: String,
    answer: Result<NodeStatus, String>,
}

pub(crate) fn run(ask: &Ask, output: &Output) -> Result<(), Problem> {
    let timeout = ask.timeout.unwrap_or(TIMEOUT);
    let quick = Ask { timeout: Some(timeout), ..ask.clone() };
    // Without a leader nobody can say who the members are: then those that were asked.
    let members = quick.quiet_client()?.members().wait();
    let targets = match &members {
        Ok(view) => view.members.iter().filter_map(|row| address(&row.address).ok()).collect(),
        Err(_) => ask.endpoints.clone(),
    };
    let rows = rows(&quick, &targets)?;
    let mut table =
        Table::new(&["id", "address", "role", "term", "last", "commit", "applied", "version"]);
    rows.iter().for_each(|row| table.row(cells(row)));
    let mut document = Map::new();
    document.insert(
        "leader".into(),
        members.as_ref().ok().and_then(|view| view.leader).map(|id| id.0).into(),
    );
    output.table(&table, "members", rows.iter().map(object).collect(), document)?;
    match members {
        Err(error) => Err(Problem::new(Exit::NotFound, format!("no leader: {error}"))),
        Ok(_) => match rows.iter().filter(|row| !row.is_well()).count() {
            0 => Ok(()),
            count => {
                let what = format!("{count} of {} members not well", rows.len());
                Err(Problem::new(Exit::NotFound, what))
            }
        },
    }
}

/// Asks all at once.
fn rows(ask: &Ask, targets: &[Address]) -> Result<Vec<Row>, Problem> {
    let mut asked = Vec::new();
    for target in targets {
        let one = Ask { endpoints: vec![target.clone()], ..ask.clone() };
        let client = one.quiet_client()?;
        let pending = client.status();
        asked.push((target, client, pending));
    }
    let row = |(target, _client, pending): (&Address, _, raft_node::Pending<NodeStatus>)| Row {
        address: target.to_string(),
        answer: pending.wait().map_err(|error| error.to_string()),
    };
    Ok(asked.into_iter().map(row).collect())
}

impl Row {
    fn is_well(&self) -> bool {
        let well =
            |status: &NodeStatus| status.standing == Standing::Member && status.leader.is_some();
        self.answer.as_ref().is_ok_and(well)
    }
}

fn state(status: &NodeStatus) -> &str {
    match status.standing {
        Standing::New => "waiting",
        Standing::Removed { .. } => "removed",
        Standing::Member => &status.role,
    }
}

fn cells(row: &Row) -> Vec<String> {
    let Ok(status) = &row.answer else {
        let mut cells = vec!["-".to_owned(); 8];
        cells[1].clone_from(&row.address);
        cells[2] = "no answer".into();
        return cells;
    };
    vec![
        status.id.map_or_else(|| "-".into(), |id| id.to_string()),
        row.address.clone(),
        state(status).into(),
        status.term.to_string(),
        status.last_log_id.index.to_string(),
        status.commit_index.to_string(),
        status.applied_index.to_string(),
        status.version.clone(),
    ]
}

/// What `status` says about one member that answered, for programs.
pub(crate) fn member_object(address: &str, status: NodeStatus) -> Value {
    object(&Row { address: address.to_owned(), answer: Ok(status) })
}

fn object(row: &Row) -> Value {
    match &row.answer {
        Err(error) => json!({ "address": row.address, "well": false, "error": error }),
        Ok(status) => json!({
            "address": row.address,
            "well": row.is_well(),
            "id": status.id.map(|id| id.0),
            "cluster": status.cluster.map(|id| format!("{id:032x}")),
            "role": state(status),
            "term": status.term.0,
            "leader": status.leader.as_ref().map(|(_, address)| address),
            "last_index": status.last_log_id.index.0,
            "durable_index": status.durable_index.0,
            "commit_index": status.commit_index.0,
            "applied_index": status.applied_index.0,
            "version": status.version,
        }),
    }
}
