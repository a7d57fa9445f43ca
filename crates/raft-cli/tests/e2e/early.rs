//! Commands that come at a bad moment: they wait, succeed, and are applied once.

use crate::support::{
    Cluster, Ended, PATIENCE, Process, append, founders, messages_at_the_end, raft, run,
};

/// Starts a command that appends `message`, without waiting for it.
fn begin(cluster: &Cluster, message: &str, port: u16) -> Process {
    let command = raft(["-C", "clientcommand", "-m", message, "-S", &format!(":{port}")]);
    Process::spawn(command, message, &cluster.scene.record("client"))
}

fn succeed(command: &Process) {
    let seen = command.ends_within(PATIENCE).expect("an end");
    Ended::new("append".into(), &seen).exits(0);
}

/// How often each of `messages` is there in the end.
#[track_caller]
fn assert_once(cluster: &Cluster, messages: &[String]) {
    let all = messages_at_the_end(cluster);
    for message in messages {
        let count = all.iter().filter(|other| *other == message).count();
        assert_eq!(count, 1, "{message} is there {count} times");
    }
}

#[test]
fn a_command_right_after_the_start_waits_for_the_first_leader() {
    let mut cluster = Cluster::new(3);
    // Before the servers, so that even the port is closed at first.
    let commands: Vec<_> =
        (0..3).map(|at| begin(&cluster, &format!("early-{at}"), cluster.port(at))).collect();
    cluster.start_all();
    commands.iter().for_each(succeed);
    assert_once(&cluster, &["early-0".into(), "early-1".into(), "early-2".into()]);
}

#[test]
fn a_command_during_an_election_waits_for_its_end() {
    let mut cluster = Cluster::start(3);
    let mut messages = Vec::new();
    for round in 0..3 {
        let leader = cluster.leader();
        cluster.servers[leader].kill();
        let mut commands = Vec::new();
        for port in cluster.running() {
            messages.push(format!("round-{round}-at-{port}"));
            commands.push(begin(&cluster, &messages[messages.len() - 1], port));
        }
        commands.iter().for_each(succeed);
        cluster.start_all();
    }
    assert_once(&cluster, &messages);
}

#[test]
fn a_command_whose_server_dies_goes_to_the_next() {
    let mut cluster = Cluster::start(3);
    let follower = cluster.follower();
    cluster.servers[follower].kill();
    let mut asked = vec![cluster.port(follower)];
    asked.extend(cluster.running());
    let asked = founders(&asked);
    run(&cluster.scene, raft(["-C", "clientcommand", "-m", "on", "-S", &asked])).exits(0);
    assert_once(&cluster, &["on".into()]);
}

#[test]
fn a_new_cluster_waits_for_all_of_its_members() {
    let mut cluster = Cluster::new(3);
    let missing = cluster.servers[2].address();
    for at in [0, 1] {
        cluster.servers[at].start(&cluster.scene);
    }
    for at in [0, 1] {
        let line = cluster.servers[at].process().wait_err("waiting for");
        assert!(line.contains(&missing), "{line}");
    }
    let asked = format!(":{}", cluster.port(0));
    let args = ["-C", "clientcommand", "-m", "lost", "-S", &asked, "--timeout", "1s"];
    run(&cluster.scene, raft(args)).exits(4).shows_nothing();
    cluster.start_all();
    append(&cluster.scene, "found", cluster.port(0));
    let all = messages_at_the_end(&cluster);
    assert_eq!(all[0], "found", "what was refused is there: {all:?}");
}
