//! Clusters of one to seven servers.

use crate::support::{Cluster, append, messages_at_the_end, raft, run};

/// Appends at every server, again without as many as may fail, and again after their return.
fn serves(size: usize) {
    let mut cluster = Cluster::start(size);
    let mut expected = Vec::new();
    let mut append_everywhere = |cluster: &Cluster, what: &str| {
        for port in cluster.running() {
            expected.push(format!("{what}-{port}"));
            append(&cluster.scene, &expected[expected.len() - 1], port);
        }
    };
    append_everywhere(&cluster, "all");
    for _ in 0..(size - 1) / 2 {
        let leader = cluster.leader();
        cluster.servers[leader].kill();
    }
    append_everywhere(&cluster, "most");
    cluster.kill_all();
    cluster.start_all();
    append_everywhere(&cluster, "again");
    let all = messages_at_the_end(&cluster);
    assert_eq!(all[..expected.len()], expected);
}

#[test]
fn one_server() {
    serves(1);
}

#[test]
fn two_servers() {
    serves(2);
}

#[test]
fn three_servers() {
    serves(3);
}

#[test]
fn five_servers() {
    serves(5);
}

#[test]
fn seven_servers() {
    serves(7);
}

#[test]
fn without_a_majority_nothing_is_appended_and_nobody_is_fooled() {
    let mut cluster = Cluster::start(2);
    append(&cluster.scene, "before", cluster.port(0));
    cluster.servers[1].kill();
    let asked = cluster.servers[0].address();
    let args = ["-C", "clientcommand", "-m", "lost", "-S", &asked, "--timeout", "3s"];
    let ended = run(&cluster.scene, raft(args)).exits(4).shows_nothing();
    assert!(ended.err.contains("error: "), "{ended:?}");
    cluster.start_all();
    append(&cluster.scene, "after", cluster.port(0));
    let all = messages_at_the_end(&cluster);
    assert_eq!(all[..2], ["before", "after"], "what was not sent is there: {all:?}");
}
