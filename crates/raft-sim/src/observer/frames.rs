//! What arrives on wires.

use raft_core::{Index, Message};
use raft_node::hello::{HelloReason, Role};
use raft_node::wire::{Frame, PeerContent};
use raft_node::{Answer, Reason, Request};

use super::Observer;
use crate::network::Place;
use crate::probes::Probe;
use crate::trace::What;

impl Observer {
    /// A frame arrived.
    pub fn received(&mut self, from: Place, to: Place, frame: &Frame) {
        if self.is_telling() {
            let (text, idle) = words(frame);
            self.tell(|| What::Frame { from, to, text, idle });
        }
        match frame {
            Frame::Hello(hello) => self.reach(match hello.role {
                Role::Peer => Probe::HelloPeer,
                Role::Client => Probe::HelloClient,
                Role::Founder => Probe::HelloFounder,
                Role::Admission => Probe::HelloAdmission,
            }),
            Frame::Welcome(_) => self.reach(Probe::Welcomed),
            Frame::Refused(refused) => self.hello_refused(&refused.reason),
            Frame::Founding(_) => self.reach(Probe::FoundingReport),
            Frame::Admit(_) => self.reach(Probe::Admitted),
            Frame::Message(_) => {}
            Frame::Request { request, .. } => self.request(request),
            Frame::Reply { reply, .. } => self.answer(&reply.answer),
            Frame::Forward { .. } => self.reach(Probe::Forwarded),
            Frame::ForwardReply { .. } => self.reach(Probe::ForwardAnswered),
            Frame::Ping { .. } => self.reach(Probe::Pinged),
            Frame::Pong { .. } => self.reach(Probe::Ponged),
        }
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
            Answer::Status(_) | Answer::Recent(_) => self.reach(Probe::StatusAsked),
            // Counted where a client is told.
            Answer::Changed(_) | Answer::Transferred { .. } => {}
            Answer::Refused(refusal) => self.request_refused(&refusal.reason),
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
            Reason::SessionLimit => Probe::RefusedSessionLimit,
            Reason::ChangeInProgress => Probe::RefusedChanging,
            Reason::LeaderTooYoung => Probe::RefusedYoung,
            Reason::HandingOver { .. } => Probe::RefusedHandingOver,
            Reason::NoNewQuorum { .. } => Probe::RefusedNoQuorum,
            Reason::NotMember { .. } => Probe::RefusedNotMember,
            Reason::LastMember => Probe::RefusedLastMember,
            Reason::AddressTaken { .. } => Probe::RefusedTaken,
            Reason::Unreachable { .. } => Probe::RefusedUnreachable,
            Reason::Removed { .. } => Probe::RefusedServerRemoved,
            Reason::NotReady => Probe::RefusedNotReady,
            Reason::ShuttingDown => Probe::RefusedStopping,
            Reason::DiskFull
            | Reason::TooLarge { .. }
            | Reason::HostlessCluster { .. }
            | Reason::Invalid(_) => return,
        });
    }
}

/// What a frame says, and whether it says only that its sender is there.
fn words(frame: &Frame) -> (String, bool) {
    match frame {
        Frame::Hello(hello) => (format!("Hello as {:?}", hello.role), false),
        Frame::Welcome(_) => ("Welcome".into(), false),
        Frame::Refused(refused) => (format!("Refused {:?}", refused.reason), false),
        Frame::Founding(_) => ("Founding".into(), false),
        Frame::Admit(admit) => (format!("Admit {}", admit.id), false),
        Frame::Message(message) => match &message.content {
            PeerContent::Whole(message) => {
                let idle = match message {
                    Message::AppendEntries(append) => append.entries.is_empty(),
                    Message::AppendEntriesResponse(_) => true,
                    _ => false,
                };
                (message.to_string(), idle)
            }
            PeerContent::Append(head, _) => {
                let first = head.prev_log_id.index.next();
                let last = Index(head.prev_log_id.index.0 + u64::from(head.count));
                let range =
                    if first == last { first.to_string() } else { format!("{first}..{last}") };
                let text = format!(
                    "AppendEntries {range} after {} term={} commit={}",
                    head.prev_log_id, head.term, head.commit_index
                );
                (text, head.count == 0)
            }
        },
        Frame::Request { request, .. } => (asked(request), false),
        Frame::Forward { request, .. } => (format!("Forward {}", asked(request)), false),
        Frame::Reply { reply, .. } => (answered(&reply.answer), false),
        Frame::ForwardReply { reply, .. } => {
            (format!("ForwardReply {}", answered(&reply.answer)), false)
        }
        Frame::Ping { .. } => ("Ping".into(), true),
        Frame::Pong { .. } => ("Pong".into(), true),
    }
}

fn asked(request: &Request) -> String {
    match request {
        Request::Write { session, sequence, command, .. } => {
            let text = String::from_utf8_lossy(command);
            let short: String = text.chars().take(16).collect();
            format!("Write {session}/{sequence} {short:?}")
        }
        Request::Register { .. } => "Register".into(),
        other => format!("{other:?}"),
    }
}

fn answered(answer: &Answer) -> String {
    match answer {
        Answer::Written { at, .. } => format!("Written {at}"),
        Answer::Registered { session } => format!("Registered {session}"),
        Answer::Refused(refusal) => format!("Refused {:?}, {:?}", refusal.reason, refusal.outcome),
        Answer::Members(_) => "Members".into(),
        Answer::Status(_) => "Status".into(),
        Answer::Recent(_) => "Recent".into(),
        other => format!("{other:?}"),
    }
}
