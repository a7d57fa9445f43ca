//! What arrives on wires.

use raft_core::{AppendResult, Index, Message, VoteRefusal, VoteResponse};
use raft_node::client_core::{Op, Success};
use raft_node::hello::{HelloReason, Role};
use raft_node::replica::SnapshotAnswer;
use raft_node::wire::{AppendHead, Frame, PeerContent};
use raft_node::{Answer, ClientError, Fate, ReadAnswer, Reason, Refusal, Request};
use raft_store::MESSAGE_FORMAT;

use super::Observer;
use crate::network::Place;
use crate::probes::Probe;
use crate::trace::What;

impl Observer {
    /// A frame arrived.
    pub fn received(&mut self, from: Place, to: Place, frame: &Frame) {
        if self.is_telling() {
            let Words { text, brief, idle } = words(frame);
            self.tell(|| What::Frame { from, to, text, brief, idle });
        }
        match frame {
            Frame::Hello(hello) => self.reach(match hello.role {
                Role::Peer => Probe::HelloPeer,
                Role::Client => Probe::HelloClient,
                Role::Founder => Probe::HelloFounder,
                Role::Admission => Probe::HelloAdmission,
                Role::Snapshot => Probe::HelloSnapshot,
            }),
            Frame::Welcome(_) => self.reach(Probe::Welcomed),
            Frame::Refused(refused) => self.hello_refused(&refused.reason),
            Frame::Founding(_) => self.reach(Probe::FoundingReport),
            Frame::Admit(_) => self.reach(Probe::Admitted),
            Frame::Message(_) => {}
            Frame::Request { request, .. } => self.request(request),
            Frame::Reply { reply, .. } => self.answer(&reply.answer),
            Frame::Forward { .. } => self.reach(Probe::Forwarded),
            Frame::ForwardReply { reply, .. } => self.forward_answered(&reply.answer),
            Frame::Ping { .. } => self.reach(Probe::Pinged),
            Frame::Pong { .. } => self.reach(Probe::Ponged),
            Frame::SnapshotOffer { .. } => self.reach(Probe::SnapshotOffered),
            Frame::SnapshotWant { offset: 0 } => self.reach(Probe::SnapshotBegun),
            Frame::SnapshotWant { .. } => self.reach(Probe::SnapshotGoesOn),
            Frame::SnapshotChunk { .. } => {}
            Frame::SnapshotAnswer(answer) => self.reach(match answer {
                SnapshotAnswer::Installed => Probe::SnapshotInstalled,
                SnapshotAnswer::NotNewer { .. } => Probe::SnapshotNotNewer,
                SnapshotAnswer::StaleTerm { .. } => Probe::SnapshotStale,
                SnapshotAnswer::NoRoom(_) => Probe::SnapshotNoRoom,
                SnapshotAnswer::Useless(_) => Probe::SnapshotUseless,
            }),
        }
    }

    /// A client is told how something ended that it wanted.
    pub fn answered(&mut self, client: usize, op: &Op, result: &Result<Box<Success>, ClientError>) {
        let hash = self.hash();
        match op {
            Op::Write(command) => {
                hash.text(format_args!("{client} Write"));
                hash.bytes(command);
            }
            other => hash.text(format_args!("{client} {other:?}")),
        }
        hash.text(format_args!("{result:?}"));
        self.tell(|| {
            let wanted = match op {
                Op::Write(command) => format!("for {}", start_of(command)),
                other => format!("for {other:?}"),
            };
            let text = match result {
                Ok(success) => format!("{} {wanted}", answer_words(&success.answer)),
                Err(error) => format!("{:?} {wanted}: {}", error.outcome, error.what),
            };
            What::Answered { client, text }
        });
    }

    fn hello_refused(&mut self, reason: &HelloReason) {
        self.reach(match reason {
            HelloReason::WrongCluster => Probe::RefusedCluster,
            HelloReason::WrongNode { .. } => Probe::RefusedNode,
            HelloReason::Removed { .. } => Probe::RefusedRemoved,
            HelloReason::IncarnationMismatch { .. } => Probe::RefusedIncarnation,
            HelloReason::EpochRegressed { .. } => Probe::RefusedRegressed,
            HelloReason::DuplicateIdentity { .. } => Probe::RefusedDuplicate,
            HelloReason::New => Probe::RefusedNew,
            HelloReason::AcceptorRemoved { .. } => Probe::RefusedByRemoved,
            HelloReason::Unsupported { .. } | HelloReason::Itself | HelloReason::Invalid(_) => {
                return;
            }
        });
    }

    fn request(&mut self, request: &Request) {
        match request {
            Request::Write { session, sequence, .. }
                if !self.writes.insert((*session, *sequence)) =>
            {
                self.reach(Probe::WriteRepeated);
            }
            Request::Register { one_shot: true } => self.reach(Probe::RegisteredOnce),
            _ => {}
        }
    }

    fn answer(&mut self, answer: &Answer) {
        match answer {
            Answer::Registered { .. } => self.reach(Probe::Registered),
            Answer::Written { .. } => self.reach(Probe::Written),
            Answer::SessionEnded => self.reach(Probe::SessionEnded),
            Answer::Members(_) => self.reach(Probe::MembersAsked),
            Answer::Read(ReadAnswer { stale: false, .. }) => self.reach(Probe::ReadConfirmed),
            Answer::Read(ReadAnswer { stale: true, .. }) => self.reach(Probe::ReadLocally),
            Answer::Snapshot { .. } => self.reach(Probe::SnapshotAsked),
            Answer::Status(_) | Answer::Recent(_) | Answer::Why(_) => {
                self.reach(Probe::StatusAsked)
            }
            Answer::Fate(Fate::Applied { .. }) => self.reach(Probe::ResultApplied),
            Answer::Fate(Fate::Withdrawn { .. }) => self.reach(Probe::ResultWithdrawn),
            Answer::Fate(Fate::Forgotten | Fate::Expired) => {}
            // Counted where a client is told.
            Answer::Changed(_) | Answer::Transferred { .. } => {}
            Answer::Refused(refusal) => self.request_refused(&refusal.reason),
        }
    }

    /// Whoever sent a write twice over different ways waits on one of them only: that the other copy
    /// came too late is known to the member that passed it on, and to nobody else.
    fn forward_answered(&mut self, answer: &Answer) {
        self.reach(Probe::ForwardAnswered);
        if let Answer::Refused(Refusal { reason: Reason::AnswerForgotten { .. }, .. }) = answer {
            self.reach(Probe::RefusedForgotten);
        }
    }

    fn request_refused(&mut self, reason: &Reason) {
        self.reach(match reason {
            Reason::NoLeader => Probe::RefusedNoLeader,
            Reason::NotLeader { .. } => Probe::RefusedNotLeader,
            Reason::LeaderLost => Probe::RefusedLeaderLost,
            Reason::Busy { .. } => Probe::RefusedBusy,
            Reason::SessionExpired { .. } => Probe::RefusedExpired,
            Reason::AnswerForgotten { .. } => Probe::RefusedForgotten,
            Reason::ChangeInProgress => Probe::RefusedChanging,
            Reason::LeaderTooYoung => Probe::RefusedYoung,
            Reason::HandingOver { .. } => Probe::RefusedHandingOver,
            Reason::NoNewQuorum { .. } => Probe::RefusedNoQuorum,
            Reason::NotMember { .. } => Probe::RefusedNotMember,
            Reason::LastMember => Probe::RefusedLastMember,
            Reason::NotVoter { .. } => Probe::RefusedNotVoter,
            Reason::AddressTaken { .. } => Probe::RefusedAddressTaken,
            Reason::Unreachable { .. } => Probe::RefusedUnreachable,
            Reason::Removed { .. } => Probe::RefusedServerRemoved,
            Reason::NotReady => Probe::RefusedNotReady,
            Reason::ShuttingDown => Probe::RefusedStopping,
            Reason::Full { .. } => Probe::RefusedFull,
            // The first is counted where a client is told, and the next two are told to nobody.
            Reason::DiskFull
            | Reason::SessionLimit
            | Reason::Withdrawn { .. }
            | Reason::TooLarge { .. }
            | Reason::HostlessCluster { .. }
            | Reason::Invalid(_) => return,
        });
    }
}

/// What a frame says.
struct Words {
    text: String,
    brief: String,
    /// Only that its sender is there.
    idle: bool,
}

impl Words {
    fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { brief: text.clone(), text, idle: false }
    }

    fn idle(text: impl Into<String>) -> Self {
        Self { idle: true, ..Self::new(text) }
    }
}

fn words(frame: &Frame) -> Words {
    match frame {
        Frame::Hello(hello) => Words::idle(format!("Hello as {:?}", hello.role)),
        Frame::Welcome(_) => Words::idle("Welcome"),
        Frame::Refused(refused) => Words::new(format!("Refused {:?}", refused.reason)),
        Frame::Founding(_) => Words::new("Founding"),
        Frame::Admit(admit) => Words::new(format!("Admit {}", admit.id)),
        Frame::Message(message) => match &message.content {
            PeerContent::Whole(message) => Words {
                text: message.to_string(),
                brief: brief(message),
                idle: matches!(message, Message::AppendEntries(_)),
            },
            PeerContent::Append(head, _) => append(head),
        },
        Frame::Request { request, .. } => Words::new(asked(request)),
        Frame::Forward { request, .. } => Words::new(format!("Forward {}", asked(request))),
        Frame::Reply { reply, .. } => Words::new(answer_words(&reply.answer)),
        Frame::ForwardReply { reply, .. } => {
            Words::new(format!("ForwardReply {}", answer_words(&reply.answer)))
        }
        Frame::SnapshotOffer { info, .. } => Words::new(format!("SnapshotOffer {}", info.id)),
        Frame::SnapshotWant { offset } => Words::idle(format!("SnapshotWant {offset}")),
        Frame::SnapshotChunk { offset, .. } => Words::idle(format!("SnapshotChunk {offset}")),
        Frame::SnapshotAnswer(answer) => Words::new(format!("SnapshotAnswer {answer:?}")),
        Frame::Ping { .. } => Words::idle("Ping"),
        Frame::Pong { .. } => Words::idle("Pong"),
    }
}

fn append(head: &AppendHead) -> Words {
    let first = head.prev_log_id.index.next();
    let last = Index(head.prev_log_id.index.0 + u64::from(head.count));
    let range = if first == last { first.to_string() } else { format!("{first}..{last}") };
    let (term, prev) = (head.term, head.prev_log_id);
    let text =
        format!("AppendEntries term={term} prev={prev} [{range}] commit={}", head.commit_index);
    Words { text, brief: format!("AppendEntries {range}@{term}"), idle: head.count == 0 }
}

/// A message, in the words of the paper and few of them.
fn brief(message: &Message) -> String {
    let verdict = |what: &str, answer: &VoteResponse| match answer.refusal {
        None => format!("{what} granted, t{}", answer.term),
        Some(VoteRefusal::StaleTerm) => format!("{what} refused: t{}", answer.term),
        Some(VoteRefusal::AlreadyVoted { candidate }) => format!("{what} refused: {candidate}'s"),
        Some(VoteRefusal::LogBehind { last_log_id }) => format!("{what} refused: {last_log_id}"),
        Some(VoteRefusal::LeaderAlive { leader }) => format!("{what} refused: {leader} leads"),
    };
    match message {
        Message::PreVote(ask) => format!("PreVote t{} {}", ask.term, ask.last_log_id),
        Message::RequestVote(ask) => format!("RequestVote t{} {}", ask.term, ask.last_log_id),
        Message::PreVoteResponse(answer) => verdict("pre-vote", answer),
        Message::RequestVoteResponse(answer) => verdict("vote", answer),
        Message::AppendEntries(append) => format!("heartbeat t{}", append.term),
        Message::AppendEntriesResponse(answer) => match answer.result {
            AppendResult::Match(index) => format!("match {index}, t{}", answer.term),
            AppendResult::Conflict { prev_index, hint } => {
                format!("conflict {prev_index}, has {hint}")
            }
            AppendResult::StaleTerm => format!("stale term, t{}", answer.term),
        },
        Message::TimeoutNow { term } => format!("TimeoutNow t{term}"),
        Message::ReadIndex(_) | Message::ReadIndexResponse(_) => message.to_string(),
    }
}

fn asked(request: &Request) -> String {
    match request {
        Request::Write { session, sequence, command, .. } => {
            format!("Write {session}/{sequence} {}", start_of(command))
        }
        Request::Register { .. } => "Register".into(),
        other => format!("{other:?}"),
    }
}

/// A command, as far as it takes to know it again.
fn start_of(command: &[u8]) -> String {
    let text = command.strip_prefix(&[MESSAGE_FORMAT]).unwrap_or(command);
    format!("{:?}", String::from_utf8_lossy(text).chars().take(16).collect::<String>())
}

fn answer_words(answer: &Answer) -> String {
    match answer {
        Answer::Written { at, .. } => format!("Written {at}"),
        Answer::Registered { session } => format!("Registered {session}"),
        Answer::Refused(refusal) => format!("Refused {:?}, {:?}", refusal.reason, refusal.outcome),
        Answer::Members(_) => "Members".into(),
        Answer::Status(_) => "Status".into(),
        Answer::Recent(_) => "Recent".into(),
        Answer::Why(_) => "Why".into(),
        other => format!("{other:?}"),
    }
}
