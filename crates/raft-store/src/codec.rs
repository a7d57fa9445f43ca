//! Numbers and pieces as bytes: little-endian, a length before whatever may be of any length.

use bytes::{Buf, BufMut, Bytes};

use crate::refusal::Refusal;

/// Appends a piece with its length.
pub(crate) fn put_piece(to: &mut Vec<u8>, piece: &[u8]) {
    to.put_u32_le(piece.len() as u32);
    to.put_slice(piece);
}

/// Appends a short list with its length.
pub(crate) fn put_list<T>(to: &mut Vec<u8>, list: &[T], put: impl Fn(&T, &mut Vec<u8>)) {
    to.put_u32_le(list.len() as u32);
    list.iter().for_each(|item| put(item, to));
}

/// What is left to read. Pieces are shared with the bytes that they came in.
pub(crate) struct Reader(Bytes);

impl Reader {
    /// Reads bytes that begin with the number of their format, which has to be this one.
    pub(crate) fn of_format(bytes: &Bytes, format: u8) -> Result<Self, Refusal> {
        let mut reader = Self(bytes.clone());
        match reader.u8()? {
            known if known == format => Ok(reader),
            other => Err(Refusal::UnknownFormat { format: other }),
        }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Refusal> {
        self.0.try_get_u8().map_err(|_| Refusal::Malformed)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Refusal> {
        self.0.try_get_u32_le().map_err(|_| Refusal::Malformed)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Refusal> {
        self.0.try_get_u64_le().map_err(|_| Refusal::Malformed)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Refusal> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Refusal::Malformed),
        }
    }

    pub(crate) fn piece(&mut self) -> Result<Bytes, Refusal> {
        let length = self.u32()? as usize;
        if length > self.0.len() { Err(Refusal::Malformed) } else { Ok(self.0.split_to(length)) }
    }

    /// A list of at most so many; makes room as they come.
    pub(crate) fn list<T>(
        &mut self,
        max: usize,
        take: impl Fn(&mut Self) -> Result<T, Refusal>,
    ) -> Result<Vec<T>, Refusal> {
        let count = self.u32()? as usize;
        if count > max {
            return Err(Refusal::TooManyOps);
        }
        (0..count).map(|_| take(self)).collect()
    }

    /// Everything has been read.
    pub(crate) fn end(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal::Malformed) }
    }
}
