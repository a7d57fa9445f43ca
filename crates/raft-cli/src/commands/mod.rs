//! What the program can do, one file each. Both faces of the command line end here.

mod append;
mod ask;
mod dev;
mod member;
mod server;
mod status;
mod transfer;

use raft_node::Address;

pub(crate) use append::{Message, object as written_object};
pub(crate) use ask::{Ask, Target};
pub(crate) use dev::DevOptions;
pub(crate) use member::members_object;
pub(crate) use server::ServerOptions;
pub(crate) use status::member_object;

use crate::errors::Problem;
use crate::output::Output;

/// One thing to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Server(ServerOptions),
    Append { ask: Ask, message: Message },
    Members { ask: Ask },
    AddMember { ask: Ask, address: Address },
    RemoveMember { ask: Ask, member: Target },
    Transfer { ask: Ask, to: Option<Target> },
    Status { ask: Ask },
    Dev(DevOptions),
}

impl Command {
    pub(crate) fn run(self, output: &Output) -> Result<(), Problem> {
        match self {
            Self::Server(options) => server::run(options, output),
            Self::Append { ask, message } => append::run(&ask, message, output),
            Self::Members { ask } => member::list(&ask, output),
            Self::AddMember { ask, address } => member::add(&ask, &address, output),
            Self::RemoveMember { ask, member } => member::remove(&ask, &member, output),
            Self::Transfer { ask, to } => transfer::run(&ask, to.as_ref(), output),
            Self::Status { ask } => status::run(&ask, output),
            Self::Dev(options) => dev::run(&options, output),
        }
    }
}
