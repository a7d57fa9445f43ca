//! Lays a group commit out as blocks in slots, before a byte of it is written. All slots that it
//! needs are in hand when the writing begins: a full disk is noticed while repeating is safe.

use bytes::Bytes;
use raft_core::{HardState, Index, LogId, Term};

use crate::block::{BODY_BYTES_MAX, Flags, block_bytes};
use crate::entry::{ENTRY_HEADER_BYTES, encoded_len};
use crate::error::MakeError;
use crate::le;
use crate::slot::{PEERS_MAX, PeerBoot, encode_peers};
use crate::spares::{Options, Shared, Spare, capacity, slot_bytes_for_block};
use crate::state::LogState;
use crate::writer::Write;

/// A block before it has a place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) flags: Flags,
    /// The first entry; without entries the index after the last one.
    pub(crate) first: Index,
    pub(crate) count: u32,
    pub(crate) body: Vec<Bytes>,
    pub(crate) body_len: usize,
    pub(crate) commit_hint: Index,
    pub(crate) hard_state: HardState,
    pub(crate) truncate_from: Index,
    pub(crate) peers: Option<Vec<PeerBoot>>,
    /// Terms that begin in this block, and where.
    pub(crate) runs: Vec<(Index, Term)>,
}

/// The blocks that go into one slot: the one in use, or one newly taken.
#[derive(Debug, Default)]
pub(crate) struct SlotPlan {
    pub(crate) spare: Option<Spare>,
    /// The log is empty when this slot begins, and goes on after this entry.
    pub(crate) reset: Option<LogId>,
    pub(crate) drafts: Vec<Draft>,
}

/// Lays out writes, in order.
pub(crate) struct Planner<'a> {
    shared: &'a Shared,
    options: &'a Options,
    slots: Vec<SlotPlan>,
    /// The size of the slot that is being filled, and what is left of it.
    slot_bytes: u64,
    room: u64,
    open: Option<Draft>,
    last: Index,
    commit_hint: Index,
}

impl Draft {
    /// What the log's state is after this block.
    pub(crate) fn apply(&self, state: &mut LogState) {
        if self.flags.has(Flags::TRUNCATE) {
            state.truncate_from(self.truncate_from);
        }
        let mut runs = self.runs.iter();
        while let Some((first, term)) = runs.next() {
            let last = runs.as_slice().first().map_or(self.next(), |(next, _)| *next).previous();
            state.push(*first, *term);
            state.push(last, *term);
        }
        if self.flags.has(Flags::HARD_STATE) {
            state.hard_state = self.hard_state;
        }
        if let Some(peers) = &self.peers {
            state.peers.clone_from(peers);
        }
        state.observe_commit(self.commit_hint);
    }

    /// The index after this block's last entry.
    pub(crate) fn next(&self) -> Index {
        let entries = if self.flags.has(Flags::ENTRIES) { self.count } else { 0 };
        Index(self.first.0 + u64::from(entries))
    }

    /// One more entry, which begins at `start` of `bytes`.
    fn push(&mut self, index: Index, term: Term, bytes: &Bytes, start: usize, length: usize) {
        match self.body.last_mut() {
            // Entries of one slice that follow each other stay one slice.
            Some(last) if start > 0 => {
                *last = bytes.slice(start - last.len()..start + length);
            }
            _ => self.body.push(bytes.slice(start..start + length)),
        }
        self.body_len += length;
        self.count += 1;
        self.flags = self.flags.with(Flags::ENTRIES);
        if self.runs.last().is_none_or(|(_, last)| *last != term) {
            self.runs.push((index, term));
        }
    }
}

impl<'a> Planner<'a> {
    pub(crate) fn new(
        shared: &'a Shared,
        options: &'a Options,
        state: &LogState,
        slot_bytes: u64,
        room: u64,
    ) -> Self {
        Self {
            shared,
            options,
            slots: vec![SlotPlan::default()],
            slot_bytes,
            room,
            open: None,
            last: state.last().index,
            commit_hint: state.commit_hint,
        }
    }

    /// The layout of these writes. On an error the slots taken for it are spares again.
    pub(crate) fn plan(mut self, writes: &[Write]) -> Result<Vec<SlotPlan>, MakeError> {
        match self.try_plan(writes) {
            Ok(()) => Ok(self.slots),
            Err(error) => {
                self.shared.pool().spares.extend(self.slots.into_iter().filter_map(|s| s.spare));
                Err(error)
            }
        }
    }

    fn try_plan(&mut self, writes: &[Write]) -> Result<(), MakeError> {
        // Hard state precedes the entries of its term (R8), and stands twice: one damaged page
        // cannot lose a vote (R16). Of several in one commit only the last can matter.
        if let Some(hard_state) = writes.iter().rev().find_map(|write| write.hard_state) {
            let draft = Draft { hard_state, flags: Flags::HARD_STATE, ..self.mark() };
            self.place(draft.clone())?;
            self.place(draft)?;
        }
        if let Some(peers) = writes.iter().rev().find_map(|write| write.peers.as_ref()) {
            assert!(peers.len() <= PEERS_MAX, "more peers than a table holds");
            let body = Bytes::from(encode_peers(peers));
            let (body_len, flags) = (body.len(), Flags::PEERS);
            let peers = Some(peers.clone());
            self.place(Draft { peers, flags, body_len, body: vec![body], ..self.mark() })?;
        }
        for write in writes {
            self.add(write)?;
        }
        self.close()
    }

    /// A block without entries at this place. It is ahead of its commit's truncation and so
    /// carries the commit hint from before: a new one may speak of entries not yet replaced.
    fn mark(&self) -> Draft {
        let commit_hint = self.commit_hint.min(self.last);
        Draft { first: self.last.next(), commit_hint, ..Draft::default() }
    }

    fn add(&mut self, write: &Write) -> Result<(), MakeError> {
        if let Some(at) = write.reset {
            self.reset(at)?;
        }
        let begins = (write.count > 0).then_some(write.first);
        let cut = [write.truncate_from, begins].into_iter().flatten().min();
        if let Some(cut) = cut.filter(|cut| *cut <= self.last) {
            let allowed = write.truncate_from.is_some() && cut > self.commit_hint;
            assert!(allowed, "entries from {cut} on may not be replaced");
            self.close()?;
            self.need(block_bytes(0) as u64)?;
            self.last = cut.previous();
            let truncate_from = cut;
            let flags = Flags::TRUNCATE;
            self.open = Some(Draft { truncate_from, flags, first: cut, ..Draft::default() });
        }
        self.commit_hint = self.commit_hint.max(write.commit_hint.min(self.last));
        let mut count = 0;
        for bytes in &write.entries {
            let mut start = 0;
            while start < bytes.len() {
                start += self.add_entry(bytes, start, write.commit_hint)?;
                count += 1;
            }
        }
        assert_eq!(count, write.count, "a write must hold as many entries as it says");
        Ok(())
    }

    /// Goes on to another slot, with which the log begins anew.
    fn reset(&mut self, at: LogId) -> Result<(), MakeError> {
        assert!(at.index > Index(0), "a log that is reset goes on after an entry");
        assert!(at.index >= self.commit_hint, "what is committed up to there is in the snapshot");
        self.close()?;
        self.next_slot(block_bytes(0) as u64)?;
        if let Some(slot) = self.slots.last_mut() {
            slot.reset = Some(at);
        }
        (self.last, self.commit_hint) = (at.index, at.index);
        Ok(())
    }

    /// Adds the entry that begins at `start`; tells its length.
    fn add_entry(&mut self, bytes: &Bytes, start: usize, hint: Index) -> Result<usize, MakeError> {
        // Only lengths and indexes are looked at: the entry was verified when it came in.
        let header = &bytes[start..start + ENTRY_HEADER_BYTES];
        let length = encoded_len(le::u32_at(header, 0) as usize);
        let (index, term) = (Index(le::u64_at(header, 8)), Term(le::u64_at(header, 16)));
        assert_eq!(index, self.last.next(), "entries must follow one another");

        let extended = self.open.as_ref().map(|open| open.body_len + length);
        let extends = extended.is_some_and(|body| {
            (body <= BODY_BYTES_MAX || body == length) && block_bytes(body) as u64 <= self.room
        });
        if !extends {
            self.close()?;
            self.need(block_bytes(length) as u64)?;
        }
        self.last = index;
        self.commit_hint = self.commit_hint.max(hint.min(index));
        let commit_hint = self.commit_hint;
        let open = self.open.get_or_insert_with(|| Draft { first: index, ..Draft::default() });
        open.push(index, term, bytes, start, length);
        open.commit_hint = commit_hint;
        Ok(length)
    }

    fn close(&mut self) -> Result<(), MakeError> {
        match self.open.take() {
            Some(draft) => self.place(draft),
            None => Ok(()),
        }
    }

    fn place(&mut self, draft: Draft) -> Result<(), MakeError> {
        let bytes = block_bytes(draft.body_len) as u64;
        self.need(bytes)?;
        self.room -= bytes;
        if let Some(slot) = self.slots.last_mut() {
            slot.drafts.push(draft);
        }
        Ok(())
    }

    /// Makes sure that a block of such a size fits into the slot that is being filled; goes on
    /// to another one if it does not.
    fn need(&mut self, block: u64) -> Result<(), MakeError> {
        if block <= self.room { Ok(()) } else { self.next_slot(block) }
    }

    fn next_slot(&mut self, block: u64) -> Result<(), MakeError> {
        let least = slot_bytes_for_block(block).max(self.options.slot_bytes_start);
        let grown = self.options.grown(self.slot_bytes);
        let spare = self.shared.take_spare(least, grown.max(least))?;
        self.slot_bytes = spare.file.bytes;
        self.room = capacity(spare.file.bytes);
        self.slots.push(SlotPlan { spare: Some(spare), ..SlotPlan::default() });
        Ok(())
    }
}
