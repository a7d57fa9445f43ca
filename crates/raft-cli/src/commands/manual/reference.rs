//! `docs/cli.md`: all verbs, flags, defaults and exit codes, from the definition that parses them.

use clap::{Arg, ArgAction, Command, CommandFactory};

use crate::args::Cli;
use crate::exit;

const INTRODUCTION: &str = "\
<!-- Generated from the code: UPDATE_GOLDENFILES=1 cargo test -p raft-cli reference -->

# The command line

`raft` takes the classic flags or a verb, never both. The [tutorial](tutorial.md) shows them at work,
[operations](operations.md) says what to do when something is wrong. Results go to standard output,
all else to standard error. An address is `9990`, `:9990`, `host:9990` or `[::1]:9990`; without a
host it means this machine only. A time is `5s`, `300ms` or `1m30s`. An option beats its environment
variable, and that beats the default.
";

/// All of them: those that the parser reads, and those that `environment` does.
const VARIABLES: &str = "\
| variable | stands for |
|---|---|
| `RAFT_CLUSTER`, `RAFT_LISTEN` | `--cluster`, `--listen` of `raft server` |
| `RAFT_DATA_DIR`, `RAFT_HTTP` | `--data-dir`, `--http` |
| `RAFT_ELECTION_TIMEOUT` | `--election-timeout` of a server |
| `RAFT_SNAPSHOT_BYTES` | `--snapshot-bytes` of a server |
| `RAFT_TEXT_LOG_MAX` | `--text-log-max` of a server |
| `RAFT_INSECURE` | `--insecure`: `true` or `false` |
| `RAFT_ENDPOINTS`, `RAFT_TIMEOUT` | `--endpoints`, `--timeout` of the verbs that ask |
| `RAFT_OUTPUT` | `--output` |
";

/// The whole document.
fn markdown() -> String {
    let mut root = Cli::command();
    root.build();
    let mut out = INTRODUCTION.to_owned();
    out += "\n## Classic flags, and options of all verbs\n\n";
    out += "```text\nraft <COMMAND> [OPTIONS]\nraft -c ADDRESSES -p ADDRESS\n\
            raft -C COMMAND -m TEXT -S ADDRESSES\n```\n";
    out += &arguments(&root, false);
    for verb in verbs(&root) {
        describe(verb, 2, &mut out);
    }
    out += "\n## Environment variables\n\n";
    out += VARIABLES;
    out += "\n## Exit codes\n\n";
    out += &exit_codes();
    out
}

fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

fn describe(verb: &Command, depth: usize, out: &mut String) {
    let name = verb.get_bin_name().unwrap_or(verb.get_name());
    *out += &format!("\n{} `{name}`\n\n", "#".repeat(depth));
    let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
    *out += &format!("{}.\n", cell(&about));
    let mut usage = verb.clone();
    let usage = usage.render_usage().to_string();
    let lines = usage.trim_start_matches("Usage:").lines().map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    *out += &format!("\n```text\n{}\n```\n", lines.join("\n"));
    *out += &arguments(verb, true);
    if let Some(more) = verb.get_after_help() {
        *out += &format!("\n```text\n{more}\n```\n");
    }
    for inner in verbs(verb) {
        describe(inner, depth + 1, out);
    }
}

/// A row for each argument; those that are global are told once.
fn arguments(command: &Command, globals_are_told: bool) -> String {
    let is_shown = |argument: &&Arg| {
        let common = matches!(argument.get_id().as_str(), "help" | "version");
        let told = globals_are_told && (argument.is_global_set() || common);
        !argument.is_hide_set() && !told
    };
    let rows: Vec<String> = command.get_arguments().filter(is_shown).map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("\n| argument | is | default | variable |\n|---|---|---|---|\n{}", rows.concat())
}

fn row(argument: &Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    // Where both faces share an option, its help says default and variable in brackets.
    let (help, noted_default) = without(&help, "default");
    let (help, _) = without(&help, "env");
    let defaults = argument.get_default_values().iter().map(|value| value.to_string_lossy());
    let known = (!argument.is_hide_default_value_set() && takes_value(argument))
        .then(|| defaults.collect::<Vec<_>>().join(","))
        .filter(|text| !text.is_empty());
    let default = match (known, noted_default) {
        (Some(known), _) => format!("`{known}`"),
        (None, Some(noted)) if !noted.contains(' ') => format!("`{noted}`"),
        (None, noted) => noted.unwrap_or_default(),
    };
    let variable = variable(argument).map(|name| format!("`{name}`")).unwrap_or_default();
    let help = cell(&help) + &values(argument);
    format!("| `{}` | {help} | {} | {variable} |\n", spelling(argument), cell(&default))
}

/// The variable that stands in for it, as its help says.
fn variable(argument: &Arg) -> Option<String> {
    let known = argument.get_env().map(|name| name.to_string_lossy().into_owned());
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    known.or_else(|| Some(without(&help, "env").1?.trim_end_matches('=').to_owned()))
}

/// The text without ` [key: value]`, and the value.
fn without(text: &str, key: &str) -> (String, Option<String>) {
    let found = text.split_once(&format!(" [{key}: ")).and_then(|(before, rest)| {
        let (value, after) = rest.split_once(']')?;
        Some((format!("{before}{after}"), Some(value.to_owned())))
    });
    found.unwrap_or_else(|| (text.to_owned(), None))
}

fn spelling(argument: &Arg) -> String {
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let flags: Vec<String> = short.into_iter().chain(long).collect();
    let names = argument.get_value_names().unwrap_or_default();
    let value = names.first().map(ToString::to_string).filter(|_| takes_value(argument));
    match (flags.is_empty(), value) {
        (true, value) => value.unwrap_or_else(|| argument.get_id().to_string().to_uppercase()),
        (false, Some(value)) => format!("{} {value}", flags.join(", ")),
        (false, None) => flags.join(", "),
    }
}

fn takes_value(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Set | ArgAction::Append)
}

/// What it may be, if that is a list of words.
fn values(argument: &Arg) -> String {
    let values = argument.get_possible_values();
    let told = argument.is_hide_possible_values_set() || !takes_value(argument);
    if values.is_empty() || told {
        return String::new();
    }
    let names: Vec<String> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
    format!(": {}", names.join(", "))
}

/// Nothing in it ends a cell of a table, and no `<` begins a tag.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}

fn exit_codes() -> String {
    let mut out = "| code | who | meaning |\n|---|---|---|\n".to_owned();
    for (code, who, meaning) in exit::TABLE {
        out += &format!("| {code} | {who} | {meaning} |\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::env;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::exit::Exit;

    #[test]
    fn the_reference_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
        let made = markdown();
        if env::var_os("UPDATE_GOLDENFILES").is_some() {
            fs::write(&path, &made).expect("written");
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        let differs = made.lines().zip(kept.lines()).find(|(made, kept)| made != kept);
        assert!(
            made == kept,
            "docs/cli.md is not what the code says, first at {differs:?}: \
             UPDATE_GOLDENFILES=1 cargo test -p raft-cli reference"
        );
    }

    #[test]
    fn every_exit_code_has_a_row() {
        for (code, _, meaning) in exit::TABLE {
            // Done is no failure, and 6 is kept free for what is to come.
            let known = Exit::of_code(u64::from(*code)).is_some();
            assert!(known || matches!(code, 0 | 6), "{code}: {meaning}");
        }
        let told = |code: u64| exit::TABLE.iter().any(|(told, ..)| u64::from(*told) == code);
        let lost: Vec<u64> =
            (0..=255).filter(|code| Exit::of_code(*code).is_some() && !told(*code)).collect();
        assert_eq!(lost, [0; 0], "codes without a row");
    }

    fn shown(command: &Command) -> BTreeSet<String> {
        let inner = command.get_subcommands().flat_map(shown);
        command.get_arguments().filter_map(variable).chain(inner).collect()
    }

    #[test]
    fn help_shows_every_variable() {
        let told = VARIABLES.split('`').filter(|word| word.starts_with("RAFT_"));
        assert_eq!(shown(&Cli::command()), told.map(str::to_owned).collect());
        let read = include_str!("../../environment.rs").split('"');
        for name in read.filter(|word| word.starts_with("RAFT_")) {
            assert!(VARIABLES.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn notes_in_brackets_become_cells() {
        let (text, default) = without("How long [default: 5s] [env: X=]", "default");
        assert_eq!((&*text, default.as_deref()), ("How long [env: X=]", Some("5s")));
        assert_eq!(without("plain", "env"), ("plain".to_owned(), None));
        assert_eq!(cell("a|b <c>"), "a\\|b &lt;c>");
    }
}
