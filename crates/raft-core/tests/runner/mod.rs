//! Runs a script: every command against a cluster in memory, every line of output in the words
//! of the core.

mod assertion;
mod cluster;
mod command;
mod format;
mod inject;
mod network;
mod node;
mod parse;
mod safety;
mod snapshots;

use std::error::Error;
use std::path::Path;

use goldenscript::Context;

use cluster::Cluster;
use command::Command;

/// The cluster of one script, and all that was said, in case something goes wrong.
#[derive(Default)]
struct Script {
    cluster: Cluster,
    transcript: String,
}

impl goldenscript::Runner for Script {
    type Command = goldenscript::Command;

    fn run(&mut self, typed: &Self::Command, _: &Context) -> Result<String, Box<dyn Error>> {
        self.cluster.lines.clear();
        self.transcript.push_str(&format!("> {typed}\n"));
        let command = Command::try_from(typed)?;
        let done = command::run(&mut self.cluster, &command);
        let summary = *done.as_ref().unwrap_or(&false);
        let lines = self.cluster.lines.drain(..).filter(|line| line.weighty || !summary);
        let text: String = lines.map(|line| line.text + "\n").collect();
        self.transcript.push_str(&text);
        done.map(|_| text).map_err(Into::into)
    }
}

fn generate(input: &str) -> std::io::Result<String> {
    let mut script = Script::default();
    let output = goldenscript::generate(&mut script, input);
    output.map_err(|error| std::io::Error::other(format!("{error}\n{}", script.transcript)))
}

/// Runs the script twice, requires the same bytes both times, and compares them with the file.
pub(crate) fn check(path: &Path) -> std::io::Result<()> {
    let input = std::fs::read_to_string(path)?;
    let (first, second) = (generate(&input)?, generate(&input)?);
    assert_eq!(first, second, "two runs of {} differ", path.display());
    goldenscript::run(&mut Script::default(), path)
}
