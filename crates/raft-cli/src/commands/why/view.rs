//! How a verdict looks: conclusions first, each with its evidence below, for people; one document
//! for programs.

use raft_node::NodeId;
use raft_node::testimony::{PastRefusal, PeerView, RefusedRequest, RefusedThing, Testimony};
use serde_json::{Value, json};

use super::judge::{About, Evidence, Finding, Verdict};
use super::words;
use crate::commands::status::survey::Seen;
use crate::output::versioned;

/// Who, when, how often, what: in columns, which are the same for all.
pub(super) fn text(verdict: &Verdict) -> String {
    let rows = || verdict.findings.iter().flat_map(|finding| &finding.evidence).map(cells);
    let width = |column: usize| rows().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for finding in &verdict.findings {
        text.push_str(&finding.says);
        text.push('\n');
        for evidence in &finding.evidence {
            let [who, when, times, says] = cells(evidence);
            let mut line = String::from("  ");
            for (cell, width) in [(who, widths[0]), (when, widths[1]), (times, widths[2])] {
                if width > 0 {
                    line.push_str(&format!("{cell:width$}  "));
                }
            }
            text.push_str(&format!("{line}{says}\n"));
        }
    }
    text
}

fn cells(evidence: &Evidence) -> [String; 4] {
    let Evidence { who, ago, times, says } = evidence;
    let often = if *times > 1 { format!("{times} times") } else { String::new() };
    [who.clone(), ago.map(words::ago).unwrap_or_default(), often, says.clone()]
}

/// The same in columns that tabs part: what it is about, who, milliseconds ago, how often, what.
/// A conclusion has nobody.
pub(super) fn plain(verdict: &Verdict) -> String {
    let mut text = String::new();
    for Finding { about, says, evidence } in &verdict.findings {
        text.push_str(&format!("{}\t\t\t\t{says}\n", name(*about)));
        for Evidence { who, ago, times, says } in evidence {
            let ago = ago.map(|ms| ms.to_string()).unwrap_or_default();
            text.push_str(&format!("{}\t{who}\t{ago}\t{times}\t{says}\n", name(*about)));
        }
    }
    text
}

/// The whole as one line of JSON.
pub(super) fn json_line(verdict: &Verdict, heard: &[Seen<Testimony>]) -> String {
    let document = json!({
        "healthy": verdict.problem.is_none(),
        "findings": verdict.findings.iter().map(finding).collect::<Vec<_>>(),
        "servers": heard.iter().map(server).collect::<Vec<_>>(),
    });
    versioned(document).to_string() + "\n"
}

pub(super) fn finding(finding: &Finding) -> Value {
    let evidence = |evidence: &Evidence| {
        json!({
            "who": evidence.who,
            "ago_ms": evidence.ago,
            "times": evidence.times,
            "says": evidence.says,
        })
    };
    json!({
        "about": name(finding.about),
        "says": finding.says,
        "evidence": finding.evidence.iter().map(evidence).collect::<Vec<_>>(),
    })
}

const fn name(about: About) -> &'static str {
    match about {
        About::Nothing => "nothing",
        About::Leader => "leader",
        About::Member => "member",
        About::Change => "change",
        About::Requests => "requests",
    }
}

/// What a server said beyond its status.
fn server(seen: &Seen<Testimony>) -> Value {
    let said = seen.answer.as_ref().ok();
    json!({
        "address": seen.address.to_string(),
        "error": seen.answer.as_ref().err(),
        "id": said.and_then(|said| said.status.id).map(|id| id.0),
        "role": said.map(|said| &said.status.role),
        "term": said.map(|said| said.status.term.0),
        "last_index": said.map(|said| said.status.last_log_id.index.0),
        "last_term": said.map(|said| said.status.last_log_id.term.0),
        "leader": said.and_then(|said| said.status.leader.as_ref()).map(|(id, _)| id.0),
        "peers": said.map(|said| said.peers.iter().map(peer).collect::<Vec<_>>()),
        "reaches": said.map(|said| said.reaches.iter().map(|id| id.0).collect::<Vec<_>>()),
        "change": said.and_then(|said| said.change.as_ref()).map(|change| &change.what),
        "write_out_ms": said.and_then(|said| said.write_out_ms),
        "refused": said.map(|said| said.refused.iter().map(refused).collect::<Vec<_>>()),
    })
}

/// A leader's view of another member.
fn peer(peer: &PeerView) -> Value {
    json!({
        "id": peer.id.0,
        "match_index": peer.match_index.0,
        "connected": peer.connected,
        "installing": peer.installing,
        "answered_ms": peer.answered_ms,
    })
}

/// With the numbers of the last one.
fn refused(past: &PastRefusal) -> Value {
    let (kind, from) = match &past.what {
        RefusedThing::Peer { from, request } => {
            let kind = match request {
                RefusedRequest::Vote { pre: true, .. } => "pre-vote",
                RefusedRequest::Vote { pre: false, .. } => "vote",
                RefusedRequest::Append { .. } => "append",
                RefusedRequest::Read { .. } => "read of a peer",
            };
            (kind, Some(from.0))
        }
        RefusedThing::Entries { from, .. } => ("append", Some(from.0)),
        RefusedThing::Hello { from, .. } => ("connection", Some(from.0)),
        RefusedThing::Client { asked, .. } => (words::several(*asked), None),
    };
    let ids = |id: NodeId| id.to_string();
    json!({
        "what": kind,
        "from": from,
        "says": words::past(past, &ids),
        "times": past.count,
        "first_ms": past.first_ms,
        "last_ms": past.last_ms,
        "term": past.knew.term.0,
        "last_index": past.knew.last_log_id.index.0,
        "last_term": past.knew.last_log_id.term.0,
        "leader": past.knew.leader.map(|id| id.0),
    })
}
