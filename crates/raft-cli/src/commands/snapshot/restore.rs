//! `raft snapshot restore`: the data directory of a new cluster that begins with a saved snapshot.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use raft_node::Address;
use raft_node::recovery::{Founders, Origin};
use serde_json::json;

use super::super::making::{Making, new_word, sync_parent};
use super::inspect::{Holding, loaded};
use super::open_saved;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::machine;
use crate::output::Output;
use crate::select::{MODERN, Selection, select};

/// What to restore, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RestoreOptions {
    pub(crate) file: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) listen: Address,
    /// All members of the new cluster; this one alone, if none are named.
    pub(crate) cluster: Option<Vec<Address>>,
    /// A word that all of them are restored with, and none was before.
    pub(crate) token: Option<String>,
}

pub(super) fn run(options: &RestoreOptions, output: &Output) -> Result<(), Problem> {
    let RestoreOptions { file, dir, .. } = options;
    // Whatever it is called here, it has a name of its own and something above it.
    let dir = &dir.canonicalize().unwrap_or_else(|_| dir.clone());
    let own = own_address(options)?;
    refuse_used(dir)?;
    let reader = open_saved(file)?;
    let founders = founders(options, &own, &Origin::of(&reader))?;
    let machine = loaded(&reader)?;
    let id = reader.info().id;
    let making = Making::make(dir, &founders, &machine, (id, id.term))?;
    put_in_place(making, dir)?;

    let me = founders.me();
    let members: Vec<&str> = me.founders.iter().map(|founder| &*founder.address).collect();
    let object = json!({
        "directory": dir.display().to_string(),
        "cluster": format!("{:032x}", me.cluster),
        "id": me.id.0,
        "address": own,
        "members": members,
        "index": id.index.0,
        "term": id.term.0,
    });
    let text = format!(
        "restored {id} into {}: {}, member {} {own} of the new cluster {:032x}",
        dir.display(),
        Holding::of(&machine),
        me.id,
        me.cluster
    );
    output.line(&text, object)?;
    output.note(&format!("next: raft server --listen '{own}' --data-dir '{}'", dir.display()));
    output.note(&if members.len() == 1 {
        format!(
            "then add others, with empty directories: raft member add ADDRESS --endpoints '{own}'"
        )
    } else {
        format!(
            "restore the same file with the same --cluster and --token for each of {}, and start \
             them: a majority will do to begin",
            members.join(", ")
        )
    });
    Ok(())
}

/// By which address the others know this member.
fn own_address(options: &RestoreOptions) -> Result<String, Problem> {
    let Some(cluster) = &options.cluster else { return Ok(options.listen.to_string()) };
    match select(cluster, &options.listen, MODERN, machine::place)? {
        Selection::Founder(address) => Ok(address.to_string()),
        Selection::Joiner(address) => Err(not_among(&address.to_string())),
    }
}

fn not_among(address: &str) -> Problem {
    Problem::usage(format!("--listen '{address}' is not one of --cluster")).hint(
        "who is not in --cluster begins with an empty directory, and is added: raft member add",
    )
}

fn founders(options: &RestoreOptions, own: &str, origin: &Origin) -> Result<Founders, Problem> {
    let (addresses, word) = match &options.cluster {
        // Nobody else has to come to the same cluster.
        None => (vec![own.to_owned()], new_word()),
        Some(cluster) => {
            let token = options.token.clone().filter(|token| !token.is_empty());
            let token = token.ok_or_else(|| {
                let new = Timestamp::now().as_second();
                let what = "--cluster needs --token: it tells this new cluster from all others that \
                            are made of the same snapshot";
                let hint = "say a word that was never used, the same for each of the members";
                Problem::usage(what).hint(format!("{hint}: --token {new}"))
            })?;
            (cluster.iter().map(ToString::to_string).collect(), token)
        }
    };
    Founders::of(own, &addresses, &word, origin).ok_or_else(|| not_among(own))
}

/// What is there stays there.
fn refuse_used(dir: &Path) -> Result<(), Problem> {
    let used = match fs::read_dir(dir) {
        Ok(mut names) => names.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(cannot(dir, &error)),
    };
    if !used {
        return Ok(());
    }
    let what = format!("{}: not empty; nothing was changed", dir.display());
    Err(Problem::new(Exit::Identity, what)
        .hint("a restored cluster begins in a new directory: name another with --data-dir"))
}

/// Gives the new directory its name, durably.
fn put_in_place(making: Making, dir: &Path) -> Result<(), Problem> {
    fs::rename(making.path(), dir).map_err(|error| cannot(dir, &error))?;
    making.release();
    sync_parent(dir).map_err(|error| cannot(dir, &error))
}

fn cannot(dir: &Path, error: &io::Error) -> Problem {
    let what = format!("{}: cannot be made the data directory: {error}", dir.display());
    Problem::new(Exit::Io, what)
        .hint("name another with --data-dir: one that is not there yet, in a directory of yours")
}
