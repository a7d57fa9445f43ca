//! From what servers say to what a person reads. Each situation and the words for it stand in
//! `tests.txt`, in one table, so that whoever changes a text reads what all others sound like.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p raft-cli why` writes the table anew.

use std::env;
use std::fmt::Write as _;
use std::fs;

use raft_node::testimony::{
    AppendResult, Asked, ChangeView, Knew, PastRefusal, PeerView, RefusedRequest, RefusedThing,
    RequestVote, Testimony, VoteRefusal,
};
use raft_node::{
    Address, Index, KnownMember, LogId, NodeId, NodeStatus, Reason, Refusal, SnapshotTransfer,
    Standing, Term, Vitals,
};
use serde_json::Value;

use super::judge::{Verdict, judge};
use super::view;
use crate::commands::status::survey::Seen;
use crate::exit::Exit;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/commands/why/tests.txt");

const OURS: u128 = 0xc1 << 64;

type Heard = Vec<Seen<Testimony>>;

fn known(id: u64) -> KnownMember {
    let address = format!(":{}", 9989 + id);
    KnownMember { id: Some(NodeId(id)), address, voter: true, old_voter: false }
}

/// One of three, n1 leads term 7.
fn status(id: u64) -> NodeStatus {
    NodeStatus {
        id: Some(NodeId(id)),
        address: known(id).address,
        cluster: Some(OURS),
        standing: Standing::Member,
        role: if id == 1 { "leader" } else { "follower" }.into(),
        term: Term(7),
        leader: Some((NodeId(1), ":9990".into())),
        last_log_id: LogId::new(12, 7),
        durable_index: Index(12),
        commit_index: Index(12),
        applied_index: Index(12),
        snapshots: Box::default(),
        version: "0.1.0".into(),
        vitals: Box::new(Vitals::default()),
        members: vec![known(1), known(2), known(3)],
    }
}

fn peer(id: u64) -> PeerView {
    PeerView {
        id: NodeId(id),
        match_index: Index(12),
        next_index: Index(13),
        installing: false,
        connected: true,
        answered_ms: Some(80),
    }
}

fn member(id: u64) -> Testimony {
    let others = || (1..=3).filter(move |other| *other != id);
    Testimony {
        peers: if id == 1 { others().map(peer).collect() } else { Vec::new() },
        reaches: others().map(NodeId).collect(),
        ..Testimony::of(status(id))
    }
}

/// It knows of no leader.
fn lost(id: u64) -> Testimony {
    let mut said = member(id);
    said.peers.clear();
    (said.status.role, said.status.leader) = ("pre-candidate".into(), None);
    said.status.vitals.problems = vec!["no leader".into()];
    said
}

fn says(said: Testimony) -> Seen<Testimony> {
    let address = said.status.address.parse().expect("an address");
    Seen { address, answer: Ok(said) }
}

fn silent(id: u64) -> Seen<Testimony> {
    let port = u16::try_from(9989 + id).expect("a port");
    Seen { address: Address::local(port), answer: Err("nobody listens there".into()) }
}

fn past(what: RefusedThing, count: u64, last_ms: u64) -> PastRefusal {
    let knew = Knew { term: Term(7), last_log_id: LogId::new(12, 6), leader: None };
    PastRefusal { what, count, first_ms: 60_000, last_ms, knew }
}

fn vote(from: u64, why: VoteRefusal, last_ms: u64) -> PastRefusal {
    let request = RequestVote { term: Term(7), last_log_id: LogId::new(9, 5), transfer: false };
    let request = RefusedRequest::Vote { pre: false, request, why };
    past(RefusedThing::Peer { from: NodeId(from), request }, 4, last_ms)
}

fn client(asked: Asked, reason: Reason, last_ms: u64) -> PastRefusal {
    let refusal = Refusal::not_applied(reason);
    past(RefusedThing::Client { asked, refusal }, 12, last_ms)
}

/// n3 lacks entries 4 to 12.
fn behind() -> (Testimony, Testimony) {
    let (mut leader, mut follower) = (member(1), member(3));
    follower.status.last_log_id = LogId::new(3, 7);
    (follower.status.durable_index, leader.peers[1].match_index) = (Index(3), Index(3));
    (leader, follower)
}

fn adding(joint: bool) -> ChangeView {
    ChangeView {
        what: "adding n16".into(),
        about: NodeId(16),
        index: Index(12),
        joint,
        stuck_ms: (!joint).then_some(14_000),
    }
}

/// n16 at :10005 is being added.
fn with_newcomer(mut said: Testimony, joint: bool) -> Testimony {
    said.status.members.push(KnownMember { voter: joint, ..known(16) });
    said.change = Some(adding(joint));
    said
}

// ---- the situations -----------------------------------------------------------------------------

fn well() -> Vec<(&'static str, Heard)> {
    let mut noted = member(2);
    noted.refused = vec![
        vote(3, VoteRefusal::LeaderAlive { leader: NodeId(1) }, 7_500_000),
        client(Asked::Write, Reason::TooLarge { limit: 16, size: 17 }, 300),
        client(Asked::Write, Reason::DiskFull, 180_000),
    ];
    let mut alone = member(1);
    alone.status.members.truncate(1);
    alone.peers.clear();
    let on_its_way = {
        let (leader, follower) = behind();
        vec![says(leader), says(member(2)), says(follower)]
    };
    vec![
        ("all is well", vec![says(member(1)), says(member(2)), says(member(3))]),
        ("all is well, and was not always", vec![says(member(1)), says(noted), says(member(3))]),
        ("a cluster of one", vec![says(alone)]),
        ("entries on their way are no lag", on_its_way),
    ]
}

fn without_leader() -> Vec<(&'static str, Heard)> {
    let mut refuses = lost(1);
    refuses.refused = vec![
        vote(3, VoteRefusal::AlreadyVoted { candidate: NodeId(1) }, 200),
        vote(2, VoteRefusal::LogBehind { last_log_id: LogId::new(12, 6) }, 2_300),
    ];
    let mut split = lost(2);
    split.refused = vec![vote(1, VoteRefusal::AlreadyVoted { candidate: NodeId(2) }, 1_200)];
    let mut old = lost(2);
    old.refused = vec![vote(1, VoteRefusal::StaleTerm, 3_600_000)];
    let apart = |id| Testimony { reaches: Vec::new(), ..lost(id) };
    let hangs = Testimony { write_out_ms: Some(4_200), ..lost(2) };
    let mut half = lost(1);
    half.reaches = vec![NodeId(2)];
    let deaf = Testimony { reaches: vec![NodeId(1)], ..lost(2) };
    let mut joint = lost(1);
    for known in &mut joint.status.members {
        known.old_voter = known.id != Some(NodeId(3));
    }
    let mut third = lost(3);
    third.status.members.clone_from(&joint.status.members);
    vec![
        ("nobody answers", vec![silent(1), silent(2), silent(3)]),
        ("two of three are stopped", vec![says(lost(1)), silent(2), silent(3)]),
        ("one is stopped, the rest elects", vec![says(lost(1)), says(lost(2)), silent(3)]),
        ("a log is behind", vec![says(refuses), says(lost(2)), silent(3)]),
        ("votes are split", vec![says(lost(1)), says(split), silent(3)]),
        ("old refusals explain nothing", vec![says(lost(1)), says(old), says(lost(3))]),
        ("the net is cut", vec![says(apart(1)), says(apart(2)), says(apart(3))]),
        ("two that meet are enough", vec![says(half), says(deaf), says(apart(3))]),
        ("a disk hangs", vec![says(lost(1)), says(hangs), silent(3)]),
        ("the old half is not there", vec![says(joint), silent(2), says(third)]),
    ]
}

fn contradictions() -> Vec<(&'static str, Heard)> {
    let mut later = lost(2);
    later.status.term = Term(9);
    let mut rival = member(2);
    (rival.status.role, rival.status.leader) = ("leader".into(), Some((NodeId(2), ":9991".into())));
    let mut stale = rival.clone();
    stale.status.term = Term(6);
    let stranger = {
        let mut said = member(3);
        said.status.cluster = Some(0xbeef << 64);
        said
    };
    let new = {
        let mut said = Testimony::of(status(3));
        (said.status.id, said.status.cluster) = (None, None);
        (said.status.standing, said.status.leader) = (Standing::New, None);
        said
    };
    vec![
        (
            "the others speak for a leader that does not answer",
            vec![silent(1), says(member(2)), says(member(3))],
        ),
        ("a later term has no leader", vec![says(member(1)), says(later), says(member(3))]),
        ("two lead one term", vec![says(member(1)), says(rival), says(member(3))]),
        ("one still leads", vec![says(member(1)), says(stale), says(member(3))]),
        ("another cluster answers", vec![says(member(1)), says(member(2)), says(stranger)]),
        ("an empty directory", vec![says(member(1)), says(member(2)), says(new)]),
    ]
}

fn members() -> Vec<(&'static str, Heard)> {
    let with =
        |leader: Testimony, third: Testimony| vec![says(leader), says(member(2)), says(third)];
    let (mut cut, follower) = behind();
    cut.peers[1].connected = false;
    let unheard = with(cut, follower);
    let (leader, mut follower) = behind();
    let thing = RefusedThing::Entries { from: NodeId(1), bytes: 65_536, free: 4_096 };
    follower.refused = vec![past(thing, 31, 150)];
    let full = with(leader, follower);
    let (leader, mut follower) = behind();
    follower.write_out_ms = Some(61_000);
    let hanging = with(leader, follower);
    let (mut leader, mut follower) = behind();
    leader.peers[1].installing = true;
    let waits = with(leader.clone(), follower.clone());
    let (peer, bytes) = (":9990".into(), 64 << 20);
    let transfer = SnapshotTransfer { peer, outgoing: false, done: bytes / 4, bytes };
    follower.status.snapshots.transfers = vec![transfer];
    let installing = with(leader, follower);
    let (mut leader, follower) = behind();
    leader.status.commit_index = Index(20_000);
    let far = with(leader, follower);
    let (mut leader, mut follower) = behind();
    leader.peers[1].answered_ms = Some(5_000);
    let result = AppendResult::Conflict { prev_index: Index(12), hint: LogId::new(3, 2) };
    let request = RefusedRequest::Append { term: Term(7), prev_log_id: LogId::new(12, 7), result };
    follower.refused = vec![past(RefusedThing::Peer { from: NodeId(1), request }, 2, 1_500)];
    let conflict = with(leader, follower);
    let (mut leader, follower) = behind();
    leader.peers[1].connected = false;
    let why = "another running process has the same identity (start 3, nonce 0b, against start 2, \
               nonce 0a); end the one that runs on a copy of the data directory";
    let hello = RefusedThing::Hello { from: NodeId(3), why: why.into() };
    leader.refused = vec![past(hello.clone(), 9, 200), past(hello, 4, 3_600_000)];
    let twice = with(leader, follower);
    let mut gone = member(1);
    (gone.peers[1].connected, gone.peers[1].answered_ms) = (false, Some(12_000));
    vec![
        ("a member is stopped", vec![says(gone), says(member(2)), silent(3)]),
        ("one answers the leader, not us", vec![says(member(1)), says(member(2)), silent(3)]),
        ("the leader does not reach one", unheard),
        ("a disk is full", full),
        ("a disk hangs, and its member lags", hanging),
        ("a snapshot is wanted", waits),
        ("a snapshot comes", installing),
        ("one catches up", far),
        ("one refuses what it is sent", conflict),
        ("one is there twice", twice),
    ]
}

fn changes() -> Vec<(&'static str, Heard)> {
    let all = |leader: Testimony, new| vec![says(leader), says(member(2)), says(member(3)), new];
    let newcomer = PeerView { match_index: Index(3), ..peer(16) };
    let gone = PeerView { connected: false, ..newcomer };
    let mut slow = with_newcomer(member(1), false);
    slow.peers.push(newcomer);
    let mut learner = Testimony { reaches: Vec::new(), ..member(3) };
    (learner.status.id, learner.status.address) = (Some(NodeId(16)), known(16).address);
    let mut stopped = with_newcomer(member(1), false);
    stopped.peers.push(gone);
    let mut joint = with_newcomer(member(1), true);
    joint.peers.push(gone);
    let orphan = with_newcomer(lost(2), false);
    let mut refused = member(1);
    let silent_ones = vec![":9992".into(), ":9993".into()];
    refused.refused = vec![
        client(Asked::Change, Reason::NoNewQuorum { silent: silent_ones }, 5_000),
        client(Asked::Change, Reason::ChangeInProgress, 4_000),
    ];
    let three = |leader: Testimony| vec![says(leader), says(member(2)), says(member(3))];
    vec![
        ("a newcomer is slow", all(slow, says(learner))),
        ("a newcomer is stopped", all(stopped, silent(16))),
        ("two majorities", all(joint, silent(16))),
        ("a change without a leader", vec![silent(1), says(orphan), silent(3), silent(16)]),
        ("a change was refused", three(refused)),
    ]
}

fn requests() -> Vec<(&'static str, Heard)> {
    let mut full = member(1);
    full.status.vitals.problems = vec!["disk nearly full: 12 MiB left".into()];
    full.refused = vec![client(Asked::Write, Reason::DiskFull, 400)];
    let mut busy = member(1);
    let what = "the log has too much that is not committed".to_owned();
    busy.refused = vec![client(Asked::Write, Reason::Busy { what }, 90)];
    let mut also = member(2);
    let what = "too many reads wait for their answers".to_owned();
    also.refused = vec![
        client(Asked::Read, Reason::Busy { what }, 1_900),
        client(Asked::Write, Reason::NoLeader, 100),
    ];
    vec![
        ("disks are full", vec![says(full), says(member(2)), says(member(3))]),
        ("too much at once", vec![says(busy), says(also), says(member(3))]),
    ]
}

fn situations() -> Vec<(&'static str, Heard)> {
    [well(), without_leader(), contradictions(), members(), changes(), requests()].concat()
}

#[test]
fn what_a_person_reads() {
    let mut table = String::new();
    for (name, heard) in situations() {
        let verdict = judge(&heard);
        writeln!(table, "# {name}: exit {}", exit(&verdict)).expect("written");
        table.push_str(&view::text(&verdict));
        if let Some(problem) = &verdict.problem {
            writeln!(table, "error: {}", problem.what).expect("written");
            let hint = problem.hint.as_ref().map(|hint| format!("hint: {hint}\n"));
            table.push_str(&hint.unwrap_or_default());
        }
        table.push('\n');
    }
    if env::var_os("UPDATE_GOLDENFILES").is_some() {
        fs::write(GOLDEN, &table).expect("written");
    }
    let golden = fs::read_to_string(GOLDEN).expect("the table");
    assert!(table == golden, "{GOLDEN} says otherwise; look at the difference:\n{table}");
}

fn exit(verdict: &Verdict) -> u8 {
    verdict.problem.as_ref().map_or(0, |problem| problem.exit.code())
}

/// Whoever is asked first, and whatever the others add: the verdict is the same.
#[test]
fn the_order_of_the_answers_does_not_matter() {
    for (name, heard) in situations() {
        let mut sorted = findings(&judge(&heard));
        sorted.sort();
        let mut turned = heard;
        turned.reverse();
        let mut other = findings(&judge(&turned));
        other.sort();
        assert_eq!(sorted, other, "{name}");
    }
}

fn findings(verdict: &Verdict) -> Vec<String> {
    verdict.findings.iter().map(|finding| finding.says.clone()).collect()
}

#[test]
fn for_programs() {
    let (_, heard) = without_leader().swap_remove(3);
    let verdict = judge(&heard);
    assert_eq!(exit(&verdict), Exit::NotFound.code());
    let line = view::json_line(&verdict, &heard);
    let document: Value = serde_json::from_str(&line).expect("one line of JSON");
    assert_eq!((&document["v"], &document["healthy"]), (&1.into(), &false.into()));
    assert_eq!(document["findings"][0]["about"], "leader");
    let refused = &document["servers"][0]["refused"][1];
    assert_eq!(refused["what"], "vote");
    assert_eq!(
        (&refused["from"], &refused["term"], &refused["last_index"], &refused["times"]),
        (&2.into(), &7.into(), &12.into(), &4.into())
    );
    assert_eq!(document["servers"][2]["error"], "nobody listens there");
    let plain = view::plain(&verdict);
    assert!(plain.starts_with("leader\t\t\t\tno leader: :9990 refused its vote"), "{plain}");
}
