//! One member, fed by hand: rules about time and refusal that a whole cluster rarely shows.

use std::sync::Arc;

use raft_core::{
    AppendEntries, AppendEntriesResponse, AppendResult, Change, Config, EntryKind, EntryMeta,
    HardState, Index, Input, Lane, LogId, Member, Membership, Message, NodeId, Output, Raft,
    Recovered, Refused, RefusedRequest, Repeated, RequestId, RequestVote, Snapshot,
    SnapshotRefused, Term, Ticket, Time, VoteRefusal, VoteResponse,
};

const T: u64 = 1000;
const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

struct One {
    raft: Raft,
    now: u64,
    ticket: Ticket,
    /// Whether the disk answers at once.
    syncs: bool,
}

fn member(n: u64) -> Member {
    Member { address: format!(":{n}"), incarnation: u128::from(n) }
}

impl One {
    fn of(count: u64, recovered: Recovered) -> Self {
        let members = (1..=count).map(|n| (NodeId(n), member(n))).collect();
        let founding = Arc::new(Membership::founding(members));
        let memberships = vec![(Index(0), founding)];
        let recovered = Recovered { memberships, ..recovered };
        let raft = Raft::restore(Config::new(N1), recovered, 7, Time(0));
        let mut one = Self { raft, now: 0, ticket: Ticket(0), syncs: true };
        for n in 2..=count {
            one.link(NodeId(n), true);
        }
        one
    }

    /// A member that has been in term 1 before.
    fn seasoned(count: u64) -> Self {
        let hard_state = HardState { term: Term(1), voted_for: None };
        Self::of(count, Recovered { hard_state, ..Recovered::default() })
    }

    fn leader(count: u64) -> Self {
        let mut one = Self::seasoned(count);
        one.time_out();
        for n in 2..=count {
            one.receive(
                NodeId(n),
                Message::PreVoteResponse(VoteResponse { term: Term(2), refusal: None }),
            );
        }
        for n in 2..=count {
            let granted = VoteResponse { term: Term(2), refusal: None };
            one.receive(NodeId(n), Message::RequestVoteResponse(granted));
        }
        assert!(one.raft.is_leader());
        one
    }

    fn step(&mut self, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.raft.step(Time(self.now), input, &mut outputs);
        while let Some(ticket) = newest(&outputs).filter(|&ticket| ticket > self.ticket) {
            self.ticket = ticket;
            if self.syncs {
                self.raft.step(Time(self.now), Input::Persisted(ticket), &mut outputs);
            }
        }
        outputs
    }

    fn receive(&mut self, from: NodeId, message: Message) -> Vec<Output> {
        self.step(Input::Receive { from, message })
    }

    fn link(&mut self, peer: NodeId, up: bool) -> Vec<Output> {
        self.step(Input::Link { peer, lane: Lane::Outbound, up })
    }

    fn wait(&mut self) -> u64 {
        self.raft.next_deadline().expect("a deadline").0 - self.now
    }

    fn time_out(&mut self) -> Vec<Output> {
        self.now = self.now.max(self.raft.next_deadline().expect("a deadline").0);
        self.step(Input::Timer)
    }

    /// Time passes with all its timers; the given peers answer every append at once.
    fn pass(&mut self, millis: u64, answering: &[NodeId], matched: Index) -> Vec<Output> {
        let (end, mut all) = (self.now + millis, Vec::new());
        while self.raft.next_deadline().is_some_and(|at| at.0 <= end) {
            let outputs = self.time_out();
            for &peer in answering {
                if outputs.iter().any(|o| matches!(o, Output::Send { to, .. } if *to == peer)) {
                    let matched = matched.min(self.raft.last_log_id().index);
                    all.extend(self.answer(peer, matched));
                }
            }
            all.extend(outputs);
        }
        self.now = end;
        all
    }

    fn answer(&mut self, from: NodeId, matched: Index) -> Vec<Output> {
        let response = AppendEntriesResponse {
            term: self.raft.hard_state().term,
            result: AppendResult::Match(matched),
            last_index: matched,
            commit_index: matched,
            round: 0,
        };
        self.receive(from, Message::AppendEntriesResponse(response))
    }

    fn heartbeat(&mut self, from: NodeId, term: u64) -> Vec<Output> {
        let append = AppendEntries {
            term: Term(term),
            prev_log_id: LogId::default(),
            entries: vec![],
            commit_index: Index(0),
            round: 0,
        };
        self.receive(from, Message::AppendEntries(append))
    }

    fn change(&mut self, request: u128, change: Change) -> Vec<String> {
        lines(&self.step(Input::ChangeMembership { request: RequestId(request), change }))
    }
}

fn lines(outputs: &[Output]) -> Vec<String> {
    outputs.iter().map(ToString::to_string).collect()
}

fn has(outputs: &[Output], text: &str) -> bool {
    lines(outputs).iter().any(|line| line.contains(text))
}

fn newest(outputs: &[Output]) -> Option<Ticket> {
    let tickets = outputs.iter().filter_map(|output| match output {
        Output::Persist(persist) => Some(persist.ticket),
        _ => None,
    });
    tickets.max()
}

fn request_vote(term: u64, transfer: bool) -> RequestVote {
    RequestVote { term: Term(term), last_log_id: LogId::new(9, 1), transfer }
}

#[test]
fn a_founded_cluster_elects_within_a_fifth_of_t() {
    let mut one = One::of(3, Recovered::default());
    assert!(one.wait() <= T / 5);
    assert!(has(&one.time_out(), "PreVote term=1 last=0@0"));
}

#[test]
fn a_voter_alone_leads_at_once() {
    let mut one = One::of(1, Recovered::default());
    assert_eq!(one.wait(), 0);
    one.time_out();
    assert!(one.raft.is_leader());
    assert_eq!(one.raft.commit_index(), Index(1));
}

#[test]
fn a_doubtful_tail_lets_others_go_first_but_not_for_ever() {
    let hard_state = HardState { term: Term(1), voted_for: None };
    let recovered = Recovered { hard_state, tail_ambiguous: true, ..Recovered::default() };
    let mut one = One::of(3, recovered.clone());
    assert!((2 * T..4 * T).contains(&one.wait()));
    assert!(has(&one.time_out(), "PreVote term=2"));
    assert_eq!(One::of(1, recovered).wait(), 0);
}

#[test]
fn loyalty_to_a_live_leader_ends_with_time_or_on_its_own_wish() {
    let mut one = One::seasoned(3);
    one.heartbeat(N2, 1);
    one.now += T - 1;
    let refused = one.receive(N3, Message::RequestVote(request_vote(5, false)));
    assert!(has(&refused, "term=1 refused: leader n2 is alive"));
    assert_eq!(one.raft.hard_state().term, Term(1));
    let refused = one.receive(N3, Message::PreVote(request_vote(5, false)));
    assert!(has(&refused, "leader n2 is alive"));
    let granted = one.receive(N3, Message::RequestVote(request_vote(5, true)));
    assert!(has(&granted, "term=5 granted"));
    let refused = one.receive(N2, Message::RequestVote(request_vote(5, true)));
    assert!(has(&refused, "already voted for n3"));
}

#[test]
fn a_lost_leader_is_replaced_quickly_and_only_so_often() {
    let mut one = One::seasoned(3);
    one.heartbeat(N2, 1);
    one.step(Input::Refused { peer: N2 });
    assert!(one.wait() >= T, "refused, but the connection never broke");
    one.link(N2, false);
    one.step(Input::Refused { peer: N2 });
    assert_eq!(one.raft.leader(), None);
    assert!(one.wait() <= T / 5);
    assert!(has(&one.time_out(), "→ n3  PreVote"));
    for _ in 0..5 {
        let refusal = Some(VoteRefusal::LeaderAlive { leader: N2 });
        let response = VoteResponse { term: Term(1), refusal };
        one.receive(N3, Message::PreVoteResponse(response));
        assert!(one.wait() <= T / 5);
        assert!(has(&one.time_out(), "→ n3  PreVote"));
    }
    assert!(one.wait() >= T);
}

#[test]
fn a_vote_waits_for_the_disk_and_dies_with_its_connection() {
    let mut one = One::seasoned(3);
    one.syncs = false;
    let asked = one.receive(N3, Message::RequestVote(request_vote(2, false)));
    assert!(!has(&asked, "RequestVoteResponse") && has(&asked, "persist #1 vote=n3@2"));
    one.step(Input::Link { peer: N3, lane: Lane::Inbound, up: false });
    assert!(one.step(Input::Persisted(Ticket(1))).is_empty());
    let again = one.receive(N3, Message::RequestVote(request_vote(2, false)));
    assert!(has(&again, "term=2 granted"));
}

#[test]
fn a_candidate_asks_once_its_vote_is_durable() {
    let mut one = One::seasoned(3);
    one.syncs = false;
    one.time_out();
    let won =
        one.receive(N2, Message::PreVoteResponse(VoteResponse { term: Term(2), refusal: None }));
    assert!(has(&won, "candidate term=2") && !has(&won, "RequestVote term"));
    let synced = one.step(Input::Persisted(Ticket(1)));
    assert!(has(&synced, "→ n2  RequestVote term=2") && has(&synced, "→ n3  RequestVote term=2"));
}

#[test]
fn a_leader_that_hears_no_quorum_goes_silent() {
    let mut one = One::leader(3);
    assert!(has(&one.pass(T, &[], Index(0)), "follower term=2 leader=none"));
    let mut one = One::leader(3);
    one.pass(5 * T, &[N2], Index(9));
    assert!(one.raft.is_leader());
}

#[test]
fn a_leader_without_progress_ends_although_it_is_heard() {
    let mut one = One::leader(3);
    one.pass(T, &[N2], Index(9));
    one.step(Input::Propose { sizes: vec![10] });
    one.pass(3 * T - 200, &[N2, N3], Index(1));
    assert!(one.raft.is_leader());
    one.step(Input::Sent { peer: N2, through: Index(1), bytes: 5 });
    one.pass(3 * T - 200, &[N2, N3], Index(1));
    assert!(one.raft.is_leader(), "a socket that takes bytes is progress");
    one.step(Input::Sent { peer: N2, through: Index(1), bytes: 5 });
    one.pass(300, &[N2, N3], Index(1));
    assert!(!one.raft.is_leader(), "the same bytes again are not");
}

#[test]
fn a_leader_with_a_hanging_disk_hands_over_then_steps_down() {
    let mut one = One::leader(3);
    one.answer(N2, Index(1));
    one.syncs = false;
    one.step(Input::Propose { sizes: vec![10] });
    let handed = one.pass(T, &[N2, N3], Index(9));
    assert!(has(&handed, "→ n2  TimeoutNow term=2"));
    assert!(one.raft.is_leader());
    let ended = one.pass(T, &[N2, N3], Index(9));
    assert!(has(&ended, "follower term=2"));
    let idle = one.pass(3 * T, &[], Index(0));
    assert!(!has(&idle, "PreVote"), "it does not campaign while its disk hangs");
    one.step(Input::Persisted(one.ticket));
    assert!(has(&one.pass(3 * T, &[], Index(0)), "PreVote"));
}

#[test]
fn a_transfer_freezes_proposals_and_ends() {
    let mut one = One::leader(3);
    one.answer(N3, Index(1));
    let told = one.step(Input::TransferLeadership { to: None });
    assert!(has(&told, "→ n3  TimeoutNow term=2"));
    let refused = one.step(Input::Propose { sizes: vec![1] });
    assert!(has(&refused, "handing over to n3"));
    assert!(has(&one.pass(T, &[N2, N3], Index(1)), "transfer ended to=none"));
    assert!(has(&one.step(Input::Propose { sizes: vec![1] }), "proposed 2@2 count=1"));
    let mut alone = One::leader(1);
    assert!(has(&alone.step(Input::TransferLeadership { to: None }), "transfer ended to=none"));
}

#[test]
fn changes_are_refused_by_name() {
    let mut one = One::seasoned(3);
    assert_eq!(
        one.change(1, Change::Remove(N2)),
        ["change refused 00000000000000000000000000000001: not leader, leader=none"]
    );
    let mut one = One::leader(3);
    assert!(one.change(1, Change::Remove(N2))[0].contains("leader too young"));
    one.answer(N2, Index(1));
    assert!(one.change(1, Change::Remove(NodeId(9)))[0].contains("not a member"));
    assert!(one.change(1, Change::Add(member(2)))[0].contains("already member n2"));
    let stranger = Member { incarnation: 99, ..member(2) };
    assert!(one.change(1, Change::Add(stranger))[0].contains("address taken by n2"));
    let young = &one.change(1, Change::Remove(N2))[0];
    assert!(young.contains("leader too young"), "n3 may answer yet: {young}");
    one.pass(T, &[N2], Index(1));
    assert!(one.change(1, Change::Remove(N2))[0].contains("no new quorum, silent=[n3]"));
    assert!(one.change(1, Change::Remove(N1)).join(";").contains("handing over to n2"));
    assert!(One::leader(1).change(1, Change::Remove(N1))[0].contains("last member"));
}

#[test]
fn a_removal_goes_through_a_joint_configuration_and_is_remembered() {
    let mut one = One::leader(3);
    one.answer(N2, Index(1));
    let begun = one.change(1, Change::Remove(N3)).join("\n");
    assert!(begun.contains("append 2@2 voters=[n1 n2] old=[n1 n2 n3] job=remove n3"), "{begun}");
    assert!(one.change(2, Change::Remove(N2))[0].contains("change in progress"));
    assert!(one.change(1, Change::Remove(N3)).is_empty(), "the same request joins");
    let last = one.answer(N2, Index(2));
    assert!(has(&last, "append 3@2 voters=[n1 n2]"));
    let ended = one.answer(N2, Index(3));
    assert!(has(&ended, "change ended 00000000000000000000000000000001: removed n3 :3"));
    assert!(one.change(1, Change::Remove(N3))[0].contains("removed n3 :3"), "the first answer");
    assert!(has(&one.pass(T, &[N2], Index(3)), "→ n3  AppendEntries"), "fed until it knows");
    one.answer(N3, Index(3));
    assert!(!has(&one.pass(T, &[N2], Index(3)), "→ n3"));
}

#[test]
fn a_learner_without_progress_is_taken_out_again() {
    let mut one = One::leader(1);
    let begun = one.change(1, Change::Add(member(9))).join("\n");
    assert!(begun.contains("append 2@2 voters=[n1] learners=[n3] job=promote n3"), "{begun}");
    assert!(!has(&one.pass(29_000, &[], Index(0)), "undone"));
    assert!(has(&one.pass(1_100, &[], Index(0)), "undone n3 :9"));
}

#[test]
fn a_learner_that_keeps_up_becomes_a_voter() {
    let mut one = One::leader(1);
    one.change(1, Change::Add(member(9)));
    let up = one.link(N3, true);
    assert!(has(&up, "→ n3  AppendEntries"));
    let joint = one.answer(N3, Index(2));
    assert!(has(&joint, "voters=[n1 n3] old=[n1]"), "{:?}", lines(&joint));
    let last = one.answer(N3, Index(3));
    assert!(has(&last, "append 4@2 voters=[n1 n3]"), "{:?}", lines(&last));
    assert!(has(&one.answer(N3, Index(4)), "added n3 :9"));
}

#[test]
fn a_lost_leadership_leaves_changes_unknown() {
    let mut one = One::leader(3);
    one.answer(N2, Index(1));
    one.change(1, Change::Remove(N3));
    assert!(has(
        &one.heartbeat(N2, 3),
        "change unknown 00000000000000000000000000000001 leader=n2"
    ));
}

#[test]
fn nonsense_is_refused_and_never_panics() {
    let entry = |term| EntryMeta { term: Term(term), size: 1, kind: EntryKind::Command };
    let append = |prev: LogId, terms: &[u64], commit: u64| {
        Message::AppendEntries(AppendEntries {
            term: Term(2),
            prev_log_id: prev,
            entries: terms.iter().map(|&term| entry(term)).collect(),
            commit_index: Index(commit),
            round: 0,
        })
    };
    let mut one = One::seasoned(3);
    one.receive(N2, append(LogId::default(), &[1, 1, 2], 3));
    assert_eq!(one.raft.commit_index(), Index(3));
    for nonsense in [
        append(LogId::default(), &[1, 2], 0),
        append(LogId::new(2, 2), &[2], 0),
        append(LogId::new(3, 2), &[2, 1], 0),
        append(LogId::new(3, 2), &[3], 0),
        append(LogId::new(0, 2), &[2], 0),
        append(LogId { term: Term(2), index: Index(u64::MAX) }, &[2], 0),
        Message::TimeoutNow { term: Term(u64::MAX) },
        Message::RequestVote(RequestVote {
            last_log_id: LogId::new(1, 9),
            ..request_vote(2, true)
        }),
    ] {
        assert!(has(&one.receive(N2, nonsense.clone()), "alarm n2"), "{nonsense}");
        assert!(one.heartbeat(N2, 2).is_empty(), "in quarantine");
        one.step(Input::Link { peer: N2, lane: Lane::Inbound, up: true });
    }
    assert_eq!(one.raft.last_log_id(), LogId::new(3, 2));
    let mut leader = One::leader(3);
    assert!(has(&leader.answer(N2, Index(7)), "alarm n2"));
}

#[test]
fn a_snapshot_that_cannot_be_is_refused() {
    let founding = |count: u64| {
        Arc::new(Membership::founding((1..=count).map(|n| (NodeId(n), member(n))).collect()))
    };
    let good =
        Snapshot { at: LogId::new(5, 2), membership_index: Index(0), membership: founding(3) };
    let senseless = [
        Snapshot { at: LogId::new(0, 0), ..good.clone() },
        Snapshot { at: LogId::new(5, 0), ..good.clone() },
        Snapshot { at: LogId::new(5, 4), ..good.clone() },
        Snapshot { at: LogId::new(u64::MAX, 2), ..good.clone() },
        Snapshot { membership_index: Index(6), ..good.clone() },
        Snapshot { membership: founding(0), ..good.clone() },
    ];
    let install = |snapshot: &Snapshot, from| Input::InstallSnapshot {
        from,
        term: Term(3),
        snapshot: snapshot.clone(),
    };
    let is_refused = |outputs: &Vec<Output>| {
        let why = SnapshotRefused::Senseless;
        outputs.iter().any(|o| matches!(o, Output::SnapshotRefused { why: w, .. } if *w == why))
    };
    for snapshot in &senseless {
        let mut one = One::seasoned(3);
        assert!(is_refused(&one.step(install(snapshot, N2))), "{snapshot:?}");
        assert_eq!(one.raft.log_start(), LogId::default());
    }
    let mut one = One::seasoned(3);
    assert!(is_refused(&one.step(install(&good, N1))), "from itself");
    assert!(!is_refused(&one.step(install(&good, N2))));
    assert_eq!(one.raft.log_start(), good.at);
    assert!(is_refused(&one.step(install(&good, N3))), "of another leader of the same term");
}

#[test]
#[should_panic(expected = "is not applied and durable")]
fn what_is_not_applied_is_not_compacted() {
    let mut one = One::leader(3);
    one.step(Input::Compacted { through: LogId::new(1, 2) });
}

#[test]
fn what_was_refused_is_kept_with_the_numbers_behind_it() {
    let recovered = Recovered {
        hard_state: HardState { term: Term(3), voted_for: None },
        last_index: Index(2),
        term_runs: vec![(Index(1), Term(3))],
        ..Recovered::default()
    };
    let mut one = One::of(3, recovered);
    one.syncs = false;
    assert_eq!(one.raft.refusals().iter().count(), 0);
    let behind = LogId::new(9, 2);
    for term in [4, 5, 6] {
        one.now += 10;
        let request = RequestVote { term: Term(term), last_log_id: behind, transfer: false };
        one.receive(N2, Message::RequestVote(request));
    }
    one.now += 10;
    // An old leader.
    one.heartbeat(N3, 2);
    let kept: Vec<_> = one.raft.refusals().iter().cloned().collect();
    let own = LogId::new(2, 3);
    let why = VoteRefusal::LogBehind { last_log_id: own };
    let request = RequestVote { term: Term(6), last_log_id: behind, transfer: false };
    let refused =
        |from, what| Refused { from, term: Term(6), last_log_id: own, leader: None, what };
    let vote = RefusedRequest::Vote { pre: false, request, why };
    let append = RefusedRequest::Append {
        term: Term(2),
        prev_log_id: LogId::default(),
        result: AppendResult::StaleTerm,
    };
    let (first, last) = (Time(10), Time(30));
    assert_eq!(
        kept,
        [
            // Before the answers have left: these wait for the disk.
            Repeated { what: refused(N2, vote), count: 3, first, last },
            Repeated { what: refused(N3, append), count: 1, first: Time(40), last: Time(40) },
        ]
    );
}
