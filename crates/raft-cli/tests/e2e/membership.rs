//! Servers come and go.

use std::fs;

use crate::support::{
    Cluster, Load, PATIENCE, Process, add, agree, append, messages_at_the_end, raft, remove, run,
};

/// Starts one more server and adds it; returns its position.
fn grow(cluster: &mut Cluster) -> usize {
    let newcomer = cluster.newcomer();
    cluster.servers[newcomer].start(&cluster.scene).wait_err(" to be added");
    add(&cluster.scene, cluster.port(newcomer), cluster.port(0)).exits(0);
    newcomer
}

#[test]
fn a_server_that_does_not_run_is_not_added() {
    let mut cluster = Cluster::start(3);
    let newcomer = cluster.newcomer();
    let address = cluster.servers[newcomer].address();
    let start = format!("raft -c '{}' -p '{address}'", cluster.list);
    add(&cluster.scene, cluster.port(newcomer), cluster.port(0))
        .exits(1)
        .shows_nothing()
        .says([&address, &start]);
    assert_eq!(cluster.id_of(cluster.port(newcomer)), None);
    append(&cluster.scene, "count", cluster.port(0));
    for server in &cluster.servers[..3] {
        server.wait_shown("Count 1");
        assert_eq!(server.shown(), ["Count 1"], "{}", server.address());
    }
}

#[test]
fn a_server_that_waits_takes_no_messages() {
    let mut cluster = Cluster::start(1);
    let newcomer = cluster.newcomer();
    cluster.servers[newcomer].start(&cluster.scene).wait_err(" to be added");
    let asked = cluster.servers[newcomer].address();
    let args = ["-C", "clientcommand", "-m", "lost", "-S", &asked, "--timeout", "1s"];
    run(&cluster.scene, raft(args)).exits(4).shows_nothing().says([&asked]);
    add(&cluster.scene, cluster.port(newcomer), cluster.port(0)).exits(0);
    append(&cluster.scene, "count", cluster.port(newcomer));
    cluster.servers.iter().for_each(|server| drop(server.wait_shown("Count 1")));
}

#[test]
fn adding_a_member_again_says_that_it_is_one() {
    let cluster = Cluster::start(3);
    let present = add(&cluster.scene, cluster.port(2), cluster.port(0)).exits(0);
    assert!(present.out.contains("already"), "{present:?}");
    append(&cluster.scene, "count", cluster.port(0));
    cluster.servers[2].wait_shown("Count 1");
    assert_eq!(cluster.servers[2].shown(), ["Count 1"]);
}

#[test]
fn what_cannot_be_removed_is_named() {
    let mut cluster = Cluster::start(1);
    let newcomer = cluster.newcomer();
    let address = cluster.servers[newcomer].address();
    let absent = remove(&cluster.scene, cluster.port(newcomer), cluster.port(0));
    absent.exits(3).shows_nothing().says([&address]);
    remove(&cluster.scene, cluster.port(0), cluster.port(0)).exits(1).shows_nothing();
    append(&cluster.scene, "still here", cluster.port(0));
}

#[test]
fn a_removed_leader_hands_over_and_can_come_back() {
    let mut cluster = Cluster::start(3);
    append(&cluster.scene, "first", cluster.port(0));
    let old = cluster.leader();
    let (port, address) = (cluster.port(old), cluster.servers[old].address());
    let id = cluster.id_of(port).expect("an id");
    remove(&cluster.scene, port, port).exits(0);
    let rest: Vec<_> = cluster.running().into_iter().filter(|&other| other != port).collect();
    let line = format!("Removed peer {address}");
    for server in cluster.servers.iter().filter(|server| server.port != port) {
        server.wait_shown(&line);
    }
    append(&cluster.scene, "count", rest[0]);

    // It stays up, and tells clients what to do, after a restart as well.
    let asks = |cluster: &Cluster| {
        let args = ["-C", "clientcommand", "-m", "lost", "-S", &address, "--timeout", "20s"];
        run(&cluster.scene, raft(args)).exits(1).shows_nothing().says(["addserver", &address]);
    };
    asks(&cluster);
    let identity = |cluster: &Cluster| fs::read(cluster.servers[old].dir().join("NODE"));
    let removed = identity(&cluster).expect("an identity");
    cluster.servers[old].terminate();
    cluster.servers[old].start(&cluster.scene);
    asks(&cluster);
    assert_eq!(identity(&cluster).expect("an identity"), removed, "a restart changes nothing");

    add(&cluster.scene, port, rest[0]).exits(0);
    let server = &cluster.servers[old];
    server.wait_shown(&format!("Added new peer {address}"));
    server.wait_shown("Count 2");
    assert!(cluster.id_of(port).expect("an id") > id.max(3), "an id is never used again");
    let all = messages_at_the_end(&cluster);
    assert_eq!(all[..2], ["first", "count"], "{all:?}");
    cluster.servers[old].kill();
    cluster.servers[old].start(&cluster.scene);
    append(&cluster.scene, "a member again", port);
}

#[test]
fn a_cluster_grows_from_one_to_three_and_shrinks_again() {
    let mut cluster = Cluster::start(1);
    append(&cluster.scene, "first", cluster.port(0));
    let second = grow(&mut cluster);
    let third = grow(&mut cluster);
    // Three voters now: any two go on.
    let leader = cluster.leader();
    cluster.servers[leader].kill();
    append(&cluster.scene, "second", cluster.running()[0]);
    cluster.start_all();
    remove(&cluster.scene, cluster.port(0), cluster.port(second)).exits(0);
    remove(&cluster.scene, cluster.port(second), cluster.port(third)).exits(0);
    cluster.servers[0].kill();
    cluster.servers[second].kill();
    let all = messages_at_the_end(&cluster);
    assert_eq!(all[..2], ["first", "second"], "{all:?}");
}

#[test]
fn a_second_change_waits_for_the_first() {
    let mut cluster = Cluster::start(1);
    let newcomers = [cluster.newcomer(), cluster.newcomer()];
    let mut changes = Vec::new();
    for newcomer in newcomers {
        cluster.servers[newcomer].start(&cluster.scene).wait_err(" to be added");
    }
    for newcomer in newcomers {
        let address = cluster.servers[newcomer].address();
        let command = raft(["-C", "addserver", "-m", &address, "-S", &cluster.list]);
        changes.push(Process::spawn(command, "addserver", &cluster.scene.record("addserver")));
    }
    for change in changes {
        let ended = change.ends_within(PATIENCE).expect("the change ends");
        assert_eq!(ended.code(), Some(0), "{}", ended.story());
    }
    for newcomer in newcomers {
        let line = format!("Added new peer {}", cluster.servers[newcomer].address());
        cluster.servers.iter().for_each(|server| drop(server.wait_shown(&line)));
    }
}

#[test]
fn status_says_who_is_not_well() {
    let mut cluster = Cluster::start(3);
    let status = |cluster: &Cluster| {
        let list = cluster.list.clone();
        run(&cluster.scene, raft(["status", "--timeout", "5s", "--endpoints", &list]))
    };
    // Whoever passed a message on, or took it, knows the leader.
    cluster.running().iter().for_each(|&port| drop(append(&cluster.scene, "beer", port)));
    // A disk that is busy with other things is told of as well.
    let well = status(&cluster);
    assert!(well.code == Some(0) || well.out.contains("slow disk"), "{well:?}");
    for server in &cluster.servers {
        assert!(well.out.contains(&server.address()), "{well:?}");
    }
    assert!(!well.out.contains("no answer"), "{well:?}");
    let follower = cluster.follower();
    cluster.servers[follower].kill();
    let unwell = status(&cluster).exits(3);
    let address = cluster.servers[follower].address();
    let row = unwell.out.lines().find(|line| line.contains(&address)).unwrap_or_default();
    assert!(row.contains("no answer"), "{unwell:?}");
}

#[test]
fn leadership_is_transferred_on_request() {
    let cluster = Cluster::start(3);
    for _ in 0..3 {
        let (from, to) = (cluster.leader(), cluster.follower());
        let (from, to) = (cluster.servers[from].address(), cluster.servers[to].address());
        let command = raft(["transfer", &to, "--endpoints", &from]);
        let transferred = run(&cluster.scene, command).exits(0);
        assert_eq!(transferred.out, format!("{to} leads now\n"));
        append(&cluster.scene, "beer", cluster.port(0));
    }
}

#[test]
fn members_change_under_load_while_leaders_are_killed() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster.running(), 3);
    let newcomer = cluster.newcomer();
    let (port, address) = (cluster.port(newcomer), cluster.servers[newcomer].address());
    cluster.servers[newcomer].start(&cluster.scene).wait_err(" to be added");
    for verb in ["addserver", "removeserver"] {
        load.wait_for_more(50);
        // The newcomer can be asked, and lead, only once it is a member.
        let members = if verb == "addserver" { 3 } else { 4 };
        let leader = cluster.leader_among(&cluster.running()[..members]);
        let command = raft(["-C", verb, "-m", &address, "-S", &cluster.list]);
        let change = Process::spawn(command, verb, &cluster.scene.record(verb));
        cluster.servers[leader].kill();
        let ended = change.ends_within(PATIENCE).expect("the change ends");
        assert_eq!(ended.code(), Some(0), "{verb}: {}", ended.story());
        cluster.start_all();
        assert_eq!(cluster.id_of(port).is_some(), verb == "addserver", "after {verb}");
    }
    load.wait_for_more(50);
    let report = load.finish();
    cluster.servers[newcomer].kill();
    agree(&cluster, &report);
}
