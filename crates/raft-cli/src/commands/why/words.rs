//! Refusals in words.

use raft_node::NodeId;
use raft_node::testimony::{
    AppendResult, Asked, Knew, PastRefusal, ReadRefused, RefusedRequest, RefusedThing, RequestVote,
    VoteRefusal,
};

use super::members::bytes;
use crate::errors::apart;

/// What whoever refused did: `refused its vote to :9991 in term 7: its log ends at 12@3, ...`.
pub(super) fn past(past: &PastRefusal, named: &dyn Fn(NodeId) -> String) -> String {
    let knew = &past.knew;
    match &past.what {
        RefusedThing::Peer { from, request } => match request {
            RefusedRequest::Vote { pre, request, why } => {
                vote(*from, *pre, request, *why, knew, named)
            }
            RefusedRequest::Append { term, prev_log_id, result } => {
                let why = match result {
                    AppendResult::StaleTerm => format!("it was in term {}", knew.term),
                    AppendResult::Conflict { hint, .. } => {
                        format!(
                            "its log has another one there, or none; they may agree up to {hint}"
                        )
                    }
                    AppendResult::Match(_) => "nothing".into(),
                };
                let from = named(*from);
                format!(
                    "refused entries of {from}, who led term {term}, after {prev_log_id}: {why}"
                )
            }
            RefusedRequest::Read { why } => {
                let why = match why {
                    ReadRefused::NotLeader { leader: None } => "it did not lead".into(),
                    ReadRefused::NotLeader { leader: Some(id) } => {
                        format!("it did not lead, but {}", named(*id))
                    }
                    ReadRefused::HandingOver { to } => {
                        format!("it was handing over to {}", named(*to))
                    }
                };
                format!("did not confirm reads of {}: {why}", named(*from))
            }
        },
        RefusedThing::Entries { from, bytes: wanted, free } => format!(
            "has no room for {} of entries of {}: {} are left",
            bytes(*wanted),
            named(*from),
            bytes(*free)
        ),
        RefusedThing::Hello { from, why } => {
            format!("refused a connection of {}: {}", named(*from), apart(why).0)
        }
        RefusedThing::Client { asked, .. } => {
            format!("refused {}: {}", one(*asked), reason(past))
        }
    }
}

fn vote(
    from: NodeId,
    pre: bool,
    request: &RequestVote,
    why: VoteRefusal,
    knew: &Knew,
    named: &dyn Fn(NodeId) -> String,
) -> String {
    let who = named(from);
    let why = match why {
        VoteRefusal::StaleTerm => format!("it is in term {} itself", knew.term),
        VoteRefusal::AlreadyVoted { candidate } => format!("it has voted for {}", named(candidate)),
        VoteRefusal::LogBehind { last_log_id: own } => {
            let last = request.last_log_id;
            format!("its log ends at {own}, that of {who} at {last}")
        }
        VoteRefusal::LeaderAlive { leader } => {
            format!("it hears {}, who leads term {}", named(leader), knew.term)
        }
    };
    let what = if pre { "would refuse" } else { "refused" };
    format!("{what} its vote to {who} in term {}: {why}", request.term)
}

/// Why a client was refused, without the advice that it was given.
pub(super) fn reason(past: &PastRefusal) -> String {
    match &past.what {
        RefusedThing::Client { refusal, .. } => apart(&refusal.reason.to_string()).0.to_owned(),
        RefusedThing::Peer { .. } | RefusedThing::Entries { .. } | RefusedThing::Hello { .. } => {
            String::new()
        }
    }
}

const fn one(asked: Asked) -> &'static str {
    match asked {
        Asked::Write => "a write",
        Asked::Read => "a read",
        Asked::Change => "a change",
        Asked::Request => "a request",
    }
}

pub(super) const fn several(asked: Asked) -> &'static str {
    match asked {
        Asked::Write => "writes",
        Asked::Read => "reads",
        Asked::Change => "changes of members",
        Asked::Request => "requests",
    }
}

/// How long ago.
pub(super) fn ago(ms: u64) -> String {
    if ms < 1_000 { "just now".into() } else { format!("{} ago", span(ms)) }
}

/// How long.
pub(super) fn span(ms: u64) -> String {
    match ms / 1_000 {
        0 => format!("{ms} ms"),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}
