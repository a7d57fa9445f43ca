//! What this machine knows about itself: its name, and which hosts are itself.

use std::io::ErrorKind;
use std::net::{IpAddr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Where a host is, seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Here,
    Elsewhere,
    /// It cannot be told, and why.
    Unknown(String),
}

/// The name of this machine, as the agent id `<hostname>_<port>` uses it.
pub(crate) fn hostname() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().replace('/', "_");
    if name.is_empty() { "localhost".into() } else { name }
}

/// What this process has worked so far, all threads together.
pub(crate) fn processor_time() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    spent.try_into().unwrap_or_default()
}

/// Lets this process have as many files open as it is allowed to ask for: each client's connection
/// is one.
pub(crate) fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If it is not allowed after all, what there is has to do: the server says when it does not.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Says where a host is: by its form, its name, then by asking the resolver.
pub(crate) fn place(host: &str) -> Place {
    if is_loopback(host) || host.eq_ignore_ascii_case(&hostname()) {
        return Place::Here;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return place_of(address);
    }
    let resolved = match (host, 0).to_socket_addrs() {
        Ok(resolved) => resolved,
        Err(error) => return Place::Unknown(error.to_string()),
    };
    let mut place = Place::Unknown("it has no address".into());
    for address in resolved {
        match place_of(address.ip()) {
            Place::Here => return Place::Here,
            other => place = other,
        }
    }
    place
}

/// No host at all, `localhost` or a loopback address: only this machine is meant.
pub(crate) fn is_loopback(host: &str) -> bool {
    host.is_empty()
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// `0.0.0.0` and the like: fit for listening, useless for others to dial.
pub(crate) fn is_wildcard(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
}

/// The system lets a socket be bound to an address of this machine only. Sends nothing.
fn place_of(address: IpAddr) -> Place {
    match UdpSocket::bind((address, 0)) {
        Ok(_) => Place::Here,
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Place::Elsewhere,
        Err(error) => Place::Unknown(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_no_resolver() {
        for host in ["", "localhost", "LocalHost", "127.0.0.1", "127.8.9.1", "::1"] {
            assert_eq!(place(host), Place::Here, "{host:?}");
        }
        assert_eq!(place(&hostname()), Place::Here);
        // TEST-NET-1 is nobody's (RFC 5737).
        assert_eq!(place("192.0.2.1"), Place::Elsewhere);
        assert!(is_wildcard("0.0.0.0") && is_wildcard("::") && !is_wildcard("10.0.0.1"));
    }
}
