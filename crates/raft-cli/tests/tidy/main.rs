//! The style of the project, checked by a program.
//!
//! Each rule is a function from the files of the project to its violations, one sentence long in
//! its documentation, and a test here. `samples` shows each rule a small project that breaks it:
//! a rule that was never seen red proves nothing.

mod documents;
mod rings;
mod samples;
mod shape;
mod source;
mod tree;
mod words;

use tree::{Finding, Tree};

/// Fails with every violation, ready to be acted on.
fn holds(rule: impl Fn(&Tree) -> Vec<Finding>) {
    let findings = rule(&Tree::of_the_project());
    let text: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "violations: {}\n{}", findings.len(), text.join("\n"));
}

#[test]
fn manifests_keep_the_import_table() {
    holds(rings::manifests_keep_the_import_table);
}

#[test]
fn code_keeps_the_import_table() {
    holds(rings::code_keeps_the_import_table);
}

#[test]
fn nothing_is_unsafe() {
    holds(rings::nothing_is_unsafe);
}

#[test]
fn code_uses_the_glossary() {
    holds(words::code_uses_the_glossary);
}

#[test]
fn nothing_is_left_for_later() {
    holds(words::nothing_is_left_for_later);
}

#[test]
fn tests_do_not_sleep() {
    holds(words::tests_do_not_sleep);
}

#[test]
fn no_file_names_a_machine() {
    holds(words::no_file_names_a_machine);
}

#[test]
fn files_are_short() {
    holds(shape::files_are_short);
}

#[test]
fn manifests_follow_the_root() {
    holds(shape::manifests_follow_the_root);
}

#[test]
fn the_root_is_strict() {
    holds(shape::the_root_is_strict);
}

#[test]
fn links_resolve() {
    holds(documents::links_resolve);
}

#[test]
fn the_paper_leads_to_code() {
    holds(documents::the_paper_leads_to_code);
}

#[test]
fn quoted_rules_are_explained() {
    holds(documents::quoted_rules_are_explained);
}

#[test]
fn the_readme_shows_the_example() {
    holds(documents::the_readme_shows_the_example);
}

#[test]
fn what_is_to_be_run_exists() {
    holds(documents::what_is_to_be_run_exists);
}

#[test]
fn the_code_map_is_complete() {
    holds(documents::the_code_map_is_complete);
}
