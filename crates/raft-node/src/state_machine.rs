//! The door for state machines.
//!
//! [`Apply`] is what Replica drives: bytes in, bytes out, and lines for people as data.
//! [`StateMachine`] is the typed door on top of it: state, commands and responses that know how
//! to become bytes; [`Typed`] joins the two.
//!
//! **Invariant:** `apply` is deterministic. It sees every committed command exactly once and in
//! the same order on every member; it must not look at a clock, at randomness, or at
//! `lines_wanted` for anything but leaving out lines. Two members that applied the same commands
//! write the same bytes as their snapshots, part by part.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use raft_core::LogId;

/// A replicated state machine over bytes.
pub trait Apply: Send + 'static {
    /// Applies one committed command. Cannot fail: what a command may do wrong is part of its
    /// response.
    fn apply(&mut self, command: Command<'_>) -> Applied;

    /// Answers a question about the state and changes nothing. Cannot fail: what is wrong with a
    /// question is part of its answer. Runs between commands, so it has to be short, and its
    /// answer bounded.
    fn query(&self, query: &[u8]) -> Bytes;

    /// A number that rises whenever an answer to a query may have become another one: whoever
    /// waits for news asks again when it did.
    fn version(&self) -> u64;

    /// Whether a read that asks this may have another answer than at that version. Whoever waits
    /// for news is woken only then: answer `true` when in doubt, and fast.
    fn has_news(&self, query: &Bytes, since: u64) -> bool {
        let _ = query;
        self.version() > since
    }

    /// Whether this command may be proposed now. Only a leader asks, before it appends; on `Err`
    /// nothing is appended and the client is told why. Limits on how large the state may grow
    /// belong here, because applying cannot refuse on one member and not on another. `ahead` are
    /// the bytes of what this leader has admitted and not applied yet, of all kinds.
    ///
    /// A limit may be passed by what an earlier leader has admitted and this one not applied.
    ///
    /// # Errors
    /// Why not.
    fn admits(&self, command: &Bytes, ahead: u64) -> Result<(), NotAdmitted> {
        let _ = (command, ahead);
        Ok(())
    }

    /// What of the state may grow only so far, for people.
    fn fills(&self) -> Vec<Fill> {
        Vec::new()
    }

    /// The state as it is now, to be written by another thread while applying goes on. Cheap:
    /// shares what it can.
    fn snapshot(&self) -> Box<dyn Snapshot>;

    /// An empty machine of the same kind. It may be sent to another thread, restore a snapshot
    /// there, and take this one's place.
    fn fresh(&self) -> Box<dyn Apply>;

    /// Replaces the state by one that a snapshot wrote: all its parts, one after the other, in
    /// order, to the end of `from`.
    ///
    /// # Errors
    /// Whatever `from` answers; [`io::ErrorKind::InvalidData`] for what is no snapshot of this
    /// kind, [`io::ErrorKind::Unsupported`] for a version that is not known, which is named. The
    /// state is then as before. What is read may be damaged: nothing panics, and no more memory
    /// is taken than the bytes that came account for.
    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()>;
}

/// Why a command may not be proposed. Each text is for people: what, why, what next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The state has no room for it.
    Full(String),
    /// Whether there is room for it is known once what is under way is applied.
    Undecided(String),
    /// It is no command of this machine.
    Invalid(String),
}

/// How full a part of the state is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// What it is, as in "text log".
    pub what: String,
    /// What it takes.
    pub bytes: u64,
    /// And may take, by this member's own say.
    pub bytes_max: u64,
}

impl Fill {
    /// Whether nine tenths are taken.
    #[must_use]
    pub const fn is_high(&self) -> bool {
        self.bytes as u128 * 10 >= self.bytes_max as u128 * 9
    }
}

/// The state of a machine at one point of the log.
///
/// It is written as a list of parts. Most machines have one. One whose state has pieces that
/// never change again names them: a part with a name has the same bytes in every later snapshot
/// and on every member, so whoever holds the part of that name need not write it again.
pub trait Snapshot: Send {
    /// The parts, in order.
    fn parts(&self) -> Vec<Part>;

    /// Writes one of the parts, by its position in the list; one that is not there writes
    /// nothing. Any part may be left out, or written again.
    ///
    /// # Errors
    /// Whatever `to` answers.
    fn write(&self, part: usize, to: &mut dyn Write) -> io::Result<()>;
}

impl fmt::Debug for dyn Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts()).finish()
    }
}

/// A small state, as bytes already.
impl Snapshot for Bytes {
    fn parts(&self) -> Vec<Part> {
        vec![Part::Changing]
    }

    fn write(&self, part: usize, to: &mut dyn Write) -> io::Result<()> {
        if part == 0 { to.write_all(self) } else { Ok(()) }
    }
}

/// A part of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What is in it may be different in the next snapshot.
    Changing,
    /// It never changes; the number is its name.
    Sealed(u64),
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
    fn render(&self, to: &mut dyn Write) -> io::Result<()>;
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

/// A replicated state machine over its own types: what a command does to a state.
///
/// ```
/// use raft_node::{LogId, StateMachine, Typed};
///
/// struct Counter;
///
/// impl StateMachine for Counter {
///     type State = u64;
///     type Command = u64;
///     type Response = u64;
///     fn apply(count: &mut u64, _at: LogId, add: u64) -> u64 {
///         *count = count.wrapping_add(add);
///         *count
///     }
/// }
///
/// let machine = Typed::<Counter>::new(0);
/// ```
pub trait StateMachine: Send + 'static {
    /// What it keeps. A snapshot clones it, and makes bytes of the clone on another thread; a
    /// state for which that is too dear implements [`Apply`].
    type State: Wire + Clone + Send + 'static;
    /// What clients send.
    type Command: Wire;
    /// What they get back.
    type Response: Wire;
    /// Applies one committed command.
    fn apply(state: &mut Self::State, at: LogId, command: Self::Command) -> Self::Response;
    /// Answers a question about the state. Unless you say otherwise, the answer to every question
    /// is the whole state.
    fn query(state: &Self::State, _query: &[u8]) -> Bytes {
        state.to_bytes()
    }
}

/// A [`StateMachine`] as Replica drives it. A command that is not one of its kind changes nothing
/// and is answered with an empty response.
#[derive(Clone, Debug)]
pub struct Typed<M: StateMachine> {
    state: M::State,
    commands: u64,
}

impl<M: StateMachine> Typed<M> {
    /// A machine that begins with this state, the same on every member.
    #[must_use]
    pub const fn new(state: M::State) -> Self {
        Self { state, commands: 0 }
    }
}

impl<M: StateMachine> Apply for Typed<M> {
    fn apply(&mut self, command: Command<'_>) -> Applied {
        self.commands += 1;
        let response = M::Command::from_bytes(command.bytes).map_or_else(Bytes::new, |typed| {
            M::apply(&mut self.state, command.at, typed).to_bytes()
        });
        Applied { response, lines: Vec::new() }
    }

    fn query(&self, query: &[u8]) -> Bytes {
        M::query(&self.state, query)
    }

    fn version(&self) -> u64 {
        self.commands
    }

    fn snapshot(&self) -> Box<dyn Snapshot> {
        Box::new(TypedSnapshot { state: self.state.clone(), commands: self.commands })
    }

    fn fresh(&self) -> Box<dyn Apply> {
        Box::new(Self { state: self.state.clone(), commands: 0 })
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut head = [0; TYPED_HEAD_BYTES];
        from.read_exact(&mut head)?;
        let [a, b, c, d, commands @ ..] = head;
        let format = u32::from_le_bytes([a, b, c, d]);
        if format != TYPED_FORMAT {
            let known = TYPED_FORMAT;
            let what = format!("a snapshot of format {format}; this version reads {known}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)?;
        let other = || io::Error::new(io::ErrorKind::InvalidData, "a state of another machine");
        self.state = M::State::from_bytes(&bytes.into()).ok_or_else(other)?;
        self.commands = u64::from_le_bytes(commands);
        Ok(())
    }
}

/// The format of what [`Typed`] writes: this number, u32, how many commands there were, u64, both
/// little-endian, and the state.
const TYPED_FORMAT: u32 = 1;
const TYPED_HEAD_BYTES: usize = 12;

struct TypedSnapshot<S> {
    state: S,
    commands: u64,
}

impl<S: Wire + Send> Snapshot for TypedSnapshot<S> {
    fn parts(&self) -> Vec<Part> {
        vec![Part::Changing]
    }

    fn write(&self, part: usize, to: &mut dyn Write) -> io::Result<()> {
        if part == 0 {
            to.write_all(&TYPED_FORMAT.to_le_bytes())?;
            to.write_all(&self.commands.to_le_bytes())?;
            to.write_all(&self.state.to_bytes())?;
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter;

    impl StateMachine for Counter {
        type State = u64;
        type Command = u64;
        type Response = u64;
        fn apply(count: &mut u64, _at: LogId, add: u64) -> u64 {
            *count += add;
            *count
        }
    }

    fn add(counter: &mut Typed<Counter>, bytes: &Bytes) -> Bytes {
        let at = LogId::new(1, 1);
        counter.apply(Command { at, bytes, lines_wanted: true }).response
    }

    fn written(snapshot: &dyn Snapshot) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in 0..=snapshot.parts().len() {
            snapshot.write(part, &mut bytes).expect("a Vec takes everything");
        }
        bytes
    }

    #[test]
    fn a_counter_is_saved_and_comes_back() {
        let mut counter = Typed::<Counter>::new(5);
        assert_eq!(add(&mut counter, &2_u64.to_bytes()), 7_u64.to_bytes());
        let snapshot = counter.snapshot();
        assert_eq!(add(&mut counter, &Bytes::from_static(b"beer")), Bytes::new());
        assert_eq!(add(&mut counter, &1_u64.to_bytes()), 8_u64.to_bytes());
        let bytes = written(&*snapshot);
        assert_eq!(
            bytes,
            [&1_u32.to_le_bytes()[..], &[1, 0, 0, 0, 0, 0, 0, 0, 7], &[0; 7]].concat()
        );
        let mut other = Typed::<Counter>::new(0);
        other.restore(&mut &bytes[..]).expect("a snapshot");
        assert_eq!((other.query(b"?"), other.version()), (7_u64.to_bytes(), 1));
        assert_eq!((counter.query(b""), counter.version()), (8_u64.to_bytes(), 3));
    }

    #[test]
    fn what_is_no_snapshot_changes_nothing() {
        let mut counter = Typed::<Counter>::new(5);
        let bytes = written(&*counter.snapshot());
        let mut newer = bytes.clone();
        newer[0] = 7;
        let long = [&bytes[..], &[0]].concat();
        let cases = [
            (&bytes[..11], io::ErrorKind::UnexpectedEof),
            (&bytes[..19], io::ErrorKind::InvalidData),
            (&long, io::ErrorKind::InvalidData),
            (&newer, io::ErrorKind::Unsupported),
        ];
        for (mut bytes, kind) in cases {
            let error = counter.restore(&mut bytes).expect_err("no snapshot");
            assert_eq!((error.kind(), counter.query(b"")), (kind, 5_u64.to_bytes()), "{error}");
        }
        let error = counter.restore(&mut &newer[..]).expect_err("too new").to_string();
        assert_eq!(error, "a snapshot of format 7; this version reads 1");
    }
}
