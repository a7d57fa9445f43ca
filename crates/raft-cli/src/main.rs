//! `raft`: a replicated log in one program. Servers, and the commands that talk to them.
//!
//! A command line is parsed (`args`), turned into a command (`classic` or `verbs`), run
//! (`commands`), and what comes of it is written in one place (`output`) and told to the shell as
//! one number (`exit`).

mod args;
mod classic;
mod commands;
mod datadir;
mod environment;
mod errors;
mod exit;
#[cfg(test)]
#[path = "../tests/fuzz/targets.rs"]
mod fuzz;
mod http;
mod machine;
mod output;
mod select;
mod signals;
mod stamp;
mod usage;
mod verbs;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::args::{Classic, Cli};
use crate::commands::Command;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::{Format, Output};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return unparsed(&error),
    };
    let format = cli.output.map_or_else(environment::format, |format| Ok(Some(format)));
    let output =
        Output { format: *format.as_ref().unwrap_or(&None).as_ref().unwrap_or(&Format::Table) };
    let command = format.and_then(|_| command(cli));
    let done = match command {
        Ok(Some(command)) => command.run(&output),
        Ok(None) => return help(),
        Err(problem) => Err(problem),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            output.problem(&problem);
            problem.exit.into()
        }
    }
}

/// What one face or the other asks for; both at once would be a guess.
fn command(cli: Cli) -> Result<Option<Command>, Problem> {
    match (cli.verb, cli.classic == Classic::default()) {
        (Some(verb), true) => verbs::command(verb).map(Some),
        (None, _) => classic::command(cli.classic),
        (Some(_), false) => Err(Problem::usage("classic flags and verbs do not mix")
            .hint("options of a verb stand behind it: raft append TEXT --timeout 5s")),
    }
}

/// Help for both faces, because nothing was asked for.
fn help() -> ExitCode {
    let _ = Cli::command().print_help();
    Exit::Usage.into()
}

/// Help and version are asked for and go to standard output; anything else is a mistake.
fn unparsed(error: &clap::Error) -> ExitCode {
    let output = Output { format: Format::of_unparsed(env::args_os()) };
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        && !output.format.is_json()
    {
        let _ = error.print();
        return Exit::Usage.into();
    }
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    output.problem(&usage::problem(error, &args));
    Exit::Usage.into()
}
