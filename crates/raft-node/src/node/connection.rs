//! One socket: what is read becomes frames, what is to be written waits in one queue.
//!
//! A reader task hands over everything that one read brought and then waits until the reactor has
//! taken it: a connection never has more than one batch in memory. Writes are made by the reactor
//! itself, once per cycle; what a full socket leaves is written by a flusher task.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use raft_core::Index;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use crate::binding::ConnectionId;
use crate::node::incoming::Incoming;
use crate::node::observe::count;
use crate::wire::{Decoder, Encoded, FRAME_BYTES_MAX, Frame, WireError};

/// Slices in one write call.
const SLICES_MAX: usize = 64;

/// Slices below this are copied into one buffer: what the system is handed are few large pieces.
const SMALL_SLICE_BYTES: usize = 2048;

/// A buffer that grew beyond this for one cycle is not kept for the next.
const SMALL_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Room for so many bytes at least is offered to every read, and twice as many as before to one
/// after a read that filled it: many connections take little memory, and busy ones few calls.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 256 * 1024;

/// After so long without a sign of the other end the system looks whether it is there: a machine
/// that lost its power hangs up on nobody.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A socket whose other end is not yet known to anybody but this task.
#[derive(Debug)]
pub(super) struct Talk {
    stream: TcpStream,
    decoder: Decoder,
}

impl Talk {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let probes = TcpKeepalive::new().with_time(SILENCE_MAX).with_interval(SILENCE_MAX / 3);
        SockRef::from(&stream).set_tcp_keepalive(&probes)?;
        Ok(Self { stream, decoder: Decoder::default() })
    }

    /// Writes a frame.
    pub(super) async fn say(&mut self, frame: &Frame) -> io::Result<()> {
        let mut slices: VecDeque<Bytes> = frame.encode().into_slices().collect();
        while !slices.is_empty() {
            self.stream.writable().await?;
            match write_some(&self.stream, &mut slices) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The next frame.
    pub(super) async fn hear(&mut self) -> io::Result<Frame> {
        loop {
            if let Some(frame) = next(&mut self.decoder).map_err(invalid)? {
                return Ok(frame);
            }
            self.stream.readable().await?;
            read_some(&self.stream, &mut self.decoder, READ_BYTES_MIN)?;
        }
    }

    /// Lets frames of any size through, once the other end is known.
    pub(super) fn trust(&mut self) {
        self.decoder.set_frame_bytes_max(FRAME_BYTES_MAX);
    }
}

fn invalid(error: WireError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn next(decoder: &mut Decoder) -> Result<Option<Frame>, WireError> {
    decoder.next_frame()?.map(crate::wire::RawFrame::decode).transpose()
}

/// Reads what is there; an end of the stream is an error.
fn read_some(stream: &TcpStream, decoder: &mut Decoder, room: usize) -> io::Result<usize> {
    let buffer = decoder.buffer();
    if buffer.is_empty() && buffer.capacity() > 4 * room {
        // It was larger for a while.
        *buffer = BytesMut::new();
    }
    buffer.reserve(room);
    match stream.try_read_buf(buffer) {
        Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other end closed it")),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

fn write_some(stream: &TcpStream, slices: &mut VecDeque<Bytes>) -> io::Result<usize> {
    let mut parts = [IoSlice::new(&[]); SLICES_MAX];
    let count = parts.len().min(slices.len());
    for (part, bytes) in parts.iter_mut().zip(slices.iter()) {
        *part = IoSlice::new(bytes);
    }
    let mut taken = stream.try_write_vectored(&parts[..count])?;
    let written = taken;
    while let Some(front) = slices.front_mut() {
        if taken < front.len() {
            front.advance(taken);
            break;
        }
        taken -= front.len();
        slices.pop_front();
    }
    Ok(written)
}

/// Counts what sockets did that brought or took something.
#[derive(Debug, Default)]
pub(super) struct Meter {
    pub(super) reads: AtomicU64,
    pub(super) writes: AtomicU64,
}

/// A connection that the reactor knows.
#[derive(Debug)]
pub(super) struct Connection {
    id: ConnectionId,
    stream: TcpStream,
    out: RefCell<Outbox>,
    may_read: Notify,
    must_flush: Notify,
    flushing: Cell<bool>,
    /// Whether the reactor is to write to it at the end of its cycle.
    pub(super) touched: Cell<bool>,
    trusted: Cell<bool>,
    meter: Arc<Meter>,
    tasks: RefCell<Vec<AbortHandle>>,
}

#[derive(Debug, Default)]
struct Outbox {
    slices: VecDeque<Bytes>,
    /// Small slices, behind the others.
    small: BytesMut,
    waiting: usize,
    /// Bytes written and bytes queued since the connection began.
    written: u64,
    queued: u64,
    /// Where in the stream entries begin and end.
    marks: VecDeque<Mark>,
    /// All entries that the socket has taken, and the bytes of the following ones: last seen and
    /// last told.
    sent: (Index, u64),
    told: (Index, u64),
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    start: u64,
    end: u64,
    /// The entry before those between, and the last of them.
    prev: Index,
    through: Index,
}

/// What a flush came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing waits.
    All,
    /// The socket is full; a task goes on with it.
    Blocked,
    /// The socket is broken; the reader task reports it.
    Broken,
}

impl Outbox {
    fn push(&mut self, slice: Bytes) {
        self.waiting += slice.len();
        self.queued += slice.len() as u64;
        if slice.len() < SMALL_SLICE_BYTES {
            self.small.extend_from_slice(&slice);
        } else {
            self.close_small();
            self.slices.push_back(slice);
        }
    }

    /// The small slices so far are one piece from now on. Once it is written, its memory is used
    /// again for the following.
    fn close_small(&mut self) {
        if self.small.is_empty() {
            return;
        }
        let keep = self.small.capacity() <= SMALL_BUFFER_BYTES_MAX;
        let small = if keep { self.small.split() } else { mem::take(&mut self.small) };
        self.slices.push_back(small.freeze());
    }
}

impl Connection {
    /// Takes over a socket: from now on its frames arrive as [`Incoming::Frames`].
    pub(super) fn start(
        id: ConnectionId,
        talk: Talk,
        incoming: mpsc::UnboundedSender<Incoming>,
        meter: Arc<Meter>,
    ) -> Rc<Self> {
        let Talk { stream, decoder } = talk;
        let connection = Rc::new(Self {
            id,
            stream,
            out: RefCell::default(),
            may_read: Notify::new(),
            must_flush: Notify::new(),
            flushing: Cell::new(false),
            touched: Cell::new(false),
            trusted: Cell::new(false),
            meter,
            tasks: RefCell::default(),
        });
        let reader =
            tokio::task::spawn_local(read(Rc::clone(&connection), decoder, incoming.clone()));
        let flusher = tokio::task::spawn_local(flush(Rc::clone(&connection), incoming));
        *connection.tasks.borrow_mut() = vec![reader.abort_handle(), flusher.abort_handle()];
        connection
    }

    /// Lets the reader task read again.
    pub(super) fn resume(&self) {
        self.may_read.notify_one();
    }

    /// Queues a frame.
    pub(super) fn push(&self, frame: Encoded) {
        let mut out = self.out.borrow_mut();
        for slice in frame.into_slices() {
            out.push(slice);
        }
    }

    /// Queues a frame whose last bytes are the entries after `prev` up to `through`.
    pub(super) fn push_entries(&self, frame: Encoded, prev: Index, through: Index) {
        let start = self.out.borrow().queued;
        self.push(frame);
        let mut out = self.out.borrow_mut();
        let end = out.queued;
        out.marks.push_back(Mark { start, end, prev, through });
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.out.borrow().waiting
    }

    /// Writes what waits, as far as the socket takes it.
    pub(super) fn flush(&self) -> Flushed {
        let mut out = self.out.borrow_mut();
        out.close_small();
        while !out.slices.is_empty() {
            match write_some(&self.stream, &mut out.slices) {
                Ok(written) => {
                    count(&self.meter.writes);
                    out.waiting -= written;
                    out.written += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.flushing.replace(true) {
                        self.must_flush.notify_one();
                    }
                    return Flushed::Blocked;
                }
                Err(_) => return Flushed::Broken,
            }
        }
        Flushed::All
    }

    /// How far the socket has taken entries, and how many bytes of the following ones, if that
    /// is news.
    pub(super) fn take_sent(&self) -> Option<(Index, u64)> {
        let mut out = self.out.borrow_mut();
        let written = out.written;
        while let Some(mark) = out.marks.pop_front_if(|mark| mark.end <= written) {
            out.sent = (mark.through, 0);
        }
        if let Some(mark) = out.marks.front().copied().filter(|mark| mark.start < written) {
            out.sent = (mark.prev, written - mark.start);
        }
        let news = (out.sent != out.told).then_some(out.sent);
        out.told = out.sent;
        news
    }

    /// Whether entries are on their way into the socket.
    fn sends_entries(&self) -> bool {
        !self.out.borrow().marks.is_empty()
    }

    /// Gives up on an end that takes nothing of what is sent for so long. Left to itself, the
    /// system repeats it at growing intervals, and after a minute's partition waits another.
    pub(super) fn hurry(&self, patience: Duration) {
        #[cfg(target_os = "linux")]
        // One that is broken already needs no patience.
        let _set = SockRef::from(&self.stream).set_tcp_user_timeout(Some(patience));
        #[cfg(not(target_os = "linux"))]
        let _ = patience;
    }

    /// Lets frames of any size through, once the other end is known.
    pub(super) fn trust(&self) {
        self.trusted.set(true);
    }

    /// Ends the connection and its tasks.
    pub(super) fn close(&self) {
        for task in self.tasks.borrow_mut().drain(..) {
            task.abort();
        }
    }
}

/// Lets whatever lies in the sockets' buffers be read: at the first turn the runtime asks the
/// system which sockets have something, at the second their readers hand it over.
pub(super) async fn hear_sockets() {
    for _ in 0..2 {
        tokio::task::yield_now().await;
    }
}

/// What to offer after a read that was offered so much and took so much.
fn next_room(room: usize, taken: usize) -> usize {
    if taken >= room {
        READ_BYTES_MAX.min(2 * room)
    } else if taken < room / 4 {
        READ_BYTES_MIN.max(room / 2)
    } else {
        room
    }
}

async fn read(
    connection: Rc<Connection>,
    mut decoder: Decoder,
    incoming: mpsc::UnboundedSender<Incoming>,
) {
    let id = connection.id;
    // About as many as the last time.
    let mut expected = 1;
    let mut room = READ_BYTES_MIN;
    let error = loop {
        let mut frames = Vec::with_capacity(expected);
        let ended = loop {
            match next(&mut decoder) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break None,
                Err(error) => break Some(invalid(error)),
            }
        };
        if !frames.is_empty() {
            expected = frames.len();
            // The reactor outlives its connections.
            let _sent = incoming.send(Incoming::Frames { connection: id, frames });
            connection.may_read.notified().await;
        }
        if let Some(error) = ended {
            break error;
        }
        if let Err(error) = connection.stream.readable().await {
            break error;
        }
        match read_some(&connection.stream, &mut decoder, room) {
            Ok(0) => {}
            Ok(taken) => {
                count(&connection.meter.reads);
                room = next_room(room, taken);
            }
            Err(error) => break error,
        }
        if connection.trusted.get() {
            decoder.set_frame_bytes_max(FRAME_BYTES_MAX);
        }
    };
    let _sent = incoming.send(Incoming::Closed { connection: id, error });
}

async fn flush(connection: Rc<Connection>, incoming: mpsc::UnboundedSender<Incoming>) {
    loop {
        connection.must_flush.notified().await;
        loop {
            if connection.stream.writable().await.is_err() {
                return;
            }
            if connection.flush() != Flushed::Blocked {
                break;
            }
            // A large entry on a slow link takes its time: as long as it moves, the leader is
            // told.
            if connection.sends_entries() {
                let _sent = incoming.send(Incoming::Wrote { connection: connection.id });
            }
        }
        connection.flushing.set(false);
        let _sent = incoming.send(Incoming::Drained { connection: connection.id });
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use tokio::time::{Instant, sleep_until};

    use super::*;

    /// A connection whose other end is the test's.
    async fn pair() -> (Rc<Connection>, std::net::TcpStream, mpsc::UnboundedReceiver<Incoming>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (sender, incoming) = mpsc::unbounded_channel();
        let talk = Talk::new(stream).unwrap();
        (Connection::start(ConnectionId(1), talk, sender, Arc::default()), other, incoming)
    }

    fn in_a_reactor(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, test);
    }

    #[test]
    fn a_deadline_that_passed_comes_after_what_lies_in_the_sockets() {
        in_a_reactor(async {
            let (_connection, mut other, mut incoming) = pair().await;
            hear_sockets().await;
            // This thread stalls; meanwhile the leader speaks and the deadline passes.
            let deadline = Instant::now() - Duration::from_millis(50);
            for slice in (Frame::Ping { nonce: 7 }).encode().slices() {
                other.write_all(slice).unwrap();
            }
            tokio::select! {
                biased;
                _ = incoming.recv() => panic!("nothing can have been read yet"),
                () = sleep_until(deadline) => {}
            }
            hear_sockets().await;
            assert!(matches!(
                incoming.try_recv(),
                Ok(Incoming::Frames { connection: ConnectionId(1), .. })
            ));
        });
    }

    #[test]
    fn a_large_entry_that_moves_is_progress() {
        in_a_reactor(async {
            let (connection, mut other, mut incoming) = pair().await;
            let size = 32 * 1024 * 1024;
            let frame =
                Encoded { head: Bytes::from_static(b"head"), trailer: vec![vec![0; size].into()] };
            connection.push_entries(frame, Index(6), Index(7));
            assert_eq!(connection.flush(), Flushed::Blocked);
            let mut told = vec![connection.take_sent().unwrap()];
            other.set_nonblocking(true).unwrap();
            let mut bytes = vec![0; 64 * 1024];
            // Read in small steps, so that the socket can only take the entry in many.
            while connection.waiting() > 0 {
                if let Err(error) = other.read(&mut bytes) {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                }
                hear_sockets().await;
                while let Ok(Incoming::Wrote { .. } | Incoming::Drained { .. }) =
                    incoming.try_recv()
                {
                    told.extend(connection.take_sent());
                }
            }
            assert_eq!(told.pop(), Some((Index(7), 0)));
            assert!(told.len() > 2, "{told:?}");
            assert!(told.is_sorted() && told.iter().all(|(prev, _)| *prev == Index(6)), "{told:?}");
        });
    }
}
