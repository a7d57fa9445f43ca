//! All messages, in order, shared with whoever prints or saves them.
//!
//! Short messages are packed into chunks of about 64 KiB; a long one is a chunk of its own. Full
//! chunks never change, so a [`View`] shares them. A view also shares the chunk that is being
//! filled: the next push copies that one chunk if a view still holds it, and nothing else. What a
//! message takes beside its text is the 4 bytes of its end.
//!
//! Chunks belong to segments of about 8 MiB. A full segment is sealed: it is the same on every
//! member and in every later snapshot, so it is saved once.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use raft_node::Render;

/// A chunk with this many bytes of text, or this many messages, is full. Also where a message
/// becomes a long one.
const CHUNK_BYTES_MAX: usize = 64 * 1024;
const CHUNK_MESSAGES_MAX: usize = 8 * 1024;

/// A message of this length shares the bytes that it came in; a shorter one is copied, because
/// what it came in may be much larger.
const SHARED_BYTES_MIN: usize = 256 * 1024;

/// A segment with this many bytes is sealed. Part of the replicated behaviour.
const SEGMENT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// An append-only list of messages.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    sealed: Arc<Vec<Arc<Segment>>>,
    open: Segment,
    count: u64,
    bytes: u64,
}

/// Messages in a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segment {
    full: Arc<Vec<Chunk>>,
    filling: Arc<Packed>,
    count: u64,
    /// Of text, with 4 for each message.
    bytes: u64,
}

/// The messages as they were at one point of the log.
///
/// Rendered as `Logs [first second third]`: one space between the messages, line feed and carriage
/// return as `\n` and `\r` so that it stays one line, all other bytes as they are. Backslashes are
/// left alone, because a message without line ends must look exactly as it was sent.
#[derive(Clone, Debug)]
pub struct View(Messages);

#[derive(Clone, Debug)]
enum Chunk {
    Short(Arc<Packed>),
    Long(Bytes),
}

#[derive(Clone, Debug, Default)]
struct Packed {
    text: Vec<u8>,
    /// Where each message ends in `text`.
    ends: Vec<u32>,
}

impl Messages {
    /// Appends one message.
    pub fn push(&mut self, message: &Bytes) {
        self.count += 1;
        self.bytes += message.len() as u64;
        self.open.push(message);
        if self.open.bytes >= SEGMENT_BYTES_MAX {
            self.open.fill_up();
            let sealed = std::mem::take(&mut self.open);
            Arc::make_mut(&mut self.sealed).push(Arc::new(sealed));
        }
    }

    /// How many messages there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The bytes of all messages together.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The messages as they are now; later pushes do not change it. Copies no message.
    #[must_use]
    pub fn view(&self) -> View {
        View(self.clone())
    }

    /// All messages, first to last.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.sealed.iter().flat_map(|segment| segment.iter()).chain(self.open.iter())
    }

    /// The sealed segments, and the one that grows.
    pub(crate) fn segments(&self) -> (&[Arc<Segment>], &Segment) {
        (&self.sealed, &self.open)
    }
}

impl Segment {
    fn push(&mut self, message: &Bytes) {
        self.count += 1;
        self.bytes += message.len() as u64 + 4;
        if message.len() >= CHUNK_BYTES_MAX {
            self.fill_up();
            let shared = message.len() >= SHARED_BYTES_MIN;
            let message = if shared { message.clone() } else { Bytes::copy_from_slice(message) };
            Arc::make_mut(&mut self.full).push(Chunk::Long(message));
            return;
        }
        let filling = Arc::make_mut(&mut self.filling);
        filling.push(message);
        if filling.text.len() >= CHUNK_BYTES_MAX || filling.ends.len() >= CHUNK_MESSAGES_MAX {
            self.fill_up();
        }
    }

    /// Begins another chunk.
    fn fill_up(&mut self) {
        let mut filled = std::mem::take(&mut self.filling);
        if !filled.ends.is_empty() {
            let packed = Arc::make_mut(&mut filled);
            packed.text.shrink_to_fit();
            packed.ends.shrink_to_fit();
            Arc::make_mut(&mut self.full).push(Chunk::Short(filled));
        }
    }

    /// How many messages there are in it.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.full.iter().flat_map(Chunk::iter).chain(self.filling.iter())
    }
}

impl Chunk {
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let (short, long) = match self {
            Self::Short(packed) => (Some(packed.iter()), None),
            Self::Long(message) => (None, Some(&message[..])),
        };
        short.into_iter().flatten().chain(long)
    }
}

impl Packed {
    /// Takes messages below `CHUNK_BYTES_MAX` while the text is below it too: ends fit in a `u32`.
    fn push(&mut self, message: &[u8]) {
        self.text.extend_from_slice(message);
        self.ends.push(self.text.len() as u32);
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.text[start as usize..end as usize])
    }
}

impl Render for View {
    fn render(&self, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(b"Logs [")?;
        for (position, message) in self.0.iter().enumerate() {
            if position > 0 {
                to.write_all(b" ")?;
            }
            write_on_one_line(message, to)?;
        }
        to.write_all(b"]")
    }
}

fn write_on_one_line(message: &[u8], to: &mut dyn Write) -> io::Result<()> {
    let mut rest = message;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        to.write_all(&rest[..at])?;
        to.write_all(if rest[at] == b'\n' { b"\\n" } else { b"\\r" })?;
        rest = &rest[at + 1..];
    }
    to.write_all(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(view: &View) -> Vec<u8> {
        let mut text = Vec::new();
        view.render(&mut text).expect("a Vec takes everything");
        text
    }

    /// The same in the most obvious way.
    fn twin(messages: &[Vec<u8>]) -> Vec<u8> {
        let shown = messages.iter().map(|message| {
            let shown = |byte: &u8| match byte {
                b'\n' => b"\\n".to_vec(),
                b'\r' => b"\\r".to_vec(),
                other => vec![*other],
            };
            message.iter().flat_map(shown).collect::<Vec<u8>>()
        });
        let joined = shown.collect::<Vec<_>>().join(&b' ');
        [&b"Logs ["[..], &joined, b"]"].concat()
    }

    /// A small generator (xorshift64*): these tests need variety, not quality.
    fn random(state: &mut u64) -> u64 {
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    #[test]
    fn views_equal_their_naive_twins_and_never_change() {
        for seed in 1..=4 {
            let mut state = seed;
            let (mut messages, mut naive) = (Messages::default(), Vec::new());
            let mut views = Vec::new();
            for _ in 0..200 {
                let long = random(&mut state).is_multiple_of(40);
                let length = random(&mut state) % if long { 70_000 } else { 2_000 };
                let byte = b"ab \n\r\\\xff"[(random(&mut state) % 7) as usize];
                let mut message = vec![b'x'; length as usize];
                message.iter_mut().step_by(7).for_each(|place| *place = byte);
                messages.push(&Bytes::from(message.clone()));
                naive.push(message);
                if random(&mut state).is_multiple_of(32) {
                    views.push((messages.view(), naive.len()));
                }
            }
            assert_eq!(messages.count(), 200);
            views.push((messages.view(), naive.len()));
            for (view, length) in views {
                assert!(text(&view) == twin(&naive[..length]), "seed {seed}, {length} messages");
            }
        }
    }

    #[test]
    fn the_layout() {
        let mut messages = Messages::default();
        assert_eq!(text(&messages.view()), b"Logs []");
        for message in [&b""[..], b"a\nb", b"c\r\n", b"\\n", b"\xff\x00"] {
            messages.push(&Bytes::copy_from_slice(message));
        }
        assert_eq!(text(&messages.view()), b"Logs [ a\\nb c\\r\\n \\n \xff\x00]");
    }

    #[test]
    fn chunks_fill_up_and_long_messages_stand_alone() {
        let mut messages = Messages::default();
        for _ in 0..CHUNK_MESSAGES_MAX + 1 {
            messages.push(&Bytes::from_static(b"m"));
        }
        assert_eq!((messages.open.full.len(), messages.open.filling.ends.len()), (1, 1));
        messages.push(&Bytes::from(vec![0; CHUNK_BYTES_MAX]));
        assert_eq!((messages.open.full.len(), messages.open.filling.ends.len()), (3, 0));
        messages.push(&Bytes::from(vec![0; CHUNK_BYTES_MAX]));
        assert_eq!(messages.open.full.len(), 4);
    }

    #[test]
    fn a_view_shares_the_chunks() {
        let mut messages = Messages::default();
        for _ in 0..3 * CHUNK_MESSAGES_MAX {
            messages.push(&Bytes::from_static(b"m"));
        }
        let view = messages.view();
        assert!(Arc::ptr_eq(&view.0.open.full, &messages.open.full));
        assert!(Arc::ptr_eq(&view.0.open.filling, &messages.open.filling));
    }

    #[test]
    fn a_full_segment_is_sealed_and_shared() {
        let mut messages = Messages::default();
        let message = Bytes::from(vec![b'm'; 1020]);
        for _ in 0..8 * 1024 {
            messages.push(&message);
        }
        let (sealed, open) = messages.segments();
        assert_eq!((sealed.len(), sealed[0].count(), open.count()), (1, 8 * 1024, 0));
        let view = messages.view();
        messages.push(&message);
        assert!(Arc::ptr_eq(&view.0.sealed, &messages.sealed));
        assert_eq!((view.0.count(), messages.count()), (8 * 1024, 8 * 1024 + 1));
        assert_eq!(messages.bytes(), (8 * 1024 + 1) * 1020);
    }
}
