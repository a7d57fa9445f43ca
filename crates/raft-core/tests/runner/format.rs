//! How things look in a script: in the core's own words, shortened where a story needs it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use raft_core::{
    AppendEntries, ChangeRefused, EntryKind, EntryMeta, LogId, Membership, Message, NodeId, Output,
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

/// One line about a member, and one for each peer if it leads.
pub(crate) fn status(node: &Node) -> String {
    let Some(raft) = &node.raft else { return format!("{} down", node.id()) };
    let mut status = raft.status();
    let peers = std::mem::take(&mut status.peers);
    let mut text = format!("{status} applied={}", node.applied);
    for peer in peers {
        let _ =
            write!(text, "\n   {} match={} next={}", peer.id, peer.match_index, peer.next_index);
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

fn append(append: &AppendEntries) -> String {
    let (term, prev, commit) = (append.term, append.prev_log_id, append.commit_index);
    let entries = entries(prev, &append.entries);
    let round = if append.round > 0 { format!(" round={}", append.round) } else { String::new() };
    format!("AppendEntries term={term} prev={prev} [{entries}] commit={commit}{round}")
}

/// A message, its entries as spans.
pub(crate) fn message(message: &Message) -> String {
    if let Message::AppendEntries(entries) = message {
        append(entries)
    } else {
        message.to_string()
    }
}

/// An output; request ids, which are random and long in life, as small numbers.
pub(crate) fn output(output: &Output) -> String {
    match output {
        Output::Send { to, message: sent } => format!("→ {to}  {}", message(sent)),
        Output::ChangeEnded { request, result: Ok(how) } => {
            format!("change {} ended: {how}", request.0)
        }
        Output::ChangeEnded {
            request,
            result: Err(ChangeRefused::ChangeInProgress { request: r }),
        } => {
            format!("change {} refused: change {} in progress", request.0, r.0)
        }
        Output::ChangeEnded { request, result: Err(why) } => {
            format!("change {} refused: {why}", request.0)
        }
        Output::ChangeUnknown { request, leader } => {
            format!("change {} unknown, leader={}", request.0, optional(*leader))
        }
        other => other.to_string(),
    }
}
