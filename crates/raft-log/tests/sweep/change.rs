//! What is done to a directory.

use std::fmt;

use crate::image::Image;
use crate::support::format::PAGE;

#[derive(Clone, Debug)]
pub enum Change {
    Byte { file: String, at: usize, value: u8 },
    Page { file: String, page: usize, what: &'static str, bytes: Vec<u8> },
    Swap { one: (String, usize), other: (String, usize) },
    Length { file: String, bytes: usize },
    Remove { file: String },
    Exchange { one: String, other: String },
}

impl Change {
    /// The directory after it; `None` if it is the same.
    pub fn of(&self, whole: &Image) -> Option<Image> {
        let image = whole.fork();
        let bytes = |file: &str| whole.read(file).unwrap().to_vec();
        let page =
            |(file, page): &(String, usize)| bytes(file).chunks(PAGE).nth(*page).unwrap().to_vec();
        let put = |(file, page): &(String, usize), part: &[u8]| {
            let mut now = image.read(file).unwrap().to_vec();
            now[page * PAGE..page * PAGE + part.len()].copy_from_slice(part);
            image.put(file, now);
        };
        match self {
            Self::Byte { file, at, value } => {
                let mut now = bytes(file);
                now[*at] = *value;
                image.put(file, now);
            }
            // NODE is replaced as a whole, whatever its length.
            Self::Page { file, bytes, .. } if file == "NODE" => image.put(file, bytes.clone()),
            Self::Page { file, page, bytes, .. } => put(&(file.clone(), *page), bytes),
            Self::Swap { one, other } => {
                put(one, &page(other));
                put(other, &page(one));
            }
            Self::Length { file, bytes: length } => {
                let mut now = bytes(file);
                now.resize(*length, 0);
                image.put(file, now);
            }
            Self::Remove { file } => image.take_away(file),
            Self::Exchange { one, other } => {
                image.put(one, bytes(other));
                image.put(other, bytes(one));
            }
        }
        (!image.differing(whole).is_empty()).then_some(image)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte { file, at, value } => write!(f, "{file} byte {at} = {value:#04x}"),
            Self::Page { file, page, what, bytes } => {
                write!(f, "{file} page {page} {what}, {:08x}", crc32c::crc32c(bytes))
            }
            Self::Swap { one, other } => {
                write!(f, "{} page {} for {} page {}", one.0, one.1, other.0, other.1)
            }
            Self::Length { file, bytes } => write!(f, "{file} of {bytes} bytes"),
            Self::Remove { file } => write!(f, "{file} removed"),
            Self::Exchange { one, other } => write!(f, "{one} and {other} exchanged"),
        }
    }
}
