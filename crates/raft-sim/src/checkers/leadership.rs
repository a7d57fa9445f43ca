//! Leadership ends by itself: a leader that no quorum answers for an election timeout steps down
//! (thesis 6.2), so does one whose disk hangs (rule R15) and one that was removed (thesis 4.2.2).
//! Without that a cluster that could work does not: nobody else is elected while it speaks.

use std::collections::{BTreeMap, VecDeque};

use raft_core::{Message, NodeId, Raft, Term, Time};
use raft_log::Write;

use super::Checked;
use super::commits::is_quorum;

#[derive(Debug, Default)]
pub(super) struct Leadership {
    /// The election timeout T.
    pub(super) t: u64,
    leaders: BTreeMap<usize, Leading>,
    /// Since when the writes of each server are out.
    writes: BTreeMap<usize, VecDeque<Time>>,
}

#[derive(Debug)]
struct Leading {
    term: Term,
    since: Time,
    answered: BTreeMap<NodeId, Time>,
}

impl Leadership {
    pub(super) fn started(&mut self, host: usize) {
        self.leaders.remove(&host);
        self.writes.remove(&host);
    }

    pub(super) fn leads(&mut self, host: usize, term: Term, now: Time) {
        self.leaders.insert(host, Leading { term, since: now, answered: BTreeMap::new() });
    }

    pub(super) fn handed(&mut self, host: usize, now: Time) {
        self.writes.entry(host).or_default().push_back(now);
    }

    /// Tables of peers are not the core's, and nothing waits for them.
    pub(super) fn persisted(&mut self, host: usize, writes: &[Write]) {
        let done = writes.iter().filter(|write| write.peers.is_none()).count();
        if let Some(out) = self.writes.get_mut(&host) {
            out.drain(..done.min(out.len()));
        }
    }

    /// A peer's message is taken in.
    pub(super) fn takes(&mut self, host: usize, from: NodeId, message: &Message, now: Time) {
        let Message::AppendEntriesResponse(response) = message else { return };
        if let Some(leading) = self.leaders.get_mut(&host)
            && leading.term == response.term
        {
            leading.answered.insert(from, now);
        }
    }

    /// `left_out`: a committed configuration is in force that this member does not vote in.
    pub(super) fn stepped(
        &mut self,
        (host, me): (usize, NodeId),
        raft: &Raft,
        left_out: bool,
        now: Time,
    ) -> Checked {
        if !raft.is_leader() {
            self.leaders.remove(&host);
            return Ok(());
        }
        if left_out {
            return Err(format!("{me} leads, and is no voter of {}", raft.membership()));
        }
        // So long may a write of a leader be out.
        let write_max = 3 * self.t;
        let since = self.writes.get(&host).and_then(VecDeque::front).copied();
        if let Some(since) = since.filter(|since| now - *since > write_max) {
            return Err(format!("{me} leads, and its disk hangs since {} ms", now - since));
        }
        let Some(leading) = self.leaders.get(&host) else { return Ok(()) };
        // So long may no quorum have answered: T, and what clocks may differ by.
        let silence_max = 2 * self.t;
        let heard = |id: NodeId| {
            let answered = leading.answered.get(&id).copied().unwrap_or(leading.since);
            id == me || now - answered <= silence_max
        };
        if !is_quorum(raft.membership(), heard) {
            return Err(format!("{me} leads, and no quorum has answered for {silence_max} ms"));
        }
        Ok(())
    }
}
