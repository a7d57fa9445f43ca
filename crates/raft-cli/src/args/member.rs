//! Members: `raft member list`, `add`, `remove`, `demote`, `replace` and `update`.

use clap::{Args, Subcommand};

use super::ClientArgs;

#[derive(Debug, PartialEq, Subcommand)]
pub(crate) enum MemberVerb {
    /// Show the members
    List(ClientArgs),
    /// Add a running server that waits to be added; give a learner its vote
    Add {
        /// The server's address
        address: String,
        #[command(flatten)]
        how: ChangeArgs,
    },
    /// Remove a member
    Remove {
        /// The member's address, or its id (n3)
        member: String,
        #[command(flatten)]
        how: ChangeArgs,
    },
    /// Take a member's vote: it is fed on, and counts no more
    Demote {
        /// The member's address, or its id (n3)
        member: String,
        #[command(flatten)]
        how: ChangeArgs,
    },
    /// Put a running server that waits to be added in a member's place, in one step
    Replace {
        /// The address of the member that goes, or its id (n3)
        old: String,
        /// The address of the server that comes; the same one if the member's disk was lost
        new: String,
        #[command(flatten)]
        how: ChangeArgs,
    },
    /// Tell all members a member's new address; then start it there, with its data directory
    Update {
        /// The member's address as it was, or its id (n3)
        member: String,
        /// Its new address
        address: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct ChangeArgs {
    /// Show which majorities it would need, and whose crash would stop it; change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}
