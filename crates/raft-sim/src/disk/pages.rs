//! Contents of a file, in pages that copies share until one of them changes.

use std::sync::{Arc, OnceLock};

/// What a machine caches, and what a stale read returns an older version of.
pub const PAGE_BYTES: usize = 4096;

pub(super) type Page = [u8; PAGE_BYTES];

/// Bytes; cheap to copy.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    length: usize,
    pages: Vec<Arc<Page>>,
}

fn zeros() -> Arc<Page> {
    static ZEROS: OnceLock<Arc<Page>> = OnceLock::new();
    Arc::clone(ZEROS.get_or_init(|| Arc::new([0; PAGE_BYTES])))
}

impl Pages {
    pub(super) const fn length(&self) -> usize {
        self.length
    }

    /// Makes the file longer, with zeros.
    pub(super) fn grow(&mut self, length: usize) {
        self.length = self.length.max(length);
        self.pages.resize_with(self.length.div_ceil(PAGE_BYTES), zeros);
    }

    pub(super) fn page(&self, number: usize) -> Option<&Arc<Page>> {
        self.pages.get(number)
    }

    /// Puts a whole page in place; one behind the end is not there.
    pub(super) fn replace(&mut self, number: usize, page: Arc<Page>) {
        if let Some(held) = self.pages.get_mut(number) {
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
            buffer[done..done + step].copy_from_slice(&page[start..start + step]);
            done += step;
        }
        done
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.grow(offset + bytes.len());
        let mut done = 0;
        while done < bytes.len() {
            let (number, start) = ((offset + done) / PAGE_BYTES, (offset + done) % PAGE_BYTES);
            let step = (PAGE_BYTES - start).min(bytes.len() - done);
            let Some(page) = self.pages.get_mut(number) else { break };
            Arc::make_mut(page)[start..start + step].copy_from_slice(&bytes[done..done + step]);
            done += step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_what_it_had() {
        let mut pages = Pages::default();
        pages.write(PAGE_BYTES - 2, b"four");
        let copy = pages.clone();
        pages.write(PAGE_BYTES - 1, b"!!");
        let mut read = [0; 6];
        assert_eq!(pages.read(&mut read, PAGE_BYTES - 3), 5, "the file ends there");
        assert_eq!(&read[..5], b"\0f!!r");
        assert_eq!(copy.read(&mut read, PAGE_BYTES - 2), 4);
        assert_eq!(&read[..4], b"four");
        assert_eq!(pages.read(&mut read, 3 * PAGE_BYTES), 0);
    }
}
