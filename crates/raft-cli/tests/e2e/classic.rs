//! The classic walk-through, word for word.

use jiff::Zoned;
use jiff::tz::{TimeZone, offset};

use crate::support::{Cluster, Server, add, append, appended_at, is_stamp, raft, remove, run};

/// What every server has shown after the first part of the walk-through.
const SHOWN: [&str; 3] = ["Count 2", "Logs [I like beer. count print]", "Count 4"];

/// Appends at any server, and lets all of them count and print.
fn walk(cluster: &Cluster) {
    append(&cluster.scene, "I like beer.", cluster.port(0));
    append(&cluster.scene, "count", cluster.port(1));
    append(&cluster.scene, "print", cluster.port(2));
    append(&cluster.scene, "count", cluster.port(0));
    for server in &cluster.servers {
        server.wait_shown(SHOWN[2]);
        assert_eq!(server.shown(), SHOWN, "{}", server.address());
    }
}

#[test]
fn a_message_appended_anywhere_is_processed_by_every_server() {
    walk(&Cluster::start(3));
}

#[test]
fn a_line_is_a_time_and_what_it_shows() {
    let cluster = Cluster::start(1);
    append(&cluster.scene, "count", cluster.port(0));
    cluster.servers[0].wait_shown("Count 1");
    let out = cluster.servers[0].process().seen().out;
    let line = String::from_utf8(out[0].clone()).expect("text");
    assert!(is_stamp(&line[..19]), "{line}");
    assert_eq!(&line[19..], " Count 1");
}

#[test]
fn the_time_is_local() {
    let cluster = Cluster::new(1);
    let server = &cluster.servers[0];
    let mut command = server.command();
    // POSIX counts the other way round: thirteen hours east of Greenwich.
    command.env("TZ", "EAST-13");
    let record = cluster.scene.record("server");
    let process = crate::support::Process::spawn(command, "the server", &record);
    let east = TimeZone::fixed(offset(13));
    let now =
        || Zoned::now().with_time_zone(east.clone()).strftime("%Y/%m/%d %H:%M:%S").to_string();
    let before = now();
    append(&cluster.scene, "count", server.port);
    let line = process.wait("a line", |seen| seen.out.first().cloned());
    let after = now();
    let stamp = String::from_utf8(line[..19].to_vec()).expect("text");
    assert!((before..=after).contains(&stamp), "{stamp}");
}

#[test]
fn the_client_says_who_did_it() {
    let cluster = Cluster::start(3);
    // Another leader may be elected in between: then the two answers together are looked at again.
    loop {
        let (leader, follower) = (cluster.leader(), cluster.follower());
        let forwarded = append(&cluster.scene, "I like beer.", cluster.port(follower));
        let direct = append(&cluster.scene, "I like wine.", cluster.port(leader));
        let (first, second) = (place(&forwarded.out), place(&direct.out));
        assert!(second.0 > first.0, "{forwarded:?} {direct:?}");
        if cluster.leader() != leader || first.1 != second.1 {
            continue;
        }
        let (leader, follower) = (&cluster.servers[leader], &cluster.servers[follower]);
        let expected =
            format!("{} is not the leader, forwarded to {}", follower.address(), leader.address());
        assert_eq!(forwarded.err, expected);
        assert_eq!(direct.err, "");
        break;
    }
}

fn place(out: &str) -> (u64, u64) {
    appended_at(out.strip_suffix('\n').expect("a whole line")).expect("one line, no more")
}

#[test]
fn a_server_is_added_and_removed() {
    let mut cluster = Cluster::start(3);
    walk(&cluster);
    let newcomer = cluster.newcomer();
    let (port, address) = (cluster.port(newcomer), cluster.servers[newcomer].address());
    let server = &mut cluster.servers[newcomer];
    server.start(&cluster.scene).wait_err(" to be added");

    let added = add(&cluster.scene, port, cluster.port(0)).exits(0);
    assert!(added.out.starts_with(&format!("added {address}")), "{added:?}");
    let line = format!("Added new peer {address}");
    let expected = [SHOWN.as_slice(), &[&line]].concat();
    for server in &cluster.servers {
        server.wait_shown(&line);
        assert_eq!(server.shown(), expected, "{}", server.address());
    }
    append(&cluster.scene, "count", port);
    cluster.servers.iter().for_each(|server| drop(server.wait_shown("Count 5")));

    let removed = remove(&cluster.scene, port, cluster.port(1)).exits(0);
    assert!(removed.out.starts_with(&format!("removed {address}")), "{removed:?}");
    let gone = format!("Removed peer {address}");
    let expected = [expected.as_slice(), &["Count 5", &gone]].concat();
    for server in &cluster.servers[..3] {
        server.wait_shown(&gone);
        assert_eq!(server.shown(), expected, "{}", server.address());
    }
}

#[test]
fn a_restart_shows_no_line_again() {
    let mut cluster = Cluster::start(3);
    walk(&cluster);
    let newcomer = cluster.newcomer();
    cluster.servers[newcomer].start(&cluster.scene).wait_err(" to be added");
    add(&cluster.scene, cluster.port(newcomer), cluster.port(0)).exits(0);
    let line = format!("Added new peer {}", cluster.servers[newcomer].address());
    cluster.servers.iter().for_each(|server| drop(server.wait_shown(&line)));

    for server in &mut cluster.servers {
        let seen = server.terminate();
        assert_eq!(seen.code(), Some(0), "{}", seen.story());
    }
    cluster.start_all();
    append(&cluster.scene, "count", cluster.port(newcomer));
    cluster.servers.iter().for_each(|server| drop(server.wait_shown("Count 5")));
    let expected = [SHOWN.as_slice(), &[&line, "Count 5"]].concat();
    for server in &cluster.servers {
        assert_eq!(server.shown(), expected, "{}", server.address());
    }
}

#[test]
fn the_plain_verbs_do_the_same() {
    let mut cluster = Cluster::start(1);
    let endpoints = cluster.servers[0].address();
    let newcomer = cluster.newcomer();
    cluster.servers[newcomer].start(&cluster.scene).wait_err(" to be added");
    let address = cluster.servers[newcomer].address();
    let verb = |words: &[&str]| {
        let command = raft(words.iter().copied().chain(["--endpoints", &endpoints]));
        run(&cluster.scene, command).exits(0)
    };
    for words in [&["append", "I like beer."][..], &["count"], &["print"]] {
        let out = verb(words).out;
        assert!(appended_at(out.trim_end()).is_some(), "{words:?}: {out}");
    }
    verb(&["member", "add", &address]);
    verb(&["member", "remove", &address]);
    let lines = [
        "Count 2".to_owned(),
        "Logs [I like beer. count print]".to_owned(),
        format!("Added new peer {address}"),
        format!("Removed peer {address}"),
    ];
    let server = &cluster.servers[0];
    server.wait_shown(&lines[3]);
    assert_eq!(server.shown(), lines);
}

#[test]
fn a_server_without_a_list_is_a_cluster_of_one() {
    let cluster = Cluster::new(1);
    let Server { port, .. } = cluster.servers[0];
    let data = cluster.scene.join("alone");
    let mut command = raft(["-p", &port.to_string(), "--data-dir"]);
    command.arg(&data);
    let record = cluster.scene.record("server");
    let process = crate::support::Process::spawn(command, "the server", &record);
    append(&cluster.scene, "count", port);
    process.wait("the line", |seen| seen.out.first()?.ends_with(b" Count 1").then_some(()));
    process.wait_err("a cluster of one");
    process.wait_err("this machine only");
}
