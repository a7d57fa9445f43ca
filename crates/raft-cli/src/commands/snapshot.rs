//! `raft snapshot`: snapshots, which stand for the log below them.

use serde_json::json;

use super::ask::Ask;
use crate::errors::{Problem, READ};
use crate::output::Output;

pub(crate) fn now(ask: &Ask, output: &Output) -> Result<(), Problem> {
    let asked = ask.client(output)?.snapshot().wait();
    let (at, bytes, served) = asked.map_err(|error| ask.problem(&error, READ))?;
    let object = json!({
        "index": at.index.0,
        "term": at.term.0,
        "bytes": bytes,
        "contacted": served.contacted,
    });
    let text = match bytes {
        0 => format!("the snapshot at {at} holds everything already"),
        _ => format!("snapshot at {at}, {} bytes", bytes),
    };
    output.line(&text, object)
}
