//! `raft transfer`: hands leadership over.

use serde_json::json;

use super::ask::{self, Ask, Target};
use crate::errors::Problem;
use crate::output::Output;

pub(crate) fn run(ask: &Ask, to: Option<&Target>, output: &Output) -> Result<(), Problem> {
    let to = match to {
        Some(target @ Target::Id(_)) => Some(target.resolve(&ask.members_first(output)?)?),
        Some(Target::Address(address)) => Some(address.clone()),
        None => None,
    };
    let client = ask.client(output)?;
    ask::on_interrupt("interrupted: leadership may still be handed over", output)?;
    let (leader, served) =
        client.transfer(to.as_ref()).wait().map_err(|error| ask.problem(&error, "handed over"))?;
    ask::forwarded(&served, output);
    let object = json!({
        "leader": leader,
        "contacted": served.contacted,
        "forwarded_to": served.forwarded_to,
    });
    output.line(&format!("{leader} leads now"), object)
}
