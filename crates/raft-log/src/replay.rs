//! Replays slots into the state of the log, and decides where it ends.
//!
//! A block that was durable and is not valid now is damage: the log is refused. A block that was
//! not known to be durable may be torn: the log is cut there. What tells them apart is what
//! *later* writes say: the next slot's header certifies all blocks before it, and each block says
//! up to which number blocks were durable when it was made.

use std::path::PathBuf;

use bytes::Bytes;
use raft_core::{HardState, Index, LogId};

use crate::block::{BlockHeader, Flags};
use crate::catalog::{BlockAt, Catalog};
use crate::disk::Disk;
use crate::entry::{Kind, NUMBER_MAX, RawEntries};
use crate::error::OpenError;
use crate::open::RecoveredLog;
use crate::scan::{Block, Flaw, SlotScan};
use crate::slot::{Boot, DATA_OFFSET, PEER_BYTES, PEERS_MAX, SlotFile, SlotHeader, decode_peers};
use crate::state::LogState;

/// The log as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pub(crate) state: LogState,
    /// The number of the block from which the hard state is.
    hard_state_seq: u64,
    pub(crate) memberships: Vec<(Index, Bytes)>,
    pub(crate) catalog: Catalog,
    pub(crate) tail_ambiguous: bool,
    pub(crate) cut: Option<Cut>,
    pub(crate) notes: Vec<String>,
    /// The last block's number, and the checksum of its header.
    pub(crate) last_seq: u64,
    pub(crate) chain: u32,
}

/// Is shown each block that counts: where it stands, the block, and the last entry as of it.
pub(crate) type Watch<'w> = &'w mut dyn FnMut(u64, &Block<'_>, LogId);

/// The torn end of a log: nothing in it was known to be durable, and a start cuts it off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub file: PathBuf,
    /// Where the torn part begins.
    pub offset: u64,
    /// The index that would have come next.
    pub first: Index,
    /// What stands there.
    pub what: &'static str,
}

/// A block of the newest slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TailBlock {
    pub(crate) seq: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    pub(crate) crc: u32,
    /// ATTEST or SEAL: says nothing that a copy would have to repeat.
    pub(crate) mark: bool,
    /// The last entry and the commit hint as of this block.
    pub(crate) last: LogId,
    pub(crate) commit_hint: Index,
}

/// The newest slot, read to where its valid blocks end.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    pub(crate) blocks: Vec<TailBlock>,
    /// The highest block proven durable.
    pub(crate) proven_seq: u64,
    /// The same, by what blocks of this slot say; its header apart.
    own_proof: u64,
    /// The slot file that a SEAL block at the end names.
    pub(crate) successor: Option<u32>,
}

impl Replay {
    /// Replays a slot up to what its successor certifies. All of it must be there.
    pub(crate) fn certified_slot(
        &mut self,
        disk: &dyn Disk,
        file: &SlotFile,
        header: &SlotHeader,
        next: &SlotHeader,
        watch: Watch<'_>,
    ) -> Result<(), OpenError> {
        let mut scan = SlotScan::new(disk, file, header);
        self.enter(&scan)?;
        let (end_seq, mut offset) = (next.base_block_seq.wrapping_sub(1), DATA_OFFSET);
        while self.last_seq < end_seq {
            let (seq, first) = (self.last_seq + 1, self.state.last().index.next());
            let flaw = match scan.block(offset)? {
                Ok(block) => {
                    let bytes = block.header.bytes();
                    if let Err(what) = self.accept(file.number, offset, &block) {
                        return Err(scan.damaged(offset, what, Some(first), None));
                    }
                    watch(offset, &block, self.state.last());
                    offset += bytes;
                    continue;
                }
                Err(flaw) => flaw,
            };
            let what = format!("block {seq}, which the next slot certifies: {}", flaw.what);
            let end = Some(next.last.index.next());
            let (first, last) = self.affected(&mut scan, offset, &flaw, end)?;
            return Err(scan.damaged(offset, what, first, last));
        }
        if self.chain != next.base_chain {
            let what = format!("block {end_seq} is not the one that the next slot certifies");
            return Err(scan.damaged(offset, what, Some(self.state.last().index), None));
        }
        Ok(())
    }

    /// Replays the newest slot: finds its end, and whether that is torn or damaged.
    pub(crate) fn newest_slot(
        &mut self,
        disk: &dyn Disk,
        file: &SlotFile,
        header: &SlotHeader,
        watch: Watch<'_>,
    ) -> Result<Tail, OpenError> {
        let mut scan = SlotScan::new(disk, file, header);
        self.enter(&scan)?;
        let mut tail = Tail { proven_seq: header.synced_seq, ..Tail::default() };
        let mut offset = DATA_OFFSET;
        loop {
            let first = self.state.last().index.next();
            let flaw = match scan.block(offset)? {
                Ok(block) => {
                    if let Err(what) = self.accept(file.number, offset, &block) {
                        return Err(scan.damaged(offset, what, Some(first), None));
                    }
                    let bytes = block.header.bytes();
                    tail.push(&block, offset, &self.state);
                    watch(offset, &block, self.state.last());
                    offset += bytes;
                    continue;
                }
                Err(flaw) => flaw,
            };
            self.judge(&mut scan, offset, &flaw, &mut tail)?;
            return Ok(tail);
        }
    }

    /// All of it, for whoever goes on from here.
    pub(crate) fn recovered(&self, boot: Boot) -> RecoveredLog {
        let Self { state, memberships, tail_ambiguous, notes, .. } = self;
        RecoveredLog {
            hard_state: state.hard_state,
            start: state.start(),
            snapshot: None,
            older_snapshots: Vec::new(),
            last_index: state.last().index,
            term_runs: state.runs().to_vec(),
            commit_hint: state.commit_hint,
            memberships: memberships.clone(),
            peers: state.peers.clone(),
            boot,
            tail_ambiguous: *tail_ambiguous,
            notes: notes.clone(),
        }
    }

    /// Begins with a slot before which all is compacted.
    pub(crate) fn begin_at(&mut self, header: &SlotHeader) {
        self.last_seq = header.base_block_seq.wrapping_sub(1);
        self.chain = header.base_chain;
        self.state.reset(header.last);
    }

    /// Goes on with a slot although the ones before it could not all be read.
    pub(crate) fn resume_at(&mut self, header: &SlotHeader) {
        self.last_seq = header.base_block_seq.wrapping_sub(1);
        self.chain = header.base_chain;
        self.truncate_from(header.last.index.next());
        self.state.skip_to(header.last);
    }

    /// The hard state that counts is the highest in any valid block or header, even beyond a
    /// cut (R16): adopting a vote that was written and never sent is harmless, forgetting one is
    /// not.
    pub(crate) fn observe_hard_state(&mut self, hard_state: HardState, block_seq: u64) {
        let rank = |h: &HardState, seq| (h.term, h.voted_for.is_some(), seq);
        let held = rank(&self.state.hard_state, self.hard_state_seq);
        if rank(&hard_state, block_seq) >= held {
            self.state.hard_state = hard_state;
            self.hard_state_seq = block_seq;
        }
    }

    /// Takes over what a slot's header says, and checks it against what came before.
    fn enter(&mut self, scan: &SlotScan<'_>) -> Result<(), OpenError> {
        let header = scan.header;
        let (seq, chain) = (header.base_block_seq.wrapping_sub(1), header.base_chain);
        let follows = seq == self.last_seq && chain == self.chain;
        if !follows || header.last != self.state.last() || header.synced_seq < seq {
            let what = "the slot does not continue the one before";
            return Err(scan.damaged(0, what, Some(self.state.last().index.next()), None));
        }
        self.observe_hard_state(header.hard_state, header.synced_seq);
        self.state.observe_commit(header.commit_hint);
        self.state.peers.clone_from(&header.peers);
        Ok(())
    }

    /// Adds a valid block that is next in order.
    fn accept(&mut self, number: u32, offset: u64, block: &Block<'_>) -> Result<(), String> {
        let header = &block.header;
        if header.block_seq != self.last_seq + 1 || header.chain != self.chain {
            return Err(format!(
                "block {} with chain {:08x} where block {} with chain {:08x} belongs",
                header.block_seq,
                header.chain,
                self.last_seq + 1,
                self.chain
            ));
        }
        if header.synced_seq > self.last_seq {
            return Err("the block claims to have been durable before it was written".into());
        }
        let mark = header.flags.has(Flags::ATTEST.with(Flags::SEAL));
        if mark && ![Flags::ATTEST, Flags::SEAL].contains(&header.flags) {
            // A start does not copy marks: what else stood in this block would be lost.
            return Err("a mark that carries something besides".into());
        }
        if header.flags.has(Flags::TRUNCATE) {
            let from = header.truncate_from;
            if from <= self.state.commit_hint || from > self.state.last().index.next() {
                return Err(format!("a truncation from {from} on, which cannot be"));
            }
            self.truncate_from(from);
        }
        if header.flags.has(Flags::ENTRIES) {
            self.accept_entries(header, block.body)?;
            let (first, count) = (header.first, header.count);
            self.catalog.push(BlockAt::new(first, count, number, offset, header.bytes()));
        }
        if header.flags.has(Flags::HARD_STATE) {
            if header.hard_state.term.0 >= NUMBER_MAX {
                return Err(format!(
                    "term {}, which is beyond all counting",
                    header.hard_state.term
                ));
            }
            self.observe_hard_state(header.hard_state, header.block_seq);
        }
        if header.flags.has(Flags::PEERS) {
            if block.body.len() > PEERS_MAX * PEER_BYTES {
                return Err(format!("a table of more than {PEERS_MAX} peers"));
            }
            self.state.peers = decode_peers(block.body);
        }
        self.state.observe_commit(header.commit_hint);
        self.last_seq = header.block_seq;
        self.chain = block.crc;
        Ok(())
    }

    fn accept_entries(&mut self, header: &BlockHeader, body: &[u8]) -> Result<(), String> {
        let mut count = 0;
        for raw in RawEntries::new(body) {
            let raw = raw.map_err(|error| error.to_string())?;
            let last = self.state.last();
            if raw.head.index != last.index.next() || raw.head.term < last.term {
                let (index, term) = (raw.head.index, raw.head.term);
                return Err(format!("entry {index}@{term} cannot follow entry {last}"));
            }
            self.state.push(raw.head.index, raw.head.term);
            if raw.head.kind == Kind::MEMBERSHIP {
                self.memberships.push((raw.head.index, Bytes::copy_from_slice(raw.payload)));
            }
            count += 1;
        }
        if count != header.count || header.last() != self.state.last().index {
            return Err("the block does not hold the entries that it names".into());
        }
        Ok(())
    }

    fn truncate_from(&mut self, from: Index) {
        self.state.truncate_from(from);
        self.catalog.truncate_from(from);
        while self.memberships.last().is_some_and(|(index, _)| *index >= from) {
            self.memberships.pop();
        }
    }

    /// Decides on the end of the newest slot's valid blocks.
    fn judge(
        &mut self,
        scan: &mut SlotScan<'_>,
        offset: u64,
        flaw: &Flaw,
        tail: &mut Tail,
    ) -> Result<(), OpenError> {
        let behind = scan.behind(offset)?;
        let (seq, first) = (self.last_seq + 1, self.state.last().index.next());
        let proven = tail.proven_seq.max(behind.synced_seq);
        if proven >= seq {
            let what = format!("block {seq}, which was durable: {}", flaw.what);
            let (first, last) = self.affected(scan, offset, flaw, None)?;
            return Err(scan.damaged(offset, what, first, last));
        }
        tail.proven_seq = proven;
        tail.own_proof = tail.own_proof.max(behind.synced_seq);
        for (hard_state, block_seq) in &behind.hard_states {
            self.observe_hard_state(*hard_state, *block_seq);
        }
        // The very last commit may have been answered for and then damaged: nothing can tell.
        self.tail_ambiguous = flaw.ambiguous || behind.any;
        if self.tail_ambiguous {
            let (file, what) = (scan.path().to_owned(), flaw.what);
            self.notes.push(format!(
                "{}: cut at byte {offset}, log index {first} on: {what}; it was never known to \
                 be durable",
                file.display()
            ));
            self.cut = Some(Cut { file, offset, first, what });
        }
        Ok(())
    }

    /// The first and the last index that a flaw affects, as far as that is known: by what the
    /// block's own header says, else by the index with which the log goes on behind it. Where it
    /// goes on no higher than it was, the block held no entries, or others in place of some.
    fn affected(
        &self,
        scan: &mut SlotScan<'_>,
        offset: u64,
        flaw: &Flaw,
        end: Option<Index>,
    ) -> Result<(Option<Index>, Option<Index>), OpenError> {
        if let Some(header) = &flaw.header {
            let entries = header.flags.has(Flags::ENTRIES);
            return Ok(if entries {
                (Some(header.first), Some(header.last()))
            } else {
                (None, None)
            });
        }
        let first = self.state.last().index.next();
        Ok(match scan.behind(offset)?.resumes_at.or(end) {
            Some(next) if next > first => (Some(first), Some(next.previous())),
            Some(_) => (None, None),
            None => (Some(first), None),
        })
    }
}

impl Tail {
    /// Whether one of the blocks proves a durable block in its own slot, which begins with block
    /// `base`.
    pub(crate) fn blocks_prove_from(&self, base: u64) -> bool {
        self.own_proof >= base
    }

    fn push(&mut self, block: &Block<'_>, offset: u64, state: &LogState) {
        let header = &block.header;
        self.own_proof = self.own_proof.max(header.synced_seq);
        self.proven_seq = self.proven_seq.max(header.synced_seq);
        let seal = header.flags.has(Flags::SEAL);
        self.successor = seal.then_some(header.count);
        let mark = seal || header.flags.has(Flags::ATTEST);
        let (seq, bytes) = (header.block_seq, header.bytes());
        let (crc, last, commit_hint) = (block.crc, state.last(), state.commit_hint);
        self.blocks.push(TailBlock { seq, offset, bytes, crc, mark, last, commit_hint });
    }
}
