//! The door for state machines.
//!
//! [`Apply`] is what Replica drives: bytes in, bytes out, and lines for people as data.
//! [`StateMachine`] is the typed door on top of it: commands and responses that know how to
//! become bytes; [`Typed`] joins the two.
//!
//! **Invariant:** `apply` is deterministic. It sees every committed command exactly once and in
//! the same order on every member; it must not look at a clock, at randomness, or at
//! `lines_wanted` for anything but leaving out lines.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use raft_core::LogId;

/// A replicated state machine over bytes.
pub trait Apply: Send + 'static {
    /// Applies one committed command. Cannot fail: what a command may do wrong is part of its
    /// response.
    fn apply(&mut self, command: Command<'_>) -> Applied;
}

/// A committed command.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// Its place in the log.
    pub at: LogId,
    /// What the client sent.
    pub bytes: &'a Bytes,
    /// Whether lines will be shown; false when they were shown before a restart.
    pub lines_wanted: bool,
}

/// What came of a command.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// For the client that sent it; kept so that a retry gets the same answer.
    pub response: Bytes,
    /// For the people who look at this server's output.
    pub lines: Vec<Show>,
}

/// A line that a state machine shows.
#[derive(Clone, Debug)]
pub enum Show {
    /// Ready text, without a line feed.
    Text(Bytes),
    /// Text that is made when it is written: a cheap view of the state as it was at this command.
    View(Arc<dyn Render>),
}

/// Makes the text of a [`Show::View`], on the output thread.
pub trait Render: Send + Sync {
    /// Writes the line, without a line feed.
    ///
    /// # Errors
    /// Whatever `to` answers.
    fn render(&self, to: &mut dyn io::Write) -> io::Result<()>;
}

impl fmt::Debug for dyn Render {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Render")
    }
}

/// A value that travels as bytes.
pub trait Wire: Sized {
    /// As bytes.
    fn to_bytes(&self) -> Bytes;
    /// From bytes; `None` if they are not such a value.
    fn from_bytes(bytes: &Bytes) -> Option<Self>;
}

/// A replicated state machine over its own types.
pub trait StateMachine: Send + 'static {
    /// What clients send.
    type Command: Wire;
    /// What they get back.
    type Response: Wire;
    /// Applies one committed command.
    fn apply(&mut self, at: LogId, command: Self::Command) -> Self::Response;
}

/// A [`StateMachine`] as Replica drives it. A command that is not one of its kind changes nothing
/// and is answered with an empty response.
#[derive(Clone, Debug)]
pub struct Typed<M>(pub M);

impl<M: StateMachine> Apply for Typed<M> {
    fn apply(&mut self, command: Command<'_>) -> Applied {
        let response = M::Command::from_bytes(command.bytes)
            .map_or_else(Bytes::new, |typed| self.0.apply(command.at, typed).to_bytes());
        Applied { response, lines: Vec::new() }
    }
}

impl Wire for Bytes {
    fn to_bytes(&self) -> Bytes {
        self.clone()
    }
    fn from_bytes(bytes: &Bytes) -> Option<Self> {
        Some(bytes.clone())
    }
}

impl Wire for String {
    fn to_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(self.as_bytes())
    }
    fn from_bytes(bytes: &Bytes) -> Option<Self> {
        Self::from_utf8(bytes.to_vec()).ok()
    }
}

impl Wire for i64 {
    fn to_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.to_le_bytes())
    }
    fn from_bytes(bytes: &Bytes) -> Option<Self> {
        Some(Self::from_le_bytes(bytes.as_ref().try_into().ok()?))
    }
}

impl Wire for u64 {
    fn to_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.to_le_bytes())
    }
    fn from_bytes(bytes: &Bytes) -> Option<Self> {
        Some(Self::from_le_bytes(bytes.as_ref().try_into().ok()?))
    }
}

impl Wire for () {
    fn to_bytes(&self) -> Bytes {
        Bytes::new()
    }
    fn from_bytes(_: &Bytes) -> Option<Self> {
        Some(())
    }
}
