//! Connecting to an address, and a client's hello.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::address::Address;
use crate::hello::{Hello, HelloRefused, Welcome};
use crate::node::connection::Talk;
use crate::wire::Frame;

/// How a dial ended short of a welcome.
#[derive(Debug)]
pub(super) enum DialError {
    /// Nobody listens there.
    Refused,
    /// Somebody listens and does not want to talk.
    Unwelcome(Box<HelloRefused>),
    /// Anything else.
    Failed(io::Error),
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            _ => Self::Failed(error),
        }
    }
}

/// Dials and says hello.
pub(super) async fn greet(
    address: &str,
    hello: Hello,
    patience: Duration,
) -> Result<(Talk, Welcome), DialError> {
    let conversation = async {
        let mut talk = Talk::new(connect(address).await?)?;
        talk.say(&Frame::Hello(hello)).await?;
        match talk.hear().await? {
            Frame::Welcome(welcome) => {
                talk.trust();
                Ok((talk, welcome))
            }
            Frame::Refused(refused) => Err(DialError::Unwelcome(refused)),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "no welcome").into()),
        }
    };
    match timeout(patience, conversation).await {
        Ok(result) => result,
        Err(_) => Err(DialError::Failed(io::ErrorKind::TimedOut.into())),
    }
}

/// Names are resolved at every dial: a member may move.
pub(super) async fn connect(address: &str) -> io::Result<TcpStream> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, format!("{error}"));
    let address: Address = address.parse().map_err(invalid)?;
    if address.is_hostless() {
        return TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], address.port()))).await;
    }
    let host = address.host().unwrap_or_default();
    TcpStream::connect((host, address.port())).await
}
