//! What a log must hold, kept in plain vectors, and random work for both.

use bytes::{Bytes, BytesMut};
use raft_core::{HardState, Index, LogId, NodeId, Term};
use raft_log::{Kind, Log, PeerBoot, RecoveredLog, Write, encode_entry};

use super::Random;

pub type Entries = Vec<(Term, Kind, Vec<u8>)>;

/// The log as a vector.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// The entry that the log begins after; `entries` are those behind it.
    pub start: LogId,
    pub entries: Entries,
    /// What was given up since the start: where the log began, and the entries from there on.
    pub compacted: Vec<(LogId, Entries)>,
    pub hard_state: HardState,
    pub commit: u64,
    pub peers: Vec<PeerBoot>,
}

impl Model {
    pub fn last(&self) -> u64 {
        self.start.index.0 + self.entries.len() as u64
    }

    /// The term of an entry.
    pub fn term_at(&self, index: u64) -> Term {
        match index.checked_sub(self.start.index.0 + 1) {
            Some(at) => self.entries[usize::try_from(at).unwrap()].0,
            None => self.start.term,
        }
    }

    /// The log begins after `start` now.
    pub fn compact(&mut self, start: LogId) {
        let count = usize::try_from(start.index.0 - self.start.index.0).unwrap();
        if count > 0 {
            let gone = self.entries.drain(..count).collect();
            self.compacted.push((self.start, gone));
            self.start = start;
        }
    }

    /// Compaction costs no write, so a start may find entries that were given up.
    pub fn follow(&mut self, recovered: &RecoveredLog) {
        let again = self.compacted.iter().position(|(id, _)| *id == recovered.start);
        if let Some(at) = again {
            let back = self.compacted.split_off(at).into_iter().flat_map(|(_, entries)| entries);
            self.entries.splice(..0, back);
            self.start = recovered.start;
        }
        self.compacted.clear();
    }

    /// The log is emptied, and begins after `at`.
    pub fn reset(&mut self, at: LogId) {
        self.entries.clear();
        self.compacted.clear();
        (self.start, self.commit) = (at, at.index.0);
    }

    /// One random write that a correct member could make; applied to the model.
    pub fn random_write(&mut self, random: &mut Random, size_max: u64) -> Write {
        let mut write = Write::default();
        if random.chance(4) {
            let term = Term(self.hard_state.term.0 + random.below(2));
            let same = term == self.hard_state.term && self.hard_state.voted_for.is_some();
            let vote = if same { self.hard_state.voted_for } else { Some(NodeId(random.below(3))) };
            self.hard_state =
                HardState { term, voted_for: vote.filter(|_| same || !random.chance(3)) };
            write.hard_state = Some(self.hard_state);
        }
        if random.chance(8) {
            let peer = |id| PeerBoot { id: NodeId(id), incarnation: 3, epoch: 4, nonce: id };
            self.peers = (1..=random.below(40)).map(peer).collect();
            write.peers = Some(self.peers.clone());
        }
        if random.chance(5) && self.last() > self.commit {
            let keep = self.commit + random.below(self.last() - self.commit);
            self.entries.truncate(usize::try_from(keep - self.start.index.0).unwrap());
            write.truncate_from = Some(Index(keep + 1));
        }
        write.first = Index(self.last() + 1);
        let count = random.below(6);
        let mut open = BytesMut::new();
        for _ in 0..count {
            let entry = self.random_entry(random, size_max);
            open.extend_from_slice(&entry);
            if random.chance(3) {
                write.entries.push(open.split().freeze());
            }
        }
        if !open.is_empty() {
            write.entries.push(open.freeze());
        }
        write.count = count;
        self.commit += random.below(self.last() - self.commit + 1);
        write.commit_hint = Index(self.commit);
        write
    }

    fn random_entry(&mut self, random: &mut Random, size_max: u64) -> Bytes {
        let size = if random.chance(10) { size_max } else { size_max / 20 };
        let payload: Vec<u8> = (0..random.below(size))
            .map(|at| u8::try_from((at * 7 + self.last()) % 251).unwrap())
            .collect();
        let kind = if random.chance(6) { Kind::MEMBERSHIP } else { Kind::COMMAND };
        let term = self.hard_state.term;
        let index = Index(self.last() + 1);
        let bytes = encode_entry(index, term, kind, &[&payload]);
        self.entries.push((term, kind, payload));
        bytes
    }

    /// Applies a write as the log does, telling every state in between: what a crash in the
    /// middle may leave.
    pub fn steps(&self, writes: &[Write]) -> Vec<Vec<(Term, Kind, Vec<u8>)>> {
        let mut entries = self.entries.clone();
        let mut states = vec![entries.clone()];
        for write in writes {
            if let Some(from) = write.truncate_from {
                let kept = from.0 - 1 - self.start.index.0;
                entries.truncate(usize::try_from(kept).unwrap());
                states.push(entries.clone());
            }
            for bytes in &write.entries {
                for entry in raft_log::decode_entries(bytes).unwrap() {
                    entries.push((entry.term, entry.kind, entry.payload.to_vec()));
                    states.push(entries.clone());
                }
            }
        }
        states
    }

    /// What recovery reports must be this.
    pub fn check_recovered(&self, recovered: &RecoveredLog) {
        assert_eq!(recovered.last_index.0, self.last());
        assert_eq!(recovered.start, self.start);
        let first = self.start.index.0 + 1;
        let memberships: Vec<(Index, Vec<u8>)> = (first..)
            .zip(&self.entries)
            .filter(|(_, (_, kind, _))| *kind == Kind::MEMBERSHIP)
            .map(|(index, (_, _, payload))| (Index(index), payload.clone()))
            .collect();
        let found: Vec<(Index, Vec<u8>)> =
            recovered.memberships.iter().map(|(i, p)| (*i, p.to_vec())).collect();
        assert_eq!(found, memberships);
        let begins = (first > 1).then_some((self.start.index, self.start.term));
        let mut runs: Vec<(Index, Term)> = begins.into_iter().collect();
        for (index, (term, _, _)) in (first..).zip(&self.entries) {
            if runs.last().is_none_or(|(_, last)| last != term) {
                runs.push((Index(index), *term));
            }
        }
        assert_eq!(recovered.term_runs, runs);
        assert!(recovered.commit_hint.0 <= self.commit, "a commit hint beyond the commit");
    }

    /// What the reader reads must be this.
    pub fn check_read(&self, log: &Log) {
        let entries = super::read_after(log, self.start.index, Index(self.last()));
        let found: Vec<_> = entries.iter().map(|e| (e.term, e.kind, e.payload.to_vec())).collect();
        assert_eq!(found, self.entries);
        for missing in [self.start.index, Index(self.last() + 1)] {
            assert!(log.reader.read(missing, Index(u64::MAX), 1).is_err());
        }
    }
}

/// A write of `count` entries of `size` bytes.
pub fn entries(first: u64, count: u64, term: u64, size: usize) -> Write {
    let payload = |index: u64| vec![u8::try_from(index % 251).unwrap(); size];
    let bytes = (first..first + count)
        .map(|index| encode_entry(Index(index), Term(term), Kind::COMMAND, &[&payload(index)]));
    Write { first: Index(first), entries: bytes.collect(), count, ..Write::default() }
}

/// A write of term and vote.
pub fn vote(term: u64, voted_for: Option<u64>) -> Write {
    let hard_state = HardState { term: Term(term), voted_for: voted_for.map(NodeId) };
    Write { hard_state: Some(hard_state), ..Write::default() }
}
