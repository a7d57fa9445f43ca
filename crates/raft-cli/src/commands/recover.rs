//! `raft recover`: makes a new cluster of the last member of one that lost its majority for good.
//!
//! What that member's log holds is the new cluster's, whether it was known to be committed or not:
//! who could have said so is gone. A new directory takes the place of the old one in a single step,
//! and the old one stays beside it as it was.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use raft_log::{DataDir, Disk, Holder, Inspection, RealDisk, inspect, snapshots_of};
use raft_node::Index;
use raft_node::recovery::{Founders, Origin, apply_all};
use raft_node::replica::{Machine, founding};
use raft_store::Store;
use serde_json::json;

use super::log;
use super::making::{Making, failed, new_word, path_beside, sync_parent};
use super::meter::Meter;
use super::snapshot::Holding;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::Output;

/// Which directory, and whether to ask.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RecoverOptions {
    pub(crate) dir: PathBuf,
    pub(crate) yes: bool,
}

pub(crate) fn run(options: &RecoverOptions, output: &Output) -> Result<(), Problem> {
    // Whatever it is called here, it has a name of its own and something above it.
    let dir = &options.dir.canonicalize().unwrap_or_else(|_| options.dir.clone());
    let absent = || Problem::new(Exit::NotFound, format!("{}: no member's", dir.display()));
    let locked = lock(dir)?;
    let snapshots = locked.snapshots().ok_or_else(absent)?;
    let inspection = look(dir, locked.disk())?;
    let old = &inspection.identity;
    let machine = Machine::new(Box::new(Store::default()), Index(u64::MAX), founding(old));
    let applied = apply_all(&inspection, &snapshots, machine);
    let (machine, notices) = applied.map_err(|error| failed(&error))?;
    notices.iter().for_each(|notice| output.note(&notice.to_string()));
    warnings(&inspection, &machine).iter().for_each(|fact| output.note(fact));
    confirm(options.yes, output)?;

    let (last, term) = (inspection.last(), inspection.log.hard_state.term);
    let origin = Origin { cluster: old.cluster, at: last, mark: old.incarnation };
    let addresses = [old.address.clone()];
    let founders = Founders::of(&old.address, &addresses, &new_word(), &origin);
    let founders = founders.ok_or_else(absent)?;
    let making = Making::make(dir, &founders, &machine, (last, term))?;
    let kept = swap(making, dir).map_err(|error| {
        let what = format!("{}: cannot be replaced: {error}", dir.display());
        Problem::new(Exit::Io, what).hint("see that the directory above may be written to")
    })?;
    done((dir, &kept), &founders, &inspection, output)
}

/// Nobody works in it, and nobody will while this does.
fn lock(dir: &Path) -> Result<DataDir, Problem> {
    // Nothing is touched that is no member's directory.
    let found = snapshots_of(&log::look_into(dir)?);
    let (identity, _) = found.map_err(|error| log::nothing_there(dir, &error))?;
    let disk = RealDisk::open(dir).map_err(|error| {
        let what = format!("{}: cannot be used: {error}", dir.display());
        Problem::new(Exit::Io, what).hint("see that it is yours and may be written to")
    })?;
    let holder = Holder { pid: process::id(), address: identity.address };
    DataDir::open(Arc::new(disk), holder).map_err(|error| {
        Problem::new(Exit::of_log(&error), error.to_string())
            .hint("stop its server first, if no majority of the others can ever run again")
    })
}

fn look(dir: &Path, disk: &Arc<dyn Disk>) -> Result<Inspection, Problem> {
    let mut meter = Meter::new("reading");
    let inspected = inspect(disk, &mut |progress| meter.show(progress));
    meter.clear();
    let inspection = inspected.map_err(|error| log::nothing_there(dir, &error))?;
    if let Some(at) = inspection.removed_at {
        let what = format!("{}: was removed from its cluster at index {at}", dir.display());
        return Err(Problem::new(Exit::Identity, what)
            .hint("what the cluster did since is not in its log: recover from another member"));
    }
    if let Some(damage) = inspection.damages.first() {
        return Err(Problem::new(Exit::of_log(damage), damage.to_string()).hint(format!(
            "recover from another member; or go back to its last snapshot: raft snapshot save '{}' \
             FILE, then raft snapshot restore FILE",
            dir.display()
        )));
    }
    Ok(inspection)
}

/// Who it is, what may be lost, and what must not be done from now on.
fn warnings(inspection: &Inspection, machine: &Machine) -> Vec<String> {
    let (me, (_, membership)) = (&inspection.identity, machine.settled());
    let (last, committed) = (inspection.last(), inspection.log.commit_hint);
    let members = log::text::members(membership).join(", ");
    let not_known = match last.index.0 - committed.0 {
        0 => "every entry that it holds is known to be committed".into(),
        1 => format!("not known to be committed: entry {}. It counts from now on", last.index),
        _ => format!(
            "not known to be committed: entries {} to {}. They count from now on",
            committed.next(),
            last.index
        ),
    };
    let mut facts = vec![
        format!("{} {} of cluster {:032x}, members: {members}", me.id, me.address, me.cluster),
        format!("it holds {}; its last entry is {last}", Holding::of(machine)),
        not_known,
        format!("if the others acknowledged anything after index {}, that is lost", last.index),
    ];
    if !membership.voters.contains(&me.id) {
        facts.push("it has no vote: more may be lost than what a voter lacks".into());
    }
    facts.push(
        "go on only if a majority of the members is gone for good. None of them may be started \
         again with the directory that it has: together they would go on as the old cluster"
            .into(),
    );
    facts
}

fn confirm(yes: bool, output: &Output) -> Result<(), Problem> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() || output.format.is_json() {
        return Err(Problem::usage("nobody can be asked whether to go on; nothing was changed")
            .hint("if all of this is as it should be, say --yes"));
    }
    let cannot = |error| Problem::new(Exit::Io, format!("cannot ask: {error}"));
    let mut answer = String::new();
    write!(io::stderr(), "make a new cluster of this member? Type yes: ").map_err(cannot)?;
    io::stdin().lock().read_line(&mut answer).map_err(cannot)?;
    if answer.trim() == "yes" {
        return Ok(());
    }
    Err(Problem::new(Exit::Refused, "not confirmed; nothing was changed")
        .hint("the answer to go on is yes"))
}

/// A name for the old directory that nothing has.
fn free_path(dir: &Path) -> PathBuf {
    let mut path = path_beside(dir, "before-recovery");
    let mut number = 1;
    while path.symlink_metadata().is_ok() {
        number += 1;
        path = path_beside(dir, &format!("before-recovery-{number}"));
    }
    path
}

/// Puts the new directory in place of the old one, which stays beside it: tells where. There is
/// always one of them: a server that found none would begin as a new one.
fn swap(making: Making, dir: &Path) -> io::Result<PathBuf> {
    exchange(making.path(), dir)?;
    // From here on this is the only copy of what was: it is never removed.
    let old = making.release();
    let kept = free_path(dir);
    let kept = if fs::rename(&old, &kept).is_ok() { kept } else { old };
    sync_parent(dir)?;
    Ok(kept)
}

#[cfg(target_os = "linux")]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

/// Other systems have no single step for it.
#[cfg(not(target_os = "linux"))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    let aside = path_beside(one, "aside");
    fs::rename(other, &aside)?;
    fs::rename(one, other)?;
    fs::rename(aside, one)
}

fn done(
    (dir, kept): (&Path, &Path),
    founders: &Founders,
    inspection: &Inspection,
    output: &Output,
) -> Result<(), Problem> {
    let (me, last) = (founders.me(), inspection.last());
    let object = json!({
        "directory": dir.display().to_string(),
        "kept": kept.display().to_string(),
        "cluster": format!("{:032x}", me.cluster),
        "old_cluster": format!("{:032x}", inspection.identity.cluster),
        "id": me.id.0,
        "address": me.address,
        "index": last.index.0,
        "term": last.term.0,
        "commit_hint": inspection.log.commit_hint.0,
    });
    let text = format!(
        "recovered {last} in {}: member {} {} of the new cluster {:032x}",
        dir.display(),
        me.id,
        me.address,
        me.cluster
    );
    output.line(&text, object)?;
    output.note(&format!("as it was: {}", kept.display()));
    let address = &me.address;
    output.note(&format!("next: raft server --listen '{address}' --data-dir '{}'", dir.display()));
    output.note(&format!(
        "then add others, with empty directories: raft member add ADDRESS --endpoints '{address}'"
    ));
    Ok(())
}
