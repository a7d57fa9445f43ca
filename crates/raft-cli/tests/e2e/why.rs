//! `raft why`: from what servers refused and waited for to what a person reads.

use std::time::Instant;

use serde_json::Value;

use crate::support::{Cluster, Ended, PATIENCE, Signal, append, founders, raft, remove, run};

fn why(cluster: &Cluster) -> Ended {
    let list = cluster.list.clone();
    run(&cluster.scene, raft(["why", "--timeout", "5s", "--endpoints", &list]))
}

/// Asks until the answer is such a one: what servers believe of each other takes a moment.
fn why_until(cluster: &Cluster, is_wanted: impl Fn(&Ended) -> bool) -> Ended {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let asked = why(cluster);
        if is_wanted(&asked) {
            return asked;
        }
        assert!(Instant::now() < deadline, "{asked:?}");
    }
}

fn first_line(ended: &Ended) -> &str {
    ended.out.lines().next().unwrap_or_default()
}

#[test]
fn a_cluster_that_is_well_says_who_leads() {
    let cluster = Cluster::start(3);
    // Whoever passed a message on, or took it, knows the leader.
    cluster.running().iter().for_each(|&port| drop(append(&cluster.scene, "beer", port)));
    let well = why(&cluster);
    let leader = cluster.servers[cluster.leader()].address();
    // A disk that is busy with other things is told of as well.
    let slow = well.out.contains("slow disk");
    assert!(
        slow || first_line(&well).contains(&format!("nothing is wrong: {leader} leads")),
        "{well:?}"
    );
    assert!(slow || well.code == Some(0), "{well:?}");
}

#[test]
fn without_a_majority_the_silent_ones_are_named() {
    let mut cluster = Cluster::start(3);
    let left = cluster.follower();
    for server in (0..3).filter(|&server| server != left) {
        cluster.servers[server].kill();
    }
    let told = "no leader: 2 of 3 voters are needed and 1 answers";
    // Until then it takes a dead leader for a living one.
    let asked = why_until(&cluster, |asked| first_line(asked).starts_with(told)).exits(3);
    let line = first_line(&asked);
    for server in (0..3).filter(|&server| server != left) {
        let address = cluster.servers[server].address();
        assert!(line.contains(&address), "{asked:?}");
        let told = |line: &str| line.contains(&address) && line.contains("does not answer");
        assert!(asked.out.lines().skip(1).any(told), "{asked:?}");
    }
}

#[test]
fn a_member_that_lags_is_named_with_what_the_leader_knows_of_it() {
    let cluster = Cluster::start(3);
    let stopped = cluster.follower();
    cluster.servers[stopped].process().signal(Signal::STOP);
    let others: Vec<u16> =
        (0..3).filter(|&server| server != stopped).map(|server| cluster.port(server)).collect();
    append(&cluster.scene, "beer", others[0]);
    let list = founders(&others);
    let asked = run(&cluster.scene, raft(["why", "-o", "json", "--endpoints", &list])).exits(3);
    let verdict: Value = serde_json::from_str(&asked.out).expect("one document");
    assert_eq!(verdict["healthy"], false, "{asked:?}");
    let address = cluster.servers[stopped].address();
    let findings = verdict["findings"].as_array().expect("a list");
    let about = |finding: &&Value| {
        finding["about"] == "member"
            && finding["says"].as_str().is_some_and(|says| says.starts_with(&address))
    };
    let finding = findings.iter().find(about).unwrap_or_else(|| panic!("not told: {asked:?}"));
    let leader = cluster.servers[cluster.leader_among(&others)].address();
    assert_eq!(finding["evidence"][0]["who"], *leader, "{asked:?}");
    cluster.servers[stopped].process().signal(Signal::CONT);
}

#[test]
fn a_change_that_was_refused_is_told_with_its_reason() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let (gone, removed) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.servers[gone].kill();
    // Of the two that would be left, one does not answer; that has to be noticed first.
    let silent = format!("has no connection to {}", cluster.servers[gone].address());
    why_until(&cluster, |asked| asked.out.contains(&silent) && has_been_silent(&cluster, leader));
    let (port, via) = (cluster.port(removed), cluster.port(leader));
    let refused = remove(&cluster.scene, port, via);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let asked = why(&cluster).exits(3);
    let address = cluster.servers[gone].address();
    let says = format!(
        "a change of members was refused: the changed cluster would have no majority, because \
         {address} did not answer"
    );
    assert!(asked.out.lines().any(|line| line == says), "{asked:?}");
}

/// Whether the leader has not heard somebody for more than an election timeout.
fn has_been_silent(cluster: &Cluster, leader: usize) -> bool {
    let list = cluster.servers[leader].address();
    let asked = run(&cluster.scene, raft(["why", "-o", "json", "--endpoints", &list]));
    let verdict: Value = serde_json::from_str(&asked.out).expect("one document");
    let peers = verdict["servers"][0]["peers"].as_array().expect("a list").clone();
    peers.iter().any(|peer| peer["answered_ms"].as_u64().is_none_or(|ms| ms > 1_000))
}
