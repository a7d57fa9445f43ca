//! Contents of a file, in pages that copies share. A page is kept without the zeros at its end: a
//! block fills little of its own, and a new slot is nothing but zeros.

use std::sync::Arc;

use bytes::Bytes;

/// What a machine caches, and what a stale read returns an older version of.
pub const PAGE_BYTES: usize = 4096;

/// So many zeros are written at once at most.
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// Zeros at the end of a page are left out by so many.
const STEP: usize = 512;

/// What a page holds, but for the zeros at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page(Bytes);

/// Bytes; cheap to copy.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    length: usize,
    pages: Arc<Vec<Page>>,
}

/// Zeros, as many as wanted or as there are.
pub(super) fn zeros(wanted: u64) -> Bytes {
    let count = usize::try_from(wanted).unwrap_or(usize::MAX);
    Bytes::from_static(&ZEROS[..count.min(ZEROS.len())])
}

impl Page {
    /// Of its bytes, as many steps of them as there are.
    fn new(mut bytes: Bytes) -> Self {
        if ZEROS.as_ptr_range().contains(&bytes.as_ptr()) {
            return Self::default();
        }
        let mut end = bytes.len();
        while end >= STEP && bytes[end - STEP..end] == ZEROS[..STEP] {
            end -= STEP;
        }
        bytes.truncate(end);
        Self(bytes)
    }

    /// The page after a part of it was written.
    fn with(&self, start: usize, part: &[u8]) -> Self {
        let (held, end) = (self.0.len(), start + part.len());
        let mut bytes = vec![0; held.max(end.next_multiple_of(STEP))];
        bytes[..held].copy_from_slice(&self.0);
        bytes[start..end].copy_from_slice(part);
        Self::new(bytes.into())
    }

    /// All of it.
    pub(super) fn whole(&self) -> [u8; PAGE_BYTES] {
        let mut whole = [0; PAGE_BYTES];
        whole[..self.0.len()].copy_from_slice(&self.0);
        whole
    }

    /// Fills the buffer from this byte of the page on.
    fn read(&self, buffer: &mut [u8], start: usize) {
        let held = self.0.get(start..).unwrap_or_default();
        let count = held.len().min(buffer.len());
        let (first, zeros) = buffer.split_at_mut(count);
        first.copy_from_slice(&held[..count]);
        zeros.fill(0);
    }
}

impl Pages {
    pub(super) const fn length(&self) -> usize {
        self.length
    }

    /// Whether this is a copy of the same bytes, and neither was written since.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.length == other.length && Arc::ptr_eq(&self.pages, &other.pages)
    }

    /// Makes the file longer, with zeros.
    pub(super) fn grow(&mut self, length: usize) {
        self.length = self.length.max(length);
        let count = self.length.div_ceil(PAGE_BYTES);
        if self.pages.len() < count {
            Arc::make_mut(&mut self.pages).resize_with(count, Page::default);
        }
    }

    pub(super) fn page(&self, number: usize) -> Option<&Page> {
        self.pages.get(number)
    }

    /// Puts a whole page in place; one behind the end is not there.
    pub(super) fn replace(&mut self, number: usize, page: Page) {
        if let Some(held) = Arc::make_mut(&mut self.pages).get_mut(number) {
            *held = page;
        }
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: usize) -> usize {
        let count = buffer.len().min(self.length.saturating_sub(offset));
        let mut done = 0;
        while done < count {
            let (number, start) = ((offset + done) / PAGE_BYTES, (offset + done) % PAGE_BYTES);
            let step = (PAGE_BYTES - start).min(count - done);
            let Some(page) = self.pages.get(number) else { break };
            page.read(&mut buffer[done..done + step], start);
            done += step;
        }
        done
    }

    /// A page that is written as a whole is a part of what was written, not a copy.
    pub(super) fn write(&mut self, offset: usize, bytes: &Bytes) {
        self.grow(offset + bytes.len());
        let pages = Arc::make_mut(&mut self.pages);
        let mut done = 0;
        while done < bytes.len() {
            let (number, start) = ((offset + done) / PAGE_BYTES, (offset + done) % PAGE_BYTES);
            let step = (PAGE_BYTES - start).min(bytes.len() - done);
            let Some(page) = pages.get_mut(number) else { break };
            *page = match step {
                PAGE_BYTES => Page::new(bytes.slice(done..done + step)),
                _ => page.with(start, &bytes[done..done + step]),
            };
            done += step;
        }
    }
}

#[cfg(test)]
mod tests {
    use raft_node::random::Random;

    use super::*;

    #[test]
    fn a_plain_vector_holds_the_same() {
        let (mut pages, mut plain) = (Pages::default(), Vec::new());
        let mut random = Random::new(1);
        for round in 0..500 {
            let offset = random.below(3 * PAGE_BYTES as u64) as usize;
            let end = offset + 1 + random.below(2 * PAGE_BYTES as u64) as usize;
            let byte = [0, 0, 7][random.below(3) as usize];
            plain.resize(end.max(plain.len()), 0);
            plain[offset..end].fill(byte);
            pages.write(offset, &Bytes::copy_from_slice(&plain[offset..end]));
            let at = random.below(4 * PAGE_BYTES as u64) as usize;
            let mut read = vec![9; 2 * PAGE_BYTES];
            let count = pages.read(&mut read, at);
            let expected = plain.get(at..).unwrap_or_default();
            assert_eq!(count, expected.len().min(read.len()), "round {round}");
            assert!(read[..count] == expected[..count], "round {round}: {count} bytes from {at}");
        }
    }

    #[test]
    fn a_copy_keeps_what_it_had() {
        let mut pages = Pages::default();
        pages.write(PAGE_BYTES - 2, &Bytes::from_static(b"four"));
        let copy = pages.clone();
        assert!(copy.is(&pages));
        pages.write(PAGE_BYTES - 1, &Bytes::from_static(b"!!"));
        assert!(!copy.is(&pages));
        let mut read = [0; 6];
        assert_eq!(pages.read(&mut read, PAGE_BYTES - 3), 5, "the file ends there");
        assert_eq!(&read[..5], b"\0f!!r");
        assert_eq!(copy.read(&mut read, PAGE_BYTES - 2), 4);
        assert_eq!(&read[..4], b"four");
        assert_eq!(pages.read(&mut read, 3 * PAGE_BYTES), 0);
    }
}
