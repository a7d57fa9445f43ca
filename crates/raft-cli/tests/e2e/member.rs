//! Members that are not what they seem: wiped, of another cluster, started with another list.

use std::fs;

use crate::support::{
    Cluster, PATIENCE, Server, append, founders, free_ports, messages_at_the_end, raft, run, shell,
};

#[test]
fn a_wiped_member_does_not_vote_and_says_what_helps() {
    let mut cluster = Cluster::start(3);
    append(&cluster.scene, "precious", cluster.port(0));
    let wiped = cluster.follower();
    let address = cluster.servers[wiped].address();
    let id = cluster.id_of(cluster.port(wiped)).expect("a member");
    cluster.servers[wiped].kill();
    fs::remove_dir_all(cluster.servers[wiped].dir()).expect("removed");
    let process = cluster.servers[wiped].start(&cluster.scene);
    let hint = process.wait_err("waiting to be replaced: raft member replace ");
    assert!(hint.contains(&format!("'{address}'")), "no exact command: {hint}");
    // Whoever looks for it is told the same.
    let name = format!("'n{id}' '{address}' --endpoints ");
    for server in cluster.servers.iter().filter(|server| server.address() != address) {
        server.process().wait_err(&format!("raft member replace {name}"));
    }

    // The others are a majority without it.
    let rest: Vec<_> =
        cluster.running().into_iter().filter(|&at| at != cluster.port(wiped)).collect();
    append(&cluster.scene, "still-here", rest[0]);
    // One of them alone is none, whatever the wiped one says.
    let other =
        cluster.servers.iter().position(|server| server.port == rest[1]).expect("it is there");
    cluster.servers[other].kill();
    let asked = founders(&rest[..1]);
    let args = ["-C", "clientcommand", "-m", "lost", "-S", &asked, "--timeout", "3s"];
    run(&cluster.scene, raft(args)).exits(4).shows_nothing();
    cluster.start_all();
    append(&cluster.scene, "all-there", rest[0]);

    // What the line says helps.
    let (_, command) = hint.split_once("raft ").expect("a command");
    run(&cluster.scene, shell(&format!("$RAFT {command}"))).exits(0);
    let all = messages_at_the_end(&cluster);
    assert_eq!(all[..3], ["precious", "still-here", "all-there"], "{all:?}");
}

#[test]
fn members_that_disagree_about_the_list_do_not_begin() {
    let mut cluster = Cluster::new(2);
    let [absent] = free_ports();
    let [first, second] = [cluster.port(0), cluster.port(1)];
    let lists = [founders(&[first, second]), founders(&[first, second, absent])];
    for (at, list) in lists.iter().enumerate() {
        let dir = cluster.servers[at].dir().to_owned();
        cluster.servers[at] = Server::with_dir(list, cluster.port(at), &dir);
    }
    cluster.start_all();
    let named = |text: &str| lists.iter().all(|list| list.split(',').all(|at| text.contains(at)));
    let mut stopped = 0;
    for server in &cluster.servers {
        // One of them may end before the other one hears of it; then that one waits.
        let process = server.process();
        let both = process.wait("both lists, or that it waits", |seen| {
            let all = seen.err.join("\n");
            (named(&all) || (seen.exit.is_none() && stopped > 0)).then_some(named(&all))
        });
        if both {
            let seen = process.ends_within(PATIENCE).expect("it ends");
            assert_eq!(seen.code(), Some(10), "{}", seen.story());
            stopped += 1;
        }
    }
    assert!(stopped > 0, "nobody noticed");
    for server in cluster.servers.iter().filter(|server| server.process().seen().exit.is_none()) {
        let args =
            ["-C", "clientcommand", "-m", "lost", "-S", &server.address(), "--timeout", "1s"];
        run(&cluster.scene, raft(args)).exits(4);
    }
}

#[test]
fn another_list_after_the_founding_is_ignored_and_said() {
    let mut cluster = Cluster::start(2);
    append(&cluster.scene, "before", cluster.port(0));
    let [absent] = free_ports();
    cluster.servers[1].terminate();
    let list = founders(&[cluster.port(1), absent]);
    let dir = cluster.servers[1].dir().to_owned();
    cluster.servers[1] = Server::with_dir(&list, cluster.port(1), &dir);
    cluster.servers[1].start(&cluster.scene).wait_err("ignored");
    append(&cluster.scene, "after", cluster.port(1));
    let all = messages_at_the_end(&cluster);
    assert_eq!(all[..2], ["before", "after"], "{all:?}");
}

#[test]
fn a_member_of_another_cluster_is_not_let_in() {
    let mut cluster = Cluster::start(3);
    append(&cluster.scene, "ours", cluster.port(0));
    let stranger = cluster.follower();
    let port = cluster.port(stranger);
    cluster.servers[stranger].kill();
    // A cluster of one with the address of a member.
    let dir = cluster.scene.join("stranger");
    let mut other = Server::with_dir(&format!(":{port}"), port, &dir);
    other.start(&cluster.scene);
    append(&cluster.scene, "theirs", port);
    let rest: Vec<_> = cluster.running();
    append(&cluster.scene, "ours-again", rest[0]);
    other.kill();
    cluster.start_all();
    let all = messages_at_the_end(&cluster);
    assert_eq!(all[..2], ["ours", "ours-again"], "{all:?}");
}

#[test]
fn a_reader_that_stops_reading_stops_nobody() {
    use std::process::Stdio;
    let cluster = Cluster::new(1);
    let server = &cluster.servers[0];
    for stalled in [true, false] {
        let mut command = server.command();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the server starts");
        // Either a pager that nobody scrolls, or one that was quit.
        let pipe = child.stdout.take().filter(|_| stalled);
        append(&cluster.scene, "x".repeat(100_000), server.port);
        for _ in 0..3 {
            append(&cluster.scene, "print", server.port);
        }
        append(&cluster.scene, "on", server.port);
        assert_eq!(child.try_wait().expect("it can be asked"), None, "the server has ended");
        drop(pipe);
        append(&cluster.scene, "and on", server.port);
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
}
