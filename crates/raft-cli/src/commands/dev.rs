//! `raft dev`: a cluster of real servers on this machine, to play with.
//!
//! Each server is a child process of this program's own executable, with a real data directory,
//! in a process group of its own so that Ctrl-C reaches only this process. All end with it,
//! however it ends: their standard input is a pipe that it holds, and the system closes that.
//!
//! One thread holds the cluster and takes events one by one: what servers write, that one has
//! ended, keys, signals, and what other terminals ask.

mod children;
mod cluster;
mod control;
mod keys;
mod places;
mod quiet;
mod remote;
mod show;
mod story;

use std::path::PathBuf;
use std::process;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use raft_node::{Address, MembersView};

use crate::datadir;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::Output;
use crate::signals;
use children::{Child, Ended};
use cluster::Cluster;
use control::{Answer, Control, Want};
use keys::Keys;
use places::Places;
pub(super) use quiet::Quiet;

pub(crate) use control::Who;
pub(crate) use remote::{DevJob, DevRemote, run as ask};

/// What the cluster is started with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DevOptions {
    pub(crate) nodes: usize,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) election_timeout: Duration,
}

/// A server, running or not.
struct Server {
    address: Address,
    child: Option<Child>,
    /// Its end was asked for.
    let_go: bool,
    /// It is started again as soon as it has ended, and that is said here.
    again: Option<Answer>,
}

/// What happens to the cluster.
enum Event {
    /// Every member knows the leader.
    Ready(Result<MembersView, Problem>),
    /// A server wrote on standard error.
    Line {
        address: Address,
        line: String,
    },
    /// A server has ended.
    Ended(Ended),
    /// A change of members that was asked for came to its end.
    Added {
        address: Address,
        result: Result<u64, Problem>,
        answer: Option<Answer>,
    },
    /// Another terminal asks.
    Asked(Want, Answer),
    Key(u8),
    Stop,
}

/// Runs the cluster until it is stopped.
pub(crate) fn run(options: &DevOptions, output: &Output) -> Result<(), Problem> {
    if output.format.is_json() {
        return Err(Problem::usage("raft dev is for people and has no JSON")
            .hint("start the servers yourself: raft server --help; raft dev ls has JSON"));
    }
    let mut places = Places::choose(options.dir.as_deref(), options.nodes, output)?;
    places.open_pages();
    if datadir::is_in_memory(&places.dir) {
        output.note(&format!(
            "warning: {} is in memory (tmpfs): a power cut loses what it holds; --dir DIR puts \
             it elsewhere",
            places.dir.display()
        ));
    }
    let (sender, events) = mpsc::channel();
    stop_on_signal(sender.clone())?;
    let control = Control::listen(sender.clone())
        .inspect_err(|error| {
            output.note(&format!("other terminals cannot reach this cluster: {error}"));
        })
        .ok();
    let remembered = places.remember(control.as_ref().map(|control| &*control.socket));
    let (on_key, timeout) = (sender.clone(), options.election_timeout);
    let mut cluster = Cluster::new(places, timeout, *output, sender);
    let keys = Keys::watch(move |key| drop(on_key.send(Event::Key(key))));
    let done = remembered
        .and_then(|()| cluster.start())
        .and_then(|()| cluster.watch(&events, keys.is_some()));
    drop((keys, control));
    cluster.end();
    done
}

fn stop_on_signal(events: Sender<Event>) -> Result<(), Problem> {
    let on_signal = move |number| {
        // The second one does not wait: the children end by themselves with this process.
        if number > 1 || events.send(Event::Stop).is_err() {
            keys::restore();
            process::exit(Exit::Interrupted.code().into());
        }
    };
    signals::watch(on_signal)
        .map_err(|error| Problem::new(Exit::Io, format!("cannot watch signals: {error}")))
}
