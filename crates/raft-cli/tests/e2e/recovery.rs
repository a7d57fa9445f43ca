//! Recovery by people: a snapshot that was saved begins a new cluster, and so does the last member
//! of one that lost its majority. Neither ever meets the old cluster.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Cluster, Ended, Scene, Server, add, append, founders, free_ports, raft, run};

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn json(scene: &Scene, args: &[&str]) -> Value {
    let ended = run(scene, raft(args.iter().chain(&["-o", "json"]))).exits(0);
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// How a server of one cluster refuses one of the other.
const REFUSED: &str = "was dialled, and another server answers there";

/// The cluster of a data directory.
fn cluster_of(scene: &Scene, dir: &Path) -> Value {
    json(scene, &["log", "stat", text(dir)])["cluster"].clone()
}

/// Some messages and a key, a snapshot of them, and one more message; then it is saved.
fn saved(cluster: &Cluster) -> PathBuf {
    for message in ["one", "two", "three"] {
        append(&cluster.scene, message, cluster.port(0));
    }
    let endpoint = cluster.servers[0].address();
    run(&cluster.scene, raft(["put", "beer", "cold", "--endpoints", &endpoint])).exits(0);
    run(&cluster.scene, raft(["snapshot", "now", "--endpoints", &endpoint])).exits(0);
    append(&cluster.scene, "too-late", cluster.port(0));
    let file = cluster.scene.join("kept.snap");
    let dir = text(cluster.servers[0].dir());
    run(&cluster.scene, raft(["snapshot", "save", dir, text(&file)]))
        .exits(0)
        .says(["what was written after index"]);
    file
}

fn restore(scene: &Scene, file: &Path, dir: &Path, more: &[&str]) -> Ended {
    let args = ["snapshot", "restore", text(file), "--data-dir", text(dir)];
    run(scene, raft(args.iter().chain(more)))
}

/// A server that runs in a directory that is there.
fn start(scene: &Scene, port: u16, dir: &Path) -> Server {
    let mut server = Server::with_dir(&format!(":{port}"), port, dir);
    server.start(scene);
    server
}

#[test]
fn a_saved_snapshot_begins_a_new_cluster_that_goes_on() {
    let mut cluster = Cluster::start(1);
    let file = saved(&cluster);
    let dir = text(cluster.servers[0].dir()).to_owned();
    let listed = json(&cluster.scene, &["snapshot", "ls", &dir]);
    assert_eq!(listed["snapshots"][0]["fault"], Value::Null, "{listed}");
    let seen = json(&cluster.scene, &["snapshot", "inspect", text(&file)]);
    assert_eq!((&seen["messages"], &seen["keys"]), (&3.into(), &1.into()), "{seen}");
    let same = json(&cluster.scene, &["snapshot", "inspect", &dir]);
    assert_eq!((&same["index"], &same["messages"]), (&seen["index"], &seen["messages"]));
    assert_eq!(json(&cluster.scene, &["log", "verify", &dir])["snapshots"][0]["serves"], true);
    let verified = run(&cluster.scene, raft(["log", "verify", &dir])).exits(0);
    assert!(verified.out.contains("; 1 sound snapshot"), "{verified:?}");

    let [port] = free_ports();
    let listen = format!(":{port}");
    let new = cluster.scene.join("new");
    let restored = restore(&cluster.scene, &file, &new, &["--listen", &listen]).exits(0);
    restored.says(["next: raft server --listen", "raft member add"]);
    let mut server = start(&cluster.scene, port, &new);
    let index = append(&cluster.scene, "count", port).index();
    assert!(Some(index) > seen["index"].as_u64(), "indexes go on: {index}");
    // Three of the snapshot, and this one.
    server.wait_shown("Count 4");
    let got = run(&cluster.scene, raft(["get", "beer", "--endpoints", &listen])).exits(0);
    assert_eq!(got.out, "cold\n");
    assert_ne!(cluster_of(&cluster.scene, &new), seen["cluster"]);

    // It grows as any other, and starts again.
    let place = cluster.newcomer();
    cluster.servers[place].start(&cluster.scene).wait_err("listening at");
    add(&cluster.scene, cluster.port(place), port).exits(0);
    append(&cluster.scene, "count", port);
    cluster.servers[place].wait_shown("Count 5");
    server.kill();
    server.start(&cluster.scene);
    append(&cluster.scene, "count", port);
    cluster.servers[place].wait_shown("Count 6");
}

#[test]
fn a_member_of_the_old_cluster_is_refused() {
    let mut cluster = Cluster::start(3);
    let file = saved(&cluster);
    let port = cluster.port(0);
    cluster.servers[0].kill();
    let new = cluster.scene.join("new");
    restore(&cluster.scene, &file, &new, &["--listen", &format!(":{port}")]).exits(0);
    // The others go on and dial the address of the one that they lost.
    let server = start(&cluster.scene, port, &new);
    cluster.servers[1].process().wait_err(REFUSED);
    append(&cluster.scene, "count", port);
    server.wait_shown("Count 4");
    append(&cluster.scene, "count", cluster.port(1));
    cluster.servers[1].wait_shown("Count 5");
}

#[test]
fn members_restored_with_one_word_are_one_cluster() {
    let cluster = Cluster::start(1);
    let file = saved(&cluster);
    let ports: [u16; 3] = free_ports();
    let list = founders(&ports);
    let dir = |port: u16| cluster.scene.join(format!("new-{port}"));
    for port in ports {
        let listen = format!(":{port}");
        let more = ["--listen", &listen, "--cluster", &list, "--token", "summer"];
        restore(&cluster.scene, &file, &dir(port), &more).exits(0);
    }
    let mut servers: Vec<Server> =
        ports[..2].iter().map(|&port| start(&cluster.scene, port, &dir(port))).collect();
    append(&cluster.scene, "count", ports[0]);
    servers.iter().for_each(|server| drop(server.wait_shown("Count 4")));
    // The third comes later, with the same state.
    servers.push(start(&cluster.scene, ports[2], &dir(ports[2])));
    append(&cluster.scene, "count", ports[2]);
    servers.iter().for_each(|server| drop(server.wait_shown("Count 5")));

    // Another word, another cluster: it is refused.
    servers.remove(2).kill();
    let (listen, other) = (format!(":{}", ports[2]), cluster.scene.join("other"));
    let more = ["--listen", &listen, "--cluster", &list, "--token", "winter"];
    restore(&cluster.scene, &file, &other, &more).exits(0);
    let stranger = start(&cluster.scene, ports[2], &other);
    stranger.process().wait_err(REFUSED);
    append(&cluster.scene, "count", ports[0]);
    servers.iter().for_each(|server| drop(server.wait_shown("Count 6")));
}

#[test]
fn what_cannot_be_saved_or_restored_is_said() {
    let cluster = Cluster::start(1);
    let (scene, dir) = (&cluster.scene, text(cluster.servers[0].dir()));
    let file = scene.join("kept.snap");
    for verb in [&["ls", dir][..], &["inspect", dir], &["save", dir, text(&file)]] {
        let ended = run(scene, raft(["snapshot"].iter().chain(verb))).exits(3).shows_nothing();
        ended.says(["there is no snapshot yet", "raft snapshot now"]);
    }
    let file = saved(&cluster);
    let before = fs::read(&file).expect("saved");
    run(scene, raft(["snapshot", "save", dir, text(&file)])).exits(1).says(["--force"]);
    run(scene, raft(["snapshot", "save", dir, text(&file), "--force"])).exits(0);
    assert_eq!(fs::read(&file).expect("saved"), before, "the same state is the same bytes");
    let nowhere = scene.join("absent/kept.snap");
    run(scene, raft(["snapshot", "save", dir, text(&nowhere)])).exits(3).says(["make it first"]);

    let new = scene.join("new");
    let alone = ["--listen", ":7000"];
    let absent = scene.join("absent.snap");
    restore(scene, &absent, &new, &alone).exits(3).says(["no snapshot there"]);
    let foreign = scene.join("foreign");
    fs::create_dir(&foreign).expect("made");
    fs::write(foreign.join("raft.log"), "of another program").expect("written");
    restore(scene, &file, &foreign, &alone).exits(10).says(["not empty", "--data-dir"]);
    let several = ["--listen", ":7000", "--cluster", ":7000,:7001,:7002"];
    restore(scene, &file, &new, &several).exits(2).says(["--token"]);
    let other = ["--listen", ":7003", "--cluster", ":7000,:7001,:7002", "--token", "x"];
    restore(scene, &file, &new, &other).exits(2).says(["is not one of --cluster"]);
    let mut damaged = before;
    damaged[200] ^= 1;
    fs::write(&file, damaged).expect("written");
    restore(scene, &file, &new, &alone).exits(7).says(["damaged at byte", "another copy"]);
    run(scene, raft(["snapshot", "inspect", text(&file)])).exits(7).shows_nothing();
    fs::write(&file, "I like beer.").expect("written");
    restore(scene, &file, &new, &alone).exits(7).says(["damaged"]);
    assert!(!new.exists(), "nothing is left of what could not be restored");
    let left = fs::read_dir(scene.join(".")).expect("listed").flatten();
    let making = |name: &std::ffi::OsStr| name.to_string_lossy().contains(".making-");
    assert!(!left.into_iter().any(|entry| making(&entry.file_name())));
}

/// `raft recover`, which has to succeed; tells where the old directory is.
fn recover(scene: &Scene, dir: &Path) -> (Ended, PathBuf) {
    let args = ["recover", text(dir), "--force-new-cluster", "--yes", "-o", "json"];
    let ended = run(scene, raft(args)).exits(0);
    let object: Value = serde_json::from_str(&ended.out).expect("JSON");
    (ended, PathBuf::from(object["kept"].as_str().expect("a path")))
}

#[test]
fn the_last_member_of_a_lost_cluster_goes_on_alone_and_grows() {
    let mut cluster = Cluster::start(3);
    for message in ["one", "two", "three"] {
        append(&cluster.scene, message, cluster.port(0));
    }
    let index = append(&cluster.scene, "count", cluster.port(0)).index();
    cluster.servers[0].wait_shown("Count 4");
    cluster.kill_all();
    let dir = cluster.servers[0].dir().to_owned();
    let (ended, kept) = recover(&cluster.scene, &dir);
    let last = format!("after index {index}");
    ended.says(["go on only if a majority", "known to be committed", &last]);
    // The old directory is as it was.
    let name = kept.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(name.ends_with(".before-recovery"), "{name}");
    let verified = run(&cluster.scene, raft(["log", "verify", text(&kept)])).exits(0);
    assert!(verified.out.starts_with("intact"), "{verified:?}");

    // The same command line starts it: the list of founders does not count any more.
    cluster.servers[0].start(&cluster.scene);
    let next = append(&cluster.scene, "count", cluster.port(0)).index();
    assert!(next > index, "indexes go on");
    cluster.servers[0].wait_shown("Count 5");
    assert_ne!(cluster_of(&cluster.scene, &dir), cluster_of(&cluster.scene, &kept));

    // One of the old ones comes back all the same: refused.
    cluster.servers[1].start(&cluster.scene).wait_err(REFUSED);
    cluster.servers[1].kill();

    // With an empty directory it is welcome.
    fs::remove_dir_all(cluster.servers[1].dir()).expect("removed");
    cluster.servers[1].start(&cluster.scene).wait_err("listening at");
    add(&cluster.scene, cluster.port(1), cluster.port(0)).exits(0);
    append(&cluster.scene, "count", cluster.port(1));
    cluster.servers[1].wait_shown("Count 6");
    cluster.kill_all();
    cluster.servers[0].start(&cluster.scene);
    cluster.servers[1].start(&cluster.scene);
    append(&cluster.scene, "count", cluster.port(0));
    cluster.servers[0].wait_shown("Count 7");
}

#[test]
fn a_member_that_was_compacted_is_recovered_with_what_followed_its_snapshot() {
    let mut cluster = Cluster::start(3);
    saved(&cluster);
    cluster.kill_all();
    let dir = cluster.servers[0].dir().to_owned();
    let (_, first) = recover(&cluster.scene, &dir);
    // Again, before it was ever started: the first copy stays.
    let (_, second) = recover(&cluster.scene, &dir);
    assert!(first.is_dir() && second.is_dir() && first != second);
    cluster.servers[0].start(&cluster.scene);
    append(&cluster.scene, "count", cluster.port(0));
    cluster.servers[0].wait_shown("Count 5");
}

#[test]
fn what_is_not_lost_is_not_recovered() {
    let mut cluster = Cluster::start(1);
    append(&cluster.scene, "precious", cluster.port(0));
    let dir = cluster.servers[0].dir().to_owned();
    let recover = |more: &[&str]| run(&cluster.scene, raft(["recover"].iter().chain(more)));
    recover(&[text(&dir)]).exits(2).says(["--force-new-cluster"]);
    let force = ["--force-new-cluster", "--yes"];
    recover(&[text(&dir), force[0], force[1]]).exits(9).says(["in use by", "stop its server"]);
    recover(&[text(&cluster.scene.join("absent")), force[0], force[1]]).exits(3);
    let empty = cluster.scene.join("empty");
    fs::create_dir(&empty).expect("made");
    recover(&[text(&empty), force[0], force[1]]).exits(3).says(["no NODE file"]);
    assert_eq!(fs::read_dir(&empty).expect("listed").count(), 0, "nothing was made there");

    cluster.servers[0].kill();
    let recover = |more: &[&str]| run(&cluster.scene, raft(["recover"].iter().chain(more)));
    let before = fs::read(dir.join("NODE")).expect("read");
    // Nobody can be asked.
    recover(&[text(&dir), force[0]]).exits(2).says(["nobody can be asked", "--yes"]);
    assert_eq!(fs::read(dir.join("NODE")).expect("read"), before, "nothing was changed");
    cluster.start_all();
    append(&cluster.scene, "count", cluster.port(0));
    cluster.servers[0].wait_shown("Count 2");
}
