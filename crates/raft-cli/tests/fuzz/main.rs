//! `raft log` on directories of any kind, by the program itself: it ends with one of its exit
//! codes, says why, changes nothing, and never panics.
#![allow(missing_docs)]

#[path = "../../../raft-log/tests/fuzz/harness.rs"]
mod harness;
#[path = "../../../raft-log/tests/fuzz/image.rs"]
mod image;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::{Random, Target, kept, mutate};
use image::{Files, unpack};

/// Intact, not there, damaged, read failed, another identity, too new.
const EXITS: [i32; 6] = [0, 3, 7, 8, 10, 11];

#[test]
fn log_of_any_directory() {
    let target = Target {
        name: "data_directory",
        words: &[b"wal/4294967294.seg", b"RBLK", &[0xff; 8]],
        bytes_max: 1 << 15,
        runs: 60,
        check: |_| Ok(String::new()),
    };
    let inputs = kept("../raft-log", target.name);
    let long = std::env::var_os("RAFT_TEST_LONG").is_some();
    let runs = if long { 3000 } else { target.runs };
    let seeds: Vec<&[u8]> = inputs.iter().map(|input| &**input).collect();
    let changed = (0..runs).map(|seed| mutate(&target, &seeds, &mut Random::new(seed)));
    let mut ended = std::collections::BTreeMap::new();
    for (number, input) in inputs.iter().cloned().chain(changed).enumerate() {
        let files = unpack(&input);
        let verbs = [["stat"].as_slice(), &["dump"], &["verify"]];
        let exit = look(&files, verbs[number % verbs.len()], number);
        *ended.entry(exit).or_insert(0) += 1;
    }
    assert!(ended.len() >= 4 && ended.contains_key(&0) && ended.contains_key(&7), "{ended:?}");
}

fn look(files: &Files, verb: &[&str], number: usize) -> i32 {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, bytes) in files {
        let path = dir.path().join(name);
        // A name may be that of a file and of a directory at once: the first one wins.
        let made = path.parent().is_some_and(|parent| fs::create_dir_all(parent).is_ok());
        if made && !path.is_dir() {
            fs::write(&path, bytes).expect("a file");
        }
    }
    let before = all(dir.path());
    let mut raft = Command::new(env!("CARGO_BIN_EXE_raft"));
    raft.env_clear().arg("log").args(verb).arg(dir.path()).stdin(Stdio::null());
    let done = raft.output().expect("the program runs");
    let said = String::from_utf8_lossy(&done.stderr);
    let exit = done.status.code().unwrap_or(-1);
    assert!(
        EXITS.contains(&exit) && !said.contains("panicked"),
        "{number}: {verb:?}: {exit}: {said}"
    );
    assert!(exit == 0 || !said.is_empty(), "{number}: {verb:?}: {exit} without a word");
    assert!(
        done.stdout.len() + done.stderr.len() < 1 << 20,
        "{number}: {verb:?} talks without end"
    );
    assert_eq!(all(dir.path()), before, "{number}: {verb:?} changed something");
    exit
}

/// Every file below a directory.
fn all(dir: &Path) -> Files {
    let mut files = Files::new();
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(all(&path));
        } else {
            files.insert(path.display().to_string(), fs::read(&path).expect("a file"));
        }
    }
    files
}
