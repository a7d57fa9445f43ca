//! Command lines that do not parse, told like every other problem: what, why, what next.
//!
//! The parser knows what is wrong; what helps is often the name that the same thing has in the
//! other face of the program, and that is known here.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, Error};

use crate::args::Cli;
use crate::errors::Problem;

/// What is called differently: without a verb, and behind one.
const OTHER_FACE: &[(&str, &str)] =
    &[("-S", "--endpoints"), ("-c", "--cluster"), ("-p", "--listen")];

/// The values of `-C`.
pub(crate) const CLASSIC_COMMANDS: [&str; 3] = ["clientcommand", "addserver", "removeserver"];

/// Other names that people try, and what they are called here.
const SYNONYMS: &[(&str, &str)] = &[
    ("add", "addserver"),
    ("addpeer", "addserver"),
    ("append", "clientcommand"),
    ("command", "clientcommand"),
    ("client", "clientcommand"),
    ("remove", "removeserver"),
    ("removepeer", "removeserver"),
];

/// What is wrong with the command line, whose words after the program's name are `args`.
pub(crate) fn problem(error: &Error, args: &[OsString]) -> Problem {
    let args: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let (command, path) = verb(&args);
    let hint = quoting(error, &args)
        .or_else(|| other_face(error, &path, &args))
        .or_else(|| dashes(error, &command, &args))
        .or_else(|| suggested(error))
        .or_else(|| belongs_to(error, &path))
        .unwrap_or_else(|| format!("{path} -h shows what it takes"));
    Problem::usage(what(error)).hint(hint)
}

/// The value of `-C` that is meant by one that does not exist.
pub(crate) fn classic_command(text: &str) -> Option<&'static str> {
    let text = text.to_lowercase().replace(['-', '_', ' '], "");
    let near = CLASSIC_COMMANDS.iter().min_by_key(|name| distance(name, &text));
    let near = near.filter(|name| distance(name, &text) <= 2).copied();
    near.or_else(|| SYNONYMS.iter().find(|(name, _)| *name == text).map(|(_, ours)| *ours))
}

/// The parser's sentence, on one line.
fn what(error: &Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(missing)) => {
            format!("{} {}", first.trim_end_matches(':'), missing.join(", "))
                .replace("the following required arguments were not provided", "missing:")
        }
        _ => first.into(),
    }
}

/// The verb that the words begin with, as far as there is one, and how it is called.
fn verb(args: &[String]) -> (Command, String) {
    let (mut command, mut path) = (Cli::command(), "raft".to_owned());
    for word in args.iter().take_while(|word| !word.starts_with('-')) {
        let Some(found) = command.find_subcommand(word) else { break };
        path = format!("{path} {word}");
        command = found.clone();
    }
    (command, path)
}

fn invalid(error: &Error) -> Option<String> {
    let kind = match error.kind() {
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        _ => return None,
    };
    error.get(kind).map(ToString::to_string)
}

/// The most likely mistake of all: spaces without quotes.
fn quoting(error: &Error, args: &[String]) -> Option<String> {
    let stray = invalid(error)?;
    let takes_text = args.iter().any(|arg| ["-m", "-c", "-S", "append"].contains(&arg.as_str()));
    (takes_text && !stray.starts_with('-'))
        .then(|| "a value with spaces needs quotes: -m 'I like beer.', -c ':9990, :9991'".into())
}

/// A flag of the face that is not in use.
fn other_face(error: &Error, path: &str, args: &[String]) -> Option<String> {
    let flag = invalid(error)?;
    let has_verb = path != "raft";
    if has_verb && flag == "-m" {
        return Some("behind a verb the message stands alone: raft append 'I like beer.'".into());
    }
    let is_classic =
        ["-C", "-c", "-p", "-S", "-m"].iter().any(|classic| args.iter().any(|arg| arg == classic));
    OTHER_FACE.iter().find_map(|(classic, modern)| match has_verb {
        true if flag == *classic => Some(format!("behind a verb it is called {modern}")),
        false if flag == *modern && is_classic => {
            Some(format!("without a verb it is called {classic}"))
        }
        _ => None,
    })
}

/// `-endpoints`, read as many letters.
fn dashes(error: &Error, command: &Command, args: &[String]) -> Option<String> {
    let letter = invalid(error).filter(|flag| flag.len() == 2 && flag.starts_with('-'))?;
    let word = args.iter().find(|arg| arg.len() > 2 && arg.starts_with(&letter))?;
    let name = word.trim_start_matches('-').split('=').next().unwrap_or_default();
    let all = command.get_subcommands().chain([command]);
    let known = all.flat_map(Command::get_arguments).any(|arg| arg.get_long() == Some(name));
    known.then(|| format!("a long option has two dashes: --{name}"))
}

/// The nearest name that exists.
fn suggested(error: &Error) -> Option<String> {
    let kinds =
        [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    let found = kinds.iter().find_map(|kind| match error.get(*kind)? {
        ContextValue::String(name) => Some(name.clone()),
        ContextValue::Strings(names) => names.first().cloned(),
        _ => None,
    });
    // `--p` is there for whoever is used to Go; nobody is sent there.
    let found = found.filter(|name| !(name.starts_with("--") && name.len() == 3));
    let values = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            Some(format!("one of {}", values.join(", ")))
        }
        _ => None,
    };
    match (found, values) {
        (Some(found), Some(values)) => Some(format!("did you mean {found}? {values}")),
        (Some(found), None) => Some(format!("did you mean {found}?")),
        (None, values) => values,
    }
}

/// An option of some verb, without the verb.
fn belongs_to(error: &Error, path: &str) -> Option<String> {
    let flag = invalid(error).filter(|_| path == "raft")?;
    let name = flag.strip_prefix("--")?;
    let command = Cli::command();
    let has = |verb: &&Command| verb.get_arguments().any(|arg| arg.get_long() == Some(name));
    let verbs: Vec<&str> = command.get_subcommands().filter(has).map(Command::get_name).collect();
    match verbs.as_slice() {
        [] => None,
        [verb] => Some(format!("it is an option of raft {verb}")),
        _ => Some(format!("it stands behind a verb: {}", verbs.join(", "))),
    }
}

/// How many letters have to be put in, taken out or changed (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        for (above, theirs) in row.iter_mut().skip(1).zip(&other) {
            let changed = diagonal + usize::from(letter != *theirs);
            diagonal = *above;
            left = changed.min(*above + 1).min(left + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::classic;
    use crate::exit::Exit;

    /// What is typed, and what is said.
    const MISTAKES: &[(&[&str], &str)] = &[
        (&["statsu"], "unrecognized subcommand 'statsu' -> did you mean status?"),
        (&["member", "ad", ":1"], "unrecognized subcommand 'ad' -> did you mean add?"),
        (
            &["append", "x", "--endponts", ":1"],
            "unexpected argument '--endponts' found -> did you mean --endpoints?",
        ),
        (&["--timeuot", "5s"], "unexpected argument '--timeuot' found -> did you mean --timeout?"),
        (
            &["append", "x", "-S", ":1"],
            "unexpected argument '-S' found -> behind a verb it is called --endpoints",
        ),
        (
            &["append", "-m", "x"],
            "unexpected argument '-m' found -> behind a verb the message stands alone: raft \
                 append 'I like beer.'",
        ),
        (
            &["server", "-c", ":1"],
            "unexpected argument '-c' found -> behind a verb it is called --cluster",
        ),
        (
            &["-C", "clientcommand", "-m", "x", "--endpoints", ":1"],
            "unexpected argument '--endpoints' found -> without a verb it is called -S",
        ),
        (
            &["append", "x", "-endpoints", ":1"],
            "unexpected argument '-e' found -> a long option has two dashes: --endpoints",
        ),
        (&["--watch"], "unexpected argument '--watch' found -> it is an option of raft status"),
        (
            &["append", "two", "words"],
            "unexpected argument 'words' found -> a value with spaces needs quotes: -m 'I like \
                 beer.', -c ':9990, :9991'",
        ),
        (&["append"], "missing: <TEXT> -> raft append -h shows what it takes"),
        (
            &["append", "x", "--file", "y"],
            "the argument '[TEXT]' cannot be used with '--file <FILE>' -> raft append -h shows \
                 what it takes",
        ),
        (&["-x"], "unexpected argument '-x' found -> raft -h shows what it takes"),
        (
            &["-o", "jsn", "status"],
            "invalid value 'jsn' for '--output <FORMAT>' -> did you mean json? one of table, \
                 json, jsonl, plain",
        ),
        (
            &["completions", "tcsh"],
            "invalid value 'tcsh' for '<SHELL>' -> did you mean zsh? one of bash, zsh, fish",
        ),
        (
            &["append", "x", "--timeout", "5"],
            "invalid value '5' for '--timeout <TIME>': not a time above zero: write it like \
                 5s, 300ms or 1m30s -> raft append -h shows what it takes",
        ),
        (
            &["sim", "--schedule", "randon"],
            "invalid value 'randon' for '--schedule <NAME>' -> did you mean random? one of random, \
                 isolate-one, bridge, ring, flap, chase-the-leader, crash-all, \
                 churn-while-transferring, pause-the-leader, slow-leader-disk, full-window",
        ),
        (
            &["sim", "--seeds", "7"],
            "invalid value '7' for '--seeds <A..B>': write it like 0..100, or 1000.. together \
                 with --minutes -> raft sim -h shows what it takes",
        ),
        (
            &["-c"],
            "a value is required for '-c <ADDRESSES>' but none was supplied -> raft -h shows \
                 what it takes",
        ),
        (
            &["-C", "addsever", "-m", ":1", "-S", ":2"],
            "-C 'addsever' is not known -> did you mean addserver? -C takes clientcommand, \
                 addserver or removeserver",
        ),
        (
            &["-C", "beer", "-m", ":1", "-S", ":2"],
            "-C 'beer' is not known -> -C takes clientcommand, addserver or removeserver",
        ),
    ];

    fn hint(line: &[&str]) -> String {
        let words = std::iter::once("raft").chain(line.iter().copied());
        let problem = match Cli::try_parse_from(words) {
            Err(error) => {
                let args: Vec<OsString> = line.iter().map(OsString::from).collect();
                problem(&error, &args)
            }
            Ok(cli) => classic::command(cli.classic).expect_err("refused"),
        };
        assert_eq!(problem.exit, Exit::Usage, "{line:?}");
        assert!(!problem.what.contains('\n'), "{line:?}: {}", problem.what);
        format!("{} -> {}", problem.what, problem.hint.unwrap_or_default())
    }

    #[test]
    fn what_is_mistyped_is_recognised() {
        for (line, expected) in MISTAKES {
            assert_eq!(hint(line), *expected, "{line:?}");
        }
    }

    #[test]
    fn near_values_of_the_classic_flag() {
        let near = [
            ("addsever", Some("addserver")),
            ("AddServer", Some("addserver")),
            ("add-server", Some("addserver")),
            ("remove", Some("removeserver")),
            ("removserver", Some("removeserver")),
            ("clientcomand", Some("clientcommand")),
            ("append", Some("clientcommand")),
            ("server", None),
            ("", None),
        ];
        for (text, name) in near {
            assert_eq!(classic_command(text), name, "{text}");
        }
    }

    #[test]
    fn letters_between_words() {
        let pairs = [("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("kitten", "sitting", 3)];
        for (one, other, letters) in pairs {
            assert_eq!(distance(one, other), letters, "{one} {other}");
        }
    }
}
