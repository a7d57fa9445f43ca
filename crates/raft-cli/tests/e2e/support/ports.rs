//! Free ports.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which the system takes ports for outgoing connections: such a connection
/// could otherwise sit on the port of a server that is down for a moment.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// How many have been looked at.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// Ports on which nobody listens, and that no other test of this process gets. Each process
/// begins elsewhere.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    [(); N].map(|()| free_port())
}

/// The same for a number that is not known beforehand.
pub(crate) fn some_free_ports(count: usize) -> Vec<u16> {
    (0..count).map(|_| free_port()).collect()
}

fn free_port() -> u16 {
    let start = process::id().wrapping_mul(131) % u32::from(COUNT);
    let start = u16::try_from(start).expect("it is below COUNT");
    for _ in 0..COUNT {
        let offset = (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        let port = FIRST + offset;
        if is_free(port) {
            return port;
        }
    }
    panic!("no port from {FIRST} on is free");
}

fn is_free(port: u16) -> bool {
    let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port));
    // A machine without IPv6 says something else than that the port is taken.
    let taken = |result: &std::io::Result<TcpListener>| {
        result.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
    };
    v4.is_ok() && !taken(&v6)
}
