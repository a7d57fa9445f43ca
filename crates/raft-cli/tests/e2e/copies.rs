//! Copies of a data directory that run beside the original, and identities that are gone.

use std::fs;
use std::path::Path;

use crate::support::{
    Cluster, Load, Process, Seen, Server, agree, append, founders, free_ports, raft, remove, run,
};

/// How both of two holders are refused by each of the others.
const TWINS: &str = "another running process has the same identity";

/// Everything below a folder, as `cp -a` does it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    fs::set_permissions(to, fs::metadata(from).expect("it is there").permissions()).expect("ours");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).expect("copied")),
        }
    }
}

/// A copy of this member's directory, made while it is stopped; then the member goes on. The copy
/// does not run yet.
fn copied(cluster: &mut Cluster, original: usize) -> Server {
    let [port] = free_ports();
    let dir = cluster.scene.join("copy");
    cluster.servers[original].terminate();
    copy(cluster.servers[original].dir(), &dir);
    cluster.servers[original].start(&cluster.scene);
    append(&cluster.scene, "both", cluster.port(original));
    Server::with_dir(&cluster.list, port, &dir)
}

/// Waits until a server was told, or told, that these two starts are refused.
fn told_of_two(process: &Process) -> Vec<String> {
    process.wait("that both are refused", |seen: &Seen| {
        let lines = seen.err.iter().filter(|line| line.contains(TWINS));
        let lines: Vec<String> = lines.cloned().collect();
        (lines.len() >= 2).then_some(lines)
    })
}

#[test]
fn two_holders_of_one_identity_are_both_refused_and_named() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster.running(), 2);
    load.wait_for_more(20);
    let original = cluster.follower();
    let address = cluster.servers[original].address();
    let id = cluster.id_of(cluster.port(original)).expect("a member");
    let mut twin = copied(&mut cluster, original);

    // Started as it is, it is told who it is and what would move it.
    let command = raft(["server", "--cluster", &cluster.list, "--listen", &twin.address()]);
    let mut command = command;
    command.arg("--data-dir").arg(twin.dir());
    run(&cluster.scene, command).exits(10).shows_nothing().says([
        &*format!("belongs to the member at {address}"),
        &format!("raft member update n{id} {}", twin.address()),
        "--moved",
    ]);
    // Told that this is meant, it runs, and so does the original.
    twin.add_arguments(&["--moved"]);
    twin.start(&cluster.scene).wait_err(&format!("member n{id} of cluster"));
    let others: Vec<usize> = (0..3).filter(|&at| at != original).collect();
    for &other in &others {
        let lines = told_of_two(cluster.servers[other].process());
        let named = format!("refuses {address} (n{id})");
        assert!(lines.iter().all(|line| line.contains(&named)), "{lines:?}");
        assert!(lines.iter().all(|line| line.contains("end the one that runs on a copy")));
        assert_ne!(lines[0], lines[1], "each start is told of the other one");
    }
    twin.process().wait_err(TWINS);
    cluster.servers[original].process().wait_err(TWINS);
    // So does whoever asks why.
    let args = ["why", "--timeout", "5s", "--endpoints", &cluster.list];
    let why = run(&cluster.scene, raft(args)).exits(3);
    let named = format!("{address} is not let in: {TWINS}");
    assert!(why.out.lines().any(|line| line.starts_with(&named)), "{why:?}");
    // The others are a majority.
    load.wait_for_more(20);
    let ports = others.iter().map(|&at| cluster.port(at)).collect::<Vec<_>>();
    let report = load.finish();

    // Neither of the two has a vote or confirms anything.
    let leader = cluster.leader_among(&ports);
    let follower = others.iter().copied().find(|&at| at != leader).expect("the other one");
    cluster.servers[follower].kill();
    let list = founders(&[cluster.port(leader)]);
    let args = ["append", "unconfirmed", "--endpoints", &list, "--timeout", "4s"];
    let lost = run(&cluster.scene, raft(args)).shows_nothing();
    assert!([Some(4), Some(5)].contains(&lost.code), "{lost:?}");

    // Once one of them has ended, the other one is a member again.
    twin.kill();
    append(&cluster.scene, "welcome-back", cluster.port(original));
    cluster.start_all();
    append(&cluster.scene, "all-there", cluster.port(follower));
    agree(&cluster, &report);
}

#[test]
fn a_removed_identity_does_not_come_back_by_itself() {
    let mut cluster = Cluster::start(3);
    append(&cluster.scene, "first", cluster.port(0));
    let gone = cluster.follower();
    let (port, address) = (cluster.port(gone), cluster.servers[gone].address());
    let id = cluster.id_of(port).expect("a member");
    let others: Vec<u16> = (0..3).filter(|&at| at != gone).map(|at| cluster.port(at)).collect();
    // It is not there when it is removed, and has not heard of it when it comes.
    cluster.servers[gone].kill();
    remove(&cluster.scene, port, others[0]).exits(0);
    append(&cluster.scene, "without-it", others[0]);
    for _ in 0..2 {
        let process = cluster.servers[gone].start(&cluster.scene);
        process.wait_err("removed from its cluster at index ");
        cluster.servers[gone].terminate();
    }
    cluster.servers[gone].start(&cluster.scene);
    let args = ["append", "lost", "--endpoints", &address, "--timeout", "20s"];
    run(&cluster.scene, raft(args)).exits(1).shows_nothing().says(["addserver", &address]);
    let members = cluster.members(&others);
    let rows = members["members"].as_array().expect("a list");
    assert!(rows.iter().all(|row| row["id"] != id), "{members}");
    assert_eq!(rows.len(), 2, "{members}");
    append(&cluster.scene, "still-without-it", others[1]);
}
