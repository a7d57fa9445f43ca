//! Where a server's data is: `~/.goraft/<hostname>_<port>` unless it is said.

use std::fs;
use std::path::{Path, PathBuf};

use crate::errors::Problem;
use crate::exit::Exit;

/// The data directory of the server with this port. Nothing is made here.
///
/// A machine that got a new name would silently start as a new, empty server beside its old data:
/// that is refused, whenever the directory of another name has data and the one of this name has
/// none.
pub(crate) fn choose(
    said: Option<&Path>,
    home: Option<&Path>,
    hostname: &str,
    port: u16,
) -> Result<PathBuf, Problem> {
    if let Some(said) = said {
        return Ok(said.to_owned());
    }
    let Some(home) = home.filter(|home| home.is_absolute()) else {
        return Err(Problem::usage("there is no home directory (HOME) to keep the data in")
            .hint("name a directory: --data-dir DIR, or RAFT_DATA_DIR"));
    };
    let all = home.join(".goraft");
    let ours = all.join(format!("{hostname}_{port}"));
    if ours.join("NODE").exists() {
        return Ok(ours);
    }
    match of_another_name(&all, &ours, port) {
        None => Ok(ours),
        Some(theirs) => Err(Problem::new(
            Exit::Identity,
            format!(
                "{} has data of port {port} under another host name; {} would start empty",
                theirs.display(),
                ours.display()
            ),
        )
        .hint(format!(
            "to go on with that data: --data-dir '{}'; to start anew: --data-dir '{}'",
            theirs.display(),
            ours.display()
        ))),
    }
}

/// Whether the directory, or where it will be made, is in memory: gone after a power cut.
#[cfg(target_os = "linux")]
pub(crate) fn is_in_memory(dir: &Path) -> bool {
    const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;
    const RAMFS_MAGIC: rustix::fs::FsWord = 0x8584_58f6;
    let existing = dir.ancestors().find(|ancestor| ancestor.exists());
    let status = existing.and_then(|dir| rustix::fs::statfs(dir).ok());
    status.is_some_and(|status| matches!(status.f_type, TMPFS_MAGIC | RAMFS_MAGIC))
}

/// Whether the directory is in memory: other systems do not say so in this way.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_in_memory(_dir: &Path) -> bool {
    false
}

fn of_another_name(all: &Path, ours: &Path, port: u16) -> Option<PathBuf> {
    let suffix = format!("_{port}");
    let dirs = fs::read_dir(all).ok()?.flatten().map(|entry| entry.path());
    let mut theirs: Vec<PathBuf> = dirs
        .filter(|dir| dir != ours)
        .filter(|dir| dir.file_name().is_some_and(|name| name.to_string_lossy().ends_with(&suffix)))
        .filter(|dir| fs::read_dir(dir).is_ok_and(|mut files| files.next().is_some()))
        .collect();
    theirs.sort();
    theirs.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_goes_first() {
        let said = choose(Some(Path::new("here")), None, "host", 9990);
        assert_eq!(said, Ok(PathBuf::from("here")));
    }

    #[test]
    fn no_home_no_guess() {
        for home in [None, Some(Path::new("")), Some(Path::new("relative"))] {
            let problem = choose(None, home, "host", 9990).expect_err("refused");
            assert_eq!(problem.exit, Exit::Usage);
            assert!(problem.hint.expect("a hint").contains("--data-dir"));
        }
    }

    #[test]
    fn by_host_and_port_below_home() {
        let home = tempfile::tempdir().expect("a directory");
        let dir = choose(None, Some(home.path()), "host", 9990);
        assert_eq!(dir, Ok(home.path().join(".goraft/host_9990")));
        assert!(!home.path().join(".goraft").exists(), "nothing is made");
    }

    #[test]
    fn data_of_another_name_stops_an_empty_start() {
        let home = tempfile::tempdir().expect("a directory");
        let theirs = home.path().join(".goraft/old.name_9990");
        fs::create_dir_all(&theirs).expect("made");
        let choose = |port| choose(None, Some(home.path()), "new-name", port);
        assert!(choose(9990).is_ok(), "an empty directory is nobody's");

        fs::write(theirs.join("NODE"), "x").expect("written");
        let problem = choose(9990).expect_err("refused");
        assert_eq!(problem.exit, Exit::Identity);
        assert!(problem.what.contains("old.name_9990"), "{}", problem.what);
        assert!(problem.what.contains("new-name_9990"), "{}", problem.what);
        assert!(choose(9991).is_ok() && choose(990).is_ok(), "other ports are not concerned");

        let ours = home.path().join(".goraft/new-name_9990");
        fs::create_dir_all(&ours).expect("made");
        assert!(choose(9990).is_err(), "still empty");
        fs::write(ours.join("NODE"), "x").expect("written");
        assert_eq!(choose(9990), Ok(ours));
    }
}
