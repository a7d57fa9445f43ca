//! What the servers did for each entry, or for each answer.

use std::time::Duration;

use raft_node::{Address, MembersView, NodeStatus, Vitals};
use serde_json::{Value, json};

use crate::commands::Ask;
use crate::errors::Problem;
use crate::output::Table;

/// A server that does not answer must not hold up the rest.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A server at one moment.
pub(super) struct Look {
    address: String,
    status: NodeStatus,
}

/// What one server did between two looks.
#[derive(Debug, PartialEq)]
pub(super) struct Cost {
    address: String,
    leads: bool,
    /// Entries that it committed, or answers that all servers gave.
    operations: u64,
    /// In the order of [`COUNTERS`].
    counts: Vec<u64>,
    sync_p50_us: u64,
    sync_p99_us: u64,
}

/// A counter: its heading, its key in JSON, and where it is.
type Counter = (&'static str, &'static str, fn(&Vitals) -> u64);

const PROCESSOR: &str = "processor_us";

const COUNTERS: [Counter; 8] = [
    ("syncs", "syncs", |vitals| vitals.syncs),
    ("writes", "log_writes", |vitals| vitals.log_writes),
    ("log bytes", "log_bytes", |vitals| vitals.log_bytes),
    ("appends", "appends", |vitals| vitals.appends_sent + vitals.appends_received),
    ("reads", "socket_reads", |vitals| vitals.socket_reads),
    ("sends", "socket_writes", |vitals| vitals.socket_writes),
    ("wake-ups", "wakeups", |vitals| vitals.wakeups),
    ("CPU us", PROCESSOR, |vitals| vitals.processor_us),
];

impl Look {
    /// Looks at all servers that answer.
    pub(super) fn all(members: &[Address]) -> Result<Vec<Self>, Problem> {
        let mut asked = Vec::new();
        for member in members {
            let one = Ask { endpoints: vec![member.clone()], timeout: Some(TIMEOUT) };
            let client = one.quiet_client()?;
            asked.push((member, client.status(), client));
        }
        let looks = asked.into_iter().filter_map(|(member, pending, _client)| {
            Some(Self { address: member.to_string(), status: pending.wait().ok()? })
        });
        Ok(looks.collect())
    }
}

/// What each server did, as far as it was seen before and after, in the same life.
pub(super) fn costs(
    view: &MembersView,
    before: &[Look],
    after: &[Look],
    answers: Option<u64>,
) -> Vec<Cost> {
    let cost = |after: &Look| {
        let before = before.iter().find(|before| before.address == after.address)?;
        Cost::between(&before.status, after, leads(view, &after.address), answers)
    };
    after.iter().filter_map(cost).collect()
}

fn leads(view: &MembersView, address: &str) -> bool {
    view.members.iter().any(|row| row.leader && row.address == address)
}

impl Cost {
    fn between(
        before: &NodeStatus,
        after: &Look,
        leads: bool,
        answers: Option<u64>,
    ) -> Option<Self> {
        let entries = after.status.commit_index.0.checked_sub(before.commit_index.0)?;
        let difference =
            |(_, _, read): &Counter| read(&after.status.vitals).checked_sub(read(&before.vitals));
        Some(Self {
            address: after.address.clone(),
            leads,
            operations: answers.unwrap_or(entries),
            counts: COUNTERS.iter().map(difference).collect::<Option<_>>()?,
            sync_p50_us: after.status.vitals.sync_p50_us,
            sync_p99_us: after.status.vitals.sync_p99_us,
        })
    }

    fn each(&self, count: u64) -> f64 {
        count as f64 / self.operations.max(1) as f64
    }

    /// Microseconds of processor time for each operation.
    pub(super) fn processor_us(&self) -> f64 {
        let at = COUNTERS.iter().position(|(_, key, _)| *key == PROCESSOR);
        at.and_then(|at| self.counts.get(at)).map_or(0.0, |spent| self.each(*spent))
    }

    fn role(&self) -> &'static str {
        if self.leads { "leader" } else { "follower" }
    }

    /// For programs.
    pub(super) fn object(&self) -> Value {
        let counts = COUNTERS.iter().zip(&self.counts);
        let counts: serde_json::Map<_, _> =
            counts.map(|((_, key, _), count)| ((*key).into(), (*count).into())).collect();
        json!({
            "address": self.address,
            "role": self.role(),
            "operations": self.operations,
            "counts": counts,
            "sync_p50_us": self.sync_p50_us,
            "sync_p99_us": self.sync_p99_us,
        })
    }
}

/// For people: one row for each server.
pub(super) fn table(costs: &[Cost]) -> Table {
    let mut headings = vec!["server", "role"];
    headings.extend(COUNTERS.iter().map(|(heading, _, _)| *heading));
    headings.extend(["sync p50 us", "p99 us"]);
    let mut table = Table::new(&headings);
    for cost in costs {
        let mut cells = vec![cost.address.clone(), cost.role().into()];
        for count in &cost.counts {
            let each = cost.each(*count);
            cells.push(if each < 10.0 { format!("{each:.3}") } else { format!("{each:.0}") });
        }
        cells.extend([cost.sync_p50_us.to_string(), cost.sync_p99_us.to_string()]);
        table.row(cells);
    }
    table
}
