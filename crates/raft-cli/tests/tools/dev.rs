//! `raft dev`: other terminals, keys, and a directory that is kept.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use rustix::fs::{Mode, OFlags};
use rustix::termios::{LocalModes, tcgetattr};
use serde_json::Value;

use crate::support::{Running, Scene, terminal, wait_until_free};

/// Waits until the table was shown.
fn begin(scene: &Scene, args: &[&str]) -> Running {
    let mut dev = scene.start(args, Stdio::null());
    dev.wait_for("Ctrl-C");
    dev
}

fn rows(scene: &Scene, dir: &str) -> Vec<Value> {
    let servers = scene.json(&["dev", "ls", "--dir", dir, "-o", "json"]);
    servers["servers"].as_array().expect("servers").clone()
}

fn field<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().expect("text")
}

fn endpoints(rows: &[Value]) -> String {
    rows.iter().map(|row| field(row, "address")).collect::<Vec<_>>().join(",")
}

#[test]
fn another_terminal_steers_it() {
    let scene = Scene::new();
    assert_eq!(scene.run(&["dev", "ls"]).code, Some(3), "nothing runs yet");
    let mut dev = begin(&scene, &["dev", "--dir", "kept"]);
    // The servers may be faster than what is shown at the start.
    dev.wait_until_said(" leads in term ");
    let all = rows(&scene, "kept");
    assert_eq!(all.len(), 3);
    assert_eq!(all.iter().filter(|row| row["role"] == "leader").count(), 1);

    let killed = scene.json(&["dev", "kill", "leader", "-o", "json"]);
    let killed = killed["server"].as_str().expect("text").to_owned();
    dev.wait_for(&format!("{killed} has ended (signal 9), 2 left"));
    dev.wait(|line| line.contains(" leads in term ") && !line.contains(&killed));
    let down = rows(&scene, "kept").into_iter().find(|row| row["address"] == *killed);
    assert_eq!(down.map(|row| row["process"].clone()), Some(Value::Null));
    assert_eq!(scene.run(&["dev", "kill", &killed]).code, Some(1), "it does not run");
    scene.ok(&["append", "beer", "--endpoints", &endpoints(&all)]);

    // The id of a server that is down is known all the same.
    let id = all.iter().find(|row| row["address"] == *killed).expect("it is listed")["id"].clone();
    scene.ok(&["dev", "restart", &format!("n{id}")]);
    dev.wait_for(&format!("{killed} is started again"));
    scene.ok(&["dev", "restart", &killed]);
    let added = scene.json(&["dev", "add", "-o", "json"]);
    dev.wait_for("is a member, n");
    assert_eq!(rows(&scene, "kept").len(), 4);
    let log = scene.ok(&["dev", "logs", added["server"].as_str().expect("text")]).out;
    assert!(log.contains("listening at "));
    assert_eq!(scene.run(&["dev", "kill", ":1"]).code, Some(3));
    assert_eq!(scene.run(&["dev", "logs", "leader", "--dir", "other"]).code, Some(3));
}

#[test]
fn a_kept_directory_goes_on() {
    let scene = Scene::new();
    let dev = begin(&scene, &["dev", "-n", "2", "--dir", "kept"]);
    let before = rows(&scene, "kept");
    scene.ok(&["append", "beer", "--endpoints", &endpoints(&before)]);
    scene.ok(&["dev", "add"]);

    let second = scene.run(&["dev", "--dir", "kept"]);
    assert_eq!(second.code, Some(9));
    assert!(second.err.contains("runs in") && second.err.contains("kept already (process "));

    // However it ends, the servers end with it.
    dev.kill();
    before.iter().for_each(|row| wait_until_free(Path::new(field(row, "data"))));
    assert_eq!(scene.run(&["dev", "ls"]).code, Some(3));
    let mut dev = begin(&scene, &["dev", "--dir", "kept"]);
    let after = rows(&scene, "kept");
    assert_eq!(after.len(), 3);
    assert!(endpoints(&after).starts_with(&endpoints(&before)));
    scene.ok(&["count", "--endpoints", &endpoints(&after)]);
    dev.wait_for(" Count 2");
}

#[test]
fn the_newest_of_several_is_meant() {
    let scene = Scene::new();
    let _first = begin(&scene, &["dev", "-n", "1", "--dir", "first"]);
    let second = begin(&scene, &["dev", "-n", "1", "--dir", "second"]);
    let newest = scene.ok(&["dev", "ls", "-o", "json"]);
    assert!(newest.out.contains("second") && !newest.out.contains("first"));
    assert!(newest.err.contains("newest of 2"));
    assert_ne!(endpoints(&rows(&scene, "first")), endpoints(&rows(&scene, "second")));
    second.kill();
    assert!(scene.ok(&["dev", "ls"]).out.contains("first"));
}

#[test]
fn keys_in_the_foreground() {
    let scene = Scene::new();
    let (mut ours, name) = terminal();
    let open = || rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty());
    let (theirs, stdin) = (open().expect("the other end"), open().expect("the other end"));
    let mode = || tcgetattr(&theirs).expect("settings").local_modes;
    let before = mode();
    let mut dev = scene.start(&["dev"], Stdio::from(stdin));
    dev.wait_for("keys: ");
    assert!(!mode().intersects(LocalModes::ICANON | LocalModes::ECHO));
    let mut press = |key: &[u8]| ours.write_all(key).expect("pressed");
    press(b"k");
    dev.wait_for(" has ended (signal 9), 2 left");
    dev.wait_for(" leads in term ");
    press(b"r");
    dev.wait_for(" is started again");
    press(b"a");
    dev.wait_for(" is a member");
    press(b"?");
    dev.wait_for("keys: ");
    press(b"q");
    assert_eq!(dev.wait_end().code(), Some(0));
    assert_eq!(mode(), before, "the terminal is as it was");

    let mut dev = scene.start(&["dev", "-n", "1"], Stdio::from(open().expect("the other end")));
    dev.wait_for("keys: ");
    dev.interrupt();
    dev.wait_end();
    assert_eq!(mode(), before, "also after a signal");
}
