//! The new slot of a start: chosen, filled with what must be rewritten, and only then made part
//! of the log by its header.

use std::collections::BTreeMap;
use std::sync::Arc;

use raft_core::{Index, LogId};

use crate::block::{BLOCK_HEADER_BYTES, BlockHeader};
use crate::catalog::SlotUse;
use crate::disk::Disk;
use crate::error::{OpenError, WriteError};
use crate::open::{Found, Log, LogOwner};
use crate::reader::LogReader;
use crate::replay::{Replay, Tail, TailBlock};
use crate::rng::Rng;
use crate::slot::{Boot, DATA_OFFSET, PAGE_BYTES, SlotFile, SlotHeader, slot_name};
use crate::snapshot::Snapshots;
use crate::spares::{Options, Shared, Spare, SpareMaker, slot_bytes_for_block};
use crate::writer::{Counters, LogWriter, OpenSlot, Owner, write_header};

/// A tail up to this size is copied whole, so that frequent starts do not fill the disk with
/// slots that hold little.
const LITTLE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Besides the rewritten blocks a new slot has room for what a start writes at once.
const START_BYTES: u64 = 4 * PAGE_BYTES as u64;

/// All that was read, on the way to an open log.
pub(crate) struct Start {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) owner: LogOwner,
    pub(crate) options: Options,
    pub(crate) found: Found,
    pub(crate) replay: Replay,
    pub(crate) tail: Option<Tail>,
    pub(crate) epoch: u64,
    pub(crate) snapshots: Snapshots,
}

/// What the new slot continues, and which blocks it repeats.
#[derive(Debug, Default)]
struct Handover {
    previous_slot_seq: u64,
    /// The last certified block: its number, its header's checksum, and the last entry and the
    /// commit hint as of it. A later hint may speak of entries that a rewritten block brings.
    end_seq: u64,
    end_chain: u32,
    last: LogId,
    commit_hint: Index,
    rewrite: Vec<TailBlock>,
    /// The old newest slot is no longer needed.
    supersedes: bool,
}

impl Start {
    pub(crate) fn begin(mut self) -> Result<Log, OpenError> {
        let mut rng = Rng::new(self.options.seed);
        let boot = Boot { epoch: self.epoch, nonce: rng.next_u64() };
        let handover = self.handover();
        let (at_once, later) = self.found.spares(self.newest_durable());
        let pool = self.found.pool(at_once, &self.options);
        let catalog = std::mem::take(&mut self.replay.catalog);
        let shared = Arc::new(Shared::new(Arc::clone(&self.disk), pool, catalog));

        let spare = self.take_slot(&shared, &handover)?;
        let header = self.header(&spare, &handover, boot, rng.next_u64());
        spare
            .clear_torn_header()
            .map_err(|source| self.io_error(&spare.file, "clear the header of", source))?;
        let slot = spare.file;
        let (cursor, chain, moved) = self.rewrite(&slot, &header, &handover)?;
        write_header(&slot, &header, &mut Counters::default())
            .map_err(|source| self.io_error(&slot, "write the header of", source))?;

        self.enter_catalog(&shared, &slot, &header, (&handover, &moved));
        shared.pool().spares.extend(later);
        let (slot_seq, salt) = (header.slot_seq, header.salt);
        let first_slot_seq = header.first_slot_seq;
        let recovered = self.replay.recovered(boot);
        let LogOwner { cluster, incarnation, .. } = self.owner;
        let mut writer = LogWriter {
            shared: Arc::clone(&shared),
            options: self.options,
            owner: Owner { cluster, incarnation, boot },
            slot: OpenSlot { file: slot, slot_seq, salt, cursor },
            next_seq: header.synced_seq + 1,
            chain,
            state: self.replay.state,
            first_slot_seq,
            rng,
            counters: Counters::default(),
            attested: false,
            failed: None,
        };
        writer.publish_room();
        // The first own block shows that the header is durable: without it the slots that it
        // supersedes would have to be kept at the next start.
        let path = self.disk.path(&slot_name(writer.slot.file.number));
        writer.attest().map_err(|error| match error {
            WriteError::NoSpace { path, bytes } => OpenError::NoSpace { path, bytes },
            WriteError::Failed(source) => OpenError::Io { doing: "write", path, source },
        })?;
        let reader = LogReader { shared: Arc::clone(&shared) };
        let (spares, snapshots) = (SpareMaker { shared }, self.snapshots);
        Ok(Log { recovered, writer, reader, spares, snapshots })
    }

    /// Whether the newest slot's header is certainly durable: a block that is no rewritten one
    /// is written only after the header's sync.
    fn newest_durable(&self) -> bool {
        let last = self.tail.as_ref().and_then(|tail| tail.blocks.last()).map(|block| block.seq);
        self.found.newest().is_none_or(|(_, header)| last > Some(header.synced_seq))
    }

    /// The newest slot counts as tail, header included, until one of its own blocks proves a
    /// durable block in it. Until then, and when it holds little, it is superseded as a whole;
    /// else its proven part stays and only the rest is rewritten.
    fn handover(&self) -> Handover {
        let (Some((_, header)), Some(tail)) = (self.found.newest(), &self.tail) else {
            return Handover::default();
        };
        let used: u64 = tail.blocks.iter().map(|block| block.bytes).sum();
        let little = used <= (header.slot_bytes / 4).min(LITTLE_BYTES_MAX);
        let by_own_block = tail.blocks_prove_from(header.base_block_seq);
        let proven = tail.blocks.iter().rposition(|block| block.seq <= tail.proven_seq);
        // ATTEST and SEAL at the very end say nothing that a copy would have to repeat.
        let end = tail.blocks.iter().rposition(|block| !block.mark).map_or(0, |at| at + 1);
        match proven.and_then(|at| Some((at, tail.blocks.get(at)?))) {
            Some((at, block)) if by_own_block && !little => Handover {
                previous_slot_seq: header.slot_seq,
                end_seq: block.seq,
                end_chain: block.crc,
                last: block.last,
                commit_hint: block.commit_hint,
                rewrite: tail.blocks.get(at + 1..end).unwrap_or_default().to_vec(),
                supersedes: false,
            },
            _ => Handover {
                previous_slot_seq: header.previous_slot_seq,
                end_seq: header.base_block_seq - 1,
                end_chain: header.base_chain,
                last: header.last,
                commit_hint: header.commit_hint,
                rewrite: tail.blocks.get(..end).unwrap_or_default().to_vec(),
                supersedes: true,
            },
        }
    }

    fn take_slot(&self, shared: &Shared, handover: &Handover) -> Result<Spare, OpenError> {
        let rewritten: u64 = handover.rewrite.iter().map(|block| block.bytes).sum();
        let Options { slot_bytes_start, slot_bytes_max, .. } = self.options;
        let least = slot_bytes_for_block(rewritten + START_BYTES).max(slot_bytes_start);
        let present = self.found.newest().map_or(slot_bytes_start, |(_, h)| h.slot_bytes);
        let wanted = present.clamp(slot_bytes_start, slot_bytes_max).max(least);
        Ok(shared.take_spare(least, wanted)?)
    }

    fn header(&self, spare: &Spare, handover: &Handover, boot: Boot, salt: u64) -> SlotHeader {
        let state = &self.replay.state;
        let newest = self.found.newest().map_or(0, |(_, header)| header.slot_seq);
        let first = self.found.newest().map_or(0, |(_, header)| header.first_slot_seq);
        let begins = first > 0 && first == newest && handover.supersedes;
        SlotHeader {
            cluster: self.owner.cluster,
            incarnation: self.owner.incarnation,
            slot_seq: newest + 1,
            salt,
            slot_bytes: spare.file.bytes,
            number: spare.file.number,
            recycled: spare.recycled,
            base_block_seq: handover.end_seq + 1,
            base_chain: handover.end_chain,
            synced_seq: handover.end_seq + handover.rewrite.len() as u64,
            previous_slot_seq: handover.previous_slot_seq,
            boot,
            hard_state: state.hard_state,
            first_slot_seq: if begins { newest + 1 } else { first },
            start: state.start(),
            last: handover.last,
            commit_hint: handover.commit_hint,
            peers: state.peers.clone(),
        }
    }

    /// Copies blocks into the new slot and syncs them. They keep their numbers; a header names
    /// its slot and place, so these are made anew. Tells where the next block goes, the last
    /// header's checksum, and which offset became which.
    fn rewrite(
        &self,
        slot: &SlotFile,
        header: &SlotHeader,
        handover: &Handover,
    ) -> Result<(u64, u32, BTreeMap<u64, u64>), OpenError> {
        let (mut cursor, mut chain) = (DATA_OFFSET, handover.end_chain);
        let mut moved = BTreeMap::new();
        let Some((old, _)) = self.found.newest() else { return Ok((cursor, chain, moved)) };
        for at in &handover.rewrite {
            let block = self.read_again(old, at)?;
            let Some((mut copy, _)) = BlockHeader::decode(&block, at.offset) else {
                return Err(self.changed(old, at));
            };
            copy.chain = chain;
            copy.slot_seq = header.slot_seq;
            copy.salt = header.salt;
            // The new header says that the copies are durable; nothing else may prove it.
            copy.synced_seq = handover.end_seq;
            let (bytes, crc) = copy.encode(cursor);
            slot.file
                .write_at(&[&bytes, &block[BLOCK_HEADER_BYTES..]], cursor)
                .map_err(|source| self.io_error(slot, "rewrite the tail into", source))?;
            moved.insert(at.offset, cursor);
            cursor += at.bytes;
            chain = crc;
        }
        if !moved.is_empty() {
            slot.file.sync_data().map_err(|source| self.io_error(slot, "sync", source))?;
        }
        Ok((cursor, chain, moved))
    }

    /// Reads a block once more, and makes sure that it is the one that was replayed.
    fn read_again(&self, old: &SlotFile, at: &TailBlock) -> Result<Vec<u8>, OpenError> {
        let mut block = vec![0; usize::try_from(at.bytes).unwrap_or(0)];
        let read = old.file.read_at(&mut block, at.offset);
        read.map_err(|source| self.io_error(old, "read", source))?;
        let same = BlockHeader::decode(&block, at.offset).is_some_and(|(header, crc)| {
            let body = block.get(BLOCK_HEADER_BYTES..BLOCK_HEADER_BYTES + header.body_len as usize);
            crc == at.crc && body.is_some_and(|body| crc32c::crc32c(body) == header.body_crc)
        });
        if same { Ok(block) } else { Err(self.changed(old, at)) }
    }

    fn enter_catalog(
        &self,
        shared: &Shared,
        slot: &SlotFile,
        header: &SlotHeader,
        (handover, moved): (&Handover, &BTreeMap<u64, u64>),
    ) {
        let mut catalog = shared.catalog_mut();
        for (number, slot) in self.found.uses() {
            catalog.slots.insert(number, slot);
        }
        let (slot_seq, salt, before) = (header.slot_seq, header.salt, header.last);
        let in_use = SlotUse { file: slot.clone(), slot_seq, salt, before, torn: None };
        catalog.slots.insert(slot.number, in_use);
        let Some((old, _)) = self.found.newest() else { return };
        catalog.relocate(old.number, slot.number, moved);
        if handover.supersedes {
            catalog.slots.remove(&old.number);
            shared.pool().spares.extend(self.found.newest_as_spare());
        }
    }

    fn changed(&self, old: &SlotFile, at: &TailBlock) -> OpenError {
        let (file, offset) = (self.disk.path(&slot_name(old.number)), at.offset);
        let what = "the block changed while it was read".to_owned();
        OpenError::Damaged { file, offset, what, first: None, last: None }
    }

    fn io_error(&self, slot: &SlotFile, doing: &'static str, source: std::io::Error) -> OpenError {
        OpenError::Io { doing, path: self.disk.path(&slot_name(slot.number)), source }
    }
}
