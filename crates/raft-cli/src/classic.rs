//! The classic flags, as the original program had them: a permanent interface. They mean the same
//! commands as the verbs.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use raft_node::Address;

use crate::args::{Classic, address, addresses};
use crate::commands::{Ask, Command, MemberJob, Message, ServerOptions, Target};
use crate::environment;
use crate::errors::Problem;
use crate::select::{CLASSIC, join};
use crate::usage::{CLASSIC_COMMANDS, classic_command};

/// What the flags ask for; `None` if there are none at all.
pub(crate) fn command(classic: Classic) -> Result<Option<Command>, Problem> {
    if classic == Classic::default() {
        return Ok(None);
    }
    let command = match (&classic.command, &classic.listen, &classic.cluster) {
        (Some(_), None, None) => client(classic)?,
        (Some(_), _, _) => {
            return Err(Problem::usage("-C asks a server, -c and -p run one")
                .hint("the servers to ask are named with -S"));
        }
        (None, Some(_), _) => server(classic)?,
        (None, None, Some(cluster)) => {
            return Err(Problem::usage("-p is missing: which member of -c is this server?")
                .hint(format!("raft -c '{cluster}' -p {}", first_port(cluster))));
        }
        (None, None, None) => {
            return Err(Problem::usage("neither -p (run a server) nor -C (ask one) is given")
                .hint("raft -h shows both"));
        }
    };
    Ok(Some(command))
}

fn server(classic: Classic) -> Result<Command, Problem> {
    let client_flags = [
        ("-m", classic.message.is_some()),
        ("-S", classic.endpoints.is_some()),
        ("--timeout", classic.timeout.is_some()),
    ];
    if let Some((flag, _)) = client_flags.iter().find(|(_, given)| *given) {
        return Err(Problem::usage(format!("-p runs a server, {flag} goes with -C")));
    }
    let listen = one("-p", &classic.listen.unwrap_or_default())?;
    let cluster = classic.cluster.map(|text| list("-c", &text)).transpose()?;
    Ok(Command::Server(ServerOptions {
        flags: CLASSIC,
        listen,
        cluster,
        tuning: environment::complete(classic.tuning)?,
        until_stdin_closes: false,
    }))
}

fn client(classic: Classic) -> Result<Command, Problem> {
    let command = classic.command.unwrap_or_default();
    if !CLASSIC_COMMANDS.contains(&command.as_str()) {
        let meant = classic_command(&command).map(|name| format!("did you mean {name}? "));
        let takes = "-C takes clientcommand, addserver or removeserver";
        return Err(Problem::usage(format!("-C '{command}' is not known"))
            .hint(meant.unwrap_or_default() + takes));
    }
    let example = if command == "clientcommand" { "'I like beer.'" } else { ":9993" };
    let Some(message) = classic.message else {
        return Err(Problem::usage(format!("-m is missing: {}", meaning(&command)))
            .hint(format!("raft -C {command} -m {example} -S :9990")));
    };
    let Some(endpoints) = classic.endpoints else {
        return Err(Problem::usage("-S is missing: the server to ask, or several")
            .hint(format!("raft -C {command} -m {example} -S :9990")));
    };
    if classic.tuning != Default::default() {
        let what = "--data-dir, --election-timeout, --http, --insecure and --moved run a server, -C asks one";
        return Err(Problem::usage(what));
    }
    let ask = Ask {
        endpoints: list("-S", &endpoints)?,
        timeout: classic.timeout.map_or_else(environment::timeout, |timeout| Ok(Some(timeout)))?,
    };
    Ok(match command.as_str() {
        "addserver" => change(ask, MemberJob::Add(server_name(&message)?)),
        "removeserver" => change(ask, MemberJob::Remove(Target::Address(server_name(&message)?))),
        _ => {
            Command::Append { ask, message: Message::Given { by: "-m", bytes: message.into_vec() } }
        }
    })
}

const fn change(ask: Ask, job: MemberJob) -> Command {
    Command::ChangeMembers { ask, job, dry_run: false }
}

fn meaning(command: &str) -> &'static str {
    match command {
        "addserver" => "the address of the server to add",
        "removeserver" => "the address of the server to remove",
        _ => "the message to append",
    }
}

/// The address that `-m` carries for `addserver` and `removeserver`.
fn server_name(message: &OsString) -> Result<Address, Problem> {
    one("-m", &message.to_string_lossy())
}

fn one(flag: &str, text: &str) -> Result<Address, Problem> {
    address(text).map_err(|why| Problem::usage(format!("{flag}: {why}")))
}

fn list(flag: &str, text: &str) -> Result<Vec<Address>, Problem> {
    addresses(text).map_err(|why| Problem::usage(format!("{flag}: {why}")))
}

/// For an example that fits the list.
fn first_port(cluster: &str) -> String {
    let list = addresses(cluster).unwrap_or_default();
    list.first().map_or("9990".into(), |first| join(std::slice::from_ref(first)))
}
