//! Keys and values: `raft put`, `get`, `del`, `cas`, `txn` and `watch`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, value_parser};
use raft_node::Consistency;

use super::ClientArgs;

/// What a transaction is written in.
pub(crate) const SCRIPT_HELP: &str = "\
A transaction is text, one step a line; # begins a comment. If all conditions hold, the `then` steps
are done, else the `else` steps, all at one revision:

  if beer = cold                the value (=, !=, <, >), as bytes
  if wine absent                or: exists
  if version beer > 2           or: create_revision, mod_revision
  then put beer 'not so cold'
  then del wine/ --prefix
  then get beer
  else get beer

Words are separated by spaces. In '...' all is taken as it stands; in \"...\" \\n \\r \\t \\\\ \\\"
and \\xNN stand for bytes.";

#[derive(Debug, PartialEq, Args)]
pub(crate) struct PutArgs {
    /// The key
    pub(crate) key: OsString,
    /// Its value from now on
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: OsString,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct GetArgs {
    /// The key
    pub(crate) key: OsString,
    /// All keys that begin like this; all there are if it is empty
    #[arg(long)]
    pub(crate) prefix: bool,
    /// As it was at this revision
    #[arg(long, value_name = "REVISION", value_parser = value_parser!(u64).range(1..))]
    pub(crate) rev: Option<u64>,
    /// At most so many keys
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// linearizable: nothing that was done before is missing. local: what the asked server has,
    /// also without a leader
    #[arg(long, value_name = "WHICH", default_value = "linearizable",
          hide_possible_values = true,
          value_parser = consistency())]
    pub(crate) consistency: Consistency,
    /// Without the values
    #[arg(long)]
    pub(crate) keys_only: bool,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct DelArgs {
    /// The key
    pub(crate) key: OsString,
    /// All keys that begin like this
    #[arg(long)]
    pub(crate) prefix: bool,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct CasArgs {
    /// The key
    pub(crate) key: OsString,
    /// The value that has to be there
    #[arg(allow_hyphen_values = true)]
    pub(crate) old: OsString,
    /// The value from then on
    #[arg(allow_hyphen_values = true)]
    pub(crate) new: OsString,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, PartialEq, Args)]
#[command(after_help = SCRIPT_HELP)]
pub(crate) struct TxnArgs {
    /// Where the transaction is written (- is standard input)
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct WatchArgs {
    /// The key
    pub(crate) key: OsString,
    /// All keys that begin like this; all there are if it is empty
    #[arg(long)]
    pub(crate) prefix: bool,
    /// What happened from this revision on, first [default: what happens from now on]
    #[arg(long, value_name = "REVISION", value_parser = value_parser!(u64).range(1..))]
    pub(crate) from: Option<u64>,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

pub(super) fn consistency() -> impl TypedValueParser<Value = Consistency> {
    PossibleValuesParser::new(["linearizable", "local"]).map(|name| match name.as_str() {
        "local" => Consistency::Local,
        _ => Consistency::Linearizable,
    })
}
