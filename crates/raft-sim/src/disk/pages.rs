//! Contents of a file, in pages that share the memory of what was written, with each other and
//! with all copies.

use bytes::Bytes;

/// What a machine caches, and what a stale read returns an older version of.
pub const PAGE_BYTES: usize = 4096;

/// So many zeros are written at once at most.
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// Bytes; cheap to copy.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    length: usize,
    /// Each of them whole, the last one too.
    pages: Vec<Bytes>,
}

/// Zeros, as many as wanted or as there are: most of what is ever written is those of new slots.
pub(super) fn zeros(wanted: u64) -> Bytes {
    let count = usize::try_from(wanted).unwrap_or(usize::MAX);
    Bytes::from_static(&ZEROS[..count.min(ZEROS.len())])
}

impl Pages {
    pub(super) const fn length(&self) -> usize {
        self.length
    }

    /// Makes the file longer, with zeros.
    pub(super) fn grow(&mut self, length: usize) {
        self.length = self.length.max(length);
        self.pages.resize_with(self.length.div_ceil(PAGE_BYTES), || zeros(PAGE_BYTES as u64));
    }

    pub(super) fn page(&self, number: usize) -> Option<&Bytes> {
        self.pages.get(number)
    }

    /// Puts a whole page in place; one behind the end is not there.
    pub(super) fn replace(&mut self, number: usize, page: Bytes) {
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

    pub(super) fn write(&mut self, offset: usize, bytes: &Bytes) {
        self.grow(offset + bytes.len());
        let mut done = 0;
        while done < bytes.len() {
            let (number, start) = ((offset + done) / PAGE_BYTES, (offset + done) % PAGE_BYTES);
            let step = (PAGE_BYTES - start).min(bytes.len() - done);
            let Some(page) = self.pages.get_mut(number) else { break };
            let part = bytes.slice(done..done + step);
            *page = if step == PAGE_BYTES {
                part
            } else {
                [&page[..start], &part, &page[start + step..]].concat().into()
            };
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
        pages.write(PAGE_BYTES - 2, &Bytes::from_static(b"four"));
        let copy = pages.clone();
        pages.write(PAGE_BYTES - 1, &Bytes::from_static(b"!!"));
        let mut read = [0; 6];
        assert_eq!(pages.read(&mut read, PAGE_BYTES - 3), 5, "the file ends there");
        assert_eq!(&read[..5], b"\0f!!r");
        assert_eq!(copy.read(&mut read, PAGE_BYTES - 2), 4);
        assert_eq!(&read[..4], b"four");
        assert_eq!(pages.read(&mut read, 3 * PAGE_BYTES), 0);
    }
}
