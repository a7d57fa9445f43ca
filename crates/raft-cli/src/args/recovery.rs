//! What people do when a cluster is to be kept, or is lost: `raft snapshot` and `raft recover`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use raft_node::Address;

use super::{ClientArgs, address};

/// What can be done with snapshots.
#[derive(Debug, PartialEq, Subcommand)]
pub(crate) enum SnapshotVerb {
    /// Take one at the asked server, now; ends when it is on its disk
    Now(ClientArgs),
    /// Show those in a data directory, also while its server runs; `raft log verify` reads them
    Ls {
        /// The data directory; nothing in it is changed
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Save the newest sound one of a data directory as one file, also while its server runs
    Save {
        /// The data directory; nothing in it is changed
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The file; it has this name once it is whole
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Replace the file if it is there
        #[arg(long)]
        force: bool,
    },
    /// Read all of a saved one, or of a data directory's newest, and show what is in it
    Inspect {
        /// A saved snapshot, or a data directory; nothing is changed
        #[arg(value_name = "PATH")]
        path: PathBuf,
    },
    /// Make the data directory of a new cluster that begins with a saved one
    Restore(RestoreArgs),
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct RestoreArgs {
    /// The saved snapshot
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The directory to make; it must not be there, or be empty
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// The address of the server that will run there
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) listen: Address,
    /// The addresses of all members of the new cluster, this one included [default: this one alone]
    #[arg(long, value_name = "ADDRESSES")]
    pub(crate) cluster: Option<String>,
    /// With --cluster: a word that all of them are restored with, and none was before
    #[arg(long, value_name = "WORD", requires = "cluster")]
    pub(crate) token: Option<String>,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct RecoverArgs {
    /// The data directory of the last member, whose server does not run
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Make this member the only voter of a new cluster, with all that its log holds
    #[arg(long, required = true)]
    pub(crate) force_new_cluster: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}
