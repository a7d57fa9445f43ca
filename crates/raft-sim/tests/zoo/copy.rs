//! A copy of the sources with every fault in it, built once. Which fault acts is asked at run time,
//! of the environment: no source that reaches a release knows of any of them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::plantings::{Edit, Planting};

/// The environment variable with the name of the fault that acts.
pub(crate) const VARIABLE: &str = "RAFT_PLANTED";

/// Added to the copy of raft-core.
const SWITCH: &str = r#"
extern crate std;

/// Whether this fault acts.
pub fn planted(name: &str) -> bool {
    static NAME: std::sync::OnceLock<std::string::String> = std::sync::OnceLock::new();
    NAME.get_or_init(|| std::env::var("RAFT_PLANTED").unwrap_or_default()) == name
}
"#;

/// The project's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Whether the lines that an edit replaces stand in its file exactly once.
fn find_once(text: &str, edit: &Edit) -> Result<(), String> {
    match text.matches(edit.find).count() {
        1 => Ok(()),
        count => Err(format!(
            "crates/{} has these lines {count} times, not once; if they changed, plant the fault \
             in what they became:\n{}",
            edit.file, edit.find
        )),
    }
}

/// One file with a fault planted.
pub(crate) fn plant(text: &str, name: &str, edit: &Edit) -> Result<String, String> {
    find_once(text, edit).map_err(|what| format!("{name}: {what}"))?;
    let home = if edit.file.starts_with("raft-core/") { "crate" } else { "raft_core" };
    let question = format!("{home}::planted({name:?})");
    Ok(text.replace(edit.find, &edit.plant.replace("PLANTED", &question)))
}

/// Copies the sources below `target`, plants everything, and says where that is.
pub(crate) fn plant_all(plantings: &[Planting], target: &Path) -> PathBuf {
    let copy = target.join("source");
    let mut files = BTreeSet::new();
    for name in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml"] {
        files.insert(PathBuf::from(name));
    }
    for krate in list(&root().join("crates")) {
        let krate = Path::new("crates").join(krate);
        files.insert(krate.join("Cargo.toml"));
        for part in ["src", "examples"] {
            collect(&krate.join(part), &mut files);
        }
    }
    let mut wrong = Vec::new();
    for file in &files {
        let bytes = fs::read(root().join(file)).expect("a source file");
        let edits = plantings.iter().flat_map(|p| p.edits.iter().map(move |edit| (p.name, edit)));
        let here = edits.filter(|(_, edit)| Path::new("crates").join(edit.file) == *file);
        let bytes = match String::from_utf8(bytes) {
            Ok(mut text) => {
                for (name, edit) in here {
                    match plant(&text, name, edit) {
                        Ok(planted) => text = planted,
                        Err(what) => wrong.push(what),
                    }
                }
                if file.ends_with("raft-core/src/lib.rs") {
                    text.push_str(SWITCH);
                } else if file.ends_with("Cargo.toml") {
                    text = without_tests(&text);
                }
                text.into_bytes()
            }
            Err(not_text) => not_text.into_bytes(),
        };
        write(&copy.join(file), &bytes);
    }
    assert!(wrong.is_empty(), "{} plantings do not fit:\n\n{}", wrong.len(), wrong.join("\n\n"));
    remove_others(&copy, Path::new(""), &files);
    copy
}

/// A manifest that names no test and no benchmark: they are not in the copy.
pub(crate) fn without_tests(manifest: &str) -> String {
    let mut kept = true;
    let mut lines = String::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            kept = !matches!(line.trim_end(), "[[test]]" | "[[bench]]");
        }
        if kept {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    lines
}

/// Builds the hunter in the copy. What it needs besides the project's sources was needed to build
/// this test, so it is there.
pub(crate) fn build(copy: &Path, target: &Path) -> PathBuf {
    let target = target.join("built");
    let output = cargo()
        .args(["build", "--offline", "--locked", "--package", "raft-sim", "--example", "hunter"])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", &target)
        // As a release: what a checker has to see must not be caught by an assertion that no
        // user's server has.
        .env("CARGO_PROFILE_DEV_DEBUG_ASSERTIONS", "false")
        .env("CARGO_PROFILE_DEV_OVERFLOW_CHECKS", "false")
        .env("CARGO_PROFILE_DEV_DEBUG", "none")
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the planted copy does not compile:\n{said}");
    target.join("debug/examples/hunter").with_extension(std::env::consts::EXE_EXTENSION)
}

/// The cargo that runs this test, or the one that a shell finds.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsStr::new("cargo").to_owned()))
}

/// Whether there is a cargo to build with.
pub(crate) fn has_cargo() -> bool {
    cargo().arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Unchanged files keep their times, so that only what changed is built again.
fn write(path: &Path, bytes: &[u8]) {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for the copy");
    fs::write(path, bytes).expect("a file of the copy");
}

fn collect(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    for name in list(&root().join(folder)) {
        let path = folder.join(name);
        if root().join(&path).is_dir() {
            collect(&path, files);
        } else {
            files.insert(path);
        }
    }
}

/// Removes what an earlier copy had and this one has not.
fn remove_others(copy: &Path, folder: &Path, files: &BTreeSet<PathBuf>) {
    for name in list(&copy.join(folder)) {
        let path = folder.join(name);
        if copy.join(&path).is_dir() {
            remove_others(copy, &path, files);
        } else if !files.contains(&path) {
            fs::remove_file(copy.join(&path)).expect("a file of an earlier copy goes");
        }
    }
}

/// The names in a folder, none if there is no folder.
fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.expect("a folder entry").file_name().into()).collect()
}
