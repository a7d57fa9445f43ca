//! Full disks: what is refused was certainly not applied, a minority's full disk stops nobody,
//! and everything goes on by itself once there is room.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Instant;

use rustix::fs::{FallocateFlags, fallocate};
use serde_json::Value;

use crate::support::{
    Cluster, Ended, Image, Load, PATIENCE, Report, Scene, agree, append, founders, raft, remove,
    run,
};

/// Three servers with a disk each, or nothing if this machine cannot have that.
fn cluster() -> Option<Cluster> {
    let scene = Scene::new();
    if !Image::are_possible(&scene) {
        return None;
    }
    let mut cluster = Cluster::on_images(scene, 3);
    cluster.start_all();
    cluster.leader();
    Some(cluster)
}

#[test]
fn a_full_disk_of_the_leader_stops_nobody() {
    let Some(cluster) = cluster() else { return };
    stops_nobody(&cluster, cluster.leader());
}

#[test]
fn a_full_disk_of_a_follower_stops_nobody() {
    let Some(cluster) = cluster() else { return };
    stops_nobody(&cluster, cluster.follower());
}

fn stops_nobody(cluster: &Cluster, full: usize) {
    cluster.fill(full);
    let large = |client: usize, count: u64| format!("m{client}-{count}-{}", "x".repeat(20_000));
    let load = Load::of(&cluster.running(), 4, large);
    cluster.wait_until_told(full);
    load.wait_for_more(100);
    assert_ne!(cluster.leader(), full, "it leads, and has no room");
    // Whatever is written before there is room for it is one more thing to catch up with.
    let report = load.finish();
    assert!(report.refused.is_empty() && report.unknown.is_empty(), "some were not taken");
    cluster.make_room(full);
    cluster.wait_until_well();
    agree(cluster, &report);
}

#[test]
fn full_disks_of_a_majority_refuse_and_recover() {
    let Some(cluster) = cluster() else { return };
    let mut report = Report::default();
    let full = [cluster.leader(), cluster.follower()];
    full.iter().for_each(|&at| cluster.fill(at));
    append_until_refused(&cluster, &mut report);
    // One of them is enough.
    cluster.make_room(full[1]);
    append_again(&cluster, &mut report);
    cluster.make_room(full[0]);
    cluster.wait_until_well();
    agree(&cluster, &report);
}

#[test]
fn full_disks_everywhere_still_elect_and_change_members() {
    let Some(mut cluster) = cluster() else { return };
    let mut report = Report::default();
    (0..3).for_each(|at| cluster.fill(at));
    append_until_refused(&cluster, &mut report);
    let old = cluster.leader();
    cluster.servers[old].kill();
    let new = cluster.leader();
    assert_ne!(new, old);
    append_until_refused(&cluster, &mut report);
    remove(&cluster.scene, cluster.port(old), cluster.port(new)).exits(0);
    // It waits for room, and then hears that it is no member any more.
    cluster.start_all();
    (0..3).for_each(|at| cluster.make_room(at));
    append_again(&cluster, &mut report);
    cluster.servers.remove(old);
    agree(&cluster, &report);
}

/// Appends large messages until one is refused, which has to be for certain.
fn append_until_refused(cluster: &Cluster, report: &mut Report) {
    for _ in 0..400 {
        let (message, ended) = append_large(cluster, report);
        if ended.code != Some(0) {
            ended.exits(1).shows_nothing().says(["disk"]);
            report.refused.push(message);
            return;
        }
    }
    panic!("the disks are full, and everything is taken");
}

/// Appends until it works again, which has to be soon and by itself.
fn append_again(cluster: &Cluster, report: &mut Report) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (message, ended) = append_large(cluster, report);
        if ended.code == Some(0) {
            return;
        }
        report.refused.push(message);
        assert!(Instant::now() < deadline, "there is room: {:?}", ended.exits(1));
    }
}

fn append_large(cluster: &Cluster, report: &mut Report) -> (String, Ended) {
    let number = report.acknowledged.len() + report.refused.len();
    let message = format!("m{number}-{}", "x".repeat(100_000));
    let list = founders(&cluster.running());
    let ended = run(&cluster.scene, raft(["-C", "clientcommand", "-m", &message, "-S", &list]));
    if ended.code == Some(0) {
        report.acknowledged.insert(ended.index(), message.clone());
    }
    (message, ended)
}

impl Cluster {
    fn filler(&self, at: usize) -> PathBuf {
        self.images[at].path().join("filler")
    }

    /// Takes all the room that the disk of a server has left.
    fn fill(&self, at: usize) {
        let file = File::create(self.filler(at)).expect("a file");
        let (mut offset, mut step) = (0, 64 << 20);
        while step >= 4096 {
            match fallocate(&file, FallocateFlags::empty(), offset, step) {
                Ok(()) => offset += step,
                Err(_) => step /= 2,
            }
        }
    }

    fn make_room(&self, at: usize) {
        fs::remove_file(self.filler(at)).expect("it is there");
    }

    fn status(&self) -> Value {
        let list = founders(&self.running());
        let status = run(&self.scene, raft(["status", "-o", "json", "--endpoints", &list]));
        serde_json::from_str(&status.out).unwrap_or_else(|error| panic!("{error}: {status:?}"))
    }

    fn status_of(&self, at: usize) -> Value {
        let address = self.servers[at].address();
        let status = self.status();
        let rows = status["members"].as_array().expect("members");
        rows.iter().find(|row| row["address"] == address).expect("a row").clone()
    }

    /// What was set aside before is used up, and the status says that the disk is full.
    fn wait_until_told(&self, at: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let row = self.status_of(at);
            let problems = row["problems"].as_array().expect("a list").iter();
            let is_told = problems.filter_map(Value::as_str).any(|text| text.contains("disk"));
            if is_told && row["vitals"]["free_log_bytes"].as_u64() < Some(100_000) {
                return;
            }
            assert!(Instant::now() < deadline, "its disk is full: {row}");
        }
    }

    /// Nobody lacks room, or anything that is in the log. On a busy machine all may say that their
    /// disks are slow.
    fn wait_until_well(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            let rows = status["members"].as_array().expect("members");
            let is_full = |row: &Value| row["problems"].to_string().contains("full");
            if rows.iter().all(|row| row["lag"] == 0 && !is_full(row)) {
                return;
            }
            assert!(Instant::now() < deadline, "there is room: {status}");
            append(&self.scene, "so-far", self.running()[0]);
        }
    }
}
