//! The verbs, as commands.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use bytes::Bytes;
use raft_store::{Keys, Only, Range};

use crate::args::{
    BenchArgs, CasArgs, ChangeArgs, ClientArgs, DelArgs, DevArgs, DevVerb, GetArgs, LogArgs,
    LogVerb, MemberVerb, PutArgs, RestoreArgs, ServerArgs, SnapshotVerb, System, TxnArgs, Verb,
    WatchArgs, Work, address, addresses,
};
use crate::commands::{
    Ask, BenchOptions, Command, DevJob, DevOptions, DevRemote, LogJob, LogOptions, MapJob,
    MemberJob, Message, RecoverOptions, RestoreOptions, ServerOptions, SimOptions, SnapshotJob,
    StatusOptions, Target, Who,
};
use crate::environment;
use crate::errors::Problem;
use crate::select::MODERN;

/// What the verb asks for.
pub(crate) fn command(verb: Verb) -> Result<Command, Problem> {
    Ok(match verb {
        Verb::Server(args) => Command::Server(server(args)?),
        Verb::Append(args) => {
            let message = match (args.text, args.file) {
                (Some(text), _) => Message::Given { by: "TEXT", bytes: text.into_vec() },
                (None, file) => Message::File(file.unwrap_or_default()),
            };
            Command::Append { ask: ask(&args.client)?, message }
        }
        Verb::Count(client) => append(&client, raft_store::COUNT)?,
        Verb::Print(client) => append(&client, raft_store::PRINT)?,
        Verb::Put(PutArgs { key, value, client }) => {
            let (key, value) = (whole_key(key)?, bytes(value));
            Command::Map { ask: ask(&client)?, job: MapJob::Put { key, value } }
        }
        Verb::Get(args) => Command::Map { ask: ask(&args.client)?, job: get(args)? },
        Verb::Del(DelArgs { key, prefix, client }) => {
            Command::Map { ask: ask(&client)?, job: MapJob::Delete(keys(key, prefix)?) }
        }
        Verb::Cas(CasArgs { key, old, new, client }) => {
            let (key, old, new) = (whole_key(key)?, bytes(old), bytes(new));
            Command::Map { ask: ask(&client)?, job: MapJob::Cas { key, old, new } }
        }
        Verb::Txn(TxnArgs { file, client }) => {
            Command::Map { ask: ask(&client)?, job: MapJob::Txn(file) }
        }
        Verb::Watch(WatchArgs { key, prefix, from, client }) => {
            let job = MapJob::Watch { keys: keys(key, prefix)?, from };
            Command::Map { ask: ask(&client)?, job }
        }
        Verb::Member(verb) => members(verb)?,
        Verb::Transfer(args) => {
            let to = args.to.as_deref().map(Target::parse).transpose()?;
            Command::Transfer { ask: ask(&args.client)?, to }
        }
        Verb::Snapshot(verb) => snapshot(verb)?,
        Verb::Recover(args) => Command::Recover(RecoverOptions { dir: args.dir, yes: args.yes }),
        Verb::Status(args) => {
            Command::Status(StatusOptions { ask: ask(&args.client)?, watch: args.watch })
        }
        Verb::Result(args) => {
            let request = args.request.parse();
            let request = request.map_err(|why| Problem::usage(format!("REQUEST: {why}")))?;
            Command::Result { ask: ask(&args.client)?, request }
        }
        Verb::Why(client) => Command::Why { ask: ask(&client)? },
        Verb::Completions { shell } => Command::Completions(shell),
        Verb::Man { dir } => Command::Man { dir },
        Verb::Log(verb) => Command::Log(log(verb)?),
        Verb::Dev(DevArgs { verb: Some(verb), .. }) => Command::DevRemote(remote(verb)?),
        Verb::Dev(args) => Command::Dev(DevOptions {
            nodes: args.nodes.into(),
            dir: args.dir,
            election_timeout: args.election_timeout,
        }),
        Verb::Bench(args) => Command::Bench(bench(args)?),
        Verb::Sim(args) => Command::Sim(SimOptions { args }),
    })
}

fn bench(args: BenchArgs) -> Result<BenchOptions, Problem> {
    if args.load.target == System::Etcd {
        if args.local {
            let why = "--local starts servers of this program: start those of etcd yourself";
            return Err(Problem::usage(why).hint("raft bench put --target etcd --endpoints :2379"));
        }
        if args.load.work == Work::Append {
            let why = "etcd has no messages to append: measure put, get or mixed";
            return Err(Problem::usage(why).hint("raft bench put --target etcd --endpoints :2379"));
        }
    }
    let (ask, local, dir) = (ask(&args.client)?, args.local, args.dir);
    Ok(BenchOptions { ask, local, dir, load: args.load })
}

fn members(verb: MemberVerb) -> Result<Command, Problem> {
    let one =
        |name, text: &str| address(text).map_err(|why| Problem::usage(format!("{name}: {why}")));
    let (job, how) = match verb {
        MemberVerb::List(client) => return Ok(Command::Members { ask: ask(&client)? }),
        MemberVerb::Add { address, how } => (MemberJob::Add(one("ADDRESS", &address)?), how),
        MemberVerb::Remove { member, how } => (MemberJob::Remove(Target::parse(&member)?), how),
        MemberVerb::Demote { member, how } => (MemberJob::Demote(Target::parse(&member)?), how),
        MemberVerb::Replace { old, new, how } => {
            (MemberJob::Replace { old: Target::parse(&old)?, new: one("NEW", &new)? }, how)
        }
        MemberVerb::Update { member, address, client } => {
            let (member, address) = (Target::parse(&member)?, one("ADDRESS", &address)?);
            let how = ChangeArgs { dry_run: false, client };
            (MemberJob::Update { member, address }, how)
        }
    };
    Ok(Command::ChangeMembers { ask: ask(&how.client)?, job, dry_run: how.dry_run })
}

fn server(args: ServerArgs) -> Result<ServerOptions, Problem> {
    let listen = address(&args.listen).map_err(|why| Problem::usage(format!("--listen: {why}")))?;
    let cluster = args.cluster.filter(|text| !text.is_empty());
    let cluster = cluster.map(|text| addresses(&text)).transpose();
    Ok(ServerOptions {
        flags: MODERN,
        listen,
        cluster: cluster.map_err(|why| Problem::usage(format!("--cluster: {why}")))?,
        tuning: environment::complete(args.tuning)?,
        until_stdin_closes: args.until_stdin_closes,
    })
}

fn remote(verb: DevVerb) -> Result<DevRemote, Problem> {
    let (which, job) = match verb {
        DevVerb::Ls(which) => (which, DevJob::Ls),
        DevVerb::Add(which) => (which, DevJob::Add),
        DevVerb::Kill(server) => (server.which, DevJob::Kill(Who::parse(&server.server)?)),
        DevVerb::Restart(server) => (server.which, DevJob::Restart(Who::parse(&server.server)?)),
        DevVerb::Logs(server) => (server.which, DevJob::Logs(Who::parse(&server.server)?)),
    };
    Ok(DevRemote { dir: which.dir, job })
}

fn log(verb: LogVerb) -> Result<LogOptions, Problem> {
    let (dir, job) = match verb {
        LogVerb::Stat(LogArgs { dir }) => (dir, LogJob::Stat),
        LogVerb::Verify(LogArgs { dir }) => (dir, LogJob::Verify),
        LogVerb::Dump { log: LogArgs { dir }, from, to, blocks } => {
            if from > to {
                return Err(Problem::usage(format!("--from {from} is behind --to {to}")));
            }
            (dir, LogJob::Dump { from, to, blocks })
        }
    };
    Ok(LogOptions { dir, job })
}

fn snapshot(verb: SnapshotVerb) -> Result<Command, Problem> {
    Ok(Command::SnapshotFile(match verb {
        SnapshotVerb::Now(client) => return Ok(Command::Snapshot { ask: ask(&client)? }),
        SnapshotVerb::Ls { dir } => SnapshotJob::Ls { dir },
        SnapshotVerb::Save { dir, file, force } => SnapshotJob::Save { dir, file, force },
        SnapshotVerb::Inspect { path } => SnapshotJob::Inspect { path },
        SnapshotVerb::Restore(args) => SnapshotJob::Restore(restore(args)?),
    }))
}

fn restore(args: RestoreArgs) -> Result<RestoreOptions, Problem> {
    let cluster = args.cluster.map(|text| addresses(&text)).transpose();
    Ok(RestoreOptions {
        file: args.file,
        dir: args.data_dir,
        listen: args.listen,
        cluster: cluster.map_err(|why| Problem::usage(format!("--cluster: {why}")))?,
        token: args.token,
    })
}

fn get(args: GetArgs) -> Result<MapJob, Problem> {
    let range = Range {
        keys: keys(args.key, args.prefix)?,
        revision: args.rev.unwrap_or(0),
        limit: args.limit.unwrap_or(0),
        only: if args.keys_only { Only::Keys } else { Only::All },
    };
    Ok(MapJob::Get { range, consistency: args.consistency })
}

fn bytes(word: OsString) -> Bytes {
    word.into_vec().into()
}

fn whole_key(key: OsString) -> Result<Bytes, Problem> {
    let key = bytes(key);
    if key.is_empty() { Err(Problem::usage("KEY is empty")) } else { Ok(key) }
}

fn keys(key: OsString, prefix: bool) -> Result<Keys, Problem> {
    if prefix { Ok(Keys::prefix(bytes(key))) } else { whole_key(key).map(Keys::One) }
}

fn append(client: &ClientArgs, word: &[u8]) -> Result<Command, Problem> {
    let message = Message::Given { by: "", bytes: word.to_vec() };
    Ok(Command::Append { ask: ask(client)?, message })
}

fn ask(client: &ClientArgs) -> Result<Ask, Problem> {
    let endpoints = addresses(&client.endpoints)
        .map_err(|why| Problem::usage(format!("--endpoints: {why}")))?;
    Ok(Ask { endpoints, timeout: client.timeout })
}
