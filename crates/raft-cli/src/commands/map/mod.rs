//! The replicated map: `raft put`, `get`, `del`, `cas`, `txn` and `watch`.

mod change;
mod get;
mod records;
mod script;
mod watch;

use std::path::PathBuf;

use bytes::Bytes;
use raft_store::{Answer, Keys, Range, Refusal};

use super::ask::Ask;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::Output;

/// What is to be done with the map.
#[derive(Debug, PartialEq)]
pub(crate) enum MapJob {
    Put { key: Bytes, value: Bytes },
    Get { range: Range, consistency: raft_node::Consistency },
    Delete(Keys),
    Cas { key: Bytes, old: Bytes, new: Bytes },
    Txn(PathBuf),
    Watch { keys: Keys, from: Option<u64> },
}

pub(crate) fn run(ask: &Ask, job: MapJob, output: &Output) -> Result<(), Problem> {
    match job {
        MapJob::Put { key, value } => change::put(ask, key, value, output),
        MapJob::Get { range, consistency } => get::run(ask, range, consistency, output),
        MapJob::Delete(keys) => change::delete(ask, keys, output),
        MapJob::Cas { key, old, new } => change::cas(ask, key, old, new, output),
        MapJob::Txn(path) => change::txn(ask, &path, output),
        MapJob::Watch { keys, from } => watch::run(ask, &keys, from, output),
    }
}

/// What the state machine says, if it is not a refusal.
fn understood(response: &Bytes) -> Result<Answer, Problem> {
    match Answer::decode(response) {
        Ok(Answer::Refused(refusal)) => Err(refused(refusal)),
        Ok(answer) => Ok(answer),
        Err(error) => Err(nonsense(&error.to_string())),
    }
}

fn nonsense(why: &str) -> Problem {
    let what = format!("the answer cannot be understood: {why}");
    Problem::new(Exit::Refused, what).hint("use the program of the same version as the servers")
}

/// Nothing was done. What is not there any more, or not yet, is not found.
fn refused(refusal: Refusal) -> Problem {
    let (exit, hint) = match refusal {
        Refusal::Compacted { .. } => (Exit::NotFound, "what was before is forgotten"),
        Refusal::Future { .. } => (Exit::NotFound, "without --rev the newest is shown"),
        _ => (Exit::Refused, "nothing was done; raft txn -h shows what a transaction takes"),
    };
    Problem::new(exit, refusal.to_string()).hint(hint)
}
