//! Where HTTP is served, and for how many at once.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use raft_node::Address;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::errors::Problem;
use crate::exit::Exit;

/// Connections at once; others wait. Descriptors belong to the server first.
pub(super) const CONNECTIONS_MAX: usize = 128;

/// How long to wait when a connection cannot be accepted: the system is short of something.
const PAUSE: Duration = Duration::from_millis(100);

/// Sockets that listen for HTTP.
#[derive(Debug)]
pub(crate) struct Door {
    address: Address,
    listeners: Vec<TcpListener>,
}

/// Listens for HTTP. The rule is that of the server's own port: without a host this machine only,
/// and beyond this machine only when that is asked for.
pub(crate) fn bind(address: &Address, insecure: bool) -> Result<Door, Problem> {
    if !address.is_loopback() && !insecure {
        return Err(Problem::usage(format!(
            "--http {address} can be reached from other machines, and nothing is encrypted or \
             authenticated yet"
        ))
        .hint(format!(
            "--http :{} is for this machine only; --insecure if the network is yours alone",
            address.port()
        )));
    }
    let listeners = listen(address).map_err(|error| {
        Problem::new(Exit::Io, format!("cannot listen for HTTP at {address}: {error}"))
            .hint("name another address: --http ADDRESS")
    })?;
    Ok(Door { address: address.clone(), listeners })
}

fn listen(address: &Address) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    if address.is_hostless() {
        listeners.push(TcpListener::bind((Ipv4Addr::LOCALHOST, address.port()))?);
        match TcpListener::bind((Ipv6Addr::LOCALHOST, address.port())) {
            Ok(six) => listeners.push(six),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            // A machine without IPv6.
            Err(_) => {}
        }
    } else {
        let host = address.host().unwrap_or_default();
        for socket in (host, address.port()).to_socket_addrs()? {
            listeners.push(TcpListener::bind(socket)?);
        }
    }
    for listener in &listeners {
        listener.set_nonblocking(true)?;
    }
    Ok(listeners)
}

impl Door {
    /// Whether only this machine reaches it.
    pub(super) fn is_loopback(&self) -> bool {
        self.address.is_loopback()
    }

    /// What a person types into a browser.
    pub(super) fn url(&self) -> String {
        match self.address.host() {
            None => format!("http://localhost:{}/", self.address.port()),
            Some(_) => format!("http://{}/", self.address),
        }
    }

    pub(super) fn into_listeners(self) -> Vec<TcpListener> {
        self.listeners
    }
}

/// Accepts while there is room.
pub(super) struct Limited {
    listener: tokio::net::TcpListener,
    room: Arc<Semaphore>,
}

impl Limited {
    pub(super) fn new(listener: TcpListener, room: Arc<Semaphore>) -> io::Result<Self> {
        Ok(Self { listener: tokio::net::TcpListener::from_std(listener)?, room })
    }
}

impl Listener for Limited {
    type Io = Conversation;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // Nobody closes the semaphore; without a place there would merely be no limit.
        let place = Arc::clone(&self.room).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    // Frames of the page are small and should not wait for each other.
                    let _ = stream.set_nodelay(true);
                    return (Conversation { stream, _place: place }, address);
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that keeps its place until it ends.
pub(super) struct Conversation {
    stream: TcpStream,
    _place: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Conversation {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Conversation {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect("an address")
    }

    #[test]
    fn beyond_this_machine_only_when_asked_for() {
        let problem = bind(&address("0.0.0.0:19990"), false).expect_err("refused");
        assert_eq!(problem.exit, Exit::Usage);
        assert!(problem.hint.expect("there is one").contains("--http :19990"));
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = taken.local_addr().expect("bound").port();
        let problem = bind(&Address::local(port), false).expect_err("taken");
        assert_eq!(problem.exit, Exit::Io);
        assert!(problem.what.contains(&format!(":{port}")), "{}", problem.what);
    }

    #[test]
    fn urls_for_people() {
        let url = |text| Door { address: address(text), listeners: Vec::new() }.url();
        assert_eq!(url(":19990"), "http://localhost:19990/");
        assert_eq!(url("[::1]:19990"), "http://[::1]:19990/");
        assert_eq!(url("10.0.0.1:80"), "http://10.0.0.1:80/");
    }
}
