//! Snapshots in place of log: taken under load, gone on from after every kind of end, sent to who
//! lacks what is gone.

use serde_json::Value;

use crate::support::{Cluster, Load, agree, append, raft, run};

/// Servers whose log is compacted every few hundred messages.
fn cluster(size: usize) -> Cluster {
    let mut cluster = Cluster::new(size);
    for server in &mut cluster.servers {
        server.add_arguments(&["--snapshot-entries", "100", "--snapshot-bytes", "1MiB"]);
    }
    cluster.start_all();
    cluster.leader();
    cluster
}

/// Large ones, so that slots of the log fill soon.
fn load(cluster: &Cluster) -> Load {
    let large = |client, count| format!("m{client}-{count}-{}", "x".repeat(16 * 1024));
    Load::of(&cluster.running(), 4, large)
}

/// `raft status` of one server.
fn status(cluster: &Cluster, server: usize) -> Value {
    let address = cluster.servers[server].address();
    let ended = run(&cluster.scene, raft(["status", "-o", "json", "--endpoints", &address]));
    let status: Value =
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let rows = status["members"].as_array().expect("a list of members");
    rows.iter().find(|row| row["address"] == *address).expect("the server that was asked").clone()
}

fn snapshot_now(cluster: &Cluster, server: usize) -> Value {
    let endpoint = cluster.servers[server].address();
    let args = ["snapshot", "now", "-o", "json", "--endpoints", &endpoint];
    let ended = run(&cluster.scene, raft(args)).exits(0);
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[test]
fn servers_go_on_from_their_snapshots_whatever_ended_them() {
    let mut cluster = cluster(3);
    let load = load(&cluster);
    for round in 0..6 {
        load.wait_for_more(150);
        match round % 3 {
            0 => cluster.kill_all(),
            1 => {
                let leader = cluster.leader();
                cluster.servers[leader].kill();
            }
            _ => {
                let follower = cluster.follower();
                cluster.servers[follower].terminate();
            }
        }
        cluster.start_all();
    }
    load.wait_for_more(50);
    agree(&cluster, &load.finish());
    for server in 0..3 {
        let names = cluster.servers[server].dir().join("snap");
        let names = std::fs::read_dir(names).expect("snapshots").count();
        assert!(names >= 2, "two are kept");
    }
}

#[test]
fn who_lacks_what_is_gone_gets_a_snapshot_and_the_rest() {
    let mut cluster = cluster(3);
    let away = cluster.follower();
    cluster.servers[away].kill();
    let load = load(&cluster);
    // Slots double from 1 MiB: until the first ones are gone.
    load.wait_for_more(700);
    cluster.servers[away].start(&cluster.scene);
    cluster.servers[away].process().wait_err("came in a snapshot: their lines are not shown here");
    load.wait_for_more(50);
    agree(&cluster, &load.finish());
    cluster.servers[away].kill();
    cluster.servers[away].start(&cluster.scene);
    append(&cluster.scene, "after-all", cluster.port(away));
    let seen = status(&cluster, away);
    let (start, snapshot) = (seen["log_start"].as_u64(), seen["snapshot_index"].as_u64());
    assert!(start > Some(0) && snapshot >= start, "{seen}");
}

#[test]
fn a_new_member_begins_with_a_snapshot() {
    let mut cluster = cluster(1);
    let load = load(&cluster);
    load.wait_for_more(700);
    let new = cluster.newcomer();
    cluster.servers[new].start(&cluster.scene).wait_err("listening at");
    let args = ["member", "add", &cluster.servers[new].address(), "--endpoints"].map(str::to_owned);
    let endpoint = cluster.servers[0].address();
    run(&cluster.scene, raft(args.iter().chain([&endpoint]))).exits(0);
    cluster.servers[new].process().wait_err("came in a snapshot");
    agree(&cluster, &load.finish());
}

#[test]
fn a_snapshot_is_taken_when_somebody_asks() {
    let cluster = cluster(1);
    let index = append(&cluster.scene, "I like beer.", cluster.port(0)).index();
    let first = snapshot_now(&cluster, 0);
    assert!(first["index"].as_u64() >= Some(index) && first["bytes"].as_u64() > Some(0), "{first}");
    let again = snapshot_now(&cluster, 0);
    assert_eq!((&again["index"], again["bytes"].as_u64()), (&first["index"], Some(0)));
}
