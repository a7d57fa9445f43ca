//! What the program can do, one file each. Both faces of the command line end here.

mod append;
pub(crate) mod ask;
mod bench;
mod dev;
mod log;
mod making;
mod manual;
mod map;
mod member;
mod meter;
mod recover;
mod result;
mod server;
mod sim;
mod snapshot;
mod status;
mod transfer;
mod why;

use std::path::PathBuf;

use raft_node::RequestName;

pub(crate) use append::{Message, object as written_object};
pub(crate) use ask::{Ask, Target};
pub(crate) use bench::BenchOptions;
pub(crate) use dev::{DevJob, DevOptions, DevRemote, Who};
pub(crate) use log::{LogJob, LogOptions};
pub(crate) use map::MapJob;
pub(crate) use member::{MemberJob, members_object};
pub(crate) use recover::RecoverOptions;
pub(crate) use server::ServerOptions;
pub(crate) use sim::SimOptions;
pub(crate) use snapshot::{RestoreOptions, SnapshotJob};
pub(crate) use status::StatusOptions;
pub(crate) use status::member_object;

use crate::args::Shell;
use crate::errors::Problem;
use crate::output::Output;

/// One thing to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Server(ServerOptions),
    Append { ask: Ask, message: Message },
    Map { ask: Ask, job: MapJob },
    Members { ask: Ask },
    ChangeMembers { ask: Ask, job: MemberJob, dry_run: bool },
    Transfer { ask: Ask, to: Option<Target> },
    Snapshot { ask: Ask },
    SnapshotFile(SnapshotJob),
    Recover(RecoverOptions),
    Status(StatusOptions),
    Why { ask: Ask },
    Result { ask: Ask, request: RequestName },
    Log(LogOptions),
    Dev(DevOptions),
    DevRemote(DevRemote),
    Bench(BenchOptions),
    Sim(SimOptions),
    Completions(Shell),
    Man { dir: Option<PathBuf> },
}

impl Command {
    pub(crate) fn run(self, output: &Output) -> Result<(), Problem> {
        match self {
            Self::Server(options) => server::run(options, output),
            Self::Append { ask, message } => append::run(&ask, message, output),
            Self::Map { ask, job } => map::run(&ask, job, output),
            Self::Members { ask } => member::list(&ask, output),
            Self::ChangeMembers { ask, job, dry_run } => member::run(&ask, &job, dry_run, output),
            Self::Transfer { ask, to } => transfer::run(&ask, to.as_ref(), output),
            Self::Snapshot { ask } => snapshot::now(&ask, output),
            Self::SnapshotFile(job) => snapshot::run(&job, output),
            Self::Recover(options) => recover::run(&options, output),
            Self::Status(options) => status::run(&options, output),
            Self::Result { ask, request } => result::run(&ask, request, output),
            Self::Why { ask } => why::run(&ask, output),
            Self::Dev(options) => dev::run(&options, output),
            Self::Bench(options) => bench::run(&options, output),
            Self::Sim(options) => sim::run(&options, output),
            Self::Completions(shell) => manual::completions(shell, output),
            Self::Man { dir } => manual::man(dir.as_deref(), output),
            Self::Log(options) => log::run(&options, output),
            Self::DevRemote(remote) => dev::ask(&remote, output),
        }
    }
}
