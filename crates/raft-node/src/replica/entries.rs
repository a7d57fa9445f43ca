//! Entries as bytes: what the core's outputs mean in the log buffer, on the wire and on disk.

use bytes::Bytes;
use raft_core::{EntryKind, EntryMeta, Index, Input, LogId, Message, Time};
use raft_log::Kind;

use super::apply::metas;
use super::{Chunk, Context, Effect, Replica};
use crate::wire::encode_membership;

impl Replica {
    /// The bytes of a message's entries.
    ///
    /// # Panics
    /// If the log holds no such entries although the core just said so: the two disagree on what
    /// the log is, and this member must not go on.
    pub(super) fn entries_of(&mut self, message: &Message, context: &Context) -> Vec<Bytes> {
        let Message::AppendEntries(append) = message else { return Vec::new() };
        if append.entries.is_empty() {
            return Vec::new();
        }
        let first = append.prev_log_id.index.next();
        let last = Index(append.prev_log_id.index.0 + append.entries.len() as u64);
        self.buffer
            .slice(first, last)
            .or_else(|| context.read.slice(first, last))
            .unwrap_or_else(|| panic!("entries {first} to {last} are neither held nor just read"))
    }

    /// Puts entries of the core's own making into the log.
    pub(super) fn encode(&mut self, at: LogId, entry: &EntryMeta) {
        self.buffer.truncate_from(at.index);
        match &entry.kind {
            EntryKind::Membership(membership) => {
                let payload = encode_membership(membership);
                self.buffer.append(at.term, Kind::MEMBERSHIP, &[&payload]);
            }
            EntryKind::Noop | EntryKind::Command => {
                self.buffer.append(at.term, Kind::NOOP, &[]);
            }
        }
    }

    /// Puts a leader's entries into the log, in place of what was there.
    pub(super) fn receive(&mut self, first: Index, last: Index, received: &Chunk) {
        let taken = received.entries.iter().position(|entry| entry.index == first);
        let (Some(start), Some(bytes)) = (taken, received.slice(first, last)) else {
            panic!("entries {first} to {last} were taken from a message that has none such");
        };
        self.buffer.truncate_from(first);
        let count = (last.0 + 1 - first.0) as usize;
        let mut entries = &received.entries[start..start + count];
        for part in bytes {
            let mut size = 0;
            let whole = entries
                .iter()
                .take_while(|entry| {
                    size += raft_log::encoded_len(entry.payload.len());
                    size <= part.len()
                })
                .count();
            self.buffer.append_encoded(&entries[..whole], part);
            entries = &entries[whole..];
        }
    }

    pub(super) fn log_read(
        &mut self,
        now: Time,
        request: u64,
        chunk: Option<Chunk>,
        fx: &mut Vec<Effect>,
    ) {
        let chunk = chunk.unwrap_or_default();
        if self.reads.for_machine == Some(request) {
            self.reads.for_machine = None;
            self.progress.ahead = chunk.entries.into();
            return;
        }
        let Some(request) = self.reads.for_peers.remove(&request) else { return };
        // What cannot be understood is not there, as far as the core is concerned.
        let entries = metas(&chunk.entries).unwrap_or_default();
        let context = Context { read: chunk, ..Context::default() };
        self.core(now, Input::LogRead { request, entries }, &context, fx);
    }

    pub(super) fn persist(&mut self, fx: &mut Vec<Effect>) {
        let last = self.raft.last_log_id().index;
        let buffer = &mut self.buffer;
        let operation =
            self.merged.take(last, &mut self.handed, self.raft.commit_index(), |first, last| {
                buffer.slice(first, last).unwrap_or_else(|| {
                    panic!("entries {first} to {last} must be written but are not held")
                })
            });
        if let Some((ticket, write)) = operation {
            self.unwritten.handed(ticket, &write);
            fx.push(Effect::Write { ticket, write });
        }
    }
}
