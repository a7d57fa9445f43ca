//! Why a cluster has no leader, as far as those who were asked know.

use raft_node::Standing;

use super::report::{Row, Vote};

/// In one line. `rows` are all who were asked.
pub(super) fn why(rows: &[Row], cluster: Option<u128>) -> String {
    impossible(rows, cluster).unwrap_or_else(|| undecided(rows, cluster))
}

/// Why nobody can lead. `None` if there are enough voters, and still nobody leads.
pub(in crate::commands) fn impossible(rows: &[Row], cluster: Option<u128>) -> Option<String> {
    if rows.iter().all(|row| row.answer.is_err()) {
        return Some("no leader is known: no server answers".into());
    }
    if cluster.is_none() {
        return Some(unfounded(rows));
    }
    if rows.iter().all(|row| row.voter.is_none()) {
        let why = "no leader is known: whoever answers was removed from the cluster; ask a member";
        return Some(why.into());
    }
    let halves = [("old ", is_old as fn(Vote) -> bool), ("new ", is_new)];
    let joint = rows.iter().any(|row| row.voter.is_some_and(is_old));
    if !joint {
        return lacking("", rows, cluster, is_new);
    }
    // Both halves of a joint configuration have to elect.
    halves.iter().find_map(|(name, half)| lacking(name, rows, cluster, *half))
}

const fn is_new(vote: Vote) -> bool {
    vote.new
}

const fn is_old(vote: Vote) -> bool {
    vote.old
}

/// Fewer voters answer than have to agree.
fn lacking(
    name: &str,
    rows: &[Row],
    cluster: Option<u128>,
    half: fn(Vote) -> bool,
) -> Option<String> {
    let voters = || rows.iter().filter(|row| row.voter.is_some_and(half));
    let (count, needed) = (voters().count(), voters().count() / 2 + 1);
    let (there, absent): (Vec<&Row>, Vec<&Row>) = voters().partition(|row| row.is_member(cluster));
    (there.len() < needed).then(|| {
        format!(
            "no leader: {needed} of {count} {name}voters {} needed and {} ({}); {} {} not",
            if needed == 1 { "is" } else { "are" },
            answer(there.len()),
            if there.is_empty() { "none".into() } else { names(&there) },
            names(&absent),
            if absent.len() == 1 { "does" } else { "do" },
        )
    })
}

/// There are enough voters, and still nobody leads.
fn undecided(rows: &[Row], cluster: Option<u128>) -> String {
    let voters = rows.iter().filter(|row| row.voter.is_some_and(|vote| vote.new || vote.old));
    let (count, there) = (voters.clone().count(), voters.filter(|row| row.is_member(cluster)));
    format!(
        "no leader, although {} of {count}: an election is under way, or they cannot reach each \
         other; look again in a moment",
        answer(there.count())
    )
}

/// Nobody who answers is in a cluster.
fn unfounded(rows: &[Row]) -> String {
    let founders = || rows.iter().filter(|row| row.voter.is_some());
    let is_new =
        |row: &&Row| row.answer.as_ref().is_ok_and(|status| status.standing == Standing::New);
    let all: Vec<&Row> = founders().collect();
    if all.is_empty() {
        return "no cluster: whoever answers waits to be added to one, or was removed from it"
            .into();
    }
    let absent: Vec<&Row> = founders().filter(|row| !is_new(row)).collect();
    let founding = format!("no cluster yet: it begins when {} have met once", names(&all));
    match absent.len() {
        0 => format!("{founding}; all answer, look again in a moment"),
        1 => format!("{founding}; {} does not answer", names(&absent)),
        _ => format!("{founding}; {} do not answer", names(&absent)),
    }
}

fn answer(count: usize) -> String {
    if count == 1 { "1 answers".into() } else { format!("{count} answer") }
}

fn names(rows: &[&Row]) -> String {
    list_of(&rows.iter().map(|row| row.address.as_str()).collect::<Vec<_>>())
}

/// `a, b and c`.
pub(in crate::commands) fn list_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).into(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
