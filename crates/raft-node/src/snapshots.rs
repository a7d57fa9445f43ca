//! The slow part of snapshots: writing, sending and receiving their files. Called on whatever
//! thread may wait for a disk; one piece of work at a time.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_core::{Index, LogId, NodeId};
use raft_log::{
    Log, RecoveredLog, SnapshotError, SnapshotInfo, SnapshotPart, SnapshotReader, SnapshotReceiver,
    Snapshots,
};

use crate::notice::Notice;
use crate::replica::{Frozen, Machine, SnapshotAnswer};
use crate::state_machine::Part;

/// Bytes that are sent in one piece.
pub const CHUNK_BYTES: usize = 512 * 1024;

/// A piece of work.
#[derive(Debug)]
pub enum SnapshotJob {
    /// Write this state.
    Write(Box<Frozen>),
    /// Open the newest snapshot, to be sent to this peer.
    Open(NodeId),
    /// Read a piece of what is sent to this peer.
    Read {
        /// Whose.
        peer: NodeId,
        /// Where it begins.
        offset: u64,
    },
    /// Nothing more is sent to this peer.
    Shut(NodeId),
    /// Begin to receive a snapshot, or go on with it.
    Begin(SnapshotInfo),
    /// Take a piece of it.
    Add {
        /// Where it begins.
        offset: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// Verify what came and let this machine go on from it.
    Finish(Box<Machine>),
    /// Nothing more comes. What is here stays, for whoever sends the same one.
    Abandon,
    /// The log goes on from this one, durably: of those before it one stays.
    Prune(LogId),
}

/// What came of it.
#[derive(Debug)]
pub enum SnapshotDone {
    /// Of `Write`: the bytes on the disk, or why there is no room.
    Written(Result<u64, String>),
    /// Of `Open`: what is sent, if anything can be.
    Opened(NodeId, Option<SnapshotInfo>),
    /// Of `Read`: the piece, if it could be read.
    Read {
        /// For whom.
        peer: NodeId,
        /// Where it begins.
        offset: u64,
        /// None at all: what was open is damaged, or shut.
        bytes: Bytes,
    },
    /// Of `Begin` and `Add`: of which snapshot, and from where on bytes are wanted, nothing if all
    /// are there; or what the sender is to be told. Another one may have been offered meanwhile.
    Wanted(SnapshotInfo, Result<Option<u64>, SnapshotAnswer>),
    /// Of `Finish`: the machine, or what the sender is to be told.
    Came(Result<Box<Machine>, SnapshotAnswer>),
}

/// The snapshots of one member, and those that are under way.
#[derive(Debug)]
pub struct SnapshotWorks {
    snapshots: Snapshots,
    chunk_bytes: usize,
    sent: BTreeMap<NodeId, SnapshotReader>,
    received: Option<(SnapshotInfo, SnapshotReceiver)>,
}

impl SnapshotWorks {
    /// Nothing is under way.
    #[must_use]
    pub const fn new(snapshots: Snapshots) -> Self {
        let chunk_bytes = CHUNK_BYTES;
        Self { snapshots, chunk_bytes, sent: BTreeMap::new(), received: None }
    }

    /// The same that sends smaller pieces.
    #[must_use]
    pub fn in_pieces_of(self, bytes: usize) -> Self {
        Self { chunk_bytes: bytes.min(CHUNK_BYTES), ..self }
    }

    /// Does one piece of work.
    ///
    /// # Errors
    /// The disk failed: nothing is known of what it holds (rule R11), the process must end.
    pub fn run(&mut self, job: SnapshotJob) -> Result<Option<SnapshotDone>, SnapshotError> {
        Ok(Some(match job {
            SnapshotJob::Write(frozen) => SnapshotDone::Written(self.write(&frozen)?),
            SnapshotJob::Open(peer) => SnapshotDone::Opened(peer, self.open(peer)?),
            SnapshotJob::Read { peer, offset } => {
                SnapshotDone::Read { peer, offset, bytes: self.read(peer, offset)? }
            }
            SnapshotJob::Begin(info) => {
                self.received = None;
                let begun = harmless(self.snapshots.receive(info))?;
                let wanted = begun.map(|receiver| {
                    let (_, receiver) = self.received.insert((info, receiver));
                    receiver.wanted()
                });
                SnapshotDone::Wanted(info, wanted)
            }
            SnapshotJob::Add { offset, bytes } => {
                // Pieces may be on their way to what failed, or was given up.
                let Some((info, receiver)) = &mut self.received else { return Ok(None) };
                let added = harmless(receiver.add(offset, &bytes))?;
                SnapshotDone::Wanted(*info, added.map(|()| receiver.wanted()))
            }
            SnapshotJob::Finish(machine) => SnapshotDone::Came(self.finish(machine)?),
            SnapshotJob::Shut(peer) => {
                self.sent.remove(&peer);
                return Ok(None);
            }
            SnapshotJob::Abandon => {
                self.received = None;
                return Ok(None);
            }
            SnapshotJob::Prune(newest) => {
                self.snapshots.prune(newest)?;
                return Ok(None);
            }
        }))
    }

    fn write(&self, frozen: &Frozen) -> Result<Result<u64, String>, SnapshotError> {
        let written = match write(&self.snapshots, frozen) {
            Ok(info) => info,
            Err(error @ SnapshotError::NoSpace { .. }) => return Ok(Err(error.to_string())),
            Err(error) => return Err(error),
        };
        self.snapshots.prune(written.id)?;
        Ok(Ok(written.bytes))
    }

    fn open(&mut self, peer: NodeId) -> Result<Option<SnapshotInfo>, SnapshotError> {
        for id in self.snapshots.list()? {
            if let Ok(reader) = harmless(self.snapshots.open(id))? {
                return Ok(Some(self.sent.entry(peer).insert_entry(reader).get().info()));
            }
        }
        Ok(None)
    }

    fn read(&self, peer: NodeId, offset: u64) -> Result<Bytes, SnapshotError> {
        let Some(reader) = self.sent.get(&peer) else { return Ok(Bytes::new()) };
        Ok(harmless(reader.read_at(offset, self.chunk_bytes))?.unwrap_or_default())
    }

    fn finish(
        &mut self,
        mut machine: Box<Machine>,
    ) -> Result<Result<Box<Machine>, SnapshotAnswer>, SnapshotError> {
        let whole = self.received.take_if(|(_, receiver)| receiver.wanted().is_none());
        let Some((_, receiver)) = whole else {
            return Ok(Err(SnapshotAnswer::Useless("it is not all here".into())));
        };
        let info = match harmless(receiver.finish())? {
            Ok(info) => info,
            Err(answer) => return Ok(Err(answer)),
        };
        let restored = harmless(restore(&self.snapshots, info.id, &mut machine))?;
        Ok(restored.map(|()| machine))
    }
}

/// What may be wrong with one snapshot and leaves all else as it was, as its sender is told.
fn harmless<T>(
    result: Result<T, SnapshotError>,
) -> Result<Result<T, SnapshotAnswer>, SnapshotError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error @ SnapshotError::Io { .. }) => Err(error),
        Err(error @ SnapshotError::NoSpace { .. }) => {
            Ok(Err(SnapshotAnswer::NoRoom(error.to_string())))
        }
        Err(error) => Ok(Err(SnapshotAnswer::Useless(error.to_string()))),
    }
}

/// Writes a state to the disk, durably.
///
/// # Errors
/// There is no room, or the disk failed.
pub fn write(snapshots: &Snapshots, frozen: &Frozen) -> Result<SnapshotInfo, SnapshotError> {
    let mut writer = snapshots.write(frozen.at(), &frozen.own())?;
    let state = frozen.state();
    for (number, part) in state.parts().into_iter().enumerate() {
        let part = match part {
            Part::Changing => SnapshotPart::Changing,
            Part::Sealed(name) => SnapshotPart::Sealed(name),
        };
        writer.part(part, |to| state.write(number, to))?;
    }
    writer.finish()
}

/// Lets a machine go on from the newest snapshot that is of use, if there is one; with what is
/// wrong with newer ones.
///
/// # Errors
/// The disk failed; or none is of use, and the log does not go back to its first entry.
pub fn go_on(log: &Log, machine: Machine) -> Result<(Machine, Vec<Notice>), SnapshotError> {
    go_on_from(&log.recovered, &log.snapshots, machine)
}

pub(crate) fn go_on_from(
    recovered: &RecoveredLog,
    snapshots: &Snapshots,
    machine: Machine,
) -> Result<(Machine, Vec<Notice>), SnapshotError> {
    let begins_whole = recovered.start.index == Index(0);
    let mut candidates = recovered.snapshot.iter().chain(&recovered.older_snapshots).peekable();
    let mut notices = Vec::new();
    while let Some(id) = candidates.next() {
        let mut next = machine.fresh();
        match restore(snapshots, *id, &mut next) {
            Ok(()) => return Ok((next, notices)),
            Err(error @ SnapshotError::Io { .. }) => return Err(error),
            Err(error) if candidates.peek().is_none() && !begins_whole => return Err(error),
            Err(error) => notices.push(Notice::Fact(format!("{error}; not used"))),
        }
    }
    Ok((machine, notices))
}

/// Lets a machine go on from a snapshot.
///
/// # Errors
/// It is damaged, or of a format that this version does not know; or the disk failed. The machine
/// is then of no more use.
pub fn restore(
    snapshots: &Snapshots,
    id: LogId,
    machine: &mut Machine,
) -> Result<(), SnapshotError> {
    load(&snapshots.open(id)?, machine)
}

/// Lets a machine go on from an open snapshot.
///
/// # Errors
/// As of [`restore`].
pub fn load(reader: &SnapshotReader, machine: &mut Machine) -> Result<(), SnapshotError> {
    let mut contents = reader.contents()?;
    let own = contents.take_own();
    let restored = machine.restore(reader.info().id, &own, &mut contents);
    restored.map_err(|error| reader.unusable(error))
}
