//! The store as a snapshot: its sealed segments of text, each a part, then one part with the rest.
//!
//! | part | bytes |
//! |---|---|
//! | a segment | `1 u8`, format u8, number of the segment u64, number of messages u64, the messages |
//! | the rest | `2 u8`, format u8, number of sealed segments u64, number of messages u64, the messages, the map |
//!
//! A message has its length before it, u32. All numbers are little-endian. A sealed segment is
//! named by its number, from 0.

use std::io::{self, BufReader, BufWriter, Read, Write};

use bytes::Bytes;
use raft_node::{Part, Snapshot};

use crate::map::{HistoryLimits, Map, MapView};
use crate::messages::{Messages, Segment};

/// The version of both kinds of parts.
const FORMAT: u8 = 2;
const SEGMENT: u8 = 1;
const REST: u8 = 2;

/// Bytes that are handed over at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// The store as it was at one point of the log.
#[derive(Debug)]
pub(crate) struct StoreSnapshot {
    pub(crate) messages: Messages,
    pub(crate) map: MapView,
}

impl Snapshot for StoreSnapshot {
    fn parts(&self) -> Vec<Part> {
        let (sealed, _) = self.messages.segments();
        (0..sealed.len() as u64).map(Part::Sealed).chain([Part::Changing]).collect()
    }

    fn write(&self, part: usize, to: &mut dyn Write) -> io::Result<()> {
        let (sealed, open) = self.messages.segments();
        let to = &mut BufWriter::with_capacity(BUFFER_BYTES, to);
        if let Some(segment) = sealed.get(part) {
            write_messages(SEGMENT, part, segment, to)?;
        } else if part == sealed.len() {
            write_messages(REST, part, open, to)?;
            self.map.write(to)?;
        }
        to.flush()
    }
}

fn write_messages(
    kind: u8,
    number: usize,
    segment: &Segment,
    to: &mut dyn Write,
) -> io::Result<()> {
    to.write_all(&[kind, FORMAT])?;
    to.write_all(&(number as u64).to_le_bytes())?;
    to.write_all(&segment.count().to_le_bytes())?;
    segment.iter().try_for_each(|message| write_piece(to, message))
}

/// Reads what the parts of a snapshot have, one after the other.
pub(crate) fn read(limits: HistoryLimits, from: &mut dyn Read) -> io::Result<(Messages, Map)> {
    let from = &mut Source(BufReader::with_capacity(BUFFER_BYTES, from));
    let mut messages = Messages::default();
    loop {
        let [kind, format] = from.array()?;
        if format != FORMAT {
            let what =
                format!("the store's snapshot has format {format}; this version reads {FORMAT}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        let sealed = messages.segments().0.len() as u64;
        if !matches!(kind, SEGMENT | REST) || from.u64()? != sealed {
            return Err(damaged("a part is missing or at a wrong place"));
        }
        for _ in 0..from.u64()? {
            messages.push(&from.piece()?);
        }
        let (now, open) = messages.segments();
        if kind == SEGMENT {
            if now.len() as u64 != sealed + 1 || open.count() != 0 {
                return Err(damaged("a segment of the text log is not whole"));
            }
        } else if now.len() as u64 != sealed {
            return Err(damaged("the rest of the text log is more than a segment"));
        } else {
            break;
        }
    }
    let map = Map::read(limits, from)?;
    from.end()?;
    Ok((messages, map))
}

pub(crate) fn write_piece(to: &mut dyn Write, piece: &[u8]) -> io::Result<()> {
    to.write_all(&(piece.len() as u32).to_le_bytes())?;
    to.write_all(piece)
}

/// What is no snapshot of the store, or a damaged one.
pub(crate) fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the store's snapshot is damaged: {what}"))
}

/// A snapshot that is read. A length that is read makes no room: the bytes have to come.
pub(crate) struct Source<R>(R);

impl<R: Read> Source<R> {
    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn u64(&mut self) -> io::Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn piece(&mut self) -> io::Result<Bytes> {
        let length = u32::from_le_bytes(self.array()?);
        let mut piece = Vec::new();
        self.0.by_ref().take(length.into()).read_to_end(&mut piece)?;
        if piece.len() as u64 != u64::from(length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(piece.into())
    }

    fn end(&mut self) -> io::Result<()> {
        match self.0.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(damaged("something follows its end")),
        }
    }
}
