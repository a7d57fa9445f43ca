//! Environment variables that stand in for options which both faces share.
//!
//! They are not given to the parser: it would take a variable for a classic flag, and a classic
//! flag is refused beside a verb.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use crate::args::{Tuning, address, bytes, duration, election_timeout};
use crate::errors::Problem;
use crate::output::Format;

/// Fills in what the command line left open.
pub(crate) fn complete(mut tuning: Tuning) -> Result<Tuning, Problem> {
    if tuning.data_dir.is_none() {
        let dir = env::var_os("RAFT_DATA_DIR").filter(|dir| !dir.is_empty());
        tuning.data_dir = dir.map(PathBuf::from);
    }
    if tuning.election_timeout.is_none() {
        tuning.election_timeout = parsed("RAFT_ELECTION_TIMEOUT", election_timeout)?;
    }
    if tuning.snapshot_bytes.is_none() {
        tuning.snapshot_bytes = parsed("RAFT_SNAPSHOT_BYTES", bytes)?;
    }
    if tuning.text_log_max.is_none() {
        tuning.text_log_max = parsed("RAFT_TEXT_LOG_MAX", bytes)?;
    }
    if tuning.http.is_none() {
        tuning.http = parsed("RAFT_HTTP", address)?;
    }
    if !tuning.insecure {
        tuning.insecure = parsed("RAFT_INSECURE", switch)?.unwrap_or(false);
    }
    Ok(tuning)
}

pub(crate) fn timeout() -> Result<Option<Duration>, Problem> {
    parsed("RAFT_TIMEOUT", duration)
}

pub(crate) fn format() -> Result<Option<Format>, Problem> {
    parsed("RAFT_OUTPUT", |text| Format::from_str(text, false))
}

/// What stands for a flag that takes no value.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "true" | "yes" => Ok(true),
        "0" | "false" | "no" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

fn parsed<T>(name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, Problem> {
    let Some(text) = env::var_os(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let text = text.to_string_lossy();
    match parse(&text) {
        Ok(value) => Ok(Some(value)),
        Err(why) => Err(Problem::usage(format!("{name}='{text}' in the environment: {why}"))),
    }
}
