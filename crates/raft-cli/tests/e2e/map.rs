//! Keys and values.

use std::fs;

use serde_json::Value;

use crate::support::{Cluster, Ended, Process, raft, run};

/// A verb with its words, asked of one server.
fn asked(cluster: &Cluster, server: usize, words: &[&str]) -> Ended {
    let endpoint = format!(":{}", cluster.port(server));
    run(&cluster.scene, raft(words.iter().copied().chain(["--endpoints", &endpoint])))
}

/// Asked of whoever runs.
fn change(cluster: &Cluster, words: &[&str]) {
    let running: Vec<_> = cluster.running().iter().map(|port| format!(":{port}")).collect();
    let endpoints = running.join(",");
    run(&cluster.scene, raft(words.iter().copied().chain(["--endpoints", &endpoints]))).exits(0);
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[test]
fn what_was_put_at_one_server_is_read_at_every_other() {
    let cluster = Cluster::start(3);
    for (round, value) in ["cold", "warm", "-1", "two words"].into_iter().enumerate() {
        let put = asked(&cluster, round % 3, &["put", "beer", value]).exits(0);
        assert_eq!(put.out, format!("put at revision {}\n", round + 2));
        for server in 0..3 {
            assert_eq!(
                asked(&cluster, server, &["get", "beer"]).exits(0).out,
                format!("{value}\n")
            );
        }
    }
    let old = asked(&cluster, 0, &["get", "beer", "--rev", "2"]).exits(0);
    assert_eq!(old.out, "cold\n");
    asked(&cluster, 0, &["get", "beer", "--rev", "9"])
        .exits(3)
        .shows_nothing()
        .says(["revision is 5"]);
    asked(&cluster, 1, &["get", "wine"]).exits(3).shows_nothing().says(["no key wine"]);
    asked(&cluster, 1, &["get", ""]).exits(2).shows_nothing().says(["KEY is empty"]);
    let found = json(&asked(&cluster, 2, &["get", "beer", "-o", "json"]).exits(0));
    let record = &found["records"][0];
    assert_eq!((&found["stale"], &found["revision"]), (&false.into(), &5.into()));
    assert_eq!((&record["value"], &record["version"]), (&"two words".into(), &4.into()));
}

#[test]
fn many_keys_are_listed_and_deleted_by_their_beginning() {
    let cluster = Cluster::start(1);
    for (key, value) in [("a/1", "one"), ("a/2", "two\tthree"), ("b", "four")] {
        asked(&cluster, 0, &["put", key, value]).exits(0);
    }
    let plain = asked(&cluster, 0, &["get", "a/", "--prefix", "-o", "plain"]).exits(0);
    assert_eq!(plain.out, "a/1\tone\t2\t1\na/2\ttwo\\tthree\t3\t1\n");
    let keys = ["get", "", "--prefix", "--keys-only", "--limit", "2", "-o", "plain"];
    let keys = asked(&cluster, 0, &keys).exits(0).says(["2 of 3 keys"]);
    assert_eq!(keys.out, "a/1\t2\t1\na/2\t3\t1\n");
    let deleted = asked(&cluster, 0, &["del", "a/", "--prefix"]).exits(0);
    assert_eq!(deleted.out, "deleted 2 keys at revision 5\n");
    asked(&cluster, 0, &["del", "a/1"]).exits(3).shows_nothing();
    let left = asked(&cluster, 0, &["get", "", "--prefix", "-o", "plain"]).exits(0);
    assert_eq!(left.out, "b\tfour\t4\t1\n");
}

#[test]
fn a_value_is_swapped_only_if_it_is_the_one_that_is_named() {
    let cluster = Cluster::start(1);
    asked(&cluster, 0, &["cas", "beer", "cold", "warm"]).exits(3).shows_nothing();
    asked(&cluster, 0, &["put", "beer", "cold"]).exits(0);
    let swapped = asked(&cluster, 0, &["cas", "beer", "cold", "warm"]).exits(0);
    assert_eq!(swapped.out, "changed at revision 3\n");
    let refused = asked(&cluster, 0, &["cas", "beer", "cold", "hot"]).exits(1).shows_nothing();
    refused.says(["beer is another one", "it is warm since revision 3"]);
    assert_eq!(asked(&cluster, 0, &["get", "beer"]).exits(0).out, "warm\n");
}

#[test]
fn a_transaction_does_all_of_it_or_the_other_thing() {
    let cluster = Cluster::start(1);
    let file = cluster.scene.join("txn");
    let path = file.display().to_string();
    let story =
        "if beer absent\nthen put beer cold # at last\nthen put wine 'not yet'\nelse get beer\n";
    fs::write(&file, story).expect("written");
    let first = asked(&cluster, 0, &["txn", &path, "-o", "plain"]).exits(0);
    assert_eq!(first.out, "put\tbeer\tdone\nput\twine\tdone\n");
    let second = asked(&cluster, 0, &["txn", &path, "-o", "plain"]).exits(0);
    assert_eq!(second.says(["a condition fails"]).out, "get\tbeer\tcold\n");
    let told = json(&asked(&cluster, 0, &["txn", &path, "-o", "json"]).exits(0));
    assert_eq!(told["succeeded"], false);
    assert_eq!(told["steps"][0]["records"][0]["value"], "cold");
    fs::write(&file, "if beer = warm\nthen del beer\n").expect("written");
    asked(&cluster, 0, &["txn", &path]).exits(1).shows_nothing().says(["nothing was done"]);
    fs::write(&file, "then drink beer\n").expect("written");
    asked(&cluster, 0, &["txn", &path]).exits(2).shows_nothing().says(["line 1", "raft txn -h"]);
}

#[test]
fn who_watches_sees_each_change_once_also_when_servers_are_killed() {
    let mut cluster = Cluster::start(3);
    asked(&cluster, 0, &["put", "beer/1", "before"]).exits(0);
    let words = ["watch", "beer/", "--prefix", "--from", "2", "-o", "plain", "--endpoints"];
    let command = raft(words.into_iter().chain([cluster.list.as_str()]));
    let watch = Process::spawn(command, "watch", &cluster.scene.record("watch"));
    watch.wait("what was before", |seen| (seen.out.len() == 1).then_some(()));
    for revision in 3..9_u64 {
        if revision == 5 {
            let leader = cluster.leader();
            cluster.servers[leader].kill();
        }
        change(&cluster, &["put", "beer/2", &revision.to_string()]);
    }
    change(&cluster, &["put", "wine", "unseen"]);
    change(&cluster, &["del", "beer/2"]);
    let end = |lines: &[Vec<u8>]| lines.last().is_some_and(|line| line.ends_with(b"del\tbeer/2"));
    let seen = watch.wait("the deletion", |seen| end(&seen.out).then(|| seen.out.clone()));
    let puts = (3..9).map(|revision| format!("{revision}\tput\tbeer/2\t{revision}"));
    let mut wanted = vec!["2\tput\tbeer/1\tbefore".to_owned()];
    wanted.extend(puts.chain(["10\tdel\tbeer/2".into()]));
    let seen: Vec<_> = seen.iter().map(|line| String::from_utf8_lossy(line)).collect();
    assert_eq!(seen, wanted);
}

#[test]
fn without_a_majority_only_a_local_read_is_answered_and_says_so() {
    let mut cluster = Cluster::start(3);
    asked(&cluster, 0, &["put", "beer", "cold"]).exits(0);
    assert_eq!(asked(&cluster, 2, &["get", "beer"]).exits(0).out, "cold\n");
    cluster.servers[0].kill();
    cluster.servers[1].kill();
    asked(&cluster, 2, &["get", "beer", "--timeout", "1s"]).exits(4).shows_nothing();
    let local = asked(&cluster, 2, &["get", "beer", "--consistency", "local"]).exits(0);
    assert_eq!(local.says(["others may know more"]).out, "cold\n");
    let local = ["get", "beer", "--consistency", "local", "-o", "json"];
    assert_eq!(json(&asked(&cluster, 2, &local).exits(0))["stale"], true);
}
