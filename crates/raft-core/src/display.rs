//! One line for everything that goes in or comes out: golden scripts, logs and the flight
//! recorder all show these.

use core::fmt;

use crate::input::{Input, Lane};
use crate::membership::{Change, ChangeOutcome, ChangeRefused, JobKind, Membership};
use crate::message::{
    AppendResult, Message, ReadIndexResponse, ReadRefused, RequestVote, VoteRefusal, VoteResponse,
};
use crate::output::{Output, Persist, ProposeRefused, RoleKind, SnapshotRefused, Status};
use crate::types::{EntryKind, EntryMeta, NodeId};

/// Writes "none" for nothing.
struct OrNone<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for OrNone<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("none"),
        }
    }
}

/// ` round=3`, and nothing where nobody reads.
struct Round(u64);

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, " round={}", self.0) }
    }
}

/// `[n1 n2]`
struct Ids<I>(I);

impl<I: Iterator<Item = NodeId> + Clone> fmt::Display for Ids<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, id) in self.0.clone().enumerate() {
            let gap = if i == 0 { "" } else { " " };
            write!(f, "{gap}{id}")?;
        }
        f.write_str("]")
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timer => f.write_str("timer"),
            Self::Receive { from, message } => write!(f, "← {from}  {message}"),
            Self::Persisted(ticket) => write!(f, "persisted {ticket}"),
            Self::Applied(index) => write!(f, "applied ..{index}"),
            Self::Propose { sizes } => write!(f, "propose {}", sizes.len()),
            Self::Read { requests } => write!(f, "read {}", requests.len()),
            Self::ChangeMembership { request, change } => write!(f, "change {change} {request}"),
            Self::TransferLeadership { to } => write!(f, "transfer to {}", OrNone(*to)),
            Self::Link { peer, lane, up } => {
                let lane = if *lane == Lane::Outbound { "outbound" } else { "inbound" };
                write!(f, "link {peer} {lane} {}", if *up { "up" } else { "down" })
            }
            Self::Refused { peer } => write!(f, "refused {peer}"),
            Self::Writable { peer, writable } => {
                write!(f, "{} {peer}", if *writable { "writable" } else { "full" })
            }
            Self::Sent { peer, through, bytes } => write!(f, "sent {peer} ..{through}+{bytes}"),
            Self::LogRead { request, entries } => write!(f, "read {request} {}", entries.len()),
            Self::Compacted { through } => write!(f, "compacted ..{through}"),
            Self::SnapshotTaken { peer } => write!(f, "snapshot taken {peer}"),
            Self::SnapshotSent { peer, through } => write!(f, "snapshot sent {peer} ..{through}"),
            Self::SnapshotFailed { peer } => write!(f, "snapshot failed {peer}"),
            Self::InstallSnapshot { from, term, snapshot } => {
                write!(f, "← {from}  snapshot term={term} ..{}", snapshot.at)
            }
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PreVote(request) => write!(f, "PreVote {request}"),
            Self::PreVoteResponse(response) => write!(f, "PreVoteResponse {response}"),
            Self::RequestVote(request) => write!(f, "RequestVote {request}"),
            Self::RequestVoteResponse(response) => write!(f, "RequestVoteResponse {response}"),
            Self::AppendEntries(append) => {
                let (term, prev) = (append.term, append.prev_log_id);
                write!(f, "AppendEntries term={term} prev={prev} [")?;
                for (i, entry) in append.entries.iter().enumerate() {
                    let index = prev.index.0 + 1 + i as u64;
                    write!(f, "{}{index}@{}", if i == 0 { "" } else { " " }, entry.term)?;
                }
                write!(f, "] commit={}{}", append.commit_index, Round(append.round))
            }
            Self::AppendEntriesResponse(response) => write!(
                f,
                "AppendEntriesResponse term={} {} last={} commit={}{}",
                response.term,
                response.result,
                response.last_index,
                response.commit_index,
                Round(response.round)
            ),
            Self::TimeoutNow { term } => write!(f, "TimeoutNow term={term}"),
            Self::ReadIndex(asked) => {
                write!(f, "ReadIndex term={} request={}", asked.term, asked.request)
            }
            Self::ReadIndexResponse(ReadIndexResponse { term, request, result }) => {
                write!(f, "ReadIndexResponse term={term} request={request} ")?;
                match result {
                    Ok(index) => write!(f, "index={index}"),
                    Err(refused) => write!(f, "refused: {refused}"),
                }
            }
        }
    }
}

impl fmt::Display for RequestVote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "term={} last={}", self.term, self.last_log_id)?;
        f.write_str(if self.transfer { " transfer" } else { "" })
    }
}

impl fmt::Display for VoteResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.refusal {
            None => write!(f, "term={} granted", self.term),
            Some(refusal) => write!(f, "term={} refused: {refusal}", self.term),
        }
    }
}

impl fmt::Display for VoteRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StaleTerm => f.write_str("stale term"),
            Self::AlreadyVoted { candidate } => write!(f, "already voted for {candidate}"),
            Self::LogBehind { last_log_id } => write!(f, "log behind {last_log_id}"),
            Self::LeaderAlive { leader } => write!(f, "leader {leader} is alive"),
        }
    }
}

impl fmt::Display for AppendResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Match(index) => write!(f, "match={index}"),
            Self::Conflict { prev_index, hint } => write!(f, "conflict={prev_index} hint={hint}"),
            Self::StaleTerm => f.write_str("stale term"),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send { to, message } => write!(f, "→ {to}  {message}"),
            Self::Persist(persist) => persist.fmt(f),
            Self::Proposed { first, count } => write!(f, "proposed {first} count={count}"),
            Self::ProposeRefused(refused) => write!(f, "propose refused: {refused}"),
            Self::ReadReady { request, index } => write!(f, "read {request} ready at {index}"),
            Self::ReadRefused { request, why } => write!(f, "read {request} refused: {why}"),
            Self::Appended { at, entry } => write!(f, "append {at} {}", entry.kind),
            Self::Received { first, last } => write!(f, "receive {first}..{last}"),
            Self::Apply { through } => write!(f, "apply ..{through}"),
            Self::ReadLog { request, peer, first, last, .. } => {
                write!(f, "read log {request} for {peer} {first}..{last}")
            }
            Self::SendSnapshot { peer, at_least, term } => {
                write!(f, "→ {peer}  snapshot term={term} at least {at_least}")
            }
            Self::SnapshotInstalled { at, kept } => {
                write!(f, "installed {at}{}", if *kept { ", log kept" } else { "" })
            }
            Self::SnapshotRefused { at, why } => write!(f, "snapshot {at} refused: {why}"),
            Self::RoleChanged { role, term, leader } => {
                write!(f, "{role} term={term} leader={}", OrNone(*leader))
            }
            Self::MembershipChanged { index, membership } => {
                write!(f, "membership {index} {membership}")
            }
            Self::ChangeEnded { request, result: Ok(outcome) } => {
                write!(f, "change ended {request}: {outcome}")
            }
            Self::ChangeEnded { request, result: Err(refused) } => {
                write!(f, "change refused {request}: {refused}")
            }
            Self::ChangeUnknown { request, leader } => {
                write!(f, "change unknown {request} leader={}", OrNone(*leader))
            }
            Self::TransferEnded { to } => write!(f, "transfer ended to={}", OrNone(*to)),
            Self::Removed { at } => write!(f, "removed at {at}"),
            Self::Alarm { peer, what } => write!(f, "alarm {peer} {what}"),
        }
    }
}

impl fmt::Display for Persist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "persist {}", self.ticket)?;
        if let Some(state) = self.hard_state {
            write!(f, " {state}")?;
        }
        if let Some(at) = self.reset {
            write!(f, " reset {at}")?;
        }
        if let Some(from) = self.truncate_from {
            write!(f, " truncate {from}..")?;
        }
        if self.first <= self.last {
            write!(f, " entries {}..{}", self.first, self.last)?;
        }
        Ok(())
    }
}

impl fmt::Display for ReadRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader } => write!(f, "not leader, leader={}", OrNone(*leader)),
            Self::HandingOver { to } => write!(f, "handing over to {to}"),
        }
    }
}

impl fmt::Display for ProposeRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader } => write!(f, "not leader, leader={}", OrNone(*leader)),
            Self::HandingOver { to } => write!(f, "handing over to {to}"),
        }
    }
}

impl fmt::Display for SnapshotRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNewer { commit_index } => write!(f, "committed ..{commit_index}"),
            Self::StaleTerm { term } => write!(f, "stale term, now {term}"),
            Self::Senseless => f.write_str("senseless"),
        }
    }
}

impl fmt::Display for RoleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Follower => "follower",
            Self::PreCandidate => "pre-candidate",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        })
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noop => f.write_str("noop"),
            Self::Command => f.write_str("command"),
            Self::Membership(membership) => membership.fmt(f),
        }
    }
}

impl fmt::Display for EntryMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{} {}", self.term, self.kind)
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "voters={}", Ids(self.voters.iter().copied()))?;
        if let Some(old) = &self.old_voters {
            write!(f, " old={}", Ids(old.iter().copied()))?;
        }
        let learners = self.members.keys().copied().filter(|&id| !self.is_voter(id));
        if learners.clone().next().is_some() {
            write!(f, " learners={}", Ids(learners))?;
        }
        match self.job.as_ref().map(|job| job.kind) {
            Some(JobKind::Promote(id)) => write!(f, " job=promote {id}"),
            Some(JobKind::Remove(id)) => write!(f, " job=remove {id}"),
            Some(JobKind::Demote(id)) => write!(f, " job=demote {id}"),
            Some(JobKind::Replace { old, new }) => write!(f, " job=replace {old} by {new}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(member) => write!(f, "add {}", member.address),
            Self::Remove(id) => write!(f, "remove {id}"),
            Self::Demote(id) => write!(f, "demote {id}"),
            Self::Replace { old, new } => write!(f, "replace {old} by {}", new.address),
            Self::Update { id, member } => write!(f, "update {id} {}", member.address),
        }
    }
}

impl fmt::Display for ChangeOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { id, address } => write!(f, "added {id} {address}"),
            Self::Removed { id, address } => write!(f, "removed {id} {address}"),
            Self::Demoted { id, address } => write!(f, "demoted {id} {address}"),
            Self::Updated { id, address } => write!(f, "updated {id} {address}"),
            Self::Replaced { id, address, old, old_address } => {
                write!(f, "replaced {old} {old_address} by {id} {address}")
            }
            Self::Undone { id, address } => write!(f, "undone {id} {address}"),
        }
    }
}

impl fmt::Display for ChangeRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader } => write!(f, "not leader, leader={}", OrNone(*leader)),
            Self::ChangeInProgress { request } => write!(f, "change in progress {request}"),
            Self::LeaderTooYoung => f.write_str("leader too young"),
            Self::HandingOver { to } => write!(f, "handing over to {to}"),
            Self::NoNewQuorum { silent } => {
                write!(f, "no new quorum, silent={}", Ids(silent.iter().copied()))
            }
            Self::AlreadyMember { id } => write!(f, "already member {id}"),
            Self::AddressTaken { id } => write!(f, "address taken by {id}"),
            Self::NotMember => f.write_str("not a member"),
            Self::NotVoter => f.write_str("no voter"),
            Self::OtherIncarnation { id } => write!(f, "{id} has another incarnation"),
            Self::LastMember => f.write_str("last member"),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leader = OrNone(self.leader);
        write!(f, "{} {} term={} leader={leader}", self.id, self.role, self.term)?;
        write!(f, " last={} durable={}", self.last_log_id, self.durable_index)?;
        write!(f, " commit={}", self.commit_index)?;
        for peer in &self.peers {
            let (id, up) = (peer.id, if peer.connected { "" } else { " down" });
            write!(f, " {id}[match={} next={}{up}]", peer.match_index, peer.next_index)?;
        }
        match self.handing_over {
            Some(to) => write!(f, " handing over to {to}"),
            None => Ok(()),
        }
    }
}
