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
    let reply = client.transfer(to).wait().map_err(|error| ask.problem(&error, "handed over"))?;
    ask::forwarded(&reply.contacted, reply.forwarded_to.as_deref(), output);
    let object = json!({
        "leader": reply.to,
        "contacted": reply.contacted,
        "forwarded_to": reply.forwarded_to,
    });
    output.line(&format!("{} leads now", reply.to), object)
}
