//! `raft why`: why there is no leader, why a member lags, why a change waits, why writes are
//! refused; or that nothing is wrong. Exit code 3 if something is.
//!
//! All servers are asked at once, as by `raft status`. What follows from what they say is judged
//! without asking again (`judge`), in words (`words`), for people or programs (`view`).

mod judge;
mod members;
#[cfg(test)]
mod tests;
mod view;
mod words;

use raft_node::Testimony;

use super::ask::Ask;
use super::status::survey;
use crate::errors::Problem;
use crate::output::{Format, Output};

pub(crate) fn run(ask: &Ask, output: &Output) -> Result<(), Problem> {
    let heard = survey::survey::<Testimony>(ask)?;
    let verdict = judge::judge(&heard);
    match output.format {
        Format::Table => output.text(&view::text(&verdict))?,
        Format::Plain => output.text(&view::plain(&verdict))?,
        Format::Json => output.text(&view::json_line(&verdict, &heard))?,
        Format::Jsonl => {
            let mut findings = verdict.findings.iter().map(view::finding);
            findings.try_for_each(|finding| output.line("", finding))?;
        }
    }
    verdict.problem.map_or(Ok(()), Err)
}
