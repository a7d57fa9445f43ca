//! Members that come and go: what chapter 4 of the thesis says, said wrongly.

use super::{Edit, Planting};

const CHANGE: &str = "raft-core/src/change.rs";
const ELECTION: &str = "raft-core/src/election.rs";
const FOLLOWING: &str = "raft-core/src/following.rs";
const LEADING: &str = "raft-core/src/leading.rs";
const PROGRESS: &str = "raft-core/src/progress.rs";
const QUORUM: &str = "raft-core/src/quorum.rs";

pub(super) const ALL: &[Planting] = &[
    Planting {
        name: "young-leader-changes",
        what: "a leader changes the membership before an entry of its own term is committed",
        escaped: "raft-dev, July 2015; braft 182, canonical/raft 336, hydro 3192",
        caught_by: "one change at a time",
        edits: &[Edit {
            file: CHANGE,
            find: "if self.commit_index < leader.term_start {",
            plant: "if self.commit_index < leader.term_start && !PLANTED {",
        }],
    },
    Planting {
        name: "joint-left-too-early",
        what: "the joint configuration is left before it is committed",
        escaped: "etcd-io/raft, the class of bd3c759",
        caught_by: "one change at a time",
        edits: &[Edit {
            file: CHANGE,
            find: "self.history.current_index() <= self.commit_index\n            && self.commit_index",
            plant: "(PLANTED || self.history.current_index() <= self.commit_index)
            && self.commit_index",
        }],
    },
    Planting {
        name: "joint-new-half-decides",
        what: "in a joint configuration the new half alone decides",
        escaped: "thesis 4.3",
        caught_by: "commit on a quorum",
        edits: &[Edit {
            file: QUORUM,
            find: "            Some(old) => Some(new.min(",
            plant: "            Some(_) if PLANTED => Some(new),
            Some(old) => Some(new.min(",
        }],
    },
    Planting {
        name: "learner-counted",
        what: "a learner is counted as if it voted",
        escaped: "etcd 21694, the class",
        caught_by: "commit on a quorum",
        edits: &[Edit {
            file: QUORUM,
            find: "        let new = majority_reached(&self.voters, &value_of)?;",
            plant:
                "        let everyone: BTreeSet<NodeId> = self.members.keys().copied().collect();
        let voters = if PLANTED { &everyone } else { &self.voters };
        let new = majority_reached(voters, &value_of)?;",
        }],
    },
    Planting {
        name: "configuration-not-rolled-back",
        what: "a configuration whose entry was replaced goes on being obeyed",
        escaped: "openraft 1808, by truncation",
        caught_by: "configuration in force",
        edits: &[Edit {
            file: FOLLOWING,
            find: "if self.history.truncate_from(from) {",
            plant: "if !PLANTED && self.history.truncate_from(from) {",
        }],
    },
    Planting {
        name: "newcomer-inherits-progress",
        what: "a server added again is believed to hold what it confirmed before its removal",
        escaped: "raft-rs 571, the rejoin bug of nine libraries",
        caught_by: "liveness",
        edits: &[
            Edit {
                file: LEADING,
                find: "leader.progress.entry(id).or_insert_with(|| Progress::new(next_index));",
                plant: "leader.progress.entry(id).or_insert_with(|| {
                let mut progress = Progress::new(next_index);
                if PLANTED {
                    progress.match_index = next_index.previous();
                    progress.confirmed = progress.match_index;
                }
                progress
            });",
            },
            Edit {
                file: PROGRESS,
                find: "        self.match_index = Index(0);\n",
                plant: "        if !PLANTED {
            self.match_index = Index(0);
        }
",
            },
        ],
    },
    Planting {
        name: "newcomer-fed-at-once",
        what: "a newcomer is fed before the entry that adds it is committed",
        escaped: "found by a golden script of this project",
        caught_by: "fed when committed",
        edits: &[Edit {
            file: LEADING,
            find: "let fed = |peer| membership.added_at(peer) <= commit_index && reaches(links, peer);",
            plant: "let fed = |peer| {
                (PLANTED || membership.added_at(peer) <= commit_index) && reaches(links, peer)
            };",
        }],
    },
    Planting {
        name: "removed-leader-leads",
        what: "a member that was removed campaigns, wins and leads",
        escaped: "LogCabin 205",
        caught_by: "leadership ends",
        edits: &[
            Edit {
                file: ELECTION,
                find: "voter && !disk_hangs && self.removed.is_none()",
                plant: "(voter || PLANTED) && !disk_hangs && self.removed.is_none()",
            },
            Edit {
                file: CHANGE,
                find: "if self.is_leader() && committed && !self.membership().is_voter(self.id) {",
                plant: "if self.is_leader() && committed && !self.membership().is_voter(self.id) && !PLANTED {",
            },
            Edit {
                file: CHANGE,
                find: "if !present && at >= added_at",
                plant: "if !PLANTED && !present && at >= added_at",
            },
        ],
    },
    Planting {
        name: "older-configuration-removes",
        what: "a newcomer that reads a configuration from before its time takes it for its removal",
        escaped: "redisraft 70, the class of identity reuse",
        caught_by: "removal",
        edits: &[Edit {
            file: CHANGE,
            find: "at >= added_at",
            plant: "(PLANTED || at >= added_at)",
        }],
    },
];
