//! How a report looks: a table and lines for people, one document for programs.

use anstyle::{AnsiColor, Style};
use raft_node::{Fill, NodeStatus, SnapshotTransfer, SnapshotsView, Standing, Vitals};
use serde_json::{Value, json};

use super::report::{Kind, Report, Row};
use crate::output::{Table, versioned};

const HEADINGS: [&str; 13] = [
    "id",
    "address",
    "role",
    "term",
    "last",
    "commit",
    "applied",
    "lag",
    "sync p99",
    "disk used",
    "free",
    "version",
    "health",
];

const WELL: &str = "ok";

/// The table, and below it what is not well.
pub(super) fn text(report: &Report) -> String {
    let mut text = table(report).aligned();
    let lines = lines(report);
    if !lines.is_empty() {
        text.push('\n');
    }
    lines.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    text
}

pub(super) fn table(report: &Report) -> Table {
    let mut table = Table::new(&HEADINGS);
    table.paint("role", |role| match role {
        "leader" => AnsiColor::Cyan.on_default().bold(),
        "candidate" | "pre-candidate" => AnsiColor::Yellow.on_default(),
        _ => Style::new(),
    });
    table.paint("health", |health| match health {
        WELL => AnsiColor::Green.on_default(),
        _ => AnsiColor::Red.on_default().bold(),
    });
    report.rows.iter().for_each(|row| table.row(cells(row)));
    table
}

/// Why nobody leads, then all that is not well, one fact a line.
pub(super) fn lines(report: &Report) -> Vec<String> {
    let mut lines: Vec<String> = report.why.clone().into_iter().collect();
    for row in &report.rows {
        // Where nobody leads, that is said once.
        let told = |kind| kind != Kind::NoLeader || report.why.is_none();
        let troubles = row.troubles.iter().filter(|trouble| told(trouble.kind));
        lines.extend(troubles.map(|trouble| format!("{}: {}", row.address, trouble.text)));
    }
    lines
}

fn cells(row: &Row) -> Vec<String> {
    let none = || "-".to_owned();
    let id = row.id.map_or_else(none, |id| id.to_string());
    let health = row.troubles.first().map_or_else(|| WELL.into(), |first| first.short.clone());
    let Ok(status) = &row.answer else {
        let mut cells = vec![none(); HEADINGS.len()];
        (cells[0], cells[1], cells[12]) = (id, row.address.clone(), health);
        return cells;
    };
    vec![
        id,
        row.address.clone(),
        role(row, status).into(),
        status.term.to_string(),
        status.last_log_id.index.to_string(),
        status.commit_index.to_string(),
        status.applied_index.to_string(),
        row.lag.map_or_else(none, |lag| lag.to_string()),
        duration(status.vitals.sync_p99_us),
        size(status.vitals.disk_used),
        size(status.vitals.disk_free),
        status.version.clone(),
        health,
    ]
}

fn role<'a>(row: &Row, status: &'a NodeStatus) -> &'a str {
    let votes = row.voter.is_none_or(|vote| vote.new || vote.old);
    match status.standing {
        Standing::New => "waiting",
        Standing::Removed { .. } => "removed",
        Standing::Member if !votes && status.role == "follower" => "learner",
        Standing::Member => &status.role,
    }
}

/// Microseconds for people; a dash where nothing was measured.
fn duration(micros: u64) -> String {
    match micros {
        0 => "-".into(),
        1..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        10_000..10_000_000 => format!("{} ms", micros / 1000),
        _ => format!("{} s", micros / 1_000_000),
    }
}

/// Bytes for people; a dash where nobody has looked.
pub(in crate::commands) fn size(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) if bytes >> shift < 10 => {
            let tenths = (bytes >> (shift - 10)) * 10 / 1024;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        Some((shift, unit)) => format!("{} {unit}", bytes >> shift),
        None if bytes == 0 => "-".into(),
        None => format!("{bytes} B"),
    }
}

/// The whole report as one line of JSON.
pub(super) fn json_line(report: &Report) -> String {
    versioned(document(report)).to_string() + "\n"
}

fn document(report: &Report) -> Value {
    let leader = report.leader.as_ref();
    json!({
        "healthy": report.is_well(),
        "cluster": report.cluster.map(hex),
        "leader": leader.map(|(id, _)| id.0),
        "leader_address": leader.map(|(_, address)| address),
        "no_leader": report.why,
        "members": report.rows.iter().map(object).collect::<Vec<_>>(),
    })
}

/// One server. All keys are always there: what is not known is null.
pub(super) fn object(row: &Row) -> Value {
    let status = row.answer.as_ref().ok();
    let index = |of: fn(&NodeStatus) -> u64| status.map(of);
    let problems: Vec<&str> = row.troubles.iter().map(|trouble| trouble.text.as_str()).collect();
    json!({
        "id": row.id.map(|id| id.0),
        "address": row.address,
        "healthy": row.troubles.is_empty(),
        "problems": problems,
        "error": row.answer.as_ref().err(),
        "voter": row.voter.map(|vote| vote.new || vote.old),
        "standing": status.map(|status| match status.standing {
            Standing::New => "new",
            Standing::Member => "member",
            Standing::Removed { .. } => "removed",
        }),
        "removed_at": status.and_then(|status| match status.standing {
            Standing::Removed { at } => Some(at.0),
            Standing::New | Standing::Member => None,
        }),
        "cluster": status.and_then(|status| status.cluster).map(hex),
        "role": status.map(|status| role(row, status)),
        "term": index(|status| status.term.0),
        "leader": status.and_then(|status| status.leader.as_ref()).map(|(id, _)| id.0),
        "last_index": index(|status| status.last_log_id.index.0),
        "last_term": index(|status| status.last_log_id.term.0),
        "durable_index": index(|status| status.durable_index.0),
        "commit_index": index(|status| status.commit_index.0),
        "applied_index": index(|status| status.applied_index.0),
        "log_start": index(|status| status.snapshots.log_start.index.0),
        "snapshot_index": index(|status| status.snapshots.newest.index.0),
        "transfers": status.map(|status| transfers(&status.snapshots)),
        "lag": row.lag,
        "version": status.map(|status| &status.version),
        "vitals": status.map(|status| vitals(&status.vitals)),
    })
}

/// Snapshots on their way.
fn transfers(view: &SnapshotsView) -> Value {
    let object = |transfer: &SnapshotTransfer| {
        json!({
            "peer": transfer.peer,
            "outgoing": transfer.outgoing,
            "done": transfer.done,
            "bytes": transfer.bytes,
        })
    };
    view.transfers.iter().map(object).collect()
}

/// How far a snapshot that comes is, in words.
pub(in crate::commands) fn arriving(view: &SnapshotsView) -> Option<String> {
    let transfer = view.transfers.iter().find(|transfer| !transfer.outgoing)?;
    let percent = transfer.done * 100 / transfer.bytes.max(1);
    Some(format!("{percent}% of a snapshot of {} are there", size(transfer.bytes)))
}

fn hex(cluster: u128) -> String {
    format!("{cluster:032x}")
}

/// All of it: a new field of [`Vitals`] does not compile before it is here.
fn vitals(vitals: &Vitals) -> Value {
    let Vitals {
        uptime_ms,
        syncs,
        log_writes,
        log_bytes,
        appends_sent,
        appends_received,
        entries_sent,
        socket_reads,
        socket_writes,
        requests,
        refused,
        wakeups,
        processor_us,
        leader_changes,
        sync_p50_us,
        sync_p99_us,
        sync_max_us,
        request_p50_us,
        request_p99_us,
        sync_buckets,
        sync_total_us,
        disk_used,
        disk_free,
        free_log_bytes,
        fills,
        problems,
    } = vitals;
    let fill = |Fill { what, bytes, bytes_max }: &Fill| json!({ "what": what, "bytes": bytes, "bytes_max": bytes_max });
    json!({
        "uptime_ms": uptime_ms,
        "syncs": syncs,
        "log_writes": log_writes,
        "log_bytes": log_bytes,
        "appends_sent": appends_sent,
        "appends_received": appends_received,
        "entries_sent": entries_sent,
        "socket_reads": socket_reads,
        "socket_writes": socket_writes,
        "requests": requests,
        "refused": refused,
        "wakeups": wakeups,
        "processor_us": processor_us,
        "leader_changes": leader_changes,
        "sync_p50_us": sync_p50_us,
        "sync_p99_us": sync_p99_us,
        "sync_max_us": sync_max_us,
        "request_p50_us": request_p50_us,
        "request_p99_us": request_p99_us,
        "sync_buckets": sync_buckets,
        "sync_total_us": sync_total_us,
        "disk_used": disk_used,
        "disk_free": disk_free,
        "free_log_bytes": free_log_bytes,
        "fills": fills.iter().map(fill).collect::<Vec<_>>(),
        "problems": problems,
    })
}
