//! Servers are killed, stopped and terminated while clients write: nothing that was acknowledged
//! is lost or there twice, and all servers process one order.

use std::env;
use std::time::Instant;

use crate::support::{Cluster, Dice, Load, Signal, agree, append};

#[test]
fn leaders_and_followers_are_killed_under_load() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster.running(), 4);
    for round in 0..6 {
        load.wait_for_more(60);
        let victim = if round % 2 == 0 { cluster.leader() } else { cluster.follower() };
        cluster.servers[victim].kill();
        load.wait_for_more(30);
        cluster.start_all();
    }
    load.wait_for_more(30);
    agree(&cluster, &load.finish());
}

#[test]
fn all_servers_are_killed_at_once_under_load() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster.running(), 4);
    for _ in 0..3 {
        load.wait_for_more(100);
        cluster.kill_all();
        cluster.start_all();
    }
    load.wait_for_more(30);
    agree(&cluster, &load.finish());
}

#[test]
fn a_leader_that_stood_still_learns_that_it_was_replaced() {
    let cluster = Cluster::start(3);
    let load = Load::start(&cluster.running(), 4);
    for _ in 0..2 {
        load.wait_for_more(50);
        let old = cluster.leader();
        cluster.servers[old].process().signal(Signal::STOP);
        let mut others = cluster.running();
        others.retain(|&port| port != cluster.port(old));
        let new = cluster.leader_among(&others);
        assert_ne!(new, old);
        load.wait_for_more(20);
        cluster.servers[old].process().signal(Signal::CONT);
    }
    load.wait_for_more(50);
    agree(&cluster, &load.finish());
}

#[test]
fn a_server_that_is_terminated_hands_leadership_over() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster.running(), 2);
    for _ in 0..3 {
        load.wait_for_more(50);
        let leader = cluster.leader();
        let asked = Instant::now();
        let seen = cluster.servers[leader].terminate();
        let ended = asked.elapsed();
        assert_eq!(seen.code(), Some(0), "{}", seen.story());
        append(&cluster.scene, "at-once", cluster.running()[0]);
        eprintln!("terminated after {ended:?}, the next write done after {:?}", asked.elapsed());
        cluster.start_all();
    }
    agree(&cluster, &load.finish());
}

#[test]
fn the_rest_goes_on_when_the_leader_is_killed() {
    let mut cluster = Cluster::start(3);
    for round in 0..3 {
        let leader = cluster.leader();
        let killed = Instant::now();
        cluster.servers[leader].kill();
        append(&cluster.scene, format!("after-kill-{round}"), cluster.running()[0]);
        eprintln!("killed the leader, the next write done after {:?}", killed.elapsed());
        cluster.start_all();
    }
}

#[test]
fn a_line_that_was_shown_is_never_shown_again() {
    const KILLS: u64 = 4;
    let mut cluster = Cluster::start(1);
    let load = Load::of(&cluster.running(), 2, |_, _| "count".to_owned());
    for _ in 0..KILLS {
        load.wait_for_more(50);
        cluster.servers[0].kill();
        cluster.start_all();
    }
    load.wait_for_more(20);
    let report = load.finish();
    append(&cluster.scene, "count", cluster.port(0));
    let all = report.acknowledged.len() + 1;
    let count = |line: &str| line.strip_prefix("Count ").and_then(|count| count.parse().ok());
    let last = |line: &str| count(line).is_some_and(|count: usize| count >= all);
    cluster.servers[0].wait_shown_where("the last count", last);
    let counts: Vec<_> = cluster.servers[0].shown().iter().filter_map(|line| count(line)).collect();
    assert!(counts.is_sorted_by(|a, b| a < b), "a line came twice: {counts:?}");
    let missing = counts.last().map_or(0, |last| last - counts.len());
    assert!(missing <= KILLS as usize, "{missing} lines are missing after {KILLS} kills");
}

#[test]
fn a_storm_of_faults_loses_nothing() {
    let mut dice = Dice::new();
    let rounds = if env::var_os("RAFT_TEST_LONG").is_some() { 150 } else { 12 };
    let mut cluster = Cluster::start(5);
    let load = Load::start(&cluster.running(), 4);
    for _ in 0..rounds {
        load.wait_for_more(dice.below(60));
        // At most two of five are away, unless all of them are killed.
        let victims = [dice.below(5) as usize, dice.below(5) as usize];
        match dice.below(8) {
            0 => cluster.kill_all(),
            1 | 2 => drop(cluster.servers[victims[0]].terminate()),
            3 | 4 => {
                let stopped = victims.map(|at| cluster.servers[at].process());
                stopped.iter().for_each(|process| process.signal(Signal::STOP));
                load.wait_for_more(dice.below(60));
                stopped.iter().for_each(|process| process.signal(Signal::CONT));
            }
            _ => {
                cluster.servers[victims[0]].kill();
                load.wait_for_more(dice.below(60));
                if victims[0] != victims[1] {
                    cluster.servers[victims[1]].kill();
                }
            }
        }
        cluster.start_all();
    }
    load.wait_for_more(30);
    agree(&cluster, &load.finish());
}
