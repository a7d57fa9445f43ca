//! A member that has lost its mind: now and then it says something else to its peers than its
//! core wants to, in messages that can be decoded.
//!
//! Raft promises nothing about members that lie. What it survives all the same is what is done
//! here: terms that are too low, too high or far too high, positions that do not exist, votes and
//! pre-votes asked for in vain, grants taken back, commit indexes far ahead, acknowledgements of
//! less than there is or of what cannot be, and leaders that never were: they say nothing new, deny
//! what is committed or want it replaced. Left out is what makes members believe a falsehood that
//! they cannot check:
//! - a vote that was not cast, or cast for another: two leaders of one term;
//! - a log offered in an election that is better than the own: a leader without committed entries;
//! - an acknowledgement of entries that are not durable, or not that leader's: a commit without a
//!   quorum;
//! - entries, or a cut, above what the receiver knows to be committed, in the name of a leader: they
//!   replace what was confirmed to the true one;
//! - a commit index together with an entry that is not committed, or with leave to read: it is
//!   applied;
//! - leave to read before what is committed: old state is shown;
//! - a term next to the largest that is taken: nobody could ever be elected again.

use bytes::Bytes;
use raft_core::{
    AppendEntries, AppendEntriesResponse, AppendResult, EntryKind, EntryMeta, Index, LogId,
    Message, NodeId, ReadIndex, ReadIndexResponse, ReadRefused, RequestVote, Term, VoteRefusal,
    VoteResponse,
};
use raft_log::{Kind, LogBuffer, encoded_len};
use raft_node::random::Random;
use raft_node::wire::{
    Decoder, Encoded, Frame, PeerContent, PeerMessage, RawFrame, encode_message,
};

use crate::chance::pick;

/// Terms and positions that are wrong by a lot.
const FAR: u64 = 1 << 40;

/// What the receiver of a message knows to be committed: the newest of it, and the entry before.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Of any entry that is committed there.
    pub committed: LogId,
    /// The one right before it.
    pub before: LogId,
}

/// What is said instead of this frame, if anything.
#[must_use]
pub fn instead_of(frame: &Encoded, known: Known, random: &mut Random) -> Option<Encoded> {
    let PeerMessage { content, .. } = decode(frame)?;
    let term = match &content {
        PeerContent::Whole(message) => message.term(),
        PeerContent::Append(head, _) => head.term,
    };
    let free_log_bytes = pick(random, [0, 1, 1 << 20, u64::MAX]);
    let said = match content {
        // Now and then something that nobody asked for.
        _ if random.below(4) == 0 => unasked(term, known, random),
        PeerContent::Append(..) => claim(term, known, random),
        PeerContent::Whole(message) => twisted(message, known, random),
    };
    let entries = match &said {
        Message::AppendEntries(append) if !append.entries.is_empty() => entry(append),
        _ => Vec::new(),
    };
    Some(encode_message(&said, &entries, free_log_bytes))
}

fn decode(frame: &Encoded) -> Option<PeerMessage> {
    let mut decoder = Decoder::new();
    decoder.set_frame_bytes_max(usize::MAX);
    frame.slices().for_each(|slice| decoder.buffer().extend_from_slice(slice));
    match RawFrame::decode(decoder.next_frame().ok()??).ok()? {
        Frame::Message(message) => Some(message),
        _ => None,
    }
}

fn any(random: &mut Random) -> u64 {
    let near = random.below(100);
    let far = if random.below(9) == 0 { u64::MAX } else { FAR };
    pick(random, [0, 1, near, near, FAR - near, far])
}

/// One that a decoder takes: an index and a term, or neither.
fn any_place(random: &mut Random) -> LogId {
    let (index, term) = (any(random), any(random));
    if index == 0 || term == 0 { LogId::default() } else { LogId::new(index, term) }
}

fn raised(term: Term, random: &mut Random) -> Term {
    let near = random.below(5);
    Term(term.0.max(pick(random, [term.0 + near, term.0 + near, term.0 + near, FAR])))
}

/// Of a request or a refusal any term is survived, up to the far ones.
fn some_term(term: Term, random: &mut Random) -> Term {
    let lower = term.0.saturating_sub(random.below(4));
    let higher = raised(term, random);
    pick(random, [Term(lower), higher, Term(0), Term(u64::MAX)])
}

fn twisted(message: Message, known: Known, random: &mut Random) -> Message {
    match message {
        Message::PreVote(request) => Message::PreVote(RequestVote {
            term: some_term(request.term, random),
            last_log_id: any_place(random),
            transfer: random.below(2) == 0,
        }),
        Message::RequestVote(request) => candidacy(request.term, known, random),
        Message::PreVoteResponse(response) => Message::PreVoteResponse(VoteResponse {
            term: some_term(response.term, random),
            refusal: (random.below(2) == 0).then(|| refusal(random)),
        }),
        Message::RequestVoteResponse(response) => Message::RequestVoteResponse(VoteResponse {
            term: some_term(response.term, random),
            refusal: Some(refusal(random)),
        }),
        Message::AppendEntries(append) => claim(append.term, known, random),
        Message::AppendEntriesResponse(response) => answer(response, random),
        Message::TimeoutNow { term } => Message::TimeoutNow { term: some_term(term, random) },
        Message::ReadIndex(asked) => Message::ReadIndex(ReadIndex {
            term: some_term(asked.term, random),
            request: any(random),
        }),
        Message::ReadIndexResponse(response) => {
            let (leader, to) = (Some(NodeId(any(random))), NodeId(any(random)));
            let denial =
                pick(random, [ReadRefused::NotLeader { leader }, ReadRefused::HandingOver { to }]);
            let term = some_term(response.term, random);
            let request = response.request;
            Message::ReadIndexResponse(ReadIndexResponse { term, request, result: Err(denial) })
        }
    }
}

fn unasked(term: Term, known: Known, random: &mut Random) -> Message {
    match random.below(4) {
        0 => Message::TimeoutNow { term: some_term(term, random) },
        1 => candidacy(term, known, random),
        2 => claim(term, known, random),
        _ => Message::PreVote(RequestVote {
            term: some_term(term, random),
            last_log_id: any_place(random),
            transfer: true,
        }),
    }
}

/// Never a better log than there is.
fn candidacy(term: Term, known: Known, random: &mut Random) -> Message {
    let last_log_id = pick(random, [LogId::default(), known.before]);
    let term = raised(term, random).next();
    Message::RequestVote(RequestVote { term, last_log_id, transfer: random.below(2) == 0 })
}

fn refusal(random: &mut Random) -> VoteRefusal {
    match random.below(4) {
        0 => VoteRefusal::StaleTerm,
        1 => VoteRefusal::AlreadyVoted { candidate: NodeId(any(random)) },
        2 => VoteRefusal::LogBehind { last_log_id: any_place(random) },
        _ => VoteRefusal::LeaderAlive { leader: NodeId(any(random)) },
    }
}

fn answer(response: AppendEntriesResponse, random: &mut Random) -> Message {
    let (mut term, mut result) = (response.term, response.result);
    match (random.below(4), result) {
        (0, AppendResult::Match(index)) => {
            result = AppendResult::Match(Index(random.below(index.0 + 1)));
        }
        (1, _) => result = AppendResult::Match(Index(FAR)),
        (2, _) => {
            let (prev_index, hint) = (Index(any(random)), any_place(random));
            result = AppendResult::Conflict { prev_index, hint };
            term = some_term(term, random);
        }
        _ => {
            result = AppendResult::StaleTerm;
            term = some_term(term, random);
        }
    }
    let (last_index, commit_index) = (Index(any(random)), Index(any(random)));
    // A round that was not asked in is noticed, an older one confirms nothing.
    let round = pick(random, [0, response.round, FAR]);
    Message::AppendEntriesResponse(AppendEntriesResponse {
        term,
        result,
        last_index,
        commit_index,
        round,
    })
}

/// The word of a leader, which it may even be.
fn claim(term: Term, known: Known, random: &mut Random) -> Message {
    let Known { committed, before } = known;
    let other = committed.term.next();
    let mut append = AppendEntries {
        term: Term(raised(term, random).0.max(other.0)),
        prev_log_id: committed,
        entries: Vec::new(),
        commit_index: Index(any(random)),
        round: 0,
    };
    match random.below(4) {
        0 if committed.index.0 > 0 => append.prev_log_id.term = other,
        1 if committed.index.0 > 0 => {
            append.prev_log_id = before;
            append.entries = vec![noop(other)];
        }
        2 if committed.index.0 > 0 => {
            append.prev_log_id = LogId { term: Term(FAR + 1), index: committed.index }
        }
        _ => {}
    }
    Message::AppendEntries(append)
}

fn noop(term: Term) -> EntryMeta {
    EntryMeta { term, size: encoded_len(0) as u32, kind: EntryKind::Noop }
}

/// The bytes of the one entry that such a message names.
fn entry(append: &AppendEntries) -> Vec<Bytes> {
    let at = append.prev_log_id.index.next();
    let mut buffer = LogBuffer::new(at);
    for meta in &append.entries {
        buffer.append(meta.term, Kind::NOOP, &[]);
    }
    buffer.slice(at, Index(at.0 + append.entries.len() as u64 - 1)).unwrap_or_default()
}
