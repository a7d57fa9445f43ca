//! Rules about documents: what they name exists.

use std::collections::BTreeSet;

use crate::source;
use crate::tree::{Finding, Tree, has_extension};

const README: &str = "README.md";
const EXAMPLE: &str = "crates/raft-node/examples/counter.rs";
const ARCHITECTURE: &str = "ARCHITECTURE.md";
const PAPER_TO_CODE: &str = "docs/paper-to-code.md";

/// A link in a Markdown document.
struct Link<'a> {
    line: usize,
    target: &'a str,
}

/// Links between documents and to files of the project lead somewhere.
pub(crate) fn links_resolve(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| has_extension(path, "md")) {
        for link in links(text) {
            let remote = link.target.contains("://") || link.target.starts_with("mailto:");
            if remote || resolves(tree, path, link.target) {
                continue;
            }
            findings.push(Finding {
                path: path.to_owned(),
                line: link.line,
                what: format!("the link to `{}` leads nowhere", link.target),
                why: "a document with one dead link is not believed in the rest",
                remedy: "name the file (from this document's folder) or the heading that is meant"
                    .to_owned(),
            });
        }
    }
    findings
}

/// In the table from the paper to the code, every name stands in the file that it is given for.
///
/// A row's last column holds links to files, each followed by the names that are in it:
/// ``[election.rs] `campaign`, `on_timer`; [raft.rs] `Raft::observe_term` ``.
pub(crate) fn the_paper_leads_to_code(tree: &Tree) -> Vec<Finding> {
    let why = "a newcomer follows this table with the paper in the other hand";
    let finding = |line: usize, what: String, remedy: &str| Finding {
        path: PAPER_TO_CODE.to_owned(),
        line,
        what,
        why,
        remedy: remedy.to_owned(),
    };
    let Some(text) = tree.text(PAPER_TO_CODE) else {
        return vec![finding(1, "the document is missing".to_owned(), "write it")];
    };
    let mut findings = Vec::new();
    let mut rows = 0;
    for (number, row) in text.lines().enumerate().filter(|(_, row)| row.starts_with('|')) {
        let line = number + 1;
        let cell = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap_or_default();
        if cell.trim_matches(['-', ' ', ':']).is_empty() || !cell.contains('[') {
            continue;
        }
        rows += 1;
        for part in cell.split('[').skip(1) {
            let (label, names) = part.split_once(']').unwrap_or((part, ""));
            let Some(file) = definition(text, label) else {
                let what = format!("[{label}] is no link");
                findings.push(finding(line, what, "define it at the end of the document"));
                continue;
            };
            let Some(code) = tree.text(&join("docs", file)) else {
                // Whether the file exists is the business of `links_resolve`.
                continue;
            };
            let code = source::code_of(code);
            let known: BTreeSet<_> = source::tokens(&code).iter().map(|t| t.text).collect();
            for name in names.split('`').skip(1).step_by(2) {
                if let Some(lost) = name.split("::").find(|segment| !known.contains(segment)) {
                    let what = format!("`{lost}` of `{name}` is not in {label}");
                    findings.push(finding(line, what, "name where the rule lives now"));
                }
            }
        }
    }
    if rows == 0 {
        findings.push(finding(1, "no row names a file".to_owned(), "restore the table"));
    }
    findings
}

/// A rule that code quotes by its number is one that the same document explains.
///
/// The rules are rows that begin with `| R1 |`; the code quotes them in comments and messages.
pub(crate) fn quoted_rules_are_explained(tree: &Tree) -> Vec<Finding> {
    let rows = tree.text(PAPER_TO_CODE).unwrap_or_default().lines();
    let known: BTreeSet<_> =
        rows.filter_map(|row| row.strip_prefix("| ")?.split(' ').next().filter(is_rule)).collect();
    let mut findings = Vec::new();
    for (path, text) in tree.files_but_tidy().filter(|(path, _)| path.starts_with("crates/")) {
        for (number, line) in text.lines().enumerate() {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            for rule in words.filter(is_rule).filter(|rule| !known.contains(rule)) {
                findings.push(Finding {
                    path: path.to_owned(),
                    line: number + 1,
                    what: format!("rule {rule} is explained nowhere"),
                    why: "a number that a reader cannot look up explains nothing",
                    remedy: format!("give it a row in {PAPER_TO_CODE}, or quote the right one"),
                });
            }
        }
    }
    findings
}

/// Whether a word is the number of a rule, such as R7.
fn is_rule(word: &&str) -> bool {
    word.strip_prefix('R').is_some_and(|number| {
        matches!(number.len(), 1 | 2) && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The README shows the example program as it is compiled, from its imports on.
pub(crate) fn the_readme_shows_the_example(tree: &Tree) -> Vec<Finding> {
    let finding = |line: usize, what: &str| Finding {
        path: README.to_owned(),
        line,
        what: what.to_owned(),
        why: "the first code that a reader copies has to compile",
        remedy: format!("copy {EXAMPLE}, from its first `use` on, into the block"),
    };
    let code = |text: &str| {
        let lines = text.lines().skip_while(|line| !line.starts_with("use "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let Some(example) = tree.text(EXAMPLE).map(code) else {
        return vec![finding(1, &format!("{EXAMPLE} is missing"))];
    };
    let mut lines = tree.text(README).unwrap_or_default().lines().enumerate();
    let Some((fence, _)) = lines.find(|(_, line)| *line == "```rust") else {
        return vec![finding(1, "no block of Rust")];
    };
    let shown: Vec<_> =
        lines.map(|(_, line)| line.to_owned()).take_while(|line| line != "```").collect();
    if shown == example {
        return Vec::new();
    }
    let same = shown.iter().zip(&example).take_while(|(shown, is)| shown == is).count();
    vec![finding(fence + 2 + same, &format!("the block is not {EXAMPLE}"))]
}

/// The code map of ARCHITECTURE.md has a line for every file, and no line for a file that is gone.
///
/// It is one list for each crate: ``### raft-core``, then lines such as ``- `raft.rs`: its job`` or
/// ``- `input.rs`, `output.rs`: their job`` or, for a whole folder, ``- `wire/`: its job``.
pub(crate) fn the_code_map_is_complete(tree: &Tree) -> Vec<Finding> {
    let why = "the map is how a newcomer finds the file to change";
    let Some(text) = tree.text(ARCHITECTURE) else {
        return vec![Finding {
            path: ARCHITECTURE.to_owned(),
            line: 1,
            what: "the document is missing".to_owned(),
            why,
            remedy: "write it".to_owned(),
        }];
    };
    let mut findings = Vec::new();
    let mut krate = "";
    let mut mapped = BTreeSet::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(heading) = line.strip_prefix('#') {
            krate = heading.trim_start_matches('#').trim();
        } else if krate.starts_with("raft-")
            && let Some(entry) = line.strip_prefix("- `")
        {
            let names = entry.split("`:").next().unwrap_or_default();
            for name in names.split('`').step_by(2) {
                let path = format!("crates/{krate}/src/{name}");
                if !tree.exists(&path) {
                    findings.push(Finding {
                        path: ARCHITECTURE.to_owned(),
                        line: number + 1,
                        what: format!("{path} does not exist"),
                        why,
                        remedy: "name the file as it is called now".to_owned(),
                    });
                }
                mapped.insert(path);
            }
        }
    }
    for file in tree.rust() {
        let Some(in_src) = &file.in_src else { continue };
        let only_tests = file.shipped.trim().is_empty() && !file.tests.trim().is_empty();
        let folder = |path: &String| path.ends_with('/') && file.path.starts_with(path);
        if !only_tests && !mapped.contains(&file.path) && !mapped.iter().any(folder) {
            findings.push(Finding {
                path: file.path.clone(),
                line: 1,
                what: "has no line in the code map".to_owned(),
                why,
                remedy: format!(
                    "add a line \"- `{in_src}`: its job\" to {ARCHITECTURE} under `### {}`",
                    file.krate
                ),
            });
        }
    }
    findings
}

/// What documents tell people to set or to run exists: variables, test programs, paths of crates.
pub(crate) fn what_is_to_be_run_exists(tree: &Tree) -> Vec<Finding> {
    let (documents, others): (Vec<_>, Vec<_>) =
        tree.files_but_tidy().partition(|(path, _)| has_extension(path, "md"));
    let read: BTreeSet<_> = others.iter().flat_map(|(_, text)| variables(text)).collect();
    let mut findings = Vec::new();
    for (path, text) in documents {
        for (number, line) in text.lines().enumerate() {
            let unread = variables(line).filter(|name| !read.contains(name));
            let mut lost: Vec<_> = unread.map(|name| format!("nothing reads {name}")).collect();
            let missing = test_programs(line).filter(|(krate, test)| {
                let at = format!("crates/{krate}/tests/{test}");
                !tree.exists(&format!("{at}.rs")) && !tree.exists(&format!("{at}/main.rs"))
            });
            lost.extend(missing.map(|(krate, test)| format!("{krate} has no test {test}")));
            let spans = line.split('`').skip(1).step_by(2);
            let paths = spans.filter(|span| span.starts_with("raft-") && span.contains('/'));
            let gone = paths.filter(|path| {
                !path.contains(' ')
                    && !tree.exists(&format!("crates/{}", path.trim_end_matches('/')))
            });
            lost.extend(gone.map(|path| format!("crates/{path} does not exist")));
            findings.extend(lost.into_iter().map(|what| Finding {
                path: path.to_owned(),
                line: number + 1,
                what,
                why: "whoever follows a document that is wrong looks for the fault elsewhere",
                remedy: "name it as it is called now".to_owned(),
            }));
        }
    }
    findings
}

/// Names of environment variables of this project.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
    let is_ours = |word: &&str| {
        ["RAFT_", "CHAOS_"]
            .iter()
            .any(|prefix| word.len() > prefix.len() && word.starts_with(prefix))
    };
    words.filter(is_ours)
}

/// The crate and the test of each `cargo test -p CRATE --test TEST`.
fn test_programs(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split("cargo test ").skip(1).filter_map(|command| {
        let word = |option: &str| {
            let value = command.split('`').next()?.split_once(option)?.1;
            value.split([' ', ')']).next()
        };
        Some((word("-p ")?, word("--test ")?))
    })
}

/// The links of a document, code blocks and code spans aside.
fn links(text: &str) -> Vec<Link<'_>> {
    let mut out = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        if line.starts_with('[')
            && let Some((_, target)) = line.split_once("]: ")
        {
            out.push(Link { line: number + 1, target: target.trim() });
            continue;
        }
        // Every second piece between backticks is code.
        for prose in line.split('`').step_by(2) {
            for piece in prose.split("](").skip(1) {
                let target = piece.split([')', ' ']).next().unwrap_or_default();
                out.push(Link { line: number + 1, target });
            }
        }
    }
    out
}

/// Whether a link in the document at `from` leads to a file and, if it says so, to a heading.
fn resolves(tree: &Tree, from: &str, target: &str) -> bool {
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { from.to_owned() } else { join(folder, file) };
    if anchor.is_empty() {
        return tree.exists(&path);
    }
    let heading = |line: &str| line.starts_with('#') && slug(line) == anchor;
    tree.text(&path).is_some_and(|text| text.lines().any(heading))
}

/// The anchor of a heading.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The target of a link definition such as `[raft.rs]: ../crates/raft-core/src/raft.rs`.
fn definition<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix('[')?.strip_prefix(label)?.strip_prefix("]: "))
        .map(str::trim)
}

/// A path from `folder`, with its `..` resolved.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
