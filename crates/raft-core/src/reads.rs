//! Linearizable reads beside the log (thesis 6.4). A leader notes how far it knows entries to be
//! committed and has a quorum confirm that it still leads; then any state machine that applied
//! that much may answer.
//!
//! Every `AppendEntries` carries the number of the newest round, and every answer repeats the
//! newest number that came by its connection. So nothing that was sent before a read arrived can
//! confirm it. Reads that arrive while a round is out ride in the next one.

use alloc::vec::Vec;

use crate::message::{Message, ReadIndex, ReadIndexResponse, ReadRefused};
use crate::output::Output;
use crate::raft::Raft;
use crate::refusals::RefusedRequest;
use crate::role::{Leader, Role};
use crate::types::{Index, NodeId, Term};

/// Reads under way.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Reads {
    /// The leadership that they wait for, and end with.
    under: Option<(Term, NodeId)>,
    /// The newest round. No number is used twice, not even in a later term.
    pub(crate) round: u64,
    /// These wait for the next round.
    waiting: Vec<Asker>,
    /// The round that is out is for these; empty if none is out.
    riding: Vec<Asker>,
    /// What they will be answered.
    index: Index,
    /// What a follower asks its leader, oldest first.
    asked: Vec<Asked>,
    /// Numbers what the leader is asked.
    numbered: u64,
}

/// Who wants to read.
#[derive(Clone, Copy, Debug, Hash)]
enum Asker {
    /// The driver, by its own number.
    Here(u64),
    /// A peer, by its own number.
    Peer(NodeId, u64),
}

/// The reads of one step, of which the leader knows by one number.
#[derive(Clone, Debug, Hash)]
struct Asked {
    number: u64,
    requests: Vec<u64>,
    sent: bool,
}

impl Reads {
    pub(crate) const fn is_out(&self) -> bool {
        !self.riding.is_empty()
    }

    /// The same reads in a cluster whose members have other names.
    pub(crate) fn rename(&mut self, names: &dyn Fn(NodeId) -> NodeId) {
        let Self { under, round: _, waiting, riding, index: _, asked: _, numbered: _ } = self;
        *under = under.map(|(term, leader)| (term, names(leader)));
        for asker in waiting.iter_mut().chain(riding) {
            if let Asker::Peer(id, _) = asker {
                *id = names(*id);
            }
        }
    }
}

impl Raft {
    // ---- asked -----------------------------------------------------------------------------------

    pub(crate) fn on_read(&mut self, requests: Vec<u64>) {
        let why = match self.leader() {
            Some(leader) if leader == self.id => match self.handing_over() {
                Some(to) => ReadRefused::HandingOver { to },
                None => {
                    return self.reads.waiting.extend(requests.into_iter().map(Asker::Here));
                }
            },
            Some(leader) if self.links.get(&leader).is_some_and(|link| link.up) => {
                self.reads.numbered += 1;
                let number = self.reads.numbered;
                return self.reads.asked.push(Asked { number, requests, sent: false });
            }
            leader => ReadRefused::NotLeader { leader },
        };
        self.refuse_reads(&requests, why);
    }

    pub(crate) fn on_read_index(&mut self, from: NodeId, asked: ReadIndex) {
        let asker = Asker::Peer(from, asked.request);
        match self.handing_over() {
            Some(to) => self.refuse_read(asker, ReadRefused::HandingOver { to }),
            None if self.is_leader() => self.reads.waiting.push(asker),
            None => self.refuse_read(asker, ReadRefused::NotLeader { leader: self.leader() }),
        }
    }

    /// The leader says how far entries are committed: this member may know that too, as far as
    /// its own log is known to be equal.
    pub(crate) fn on_read_response(&mut self, from: NodeId, response: ReadIndexResponse) {
        let Role::Follower(follower) = &mut self.role else { return };
        let number = |asked: &Asked| asked.number == response.request && asked.sent;
        let Some(at) = self.reads.asked.iter().position(number) else { return };
        if follower.leader != Some(from) {
            return;
        }
        let asked = self.reads.asked.remove(at);
        let index = match response.result {
            Ok(index) => index,
            Err(why) => return self.refuse_reads(&asked.requests, why),
        };
        follower.leader_commit = follower.leader_commit.max(index);
        let known = index.min(follower.verified_index);
        self.commit_to(known);
        let ready = asked.requests.into_iter().map(|request| Output::ReadReady { request, index });
        self.outputs.extend(ready);
    }

    // ---- confirmed -------------------------------------------------------------------------------

    pub(crate) fn advance_reads(&mut self) {
        let under = self.leader().map(|leader| (self.term(), leader));
        if under != self.reads.under {
            self.reads.under = under;
            self.end_reads();
        }
        self.end_round();
        self.begin_round();
        self.end_round();
        self.ask_leader();
    }

    /// A leader knows what is committed only once an entry of its own term is: until then reads
    /// wait (thesis 6.4, step 1).
    fn begin_round(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let young = self.commit_index < leader.term_start;
        let reads = &mut self.reads;
        if young || reads.is_out() || reads.waiting.is_empty() {
            return;
        }
        reads.round += 1;
        reads.riding = core::mem::take(&mut reads.waiting);
        reads.index = self.commit_index;
    }

    /// Whoever answered this round had no later term when it was sent, so nobody else had
    /// committed anything by then.
    fn end_round(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        if !self.reads.is_out() || !self.is_confirmed(leader) {
            return;
        }
        let index = self.reads.index;
        for asker in core::mem::take(&mut self.reads.riding) {
            match asker {
                Asker::Here(request) => self.outputs.push(Output::ReadReady { request, index }),
                Asker::Peer(to, request) => self.answer_read(to, request, Ok(index)),
            }
        }
    }

    fn is_confirmed(&self, leader: &Leader) -> bool {
        let round = self.reads.round;
        let answered = |id| leader.peers().get(&id).is_some_and(|peer| peer.round >= round);
        self.membership().is_quorum(|id| id == self.id || answered(id))
    }

    fn ask_leader(&mut self) {
        let Role::Follower(follower) = &self.role else { return };
        let term = self.term();
        // R1: the message names the term.
        let may_speak = self.tickets.durable_term() >= term;
        let Some(to) = follower.leader.filter(|&id| may_speak && self.reaches(id)) else { return };
        for asked in self.reads.asked.iter_mut().filter(|asked| !asked.sent) {
            asked.sent = true;
            let message = Message::ReadIndex(ReadIndex { term, request: asked.number });
            self.outputs.push(Output::Send { to, message });
        }
    }

    // ---- refused ---------------------------------------------------------------------------------

    /// The leadership is over. Nothing was done: every read may be asked again elsewhere.
    fn end_reads(&mut self) {
        let why = ReadRefused::NotLeader { leader: self.leader() };
        let mut askers = core::mem::take(&mut self.reads.riding);
        askers.append(&mut self.reads.waiting);
        for asker in askers {
            self.refuse_read(asker, why);
        }
        for asked in core::mem::take(&mut self.reads.asked) {
            self.refuse_reads(&asked.requests, why);
        }
    }

    /// R13: what a peer asked dies with the connection that it came by, and what was asked of the
    /// leader with the one that it went by.
    pub(crate) fn on_reads_cut(&mut self, peer: NodeId, inbound: bool) {
        let others = |asker: &Asker| !matches!(asker, Asker::Peer(id, _) if *id == peer);
        if inbound {
            self.reads.waiting.retain(others);
            self.reads.riding.retain(others);
        } else if self.leader() == Some(peer) {
            let why = ReadRefused::NotLeader { leader: Some(peer) };
            for asked in core::mem::take(&mut self.reads.asked) {
                self.refuse_reads(&asked.requests, why);
            }
        }
    }

    fn refuse_reads(&mut self, requests: &[u64], why: ReadRefused) {
        let refused = |&request| Output::ReadRefused { request, why };
        self.outputs.extend(requests.iter().map(refused));
    }

    fn refuse_read(&mut self, asker: Asker, why: ReadRefused) {
        match asker {
            Asker::Here(request) => self.refuse_reads(&[request], why),
            Asker::Peer(to, request) => self.answer_read(to, request, Err(why)),
        }
    }

    pub(crate) fn answer_read(
        &mut self,
        to: NodeId,
        request: u64,
        result: Result<Index, ReadRefused>,
    ) {
        if let Err(why) = result {
            self.note_refusal(to, RefusedRequest::Read { why });
        }
        let response = ReadIndexResponse { term: self.term(), request, result };
        self.answer(to, Message::ReadIndexResponse(response), self.tickets.hard_state());
    }
}
