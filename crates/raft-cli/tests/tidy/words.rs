//! Rules about words: the glossary, marks of unfinished work, sleeps, paths of one machine.

use std::path::Path;

use crate::source;
use crate::tree::{Finding, RustFile, Tree, has_extension};

/// Names of other code bases and papers, as whole identifiers, with ours.
const FOREIGN_NAMES: &[(&str, &str)] = &[
    ("RawNode", "Raft"),
    ("MsgApp", "AppendEntries"),
    ("MsgHup", "Timer"),
    ("MsgBeat", "AppendEntries without entries"),
    ("LogTerm", "LogId"),
    ("ConfState", "Membership"),
    ("ConfChange", "Change"),
    ("VerifyLeader", "ReadIndex"),
    ("ReadState", "ReadReady"),
    ("base_index", "prev_log_id"),
    ("searching_end", "next_index"),
    ("read_seq", "ReadIndex"),
    ("blank_log", "no-op entry"),
];

/// Words that no part of an identifier may be, with ours.
const FOREIGN_WORDS: &[(&str, &str)] = &[
    ("ballot", "term"),
    ("zxid", "LogId"),
    ("suffrage", "voter, learner"),
    ("slave", "follower"),
    ("master", "leader"),
    ("transferee", "target of a leadership transfer"),
];

/// Files that may sleep in a test, each with the reason why nothing better exists.
const SLEEPERS: &[(&str, &str)] = &[
    ("crates/raft-log/examples/floor.rs", "it measures for as long as it is told"),
    (
        "crates/raft-node/src/node/connection.rs",
        "what comes first when a deadline has passed already is what the test is about",
    ),
];

/// Code says things in the words of the paper and of the glossary.
pub(crate) fn code_uses_the_glossary(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        for code in [&file.shipped, &file.tests] {
            for token in source::tokens(code) {
                let whole = FOREIGN_NAMES.iter().find(|(name, _)| *name == token.text);
                let part = || {
                    let words = source::subwords(token.text);
                    FOREIGN_WORDS.iter().find(|(word, _)| words.iter().any(|w| w == word))
                };
                if let Some((_, ours)) = whole.or_else(part) {
                    findings.push(Finding {
                        path: file.path.clone(),
                        line: token.line,
                        what: format!("`{}` is not a word of this project", token.text),
                        why: "one thing has one name, the paper's, so that every rule can be found",
                        remedy: format!("say `{ours}`"),
                    });
                }
            }
        }
    }
    findings
}

/// Nothing is left for later: no mark of unfinished work, no stub, no ignored test.
pub(crate) fn nothing_is_left_for_later(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |path: &str, line: usize, what: String| {
        findings.push(Finding {
            path: path.to_owned(),
            line,
            what,
            why: "what is in the tree works; what does not exist yet is said in the README",
            remedy: "finish it, or take it out".to_owned(),
        });
    };
    for (path, text) in tree.files_but_tidy() {
        for (number, line) in text.lines().enumerate() {
            let marks = ["TODO", "FIXME", "XXX"];
            if let Some(mark) = marks.iter().find(|mark| has_word(line, mark)) {
                report(path, number + 1, format!("a mark of unfinished work: `{mark}`"));
            }
            let fence = line.trim_start_matches(['/', '!', ' ']);
            if has_extension(path, "rs") && fence.starts_with("```") && has_word(fence, "ignore") {
                report(path, number + 1, "an example that is not run".to_owned());
            }
        }
    }
    for file in tree.rust() {
        for code in [&file.shipped, &file.tests] {
            let tokens = source::tokens(code);
            for pair in tokens.windows(2) {
                let stub = matches!(pair[0].text, "todo" | "unimplemented") && pair[1].text == "!";
                let ignored = pair[0].text == "[" && pair[1].text == "ignore";
                if stub || ignored {
                    let what = if stub { "a stub" } else { "an ignored test" };
                    report(&file.path, pair[1].line, what.to_owned());
                }
            }
        }
    }
    findings
}

/// No test sleeps: it waits for what it needs, or for a deadline.
pub(crate) fn tests_do_not_sleep(tree: &Tree) -> Vec<Finding> {
    tests_sleep_only_in(tree, SLEEPERS)
}

/// No test sleeps but in these files, and they do.
pub(crate) fn tests_sleep_only_in(tree: &Tree, sleepers: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut sleepers_seen = Vec::new();
    for file in tree.rust() {
        let sleeps = sleeps(&file);
        let allowed = sleepers.iter().any(|(path, _)| *path == file.path);
        if allowed && !sleeps.is_empty() {
            sleepers_seen.push(file.path.clone());
        }
        for line in sleeps.into_iter().filter(|_| !allowed) {
            findings.push(Finding {
                path: file.path.clone(),
                line,
                what: "a sleep in a test".to_owned(),
                why: "sleeping is too long on a fast machine and too short on a busy one",
                remedy:
                    "wait for the line, the answer or the exit itself; a polling helper gets a \
                         row in SLEEPERS of tidy/words.rs, with its reason"
                        .to_owned(),
            });
        }
    }
    for (path, _) in sleepers {
        if !sleepers_seen.iter().any(|seen| seen == path) {
            findings.push(Finding {
                path: (*path).to_owned(),
                line: 1,
                what: "has leave to sleep, but does not".to_owned(),
                why: "a stale exception hides the next sleep",
                remedy: "take its row out of SLEEPERS".to_owned(),
            });
        }
    }
    findings
}

/// The project speaks only of itself: no file names a folder of one person's machine.
pub(crate) fn no_file_names_a_machine(tree: &Tree) -> Vec<Finding> {
    let mut folders: Vec<String> =
        ["home", "root", "Users", "tmp"].map(|name| format!("/{name}/")).into();
    folders.extend(where_this_project_lies());
    let mut findings = Vec::new();
    for (path, text) in tree.files_but_tidy() {
        for (number, line) in text.lines().enumerate() {
            if let Some(folder) = folders.iter().find(|folder| names_folder(line, folder)) {
                findings.push(Finding {
                    path: path.to_owned(),
                    line: number + 1,
                    what: format!("a path below `{folder}`"),
                    why: "what exists on one machine means nothing on another",
                    remedy: "use a path from the root of the project, a temporary directory that \
                             the test makes, or in an example /var/lib/raft"
                        .to_owned(),
                });
            }
        }
    }
    findings
}

/// The lines on which the tests in a file sleep.
fn sleeps(file: &RustFile) -> Vec<usize> {
    let sleep = |text: &str| {
        text.ends_with("thread::sleep")
            || text.ends_with("time::sleep")
            || text.ends_with("time::sleep_until")
    };
    let paths = source::paths(&file.tests);
    paths.iter().filter(|path| sleep(&path.text)).map(|path| path.line).collect()
}

/// Whether `word` is in the line with no letter, digit or underscore beside it.
fn has_word(line: &str, word: &str) -> bool {
    let outside = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    line.match_indices(word).any(|(at, _)| {
        outside(line[..at].chars().next_back()) && outside(line[at + word.len()..].chars().next())
    })
}

/// The folder beside whose others this checkout is, unless every machine has it.
fn where_this_project_lies() -> Option<String> {
    const EVERYWHERE: &[&str] = &["/etc", "/mnt", "/opt", "/srv", "/usr", "/var"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
    let folder = root.parent()?;
    let is_telling =
        folder.parent().is_some() && !EVERYWHERE.iter().any(|at| folder.starts_with(at));
    is_telling.then(|| format!("{}/", folder.display()))
}

/// Whether the line has an absolute path that begins with this folder.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '.' | '_' | '-' | '>' | '}'))
    })
}
