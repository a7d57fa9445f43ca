//! Free ports.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process;
use std::sync::{Mutex, PoisonError};

/// Below the range from which the system takes ports for outgoing connections: such a connection
/// could otherwise sit on the port of a server that is down for a moment.
const FIRST: u16 = 10_100;
const BLOCKS: u16 = 400;
const BLOCK_PORTS: u16 = 50;

static TAKEN: Mutex<Taken> = Mutex::new(Taken { blocks: Vec::new(), next: 0, end: 0 });

/// What this process has taken so far.
struct Taken {
    /// A name on this machine stands for each block: it is held until the process ends, so that
    /// two runs at the same time do not meet.
    blocks: Vec<UnixListener>,
    /// The rest of the last block.
    next: u16,
    end: u16,
}

/// Ports on which nobody listens, and that no other test gets.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    [(); N].map(|()| free_port())
}

/// One of them.
pub(crate) fn free_port() -> u16 {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if taken.next == taken.end {
            taken.take_block();
        }
        let port = taken.next;
        taken.next += 1;
        if is_free(port) {
            return port;
        }
    }
}

impl Taken {
    fn take_block(&mut self) {
        let start = process::id() % u32::from(BLOCKS);
        let start = u16::try_from(start).expect("it is below BLOCKS");
        for number in (start..BLOCKS).chain(0..start) {
            let name = format!("raft-e2e-ports-{number}");
            let name = SocketAddr::from_abstract_name(name).expect("a short name");
            if let Ok(held) = UnixListener::bind_addr(&name) {
                self.blocks.push(held);
                self.next = FIRST + number * BLOCK_PORTS;
                self.end = self.next + BLOCK_PORTS;
                return;
            }
        }
        panic!("all ports from {FIRST} on are taken by other runs of these tests");
    }
}

fn is_free(port: u16) -> bool {
    let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port));
    // A machine without IPv6 says something else than that the port is taken.
    v4.is_ok() && !v6.is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}
