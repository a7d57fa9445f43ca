//! Facts that a script requires, whatever its recorded output says.

use std::collections::BTreeSet;

use raft_core::{NodeId, Raft, Time};

use super::format;
use super::node::Node;
use super::parse::Id;

/// Compares each `key=value` with the member.
pub(crate) fn check(node: &Node, now: Time, facts: &[(String, String)]) -> Result<(), String> {
    let raft = node.raft.as_ref().ok_or_else(|| format!("{} is down", node.id()))?;
    for (key, wanted) in facts {
        if let Some((low, high)) = wanted.split_once("..") {
            let value: u64 = number(key, raft, now)?;
            let within = |bound: &str| bound.parse::<u64>().map_err(|_| format!("{bound}?"));
            if value < within(low)? || value > within(high)? {
                return Err(format!("{} has {key}={value}, not {wanted}", node.id()));
            }
            continue;
        }
        let value = value(key, node, raft, now)?;
        if value != *wanted {
            return Err(format!("{} has {key}={value}, not {wanted}", node.id()));
        }
    }
    Ok(())
}

/// What can be compared with a range `LOW..HIGH`, both included.
fn number(key: &str, raft: &Raft, now: Time) -> Result<u64, String> {
    match key {
        "term" => Ok(raft.hard_state().term.0),
        // Milliseconds until the member wants its timer.
        "deadline" => raft.next_deadline().map(|at| at - now).ok_or_else(|| "no deadline".into()),
        _ => Err(format!("{key} is no number")),
    }
}

fn value(key: &str, node: &Node, raft: &Raft, now: Time) -> Result<String, String> {
    let status = raft.status();
    let membership = node.membership();
    let peer = |key: &str| {
        let (what, peer) = key.split_once('.')?;
        let peer: Id = peer.parse().ok()?;
        let found = status.peers.iter().find(|status| status.id == peer.0);
        Some((what.to_owned(), found.copied()))
    };
    if let Some((what, found)) = peer(key) {
        let found = found.ok_or_else(|| format!("{} has no {key}", node.id()))?;
        return match what.as_str() {
            "match" => Ok(found.match_index.to_string()),
            "next" => Ok(found.next_index.to_string()),
            "connected" => Ok(found.connected.to_string()),
            _ => Err(format!("no such fact: {key}")),
        };
    }
    Ok(match key {
        "role" => status.role.to_string(),
        "term" => status.term.to_string(),
        "leader" => format::optional(status.leader),
        "vote" => format::optional(raft.hard_state().voted_for),
        "start" => raft.log_start().to_string(),
        "last" => status.last_log_id.to_string(),
        "durable" => status.durable_index.to_string(),
        "commit" => status.commit_index.to_string(),
        "applied" => node.applied.to_string(),
        "tail" => raft.tail_start().to_string(),
        "voters" => format::list(&membership.voters),
        "old" => format::list(membership.old_voters.as_ref().unwrap_or(&BTreeSet::new())),
        "learners" => format::list(&format::learners(membership)),
        "members" => {
            format::list(&membership.members.keys().copied().collect::<BTreeSet<NodeId>>())
        }
        "handing-over" => format::optional(status.handing_over),
        "log" => format::log(&node.log),
        "deadline" => number(key, raft, now)?.to_string(),
        _ => return Err(format!("no such fact: {key}")),
    })
}
