//! How things look in a script.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use raft_core::{
    AppendEntries, AppendEntriesResponse, AppendResult, ChangeOutcome, ChangeRefused, EntryKind,
    EntryMeta, JobKind, LogId, Membership, Message, NodeId, Output, Persist, ProposeRefused,
    RequestVote, RoleKind, VoteRefusal, VoteResponse,
};

use super::node::{Entry, Node};

pub(crate) fn list(ids: &BTreeSet<NodeId>) -> String {
    if ids.is_empty() {
        return "none".to_owned();
    }
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

pub(crate) fn optional(id: Option<NodeId>) -> String {
    id.map_or_else(|| "none".to_owned(), |id| id.to_string())
}

pub(crate) const fn role(role: RoleKind) -> &'static str {
    match role {
        RoleKind::Follower => "follower",
        RoleKind::PreCandidate => "pre-candidate",
        RoleKind::Candidate => "candidate",
        RoleKind::Leader => "leader",
    }
}

pub(crate) fn membership(membership: &Membership) -> String {
    let mut text = format!("voters={}", list(&membership.voters));
    if let Some(old) = &membership.old_voters {
        let _ = write!(text, " old={}", list(old));
    }
    let learners: BTreeSet<NodeId> = learners(membership);
    if !learners.is_empty() {
        let _ = write!(text, " learners={}", list(&learners));
    }
    if let Some(job) = &membership.job {
        let _ = match job.kind {
            JobKind::Promote(id) => write!(text, " job=promote({id})"),
            JobKind::Remove(id) => write!(text, " job=remove({id})"),
        };
    }
    text
}

pub(crate) fn learners(membership: &Membership) -> BTreeSet<NodeId> {
    let votes = |id: &NodeId| {
        membership.voters.contains(id)
            || membership.old_voters.as_ref().is_some_and(|old| old.contains(id))
    };
    membership.members.keys().filter(|id| !votes(id)).copied().collect()
}

/// The terms of a log, one number an entry; `n` marks a no-op, `m` a configuration.
pub(crate) fn log(entries: &[Entry]) -> String {
    let mut tokens: Vec<(String, usize)> = Vec::new();
    for entry in entries {
        let kind = match entry.meta.kind {
            EntryKind::Noop => "n",
            EntryKind::Command => "",
            EntryKind::Membership(_) => "m",
        };
        let token = format!("{}{kind}", entry.meta.term);
        match tokens.last_mut() {
            Some((last, count)) if *last == token => *count += 1,
            _ => tokens.push((token, 1)),
        }
    }
    let words = tokens.into_iter().map(|(token, count)| {
        if count > 12 { format!("{token}x{count}") } else { vec![token; count].join(" ") }
    });
    words.collect::<Vec<_>>().join(" ")
}

pub(crate) fn status(node: &Node) -> String {
    let Some(raft) = &node.raft else { return format!("{} down", node.id()) };
    let status = raft.status();
    let mut text = format!(
        "{} {} term={} leader={} last={} durable={} commit={} applied={}",
        status.id,
        role(status.role),
        status.term,
        optional(status.leader),
        status.last_log_id,
        status.durable_index,
        status.commit_index,
        node.applied,
    );
    if let Some(to) = status.handing_over {
        let _ = write!(text, " handing over to {to}");
    }
    for peer in status.peers {
        let _ = write!(text, "\n   {} match={} next={}", peer.id, peer.match_index, peer.next_index);
        if !peer.connected {
            text.push_str(" not connected");
        }
    }
    text
}

fn span(first: LogId, last: LogId) -> String {
    if first == last { format!("{first}") } else { format!("{}..{last}", first.index) }
}

/// The entries after `prev` as `3@1 4..7@2`.
fn entries(prev: LogId, entries: &[EntryMeta]) -> String {
    let mut spans: Vec<(LogId, LogId)> = Vec::new();
    for (entry, index) in entries.iter().zip(prev.index.0 + 1..) {
        let at = LogId::new(index, entry.term.0);
        match spans.last_mut() {
            Some((_, last)) if last.term == at.term => *last = at,
            _ => spans.push((at, at)),
        }
    }
    spans.into_iter().map(|(first, last)| span(first, last)).collect::<Vec<_>>().join(" ")
}

fn request(name: &str, request: &RequestVote) -> String {
    let transfer = if request.transfer { " transfer" } else { "" };
    format!("{name} term={} last={}{transfer}", request.term, request.last_log_id)
}

fn verdict(name: &str, response: &VoteResponse) -> String {
    let verdict = match response.refusal {
        None => "granted".to_owned(),
        Some(VoteRefusal::StaleTerm) => "refused, stale term".to_owned(),
        Some(VoteRefusal::AlreadyVoted { candidate }) => format!("refused, voted for {candidate}"),
        Some(VoteRefusal::LogBehind { last_log_id }) => format!("refused, behind {last_log_id}"),
        Some(VoteRefusal::LeaderAlive { leader }) => format!("refused, {leader} leads"),
    };
    format!("{name} term={} {verdict}", response.term)
}

fn append(append: &AppendEntries) -> String {
    let (term, prev, commit) = (append.term, append.prev_log_id, append.commit_index);
    if append.entries.is_empty() {
        return format!("AppendEntries term={term} prev={prev} commit={commit} heartbeat");
    }
    let entries = entries(prev, &append.entries);
    format!("AppendEntries term={term} prev={prev} commit={commit} entries=[{entries}]")
}

fn append_response(response: &AppendEntriesResponse) -> String {
    let result = match response.result {
        AppendResult::Match(index) => format!("match={index}"),
        AppendResult::Conflict { prev_index, hint } => {
            format!("conflict at {prev_index} hint={hint}")
        }
        AppendResult::StaleTerm => "stale term".to_owned(),
    };
    let (term, last, commit) = (response.term, response.last_index, response.commit_index);
    format!("AppendEntriesResponse term={term} {result} last={last} commit={commit}")
}

pub(crate) fn message(message: &Message) -> String {
    match message {
        Message::PreVote(m) => request("PreVote", m),
        Message::PreVoteResponse(m) => verdict("PreVoteResponse", m),
        Message::RequestVote(m) => request("RequestVote", m),
        Message::RequestVoteResponse(m) => verdict("RequestVoteResponse", m),
        Message::AppendEntries(m) => append(m),
        Message::AppendEntriesResponse(m) => append_response(m),
        Message::TimeoutNow { term } => format!("TimeoutNow term={term}"),
    }
}

fn persist(persist: &Persist) -> String {
    let mut text = format!("persist {}", persist.ticket);
    if let Some(hard_state) = persist.hard_state {
        let _ = write!(text, " {hard_state}");
    }
    if let Some(from) = persist.truncate_from {
        let _ = write!(text, " truncate={from}..");
    }
    if persist.first == persist.last {
        let _ = write!(text, " entries={}", persist.first);
    } else if persist.first < persist.last {
        let _ = write!(text, " entries={}..{}", persist.first, persist.last);
    }
    text
}

fn outcome(outcome: &ChangeOutcome) -> String {
    match outcome {
        ChangeOutcome::Added { id, address } => format!("added {id} {address}"),
        ChangeOutcome::Removed { id, address } => format!("removed {id} {address}"),
        ChangeOutcome::Undone { id, address } => format!("undone {id} {address}"),
    }
}

fn change_refused(why: &ChangeRefused) -> String {
    match why {
        ChangeRefused::NotLeader { leader } => format!("not leader, try {}", optional(*leader)),
        ChangeRefused::ChangeInProgress { request } => {
            format!("change in progress, request {}", request.0)
        }
        ChangeRefused::LeaderTooYoung => "leader too young".to_owned(),
        ChangeRefused::HandingOver { to } => format!("handing over to {to}"),
        ChangeRefused::NoNewQuorum { silent } => {
            format!("no new quorum, silent: {}", list(&silent.iter().copied().collect()))
        }
        ChangeRefused::AlreadyMember { id } => format!("already member {id}"),
        ChangeRefused::AddressTaken { id } => format!("address taken by {id}"),
        ChangeRefused::NotMember => "not a member".to_owned(),
        ChangeRefused::LastMember => "last member".to_owned(),
    }
}

/// An output other than `Send`, as an instruction to its driver.
pub(crate) fn output(output: &Output) -> String {
    match output {
        Output::Send { to, message: sent } => format!("→ {to}  {}", message(sent)),
        Output::Persist(operation) => persist(operation),
        Output::Proposed { first, count } => {
            let last = LogId::new(first.index.0 + count - 1, first.term.0);
            format!("appends {}", span(*first, last))
        }
        Output::ProposeRefused(ProposeRefused::NotLeader { leader }) => {
            format!("refuses, not leader, try {}", optional(*leader))
        }
        Output::ProposeRefused(ProposeRefused::HandingOver { to }) => {
            format!("refuses, handing over to {to}")
        }
        Output::Appended { at, entry } => match &entry.kind {
            EntryKind::Noop => format!("appends {at} no-op"),
            EntryKind::Command => format!("appends {at} command"),
            EntryKind::Membership(_) => format!("appends {at} membership"),
        },
        Output::Received { first, last } => format!("receives {first}..{last}"),
        Output::Apply { through } => format!("applies up to {through}"),
        Output::ReadLog { request, peer, first, last, .. } => {
            format!("reads {first}..{last} for {peer} (request {request})")
        }
        Output::RoleChanged { role: kind, term, leader } => {
            format!("is {} term={term} leader={}", role(*kind), optional(*leader))
        }
        Output::MembershipChanged { index, membership: new } => {
            format!("membership@{index} {}", membership(new))
        }
        Output::ChangeEnded { request, result: Ok(how) } => {
            format!("change {} ends: {}", request.0, outcome(how))
        }
        Output::ChangeEnded { request, result: Err(why) } => {
            format!("change {} refused: {}", request.0, change_refused(why))
        }
        Output::ChangeUnknown { request, leader } => {
            format!("change {} goes on elsewhere, ask {}", request.0, optional(*leader))
        }
        Output::TransferEnded { to: Some(to) } => format!("transfer done, {to} leads"),
        Output::TransferEnded { to: None } => "transfer failed".to_owned(),
        Output::Removed { at } => format!("is removed at {at}"),
        Output::Alarm { peer, what } => format!("alarm about {peer}: {what}"),
    }
}
