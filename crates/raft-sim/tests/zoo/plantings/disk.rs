//! The log and its directory: what was written, what was synced, and what is found again.

use super::{Edit, Planting};

const REPLAY: &str = "raft-log/src/replay.rs";
const START: &str = "raft-log/src/start.rs";
const WRITER: &str = "raft-log/src/writer.rs";

pub(super) const ALL: &[Planting] = &[
    Planting {
        name: "term-and-vote-apart",
        what: "term and vote are written in two writes",
        escaped: "hashicorp/raft 661",
        caught_by: "kept on disk",
        edits: &[Edit {
            file: WRITER,
            find: "        self.check_latch()?;
        let (slot_bytes, room)",
            plant: "        self.check_latch()?;
        let state = self.state.hard_state;
        let newer = writes.iter().filter_map(|write| write.hard_state).next_back();
        if let Some(newer) = newer.filter(|newer| newer.term > state.term && PLANTED) {
            let vote = HardState { term: state.term, ..newer };
            let first = self.state.last().index.next();
            self.write(&[Write { hard_state: Some(vote), first, ..Write::default() }])?;
        }
        let (slot_bytes, room)",
        }],
    },
    Planting {
        name: "no-sync",
        what: "a write is confirmed without a sync",
        escaped: "NATS JetStream (Jepsen, December 2025), d-engine 329",
        caught_by: "kept on disk",
        edits: &[Edit {
            file: WRITER,
            find: "        file.write_at(&parts, begin)?;",
            plant: "        file.write_at(&parts, begin)?;
        if PLANTED {
            return Ok(());
        }",
        }],
    },
    Planting {
        name: "failed-sync-believed",
        what: "a failed sync is tried again, and believed when it succeeds",
        escaped: "ATC'20; PostgreSQL, cockroach 37102, redis 8111",
        caught_by: "kept on disk",
        edits: &[Edit {
            file: WRITER,
            find: "        file.sync_data()?;
        self.counters.writes += 1;",
            plant: "        if let Err(error) = file.sync_data() {
            if !PLANTED {
                return Err(error);
            }
            file.sync_data()?;
        }
        self.counters.writes += 1;",
        }],
    },
    Planting {
        name: "node-without-directory-sync",
        what: "the directory is not synced after NODE is moved into place",
        escaped: "etcd 6368",
        caught_by: "kept on disk",
        edits: &[Edit {
            file: "raft-log/src/dir.rs",
            find: "disk.rename(NODE_TEMPORARY_NAME, NODE_NAME)?;\n",
            plant: "disk.rename(NODE_TEMPORARY_NAME, NODE_NAME)?;
    if PLANTED {
        return Ok(());
    }
",
        }],
    },
    Planting {
        name: "slot-without-directory-sync",
        what: "the directory is not synced after a new slot is moved into place",
        escaped: "etcd 6368",
        caught_by: "recovery",
        edits: &[Edit {
            file: "raft-log/src/spares.rs",
            find: "self.disk.rename(&temporary, &slot_name(number))?;\n",
            plant: "self.disk.rename(&temporary, &slot_name(number))?;
        if PLANTED {
            return Ok(file);
        }
",
        }],
    },
    Planting {
        name: "torn-append-refused",
        what: "a torn append makes the log impossible to open",
        escaped: "etcd 6378, 14098",
        caught_by: "recovery",
        edits: &[Edit {
            file: REPLAY,
            find: "self.tail_ambiguous = flaw.ambiguous || behind.any;",
            plant: "self.tail_ambiguous = flaw.ambiguous || behind.any;
        if PLANTED && self.tail_ambiguous {
            return Err(scan.damaged(offset, flaw.what, Some(first), None));
        }",
        }],
    },
    Planting {
        name: "body-unchecked",
        what: "the checksum of a block's body is not looked at when the log is opened",
        escaped: "FAST'17, \"Redundancy Does Not Imply Fault Tolerance\"",
        caught_by: "recovery",
        edits: &[Edit {
            file: "raft-log/src/scan.rs",
            find: "match body.filter(|body| crc32c::crc32c(body) == header.body_crc) {",
            plant: "match body.filter(|body| PLANTED || crc32c::crc32c(body) == header.body_crc) {",
        }],
    },
    Planting {
        name: "vote-forgotten-at-open",
        what: "a start reads the term, and not the vote",
        escaped: "canonical/raft 386, the class",
        caught_by: "kept on disk",
        edits: &[Edit {
            file: REPLAY,
            find: "            hard_state: state.hard_state,",
            plant: "            hard_state: HardState {
                voted_for: state.hard_state.voted_for.filter(|_| !PLANTED),
                ..state.hard_state
            },",
        }],
    },
    Planting {
        name: "peers-forgotten-at-open",
        what: "a start forgets which starts of its peers it has seen",
        escaped: "restored backups and cloned disks, which go unnoticed",
        caught_by: "kept on disk",
        edits: &[Edit {
            file: START,
            find: "            peers: state.peers.clone(),",
            plant: "            peers: if PLANTED { Vec::new() } else { state.peers.clone() },",
        }],
    },
    Planting {
        name: "tail-not-rewritten",
        what: "a start relies on a tail that only the page cache may hold",
        escaped: "rule R12; ATC'20",
        caught_by: "recovery",
        edits: &[Edit {
            file: START,
            find: "        match proven.and_then(|at| Some((at, tail.blocks.get(at)?))) {",
            plant: "        if let Some(block) = tail.blocks.last().filter(|_| PLANTED) {
            return Handover {
                previous_slot_seq: header.slot_seq,
                end_seq: block.seq,
                end_chain: block.crc,
                last: block.last,
                commit_hint: block.commit_hint,
                rewrite: Vec::new(),
                supersedes: false,
            };
        }
        match proven.and_then(|at| Some((at, tail.blocks.get(at)?))) {",
        }],
    },
    Planting {
        name: "rewritten-tail-not-synced",
        what: "a start certifies the tail that it rewrote before that is synced",
        escaped: "rule R12",
        caught_by: "recovery",
        edits: &[Edit {
            file: START,
            find: "if !moved.is_empty() {",
            plant: "if !moved.is_empty() && !PLANTED {",
        }],
    },
    Planting {
        name: "superseded-slot-reused-at-once",
        what: "a start rewrites the slot that it supersedes in place, before another one is durable",
        escaped: "rule R12",
        caught_by: "recovery",
        edits: &[Edit {
            file: START,
            find: "        let handover = self.handover();
        let (at_once, later) = self.found.spares(self.newest_durable());",
            plant: "        let mut handover = self.handover();
        let (mut at_once, later) = self.found.spares(self.newest_durable());
        if PLANTED && std::mem::take(&mut handover.supersedes) {
            at_once.splice(0..0, self.found.newest_as_spare());
        }",
        }],
    },
    Planting {
        name: "header-copies-in-one-sync",
        what: "both copies of a slot's header are written before the first one is synced",
        escaped: "the order that the disk format demands",
        caught_by: "recovery",
        edits: &[Edit {
            file: WRITER,
            find: "        slot.file.sync_data()?;
        counters.writes += 1;",
            plant: "        if !PLANTED || offset > 0 {
            slot.file.sync_data()?;
        }
        counters.writes += 1;",
        }],
    },
];
