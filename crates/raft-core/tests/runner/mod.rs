//! Runs a script: every command against a cluster in memory, every line of output in the words
//! of the core.

mod assertion;
mod cluster;
mod command;
mod format;
mod network;
mod node;
mod parse;
mod safety;

use std::error::Error;
use std::path::Path;

use goldenscript::Context;

use cluster::Cluster;
use command::Command;

/// The cluster of one script.
#[derive(Default)]
struct Script {
    cluster: Cluster,
}

impl goldenscript::Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _context: &Context) -> Result<String, Box<dyn Error>> {
        self.cluster.lines.clear();
        let summary = command::run(&mut self.cluster, command)?;
        let lines = self.cluster.lines.drain(..).filter(|line| line.weighty || !summary);
        Ok(lines.map(|line| line.text + "\n").collect())
    }
}

/// Runs the script twice, requires the same bytes both times, and compares them with the file.
pub(crate) fn check(path: &Path) -> std::io::Result<()> {
    let input = std::fs::read_to_string(path)?;
    let first = goldenscript::generate(&mut Script::default(), &input)?;
    let second = goldenscript::generate(&mut Script::default(), &input)?;
    assert_eq!(first, second, "two runs of {} differ", path.display());
    goldenscript::run(&mut Script::default(), path)
}
