//! `raft get`.

use raft_node::{Consistency, ReadAnswer, Served};
use raft_store::{Answer, Found, Keys, Only, Query, Range};
use serde_json::{Map, Value};

use super::records::{object, shown, table};
use super::{nonsense, understood};
use crate::commands::ask::Ask;
use crate::errors::{Problem, READ};
use crate::exit::Exit;
use crate::output::Output;

pub(super) fn run(
    ask: &Ask,
    range: Range,
    consistency: Consistency,
    output: &Output,
) -> Result<(), Problem> {
    let query = Query::Range(range.clone()).encode();
    let (answer, served) = (ask.client(output)?.read(query, consistency).wait())
        .map_err(|error| ask.problem(&error, READ))?;
    let Answer::Range { revision, found } = understood(&answer.response)? else {
        return Err(nonsense("it is not about keys"));
    };
    if answer.stale && !output.format.is_json() {
        let Served { contacted, .. } = &served;
        let applied = answer.applied;
        output.note(&format!("as {contacted} has it, at index {applied}: others may know more"));
    }
    if found.records.is_empty() {
        return Err(not_found(&range));
    }
    if found.more && !output.format.is_json() {
        output.note(&format!("{} of {} keys", found.records.len(), found.count));
    }
    let keys_only = range.only == Only::Keys;
    match &range.keys {
        Keys::One(_) if !output.format.is_json() => alone(&found, keys_only, output),
        _ => {
            let objects = found.records.iter().map(|record| object(record, keys_only)).collect();
            let document = document(revision, &found, &answer, &served);
            output.table(&table(&found, keys_only, output), "records", objects, document)
        }
    }
}

/// The value of one key, byte for byte, and a line feed.
fn alone(found: &Found, keys_only: bool, output: &Output) -> Result<(), Problem> {
    output.raw(|to| {
        for record in &found.records {
            to.write_all(if keys_only { record.key() } else { record.value() })?;
            to.write_all(b"\n")?;
        }
        Ok(())
    })
}

fn document(
    revision: u64,
    found: &Found,
    answer: &ReadAnswer,
    served: &Served,
) -> Map<String, Value> {
    let mut document = Map::new();
    document.insert("revision".into(), revision.into());
    document.insert("count".into(), found.count.into());
    document.insert("more".into(), found.more.into());
    document.insert("applied_index".into(), answer.applied.0.into());
    document.insert("stale".into(), answer.stale.into());
    document.insert("contacted".into(), served.contacted.clone().into());
    document
}

pub(super) fn not_found(range: &Range) -> Problem {
    let what = match &range.keys {
        Keys::One(key) => format!("there is no key {}", shown(key)),
        Keys::From(first) if first.is_empty() => "there are no keys".into(),
        Keys::Between(first, _) | Keys::From(first) => {
            format!("there is no key that begins with {}", shown(first))
        }
    };
    let then = if range.revision == 0 { String::new() } else { format!(" at {}", range.revision) };
    Problem::new(Exit::NotFound, what + &then).hint("raft get '' --prefix shows all keys")
}
