//! From what servers say to what a person reads: exact text.

use std::sync::mpsc;
use std::time::Duration;

use raft_node::{
    Address, Index, KnownMember, LogId, NodeId, NodeStatus, SnapshotTransfer, Standing, Term,
    Vitals,
};
use serde_json::Value;

use super::report::Report;
use super::survey::{Seen, not_asked};
use super::{view, watch};
use crate::exit::Exit;

const OURS: u128 = 0xc1 << 64;

fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

fn known(id: u64) -> KnownMember {
    let address = format!(":{}", 9989 + id);
    KnownMember { id: Some(NodeId(id)), address, voter: true, old_voter: false }
}

/// A member of three, with n1 in the lead.
fn member(id: u64) -> NodeStatus {
    NodeStatus {
        id: Some(NodeId(id)),
        address: known(id).address,
        cluster: Some(OURS),
        standing: Standing::Member,
        role: if id == 1 { "leader" } else { "follower" }.into(),
        term: Term(2),
        leader: Some((NodeId(1), ":9990".into())),
        last_log_id: LogId::new(17, 2),
        durable_index: Index(17),
        commit_index: Index(17),
        applied_index: Index(17),
        snapshots: Box::default(),
        version: "0.1.0".into(),
        vitals: Box::new(Vitals {
            sync_p99_us: 1_250,
            disk_used: 64 << 20,
            disk_free: (12 << 30) + (512 << 20),
            ..Vitals::default()
        }),
        members: vec![known(1), known(2), known(3)],
    }
}

fn lost(id: u64) -> NodeStatus {
    let mut status = NodeStatus { leader: None, role: "candidate".into(), ..member(id) };
    status.vitals.problems = vec!["no leader".into()];
    status
}

fn new(port: u16, founders: &[KnownMember]) -> NodeStatus {
    NodeStatus {
        id: None,
        address: format!(":{port}"),
        cluster: None,
        standing: Standing::New,
        role: "none".into(),
        term: Term(0),
        leader: None,
        last_log_id: LogId::default(),
        durable_index: Index(0),
        commit_index: Index(0),
        applied_index: Index(0),
        snapshots: Box::default(),
        members: founders.to_vec(),
        vitals: Box::default(),
        ..member(1)
    }
}

fn seen(status: NodeStatus) -> Seen {
    Seen { address: address(&status.address), answer: Ok(status) }
}

fn silent(port: u16) -> Seen {
    Seen { address: Address::local(port), answer: Err("nobody listens there".into()) }
}

fn text(report: &Report) -> String {
    anstream::adapter::strip_str(&view::text(report)).to_string()
}

/// The report, and why nobody leads.
fn why(seen: Vec<Seen>) -> String {
    let report = Report::of(seen);
    assert_eq!(report.problem().expect("not well").what, "the cluster has no leader");
    report.why.expect("a reason")
}

#[test]
fn all_is_well() {
    let mut behind = member(3);
    behind.durable_index = Index(14);
    behind.vitals.sync_p99_us = 0;
    // One server, asked under two names, is one row.
    let mut twin = seen(member(2));
    twin.address = address("host:9991");
    let report = Report::of(vec![seen(member(2)), twin, seen(member(1)), seen(behind)]);
    assert_eq!(
        text(&report),
        "\
id  address  role      term  last  commit  applied  lag  sync p99  disk used    free  version  health
n1  :9990    leader       2    17      17       17    0    1.2 ms     64 MiB  12 GiB  0.1.0    ok
n2  :9991    follower     2    17      17       17    0    1.2 ms     64 MiB  12 GiB  0.1.0    ok
n3  :9992    follower     2    17      17       17    3         -     64 MiB  12 GiB  0.1.0    ok
"
    );
    assert_eq!(report.problem(), None);
    let plain = view::table(&report).plain();
    let first = "n1\t:9990\tleader\t2\t17\t17\t17\t0\t1.2 ms\t64 MiB\t12 GiB\t0.1.0\tok\n";
    assert!(plain.starts_with(first), "{plain}");
}

#[test]
fn whatever_is_not_well_stands_below_the_table() {
    let mut slow = member(1);
    slow.vitals.problems = vec![
        "slow disk: 1 of 100 syncs takes 120 ms".into(),
        "disk nearly full: 12 MiB left".into(),
    ];
    let mut far = member(2);
    far.vitals.sync_p99_us = 85;
    let (peer, bytes) = (":9990".into(), 64 << 20);
    let transfer = SnapshotTransfer { peer, outgoing: false, done: bytes / 4, bytes };
    far.snapshots.transfers = vec![transfer];
    (slow.commit_index, slow.durable_index) = (Index(20_018), Index(20_018));
    far.members[2].voter = false;
    let mut learner = member(3);
    slow.members[2].voter = false;
    learner.durable_index = Index(20_017);
    let stranger = NodeStatus { cluster: Some(0xbeef << 64), ..member(4) };
    let removed = NodeStatus { standing: Standing::Removed { at: Index(9) }, ..member(5) };
    let report = Report::of(vec![
        seen(slow),
        seen(far),
        seen(learner),
        seen(stranger),
        seen(removed),
        seen(new(9995, &[])),
        seen(NodeStatus { leader: None, ..member(7) }),
    ]);
    assert_eq!(
        text(&report),
        "\
id  address  role      term  last  commit  applied    lag  sync p99  disk used    free  version  health
n1  :9990    leader       2    17   20018       17      0    1.2 ms     64 MiB  12 GiB  0.1.0    slow disk
n2  :9991    follower     2    17      17       17  20001     85 µs     64 MiB  12 GiB  0.1.0    behind
n3  :9992    learner      2    17      17       17      1    1.2 ms     64 MiB  12 GiB  0.1.0    ok
n4  :9993    follower     2    17      17       17      -    1.2 ms     64 MiB  12 GiB  0.1.0    another cluster
n5  :9994    removed      2    17      17       17      -    1.2 ms     64 MiB  12 GiB  0.1.0    removed
-   :9995    waiting      0     0       0        0      -         -          -       -  0.1.0    no cluster
n7  :9996    follower     2    17      17       17      -    1.2 ms     64 MiB  12 GiB  0.1.0    no member

:9990: slow disk: 1 of 100 syncs takes 120 ms
:9990: disk nearly full: 12 MiB left
:9991: behind the leader by 20001 entries; 25% of a snapshot of 64 MiB are there
:9993: a member of another cluster (000000000000beef)
:9994: removed from its cluster at index 9
:9995: in no cluster: it waits to be added
:9996: not in the configuration of the others: it was removed and does not know, or it has just been added
"
    );
    let problem = report.problem().expect("not well");
    assert_eq!(
        (problem.exit, problem.what.as_str()),
        (Exit::NotFound, "6 of 7 servers are not well")
    );
    assert_eq!(problem.object()["error"]["outcome"], Value::Null, "a question");
    let hint = "to add :9994: raft -C addserver -m ':9994' -S ':9990'";
    assert_eq!(problem.hint.as_deref(), Some(hint));
}

#[test]
fn a_member_that_is_silent() {
    let report = Report::of(vec![seen(member(1)), silent(9991), seen(member(3))]);
    assert_eq!(
        text(&report),
        "\
id  address  role      term  last  commit  applied  lag  sync p99  disk used    free  version  health
n1  :9990    leader       2    17      17       17    0    1.2 ms     64 MiB  12 GiB  0.1.0    ok
n2  :9991    -            -     -       -        -    -         -          -       -  -        no answer
n3  :9992    follower     2    17      17       17    0    1.2 ms     64 MiB  12 GiB  0.1.0    ok

:9991: no answer (nobody listens there)
"
    );
    let problem = report.problem().expect("not well");
    assert_eq!(problem.what, "1 of 3 servers is not well");
    let hint = "start :9991, or see whether it can be reached from here";
    assert_eq!(problem.hint.as_deref(), Some(hint));
}

#[test]
fn a_new_directory_at_a_members_address() {
    let report = Report::of(vec![seen(member(1)), seen(new(9991, &[])), seen(member(3))]);
    let line = ":9991: its data directory is a new one, not the member's; if that is lost, refill \
                it from the others: raft member replace 'n2' ':9991' --endpoints ':9990'";
    assert_eq!(view::lines(&report), [line]);
}

#[test]
fn why_nobody_leads() {
    let answers = vec![seen(lost(1)), silent(9991), silent(9992)];
    let report = Report::of(answers.clone());
    let lines = view::lines(&report);
    assert_eq!(
        lines,
        [
            "no leader: 2 of 3 voters are needed and 1 answers (:9990); :9991 and :9992 do not",
            ":9991: no answer (nobody listens there)",
            ":9992: no answer (nobody listens there)",
        ]
    );
    assert_eq!(why(answers), lines[0]);
    assert_eq!(
        why(vec![seen(lost(1)), seen(lost(2)), silent(9992)]),
        "no leader, although 2 answer of 3: an election is under way, or they cannot reach each \
         other; look again in a moment"
    );
    // Nobody of the cluster answers at all.
    assert_eq!(why(vec![silent(9990)]), "no leader is known: no server answers");
    // A removed member knows nobody.
    let removed = NodeStatus { standing: Standing::Removed { at: Index(9) }, ..lost(1) };
    let removed = NodeStatus { members: vec![], ..removed };
    assert_eq!(
        why(vec![seen(removed)]),
        "no leader is known: whoever answers was removed from the cluster; ask a member"
    );
}

#[test]
fn both_halves_of_a_joint_configuration_have_to_elect() {
    let mut status = NodeStatus { last_log_id: LogId::new(18, 2), ..lost(1) };
    status.members = (1..=4).map(known).collect();
    for member in &mut status.members {
        member.old_voter = member.id != Some(NodeId(4));
        member.voter = member.id != Some(NodeId(2));
    }
    let answers = vec![seen(status.clone()), silent(9991), silent(9992), seen(lost(4))];
    assert_eq!(
        why(answers),
        "no leader: 2 of 3 old voters are needed and 1 answers (:9990); :9991 and :9992 do not"
    );
    let answers = vec![seen(status), seen(lost(2)), silent(9992), silent(9993)];
    assert_eq!(
        why(answers),
        "no leader: 2 of 3 new voters are needed and 1 answers (:9990); :9992 and :9993 do not"
    );
}

#[test]
fn a_cluster_that_is_not_founded_yet() {
    let founders: Vec<KnownMember> =
        (1..=3).map(|id| KnownMember { id: None, ..known(id) }).collect();
    let founding = "no cluster yet: it begins when :9990, :9991 and :9992 have met once";
    let [first, second, third] = [9990, 9991, 9992].map(|port| seen(new(port, &founders)));
    let wanted = not_asked(std::slice::from_ref(&first));
    assert_eq!(wanted, [Address::local(9991), Address::local(9992)]);
    assert_eq!(
        why(vec![first.clone(), second.clone(), silent(9992)]),
        format!("{founding}; :9992 does not answer")
    );
    assert_eq!(
        why(vec![first, second, third]),
        format!("{founding}; all answer, look again in a moment")
    );
    assert_eq!(
        why(vec![seen(new(9995, &[]))]),
        "no cluster: whoever answers waits to be added to one, or was removed from it"
    );
}

#[test]
fn members_that_nobody_named_are_asked() {
    let mut one = seen(member(1));
    // Known to the others by another name.
    one.address = address("localhost:9990");
    assert_eq!(not_asked(&[one.clone()]), [Address::local(9991), Address::local(9992)]);
    assert_eq!(not_asked(&[one.clone(), silent(9991)]), [Address::local(9992)]);
    // Another cluster's members are nobody's business here.
    let mut foreign = NodeStatus { cluster: Some(7), ..member(4) };
    foreign.members = vec![known(8)];
    assert_eq!(not_asked(&[one, silent(9991), silent(9992), seen(foreign)]), []);
}

#[test]
fn one_document_with_all_of_it() {
    let mut leader = member(1);
    leader.vitals.sync_buckets = vec![1, 2, 3];
    leader.vitals.problems = vec!["slow disk: 1 of 100 syncs takes 120 ms".into()];
    let report = Report::of(vec![seen(leader), silent(9991), seen(member(3))]);
    let line = view::json_line(&report);
    assert_eq!(line.lines().count(), 1);
    let document: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(document["v"], 1);
    assert_eq!(document["healthy"], false);
    assert_eq!(document["cluster"], "00000000000000c10000000000000000");
    assert_eq!((&document["leader"], &document["leader_address"]), (&1.into(), &":9990".into()));
    assert_eq!(document["no_leader"], Value::Null);
    let members = document["members"].as_array().expect("a list");
    let keys = |object: &Value| -> Vec<String> {
        object.as_object().expect("an object").keys().cloned().collect()
    };
    assert!(members.iter().all(|member| keys(member) == keys(&members[0])));
    assert_eq!(
        keys(&members[0]).join(" "),
        "address applied_index cluster commit_index durable_index error healthy id lag last_index \
         last_term leader log_start problems removed_at role snapshot_index standing term transfers \
         version vitals voter"
    );
    assert_eq!(
        keys(&members[0]["vitals"]).join(" "),
        "appends_received appends_sent disk_free disk_used entries_sent fills free_log_bytes \
         leader_changes log_bytes log_writes problems processor_us refused request_p50_us \
         request_p99_us requests socket_reads socket_writes sync_buckets sync_max_us sync_p50_us \
         sync_p99_us sync_total_us syncs uptime_ms wakeups"
    );
    assert_eq!(members[0]["vitals"]["sync_buckets"], serde_json::json!([1, 2, 3]));
    assert_eq!(members[0]["problems"][0], "slow disk: 1 of 100 syncs takes 120 ms");
    assert_eq!(members[1]["error"], "nobody listens there");
    assert_eq!((&members[1]["id"], &members[1]["vitals"]), (&2.into(), &Value::Null));
    assert_eq!((&members[2]["healthy"], &members[2]["lag"]), (&true.into(), &0.into()));
}

#[test]
fn colours_tell_who_leads_and_who_is_ill() {
    let text = view::text(&Report::of(vec![seen(member(1)), silent(9991), seen(member(3))]));
    for painted in ["\u{1b}[1m\u{1b}[36mleader\u{1b}[0m", "\u{1b}[32mok\u{1b}[0m"] {
        assert!(text.contains(painted), "{text:?}");
    }
    assert!(text.contains("\u{1b}[1m\u{1b}[31mno answer\u{1b}[0m\n"), "{text:?}");
}

#[test]
fn watching_ends_when_told_or_when_nobody_reads() {
    let (stop, stopped) = mpsc::channel();
    let (mut looked, mut drawn) = (0, 0);
    let look = || {
        looked += 1;
        if looked == 3 {
            stop.send(()).expect("the loop listens");
        }
        Ok(looked)
    };
    let draw = |_: &i32| {
        drawn += 1;
        Ok(true)
    };
    assert_eq!(watch::looks(look, draw, &stopped, Duration::ZERO), Ok(3));
    assert_eq!(drawn, 3);
    let (_stop, stopped) = mpsc::channel();
    assert_eq!(watch::looks(|| Ok(7), |_| Ok(false), &stopped, Duration::MAX), Ok(7));
    assert_eq!(watch::in_place_of_the_last("a\n", "end"), "\x1b[H\x1b[2Ja\n\nend\n");
    assert_eq!(watch::seconds(Duration::from_millis(1500)), "1.5 s");
}
