//! The leader's view of one peer. `next_index` is the only cursor: there is no queue of messages,
//! so whatever a blocked or broken connection did not take is derived again from here.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::config::Config;
use crate::log::Log;
use crate::membership::Membership;
use crate::message::{AppendEntries, Message};
use crate::output::Output;
use crate::types::{EntryMeta, Index, LogId, NodeId, Term, Time};

/// What the leader knows of a peer.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Progress {
    /// Known to be equal and durable there (paper, figure 2: matchIndex), by what it said on this
    /// connection: after a restart it may have lost the end of its log to its disk.
    pub(crate) match_index: Index,
    /// The furthest that it said so on any connection: where to begin again.
    pub(crate) confirmed: Index,
    /// The next entry to send (nextIndex), advanced when sending, not when acknowledged.
    pub(crate) next_index: Index,
    pub(crate) pace: Pace,
    pub(crate) pause: Option<Pause>,
    pub(crate) inflight: Inflight,
    /// When it last answered in this term.
    pub(crate) answered: Option<Time>,
    /// When anything was last sent to it.
    pub(crate) sent: Option<Time>,
    /// How far it was told that entries are committed, on this connection.
    pub(crate) commit_sent: Index,
    /// How far it says that it knows entries to be committed.
    pub(crate) commit_index: Index,
    /// The newest round of reads that was sent to it on this connection.
    pub(crate) round_sent: u64,
    /// The newest that it answered on this connection.
    pub(crate) round: u64,
    /// The furthest that its socket ever took: whole entries, and bytes of the next (rule R15).
    pub(crate) taken: (Index, u64),
    /// A snapshot is on its way to it. Unlike the rest, that outlives a broken connection.
    pub(crate) installing: bool,
    /// It is out of the configuration, and is fed until it knows.
    pub(crate) departing: Option<Departing>,
}

/// How boldly to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Pace {
    /// Where the logs agree is a guess: one message, then wait for its answer.
    Probe,
    /// The logs agree: as much as the window takes (thesis 10.2.2).
    Replicate,
    /// It lacks what is compacted: heartbeats only, until it has a snapshot or turns out to hold
    /// enough.
    Snapshot,
}

/// Why nothing more is sent for now; heartbeats go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Pause {
    /// A probe is out.
    Answer {
        /// The entry before those that it carried.
        prev: Index,
    },
    /// Entries from `first` on are being read from the log.
    Read {
        /// Which read.
        request: u64,
        /// Its first entry.
        first: Index,
    },
    /// The read failed: again at the next heartbeat.
    Retry,
}

/// A removed member's last provisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Departing {
    /// The configuration that it is not part of any more.
    pub(crate) at: Index,
    /// Not fed longer than this.
    pub(crate) until: Time,
}

/// What sending needs to see of the leader.
pub(crate) struct Feed<'a> {
    pub(crate) term: Term,
    pub(crate) commit_index: Index,
    pub(crate) log: &'a Log,
    pub(crate) membership: &'a Membership,
    pub(crate) config: &'a Config,
    pub(crate) now: Time,
    /// The newest round of reads.
    pub(crate) round: u64,
    pub(crate) reads: &'a mut u64,
    pub(crate) outputs: &'a mut Vec<Output>,
}

impl Progress {
    pub(crate) const fn new(next_index: Index) -> Self {
        Self {
            match_index: Index(0),
            confirmed: Index(0),
            next_index,
            pace: Pace::Probe,
            pause: None,
            inflight: Inflight { appends: VecDeque::new(), bytes: 0 },
            answered: None,
            sent: None,
            commit_sent: Index(0),
            commit_index: Index(0),
            round_sent: 0,
            round: 0,
            taken: (Index(0), 0),
            installing: false,
            departing: None,
        }
    }

    /// A connection came up or went down: what was under way is gone.
    pub(crate) fn reconnect(&mut self, term_start: Index) {
        let guess = self.next_index.min(term_start);
        let next = if self.confirmed > Index(0) { self.confirmed.next() } else { guess };
        self.match_index = Index(0);
        self.probe_from(next);
        self.commit_sent = Index(0);
        (self.round_sent, self.round) = (0, 0);
        self.sent = None;
    }

    fn probe_from(&mut self, next: Index) {
        self.next_index = next.max(self.match_index.next());
        self.pace = Pace::Probe;
        self.pause = None;
        self.inflight.clear();
    }

    /// The peer holds everything up to `index`. Says whether that is news.
    pub(crate) fn matched(&mut self, index: Index, log: &Log) -> bool {
        if self.pace == Pace::Snapshot && index >= log.start().index {
            self.pace = Pace::Replicate;
        }
        if self.pace == Pace::Probe {
            self.pace = Pace::Replicate;
            if matches!(self.pause, Some(Pause::Answer { .. })) {
                self.pause = None;
            }
        }
        self.inflight.acknowledge(index);
        self.next_index = self.next_index.max(index.next());
        let news = index > self.confirmed;
        self.match_index = self.match_index.max(index);
        self.confirmed = self.confirmed.max(index);
        news
    }

    /// The peer lacks the entry at `prev`, or has another one there. Refusals of what was sent
    /// before the last step back, and of what is known to match, are stale.
    pub(crate) fn conflicted(&mut self, prev: Index, hint: LogId, log: &Log) {
        let start = log.start().index;
        let latest = self.next_index.previous().max(start);
        let stale = match self.pause {
            Some(Pause::Answer { prev: asked }) => prev != asked && prev != latest,
            Some(Pause::Read { .. } | Pause::Retry) | None => prev > latest,
        };
        // Who needs a snapshot anyway has nothing to add.
        let probing = matches!(self.pause, Some(Pause::Answer { .. }));
        let told = self.next_index <= start && !probing;
        if stale || told || prev <= self.match_index {
            return;
        }
        let agreed = log.last_at_or_below(hint).index;
        self.probe_from(agreed.next().min(prev));
    }

    /// Sends what the peer lacks, as far as pace and window allow.
    pub(crate) fn feed(&mut self, peer: NodeId, feed: &mut Feed<'_>) {
        while self.pause.is_none() {
            if self.next_index <= feed.log.start().index {
                return self.wait_for_snapshot(peer, feed);
            }
            if self.next_index > feed.log.last_index() {
                if self.pace == Pace::Probe {
                    self.send(peer, Vec::new(), 0, feed);
                }
                return;
            }
            let Some(room) = self.inflight.room(feed.config) else { return };
            let bytes_max = room.min(feed.config.append_bytes_max);
            if self.next_index < feed.log.tail_start() {
                return self.read(peer, bytes_max, feed);
            }
            let (entries, bytes) = feed.log.entries(self.next_index, bytes_max);
            if bytes > room && !self.inflight.is_empty() {
                return;
            }
            self.send(peer, entries, bytes, feed);
        }
    }

    /// Sends `entries`, which follow `next_index - 1`; none of them is a heartbeat.
    pub(crate) fn send(
        &mut self,
        peer: NodeId,
        entries: Vec<EntryMeta>,
        bytes: u64,
        feed: &mut Feed<'_>,
    ) {
        // To one that lacks what is compacted a heartbeat speaks of where the log begins.
        let prev = self.next_index.previous().max(feed.log.start().index);
        let term = feed.log.term_at(prev).unwrap_or_default();
        let last = Index(prev.0 + entries.len() as u64);
        if !entries.is_empty() {
            self.inflight.push(last, bytes);
            self.next_index = last.next();
        }
        if self.pace == Pace::Probe && self.pause.is_none() {
            self.pause = Some(Pause::Answer { prev });
        }
        self.sent = Some(feed.now);
        self.round_sent = feed.round;
        self.commit_sent = self.commit_sent.max(feed.commit_index.min(last));
        feed.outputs.push(Output::Send {
            to: peer,
            message: Message::AppendEntries(AppendEntries {
                term: feed.term,
                prev_log_id: LogId { term, index: prev },
                entries,
                commit_index: feed.commit_index,
                round: feed.round,
            }),
        });
    }

    fn read(&mut self, peer: NodeId, bytes_max: u64, feed: &mut Feed<'_>) {
        *feed.reads += 1;
        let request = *feed.reads;
        self.pause = Some(Pause::Read { request, first: self.next_index });
        feed.outputs.push(Output::ReadLog {
            request,
            peer,
            first: self.next_index,
            last: feed.log.tail_start().previous(),
            bytes_max,
        });
    }

    fn wait_for_snapshot(&mut self, peer: NodeId, feed: &mut Feed<'_>) {
        self.pace = Pace::Snapshot;
        self.inflight.clear();
        if !core::mem::replace(&mut self.installing, true) {
            let (at_least, term) = (feed.log.start(), feed.term);
            feed.outputs.push(Output::SendSnapshot { peer, at_least, term });
        }
    }

    /// The peer has a snapshot up to `through`: whether its log goes on there is a guess.
    pub(crate) fn snapshot_sent(&mut self, through: Index) {
        self.installing = false;
        if self.next_index <= through {
            self.probe_from(through.next());
        } else if self.pace == Pace::Snapshot {
            self.probe_from(self.next_index);
        }
    }

    /// Whether the peer holds entries that it does not know to be committed.
    pub(crate) fn lacks_commit(&self, commit_index: Index) -> bool {
        self.commit_sent < commit_index.min(self.next_index.previous())
    }

    /// Its socket took bytes. Says whether they were new ones of an entry up to `wanted`.
    pub(crate) fn took(&mut self, through: Index, bytes: u64, wanted: Index) -> bool {
        let news = (through, bytes) > self.taken && self.taken.0 < wanted;
        self.taken = self.taken.max((through, bytes));
        news
    }

    /// Whether a removed member knows that it is.
    pub(crate) fn has_left(&self) -> bool {
        self.departing
            .is_some_and(|gone| self.match_index >= gone.at && self.commit_index >= gone.at)
    }
}

/// Appends with entries that were sent and not yet acknowledged.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Inflight {
    /// Last index and bytes of each, in the order of sending.
    appends: VecDeque<(Index, u64)>,
    bytes: u64,
}

impl Inflight {
    pub(crate) fn push(&mut self, last: Index, bytes: u64) {
        self.appends.push_back((last, bytes));
        self.bytes += bytes;
    }

    pub(crate) fn acknowledge(&mut self, index: Index) {
        while let Some(&(last, bytes)) = self.appends.front() {
            if last > index {
                break;
            }
            self.bytes -= bytes;
            self.appends.pop_front();
        }
    }

    /// How many bytes may still be sent; `None` if nothing may. An idle window takes one append
    /// of any size, so that no entry is too large for it.
    pub(crate) fn room(&self, config: &Config) -> Option<u64> {
        let room = config.inflight_bytes_max.saturating_sub(self.bytes);
        let full = self.appends.len() >= config.inflight_appends_max || room == 0;
        (self.is_empty() || !full).then_some(room)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.appends.is_empty()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.appends.clear();
        self.bytes = 0;
    }

    /// For the checks: the running sum is the sum.
    pub(crate) fn is_consistent(&self) -> bool {
        self.appends.iter().map(|append| append.1).sum::<u64>() == self.bytes
    }
}
