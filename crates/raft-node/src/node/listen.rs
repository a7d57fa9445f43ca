//! Where a node listens.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};

use rustix::process::{Resource, getrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use crate::address::Address;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// File descriptors that no connection takes: the log, snapshots and dials need some.
pub(super) const DESCRIPTORS_KEPT: u64 = 64;

/// Listens at an address. Without a host that is this machine only, in both address families.
///
/// # Errors
/// The address is taken, or is not one of this machine.
pub(super) fn listen(address: &Address) -> io::Result<Vec<TcpListener>> {
    if !address.is_hostless() {
        let host = address.host().unwrap_or_default();
        return (host, address.port()).to_socket_addrs()?.map(listen_at).collect();
    }
    let four = listen_at(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port()))?;
    match listen_at(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), address.port())) {
        Ok(six) => Ok(vec![four, six]),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
        // A machine without IPv6.
        Err(_) => Ok(vec![four]),
    }
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A port whose last connections still linger is free.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// How many descriptors this process may have, if with this connection too few are left.
pub(super) fn lacks_room(connection: &impl AsRawFd) -> Option<u64> {
    let limit = getrlimit(Resource::Nofile).current?;
    is_too_high(connection.as_raw_fd(), limit).then_some(limit)
}

/// The system gives out the lowest number that is free: all below are in use.
fn is_too_high(number: RawFd, limit: u64) -> bool {
    u64::try_from(number).is_ok_and(|number| number + DESCRIPTORS_KEPT >= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_descriptors_are_not_for_connections() {
        assert!(!is_too_high(935, 1000));
        assert!(is_too_high(936, 1000));
        assert!(is_too_high(9, 20), "of so few, none is for connections");
    }
}
