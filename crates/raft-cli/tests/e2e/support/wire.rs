//! A client by hand, that says what it likes to whom it likes.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use raft_node::hello::{Believed, Hello, Party, Protocols, Role};
use raft_node::wire::{Decoder, FRAME_BYTES_MAX, Frame};

/// A connection to one server.
pub(crate) struct Wire {
    stream: TcpStream,
    decoder: Decoder,
}

impl Wire {
    /// Dials a server; `None` if it does not run, or wants no clients now.
    pub(crate) fn dial(port: u16) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_nodelay(true).ok()?;
        let mut decoder = Decoder::new();
        decoder.set_frame_bytes_max(FRAME_BYTES_MAX);
        let mut wire = Self { stream, decoder };
        let hello = Hello {
            protocol: Protocols::OURS,
            role: Role::Client,
            from: Party::default(),
            to: Believed::default(),
        };
        wire.say([Frame::Hello(hello)]).ok()?;
        let welcome = wire.hear(Instant::now() + Duration::from_secs(1))?;
        matches!(welcome, Frame::Welcome(_)).then_some(wire)
    }

    /// Says all of it at once.
    pub(crate) fn say(&mut self, frames: impl IntoIterator<Item = Frame>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for frame in frames {
            frame.encode().slices().for_each(|slice| bytes.extend_from_slice(slice));
        }
        self.stream.write_all(&bytes)
    }

    /// What is said next; `None` if that is nothing until then, or the connection has ended.
    pub(crate) fn hear(&mut self, until: Instant) -> Option<Frame> {
        loop {
            if let Some(raw) = self.decoder.next_frame().expect("frames") {
                return Some(raw.decode().expect("a frame"));
            }
            let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
            self.stream.set_read_timeout(Some(left?)).ok()?;
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.decoder.buffer().extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}
