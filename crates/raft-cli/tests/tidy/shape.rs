//! Rules about the shape of the workspace: sizes of files, what every manifest says.

use crate::rings;
use crate::tree::{Finding, Tree};

/// Lines that a file under `src/` may have.
const SRC_LINES_MAX: usize = 500;
/// Lines that a file of tests may have.
const TEST_LINES_MAX: usize = 800;

/// A file is short enough to be read in one sitting.
pub(crate) fn files_are_short(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let lines = tree.text(&file.path).unwrap_or_default().lines().count();
        let only_tests = file.shipped.trim().is_empty() && !file.tests.trim().is_empty();
        let max = if only_tests { TEST_LINES_MAX } else { SRC_LINES_MAX };
        if lines > max {
            findings.push(Finding {
                path: file.path,
                line: max + 1,
                what: format!("the file has {lines} lines, more than {max}"),
                why: "a file without end has no one job, and nobody reads it whole",
                remedy: "split it where its module comment says `and`".to_owned(),
            });
        }
    }
    findings
}

/// Every crate takes lints, versions and its right to be published from the root manifest.
pub(crate) fn manifests_follow_the_root(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for krate in tree.crates() {
        let path = format!("crates/{krate}/Cargo.toml");
        let manifest = tree.text(&path).unwrap_or_default();
        let demands = [
            ("lints", "workspace", "true", "[lints]\nworkspace = true"),
            ("package", "publish.workspace", "true", "publish.workspace = true"),
            ("package", "version.workspace", "true", "version.workspace = true"),
            ("package", "edition.workspace", "true", "edition.workspace = true"),
            ("package", "license.workspace", "true", "license.workspace = true"),
        ];
        for (section, key, value, remedy) in demands {
            if setting(manifest, section, key) != Some(value) {
                findings.push(Finding {
                    path: path.clone(),
                    line: 1,
                    what: format!("[{section}] lacks `{key} = {value}`"),
                    why: "one rule for all crates is kept; five copies of it are not",
                    remedy: format!("add: {}", remedy.replace('\n', ", ")),
                });
            }
        }
        for dependency in rings::dependencies(manifest) {
            if !dependency.from_workspace {
                findings.push(Finding {
                    path: path.clone(),
                    line: dependency.line,
                    what: format!("`{}` has a version of its own here", dependency.name),
                    why: "the root manifest is the one list of what the project depends on",
                    remedy: "name it under [workspace.dependencies], and here `workspace = true`"
                        .to_owned(),
                });
            }
        }
    }
    findings
}

/// The root manifest forbids what the whole project relies on being forbidden.
pub(crate) fn the_root_is_strict(tree: &Tree) -> Vec<Finding> {
    let manifest = tree.text("Cargo.toml").unwrap_or_default();
    let demands = [
        ("workspace.lints.rust", "unsafe_code", "\"forbid\""),
        ("workspace.lints.rust", "missing_docs", "\"warn\""),
        ("workspace.lints.clippy", "too_many_lines", "\"warn\""),
        ("workspace.package", "publish", "false"),
    ];
    let missing = demands
        .iter()
        .filter(|(section, key, value)| setting(manifest, section, key) != Some(*value));
    let finding = |(section, key, value): &(&str, &str, &str)| Finding {
        path: "Cargo.toml".to_owned(),
        line: 1,
        what: format!("[{section}] lacks `{key} = {value}`"),
        why: "what the compiler refuses need not be looked for in review",
        remedy: "put it back".to_owned(),
    };
    missing.map(finding).collect()
}

/// The value of a key in a section of a manifest.
fn setting<'a>(manifest: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let mut here = false;
    for line in manifest.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.starts_with('[') {
            here = line.trim_matches(['[', ']']) == section;
        } else if here
            && let Some((found, value)) = line.split_once('=')
            && found.trim() == key
        {
            return Some(value.trim());
        }
    }
    None
}
