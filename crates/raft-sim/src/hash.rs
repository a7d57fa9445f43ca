//! The trace hash: 128 bits over everything that happens in a run, in order. Two runs of one plan
//! have the same, on any machine, in any build; if they do not, something decides that is not in
//! the plan.
//!
//! What goes in: each thing that happens and when, each frame as it leaves and as it arrives, what
//! is asked of every disk and what it answers, each step of a member, each answer to a client,
//! and in the end the next draw of every stream of chance: one draw more or less shows.

use std::fmt;

use xxhash_rust::xxh3::Xxh3;

/// A hash in the making.
#[derive(Clone)]
pub struct TraceHash(Box<Xxh3>);

impl TraceHash {
    /// Of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Box::new(Xxh3::new()))
    }

    /// A number happened.
    pub fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    /// Bytes happened. Their length goes first: what follows cannot be taken for a part of them.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    /// Something happened that has words.
    pub fn text(&mut self, text: fmt::Arguments<'_>) {
        // Hashing takes everything.
        let _ = fmt::write(self, text);
        self.0.update(&[0]);
    }

    /// Of everything so far.
    #[must_use]
    pub fn digest(&self) -> u128 {
        self.0.digest128()
    }
}

impl Default for TraceHash {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Write for TraceHash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

impl fmt::Debug for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.digest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(parts: &[&[u8]]) -> u128 {
        let mut hash = TraceHash::new();
        parts.iter().for_each(|part| hash.bytes(part));
        hash.digest()
    }

    #[test]
    fn order_and_borders_count() {
        assert_eq!(hash(&[b"a", b"b"]), hash(&[b"a", b"b"]));
        assert_ne!(hash(&[b"a", b"b"]), hash(&[b"b", b"a"]));
        assert_ne!(hash(&[b"ab", b""]), hash(&[b"a", b"b"]));
        let words = |text: &str| {
            let mut hash = TraceHash::new();
            hash.text(format_args!("{text}"));
            hash.digest()
        };
        assert_ne!(words("a"), words("b"));
    }
}
