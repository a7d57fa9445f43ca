//! The command line, both faces of it.
//!
//! The classic flags (`-c -p -C -m -S -h`) stand at the top level; the verbs are subcommands. No
//! verb gives one of the classic letters a second meaning.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use raft_node::Address;

use crate::output::Format;

mod bench;
mod map;
mod member;
mod recovery;
mod sim;

pub(crate) use bench::{BenchArgs, Load, System, Work};
pub(crate) use map::{CasArgs, DelArgs, GetArgs, PutArgs, TxnArgs, WatchArgs};
pub(crate) use member::{ChangeArgs, MemberVerb};
pub(crate) use recovery::{RecoverArgs, RestoreArgs, SnapshotVerb};
pub(crate) use sim::{Seeds, SimArgs};

const USAGE: &str = "raft <COMMAND> [OPTIONS]
       raft -c ADDRESSES -p ADDRESS                 (classic: run a server)
       raft -C COMMAND -m TEXT -S ADDRESSES         (classic: ask a server)";

const AFTER_HELP: &str = "\
Addresses: 9990, :9990, host:9990 or [::1]:9990. Without a host: this machine only.

Examples:
  raft dev                                          three servers to play with
  raft append 'I like beer.'                        append a message, at :9990
  raft put beer cold && raft get beer               a key and its value
  raft -c ':9990,:9991,:9992' -p 9990               run the first of three servers
  raft -C clientcommand -m 'I like beer.' -S :9990  append a message
  raft -C clientcommand -m count -S :9990           every server shows the number of messages
  raft -C clientcommand -m print -S :9990           every server shows the messages
  raft -c ':9990,:9991,:9992' -p :9993              run a server that waits to be added
  raft -C addserver -m :9993 -S :9990               add it
  raft -C removeserver -m :9993 -S :9990            remove it
  raft log verify ~/.goraft/HOST_9990               is that log intact?

Exit codes:
  0 done   1 refused, certainly not applied   2 usage   3 not found or unhealthy
  4 no leader reached in time, nothing sent   5 outcome unknown   6 TLS or authorisation
  7 damaged data   8 write or sync failed   9 data directory held by another process
  10 other cluster or identity   11 format too new   130 interrupted";

/// A replicated log: one command, several machines, no lost writes.
#[derive(Debug, Parser)]
#[command(
    name = "raft",
    version,
    override_usage = USAGE,
    after_help = AFTER_HELP,
    args_override_self = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    /// How results are written: table, plain, json or jsonl [default: table] [env: RAFT_OUTPUT=]
    #[arg(short, long, global = true, value_name = "FORMAT", hide_possible_values = true)]
    pub(crate) output: Option<Format>,
    #[command(flatten)]
    pub(crate) classic: Classic,
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// The flags of the original program, and the options that go with them. Environment variables
/// are looked up later: a variable must not count as a classic flag.
#[derive(Debug, Default, PartialEq, Args)]
#[command(next_help_heading = "Classic flags")]
pub(crate) struct Classic {
    /// Server: the addresses of all members, this one included
    #[arg(short = 'c', alias = "c", value_name = "ADDRESSES")]
    pub(crate) cluster: Option<String>,
    /// Server: which of them is this one; one that is not among them waits to be added
    #[arg(short = 'p', alias = "p", value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Client: clientcommand, addserver or removeserver
    #[arg(short = 'C', alias = "C", value_name = "COMMAND")]
    pub(crate) command: Option<String>,
    /// Client: the message (`count` and `print` are special), or the server's address
    #[arg(short = 'm', alias = "m", value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) message: Option<OsString>,
    /// Client: the servers to ask, any of them
    #[arg(short = 'S', alias = "S", value_name = "ADDRESSES")]
    pub(crate) endpoints: Option<String>,
    #[command(flatten)]
    pub(crate) tuning: Tuning,
    /// How long a client waits for an answer [default: 5s] [env: RAFT_TIMEOUT=]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// The same as -h, as the original spelled it
    #[arg(long = "h", hide = true, action = clap::ArgAction::Help)]
    spelled_h: Option<bool>,
}

/// Options of a server that both faces share.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct Tuning {
    /// Where a server's data is [default: ~/.goraft/HOSTNAME_PORT] [env: RAFT_DATA_DIR=]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// How long a server waits without a leader before an election [default: 1s]
    /// [env: RAFT_ELECTION_TIMEOUT=]
    #[arg(long, value_name = "TIME", value_parser = election_timeout)]
    pub(crate) election_timeout: Option<Duration>,
    /// Serve the live page, metrics and health over HTTP at this address [env: RAFT_HTTP=]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) http: Option<Address>,
    /// Take a snapshot after so many bytes of log, as in 64MiB [default: 256MiB] [env: RAFT_SNAPSHOT_BYTES=]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) snapshot_bytes: Option<u64>,
    /// Take a snapshot after so many entries [default: 4000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) snapshot_entries: Option<u64>,
    /// Refuse messages that would make the text log larger than this [default: 4GiB]
    /// [env: RAFT_TEXT_LOG_MAX=]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) text_log_max: Option<u64>,
    /// Let a server listen beyond this machine, without encryption [env: RAFT_INSECURE=]
    #[arg(long)]
    pub(crate) insecure: bool,
    /// The member of this data directory listens here from now on: see `raft member update`
    #[arg(long)]
    pub(crate) moved: bool,
}

#[derive(Debug, PartialEq, Subcommand)]
pub(crate) enum Verb {
    /// Run one server
    Server(ServerArgs),
    /// Append a message to the log
    Append(AppendArgs),
    /// Append `count`: every server shows the number of messages
    Count(ClientArgs),
    /// Append `print`: every server shows all messages
    Print(ClientArgs),
    /// Set the value of a key
    Put(PutArgs),
    /// Show the value of a key, or of many; exit 3 if there is none
    Get(GetArgs),
    /// Delete a key, or many; exit 3 if there is none
    Del(DelArgs),
    /// Compare and set: change the value of a key if it is OLD; exit 1 if it is another
    Cas(CasArgs),
    /// Do several things at once, if conditions hold
    Txn(TxnArgs),
    /// Show what happens to a key, or to many, until Ctrl-C
    Watch(WatchArgs),
    /// List, add, remove, replace and move members
    #[command(subcommand)]
    Member(MemberVerb),
    /// Hand leadership over to another member
    Transfer(TransferArgs),
    /// Take, keep and restore snapshots, which stand for the log below them
    #[command(subcommand)]
    Snapshot(SnapshotVerb),
    /// Make a new cluster of the last member of one that lost its majority for good
    Recover(RecoverArgs),
    /// Show how each member is; exit 3 if one is not well
    Status(StatusArgs),
    /// Say why there is no leader, a member lags, a change waits or writes are refused; exit 3 if
    /// anything is wrong
    Why(ClientArgs),
    /// Say what became of a write whose outcome is unknown; if it is not applied yet, it never
    /// will be
    Result(ResultArgs),
    /// Look at the log in a data directory, also while its server runs
    #[command(subcommand)]
    Log(LogVerb),
    /// Run a cluster of local servers to play with
    Dev(DevArgs),
    /// Measure how fast a cluster appends, writes and reads
    Bench(BenchArgs),
    /// Run whole clusters in simulation, with all the trouble that they can have; exit 1 if one fails
    Sim(SimArgs),
    /// Write what completes this command line in your shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual: one page, or all pages into a directory
    Man {
        /// For `raft.1`, `raft-append.1` and so on; made if it is not there
        dir: Option<PathBuf>,
    },
}

/// A shell that can complete command lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct ServerArgs {
    /// The addresses of all founding members, this one included
    #[arg(long, value_name = "ADDRESSES", env = "RAFT_CLUSTER")]
    pub(crate) cluster: Option<String>,
    /// This server's address; one that is not in --cluster waits to be added
    #[arg(long, value_name = "ADDRESS", env = "RAFT_LISTEN", default_value = ":9990")]
    pub(crate) listen: String,
    #[command(flatten)]
    pub(crate) tuning: Tuning,
    /// End when standard input ends: how `raft dev` takes its servers along
    #[arg(long, hide = true)]
    pub(crate) until_stdin_closes: bool,
}

/// Where and for how long a client asks.
#[derive(Clone, Debug, PartialEq, Args)]
pub(crate) struct ClientArgs {
    /// The servers to ask, any of them
    #[arg(long, value_name = "ADDRESSES", env = "RAFT_ENDPOINTS", default_value = ":9990")]
    pub(crate) endpoints: String,
    /// How long to wait for an answer [default: 5s]
    #[arg(long, value_name = "TIME", env = "RAFT_TIMEOUT", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct StatusArgs {
    /// Look again every so many seconds, until q or Ctrl-C [default: 2]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
          value_parser = interval)]
    pub(crate) watch: Option<Duration>,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct ResultArgs {
    /// The request, as it was named when its outcome was: 17/1
    pub(crate) request: String,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct AppendArgs {
    /// The message
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub(crate) text: Option<OsString>,
    /// Take the message from a file, byte for byte (- is standard input)
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct TransferArgs {
    /// The new leader's address or id (n3) [default: the member that is most up to date]
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, PartialEq, Subcommand)]
pub(crate) enum LogVerb {
    /// Show whose log it is, its slots, and how far it goes
    Stat(LogArgs),
    /// Show slots, blocks and entries
    Dump {
        #[command(flatten)]
        log: LogArgs,
        /// Only entries from this index on
        #[arg(long, value_name = "INDEX", default_value_t = 1)]
        from: u64,
        /// Only entries up to this index
        #[arg(long, value_name = "INDEX", default_value_t = u64::MAX, hide_default_value = true)]
        to: u64,
        /// Slots and blocks without their entries
        #[arg(long)]
        blocks: bool,
    },
    /// Read all of it and tell whether it is intact; exit 7 if it is damaged
    Verify(LogArgs),
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct LogArgs {
    /// The data directory; nothing in it is changed
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, PartialEq, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DevArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<DevVerb>,
    /// How many servers, 1 to 7
    #[arg(short, long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u8).range(1..=7))]
    pub(crate) nodes: u8,
    /// Keep the data here, and go on with what is there [default: a fresh temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// How long without a leader before an election
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = election_timeout)]
    pub(crate) election_timeout: Duration,
}

/// What another terminal may ask of a local cluster.
#[derive(Debug, PartialEq, Subcommand)]
pub(crate) enum DevVerb {
    /// Show the servers of the running local cluster
    Ls(DevWhich),
    /// Kill a server (kill -9): its address, its id (n2), or `leader`
    Kill(DevServer),
    /// Start a server again; one that runs is stopped first
    Restart(DevServer),
    /// Start one more server and add it to the cluster
    Add(DevWhich),
    /// Show what a server wrote
    Logs(DevServer),
}

/// Which local cluster.
#[derive(Debug, PartialEq, Args)]
pub(crate) struct DevWhich {
    /// The directory of the cluster [default: the one that was started last]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// Which of its servers.
#[derive(Debug, PartialEq, Args)]
pub(crate) struct DevServer {
    /// Its address, its id (n2), or `leader`
    #[arg(value_name = "ID")]
    pub(crate) server: String,
    #[command(flatten)]
    pub(crate) which: DevWhich,
}

/// Nobody waits longer; and what is added to a clock has to stay a time.
const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);

/// `5s`, `300ms`, `1m30s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().ok();
    match parsed.and_then(|signed| Duration::try_from(signed).ok()) {
        Some(duration) if duration > DURATION_MAX => Err("longer than a year".into()),
        Some(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("not a time above zero: write it like 5s, 300ms or 1m30s".into()),
    }
}

/// `2`, `0.5`, or a time with a unit.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(Duration::try_from_secs_f64);
    let interval = match seconds {
        Some(seconds) => seconds.map_err(|error| error.to_string())?,
        None => duration(text)?,
    };
    if (Duration::from_millis(100)..=Duration::from_secs(86_400)).contains(&interval) {
        Ok(interval)
    } else {
        Err("from 0.1 seconds to a day".into())
    }
}

/// Below 50 ms ordinary hiccups of a machine look like dead leaders.
pub(crate) fn election_timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration(text)?;
    if (Duration::from_millis(50)..=Duration::from_secs(60)).contains(&timeout) {
        Ok(timeout)
    } else {
        Err("an election timeout is from 50ms to 60s, the same on all members".into())
    }
}

/// `4096`, `64KiB`, `256MiB`, `1GiB`: at least one byte.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let factor = match unit.trim() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let number = number.parse::<u64>().ok().filter(|number| *number > 0);
    number
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .ok_or_else(|| "bytes as in 4096, 64KiB, 256MiB or 1GiB".into())
}

/// One address.
pub(crate) fn address(text: &str) -> Result<Address, String> {
    text.trim().parse::<Address>().map_err(|error| error.to_string())
}

/// `a, b,c`: at least one address, none twice.
pub(crate) fn addresses(text: &str) -> Result<Vec<Address>, String> {
    let mut list = Vec::new();
    for part in text.split(',') {
        let parsed = address(part)?;
        if list.contains(&parsed) {
            return Err(format!("{parsed} is listed twice"));
        }
        list.push(parsed);
    }
    Ok(list)
}

#[cfg(test)]
mod tests;
