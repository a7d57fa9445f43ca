//! The wire format: bytes that must never change, round trips, and bytes from strangers.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p raft-node --test wire` writes the golden bytes anew; the
//! difference is what a running cluster of another version would have to understand.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};
use raft_core::{
    AppendEntries, AppendEntriesResponse, AppendResult, ChangeOutcome, EntryKind, EntryMeta, Index,
    Job, JobKind, LogId, Member, Membership, Message, NodeId, ReadIndex, ReadIndexResponse,
    ReadRefused, RequestId, RequestVote, Term, VoteRefusal, VoteResponse,
};
use raft_node::founding::{Formed, Founder, Report, View};
use raft_node::hello::{Believed, Hello, Party, Protocols, Role, Welcome};
use raft_node::protocol::{
    Answer, Changed, Consistency, KnownMember, MemberRow, MembersView, News, NodeStatus,
    ReadAnswer, Reason, Refusal, Reply, Request, Standing,
};
use raft_node::random::Random;
use raft_node::refused::{HelloReason, HelloRefused};
use raft_node::vitals::{Recent, RecentEvent, TailEntry, Vitals};
use raft_node::wire::{
    Admit, AppendHead, BODY_BYTES_MAX, Decoder, FRAME_BYTES_MAX, Frame, FrameError, HEADER_BYTES,
    HELLO_BYTES_MAX, Kind, MEMBERSHIP_BYTES_MAX, PeerContent, PeerMessage, RawFrame, WireError,
    decode_membership, encode_membership, encode_message,
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire_golden.txt");
/// As large as the smallest entry.
const ENTRY: [u8; 32] = [7; 32];

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

fn founders() -> Vec<Founder> {
    (1..=2).map(|n| Founder { address: format!(":999{n}"), incarnation: n }).collect()
}

fn whole(message: Message) -> Frame {
    let content = PeerContent::Whole(message);
    Frame::Message(PeerMessage { free_log_bytes: 1 << 30, content })
}

fn vote_refused(refusal: VoteRefusal) -> Frame {
    let response = VoteResponse { term: Term(3), refusal: Some(refusal) };
    whole(Message::RequestVoteResponse(response))
}

fn append_response(result: AppendResult) -> Frame {
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
        Request::AddMember { request, address: address.clone() },
        Request::RemoveMember { request, address: address.clone() },
        Request::Transfer { to: None },
        Request::Transfer { to: Some(address) },
        Request::Status,
        Request::Recent { after: 3, tail: 20 },
        Request::Read { query: query.clone(), consistency: Consistency::Linearizable, news: None },
        Request::Read { query, consistency: Consistency::Local, news },
    ];
    for request in requests {
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
        Answer::Transferred { to: address.clone() },
        Answer::Status(status),
        Answer::Recent(Box::new(recent)),
        Answer::Read(ReadAnswer { response, applied: Index(9), version: 42, stale: true }),
        Answer::Refused(Refusal::unknown(Reason::LeaderLost)),
    ];
    answers.extend(reasons().into_iter().map(|reason| Refusal::not_applied(reason).into()));
    let mut frames = vec![];
    for answer in answers {
        frames.push(("reply", Frame::Reply { id: 1, reply: Reply { answer, forwarded_to: None } }));
    }
    let reply = Reply { answer: Answer::SessionEnded, forwarded_to: Some(address) };
    frames.push(("forward reply", Frame::ForwardReply { id: 1, reply }));
    frames
}

fn all_frames() -> Vec<(&'static str, Frame)> {
    [handshakes(), messages(), requests(), replies()].concat()
}

fn membership() -> Membership {
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
fn replacing() -> Membership {
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

fn demoting() -> Membership {
    let kind = JobKind::Demote(NodeId(2));
    Membership { job: Some(Job { request: RequestId(7), kind }), ..membership() }
}

fn bytes_of(frame: &Frame) -> Bytes {
    let mut bytes = BytesMut::new();
    frame.encode().slices().for_each(|slice| bytes.put_slice(slice));
    bytes.freeze()
}

fn decoder() -> Decoder {
    let mut decoder = Decoder::new();
    decoder.set_frame_bytes_max(FRAME_BYTES_MAX);
    decoder
}

fn decode(bytes: &[u8]) -> Result<Option<Frame>, WireError> {
    let mut decoder = decoder();
    decoder.buffer().put_slice(bytes);
    decoder.next_frame()?.map(RawFrame::decode).transpose()
}

#[test]
fn the_bytes_never_change() {
    let mut found = String::new();
    for (name, frame) in all_frames() {
        writeln!(found, "{name}: {}", hex(&bytes_of(&frame))).expect("a string takes all");
    }
    for whole in [membership(), replacing(), demoting()] {
        writeln!(found, "membership: {}", hex(&encode_membership(&whole))).expect("as above");
    }
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(GOLDEN, &found).expect("the golden file is written");
    }
    let golden = std::fs::read_to_string(GOLDEN).expect("the golden file is read");
    for (found, golden) in found.lines().zip(golden.lines()) {
        assert_eq!(found, golden);
    }
    assert_eq!(found.lines().count(), golden.lines().count());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[test]
fn every_kind_is_among_the_golden_frames() {
    let kinds: BTreeSet<Kind> = all_frames()
        .iter()
        .filter_map(|(_, frame)| {
            let mut decoder = decoder();
            decoder.buffer().put_slice(&bytes_of(frame));
            Some(decoder.next_frame().ok()??.kind)
        })
        .collect();
    assert_eq!(kinds, Kind::ALL.into());
}

#[test]
fn what_is_sent_arrives() {
    for (name, frame) in all_frames() {
        assert_eq!(decode(&bytes_of(&frame)), Ok(Some(frame)), "{name}");
    }
    for whole in [membership(), replacing(), demoting()] {
        assert_eq!(decode_membership(&encode_membership(&whole)), Ok(whole));
    }
}

#[test]
fn frames_arrive_in_pieces_of_any_size() {
    let frames: Vec<Frame> = all_frames().into_iter().map(|(_, frame)| frame).collect();
    let stream: Vec<u8> = frames.iter().flat_map(|frame| bytes_of(frame).to_vec()).collect();
    for size in [1, 2, 23, 24, 25, 1000, stream.len()] {
        let mut decoder = decoder();
        let mut arrived = Vec::new();
        for piece in stream.chunks(size) {
            decoder.buffer().put_slice(piece);
            while let Some(raw) = decoder.next_frame().expect("a frame") {
                arrived.push(raw.decode().expect("a frame"));
            }
        }
        assert_eq!(arrived, frames);
    }
}

#[test]
fn entries_are_neither_copied_to_be_sent_nor_when_they_arrive() {
    let meta = EntryMeta { term: Term(3), size: 32, kind: EntryKind::Command };
    let message = Message::AppendEntries(AppendEntries {
        term: Term(3),
        prev_log_id: LogId::new(5, 2),
        entries: vec![meta.clone(), meta.clone()],
        commit_index: Index(4),
        round: 0,
    });
    let slices = [Bytes::from(ENTRY.to_vec()), Bytes::from(ENTRY.to_vec())];
    let encoded = encode_message(&message, &slices, 77);
    let sent: Vec<*const u8> = encoded.trailer.iter().map(|slice| slice.as_ptr()).collect();
    assert_eq!(sent, slices.each_ref().map(|slice| slice.as_ptr()));
    assert_eq!(encoded.byte_count(), encoded.head.len() + 64);

    let mut decoder = decoder();
    encoded.slices().for_each(|slice| decoder.buffer().put_slice(slice));
    let arrived = decoder.buffer()[encoded.head.len()..].as_ptr();
    let raw = decoder.next_frame().expect("a frame").expect("all of it");
    assert_eq!(raw.trailer.as_ptr(), arrived);
    let Ok(Frame::Message(PeerMessage { free_log_bytes: 77, content })) = raw.decode() else {
        panic!("another frame");
    };
    let PeerContent::Append(head, entries) = content else { panic!("another message") };
    assert_eq!(entries.as_ptr(), arrived);
    assert!(head.with_entries(vec![meta.clone()]).is_err());
    assert_eq!(head.with_entries(vec![meta.clone(), meta]), Ok(message));
}

/// A frame with a right checksum and whatever header.
fn forged(kind: u8, flags: u8, group: u64, body: &[u8], trailer: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    head.put_u32_le((body.len() + trailer.len()) as u32);
    head.put_u8(kind);
    head.put_u8(flags);
    head.put_u16_le(0);
    head.put_u64_le(group);
    let crc = crc32c::crc32c(&head);
    let mut rest = Vec::new();
    rest.put_u32_le(body.len() as u32);
    rest.put_slice(body);
    head.put_u32_le(crc32c::crc32c_append(crc, &rest));
    [head, rest, trailer.to_vec()].concat()
}

#[test]
fn lengths_are_checked_before_anything_is_allocated() {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&(HELLO_BYTES_MAX as u32 + 1).to_le_bytes());
    let mut stranger = Decoder::new();
    stranger.buffer().put_slice(&header);
    assert!(matches!(
        stranger.next_frame(),
        Err(FrameError::TooLong { limit: HELLO_BYTES_MAX, .. })
    ));
    assert!(stranger.buffer().capacity() < HELLO_BYTES_MAX);

    header[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(decode(&header), Err(WireError::Frame(FrameError::TooLong { .. }))));
    header[..4].copy_from_slice(&9_u32.to_le_bytes());
    header[20..].copy_from_slice(&10_u32.to_le_bytes());
    assert!(matches!(decode(&header), Err(WireError::Frame(FrameError::BodyTooLong { .. }))));
    let long = BODY_BYTES_MAX as u32 + 1;
    header[..4].copy_from_slice(&long.to_le_bytes());
    header[20..].copy_from_slice(&long.to_le_bytes());
    assert!(matches!(decode(&header), Err(WireError::Frame(FrameError::BodyTooLong { .. }))));
}

#[test]
fn a_changed_bit_of_header_or_body_is_found() {
    for (name, frame) in all_frames() {
        let bytes = bytes_of(&frame);
        for bit in 0..frame.encode().head.len() * 8 {
            let mut damaged = bytes.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(decode(&damaged), Ok(Some(_))), "{name}, bit {bit}");
        }
    }
}

#[test]
fn a_changed_bit_of_a_command_is_found() {
    let command = Bytes::from_static(b"beer");
    let request = Request::Write { session: 7, sequence: 1, lowest_unacknowledged: 1, command };
    let bytes = bytes_of(&Frame::Request { id: 1, request });
    for bit in 0..32 {
        let mut damaged = bytes.to_vec();
        let at = damaged.len() - 1 - bit / 8;
        damaged[at] ^= 1 << (bit % 8);
        let invalid = WireError::Invalid {
            kind: Kind::Request,
            what: "a command that was damaged on the way",
        };
        assert_eq!(decode(&damaged), Err(invalid));
    }
}

#[test]
fn a_newer_program_is_told_from_damage() {
    let unsupported = |what, value| Err(WireError::Frame(FrameError::Unsupported { what, value }));
    assert_eq!(decode(&forged(13, 0, 0, &[], &[])), unsupported("kind", 13));
    assert_eq!(decode(&forged(11, 1, 0, &[], &[])), unsupported("flags", 1));
    assert_eq!(decode(&forged(11, 0, 7, &[], &[])), unsupported("group", 7));
    // An empty body: a variant of a newer program, for this one no variant at all.
    for (kind, what) in [(6, "a message"), (7, "a request"), (8, "an answer"), (4, "x")] {
        match decode(&forged(kind, 0, 0, &[], &[])) {
            Err(WireError::Unsupported { what: found, .. }) => {
                assert!(kind == 4 || found == what, "{found}");
            }
            Err(WireError::Invalid { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    // A reason that is not known keeps its words and its outcome (field 1: 1, field 2: "why"),
    // inside of answer 10.
    let reply = [0x52, 7, 0x08, 1, 0x12, 3, b'w', b'h', b'y'];
    let answer = Refusal::not_applied(Reason::Invalid("why".into())).into();
    let expected = Frame::Reply { id: 0, reply: Reply { answer, forwarded_to: None } };
    assert_eq!(decode(&forged(8, 0, 0, &reply, &[])), Ok(Some(expected)));
    // A vote that is not granted in so many words is none (message 5, term 3).
    let response = [0x2a, 2, 0x08, 3];
    assert!(matches!(
        decode(&forged(6, 0, 0, &response, &[])),
        Err(WireError::Unsupported { what: "a reason to refuse a vote", .. })
    ));
    // A field that is not known is skipped (field 15 of a ping).
    let ping = [0x09, 5, 0, 0, 0, 0, 0, 0, 0, 0x78, 1];
    assert_eq!(decode(&forged(11, 0, 0, &ping, &[])), Ok(Some(Frame::Ping { nonce: 5 })));
}

#[test]
fn numbers_that_cannot_be_counted_on_are_refused() {
    for frame in [
        whole(Message::TimeoutNow { term: Term(u64::MAX) }),
        append_response(AppendResult::Match(Index(1 << 62))),
        append_response(AppendResult::Conflict { prev_index: Index(1), hint: LogId::new(0, 1) }),
        vote_refused(VoteRefusal::LeaderAlive { leader: NodeId(0) }),
    ] {
        assert!(matches!(decode(&bytes_of(&frame)), Err(WireError::Invalid { .. })), "{frame:?}");
    }
}

#[test]
fn configurations_that_no_cluster_can_have_are_refused() {
    let refused = |change: &dyn Fn(&mut Membership)| {
        let mut membership = membership();
        change(&mut membership);
        decode_membership(&encode_membership(&membership)).expect_err("no configuration")
    };
    refused(&|m| m.voters.clear());
    refused(&|m| m.old_voters = Some(BTreeSet::new()));
    refused(&|m| m.voters.extend([NodeId(77)]));
    refused(&|m| m.founders = u64::MAX);
    refused(&|m| m.outcomes = vec![m.outcomes[0].clone(); 65]);
    let version = Bytes::from_static(&[2]);
    assert_eq!(
        decode_membership(&version).expect_err("a newer version").to_string(),
        "a configuration entry of version 2 is not known to this version of the program; \
         upgrade it"
    );
    assert!(decode_membership(&Bytes::new()).is_err());
    assert!(decode_membership(&Bytes::from(vec![1; MEMBERSHIP_BYTES_MAX + 1])).is_err());
}

#[test]
fn bytes_from_strangers_are_refused_in_peace() {
    let frames: Vec<Bytes> = all_frames().iter().map(|(_, frame)| bytes_of(frame)).collect();
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let mut bytes: Vec<u8> = match random.below(3) {
            // Noise, noise with a right checksum, and true frames with a changed body.
            0 => (0..random.below(200)).map(|_| random.next_u64() as u8).collect(),
            1 => {
                let body: Vec<u8> = (0..random.below(60)).map(|_| random.below(40) as u8).collect();
                let trailer = vec![1; random.below(70) as usize];
                forged(1 + random.below(12) as u8, 0, 0, &body, &trailer)
            }
            _ => {
                let frame = &frames[random.below(frames.len() as u64) as usize];
                let split = u32::from_le_bytes(frame[20..24].try_into().expect("four")) as usize;
                let (mut body, trailer) = {
                    let (body, trailer) = frame[HEADER_BYTES..].split_at(split);
                    (body.to_vec(), trailer.to_vec())
                };
                let length = body.len() as u64;
                for _ in 0..random.below(4) {
                    if let Some(byte) = body.get_mut(random.below(length) as usize) {
                        *byte = random.next_u64() as u8;
                    }
                }
                forged(frame[4], 0, 0, &body, &trailer)
            }
        };
        let mut decoder = Decoder::new();
        decoder.buffer().put_slice(&bytes);
        while let Ok(Some(raw)) = decoder.next_frame() {
            // What is understood can be said again and means the same.
            if let Ok(frame) = raw.decode() {
                assert_eq!(decode(&bytes_of(&frame)), Ok(Some(frame)), "seed {seed}");
            }
        }
        assert!(decoder.buffer().capacity() <= 2 * (HELLO_BYTES_MAX + HEADER_BYTES), "seed {seed}");
        bytes.insert(0, 1);
        if let Ok(membership) = decode_membership(&Bytes::from(bytes)) {
            assert!(decode_membership(&encode_membership(&membership)).is_ok(), "seed {seed}");
        }
    }
}
