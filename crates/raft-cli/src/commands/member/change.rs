//! Changes of the members: what is asked, and what is said of the answer.

use raft_node::{Address, Changed, MemberChange, MemberName, MembersView, NodeId, Reason, Served};
use serde_json::{Value, json};

use super::rehearsal;
use crate::commands::ask::{self, Ask, Target, addresses_of};
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::Output;

const GOES_ON: &str = "interrupted: the change goes on at the cluster, `raft member list` shows it";

/// What is to become of the members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MemberJob {
    Add(Address),
    Remove(Target),
    Demote(Target),
    Replace { old: Target, new: Address },
    Update { member: Target, address: Address },
}

pub(crate) fn run(
    ask: &Ask,
    job: &MemberJob,
    dry_run: bool,
    output: &Output,
) -> Result<(), Problem> {
    let members = ask.members_first(output)?;
    if let Some(id @ Target::Id(_)) = job.member() {
        id.find(&members)?;
    }
    if dry_run {
        return rehearsal::show(ask, job, &members, output);
    }
    let client = ask.client(output)?;
    ask::on_interrupt(GOES_ON, output)?;
    let reply = client.change_members(job.asked()).wait().map_err(|error| match &error.reason {
        Some(Reason::Unreachable { address, error }) => unreachable(address, error, &members),
        _ => ask.problem(&error, job.done()),
    })?;
    changed(&reply, output)
}

impl MemberJob {
    /// The member that it is about, if there has to be one.
    pub(super) const fn member(&self) -> Option<&Target> {
        match self {
            Self::Add(_) => None,
            Self::Remove(member)
            | Self::Demote(member)
            | Self::Replace { old: member, .. }
            | Self::Update { member, .. } => Some(member),
        }
    }

    fn asked(&self) -> MemberChange {
        match self {
            Self::Add(address) => MemberChange::Add(address.to_string()),
            Self::Remove(member) => MemberChange::Remove(name(member)),
            Self::Demote(member) => MemberChange::Demote(name(member)),
            Self::Replace { old, new } => {
                MemberChange::Replace { old: name(old), new: new.to_string() }
            }
            Self::Update { member, address } => {
                MemberChange::Update { member: name(member), address: address.to_string() }
            }
        }
    }

    /// As in "it may have been ...".
    const fn done(&self) -> &'static str {
        match self {
            Self::Add(_) => "added",
            Self::Remove(_) => "removed",
            Self::Demote(_) => "demoted",
            Self::Replace { .. } => "replaced",
            Self::Update { .. } => "updated",
        }
    }
}

/// An id is the member's for ever, an address may be another's by the time that it is read.
fn name(target: &Target) -> MemberName {
    match target {
        Target::Id(id) => MemberName::Id(NodeId(*id)),
        Target::Address(address) => MemberName::Address(address.to_string()),
    }
}

/// The server that is to come is not there: the most common mistake, so the hint is the whole
/// command.
pub(super) fn unreachable(address: &str, error: &str, members: &MembersView) -> Problem {
    let what = format!("{address} does not answer ({error}); the cluster is unchanged");
    Problem::new(Exit::Refused, what)
        .hint(format!("start it first: raft -c '{}' -p '{address}'", addresses_of(members)))
}

fn changed((changed, served): &(Changed, Served), output: &Output) -> Result<(), Problem> {
    ask::forwarded(served, output);
    let (word, text) = words(changed)?;
    let (mut old, mut old_address) = (Value::Null, Value::Null);
    let (id, address) = match changed {
        Changed::Replaced { id, address, old: gone, old_address: from } => {
            (old, old_address) = (gone.0.into(), from.as_str().into());
            (id, address)
        }
        Changed::Added { id, address }
        | Changed::AlreadyMember { id, address }
        | Changed::Removed { id, address }
        | Changed::Demoted { id, address }
        | Changed::AlreadyLearner { id, address }
        | Changed::Updated { id, address }
        | Changed::Undone { id, address } => (id, address),
    };
    let mut object = json!({
        "outcome": word,
        "id": id.0,
        "address": address,
        "contacted": served.contacted,
        "forwarded_to": served.forwarded_to,
    });
    if let (Value::Object(object), Changed::Replaced { .. }) = (&mut object, changed) {
        object.insert("old_id".into(), old);
        object.insert("old_address".into(), old_address);
    }
    output.line(&text, object)?;
    if let Changed::Updated { address, .. } = changed {
        output.note(&format!(
            "if it does not listen there yet: stop it, and start it with -p '{address}' and the \
             data directory that it has"
        ));
    }
    Ok(())
}

/// The outcome for programs, and for people.
fn words(changed: &Changed) -> Result<(&'static str, String), Problem> {
    Ok(match changed {
        Changed::Added { id, address } => ("added", format!("added {address} as member {}", id.0)),
        Changed::AlreadyMember { id, address } => {
            ("already_member", format!("{address} is already member {}", id.0))
        }
        Changed::Removed { id, address } => {
            ("removed", format!("removed {address}, which was member {}", id.0))
        }
        Changed::Demoted { id, address } => {
            ("demoted", format!("demoted {address}, member {}, to a learner", id.0))
        }
        Changed::AlreadyLearner { id, address } => {
            ("already_learner", format!("{address}, member {}, is already a learner", id.0))
        }
        Changed::Replaced { id, address, old, old_address } => {
            let was = format!("{old_address}, which was member {}", old.0);
            ("replaced", format!("replaced {was}, by {address} as member {}", id.0))
        }
        Changed::Updated { id, address } => {
            ("updated", format!("member {} is at {address} now", id.0))
        }
        Changed::Undone { address, .. } => {
            let what = format!(
                "{address} could not be added: it made no progress, and the cluster took it out \
                 again"
            );
            return Err(Problem::new(Exit::Refused, what)
                .hint(format!("see what the server at {address} says, then ask again")));
        }
    })
}
