//! A text log that may not grow any more.

use serde_json::Value;

use crate::support::{Cluster, Ended, Report, agree, append, founders, raft, run};

/// A message that takes a tenth of what the servers allow.
fn appended(cluster: &Cluster, number: usize) -> (String, Ended) {
    let message = format!("m{number:09}-{}", "x".repeat(86));
    let list = founders(&cluster.running());
    let ended = run(&cluster.scene, raft(["-C", "clientcommand", "-m", &message, "-S", &list]));
    (message, ended)
}

/// Appends ten of which one does not fit.
fn refuses_the_tenth(cluster: &Cluster, first: usize, report: &mut Report) {
    for number in first..first + 9 {
        let (message, ended) = appended(cluster, number);
        report.acknowledged.insert(ended.exits(0).index(), message);
    }
    refuses(cluster, first + 9, report);
}

fn refuses(cluster: &Cluster, number: usize, report: &mut Report) {
    let (message, ended) = appended(cluster, number);
    ended.exits(1).shows_nothing().says([
        "not applied: ",
        "the text log is full: it has ",
        "start the servers with a larger --text-log-max",
    ]);
    report.refused.push(message);
}

#[test]
fn a_full_text_log_refuses_for_certain_until_it_may_grow() {
    let mut cluster = Cluster::new(3);
    for server in &mut cluster.servers {
        server.add_arguments(&["--text-log-max", "1009"]);
    }
    cluster.start_all();
    let mut report = Report::default();
    refuses_the_tenth(&cluster, 0, &mut report);
    let list = founders(&cluster.running());
    let put = ["put", "beer", "cold", "--endpoints", &list];
    run(&cluster.scene, raft(put)).exits(0);
    let status = run(&cluster.scene, raft(["status", "-o", "json", "--endpoints", &list])).exits(3);
    let status: Value = serde_json::from_str(&status.out).expect("a document");
    for row in status["members"].as_array().expect("a list of members") {
        let fill = &row["vitals"]["fills"][0];
        assert_eq!((&fill["what"], &fill["bytes_max"]), (&"text log".into(), &1009.into()));
        let problem = "text log nearly full: it has 909 bytes of at most 1009";
        assert!(row["problems"].to_string().contains(problem), "{row}");
    }
    // Whoever leads next has not seen it refused, and refuses it too; after a restart as well.
    let leader = cluster.leader();
    cluster.servers[leader].kill();
    refuses(&cluster, 10, &mut report);
    cluster.kill_all();
    for server in &mut cluster.servers {
        server.add_arguments(&["--text-log-max", "1918B"]);
    }
    cluster.start_all();
    refuses_the_tenth(&cluster, 11, &mut report);
    // Shorter ones have room still: those that every agreement needs.
    append(&cluster.scene, "short", cluster.port(0));
    agree(&cluster, &report);
}
