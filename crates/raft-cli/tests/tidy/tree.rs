//! The files of the project, and what a rule says about them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

use crate::source;

/// The folder of these rules: it has to spell out what it forbids elsewhere.
const TIDY: &str = "crates/raft-cli/tests/tidy/";

/// All text files by their path from the root, with `/` between the parts.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

/// One Rust file, seen without its comments and strings.
#[derive(Debug)]
pub(crate) struct RustFile {
    /// Its path from the root.
    pub(crate) path: String,
    /// The crate that it belongs to.
    pub(crate) krate: String,
    /// Its path below `src/`, if it is there.
    pub(crate) in_src: Option<String>,
    /// The code that ships; blank where only tests see it.
    pub(crate) shipped: String,
    /// The code that only tests see; blank elsewhere.
    pub(crate) tests: String,
}

/// One violation: where, what, why it matters, what to do about it.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// The file.
    pub(crate) path: String,
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// What is there.
    pub(crate) what: String,
    /// The reason of the rule.
    pub(crate) why: &'static str,
    /// The way out.
    pub(crate) remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, what, why, remedy } = self;
        write!(f, "{path}:{line}: {what}\n    why: {why}\n    do:  {remedy}")
    }
}

impl Tree {
    /// Reads the project that this test belongs to.
    pub(crate) fn of_the_project() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
        let ignored: BTreeSet<_> =
            ignored.lines().map(|line| line.trim().trim_matches('/').to_owned()).collect();
        let mut tree = Self::default();
        tree.read(&root, "", &ignored);
        assert!(tree.text("Cargo.toml").is_some(), "no project at {}", root.display());
        tree
    }

    /// A made-up project, for seeing a rule at work.
    pub(crate) fn sample(files: &[(&str, &str)]) -> Self {
        let own = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        Self { files: files.iter().map(own).collect() }
    }

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Every file with its text.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Every file but these rules themselves.
    pub(crate) fn files_but_tidy(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| !path.starts_with(TIDY))
    }

    /// Whether there is such a file or folder.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        path.is_empty()
            || self.files.contains_key(path)
            || self.files.keys().any(|file| file.starts_with(&folder))
    }

    /// The names of the crates, from their folders.
    pub(crate) fn crates(&self) -> BTreeSet<String> {
        let name = |path: &String| {
            let (name, rest) = path.strip_prefix("crates/")?.split_once('/')?;
            (rest == "Cargo.toml").then(|| name.to_owned())
        };
        self.files.keys().filter_map(name).collect()
    }

    /// Every Rust file of every crate.
    pub(crate) fn rust(&self) -> Vec<RustFile> {
        let test_homes = self.test_homes();
        let rust = |(path, text): (&str, &str)| {
            let (krate, rest) = path.strip_prefix("crates/")?.split_once('/')?;
            if !has_extension(path, "rs") {
                return None;
            }
            let in_src = rest.strip_prefix("src/").map(str::to_owned);
            let stem = path.trim_end_matches(".rs");
            let only_tests = in_src.is_none()
                || test_homes
                    .iter()
                    .any(|home| stem == home || path.starts_with(&format!("{home}/")));
            let code = source::code_of(text);
            let (shipped, tests) =
                if only_tests { (String::new(), code) } else { source::split_tests(&code) };
            Some(RustFile {
                path: path.to_owned(),
                krate: krate.to_owned(),
                in_src,
                shipped,
                tests,
            })
        };
        self.files().filter_map(rust).collect()
    }

    /// Where the modules live that are declared under `#[cfg(test)]`: paths without `.rs`.
    fn test_homes(&self) -> BTreeSet<String> {
        let mut homes = BTreeSet::new();
        for (path, text) in self.files().filter(|(path, _)| has_extension(path, "rs")) {
            let stem = path.trim_end_matches(".rs");
            let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
            let home = if matches!(name, "lib" | "main" | "mod") { folder } else { stem };
            for module in source::test_modules(&source::code_of(text)) {
                homes.insert(format!("{home}/{module}"));
            }
        }
        homes
    }

    fn read(&mut self, folder: &Path, prefix: &str, ignored: &BTreeSet<String>) {
        let entries = fs::read_dir(folder)
            .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
        for entry in entries {
            let entry = entry.expect("a folder entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let hidden = name.starts_with('.') && !matches!(&*name, ".ci" | ".gitignore");
            if hidden || ignored.contains(&path) || name == "target" {
                continue;
            }
            let kind = entry.file_type().expect("the kind of a folder entry");
            if kind.is_dir() {
                self.read(&entry.path(), &format!("{path}/"), ignored);
            } else if kind.is_file() {
                self.files.insert(path, read_text(&entry.path()).unwrap_or_default());
            }
        }
    }
}

/// Whether a path ends with this extension, which has lower case everywhere here.
pub(crate) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// The text of a file, or nothing if it is none (pictures, say, and golden data directories).
fn read_text(path: &Path) -> Option<String> {
    String::from_utf8(fs::read(path).ok()?).ok()
}
