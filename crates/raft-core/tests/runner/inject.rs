//! Messages that a script makes up.

use raft_core::{
    AppendEntries, AppendEntriesResponse, AppendResult, Index, Message, ReadIndex,
    ReadIndexResponse, RequestVote, Term, VoteRefusal, VoteResponse,
};

use super::cluster::Cluster;
use super::command::Command;
use super::network::Envelope;
use super::parse::invented_payload;

/// Delivers a message that nobody sent. From here on its sender's log and quorum prove nothing.
pub(crate) fn inject(cluster: &mut Cluster, command: &Command) -> Result<(), String> {
    let Command::Inject {
        from,
        to,
        kind,
        word,
        term,
        last,
        prev,
        entries,
        commit,
        index,
        round,
        request: number,
    } = command.clone()
    else {
        return Ok(());
    };
    let term = Term(term);
    let last = last.unwrap_or_default().0;
    let prev = prev.unwrap_or_default().0;
    let entries = entries.unwrap_or_default().0;
    let request = RequestVote { term, last_log_id: last, transfer: word.is_some() };
    let vote = VoteResponse { term, refusal: word.map(|_| VoteRefusal::StaleTerm) };
    let payloads = entries.iter().zip(prev.index.0.wrapping_add(1)..);
    let payloads = payloads.map(|(entry, index)| invented_payload(index, entry.term)).collect();
    let response = |result| {
        let last_index = last.index;
        let commit_index = Index(commit.unwrap_or(0));
        let round = round.unwrap_or(0);
        AppendEntriesResponse { term, result, last_index, commit_index, round }
    };
    let message = match kind.as_str() {
        "pre-vote" => Message::PreVote(request),
        "vote" => Message::RequestVote(request),
        "pre-vote-response" => Message::PreVoteResponse(vote),
        "vote-response" => Message::RequestVoteResponse(vote),
        "timeout-now" => Message::TimeoutNow { term },
        "match" => {
            let matched = AppendResult::Match(Index(index.unwrap_or(0)));
            Message::AppendEntriesResponse(response(matched))
        }
        "conflict" => {
            let prev_index = Index(index.unwrap_or(0));
            let conflict = AppendResult::Conflict { prev_index, hint: prev };
            Message::AppendEntriesResponse(response(conflict))
        }
        "append" => {
            let commit_index = Index(commit.unwrap_or(0));
            let round = round.unwrap_or(0);
            Message::AppendEntries(AppendEntries {
                term,
                prev_log_id: prev,
                entries,
                commit_index,
                round,
            })
        }
        "read-index" => Message::ReadIndex(ReadIndex { term, request: number.unwrap_or(1) }),
        "read-response" => Message::ReadIndexResponse(ReadIndexResponse {
            term,
            request: number.unwrap_or(1),
            result: Ok(Index(index.unwrap_or(0))),
        }),
        _ => return Err(format!("{kind} is no message")),
    };
    cluster.safety.invented = true;
    cluster.receive(&Envelope { from: from.0, to: to.0, message, payloads })
}
