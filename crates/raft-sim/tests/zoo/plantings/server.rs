//! What a server adds to consensus: merged writes, bytes, sessions, answers, lines; and its
//! client.

use super::{Edit, Planting};

const BUFFER: &str = "raft-log/src/buffer.rs";
const CLIENTS: &str = "raft-node/src/replica/clients.rs";
const PERSIST: &str = "raft-node/src/replica/persist.rs";
const REPLICA: &str = "raft-node/src/replica/mod.rs";

pub(super) const ALL: &[Planting] = &[
    Planting {
        name: "disk-not-awaited",
        what: "a server takes a write for durable when it hands it to its disk",
        escaped: "rule R1; robustmq 2039",
        caught_by: "durable before said",
        edits: &[Edit {
            file: REPLICA,
            find: "        self.persist(fx);
        self.buffer",
            plant: "        self.persist(fx);
        let newest = fx.iter().rev().find_map(|effect| match effect {
            Effect::Write { ticket, .. } => Some(*ticket),
            _ => None,
        });
        if let Some(ticket) = newest.filter(|_| PLANTED) {
            self.core(now, Input::Persisted(ticket), &Context::default(), fx);
            self.persist(fx);
        }
        self.buffer",
        }],
    },
    Planting {
        name: "cut-lost-in-merging",
        what: "several writes are merged into one, and the truncation is lost",
        escaped: "of this project's own making",
        caught_by: "log seam",
        edits: &[Edit {
            file: PERSIST,
            find: "let truncate_from = first.filter(|first| reset.is_none() && *first <= *handed);",
            plant: "let truncate_from =
            first.filter(|first| reset.is_none() && *first <= *handed && !PLANTED);",
        }],
    },
    Planting {
        name: "first-lost-in-merging",
        what: "several writes are merged into one that begins where the last of them does",
        escaped: "of this project's own making",
        caught_by: "log seam",
        edits: &[Edit {
            file: PERSIST,
            find: "self.first = Some(self.first.map_or(index, |first| first.min(index)));",
            plant: "self.first = Some(self.first.map_or(index, |first| first.min(index)));
            if PLANTED {
                self.first = Some(index);
            }",
        }],
    },
    Planting {
        name: "buffer-survives-a-deep-cut",
        what: "entries are replaced below all that is in memory, and the memory does not follow",
        escaped: "found by the simulator in this project",
        caught_by: "panic",
        edits: &[Edit {
            file: BUFFER,
            find: "self.first = self.first.min(from);",
            plant: "self.first = if PLANTED { self.first } else { self.first.min(from) };",
        }],
    },
    Planting {
        name: "answered-before-commit",
        what: "a client is answered when its entry is in the leader's log",
        escaped: "section 5.3 of the paper",
        caught_by: "acknowledged is applied",
        edits: &[
            Edit {
                file: CLIENTS,
                find: "pub(super) fn proposed(&mut self, first: LogId, count: u64, buffer: &mut LogBuffer) {",
                plant: "pub(super) fn proposed(
        &mut self,
        first: LogId,
        count: u64,
        buffer: &mut LogBuffer,
        fx: &mut Vec<Effect>,
    ) {",
            },
            Edit {
                file: CLIENTS,
                find: "            let bytes = queued.size() as u64;
            self.pending",
                plant: "            let bytes = queued.size() as u64;
            if PLANTED && queued.kind == Kind::COMMAND {
                let at = LogId { term: first.term, index };
                fx.push(reply(queued.origin, Answer::Written { at, response: Bytes::new() }));
            }
            self.pending",
            },
            Edit {
                file: REPLICA,
                find: "self.clients.proposed(first, count, &mut self.buffer)",
                plant: "self.clients.proposed(first, count, &mut self.buffer, fx)",
            },
        ],
    },
    Planting {
        name: "answered-by-index-alone",
        what: "whoever waits for an index is answered when any entry is applied there",
        escaped: "dqlite 577, the class: a write still pends when leadership ends",
        caught_by: "linearizability",
        edits: &[
            Edit {
                file: CLIENTS,
                find: "Some(answer) if waiting.index == index && waiting.term == term => {",
                plant: "Some(answer) if waiting.index == index && (PLANTED || waiting.term == term) => {",
            },
            Edit {
                file: CLIENTS,
                find: "        for pending in self.pending.drain(..) {",
                plant: "        let kept = if PLANTED { self.pending.len() } else { 0 };
        for pending in self.pending.drain(kept..) {",
            },
        ],
    },
    Planting {
        name: "retry-applied-again",
        what: "a retry after a failover is applied a second time",
        escaped: "Redpanda 3039; FoundationDB's unknown result",
        caught_by: "exactly once",
        edits: &[Edit {
            file: "raft-node/src/sessions.rs",
            find: "            Some((at, response)) => Admission::Duplicate",
            plant: "            Some(_) if PLANTED => Admission::Fresh,
            Some((at, response)) => Admission::Duplicate",
        }],
    },
    Planting {
        name: "fate-without-a-fence",
        what: "a leader calls a request never applied because it is not applied yet",
        escaped: "of this project's own making",
        caught_by: "certainly not applied",
        edits: &[Edit {
            file: CLIENTS,
            find: "        // Anything else is true only from an entry on.
",
            plant: "        if PLANTED {
            let at = self.raft.last_log_id();
            fx.push(reply(origin, Answer::Fate(Fate::Withdrawn { at })));
            return;
        }
",
        }],
    },
    Planting {
        name: "lost-leadership-says-not-applied",
        what: "what was in flight when leadership was lost is called certainly not applied",
        escaped: "Redpanda 3036, aborted reads",
        caught_by: "certainly not applied",
        edits: &[Edit {
            file: CLIENTS,
            find: "            self.pending_bytes -= pending.bytes;
            fx.push(refuse(pending.origin, Outcome::Unknown, Reason::LeaderLost));",
            plant: "            self.pending_bytes -= pending.bytes;
            let outcome = if PLANTED { Outcome::NotApplied } else { Outcome::Unknown };
            fx.push(refuse(pending.origin, outcome, Reason::LeaderLost));",
        }],
    },
    Planting {
        name: "lost-forward-says-not-applied",
        what: "what was forwarded to a leader that was lost is called certainly not applied",
        escaped: "Redpanda 3036, aborted reads",
        caught_by: "certainly not applied",
        edits: &[Edit {
            file: CLIENTS,
            find: "                refuse(forwarded.origin, Outcome::Unknown, Reason::LeaderLost)",
            plant: "                let outcome = if PLANTED { Outcome::NotApplied } else { Outcome::Unknown };
                refuse(forwarded.origin, outcome, Reason::LeaderLost)",
        }],
    },
    Planting {
        name: "retry-under-a-new-number",
        what: "a client repeats a request under a new number",
        escaped: "Redpanda 3039, by the client",
        caught_by: "exactly once",
        edits: &[Edit {
            file: "raft-node/src/client_core.rs",
            find: "            if op.may_repeat() {
                self.ready.push_back(id);",
            plant: "            if PLANTED && matches!(op.op, Op::Write(_)) {
                self.free_slot(id);
                self.fresh.push_back(id);
            } else if op.may_repeat() {
                self.ready.push_back(id);",
        }],
    },
    Planting {
        name: "shown-mark-ignored",
        what: "a server shows lines again after a restart",
        escaped: "of this project's own making",
        caught_by: "shown once",
        edits: &[Edit {
            file: "raft-node/src/replica/apply.rs",
            find: "if !lines.is_empty() && index > self.machine.shown() {",
            plant: "if !lines.is_empty() && (PLANTED || index > self.machine.shown()) {",
        }],
    },
];
