//! `raft watch`: what happens to keys, as it happens. The question for what is new waits at the
//! server until there is something; after a failure another server is asked for what comes after
//! the last revision that was shown, so nothing is left out and nothing is shown twice.

use std::io::{self, ErrorKind, Write};

use raft_node::{Consistency, News};
use raft_store::{Answer, Keys, Only, Query, Range, Record};
use serde_json::{Map, json};

use super::records::{object, shown};
use super::{nonsense, understood};
use crate::commands::ask::Ask;
use crate::errors::{Problem, READ};
use crate::exit::Exit;
use crate::output::{self, Output};

/// The revision of an empty map: nothing happened before.
const EMPTY: u64 = 1;

/// So long a server keeps a question for news, in milliseconds.
const WITHIN: u32 = 30_000;

pub(super) fn run(
    ask: &Ask,
    keys: &Keys,
    from: Option<u64>,
    output: &Output,
) -> Result<(), Problem> {
    let client = ask.client(output)?;
    let failed = |error| ask.problem(&error, READ);
    // What was done before is known, wherever it was done.
    let now = Query::Range(Range { only: Only::Count, ..Range::of(keys.clone()) }).encode();
    let (answer, _) = client.read(now, Consistency::Linearizable).wait().map_err(failed)?;
    let Answer::Range { revision, .. } = understood(&answer.response)? else {
        return Err(nonsense("it is not about keys"));
    };
    let mut after = from.map_or(revision, |from| (from - 1).max(EMPTY));
    // Whoever wants what is past does not wait for it.
    let mut version = if from.is_some() { 0 } else { answer.version };
    loop {
        let query = Query::Events { keys: keys.clone(), after }.encode();
        let asked = client.read_news(query, News { after: version, within: WITHIN }).wait();
        let (answer, _) = asked.map_err(failed).map_err(|problem| go_on(problem, after))?;
        let Answer::Events { revision, through, events } = understood(&answer.response)? else {
            return Err(nonsense("it is not about what happened"));
        };
        if !show(&events, output)? {
            return Ok(());
        }
        after = after.max(through);
        version = if through < revision { 0 } else { answer.version };
    }
}

fn go_on(problem: Problem, after: u64) -> Problem {
    problem.hint(format!("--from {} goes on where this ends", after + 1))
}

/// Says whether anybody still reads.
fn show(events: &[Record], output: &Output) -> Result<bool, Problem> {
    let mut stdout = io::stdout().lock();
    let mut write = || {
        for event in events {
            writeln!(stdout, "{}", line(event, output))?;
        }
        stdout.flush()
    };
    match write() {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            Err(Problem::new(Exit::Io, format!("standard output cannot be written: {error}")))
        }
    }
}

fn line(event: &Record, output: &Output) -> String {
    let what = if event.is_deleted() { "del" } else { "put" };
    if output.format.is_json() {
        let mut fields = Map::new();
        fields.insert("event".into(), what.into());
        if let serde_json::Value::Object(record) = object(event, event.is_deleted()) {
            fields.extend(record);
        }
        return output::versioned(json!(fields)).to_string();
    }
    let mut cells = vec![event.mod_revision().to_string(), what.into(), shown(event.key())];
    if !event.is_deleted() {
        cells.push(shown(event.value()));
    }
    cells.join(if output.format == output::Format::Plain { "\t" } else { "  " })
}
