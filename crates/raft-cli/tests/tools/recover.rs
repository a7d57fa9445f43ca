//! `raft recover` asks before it does anything.

use std::io::Write as _;
use std::process::Stdio;

use rustix::fs::{Mode, OFlags};

use crate::support::{Scene, terminal, wait_until_free};

#[test]
fn it_asks_on_a_terminal() {
    let scene = Scene::new();
    let mut dev = scene.start(&["dev", "-n", "1", "--dir", "kept"], Stdio::null());
    dev.wait_for("Ctrl-C");
    let servers = scene.json(&["dev", "ls", "-o", "json"]);
    let text = |name: &str| servers["servers"][0][name].as_str().expect("text").to_owned();
    let (address, data) = (text("address"), text("data"));
    scene.ok(&["append", "beer", "--endpoints", &address]);
    dev.interrupt();
    dev.wait_end();
    wait_until_free(data.as_ref());
    let cluster = || scene.json(&["log", "stat", &data, "-o", "json"])["cluster"].clone();
    let before = cluster();
    for (answer, code) in [("no\n", 1), ("\n", 1), ("yes\n", 0)] {
        assert_eq!(cluster(), before, "before {answer:?}");
        let (mut ours, name) = terminal();
        let open = || rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty());
        let (stdin, stderr) = (open().expect("the other end"), open().expect("the other end"));
        ours.write_all(answer.as_bytes()).expect("typed");
        let mut command = scene.command(&["recover", &data, "--force-new-cluster"]);
        command.stdin(Stdio::from(stdin)).stdout(Stdio::null()).stderr(Stdio::from(stderr));
        assert_eq!(command.status().expect("it runs").code(), Some(code), "{answer:?}");
    }
    assert_ne!(cluster(), before);
}
