//! `raft put`, `del`, `cas` and `txn`: all of them are transactions.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use raft_node::Written;
use raft_store::{Answer, Command, Done, Found, Keys, Op, Range, Txn};
use serde_json::{Value, json};

use super::get::not_found;
use super::records::{object, shown};
use super::script::parse;
use super::{nonsense, understood};
use crate::commands::ask::{self, Ask};
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::{Output, Table};

/// Room for the largest values, written as escapes.
const SCRIPT_BYTES_MAX: u64 = 64 << 20;

/// What came of a transaction.
struct Outcome {
    revision: u64,
    succeeded: bool,
    done: Vec<Done>,
    written: Written,
}

impl Outcome {
    fn object(&self, mut fields: Value) -> Value {
        fields["revision"] = self.revision.into();
        fields["index"] = self.written.at.index.0.into();
        fields["term"] = self.written.at.term.0.into();
        fields["contacted"] = self.written.served.contacted.clone().into();
        fields["forwarded_to"] = self.written.served.forwarded_to.clone().into();
        fields
    }
}

pub(super) fn put(ask: &Ask, key: Bytes, value: Bytes, output: &Output) -> Result<(), Problem> {
    let outcome = submit(ask, Txn::put(key, value), "put", output)?;
    output.line(&format!("put at revision {}", outcome.revision), outcome.object(json!({})))
}

pub(super) fn delete(ask: &Ask, keys: Keys, output: &Output) -> Result<(), Problem> {
    let outcome = submit(ask, Txn::delete(keys.clone()), "deleted", output)?;
    let Some(Done::Deleted(count)) = outcome.done.first().cloned() else {
        return Err(nonsense("it is not about a deletion"));
    };
    if count == 0 {
        return Err(not_found(&Range::of(keys)));
    }
    let text = format!("deleted {} at revision {}", keys_of(count), outcome.revision);
    output.line(&text, outcome.object(json!({ "deleted": count })))
}

pub(super) fn cas(
    ask: &Ask,
    key: Bytes,
    old: Bytes,
    new: Bytes,
    output: &Output,
) -> Result<(), Problem> {
    let outcome = submit(ask, Txn::cas(key.clone(), Some(old), new), "changed", output)?;
    if outcome.succeeded {
        let text = format!("changed at revision {}", outcome.revision);
        return output.line(&text, outcome.object(json!({})));
    }
    match outcome.done.first() {
        Some(Done::Got(Found { records, .. })) => Err(match records.first() {
            None => not_found(&Range::of(Keys::One(key))),
            Some(record) => {
                let what = format!("the value of {} is another one", shown(&key));
                let now = format!("it is {} since revision", shown(record.value()));
                let hint = format!("nothing was changed; {now} {}", record.mod_revision());
                Problem::new(Exit::Refused, what).hint(hint)
            }
        }),
        _ => Err(nonsense("it is not about a change")),
    }
}

pub(super) fn txn(ask: &Ask, path: &Path, output: &Output) -> Result<(), Problem> {
    let txn = parse(&read(path)?).map_err(|error| {
        let what = format!("{}: {error}", path.display());
        Problem::usage(what).hint("raft txn -h shows how a transaction is written")
    })?;
    txn.check().map_err(super::refused)?;
    let (success, failure) = (txn.success.clone(), txn.failure.clone());
    let outcome = submit(ask, txn, "done", output)?;
    let steps = if outcome.succeeded { success } else { failure };
    if !outcome.succeeded && steps.is_empty() {
        let what = "a condition does not hold: nothing was done";
        return Err(Problem::new(Exit::Refused, what).hint("with `else get KEY` it says what is"));
    }
    if !output.format.is_json() {
        let held = if outcome.succeeded { "all conditions hold" } else { "a condition fails" };
        output.note(&format!("{held}, revision {}", outcome.revision));
    }
    let mut table = Table::new(&["step", "key", "result"]);
    for (step, done) in steps.iter().zip(&outcome.done) {
        rows(step, done, &mut table);
    }
    let objects = outcome.done.iter().map(step_object).collect();
    let document = outcome.object(json!({ "succeeded": outcome.succeeded }));
    let Value::Object(document) = document else { return Err(nonsense("no document")) };
    output.table(&table, "steps", objects, document)
}

fn submit(ask: &Ask, txn: Txn, action: &str, output: &Output) -> Result<Outcome, Problem> {
    let client = ask.client(output)?;
    ask::on_interrupt("interrupted: it may have been done", output)?;
    let written = client.write(Command::from(txn).encode()).wait();
    let written = written.map_err(|error| ask.problem(&error, action))?;
    ask::forwarded(&written.served, output);
    match understood(&written.response)? {
        Answer::Txn { revision, succeeded, done } => {
            Ok(Outcome { revision, succeeded, done, written })
        }
        _ => Err(nonsense("it is not about a transaction")),
    }
}

fn rows(step: &Op, done: &Done, table: &mut Table) {
    let mut row = |name: &str, key: &[u8], result: String| {
        table.row(vec![name.into(), shown(key), result]);
    };
    match (step, done) {
        (Op::Put(key, _), _) => row("put", key, "done".into()),
        (Op::Delete(keys), Done::Deleted(count)) => {
            row("del", first(keys), format!("{} deleted", keys_of(*count)));
        }
        (Op::Get(range), Done::Got(found)) if found.records.is_empty() => {
            row("get", first(&range.keys), "-".into());
        }
        (_, Done::Got(found)) => {
            for record in &found.records {
                row("get", record.key(), shown(record.value()));
            }
        }
        (step, _) => row("?", b"", step.to_string()),
    }
}

fn step_object(done: &Done) -> Value {
    match done {
        Done::Put => json!({ "done": "put" }),
        Done::Deleted(count) => json!({ "done": "deleted", "deleted": count }),
        Done::Got(found) => {
            let records = found.records.iter().map(|record| object(record, false));
            let records: Vec<Value> = records.collect();
            json!({ "done": "got", "count": found.count, "more": found.more, "records": records })
        }
    }
}

fn first(keys: &Keys) -> &[u8] {
    let (Keys::One(key) | Keys::Between(key, _) | Keys::From(key)) = keys;
    key
}

fn keys_of(count: u64) -> String {
    if count == 1 { "1 key".into() } else { format!("{count} keys") }
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let cannot = |error: io::Error| {
        Problem::usage(format!("cannot read the transaction from {}: {error}", path.display()))
    };
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(cannot)?)
    };
    let mut bytes = Vec::new();
    source.take(SCRIPT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > SCRIPT_BYTES_MAX {
        let what = format!("{} has more than {SCRIPT_BYTES_MAX} bytes", path.display());
        return Err(Problem::new(Exit::Refused, what).hint("nothing was sent; split it"));
    }
    Ok(bytes)
}
