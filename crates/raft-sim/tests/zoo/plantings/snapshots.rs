//! Snapshots in place of log: taken, sent, installed, and what may go then.

use super::{Edit, Planting};

const CORE: &str = "raft-core/src/snapshots.rs";
const LANES: &str = "raft-node/src/resident/member/lanes.rs";
const MACHINE: &str = "raft-node/src/replica/machine.rs";
const RECEIVER: &str = "raft-log/src/snapshot/receiver.rs";
const REPLICA: &str = "raft-node/src/replica/snapshots.rs";

pub(super) const ALL: &[Planting] = &[
    Planting {
        name: "snapshot-above-the-disk",
        what: "a snapshot holds what is applied and not durable in the log yet",
        escaped: "etcd 13766, the class: applied and durable fall apart",
        caught_by: "snapshot in place of log",
        edits: &[Edit {
            file: REPLICA,
            find: "self.snapshots.holds = is_due && self.raft.durable_index() < applied;",
            plant: "self.snapshots.holds = is_due && !PLANTED && self.raft.durable_index() < applied;",
        }],
    },
    Planting {
        name: "compacted-before-the-snapshot",
        what: "the log goes as soon as its snapshot is begun",
        escaped: "rule R9; log garbage collection before a snapshot is durable",
        caught_by: "snapshot in place of log",
        edits: &[Edit {
            file: REPLICA,
            find: "        fx.push(Effect::WriteSnapshot(Box::new(frozen)));",
            plant: "        fx.push(Effect::WriteSnapshot(Box::new(frozen)));
        if PLANTED {
            self.snapshots.newest = at;
            self.compact(fx);
        }",
        }],
    },
    Planting {
        name: "reset-before-the-snapshot",
        what: "a log is reset to a snapshot whose name is not durable",
        escaped: "etcd 6368, a rename without its directory",
        caught_by: "snapshot in place of log",
        edits: &[Edit {
            file: RECEIVER,
            find: "        self.store.rename(&self.temporary, &file_name(info.id))?;
        self.store.sync_names()?;",
            plant: "        self.store.rename(&self.temporary, &file_name(info.id))?;
        if !PLANTED {
            self.store.sync_names()?;
        }",
        }],
    },
    Planting {
        name: "installed-before-durable",
        what: "an install is confirmed before the log's new beginning is durable",
        escaped: "rule R9; NATS 2.12.1, the class",
        caught_by: "durable before said",
        edits: &[Edit {
            file: REPLICA,
            find: "        if kept {
            fx.extend(self.installed(from, at));",
            plant: "        if kept || PLANTED {
            fx.extend(self.installed(from, at));",
        }],
    },
    Planting {
        name: "sessions-left-out",
        what: "the session table is not in the snapshot",
        escaped: "section 6.3 of the thesis",
        caught_by: "snapshots agree",
        edits: &[Edit {
            file: MACHINE,
            find: "            sessions: Some(self.sessions.image()),",
            plant: "            sessions: (!PLANTED).then(|| self.sessions.image()),",
        }],
    },
    Planting {
        name: "membership-left-out",
        what: "a snapshot has the configuration that was settled last, and not the one in force",
        escaped: "scylladb 9551, the class",
        caught_by: "snapshots agree",
        edits: &[Edit {
            file: MACHINE,
            find: "            membership: encode_membership(&self.is.membership),",
            plant: "            membership: encode_membership(if PLANTED {
                &self.settled.1
            } else {
                &self.is.membership
            }),",
        }],
    },
    Planting {
        name: "install-keeps-the-old-members",
        what: "the configuration in force stays what it was before an install",
        escaped: "openraft 1808; scylladb 9551",
        caught_by: "configuration in force",
        edits: &[Edit {
            file: CORE,
            find: "        if self.history.install(",
            plant: "        if !PLANTED && self.history.install(",
        }],
    },
    Planting {
        name: "install-goes-back",
        what: "a snapshot is installed that is older than what is committed",
        escaped: "figure 13 of the paper",
        caught_by: "monotone",
        edits: &[
            Edit {
                file: CORE,
                find: "        if at.index <= self.commit_index {",
                plant: "        if !PLANTED && at.index <= self.commit_index {",
            },
            Edit {
                file: LANES,
                find: "        } else if info.id.index <= raft.commit_index() {",
                plant: "        } else if !PLANTED && info.id.index <= raft.commit_index() {",
            },
        ],
    },
    Planting {
        name: "applied-at-the-start-unnoticed",
        what: "what is applied right after a start does not count, and its log is compacted",
        escaped: "found by the simulator in this project",
        caught_by: "panic",
        edits: &[Edit {
            file: "raft-core/src/raft.rs",
            find: "                self.advance_apply();
                self.applied_index",
            plant: "                if !PLANTED {
                    self.advance_apply();
                }
                self.applied_index",
        }],
    },
    Planting {
        name: "wants-of-another-snapshot",
        what: "a leader is told what was wanted of the snapshot of the leader before it",
        escaped: "found by the simulator in this project",
        caught_by: "liveness",
        edits: &[Edit {
            file: LANES,
            find: "incoming.filter(|incoming| incoming.info == of)",
            plant: "incoming.filter(|incoming| PLANTED || incoming.info == of)",
        }],
    },
    Planting {
        name: "late-piece-is-nonsense",
        what: "whoever sends a piece of a snapshot that was just answered is cut off",
        escaped: "found by the simulator in this project",
        caught_by: "conversation",
        edits: &[Edit {
            file: LANES,
            find:
                "            // On its way when this snapshot was answered, or another one offered.
            return Ok(());",
            plant:
                "            // On its way when this snapshot was answered, or another one offered.
            return if PLANTED { Err(\"not wanted\".into()) } else { Ok(()) };",
        }],
    },
];
