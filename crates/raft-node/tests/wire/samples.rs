//! One frame of each kind and shape, with its bytes.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use raft_core::{
    AppendEntriesResponse, AppendResult, ChangeOutcome, Index, Job, JobKind, LogId, Member,
    Membership, Message, NodeId, ReadIndex, ReadIndexResponse, ReadRefused, RequestId, RequestVote,
    Term, VoteRefusal, VoteResponse,
};
use raft_log::SnapshotInfo;
use raft_node::Fill;
use raft_node::founding::{Formed, Founder, Report, View};
use raft_node::hello::{Believed, Hello, Party, Protocols, Role, Welcome};
use raft_node::protocol::{
    Answer, Changed, Consistency, KnownMember, MemberChange, MemberName, MemberRow, MembersView,
    News, NodeStatus, ReadAnswer, Reason, Refusal, Reply, Request, Standing,
};
use raft_node::refused::{HelloReason, HelloRefused};
use raft_node::replica::SnapshotAnswer;
use raft_node::sessions::{Fate, RequestName};
use raft_node::testimony::{
    Asked, ChangeView, Knew, PastRefusal, PeerView, RefusedRequest, RefusedThing, Testimony,
};
use raft_node::vitals::{Recent, RecentEvent, TailEntry, Vitals};
use raft_node::wire::{
    Admit, AppendHead, Decoder, FRAME_BYTES_MAX, Frame, PeerContent, PeerMessage, RawFrame,
    WireError,
};

/// As large as the smallest entry.
pub(crate) const ENTRY: [u8; 32] = [7; 32];

fn party(id: u64) -> Party {
    Party {
        cluster: Some(0xc1),
        id: Some(NodeId(id)),
        incarnation: 0x0011_2233 + u128::from(id),
        epoch: 3,
        nonce: 0x0123_4567_89ab_cdef,
        address: format!(":999{id}"),
    }
}

fn believed() -> Believed {
    Believed { id: Some(NodeId(2)), incarnation: Some(0x22), address: ":9992".into() }
}

pub(crate) fn founders() -> Vec<Founder> {
    (1..=2).map(|n| Founder { address: format!(":999{n}"), incarnation: n }).collect()
}

pub(crate) fn whole(message: Message) -> Frame {
    let content = PeerContent::Whole(message);
    Frame::Message(PeerMessage { free_log_bytes: 1 << 30, content })
}

pub(crate) fn vote_refused(refusal: VoteRefusal) -> Frame {
    let response = VoteResponse { term: Term(3), refusal: Some(refusal) };
    whole(Message::RequestVoteResponse(response))
}

pub(crate) fn append_response(result: AppendResult) -> Frame {
    append_response_in(0, result)
}

fn append_response_in(round: u64, result: AppendResult) -> Frame {
    whole(Message::AppendEntriesResponse(AppendEntriesResponse {
        term: Term(3),
        result,
        last_index: Index(9),
        commit_index: Index(8),
        round,
    }))
}

fn read_response(result: Result<Index, ReadRefused>) -> Frame {
    let response = ReadIndexResponse { term: Term(3), request: 5, result };
    whole(Message::ReadIndexResponse(response))
}

fn append() -> Frame {
    append_in(0)
}

fn append_in(round: u64) -> Frame {
    let head = AppendHead {
        term: Term(3),
        prev_log_id: LogId::new(5, 2),
        commit_index: Index(4),
        round,
        count: 1,
    };
    let content = PeerContent::Append(head, Bytes::from_static(&ENTRY));
    Frame::Message(PeerMessage { free_log_bytes: 1 << 30, content })
}

fn handshakes() -> Vec<(&'static str, Frame)> {
    let hello = Hello {
        protocol: Protocols { min: 1, max: 1 },
        role: Role::Peer,
        from: party(1),
        to: believed(),
    };
    let welcome = Welcome {
        protocol: 1,
        from: party(2),
        standing: Standing::Member,
        frame_bytes_max: FRAME_BYTES_MAX as u32,
    };
    let client = Hello { role: Role::Client, from: Party::default(), ..hello.clone() };
    let mut frames = vec![
        ("hello", Frame::Hello(hello)),
        ("hello of a client", Frame::Hello(client)),
        ("welcome", Frame::Welcome(welcome)),
    ];
    let protocols = Protocols { min: 1, max: 1 };
    let reasons = [
        HelloReason::Unsupported { ours: protocols, theirs: Protocols { min: 2, max: 3 } },
        HelloReason::WrongCluster,
        HelloReason::WrongNode { believed: believed() },
        HelloReason::Itself,
        HelloReason::Removed { at: Index(7) },
        HelloReason::IncarnationMismatch { known: 5 },
        HelloReason::EpochRegressed { known: 5 },
        HelloReason::DuplicateIdentity { epoch: 3, nonce: 4 },
        HelloReason::New,
        HelloReason::AcceptorRemoved { at: Index(7) },
        HelloReason::Invalid("why".into()),
    ];
    for reason in reasons {
        let refused = HelloRefused { reason, refuser: party(2), refused: party(1) };
        frames.push(("refused", Frame::Refused(Box::new(refused))));
    }
    let list = BTreeMap::from([(":9991".into(), Some(1)), (":9992".into(), None)]);
    let views = [
        View::Gathering { revision: 2, seen: 1, founders: list },
        View::Formed(Formed { cluster: 0xc1, founders: founders() }),
        View::Joining,
    ];
    for view in views {
        let report = Report { address: ":9991".into(), incarnation: 1, view };
        frames.push(("founding", Frame::Founding(report)));
    }
    let admit = Admit {
        cluster: 0xc1,
        id: NodeId(9),
        incarnation: 9,
        address: ":9993".into(),
        founders: founders(),
        at: Index(7),
    };
    frames.push(("admit", Frame::Admit(admit)));
    frames
}

fn messages() -> Vec<(&'static str, Frame)> {
    let vote = RequestVote { term: Term(3), last_log_id: LogId::new(9, 2), transfer: true };
    let granted = VoteResponse { term: Term(3), refusal: None };
    let conflict = AppendResult::Conflict { prev_index: Index(5), hint: LogId::new(4, 1) };
    let behind = VoteRefusal::LogBehind { last_log_id: LogId::new(9, 2) };
    vec![
        ("pre-vote", whole(Message::PreVote(vote))),
        ("pre-vote response", whole(Message::PreVoteResponse(granted))),
        ("request vote", whole(Message::RequestVote(vote))),
        ("vote granted", whole(Message::RequestVoteResponse(granted))),
        ("vote refused", vote_refused(VoteRefusal::StaleTerm)),
        ("vote refused", vote_refused(VoteRefusal::AlreadyVoted { candidate: NodeId(2) })),
        ("vote refused", vote_refused(behind)),
        ("vote refused", vote_refused(VoteRefusal::LeaderAlive { leader: NodeId(2) })),
        ("append entries", append()),
        ("append response", append_response(AppendResult::Match(Index(9)))),
        ("append response", append_response(conflict)),
        ("append response", append_response(AppendResult::StaleTerm)),
        ("timeout now", whole(Message::TimeoutNow { term: Term(3) })),
        ("append of a round", append_in(7)),
        ("append response of a round", append_response_in(7, AppendResult::Match(Index(9)))),
        ("read index", whole(Message::ReadIndex(ReadIndex { term: Term(3), request: 5 }))),
        ("read response", read_response(Ok(Index(9)))),
        ("read response", read_response(Err(ReadRefused::NotLeader { leader: None }))),
        ("read response", read_response(Err(ReadRefused::NotLeader { leader: Some(NodeId(2)) }))),
        ("read response", read_response(Err(ReadRefused::HandingOver { to: NodeId(3) }))),
        ("ping", Frame::Ping { nonce: 5 }),
        ("pong", Frame::Pong { nonce: 5 }),
    ]
}

fn snapshots() -> Vec<(&'static str, Frame)> {
    let (id, file_bytes, bytes, checksum) = (LogId::new(9, 3), 4096, 1 << 20, 0xc0_ffee);
    let info = SnapshotInfo { id, file_bytes, bytes, checksum };
    let hello = Hello {
        protocol: Protocols { min: 1, max: 1 },
        role: Role::Snapshot,
        from: party(1),
        to: believed(),
    };
    let mut frames = vec![
        ("hello for a snapshot", Frame::Hello(hello)),
        ("snapshot offer", Frame::SnapshotOffer { term: Term(3), info }),
        ("snapshot want", Frame::SnapshotWant { offset: 4096 }),
        (
            "snapshot chunk",
            Frame::SnapshotChunk { offset: 4096, bytes: Bytes::from_static(&ENTRY) },
        ),
    ];
    let answers = [
        SnapshotAnswer::Installed,
        SnapshotAnswer::NotNewer { commit_index: Index(9) },
        SnapshotAnswer::StaleTerm { term: Term(4) },
        SnapshotAnswer::Useless("why".into()),
        SnapshotAnswer::NoRoom("why".into()),
    ];
    frames.extend(answers.map(|answer| ("snapshot answer", Frame::SnapshotAnswer(answer))));
    frames.push(("request", Frame::Request { id: 1, request: Request::Snapshot }));
    let answer = Answer::Snapshot { at: LogId::new(9, 3), bytes: 1 << 20 };
    frames.push(("reply", Frame::Reply { id: 1, reply: Reply { answer, forwarded_to: None } }));
    frames
}

fn requests() -> Vec<(&'static str, Frame)> {
    let command = Bytes::from_static(b"I like beer.");
    let write = Request::Write { session: 7, sequence: 2, lowest_unacknowledged: 1, command };
    let (request, address) = (RequestId(5), String::from(":9993"));
    let (query, news) =
        (Bytes::from_static(b"how many?"), Some(News { after: 41, within: 30_000 }));
    let mut frames = vec![("forward", Frame::Forward { id: 1, request: write.clone() })];
    let requests = [
        Request::Register { one_shot: true },
        write,
        Request::EndSession { session: 7 },
        Request::Members,
        Request::Transfer { to: None },
        Request::Transfer { to: Some(address.clone()) },
        Request::Status,
        Request::Recent { after: 3, tail: 20 },
        Request::Read { query: query.clone(), consistency: Consistency::Linearizable, news: None },
        Request::Read { query, consistency: Consistency::Local, news },
    ];
    let (named, id) = (MemberName::Address(address.clone()), MemberName::Id(NodeId(3)));
    let changes = [
        MemberChange::Add(address.clone()),
        MemberChange::Remove(named.clone()),
        MemberChange::Remove(id.clone()),
        MemberChange::Demote(named.clone()),
        MemberChange::Replace { old: id, new: address.clone() },
        MemberChange::Update { member: named, address },
    ];
    let changes = changes.map(|change| Request::Change { request, change });
    for request in requests.into_iter().chain(changes) {
        frames.push(("request", Frame::Request { id: 1, request }));
    }
    frames
}

fn reasons() -> Vec<Reason> {
    let text = || String::from(":9990");
    vec![
        Reason::NoLeader,
        Reason::NotLeader { leader: Some(text()) },
        Reason::LeaderLost,
        Reason::Busy { what: text() },
        Reason::DiskFull,
        Reason::TooLarge { limit: 1, size: 2 },
        Reason::SessionExpired { session: 7 },
        Reason::AnswerForgotten { session: 7, sequence: 1 },
        Reason::SessionLimit,
        Reason::ChangeInProgress,
        Reason::LeaderTooYoung,
        Reason::HandingOver { to: text() },
        Reason::NoNewQuorum { silent: vec![text()] },
        Reason::NotMember { address: text() },
        Reason::NotVoter { address: text() },
        Reason::LastMember,
        Reason::AddressTaken { address: text() },
        Reason::Unreachable { address: text(), error: "refused".into() },
        Reason::HostlessCluster { address: text() },
        Reason::Removed { at: Index(7) },
        Reason::NotReady,
        Reason::Invalid("why".into()),
        Reason::ShuttingDown,
        Reason::Full { what: text() },
    ]
}

fn status() -> NodeStatus {
    NodeStatus {
        id: Some(NodeId(1)),
        address: ":9991".into(),
        cluster: Some(0xc1),
        standing: Standing::Removed { at: Index(3) },
        role: "leader".into(),
        term: Term(2),
        leader: Some((NodeId(1), ":9991".into())),
        last_log_id: LogId::new(9, 2),
        durable_index: Index(8),
        commit_index: Index(7),
        applied_index: Index(6),
        snapshots: Box::default(),
        version: "0.1.0".into(),
        vitals: Box::new(Vitals { syncs: 3, sync_buckets: vec![1, 2], ..Vitals::default() }),
        members: vec![KnownMember {
            id: Some(NodeId(1)),
            address: ":9991".into(),
            voter: true,
            old_voter: true,
        }],
    }
}

fn replies() -> Vec<(&'static str, Frame)> {
    let row = MemberRow {
        id: NodeId(1),
        address: ":9991".into(),
        voter: true,
        outgoing: true,
        leader: true,
        match_index: Some(Index(9)),
        connected: true,
    };
    let view = MembersView {
        leader: Some(NodeId(1)),
        joint: true,
        job: Some("adding :9993".into()),
        members: vec![row],
        index: Index(4),
        answered_by: ":9991".into(),
        is_leader: true,
    };
    let status = status();
    let recent = Recent {
        status: status.clone(),
        after: 4,
        events: vec![RecentEvent { number: 5, at_ms: 6, kind: "role".into(), text: "why".into() }],
        tail: vec![TailEntry {
            index: Index(9),
            term: Term(2),
            kind: "command".into(),
            text: Bytes::from_static(b"beer"),
            size: 28,
        }],
    };
    let mut filled = status.clone();
    filled.vitals.fills = vec![Fill { what: "text log".into(), bytes: 7, bytes_max: 9 }];
    let (id, address) = (NodeId(9), String::from(":9993"));
    let response = Bytes::from_static(b"three");
    let mut answers = vec![
        Answer::Registered { session: 7 },
        Answer::Written { at: LogId::new(8, 2), response: Bytes::from_static(b"done") },
        Answer::SessionEnded,
        Answer::Members(view),
        Answer::Changed(Changed::Added { id, address: address.clone() }),
        Answer::Changed(Changed::AlreadyMember { id, address: address.clone() }),
        Answer::Changed(Changed::Removed { id, address: address.clone() }),
        Answer::Changed(Changed::Undone { id, address: address.clone() }),
        Answer::Changed(Changed::Demoted { id, address: address.clone() }),
        Answer::Changed(Changed::AlreadyLearner { id, address: address.clone() }),
        Answer::Changed(Changed::Replaced {
            id,
            address: address.clone(),
            old: NodeId(3),
            old_address: ":9992".into(),
        }),
        Answer::Changed(Changed::Updated { id, address: address.clone() }),
        Answer::Transferred { to: address.clone() },
        Answer::Status(Box::new(status)),
        Answer::Recent(Box::new(recent)),
        Answer::Read(ReadAnswer { response, applied: Index(9), version: 42, stale: true }),
        Answer::Refused(Refusal::unknown(Reason::LeaderLost)),
    ];
    answers.extend(reasons().into_iter().map(|reason| Refusal::not_applied(reason).into()));
    answers.push(Answer::Status(Box::new(filled)));
    let mut frames = vec![];
    for answer in answers {
        frames.push(("reply", Frame::Reply { id: 1, reply: Reply { answer, forwarded_to: None } }));
    }
    let reply = Reply { answer: Answer::SessionEnded, forwarded_to: Some(address) };
    frames.push(("forward reply", Frame::ForwardReply { id: 1, reply }));
    frames
}

/// Why something does not go on.
fn reasons_asked_for() -> Vec<(&'static str, Frame)> {
    let from = NodeId(2);
    let last_log_id = LogId::new(9, 2);
    let request = RequestVote { term: Term(7), last_log_id, transfer: false };
    let why = VoteRefusal::LogBehind { last_log_id: LogId::new(12, 6) };
    let result = AppendResult::Conflict { prev_index: Index(9), hint: LogId::new(3, 1) };
    let peer = |request| RefusedThing::Peer { from, request };
    let refusal = Refusal::not_applied(Reason::DiskFull);
    let things = [
        peer(RefusedRequest::Vote { pre: true, request, why }),
        peer(RefusedRequest::Append { term: Term(7), prev_log_id: last_log_id, result }),
        peer(RefusedRequest::Read { why: ReadRefused::HandingOver { to: from } }),
        RefusedThing::Entries { from, bytes: 4096, free: 64 },
        RefusedThing::Client { asked: Asked::Write, refusal },
        RefusedThing::Hello { from, why: "it is there twice".into() },
    ];
    let knew = Knew { term: Term(7), last_log_id: LogId::new(12, 6), leader: Some(from) };
    let past = |what| PastRefusal { what, count: 3, first_ms: 60_000, last_ms: 1_000, knew };
    let what = "adding n9".to_owned();
    let testimony = Testimony {
        status: status(),
        refused: things.map(past).into(),
        peers: vec![PeerView {
            id: from,
            match_index: Index(3),
            next_index: Index(4),
            installing: true,
            connected: true,
            answered_ms: Some(80),
        }],
        reaches: vec![from],
        change: Some(ChangeView {
            what,
            about: NodeId(9),
            index: Index(8),
            joint: true,
            stuck_ms: Some(40),
        }),
        write_out_ms: Some(5),
    };
    let answer = Answer::Why(Box::new(testimony));
    vec![
        ("request", Frame::Request { id: 1, request: Request::Why }),
        ("reply", Frame::Reply { id: 1, reply: Reply { answer, forwarded_to: None } }),
    ]
}

/// What became of a write.
fn fates() -> Vec<(&'static str, Frame)> {
    let request = Request::Result(RequestName { session: 7, sequence: 2 });
    let at = LogId::new(9, 2);
    let fates = [
        Fate::Applied { at, response: Bytes::from_static(b"done") },
        Fate::Withdrawn { at },
        Fate::Forgotten,
        Fate::Expired,
    ];
    let withdrawn = Refusal::not_applied(Reason::Withdrawn { at: Index(9) });
    let answers = fates.map(Answer::Fate).into_iter().chain([withdrawn.into()]);
    let reply = |answer| Frame::Reply { id: 1, reply: Reply { answer, forwarded_to: None } };
    let mut frames = vec![("request", Frame::Request { id: 1, request })];
    frames.extend(answers.map(|answer| ("reply", reply(answer))));
    frames
}

pub(crate) fn all_frames() -> Vec<(&'static str, Frame)> {
    [handshakes(), messages(), requests(), replies(), snapshots(), reasons_asked_for(), fates()]
        .concat()
}

pub(crate) fn membership() -> Membership {
    let member = |n: u128| Member { address: format!(":999{n}"), incarnation: n };
    let (id, address) = (NodeId(9), String::from(":9993"));
    Membership {
        founders: 2,
        members: [(1, 1), (2, 2), (9, 3)].map(|(id, n)| (NodeId(id), member(n))).into(),
        voters: [NodeId(1), NodeId(2)].into(),
        old_voters: Some([NodeId(1)].into()),
        job: Some(Job { request: RequestId(5), kind: JobKind::Promote(NodeId(9)) }),
        outcomes: vec![
            (RequestId(1), ChangeOutcome::Added { id, address: address.clone() }),
            (RequestId(2), ChangeOutcome::Removed { id, address: address.clone() }),
            (RequestId(3), ChangeOutcome::Undone { id, address }),
        ],
    }
}

/// The jobs and outcomes that came later: what was golden before stays.
pub(crate) fn replacing() -> Membership {
    let (id, old) = (NodeId(9), NodeId(2));
    let (address, old_address) = (":9999".to_owned(), ":9992".to_owned());
    Membership {
        job: Some(Job { request: RequestId(6), kind: JobKind::Replace { old, new: id } }),
        outcomes: vec![
            (RequestId(4), ChangeOutcome::Demoted { id: old, address: old_address.clone() }),
            (RequestId(5), ChangeOutcome::Updated { id: old, address: old_address.clone() }),
            (RequestId(6), ChangeOutcome::Replaced { id, address, old, old_address }),
        ],
        ..membership()
    }
}

pub(crate) fn demoting() -> Membership {
    let kind = JobKind::Demote(NodeId(2));
    Membership { job: Some(Job { request: RequestId(7), kind }), ..membership() }
}

pub(crate) fn bytes_of(frame: &Frame) -> Bytes {
    let mut bytes = BytesMut::new();
    frame.encode().slices().for_each(|slice| bytes.put_slice(slice));
    bytes.freeze()
}

pub(crate) fn decoder() -> Decoder {
    let mut decoder = Decoder::new();
    decoder.set_frame_bytes_max(FRAME_BYTES_MAX);
    decoder
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Frame>, WireError> {
    let mut decoder = decoder();
    decoder.buffer().put_slice(bytes);
    decoder.next_frame()?.map(RawFrame::decode).transpose()
}
