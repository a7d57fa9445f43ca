//! Where the servers of a local cluster are: their ports and their directories.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, io, process, thread};

use raft_node::Address;
use serde_json::{Value, json};

use crate::args::address;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::Output;
use crate::select::join;

const FIRST_PORT: u16 = 9990;
const STATE_NAME: &str = "dev.json";
const LOCK_NAME: &str = "dev.lock";

/// How long servers of a run that was killed may take to end.
const LEFT_OVER_MAX: Duration = Duration::from_secs(5);

/// A server has its page so many ports above its own.
const HTTP_ABOVE: u16 = 10_000;

/// One directory, and in it one for each server, named by its port.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) dir: PathBuf,
    /// All servers.
    pub(super) addresses: Vec<Address>,
    /// Those that founded the cluster.
    founders: Vec<Address>,
    /// Where each server has its page; empty where nobody is to look.
    http: BTreeMap<Address, Address>,
    temporary: bool,
    /// Open means locked: one cluster at a time has the directory.
    _lock: File,
    /// Keeps other local clusters from these ports, also while the server of one is down.
    reserved: Vec<UdpSocket>,
}

impl Places {
    /// A fresh temporary directory, or `said`. What `said` already holds is gone on with: then
    /// the ports are those of the servers in it.
    pub(super) fn choose(
        said: Option<&Path>,
        nodes: usize,
        output: &Output,
    ) -> Result<Self, Problem> {
        let dir = match said {
            Some(said) => {
                DirBuilder::new().mode(0o700).recursive(true).create(said).map(|()| said.to_owned())
            }
            None => temporary_dir(),
        };
        let dir = dir.map_err(|error| unusable(said.unwrap_or(&env::temp_dir()), &error))?;
        let failed = |error: io::Error| unusable(&dir, &error);
        let dir = dir.canonicalize().map_err(failed)?;
        let lock = lock(&dir)?;
        let kept = ports_in(&dir).map_err(failed)?;
        let mut places = Self {
            addresses: kept.iter().copied().map(Address::local).collect(),
            founders: Vec::new(),
            http: BTreeMap::new(),
            temporary: said.is_none(),
            _lock: lock,
            reserved: Vec::new(),
            dir,
        };
        if kept.is_empty() {
            while places.addresses.len() < nodes {
                places.another()?;
            }
            places.founders.clone_from(&places.addresses);
        } else {
            if kept.len() != nodes {
                let dir = places.dir.display();
                output.note(&format!("{dir} holds {} servers: these go on", kept.len()));
            }
            places.founders = founders_in(&places.dir).unwrap_or_else(|| places.addresses.clone());
            places.take_up()?;
        }
        Ok(places)
    }

    pub(super) const fn is_temporary(&self) -> bool {
        self.temporary
    }

    pub(super) fn data_of(&self, address: &Address) -> PathBuf {
        self.dir.join(address.port().to_string())
    }

    /// What a server writes is kept here.
    pub(super) fn log_of(&self, address: &Address) -> PathBuf {
        log_in(&self.dir, address)
    }

    /// What this program is called with to run this server.
    pub(super) fn arguments(&self, address: &Address, election_timeout: Duration) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![
            "server".into(),
            "--cluster".into(),
            join(&self.founders).into(),
            "--listen".into(),
            address.to_string().into(),
            "--election-timeout".into(),
            format!("{}ms", election_timeout.as_millis()).into(),
            "--data-dir".into(),
            self.data_of(address).into(),
        ];
        if let Some(http) = self.http.get(address) {
            arguments.extend(["--http".into(), http.to_string().into()]);
        }
        arguments
    }

    /// Where a person finds the live page of this server.
    pub(super) fn page_of(&self, address: &Address) -> Option<String> {
        let http = self.http.get(address)?;
        Some(format!("http://localhost:{}/", http.port()))
    }

    /// Gives each server a page, where that port is free.
    pub(super) fn open_pages(&mut self) {
        self.http = self.addresses.iter().filter_map(page_for).collect();
    }

    /// A place for one more server, on the next free port.
    pub(super) fn another(&mut self) -> Result<Address, Problem> {
        let last = self.addresses.iter().map(Address::port).max();
        let first = last.map_or(FIRST_PORT, |port| port.saturating_add(1));
        let free = (first..=u16::MAX).find_map(|port| Some((port, reserve(port)?)));
        let Some((port, reserved)) = free else {
            return Err(Problem::new(Exit::Io, format!("no free port from {first} on")));
        };
        let address = Address::local(port);
        self.reserved.push(reserved);
        self.addresses.push(address.clone());
        if !self.http.is_empty() {
            self.http.extend(page_for(&address));
        }
        Ok(address)
    }

    /// Writes down who founded the cluster, and where this process listens to other terminals.
    pub(super) fn remember(&self, socket: Option<&Path>) -> Result<(), Problem> {
        let founders: Vec<String> = self.founders.iter().map(ToString::to_string).collect();
        let state = json!({
            "v": 1,
            "process": process::id(),
            "socket": socket.map(|socket| socket.display().to_string()),
            "founders": founders,
        });
        let (next, name) = (self.dir.join("dev.json.tmp"), self.dir.join(STATE_NAME));
        let written = fs::write(&next, format!("{state}\n")).and_then(|()| fs::rename(&next, name));
        written.map_err(|error| unusable(&self.dir, &error))
    }

    /// Removes a temporary directory.
    pub(super) fn remove(&self, output: &Output) {
        if !self.temporary {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            output.note(&format!("cannot remove {}: {error}", self.dir.display()));
        }
    }

    /// Waits for what is left of a run that was killed, and takes the ports of the kept servers.
    fn take_up(&mut self) -> Result<(), Problem> {
        let deadline = Instant::now() + LEFT_OVER_MAX;
        for address in &self.addresses {
            let port = address.port();
            let in_use = || is_held(&self.data_of(address)) || !is_free(port);
            while in_use() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(20));
            }
            if !is_free(port) {
                let what = format!(
                    "port {port} belongs to a server that is kept in {}, and another program has it",
                    self.dir.display()
                );
                return Err(Problem::new(Exit::Io, what).hint("end that program first"));
            }
            self.reserved.extend(UdpSocket::bind((Ipv4Addr::LOCALHOST, port)));
        }
        Ok(())
    }
}

/// Where another terminal reaches the cluster in this directory.
pub(super) fn socket_in(dir: &Path) -> Option<PathBuf> {
    Some(state_in(dir)?.get("socket")?.as_str()?.into())
}

/// Where a server of the cluster in this directory writes.
pub(super) fn log_in(dir: &Path, address: &Address) -> PathBuf {
    dir.join(format!("{}.log", address.port()))
}

fn founders_in(dir: &Path) -> Option<Vec<Address>> {
    let state = state_in(dir)?;
    let founders = state.get("founders")?.as_array()?.iter();
    founders.map(|founder| address(founder.as_str()?).ok()).collect()
}

fn state_in(dir: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(dir.join(STATE_NAME)).ok()?).ok()
}

fn unusable(dir: &Path, error: &io::Error) -> Problem {
    Problem::new(Exit::Io, format!("cannot use {}: {error}", dir.display()))
        .hint("name another directory: --dir DIR")
}

/// Takes the directory for this process, as long as the file is open.
fn lock(dir: &Path) -> Result<File, Problem> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(dir.join(LOCK_NAME)).map_err(|error| unusable(dir, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(unusable(dir, &error)),
        Err(TryLockError::WouldBlock) => {
            let process = state_in(dir).and_then(|state| state.get("process")?.as_u64());
            let process = process.map_or(String::new(), |pid| format!(" (process {pid})"));
            let what = format!("a local cluster runs in {} already{process}", dir.display());
            let dir = super::show::quoted(&dir.to_string_lossy());
            Err(Problem::new(Exit::Locked, what)
                .hint(format!("to see it: raft dev ls --dir {dir}")))
        }
    }
}

/// A new directory that nobody else can read. An existing one is never taken: it may be a trap.
fn temporary_dir() -> io::Result<PathBuf> {
    let mut number = process::id();
    loop {
        let dir = env::temp_dir().join(format!("raft-dev-{number}"));
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number = number.wrapping_add(1);
            }
            made => return made.map(|()| dir),
        }
    }
}

/// The servers that a directory holds already.
fn ports_in(dir: &Path) -> io::Result<Vec<u16>> {
    let mut ports = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        ports.extend(name.to_str().and_then(|name| name.parse::<u16>().ok()));
    }
    ports.sort_unstable();
    Ok(ports)
}

/// A server, and the place of its page, if that is free.
fn page_for(server: &Address) -> Option<(Address, Address)> {
    let port = server.port().checked_add(HTTP_ABOVE).filter(|port| is_free(*port))?;
    Some((server.clone(), Address::local(port)))
}

/// Whether a server works in this data directory. Its lock is tried and left at once.
fn is_held(data: &Path) -> bool {
    let lock = File::open(data.join("LOCK"));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Takes a port that is free. Two local clusters that begin at once find the same TCP ports free;
/// the UDP port of the same number, which servers have no use for, only one of them can have.
fn reserve(port: u16) -> Option<UdpSocket> {
    let reserved = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    is_free(port).then_some(reserved)
}

/// Free on both loopback addresses; a machine without one of the families does not mind it.
fn is_free(port: u16) -> bool {
    let free = |bound: io::Result<TcpListener>| {
        !bound.is_err_and(|error| {
            matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
        })
    };
    free(TcpListener::bind((Ipv4Addr::LOCALHOST, port)))
        && free(TcpListener::bind((Ipv6Addr::LOCALHOST, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: Output = Output { format: crate::output::Format::Table };

    /// Ports of nobody at the moment.
    fn free() -> u16 {
        (20_000..u16::MAX).find(|port| reserve(*port).is_some()).expect("a free port")
    }

    #[test]
    fn a_kept_directory_keeps_its_ports_and_founders() {
        let dir = tempfile::tempdir().expect("a directory");
        let (first, second) = (free(), free() + 1);
        for name in [first.to_string(), second.to_string(), "notes".into()] {
            fs::create_dir(dir.path().join(name)).expect("made");
        }
        let mut places = Places::choose(Some(dir.path()), 2, &OUTPUT).expect("chosen");
        assert_eq!(places.addresses, [Address::local(first), Address::local(second)]);
        assert!(!places.is_temporary());
        let list = format!(":{first},:{second}");
        let cluster = |places: &Places| {
            let arguments = places.arguments(&Address::local(second), Duration::from_secs(1));
            arguments[2].to_string_lossy().into_owned()
        };
        assert_eq!(cluster(&places), list);

        let added = places.another().expect("a port");
        fs::create_dir(places.data_of(&added)).expect("made");
        places.remember(Some(Path::new("socket"))).expect("written");
        assert_eq!(socket_in(dir.path()), Some("socket".into()));
        drop(places);
        let places = Places::choose(Some(dir.path()), 2, &OUTPUT).expect("chosen");
        assert_eq!(places.addresses.len(), 3);
        assert_eq!(cluster(&places), list, "who was added is no founder");
    }

    #[test]
    fn a_directory_is_for_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let places = Places::choose(Some(dir.path()), 1, &OUTPUT).expect("chosen");
        places.remember(None).expect("written");
        let problem = Places::choose(Some(dir.path()), 1, &OUTPUT).expect_err("refused");
        assert_eq!(problem.exit, Exit::Locked);
        assert!(problem.what.contains(&format!("process {}", process::id())), "{}", problem.what);
    }

    #[test]
    fn clusters_that_begin_at_once_have_ports_of_their_own() {
        let dirs = [(); 3].map(|()| tempfile::tempdir().expect("a directory"));
        let all: Vec<Places> = (dirs.iter())
            .map(|dir| Places::choose(Some(dir.path()), 3, &OUTPUT).expect("chosen"))
            .collect();
        let mut ports: Vec<u16> =
            all.iter().flat_map(|places| &places.addresses).map(Address::port).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 9);
    }

    #[test]
    fn a_port_in_use_is_left_out() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = taken.local_addr().expect("bound").port();
        assert!(!is_free(port) && reserve(port).is_none());
    }
}
