//! The writer: group commit. All that is handed over in one call goes out in one positioned
//! write for each slot that it touches, and one sync.

use std::io;

use bytes::Bytes;
use raft_core::{HardState, Index, LogId};
use std::sync::Arc;

use crate::block::{BLOCK_HEADER_BYTES, BlockHeader, Flags, block_bytes};
use crate::catalog::{BlockAt, SlotUse};
use crate::error::{MakeError, WriteError};
use crate::plan::{Draft, Planner, SlotPlan};
use crate::rng::Rng;
use crate::slot::{Boot, DATA_OFFSET, PAGE_BYTES, PeerBoot, SlotFile, SlotHeader};
use crate::spares::{Options, RESERVED_BYTES, Shared, Spare};
use crate::state::LogState;

/// One durable operation; several of them make a group commit.
#[derive(Clone, Debug, Default)]
pub struct Write {
    /// The new term and vote, if they changed.
    pub hard_state: Option<HardState>,
    /// Everything that was written before is void, and the log begins anew after this entry,
    /// which a durable snapshot stands for: either all of this is so after a crash, or none.
    pub reset: Option<LogId>,
    /// Everything from here on that was written before is void.
    pub truncate_from: Option<Index>,
    /// The first entry.
    pub first: Index,
    /// The entries, encoded, each slice a whole number of them.
    pub entries: Vec<Bytes>,
    /// How many entries there are.
    pub count: u64,
    /// The commit index when this was handed over. Written along, never synced for (R10).
    pub commit_hint: Index,
    /// The whole table of peers, if it changed.
    pub peers: Option<Vec<PeerBoot>>,
}

/// What is durable after a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// The last entry.
    pub last_index: Index,
    /// The last block.
    pub block_seq: u64,
}

/// What the writer did since the log was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Syncs of a slot.
    pub syncs: u64,
    /// Positioned writes to a slot.
    pub writes: u64,
    /// Bytes written, padding included.
    pub bytes: u64,
}

/// Writes the log. There is one for each open log, and one thread at a time uses it.
#[derive(Debug)]
pub struct LogWriter {
    pub(crate) shared: Arc<Shared>,
    pub(crate) options: Options,
    pub(crate) owner: Owner,
    pub(crate) slot: OpenSlot,
    /// The next block's number, and the checksum of the header before it.
    pub(crate) next_seq: u64,
    pub(crate) chain: u32,
    pub(crate) state: LogState,
    /// The slot that the log begins with; zero if nothing was compacted.
    pub(crate) first_slot_seq: u64,
    pub(crate) rng: Rng,
    pub(crate) counters: Counters,
    /// Whether the last block only says that all before it are durable.
    pub(crate) attested: bool,
    /// The first failure; nothing is tried after it (R11).
    pub(crate) failed: Option<(io::ErrorKind, String)>,
}

/// Whose log this is: repeated in every slot header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) cluster: u128,
    pub(crate) incarnation: u128,
    pub(crate) boot: Boot,
}

/// The slot that is being written.
#[derive(Clone, Debug)]
pub(crate) struct OpenSlot {
    pub(crate) file: SlotFile,
    pub(crate) slot_seq: u64,
    pub(crate) salt: u64,
    /// Where the next block goes.
    pub(crate) cursor: u64,
}

/// What a commit changes in the catalog, once it is durable.
enum Placed {
    Slot(SlotUse),
    Reset,
    Truncated(Index),
    Entries(BlockAt),
}

const ZEROS: [u8; PAGE_BYTES] = [0; PAGE_BYTES];

impl LogWriter {
    /// Makes all of this durable, in order: one group commit. Waits for the disk.
    ///
    /// # Panics
    /// If the writes contradict the log or themselves: the caller's invariant is broken, and
    /// what would be written could not be read back as a log.
    pub fn write(&mut self, writes: &[Write]) -> Result<Synced, WriteError> {
        self.check_latch()?;
        let (slot_bytes, room) = (self.slot.file.bytes, self.slot.room());
        let planner = Planner::new(&self.shared, &self.options, &self.state, slot_bytes, room);
        let plan = match planner.plan(writes) {
            Ok(plan) => plan,
            Err(MakeError::NoSpace { path, bytes }) => {
                return Err(WriteError::NoSpace { path, bytes });
            }
            Err(MakeError::Io { source, .. }) => return Err(self.latch(source)),
        };
        self.commit(plan).map_err(|error| self.latch(error))?;
        // A commit hint without anything to write waits for the next block.
        for write in writes {
            self.state.observe_commit(write.commit_hint);
        }
        Ok(self.synced())
    }

    /// Writes down that everything before is durable, unless the last block already says so.
    /// Called after a pause and at a clean stop: the last commit can then not be damaged without
    /// being noticed.
    pub fn attest(&mut self) -> Result<Synced, WriteError> {
        self.check_latch()?;
        // The last page of a slot is for its SEAL block.
        let fits = self.slot.cursor + RESERVED_BYTES <= self.slot.file.bytes;
        if !self.attested && fits {
            let drafts = vec![self.attest_draft()];
            let plan = vec![SlotPlan { drafts, ..SlotPlan::default() }];
            self.commit(plan).map_err(|error| self.latch(error))?;
        }
        Ok(self.synced())
    }

    /// Gives up entries that a durable snapshot stands for: slots that hold nothing above
    /// `through` become spares, but for the newest that make up `keep_bytes`. Tells after which
    /// entry the log begins now. Costs no write: the next slot's header says it, and a spare is
    /// written to only after that header; a log that is opened before may begin earlier.
    ///
    /// # Panics
    /// If `through` is not an entry of the log: a broken invariant of the caller.
    pub fn compact(&mut self, through: LogId, keep_bytes: u64) -> LogId {
        if through.index > self.state.start().index {
            let held = self.state.term_at(through.index) == Some(through.term);
            assert!(held, "entry {through} is not in the log");
            let compaction = self.shared.catalog_mut().compact(through.index, keep_bytes);
            if let Some(compaction) = compaction {
                self.state.compact(compaction.start);
                self.first_slot_seq = compaction.first_slot_seq;
                self.shared.pool().spares.extend(compaction.free);
            }
        }
        self.state.start()
    }

    /// Bytes of the slots that hold the log.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.catalog().slots.values().map(|slot| slot.file.bytes).sum()
    }

    /// What the writer did so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Log bytes that can be written without new space on the disk.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.shared.pool().free_bytes()
    }

    fn synced(&self) -> Synced {
        Synced { last_index: self.state.last().index, block_seq: self.next_seq - 1 }
    }

    fn check_latch(&self) -> Result<(), WriteError> {
        match &self.failed {
            Some((kind, text)) => Err(WriteError::Failed(io::Error::new(*kind, text.clone()))),
            None => Ok(()),
        }
    }

    /// After a failed write or sync nobody knows what the disk holds: a later sync may succeed
    /// although the bytes are gone. So the first failure is the last call that did anything.
    fn latch(&mut self, error: io::Error) -> WriteError {
        self.failed = Some((error.kind(), error.to_string()));
        WriteError::Failed(error)
    }

    fn attest_draft(&self) -> Draft {
        let (first, commit_hint) = (self.state.last().index.next(), self.state.commit_hint);
        Draft { flags: Flags::ATTEST, first, commit_hint, ..Draft::default() }
    }

    fn commit(&mut self, plan: Vec<SlotPlan>) -> io::Result<()> {
        let mut placed = Vec::new();
        let mut slots = plan.into_iter().peekable();
        while let Some(SlotPlan { spare, reset, mut drafts }) = slots.next() {
            if let Some(spare) = spare {
                if let Some(at) = reset {
                    self.state.reset(at);
                    self.first_slot_seq = self.slot.slot_seq + 1;
                    placed.push(Placed::Reset);
                }
                let open = self.begin_slot(spare)?;
                placed.push(Placed::Slot(open));
            }
            if let Some(next) = slots.peek().and_then(|next| next.spare.as_ref()) {
                // The slot is complete. Naming its successor makes a lost file noticeable.
                let (flags, count) = (Flags::SEAL, next.file.number);
                let mut first = self.state.last().index.next();
                if let Some(draft) = drafts.last() {
                    first = draft.next();
                }
                drafts.push(Draft { flags, count, first, ..Draft::default() });
            }
            if !drafts.is_empty() {
                self.write_blocks(&drafts, &mut placed)?;
                self.attested = drafts.last().is_some_and(|d| d.flags.has(Flags::ATTEST));
            }
        }
        self.publish(placed);
        Ok(())
    }

    /// Takes a spare into use. All blocks before are durable; the header certifies them. It is
    /// durable itself before the first block of the slot is written.
    fn begin_slot(&mut self, spare: Spare) -> io::Result<SlotUse> {
        let header = SlotHeader {
            cluster: self.owner.cluster,
            incarnation: self.owner.incarnation,
            slot_seq: self.slot.slot_seq + 1,
            salt: self.rng.next_u64(),
            slot_bytes: spare.file.bytes,
            number: spare.file.number,
            recycled: spare.recycled,
            base_block_seq: self.next_seq,
            base_chain: self.chain,
            synced_seq: self.next_seq - 1,
            previous_slot_seq: self.slot.slot_seq,
            boot: self.owner.boot,
            hard_state: self.state.hard_state,
            first_slot_seq: self.first_slot_seq,
            start: self.state.start(),
            last: self.state.last(),
            commit_hint: self.state.commit_hint,
            peers: self.state.peers.clone(),
        };
        spare.clear_torn_header()?;
        write_header(&spare.file, &header, &mut self.counters)?;
        let (slot_seq, salt) = (header.slot_seq, header.salt);
        let file = spare.file;
        self.slot = OpenSlot { file: file.clone(), slot_seq, salt, cursor: DATA_OFFSET };
        self.attested = false;
        Ok(SlotUse { file, slot_seq, salt, before: header.last, torn: None })
    }

    /// Writes blocks at the cursor in one positioned write, and syncs.
    fn write_blocks(&mut self, drafts: &[Draft], placed: &mut Vec<Placed>) -> io::Result<()> {
        // Everything below the first block of this write is durable: the writes before were
        // synced before they returned.
        let synced_seq = self.next_seq - 1;
        let begin = self.slot.cursor;
        let mut headers = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let header = draft.header(&self.slot, (self.next_seq, synced_seq), self.chain);
            let (bytes, crc) = header.encode(self.slot.cursor);
            headers.push(bytes);
            placed.extend(draft.placed(&self.slot, &header));
            draft.apply(&mut self.state);
            self.chain = crc;
            self.next_seq += 1;
            self.slot.cursor += header.bytes();
        }
        let mut parts: Vec<&[u8]> = Vec::new();
        for (draft, header) in drafts.iter().zip(&headers) {
            parts.push(header);
            parts.extend(draft.body.iter().map(|slice| &slice[..]));
            let used = BLOCK_HEADER_BYTES + draft.body_len;
            parts.push(&ZEROS[..block_bytes(draft.body_len) - used]);
        }
        let file = &self.slot.file.file;
        file.write_at(&parts, begin)?;
        file.sync_data()?;
        self.counters.writes += 1;
        self.counters.syncs += 1;
        self.counters.bytes += self.slot.cursor - begin;
        Ok(())
    }

    /// Tells the readers and the helper, once all is durable.
    pub(crate) fn publish_room(&self) {
        let mut pool = self.shared.pool();
        pool.room = self.slot.room();
        pool.wanted_bytes = self.options.grown(self.slot.file.bytes);
    }

    fn publish(&self, placed: Vec<Placed>) {
        let mut free = Vec::new();
        {
            let mut catalog = self.shared.catalog_mut();
            for change in placed {
                match change {
                    Placed::Reset => free.extend(catalog.clear()),
                    Placed::Slot(slot) => drop(catalog.slots.insert(slot.file.number, slot)),
                    Placed::Truncated(from) => catalog.truncate_from(from),
                    Placed::Entries(at) => catalog.push(at),
                }
            }
        }
        self.shared.pool().spares.extend(free);
        self.publish_room();
    }
}

impl OpenSlot {
    /// Bytes left for blocks other than ATTEST and SEAL.
    pub(crate) fn room(&self) -> u64 {
        self.file.bytes.saturating_sub(RESERVED_BYTES + self.cursor)
    }
}

impl Draft {
    fn header(&self, slot: &OpenSlot, (seq, synced): (u64, u64), chain: u32) -> BlockHeader {
        BlockHeader {
            flags: self.flags,
            chain,
            slot_seq: slot.slot_seq,
            salt: slot.salt,
            block_seq: seq,
            synced_seq: synced,
            group: 0,
            first: self.first,
            count: self.count,
            body_len: u32::try_from(self.body_len).expect("an entry is at most 1 GiB"),
            body_crc: self.body.iter().fold(0, |crc, slice| crc32c::crc32c_append(crc, slice)),
            commit_hint: self.commit_hint,
            hard_state: self.hard_state,
            truncate_from: self.truncate_from,
        }
    }

    fn placed(&self, slot: &OpenSlot, header: &BlockHeader) -> impl Iterator<Item = Placed> {
        let (number, offset) = (slot.file.number, slot.cursor);
        let truncated = self.flags.has(Flags::TRUNCATE);
        let entries = self.flags.has(Flags::ENTRIES).then(|| {
            Placed::Entries(BlockAt::new(self.first, self.count, number, offset, header.bytes()))
        });
        truncated.then_some(Placed::Truncated(self.truncate_from)).into_iter().chain(entries)
    }
}

/// Writes both copies, the second only once the first is durable: a crash tears at most one.
pub(crate) fn write_header(
    slot: &SlotFile,
    header: &SlotHeader,
    counters: &mut Counters,
) -> io::Result<()> {
    for offset in [0, PAGE_BYTES as u64] {
        slot.file.write_at(&[&header.encode(offset)], offset)?;
        slot.file.sync_data()?;
        counters.writes += 1;
        counters.syncs += 1;
        counters.bytes += PAGE_BYTES as u64;
    }
    Ok(())
}
