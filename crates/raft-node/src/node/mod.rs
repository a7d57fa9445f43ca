//! Node = Replica + sockets, timers, threads. The only files of this crate that see a clock, a
//! socket or a thread are below this one.

mod builder;
mod client;
mod connection;
mod dial;
mod driver;
mod helper;
mod incoming;
mod life;
mod listen;
mod notice;
mod observe;
mod output;
mod pending;
mod reactor;
mod site;
mod snapshots;
mod sockets;
mod wal;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

pub use crate::notice::Notice;
pub use builder::{Builder, node};
pub use client::{Client, ClientOptions, Served, Written};
pub use output::{Line, Lines};
pub use pending::Pending;

use crate::protocol::{Answer, NodeStatus, Request};
use incoming::{Incoming, Local};
use site::Ready;

/// Why a node could not start, or had to end: what, why and what next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What an operator has to do about it.
    pub class: FailureClass,
    /// For a person.
    pub what: String,
}

/// What an operator has to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// What was asked for makes no sense.
    Usage,
    /// The address to listen at is taken or is not one of this machine.
    Address,
    /// The data are damaged: starting again does not help.
    Damaged,
    /// The disk failed: starting again may help, once.
    Disk,
    /// Another process holds the data directory.
    Locked,
    /// The directory belongs to another cluster, another member, or something else entirely.
    Identity,
    /// The data were written by a newer version.
    TooNew,
}

impl Failure {
    /// A thread of this node panicked.
    fn invariant() -> Self {
        Self {
            class: FailureClass::Damaged,
            what: "an invariant of this server was broken; it stopped in order to do no harm, and \
                   the message above says which"
                .into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

/// A running node.
///
/// Dropping it stops it like [`Node::shutdown`], without waiting.
#[derive(Debug)]
pub struct Node {
    handle: StopHandle,
    ready: Arc<Ready>,
    thread: Option<JoinHandle<Result<(), Failure>>>,
}

/// Asks a node to stop; can be kept by whoever handles signals.
#[derive(Clone, Debug)]
pub struct StopHandle {
    sender: mpsc::UnboundedSender<Incoming>,
}

impl StopHandle {
    /// Hands leadership over, within an election timeout, then ends the node.
    pub fn stop(&self) {
        // A node that has ended needs not be told.
        let _sent = self.sender.send(Incoming::Local(Local::Stop));
    }
}

impl Node {
    /// How the node sees itself; `None` once it has ended.
    #[must_use]
    pub fn status(&self) -> Option<NodeStatus> {
        let (reply, answer) = oneshot::channel();
        let ask = Local::Ask { request: Request::Status, reply };
        self.handle.sender.send(Incoming::Local(ask)).ok()?;
        match answer.blocking_recv().ok()?.answer {
            Answer::Status(status) => Some(*status),
            _ => None,
        }
    }

    /// Waits until a leader is known and what it had committed is applied here; whether that
    /// came about in time.
    #[must_use]
    pub fn wait_ready(&self, patience: Duration) -> bool {
        self.ready.wait(patience)
    }

    /// For stopping it from elsewhere.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.handle.clone()
    }

    /// Hands leadership over, ends, and waits for the end.
    ///
    /// # Errors
    /// The node had failed before.
    pub fn shutdown(self) -> Result<(), Failure> {
        self.handle.stop();
        self.wait()
    }

    /// Waits until the node ends, by request or by failure.
    ///
    /// # Errors
    /// Why it had to end.
    pub fn wait(mut self) -> Result<(), Failure> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(Failure::invariant()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.handle.stop();
    }
}
