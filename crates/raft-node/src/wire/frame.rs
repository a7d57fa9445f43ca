//! The frame: header, checksum, lengths, and taking frames out of a stream of bytes.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The size of a frame's header.
pub const HEADER_BYTES: usize = 24;
/// The largest message (a client's command, an entry's payload) unless configured otherwise.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The largest command: a message, and what a state machine puts before it to tell its commands
/// apart.
pub const COMMAND_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 64;
/// A body is never larger: what prost makes of it in memory may be many times its size.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// What follows a header at most: a largest message and its body.
pub const FRAME_BYTES_MAX: usize = MESSAGE_BYTES_MAX + BODY_BYTES_MAX;
/// The largest response of a state machine: what it is sent with finds room in its frame, too.
pub const RESPONSE_BYTES_MAX: usize = FRAME_BYTES_MAX - 4 * 1024;
/// What follows a header at most until the hello is through: a stranger cannot make us allocate
/// more.
pub const HELLO_BYTES_MAX: usize = 64 * 1024;
/// The oldest protocol that this program speaks.
pub const PROTOCOL_MIN: u32 = 1;
/// The newest protocol that this program speaks.
pub const PROTOCOL_MAX: u32 = 1;

/// A trailer up to this size is copied behind its head: one small piece costs less than two.
const INLINE_BYTES_MAX: usize = 1024;

/// Where the checksum stands in the header.
const CRC_AT: usize = 16;

/// What a frame is. The numbers are the format's and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// The dialler's first word.
    Hello = 1,
    /// The acceptor's yes.
    Welcome = 2,
    /// The acceptor's no.
    Refused = 3,
    /// A founder's report.
    Founding = 4,
    /// A new member's identity.
    Admit = 5,
    /// A message of the core.
    Message = 6,
    /// A client's request.
    Request = 7,
    /// The answer to it.
    Reply = 8,
    /// A request passed on to the leader.
    Forward = 9,
    /// The answer to it.
    ForwardReply = 10,
    /// Are you there?
    Ping = 11,
    /// Here.
    Pong = 12,
    /// A leader offers a snapshot.
    SnapshotOffer = 13,
    /// How far it is there.
    SnapshotWant = 14,
    /// A piece of it.
    SnapshotChunk = 15,
    /// What became of it.
    SnapshotAnswer = 16,
}

/// A frame with its checksum verified and its body still bytes. Both parts are slices of what
/// was read: nothing is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// What it is.
    pub kind: Kind,
    /// The Raft group; there is one, and it is 0.
    pub group: u64,
    /// Prost.
    pub body: Bytes,
    /// Raw bytes that carry checksums of their own.
    pub trailer: Bytes,
}

/// A frame ready to be written: one piece of our own and the trailer's slices as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Header and body, and a small trailer.
    pub head: Bytes,
    /// What follows.
    pub trailer: Vec<Bytes>,
}

/// Takes frames out of a stream of bytes.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    frame_bytes_max: usize,
}

/// Why a stream of bytes is no stream of frames.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than allowed.
    #[error("a frame of {length} bytes is more than the {limit} that are taken here")]
    TooLong {
        /// What the header says.
        length: u32,
        /// What is allowed.
        limit: usize,
    },
    /// The body is said to be longer than the frame, or than any body.
    #[error("a frame of {length} bytes says that {body} of them are its body, which is too many")]
    BodyTooLong {
        /// The frame's.
        length: u32,
        /// The body's.
        body: u32,
    },
    /// Damaged on the way, or not our protocol at all.
    #[error("a frame's checksum is {found:08x} and should be {expected:08x}")]
    Checksum {
        /// In the header.
        found: u32,
        /// Of the bytes.
        expected: u32,
    },
    /// A part of the header that this version does not know.
    #[error("a frame with {what} {value}, which this version of the program does not know")]
    Unsupported {
        /// Which part.
        what: &'static str,
        /// Its value.
        value: u64,
    },
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Hello,
        Self::Welcome,
        Self::Refused,
        Self::Founding,
        Self::Admit,
        Self::Message,
        Self::Request,
        Self::Reply,
        Self::Forward,
        Self::ForwardReply,
        Self::Ping,
        Self::Pong,
        Self::SnapshotOffer,
        Self::SnapshotWant,
        Self::SnapshotChunk,
        Self::SnapshotAnswer,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Encoded {
    /// Puts a header before `body` and lets `trailer` follow.
    pub(super) fn seal(kind: Kind, body: &impl prost::Message, trailer: Vec<Bytes>) -> Self {
        let trailer_length = trailer.iter().map(Bytes::len).sum();
        Self { head: head(kind, body, trailer_length, 0).freeze(), trailer }
    }

    /// The same for what a client sends or is sent: one piece, unless it is large.
    pub(super) fn seal_small(kind: Kind, body: &impl prost::Message, trailer: Bytes) -> Self {
        if trailer.len() > INLINE_BYTES_MAX {
            return Self::seal(kind, body, vec![trailer]);
        }
        let mut head = head(kind, body, trailer.len(), trailer.len());
        head.put_slice(&trailer);
        Self { head: head.freeze(), trailer: Vec::new() }
    }

    /// All bytes of the frame.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.slices().map(Bytes::len).sum()
    }

    /// The pieces in the order in which they are to be written.
    pub fn slices(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.head).chain(&self.trailer)
    }

    /// The pieces themselves.
    pub fn into_slices(self) -> impl Iterator<Item = Bytes> {
        std::iter::once(self.head).chain(self.trailer)
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder for a connection that has not said hello yet.
    #[must_use]
    pub fn new() -> Self {
        Self { buffer: BytesMut::new(), frame_bytes_max: HELLO_BYTES_MAX }
    }

    /// The hello is through: larger frames are welcome.
    pub const fn set_frame_bytes_max(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
    }

    /// Where the bytes that arrive are to be put.
    pub const fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next frame, if all of it is there. After an error there is none, ever.
    pub fn next_frame(&mut self) -> Result<Option<RawFrame>, FrameError> {
        let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let header = Header::read(header);
        if header.length as usize > self.frame_bytes_max {
            let limit = self.frame_bytes_max;
            return Err(FrameError::TooLong { length: header.length, limit });
        }
        if header.body_length > header.length || header.body_length as usize > BODY_BYTES_MAX {
            let (length, body) = (header.length, header.body_length);
            return Err(FrameError::BodyTooLong { length, body });
        }
        let whole = HEADER_BYTES + header.length as usize;
        if self.buffer.len() < whole {
            self.buffer.reserve(whole - self.buffer.len());
            return Ok(None);
        }
        let checked = HEADER_BYTES + header.body_length as usize;
        let expected = checksum(&self.buffer[..checked]);
        if header.crc != expected {
            return Err(FrameError::Checksum { found: header.crc, expected });
        }
        let kind = header.kind()?;
        let mut body = self.buffer.split_to(whole).freeze();
        body.advance(HEADER_BYTES);
        let trailer = body.split_off(header.body_length as usize);
        Ok(Some(RawFrame { kind, group: header.group, body, trailer }))
    }
}

/// The header's fields.
struct Header {
    length: u32,
    kind: u8,
    flags: u8,
    reserved: u16,
    group: u64,
    crc: u32,
    body_length: u32,
}

impl Header {
    fn read(mut bytes: &[u8]) -> Self {
        Self {
            length: bytes.get_u32_le(),
            kind: bytes.get_u8(),
            flags: bytes.get_u8(),
            reserved: bytes.get_u16_le(),
            group: bytes.get_u64_le(),
            crc: bytes.get_u32_le(),
            body_length: bytes.get_u32_le(),
        }
    }

    /// The kind, if this version knows all that the header says. Looked at only when the
    /// checksum is right, so that damage is not taken for a newer program's word.
    fn kind(&self) -> Result<Kind, FrameError> {
        for (what, value) in [
            ("flags", u64::from(self.flags)),
            ("reserved bits", u64::from(self.reserved)),
            ("group", self.group),
        ] {
            if value != 0 {
                return Err(FrameError::Unsupported { what, value });
            }
        }
        Kind::from_byte(self.kind)
            .ok_or(FrameError::Unsupported { what: "kind", value: u64::from(self.kind) })
    }
}

/// Header and body of a frame whose trailer is so long, with room for more behind them.
fn head(kind: Kind, body: &impl prost::Message, trailer_length: usize, room: usize) -> BytesMut {
    let body_length = body.encoded_len();
    let mut head = BytesMut::with_capacity(HEADER_BYTES + body_length + room);
    head.put_u32_le(stated(body_length + trailer_length));
    head.put_u8(kind as u8);
    head.put_u8(0); // flags
    head.put_u16_le(0);
    head.put_u64_le(0); // group
    head.put_u32_le(0); // the checksum's place
    head.put_u32_le(stated(body_length));
    body.encode_raw(&mut head);
    let crc = checksum(&head);
    head[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    head
}

/// A length as the header states it. One that does not fit is stated as the largest, which every
/// receiver refuses.
fn stated(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// CRC32C of header and body, less the checksum's own four bytes.
fn checksum(head: &[u8]) -> u32 {
    let before = crc32c::crc32c(&head[..CRC_AT]);
    crc32c::crc32c_append(before, &head[CRC_AT + 4..])
}
