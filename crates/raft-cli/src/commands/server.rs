//! `raft server`, and `-c ... -p ...`.

use std::env;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use jiff::Zoned;
use raft_node::replica::SnapshotLimits;
use raft_node::{Address, Builder, Line, Show, StopHandle};
use raft_store::{HistoryLimits, Limits, Store};
use serde_json::{Map, Value};

use crate::args::Tuning;
use crate::datadir;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::http;
use crate::machine;
use crate::output::{self, Output};
use crate::select::{Flags, Selection, select};
use crate::signals;
use crate::stamp::stamp;

/// What a server is started with.
#[derive(Debug, PartialEq)]
pub(crate) struct ServerOptions {
    /// How the flags are called, for messages.
    pub(crate) flags: Flags,
    pub(crate) listen: Address,
    pub(crate) cluster: Option<Vec<Address>>,
    pub(crate) tuning: Tuning,
    pub(crate) until_stdin_closes: bool,
}

/// Runs until the server is stopped, or must stop.
pub(crate) fn run(options: ServerOptions, output: &Output) -> Result<(), Problem> {
    let selection = match &options.cluster {
        None => Selection::Founder(options.listen.clone()),
        Some(cluster) => select(cluster, &options.listen, options.flags, machine::place)?,
    };
    let dir = data_dir(&options)?;
    if options.until_stdin_closes {
        end_with_stdin()?;
    } else if datadir::is_in_memory(&dir) {
        output.note(&format!(
            "warning: {} is in memory (tmpfs): a power cut loses what it holds",
            dir.display()
        ));
    }
    machine::raise_open_files();
    // From here on a signal is never lost: before there is a server, it ends the program.
    let stop = Arc::new(Mutex::new(None));
    stop_on_signal(Arc::clone(&stop), *output)?;
    let tuning = &options.tuning;
    let door = tuning.http.as_ref().map(|address| http::bind(address, tuning.insecure));
    let door = door.transpose()?;
    let known = options.cluster.as_deref().unwrap_or_default();
    let others: Vec<Address> =
        known.iter().filter(|address| *address != selection.address()).cloned().collect();
    let problem = |failure| Problem::of_member(&failure, selection.address(), &others);
    let node = builder(&options, &selection, &dir, output).start(store(&options.tuning));
    let node = node.map_err(problem)?;
    *stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(node.stop_handle());
    if let Some(door) = door {
        http::open(door, selection.address(), known, output)?;
    }
    node.wait().map_err(problem)
}

fn builder(options: &ServerOptions, selection: &Selection, dir: &Path, output: &Output) -> Builder {
    let (address, founders) = match (selection, &options.cluster) {
        (Selection::Founder(address), Some(cluster)) => (address, cluster.clone()),
        (Selection::Founder(address), None) => {
            output
                .note(&format!("a cluster of one, because {} is not given", options.flags.cluster));
            (address, vec![address.clone()])
        }
        (Selection::Joiner(address), list) => (address, list.clone().unwrap_or_default()),
    };
    let (lines, notes) = (*output, *output);
    let mut builder = raft_node::node(dir)
        .listen(address.clone())
        .cluster(founders)
        .insecure(options.tuning.insecure)
        .moved(options.tuning.moved)
        .lines(Box::new(move |line| show(&line, &lines)))
        .notices(Box::new(move |notice| notes.note(&notice.to_string())));
    if let Some(timeout) = options.tuning.election_timeout {
        builder = builder.election_timeout(timeout);
    }
    let mut snapshots = SnapshotLimits::default();
    snapshots.bytes = options.tuning.snapshot_bytes.unwrap_or(snapshots.bytes);
    snapshots.entries = options.tuning.snapshot_entries.unwrap_or(snapshots.entries);
    snapshots.keep_bytes = snapshots.keep_bytes.min(snapshots.bytes / 4);
    builder.snapshots(snapshots)
}

fn store(tuning: &Tuning) -> Store {
    let mut limits = Limits::default();
    limits.text_bytes_max = tuning.text_log_max.unwrap_or(limits.text_bytes_max);
    Store::new(limits, HistoryLimits::DEFAULT)
}

fn data_dir(options: &ServerOptions) -> Result<PathBuf, Problem> {
    let home = env::var_os("HOME").map(PathBuf::from);
    datadir::choose(
        options.tuning.data_dir.as_deref(),
        home.as_deref(),
        &machine::hostname(),
        options.listen.port(),
    )
}

/// Writes one line of the state machine, stamped, and flushes it at once.
fn show(line: &Line, output: &Output) -> io::Result<()> {
    let now = Zoned::now();
    let mut to = io::BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    if output.format.is_json() {
        let mut text = Vec::new();
        write_text(&line.show, &mut text)?;
        let mut object = Map::new();
        object.insert("v".into(), 1.into());
        object.insert("index".into(), line.index.0.into());
        object.insert("time".into(), now.timestamp().to_string().into());
        output::bytes("line", &text, &mut object);
        writeln!(to, "{}", Value::from(object))?;
    } else {
        write!(to, "{} ", stamp(&now))?;
        write_text(&line.show, &mut to)?;
        writeln!(to)?;
    }
    to.flush()?;
    to.get_mut().flush()
}

fn write_text(show: &Show, to: &mut dyn Write) -> io::Result<()> {
    match show {
        Show::Text(text) => to.write_all(text),
        Show::View(view) => view.render(to),
    }
}

/// The first signal hands leadership over and stops; the second stops at once. Stopping at once
/// is safe: it is what a power cut does.
fn stop_on_signal(stop: Arc<Mutex<Option<StopHandle>>>, output: Output) -> Result<(), Problem> {
    let on_signal = move |number| {
        let handle = stop.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match handle {
            Some(handle) if number == 1 => {
                output.note("stopping; a second signal stops at once");
                handle.stop();
            }
            None if number == 1 => process::exit(0),
            _ => process::exit(Exit::Interrupted.code().into()),
        }
    };
    signals::watch(on_signal)
        .map_err(|error| Problem::new(Exit::Io, format!("cannot watch signals: {error}")))
}

/// Ends the process with the one that holds the other end of standard input, however that ends.
fn end_with_stdin() -> Result<(), Problem> {
    let wait = || {
        let mut byte = [0];
        loop {
            match io::stdin().read(&mut byte) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => process::exit(0),
            }
        }
    };
    let spawned = thread::Builder::new().name("parent".into()).spawn(wait);
    spawned.map_err(|error| Problem::new(Exit::Io, format!("cannot start a thread: {error}")))?;
    Ok(())
}
