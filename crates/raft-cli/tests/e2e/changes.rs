//! Members for life: without a vote, in another one's place, at another address.

use std::fs;

use serde_json::Value;

use crate::support::{
    Cluster, Ended, Server, append, founders, free_ports, messages_at_the_end, raft, run, shell,
};

/// `raft member VERB ...`, asked of all servers that run.
fn member(cluster: &Cluster, args: &[&str]) -> Ended {
    let endpoints = founders(&cluster.running());
    let args = [&["member"], args, &["--endpoints", &endpoints]].concat();
    run(&cluster.scene, raft(args))
}

/// The row of the member with this address.
fn row(cluster: &Cluster, address: &str) -> Option<Value> {
    let members = cluster.members(&[cluster.port(cluster.leader())]);
    let rows = members["members"].as_array().expect("a list of members").clone();
    rows.into_iter().find(|row| row["address"] == address)
}

/// Whether the member with this address votes.
fn votes(cluster: &Cluster, address: &str) -> bool {
    row(cluster, address).expect("a member")["voter"] == true
}

/// Empties a server's directory while it does not run, and starts it again.
fn wipe(cluster: &mut Cluster, at: usize) {
    cluster.servers[at].kill();
    fs::remove_dir_all(cluster.servers[at].dir()).expect("removed");
    cluster.servers[at].start(&cluster.scene);
}

#[test]
fn a_demoted_member_is_fed_and_counts_no_more() {
    let mut cluster = Cluster::start(3);
    let demoted = cluster.follower();
    let (id, address) = (cluster.id_of(cluster.port(demoted)), cluster.servers[demoted].address());
    let name = format!("n{}", id.expect("a member"));
    let ended = member(&cluster, &["demote", &name]).exits(0);
    assert_eq!(ended.out, format!("demoted {address}, member {}, to a learner\n", &name[1..]));
    assert!(!votes(&cluster, &address));
    let again = member(&cluster, &["demote", &address]).exits(0);
    assert!(again.out.contains("already a learner"), "{again:?}");

    // Two voters are left: both are needed, and the learner helps nobody.
    append(&cluster.scene, "count", cluster.port(demoted));
    cluster.servers[demoted].wait_shown("Count 1");
    let rest: Vec<usize> = (0..3).filter(|at| *at != demoted).collect();
    cluster.servers[rest[0]].kill();
    let asked = founders(&cluster.running());
    let lost = ["-C", "clientcommand", "-m", "lost", "-S", &asked, "--timeout", "3s"];
    run(&cluster.scene, raft(lost)).shows_nothing();
    cluster.start_all();

    let added = member(&cluster, &["add", &address]).exits(0);
    assert_eq!(added.out, format!("added {address} as member {}\n", &name[1..]));
    assert!(votes(&cluster, &address));
    cluster.servers[rest[0]].kill();
    append(&cluster.scene, "two-of-three", cluster.port(demoted));
    cluster.start_all();
    messages_at_the_end(&cluster);
}

#[test]
fn a_demoted_leader_hands_over_first() {
    let cluster = Cluster::start(3);
    let leader = cluster.servers[cluster.leader()].address();
    member(&cluster, &["demote", &leader]).exits(0);
    assert!(!votes(&cluster, &leader));
    assert_ne!(cluster.servers[cluster.leader()].address(), leader);
    append(&cluster.scene, "on", cluster.port(0));
}

#[test]
fn a_wiped_member_is_replaced_at_its_address() {
    let mut cluster = Cluster::start(3);
    append(&cluster.scene, "precious", cluster.port(0));
    let wiped = cluster.follower();
    let (port, address) = (cluster.port(wiped), cluster.servers[wiped].address());
    let old = cluster.id_of(port).expect("a member");
    let running = member(&cluster, &["replace", &address, &address]);
    running.exits(1).shows_nothing().says(["empty data directory"]);

    wipe(&mut cluster, wiped);
    cluster.servers[wiped].process().wait_err("waiting to be ");
    let replaced = member(&cluster, &["replace", &format!("n{old}"), &address, "-o", "json"]);
    let replaced: Value = serde_json::from_str(&replaced.exits(0).out).expect("JSON");
    assert_eq!(replaced["outcome"], "replaced");
    assert_eq!(
        (&replaced["old_id"], &replaced["old_address"]),
        (&old.into(), &address.clone().into())
    );
    let new = cluster.id_of(port).expect("a member");
    assert_eq!((&replaced["id"], &replaced["address"]), (&new.into(), &address.clone().into()));
    assert!(new > 3 && votes(&cluster, &address));

    // It is as good as the old one: with it, another one may go.
    let other = (0..3).find(|at| *at != wiped).expect("another");
    cluster.servers[other].kill();
    append(&cluster.scene, "two-of-three", port);
    cluster.start_all();
    let all = messages_at_the_end(&cluster);
    assert_eq!(all[..2], ["precious", "two-of-three"], "{all:?}");
}

/// Turns a bit in a message on the disk of a server that does not run.
fn damage(server: &Server, message: &str) {
    let files = fs::read_dir(server.dir().join("wal")).expect("a log");
    for file in files.map(|file| file.expect("a file").path()) {
        let mut bytes = fs::read(&file).expect("it is read");
        let found = bytes.windows(message.len()).position(|bytes| bytes == message.as_bytes());
        if let Some(at) = found {
            bytes[at] ^= 1;
            return fs::write(&file, bytes).expect("it is written");
        }
    }
    panic!("{message} is not in the log");
}

#[test]
fn a_damaged_member_is_refilled_by_the_others() {
    let mut cluster = Cluster::start(3);
    let filling = "x".repeat(10_000);
    for message in ["precious", "more", "most"] {
        append(&cluster.scene, format!("{message}-{filling}"), cluster.port(0));
    }
    let damaged = cluster.follower();
    let address = cluster.servers[damaged].address();
    append(&cluster.scene, "count", cluster.port(damaged));
    cluster.servers[damaged].kill();
    damage(&cluster.servers[damaged], "precious-xxxx");
    let command = format!("raft member replace '{address}' '{address}' --endpoints ");
    let ended = run(&cluster.scene, cluster.servers[damaged].command()).exits(7);
    let ended = ended.says(["empty directory (--data-dir)", "majority", &command]);

    // Both steps, as they are named.
    let dir = cluster.scene.join("empty");
    cluster.servers[damaged] = Server::with_dir(&cluster.list, cluster.port(damaged), &dir);
    cluster.servers[damaged].start(&cluster.scene).wait_err("waiting to be ");
    let (_, rest) = ended.err.split_once(&command).expect("the command");
    let endpoints = rest.lines().next().expect("who is asked");
    let line = command.replacen("raft", "$RAFT", 1);
    run(&cluster.scene, shell(&format!("{line}{endpoints}"))).exits(0);
    append(&cluster.scene, "count", cluster.port(damaged));
    cluster.servers[damaged].wait_shown("Count 5");
    messages_at_the_end(&cluster);
}

#[test]
fn a_member_that_is_gone_is_replaced_by_another_server() {
    let mut cluster = Cluster::start(3);
    append(&cluster.scene, "precious", cluster.port(0));
    // The leader, even.
    let dead = cluster.leader();
    let old = cluster.servers[dead].address();
    let newcomer = cluster.newcomer();
    let new = cluster.servers[newcomer].address();
    let absent = member(&cluster, &["replace", &old, &new]).exits(1).shows_nothing();
    absent.says([new.clone(), format!("-p '{new}'")]);

    cluster.servers[newcomer].start(&cluster.scene).wait_err(" to be added");
    cluster.servers[dead].kill();
    let rest: Vec<u16> = (0..3).filter(|at| *at != dead).map(|at| cluster.port(at)).collect();
    let asked = ["member", "replace", &old, &new, "--endpoints", &founders(&rest)];
    let replaced = run(&cluster.scene, raft(asked)).exits(0);
    assert!(
        replaced.out.starts_with(&format!("replaced {old}, which was member ")),
        "{replaced:?}"
    );
    assert!(replaced.out.contains(&format!(", by {new} as member ")), "{replaced:?}");
    let members = cluster.members(&rest);
    let all = members["members"].as_array().expect("members");
    let addresses: Vec<&str> = all.iter().filter_map(|row| row["address"].as_str()).collect();
    assert!(addresses.len() == 3 && !addresses.contains(&old.as_str()), "{addresses:?}");
    for server in cluster.servers.iter().filter(|server| server.is_running()) {
        server.wait_shown(&format!("Added new peer {new}"));
    }

    // Whoever was replaced hears of it when it comes back, and takes no part.
    cluster.servers[dead].start(&cluster.scene).wait_err("removed");
    append(&cluster.scene, "on", rest[0]);
    cluster.servers[dead].kill();
    let all = messages_at_the_end(&cluster);
    assert_eq!(all[..2], ["precious", "on"], "{all:?}");
}

#[test]
fn a_member_moves_with_its_directory() {
    let mut cluster = Cluster::start(3);
    append(&cluster.scene, "precious", cluster.port(0));
    let moved = cluster.follower();
    let (old, dir) = (cluster.servers[moved].address(), cluster.servers[moved].dir().to_owned());
    let id = cluster.id_of(cluster.port(moved)).expect("a member");
    let [port] = free_ports();
    let (list, place) = (cluster.list.clone(), dir.clone());
    let there = || Server::with_dir(&list, port, &place);
    let new = format!(":{port}");
    // Nobody would find it there yet.
    cluster.servers[moved].terminate();
    let refused = run(&cluster.scene, there().command()).exits(10).shows_nothing();
    refused.says([&old, &new, &format!("raft member update n{id} {new}")]);

    cluster.start_all();
    append(&cluster.scene, "connected", cluster.port(moved));
    let updated = member(&cluster, &["update", &old, &new]).exits(0).says([format!("-p '{new}'")]);
    assert_eq!(updated.out, format!("member {id} is at {new} now\n"));
    cluster.servers[moved].process().wait_err(&new);
    cluster.servers[moved].terminate();
    cluster.servers[moved] = there();
    cluster.start_all();
    append(&cluster.scene, "count", port);
    cluster.servers[moved].wait_shown("Count 3");
    assert_eq!(cluster.id_of(port), Some(id));
    // The directory knows it from now on.
    let node = fs::read_to_string(dir.join("NODE")).expect("a text");
    assert!(node.contains(&format!("address {new}\n")), "{node}");
    cluster.servers[moved].kill();
    let other = (0..3).find(|at| *at != moved).expect("another");
    cluster.servers[other].kill();
    cluster.servers[moved].start(&cluster.scene);
    append(&cluster.scene, "two-of-three", port);
    cluster.start_all();
    let all = messages_at_the_end(&cluster);
    assert_eq!(all[..4], ["precious", "connected", "count", "two-of-three"], "{all:?}");
}

#[test]
fn a_member_that_moved_while_it_was_down_says_so_itself() {
    let mut cluster = Cluster::start(3);
    let moved = cluster.follower();
    let (old, dir) = (cluster.servers[moved].address(), cluster.servers[moved].dir().to_owned());
    cluster.servers[moved].terminate();
    let [port] = free_ports();
    let new = format!(":{port}");
    member(&cluster, &["update", &old, &new]).exits(0);
    let mut server = Server::with_dir(&cluster.list, port, &dir);
    run(&cluster.scene, server.command()).exits(10).says(["--moved"]);
    server.add_arguments(&["--moved"]);
    cluster.servers[moved] = server;
    cluster.start_all();
    append(&cluster.scene, "count", port);
    cluster.servers[moved].wait_shown("Count 1");
    messages_at_the_end(&cluster);
}

#[test]
fn a_rehearsal_changes_nothing_and_says_who_would_be_missed() {
    let mut cluster = Cluster::start(3);
    let before = cluster.members(&cluster.running());
    let follower = cluster.servers[cluster.follower()].address();
    let removed = member(&cluster, &["remove", &follower, "--dry-run"]).exits(0);
    let words: Vec<Vec<&str>> =
        removed.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0][..3], ["phase", "voters", "majority"], "{removed:?}");
    assert!(
        words[1].starts_with(&["before"]) && words[1].ends_with(&["3", "nobody"]),
        "{removed:?}"
    );
    assert!(words[2].starts_with(&["during", "both", "2", "of", "3", "and", "2", "of", "2"]));
    let rest: Vec<u16> = cluster.running();
    let rest = rest.iter().map(|port| format!(":{port}")).filter(|other| *other != follower);
    let mut rest: Vec<String> = rest.collect();
    rest.sort();
    assert!(words[3].ends_with(&[&rest[0], "or", &rest[1]]), "{removed:?}");

    let newcomer = cluster.newcomer();
    let new = cluster.servers[newcomer].address();
    let absent = member(&cluster, &["replace", &follower, &new, "--dry-run"]);
    absent.exits(1).shows_nothing().says([&new]);
    cluster.servers[newcomer].start(&cluster.scene).wait_err(" to be added");
    let rehearsed = member(&cluster, &["replace", &follower, &new, "--dry-run", "-o", "json"]);
    let rehearsed: Value = serde_json::from_str(&rehearsed.exits(0).out).expect("JSON");
    assert_eq!(rehearsed["dry_run"], true);
    let phases: Vec<&str> = rehearsed["phases"]
        .as_array()
        .expect("phases")
        .iter()
        .filter_map(|phase| phase["phase"].as_str())
        .collect();
    assert_eq!(phases, ["before", "during", "after"], "{rehearsed}");
    assert_eq!(cluster.members(&[cluster.port(0)])["members"], before["members"]);
}
