//! What a log must hold, kept in plain vectors, and random work for both.

use bytes::{Bytes, BytesMut};
use raft_core::{HardState, Index, NodeId, Term};
use raft_log::{Kind, Log, PeerBoot, RecoveredLog, Write, encode_entry};

use super::Random;

/// The log as a vector.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    pub entries: Vec<(Term, Kind, Vec<u8>)>,
    pub hard_state: HardState,
    pub commit: u64,
    pub peers: Vec<PeerBoot>,
}

impl Model {
    pub fn last(&self) -> u64 {
        self.entries.len() as u64
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
            self.entries.truncate(usize::try_from(keep).unwrap());
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
                entries.truncate(usize::try_from(from.0 - 1).unwrap());
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
        let memberships: Vec<(Index, Vec<u8>)> = (1..)
            .zip(&self.entries)
            .filter(|(_, (_, kind, _))| *kind == Kind::MEMBERSHIP)
            .map(|(index, (_, _, payload))| (Index(index), payload.clone()))
            .collect();
        let found: Vec<(Index, Vec<u8>)> =
            recovered.memberships.iter().map(|(i, p)| (*i, p.to_vec())).collect();
        assert_eq!(found, memberships);
        let mut runs: Vec<(Index, Term)> = Vec::new();
        for (index, (term, _, _)) in (1..).zip(&self.entries) {
            if runs.last().is_none_or(|(_, last)| last != term) {
                runs.push((Index(index), *term));
            }
        }
        assert_eq!(recovered.term_runs, runs);
        assert!(recovered.commit_hint.0 <= self.commit, "a commit hint beyond the commit");
    }

    /// What the reader reads must be this.
    pub fn check_read(&self, log: &Log) {
        let entries = super::read_all(log, Index(self.last()));
        let found: Vec<_> = entries.iter().map(|e| (e.term, e.kind, e.payload.to_vec())).collect();
        assert_eq!(found, self.entries);
        assert!(log.reader.read(Index(self.last() + 1), Index(u64::MAX), 1).is_err());
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
