//! Dialling: one task per peer that keeps a connection to it, and short conversations with
//! servers that are to be added.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use raft_core::NodeId;
use rand::RngExt;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::address::Address;
use crate::hello::{Hello, HelloRefused, Welcome};
use crate::node::connection::Talk;
use crate::node::incoming::{Dialled, Incoming};
use crate::protocol::{Reason, Standing};
use crate::wire::{Admit, Frame};

/// The first and the longest pause between two dials.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

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

/// A task that keeps a connection to one peer.
#[derive(Debug)]
pub(super) struct Dialler {
    pub(super) address: String,
    task: AbortHandle,
    mind: Mind,
}

/// What a dialler is told.
#[derive(Clone, Debug, Default)]
struct Mind {
    /// Its connection is gone.
    again: Rc<Notify>,
    /// And was of no use.
    later: Rc<Cell<bool>>,
    /// A pause is not needed any more.
    hurry: Rc<Notify>,
}

impl Dialler {
    /// Starts to dial. Each dial says the hello that `hello` makes for it.
    pub(super) fn start(
        peer: NodeId,
        address: String,
        hello: impl Fn() -> Hello + 'static,
        patience: Duration,
        incoming: mpsc::UnboundedSender<Incoming>,
    ) -> Self {
        let mind = Mind::default();
        let task = keep_dialling(peer, address.clone(), hello, patience, incoming, mind.clone());
        Self { address, task: tokio::task::spawn_local(task).abort_handle(), mind }
    }

    /// The connection is gone: dial at once, unless it did not last.
    pub(super) fn redial(&self) {
        self.mind.again.notify_one();
    }

    /// The connection was of no use: dial after a pause.
    pub(super) fn redial_later(&self) {
        self.mind.later.set(true);
        self.mind.again.notify_one();
    }

    /// For whoever finds a reason not to wait before the next dial. A connection that is up by
    /// then stays as it is.
    pub(super) fn hurry(&self) -> Rc<Notify> {
        Rc::clone(&self.mind.hurry)
    }
}

impl Drop for Dialler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_dialling(
    peer: NodeId,
    address: String,
    hello: impl Fn() -> Hello,
    patience: Duration,
    incoming: mpsc::UnboundedSender<Incoming>,
    Mind { again, later, hurry }: Mind,
) {
    let mut pause = PAUSE_MIN;
    loop {
        // The reactor outlives its diallers: sending cannot fail.
        let hello = hello();
        let _sent = match greet(&address, hello.clone(), patience).await {
            Ok((talk, welcome)) => {
                let dialled = Box::new(Dialled { talk, hello, welcome });
                let _sent = incoming.send(Incoming::Dialled { peer, dialled });
                let since = Instant::now();
                again.notified().await;
                let wanted_at_once = !later.replace(false);
                // Whoever says welcome and hangs up, again and again, is not dialled without end.
                if since.elapsed() >= PAUSE_MAX {
                    pause = PAUSE_MIN;
                    if wanted_at_once {
                        continue;
                    }
                }
                Ok(())
            }
            Err(DialError::Refused) => incoming.send(Incoming::Refused { peer }),
            Err(DialError::Unwelcome(refused)) => {
                incoming.send(Incoming::Unwelcome { peer, refused })
            }
            Err(DialError::Failed(_)) => Ok(()),
        };
        // Members that fail together must not dial in step.
        let jitter = pause.mul_f64(rand::rng().random_range(0.75..1.25));
        tokio::select! {
            () = sleep(jitter) => pause = (pause * 2).min(PAUSE_MAX),
            () = again.notified() => pause = PAUSE_MIN,
            () = hurry.notified() => pause = PAUSE_MIN,
        }
    }
}

/// Asks the server at an address who it is, in order to add it to this cluster, which has these
/// members.
pub(super) async fn meet(
    address: &str,
    hello: Hello,
    cluster: u128,
    members: &BTreeMap<NodeId, String>,
    patience: Duration,
) -> Result<u128, Reason> {
    let unreachable = |error: String| Reason::Unreachable { address: address.to_owned(), error };
    let (_, welcome) = greet(address, hello, patience).await.map_err(|error| match error {
        DialError::Refused => unreachable("nobody listens there".into()),
        DialError::Unwelcome(refused) => Reason::Invalid(refused.to_string()),
        DialError::Failed(error) => unreachable(error.to_string()),
    })?;
    let is_ours = welcome.from.cluster == Some(cluster);
    let known = welcome.from.id.and_then(|id| members.get(&id));
    match (welcome.standing, known) {
        (Standing::New, _) => Ok(welcome.from.incarnation),
        (Standing::Removed { .. }, _) if is_ours => Ok(welcome.from.incarnation),
        (Standing::Member, Some(name)) if is_ours => Err(Reason::Invalid(format!(
            "the server at {address} is a member already, and is known to the others as {name}"
        ))),
        (Standing::Member, None) if is_ours => {
            Err(Reason::Busy { what: format!("{address} has not heard yet that it was removed") })
        }
        (Standing::Removed { .. } | Standing::Member, _) => Err(Reason::Invalid(format!(
            "the server at {address} belongs to a cluster already; stop it and start it with \
             another data directory (--data-dir), then add it again"
        ))),
    }
}

/// Tells a server that it is a member from now on; returns when it has taken note.
pub(super) async fn admit(
    address: &str,
    hello: Hello,
    admit: Admit,
    patience: Duration,
) -> Result<(), DialError> {
    let (mut talk, _) = greet(address, hello, patience).await?;
    let conversation = async {
        talk.say(&Frame::Admit(admit)).await?;
        // The server closes the connection once its identity is on its disk.
        while talk.hear().await.is_ok() {}
        Ok(())
    };
    match timeout(patience, conversation).await {
        Ok(result) => result,
        Err(_) => Err(DialError::Failed(io::ErrorKind::TimedOut.into())),
    }
}
