//! Frames with a bit that flipped on their way: their receiver must notice, and hang up.

use bytes::Bytes;
use raft_log::decode_entries;
use raft_node::random::Random;
use raft_node::wire::{Frame, PeerContent};

use super::KIND_AT;

/// A frame that was damaged on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spoilt {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Its reader has it: it reads no more of this wire.
    pub(super) read: bool,
}

/// A frame with one bit turned. Its length stays: a frame that is said to be longer than it is
/// swallows those that follow until it is complete, and only then is its checksum wrong.
pub(super) fn flipped(frame: &Bytes, random: &mut Random) -> Bytes {
    let mut bytes = frame.to_vec();
    let length = 8 * KIND_AT as u64;
    let bit = length + random.below((8 * bytes.len() as u64).saturating_sub(length));
    if let Some(byte) = bytes.get_mut(bit as usize / 8) {
        *byte ^= 1 << (bit % 8);
    }
    bytes.into()
}

/// Whether a frame would be believed: the entries of an append have checksums of their own, which
/// its receiver verifies.
pub(super) fn is_whole(frame: &Frame) -> bool {
    match frame {
        Frame::Message(message) => match &message.content {
            PeerContent::Append(_, entries) => decode_entries(entries).is_ok(),
            PeerContent::Whole(_) => true,
        },
        _ => true,
    }
}
