//! `raft dev`: a cluster of real servers on this machine, to play with.
//!
//! Each server is a child process of this program's own executable, with a real data directory,
//! in a process group of its own so that Ctrl-C reaches only this process. All end with it,
//! however it ends: their standard input is a pipe that it holds, and the system closes that.

mod children;
mod places;
mod quiet;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};
use std::{env, iter, process, thread};

use raft_node::{Address, MembersView};

use super::ask::Ask;
use crate::datadir;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::{Output, Table};
use crate::select::join;
use crate::signals;
use children::{Child, Ended};
use places::Places;
pub(super) use quiet::Quiet;

/// What the cluster is started with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DevOptions {
    pub(crate) nodes: usize,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) election_timeout: Duration,
}

/// How long a new cluster has to find its first leader.
const READY_MAX: Duration = Duration::from_secs(20);

/// How long the servers have to end, before they are killed.
const END_MAX: Duration = Duration::from_secs(2);

enum Event {
    Ready(Result<MembersView, Problem>),
    Ended(Ended),
    Stop,
}

/// Runs the cluster until it is stopped.
pub(crate) fn run(options: &DevOptions, output: &Output) -> Result<(), Problem> {
    if output.format.is_json() {
        return Err(Problem::usage("raft dev is for people and has no JSON")
            .hint("start the servers yourself: raft server --help"));
    }
    let places = Places::choose(options.dir.as_deref(), options.nodes, output)?;
    if datadir::is_in_memory(&places.dir) {
        output.note(&format!(
            "warning: {} is in memory (tmpfs): a power cut loses what it holds; --dir DIR puts \
             it elsewhere",
            places.dir.display()
        ));
    }
    let (sender, events) = mpsc::channel();
    stop_on_signal(sender.clone())?;
    let mut cluster = Vec::new();
    let done = start(&places, options.election_timeout, &sender, &mut cluster)
        .and_then(|()| ask_until_ready(&places, sender))
        .and_then(|()| watch(&places, options, &cluster, &events, output));
    end(cluster);
    places.remove(output);
    done
}

/// Starts a child for each place. The children started so far are in `cluster` even if one fails.
fn start(
    places: &Places,
    election_timeout: Duration,
    events: &Sender<Event>,
    cluster: &mut Vec<Child>,
) -> Result<(), Problem> {
    for address in &places.addresses {
        let ended = events.clone();
        let on_end = move |end| drop(ended.send(Event::Ended(end)));
        cluster.push(Child::start(places, address, election_timeout, on_end)?);
    }
    Ok(())
}

/// Asks each server for the members, which it can answer once it knows a leader.
fn ask_until_ready(places: &Places, events: Sender<Event>) -> Result<(), Problem> {
    let mut asked = Vec::new();
    for address in &places.addresses {
        let ask = Ask { endpoints: vec![address.clone()], timeout: Some(READY_MAX) };
        let client = ask.quiet_client()?;
        let pending = client.members();
        asked.push((ask, client, pending));
    }
    let wait = move || {
        let answer = |(ask, _client, pending): (Ask, _, raft_node::Pending<MembersView>)| {
            pending.wait().map_err(|error| ask.problem(&error, "read"))
        };
        let answers: Result<Vec<MembersView>, Problem> = asked.into_iter().map(answer).collect();
        let none = || Problem::new(Exit::NotFound, "no server was asked");
        let last = answers.and_then(|mut views| views.pop().ok_or_else(none));
        drop(events.send(Event::Ready(last)));
    };
    let spawned = thread::Builder::new().name("ready".into()).spawn(wait);
    spawned.map_err(|error| Problem::new(Exit::Io, format!("cannot start a thread: {error}")))?;
    Ok(())
}

/// Shows what happens until Ctrl-C, or until no server is left.
fn watch(
    places: &Places,
    options: &DevOptions,
    cluster: &[Child],
    events: &Receiver<Event>,
    output: &Output,
) -> Result<(), Problem> {
    let (mut left, mut ready) = (cluster.len(), false);
    loop {
        match events.recv() {
            Ok(Event::Ready(view)) => {
                ready = true;
                introduce(places, cluster, &view?, output)?;
            }
            Ok(Event::Ended(ended)) => {
                left -= 1;
                if !ready || left == 0 {
                    return Err(ended.problem());
                }
                let arguments = places.arguments(&ended.address, options.election_timeout);
                output.note(&format!(
                    "{} has ended ({}), {left} left; to start it again, in another terminal:\n  {}",
                    ended.address,
                    ended.how,
                    command(arguments)
                ));
            }
            Ok(Event::Stop) | Err(_) => return Ok(()),
        }
    }
}

/// The table, and what to try.
fn introduce(
    places: &Places,
    cluster: &[Child],
    view: &MembersView,
    output: &Output,
) -> Result<(), Problem> {
    let mut table = Table::new(&["address", "process", "role", "data"]);
    for child in cluster {
        let address = child.address.to_string();
        let leads = is_leader(view, &child.address);
        table.row(vec![
            address,
            child.pid.to_string(),
            if leads { "leader" } else { "follower" }.into(),
            places.data_of(&child.address).display().to_string(),
        ]);
    }
    output.table(&table, "members", Vec::new(), serde_json::Map::new())?;
    let leads = |address: &&Address| is_leader(view, address);
    let (leader, followers): (Vec<_>, Vec<_>) = places.addresses.iter().partition(leads);
    let (raft, all) = (program(), join(&places.addresses));
    // A follower first: it forwards, and it is still there after the leader has been killed.
    let ask = followers.first().or(leader.first()).map_or(all.clone(), ToString::to_string);
    let mut text = format!(
        "\nTry, in another terminal:\n  \
         {raft} -C clientcommand -m 'I like beer.' -S '{ask}'\n  \
         {raft} append 'I like wine.' --endpoints '{all}'\n  \
         {raft} print --endpoints '{ask}'\n  \
         {raft} status --endpoints '{ask}'\n"
    );
    let leader = cluster.iter().find(|child| is_leader(view, &child.address));
    if let Some(child) = leader.filter(|_| cluster.len() > 2) {
        text += &format!("  kill -9 {}    (the leader; then append again)\n", child.pid);
    }
    text += if places.is_temporary() {
        "Ctrl-C stops all servers and removes their data (--dir DIR keeps it)."
    } else {
        "Ctrl-C stops all servers; their data stays."
    };
    output.line(&text, serde_json::Value::Null)
}

/// Lets all servers end, kills what has not ended in time, and waits for every one of them: their
/// data directories are in use until then.
fn end(mut cluster: Vec<Child>) {
    let deadline = Instant::now() + END_MAX;
    cluster.iter_mut().for_each(Child::let_end);
    cluster.retain(|child| !child.ended_before(deadline));
    cluster.iter().for_each(Child::kill);
}

fn stop_on_signal(events: Sender<Event>) -> Result<(), Problem> {
    let on_signal = move |number| {
        // The second one does not wait: the children end by themselves with this process.
        if number > 1 || events.send(Event::Stop).is_err() {
            process::exit(Exit::Interrupted.code().into());
        }
    };
    signals::watch(on_signal)
        .map_err(|error| Problem::new(Exit::Io, format!("cannot watch signals: {error}")))
}

/// This program as the person called it, so that the commands shown work where they are typed.
fn program() -> String {
    env::args().next().unwrap_or_else(|| "raft".into())
}

/// The command line that calls this program with these arguments.
fn command(arguments: Vec<OsString>) -> String {
    let words = arguments.iter().map(|argument| quoted(&argument.to_string_lossy()));
    iter::once(quoted(&program())).chain(words).collect::<Vec<_>>().join(" ")
}

/// A word for a shell: in quotes where it would read more into it.
fn quoted(text: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-:,".contains(character);
    if text.chars().all(plain) { text.into() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn is_leader(view: &MembersView, address: &Address) -> bool {
    view.members.iter().any(|row| row.leader && row.address == address.to_string())
}

/// An address of this machine without a host.
const fn local(port: u16) -> Address {
    Address::local(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_shell() {
        assert_eq!(quoted("/var/lib/a-1"), "/var/lib/a-1");
        assert_eq!(quoted("/var/lib/it's here"), r"'/var/lib/it'\''s here'");
    }
}
