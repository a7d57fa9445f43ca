//! `raft dev`: three servers to play with, and none of them left behind.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::{PATIENCE, Pidfd, Process, Scene, Signal, append, raft, run};

/// A row of the table.
#[derive(Debug)]
struct Row {
    port: u16,
    pid: u32,
    role: String,
    data: PathBuf,
}

/// A local cluster that has no servers yet.
struct Begun {
    process: Process,
    ports: File,
}

/// A local cluster whose table was shown.
struct Dev {
    process: Process,
    _ports: File,
    rows: Vec<Row>,
    children: Vec<Pidfd>,
}

/// The first free port is a race with whoever else takes ports: tests of `raft dev` share the
/// ports from 9990 on, and the one that takes them away is alone. Held as long as it lives.
fn ports() -> File {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dev-ports");
    let options = File::options().write(true).create(true).truncate(false).open(path);
    options.expect("a file to lock")
}

/// Starts one beside others.
fn begin(scene: &Scene, args: &[&str]) -> Begun {
    let ports = ports();
    ports.lock_shared().expect("the lock");
    begin_with(ports, scene, args)
}

fn begin_with(ports: File, scene: &Scene, args: &[&str]) -> Begun {
    let process = Process::spawn(command(scene, args), "raft dev", &scene.record("dev"));
    Begun { process, ports }
}

fn command(scene: &Scene, args: &[&str]) -> Command {
    let mut command = raft(["dev"].iter().chain(args));
    command.env("TMPDIR", scene.path());
    command
}

/// Waits for the table and what to try.
fn shown(begun: Begun, servers: usize) -> Dev {
    let Begun { process, ports } = begun;
    let rows = process.wait("the table", |seen| {
        let lines = seen.out.iter().map(|line| String::from_utf8_lossy(line));
        let mut rows: Vec<Row> = Vec::new();
        let mut complete = false;
        for line in lines {
            rows.extend(row(&line));
            complete |= line.starts_with("Ctrl-C");
        }
        complete.then_some(rows)
    });
    assert_eq!(rows.len(), servers, "{rows:?}");
    assert_eq!(rows.iter().filter(|row| row.role == "leader").count(), 1, "{rows:?}");
    assert!(rows.iter().all(|row| row.data.join("NODE").exists()), "{rows:?}");
    let child = |row: &Row| Pidfd::of(row.pid).unwrap_or_else(|| panic!("{row:?} is gone"));
    let children = rows.iter().map(child).collect();
    Dev { process, _ports: ports, rows, children }
}

/// `:9990  12345  leader  /var/lib/raft/9990`.
fn row(line: &str) -> Option<Row> {
    let mut cells = line.split_whitespace();
    let port = cells.next()?.strip_prefix(':')?.parse().ok()?;
    let (pid, role) = (cells.next()?.parse().ok()?, cells.next()?.to_owned());
    Some(Row { port, pid, role, data: cells.next()?.into() })
}

impl Dev {
    fn start(scene: &Scene, args: &[&str]) -> Self {
        shown(begin(scene, args), 3)
    }

    fn assert_children_end(&self) {
        for (row, child) in self.rows.iter().zip(&self.children) {
            assert!(child.ended(PATIENCE), "{row:?} is still there");
        }
    }

    fn append_everywhere(&self, scene: &Scene) {
        self.rows.iter().for_each(|row| drop(append(scene, "beer", row.port)));
    }
}

#[test]
fn ctrl_c_takes_all_servers_and_their_data_along() {
    let scene = Scene::new();
    let dev = Dev::start(&scene, &[]);
    dev.append_everywhere(&scene);
    append(&scene, "print", dev.rows[0].port);
    for row in &dev.rows {
        // The lines of the servers, each with its address in front.
        let line = |line: &&Vec<u8>| {
            let line = String::from_utf8_lossy(line);
            line.starts_with(&format!(":{} ", row.port))
                && line.ends_with(" Logs [beer beer beer print]")
        };
        dev.process.wait("the line of a server", |seen| seen.out.iter().find(line).cloned());
    }
    dev.process.signal(Signal::INT);
    let seen = dev.process.wait_end();
    assert!([Some(0), Some(130)].contains(&seen.code()), "{}", seen.story());
    dev.assert_children_end();
    assert!(dev.rows.iter().all(|row| !row.data.exists()), "data is left behind");
}

#[test]
fn kill_takes_all_servers_along() {
    let scene = Scene::new();
    let dev = Dev::start(&scene, &[]);
    dev.process.signal(Signal::KILL);
    dev.assert_children_end();
}

#[test]
fn a_server_may_be_killed_and_started_again() {
    let scene = Scene::new();
    let dev = Dev::start(&scene, &[]);
    dev.append_everywhere(&scene);
    let first = &dev.rows[0];
    dev.children[0].signal(Signal::KILL);
    // The line that says so is followed by the command that starts it again.
    let line = dev.process.wait("the command", |seen| {
        let again = |line: &&String| line.trim_start().contains(" server --cluster ");
        seen.err.iter().find(again).cloned()
    });
    append(&scene, "the others go on", dev.rows[1].port);
    let mut shell = crate::support::shell(&format!("exec {}", line.trim()));
    shell.env("HOME", scene.path());
    let again = Process::spawn(shell, "the server", &scene.record("again"));
    append(&scene, "back", first.port);
    append(&scene, "count", first.port);
    again.wait("its line", |seen| {
        seen.out.iter().any(|line| line.ends_with(b" Count 6")).then_some(())
    });
}

#[test]
fn ports_in_use_are_left_out() {
    let scene = Scene::new();
    let alone = ports();
    alone.lock().expect("the lock");
    // Held by this test, or by whoever else has them.
    let _taken: Vec<_> =
        [9990, 9992].iter().map(|&port| TcpListener::bind(("127.0.0.1", port))).collect();
    let dev = shown(begin_with(alone, &scene, &[]), 3);
    assert!(dev.rows.iter().all(|row| row.port != 9990 && row.port != 9992), "{:?}", dev.rows);
    dev.append_everywhere(&scene);
}

#[test]
fn two_may_begin_at_once() {
    let scene = Scene::new();
    let both = [begin(&scene, &[]), begin(&scene, &[])].map(|begun| shown(begun, 3));
    let [first, second] = &both;
    let ports = |dev: &Dev| dev.rows.iter().map(|row| row.port).collect::<Vec<_>>();
    assert!(ports(first).iter().all(|port| !ports(second).contains(port)));
    both.iter().for_each(|dev| dev.append_everywhere(&scene));
}

#[test]
fn a_named_folder_keeps_the_data() {
    let scene = Scene::new();
    let dir = scene.join("kept");
    let args = ["--dir", dir.to_str().expect("text"), "-n", "2"];
    // Its ports are free for a moment in between.
    let alone = ports();
    alone.lock().expect("the lock");
    let again = alone.try_clone().expect("the same lock");
    let dev = shown(begin_with(alone, &scene, &args), 2);
    let kept: Vec<_> = dev.rows.iter().map(|row| row.port).collect();
    append(&scene, "beer", kept[0]);
    dev.process.signal(Signal::TERM);
    dev.process.wait_end();
    dev.assert_children_end();
    assert!(fs::read_dir(&dir).expect("the folder").next().is_some());

    let dev = shown(begin_with(again, &scene, &args), 2);
    assert_eq!(dev.rows.iter().map(|row| row.port).collect::<Vec<_>>(), kept);
    append(&scene, "count", kept[1]);
    dev.process.wait("the line", |seen| {
        seen.out.iter().any(|line| line.ends_with(b" Count 2")).then_some(())
    });
}

#[test]
fn a_wrong_number_of_servers_is_refused() {
    let scene = Scene::new();
    for number in ["0", "10", "many"] {
        run(&scene, command(&scene, &["-n", number])).exits(2).shows_nothing().says([number]);
    }
    let refused = begin(&scene, &["-o", "json"]).process.ends_within(Duration::from_secs(20));
    assert_eq!(refused.expect("it ends at once").code(), Some(2));
}
