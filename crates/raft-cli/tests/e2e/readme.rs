//! What the README says can be typed is typed, and what it shows is shown.
//!
//! Each block marked `console` is a terminal of its own, in the order of the document: after `$ ` a
//! command, below it all of its standard output. A server runs on when the next block begins. A
//! block marked `text` after a command is the line that every server writes. Ports are replaced by
//! free ones; time stamps, indexes and terms are not compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::{
    Ended, PATIENCE, Process, RAFT, Scene, appended_at, free_ports, run, shell, unstamped,
};

/// A block of the document.
struct Block {
    language: String,
    line: usize,
    text: String,
}

fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in document.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(language), None) => {
                let (language, text) = (language.to_owned(), String::new());
                open = Some(Block { language, line: number + 1, text });
            }
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some(mut block)) => {
                block.text += line;
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    blocks
}

/// A command and what it shows. Building and setting up the shell are done already.
fn commands(block: &Block) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in block.text.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, shown))) => *shown += &format!("{line}\n"),
            (None, None) => panic!("line {}: output without a command", block.line),
        }
    }
    let prepared = |command: &str| command.starts_with("cargo ") || command.starts_with("export ");
    commands.retain(|(command, _)| !prepared(command));
    commands
}

/// The same line for every index and term.
fn normalized(out: &str) -> String {
    let line = |line: &str| match appended_at(line) {
        Some(_) => "appended at index N, term N\n".to_owned(),
        // A member's number comes from the index of the entry that added it.
        None => match line.rsplit_once("member ") {
            Some((text, id)) if id.bytes().all(|byte| byte.is_ascii_digit()) => {
                format!("{text}member N\n")
            }
            _ => format!("{line}\n"),
        },
    };
    out.lines().map(line).collect()
}

/// The servers that the document has started, by port.
struct Terminals {
    scene: Scene,
    servers: BTreeMap<u16, Process>,
}

impl Terminals {
    fn command(&self, line: &str) -> std::process::Command {
        let mut command = shell(&format!("exec {line}"));
        let program = Path::new(RAFT).parent().expect("a folder").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{program}:{path}")).env("HOME", self.scene.path());
        command
    }

    /// Runs a server, or a command to its end.
    fn enter(&mut self, place: &str, line: &str, expected: &str) {
        if line.starts_with("raft -c ") {
            let port = line.rsplit(['\'', ':', ' ']).find_map(|word| word.parse().ok());
            let port = port.unwrap_or_else(|| panic!("{place}: which server is {line}?"));
            let record = self.scene.record(&format!("server-{port}"));
            let process = Process::spawn(self.command(line), line, &record);
            if self.servers.len() == 3 {
                process.wait_err(" to be added");
            }
            assert!(self.servers.insert(port, process).is_none(), "{place}: {port} runs already");
            return;
        }
        let ended: Ended = run(&self.scene, self.command(line)).exits(0);
        assert_eq!(normalized(&ended.out), normalized(expected), "{place}: {line}: {ended:?}");
    }

    /// Waits until every server wrote the line; one that is removed need not.
    fn wait_everywhere(&self, place: &str, line: &str) {
        let text = unstamped(line.trim_end());
        let text = text.unwrap_or_else(|| panic!("{place}: no line of a server: {line}"));
        for (port, server) in &self.servers {
            if text == format!("Removed peer :{port}") {
                continue;
            }
            let is = |line: &Vec<u8>| unstamped(&String::from_utf8_lossy(line)) == Some(text);
            server.wait(&format!("`{text}` ({place}) at :{port}"), |seen| {
                seen.out.iter().any(is).then_some(())
            });
        }
    }
}

#[test]
fn what_the_readme_shows_is_what_happens() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let mut document = fs::read_to_string(path).expect("the README");
    let ports: [u16; 4] = free_ports();
    for (shown, free) in (9990..).zip(ports) {
        document = document.replace(&format!(":{shown}"), &format!(":{free}"));
        document = document.replace(&format!("-p {shown}"), &format!("-p {free}"));
    }
    let mut terminals = Terminals { scene: Scene::new(), servers: BTreeMap::new() };
    let mut entered = 0;
    for block in blocks(&document) {
        let place = format!("README.md:{}", block.line);
        match &*block.language {
            "console" => {
                for (command, expected) in commands(&block) {
                    terminals.enter(&place, &command, &expected);
                    entered += 1;
                }
            }
            "text" => terminals.wait_everywhere(&place, &block.text),
            _ => {}
        }
    }
    assert!(entered >= 9, "the README shows {entered} commands only");
    for (port, server) in terminals.servers {
        server.signal(crate::support::Signal::INT);
        let seen = server.ends_within(PATIENCE).expect("Ctrl-C ends a server");
        assert_eq!(seen.code(), Some(0), ":{port}: {}", seen.story());
    }
}
