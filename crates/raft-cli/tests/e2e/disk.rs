//! Disks that fail, hang or are slow: a server without a disk that works is no leader, and costs
//! nobody anything that was acknowledged.

use std::time::Instant;

use crate::support::{
    Cluster, Dice, Image, Load, PATIENCE, Scene, Tracer, agree, founders, raft, run,
};

/// Longer than any test takes.
const FOR_EVER: &str = "fdatasync:delay_enter=600s";

#[test]
fn a_failed_sync_ends_a_server_and_nothing_is_lost() {
    let scene = Scene::new();
    if !Tracer::is_possible() || !Image::are_possible(&scene) {
        return;
    }
    let mut dice = Dice::new();
    let mut cluster = Cluster::on_images(scene, 3);
    cluster.start_all();
    cluster.leader();
    let load = Load::start(&cluster.running(), 4);
    for round in 0..6 {
        load.wait_for_more(10);
        let victim = if round % 2 == 0 { cluster.leader() } else { cluster.follower() };
        cluster.servers[victim].terminate();
        // The first syncs are those of its start.
        let fault = format!("fdatasync,fsync:error=EIO:when={}", 1 + dice.below(40));
        let record = cluster.scene.record("strace");
        let command = Tracer::command(&cluster.servers[victim], &fault, &record);
        cluster.servers[victim].start_as(command, &cluster.scene);
        load.wait_for_more(20);
        let seen = cluster.servers[victim].process().wait_end();
        assert_eq!(seen.code(), Some(8), "{fault}: {}", seen.story());
        let said = seen.err.iter().any(|line| line.contains("os error 5"));
        assert!(said, "{fault}: the reason is not said: {}", seen.story());
        cluster.servers[victim].ended(seen);
        // What its cache holds may not be on its disk: it has to have written it again.
        cluster.start_all();
        load.wait_for_more(dice.below(20));
        Image::cut([&cluster.images[victim]], dice.below(20_000));
        cluster.servers[victim].kill();
        cluster.images[victim].mount_anew();
        cluster.start_all();
    }
    load.wait_for_more(30);
    agree(&cluster, &load.finish());
}

#[test]
fn a_leader_whose_disk_hangs_is_replaced() {
    if !Tracer::is_possible() {
        return;
    }
    let cluster = Cluster::start(3);
    let load = Load::start(&cluster.running(), 4);
    let mut times = Vec::new();
    for _ in 0..20 {
        load.wait_for_more(20);
        let old = cluster.leader();
        let tracer = Tracer::attach(&cluster.scene, &cluster.servers[old], FOR_EVER);
        let begun = Instant::now();
        let mut others = cluster.running();
        others.retain(|&port| port != cluster.port(old));
        // Whom the others follow may be the old one for a while.
        let elsewhere = || cluster.leader_among(&cluster.running());
        while elsewhere() == old {
            assert!(begun.elapsed() < PATIENCE, "it leads without a disk");
        }
        times.push(begun.elapsed());
        load.wait_for_more(20);
        tracer.detach();
    }
    eprintln!("another led after {times:.0?}");
    load.wait_for_more(30);
    agree(&cluster, &load.finish());
}

#[test]
fn slow_disks_cost_no_election() {
    if !Tracer::is_possible() {
        return;
    }
    let cluster = patient_cluster();
    let load = Load::start(&cluster.running(), 4);
    load.wait_for_more(20);
    let before = term(&cluster);
    let slow = "fdatasync:delay_enter=200ms";
    let tracers: Vec<_> =
        cluster.servers.iter().map(|server| Tracer::attach(&cluster.scene, server, slow)).collect();
    load.wait_for_more(60);
    assert_eq!(term(&cluster), before, "somebody campaigned because disks are slow");
    tracers.into_iter().for_each(Tracer::detach);
    load.wait_for_more(20);
    agree(&cluster, &load.finish());
}

#[test]
fn a_follower_whose_disk_hangs_costs_no_election() {
    if !Tracer::is_possible() {
        return;
    }
    let cluster = patient_cluster();
    let (follower, before) = (cluster.follower(), term(&cluster));
    let tracer = Tracer::attach(&cluster.scene, &cluster.servers[follower], FOR_EVER);
    // More than the leader sends without an answer.
    let large = |client: usize, count: u64| format!("m{client}-{count}-{}", "x".repeat(200_000));
    let load = Load::of(&cluster.running(), 8, large);
    load.wait_for_more(200);
    assert_eq!(term(&cluster), before, "a follower's disk cost the leader its quorum");
    tracer.detach();
    load.finish();
}

/// Servers that campaign only after seconds: if one does, it is not because this machine is busy.
fn patient_cluster() -> Cluster {
    let mut cluster = Cluster::new(3);
    cluster.servers.iter_mut().for_each(|server| server.set_election_timeout("3s"));
    cluster.start_all();
    cluster.leader();
    cluster
}

fn term(cluster: &Cluster) -> u64 {
    let list = founders(&cluster.running());
    let status = run(&cluster.scene, raft(["status", "-o", "json", "--endpoints", &list]));
    let status: serde_json::Value = serde_json::from_str(&status.out).expect("JSON");
    let members = status["members"].as_array().expect("members").iter();
    members.filter_map(|member| member["term"].as_u64()).max().expect("a term")
}
