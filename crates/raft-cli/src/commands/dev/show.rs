//! What `raft dev` shows of the cluster.

use std::{env, ffi::OsString, iter};

use raft_node::{Address, MembersView};
use serde_json::{Map, Value};

use super::{Server, places::Places};
use crate::errors::Problem;
use crate::output::{Output, Table};
use crate::select::join;

/// What the keys do.
pub(super) const KEYS: &str =
    "keys: k kill the leader   r restart what is down   a add a server   q quit";

/// The table, and what to try.
pub(super) fn introduce(
    places: &Places,
    servers: &[Server],
    view: &MembersView,
    output: &Output,
) -> Result<(), Problem> {
    let mut table = Table::new(&["address", "process", "role", "data"]);
    for server in servers {
        table.row(vec![
            server.address.to_string(),
            server.child.as_ref().map_or_else(|| "-".into(), |child| child.pid.to_string()),
            role(view, &server.address).into(),
            places.data_of(&server.address).display().to_string(),
        ]);
    }
    output.table(&table, "members", Vec::new(), Map::new())?;
    let leads = |address: &&Address| role(view, address) == "leader";
    let members = places.addresses.iter().filter(|address| role(view, address) != "no member");
    let (leader, followers): (Vec<_>, Vec<_>) = members.partition(leads);
    let (raft, all) = (program(), join(&places.addresses));
    // A follower first: it forwards, and it is still there after the leader has been killed.
    let ask = followers.first().or(leader.first()).map_or(all.clone(), ToString::to_string);
    let mut text = format!(
        "\nTry, in another terminal:\n  \
         {raft} -C clientcommand -m 'I like beer.' -S '{ask}'\n  \
         {raft} append 'I like wine.' --endpoints '{all}'\n  \
         {raft} print --endpoints '{ask}'\n  \
         {raft} status --endpoints '{ask}'\n"
    );
    if let Some(page) = followers.first().or(leader.first()).and_then(|at| places.page_of(at)) {
        text += &format!("  {page}    (the cluster, live, in a browser)\n");
    }
    if followers.len() > 1 {
        text += &format!("  {raft} dev kill leader    (then append again)\n");
    }
    text += if places.is_temporary() {
        "Ctrl-C stops all servers and removes their data (--dir DIR keeps it)."
    } else {
        "Ctrl-C stops all servers; their data stays."
    };
    output.line(&text, Value::Null)
}

fn role(view: &MembersView, address: &Address) -> &'static str {
    let row = view.members.iter().find(|row| row.address == address.to_string());
    match row {
        None => "no member",
        Some(row) if row.leader => "leader",
        Some(row) if row.voter => "follower",
        Some(_) => "learner",
    }
}

/// This program as the person called it, so that the commands shown work where they are typed.
pub(super) fn program() -> String {
    env::args().next().unwrap_or_else(|| "raft".into())
}

/// The command line that calls this program with these arguments.
pub(super) fn command(arguments: Vec<OsString>) -> String {
    let words = arguments.iter().map(|argument| quoted(&argument.to_string_lossy()));
    iter::once(quoted(&program())).chain(words).collect::<Vec<_>>().join(" ")
}

/// A word for a shell: in quotes where it would read more into it.
pub(super) fn quoted(text: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-:,".contains(character);
    if text.chars().all(plain) { text.into() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_shell() {
        assert_eq!(quoted("/var/lib/a-1"), "/var/lib/a-1");
        assert_eq!(quoted("/var/lib/it's here"), r"'/var/lib/it'\''s here'");
    }
}
