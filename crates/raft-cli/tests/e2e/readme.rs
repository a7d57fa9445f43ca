//! What the documents say can be typed is typed, and what they show is shown.
//!
//! Each block marked `console` is a terminal of its own, in the order of the document: after `$ ` a
//! command, below it all of its standard output. A server runs on when the next block begins; one
//! that is started again was stopped with Ctrl-C. In a block marked `text`, a line with a time stamp
//! is one that every server writes; in the guides other text may stand there. Ports are replaced by
//! free ones; time stamps, indexes and terms are not compared. Of the tables of `raft status` and
//! `raft member list`, the columns are: who leads, and what is measured, differ.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::{Ended, PATIENCE, Process, RAFT, Scene, free_ports, run, shell, unstamped};

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

/// A command and what it shows. Building, and finding the program, are done already.
fn commands(block: &Block) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in block.text.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, shown))) => *shown += &format!("{line}\n"),
            (None, None) => panic!("line {}: output without a command", block.line),
        }
    }
    let done = ["cargo ", "export PATH="];
    commands.retain(|(command, _)| !done.iter().any(|start| command.starts_with(start)));
    commands
}

/// The same text for every index, term and member; with `any_port` for every port too.
fn normalized(out: &str, any_port: bool) -> String {
    let mut text = String::new();
    let (mut in_number, mut is_kept) = (false, false);
    for char in out.chars() {
        let is_digit = char.is_ascii_digit();
        if is_digit && !in_number {
            is_kept = text.ends_with(':') && !any_port;
            if !is_kept {
                text.push('N');
            }
        }
        if !is_digit || is_kept {
            text.push(char);
        }
        in_number = is_digit;
    }
    text
}

/// The servers that the document has started, by port, and what `export` has set.
struct Terminals {
    scene: Scene,
    servers: BTreeMap<u16, Process>,
    dev: Option<Process>,
    /// The port that stands for one of the document.
    ports: BTreeMap<u16, u16>,
    exported: Vec<(String, String)>,
}

impl Terminals {
    fn new() -> Self {
        let free: [u16; 4] = free_ports();
        Self {
            scene: Scene::new(),
            servers: BTreeMap::new(),
            dev: None,
            ports: (9990..).zip(free).collect(),
            exported: Vec::new(),
        }
    }

    /// The text with the ports that are in use here.
    fn here(&self, text: &str) -> String {
        let mut text = text.to_owned();
        // From the top: `raft dev` takes ports in ascending order, which may be shown ones.
        for (shown, used) in self.ports.iter().rev() {
            for before in [":", "-p ", "_"] {
                text = text.replace(&format!("{before}{shown}"), &format!("{before}{used}"));
            }
        }
        text
    }

    fn command(&self, line: &str) -> std::process::Command {
        let mut command = shell(&format!("exec {line}"));
        let program = Path::new(RAFT).parent().expect("a folder").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let here = self.scene.path();
        command.env("PATH", format!("{program}:{path}")).env("HOME", here).current_dir(here);
        command.env("TMPDIR", here).env("XDG_RUNTIME_DIR", here);
        command.envs(self.exported.iter().map(|(name, value)| (name, self.here(value))));
        command
    }

    /// Runs a server, or a command to its end.
    fn enter(&mut self, place: &str, shown: &str, expected: &str) {
        if shown.starts_with("raft -c ")
            && let Some(dev) = self.dev.take()
        {
            // The text says to stop it with Ctrl-C.
            stopped("raft dev", &dev);
            let free: [u16; 4] = free_ports();
            self.ports = (9990..).zip(free).collect();
        }
        let line = self.here(shown);
        if let Some((name, value)) =
            shown.strip_prefix("export ").and_then(|set| set.split_once('='))
        {
            self.exported.push((name.to_owned(), value.trim_matches('\'').to_owned()));
        } else if shown == "raft dev" {
            self.start_dev();
        } else if line.starts_with("raft -c ") {
            self.start_server(place, &line);
        } else {
            self.run(place, shown, &line, expected);
        }
    }

    fn run(&mut self, place: &str, shown: &str, line: &str, expected: &str) {
        let ended: Ended = run(&self.scene, self.command(line));
        let is_status = shown.starts_with("raft status");
        // So do ports, and with them how wide a column is.
        if is_status || shown == "raft member list" || shown.ends_with(" --dry-run") {
            // A slow disk is a finding of its own, and that of this machine.
            let well = ended.code == Some(0) || (is_status && ended.code == Some(3));
            assert!(well, "{place}: {line}: {ended:?}");
            let columns = |text: &str| -> Vec<String> {
                text.lines().next().unwrap_or_default().split_whitespace().map(Into::into).collect()
            };
            assert_eq!(columns(&ended.out), columns(expected), "{place}: {line}: {ended:?}");
            return;
        }
        let ended = ended.exits(0);
        // Which server leads is not known, and which port `raft dev` takes neither.
        let any_port = shown.starts_with("raft dev ");
        let expected = normalized(&self.here(expected), any_port);
        assert_eq!(normalized(&ended.out, any_port), expected, "{place}: {line}: {ended:?}");
        if shown == "raft dev add" {
            let port = ended.out.trim_end().rsplit(':').next().and_then(|port| port.parse().ok());
            self.ports.insert(9993, port.unwrap_or_else(|| panic!("{place}: {ended:?}")));
        }
    }

    fn start_dev(&mut self) {
        let record = self.scene.record("dev");
        let process = Process::spawn(self.command("raft dev"), "raft dev", &record);
        let rows = process.wait("the table of servers", |seen| {
            let lines: Vec<String> =
                seen.out.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
            let is_all = lines.iter().any(|line| line.starts_with("Ctrl-C"));
            is_all.then_some(lines)
        });
        let port = |row: &String| row.strip_prefix(':')?.split(' ').next()?.parse().ok();
        self.ports = (9990..).zip(rows.iter().filter_map(port)).collect();
        assert_eq!(self.ports.len(), 3, "{rows:?}");
        self.dev = Some(process);
    }

    fn start_server(&mut self, place: &str, line: &str) {
        let port = line.split(" -p ").nth(1).map(|rest| rest.trim_start_matches(['\'', ':']));
        let port = port.and_then(|rest| rest.split(['\'', ' ']).next()?.parse().ok());
        let port = port.unwrap_or_else(|| panic!("{place}: which server is {line}?"));
        let again = self.servers.remove(&port).inspect(|old| stopped(line, old)).is_some();
        let record = self.scene.record(&format!("server-{port}"));
        let process = Process::spawn(self.command(line), line, &record);
        if again {
            process.wait_err("listening at ");
        } else if self.servers.len() == 3 {
            process.wait_err(" to be added");
        }
        self.servers.insert(port, process);
    }

    /// Waits until every server wrote the line; one that is removed need not.
    fn wait_everywhere(&self, place: &str, text: &str) {
        let is = |line: &Vec<u8>| {
            let line = String::from_utf8_lossy(line);
            unstamped(line.split_once("  ").map_or(&*line, |(_, line)| line))
                .or_else(|| unstamped(&line))
                .is_some_and(|line| line == text)
        };
        let what = format!("`{text}` ({place})");
        if let Some(dev) = &self.dev {
            dev.wait(&what, |seen| seen.out.iter().any(is).then_some(()));
        }
        for (port, server) in &self.servers {
            if text != format!("Removed peer :{port}") {
                let what = format!("{what} at :{port}");
                server.wait(&what, |seen| seen.out.iter().any(is).then_some(()));
            }
        }
    }
}

/// Presses Ctrl-C.
fn stopped(what: &str, process: &Process) {
    process.signal(crate::support::Signal::INT);
    let seen = process.ends_within(PATIENCE).expect("Ctrl-C ends it");
    assert_eq!(seen.code(), Some(0), "{what}: {}", seen.story());
}

/// Types what the document shows, and tells how many commands that were.
fn follow(name: &str) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    let document = fs::read_to_string(path).expect("the document");
    let mut terminals = Terminals::new();
    let mut entered = 0;
    for block in blocks(&document) {
        let place = format!("{name}:{}", block.line);
        match &*block.language {
            "console" => {
                for (command, expected) in commands(&block) {
                    terminals.enter(&place, &command, &expected);
                    entered += 1;
                }
            }
            "text" => {
                for line in block.text.lines() {
                    let line = terminals.here(line);
                    let bare = line.split_once("  ").filter(|(who, _)| who.starts_with(':'));
                    match unstamped(bare.map_or(&*line, |(_, line)| line)) {
                        Some(text) => terminals.wait_everywhere(&place, text),
                        None => assert_ne!(name, "README.md", "{place}: no line of a server"),
                    }
                }
            }
            _ => {}
        }
    }
    for (port, server) in terminals.servers {
        stopped(&format!(":{port}"), &server);
    }
    terminals.dev.iter().for_each(|dev| stopped("raft dev", dev));
    entered
}

#[test]
fn what_the_readme_shows_is_what_happens() {
    let entered = follow("README.md");
    assert!(entered >= 9, "the README shows {entered} commands only");
}

#[test]
fn what_the_tutorial_shows_is_what_happens() {
    let entered = follow("docs/tutorial.md");
    assert!(entered >= 15, "the tutorial shows {entered} commands only");
}

#[test]
fn what_operations_shows_is_what_happens() {
    let entered = follow("docs/operations.md");
    assert!(entered >= 10, "operations shows {entered} commands only");
}
