//! The durable log: what a member of a raft cluster may not forget, on a [`Disk`].
//!
//! A data directory holds `NODE` (whose it is), `LOCK`, `SHOWN`, the log, `wal/NN.seg`, and
//! snapshots, `snap/`, for which the log below them goes.
//! The log is one stream of blocks in slots that are filled with zeros once and used over and
//! over; entries, term and vote, truncations and the peers' lives all travel in it, so that one
//! sync makes a whole group commit durable. `docs/disk-format.md` has the bytes.
//!
//! - [`DataDir`] opens a directory, [`DataDir::open_log`] recovers the log in it.
//! - [`LogWriter`] makes writes durable, many in one sync. Its first failure is its last.
//! - [`LogReader`] reads entries back meanwhile; [`SpareMaker`] makes slots ahead of need.
//! - [`Snapshots`] writes snapshots, reads, sends and receives them: parts that never change once.
//! - [`LogBuffer`] holds the tail of the log in memory, encoded, each entry once.
//! - [`inspect`] looks at a directory without changing it, also while a server works in it.
//!
//! **Invariants.** A page that was synced is not written again while its slot is in use. What
//! was durable and is not there any more is an error, never a shorter log. Nothing here has a
//! thread or a clock, and the same calls with the same seed write the same bytes.

mod block;
mod buffer;
mod catalog;
mod dir;
mod disk;
mod entry;
mod error;
mod inspect;
mod le;
mod node_file;
mod open;
mod plan;
mod reader;
mod replay;
mod rng;
mod scan;
mod shown;
mod slot;
mod snapshot;
mod spares;
mod start;
mod state;
mod writer;

pub use buffer::LogBuffer;
pub use dir::{DataDir, Holder};
pub use disk::{Disk, DiskFile, RealDisk};
pub use entry::{
    ENTRY_HEADER_BYTES, ENTRY_PAYLOAD_BYTES_MAX, Entry, EntryError, Kind, decode_entries,
    encode_entry, encoded_len,
};
pub use error::{MakeError, OpenError, ReadError, SnapshotError, WriteError};
pub use inspect::{
    InspectError, InspectedBlock, InspectedEntry, InspectedSlot, Inspection, Progress,
    SlotContents, inspect, snapshots_of,
};
pub use node_file::{Founder, MemberIdentity, NodeState};
pub use open::{Log, RecoveredLog};
pub use reader::{LogRange, LogReader};
pub use replay::Cut;
pub use shown::{Shown, ShownMark};
pub use slot::{Boot, PEERS_MAX, PeerBoot};
pub use snapshot::{
    InspectedSnapshot, SnapshotInfo, SnapshotPart, SnapshotReader, SnapshotReceiver,
    SnapshotWriter, Snapshots, StateReader,
};
pub use spares::{Options, SpareMaker};
pub use writer::{Counters, LogWriter, Synced, Write};
