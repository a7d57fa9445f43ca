//! What a log's snapshots are, and what it means if one is damaged.

use std::path::Path;

use raft_log::{InspectedSnapshot, Inspection};
use serde_json::{Value, json};

use super::super::meter::Meter;
use super::{nothing_there, text};
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::Table;

/// Reads all of them.
pub(super) fn read(inspection: &mut Inspection, dir: &Path) -> Result<(), Problem> {
    let mut meter = Meter::new("reading");
    let read = inspection.read_snapshots(&mut |progress| meter.show(progress));
    meter.clear();
    read.map_err(|error| nothing_there(dir, &error))
}

/// A row for each, newest first.
pub(in crate::commands) fn table(snapshots: &[InspectedSnapshot]) -> Table {
    let mut table = Table::new(&["snapshot", "size", "parts", "state"]);
    for row in snapshots {
        let (size, parts) = match &row.fault {
            Some(_) if row.bytes == 0 => ("-".into(), "-".into()),
            _ => (text::size(row.bytes), row.parts.to_string()),
        };
        table.row(vec![row.id.to_string(), size, parts, state(row)]);
    }
    table
}

fn state(row: &InspectedSnapshot) -> String {
    match &row.fault {
        Some(fault) => fault.to_string(),
        // Only their ends were looked at where this is shown.
        None if row.held => "right at its ends".into(),
        None => "not installed".into(),
    }
}

pub(super) fn objects(inspection: &Inspection) -> Vec<Value> {
    inspection.snapshots.iter().map(object).collect()
}

/// A row for programs.
pub(in crate::commands) fn object(row: &InspectedSnapshot) -> Value {
    json!({
        "file": row.file.display().to_string(),
        "index": row.id.index.0,
        "term": row.id.term.0,
        "bytes": row.bytes,
        "parts": row.parts,
        "serves": row.serves(),
        "fault": row.fault.as_ref().map(ToString::to_string),
    })
}

/// `; 2 snapshots`, if there are any.
pub(super) fn counted(inspection: &Inspection) -> String {
    match inspection.snapshots.iter().filter(|row| row.serves()).count() {
        0 => String::new(),
        count => format!("; {}", text::count(count, "sound snapshot")),
    }
}

/// For each that is damaged: what that means.
pub(super) fn facts(inspection: &Inspection) -> Vec<String> {
    let damaged = inspection.snapshots.iter().filter_map(|row| Some((row, row.fault.as_ref()?)));
    let fact = |(row, fault): (&InspectedSnapshot, _)| {
        format!("snapshot {} is of no use: {fault}. {}", row.id, meaning(inspection, row))
    };
    damaged.map(fact).collect()
}

fn meaning(inspection: &Inspection, damaged: &InspectedSnapshot) -> String {
    let serving = inspection.snapshots.iter().find(|row| row.serves());
    match serving {
        _ if !damaged.held => {
            "The log was never reset to this snapshot: nothing depends on it".into()
        }
        Some(other) => format!(
            "Nothing is lost: a start does not use it, because the snapshot at {} and the log \
             behind it say the same",
            other.id
        ),
        None if inspection.log.start.index.0 == 0 => {
            "Nothing is lost: a start does not use it, because the log goes back to its first \
             entry"
                .into()
        }
        None => "Nothing here serves in its place: a start refuses this directory".into(),
    }
}

/// The log is whole; a snapshot that is damaged is a sign that the disk is not.
pub(super) fn conclude(inspection: &Inspection) -> Result<(), Problem> {
    let damaged = inspection.snapshots.iter().filter(|row| row.fault.is_some()).count();
    if damaged == 0 {
        return Ok(());
    }
    let of = text::count(inspection.snapshots.len(), "snapshot");
    let what = format!("damaged: {damaged} of {of}; the log is intact, and a start goes on");
    Err(Problem::verdict(Exit::NotFound, what).hint(
        "see whether the disk is well; raft snapshot now takes a new one, and the two newest are \
         kept",
    ))
}
