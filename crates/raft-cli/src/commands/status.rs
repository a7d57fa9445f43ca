//! `raft status`: how each member is, and why nobody leads if nobody does. Exit code 3 if
//! anything is not well.
//!
//! The servers that are named are asked at once, then the members that they name (`survey`). What
//! they say is judged without asking again (`report`), and written for people or programs
//! (`view`), once or over and over (`watch`).

pub(super) mod report;
pub(super) mod survey;
#[cfg(test)]
mod tests;
pub(super) mod view;
mod watch;
pub(super) mod why;

use std::time::Duration;

use raft_node::{Address, NodeStatus};
use serde_json::Value;

use super::ask::Ask;
use crate::errors::Problem;
use crate::output::{Format, Output};
use report::Report;
use survey::Seen;

/// What to look at, and how often.
#[derive(Debug, PartialEq)]
pub(crate) struct StatusOptions {
    pub(crate) ask: Ask,
    /// Look again after so long.
    pub(crate) watch: Option<Duration>,
}

pub(crate) fn run(options: &StatusOptions, output: &Output) -> Result<(), Problem> {
    let report = match options.watch {
        None => once(&options.ask, output)?,
        Some(interval) => watch::run(&options.ask, interval, output)?,
    };
    report.problem().map_or(Ok(()), Err)
}

fn once(ask: &Ask, output: &Output) -> Result<Report, Problem> {
    let report = Report::of(survey::survey::<NodeStatus>(ask)?);
    show(&report, output)?;
    Ok(report)
}

/// What is said about one server that answered, for programs.
pub(crate) fn member_object(address: &Address, status: NodeStatus) -> Value {
    let report = Report::of(vec![Seen { address: address.clone(), answer: Ok(status) }]);
    // The other rows are members that were not asked.
    let own = report.rows.iter().find(|row| row.answer.is_ok());
    own.map(view::object).unwrap_or_default()
}

fn show(report: &Report, output: &Output) -> Result<(), Problem> {
    match output.format {
        Format::Table => output.text(&view::text(report)),
        Format::Plain => {
            output.text(&view::table(report).plain())?;
            view::lines(report).iter().for_each(|line| output.note(line));
            Ok(())
        }
        Format::Json => output.text(&view::json_line(report)),
        Format::Jsonl => {
            let mut rows = report.rows.iter().map(view::object);
            rows.try_for_each(|row| output.line("", row))
        }
    }
}
