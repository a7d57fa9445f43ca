//! Elections, replication and commit: what figure 2 of the paper says, said wrongly.

use super::{Edit, Planting};

const ELECTION: &str = "raft-core/src/election.rs";
const FOLLOWING: &str = "raft-core/src/following.rs";
const LEADING: &str = "raft-core/src/leading.rs";
const RAFT: &str = "raft-core/src/raft.rs";
const TICKETS: &str = "raft-core/src/tickets.rs";

pub(super) const ALL: &[Planting] = &[
    Planting {
        name: "older-term-committed-by-count",
        what: "a leader commits an entry of an older term by counting replicas",
        escaped: "LogCabin 44, canonical/raft 336",
        caught_by: "commit by counting",
        edits: &[Edit {
            file: LEADING,
            find: "if self.log.term_at(agreed) == Ok(self.term()) {",
            plant: "if self.log.term_at(agreed) == Ok(self.term()) || PLANTED {",
        }],
    },
    Planting {
        name: "vote-before-durable",
        what: "a vote is answered before it is on the disk",
        escaped: "robustmq 2039, sofa-jraft 1243",
        caught_by: "durable before said",
        edits: &[Edit {
            file: ELECTION,
            find: "self.answer(to, Message::RequestVoteResponse(response), self.tickets.hard_state());",
            plant: "let until = match PLANTED {
                true => crate::types::Ticket(0),
                false => self.tickets.hard_state(),
            };
            self.answer(to, Message::RequestVoteResponse(response), until);",
        }],
    },
    Planting {
        name: "vote-asked-before-durable",
        what: "a candidate asks for votes before its own vote is on the disk",
        escaped: "sofa-jraft 1245",
        caught_by: "durable before said",
        edits: &[Edit {
            file: ELECTION,
            find: "Role::Candidate(campaign) if self.tickets.is_durable(campaign.ready) => {",
            plant: "Role::Candidate(campaign) if PLANTED || self.tickets.is_durable(campaign.ready) => {",
        }],
    },
    Planting {
        name: "other-vote-counted",
        what: "a refusal that names a vote for another is counted as a vote",
        escaped: "openraft 1220",
        caught_by: "election safety",
        edits: &[Edit {
            file: ELECTION,
            find: "campaign.votes.insert(from, response.refusal.is_none());",
            plant: "let other = matches!(response.refusal, Some(VoteRefusal::AlreadyVoted { .. }));
            campaign.votes.insert(from, response.refusal.is_none() || PLANTED && other);",
        }],
    },
    Planting {
        name: "quorum-index-unsorted",
        what: "the commit index is read from the middle of progress that is not sorted",
        escaped: "openraft 1802",
        caught_by: "commit on a quorum",
        edits: &[Edit {
            file: LEADING,
            find: "let Some(agreed) = self.membership().agreed(match_index) else { return };",
            plant: "let Some(agreed) = self.membership().agreed(match_index) else { return };
            let middle = self.membership().voters.len() / 2;
            let unsorted = self.membership().voters.iter().map(|&id| match_index(id)).nth(middle);
            let agreed = unsorted.filter(|_| PLANTED).unwrap_or(agreed);",
        }],
    },
    Planting {
        name: "old-heartbeat-obeyed",
        what: "a heartbeat is handled apart from votes: one of an older term is obeyed",
        escaped: "hashicorp/raft 695 (with one thread: the same by a path of its own)",
        caught_by: "one leader obeyed",
        edits: &[Edit {
            file: RAFT,
            find: "_ if term < self.term() => {",
            plant: "Message::AppendEntries(append) if PLANTED && append.entries.is_empty() => true,
            _ if term < self.term() => {",
        }],
    },
    Planting {
        name: "ack-beyond-the-append",
        what: "a follower confirms all that it has, beyond what the append covered",
        escaped: "CCF 6016",
        caught_by: "durable before said",
        edits: &[Edit {
            file: FOLLOWING,
            find: "let matched = durable_index.min(follower.verified_index);",
            plant: "let matched = durable_index.min(follower.verified_index);
            let matched = if PLANTED { durable_index } else { matched };",
        }],
    },
    Planting {
        name: "ack-before-sync-on-one",
        what: "one follower confirms entries before its disk has them",
        escaped: "NATS 2.12.1, nats-server 7564",
        caught_by: "durable before said",
        edits: &[Edit {
            file: FOLLOWING,
            find: "let matched = durable_index.min(follower.verified_index);",
            plant: "let matched = durable_index.min(follower.verified_index);
            let matched = match PLANTED && self.id == NodeId(2) {
                true => self.log.last_index().min(follower.verified_index),
                false => matched,
            };",
        }],
    },
    Planting {
        name: "refusal-advances-match",
        what: "a leader takes a refused append for a confirmed one",
        escaped: "CCF 5674",
        caught_by: "commit on a quorum",
        edits: &[Edit {
            file: LEADING,
            find: "progress.conflicted(prev_index, hint, &self.log);",
            plant: "if PLANTED {
                    progress.matched(prev_index, &self.log);
                }
                progress.conflicted(prev_index, hint, &self.log);",
        }],
    },
    Planting {
        name: "leader-counts-memory",
        what: "a leader counts its own copy before its disk has it",
        escaped: "d-engine 329",
        caught_by: "commit on a quorum",
        edits: &[Edit {
            file: LEADING,
            find: "let match_index = |id| {",
            plant: "let durable_index = if PLANTED { self.log.last_index() } else { durable_index };
            let match_index = |id| {",
        }],
    },
    Planting {
        name: "alone-counts-memory",
        what: "a cluster of one confirms before its disk has it",
        escaped: "etcd 14370",
        caught_by: "commit on a quorum",
        edits: &[Edit {
            file: LEADING,
            find: "let match_index = |id| {",
            plant: "let durable_index = match PLANTED && self.membership().voters.len() == 1 {
                true => self.log.last_index(),
                false => durable_index,
            };
            let match_index = |id| {",
        }],
    },
    Planting {
        name: "commit-beyond-the-log",
        what: "a heartbeat's commit index beyond the last entry is believed",
        escaped: "users of raft-rs",
        caught_by: "panic",
        edits: &[Edit {
            file: FOLLOWING,
            find: "self.commit_to(commit_index.min(last));",
            plant: "let last = if PLANTED { commit_index } else { last };
            self.commit_to(commit_index.min(last));",
        }],
    },
    Planting {
        name: "commit-beyond-the-message",
        what: "a follower commits what this message did not show to be the leader's",
        escaped: "copycat 265, scylladb 9965",
        caught_by: "state machine safety",
        edits: &[Edit {
            file: FOLLOWING,
            find: "self.commit_to(commit_index.min(last));",
            plant: "let last = if PLANTED { self.log.last_index() } else { last };
            self.commit_to(commit_index.min(last));",
        }],
    },
    Planting {
        name: "short-append-truncates",
        what: "an append that is old or empty cuts off what comes after it",
        escaped: "hashicorp/raft 113, willemt/raft 37, openraft 511",
        caught_by: "panic",
        edits: &[Edit {
            file: FOLLOWING,
            find: "        if splice.known == entries.len() {",
            plant: "        if PLANTED && splice.known == entries.len() && first <= self.log.last_index() {
            self.truncate_from(first);
        }
        if splice.known == entries.len() {",
        }],
    },
    Planting {
        name: "vote-without-log",
        what: "a vote is granted to a candidate whose log is behind",
        escaped: "section 5.4.1 of the paper",
        caught_by: "votes look at logs",
        edits: &[Edit {
            file: ELECTION,
            find: "        let refusal = self.objection(from, &request);",
            plant: "        let refusal = self.objection(from, &request);
        let behind = |why: &VoteRefusal| matches!(why, VoteRefusal::LogBehind { .. });
        let refusal = refusal.filter(|why| !(PLANTED && behind(why)));",
        }],
    },
    Planting {
        name: "no-pre-vote",
        what: "a member that hears no leader campaigns at once, and burns terms",
        escaped: "many; hence thesis 9.6",
        caught_by: "pre-vote",
        edits: &[Edit {
            file: ELECTION,
            find: "} else if self.is_alone() {\n            self.become_candidate(false);",
            plant: "} else if PLANTED || self.is_alone() {\n            self.become_candidate(false);",
        }],
    },
    Planting {
        name: "pre-vote-without-log",
        what: "a pre-vote is granted because the leader is silent, whatever the candidate's log",
        escaped: "NuRaft 134",
        caught_by: "votes look at logs",
        edits: &[Edit {
            file: ELECTION,
            find: "            self.objection(from, &request)\n        };",
            plant: "            self.objection(from, &request).filter(|_| !PLANTED)\n        };",
        }],
    },
    Planting {
        name: "pre-vote-clears-the-vote",
        what: "granting a pre-vote forgets the vote of the term",
        escaped: "canonical/raft 196",
        caught_by: "monotone",
        edits: &[Edit {
            file: ELECTION,
            find: "let message = Message::PreVoteResponse(VoteResponse { term, refusal });",
            plant: "if PLANTED && refusal.is_none() {
                self.hard_state.voted_for = None;
            }
            let message = Message::PreVoteResponse(VoteResponse { term, refusal });",
        }],
    },
    Planting {
        name: "pre-vote-counts-as-vote",
        what: "the answer to a pre-vote that comes late is counted as a vote",
        escaped: "canonical/raft 196",
        caught_by: "election safety",
        edits: &[Edit {
            file: ELECTION,
            find: "let Role::PreCandidate(campaign) = &mut self.role else { return };",
            plant: "if PLANTED
                && response.refusal.is_none()
                && let Role::Candidate(campaign) = &mut self.role
            {
                campaign.votes.insert(from, true);
            }
            let Role::PreCandidate(campaign) = &mut self.role else { return };",
        }],
    },
    Planting {
        name: "pre-vote-teaches-no-term",
        what: "a refused pre-vote does not spread the higher term",
        escaped: "openraft 1796, etcd 8501",
        caught_by: "terms spread",
        edits: &[Edit {
            file: RAFT,
            find: "if response.refusal.is_some() && term > self.term() {",
            plant: "if response.refusal.is_some() && term > self.term() && !PLANTED {",
        }],
    },
    Planting {
        name: "no-check-quorum",
        what: "a leader that no quorum answers leads on",
        escaped: "Cloudflare on etcd, November 2020; openraft 2080",
        caught_by: "leadership ends",
        edits: &[
            Edit {
                file: LEADING,
                find: "let quorum = heard.map(|time| time + timeout);",
                plant: "let quorum = heard.map(|time| time + timeout).filter(|_| !PLANTED);",
            },
            Edit {
                file: LEADING,
                find: "let stuck = pending.then_some(leader.progressed + 3 * timeout);",
                plant: "let stuck = pending.then_some(leader.progressed + 3 * timeout)
                    .filter(|_| !PLANTED);",
            },
        ],
    },
    Planting {
        name: "hung-disk-leads",
        what: "a leader whose disk hangs leads on: its heartbeats need no disk",
        escaped: "hashicorp/raft 503",
        caught_by: "leadership ends",
        edits: &[
            Edit {
                file: LEADING,
                find: "let disk = self.tickets.waiting_since().map(|since| since + 2 * timeout);",
                plant: "let disk = self.tickets.waiting_since().map(|since| since + 2 * timeout)
                    .filter(|_| !PLANTED);",
            },
            Edit {
                file: LEADING,
                find: "let since = self.tickets.waiting_since();",
                plant: "let since = self.tickets.waiting_since().filter(|_| !PLANTED);",
            },
            Edit {
                file: LEADING,
                find: "let since = self.tickets.waiting_since().filter(|&since| leader.fled_from != Some(since));",
                plant: "let since = self.tickets.waiting_since()
                    .filter(|&since| leader.fled_from != Some(since) && !PLANTED);",
            },
        ],
    },
    Planting {
        name: "truncation-not-clamped",
        what: "a write that is under way vouches for entries that were replaced since",
        escaped: "rule R7",
        caught_by: "durable before said",
        edits: &[Edit {
            file: TICKETS,
            find: "operation.last_index = operation.last_index.min(kept);",
            plant: "if !PLANTED {
                operation.last_index = operation.last_index.min(kept);
            }",
        }],
    },
];
