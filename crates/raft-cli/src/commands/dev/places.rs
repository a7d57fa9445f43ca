//! Where the servers of a local cluster are: their ports and their directories.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, io, process};

use raft_node::Address;

use super::local;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::Output;
use crate::select::join;

const FIRST_PORT: u16 = 9990;

/// One directory, and in it one for each server, named by its port.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) dir: PathBuf,
    pub(super) addresses: Vec<Address>,
    temporary: bool,
    /// Hold the ports against other local clusters that begin meanwhile: datagram sockets of the
    /// same numbers, which are in nobody's way.
    _claims: Vec<UdpSocket>,
}

impl Places {
    /// A fresh temporary directory, or `said`. What `said` already holds is gone on with: then
    /// the ports are those of the servers in it.
    pub(super) fn choose(
        said: Option<&Path>,
        nodes: usize,
        output: &Output,
    ) -> Result<Self, Problem> {
        let failed = |dir: &Path, error: io::Error| {
            Problem::new(Exit::Io, format!("cannot use {}: {error}", dir.display()))
                .hint("name another directory: --dir DIR")
        };
        let dir = match said {
            Some(said) => {
                DirBuilder::new().mode(0o700).recursive(true).create(said).map(|()| said.to_owned())
            }
            None => temporary_dir(),
        };
        let dir = dir.map_err(|error| failed(said.unwrap_or(&env::temp_dir()), error))?;
        let dir = dir.canonicalize().map_err(|error| failed(&dir, error))?;
        let kept = ports_in(&dir).map_err(|error| failed(&dir, error))?;
        let (ports, claims): (Vec<u16>, Vec<UdpSocket>) = if kept.is_empty() {
            free_ports(nodes)?.into_iter().unzip()
        } else {
            let claims = kept.iter().filter_map(|port| claim(*port)).collect();
            (kept, claims)
        };
        if ports.len() != nodes {
            output.note(&format!("{} holds {} servers: these go on", dir.display(), ports.len()));
        }
        Ok(Self {
            dir,
            addresses: ports.into_iter().map(local).collect(),
            temporary: said.is_none(),
            _claims: claims,
        })
    }

    pub(super) const fn is_temporary(&self) -> bool {
        self.temporary
    }

    pub(super) fn data_of(&self, address: &Address) -> PathBuf {
        self.dir.join(address.port().to_string())
    }

    /// What this program is called with to run this server.
    pub(super) fn arguments(&self, address: &Address, election_timeout: Duration) -> Vec<OsString> {
        vec![
            "server".into(),
            "--cluster".into(),
            join(&self.addresses).into(),
            "--listen".into(),
            address.to_string().into(),
            "--election-timeout".into(),
            format!("{}ms", election_timeout.as_millis()).into(),
            "--data-dir".into(),
            self.data_of(address).into(),
        ]
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

/// The first free ports from 9990 on, claimed.
fn free_ports(count: usize) -> Result<Vec<(u16, UdpSocket)>, Problem> {
    let free = |port: u16| Some((port, claim(port)?)).filter(|_| is_free(port));
    let ports: Vec<_> = (FIRST_PORT..=u16::MAX).filter_map(free).take(count).collect();
    if ports.len() < count {
        return Err(Problem::new(Exit::Io, format!("no {count} free ports from {FIRST_PORT} on")));
    }
    Ok(ports)
}

/// `None` if another local cluster has claimed this port.
fn claim(port: u16) -> Option<UdpSocket> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok()
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

    #[test]
    fn a_kept_directory_keeps_its_ports() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["12001", "12000", "notes"] {
            fs::create_dir(dir.path().join(name)).expect("made");
        }
        let output = Output { format: Default::default() };
        let places = Places::choose(Some(dir.path()), 2, &output).expect("chosen");
        assert_eq!(places.addresses, [local(12000), local(12001)]);
        assert!(!places.is_temporary());
        let arguments = places.arguments(&local(12001), Duration::from_secs(1));
        assert_eq!(arguments[..5], ["server", "--cluster", ":12000,:12001", "--listen", ":12001"]);
    }

    #[test]
    fn a_port_in_use_is_left_out() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = taken.local_addr().expect("bound").port();
        assert!(!is_free(port));
    }
}
