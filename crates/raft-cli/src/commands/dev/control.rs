//! How other terminals reach a running local cluster: a Unix socket, on which one line of JSON
//! asks and one answers.
//!
//! The servers stay children of the process that listens there: they end with it, however it
//! ends. The sockets of all local clusters of a user stand in one directory that only this user
//! can enter; the one made last is the cluster that is meant when none is named.

use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, SystemTime};
use std::{env, process, thread};

use raft_node::{Address, NodeStatus, Standing};
use serde_json::{Value, json};

use super::Event;
use crate::args::address;
use crate::commands::ask::Ask;
use crate::errors::Problem;
use crate::exit::Exit;

/// A request is one short line.
const REQUEST_BYTES_MAX: u64 = 4096;
/// How long a server has to say how it is.
const STATUS_MAX: Duration = Duration::from_millis(500);
/// How long a terminal has to say what it wants.
const REQUEST_MAX: Duration = Duration::from_secs(5);

/// A server as a person names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Address(Address),
    Id(u64),
    Leader,
}

impl Who {
    /// `:9991`, `n2`, `leader`.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        if text == "leader" {
            return Ok(Self::Leader);
        }
        if let Some(id) = text.strip_prefix('n').and_then(|digits| digits.parse().ok()) {
            return Ok(Self::Id(id));
        }
        address(text).map(Self::Address).map_err(|why| {
            Problem::usage(format!("ID '{text}': {why}"))
                .hint("a server's address (:9991), its id (n2), or leader")
        })
    }

    /// As `parse` takes it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Address(address) => address.to_string(),
            Self::Id(id) => format!("n{id}"),
            Self::Leader => "leader".into(),
        }
    }
}

/// What the process that holds the cluster is asked by its other threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// All servers, and who leads.
    Servers,
    Kill(String),
    Restart(String),
    Add,
}

/// Where an answer goes.
pub(super) type Answer = Sender<Result<Value, Problem>>;

/// The socket, removed at the end.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) socket: PathBuf,
}

impl Control {
    /// Listens to other terminals.
    pub(super) fn listen(events: Sender<Event>) -> io::Result<Self> {
        let socket = sockets_dir()?.join(format!("{}.sock", process::id()));
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&socket)?;
        let control = Self { socket };
        let listen = move || {
            for stream in listener.incoming().flatten() {
                let events = events.clone();
                let _ = thread::Builder::new().spawn(move || serve(&stream, &events));
            }
        };
        thread::Builder::new().name("control".into()).spawn(listen)?;
        Ok(control)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.socket);
    }
}

/// The sockets of this user's local clusters, the newest first. Ones that nobody listens on any
/// more are removed.
pub(super) fn running() -> Vec<UnixStream> {
    let Ok(files) = sockets_dir().and_then(fs::read_dir) else { return Vec::new() };
    let mut sockets: Vec<(SystemTime, PathBuf)> = files
        .flatten()
        .filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file.path())))
        .filter(|(_, path)| path.extension().is_some_and(|extension| extension == "sock"))
        .collect();
    sockets.sort();
    sockets.iter().rev().filter_map(|(_, path)| connect(path).ok()).collect()
}

/// Connects to the process that holds a cluster.
pub(super) fn connect(socket: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(socket);
    if stream.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        let _ = fs::remove_file(socket);
    }
    stream
}

/// A directory that only this user can enter: below the one that the system keeps for that, or
/// below the temporary one.
fn sockets_dir() -> io::Result<PathBuf> {
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.filter(|dir| dir.is_absolute() && dir.is_dir());
    let user = rustix::process::getuid().as_raw();
    let dir = runtime.unwrap_or_else(env::temp_dir).join(format!("raft-dev-sockets-{user}"));
    match DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(&dir)?;
    if !found.is_dir() || found.uid() != user || found.mode() & 0o077 != 0 {
        let what = format!("{} is not a directory of this user alone", dir.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    Ok(dir)
}

/// Reads one request and answers it.
fn serve(stream: &UnixStream, events: &Sender<Event>) {
    let _ = stream.set_read_timeout(Some(REQUEST_MAX));
    let mut line = String::new();
    if BufReader::new(stream.take(REQUEST_BYTES_MAX)).read_line(&mut line).is_err() {
        return;
    }
    let answer = answer(&line, events).unwrap_or_else(|problem| {
        json!({
            "error": {
                "what": problem.what,
                "hint": problem.hint,
                "exit": problem.exit.code(),
            }
        })
    });
    let mut stream = stream;
    let _ = writeln!(stream, "{answer}");
}

fn answer(line: &str, events: &Sender<Event>) -> Result<Value, Problem> {
    let request: Value = serde_json::from_str(line)
        .map_err(|error| Problem::usage(format!("not a request: {error}")))?;
    let field = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
    let who = || Who::parse(field("server"));
    match field("ask") {
        "ls" => Ok(with_statuses(ask(Want::Servers, events)?)),
        "kill" => ask(Want::Kill(resolve(&who()?, events)?), events),
        "restart" => ask(Want::Restart(resolve(&who()?, events)?), events),
        "logs" => {
            let server = resolve(&who()?, events)?;
            let log = rows_in(&ask(Want::Servers, events)?)
                .find(|row| row.get("address").and_then(Value::as_str) == Some(&server))
                .and_then(|row| row.get("log").cloned());
            Ok(json!({ "server": server, "log": log }))
        }
        "add" => ask(Want::Add, events),
        other => Err(Problem::usage(format!("'{other}' is not known to this local cluster"))),
    }
}

/// Asks the thread that holds the cluster.
fn ask(want: Want, events: &Sender<Event>) -> Result<Value, Problem> {
    let ending = || Problem::new(Exit::NotFound, "the local cluster is ending");
    let (sender, answer) = mpsc::channel();
    events.send(Event::Asked(want, sender)).map_err(|_| ending())?;
    answer.recv().map_err(|_| ending())?
}

/// The address of the server that is meant.
fn resolve(who: &Who, events: &Sender<Event>) -> Result<String, Problem> {
    let servers = ask(Want::Servers, events)?;
    let found = match who {
        Who::Leader => servers.get("leader").and_then(Value::as_str).map(str::to_owned),
        Who::Address(address) => {
            let address = address.to_string();
            addresses_in(&servers).into_iter().find(|known| *known == address)
        }
        Who::Id(id) => rows_in(&servers)
            .find(|row| row.get("id").and_then(Value::as_u64) == Some(*id))
            .and_then(|row| Some(row.get("address")?.as_str()?.to_owned())),
    };
    found.ok_or_else(|| {
        let what = match who {
            Who::Leader => "no server leads at the moment".to_owned(),
            Who::Id(id) => format!("no server has the id n{id}"),
            Who::Address(address) => format!("{address} is no server of this local cluster"),
        };
        let known = addresses_in(&servers).join(", ");
        Problem::new(Exit::NotFound, what).hint(format!("the servers are {known}"))
    })
}

fn rows_in(servers: &Value) -> impl Iterator<Item = &Value> {
    servers.get("servers").and_then(Value::as_array).into_iter().flatten()
}

fn addresses_in(servers: &Value) -> Vec<String> {
    let address = |row: &Value| Some(row.get("address")?.as_str()?.to_owned());
    rows_in(servers).filter_map(address).collect()
}

/// Asks each server how it is, all at once, and adds what they say.
fn with_statuses(mut servers: Value) -> Value {
    let mut asked = Vec::new();
    for name in addresses_in(&servers) {
        let Ok(endpoint) = address(&name) else { continue };
        let ask = Ask { endpoints: vec![endpoint], timeout: Some(STATUS_MAX) };
        let client = ask.quiet_client().ok();
        let pending = client.as_ref().map(raft_node::Client::status);
        asked.push((client, pending));
    }
    let rows = servers.get_mut("servers").and_then(Value::as_array_mut);
    for (row, (_client, pending)) in rows.into_iter().flatten().zip(asked) {
        let status = pending.and_then(|pending| pending.wait().ok());
        let told = status.map_or_else(|| json!({}), |status| told(&status));
        if let (Some(row), Value::Object(told)) = (row.as_object_mut(), told) {
            row.extend(told);
        }
    }
    servers
}

fn state(status: &NodeStatus) -> &str {
    match status.standing {
        Standing::New => "waiting",
        Standing::Removed { .. } => "removed",
        Standing::Member => &status.role,
    }
}

fn told(status: &NodeStatus) -> Value {
    json!({
        "role": state(status),
        "term": status.term.0,
        "last_index": status.last_log_id.index.0,
        "commit_index": status.commit_index.0,
    })
}

#[cfg(test)]
#[path = "../../../tests/fuzz/control.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_in_three_ways() {
        assert_eq!(Who::parse("leader"), Ok(Who::Leader));
        assert_eq!(Who::parse("n12"), Ok(Who::Id(12)));
        assert_eq!(Who::parse("9991"), Ok(Who::Address(Address::local(9991))));
        assert_eq!(Who::parse(":9991"), Who::parse("9991"));
        for text in ["", "n", "beer", ":99999"] {
            assert_eq!(Who::parse(text).expect_err("refused").exit, Exit::Usage, "{text}");
        }
        for text in ["leader", "n12", ":9991"] {
            assert_eq!(Who::parse(text).expect("parsed").text(), text);
        }
    }
}
