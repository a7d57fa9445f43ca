//! `raft snapshot inspect`: what is in a snapshot, all of it read.

use std::fmt;
use std::fmt::Write as _;
use std::path::Path;

use raft_log::SnapshotReader;
use raft_node::replica::Machine;
use raft_node::snapshots::load;
use raft_node::{Index, Membership};
use raft_store::{Answer, Keys, Only, Query, Range, Store};
use serde_json::json;

use super::{log, none_yet, of, open_saved, problem};
use crate::errors::Problem;
use crate::output::{Format, Output};

/// What a state machine holds, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) struct Holding {
    messages: u64,
    keys: u64,
    revision: u64,
    sessions: usize,
}

pub(super) fn run(path: &Path, output: &Output) -> Result<(), Problem> {
    let (reader, machine) = if path.is_dir() {
        newest(path, output)?
    } else {
        let reader = open_saved(path)?;
        let machine = loaded(&reader)?;
        (reader, machine)
    };
    let (info, holding) = (reader.info(), Holding::of(&machine));
    let cluster = format!("{:032x}", reader.cluster());
    let members = machine.base().map(|base| log::text::members(&base.membership));
    let members = members.unwrap_or_default();
    let parts = reader.parts().len();
    let object = json!({
        "path": path.display().to_string(),
        "cluster": cluster,
        "index": info.id.index.0,
        "term": info.id.term.0,
        "members": members,
        "messages": holding.messages,
        "keys": holding.keys,
        "revision": holding.revision,
        "sessions": holding.sessions,
        "bytes": info.bytes,
        "parts": parts,
    });
    let facts = [
        ("snapshot", path.display().to_string()),
        ("cluster", cluster),
        ("last entry", info.id.to_string()),
        ("members", members.join(", ")),
        ("messages", holding.messages.to_string()),
        ("keys", format!("{}, revision {}", holding.keys, holding.revision)),
        ("sessions", holding.sessions.to_string()),
        ("size", format!("{} bytes, {}", info.bytes, log::text::count(parts, "part"))),
        ("checksums", "right: all of it was read".into()),
    ];
    let mut text = String::new();
    for (name, value) in facts {
        let _ = match output.format {
            Format::Plain => writeln!(text, "{name}\t{value}"),
            _ => writeln!(text, "{name:<10}  {value}"),
        };
    }
    output.line(text.trim_end(), object)
}

/// The newest of a data directory that is of use.
fn newest(dir: &Path, output: &Output) -> Result<(SnapshotReader, Machine), Problem> {
    let snapshots = of(dir)?;
    let mut first = None;
    for id in snapshots.list().map_err(|error| problem(&error))? {
        let opened = snapshots.open(id).map_err(|error| problem(&error));
        match opened.and_then(|reader| Ok((loaded(&reader)?, reader))) {
            Ok((machine, reader)) => return Ok((reader, machine)),
            Err(problem) => {
                output.note(&format!("snapshot {id} is of no use: {}", problem.what));
                first = first.or(Some(problem));
            }
        }
    }
    Err(first.unwrap_or_else(|| none_yet(dir)))
}

/// The machine that goes on from a snapshot: all of it is read for that.
pub(super) fn loaded(reader: &SnapshotReader) -> Result<Machine, Problem> {
    let mut machine =
        Machine::new(Box::new(Store::default()), Index(u64::MAX), Membership::default());
    load(reader, &mut machine).map_err(|error| problem(&error))?;
    Ok(machine)
}

impl Holding {
    pub(in crate::commands) fn of(machine: &Machine) -> Self {
        let ask = |query: Query| Answer::decode(&machine.query(&query.encode()));
        let messages = match ask(Query::Count) {
            Ok(Answer::Count(count)) => count,
            _ => 0,
        };
        let keys = Keys::prefix(Vec::new());
        let range = Range { keys, revision: 0, limit: 0, only: Only::Count };
        let (keys, revision) = match ask(Query::Range(range)) {
            Ok(Answer::Range { revision, found }) => (found.count, revision),
            _ => (0, 0),
        };
        Self { messages, keys, revision, sessions: machine.sessions().count() }
    }
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |number: u64, what| {
            log::text::count(usize::try_from(number).unwrap_or(usize::MAX), what)
        };
        write!(f, "{} and {}", count(self.messages, "message"), count(self.keys, "key"))
    }
}
