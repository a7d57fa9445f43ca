//! What packagers want of the command line: completions for shells, and pages of the manual. Both
//! are made of the very definition that parses it.

#[cfg(test)]
mod reference;

use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::aot;
use clap_mangen::Man;
use serde_json::json;

use crate::args::{Cli, Shell};
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::Output;

const NAME: &str = "raft";

/// Writes a script for this shell to standard output.
pub(crate) fn completions(shell: Shell, output: &Output) -> Result<(), Problem> {
    output.text(&String::from_utf8_lossy(&script(shell)))
}

fn script(shell: Shell) -> Vec<u8> {
    let (mut script, mut command) = (Vec::new(), Cli::command());
    match shell {
        Shell::Bash => aot::generate(aot::Bash, &mut command, NAME, &mut script),
        Shell::Zsh => aot::generate(aot::Zsh, &mut command, NAME, &mut script),
        Shell::Fish => aot::generate(aot::Fish, &mut command, NAME, &mut script),
    }
    script
}

/// Writes the main page to standard output, or all pages into a directory.
pub(crate) fn man(dir: Option<&Path>, output: &Output) -> Result<(), Problem> {
    let pages = pages().map_err(|error| Problem::new(Exit::Io, format!("{error}")))?;
    let Some(dir) = dir else {
        let main = pages.first().map(|(_, page)| page.as_slice()).unwrap_or_default();
        return output.text(&String::from_utf8_lossy(main));
    };
    let count = write_all(&pages, dir)?;
    let text = format!("{count} pages in {}", dir.display());
    output.line(&text, json!({ "pages": count, "dir": dir.display().to_string() }))
}

fn write_all(pages: &[(String, Vec<u8>)], dir: &Path) -> Result<usize, Problem> {
    let cannot = |error: io::Error| {
        Problem::new(Exit::Io, format!("cannot write the manual to {}: {error}", dir.display()))
            .hint("name a directory that you may write to: raft man DIR")
    };
    fs::create_dir_all(dir).map_err(cannot)?;
    for (name, page) in pages {
        fs::write(dir.join(name), page).map_err(cannot)?;
    }
    Ok(pages.len())
}

/// File names and pages, the main one first.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = Cli::command();
    command.build();
    let mut pages = Vec::new();
    add(&command, &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    // Help text has lines that have to stay as they are: it is set below.
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command.clone().after_help(None::<&str>)).manual("raft");
    let mut page = Vec::new();
    man.render(&mut page)?;
    page.extend(sections(&after).into_bytes());
    pages.push((man.get_filename(), page));
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        add(verb, pages)?;
    }
    Ok(())
}

/// A paragraph that begins with `Title:` becomes a section of that name, line for line.
fn sections(text: &str) -> String {
    let mut out = String::new();
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        let (title, lines) = paragraph.split_once(":\n").unwrap_or(("Notes", paragraph));
        out += &format!(".SH {}\n.nf\n", title.to_uppercase());
        lines.lines().for_each(|line| out += &(unformatted(line.trim_start()) + "\n"));
        out += ".fi\n";
    }
    out
}

/// Nothing in it is a command of roff, or turned into another character.
fn unformatted(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if line.starts_with('.') { format!("\\&{line}") } else { line }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    fn all_pages() -> Vec<(String, String)> {
        let text = |page| String::from_utf8(page).expect("text");
        pages().expect("written").into_iter().map(|(name, page)| (name, text(page))).collect()
    }

    #[test]
    fn every_verb_has_a_page_and_is_completed() {
        let pages = all_pages();
        assert_eq!(pages.first().map(|(name, _)| name.as_str()), Some("raft.1"));
        let scripts: Vec<String> = (Shell::value_variants().iter())
            .map(|shell| String::from_utf8(script(*shell)).expect("text"))
            .collect();
        for verb in Cli::command().get_subcommands() {
            let name = verb.get_name();
            let page = pages.iter().find(|(file, _)| *file == format!("raft-{name}.1"));
            let (_, page) = page.unwrap_or_else(|| panic!("{name} has no page"));
            assert!(page.contains(".SH SYNOPSIS"), "{page}");
            assert!(scripts.iter().all(|script| script.contains(name)), "{name}");
        }
        assert!(pages.iter().any(|(name, _)| name == "raft-member-add.1"));
    }

    #[test]
    fn the_main_page_has_examples_and_exit_codes_line_for_line() {
        let (_, page) = all_pages().swap_remove(0);
        assert!(page.contains(".SH EXAMPLES\n.nf\nraft dev "), "{page}");
        assert!(page.contains("\nraft append \\(aqI like beer.\\(aq  "), "{page}");
        assert!(page.contains(".SH EXIT CODES\n.nf\n0 done"), "{page}");
        assert!(page.contains("CLASSIC FLAGS"), "{page}");
    }

    #[test]
    fn text_is_no_roff() {
        assert_eq!(unformatted(".SH \\-x 'a'"), "\\&.SH \\e\\-x \\(aqa\\(aq");
    }

    #[test]
    fn pages_go_into_a_directory_that_is_made() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = dir.path().join("share/man1");
        let pages = pages().expect("made");
        assert_eq!(write_all(&pages, &place), Ok(pages.len()));
        assert!(place.join("raft-status.1").exists());
        let file = dir.path().join("file");
        fs::write(&file, "").expect("written");
        let problem = write_all(&pages, &file).expect_err("that is a file");
        assert_eq!(problem.exit, Exit::Io);
        assert!(problem.what.contains(&file.display().to_string()), "{}", problem.what);
    }
}
