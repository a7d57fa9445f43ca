//! `raft dev ls|kill|restart|add|logs`: asks a local cluster that runs in another terminal.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::control::{self, Who};
use super::places;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::{self, Output, Table, versioned};

/// What is asked, of which cluster.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DevRemote {
    pub(crate) dir: Option<PathBuf>,
    pub(crate) job: DevJob,
}

/// What is asked of a running local cluster.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DevJob {
    Ls,
    Kill(Who),
    Restart(Who),
    Add,
    Logs(Who),
}

/// Adding a member is the slowest.
const ANSWER_MAX: Duration = Duration::from_secs(90);

pub(crate) fn run(remote: &DevRemote, output: &Output) -> Result<(), Problem> {
    let (ask, who) = match &remote.job {
        DevJob::Ls => ("ls", None),
        DevJob::Kill(who) => ("kill", Some(who)),
        DevJob::Restart(who) => ("restart", Some(who)),
        DevJob::Add => ("add", None),
        DevJob::Logs(who) => ("logs", Some(who)),
    };
    if let (DevJob::Logs(Who::Address(address)), Some(dir)) = (&remote.job, &remote.dir) {
        // These can be read after the end as well.
        return logs(&places::log_in(dir, address), output);
    }
    let (stream, others) = find(remote.dir.as_deref())?;
    let request = json!({ "v": 1, "ask": ask, "server": who.map(Who::text) });
    let answer = exchange(stream, &request)?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    match &remote.job {
        DevJob::Ls => {
            if others > 0 {
                output.note(&format!(
                    "the newest of {} local clusters, in {}; --dir DIR names another",
                    others + 1,
                    text("dir")
                ));
            }
            list(&answer, output)
        }
        DevJob::Kill(_) => output.line(&format!("killed {}", text("server")), answer.clone()),
        DevJob::Restart(_) => {
            let process = answer.get("process").and_then(Value::as_u64).unwrap_or_default();
            let line = format!("started {}, process {process}", text("server"));
            output.line(&line, answer.clone())
        }
        DevJob::Add => output.line(&format!("added {}", text("server")), answer.clone()),
        DevJob::Logs(_) => logs(Path::new(text("log")), output),
    }
}

/// The cluster that is meant, and how many others there are.
fn find(dir: Option<&Path>) -> Result<(UnixStream, usize), Problem> {
    if let Some(dir) = dir {
        let socket = places::socket_in(dir);
        let stream = socket.and_then(|socket| control::connect(&socket).ok());
        return stream.map(|stream| (stream, 0)).ok_or_else(|| {
            let what = format!("no local cluster runs in {}", dir.display());
            let dir = super::show::quoted(&dir.to_string_lossy());
            Problem::new(Exit::NotFound, what).hint(format!("to start one: raft dev --dir {dir}"))
        });
    }
    let mut running = control::running().into_iter();
    let newest = running.next().ok_or_else(|| {
        Problem::new(Exit::NotFound, "no local cluster of this user runs on this machine")
            .hint("to start one: raft dev; one of another environment: --dir DIR")
    })?;
    Ok((newest, running.count()))
}

fn exchange(mut stream: UnixStream, request: &Value) -> Result<Value, Problem> {
    let failed = |error: io::Error| {
        Problem::new(Exit::Unknown, format!("the local cluster did not answer: {error}"))
            .hint("raft dev ls shows how it is")
    };
    stream.set_read_timeout(Some(ANSWER_MAX)).map_err(failed)?;
    writeln!(stream, "{request}").map_err(failed)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(failed)?;
    if answer.is_empty() {
        return Err(failed(io::ErrorKind::UnexpectedEof.into()));
    }
    let answer: Value = serde_json::from_slice(&answer).map_err(|error| failed(error.into()))?;
    let Some(error) = answer.get("error") else { return Ok(answer) };
    let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    let exit = error.get("exit").and_then(Value::as_u64).and_then(Exit::of_code);
    let what = text("what").unwrap_or_else(|| "it failed".into());
    let mut problem = Problem::new(exit.unwrap_or(Exit::Unknown), what);
    problem.hint = text("hint");
    Err(problem)
}

fn list(answer: &Value, output: &Output) -> Result<(), Problem> {
    let mut table =
        Table::new(&["id", "address", "process", "role", "term", "last", "commit", "data"]);
    let rows = answer.get("servers").and_then(Value::as_array).cloned().unwrap_or_default();
    for row in &rows {
        let cell = |name: &str| match row.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => "-".into(),
        };
        let running = row.get("process").is_some_and(Value::is_u64);
        let id = cell("id");
        table.row(vec![
            if id == "-" { id } else { format!("n{id}") },
            cell("address"),
            cell("process"),
            match cell("role") {
                role if role != "-" => role,
                _ if running => "no answer".into(),
                _ => "down".into(),
            },
            cell("term"),
            cell("last_index"),
            cell("commit_index"),
            cell("data"),
        ]);
    }
    let mut document = Map::new();
    for name in ["dir", "leader"] {
        document.insert(name.into(), answer.get(name).cloned().unwrap_or_default());
    }
    output.table(&table, "servers", rows, document)
}

/// What a server wrote, as it wrote it.
fn logs(path: &Path, output: &Output) -> Result<(), Problem> {
    let file = File::open(path).map_err(|error| {
        Problem::new(Exit::NotFound, format!("cannot read {}: {error}", path.display()))
            .hint("raft dev ls shows the servers")
    })?;
    let mut file = BufReader::new(file);
    output.stream(|to| {
        if !output.format.is_json() {
            return io::copy(&mut file, to).map(drop);
        }
        let mut line = Vec::new();
        while file.read_until(b'\n', &mut line)? > 0 {
            let mut object = Map::new();
            output::bytes("line", line.strip_suffix(b"\n").unwrap_or(&line), &mut object);
            writeln!(to, "{}", versioned(object.into()))?;
            line.clear();
        }
        Ok(())
    })
}
